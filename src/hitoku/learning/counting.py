# SPDX-License-Identifier: Apache-2.0
"""Counters in the course of a run: summed first, and the model's task made when their sums have come."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import Refusal
from hitoku.learning.base import Arrays, Instruction, Rows, Summer, Task
from hitoku.learning.counters import TASK, CounterTask, count, instructions
from hitoku.learning.plan import Plan

__all__ = ["Counted", "SummedCounters"]


class SummedCounters:
    """The driver's side; see `hitoku.learning.driver.Counting`."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def count(self, summer: Summer) -> dict[str, NDArray[Any]]:
        """Open the sums and tell them to all members; shape (days, entities, 2) by column."""
        return {column: sums.values for column, sums in count(summer, self._plan).items()}

    def tell(self, summer: Summer, sums: Mapping[str, NDArray[Any]]) -> None:
        """Tell them again: a member that was started again has forgotten them."""
        begun: dict[int, int] = {}
        for instruction in instructions(self._plan.data):
            body = dict(instruction.body)
            place, days = body["counter"], body["days"]
            done = begun.get(place, 0)
            block = sums[self._plan.data.counters[place].column][done : done + days]
            begun[place] = done + days
            summer.tell(TASK, {**body, "do": "sums"}, {"sums": np.ascontiguousarray(block).reshape(-1)})


class Counted:
    """A member's side: its counters, and its model's task over rows with the counters' features.

    Args:
        plan: the signed plan, with counters.
        rows: the member's rows without those features.
        make: makes the model's task.
    """

    def __init__(self, plan: Plan, rows: Rows, make: Callable[[Rows], Task]) -> None:
        self.counters = CounterTask(plan, rows)
        self.model: Task = _Later(self.counters, make)


class _Later:
    """A task that is there once the counters' sums are."""

    def __init__(self, counters: CounterTask, make: Callable[[Rows], Task]) -> None:
        self._counters, self._make = counters, make
        self._made: Task | None = None
        self._sums = b""

    def told_state(self) -> bytes:
        """The sums that the rows' features were made of, and what the model's task was told."""
        state = getattr(self._made, "told_state", None)
        return hashlib.sha256(self._sums + (b"" if state is None else state())).digest()

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        """As the model's task.

        Raises:
            Refusal: also ``LEARNING_NOT_READY``, before the sums have come.
        """
        return self._task().contribute(instruction, members)

    def told(self, body: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        """As the model's task.

        Raises:
            Refusal: also ``LEARNING_NOT_READY``, before the sums have come.
        """
        return self._task().told(body, arrays)

    def _task(self) -> Task:
        if self._made is None:
            if not self._counters.complete:
                raise Refusal(
                    "LEARNING_NOT_READY",
                    "this member has not been told the counters' sums",
                    rule="data.counters",
                    remedy="tell them, then go on",
                )
            sums = sorted(self._counters.sums.items())
            self._sums = b"".join(hashlib.sha256(one.values.tobytes()).digest() for _, one in sums)
            self._made = self._make(self._counters.extended())
        return self._made
