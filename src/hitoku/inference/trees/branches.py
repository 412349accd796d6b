# SPDX-License-Identifier: Apache-2.0
"""A forest as questions and branches, made smaller without changing any score of a real input.

What goes away: questions whose answer the way to them has settled (``x > 3`` below ``x > 5``), questions with
one possible answer, branches whose two sides are equal, and trees that are one leaf (into the base). Equal
subtrees become one object, so that layouts compute them once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from hitoku.inference.arrays import Floats
from hitoku.inference.errors import ModelError
from hitoku.inference.trees.forest import Forest, Tree
from hitoku.inference.trees.reading import Column

__all__ = ["MAX_DEPTH", "Branch", "Leaf", "Question", "Shape", "depth", "of_output", "shapes"]

MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class Question:
    """What a node asks: one of the model's secrets.

    Attributes:
        feature: about which column.
        threshold: right iff x > threshold; None: a question about categories.
        chosen: right iff x is among these.
        missing_right: where a missing value goes; False where there is none.
    """

    feature: int
    threshold: float | None
    chosen: frozenset[float] | None
    missing_right: bool


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """What is added to each output."""

    value: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A question and what follows. Equal branches are the same object (`shapes`)."""

    question: Question
    left: Shape
    right: Shape


Shape: TypeAlias = "Leaf | Branch"


def depth(shape: Shape) -> int:
    """Questions on the longest path."""
    return 0 if isinstance(shape, Leaf) else 1 + max(depth(shape.left), depth(shape.right))


def shapes(forest: Forest) -> tuple[list[Branch], Floats]:
    """The trees that still ask something, and the base with the others' leaves added.

    Raises:
        ModelError: a tree is too deep (``TOO_LARGE``).
    """
    pool: dict[tuple[object, ...], Shape] = {}
    base = forest.base.copy()
    found = []
    for number, tree in enumerate(forest.trees):
        if tree.depth > MAX_DEPTH:
            raise ModelError(
                "TOO_LARGE",
                f"asks {tree.depth} questions in a row, {MAX_DEPTH} can be",
                where=f"tree {number}",
                remedy="train with max_depth 4 to 6",
            )
        shape = _shape(tree, 0, {}, forest.columns, pool)
        if isinstance(shape, Leaf):
            base += np.asarray(shape.value)
        else:
            found.append(shape)
    return found, base


def of_output(trees: Sequence[Branch], output: int) -> tuple[list[Branch], float]:
    """The trees with one output's values alone, those that are one leaf then as one constant."""
    pool: dict[tuple[object, ...], Shape] = {}
    done: dict[int, Shape] = {}

    def project(shape: Shape) -> Shape:
        if isinstance(shape, Leaf):
            return _leaf(pool, (shape.value[output],))
        if id(shape) not in done:
            done[id(shape)] = _branch(pool, shape.question, project(shape.left), project(shape.right))
        return done[id(shape)]

    constant, found = 0.0, []
    for tree in trees:
        shape = project(tree)
        if isinstance(shape, Leaf):
            constant += shape.value[0]
        else:
            found.append(shape)
    return found, constant


def _leaf(pool: dict[tuple[object, ...], Shape], value: tuple[float, ...]) -> Shape:
    return pool.setdefault(("leaf", value), Leaf(value))


def _branch(pool: dict[tuple[object, ...], Shape], question: Question, left: Shape, right: Shape) -> Shape:
    if left is right:
        return left
    return pool.setdefault((question, id(left), id(right)), Branch(question, left, right))


@dataclass(frozen=True, slots=True)
class _Known:
    """What the way to a node says of one feature: a number in (low, high], a category, or missing."""

    low: float = -np.inf
    high: float = np.inf
    # Categories that are still possible; None stands for every one that no question names.
    categories: frozenset[float | None] = frozenset()
    present: bool = True
    missing: bool = True

    @property
    def possible(self) -> bool:
        return self.present or self.missing


def _start(column: Column) -> _Known:
    categories = frozenset[float | None]()
    if column.categories is not None:
        # An unknown category is a missing value for some models, a category of its own for the others.
        others = () if column.unknown == "missing" else (None,)
        categories = frozenset((*column.categories, *others))
    return _Known(categories=categories, missing=column.can_miss)


def _after(known: _Known, question: Question) -> tuple[_Known, _Known]:
    """What is known on the left and on the right of a question."""
    right_missing = known.missing and question.missing_right
    left_missing = known.missing and not question.missing_right
    if question.chosen is not None:
        inside = known.categories & question.chosen
        outside = known.categories - question.chosen
        return (
            replace(known, categories=outside, present=bool(outside), missing=left_missing),
            replace(known, categories=inside, present=bool(inside), missing=right_missing),
        )
    threshold = np.inf if question.threshold is None else question.threshold
    low, high = max(known.low, threshold), min(known.high, threshold)
    # Minus infinity itself goes left of every threshold, so the lowest range is closed below.
    below = known.present and (known.low < high or known.low == -np.inf)
    return (
        replace(known, high=high, present=below, missing=left_missing),
        replace(known, low=low, present=known.present and low < known.high, missing=right_missing),
    )


def _shape(
    tree: Tree,
    node: int,
    known: dict[int, _Known],
    columns: tuple[Column, ...],
    pool: dict[tuple[object, ...], Shape],
) -> Shape:
    while True:
        feature = int(tree.feature[node])
        if feature < 0:
            return _leaf(pool, tuple(float(v) for v in tree.value[node]))
        column = columns[feature]
        chosen = int(tree.chosen[node])
        question = Question(
            feature,
            float(tree.threshold[node]) if chosen < 0 else None,
            tree.sets[chosen] if chosen >= 0 else None,
            bool(tree.missing_right[node]) and column.can_miss,
        )
        before = known.get(feature) or _start(column)
        left, right = _after(before, question)
        if not left.possible:
            node, known = int(tree.right[node]), {**known, feature: right}
        elif not right.possible:
            node, known = int(tree.left[node]), {**known, feature: left}
        else:
            break
    on_left = _shape(tree, int(tree.left[node]), {**known, feature: left}, columns, pool)
    on_right = _shape(tree, int(tree.right[node]), {**known, feature: right}, columns, pool)
    return _branch(pool, question, on_left, on_right)
