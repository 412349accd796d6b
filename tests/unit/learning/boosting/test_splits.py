# SPDX-License-Identifier: Apache-2.0
"""The search for splits against one that tries everything, slowly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hitoku.learning.boosting.splits import best_splits, leaf_values
from hitoku.learning.plan import Boosting

UNIT = 2.0**-10


def slow(histogram: NDArray[np.int64], total: NDArray[np.int64], model: Boosting) -> list[tuple[float, int]]:
    """Every allowed split's gain and number, (direction, feature, bin)."""
    features, bins, _ = histogram.shape
    found = []
    for way in range(2):
        for feature in range(features):
            for at in range(bins - 1):
                left = histogram[feature, : at + 1].sum(axis=0) + way * histogram[feature, -1]
                gain, sound = 0.0, True
                for side, sign in ((left, 1), (total - left, 1), (total, -1)):
                    g, h = side * UNIT
                    sound &= bool(h >= model.child_weight and h + model.l2 > 0)
                    if h + model.l2 > 0:
                        weight = -g / (h + model.l2)
                        if model.step:
                            weight = min(max(weight, -model.step), model.step)
                        gain -= sign * (2 * g * weight + (h + model.l2) * weight**2)
                if sound:
                    found.append((gain, (way * features + feature) * (bins - 1) + at))
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1 << 30),
    st.sampled_from([0.0, 1.0, 10.0]),
    st.sampled_from([0.0, 0.5, 3.0]),
    st.sampled_from([0.0, 0.1, 2.0]),
    st.booleans(),
    st.sampled_from([0.0, 0.0, 0.2, 1.0]),
)
def test_the_best_of_all_splits_is_found(
    seed: int, l2: float, child_weight: float, gain: float, missing: bool, step: float
) -> None:
    made = np.random.default_rng(seed)
    model = Boosting(l2=l2, child_weight=child_weight, gain=gain, step=step)
    nodes, features, bins = 3, 4, 6
    rows = made.integers(0, 4, (nodes, 40))
    histograms = np.zeros((nodes, features, bins + 1, 2), np.int64)
    for node in range(nodes):
        for row in range(40):
            g, h = made.integers(-1024, 1025), made.integers(0, 257)
            for feature in range(features):
                at = bins if missing and made.random() < 0.2 else rows[node, row] + made.integers(0, 3)
                histograms[node, feature, at] += g, h
    totals = histograms[:, 0].sum(axis=1)
    best = best_splits(histograms, totals, UNIT, model)
    for node in range(nodes):
        every = slow(histograms[node], totals[node], model)
        top = max((found for found, _ in every), default=-1.0)
        assert bool(best.split[node]) == (top > 1e-6 and top >= gain - 1e-12) or abs(top - gain) < 1e-9
        if best.split[node]:
            way, feature, at = int(best.missing_left[node]), int(best.feature[node]), int(best.bin[node])
            number = (way * features + feature) * bins + at
            mine = {n: g for g, n in every}[number]
            assert mine == pytest.approx(top, rel=1e-9)
            assert best.gain[node] == pytest.approx(top, rel=1e-9)
            left = histograms[node, feature, : at + 1].sum(axis=0) + way * histograms[node, feature, -1]
            assert best.left[node].tolist() == left.tolist()


def test_of_equal_gains_the_lowest_feature_and_bin_win_and_missing_values_go_right() -> None:
    histograms = np.zeros((1, 3, 5, 2), np.int64)
    histograms[:, 1:, 0], histograms[:, 1:, 3] = (-500, 600), (500, 600)
    histograms[:, 0, 0] = (0, 1200)
    best = best_splits(histograms, histograms[:, 1].sum(axis=1), UNIT, Boosting(child_weight=0.1))
    assert (best.feature[0], best.bin[0], best.missing_left[0]) == (1, 0, False)


def test_missing_values_go_where_they_belong() -> None:
    histograms = np.zeros((2, 1, 3, 2), np.int64)
    histograms[:, 0, 0], histograms[:, 0, 1] = (-900, 900), (900, 900)
    histograms[0, 0, 2], histograms[1, 0, 2] = (-300, 300), (300, 300)
    best = best_splits(histograms, histograms[:, 0].sum(axis=1), UNIT, Boosting(child_weight=0.1))
    assert best.missing_left.tolist() == [True, False]


def test_values_and_missing_values_are_told_apart() -> None:
    histograms = np.zeros((1, 1, 5, 2), np.int64)
    histograms[0, 0, 0], histograms[0, 0, 2], histograms[0, 0, 4] = (-400, 500), (-400, 500), (800, 900)
    best = best_splits(histograms, histograms[:, 0].sum(axis=1), UNIT, Boosting(child_weight=0.1))
    assert (best.bin[0], best.missing_left[0], bool(best.split[0])) == (2, False, True)


def test_many_nodes_are_searched_as_one_by_one() -> None:
    made = np.random.default_rng(2)
    histograms = made.integers(-(1 << 12), 1 << 12, (37, 40, 33, 2))
    histograms[..., 1] = np.abs(histograms[..., 1])
    totals = histograms[:, 0].sum(axis=1)
    together = best_splits(histograms, totals, UNIT, Boosting())
    for node in range(37):
        alone = best_splits(histograms[node : node + 1], totals[node : node + 1], UNIT, Boosting())
        assert alone.feature[0] == together.feature[node]
        assert alone.bin[0] == together.bin[node]
        assert alone.gain[0] == together.gain[node]


def test_nothing_is_divided_by_nothing() -> None:
    histograms = np.zeros((1, 2, 3, 2), np.int64)
    best = best_splits(histograms, np.zeros((1, 2), np.int64), UNIT, Boosting(l2=0, child_weight=0))
    assert not best.split[0]
    assert leaf_values(np.zeros((1, 2), np.int64), UNIT, Boosting(l2=0, child_weight=0)).tolist() == [0.0]


def test_a_leaf_is_a_newton_step() -> None:
    totals = np.asarray([[2048, 3072], [-1024, 512]])
    values = leaf_values(totals, UNIT, Boosting(rate=0.5, l2=1.0, child_weight=1.0))
    assert values.dtype == np.float32
    assert values.tolist() == [-0.5 * 2 / 4, 0.0]
