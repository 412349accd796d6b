# SPDX-License-Identifier: Apache-2.0
"""A column of whole numbers up to 128 bits in numpy, without a Python loop over values.

Numbers that fit 64 signed bits are one array; others are two, the low and the high 64 bits of the two's
complement. Where no value is, the number is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Whole"]

_MASK: Final = (1 << 64) - 1
_TYPES: Final = {"u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64}


@dataclass(slots=True)
class Whole:
    """Whole numbers.

    Attributes:
        low: their low 64 bits.
        high: their high 64 bits, signed; None where every number is that of its low bits as a signed one.
    """

    low: NDArray[np.uint64]
    high: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, values: NDArray[Any]) -> Whole:
        """The numbers of an array of a type of whole numbers."""
        if values.dtype == np.uint64:
            return cls.pairs(values, np.zeros(len(values), np.int64))
        return cls(values.astype(np.int64).view(np.uint64))

    @classmethod
    def pairs(cls, low: NDArray[np.uint64], high: NDArray[np.int64]) -> Whole:
        """The numbers of low and high halves."""
        small = bool((high == low.view(np.int64) >> 63).all())
        return cls(low, None if small else high)

    def __len__(self) -> int:
        return len(self.low)

    def _high(self) -> NDArray[np.int64]:
        return self.low.view(np.int64) >> 63 if self.high is None else self.high

    def bounds(self, there: NDArray[np.bool_] | None = None) -> tuple[int, int] | None:
        """The least and the largest number among those that are there; None where none is."""
        low, high = self.low, self.high
        if there is not None:
            low, high = low[there], None if high is None else high[there]
        if not len(low):
            return None
        if high is None:
            signed = low.view(np.int64)
            return int(signed.min()), int(signed.max())
        least, most = high.min(), high.max()
        return (
            (int(least) << 64) + int(low[high == least].min()),
            (int(most) << 64) + int(low[high == most].max()),
        )

    def below(self, bound: int) -> NDArray[np.bool_]:
        """Which numbers are below a bound."""
        if self.high is None and -(1 << 63) <= bound < 1 << 63:
            small: NDArray[np.bool_] = self.low.view(np.int64) < np.int64(bound)
            return small
        if not -(1 << 127) <= bound < 1 << 127:
            return np.full(len(self), bound > 0)
        high, top = self._high(), np.int64(bound >> 64)
        wide: NDArray[np.bool_] = (high < top) | ((high == top) & (self.low < np.uint64(bound & _MASK)))
        return wide

    def words(self, least: int, kind: str) -> NDArray[Any]:
        """Each number less `least`, as words of a kind that holds them; [n, 2] of uint64 for ``u128``."""
        low = self.low - np.uint64(least & _MASK)
        if kind != "u128":
            return low if kind == "u64" else low.astype(_TYPES[kind])
        borrow = (self.low < np.uint64(least & _MASK)).astype(np.int64)
        made = np.empty((len(low), 2), np.uint64)
        made[:, 0] = low
        made[:, 1] = (self._high() - np.int64(least >> 64) - borrow).view(np.uint64)
        return made

    def ring(self, kind: str) -> NDArray[np.uint64]:
        """Two's complement, as ``r64``, or [n, 2] as ``r128``."""
        if kind == "r64":
            return self.low
        made = np.empty((len(self), 2), np.uint64)
        made[:, 0] = self.low
        made[:, 1] = self._high().view(np.uint64)
        return made
