# SPDX-License-Identifier: Apache-2.0
"""What one party of a run must not forget: lines in a file, each durable before the reply leaves.

Only the end of the file can be torn, by a crash while a line was written; what that line would have allowed
was then never sent, so it is cut off. Any other damage is refused, for a member that forgot what it answered
could be asked again. Restoring an older copy of the file has the same effect and cannot be seen from inside:
the folder is not to be restored from a backup during a run.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hitoku import limits
from hitoku.errors import InputError

__all__ = ["Ledger"]

_CHECK = 16


class Ledger:
    """An append-only file of JSON lines that belongs to one plan, run and party, held by one process.

    Args:
        path: the file; its folder is made if it is missing.
        plan: the plan's hash.
        run: the run's id. One plan is run once: its ledger refuses another run's id.
        party: whose it is.

    Raises:
        InputError: the file is damaged, belongs to something else, or another process holds it.
    """

    def __init__(self, path: Path, plan: bytes, run: str, party: str) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = not path.exists()
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise InputError(f"{path}: another process takes part in this run with the same state") from None
        try:
            self._size, self._check, entries = self._load()
            self.entries: tuple[dict[str, Any], ...] = tuple(entries[1:])
            """What the file held when it was opened, in order."""
            first = {"plan": plan.hex(), "run": run, "party": party}
            if not entries:
                self.append(first)
                if fresh:
                    _sync_folder(path.parent)
            elif entries[0] != first:
                raise InputError(
                    f"{path}: belongs to another plan, run or member; one plan is run once, a second run "
                    "needs a new plan that every member signs"
                )
        except InputError:
            self.close()
            raise

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add a line; it is on the disk when this returns.

        Raises:
            InputError: it cannot be written. Nothing may be answered that needs it.
        """
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        check = _checked(self._check, text)
        line = f"{check} {text}\n".encode()
        try:
            written = os.write(self._file, line)
            os.fdatasync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise InputError(f"{self._path}: cannot be written ({error.strerror})") from error
        if written != len(line):
            os.ftruncate(self._file, self._size)
            raise InputError(f"{self._path}: cannot be written (the disk is full)")
        self._size += len(line)
        self._check = check

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _load(self) -> tuple[int, str, list[dict[str, Any]]]:
        size = os.fstat(self._file).st_size
        if size > limits.MAX_LEARNING_LEDGER_BYTES:
            raise InputError(f"{self._path}: too large to be a run's state")
        content = bytearray()
        while len(content) < size:
            piece = os.pread(self._file, size - len(content), len(content))
            if not piece:
                break
            content += piece
        entries: list[dict[str, Any]] = []
        check, place = "", 0
        for text, end in _lines(bytes(content)):
            before, _, after = text.partition(" ")
            if before != _checked(check, after):
                raise InputError(f"{self._path}: line {len(entries) + 1} is damaged; this run cannot go on")
            entry = json.loads(after)
            check, place = before, end
            entries.append(entry)
        if place != size:
            os.ftruncate(self._file, place)
        return place, check, entries


def _lines(content: bytes) -> Iterator[tuple[str, int]]:
    place = 0
    while (end := content.find(b"\n", place)) >= 0:
        yield content[place:end].decode(errors="replace"), end + 1
        place = end + 1


def _checked(before: str, text: str) -> str:
    return hashlib.sha256(f"{before} {text}".encode()).hexdigest()[:_CHECK]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
