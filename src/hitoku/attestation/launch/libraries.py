# SPDX-License-Identifier: Apache-2.0
"""The dynamic loader and every shared library that an image's files need, transitively.

Inside an image, the machine's own libraries lie in the first directory that its loader searches by itself,
so that the loader needs no cache, environment or option to find them, also for processes that the program
starts. Libraries that packages bring along stay where they are, relative to each other.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hitoku.attestation.launch.elf import Dynamic, dynamic
from hitoku.errors import InputError

__all__ = ["Libraries"]

_SECONDS: Final = 30
_LISTED: Final = re.compile(r"^\s+(\S+) => (/\S+) \(0x", re.MULTILINE)
_SEARCHED: Final = re.compile(r"^\s+(/\S+) \(system search path\)", re.MULTILINE)
# Loaded by name when a thread is cancelled (glibc), so that no file says that it is needed.
_BY_NAME: Final = ("libgcc_s.so.1",)


@dataclass(slots=True)
class Libraries:
    """Finds libraries for one interpreter.

    Attributes:
        python: the interpreter.
        kept: pairs of a directory outside and its path inside; libraries below it keep their place.
    """

    python: Path
    kept: Sequence[tuple[Path, str]]
    _system: dict[str, Path | None] = field(default_factory=dict)

    def loader(self) -> tuple[str, Path]:
        """Path of the dynamic loader inside, and outside.

        Raises:
            InputError: the interpreter is not an ELF program with a loader.
        """
        asks = dynamic(self.python)
        if asks is None or not asks.loader.startswith("/"):
            raise InputError(f"{self.python}: not a 64-bit program with a dynamic loader; images need Linux")
        return asks.loader.lstrip("/"), Path(asks.loader).resolve()

    def directory(self) -> str:
        """Where the machine's libraries lie inside: what the loader searches first by itself."""
        return self._searched()[0].strip("/")

    def needed_by(self, files: dict[str, Path]) -> dict[str, Path]:
        """Libraries that these files need and are not among them: path inside -> file outside.

        A library that cannot be found is left out: what needs it cannot be loaded outside, either.
        """
        directory = self.directory()
        added: dict[str, Path] = {}
        open_ = [(path, file) for path, file in files.items() if not path.endswith(".py")]
        known = set(files)
        for name in _BY_NAME:
            for folder in self._searched():
                if (Path(folder) / name).is_file() and f"{directory}/{name}" not in added:
                    self._system[name] = added[f"{directory}/{name}"] = Path(folder) / name
                    open_.append((f"{directory}/{name}", Path(folder) / name))
        while open_:
            _, file = open_.pop()
            asks = dynamic(file)
            if asks is None:
                continue
            for name, found in self._resolved(asks, file):
                inside = self._inside(found) or f"{directory}/{name}"
                if inside not in known and inside not in added:
                    added[inside] = found
                    open_.append((inside, found))
        return added

    def _resolved(self, asks: Dynamic, file: Path) -> list[tuple[str, Path]]:
        names = [name for name in asks.needed if "/" not in name]
        found = [(name, self._find(name, file, asks.paths)) for name in names]
        return [(name, path) for name, path in found if path is not None]

    def _find(self, name: str, file: Path, paths: Sequence[str]) -> Path | None:
        for path in paths:
            origin = str(file.parent)
            folder = path.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
            candidate = Path(os.path.normpath(folder)) / name
            if candidate.is_file():
                return candidate
        if name not in self._system:
            listed = self._run("--list", str(file))
            for other, where in _LISTED.findall(listed):
                if self._inside(Path(where)) is None:
                    self._system.setdefault(other, Path(where))
            self._system.setdefault(name, None)
        return self._system[name]

    def _searched(self) -> list[str]:
        found = _SEARCHED.findall(self._run("--help"))
        if not found:
            raise InputError("images need the GNU C library, version 2.33 or later")
        return found

    def _inside(self, file: Path) -> str | None:
        for outside, inside in self.kept:
            for spelled in (file, file.resolve()):
                if spelled.is_relative_to(outside):
                    return f"{inside}/{spelled.relative_to(outside).as_posix()}"
        return None

    def _run(self, *words: str) -> str:
        _, loader = self.loader()
        try:
            done = subprocess.run(
                [str(loader), *words], capture_output=True, timeout=_SECONDS, check=False, env={"LC_ALL": "C"}
            )
        except (OSError, subprocess.TimeoutExpired):
            raise InputError(f"{loader}: the dynamic loader cannot be asked") from None
        return done.stdout.decode(errors="replace")
