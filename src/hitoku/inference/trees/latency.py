# SPDX-License-Identifier: Apache-2.0
"""The layout for one sample: all of its bits packed into one ciphertext, every leaf at a slot of its own.

1. One linear transform of the slots gives each leaf its cost c, the number of wrong answers on its way
   (`leaves`); `placement` keeps the transform narrow.
2. The polynomial I with I(0) = 1 and I(1) = ... = I(D) = 0 tells which leaf of each tree is reached. With
   y = (2 c - D - 1) / (D + 1), which is in [-1, 1], and D even, it is a product of D / 2 factors of y^2:
   for trees of depth 4 two squares of one ciphertext.
3. Leaf values are multiplied in and all slots added up by rotations.

For comparison: selecting each answer of each leaf apart takes D transforms instead of one, all aligned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from hitoku.inference.arrays import Floats
from hitoku.inference.circuit import Builder, Program, Value
from hitoku.inference.errors import ModelError
from hitoku.inference.trees.leaves import Row
from hitoku.inference.trees.placement import Placement, giant_of

__all__ = ["Sizes", "degree_of", "levels_of", "write"]

_MOST_WRONG = 16


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of a latency circuit.

    Attributes:
        slots: of a ciphertext.
        scale: of the bits.
        transform_to: the scale after the transform and its rescale.
        leaf_scale: the integer that stands for 1.0 in leaf values.
    """

    slots: int
    scale: float
    transform_to: float
    leaf_scale: float


def degree_of(rows: Sequence[Row]) -> int:
    """The polynomial's degree: the most wrong answers of any leaf, made even.

    Raises:
        ModelError: more than 16.
    """
    most = max((row.most for row in rows), default=1)
    if most > _MOST_WRONG:
        raise ModelError(
            "TOO_LARGE",
            f"has leaves behind {most} different questions, {_MOST_WRONG} can be",
            where="forest",
            remedy="train with max_depth 4 to 6, or compile with objective='throughput'",
        )
    return max(2, most + most % 2)


def levels_of(degree: int) -> int:
    """How many primes it needs: for the transform, the square, each round of factors, the end, the scores."""
    factors = degree // 2
    return 3 if factors == 1 else 2 + 1 + (factors - 1).bit_length()


def write(
    rows: Sequence[Row], constant: Floats, placement: Placement, degree: int, level: int, sizes: Sizes
) -> Program:
    """The circuit: input ``x``, the bits in the public arrangement; output ``scores``, equal in all slots.

    Args:
        rows: the leaves (`leaves.rows`).
        constant: what every sample's scores have beside the leaves, float64[outputs].
        placement: where the leaves stand.
        degree: `degree_of`.
        level: how many primes the bits' ciphertexts have, at least `levels_of`.
        sizes: see `Sizes`.
    """
    slots, outputs = sizes.slots, len(constant)
    b = Builder(slots=slots)
    ciphertexts = len(placement.order)
    x = b.input("x", count=ciphertexts, scale=sizes.scale, level=level, bound=(0.0, 1.0))
    diagonals, start = _diagonals(rows, placement, degree, slots)
    with b.layer("costs"):
        ones = [b.take(x, [number]) for number in range(ciphertexts)] if ciphertexts > 1 else [x]
        parts = [
            b.transform(one, maps, to=sizes.transform_to, giant=giant_of(slots))
            for one, maps in zip(ones, diagonals, strict=True)
        ]
        y = b.add_plain(b.rescale(reduce(b.add, parts)), start)
    with b.layer("reached"):
        reached, factor, offset = _reached(b, y, degree)
    with b.layer("leaves"):
        values = np.zeros((placement.groups, outputs, slots))
        for row, group, slot in zip(rows, placement.group, placement.slot, strict=True):
            values[group, :, slot] = row.value
        scores = []
        for output in range(outputs):
            weights = values[:, output] * factor
            # The polynomial's constant, for all leaves at once.
            rest = float(constant[output] + offset * values[:, output].sum())
            score = b.total(b.multiply_plain(reached, weights, scale=sizes.leaf_scale))
            scores.append((score, rest))
        total = b.concatenate([s for s, _ in scores]) if outputs > 1 else scores[0][0]
        total = b.relinearise(total)
        while total.level > 1:
            total = b.rescale(total)
    with b.layer("sum"):
        step = slots // 2
        while step:
            total = b.add(total, b.rotate(total, step))
            step //= 2
        total = b.add_plain(total, np.asarray([rest for _, rest in scores]))
    b.output("scores", total)
    return b.build()


def _diagonals(
    rows: Sequence[Row], placement: Placement, degree: int, slots: int
) -> tuple[list[list[dict[int, Floats]]], Floats]:
    """The transform of each ciphertext of bits to each ciphertext of leaves, and what is added to it."""
    ciphertexts, half = len(placement.order), 2.0 / (degree + 1)
    maps: list[list[dict[int, Floats]]] = [[{} for _ in range(placement.groups)] for _ in range(ciphertexts)]
    start = np.zeros((placement.groups, slots))
    for at, row in enumerate(rows):
        group, slot = int(placement.group[at]), int(placement.slot[at])
        start[group, slot] = row.start * half - 1.0
        for bit, weight in row.bits.items():
            ciphertext, step = placement.rotation(at, bit)
            diagonal = maps[ciphertext][group].setdefault(step, np.zeros(slots))
            diagonal[slot] += weight * half
    for some in maps:
        for one in some:
            if not one:
                # A map needs a diagonal: one that adds almost nothing to a slot without a leaf.
                one[0] = np.full(slots, 2.0**-40)
    return maps, start


def _reached(b: Builder, y: Value, degree: int) -> tuple[Value, float, float]:
    """A value v and numbers so that ``v * factor + offset`` is 1 at a cost of 0, and 0 at 1 to degree."""
    roots = [((2 * k - degree - 1) / (degree + 1)) ** 2 for k in range(1, degree // 2 + 1)]
    u = b.square(y)
    if len(roots) == 1:
        return u, 1 / (1 - roots[0]), -roots[0] / (1 - roots[0])
    u = b.rescale(b.relinearise(u))
    if len(roots) == 2:
        middle, distance = sum(roots) / 2, (roots[0] - roots[1]) / 2
        v = b.square(b.add_plain(u, -middle))
        top = (1 - middle) ** 2 - distance**2
        return v, 1 / top, -(distance**2) / top
    factors = [b.add_plain(u, -root) for root in roots]
    while len(factors) > 1:
        odd = factors[len(factors) & ~1 :]
        pairs = [b.multiply(one, other) for one, other in zip(factors[::2], factors[1::2], strict=False)]
        # The last product meets the leaf values first: one relinearisation and one prime for both.
        last = len(factors) == 2
        factors = pairs if last else [b.rescale(b.relinearise(pair)) for pair in pairs] + odd
    top = float(np.prod([1 - root for root in roots]))
    return factors[0], 1 / top, 0.0
