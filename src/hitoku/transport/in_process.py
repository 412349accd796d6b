# SPDX-License-Identifier: Apache-2.0
"""Members of one room in one process: for a first look, notebooks and tests.

Each member is a handler of its own; what goes between two of them is encoded to bytes and decoded again,
bounded and validated as if it had come over a network, and errors cross as little as they would there.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hitoku import limits
from hitoku.errors import Change, EngineError, HitokuError, PeerError, Refusal, Span
from hitoku.transport.messages import Failed, Refused, decode, encode, read

if TYPE_CHECKING:
    from hitoku.transport.parcels import Shelf
    from hitoku.transport.sealed import SealingParcels

__all__ = ["Handler", "InProcessNetwork", "InProcessPeers", "told"]

Handler = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Takes the sender's name, which the transport vouches for, and a message; returns the answer."""


class InProcessNetwork:
    """Who can be reached in this process."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._shelves: dict[str, Shelf] = {}

    def join(self, member: str, handler: Handler) -> InProcessPeers:
        """Make a member reachable. Returns its own way to the others.

        Raises:
            ValueError: the name is taken.
        """
        if member in self._handlers:
            raise ValueError(f"{member!r} is there already")
        self._handlers[member] = handler
        return InProcessPeers(self, member)

    def parcels(self, member: str, shelf: Shelf) -> SealingParcels:
        """Let the others take what is on a member's shelf. Returns its way to what they have on theirs."""
        from hitoku.transport.parcels import LocalParcels

        self._shelves[member] = shelf
        return LocalParcels(member, self._shelves)

    def carry(self, sender: str, receiver: str, content: bytes) -> bytes:
        """Deliver the bytes of a message. Returns the bytes of the answer.

        Raises:
            PeerError: nobody of that name is here.
        """
        handler = self._handlers.get(receiver)
        if handler is None:
            raise PeerError(f"{receiver!r} cannot be reached from here")
        try:
            return encode(handler(sender, decode(content, sender)))
        except HitokuError as error:
            return encode(told(error))
        except Exception:  # its words may quote data: only a code crosses
            if os.environ.get("HITOKU_DEBUG") == "1":
                traceback.print_exc()
            return encode(Failed(code="INTERNAL").model_dump())


def told(error: Exception) -> dict[str, Any]:
    """What another member is told of an error: a Refusal whole, of anything else a code."""
    if isinstance(error, Refusal):
        return _refused(error)
    code = _code(error) if isinstance(error, HitokuError) else "INTERNAL"
    return Failed(code=code).model_dump()


class InProcessPeers:
    """One member's Peers (see `hitoku.ports`)."""

    def __init__(self, network: InProcessNetwork, me: str) -> None:
        self._network = network
        self._me = me

    @property
    def me(self) -> str:
        """The name of the member who sends."""
        return self._me

    def call(self, member: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send one message and wait for its answer.

        Raises:
            Refusal: the member refused.
            PeerError: it cannot be reached, failed, or answered with something that is no message.
        """
        answer = decode(self._network.carry(self._me, member, encode(message)), member)
        if answer["kind"] == "hitoku/refused/1":
            raise _refusal(read(Refused, answer, member))
        if answer["kind"] == "hitoku/failed/1":
            code = read(Failed, answer, member).code
            raise PeerError(f"{member!r} failed ({code}); its own words stay on its machine", code)
        return answer


def _code(error: HitokuError) -> str:
    kind = type(error).__name__.removesuffix("Error").upper()
    return f"{kind}_{error.code}" if isinstance(error, EngineError) else kind


def _refused(refusal: Refusal) -> dict[str, Any]:
    data = {key: _cut(value) for key, value in refusal.to_dict().items() if key != "error"}
    return Refused.model_validate(data).model_dump(mode="json")


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {_cut(k): _cut(v) for k, v in list(value.items())[:64]}
    return value[: limits.MAX_CONTROL_TEXT_CHARS] if isinstance(value, str) else value


def _refusal(refused: Refused) -> Refusal:
    data = refused.model_dump(exclude={"kind", "span", "code", "message", "change"})
    span = None if refused.span is None else Span(*refused.span)
    told = refused.change
    change = None if told is None else Change(told.action, told.rule, told.value, tuple(told.edits))
    return Refusal(refused.code, refused.message, span=span, change=change, **data)
