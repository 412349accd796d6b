# SPDX-License-Identifier: Apache-2.0
"""The messages by which a room's text gets to who joins it and to its members, and signatures back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from hitoku import limits
from hitoku.room.agreement import PublicKey, Room
from hitoku.room.consent import Hash
from hitoku.room.files import dump_room
from hitoku.room.invitations import InvitationId, Secret
from hitoku.room.naming import Name
from hitoku.transport.https.client import check_address
from hitoku.transport.messages import Message, read

__all__ = ["Join", "Joined", "RoomGiven", "RoomRequest", "Signed", "give_room"]

_Signature = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
_Address = Annotated[str, Field(max_length=300), AfterValidator(check_address)]
_RoomText = Annotated[str, Field(max_length=limits.MAX_ROOM_FILE_BYTES)]


def _nothing(value: object) -> bool:
    # What is new is left out where it says nothing, so that nodes that do not know it understand the rest.
    return not value


class Signed(Message):
    """A signature of an agreement, as `hitoku.room.signing` makes it."""

    hash: Hash
    signature: _Signature


class Join(Message):
    """Who is invited, to the inviter: my key, show me the draft; and, with `signed`, I sign it.

    Attributes:
        invitation: names the invitation.
        secret: the invitation's.
        key: the sender's public key.
        tables: descriptions of tables that the sender would bring, JSON each.
        signed: the sender's signature of the agreement that it was shown.
        url: where the sender's node will be reached by the other members; left out where it says nothing.
        proof: signature by `key` of all other fields, see `hitoku.room.invitations.proof_message`.
    """

    kind: Literal["hitoku/join/1"] = "hitoku/join/1"
    invitation: InvitationId
    secret: Secret
    key: PublicKey
    tables: Annotated[list[Annotated[str, Field(max_length=60_000)]], Field(max_length=16)] = Field(
        default_factory=list
    )
    signed: Signed | None = None
    url: Annotated[_Address | None, Field(exclude_if=_nothing)] = None
    proof: _Signature


class Joined(Message):
    """Inviter to who is invited: where it stands, and the room.

    Attributes:
        admitted: whether the agreement names the sender's key by now.
        room: the room as a room file; to who is not admitted, the agreement alone.
        addresses: where members' nodes are, as far as the inviter knows; to who is admitted and said where
            its own is. Who is called there must still prove its key.
    """

    kind: Literal["hitoku/joined/1"] = "hitoku/joined/1"
    admitted: bool
    room: _RoomText
    addresses: Annotated[dict[Name, _Address], Field(max_length=limits.MAX_MEMBERS, exclude_if=_nothing)] = (
        Field(default_factory=dict)
    )


class RoomRequest(Message):
    """A member to any other: the room as you know it."""

    kind: Literal["hitoku/room-request/1"] = "hitoku/room-request/1"


class RoomGiven(Message):
    """The room in force, as a room file."""

    kind: Literal["hitoku/room-given/1"] = "hitoku/room-given/1"
    room: _RoomText


def give_room(room: Room, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a RoomRequest of a member.

    Raises:
        PeerError: the message is malformed.
    """
    read(RoomRequest, message, sender)
    return RoomGiven(room=dump_room(room)).model_dump(mode="json")
