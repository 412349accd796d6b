# SPDX-License-Identifier: Apache-2.0
"""Opened words as columns of values, strictly: what no honest computation gives is an error.

Columns are made from buffers, not by `pa.array`, which would import pandas: a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hitoku.protections.shares.output.parts import ColumnHead

__all__ = ["Malformed", "column_of"]

_MASK: Final = (1 << 64) - 1
_INT64: Final = (-(1 << 63), (1 << 63) - 1)
_DIGITS: Final = 10**38


class Malformed(ValueError):
    """Words that are no values of their column; says why, never a value."""


def column_of(head: ColumnHead, rows: int, vectors: Sequence[NDArray[Any]]) -> pa.Array:
    """A column.

    Args:
        head: what it is.
        rows: how many.
        vectors: its words, as `head.vectors` says; [rows, 2] for ``u128``.

    Raises:
        Malformed: see the module.
    """
    there = _there(vectors[-1]) if head.nullable else np.ones(rows, np.bool_)
    words = list(vectors[:-1]) if head.nullable else list(vectors)
    if any(vector[~there].any() for vector in words):
        raise Malformed("a value stands where there is none")
    valid = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    match head.form:
        case "text":
            return _texts(words, there, valid)
        case "ratio":
            return _ratios(words, valid)
    return _numbers(head, words[0], valid)


def _there(bits: NDArray[np.uint8]) -> NDArray[np.bool_]:
    if (bits > 1).any():
        raise Malformed("a bit is neither 0 nor 1")
    return bits.astype(np.bool_)


def _array(kind: pa.DataType, rows: int, valid: Any, values: NDArray[Any]) -> pa.Array:
    return pa.Array.from_buffers(kind, rows, [valid, pa.py_buffer(np.ascontiguousarray(values))])


def _numbers(head: ColumnHead, words: NDArray[Any], valid: Any) -> pa.Array:
    """Whole numbers in their units, of the type that their column has."""
    low, high, rows = int(head.low), int(head.high), len(words)
    if words.ndim == 2:
        lower, upper = words[:, 0], words[:, 1]
    else:
        lower, upper = words.astype(np.uint64), np.zeros(rows, np.uint64)
    span = high - low
    top, bottom = np.uint64(span >> 64), np.uint64(span & _MASK)
    if ((upper > top) | ((upper == top) & (lower > bottom))).any():
        raise Malformed("a number is beyond its declared bounds")
    start = np.uint64(low & _MASK)
    made = lower + start
    carry = (made < start).astype(np.uint64)
    above = upper + np.uint64((low >> 64) & _MASK) + carry
    match head.kind:
        case "boolean":
            return _array(pa.bool_(), rows, valid, np.packbits(made.astype(np.bool_), bitorder="little"))
        case "date":
            days = made.view(np.int64)
            if low < -(1 << 31) or high >= 1 << 31:
                raise Malformed("a date is beyond all dates")
            return _array(pa.date32(), rows, valid, days.astype(np.int32))
        case "hash":
            raise Malformed("a hash is no result")
    if not head.scale and low >= _INT64[0] and high <= _INT64[1]:
        return _array(pa.int64(), rows, valid, made)
    if max(abs(low), abs(high)) >= _DIGITS:
        _check_digits(made, above)
    pairs = np.empty((rows, 2), np.uint64)
    pairs[:, 0], pairs[:, 1] = made, above
    return _array(pa.decimal128(38, head.scale), rows, valid, pairs)


def _check_digits(low: NDArray[np.uint64], high: NDArray[np.uint64]) -> None:
    """No number has more than 38 digits."""
    top = high.view(np.int64)
    for bound, sign in ((_DIGITS, 1), (1 - _DIGITS, -1)):
        edge, rest = np.int64(bound >> 64), np.uint64(bound & _MASK)
        below = (top < edge) | ((top == edge) & (low < rest))
        if (~below if sign > 0 else below).any():
            raise Malformed("a number has more than 38 digits")


def _texts(words: Sequence[NDArray[Any]], there: NDArray[np.bool_], valid: Any) -> pa.Array:
    """Texts from their bytes, 8 a word, the first being the most significant; zeros behind are not theirs."""
    rows, width = len(there), 8 * len(words)
    matrix = np.empty((rows, len(words)), ">u8")
    for place, vector in enumerate(words):
        matrix[:, place] = vector
    content = matrix.view(np.uint8).reshape(rows, width)
    used = content != 0
    lengths = np.where(used.any(axis=1), width - np.argmax(used[:, ::-1], axis=1), 0)
    ends = np.zeros(rows + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    kept = content[np.arange(width) < lengths[:, None]]
    buffers = [valid, pa.py_buffer(ends), pa.py_buffer(kept)]
    made = pa.Array.from_buffers(pa.large_string(), rows, buffers)
    try:
        made.validate(full=True)
    except pa.ArrowInvalid:  # its words quote the bytes
        raise Malformed("a text is not UTF-8") from None
    return made.cast(pa.string()) if int(ends[-1]) < 1 << 31 else made


def _ratios(words: Sequence[NDArray[Any]], valid: Any) -> pa.Array:
    """The nearest doubles of numbers with 64 or 128 bits behind the point, the last of which tells of a cut.

    ``number / 2**64`` of Python's integers is rounded once, half to even. A fraction that was cut has its
    last bit set, so it never looks like half-way between two doubles that have room for fewer bits than it
    has.
    """
    signs, behind = _there(words[0]), 64 * min(len(words) - 2, 2)
    numbers = words[1].tolist()
    for part in words[2:]:
        numbers = [number << 64 | more for number, more in zip(numbers, part.tolist(), strict=True)]
    made = np.fromiter((number / (1 << behind) for number in numbers), np.float64, len(numbers))
    return _array(pa.float64(), len(made), valid, np.where(signs, -made, made))
