# SPDX-License-Identifier: Apache-2.0
"""Histograms, splits and scores in plain numpy: the second implementation that tests compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def bin_features(features: NDArray[np.float32], edges: Sequence[NDArray[np.float32]], bins: int) -> Any:
    made = np.empty(features.shape, np.uint8)
    for column, mine in enumerate(edges):
        values = features[:, column]
        made[:, column] = np.where(np.isnan(values), bins - 1, np.searchsorted(mine, values, side="right"))
    return made


class Grower:
    def __init__(self, bins: NDArray[np.uint8], count: int, *, threads: int | None = None) -> None:
        self.bins, self.count = bins, count

    def reset(self, gradients: Any, hessians: Any, sampled: Any = None) -> None:
        self.g, self.h = gradients, hessians
        self.sampled = np.ones(len(self.bins), bool) if sampled is None else sampled
        self.node = np.zeros(len(self.bins), np.int32)

    def histograms(self, nodes: Sequence[int]) -> NDArray[np.int64]:
        features = self.bins.shape[1]
        made = np.zeros((len(nodes), features, self.count, 2), np.int64)
        for place, node in enumerate(nodes):
            mine = np.flatnonzero((self.node == node) & self.sampled)
            for feature in range(features):
                np.add.at(made[place, feature, :, 0], self.bins[mine, feature], self.g[mine])
                np.add.at(made[place, feature, :, 1], self.bins[mine, feature], self.h[mine])
        return made

    def split(self, nodes: Any, features: Any, bins: Any, missing_left: Any, left: Any, right: Any) -> None:
        before = self.node.copy()
        rows = zip(nodes, features, bins, missing_left, left, right, strict=True)
        for node, feature, at, missing, below, above in rows:
            mine = np.flatnonzero(before == node)
            bin_of = self.bins[mine, feature]
            goes = np.where(bin_of == self.count - 1, missing, bin_of <= at)
            self.node[mine] = np.where(goes, below, above)

    def add_leaves(self, margins: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        margins += values[self.node]


class Forest:
    def __init__(self, *arrays: Any) -> None:
        self.arrays = arrays

    def predict(self, features: NDArray[np.float32], base: float = 0.0) -> NDArray[np.float64]:
        starts, feature, threshold, missing, left, right, value = self.arrays
        margins = np.full(len(features), float(base))
        rows = np.arange(len(features))
        for begin in starts[:-1]:
            node = np.zeros(len(features), np.int64)
            while True:
                at = begin + node
                inner = left[at] >= 0
                if not inner.any():
                    break
                x = features[rows, feature[at]]
                goes = np.where(np.isnan(x), missing[at], x < threshold[at])
                node = np.where(inner, np.where(goes, left[at], right[at]), node)
            margins += value[begin + node]
        return margins
