# SPDX-License-Identifier: Apache-2.0
"""PEP 249's tree of errors, and which of them an error of hitoku is. The error itself is the cause."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hitoku.errors import (
    DisclosureError,
    EngineError,
    HitokuError,
    InputError,
    LimitError,
    PeerError,
    Refusal,
    RoomError,
)

__all__ = [
    "DataError",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Warning",
    "mapped",
]


class Warning(Exception):  # noqa: A001 (PEP 249's name)
    """Never raised here."""


class Error(Exception):
    """The root of all others.

    Attributes:
        code: of hitoku's error, where it has one.
    """

    code: str | None = None


class InterfaceError(Error):
    """This module was used wrongly: a closed cursor, an address that is none."""


class DatabaseError(Error):
    """What the other side of the connection says."""


class DataError(DatabaseError):
    """Never raised here: hitoku reads no values into errors."""


class OperationalError(DatabaseError):
    """The node, another member or an engine cannot do it now; a limit; a question that was cancelled."""


class IntegrityError(DatabaseError):
    """Never raised here: nothing is written."""


class InternalError(DatabaseError):
    """An error in hitoku itself."""


class ProgrammingError(DatabaseError):
    """A question that is refused or cannot be read, or a room that is not there."""


class NotSupportedError(DatabaseError):
    """What a clean room does not do, such as writing."""


_KINDS: tuple[tuple[type[HitokuError], type[DatabaseError]], ...] = (
    (Refusal, ProgrammingError),
    (InputError, ProgrammingError),
    (RoomError, ProgrammingError),
    (LimitError, OperationalError),
    (EngineError, OperationalError),
    (PeerError, OperationalError),
    (DisclosureError, OperationalError),
)


@contextmanager
def mapped() -> Iterator[None]:
    """Turn hitoku's errors into PEP 249's."""
    try:
        yield
    except HitokuError as error:
        found = next((kind for base, kind in _KINDS if isinstance(error, base)), InternalError)
        code = getattr(error, "code", None)
        if code in {"NOT_SIGNED_IN", "NOT_ALLOWED"}:
            found = OperationalError
        made = found(str(error))
        made.code = code
        raise made from error
