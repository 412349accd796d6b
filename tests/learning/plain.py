# SPDX-License-Identifier: Apache-2.0
"""Sums in the clear over the same messages: the baseline that the cost of masks is measured against.

It protects nothing and is therefore not part of the package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import PeerError
from hitoku.learning.aggregate.instructions import checked_contribution, from_message, to_message
from hitoku.learning.base import Arrays, Instruction, Session, SessionLost, Task, Total
from hitoku.learning.channel import Channel

__all__ = ["PlainMember", "PlainSummer"]


class PlainMember:
    """Answers with what its tasks contribute, as it is."""

    def __init__(self, members: tuple[str, ...], tasks: Mapping[str, Task]) -> None:
        self._members, self._tasks = members, tasks

    def answer(self, kind: str, body: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        if kind == "plain.tell":
            return self._tasks[body["task"]].told(body["body"], arrays)
        if kind != "plain.sum":
            raise PeerError("there is no such kind of request", "NO_SUCH_KIND")
        instruction = from_message(body["instruction"], arrays)
        return {}, {"values": checked_contribution(self._tasks, instruction, self._members)}


class PlainSummer:
    """Adds what the plan's members send in the clear. All must answer."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def members(self) -> tuple[str, ...]:
        return self._channel.plan.members

    @contextmanager
    def fixed(self) -> Iterator[Session]:
        yield self

    def sum(self, instruction: Instruction) -> NDArray[np.int64]:
        data, arrays = to_message(instruction)
        message = ({"instruction": data}, arrays)
        replies = self._channel.ask("plain.sum", dict.fromkeys(self.members, message))
        if len(replies) < len(self.members):
            raise SessionLost(sorted(set(self.members) - set(replies)))
        total = np.zeros(instruction.length, np.int64)
        for _, vectors in replies.values():
            total += vectors["values"]
        return total

    def total(self, instruction: Instruction) -> Total:
        return Total(self.sum(instruction), self.members)

    def tell(
        self, task: str, body: Mapping[str, Any], arrays: Arrays | None = None
    ) -> dict[str, tuple[dict[str, Any], Arrays]]:
        message = ({"task": task, "body": body}, arrays or {})
        replies = self._channel.ask("plain.tell", dict.fromkeys(self.members, message))
        return {name: (said, vectors) for name, (said, vectors) in replies.items()}

    def exclude(self, member: str) -> None:
        raise AssertionError
