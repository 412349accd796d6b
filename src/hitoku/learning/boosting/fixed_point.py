# SPDX-License-Identifier: Apache-2.0
"""Gradients as integers: the scale that a plan leaves room for, and the proof that no sum overflows.

Logistic loss of a row with weight w, label y and probability p has the gradient g = w (p - y), |g| <= w, and
the hessian h = w p (1 - p), 0 <= h <= w / 4. Both are rounded to multiples of 2^-bits. With W the larger
weight of the two classes and a whole number of rows R per member (members refuse to bring more), a cell of a
member's histogram lies within R (W 2^bits + 1), and the sum of M members within M times that. `bits` is the
most, up to 24, for which
M R (W 2^bits + 1) <= 2^53: then the sum and every sum or difference of its cells are exact in a float64, too,
so that gains are computed from exact numbers, and all is far from the 2^63 of the ring that sums live in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.learning.plan import Boosting, Plan

__all__ = ["FixedPoint", "boosting_of", "fixed_point", "gradients", "losses", "sigmoid"]

_MOST_BITS: Final = 24
_LEAST_BITS: Final = 8
_MOST_LOSS: Final = 32
_LOSS_COARSER: Final = 4


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """A plan's scale and bounds.

    Attributes:
        bits: gradients and hessians are multiples of 2^-bits.
        row: no row's gradient or hessian is outside [-row, row].
        cell: no cell of a member's histogram is outside [-cell, cell].
    """

    bits: int
    row: int
    cell: int

    @property
    def unit(self) -> float:
        """What 1 stands for."""
        return math.ldexp(1.0, -self.bits)

    @property
    def loss_unit(self) -> float:
        """The same for losses: 2^(4 - bits)."""
        return math.ldexp(1.0, _LOSS_COARSER - self.bits)

    @property
    def loss(self) -> int:
        """No member's summed holdout loss is outside [-loss, loss]: a row's is at most 32 W."""
        return self.cell * (_MOST_LOSS >> _LOSS_COARSER)


def fixed_point(plan: Plan) -> FixedPoint:
    """The scale of a plan for boosting.

    Raises:
        InputError: so many rows and such weights leave less than 8 bits.
    """
    heaviest = max(1.0, boosting_of(plan).weights.positive)
    rows, members = plan.data.rows, len(plan.members)
    for bits in range(_MOST_BITS, _LEAST_BITS - 1, -1):
        row = math.ceil(math.ldexp(heaviest, bits)) + 1
        if members * rows * row <= 1 << 53:
            return FixedPoint(bits, row, rows * row)
    raise InputError(
        "data.rows and model.weights.positive: sums over all members would be too coarse; "
        "lower data.rows to what a member really brings, or the weight"
    )


def boosting_of(plan: Plan) -> Boosting:
    """The plan's model, which must be for boosting.

    Raises:
        InputError: it is another kind.
    """
    if not isinstance(plan.model, Boosting):
        raise InputError("model.kind: this is not a plan for boosting")
    return plan.model


def sigmoid(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of margins; the same bits for the same margin, wherever in an array it stands."""
    return 1.0 / (1.0 + np.exp(-np.clip(margins, -60.0, 60.0)))


def gradients(
    margins: NDArray[np.float64], label: NDArray[np.uint8], positive: float, scale: FixedPoint
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every row's gradient and hessian in units of 2^-bits, both of shape (rows,).

    Args:
        margins: the model's raw scores, shape (rows,).
        label: 0 or 1, shape (rows,).
        positive: the weight of label 1; that of label 0 is 1.
        scale: the plan's.
    """
    p = sigmoid(margins)
    weight = np.where(label == 1, math.ldexp(positive, scale.bits), math.ldexp(1.0, scale.bits))
    g = np.rint((p - label) * weight).astype(np.int64)
    h = np.rint(p * (1.0 - p) * weight).astype(np.int64)
    return g, h


def losses(margins: NDArray[np.float64], label: NDArray[np.uint8], positive: float) -> NDArray[np.float64]:
    """Every row's weighted logistic loss, cut off at 32 per unit of weight, shape (rows,)."""
    signed = np.where(label == 1, margins, -margins)
    loss = np.logaddexp(0.0, -signed)
    return np.asarray(np.minimum(loss, _MOST_LOSS) * np.where(label == 1, positive, 1.0), np.float64)
