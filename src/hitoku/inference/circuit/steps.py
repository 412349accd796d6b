# SPDX-License-Identifier: Apache-2.0
"""Baby steps and giant steps: how a transform's rotations are shared.

With a stride g a step k is a giant step k - k % g after a baby step k % g (S. Halevi, V. Shoup, "Faster
Homomorphic Linear Transformations in HElib", ePrint 2018/244, section 4). The babies of all maps of one
ciphertext share its decomposition and cost little; each giant step is a rotation of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["cheapest_giant", "cheapest_stride", "split", "turns"]

# A rotation by itself against one that shares its decomposition: by operation counts about
# (l + 1) (l + 2) transforms against 2 (l + 1), a little less where memory bounds both.
GIANT_COST: Final = 3


def split(steps: Sequence[int], giant: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The baby and the giant steps of a map, each rising and without 0, which costs nothing."""
    babies = {k % giant for k in steps} - {0}
    giants = {k - k % giant for k in steps} - {0}
    return tuple(sorted(babies)), tuple(sorted(giants))


def turns(maps: Sequence[Sequence[Sequence[int]]], giant: int) -> tuple[int, int]:
    """How many baby and giant steps maps by target and source take.

    A baby step of a source serves all targets, a giant step of a target all sources.
    """
    babies = {(s, b) for target in maps for s, steps in enumerate(target) for b in split(steps, giant)[0]}
    giants = [{g for steps in target for g in split(steps, giant)[1]} for target in maps]
    return len(babies), sum(map(len, giants))


def cheapest_giant(maps: Sequence[Sequence[int]], slots: int) -> int:
    """The stride, a power of two, for which rotations cost least, over all maps of one ciphertext."""
    return cheapest_stride([[steps] for steps in maps], slots)


def cheapest_stride(maps: Sequence[Sequence[Sequence[int]]], slots: int) -> int:
    """The same for maps by target and source."""

    def cost(giant: int) -> int:
        babies, giants = turns(maps, giant)
        return babies + GIANT_COST * giants

    strides = [1 << e for e in range(slots.bit_length())]
    # Among equals the largest: fewer giant steps, whose error is not shared either.
    return min(reversed(strides), key=cost)
