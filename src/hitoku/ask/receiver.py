# SPDX-License-Identifier: Apache-2.0
"""A receiver's side: takes an answer from a host of the room, if it is for this member."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hitoku.errors import Refusal
from hitoku.room.agreement import Ability, ProtectionName, Room
from hitoku.room.canonical import agreement_hash
from hitoku.transport import messages

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer

__all__ = ["Receiver"]


class Receiver:
    """A receiver's side: takes an answer from a host of the room, if it is for this member."""

    def __init__(self, me: str, room: Room, keep: Callable[[Answer], None]) -> None:
        self._me, self._room, self._keep = me, room, keep

    def deliver(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a Deliver.

        Raises:
            Refusal: the sender is no host, or the answer is of another room, run or receiver.
            PeerError: the message is malformed.
        """
        from hitoku.disclosure.answer import Answer

        request = messages.read(messages.Deliver, message, sender)
        host = self._room.agreement.member(sender)
        answer = Answer.from_message(request.answer, sender)
        if (
            host is None
            or not (Ability.HOST in host.abilities or self._computes(sender, answer.protection))
            or answer.room != agreement_hash(self._room.agreement)
            or answer.run != request.run
            or self._me not in answer.receivers
        ):
            raise Refusal("DELIVERY_REFUSED", f"{self._me!r} does not take this answer from {sender!r}")
        self._keep(answer)
        return messages.Delivered(run=request.run).model_dump(mode="json")

    def _computes(self, sender: str, protection: str) -> bool:
        """Whether the room lets that member compute such answers with another owner."""
        agreed = self._room.agreement.crosstab if protection == ProtectionName.CROSSTAB else None
        tables = [] if agreed is None else [self._room.agreement.table(t.table) for t in agreed.tables]
        return sender in {t.owner for t in tables if t is not None}
