# SPDX-License-Identifier: Apache-2.0
"""The invited company's side: offer the key, look at the draft, sign what was looked at, get the room.

`Joining` keeps the invitation in the member's own directory, under ``joining/``, so that each step is one
call of the same kind, days apart if need be. It keeps what was last shown, too, so that a later step can say
what changed since. Nothing is signed whose hash the caller does not name.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hitoku.errors import InputError, RoomError
from hitoku.node.certificate import certificate_file
from hitoku.node.proposal_book import Book
from hitoku.ports import Clock
from hitoku.room.agreement import Agreement, Room, Table
from hitoku.room.canonical import agreement_hash, canonical, canonical_json
from hitoku.room.changes import Change, changes
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_agreement, parse_room, save_room, write_whole
from hitoku.room.invitations import Invitation, proof_message
from hitoku.room.private import read_private, write_private
from hitoku.room.signing import problems, sign, verify
from hitoku.room.versions import newest_in_force
from hitoku.transport import messages
from hitoku.transport.https.desk import ask_desk
from hitoku.transport.https.places import Networks
from hitoku.transport.in_process import InProcessNetwork
from hitoku.transport.joining import Join, Joined, Signed

__all__ = ["Joining", "Stand"]

_FOLDER: Final = "joining"
_INVITER: Final = "the inviter"


@dataclass(frozen=True, slots=True)
class Stand:
    """Where joining stands.

    Attributes:
        room: the room as the inviter shows it.
        admitted: whether the agreement names this member's key.
        signed: whether this member's signature is in it.
        changed: what changed since it was last shown here; None where it was never shown.
        addresses: where members' nodes are, as the inviter says.
    """

    room: Room
    admitted: bool
    signed: bool
    changed: tuple[Change, ...] | None
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_force(self) -> bool:
        """Whether all have signed."""
        return self.admitted and not problems(self.room)


class Joining:
    """One invitation, at who was invited.

    Args:
        directory: the invited member's directory; its name is the invitation's.
        invitation: the invitation.
        clock: the time.
        url: where this member's node will be reached by the others; not said where None.
        networks: where the inviter may be; on the internet where nothing is said.

    Raises:
        InputError: the invitation is for a member of another name.
    """

    def __init__(
        self,
        directory: MemberDirectory,
        invitation: Invitation,
        clock: Clock,
        url: str | None = None,
        networks: Networks | None = None,
    ) -> None:
        if directory.name != invitation.name:
            raise InputError(
                f"the invitation is for a member named {invitation.name!r}, and {directory.path} belongs to "
                f"{directory.name!r}"
            )
        self.directory, self.invitation, self._clock = directory, invitation, clock
        self._url, self._networks = url, networks or Networks()
        self._folder = directory.path / _FOLDER

    @classmethod
    def kept(cls, directory: MemberDirectory, clock: Clock, networks: Networks | None = None) -> Joining:
        """The invitation that the directory keeps.

        Raises:
            InputError: there is none, or more than one.
            SecretError: the file is open to others.
        """
        found = sorted((directory.path / _FOLDER).glob("*.invitation"))
        if len(found) != 1:
            raise InputError(f"{directory.path}: keeps {len(found)} invitations; name the file of one")
        return cls(directory, Invitation.from_text(_text(found[0])), clock, None, networks)

    @classmethod
    def all_kept(
        cls,
        directory: MemberDirectory,
        clock: Clock,
        url: str | None = None,
        networks: Networks | None = None,
    ) -> list[Joining]:
        """All invitations that the directory keeps; those that cannot be read are left out.

        Args:
            directory: the member's.
            clock: the time.
            url: as for `Joining`.
            networks: as for `Joining`.
        """
        found = []
        for path in sorted((directory.path / _FOLDER).glob("*.invitation")):
            with suppress(InputError):
                found.append(cls(directory, Invitation.from_text(_text(path)), clock, url, networks))
        return found

    def forget(self) -> None:
        """Keep the invitation no longer."""
        (self._folder / f"{self.invitation.room}.invitation").unlink(missing_ok=True)

    def keep(self) -> None:
        """Keep the invitation for the next steps.

        Raises:
            SecretError: it cannot be written.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"{self.invitation.room}.invitation"
        if path.exists():
            if Invitation.from_text(_text(path)) == self.invitation:
                return
            path.unlink()
        write_private(path, self.invitation.to_text().encode(), "the invitation")

    def look(self, tables: Iterable[Table] = ()) -> Stand:
        """Offer this member's key (the first time), and see where the room stands.

        Args:
            tables: what this member would bring; counts the first time only.

        Raises:
            Refusal: the invitation is not good, or not for this key.
            PeerError: the inviter cannot be reached, or answers with something else.
            RoomError: what it answers is not the room of the invitation.
        """
        return self._stand(self._ask(tables, None))

    def sign(self, agreed: str) -> Stand:
        """Sign the agreement of this hash, keep this member's own record of it, and give the signature.

        Raises:
            RoomError: the agreement that the inviter shows now has another hash, does not continue what was
                signed, or does not name this member's key.
            Refusal, PeerError: as for `look`.
        """
        stand = self.look()
        room = stand.room
        if agreement_hash(room.agreement) != agreed:
            raise RoomError(
                f"the agreement is now {agreement_hash(room.agreement)}, not {agreed}: nothing was signed; "
                "look at it again"
            )
        if not stand.admitted:
            raise RoomError("the agreement does not name this member's key yet: nothing was signed")
        if room.history:
            before = newest_in_force(room)
            verify(before)
        self.directory.check_duties(room.agreement)
        # A member that is invited to sign a next version may have signed a proposal of that number.
        Book(self.directory.path, str(room.agreement.id)).check_free(room.agreement)
        signed = sign(room, self.directory.name, self.directory.keys())
        self.directory.remember(room)
        self.directory.records(str(room.agreement.id), self._clock).accept(room.agreement)
        mine = next(s for s in signed.signatures if s.member == self.directory.name and s.key is None)
        return self._stand(self._ask((), Signed(hash=agreed, signature=mine.signature)))

    def finish(self, stand: Stand, path: Path) -> None:
        """Write the room file of a room in force, verified as this member knows it.

        Raises:
            RoomError: it is not in force, or not what this member signed.
        """
        save_room(self.directory.room(stand.room), path)

    def _ask(self, tables: Iterable[Table], signed: Signed | None) -> Joined:
        keys = self.directory.keys()
        key = keys.public_key()
        offered = [_described(table) for table in tables]
        claimed = {
            "kind": "hitoku/join/1",
            "invitation": self.invitation.id,
            "secret": self.invitation.secret,
            "key": key,
            "tables": offered,
            "signed": None if signed is None else signed.model_dump(mode="json"),
        }
        if self._url is not None:
            claimed["url"] = self._url
        proof = base64.b64encode(keys.sign(proof_message(self.invitation.key, claimed))).decode()
        request = messages.read(Join, {**claimed, "signed": signed, "proof": proof}, self.directory.name)
        network = _DeskNetwork(
            self.invitation, certificate_file(self.directory), self.directory.key_file, self._networks
        )
        peers = network.join(self.directory.name, lambda _, message: message)
        answer = peers.call(_INVITER, request.model_dump(mode="json"))
        return messages.read(Joined, answer, _INVITER)

    def _stand(self, joined: Joined) -> Stand:
        room = parse_room(joined.room, "the inviter's room")
        agreement = room.agreement
        if str(agreement.id) != self.invitation.room:
            raise RoomError("the inviter shows another room than the one of the invitation")
        key, me = self.directory.keys().public_key(), self.directory.name
        who = agreement.member(me)
        admitted = who is not None and who.key == key
        signed = admitted and any(s.member == me and s.key is None for s in room.signatures)
        return Stand(room, admitted, signed, self._since(agreement), dict(joined.addresses))

    def _since(self, agreement: Agreement) -> tuple[Change, ...] | None:
        path = self._folder / f"{agreement.id}.json"
        before = load_agreement(path) if path.exists() else None
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_whole(path, canonical(agreement))
        return None if before is None else changes(before, agreement)


class _DeskNetwork(InProcessNetwork):
    """The way to an inviter's desk; what comes back and how errors cross is as between members."""

    def __init__(self, invitation: Invitation, certificate: Path, key: Path, networks: Networks) -> None:
        super().__init__()
        self._invitation, self._certificate, self._key = invitation, certificate, key
        self._networks = networks

    def carry(self, sender: str, receiver: str, content: bytes) -> bytes:
        """Deliver the bytes of a message to the desk."""
        del sender, receiver
        invitation = self._invitation
        return ask_desk(invitation.url, invitation.key, self._certificate, self._key, content, self._networks)


def _described(table: Table) -> str:
    return canonical_json(json.loads(table.model_dump_json(by_alias=True, exclude_none=True))).decode()


def _text(path: Path) -> str:
    return read_private(path, "the invitation").decode("ascii", errors="replace")
