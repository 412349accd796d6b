# SPDX-License-Identifier: Apache-2.0
"""Confidence bands of AUPRC by a stratified bootstrap, and of the difference of two models on the same rows.

Frauds and honest rows are drawn apart, each as often as they occur, so that no resample is without frauds.
The scores are sorted once; a resample is a weight for every row (Efron and Tibshirani 1993, chapters 6, 13:
percentile bands).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["auprc_band", "auprc_difference"]

RESAMPLES = 200


def auprc_band(
    label: NDArray[np.uint8], score: NDArray[np.float64], resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """The 95 % band of AUPRC; NaN without a fraud."""
    if not label.any():
        return float("nan"), float("nan")
    one = _Sorted(label, score)
    made = [one.area(weight) for weight in _weights(label, resamples, seed)]
    low, high = np.percentile(made, [2.5, 97.5])
    return float(low), float(high)


def auprc_difference(
    label: NDArray[np.uint8],
    score: NDArray[np.float64],
    other: NDArray[np.float64],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % band of AUPRC(score) - AUPRC(other), both on the same resamples; NaN without a fraud."""
    if not label.any():
        return float("nan"), float("nan")
    first, second = _Sorted(label, score), _Sorted(label, other)
    made = [first.area(weight) - second.area(weight) for weight in _weights(label, resamples, seed)]
    low, high = np.percentile(made, [2.5, 97.5])
    return float(low), float(high)


def _weights(label: NDArray[np.uint8], resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    draw = np.random.default_rng(seed)
    strata = [np.flatnonzero(label == value) for value in (0, 1)]
    for _ in range(resamples):
        weight = np.zeros(len(label))
        for rows in strata:
            weight[rows] = np.bincount(draw.integers(0, len(rows), len(rows)), minlength=len(rows))
        yield weight


class _Sorted:
    """Rows in the order of their score, for many weights."""

    def __init__(self, label: NDArray[np.uint8], score: NDArray[np.float64]) -> None:
        self._order = np.argsort(-score, kind="stable")
        ordered = score[self._order]
        self._ends = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
        self._label = label[self._order].astype(np.float64)

    def area(self, weight: NDArray[np.float64]) -> float:
        counts = weight[self._order]
        true = np.cumsum(self._label * counts)[self._ends]
        called = np.cumsum(counts)[self._ends]
        gained = np.diff(true, prepend=0.0)
        return float(np.sum(gained * true / np.maximum(called, 1.0)) / true[-1])
