# SPDX-License-Identifier: Apache-2.0
"""Rows from trees and sums: a reconstruction attack in the manner of TimberStrike.

After Di Gennaro, De Lucia, Longari, Zanero and Carminati, "TimberStrike" (arXiv 2506.07605, 2025), written
from its description. The first tree's sums of gradients and hessians tell how many rows of which label are in
each leaf: every row starts as its leaf's box. For each later tree an integer programme puts rows into leaves,
so that gradients and hessians add up to the leaf's and boxes intersect, and boxes shrink. Added here: values
inside a box come from the attacker's own rows; histograms, where he has them, give values by label; and a
cell with one row shows that row's gradient and hessian to all bits, which are the same in every feature's
histogram of a node, so that cells of one row are joined to the whole row (`joined`).

The score is the paper's: the fraction of features within 0.319 standard deviations of the truth, after the
best matching of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linear_sum_assignment, milp
from scipy.sparse import coo_matrix

TOLERANCE = 0.319
_FINE = 1e3
"""By this sums are larger in the integer programme than they are: its solver rounds at 1e-6."""
_NODES = 50
_FOLLOWED = 2
"""After so many trees the errors of placing rows outweigh what a further one tells of them."""
_CUTS = 8
"""Fewer places where a feature is split tell too little of its values."""
_WHOLE = 400
"""Larger integer programmes are solved as linear ones and rounded."""
_KNOWN = 0.6
"""A joined row has at least this fraction of its features."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Leaves:
    """One tree's leaves: boxes, shape (leaves, features), what each adds to the margin, and its sums."""

    low: Floats
    high: Floats
    value: Floats
    g: Floats
    h: Floats
    others: Callable[[Floats], Floats] | None = None
    """Margins that trees of others add after this one, of points of shape (rows, features)."""


@dataclass(frozen=True)
class Group:
    """Rows that fell into some leaves of the first tree, counted by label and bin of each feature."""

    leaves: tuple[int, ...]
    counts: NDArray[np.int64]
    """Shape (2, features, bins)."""


@dataclass(frozen=True)
class Evidence:
    """What an attacker has of some rows.

    Attributes:
        base: the margin that all rows begin with.
        rows: the most rows there can be.
        trees: in order; rows are followed through the first `_FOLLOWED`.
        cuts: of each feature, where the trees split it: as many values as the rows have about there.
        groups: of the first tree.
        bins: bounds of each feature's bins, (features, bins + 1), the ranges' ends included; NaN after them.
        read: rows known to the bin, -1 where a feature is not known; shape (rows, features).
        label: of the rows that are known so.
    """

    base: float
    rows: int
    trees: Sequence[Leaves]
    cuts: Sequence[Floats] = ()
    groups: Sequence[Group] = ()
    bins: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    read: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    label: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class Prior:
    """What the attacker has beside: rows of his own, with labels, and the public ranges of features."""

    rows: Floats
    label: NDArray[np.int64]
    low: Floats
    high: Floats


def attack(seen: Evidence, prior: Prior, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """The rows as the attacker guesses them, shape (rows, features), and their labels."""
    random = np.random.default_rng(seed)
    prior = _moved(prior, seen.cuts)
    first = seen.trees[0]
    low, high, label, leaf = _start(seen)
    if not len(label):
        return np.zeros((0, len(prior.low))), label
    margin = seen.base + first.value[leaf] + _others(first, low, high, prior)
    kind = np.unique(np.stack([leaf, label]), axis=1, return_inverse=True)[1].reshape(-1)
    for tree in seen.trees[1:_FOLLOWED]:
        into = _placed(tree, low, high, label, margin, kind)
        fits = _meets(low, high, tree.low[into], tree.high[into])
        low = np.where(fits[:, None], np.maximum(low, tree.low[into]), low)
        high = np.where(fits[:, None], np.minimum(high, tree.high[into]), high)
        margin = margin + tree.value[into] + _others(tree, low, high, prior)
        kind = np.unique(np.stack([kind, into]), axis=1, return_inverse=True)[1].reshape(-1)
    points = _filled(low, high, label, prior, random)
    return _counted(points, seen, low, high, label, leaf), label


def score(truth: Floats, points: Floats, scale: Floats, seed: int = 0) -> tuple[float, float]:
    """Fraction of features within the tolerance, and of rows with nine tenths of theirs; best matching.

    Args:
        truth: shape (rows, features).
        points: guesses; of more than there are rows, so many are drawn; rows without a guess count as wrong.
        scale: a standard deviation for each feature.
        seed: of the draw.
    """
    if len(points) > len(truth):
        points = points[np.random.default_rng(seed).choice(len(points), len(truth), replace=False)]
    if not len(points):
        return 0.0, 0.0
    right = (np.abs(truth[:, None, :] - points[None, :, :]) <= TOLERANCE * scale).mean(axis=2)
    at, guess = linear_sum_assignment(-right)
    found = right[at, guess]
    return float(found.sum() / len(truth)), float((found >= 0.9).sum() / len(truth))


def placed(
    truth: Floats,
    label: NDArray[np.int64],
    points: Floats,
    guess: NDArray[np.int64],
    grid: Leaves,
    seed: int = 0,
) -> float:
    """Fraction of the rows that are in the right leaf of a tree with the right label, after matching."""
    if len(points) > len(truth):
        drawn = np.random.default_rng(seed).choice(len(points), len(truth), replace=False)
        points, guess = points[drawn], guess[drawn]
    counts = []
    for rows, labels in ((truth, label), (points, guess)):
        inside = ((rows[:, None] >= grid.low) & (rows[:, None] < grid.high)).all(axis=2)
        cell = 2 * inside.argmax(axis=1) + labels
        counts.append(np.bincount(cell, minlength=2 * len(grid.value)))
    return float(np.minimum(*counts).sum() / len(truth))


def joined(nodes: Sequence[NDArray[np.int64]], unit: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that are read out of histograms: cells of one row, joined over the features by their gradient.

    Args:
        nodes: histograms, each of shape (features, bins, 2), whole numbers.
        unit: what 1 stands for.

    Returns:
        The rows' bins, -1 where not known, shape (rows, features), and their labels; no row twice.
    """
    features = nodes[0].shape[0] if nodes else 0
    rows = np.zeros((0, features), np.int64)
    labels = np.zeros(0, np.int64)
    for node in nodes:
        at, bins = np.nonzero(_single(node, unit))
        if not len(at):
            continue
        cells = node[at, bins]
        prints, which = np.unique(cells, axis=0, return_inverse=True)
        which = which.reshape(-1)
        for k in range(len(prints)):
            mine = which == k
            if mine.sum() < _KNOWN * features or len(set(at[mine].tolist())) != mine.sum():
                continue
            row = np.full(features, -1)
            row[at[mine]] = bins[mine]
            label = int(prints[k, 0] < 0)
            both = (rows >= 0) & (row >= 0)
            same = (labels == label) & ~(both & (rows != row)).any(axis=1) & (both.sum(axis=1) > features / 3)
            if same.any():
                known = int(np.flatnonzero(same)[0])
                rows[known] = np.where(rows[known] >= 0, rows[known], row)
            else:
                rows, labels = np.vstack([rows, row]), np.append(labels, label)
    return rows, labels


def _single(node: NDArray[np.int64], unit: float) -> NDArray[np.bool_]:
    """Cells whose gradient and hessian are those of one row: g = p - y, h = p (1 - p)."""
    g, h = node[..., 0] * unit, node[..., 1] * unit
    p = np.where(g > 0, g, 1 + g)
    near = np.abs(p * (1 - p) - h) <= 3 * unit
    return np.asarray(near & (node[..., 1] > 8) & (np.abs(g) < 1))


def _start(seen: Evidence) -> tuple[Floats, Floats, NDArray[np.int64], NDArray[np.int64]]:
    """A row for every row of the first tree: its leaf's box, its label, its leaf."""
    first = seen.trees[0]
    p = float(_sigmoid(np.float64(seen.base)))
    count = np.clip(np.rint(np.nan_to_num(first.h / (p * (1 - p)))), 0, seen.rows)
    if count.sum() > seen.rows:  # noise says anything
        count = np.floor(count * seen.rows / count.sum())
    positive = np.clip(np.rint(count * p - first.g), 0, count).astype(np.int64)
    leaf = np.repeat(np.arange(len(count)), count.astype(np.int64))
    place = np.concatenate([np.arange(n) for n in count.astype(np.int64)]) if len(leaf) else leaf
    label = (place < positive[leaf]).astype(np.int64)
    return first.low[leaf], first.high[leaf], label, leaf


def _moved(prior: Prior, cuts: Sequence[Floats]) -> Prior:
    """The attacker's rows, each feature's values at the places that others' splits have of the same rank."""
    rows = prior.rows.copy()
    for column, values in enumerate(cuts):
        if len(values) >= _CUTS and len(rows):
            rank = (np.argsort(np.argsort(rows[:, column])) + 0.5) / len(rows)
            rows[:, column] = np.quantile(values, rank)
    return replace(prior, rows=rows)


def _placed(
    tree: Leaves, low: Floats, high: Floats, label: NDArray[np.int64], margin: Floats, kind: NDArray[np.int64]
) -> NDArray[np.int64]:
    """A leaf for each row. Rows of one kind (same box, label, margin) are counted, not told apart."""
    kinds, at, inverse, size = np.unique(kind, return_index=True, return_inverse=True, return_counts=True)
    rows, leaves, inverse = len(kinds), len(tree.value), inverse.reshape(-1)
    p = _sigmoid(margin[at])
    g, h = _FINE * (p - label[at]), _FINE * p * (1 - p)
    fits = np.asarray(_meets(low[at][:, None], high[at][:, None], tree.low[None], tree.high[None]))
    stray: NDArray[np.bool_] = ~np.asarray(fits.any(axis=1), np.bool_)
    of, into = np.nonzero(fits | stray[:, None])
    cells, lines, most = len(of), rows + 2 * leaves, float(size.sum())
    wanted = _FINE * np.nan_to_num(np.concatenate([np.clip(tree.g, -most, most), np.clip(tree.h, 0, most)]))
    slack = np.tile(np.arange(rows, lines), 2)
    line = np.concatenate([of, rows + into, rows + leaves + into, slack])
    column = np.concatenate([np.tile(np.arange(cells), 3), cells + np.arange(4 * leaves)])
    ones = np.ones(2 * leaves)
    value = np.concatenate([np.ones(cells), g[of], h[of], ones, -ones])
    matrix = coo_matrix((value, (line, column)), shape=(lines, cells + 4 * leaves)).tocsr()
    right = np.concatenate([size.astype(float), wanted])
    problem = {
        "c": np.concatenate([np.zeros(cells), np.ones(4 * leaves)]),
        "constraints": LinearConstraint(matrix, right, right),
        "bounds": Bounds(0, np.concatenate([size[of].astype(float), np.full(4 * leaves, np.inf)])),
    }
    whole = np.concatenate([np.ones(cells), np.zeros(4 * leaves)])
    # Bounded by nodes, not by time: the same on every machine.
    found = milp(**problem, integrality=whole, options={"node_limit": _NODES}) if cells <= _WHOLE else None
    if found is None or found.x is None:
        found = milp(**problem)
    share = np.zeros((rows, leaves))
    share[of, into] = found.x[:cells]
    made = np.zeros(len(kind), np.int64)
    for k in range(rows):
        counts = np.floor(share[k] + 1e-6).astype(np.int64)
        left = int(size[k] - counts.sum())
        if left > 0:
            counts[np.argsort(-(share[k] - counts), kind="stable")[:left]] += 1
        members = np.flatnonzero(inverse == k)
        made[members] = np.repeat(np.arange(leaves), counts)[: len(members)]
    return made


def _meets(low: Floats, high: Floats, other_low: Floats, other_high: Floats) -> NDArray[np.bool_]:
    return np.asarray((np.maximum(low, other_low) < np.minimum(high, other_high)).all(axis=-1))


def _others(tree: Leaves, low: Floats, high: Floats, prior: Prior) -> Floats:
    return np.zeros(len(low)) if tree.others is None else tree.others(_centre(low, high, prior))


def _centre(low: Floats, high: Floats, prior: Prior) -> Floats:
    """In each box the point that the attacker's own rows suggest: medians; the middle where he has none."""
    made = (np.maximum(low, prior.low) + np.minimum(high, prior.high)) / 2
    for column in range(low.shape[1]):
        values = np.sort(prior.rows[:, column])
        start = np.searchsorted(values, low[:, column])
        end = np.searchsorted(values, high[:, column])
        some = end > start
        made[some, column] = values[((start + end) // 2)[some]]
    return made


def _filled(
    low: Floats, high: Floats, label: NDArray[np.int64], prior: Prior, random: np.random.Generator
) -> Floats:
    """Each row as the attacker's own row of its label that is least outside its box, moved into it."""
    centre = _centre(low, high, prior)
    if not len(prior.rows):
        return centre
    width = prior.high - prior.low
    made = np.empty_like(centre)
    for row in range(len(low)):
        outside = np.maximum(low[row] - prior.rows, 0) + np.maximum(prior.rows - high[row], 0)
        far = (outside / width).sum(axis=1) + (prior.label != label[row]) * 1e3
        pick = int(random.choice(np.flatnonzero(far <= far.min() + 1e-12)))
        inside = outside[pick] == 0
        made[row] = np.where(inside, prior.rows[pick], centre[row])
    return made


def _counted(
    points: Floats,
    seen: Evidence,
    low: Floats,
    high: Floats,
    label: NDArray[np.int64],
    leaf: NDArray[np.int64],
) -> Floats:
    """Rows that were read take the place of the guesses they fit best; others get the values counted."""
    points = points.copy()
    middle = (seen.bins[:, 1:] + seen.bins[:, :-1]) / 2 if seen.bins.size else seen.bins
    free = np.ones(len(points), np.bool_)
    counts = [group.counts.copy() for group in seen.groups]
    if len(seen.read):
        known = seen.read >= 0
        columns = np.arange(seen.read.shape[1])
        value = np.where(known, middle[columns, np.maximum(seen.read, 0)], np.nan)
        outside = (known[:, None] & ((value[:, None] < low) | (value[:, None] >= high))).sum(axis=2)
        cost = outside + 1e3 * (seen.label[:, None] != label)
        read, place = linear_sum_assignment(cost)
        for r, k in zip(read, place, strict=True):
            points[k] = np.where(known[r], value[r], points[k])
            free[k] = False
            for group, left in zip(seen.groups, counts, strict=True):
                if leaf[k] in group.leaves:
                    of = columns[known[r]]
                    left[seen.label[r], of, seen.read[r, of]] -= 1
    for group, left in zip(seen.groups, counts, strict=True):
        for y in range(2):
            mine = np.flatnonzero(free & (label == y) & np.isin(leaf, group.leaves))
            for column in range(points.shape[1] if len(mine) else 0):
                some = np.repeat(middle[column], np.maximum(left[y, column], 0))
                if not len(some):
                    continue
                inside = (some >= low[mine, column, None]) & (some < high[mine, column, None])
                cost = np.where(inside, 0.0, 1e6) + np.abs(some - points[mine, column, None])
                row, cell = linear_sum_assignment(cost)
                points[mine[row], column] = some[cell]
    return points


def _sigmoid(margin: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(margin, -50, 50)))
