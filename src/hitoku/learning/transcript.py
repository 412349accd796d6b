# SPDX-License-Identifier: Apache-2.0
"""What one party of a run sent and received, as a file that can be checked.

One JSON line for each message, each bound to the one before by its hash: who, when in the run, what kind, how
many bytes under which protection, the SHA-256 that the sender's signature covers, and that signature. With
payloads kept, the messages lie beside the file, each under its SHA-256. The server's transcript is the proof
of what it saw: `hitoku learn audit` checks it against the members' own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import stat
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hitoku import limits
from hitoku.errors import InputError

__all__ = ["PAYLOADS", "START", "Direction", "Transcript", "read_payload", "read_transcript"]

Direction = Literal["sent", "received", "opened"]
PAYLOADS: Final = "payloads"
"""Folder of kept messages beside a transcript."""
START: Final = "0" * 64
"""What the first line says of the line before it."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Transcript:
    """Writes a party's transcript, or goes on with one after a restart. Safe to use from several threads.

    Args:
        path: the file; None keeps the lines in memory only, in `lines`.
        party: whose transcript it is.
        plan: the plan's hash.
        run: the run's id.
        payloads: whether messages and opened sums are kept, too.

    Raises:
        InputError: the file cannot be written, is in use, or its last line is of another run.
    """

    def __init__(
        self, path: Path | None, *, party: str, plan: bytes, run: str, payloads: bool = False
    ) -> None:
        self.lines: list[str] = []
        self._lock = threading.Lock()
        self._before, self._number = START, 0
        self._file: BinaryIO | None = None
        self._payloads: Path | None = None
        first = {"party": party, "plan": plan.hex(), "run": run, "payloads": payloads}
        if path is None:
            self._write(first)
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if payloads:
                self._payloads = path.parent / PAYLOADS
                self._payloads.mkdir(exist_ok=True)
            there = path.exists() and path.stat().st_size > 0
            self._file = path.open("ab")
            # Two processes of one party would write two chains into one file.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if self._file is not None:
                self._file.close()
            if isinstance(error, BlockingIOError):
                raise InputError(f"{path}: another process goes on with this run; end it first") from None
            raise InputError(f"{path}: the transcript cannot be written ({error.strerror})") from error
        if there:
            self._go_on(path, self._file, first)
        else:
            self._write(first)

    def note(
        self,
        direction: Direction,
        member: str,
        kind: str,
        sequence: int,
        content: bytes,
        digest: bytes,
        signature: bytes,
        protected: Mapping[str, int],
    ) -> None:
        """One message.

        Args:
            direction: `sent` or `received`, by this transcript's party.
            member: the other end.
            kind: of the request.
            sequence: of the request.
            content: the whole signed message.
            digest: what the signature covers.
            signature: the sender's.
            protected: bytes of arrays by protection; the rest of the message is open.
        """
        counted = dict(protected)
        counted["open"] = len(content) - sum(n for name, n in counted.items() if name != "open")
        with self._lock:
            self._keep(digest, content)
            self._write(
                {
                    "direction": direction,
                    "member": member,
                    "kind": kind,
                    "sequence": sequence,
                    "bytes": len(content),
                    "protected": counted,
                    "sha256": digest.hex(),
                    "signature": signature.hex(),
                }
            )

    def opened(self, kind: str, what: Mapping[str, Any], values: NDArray[np.int64]) -> None:
        """A sum that this party opened.

        Args:
            kind: of which protocol.
            what: its session, round, index and members: JSON-ready.
            values: the sum; kept beside the file with payloads.
        """
        content = np.ascontiguousarray(values, "<i8").tobytes()
        digest = hashlib.sha256(content).digest()
        with self._lock:
            self._keep(digest, content)
            self._write(
                {
                    "direction": "opened",
                    "kind": kind,
                    "what": dict(what),
                    "bytes": len(content),
                    "sha256": digest.hex(),
                }
            )

    def absent(self, member: str, kind: str, sequence: int, reason: str) -> None:
        """A reply that did not come, or was not taken, and why."""
        with self._lock:
            self._write(
                {
                    "direction": "absent",
                    "member": member,
                    "kind": kind,
                    "sequence": sequence,
                    "reason": reason,
                }
            )

    def close(self) -> None:
        """Make the file durable and let go of it."""
        with self._lock:
            if self._file is not None:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                self._file = None

    def _keep(self, digest: bytes, content: bytes) -> None:
        if self._payloads is not None:
            path = self._payloads / digest.hex()
            if not path.exists():
                path.write_bytes(content)

    def _write(self, entry: Mapping[str, Any]) -> None:
        line = json.dumps(
            {"n": self._number, "previous": self._before, **entry},
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        )
        self._number += 1
        self._before = hashlib.sha256(line.encode()).hexdigest()
        if self._file is None:
            self.lines.append(line)
            return
        self._file.write(line.encode() + b"\n")
        self._file.flush()

    def _go_on(self, path: Path, file: BinaryIO, first: Mapping[str, Any]) -> None:
        # A crash can tear the last line only: it goes.
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            file.truncate(whole)
        if not whole:
            self._write(first)
            return
        start = content.rfind(b"\n", 0, whole - 1) + 1
        last = content[start : whole - 1]
        try:
            head = json.loads(content[: content.find(b"\n")])
            number = json.loads(last)["n"]
            same = {key: head[key] for key in first} == first and type(number) is int
        except (ValueError, KeyError, TypeError):
            file.close()
            raise InputError(f"{path}: the transcript is damaged") from None
        if not same:
            file.close()
            raise InputError(f"{path}: the transcript is of another run, party or setting")
        self._number, self._before = number + 1, hashlib.sha256(last).hexdigest()


def read_transcript(source: Path | list[str]) -> Iterator[dict[str, Any]]:
    """The lines of a transcript as data, the first being about the run, checked to be one chain.

    Args:
        source: the file, or the lines in memory.

    Raises:
        InputError: it cannot be read, or a line was changed, taken out, put in or moved.
    """
    if isinstance(source, Path):
        try:
            lines = source.read_bytes().splitlines()
        except OSError as error:
            raise InputError(f"{source}: cannot be read ({error.strerror})") from error
        where = str(source)
    else:
        lines, where = [line.encode() for line in source], "transcript"
    before = START
    for number, line in enumerate(lines):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict) or entry.get("n") != number or entry.get("previous") != before:
            raise InputError(f"{where}: line {number + 1} does not follow the one before it")
        before = hashlib.sha256(line).hexdigest()
        yield entry


def read_payload(folder: Path, digest: object) -> bytes:
    """A kept message or sum by its digest, from a folder that somebody else may have made.

    Only a plain file of that name: no path, no link, no device, and nothing larger than a message.

    Raises:
        InputError: there is none.
    """
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise InputError("what names a kept message is no SHA-256")
    try:
        handle = os.open(folder / digest, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > limits.MAX_LEARNING_MESSAGE_BYTES:
                raise InputError("what is kept under a message's name is no message")
            return file.read()
    except OSError as error:
        raise InputError(f"a kept message cannot be read ({error.strerror})") from error
