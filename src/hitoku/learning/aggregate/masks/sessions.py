# SPDX-License-Identifier: Apache-2.0
"""A member's side of sessions: sums over one fixed set, of which all open or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from hitoku.errors import PeerError
from hitoku.hazmat import masks as kernel
from hitoku.learning.aggregate.instructions import (
    checked_contribution,
    from_message,
    instruction_hash,
    told_state,
)
from hitoku.learning.aggregate.masks.statements import Scope, sign_of
from hitoku.learning.aggregate.memory import Memory
from hitoku.learning.base import Task
from hitoku.ports import KeyStore

__all__ = ["SESSION_KEY", "SessionSide", "session_context"]

SESSION_KEY: Final = "session-key"
Reply = tuple[dict[str, Any], dict[str, NDArray[Any]]]


def session_context(index: int, asked: bytes) -> bytes:
    """What the masks of one sum are derived for: its index in the session, and the instruction's hash.

    Members that were told different instructions have masks that do not cancel.
    """
    return index.to_bytes(8, "big") + asked


@dataclass(slots=True)
class _Offer:
    number: int
    key: kernel.MaskKey


@dataclass(slots=True)
class _Open:
    number: int
    members: tuple[str, ...]
    terms: list[tuple[kernel.MaskSecret, int]]
    following: int = 0


class SessionSide:
    """Offers keys, fixes the set at a session's first sum, and masks.

    Keys live in memory only: after a restart no session that was open goes on.
    """

    def __init__(
        self,
        scope: Scope,
        name: str,
        keys: KeyStore,
        tasks: Mapping[str, Task],
        memory: Memory,
        threads: int | None,
    ) -> None:
        self._scope, self._name, self._keys, self._tasks = scope, name, keys, tasks
        self._memory, self._threads = memory, threads
        self._offer: _Offer | None = None
        self._open: _Open | None = None

    def offer(self, body: Mapping[str, Any]) -> Reply:
        """A fresh signed key for a session; or the least number that a session may still have.

        Raises:
            PeerError: the number is malformed.
        """
        number = body.get("session")
        self._open = None
        if not self._memory.sessions.use(number):
            return {"least": self._memory.sessions.last + 1}, {}
        key = kernel.MaskKey()
        public = key.public
        signature = self._scope.sign_keys(self._keys, SESSION_KEY, int(number or 0), self._name, public)
        self._offer = _Offer(int(number or 0), key)
        return {"session": number, "public": public.hex(), "signature": signature.hex()}, {}

    def sum(self, body: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Reply:
        """This member's masked vector for one sum of a session; the first one fixes the set.

        Raises:
            PeerError: another session, set or index than must follow; keys that were not signed.
            Refusal: the plan, the task or the rules about sets do not allow it.
        """
        number, index = body.get("session"), body.get("index")
        if index == 0 and type(index) is int:
            self._begin(number, body.get("keys"))
        session = self._open
        if session is None or session.number != number or type(index) is not int:
            raise PeerError("this member has no such session open", "NO_SESSION")
        if index != session.following:
            raise PeerError("a session's sums are answered in order, each once", "WRONG_INDEX")
        session.following = index + 1
        instruction = from_message(body.get("instruction"), arrays)
        self._memory.session(session.number, instruction, session.members)
        whole = self._memory.whole(session.members)
        values = checked_contribution(self._tasks, instruction, session.members, whole)
        asked = instruction_hash(instruction) + told_state(self._tasks, instruction)
        context = session_context(index, asked)
        masked = kernel.mask(values, session.terms, context, threads=self._threads)
        return {}, {"masked/values": masked}

    def _begin(self, number: Any, given: Any) -> None:
        offer, self._offer, self._open = self._offer, None, None
        if offer is None or type(number) is not int or offer.number != number:
            raise PeerError("this member offered no key for this session", "NO_SESSION")
        public = offer.key.public
        read, digest = self._scope.read_keys(SESSION_KEY, number, given, each=1, me=self._name, mine=public)
        info = self._scope.statement("session-pair", number=number, set=digest.hex())
        terms = [
            (offer.key.agree(peer_public, info), sign_of(self._name, peer))
            for peer, (peer_public, _) in read.items()
            if peer != self._name
        ]
        self._open = _Open(number, tuple(read), terms)
