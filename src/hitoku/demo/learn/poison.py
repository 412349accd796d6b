# SPDX-License-Identifier: Apache-2.0
"""A bank that wants the joint model to be wrong: its program, not the protocol, was changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.learning import bank
from hitoku.learning.base import Arrays, Instruction, Rows, Task
from hitoku.learning.plan import Plan

__all__ = ["FACTOR", "Poison", "change_program"]

FACTOR: Final = 100


class Poison:
    """A task of boosting whose gradients have the wrong sign and a hundred times their size.

    Args:
        task: the honest one.
    """

    def __init__(self, task: Task) -> None:
        self._task = task

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        """The opposite of what the rows say, as far as the bound goes that all banks' numbers have."""
        values = self._task.contribute(instruction, members)
        if instruction.body.get("do") != "grow":
            return values
        pairs = values.reshape(-1, 2).copy()
        pairs[:, 0] *= -FACTOR
        return np.clip(pairs, -instruction.bound, instruction.bound).reshape(-1)

    def told_state(self) -> bytes:
        """As the task: else its masks would cancel with nobody's."""
        state = getattr(self._task, "told_state", None)
        return b"" if state is None else bytes(state())

    def told(self, body: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        """As an honest bank."""
        return self._task.told(body, arrays)


def change_program() -> None:
    """From here on, every bank of this process poisons its model's sums."""
    honest = bank.make_tasks

    def changed(plan: Plan, rows: Rows, state: Path | None = None) -> dict[str, Task]:
        tasks = honest(plan, rows, state)
        return {**tasks, plan.model.kind: Poison(tasks[plan.model.kind])}

    bank.make_tasks = changed
