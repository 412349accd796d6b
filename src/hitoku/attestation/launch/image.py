# SPDX-License-Identifier: Apache-2.0
"""Images: everything that a program can map, import or execute, listed from an installation of Python.

An image has the interpreter, its loader, the shared libraries that anything in it needs, the standard
library, whole packages with all that they depend on, and hitoku. Inside, all of it lies at fixed paths, so
that where the installation lies outside, and in which order its directories are read, makes no difference
to the digest.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import hitoku
from hitoku.attestation.launch import boot
from hitoku.attestation.launch.bytecode import bytecode
from hitoku.attestation.launch.libraries import Libraries
from hitoku.attestation.launch.measuring import Listed, measured
from hitoku.attestation.launch.packages import module_files, package_files, standard_library
from hitoku.attestation.program import Confinement, Manifest
from hitoku.errors import InputError

__all__ = ["ENVIRONMENT", "PROGRAM", "Image", "Installation", "measure"]

PROGRAM: Final = "usr/bin/python3"
# Python looks for its library beside its own directory and above, but not in the root.
_PREFIX: Final = "usr"
_BOOT: Final = "boot.py"
ENVIRONMENT: Final[Mapping[str, str]] = {"HOME": "/tmp", "LC_ALL": "C.UTF-8", "TMPDIR": "/tmp"}  # noqa: S108


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the files of images come from.

    Attributes:
        python: the interpreter itself, no link.
        library: the standard library's directory.
        place: the standard library's path inside, relative, as the interpreter looks for it.
        site: directories with installed packages.
        own: directories of packages, or modules, that come from elsewhere; hitoku's first.
    """

    python: Path
    library: Path
    place: str
    site: tuple[Path, ...]
    own: tuple[Path, ...]

    @classmethod
    def here(cls) -> Installation:
        """That of this process."""
        library = Path(sysconfig.get_path("stdlib"))
        base = Path(sys.base_prefix)
        place = library.relative_to(base) if library.is_relative_to(base) else Path("lib") / library.name
        site = dict.fromkeys(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib"))
        own = Path(os.path.abspath(hitoku.__file__)).parent  # noqa: PTH100
        return cls(
            Path(sys.executable).resolve(), library, f"{_PREFIX}/{place.as_posix()}", tuple(site), (own,)
        )


@dataclass(frozen=True, slots=True)
class Image:
    """What a program is made of.

    Attributes:
        packages: distributions; what they depend on comes along.
        entry: ``module:function``, called without arguments.
        argv: `sys.argv` after the module's name.
        without: beginnings of paths below ``site-packages`` that stay out.
        confinement: what the program can reach.
        policy: SHA-384 of a policy that is built in, or "".
        source: the installation; this process's where None.
    """

    packages: tuple[str, ...]
    entry: str
    argv: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    confinement: Confinement = field(default_factory=Confinement)
    policy: str = ""
    source: Installation | None = None

    @property
    def installation(self) -> Installation:
        """Where its files come from."""
        return self.source or Installation.here()

    def listed(self, *, fresh: bool = False) -> list[Listed]:
        """Its files, by path inside.

        Args:
            fresh: make all bytecode anew.

        Raises:
            InputError: something is not installed, or this is no Linux with the GNU C library.
        """
        files = self._files(fresh)
        executable = {PROGRAM, self._libraries().loader()[0]}
        return [(path, str(file), path in executable) for path, file in sorted(files.items())]

    def command(self) -> tuple[str, ...]:
        """The command line inside."""
        packages = f"/{self.installation.place}/site-packages"
        flags = ("-I", "-S", "-B", "-X", "utf8")
        return (f"/{PROGRAM}", *flags, f"/{_BOOT}", packages, self.entry, *self.argv)

    def _libraries(self) -> Libraries:
        source, packages = self.installation, f"{self.installation.place}/site-packages"
        kept = [(folder, packages) for folder in source.site]
        kept += [(path, f"{packages}/{path.name}") for path in source.own if path.is_dir()]
        return Libraries(source.python, kept)

    def _files(self, fresh: bool) -> dict[str, Path]:
        source = self.installation
        packages = f"{source.place}/site-packages"
        found = {f"{source.place}/{path}": file for path, file in standard_library(source.library).items()}
        if f"{source.place}/os.py" not in found:
            raise InputError(f"{source.library}: the standard library is not there as files")
        for path, file in package_files(self.packages, source.site, self.without).items():
            found[f"{packages}/{path}"] = file
        for module in source.own:
            for path, file in module_files(module, self.without).items():
                found[f"{packages}/{path}"] = file
        found[_BOOT] = Path(boot.__file__)
        found[PROGRAM] = source.python
        libraries = self._libraries()
        inside, outside = libraries.loader()
        found[inside] = outside
        found |= libraries.needed_by(found)
        sources = {path: file for path, file in found.items() if path != _BOOT}
        return found | bytecode(sources, fresh=fresh)


def measure(image: Image, *, fresh: bool = False) -> Manifest:
    """The manifest of a program, without launching it.

    Args:
        image: what it is made of.
        fresh: trust no bytecode that was made earlier. For whoever signs a reference value.

    Raises:
        InputError: see `Image.listed`.
    """
    files = measured(image.listed(fresh=fresh))
    return Manifest(files, image.command(), ENVIRONMENT, image.confinement, image.policy)
