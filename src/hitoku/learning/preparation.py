# SPDX-License-Identifier: Apache-2.0
"""What linear models and networks need before their first step: one scale for all inputs, from two sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import Refusal
from hitoku.learning.averaging import FreshRows, not_asked
from hitoku.learning.base import Instruction, Rows, Summer
from hitoku.learning.plan import Feature, Plan
from hitoku.learning.privacy import Meter, Noise, Schedule
from hitoku.learning.scaling import BUCKETS, ONE, Scaling, buckets, finished, moments, scaling_of

__all__ = ["Inputs", "Prepared", "inputs_of", "prepare"]

TRAINING: Final = 0
HOLDOUT: Final = 1
_NOISED: Final = "rounds-noised-sums.json"
_FIRST: Final = "rounds-first-set.json"


def inputs_of(plan: Plan) -> tuple[Feature, ...]:
    """A model's inputs in order: the plan's features, then those that its counters make."""
    return plan.data.inputs


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the driver knows after the preparation.

    Attributes:
        scaling: of the inputs.
        rows: how many training rows there are; with privacy a noised number.
        positive: the fraction of them with label 1, likewise.
    """

    scaling: Scaling
    rows: float
    positive: float

    @classmethod
    def restored(cls, data: Mapping[str, Any], features: int) -> Prepared:
        """From a checkpoint's `scaling` (an array), `rows` and `positive`."""
        return cls(Scaling.of(data["scaling"], features), float(data["rows"]), float(data["positive"]))


def _counts_noise(schedule: Schedule, width: int) -> Noise:
    # A row lies in one bucket of each feature.
    return schedule.noise("quantiles", width)


def _moments_noise(schedule: Schedule, width: int) -> Noise:
    # A row adds a value and a square of at most ONE for each feature, 1 row and perhaps 1 positive one.
    return schedule.noise("moments", (2 * width + 2) * ONE * ONE)


def prepare(plan: Plan, summer: Summer, task: str) -> Prepared:
    """Two sums: counts in buckets, then values and squares.

    Raises:
        TooFewMembers: a sum did not open.
    """
    features = plan.data.inputs
    width = len(features)
    first = _counts_instruction(plan, task, width)
    counts = summer.total(first)
    spread = 0.0
    if plan.privacy is not None:
        spread = _counts_noise(Schedule(plan), width).scale * len(counts.members) ** 0.5
    scaling = scaling_of(counts.values, features, spread)
    sums = summer.total(_moments_instruction(plan, task, scaling))
    return Prepared(*finished(scaling, counts.values, sums.values))


def _counts_instruction(plan: Plan, task: str, width: int) -> Instruction:
    bound = plan.data.rows
    if plan.privacy is not None:
        bound += _counts_noise(Schedule(plan), width).most
    return Instruction(task, {"do": "counts"}, width * BUCKETS, bound)


def _moments_instruction(plan: Plan, task: str, scaling: Scaling) -> Instruction:
    width = len(scaling.low)
    bound = plan.data.rows * ONE
    if plan.privacy is not None:
        bound += _moments_noise(Schedule(plan), width).most
    return Instruction(task, {"do": "moments"}, 2 * width + 2, bound, scaling.arrays())


class Inputs:
    """A member's rows for linear models and networks, and its part of the preparation.

    Args:
        plan: what this member signed.
        rows: this member's; more than the plan says are refused.
        state: a folder for what must outlive a restart: the count of noised sums, the first set of members.
            None: in memory.
    """

    def __init__(self, plan: Plan, rows: Rows, state: Path | None = None) -> None:
        if len(rows.label) > plan.data.rows:
            raise Refusal("LEARNING_ROWS", f"more rows than the plan's {plan.data.rows}", rule="data.rows")
        self.plan = plan
        self._rows = rows
        self._training = np.flatnonzero(rows.part == TRAINING)
        self._holdout = np.flatnonzero(rows.part == HOLDOUT)
        noised, first = (None, None) if state is None else (state / _NOISED, state / _FIRST)
        self.meter = None if plan.privacy is None else Meter(plan, noised)
        self._made: tuple[bytes, NDArray[np.float32], NDArray[np.float32]] | None = None
        self.fresh = FreshRows(len(self._training), first)
        self.fresh_holdout = FreshRows(len(self._holdout), first)
        self.label: NDArray[np.uint8] = rows.label[self._training]
        """Of the training rows."""

    @property
    def width(self) -> int:
        """How many features there are."""
        return int(self._rows.features.shape[1])

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        """This member's part of a sum of the preparation.

        It is of all rows; that it opens over one set only is for the member's memory to see to
        (`aggregate.memory`).

        Raises:
            Refusal: it is none of the plan's.
        """
        del members
        width = self.width
        if instruction.body == {"do": "counts"}:
            asked = _counts_instruction(self.plan, instruction.task, width)
        elif instruction.body == {"do": "moments"}:
            scaling = Scaling.of(instruction.arrays.get("scaling"), width)
            asked = _moments_instruction(self.plan, instruction.task, scaling)
        else:
            raise not_asked(instruction)
        if (asked.length, asked.bound) != (instruction.length, instruction.bound):
            raise not_asked(instruction)
        if instruction.body["do"] == "counts":
            return self._noised("quantiles", buckets(self._rows.features[self._training]))
        made = moments(self._rows.features[self._training], self.label, scaling)
        return self._noised("moments", made)

    def _noised(self, part: str, values: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.meter is None:
            return values
        self.meter.take(part)
        which = _counts_noise if part == "quantiles" else _moments_noise
        return which(self.meter.schedule, self.width).add(values)

    def scaling(self, given: object) -> Scaling:
        """An instruction's scaling, checked.

        Raises:
            InputError: it is none.
        """
        return Scaling.of(given, self.width)

    def training(self, scaling: object) -> NDArray[np.float32]:
        """The training rows' inputs, shape (rows, inputs); made once for a scaling.

        Args:
            scaling: the instruction's array.
        """
        return self._scaled(scaling)[1]

    def holdout(self, scaling: object) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """The holdout rows' inputs and labels."""
        return self._scaled(scaling)[2], self._rows.label[self._holdout]

    def _scaled(self, given: object) -> tuple[bytes, NDArray[np.float32], NDArray[np.float32]]:
        scaling = self.scaling(given)
        key = scaling.arrays()["scaling"].tobytes()
        if self._made is None or self._made[0] != key:
            features = self._rows.features
            held = scaling.apply(features[self._holdout])
            self._made = (key, scaling.apply(features[self._training]), held)
        return self._made
