# SPDX-License-Identifier: Apache-2.0
"""A bank's blend of its own model and the joint one, chosen on its own holdout rows; nothing leaves the bank.

Both scores are brought to one scale by a logistic regression each, and mixed: ``(1 - weight) own + weight
joint`` as logits. The weight is the one of eleven with the best average precision over resampled holdout
rows. A bank leaves its own model only if the difference is clear (`_MARGIN` standard errors) and the blend
is not worse on the holdout as it is; with fewer than `_FEW` frauds among these rows nothing is clear, and
it stays.

"Not worse" is meant for new rows and can be checked on holdout rows only: a bank whose customers change can
be worse off all the same, and `evaluate` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.learning.network import sigmoid

__all__ = ["Ensemble", "blend", "fit"]

_WEIGHTS: Final = 11
_RESAMPLES: Final = 60
_MARGIN: Final = 0.5
_FEW: Final = 5
_STEPS: Final = 50
_RIDGE: Final = 1e-3

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ensemble:
    """How a bank mixes.

    Attributes:
        weight: of the joint model, 0 to 1.
        own: slope and offset that turn the own model's logit into a calibrated one.
        joint: the same for the joint model.
        frauds: of the holdout rows that it was chosen on.
        gain: in average precision on these rows, over the own model.
    """

    weight: float
    own: tuple[float, float]
    joint: tuple[float, float]
    frauds: int
    gain: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "weight": self.weight,
            "own": list(self.own),
            "joint": list(self.joint),
            "frauds": self.frauds,
            "gain": self.gain,
        }


def fit(own: Scores, joint: Scores, label: NDArray[np.uint8]) -> Ensemble:
    """Choose the blend on holdout rows.

    Args:
        own: the own model's probabilities, shape (rows,).
        joint: the joint model's.
        label: 0 or 1.

    Raises:
        InputError: arrays of different lengths.
    """
    if not len(own) == len(joint) == len(label):
        raise InputError("an ensemble is chosen on rows that both models scored")
    frauds = int(np.count_nonzero(label))
    if min(frauds, len(label) - frauds) < _FEW:
        return Ensemble(0.0, (1.0, 0.0), (1.0, 0.0), frauds, 0.0)
    scales = [_calibrated(_logits(scores), label) for scores in (own, joint)]
    logits = [
        slope * _logits(scores) + offset for (slope, offset), scores in zip(scales, (own, joint), strict=True)
    ]
    # The same resamples for each weight: what is compared is the difference.
    draw = np.random.Generator(np.random.PCG64(len(label)))
    counts = draw.poisson(1.0, (_RESAMPLES, len(label))).astype(np.float64)
    grid = np.linspace(0.0, 1.0, _WEIGHTS)
    whole = np.ones((1, len(label)))
    plain, resampled = [], []
    for weight in grid:
        ranked = _Ranked((1 - weight) * logits[0] + weight * logits[1], label)
        plain.append(float(ranked.precision(whole)[0]))
        resampled.append(ranked.precision(counts))
    gains = np.stack(resampled) - resampled[0]
    mean, error = gains.mean(1), gains.std(1)
    clear = (mean > _MARGIN * error) & (np.array(plain) >= plain[0])
    clear[0] = True
    best = int(np.argmax(np.where(clear, mean, -np.inf)))
    return Ensemble(float(grid[best]), scales[0], scales[1], frauds, plain[best] - plain[0])


def blend(fitted: Ensemble, own: Scores, joint: Scores) -> Scores:
    """The blended probabilities of rows that both models scored, shape (rows,)."""
    first = fitted.own[0] * _logits(own) + fitted.own[1]
    second = fitted.joint[0] * _logits(joint) + fitted.joint[1]
    return sigmoid((1 - fitted.weight) * first + fitted.weight * second)


class _Ranked:
    """Rows by falling score; average precision for many weightings of the rows at once."""

    def __init__(self, scores: Scores, label: NDArray[np.uint8]) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked = scores[self._order]
        self._label = label[self._order].astype(np.float64)
        # Rows of one score cannot be told apart: they count together.
        self._ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)

    def precision(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Args: counts: how often each row counts, shape (weightings, rows)."""
        made = np.empty(len(counts))
        for k, count in enumerate(counts):
            weight = count[self._order]
            found = np.cumsum(weight * self._label)[self._ends]
            seen = np.cumsum(weight)[self._ends]
            rate = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
            made[k] = (rate * np.diff(found, prepend=0.0)).sum() / max(found[-1], 1e-12)
        return made


def _logits(scores: Scores) -> Scores:
    within = np.clip(scores, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(within) - np.log1p(-within))


def _calibrated(logits: Scores, label: NDArray[np.uint8]) -> tuple[float, float]:
    """Slope and offset of a logistic regression on one score; the slope stays above 0, so ranks stay."""
    slope, offset = 1.0, 0.0
    for _ in range(_STEPS):
        p = sigmoid(slope * logits + offset)
        residual, weight = p - label, p * (1 - p)
        # Drawn a little towards slope 1, so that scores that separate the classes have an answer.
        gradient = np.array([logits @ residual + _RIDGE * (slope - 1), residual.sum() + _RIDGE * offset])
        cross = float(logits @ weight)
        hessian = np.array([[(logits * logits) @ weight + _RIDGE, cross], [cross, weight.sum() + _RIDGE]])
        step = np.clip(np.linalg.solve(hessian, gradient), -1.0, 1.0)
        slope, offset = max(0.05, slope - float(step[0])), offset - float(step[1])
        if float(np.abs(step).max()) < 1e-8:
            break
    return slope, offset
