# SPDX-License-Identifier: Apache-2.0
"""Small data sets and random forests that the tests of this folder share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitoku.inference.trees.forest import Forest, Tree
from hitoku.inference.trees.reading import Column

FEATURES = 6
CATEGORICAL = 3


@dataclass(frozen=True)
class Data:
    """Samples, a target, two classes, three classes, and samples that no model was trained on."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    two: NDArray[np.int64]
    three: NDArray[np.int64]
    fresh: NDArray[np.float64]


def data(seed: int = 0, rows: int = 300, missing: float = 0.1, fresh: int = 700) -> Data:
    """Two decimals, so that inputs meet thresholds; one column of nine categories; missing values."""
    rng = np.random.default_rng(seed)

    def some(count: int) -> NDArray[np.float64]:
        x = np.round(rng.normal(size=(count, FEATURES)), 2)
        x[:, CATEGORICAL] = rng.integers(0, 9, count)
        x[rng.random(x.shape) < missing] = np.nan
        return x

    x = some(rows)
    clean = np.nan_to_num(x)
    y = clean[:, 0] * clean[:, 1] + clean[:, CATEGORICAL] % 3 + 0.3 * rng.normal(size=rows)
    two, three = (y > 0.7).astype(np.int64), np.digitize(y, [0.3, 1.2])
    return Data(x, y, two, three, some(fresh))


def same_leaves(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    """Whether two numberings of leaves, [samples, trees], are the same decisions."""
    pairs = (set(zip(a, b, strict=True)) for a, b in zip(ours.T, theirs.T, strict=True))
    counts = [
        len(pair) == len(set(a)) == len(set(b)) for pair, a, b in zip(pairs, ours.T, theirs.T, strict=True)
    ]
    return ours.shape == theirs.shape and all(counts)


def random_forest(
    rng: np.random.Generator,
    *,
    trees: int,
    depth: int,
    outputs: int = 1,
    missing: bool = True,
    fine: bool = False,
) -> Forest:
    """Trees of any shape on five features, the last categorical; thresholds on a grid, or any."""
    columns = [Column(f"x{i}", missing="nan" if missing else "refused") for i in range(4)]
    columns.append(Column("c", "nan" if missing else "refused", tuple(map(float, range(6))), "natural"))
    return Forest(
        trees=tuple(_tree(rng, depth, outputs, fine) for _ in range(trees)),
        columns=tuple(columns),
        base=np.round(rng.normal(size=outputs), 3),
    )


def _tree(rng: np.random.Generator, depth: int, outputs: int, fine: bool) -> Tree:
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    chosen: list[int] = []
    lost: list[bool] = []
    value: list[Any] = []
    sets: list[frozenset[float]] = []

    def grow(room: int) -> int:
        node = len(feature)
        for column in (feature, left, right, chosen):
            column.append(-1)
        threshold.append(0.0)
        lost.append(bool(rng.integers(2)))
        value.append(np.round(rng.normal(size=outputs), 3))
        if room == 0 or rng.random() < 0.15:
            return node
        feature[node] = int(rng.integers(5))
        if feature[node] == 4:
            chosen[node] = len(sets)
            sets.append(frozenset(float(c) for c in np.flatnonzero(rng.random(6) < 0.5)))
        else:
            threshold[node] = float(rng.normal()) if fine else float(rng.integers(-3, 4)) / 2
        left[node], right[node] = grow(room - 1), grow(room - 1)
        return node

    grow(depth)
    return Tree.of(
        feature=feature,
        threshold=threshold,
        left=left,
        right=right,
        value=np.stack(value),
        missing_right=lost,
        chosen=chosen,
        sets=sets,
    )


def random_samples(rng: np.random.Generator, count: int, *, missing: bool = True) -> NDArray[np.float64]:
    """Values on and between the thresholds of `random_forest`, categories that it knows and others."""
    x = rng.integers(-8, 9, (count, 5)) / 4.0
    x[:, 4] = rng.integers(-1, 9, count)
    if missing:
        x[rng.random(x.shape) < 0.2] = np.nan
    return x
