# SPDX-License-Identifier: Apache-2.0
"""How a weight vector learns from opened sums, round by round: the driver's side, without rows.

Each method says at which weights the next sum is made (`trial`), learns from it (`learn`), and has a model so
far (`best`). `Newton` and `QuasiNewton` see sums of gradients over all members' rows, so what they find does
not depend on how rows are spread over banks; `Averaging` sees averages of weights; `Descent` sees noised sums
of clipped gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError

__all__ = ["Averaging", "Descent", "Method", "Newton", "QuasiNewton"]

Vector = NDArray[np.float64]
State = dict[str, Vector]

_ARMIJO: Final = 1e-4
_MEMORY: Final = 20
_SHORTEST: Final = 1e-6
_CONVERGED: Final = 1e-12
_CURVED: Final = 1e-10
_MOMENTUM: Final = 0.9
_SQUARES: Final = 0.99
_LEAST_PART: Final = 0.25


class Method(Protocol):
    """One way to learn. `state` and `restore` are for checkpoints; `restart` begins anew at some weights."""

    trial: Vector
    best: Vector
    finished: bool

    def learn(self, sums: Vector, members: tuple[str, ...]) -> None:
        """Learn from the sum that was opened at `trial`.

        Args:
            sums: as the method's contribution is laid out.
            members: whose sum it is.
        """
        ...

    def restart(self, weights: Vector) -> None:
        """Begin again at these weights."""
        ...

    def state(self) -> State:
        """For a checkpoint."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a checkpoint."""
        ...


class _Searching:
    """What the two Newton methods share: steps that are halved until the loss falls far enough.

    A sum over other members than the last one is over other rows: it is a new beginning at the same weights.
    """

    def __init__(self, weights: Vector, l2: float) -> None:
        self._l2 = l2
        self.restart(weights)

    def restart(self, weights: Vector) -> None:
        """Begin again at these weights."""
        self.trial, self.best = weights.copy(), weights.copy()
        self.finished = False
        self._at, self._direction = weights.copy(), np.zeros_like(weights)
        self._gradient = np.zeros_like(weights)
        self._loss, self._slope, self._step = np.inf, 0.0, 1.0
        self._members: tuple[str, ...] = ()

    def _judge(self, loss: float, members: tuple[str, ...]) -> bool:
        """Whether the trial is taken; if not, a shorter step is the next trial."""
        new = members != self._members or not np.isfinite(self._loss)
        self._members = members
        if new or loss <= self._loss + _ARMIJO * self._step * self._slope:
            return True
        # The minimum of the parabola through what is known, within a tenth and a half of the step.
        bend = loss - self._loss - self._step * self._slope
        wanted = (
            -self._slope * self._step * self._step / (2 * bend) if np.isfinite(bend) and bend > 0 else 0.0
        )
        self._step = float(np.clip(wanted, 0.1 * self._step, 0.5 * self._step))
        if self._step < _SHORTEST:
            self.finished = True
        self.trial = self._at + self._step * self._direction
        return False

    def _go(self, direction: Vector, first: float = 1.0) -> None:
        self._slope = float(self._gradient @ direction)
        self._direction, self._step = direction, first
        self.trial = self._at + first * direction

    def state(self) -> State:
        """For a checkpoint; the sums' members are not in it: the next sum is a beginning."""
        return {"trial": self.trial, "best": self.best, "finished": np.array([float(self.finished)])}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a checkpoint."""
        best = np.array(state["best"], np.float64)
        self.restart(np.array(state["trial"], np.float64))
        self.best, self.finished = best, bool(state["finished"][0])


class Newton(_Searching):
    """Newton's method for logistic regression (iteratively reweighted least squares).

    The loss is convex and its second derivatives are summed exactly, so it converges to the one model that
    pooled rows would give, to rounding. Sums: gradient, upper triangle of the Hessian by rows, loss, rows.

    Args:
        weights: to begin with.
        l2: decay; the last weight is the offset, and is not decayed.
    """

    def learn(self, sums: Vector, members: tuple[str, ...]) -> None:
        """Learn from a sum."""
        size = len(self.trial)
        rows = _rows(sums[-1])
        decay = np.full(size, self._l2)
        decay[-1] = 0.0
        loss = float(sums[-2] / rows + self.trial @ (decay * self.trial) / 2)
        if not self._judge(loss, members):
            return
        self._at, self.best, self._loss = self.trial.copy(), self.trial.copy(), loss
        self._gradient = sums[:size] / rows + decay * self._at
        hessian = np.zeros((size, size))
        hessian[np.triu_indices(size)] = sums[size:-2] / rows
        hessian = np.triu(hessian) + np.triu(hessian, 1).T
        # Columns that are constant or alike, too, must have an inverse.
        hessian[np.diag_indices(size)] += decay + 1e-10 * (1.0 + np.trace(hessian) / size)
        direction = -_solved(hessian, self._gradient)
        if float(-self._gradient @ direction) < _CONVERGED:
            self.finished = True
        self._go(direction)


class QuasiNewton(_Searching):
    """L-BFGS on summed gradients (Nocedal, Wright, "Numerical Optimization", 2006, algorithm 7.5).

    Sums: gradient, loss, rows, loss of the holdout rows, holdout rows. Where there are holdout rows, the
        model is the one with the least holdout loss, and it ends after `patience` rounds without a better
        one.

    Args:
        weights: to begin with.
        l2: decay.
        patience: 0: never ends early.
    """

    def __init__(self, weights: Vector, l2: float, patience: int) -> None:
        self._patience = patience
        super().__init__(weights, l2)

    def restart(self, weights: Vector) -> None:
        """Begin again at these weights."""
        super().restart(weights)
        self._pairs: list[tuple[Vector, Vector]] = []
        self._least, self._waited = np.inf, 0

    def learn(self, sums: Vector, members: tuple[str, ...]) -> None:
        """Learn from a sum."""
        size = len(self.trial)
        loss_sum, rows, held, held_rows = sums[size:]
        rows = _rows(rows)
        loss = float(loss_sum / rows + self._l2 * (self.trial @ self.trial) / 2)
        before = self._members
        if not self._judge(loss, members):
            self._wait()
            return
        gradient = sums[:size] / rows + self._l2 * self.trial
        if members == before:
            self._remember(self.trial - self._at, gradient - self._gradient)
        self._at, self._gradient, self._loss = self.trial.copy(), gradient, loss
        if members != before and before:
            self._least = np.inf
        judged = float(held / held_rows) if held_rows > 0 else -np.inf
        if judged < self._least or judged == -np.inf:
            self.best, self._least, self._waited = self._at.copy(), judged, 0
        else:
            self._wait()
        direction = self._two_loops()
        if float(gradient @ direction) >= 0:
            self._pairs.clear()
            direction = -gradient
        if float(gradient @ gradient) < _CONVERGED:
            self.finished = True
        # The first step knows no curvature: a short one.
        first = 1.0 if self._pairs else min(1.0, 1.0 / max(float(np.abs(gradient).sum()), 1e-12))
        self._go(direction, first)

    def _wait(self) -> None:
        self._waited += 1
        if self._patience and np.isfinite(self._least) and self._waited >= self._patience:
            self.finished = True
        if self.finished and self._step < _SHORTEST and self._pairs:
            # No step along a remembered direction helps: try once more along the gradient.
            self._pairs.clear()
            self.finished = False
            self._go(-self._gradient, min(1.0, 1.0 / max(float(np.abs(self._gradient).sum()), 1e-12)))

    def _remember(self, moved: Vector, change: Vector) -> None:
        curve = float(moved @ change)
        if curve > _CURVED * float(np.linalg.norm(moved) * np.linalg.norm(change)):
            self._pairs.append((moved, change))
            del self._pairs[:-_MEMORY]

    def _two_loops(self) -> Vector:
        made = -self._gradient
        factors: list[float] = []
        for moved, change in reversed(self._pairs):
            factor = float(moved @ made) / float(moved @ change)
            factors.append(factor)
            made = made - factor * change
        if self._pairs:
            moved, change = self._pairs[-1]
            made = made * (float(moved @ change) / float(change @ change))
        for (moved, change), factor in zip(self._pairs, reversed(factors), strict=True):
            made = made + (factor - float(change @ made) / float(moved @ change)) * moved
        return made

    def state(self) -> State:
        """For a checkpoint."""
        return {**super().state(), "least": np.array([self._least, float(self._waited)])}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a checkpoint; the curvature is learned anew."""
        super().restore(state)
        self._least, self._waited = float(state["least"][0]), int(state["least"][1])


class Averaging:
    """Federated averaging (McMahan et al. 2017). Sums: weights times rows, rows."""

    def __init__(self, weights: Vector) -> None:
        self.restart(weights)

    def restart(self, weights: Vector) -> None:
        """Begin again at these weights."""
        self.trial, self.best, self.finished = weights.copy(), weights.copy(), False

    def learn(self, sums: Vector, members: tuple[str, ...]) -> None:
        """Learn from a sum."""
        del members
        self.trial = sums[:-1] / _rows(sums[-1])
        self.best = self.trial.copy()

    def state(self) -> State:
        """For a checkpoint."""
        return {"trial": self.trial}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a checkpoint."""
        self.restart(np.array(state["trial"], np.float64))


class Descent:
    """Adam (Kingma, Ba 2015) on noised sums; the model is the mean of the later half of all weights.

    Frauds are rare, so summed clipped gradients are small beside the rows; Adam's steps do not depend on
    their scale. The noise's own variance, which is known, is taken off the estimate of the squares (Tang,
    Shpilevskiy, Lecuyer 2024, arXiv 2312.14334). All this is computed from what was released and costs no
    privacy.

    Sums: gradient.

    Args:
        weights: to begin with.
        rate: of the steps.
        l2: decay.
        rows: the noised number of rows.
        rounds: how many there will be.
        deviation: of the noise in a number of a sum.
    """

    def __init__(
        self, weights: Vector, rate: float, l2: float, rows: float, rounds: int, deviation: float
    ) -> None:
        self._rate, self._l2, self._rows, self._rounds = rate, l2, rows, rounds
        self._noise = deviation / rows
        self.restart(weights)

    def restart(self, weights: Vector) -> None:
        """Begin again at these weights."""
        self.trial, self.best, self.finished = weights.copy(), weights.copy(), False
        self._mean, self._first, self._second = (np.zeros_like(weights) for _ in range(3))
        self._done = 0

    def learn(self, sums: Vector, members: tuple[str, ...]) -> None:
        """Learn from a sum."""
        del members
        gradient = sums / self._rows
        self._done += 1
        self._first = _MOMENTUM * self._first + (1 - _MOMENTUM) * gradient
        self._second = _SQUARES * self._second + (1 - _SQUARES) * gradient * gradient
        first = self._first / (1 - _MOMENTUM**self._done)
        second = self._second / (1 - _SQUARES**self._done)
        variance = self._noise * self._noise
        size = np.sqrt(np.maximum(second - variance, _LEAST_PART * variance) + 1e-16)
        rate = self._rate * (1 + np.cos(np.pi * (self._done - 1) / self._rounds)) / 2
        self.trial = self.trial - rate * (first / size + self._l2 * self.trial)
        half = self._rounds // 2
        if self._done > half:
            self._mean += (self.trial - self._mean) / (self._done - half)
        self.best = (self._mean if self._done > half else self.trial).copy()

    def state(self) -> State:
        """For a checkpoint."""
        return {
            "trial": self.trial,
            "best": self.best,
            "mean": self._mean,
            "first": self._first,
            "second": self._second,
            "done": np.array([float(self._done)]),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a checkpoint."""
        self.restart(np.array(state["trial"], np.float64))
        made = (np.array(state[name], np.float64) for name in ("best", "mean", "first", "second"))
        self.best, self._mean, self._first, self._second = made
        self._done = int(state["done"][0])


def _rows(rows: float) -> float:
    if not rows > 0:
        raise InputError("no member that stayed has rows to train on")
    return float(rows)


def _solved(hessian: Vector, gradient: Vector) -> Vector:
    try:
        return np.asarray(np.linalg.solve(hessian, gradient))
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.lstsq(hessian, gradient, rcond=None)[0])
