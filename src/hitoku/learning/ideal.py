# SPDX-License-Identifier: Apache-2.0
"""Sums made where all rows are: what every protected sum must equal, and what `pooled` training runs on.

Nothing here protects anything. It is never a choice of a plan; `evaluate` uses it for the model of one member
alone and of all rows pooled, and tests and benchmarks to compare with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitoku.learning.base import Arrays, Instruction, Session, Task, Total

__all__ = ["IdealSummer"]


class IdealSummer:
    """Adds in the clear what the tasks of members in this process contribute.

    Args:
        members: every member's tasks by name.
    """

    def __init__(self, members: Mapping[str, Mapping[str, Task]]) -> None:
        self._members = {name: members[name] for name in sorted(members)}
        self.sums = 0
        """How many sums were made."""

    @property
    def members(self) -> tuple[str, ...]:
        """The set, sorted by name."""
        return tuple(self._members)

    @contextmanager
    def fixed(self) -> Iterator[Session]:
        """A session over all members."""
        yield self

    def sum(self, instruction: Instruction) -> NDArray[np.int64]:
        """The sum over all members.

        Raises:
            ValueError: a contribution has another shape, or is outside its bound.
        """
        self.sums += 1
        total = np.zeros(instruction.length, np.int64)
        for tasks in self._members.values():
            made = tasks[instruction.task].contribute(instruction, self.members)
            if made.shape != total.shape or made.dtype != np.int64:
                raise ValueError("a contribution has another shape or type")
            if len(made) and max(-int(made.min()), int(made.max())) > instruction.bound:
                raise ValueError("a contribution is outside its bound")
            total += made
        return total

    def total(self, instruction: Instruction) -> Total:
        """One sum by itself."""
        return Total(self.sum(instruction), self.members)

    def tell(
        self, task: str, body: Mapping[str, Any], arrays: Arrays | None = None
    ) -> dict[str, tuple[dict[str, Any], Arrays]]:
        """Say something to all members."""
        return {name: tasks[task].told(body, arrays or {}) for name, tasks in self._members.items()}

    def exclude(self, member: str) -> None:
        """Leave a member out from now on."""
        del self._members[member]
