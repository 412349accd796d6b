# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

metrics = pytest.importorskip("sklearn.metrics")

from hitoku.learning.evaluation.bootstrap import auprc_band, auprc_difference  # noqa: E402
from hitoku.learning.evaluation.metrics import (  # noqa: E402
    average_precision,
    best_threshold,
    card_precision,
    confusion,
    curve,
    recall_at_precision,
    roc_auc,
)

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=2, max_size=60)


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_areas_are_those_of_scikit_learn_ties_and_all(rows: list[tuple[int, int]]) -> None:
    label = np.array([y for y, _ in rows], np.uint8)
    score = np.array([s / 8 for _, s in rows])
    if not label.any():
        assert math.isnan(average_precision(label, score))
        return
    assert average_precision(label, score) == pytest.approx(metrics.average_precision_score(label, score))
    if label.all():
        assert math.isnan(roc_auc(label, score))
    else:
        assert roc_auc(label, score) == pytest.approx(metrics.roc_auc_score(label, score))
    for wanted in (0.5, 0.8):
        precision, recall, _ = metrics.precision_recall_curve(label, score)
        # scikit-learn adds the point of recall 0 and precision 1, which no threshold has.
        expected = recall[precision >= wanted].max()
        assert recall_at_precision(label, score, wanted) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_the_best_threshold_is_the_best(rows: list[tuple[int, int]]) -> None:
    label = np.array([y for y, _ in rows], np.uint8)
    score = np.array([s / 8 for _, s in rows])
    found = best_threshold(label, score)
    if not label.any():
        assert found == 0.5
        return
    best = max(confusion(label, score, threshold)[2] for threshold in np.unique(score))
    assert confusion(label, score, found)[2] == pytest.approx(best)


def test_confusion_at_a_threshold() -> None:
    label = np.array([1, 1, 0, 0, 1], np.uint8)
    score = np.array([0.9, 0.4, 0.8, 0.1, 0.7])
    precision, recall, f = confusion(label, score, 0.7)
    assert (precision, recall, f) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert confusion(label, score, 2.0) == (0.0, 0.0, 0.0)
    nothing = confusion(np.zeros(5, np.uint8), score, 0.7)
    assert nothing[0] == 0.0
    assert math.isnan(nothing[1])


def test_a_weight_is_so_many_copies() -> None:
    draw = np.random.default_rng(1)
    label, score = draw.integers(0, 2, 50).astype(np.uint8), draw.integers(0, 9, 50) / 9
    weight = draw.integers(0, 4, 50)
    copied = curve(np.repeat(label, weight), np.repeat(score, weight))
    weighed = curve(label, score, weight.astype(np.float64))
    assert weighed.true[-1] == copied.true[-1]
    assert np.isin(copied.true, weighed.true).all()


def test_card_precision_blocks_the_cards_it_found() -> None:
    #       day 0: card 1 is found. Day 1: card 1 is blocked, card 2 is found. Day 2: nobody is defrauded.
    day = np.array([0, 0, 0, 1, 1, 1, 2], np.int32)
    card = np.array([1, 2, 1, 1, 2, 3, 3], np.int64)
    label = np.array([1, 0, 0, 1, 1, 0, 0], np.uint8)
    score = np.array([0.9, 0.2, 0.1, 0.99, 0.5, 0.4, 0.3])
    assert card_precision(label, score, card, day, 1) == pytest.approx((1 + 1 + 0) / 3)
    assert card_precision(label, score, card, day, 2) == pytest.approx((0.5 + 0.5 + 0) / 3)


def test_the_band_is_that_of_naive_resampling() -> None:
    draw = np.random.default_rng(0)
    label = (draw.random(600) < 0.15).astype(np.uint8)
    score = (draw.normal(size=600) + 1.5 * label).round(1)
    low, high = auprc_band(label, score, 400)
    frauds, honest = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
    naive = []
    for _ in range(400):
        rows = np.concatenate([draw.choice(frauds, len(frauds)), draw.choice(honest, len(honest))])
        naive.append(average_precision(label[rows], score[rows]))
    assert (low, high) == pytest.approx(np.percentile(naive, [2.5, 97.5]), abs=0.025)
    assert low < average_precision(label, score) < high
    assert auprc_band(label, score, 400) == (low, high)
    assert auprc_band(label, score, 400, seed=1) != (low, high)


def test_a_better_model_is_told_from_an_equal_one() -> None:
    draw = np.random.default_rng(0)
    label = (draw.random(2000) < 0.1).astype(np.uint8)
    noise = draw.normal(size=2000)
    good, bad = noise + 2 * label, noise + 0.5 * label
    low, high = auprc_difference(label, good, bad)
    assert 0 < low < high
    assert auprc_difference(label, good, good) == (0.0, 0.0)
    same = auprc_difference(label, good + 1e-3 * draw.normal(size=2000), good)
    assert same[0] < 0.01
    assert same[1] > -0.01
    nothing = auprc_band(np.zeros(5, np.uint8), np.zeros(5))
    assert math.isnan(nothing[0])
