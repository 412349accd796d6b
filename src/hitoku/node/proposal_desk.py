# SPDX-License-Identifier: Apache-2.0
"""Where messages about proposals arrive; the argument for what is done with them is in `proposals`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hitoku.errors import InputError, PeerError, RoomError
from hitoku.node import resigned
from hitoku.node.proposal import only_signatures, with_signatures
from hitoku.node.proposal_book import Record
from hitoku.node.proposals import Proposals
from hitoku.node.settings import SETTINGS_FILE, NodeSettings
from hitoku.ports import Clock
from hitoku.room.agreement import Agreement, Room, Signature
from hitoku.room.canonical import agreement_hash
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room
from hitoku.room.signing import problems
from hitoku.transport import messages
from hitoku.transport.proposals import (
    KnownRequest,
    Noted,
    Propose,
    Proposed,
    SignatureGiven,
    Withdraw,
    draft_text,
    read_draft,
    valid_withdrawal,
)

__all__ = ["ProposalDesk", "room_file"]

_THEIRS = frozenset({"open", "declined"})
"""States of another's proposal that its author can still end."""


def room_file(directory: MemberDirectory, room: str) -> Path:
    """The file of a room of node.toml.

    Raises:
        RoomError: node.toml names no such room.
    """
    try:
        files = NodeSettings.open(directory.path).room_files(directory.path)
    except InputError:
        files = ()
    for file in files:
        try:
            if str(load_room(file).agreement.id) == room:
                return file
        except RoomError:  # another room's file, which is that room's trouble
            continue
    raise RoomError(f"{directory.path / SETTINGS_FILE}: names no room {room}")


class ProposalDesk:
    """Answers other members' messages about proposals of one room. For many threads; calls nobody.

    Args:
        directory: this member's.
        room: the room's id.
        clock: the time.
    """

    def __init__(self, directory: MemberDirectory, room: str, clock: Clock) -> None:
        self._directory, self._room, self._clock = directory, room, clock

    def answer(self, sender: str, message: dict[str, Any]) -> dict[str, Any]:
        """Answer one of `hitoku.transport.proposals.KINDS`.

        Raises:
            PeerError: the message is malformed, or about something else.
            RoomError: nothing of the room can be changed here now.
        """
        proposals = Proposals(
            self._directory, room_file(self._directory, self._room), self._room, self._clock
        )
        if message["kind"] == "hitoku/propose/1":
            made = self._proposed(proposals, sender, messages.read(Propose, message, sender))
            return made.model_dump(mode="json")
        if message["kind"] == "hitoku/signed-request/1":
            messages.read(KnownRequest, message, sender)
            return resigned.answer(proposals, sender).model_dump(mode="json")
        if message["kind"] == "hitoku/signature/1":
            self._signature(proposals, sender, messages.read(SignatureGiven, message, sender))
        else:
            self._withdrawn(proposals, sender, messages.read(Withdraw, message, sender))
        return Noted().model_dump(mode="json")

    def _proposed(self, proposals: Proposals, sender: str, message: Propose) -> Proposed:
        sent = read_draft(message.draft, sender)
        draft, hash_ = sent.agreement, agreement_hash(sent.agreement)
        if str(draft.id) != self._room:
            raise PeerError(f"{sender!r} proposes a version of another room")
        with proposals.turn() as (here, force):
            now = force.agreement.version
            if force.agreement.member(sender) is None or force.agreement.member(proposals.me) is None:
                raise PeerError(f"{sender!r} or this member is no member of the room any more")

            def reply(state: Any, **more: Any) -> Proposed:
                return Proposed(state=state, version=now, **more)

            if draft.version <= now:
                versions = [*(v.agreement for v in force.history), force.agreement]
                same = any(agreement_hash(a) == hash_ for a in versions if a.version == draft.version)
                return reply("in_force" if same else "ahead")
            if draft.version > now + 1:
                proposals.book.behind(sender)
                return reply("behind")
            room = proposals.on_top(Room(agreement=draft), force)
            if draft.previous != agreement_hash(force.agreement) or only_signatures(room):
                raise PeerError(f"{sender!r} proposes what is no next version of the room")
            room = with_signatures(room, sent.signatures)
            if not problems(room):
                proposals.take_up(room)
                now = draft.version
                return reply("in_force")
            return self._keep(proposals, sender, message, room, (here, force), reply)

    def _keep(
        self,
        proposals: Proposals,
        sender: str,
        message: Propose,
        room: Room,
        now: tuple[Room, Room],
        reply: Callable[..., Proposed],
    ) -> Proposed:
        """Keep a draft that is on top of what is in force here, if no other is in the way."""
        here, force = now
        version, hash_ = room.agreement.version, agreement_hash(room.agreement)
        old = proposals.book.record(sender)
        if old is not None and old.hash == hash_ and old.state in _THEIRS:
            known = with_signatures(proposals.on_top(read_draft(old.draft, sender), force), room.signatures)
            if draft_text(known) != old.draft:
                proposals.book.write(old.model_copy(update={"draft": draft_text(known)}))
            if old.state == "declined":
                return reply("declined", reason=old.reason)
            mine = [s for s in known.signatures if s.member == proposals.me] if old.signed else []
            return reply("kept", signatures=mine)
        other = self._in_the_way(proposals, sender, version, force.agreement)
        if other == proposals.me:
            if not self._gives_way(proposals, sender, here, force):
                return reply("taken", author=other)
        elif other is not None:
            return reply("taken", author=other)
        if not proposals.book.bound().holds(version, hash_):
            return reply("bound")
        times = proposals.too_often(old)
        record = Record(
            author=sender, version=version, hash=hash_, draft=draft_text(room), why=message.why,
            state="open", created=proposals.now(), changed=proposals.now(), times=times,
        )  # fmt: skip
        proposals.book.write(record)
        return reply("kept")

    def _in_the_way(
        self, proposals: Proposals, sender: str, version: int, agreement: Agreement
    ) -> str | None:
        """Whose open proposal of that number is here already."""
        members = {m.name for m in agreement.members}
        for record in proposals.book.records():
            theirs = record.author != sender and record.author in members  # who left holds up nobody
            if theirs and record.state == "open" and record.version == version:
                return record.author
        return None

    def _gives_way(self, proposals: Proposals, sender: str, here: Room, force: Room) -> bool:
        """Whether this member's own proposal is taken back for another's; the order is the agreement's."""
        order = [m.name for m in force.agreement.members]
        record = proposals.book.record(proposals.me)
        if record is None or order.index(sender) > order.index(proposals.me):
            return False
        try:
            proposals.book.check_open()
            proposals.take_back(record, here, force, "withdrawn")
        except RoomError:  # somebody joins by it, or it may be in force since a restore: then the other waits
            return False
        return True

    def _signature(self, proposals: Proposals, sender: str, message: SignatureGiven) -> None:
        with proposals.turn() as (here, force):
            record = proposals.book.record(proposals.me)
            if record is None or record.hash != message.hash or record.state != "open":
                return  # it is over here: the sender hears so by another message
            proposals.book.write(
                heard(proposals, record, sender, message.signatures, message.declined, (here, force))
            )

    def _withdrawn(self, proposals: Proposals, sender: str, message: Withdraw) -> None:
        with proposals.turn() as (_, force):
            who = force.agreement.member(sender)
            good = who is not None and valid_withdrawal(
                self._room, message.version, message.hash, who.key, message.signature
            )
            if not good:
                raise PeerError(f"{sender!r} takes a proposal back without its signature")
            bound = proposals.book.bound()
            if bound.freed(sender, message.hash) != bound:
                proposals.book.bind(bound.freed(sender, message.hash))
            record = proposals.book.record(sender)
            if record is None or record.hash != message.hash or record.state not in _THEIRS:
                return
            update = {"state": "withdrawn", "withdrawal": message.signature, "changed": proposals.now()}
            proposals.book.write(record.model_copy(update=update))


def heard(
    proposals: Proposals,
    record: Record,
    sender: str,
    signatures: list[Signature],
    declined: str | None,
    now: tuple[Room, Room],
) -> Record:
    """The own proposal with what another member says of it: its own signatures that fit, or its no."""
    room = proposals.on_top(read_draft(record.draft, record.author), now[1])
    room = with_signatures(room, [s for s in signatures if s.member == sender])
    refused = {name: words for name, words in record.refused.items() if name != sender}
    if declined is not None:
        refused[sender] = declined
    kept = tuple(dict.fromkeys((*record.kept, sender))) if declined is None else record.kept
    return record.model_copy(update={"draft": draft_text(room), "refused": refused, "kept": kept})
