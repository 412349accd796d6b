# SPDX-License-Identifier: Apache-2.0
"""The layout for many samples: one ciphertext a bit, one sample a slot, no key switch before the very end.

A branch is ``v = l + b (r - l)``, computed bottom up. Products are left with as many parts as they have
(a tree of depth D gives D + 1), added up over all trees, and relinearised once, since that is the only dear
operation: 100 trees of depth 4 take 700 products of parts and one relinearisation of 5 parts, where 600
relinearisations would take ten times as long. Nothing is rescaled in between either: with bits of the scale s
and leaves in units of u a value of height h has the scale s^h / u, so that ``l`` is multiplied by s before
it meets the product. All of it is one run of the fused kernel.

Trees with the same first question share their last, widest product: sum of b (r - l) is b times the sum.
Equal subtrees of a group are computed once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku.inference.circuit import Builder, Program, Value
from hitoku.inference.circuit.checks import MAX_PARTS
from hitoku.inference.trees.bits import Thermometer
from hitoku.inference.trees.branches import Branch, Leaf, Shape, depth

__all__ = ["Sizes", "write"]

_GROUP_LEAVES: Final = 80
"""Leaves of the trees that are computed together: their values fit a core's cache."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of a throughput circuit.

    Attributes:
        slots: samples at once.
        level: primes of the bits' ciphertexts.
        scale: the integer that stands for a bit that is set.
        unit: leaves are rounded to multiples of this.
    """

    slots: int
    level: int
    scale: float
    unit: float


def write(outputs: Sequence[tuple[Sequence[Branch], float]], encoder: Thermometer, sizes: Sizes) -> Program:
    """The circuit of a forest: input ``x``, the bits, output ``scores``.

    Args:
        outputs: for each score its trees (`branches.of_output`) and its constant.
        encoder: which bit is which.
        sizes: see `Sizes`.
    """
    b = Builder(slots=sizes.slots)
    x = b.input("x", count=encoder.bits, scale=sizes.scale, level=sizes.level, bound=(0.0, 1.0))
    scores = []
    for number, (trees, constant) in enumerate(outputs):
        with b.layer(f"score {number}"):
            scores.append(_score(b, x, trees, constant, encoder, sizes))
    highest = max((score.height for score in scores), default=1)
    parts = max(score.total.parts for score in scores)
    with b.layer("sum"):
        levelled = [_lifted(b, score.total, highest - score.height, sizes) for score in scores]
        if any(v.parts != parts for v in levelled):
            levelled = [b.relinearise(v) for v in levelled]
        total = levelled[0] if len(levelled) == 1 else b.concatenate(levelled)
        total = b.relinearise(total)
        while total.level > 1:
            total = b.rescale(total)
    b.output("scores", total)
    return b.build()


@dataclass(slots=True)
class _Score:
    total: Value
    height: int


@dataclass(slots=True)
class _Group:
    """The values of some trees by height, as far as they are written.

    Attributes:
        rows: for each (height, height it is lifted to) the register and each shape's row in it.
    """

    rows: dict[tuple[int, int], tuple[Value, dict[int, int]]] = field(default_factory=dict)
    height: dict[int, int] = field(default_factory=dict)


def _score(
    b: Builder, x: Value, trees: Sequence[Branch], constant: float, encoder: Thermometer, sizes: Sizes
) -> _Score:
    sums: dict[int, Value] = {}
    for group in _groups(trees):
        found, rest = _sum(b, x, group, encoder, sizes)
        constant += rest
        for height, value in found.items():
            sums[height] = b.add(sums[height], value) if height in sums else value
    if not sums:
        # Nothing is asked: the constant on top of nothing times the first bit.
        zero = b.matrix(
            b.take(x, [0]), np.zeros((1, 1), dtype=np.int64), np.array([constant]), unit=sizes.unit
        )
        return _Score(zero, 1)
    highest = max(sums)
    lowest = min(sums)
    total = b.add_plain(sums.pop(lowest), constant) if constant else sums.pop(lowest)
    for height in range(lowest + 1, highest + 1):
        total = _lifted(b, total, 1, sizes)
        if height in sums:
            total = b.add(sums.pop(height), total)
    return _Score(total, highest)


def _groups(trees: Sequence[Branch]) -> list[list[Branch]]:
    """Trees in groups of about one cache, those with the same first question together."""
    by_question: dict[object, list[Branch]] = defaultdict(list)
    for tree in trees:
        by_question[(depth(tree), tree.question)].append(tree)
    groups: list[list[Branch]] = []
    room = 0
    for members in by_question.values():
        for tree in members:
            size = _leaves(tree)
            if room < size:
                groups.append([])
                room = max(_GROUP_LEAVES, size)
            groups[-1].append(tree)
            room -= size
    return groups


def _leaves(shape: Shape) -> int:
    return 1 if isinstance(shape, Leaf) else _leaves(shape.left) + _leaves(shape.right)


def _sum(
    b: Builder, x: Value, trees: Sequence[Branch], encoder: Thermometer, sizes: Sizes
) -> tuple[dict[int, Value], float]:
    """The sum of some trees: by height one ciphertext of the scale of that height, and a constant."""
    group = _Group()
    inner: dict[int, dict[int, Branch]] = defaultdict(dict)
    for tree in trees:
        for child in (tree.left, tree.right):
            _collect(child, inner, group.height)
    roots: dict[int, dict[object, list[Branch]]] = defaultdict(lambda: defaultdict(list))
    for tree in trees:
        roots[1 + max(_height(tree.left, group), _height(tree.right, group))][tree.question].append(tree)
    sums: dict[int, Value] = {}
    constant = 0.0

    def collect(height: int, value: Value) -> None:
        sums[height] = b.add(sums[height], value) if height in sums else value

    for height in range(1, max(roots) + 1):
        branches = list(inner.get(height, {}).values())
        tops = list(roots.get(height, {}).values())
        if height == 1:
            if branches:
                value = _lowest(b, x, branches, encoder, sizes)
                group.rows[1, 1] = (value, {id(s): i for i, s in enumerate(branches)})
            if tops:
                collect(1, b.total(_lowest(b, x, [tree for same in tops for tree in same], encoder, sizes)))
            continue
        _lift(b, group, height, sizes)
        if not branches and not tops:
            continue
        # r - l of each branch; of trees with the same first question their sum.
        sides = [([s.right], [s.left]) for s in branches]
        sides += [([t.right for t in same], [t.left for t in same]) for same in tops]
        difference = _linear(b, group, height - 1, sides)
        if difference.parts == MAX_PARTS:
            difference = b.relinearise(difference)
        asked = [s.question for s in branches] + [same[0].question for same in tops]
        product = b.multiply(_selected(b, x, [encoder.bits_of(q) for q in asked]), difference)
        if branches:
            own = product if not tops else b.take(product, range(len(branches)))
            if all(isinstance(s.left, Leaf) for s in branches):
                value = b.add_plain(own, np.asarray([_constant(s.left) for s in branches]))
            else:
                lefts = _linear(b, group, height - 1, [([s.left], []) for s in branches])
                value = b.add(own, _lifted(b, lefts, 1, sizes))
            group.rows[height, height] = (value, {id(s): i for i, s in enumerate(branches)})
        if tops:
            whole = b.take(product, range(len(branches), product.count)) if branches else product
            collect(height, b.total(whole))
            lefts_of = [tree.left for same in tops for tree in same]
            constant += sum(_constant(left) for left in lefts_of)
            inner_lefts = [left for left in lefts_of if isinstance(left, Branch)]
            if inner_lefts:
                collect(height - 1, _linear(b, group, height - 1, [(inner_lefts, [])]))
    return sums, constant


def _constant(shape: Shape) -> float:
    return shape.value[0] if isinstance(shape, Leaf) else 0.0


def _collect(shape: Shape, inner: dict[int, dict[int, Branch]], heights: dict[int, int]) -> int:
    if isinstance(shape, Leaf):
        return 0
    if id(shape) not in heights:
        below = max(_collect(child, inner, heights) for child in (shape.left, shape.right))
        heights[id(shape)] = 1 + below
        inner[1 + below][id(shape)] = shape
    return heights[id(shape)]


def _height(shape: Shape, group: _Group) -> int:
    return 0 if isinstance(shape, Leaf) else group.height[id(shape)]


def _lowest(b: Builder, x: Value, branches: Sequence[Branch], encoder: Thermometer, sizes: Sizes) -> Value:
    """Branches whose children are leaves: l + b (r - l) with whole numbers in place of l and r."""
    bits = [encoder.bits_of(s.question) for s in branches]
    used = sorted({bit for some in bits for bit in some})
    place = {bit: at for at, bit in enumerate(used)}
    weights = np.zeros((len(branches), max(len(used), 1)), dtype=np.int64)
    bias = np.zeros(len(branches))
    for row, shape in enumerate(branches):
        left, right = (_units(child, sizes.unit) for child in (shape.left, shape.right))
        bias[row] = left * sizes.unit
        for bit in bits[row]:
            weights[row, place[bit]] = right - left
    return b.matrix(b.take(x, used or [0]), weights, bias, unit=sizes.unit)


def _units(shape: Shape, unit: float) -> int:
    # Branches of height 1 have leaves for children.
    return round(shape.value[0] / unit) if isinstance(shape, Leaf) else 0


def _selected(b: Builder, x: Value, bits: Sequence[tuple[int, ...]]) -> Value:
    """The answers to questions: a bit, or a sum of bits, for each."""
    if all(len(some) == 1 for some in bits):
        return b.take(x, [some[0] for some in bits])
    used = sorted({bit for some in bits for bit in some})
    place = {bit: at for at, bit in enumerate(used)}
    weights = np.zeros((len(bits), max(len(used), 1)), dtype=np.int64)
    for row, some in enumerate(bits):
        weights[row, [place[bit] for bit in some]] = 1
    return b.matrix(b.take(x, used or [0]), weights, None, unit=1.0)


def _linear(
    b: Builder, group: _Group, height: int, sides: Sequence[tuple[Sequence[Shape], Sequence[Shape]]]
) -> Value:
    """For each row the sum of some values minus that of others, at the scale of a height.

    Args:
        b: the circuit.
        group: where the values are.
        height: the scale they have.
        sides: what is added and what is taken away, by row.
    """
    weights: dict[int, NDArray[np.int64]] = {}
    bias = np.zeros(len(sides))
    for row, (plus, minus) in enumerate(sides):
        for sign, side in ((1, plus), (-1, minus)):
            for shape in side:
                if isinstance(shape, Leaf):
                    bias[row] += sign * shape.value[0]
                    continue
                own = group.height[id(shape)]
                register, rows = group.rows[own, height]
                if own not in weights:
                    weights[own] = np.zeros((len(sides), register.count), dtype=np.int64)
                weights[own][row, rows[id(shape)]] += sign
    value: Value | None = None
    # The highest first: it has most parts, and the bias goes with it.
    for own in sorted(weights, reverse=True):
        register, _ = group.rows[own, height]
        part = b.matrix(register, weights[own], bias if value is None and bias.any() else None, unit=1.0)
        value = part if value is None else b.add(value, part)
    if value is None:
        # Nothing but leaves on both sides: a branch of height 1, which `_lowest` writes.
        raise ValueError("a difference without a branch")
    return value


def _lift(b: Builder, group: _Group, height: int, sizes: Sizes) -> None:
    """Values of heights below height - 1, at the scale of height - 1: a branch may need them there."""
    for own in range(1, height - 1):
        if (own, height - 2) in group.rows:
            register, rows = group.rows[own, height - 2]
            group.rows[own, height - 1] = (_lifted(b, register, 1, sizes), rows)


def _lifted(b: Builder, x: Value, times: int, sizes: Sizes) -> Value:
    """The same values at a scale larger by that of a bit, or by several."""
    for _ in range(times):
        x = b.multiply_plain(x, 1.0, scale=sizes.scale)
    return x
