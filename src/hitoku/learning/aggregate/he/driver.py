# SPDX-License-Identifier: Apache-2.0
"""The `Summer` of a driver that runs at the leader: what it asks goes sealed through the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import PeerError
from hitoku.learning.aggregate.he.sealing import Group, opened, sealed
from hitoku.learning.aggregate.he.sums import Asked, Mode, ask, finish
from hitoku.learning.base import Arrays, Instruction, Session, SessionLost, TooFewMembers, Total
from hitoku.learning.channel import refusal_from
from hitoku.learning.wire import pack, unpack

if TYPE_CHECKING:
    from hitoku.learning.aggregate.he.member import HeMember

__all__ = ["HeDriver"]


class HeDriver:
    """Opens sums of members' vectors at the leader. One thread uses it: the one that `HeMember.lead` starts.

    Args:
        member: the leader.
    """

    def __init__(self, member: HeMember) -> None:
        self._member, self._desk = member, member.desk
        self._excluded: set[str] = set()
        self._session = 0
        # A set that a driver before this one had, in a process that is gone, has no keys here.
        self._fresh = True

    def exclude(self, member: str) -> None:
        """Leave a member out of every later set. The leader cannot be left out.

        Raises:
            PeerError: it is the leader.
        """
        if member == self._member.name:
            raise PeerError("the leader of a run cannot be left out of it", "WRONG_MEMBER")
        self._excluded.add(member)

    def include(self, member: str) -> None:
        """Take a member in again that `exclude` left out."""
        self._excluded.discard(member)

    @property
    def members(self) -> tuple[str, ...]:
        """The set whose keys are in use, sorted by name; empty before the first one."""
        group = self._member.group
        return () if group is None else group.members

    # --- the set ---

    def _opened(self) -> Group:
        """All members that answer now, with keys: those in use if nobody came or went."""
        answer, _ = self._desk.call({"do": "open", "excluded": sorted(self._excluded), "fresh": self._fresh})
        if answer.get("few") is not None:
            self._raise_refused(answer)
            few = answer["few"] if isinstance(answer["few"], list) else []
            raise TooFewMembers(
                f"{len(few)} of {len(self._member.plan.members)} members answer, the plan needs "
                f"{self._member.plan.threshold}: nothing was opened"
            )
        group = self._member.group
        if group is None or group.joint is None or answer.get("set") != group.number:
            raise PeerError("the server names another set than the one that was agreed on", "WRONG_SET")
        if self._excluded & set(group.members):
            raise PeerError("the server took in a member that was left out", "WRONG_SET")
        self._fresh = False
        return group

    def _raise_refused(self, answer: Mapping[str, Any]) -> None:
        refused = answer.get("refused")
        if isinstance(refused, dict):
            raise refusal_from(refused)

    def _current(self) -> Group:
        group = self._member.group
        if self._fresh or group is None or group.joint is None or self._excluded & set(group.members):
            return self._opened()
        return group

    # --- sums ---

    @contextmanager
    def fixed(self) -> Iterator[Session]:
        """A session over all members that answer now.

        Raises:
            TooFewMembers: fewer than the plan's threshold answer.
        """
        group = self._opened()
        yield _Fixed(self, group, self._next_session())

    def _next_session(self) -> int:
        self._session += 1
        return self._session

    def summed(self, group: Group, mode: Mode, session: int, instruction: Instruction) -> NDArray[np.int64]:
        """One sum over a set; `_Fixed.sum` has the words."""
        if self._member.group is not group:
            raise SessionLost(group.members)
        asked = Asked(mode, session, instruction)
        shape = asked.shape(group.members)
        number = self._desk.number()
        box = sealed(group.message_key("sum", number), ask(asked))
        wish = {
            "do": "sum",
            "set": group.number,
            "members": list(group.members),
            "bound": instruction.bound,
            "length": shape.length,
        }
        answer, arrays = self._desk.call(wish, {"sealed/instruction": box})
        lost = answer.get("lost")
        if lost is not None:
            self._raise_refused(answer)
            self._fresh = True
            named = [name for name in group.members if isinstance(lost, list) and name in lost]
            raise SessionLost(named or group.members)
        return finish(group, number, arrays, self._member.memory, self._member.threads)

    def total(self, instruction: Instruction) -> Total:
        """One sum by itself: of a set in which nobody was lost before the sum opened.

        Raises:
            TooFewMembers: fewer than the threshold are left; nothing was opened.
            Refusal: a member refused, also because it gave its part over another set before.
        """
        while True:
            group = self._current()
            try:
                values = self.summed(group, "round", self._next_session(), instruction)
            except SessionLost:
                continue
            return Total(values, group.members)

    # --- words ---

    def tell(
        self, task: str, body: Mapping[str, Any], arrays: Arrays | None = None
    ) -> dict[str, tuple[dict[str, Any], Arrays]]:
        """Say something to all members and hear what each answers, sealed; see `Summer.tell`."""
        group = self._current()
        number = self._desk.number()
        content = pack({"task": task, "body": dict(body)}, arrays or {})
        box = sealed(group.message_key("tell", number), content)
        answer, came = self._desk.call(
            {"do": "tell", "set": group.number, "members": list(group.peers)}, {"sealed/said": box}
        )
        heard: dict[str, tuple[dict[str, Any], Arrays]] = {}
        names = answer.get("said")
        for place, name in enumerate(names if isinstance(names, list) else []):
            if name not in group.peers:
                continue
            try:
                key = group.pair_key(name, "told", number, name)
                header, made = unpack(opened(key, came.get(f"sealed/{place}")))
            except PeerError:
                continue
            if isinstance(header.get("body"), dict):
                heard[name] = (header["body"], made)
        # What the leader itself answers never leaves it; packed so that it is what others would send.
        said, values = unpack(content)
        own = self._member.tasks[task].told(said["body"], values)
        header, made = unpack(pack({"body": own[0]}, own[1]))
        heard[self._member.name] = (header["body"], made)
        return {name: heard[name] for name in sorted(heard)}


class _Fixed:
    def __init__(self, driver: HeDriver, group: Group, session: int) -> None:
        self._driver, self._group, self._session = driver, group, session

    @property
    def members(self) -> tuple[str, ...]:
        """The set, sorted by name."""
        return self._group.members

    def sum(self, instruction: Instruction) -> NDArray[np.int64]:
        """The sum over the whole set.

        Raises:
            SessionLost: a member is gone; no later sum of this session opens either.
            Refusal: a member refused.
            PeerError: what the server showed is not the sum.
        """
        return self._driver.summed(self._group, "session", self._session, instruction)
