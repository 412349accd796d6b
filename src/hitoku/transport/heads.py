# SPDX-License-Identifier: Apache-2.0
"""Asking other members for their ledgers' heads, and answering them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from hitoku.errors import PeerError
from hitoku.ports import Peers
from hitoku.room.agreement import Room
from hitoku.room.heads import check_growth, give_head
from hitoku.room.records import Records
from hitoku.transport import messages

_TIMES: Final = 20

__all__ = ["exchange_heads", "give_own_head"]


def exchange_heads(records: Records, room: Room, peers: Peers, members: Iterable[str]) -> None:
    """Get the newest ledger heads of other members and check that their ledgers only grew.

    Raises:
        Refusal: ``LEDGER_FORKED``: one did not.
        PeerError: a member cannot be reached.
    """
    for member in dict.fromkeys(members):
        if member == peers.me:
            continue
        for _ in range(_TIMES):
            known = records.peer_head(member)
            request = messages.HeadRequest(size=0 if known is None else known.size)
            reply = peers.call(member, request.model_dump(mode="json"))
            given = messages.read(messages.HeadGiven, reply, member)
            if check_growth(records, room.agreement, member, given.head, given.proof, known):
                break
            # Another question of this member got a head meanwhile. The proof is not of that one: ask again.
        else:
            raise PeerError(f"the ledger of {member!r} is asked for too often at once: try again")


def give_own_head(records: Records, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a HeadRequest.

    Raises:
        RoomError: the ledger is shorter than the sender says it was.
        PeerError: the message is malformed.
    """
    request = messages.read(messages.HeadRequest, message, sender)
    head, proof = give_head(records, request.size)
    return messages.HeadGiven(head=head, proof=proof).model_dump(mode="json")
