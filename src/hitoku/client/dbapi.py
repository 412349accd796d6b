# SPDX-License-Identifier: Apache-2.0
"""DB-API 2.0 (PEP 249) over a node's API: for pandas, notebooks and tools that know databases.

Reading only: a question has no side effect but what it costs of a budget, which nothing takes back. So commit
and rollback have nothing to do, and `executemany` does not exist. A refusal is a `ProgrammingError` whose
``__cause__`` is the Refusal.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hitoku.client import dbapi_errors as _errors
from hitoku.client.dbapi_errors import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,  # noqa: A004 (PEP 249's name)
    mapped,
)
from hitoku.client.dbapi_types import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    Binary,
    Date,
    DateFromTicks,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
)

if TYPE_CHECKING:
    from types import TracebackType

    from hitoku.client.connection import Connection as Node
    from hitoku.client.cursor import Cursor
    from hitoku.client.room import RoomClient

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "Connection",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "apilevel",
    "connect",
    "paramstyle",
    "threadsafety",
]

apilevel = "2.0"
threadsafety = 1
"""Threads may share the module, not connections."""
paramstyle = "qmark"
"""``?`` for a sequence of values; a mapping goes to ``:name``."""


class Connection:
    """A room of a node, as a database connection. Made by `connect`.

    Attributes:
        room: the room that questions are asked in.
    """

    Warning = _errors.Warning
    Error = _errors.Error
    InterfaceError = _errors.InterfaceError
    DatabaseError = _errors.DatabaseError
    DataError = _errors.DataError
    OperationalError = _errors.OperationalError
    IntegrityError = _errors.IntegrityError
    InternalError = _errors.InternalError
    ProgrammingError = _errors.ProgrammingError
    NotSupportedError = _errors.NotSupportedError

    autocommit = True

    def __init__(self, node: Node, room: RoomClient) -> None:
        self._node = node
        self.room = room
        self._closed = False

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._closed:
            self.close()

    def close(self) -> None:
        """End it; it cannot be used after."""
        self.check()
        self._closed = True
        self._node.close()

    def commit(self) -> None:
        """Nothing to do: questions change nothing."""
        self.check()

    def rollback(self) -> None:
        """Nothing to do: questions change nothing, and what one cost of a budget is not taken back."""
        self.check()

    def cursor(self) -> Cursor:
        """A new cursor."""
        from hitoku.client.cursor import Cursor

        self.check()
        return Cursor(self)

    def check(self) -> None:
        """Raise InterfaceError where the connection is closed."""
        if self._closed:
            raise InterfaceError("the connection is closed")


def connect(
    url: str,
    room: str | None = None,
    *,
    token: str | None = None,
    token_file: str | Path | None = None,
    verify: str | Path | None = None,
) -> Connection:
    """Connect to a room of a node.

    Args:
        url: the console's address; ``http`` on this machine only.
        room: the room's name or id; may be left out where the user sees one room only.
        token: the user's token; where neither it nor a file is given, it is taken from ``HITOKU_TOKEN``.
        token_file: a file that holds it and that only this user can read.
        verify: a file with the certificate, or the authority, that the node's is checked against.

    Raises:
        InterfaceError: address or token cannot be used.
        OperationalError: the node cannot be reached, or does not know the token.
        ProgrammingError: there is no such room.
    """
    from hitoku.client.connection import connect as to
    from hitoku.errors import InputError

    try:
        with mapped():
            node = to(url, token, token_file, verify)
    except ProgrammingError as error:
        if isinstance(error.__cause__, InputError):
            raise InterfaceError(str(error)) from error.__cause__
        raise
    try:
        with mapped():
            return Connection(node, node.room(room))
    except BaseException:
        node.close()
        raise
