# SPDX-License-Identifier: Apache-2.0
"""PEP 249's types of columns and constructors of values."""

from __future__ import annotations

import datetime as dt
from typing import Any

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "Date",
    "DateFromTicks",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "description",
]

Date = dt.date
Time = dt.time
Timestamp = dt.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> dt.date:  # noqa: N802 (PEP 249's name)
    """The date of seconds since 1970, UTC."""
    return TimestampFromTicks(ticks).date()


def TimeFromTicks(ticks: float) -> dt.time:  # noqa: N802 (PEP 249's name)
    """The time of day of seconds since 1970, UTC."""
    return TimestampFromTicks(ticks).time()


def TimestampFromTicks(ticks: float) -> dt.datetime:  # noqa: N802 (PEP 249's name)
    """The moment of seconds since 1970, UTC, without a zone."""
    return dt.datetime.fromtimestamp(ticks, dt.UTC).replace(tzinfo=None)


class _Kind:
    """A type code: equal to itself only, so that ``description[0][1] == NUMBER`` tells the kind."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


STRING = _Kind("STRING")
BINARY = _Kind("BINARY")
NUMBER = _Kind("NUMBER")
DATETIME = _Kind("DATETIME")
ROWID = _Kind("ROWID")

Column = tuple[str, _Kind, None, None, int | None, int | None, None]


def description(schema: Any) -> tuple[Column, ...]:
    """PEP 249's description of a result: seven facts a column, of which sizes and null_ok are not known."""
    import pyarrow as pa

    is_ = pa.types
    found = []
    for field in schema:
        kind = STRING
        decimal, truth = is_.is_decimal(field.type), is_.is_boolean(field.type)
        if is_.is_integer(field.type) or is_.is_floating(field.type) or decimal or truth:
            kind = NUMBER
        elif is_.is_temporal(field.type):
            kind = DATETIME
        elif is_.is_binary(field.type) or is_.is_large_binary(field.type):
            kind = BINARY
        precision, scale = (field.type.precision, field.type.scale) if decimal else (None, None)
        found.append((field.name, kind, None, None, precision, scale, None))
    return tuple(found)
