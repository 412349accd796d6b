# SPDX-License-Identifier: Apache-2.0
"""Public grids of thresholds: a client then learns the grid, not where a model's own thresholds are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitoku.inference.errors import ModelError
from hitoku.inference.trees.forest import Forest, Tree
from hitoku.inference.trees.reading import below_single

__all__ = ["bins_of", "rising", "snapped"]


def bins_of(samples: ArrayLike, count: int = 32) -> dict[int, list[float]]:
    """A public grid: for each feature the middle between neighbouring quantiles of public samples.

    Args:
        samples: values that are no secret, [samples, features]; NaN is left out.
        count: bins a feature, at most.
    """
    values = np.asarray(samples, dtype=np.float64)
    found = {}
    for at in range(values.shape[1]):
        seen = np.unique(values[np.isfinite(values[:, at]), at])
        if len(seen) > 1:
            middles = (seen[1:] + seen[:-1]) / 2
            if len(middles) > count:
                middles = middles[np.linspace(0, len(middles) - 1, count).astype(int)]
            found[at] = [float(m) for m in np.unique(middles)]
    return found


def snapped(forest: Forest, bins: Mapping[int, ArrayLike]) -> Forest:
    """The forest with every threshold of the features in `bins` moved to the nearest bin.

    This changes the model: compare its labels with the old one's on data of yours. Training on binned values
    does the same without a loss.
    """
    grid = {feature: np.asarray(rising(given, forest.precision)) for feature, given in bins.items()}
    return replace(forest, trees=tuple(_snapped(tree, grid) for tree in forest.trees))


def _snapped(tree: Tree, grid: Mapping[int, NDArray[np.float64]]) -> Tree:
    threshold = tree.threshold.copy()
    for feature, bins in grid.items():
        nodes = (tree.feature == feature) & (tree.chosen < 0) & np.isfinite(threshold)
        if nodes.any() and len(bins):
            nearest = np.abs(threshold[nodes][:, None] - bins[None, :]).argmin(axis=1)
            threshold[nodes] = bins[nearest]
    threshold.setflags(write=False)
    return replace(tree, threshold=threshold)


def rising(given: ArrayLike, precision: str) -> tuple[float, ...]:
    """Bins in rising order, each as the precision keeps it.

    Raises:
        ModelError: one is not a number.
    """
    numbers = np.asarray(given, dtype=np.float64).reshape(-1)
    if np.isnan(numbers).any():
        raise ModelError("VALUE", "hold a value that is not a number", where="public bins")
    if precision == "float32":
        numbers = below_single(numbers)
    return tuple(float(n) for n in np.unique(numbers))
