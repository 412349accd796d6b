# SPDX-License-Identifier: Apache-2.0
"""Numbers as whole units of ``10 ** -decimals``, exactly: rounded half to even, no double in between.

A number beyond 2^62 units counts as 2^62 (or its negative), far outside any clamp. NaN counts as the largest,
as SQL orders it. NULL is told apart.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST", "units"]

MOST: Final = 2**62
# Splits a double into two halves of 26 bits (Dekker 1971).
_SPLIT: Final = 2.0**27 + 1


def units(array: pa.Array, decimals: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """A column of numbers in units, and which of them are there.

    Args:
        array: whole numbers, floating-point numbers or decimals.
        decimals: 0 to 6.

    Returns:
        Both as long as the column; where a number is missing its units are 0.
    """
    there = np.ones(len(array), np.bool_)
    if array.null_count:
        there = array.is_valid().to_numpy(zero_copy_only=False)
        array = pc.if_else(array.is_valid(), array, _zero(array.type))
    if pa.types.is_decimal(array.type):
        made = _decimals(array, decimals)
    elif pa.types.is_floating(array.type):
        made = _floats(array.to_numpy(zero_copy_only=False).astype(np.float64), 10.0**decimals)
    else:
        made = _integers(array.to_numpy(zero_copy_only=False), 10**decimals)
    return made, there


def _zero(kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(Decimal(0) if pa.types.is_decimal(kind) else 0, kind)


def _integers(values: NDArray[Any], scale: int) -> NDArray[np.int64]:
    most = MOST // scale
    if values.dtype == np.uint64:
        values = np.minimum(values, np.uint64(MOST))
    whole = values.astype(np.int64)
    made: NDArray[np.int64] = np.clip(whole, -most, most) * scale
    made[whole > most] = MOST
    made[whole < -most] = -MOST
    return made


def _floats(values: NDArray[np.float64], scale: float) -> NDArray[np.int64]:
    """Rounds the exact product of a double and a power of ten.

    ``high + low`` is the product without an error (Dekker): both factors are split into halves whose products
    are exact. The fraction of `high` is a multiple of its last place and `low` at most half of that, so the
    exact fraction is on the side of one half that the fraction of `high` is on; where that is one half
    exactly, the sign of `low` decides, and where `low` is zero, it is a tie.
    """
    values = np.where(np.isnan(values), np.inf, values)
    large, small = values >= MOST, values <= -MOST
    x = np.where(large | small, 0.0, values)
    high = x * scale
    split = x * _SPLIT
    upper = split - (split - x)
    lower = x - upper
    # A power of ten up to 10^6 has 20 bits: it is its own upper half.
    low = (upper * scale - high) + lower * scale
    floor = np.floor(high)
    fraction = high - floor
    # From 2^52 on `high` is whole and the fraction is in `low`; from 2^54 on `low` can be more than one.
    whole_low = np.floor(low)
    is_whole = np.abs(high) >= 2.0**52
    floor = np.where(is_whole, high, floor)
    rest = np.where(is_whole, low - whole_low, fraction)
    tail = np.where(is_whole, 0.0, low)
    near = np.abs(floor) < MOST
    made = np.where(near, floor, 0.0).astype(np.int64) + np.where(is_whole, whole_low, 0.0).astype(np.int64)
    tie = rest == 0.5
    up = (rest > 0.5) | (tie & (tail > 0)) | (tie & (tail == 0) & (made % 2 == 1))
    made += up
    made[large | (~near & (floor > 0))] = MOST
    made[small | (~near & (floor < 0))] = -MOST
    return np.clip(made, -MOST, MOST)


def _decimals(array: pa.Array, decimals: int) -> NDArray[np.int64]:
    scale = array.type.scale
    wide = array.cast(pa.decimal256(76, scale))
    if scale > decimals:
        wide = pc.round(wide, decimals, "half_to_even")
    wide = wide.cast(pa.decimal256(76, decimals))
    words = np.frombuffer(wide.buffers()[1], np.int64).reshape(-1, 4)[wide.offset : wide.offset + len(wide)]
    negative = words[:, 3] < 0
    sign = np.where(negative, np.int64(-1), np.int64(0))
    fits = (words[:, 1] == sign) & (words[:, 2] == sign) & (words[:, 3] == sign)
    fits &= (words[:, 0] < 0) == negative
    return np.clip(np.where(fits, words[:, 0], np.where(negative, -MOST, MOST)), -MOST, MOST)
