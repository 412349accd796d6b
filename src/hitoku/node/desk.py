# SPDX-License-Identifier: Apache-2.0
"""The inviter's side of an invitation: who comes with its secret, what it is shown, and its signature.

This is all that a node does for somebody whose key no room names. It reads the invitation and its room file,
and writes two things: the offer, once, and a signature of the agreement as it stands by the key that the
agreement itself names. Nothing else of the member's directory is reached from here.
"""

from __future__ import annotations

from typing import Any

from hitoku.errors import InputError, Refusal, RoomError
from hitoku.node.settings import NodeSettings
from hitoku.ports import Clock
from hitoku.room.agreement import Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import dump_room, load_room, locked, save_room
from hitoku.room.invitations import Invitations, Issued, Offer, proof_message
from hitoku.room.keys import valid_signature
from hitoku.room.signing import with_signature
from hitoku.transport import messages
from hitoku.transport.in_process import InProcessNetwork
from hitoku.transport.joining import Join, Joined, Signed

__all__ = ["InvitationDesk"]

_INVITED, _DESK = "the invited", "desk"


class InvitationDesk:
    """Answers who is invited. For one thread.

    Args:
        directory: the inviter's directory.
        clock: tells when invitations end.
    """

    def __init__(self, directory: MemberDirectory, clock: Clock) -> None:
        self._directory = directory
        self._key = directory.keys().public_key()
        self._invitations = Invitations(directory.path, clock)
        self._network = InProcessNetwork()
        self._network.join(_DESK, lambda _, message: self._join(message))

    def answer(self, content: bytes) -> bytes:
        """Answer the bytes of a message; whatever goes wrong crosses as a code, as between members."""
        return self._network.carry(_INVITED, _DESK, content)

    def _join(self, message: dict[str, Any]) -> dict[str, Any]:
        request = messages.read(Join, message, _INVITED)
        claimed = request.model_dump(mode="json", exclude={"proof"})
        if not valid_signature(request.key, proof_message(self._key, claimed), request.proof):
            raise Refusal("PROOF_INVALID", "the request is not signed by the key that it offers")
        offer = Offer(key=request.key, tables=tuple(request.tables), url=request.url)
        issued = self._invitations.enter(request.invitation, request.secret, offer)
        room = self._stand(issued, request.key, request.signed)
        who = room.agreement.member(issued.name)
        admitted = who is not None and who.key == request.key
        shown = room if admitted else Room(agreement=room.agreement)
        known = self._addresses(issued, room) if admitted and request.url is not None else {}
        return Joined(admitted=admitted, room=dump_room(shown), addresses=known).model_dump(mode="json")

    def _addresses(self, issued: Issued, room: Room) -> dict[str, str]:
        """Where the members' nodes are, as far as it is known here: node.toml's, and what others said."""
        try:
            settings = NodeSettings.open(self._directory.path)
        except InputError:
            return {}
        known = {self._directory.name: settings.url}
        file = (self._directory.path / issued.file).resolve()
        for path, one in zip(settings.room_files(self._directory.path), settings.rooms, strict=True):
            if path.resolve() == file:
                known = {**one.peers, **known}
        keys = {member.name: member.key for member in room.agreement.members}
        for other in self._invitations.issued():
            offer = self._invitations.offer(other.id) if other.room == issued.room else None
            if offer is not None and offer.url is not None and keys.get(other.name) == offer.key:
                known.setdefault(other.name, offer.url)
        return {name: address for name, address in known.items() if name in keys}

    def _stand(self, issued: Issued, key: str, signed: Signed | None) -> Room:
        """The room file as it stands, with the signature that came."""
        file = self._directory.path / issued.file
        with locked(file):
            room = load_room(file)
            if str(room.agreement.id) != issued.room:
                raise RoomError(f"{file}: is another room than the one of the invitation")
            if signed is None:
                return room
            who = room.agreement.member(issued.name)
            if who is None or who.key != key:
                raise Refusal(
                    "NOT_ADMITTED",
                    "the agreement does not name this key, so it cannot sign it",
                    remedy="wait until the inviter has admitted the key",
                )
            if signed.hash != agreement_hash(room.agreement):
                raise Refusal(
                    "ROOM_DIFFERS",
                    "the agreement was changed since it was shown: nothing was signed",
                    remedy="look at it again and sign it as it is now",
                )
            room = with_signature(room, issued.name, signed.signature)
            save_room(room, file)
            return room
