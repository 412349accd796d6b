# SPDX-License-Identifier: Apache-2.0
"""A tree while it grows, level by level; driver and banks keep the same one and number its nodes alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.learning.base import Arrays
from hitoku.learning.boosting.trees import MOST_NODES, Tree

__all__ = ["Draft", "LevelSplits"]

LevelSplits = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8], NDArray[np.bool_]]
"""Nodes, features, bins, missing_left: all of the same length, nodes rising."""


class Draft:
    """Nodes 0 to `count` - 1, those from `level` on in the lowest level.

    Args:
        features: how many features there are.
        bins: of values.
    """

    def __init__(self, features: int, bins: int) -> None:
        self._features, self._bins = features, bins
        self.level, self.count = 0, 1
        self._feature = np.full(MOST_NODES, -1, np.int32)
        self._bin = np.zeros(MOST_NODES, np.uint8)
        self._missing_left = np.zeros(MOST_NODES, np.bool_)

    @property
    def splits_so_far(self) -> list[NDArray[Any]]:
        """Of each node its feature (-1: none so far), bin and direction of missing values."""
        return [part[: self.count] for part in (self._feature, self._bin, self._missing_left)]

    def splits_in(self, arrays: Arrays) -> LevelSplits:
        """A level's splits from a message; empty lists where it has none.

        Raises:
            InputError: they do not split nodes of the lowest level by features and bins that are there.
        """
        found = []
        for name, kind in (
            ("node", np.int32),
            ("feature", np.int32),
            ("bin", np.uint8),
            ("missing_left", np.uint8),
        ):
            made = arrays.get(name, np.zeros(0, kind))
            if made.ndim != 1 or made.dtype != np.dtype(kind):
                raise InputError(f'splits: "{name}" is not a list of {np.dtype(kind).name}')
            found.append(made)
        node, feature, at, missing = found
        if len({len(node), len(feature), len(at), len(missing)}) != 1:
            raise InputError("splits: their lists have different lengths")
        if len(node) and (
            bool(np.any(np.diff(node) <= 0)) or int(node[0]) < self.level or int(node[-1]) >= self.count
        ):
            raise InputError("splits: nodes that are not in the lowest level, or not in order")
        if np.any(feature < 0) or np.any(feature >= self._features):
            raise InputError("splits: a feature that is not there")
        if np.any(at >= self._bins) or np.any(missing > 1):
            raise InputError("splits: a bin that is not there")
        if self.count + 2 * len(node) > MOST_NODES:
            raise InputError("splits: too many nodes")
        return node, feature, at, missing.astype(np.bool_)

    def split(self, splits: LevelSplits) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Split nodes of the lowest level; the numbers of their left and right children, the new level."""
        node, feature, at, missing = splits
        self._feature[node], self._bin[node], self._missing_left[node] = feature, at, missing
        left = (self.count + 2 * np.arange(len(node))).astype(np.int32)
        self.level, self.count = self.count, self.count + 2 * len(node)
        return left, left + 1

    def check_values(self, values: NDArray[np.float32], splits: int) -> None:
        """Check the leaves of a tree in which so many nodes are still to be split.

        Raises:
            InputError: not one finite value for each node.
        """
        nodes = self.count + 2 * splits
        if values.dtype != np.float32 or values.shape != (nodes,) or not np.isfinite(values).all():
            raise InputError("a tree's leaves: one finite float32 for each node")

    def finished(self, values: NDArray[np.float32]) -> Tree:
        """The tree, its leaves having these values; those of splits are not looked at.

        Raises:
            InputError: not one finite value for each node.
        """
        self.check_values(values, 0)
        feature = self._feature[: self.count].copy()
        return Tree(
            feature,
            self._bin[: self.count].copy(),
            self._missing_left[: self.count].copy(),
            np.where(feature < 0, values, np.float32(0)).astype(np.float32),
        )
