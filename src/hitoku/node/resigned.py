# SPDX-License-Identifier: Apache-2.0
"""What a restored member signed since its backup: it asks all others before it signs anything new.

Which draft a member has signed is in its own files (`hitoku.node.proposal_book.Bound`). A backup is older, so
a restored member would sign a second draft of one number, and both could come in force. Therefore a restore
closes signing (`Book.close`, in a file that no backup has), and the node opens it when *every* other member
has answered: which draft of its own it holds with the restored member's signature, which it took back, and
which drafts of the restored member's it keeps. Each signature is verified, so nobody can bind a member to
what it did not sign. Where somebody has a newer version in force, that is got first.

Signatures are given to a proposal's author alone, and leave it with the version in force only. So, as long as
authors answer truly, what they hold is all. An author that hides a signature can use it later, which makes
two signatures of one number in the restored member's name; what it can bring about with them is what the
restored member's people once agreed to. One that does not answer keeps signing closed.

The restored member's own proposals are taken back when all have answered: what it heard of them is lost.
Until then it neither takes one back, which may be in force, nor puts one in force, which may have been taken
back.
"""

from __future__ import annotations

from typing import Final

from hitoku.errors import PeerError, RoomError
from hitoku.node.proposal import with_signatures
from hitoku.node.proposal_book import Record
from hitoku.node.proposals import Proposals
from hitoku.node.settings import NodeSettings
from hitoku.ports import Clock
from hitoku.room.agreement import Room, Signature
from hitoku.room.canonical import agreement_hash
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room
from hitoku.room.restored import Restored
from hitoku.transport import messages
from hitoku.transport.in_process import InProcessPeers
from hitoku.transport.proposals import (
    Authored,
    Known,
    KnownRequest,
    Noted,
    TakenBack,
    Withdraw,
    draft_text,
    read_draft,
    valid_withdrawal,
    withdrawal,
)

__all__ = ["answer", "learn", "learn_by_hand"]

_TIMES: Final = 5
"""Newer versions come one after the other only where somebody makes them meanwhile."""


def answer(proposals: Proposals, sender: str) -> Known:
    """What this member knows of what a restored one signed and proposed."""
    with proposals.turn() as (here, force):
        book, now = proposals.book, force.agreement.version
        records = [record for record in book.records() if record.version > now]
        authored = [(r.version, r.hash) for r in records if r.author == sender and r.state != "withdrawn"]
        bound = book.bound()
        if bound.author == sender and bound.hash is not None and bound.version > now:
            authored.append((bound.version, bound.hash))
        return Known(
            version=now,
            signed=_signed_by(proposals, sender, here, force),
            authored=[Authored(version=v, hash=h) for v, h in dict.fromkeys(authored)],
            taken_back=[one for r in records if r.author == proposals.me for one in _taken_back(r)],
        )


def _taken_back(record: Record) -> list[TakenBack]:
    last = () if record.withdrawal is None else ((record.hash, record.withdrawal),)
    given = dict((*record.earlier, *last))
    return [TakenBack(version=record.version, hash=h, signature=s) for h, s in given.items()]


def _signed_by(proposals: Proposals, sender: str, here: Room, force: Room) -> str | None:
    """This member's own draft with the sender's signatures; None where it holds none."""
    record = proposals.book.record(proposals.me)
    if record is not None and record.state == "open":
        room = proposals.gathered(record, here, force)
    elif here.agreement.version > force.agreement.version:
        room = here
    else:
        return None
    theirs = tuple(s for s in room.signatures if s.member == sender)
    return draft_text(Room(agreement=room.agreement, signatures=theirs)) if theirs else None


def learn(proposals: Proposals, peers: InProcessPeers) -> tuple[str, ...]:
    """Ask all others, and open signing. Returns who has a newer version: then that has to be got first.

    Raises:
        PeerError: somebody cannot be asked, or shows a signature that is none; signing stays closed.
        RoomError: two members hold two drafts of one number that this member signed.
        Refusal: the node was moved, and not all others know yet that it goes on here; or another copy goes
            on, and the loss was not accepted here.
    """
    _check_arrived(proposals)
    with proposals.turn() as (_, force):
        agreement = force.agreement
    heard: dict[str, Known] = {}
    for name in (m.name for m in agreement.members if m.name != proposals.me):
        reply = peers.call(name, KnownRequest().model_dump(mode="json"))
        heard[name] = messages.read(Known, reply, name)
    ahead = tuple(name for name, known in heard.items() if known.version > agreement.version)
    with proposals.turn() as (here, force):
        if agreement_hash(force.agreement) != agreement_hash(agreement):
            raise PeerError("another version came into force meanwhile: all are asked again")
        if ahead:
            return ahead
        _free_of(proposals, force, heard)
        _take_signed(proposals, force, heard)
        record = proposals.book.record(proposals.me)
        if record is not None and record.live:
            proposals.take_back(record, here, force, "withdrawn")
    for name, known in heard.items():
        for one in known.authored:
            signature = withdrawal(proposals.room, one.version, one.hash, proposals.directory.keys())
            said = Withdraw(version=one.version, hash=one.hash, signature=signature)
            messages.read(Noted, peers.call(name, said.model_dump(mode="json")), name)
    with proposals.turn():
        proposals.book.open()
    return ()


def learn_by_hand(directory: MemberDirectory, number: int, clock: Clock) -> None:
    """The same for one room of node.toml, from a command; a node with a console does it by itself.

    A second copy of a moved node asks nothing, and stays closed: see `learn`.

    Raises:
        HitokuError: as for `learn`; or a newer version cannot be got.
    """
    from hitoku.node.courier import pull
    from hitoku.node.rooms_by_hand import by_hand

    file = NodeSettings.open(directory.path).room_files(directory.path)[number]
    for _ in range(_TIMES):
        room = str(load_room(file).agreement.id)
        proposals = Proposals(directory, file, room, clock)
        if not proposals.book.closed() or _twice(proposals):
            return
        with by_hand(directory, number, clock) as hand:
            ahead = learn(proposals, hand.node.peers)
            if ahead:
                pull(proposals, hand.node.peers, ahead[0])


def _check_arrived(proposals: Proposals) -> None:
    """Of a moved node there may be two copies; the one that goes on signs (`hitoku.room.arrivals`)."""
    closed = _mark(proposals)
    if closed is not None and (closed.state != "restored" or closed.twice):
        raise closed.refusal(proposals.me)


def _twice(proposals: Proposals) -> bool:
    closed = _mark(proposals)
    return closed is not None and closed.twice


def _mark(proposals: Proposals) -> Restored | None:
    return proposals.directory.records(proposals.room, proposals.clock).ledger.restored()


def _free_of(proposals: Proposals, force: Room, heard: dict[str, Known]) -> None:
    """What was taken back after the backup is over; its author says so once only, and did."""
    for name, known in heard.items():
        who, record = force.agreement.member(name), proposals.book.record(name)
        for one in known.taken_back:
            if who is None or not valid_withdrawal(
                proposals.room, one.version, one.hash, who.key, one.signature
            ):
                raise PeerError(f"{name!r} takes a proposal back without its signature")
            bound = proposals.book.bound()
            if bound.freed(name, one.hash) != bound:
                proposals.book.bind(bound.freed(name, one.hash))
            if record is not None and record.hash == one.hash and record.state in {"open", "declined"}:
                update = {"state": "withdrawn", "withdrawal": one.signature, "changed": proposals.now()}
                proposals.book.write(record.model_copy(update=update))


def _take_signed(proposals: Proposals, force: Room, heard: dict[str, Known]) -> None:
    """Be bound to what this member signed."""
    found: dict[str, tuple[str, Room]] = {}
    for name, known in heard.items():
        if known.signed is not None:
            draft = read_draft(known.signed, name)
            if draft.agreement.version <= force.agreement.version:
                continue  # over
            room = proposals.on_top(Room(agreement=draft.agreement), force)
            room = with_signatures(room, _of(draft.signatures, proposals.me))
            if not room.signatures:  # none of it fits, or the draft is no next version
                raise PeerError(f"{name!r} shows a signature that this member never gave")
            found[agreement_hash(draft.agreement)] = (name, room)
    if len(found) > 1:
        names = " and ".join(sorted(name for name, _ in found.values()))
        raise RoomError(
            f"{names} hold different drafts of one version that this member signed: one of them has to be "
            "taken back; until then nothing is signed"
        )
    for hash_, (author, room) in found.items():
        version, now = room.agreement.version, proposals.now()
        record = Record(
            author=author, version=version, hash=hash_, draft=draft_text(room), state="open", created=now,
            changed=now, signed=True, delivered=True,
        )  # fmt: skip
        proposals.book.bind(proposals.book.bound().signed(author, version, hash_))
        proposals.book.write(record)


def _of(signatures: tuple[Signature, ...], member: str) -> list[Signature]:
    return [one for one in signatures if one.member == member]
