# SPDX-License-Identifier: Apache-2.0
"""Forests of decision trees in one form, whatever library trained them.

The form has one test for numbers and one for categories, and a node's answer "right" is one public bit:

- numeric: right iff x > threshold, after x was rounded to the library's own precision (`Forest.precision`).
  Where a library asks ``x < t`` of float32 numbers, the threshold here is the float32 just below t: the same
  decision for every float32.
- categorical: right iff x is one of `Tree.sets`; every other category goes left. Importers swap children
  where their library has it the other way round.
- a missing value goes where the node says (`missing_right`).

`Forest.scores` is the reference in float64 that layouts and importers are tested against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitoku.inference import post
from hitoku.inference.arrays import Floats
from hitoku.inference.errors import ModelError
from hitoku.inference.trees.reading import MAX_CATEGORIES, Bools, Column, prepare

__all__ = ["MAX_NODES", "MAX_OUTPUTS", "Forest", "Ints", "Tree"]

Ints: TypeAlias = NDArray[np.int64]

MAX_NODES: Final = 2_000_000
"""Nodes of all trees together."""
MAX_OUTPUTS: Final = 1_000


@dataclass(frozen=True, eq=False)
class Tree:
    """One tree; the root is node 0. Arrays have one entry a node, leaves have feature -1.

    Attributes:
        feature: which feature a node asks about, int64[nodes].
        threshold: right iff x > threshold, float64[nodes]; unused at leaves and categorical nodes.
        left, right: children, int64[nodes]; -1 at leaves.
        value: what a leaf adds to each output, float64[nodes, outputs]; unused at inner nodes.
        missing_right: where a missing value goes, bool[nodes].
        chosen: which of `sets` a categorical node asks about, int64[nodes], -1 elsewhere.
        sets: right iff x is in the set; values of `Column.categories`.
    """

    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    value: Floats
    missing_right: Bools
    chosen: Ints
    sets: tuple[frozenset[float], ...] = ()

    @classmethod
    def of(
        cls,
        *,
        feature: ArrayLike,
        threshold: ArrayLike,
        left: ArrayLike,
        right: ArrayLike,
        value: ArrayLike,
        missing_right: ArrayLike | None = None,
        chosen: ArrayLike | None = None,
        sets: Sequence[frozenset[float]] = (),
    ) -> Tree:
        """A tree from anything that becomes such arrays, frozen."""
        features = _frozen(feature, np.int64)
        nodes = len(features)
        none = np.full(nodes, -1)
        return cls(
            feature=features,
            threshold=_frozen(threshold, np.float64),
            left=_frozen(left, np.int64),
            right=_frozen(right, np.int64),
            value=_frozen(value, np.float64),
            missing_right=_frozen(np.zeros(nodes) if missing_right is None else missing_right, np.bool_),
            chosen=_frozen(none if chosen is None else chosen, np.int64),
            sets=tuple(sets),
        )

    @property
    def nodes(self) -> int:
        """How many nodes, leaves among them."""
        return len(self.feature)

    @cached_property
    def depth(self) -> int:
        """Questions on the longest path."""
        deepest, level = 0, [0]
        while level := [int(c) for n in level if self.feature[n] >= 0 for c in (self.left[n], self.right[n])]:
            deepest += 1
        return deepest


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees whose leaves are added up: scores = base + sum over trees.

    Attributes:
        trees: the trees; learning rates, weights and averages are in their leaves already.
        columns: how each feature is read, in the order of the input's columns.
        base: what the scores are before any tree, float64[outputs].
        post: what the client does with the scores (`inference.post`), e.g. ``("sigmoid",)``.
        precision: what an input is rounded to before it is compared.
        infinite: whether infinite inputs are taken.
        source: where it comes from, e.g. ``XGBoost binary:logistic``.
        labels: the classes' names where the library keeps them.
    """

    trees: tuple[Tree, ...]
    columns: tuple[Column, ...]
    base: Floats
    post: tuple[str, ...] = ()
    precision: Literal["float32", "float64"] = "float64"
    infinite: bool = False
    source: str = ""
    labels: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        post.check(self.post)
        _check(self)

    @property
    def features(self) -> int:
        """How many columns an input has."""
        return len(self.columns)

    @property
    def outputs(self) -> int:
        """How many scores a sample has."""
        return len(self.base)

    @property
    def depth(self) -> int:
        """Questions on the longest path of any tree."""
        return max((tree.depth for tree in self.trees), default=0)

    def prepared(self, x: ArrayLike) -> tuple[Floats, Bools]:
        """Inputs as the trees compare them, and which are missing; both [samples, features].

        Raises:
            ModelError: a shape that does not fit, or a value that this model does not take. Never quotes it.
        """
        return prepare(self.columns, self.precision, self.infinite, x)

    def leaves(self, x: ArrayLike) -> Ints:
        """The leaf each sample reaches in each tree, int64[samples, trees]."""
        values, missing = self.prepared(x)
        found = np.zeros((len(values), len(self.trees)), dtype=np.int64)
        for at, tree in enumerate(self.trees):
            found[:, at] = _descend(tree, values, missing)
        return found

    def scores(self, x: ArrayLike) -> Floats:
        """The raw scores, float64[samples, outputs]."""
        leaves = self.leaves(x)
        total = np.tile(self.base, (len(leaves), 1))
        for at, tree in enumerate(self.trees):
            total += tree.value[leaves[:, at]]
        return total

    def predictions(self, x: ArrayLike) -> Floats:
        """The scores after the last steps: probabilities, or values on the target's own scale."""
        return post.apply(self.post, self.scores(x))

    def bounds(self) -> tuple[Floats, Floats]:
        """Lowest and highest scores that any choice of leaves gives, float64[outputs] each."""
        low, high = self.base.copy(), self.base.copy()
        for tree in self.trees:
            leaves = tree.value[tree.feature < 0]
            low, high = low + leaves.min(axis=0), high + leaves.max(axis=0)
        return low, high


def _descend(tree: Tree, values: Floats, missing: Bools) -> Ints:
    rows = np.arange(len(values))
    at = np.zeros(len(values), dtype=np.int64)
    while True:
        feature = tree.feature[at]
        inner = feature >= 0
        if not inner.any():
            return at
        nodes, row, asked = at[inner], rows[inner], feature[inner]
        x = values[row, asked]
        right = x > tree.threshold[nodes]
        for place in np.flatnonzero(tree.chosen[nodes] >= 0):
            right[place] = x[place] in tree.sets[tree.chosen[nodes[place]]]
        lost = missing[row, asked]
        right = np.where(lost, tree.missing_right[nodes], right)
        at[inner] = np.where(right, tree.right[nodes], tree.left[nodes])


def _frozen(values: ArrayLike, kind: Any) -> Any:
    array = np.array(values, dtype=kind, order="C")
    array.setflags(write=False)
    return array


def _check(forest: Forest) -> None:
    if sum(tree.nodes for tree in forest.trees) > MAX_NODES:
        raise ModelError("TOO_LARGE", f"has more than {MAX_NODES:,} nodes", where="forest")
    if not 1 <= forest.outputs <= MAX_OUTPUTS:
        raise ModelError(
            "TOO_LARGE", f"has {forest.outputs} outputs, 1 to {MAX_OUTPUTS} can be", where="forest"
        )
    if not np.isfinite(forest.base).all():
        raise ModelError("VALUE", "is not a finite number", where="base score")
    for column in forest.columns:
        if column.categories is not None and len(column.categories) > MAX_CATEGORIES:
            raise ModelError(
                "TOO_LARGE",
                f"has {len(column.categories):,} categories, {MAX_CATEGORIES:,} can be",
                where=f'feature "{column.name}"',
            )
    for number, tree in enumerate(forest.trees):
        problem = _problem(tree, forest)
        if problem:
            raise ModelError("FORMAT", problem, where=f"tree {number}")


def _problem(tree: Tree, forest: Forest) -> str | None:
    """What is wrong with a tree that was read from a file, or nothing."""
    nodes, inner = tree.nodes, tree.feature >= 0
    one = (tree.threshold, tree.left, tree.right, tree.missing_right, tree.chosen)
    if nodes == 0 or any(a.shape != (nodes,) for a in one) or tree.value.shape != (nodes, forest.outputs):
        return "has arrays of different lengths"
    if (tree.feature >= forest.features).any():
        return "asks about a feature that is not there"
    if not np.isfinite(tree.value[~inner]).all():
        return "has a leaf that is not a finite number"
    if np.isnan(tree.threshold[inner & (tree.chosen < 0)]).any():
        return "has a threshold that is not a number"
    if (tree.chosen >= len(tree.sets)).any():
        return "asks about a set of categories that is not there"
    children = np.concatenate([tree.left[inner], tree.right[inner]])
    # Each node but the root is a child once, and children stand for themselves: no loop, no shared subtree.
    if not np.array_equal(np.sort(children), np.arange(1, nodes)):
        return "is not one tree"
    if len(_reached(tree)) != nodes:
        return "is not one tree"
    for feature, chosen in zip(tree.feature[inner], tree.chosen[inner], strict=True):
        known = forest.columns[feature].categories
        if (known is None) != (chosen < 0):
            return "asks for a category of a number, or compares a category"
        if known is not None and not tree.sets[chosen] <= set(known):
            return "asks about a category that its feature does not have"
    return None


def _reached(tree: Tree) -> set[int]:
    seen, open_ = {0}, [0]
    while open_:
        node = open_.pop()
        if tree.feature[node] >= 0:
            for child in (int(tree.left[node]), int(tree.right[node])):
                if child not in seen:
                    seen.add(child)
                    open_.append(child)
    return seen
