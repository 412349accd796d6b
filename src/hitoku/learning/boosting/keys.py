# SPDX-License-Identifier: Apache-2.0
"""float32 numbers as whole numbers of the same order, so that quantiles are found by counting prefixes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGEST", "cleaned", "keys_of", "values_of"]

LARGEST: Final = np.float32(np.finfo(np.float32).max)
"""No value reaches it: the threshold that every value is below."""


def cleaned(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features with NaN (missing) for every infinite value, and for those at the end of float32's range."""
    with np.errstate(invalid="ignore"):
        outside = np.abs(features) >= LARGEST
    return np.where(outside, np.float32(np.nan), features) if outside.any() else features


def keys_of(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The key of each value: smaller exactly where the value is; both zeros have one. Not for NaN."""
    bits = (values + np.float32(0)).view(np.uint32)
    negative = bits >> np.uint32(31) == 1
    return np.where(negative, ~bits, bits | np.uint32(1 << 31))


def values_of(keys: NDArray[np.uint32]) -> NDArray[np.float32]:
    """The float32 of each key."""
    positive = keys >> np.uint32(31) == 1
    bits = np.where(positive, keys & np.uint32((1 << 31) - 1), ~keys)
    return bits.astype(np.uint32).view(np.float32)
