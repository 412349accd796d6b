# SPDX-License-Identifier: Apache-2.0
"""Boosted trees in a model's file: thresholds, directions and leaves, nothing of what they grew from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.hazmat.histograms import Forest
from hitoku.learning.boosting.fixed_point import sigmoid
from hitoku.learning.boosting.keys import cleaned
from hitoku.learning.boosting.trees import MOST_NODES, MOST_TREES, Tree, check_shape, forest

__all__ = ["BoostedTrees", "ValueTree", "from_body", "probabilities", "to_body", "trees_on_values"]

_LARGEST: Final = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class ValueTree:
    """One tree on values; all arrays have shape (nodes,), numbered as in `hitoku.learning.boosting.trees`.

    Attributes:
        feature: int32, -1 at a leaf.
        threshold: float32; a value below it goes left; 0 at a leaf.
        missing_left: bool.
        value: float32, what a leaf adds; 0 at a split.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    missing_left: NDArray[np.bool_]
    value: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """The margin is `base` plus every tree's leaf; its sigmoid is the probability of label 1."""

    base: float
    trees: tuple[ValueTree, ...]
    _forest: list[Forest] = field(default_factory=list, init=False, repr=False, compare=False)

    def margins(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The raw score of every row, in float64."""
        if not self._forest:
            self._forest.append(
                forest([(t.feature, t.threshold, t.missing_left, t.value) for t in self.trees])
            )
        return self._forest[0].predict(cleaned(features), self.base)


def trees_on_values(base: float, trees: Sequence[Tree], edges: Sequence[NDArray[np.float32]]) -> BoostedTrees:
    """Trees on bins as trees on values."""
    return BoostedTrees(
        base, tuple(ValueTree(t.feature, t.thresholds(edges), t.missing_left, t.value) for t in trees)
    )


def probabilities(content: BoostedTrees, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """The probability of label 1 of every row."""
    return sigmoid(content.margins(features))


def to_body(content: BoostedTrees) -> dict[str, Any]:
    """The model as JSON-ready data; float32 numbers keep their bits."""
    return {
        "base": content.base,
        "trees": [
            {
                "feature": tree.feature.tolist(),
                "threshold": tree.threshold.astype(np.float64).tolist(),
                "missing_left": tree.missing_left.astype(np.int64).tolist(),
                "value": tree.value.astype(np.float64).tolist(),
            }
            for tree in content.trees
        ],
    }


def from_body(body: Mapping[str, Any], features: int) -> BoostedTrees:
    """The model from its part of a file that nobody vouches for.

    Raises:
        InputError: it is no such model, or larger than the limits.
    """
    if set(body) != {"base", "trees"} or not isinstance(body["trees"], list):
        raise InputError('a boosted model has a "base" and "trees"')
    base = body["base"]
    if type(base) not in (int, float) or not math.isfinite(base) or abs(base) > 100:
        raise InputError("a boosted model's base is a number between -100 and 100")
    if len(body["trees"]) > MOST_TREES:
        raise InputError(f"a boosted model has at most {MOST_TREES} trees")
    return BoostedTrees(float(base), tuple(_tree(tree, features) for tree in body["trees"]))


def _tree(body: object, features: int) -> ValueTree:
    if not isinstance(body, dict) or set(body) != {"feature", "threshold", "missing_left", "value"}:
        raise InputError("a tree has the lists feature, threshold, missing_left and value")
    whole, floats = (int,), (int, float)
    feature = _list(body["feature"], whole, features)
    threshold = _list(body["threshold"], floats, _LARGEST)
    missing = _list(body["missing_left"], whole, 1)
    value = _list(body["value"], floats, _LARGEST)
    if len({len(feature), len(threshold), len(missing), len(value)}) != 1:
        raise InputError("a tree's lists have different lengths")
    tree = ValueTree(
        feature.astype(np.int32), threshold.astype(np.float32), missing == 1, value.astype(np.float32)
    )
    if np.any(tree.threshold != threshold) or np.any(tree.value != value) or np.any(missing < 0):
        raise InputError("a tree's thresholds and leaves are float32 numbers, directions are 0 or 1")
    check_shape(tree.feature, features)
    return tree


def _list(values: object, kinds: tuple[type, ...], most: float) -> NDArray[np.float64]:
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_NODES:
        raise InputError(f"a tree has 1 to {MOST_NODES} nodes")
    if not all(type(v) in kinds and -most <= v <= most for v in values):
        raise InputError("a tree's list has an entry of another type, or too large")
    return np.asarray(values, np.float64)
