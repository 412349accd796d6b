# SPDX-License-Identifier: Apache-2.0
"""Leaves as costs: how many answers on the way to a leaf are wrong, a sum of public bits.

A leaf is reached iff no answer on its way is wrong. What a way asks twice of one feature counts once, where
one answer follows from the other (``x > 5`` and ``x > 3``): fewer bits, a lower degree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hitoku.inference.arrays import Floats
from hitoku.inference.trees.bits import Thermometer
from hitoku.inference.trees.branches import Branch, Leaf, Question, Shape

__all__ = ["Row", "rows"]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One leaf: its cost is ``start + sum of weight * bit``, a whole number from 0 to `most`.

    Attributes:
        bits: the weights that are not zero, by bit.
        start: the cost where all bits are 0.
        most: how many answers can be wrong.
        value: what the leaf adds to each output, float64[outputs].
    """

    bits: dict[int, int]
    start: int
    most: int
    value: Floats


def rows(trees: Sequence[Branch], encoder: Thermometer, outputs: int) -> tuple[list[Row], Floats]:
    """The leaves that are needed, and a constant.

    Of each tree one leaf is left out, the one with the commonest value, and that value taken off the others:
    exactly one leaf of a tree is reached.
    """
    found: list[Row] = []
    constant = np.zeros(outputs)
    for tree in trees:
        ways = _ways(tree)
        counts: dict[tuple[float, ...], int] = {}
        for way, leaf in ways:
            # Long ways are the dear ones.
            counts[leaf.value] = counts.get(leaf.value, 0) + 100 + len(way)
        common = max(counts, key=lambda value: counts[value])
        constant += np.asarray(common)
        for way, leaf in ways:
            if leaf.value != common:
                found.append(_row(way, np.asarray(leaf.value) - np.asarray(common), encoder))
    return found, constant


_Way = tuple[tuple[Question, bool], ...]


def _ways(tree: Branch) -> list[tuple[_Way, Leaf]]:
    found: list[tuple[_Way, Leaf]] = []
    open_: list[tuple[Shape, _Way]] = [(tree, ())]
    while open_:
        shape, way = open_.pop()
        if isinstance(shape, Leaf):
            found.append((_needed(way), shape))
        else:
            open_.append((shape.left, (*way, (shape.question, False))))
            open_.append((shape.right, (*way, (shape.question, True))))
    return found


def _needed(way: _Way) -> _Way:
    """The way without answers that follow from another one of it."""
    kept = list(dict.fromkeys(way))
    for one in list(kept):
        if any(other is not one and _follows(one, other) for other in kept):
            kept.remove(one)
    return tuple(kept)


def _follows(one: tuple[Question, bool], other: tuple[Question, bool]) -> bool:
    """Whether `one` is right whenever `other` is."""
    (asked, right), (known, known_right) = one, other
    if asked.feature != known.feature or right != known_right:
        return False
    if asked.threshold is None or known.threshold is None:
        return False
    # A missing value that passes the other must pass this one, too.
    passes_other = known.missing_right == known_right
    passes_one = asked.missing_right == right
    if passes_other and not passes_one:
        return False
    return known.threshold >= asked.threshold if right else known.threshold <= asked.threshold


def _row(way: _Way, value: Floats, encoder: Thermometer) -> Row:
    bits: dict[int, int] = {}
    start = 0
    for question, right in way:
        # Right is wrong where the question's bits are all 0, left where one of them is 1.
        start += right
        for bit in encoder.bits_of(question):
            bits[bit] = bits.get(bit, 0) + (-1 if right else 1)
    return Row({bit: w for bit, w in bits.items() if w}, start, len(way), value)
