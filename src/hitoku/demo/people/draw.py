# SPDX-License-Identifier: Apache-2.0
"""Random draws that are a function of (seed, what for, number of the person) and of nothing else.

So a table can be made in chunks of any size, in any order, on any machine and any version of numpy (whose
generators may change their streams), and two tables agree about the people in both. Good enough for made-up
people; nothing secret may be drawn like this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.uint64]

__all__ = ["Draws"]

_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32 = (np.uint64(n) for n in (27, 30, 31, 32))


class Draws:
    """All draws of one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def _key(self, purpose: str) -> int:
        digest = hashlib.sha256(f"{self._seed}/{purpose}".encode()).digest()
        return int.from_bytes(digest[:8], "big")

    def bits(self, purpose: str, numbers: Whole) -> Whole:
        """64 random bits for each of the numbers: the n-th step of SplitMix64 (Steele et al. 2014)."""
        state = numbers * _GAMMA + np.uint64(self._key(purpose))
        state = (state ^ (state >> _S30)) * _M1
        state = (state ^ (state >> _S27)) * _M2
        return state ^ (state >> _S31)

    def below(self, purpose: str, numbers: Whole, bound: int) -> Whole:
        """A number below `bound` for each of the numbers.

        Raises:
            ValueError: the bound is above 2^32.
        """
        if bound > 1 << 32:
            raise ValueError("the bound is above 2^32")
        return ((self.bits(purpose, numbers) >> _S32) * np.uint64(bound)) >> _S32

    def choose(self, purpose: str, numbers: Whole, weights: Sequence[int]) -> NDArray[np.int64]:
        """An index into the weights for each of the numbers, as often as its weight says."""
        ends = _ends(weights)
        return np.searchsorted(ends, self.below(purpose, numbers, int(ends[-1])), side="right")

    def choose_by(
        self, purpose: str, numbers: Whole, rows: NDArray[np.int64], weights: Sequence[Sequence[int]]
    ) -> NDArray[np.int64]:
        """As `choose`, each from the list of weights that `rows` names for it; the lists are equally long."""
        chosen = np.zeros(len(numbers), np.int64)
        for row, listed in enumerate(weights):
            mine = rows == row
            chosen[mine] = self.choose(purpose, numbers[mine], listed)
        return chosen

    def shuffled(self, purpose: str, numbers: Whole, size: int) -> Whole:
        """Where a shuffle of 0, 1, ... size - 1 puts each of the numbers, without holding the others.

        A bijection of the next power of two (odd factor, offset, shift and exclusive or: each can be undone),
        repeated until it falls below `size`: twice at most on average, and a bijection again.
        """
        width = max(int(size - 1).bit_length(), 2)
        mask, shift = np.uint64((1 << width) - 1), np.uint64((width + 1) // 2)
        keys = [
            (np.uint64(self._key(f"{purpose}/{n}/factor") | 1), np.uint64(self._key(f"{purpose}/{n}/offset")))
            for n in range(4)
        ]
        result = numbers.copy()
        waiting = np.arange(len(numbers))
        while len(waiting):
            values = result[waiting]
            for factor, offset in keys:
                values = (values * factor + offset) & mask
                values ^= values >> shift
            result[waiting] = values
            waiting = waiting[values >= size]
        return result


def _ends(weights: Sequence[int]) -> Whole:
    return np.cumsum(np.asarray(weights, np.uint64), dtype=np.uint64)
