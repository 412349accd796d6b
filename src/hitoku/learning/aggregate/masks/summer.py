# SPDX-License-Identifier: Apache-2.0
"""The server's side of `masks`: relays signed keys, adds what it cannot read, opens sums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import PeerError, Refusal
from hitoku.learning.aggregate.instructions import instruction_hash, to_message
from hitoku.learning.aggregate.masks.opening import Opening
from hitoku.learning.aggregate.masks.rounds import ROUND_KEYS
from hitoku.learning.aggregate.masks.sessions import SESSION_KEY
from hitoku.learning.aggregate.masks.statements import Scope
from hitoku.learning.aggregate.memory import SHRANK
from hitoku.learning.base import Arrays, Instruction, Session, SessionLost, TooFewMembers, Total
from hitoku.learning.channel import Channel
from hitoku.learning.plan import Plan

__all__ = ["MasksSummer"]

_VALUES: Final = "masked/values"
_MOST_AHEAD: Final = 1 << 32
"""So far ahead a member may say that numbers have gone: one that lies shall not use them all up."""
_Replies = dict[str, tuple[dict[str, Any], dict[str, NDArray[Any]]]]


class MasksSummer:
    """Opens sums of members' vectors at the server.

    Args:
        channel: to the members.
        plan: the signed plan.
        run: the run's id.
        threads: for masks; every core by default.
    """

    def __init__(self, channel: Channel, plan: Plan, run: str, threads: int | None = None) -> None:
        self._channel, self._plan, self._threads = channel, plan, threads
        self._scope = Scope(plan, run, channel.publics)
        self._excluded: set[str] = set()
        self._sessions = 0
        self._rounds = 0
        self._left: set[str] = set()
        """Who was lost in the last single sum after keys were shared."""
        self._kept: _FixedSession | None = None
        """The last session, if nobody was lost in it: its keys and set go on for the next one."""

    @property
    def members(self) -> tuple[str, ...]:
        """Who would be asked now, sorted by name."""
        return tuple(name for name in self._channel.members if name not in self._excluded)

    def exclude(self, member: str) -> None:
        """Leave a member out of every later set."""
        self._excluded.add(member)

    def include(self, member: str) -> None:
        """Take a member in again that `exclude` left out."""
        self._excluded.discard(member)

    def tell(
        self, task: str, body: Mapping[str, Any], arrays: Arrays | None = None
    ) -> dict[str, tuple[dict[str, Any], Arrays]]:
        """Say something to all members and hear what each answers in the open; see `Summer.tell`."""
        message = ({"task": task, "body": body}, arrays or {})
        replies = self._channel.ask("masks.tell", dict.fromkeys(self.members, message))
        return {name: (said, values) for name, (said, values) in replies.items()}

    # --- sessions ---

    @contextmanager
    def fixed(self) -> Iterator[Session]:
        """A session over all members that answer now.

        Raises:
            TooFewMembers: fewer than the plan's threshold answer.
        """
        kept, self._kept = self._kept, None
        if kept is None or kept.members != self.members:
            number, keys = self._keys("masks.keys", "session", self._sessions + 1, 1)
            self._sessions = number
            self._enough(keys, "masks.keys")
            kept = _FixedSession(self, number, keys)
        yield kept
        if kept.whole:
            self._kept = kept

    def session_sum(
        self, number: int, index: int, keys: Mapping[str, tuple[bytes, bytes]], instruction: Instruction
    ) -> NDArray[np.int64]:
        """One sum of a session; `_FixedSession.sum` has the words."""
        data, arrays = to_message(instruction)
        body: dict[str, Any] = {"session": number, "index": index, "instruction": data}
        if index == 0:
            body["keys"] = _listed(keys)
        refused = len(self._channel.refusals)
        replies = self._channel.ask("masks.sum", dict.fromkeys(keys, (body, arrays)))
        self._fit(replies, instruction.length)
        lost = set(keys) - set(replies)
        if lost:
            self._refused(refused)
            raise SessionLost(sorted(lost))
        total = _added(replies, instruction.length)
        members = tuple(keys)
        opened = self._checked(total, instruction, members)
        if self._channel.transcript is not None:
            what = {"session": number, "index": index, "members": members}
            self._channel.transcript.opened("masks.sum", what, opened)
        return opened

    # --- single sums ---

    def total(self, instruction: Instruction) -> Total:
        """One sum by itself, exact over those that stayed until the masked vectors were in.

        Raises:
            TooFewMembers: fewer than the threshold stayed; nothing was opened.
            Refusal: so many members refused that too few are left.
            PeerError: what opened is not a sum of vectors within their bound.
        """
        without: set[str] = set()
        while True:
            try:
                return self._total(instruction, without)
            except Refusal as refusal:
                # Members let no sum open without a member whose rows are in other sums (`memory`): the next
                # try is among those who are left, on rows that are drawn for them.
                if refusal.code != SHRANK or not self._left - without:
                    raise
                without |= self._left

    def _total(self, instruction: Instruction, without: set[str]) -> Total:
        self._left = set()
        refused = len(self._channel.refusals)
        number, known = self._keys("masks.advertise", "round", self._rounds + 1, 2)
        known = {name: keys for name, keys in known.items() if name not in without}
        self._rounds = number
        self._enough(known, "masks.advertise", refused)
        opening = Opening(self._scope, number, known, instruction_hash(instruction), self._threads)

        shared = self._ask(
            "masks.share", dict.fromkeys(known, ({"round": number, "keys": _listed(known)}, {}))
        )
        sealed = opening.shared(shared)
        self._enough(sealed, "masks.share", refused)

        data, arrays = to_message(instruction)
        body = {"round": number, "sharing": list(opening.sharing), "instruction": data}
        masked = self._ask(
            "masks.masked", {name: (body, {**arrays, "sealed/shares": rows}) for name, rows in sealed.items()}
        )
        self._fit(masked, instruction.length)
        opening.told = _most_told(masked)
        self._enough(masked, "masks.masked", refused)
        opening.members = tuple(sorted(masked))
        self._left = set(opening.sharing) - set(opening.members)
        total = _added(masked, instruction.length)
        del masked

        agree: Mapping[str, Any] = {"round": number, "members": list(opening.members)}
        agreed = opening.agreed(self._ask("masks.consistent", dict.fromkeys(opening.members, (agree, {}))))
        self._enough(agreed, "masks.consistent", refused)

        names = {name: signature.hex() for name, signature in agreed.items()}
        shares = self._ask(
            "masks.unmask", dict.fromkeys(agreed, ({"round": number, "signatures": names}, {}))
        )
        held = opening.shares(shares)
        self._enough(held, "masks.unmask", refused)
        opening.unmask(total, held)
        values = self._checked(total, instruction, opening.members)
        if self._channel.transcript is not None:
            what = {"round": number, "members": opening.members}
            self._channel.transcript.opened("masks.total", what, values)
        return Total(values, opening.members)

    # --- both ---

    def _ask(self, kind: str, requests: Mapping[str, tuple[Mapping[str, Any], Arrays]]) -> _Replies:
        return self._channel.ask(kind, requests)

    def _keys(
        self, kind: str, what: str, number: int, each: int
    ) -> tuple[int, dict[str, tuple[bytes, bytes]]]:
        """Fresh signed keys of all who answer; members that were in later sessions say so, once."""
        domain = SESSION_KEY if what == "session" else ROUND_KEYS
        keys: dict[str, tuple[bytes, bytes]] = {}
        for last in (False, True):
            replies = self._ask(kind, dict.fromkeys(self.members, ({what: number}, {})))
            least = [said["least"] for said, _ in replies.values() if type(said.get("least")) is int]
            keys = self._valid(
                {name: said for name, (said, _) in replies.items()}, domain, what, number, each
            )
            if last or not least:
                break
            number = max(number, min(max(least), number + _MOST_AHEAD))
        return number, keys

    def _valid(
        self, offers: Mapping[str, Any], domain: str, what: str, number: int, each: int
    ) -> dict[str, tuple[bytes, bytes]]:
        """The keys that their members signed; a member whose keys are not in order is left out."""
        keys = {}
        for name, said in offers.items():
            try:
                public, signature = bytes.fromhex(said["public"]), bytes.fromhex(said["signature"])
            except (KeyError, TypeError, ValueError):
                continue
            fits = said.get(what) == number and len(public) == each * 32
            if fits and self._scope.valid_keys(domain, number, name, public, signature):
                keys[name] = (public, signature)
        return keys

    def _enough(self, have: Mapping[str, Any], kind: str, refused: int | None = None) -> None:
        if len(have) >= self._plan.threshold:
            return
        if refused is not None:
            self._refused(refused)
        raise TooFewMembers(
            f"{len(have)} of {len(self._plan.members)} members are left at {kind}, the plan needs "
            f"{self._plan.threshold}: nothing was opened"
        )

    def _refused(self, before: int) -> None:
        """A member that refuses says why the run cannot go on: its own words, not that it was lost."""
        if len(self._channel.refusals) > before:
            raise self._channel.refusals[before][2]

    def _fit(self, replies: _Replies, length: int) -> None:
        for name in tuple(replies):
            values = replies[name][1].get(_VALUES)
            if values is None or values.dtype != np.uint64 or values.shape != (length,):
                del replies[name]

    def _checked(
        self, total: NDArray[np.uint64], instruction: Instruction, members: tuple[str, ...]
    ) -> NDArray[np.int64]:
        values = total.view(np.int64)
        bound = len(members) * instruction.bound
        if len(values) and not (-bound <= int(values.min()) and int(values.max()) <= bound):
            raise PeerError(
                "what opened is no sum of vectors within their bound: a member sent something else, or "
                "members were told different things",
                "NO_SUM",
            )
        return values


class _FixedSession:
    def __init__(self, summer: MasksSummer, number: int, keys: Mapping[str, tuple[bytes, bytes]]) -> None:
        self._summer, self._number = summer, number
        self._keys = {name: keys[name] for name in sorted(keys)}
        self._index = 0
        self.whole = True
        """Whether every sum so far opened."""

    @property
    def members(self) -> tuple[str, ...]:
        """The set, sorted by name."""
        return tuple(self._keys)

    def sum(self, instruction: Instruction) -> NDArray[np.int64]:
        """The sum over the whole set.

        Raises:
            SessionLost: a member is gone; no later sum of this session opens either.
            Refusal: a member refused.
            PeerError: what opened is not a sum of vectors within their bound.
        """
        index, self._index = self._index, self._index + 1
        whole, self.whole = self.whole, False
        values = self._summer.session_sum(self._number, index, self._keys, instruction)
        self.whole = whole
        return values


def _listed(keys: Mapping[str, tuple[bytes, bytes]]) -> dict[str, list[str]]:
    return {name: [public.hex(), signature.hex()] for name, (public, signature) in keys.items()}


def _most_told(replies: _Replies) -> bytes:
    """What most members say they were told; masks of the others do not cancel: they are left out."""
    said = {name: str(body.get("told", "")) for name, (body, _) in replies.items()}
    most = max(sorted(set(said.values())), key=list(said.values()).count, default="")
    for name, told in said.items():
        if told != most:
            del replies[name]
    try:
        return bytes.fromhex(most)
    except ValueError:
        return b""


def _added(replies: _Replies, length: int) -> NDArray[np.uint64]:
    """The sum modulo 2^64."""
    total = np.zeros(length, np.uint64)
    for _, arrays in replies.values():
        np.add(total, arrays[_VALUES], out=total)
    return total
