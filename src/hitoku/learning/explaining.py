# SPDX-License-Identifier: Apache-2.0
"""A `Summer` that tells the members why a set is another than the one before, and what they have missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hitoku.errors import Refusal
from hitoku.learning.base import Arrays, Instruction, Session, Summer, TooFewMembers, Total
from hitoku.learning.checkpoints import State
from hitoku.learning.plan import Plan

__all__ = ["Explaining"]


class Explaining:
    """A Summer that tells the members why a set is another than the one before."""

    def __init__(
        self,
        plan: Plan,
        summer: Summer,
        state: State,
        save: Callable[[], None],
        welcome: Callable[[], None],
    ) -> None:
        self._plan, self._inner, self._state = plan, summer, state
        self._save, self._welcome = save, welcome
        self._said: tuple[str, ...] | None = plan.members

    def forget(self) -> None:
        """A member may have been started again and know nothing: say the next set whatever it is."""
        self._said = None

    @contextmanager
    def fixed(self) -> Iterator[Session]:
        """A session, its set explained before its first sum."""
        with self._inner.fixed() as session:
            if self._explain(session.members):
                self._welcome()
            yield session

    def total(self, instruction: Instruction) -> Total:
        """One sum; tried again where members had not heard why its set is smaller.

        A sum of all rows opens over the run's first set only (`aggregate.memory`): without those who came
        later, where they are there now.
        """
        try:
            made = self._total(instruction)
        except Refusal as refusal:
            later = set(self._plan.members) - set(self._state.first) - {self._state.out}
            include = getattr(self._inner, "include", None)
            if refusal.code != "LEARNING_SAME_SUM" or not self._state.first or not later or include is None:
                raise
            for name in sorted(later):
                self._inner.exclude(name)
            try:
                return self._total(instruction)
            finally:
                for name in sorted(later):
                    include(name)
        if not self._state.first:
            self._state.first = list(made.members)
            self._save()
        return made

    def _total(self, instruction: Instruction) -> Total:
        try:
            return self._inner.total(instruction)
        except (TooFewMembers, Refusal) as error:
            if isinstance(error, Refusal) and error.code != "LEARNING_SET_UNEXPLAINED":
                raise
            answers = self._inner.tell(self._plan.model.kind, {"do": "present"})
            present = tuple(sorted(name for name in answers if name != self._state.out))
            if len(present) < self._plan.threshold:
                raise
            self._said = None
            self._explain(present)
            return self._inner.total(instruction)

    def tell(
        self, task: str, body: Mapping[str, Any], arrays: Arrays | None = None
    ) -> dict[str, tuple[dict[str, Any], Arrays]]:
        """As the summer within."""
        return self._inner.tell(task, body, arrays)

    def exclude(self, member: str) -> None:
        """As the summer within."""
        self._inner.exclude(member)

    def _explain(self, members: tuple[str, ...]) -> bool:
        """Tell the members the set, if it is another one. Whether somebody came back into it."""
        if members == self._said:
            return False
        before = set(self._plan.members if self._said is None else self._said)
        gone = before - set(members)
        body: dict[str, Any] = {"do": "set", "members": list(members)}
        if not gone:
            body["because"] = "rejoin"
        elif self._state.out in gone:
            body |= {"because": "votes", "votes": self._state.shown}
        else:
            body["because"] = "loss"
        self._inner.tell(self._plan.model.kind, body)
        self._said = members
        return bool(set(members) - before)
