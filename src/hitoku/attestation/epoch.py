# SPDX-License-Identifier: Apache-2.0
"""Against a broker whose database was put back to an older state: decisions are counted outside of it, too.

Each release, revocation and tombstone raises a number in the database, in its own transaction. Before its
answer leaves, a counter elsewhere is raised to that number. A database that was put back has a lower number
than the counter, and the broker refuses to work with it: it would have forgotten which keys it released,
revoked or deleted. After a crash between the two steps the database is ahead; nothing left then, and the
counter follows.

`FileCounter` finds a backup that was restored; it does not stop an operator who puts the file back, too. A
TPM's counter (`TpmCounter`) cannot be put back. Besides, the other members hold heads of the ledger in
which every decision stands, and find that it was cut (`hitoku.room.heads`).
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final, Protocol

from hitoku.errors import RoomError, SecretError
from hitoku.room.files import locked, write_whole

__all__ = ["COUNTER_FILE", "Counter", "FileCounter"]

COUNTER_FILE: Final = "broker.epoch"


class Counter(Protocol):
    """A number that only grows, kept apart from the database."""

    def read(self) -> int:
        """The number; 0 at first.

        Raises:
            SecretError: it cannot be told.
        """
        ...

    def advance(self, to: int) -> None:
        """Raise it to that number, durably; it never falls.

        Raises:
            SecretError: it cannot be raised.
        """
        ...


class FileCounter:
    """The number in a file, written whole and made durable.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def read(self) -> int:
        """See `Counter.read`."""
        try:
            text = self._path.read_text("ascii")
        except FileNotFoundError:
            return 0
        except (OSError, UnicodeDecodeError):
            raise SecretError(f"{self._path}: the broker's counter cannot be read") from None
        if not (text.endswith("\n") and text[:-1].isdigit() and len(text) < 20):
            raise SecretError(f"{self._path}: is no counter; was the file damaged?")
        return int(text)

    def advance(self, to: int) -> None:
        """See `Counter.advance`."""
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            with self._lock, locked(self._path):  # threads, and processes
                if to > self.read():
                    write_whole(self._path, f"{to}\n".encode())
        except (OSError, RoomError) as error:
            raise SecretError(f"the broker's counter cannot be written: {error}") from None
