# SPDX-License-Identifier: Apache-2.0
"""Columns of a table as numpy arrays, with errors that name the row and never the value."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.sources.base import RowError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["bucket", "buckets", "numbers", "seconds", "whole"]

_LARGEST: Final = float(np.finfo(np.float32).max)


def numbers(column: pa.Array, table: str, name: str) -> NDArray[np.float64]:
    """Numbers, NaN where one is missing; finite otherwise, and within what a float32 holds.

    Raises:
        RowError: a text is no number, or a number is infinite or too large.
        InputError: the column has another type.
    """
    import pyarrow as pa

    kind = column.type
    if _text(kind):
        column = _cast(column, pa.float64(), table, f"has text in {name} that is no number")
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise InputError(f"{table}: column {name} is {kind}, not a number")
    made: NDArray[np.float64] = np.array(
        column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64
    )
    wrong = np.flatnonzero(np.abs(made) > _LARGEST)
    if len(wrong):
        raise RowError(table, f"has a number in {name} that is infinite or too large", int(wrong[0]))
    return made


def whole(column: pa.Array, table: str, name: str, below: int, what: str) -> NDArray[np.int64]:
    """Whole numbers from 0 to `below` - 1; none is missing.

    Raises:
        RowError: a value is another; `what` says so of the row's value.
    """
    made = numbers(column, table, name)
    with np.errstate(invalid="ignore"):
        right = (made >= 0) & (made < below) & (made == np.floor(made))
    wrong = np.flatnonzero(~right)
    if len(wrong):
        raise RowError(table, f"has a value in {name} that {what}", int(wrong[0]))
    return made.astype(np.int64)


def seconds(column: pa.Array, table: str, name: str) -> NDArray[np.int64]:
    """Seconds: numbers as they are, rounded down; timestamps, dates and ISO texts since 1970, UTC.

    Raises:
        RowError: a value is missing or cannot be read.
        InputError: the column has another type.
    """
    import pyarrow as pa

    if column.null_count:
        place = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise RowError(table, f"has no time in {name}", place)
    kind = column.type
    if _text(kind):
        kinds = (pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC"))
        right = next((k for k in kinds if _fits(column, k)), None)
        if right is None:
            what = f"has a time in {name} that is neither a number nor ISO 8601, as those before it"
            raise RowError(table, what, max(_first(column, k) for k in kinds))
        column = column.cast(right)
        if right == pa.float64():
            return _floor(numbers(column, table, name), table, name)
    elif pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us"))
    elif not pa.types.is_timestamp(kind):
        return _floor(numbers(column, table, name), table, name)
    stamps = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    made: NDArray[np.int64] = stamps.to_numpy(zero_copy_only=False) // 1_000_000
    return made


def buckets(column: pa.Array, table: str, name: str, count: int) -> NDArray[np.int64]:
    """Texts (or numbers as text) hashed into 0 to `count` - 1, the same at every member.

    Raises:
        RowError: a value is missing.
    """
    import pyarrow as pa

    if column.null_count:
        place = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise RowError(table, f"has nothing in {name}", place)
    coded = column.cast(pa.string()).dictionary_encode()
    known = np.array([bucket(text, count) for text in coded.dictionary.to_pylist()], np.int64)
    places: NDArray[np.int64] = coded.indices.to_numpy(zero_copy_only=False)
    return known[places] if len(known) else np.zeros(0, np.int64)


def bucket(text: str, count: int) -> int:
    """Which of `count` buckets a text falls into."""
    digest = hashlib.blake2b(text.encode(), digest_size=16, person=b"hitoku/bucket/1").digest()
    return int.from_bytes(digest, "big") % count


def _text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _floor(made: NDArray[np.float64], table: str, name: str) -> NDArray[np.int64]:
    wrong = np.flatnonzero(~(np.abs(made) < 2.0**40))
    if len(wrong):
        raise RowError(table, f"has a time in {name} that is missing or too large", int(wrong[0]))
    return np.floor(made).astype(np.int64)


def _cast(column: pa.Array, kind: pa.DataType, table: str, what: str) -> pa.Array:
    """The column cast; the first row that cannot be, where one cannot."""
    if _fits(column, kind):
        return column.cast(kind)
    raise RowError(table, what, _first(column, kind))


def _fits(column: pa.Array, kind: pa.DataType) -> bool:
    import pyarrow as pa

    try:
        column.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _first(column: pa.Array, kind: pa.DataType) -> int:
    """The first row that cannot be cast, by halving; one cannot."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        if _fits(column.slice(low, middle - low), kind):
            low = middle
        else:
            high = middle
    return low
