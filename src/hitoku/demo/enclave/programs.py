# SPDX-License-Identifier: Apache-2.0
"""Other programs that a dishonest host starts: with one byte changed, or one that forges its measurement.

All changes are made in copies in the demo's directory, never in the installation.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from hitoku.attestation.launch.image import Installation
from hitoku.attestation.launch.packages import package_files
from hitoku.errors import InputError

__all__ = ["Altered", "changed_dependency", "changed_own", "source_of", "usurper"]

_OWN: Final = "protections/enclave/worker/compute.py"
_USURPER: Final = '''\
"""Sets back what can be set back, claims to be the right program, and goes on as that would."""

import sys

from hitoku.attestation.program import event_digest
from hitoku.attestation.tpm2.commands import Tpm, TpmError
from hitoku.attestation.tpm2.device import Descriptor
from hitoku.protections.enclave.worker import main as right


def main() -> None:
    """Forge, then be the worker."""
    tpm = Tpm(Descriptor(right.TPM))
    for pcr in (12, 16, 23):
        try:
            tpm.pcr_reset(pcr)
        except TpmError:
            pass
        tpm.pcr_extend(pcr, event_digest(sys.argv[2]))
    right.main()
'''


@dataclass(frozen=True, slots=True)
class Altered:
    """Another program.

    Attributes:
        what: for people.
        own: hitoku's package, altered; the right one where None.
        site: a folder with an altered dependency, before the others; none where None.
        entry: another entry point, or "".
        argv: more arguments.
    """

    what: str
    own: str | None = None
    site: str | None = None
    entry: str = ""
    argv: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Altered:
        """What `to_dict` made, among other things."""
        return cls(data["what"], data["own"], data["site"], data["entry"], tuple(data["argv"]))


def source_of(altered: Altered) -> Installation:
    """The installation that the program is made of."""
    here = Installation.here()
    if altered.own is not None:
        here = replace(here, own=(Path(altered.own), *here.own[1:]))
    if altered.site is not None:
        here = replace(here, site=(Path(altered.site), *here.site))
    return here


def changed_own(place: Path) -> Altered:
    """The worker with one letter of its own source in the other case.

    Args:
        place: a new folder for the copy.
    """
    copy = _own(place)
    _letter(copy / _OWN)
    return Altered(f"its own file hitoku/{_OWN}: one letter's case", own=str(copy))


def changed_dependency(place: Path, name: str, pattern: str) -> Altered:
    """The worker with one byte of a file of a package changed.

    Args:
        place: a new folder for the copy.
        name: the distribution.
        pattern: the file, as a pattern below ``site-packages``.

    Raises:
        InputError: the package is not installed, or has no such file.
    """
    here = Installation.here()
    for path, file in package_files([name], here.site, ()).items():
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        if path.endswith(".dist-info/METADATA"):  # says which files are the package's
            shutil.copyfile(file.with_name("RECORD"), target.with_name("RECORD"))
    found = sorted(place.glob(pattern))
    if not found:
        raise InputError(f"{name} has no file {pattern}")
    if found[0].suffix == ".py":
        _letter(found[0])
    else:
        _last_bit(found[0])
    what = "one letter's case" if found[0].suffix == ".py" else "its last bit"
    return Altered(f"a dependency's file {found[0].relative_to(place)}: {what}", site=str(place))


def usurper(place: Path, program: str) -> Altered:
    """A program that extends PCRs with the right program's measure, then does all that the right one does.

    Args:
        place: a new folder for the copy.
        program: the right program's digest.
    """
    copy = _own(place)
    (copy / "protections" / "enclave" / "worker" / "usurper.py").write_text(_USURPER, "utf-8")
    entry = "hitoku.protections.enclave.worker.usurper:main"
    return Altered("a program that resets and extends PCRs", own=str(copy), entry=entry, argv=(program,))


def _own(place: Path) -> Path:
    (package,) = Installation.here().own
    return Path(shutil.copytree(package, place / package.name, ignore=shutil.ignore_patterns("__pycache__")))


def _letter(file: Path) -> None:
    """Change the case of the first letter of the first docstring or comment: nothing that runs changes."""
    content = bytearray(file.read_bytes())
    starts = [at + len(sign) for sign in (b'"""', b"# ") if (at := content.find(sign)) >= 0]
    letters = [at for at in range(min(starts), len(content)) if content[at : at + 1].isalpha()]
    content[letters[0]] ^= 0x20
    file.write_bytes(content)


def _last_bit(file: Path) -> None:
    """Change the end of an extension, a table that the loader does not read: the extension runs as before."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
