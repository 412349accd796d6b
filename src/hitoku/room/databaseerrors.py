# SPDX-License-Identifier: Apache-2.0
"""What a database's driver complains of, in our own words.

No error of a driver reaches a caller: it names hosts and users and quotes rows. A database that is gone, full
or too busy is a LimitError, for trying again helps; a damaged one a RoomError; a text that cannot be kept an
InputError. A broken constraint or statement is a mistake in the program and not of the world, and comes
through, without the values.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NoReturn

import sqlalchemy as sa

from hitoku.errors import HitokuError, InputError, LimitError, RoomError

__all__ = ["BUSY", "comes_back", "sqlite_code", "told"]

_STARTING: Final = (
    "starting up",
    "shutting down",
    "recovery",
    "too many",
    "remaining connection slots",
    "terminating",
)

BUSY: Final = "the member's database is too busy to write to it: try again"
_FULL: Final = "the member's database has no room left on its disk: nothing was written; make room, try again"
_AWAY: Final = "the member's database does not answer: try again when it runs"
_DENIED: Final = "the member's database lets nobody in by this name and password: look at member.toml"
_NO_FILE: Final = "the member's database cannot be opened: is its directory there, and its disk full?"
_READ_ONLY: Final = "the member's database cannot be written to: look at its rights and its disk"
_DAMAGED: Final = "the member's database is damaged: restore it from a backup (`hitoku node restore`)"


@contextmanager
def told() -> Iterator[None]:
    """Errors of the driver in our own words."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except sa.exc.DataError:
        # SQLite takes what PostgreSQL does not: a NUL character, a text that is too long.
        raise InputError("a text is too long, or has a character that the database cannot keep") from None
    except sa.exc.DBAPIError as error:
        _tell(error)
    except sa.exc.TimeoutError:
        raise LimitError(BUSY) from None
    except sa.exc.PendingRollbackError:
        raise LimitError(_AWAY) from None
    except sa.exc.ResourceClosedError:
        raise LimitError(_AWAY) from None


def _tell(error: sa.exc.DBAPIError) -> NoReturn:
    if isinstance(error.orig, sqlite3.Error):
        code = sqlite_code(error)
        if code is None:  # a mistake in the program, or in a caller's statement
            raise error
        raise _SQLITE.get(code & 0xFF, LimitError)(_SQLITE_WORDS.get(code & 0xFF, BUSY)) from None
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if (state.startswith("53") and state not in {"53300", "53200"}) or state == "58030":
        raise LimitError(_FULL) from None
    if state.startswith("28") or (not state and _denied(error)):
        raise LimitError(_DENIED) from None
    if state in {"25006", "42501"}:
        raise LimitError(_READ_ONLY) from None
    if state in {"XX001", "XX002"}:
        raise RoomError(_DAMAGED) from None
    if state in {"40001", "40P01", "55P03", "53300", "53200", "57014"}:
        raise LimitError(BUSY) from None
    if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) or error.connection_invalidated:
        raise LimitError(_AWAY) from None
    raise error


_SQLITE: Final[Mapping[int, type[HitokuError]]] = {
    sqlite3.SQLITE_CORRUPT: RoomError,
    sqlite3.SQLITE_NOTADB: RoomError,
}
_SQLITE_WORDS: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _FULL.replace("has no room left on", "cannot write to"),
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _NO_FILE,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}


def sqlite_code(error: sa.exc.DBAPIError) -> int | None:
    """SQLite's own number for it; None where it is not SQLite's, or a mistake in the program."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code if isinstance(code, int) and code & 0xFF != sqlite3.SQLITE_ERROR else None


def comes_back(error: sa.exc.OperationalError) -> bool:
    """Whether a server that refused a connection may take one in a moment."""
    return "FATAL" not in str(error.orig) or any(word in str(error.orig) for word in _STARTING)


def _denied(error: sa.exc.DBAPIError) -> bool:
    """Whether the server lets nobody in by these settings; the driver has no code for that, only words."""
    return "FATAL" in str(error.orig) and not any(word in str(error.orig) for word in _STARTING)
