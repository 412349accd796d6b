# SPDX-License-Identifier: Apache-2.0
"""Figures of scores against labels, for frauds among many honest rows.

Rows of one score are one point of a curve: no figure depends on the order of the rows. Average precision is
the step-wise area under the precision-recall curve (Davis and Goadrich, ICML 2006, on why not trapezoids),
called AUPRC here. Every figure that is not defined, such as a recall without a positive row, is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Curve",
    "average_precision",
    "best_threshold",
    "card_precision",
    "confusion",
    "curve",
    "recall_at_precision",
    "roc_auc",
]

Scores = NDArray[np.float64]
Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """What is found at every threshold, from the highest score down; arrays of shape (thresholds,).

    Attributes:
        threshold: rows with at least this score are called frauds.
        true: how many of them are.
        called: how many there are.
        positives: how many frauds there are at all.
    """

    threshold: Scores
    true: Scores
    called: Scores
    positives: float

    @property
    def precision(self) -> Scores:
        """The share of frauds among the rows called."""
        return self.true / np.maximum(self.called, 1e-300)

    @property
    def recall(self) -> Scores:
        """The share of frauds that are called; NaN without frauds."""
        if not self.positives:
            return np.full(len(self.true), np.nan)
        return self.true / self.positives


def curve(label: Labels, score: Scores, weight: Scores | None = None) -> Curve:
    """The curve of all thresholds.

    Args:
        label: 0 or 1, shape (rows,).
        score: shape (rows,).
        weight: how often a row counts; once where None.
    """
    order = np.argsort(-score, kind="stable")
    ends = _ends(score[order])
    ones = label[order].astype(np.float64)
    counts = np.ones(len(order)) if weight is None else weight[order].astype(np.float64)
    true, called = np.cumsum(ones * counts)[ends], np.cumsum(counts)[ends]
    return Curve(score[order][ends], true, called, float(true[-1]) if len(true) else 0.0)


def _ends(ordered: Scores) -> NDArray[np.int64]:
    """The last row of each run of equal scores."""
    return np.flatnonzero(np.append(np.diff(ordered) != 0, True)) if len(ordered) else np.zeros(0, np.int64)


def average_precision(label: Labels, score: Scores) -> float:
    """AUPRC: the mean of the precision over the recalls that are gained."""
    return _area(curve(label, score))


def _area(found: Curve) -> float:
    if not found.positives:
        return float("nan")
    return float(np.sum(np.diff(found.true, prepend=0.0) * found.precision) / found.positives)


def roc_auc(label: Labels, score: Scores) -> float:
    """The chance that a fraud scores higher than an honest row; ties count half."""
    found = curve(label, score)
    negatives = len(label) - found.positives
    if not found.positives or not negatives:
        return float("nan")
    true, false = np.append(0, found.true), np.append(0, found.called - found.true)
    return float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2) / (found.positives * negatives))


def recall_at_precision(label: Labels, score: Scores, precision: float) -> float:
    """The highest recall of any threshold with at least this precision; 0 where there is none."""
    found = curve(label, score)
    if not found.positives:
        return float("nan")
    enough = found.precision >= precision
    return float(found.recall[enough].max()) if enough.any() else 0.0


def best_threshold(label: Labels, score: Scores) -> float:
    """The threshold with the best F on these rows, halfway to the next score below; 0.5 without frauds."""
    found = curve(label, score)
    if not found.positives:
        return 0.5
    place = int(np.argmax(2 * found.true / (found.called + found.positives)))
    if place + 1 == len(found.threshold):
        return float(found.threshold[place])
    return float((found.threshold[place] + found.threshold[place + 1]) / 2)


def confusion(label: Labels, score: Scores, threshold: float) -> tuple[float, float, float]:
    """Precision, recall and F at a threshold; precision is 0 where nothing is called."""
    called = score >= threshold
    true, positives = int((called & (label == 1)).sum()), int(label.sum())
    precision = true / max(int(called.sum()), 1)
    if not positives:
        return precision, float("nan"), float("nan")
    return precision, true / positives, 2 * true / (int(called.sum()) + positives)


def card_precision(
    label: Labels, score: Scores, card: NDArray[np.int64], day: NDArray[np.int32], most: int = 100
) -> float:
    """Mean over the days of the share of defrauded cards among the `most` cards that score highest.

    As in the Fraud Detection Handbook (chapter 4): a card scores what its highest payment of the day does; a
    defrauded card that was among those of a day is blocked, and not looked at again.
    """
    blocked = np.zeros(0, np.int64)
    shares = []
    for today in np.unique(day):
        rows = np.flatnonzero((day == today) & ~np.isin(card, blocked))
        cards, which = np.unique(card[rows], return_inverse=True)
        highest = np.full(len(cards), -np.inf)
        np.maximum.at(highest, which, score[rows])
        hit = np.zeros(len(cards), np.bool_)
        np.logical_or.at(hit, which, label[rows] == 1)
        first = np.argsort(-highest, kind="stable")[:most]
        caught = cards[first][hit[first]]
        shares.append(len(caught) / most)
        blocked = np.concatenate([blocked, caught])
    return float(np.mean(shares)) if shares else float("nan")
