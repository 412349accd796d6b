# SPDX-License-Identifier: Apache-2.0
"""A member's side of the rounds of linear models and networks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError, Refusal
from hitoku.learning.averaging import RANGE, generator, not_asked
from hitoku.learning.base import Arrays, Instruction, Rows
from hitoku.learning.curve import Curve, spread
from hitoku.learning.guard import ballot, blind_loss
from hitoku.learning.network import Network, losses, sigmoid
from hitoku.learning.plan import Perceptron, Plan
from hitoku.learning.preparation import Inputs, inputs_of
from hitoku.learning.rounds.work import Work

__all__ = ["RoundsTask"]

_CHUNK: Final = 8192


class RoundsTask:
    """A member's side.

    Args:
        plan: the signed plan.
        rows: this member's rows, with the counters' features.
        state: a folder for what must outlive a restart, and for the member's own curve; None: in memory.

    Raises:
        InputError: more rows than the plan allows, or other features than it names.
    """

    def __init__(self, plan: Plan, rows: Rows, state: Path | None = None) -> None:
        self._work = Work(plan)
        if rows.features.ndim != 2 or rows.features.shape[1] != len(inputs_of(plan)):
            raise InputError(f"the plan's model has {len(inputs_of(plan))} inputs, the rows have not")
        self._inputs = Inputs(plan, rows, state)
        self._curve = Curve(state)
        self._models: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._last = 0
        self._lock = threading.Lock()

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        """This member's vector.

        Raises:
            Refusal: the plan does not name this work.
        """
        with self._lock:
            try:
                if instruction.body.get("do") in ("counts", "moments"):
                    return self._inputs.contribute(instruction, members)
                return self._round(instruction, members)
            except InputError as error:
                raise _wrong(str(error)) from error

    def _round(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        done, arrays = instruction.body.get("round"), instruction.arrays
        if type(done) is not int or not 0 <= done < self._work.model.rounds:
            raise not_asked(instruction)
        inputs = self._inputs.training(arrays.get("scaling"))
        network = self._work.network(inputs.shape[1])
        weights = _weights(arrays.get("weights"), network)
        asked = self._work.instruction(done, network, weights, {})
        body = dict(instruction.body)
        whole = body.pop("whole", None)
        if (asked.body, asked.length, asked.bound) != (
            body,
            instruction.length,
            instruction.bound,
        ):
            raise not_asked(instruction)
        self._draw(done, network, weights, arrays.get("scaling"))
        label = self._inputs.label
        chosen = self._inputs.fresh.of(members, whole)
        if chosen is not None:
            inputs, label = inputs[chosen], label[chosen]
        match self._work.do:
            case "private":
                return self._private(network, weights, inputs, label)
            case "newton":
                made = _newton_sums(weights, inputs, label, self._work.model.weights.positive)
            case "average":
                made = self._average(done, network, weights, inputs, label)
            case _:
                held, truth = self._inputs.holdout(arrays.get("scaling"))
                some = self._inputs.fresh_holdout.of(members, whole)
                if some is not None:
                    held, truth = held[some], truth[some]
                made = self._gradient(network, weights, inputs, label, held, truth)
        return self._work.scale.encode(made)

    def _private(
        self,
        network: Network,
        weights: NDArray[np.float64],
        inputs: NDArray[np.float32],
        label: NDArray[np.uint8],
    ) -> NDArray[np.int64]:
        plan, meter = self._work.plan, self._inputs.meter
        if plan.privacy is None or meter is None:
            raise InputError("privacy: this plan has no noise")
        meter.take("step")
        total = np.zeros(network.length, np.int64)
        positive = self._work.model.weights.positive
        for block in network.clipped_sums(weights, inputs, label, positive, plan.privacy.clip):
            total += np.rint(block * self._work.private_scale).astype(np.int64)
        return self._work.private_noise(network.length).add(total)

    def _average(
        self,
        done: int,
        network: Network,
        weights: NDArray[np.float64],
        inputs: NDArray[np.float32],
        label: NDArray[np.uint8],
    ) -> NDArray[np.float64]:
        start = weights.astype(np.float32)
        steps = self._work.local(done)
        made = network.train(start, inputs, label, generator(), steps) if len(label) else start
        within = np.clip(np.nan_to_num(made.astype(np.float64)), -RANGE, RANGE)
        return np.append(within * len(label), len(label))

    def _gradient(
        self,
        network: Network,
        weights: NDArray[np.float64],
        inputs: NDArray[np.float32],
        label: NDArray[np.uint8],
        held: NDArray[np.float32],
        truth: NDArray[np.uint8],
    ) -> NDArray[np.float64]:
        positive = self._work.model.weights.positive
        gradient, loss = network.gradient_sums(weights, inputs, label, positive, _CHUNK)
        judged = 0.0
        if len(truth) and isinstance(self._work.model, Perceptron) and self._work.model.patience:
            judged = float(losses(network.logits(weights.astype(np.float32), held), truth, positive).sum())
        else:
            truth = truth[:0]
        return np.concatenate([gradient, [loss, len(label), judged, len(truth)]])

    def told(self, body: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        """Take in the model so far (`sync`), a roll-back, or vote on a block.

        Raises:
            Refusal: it is malformed, or about a model that this member was not told.
        """
        with self._lock:
            try:
                match body.get("do"):
                    case "sync":
                        self._synchronise(body, arrays)
                    case "vote":
                        return {"accept": self._vote(body.get("from"))}, {}
                    case "rollback":
                        self._rollback(body.get("to"))
                    case _:
                        raise not_asked(body)
            except InputError as error:
                raise _wrong(str(error)) from error
            return {"ready": True, "rounds": self._last}, {}

    def _synchronise(self, body: Mapping[str, Any], arrays: Arrays) -> None:
        done, begin, scaling = body.get("done"), body.get("from"), arrays.get("scaling")
        if (
            type(done) is not int
            or type(begin) is not int
            or not 0 <= begin <= done <= self._work.model.rounds
        ):
            raise InputError("a model so far has a number of rounds, and those of the last vote before it")
        inputs = self._inputs.scaling(scaling).inputs
        network = self._work.network(inputs)
        if scaling is None:
            raise InputError("scaling: six numbers for each feature")
        self._models = {
            begin: (_weights(arrays.get("before"), network), scaling),
            done: (_weights(arrays.get("weights"), network), scaling),
        }
        self._last = done
        self._draw(done, network, self._models[done][0], scaling)

    def _draw(
        self, done: int, network: Network, weights: NDArray[np.float64], scaling: NDArray[Any] | None
    ) -> None:
        """A point more of the member's own curve: the model after so many rounds."""
        held, truth = self._inputs.holdout(scaling)
        some, positive = spread(len(truth)), self._work.model.weights.positive
        held, truth = held[some], truth[some]

        def summed() -> float:
            return float(losses(network.logits(weights.astype(np.float32), held), truth, positive).sum())

        self._curve.note(done, truth, positive, summed)

    def _rollback(self, to: object) -> None:
        if type(to) is not int or not 0 <= to <= self._last:
            raise InputError("a roll-back goes to a round that was there")
        self._models = {done: model for done, model in self._models.items() if done <= to}
        self._last = to

    def _vote(self, begin: object) -> bool:
        if type(begin) is not int or begin not in self._models or self._last not in self._models:
            raise InputError("this member was not told the model before the block, or after it")
        means, blind = [], None
        for done in (begin, self._last):
            weights, scaling = self._models[done]
            held, truth = self._inputs.holdout(scaling)
            if not len(truth):
                return True
            positive = self._work.model.weights.positive
            blind = blind_loss(truth, positive)
            network = self._work.network(held.shape[1])
            weight = np.where(truth == 1, positive, 1.0).sum()
            means.append(float(losses(network.logits(weights, held), truth, positive).sum() / weight))
        return ballot(self._work.plan, means[0], means[1], blind)


def _newton_sums(
    weights: NDArray[np.float64], inputs: NDArray[np.float32], label: NDArray[np.uint8], positive: float
) -> NDArray[np.float64]:
    """Gradient, upper triangle of the Hessian, loss, rows: in doubles."""
    size = len(weights)
    gradient, hessian, loss = np.zeros(size), np.zeros((size, size)), 0.0
    for k in range(0, len(label), _CHUNK):
        rows = np.ones((len(label[k : k + _CHUNK]), size))
        rows[:, :-1] = inputs[k : k + _CHUNK]
        truth = label[k : k + _CHUNK]
        logits = rows @ weights
        p = sigmoid(logits)
        weight = np.where(truth == 1, positive, 1.0)
        gradient += rows.T @ (weight * (p - truth))
        hessian += rows.T @ (rows * (weight * p * (1 - p))[:, None])
        loss += float(losses(np.clip(logits, -1e3, 1e3), truth, positive).sum())
    return np.concatenate([gradient, hessian[np.triu_indices(size)], [loss, len(label)]])


def _weights(given: object, network: Network) -> NDArray[np.float64]:
    if (
        not isinstance(given, np.ndarray)
        or given.dtype != np.float64
        or given.shape != (network.length,)
        or not np.isfinite(given).all()
    ):
        raise InputError(f"weights: {network.length} finite numbers")
    return np.array(given)


def _wrong(message: str) -> Refusal:
    return Refusal(
        "LEARNING_OUT_OF_TURN",
        message,
        rule="model",
        remedy="a server of the same version and plan asks for nothing else",
    )
