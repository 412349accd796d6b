# SPDX-License-Identifier: Apache-2.0
"""What a member whose ledger was restored from a backup asks the others, and shows them.

It asks which head of its ledger each keeps. These heads carry its own signature, so nobody can make one up;
that a member keeps an old one, or none, proves nothing, which is why what is lost is charged at the most
(docs/decisions/0018-restore.md). Once it has said in its ledger which heads it can no longer continue, it
gives the others that entry with its proof, so that their operators can accept it.

A member whose node was moved tells them which copy goes on (`hitoku.room.arrivals`), and goes on when all of
them have kept that. Each answers with what it keeps: where that is another copy, it carries this member's
own signature, so nobody can make one up either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from hitoku import limits
from hitoku.errors import PeerError, Refusal, RoomError
from hitoku.ports import Peers
from hitoku.room.agreement import Agreement, Room
from hitoku.room.arrivals import Arrival, keep
from hitoku.room.heads import member_signed, signed_ever
from hitoku.room.ledger import Head, Inclusion
from hitoku.room.records import Records
from hitoku.transport.messages import Message, read

__all__ = [
    "RESTORE_KINDS",
    "Arrived",
    "ArrivedKept",
    "KnownGiven",
    "KnownRequest",
    "LossGiven",
    "LossRequest",
    "answer",
    "arrive",
    "check_restored",
    "known_heads",
    "loss_of",
    "missing_of",
]

RESTORE_KINDS: Final = frozenset({"hitoku/known-head/1", "hitoku/restore-proof/1", "hitoku/arrived/1"})
_PROOF_BYTES: Final = 64 * 1024


class KnownRequest(Message):
    """Any to any: which head of my ledger do you keep?"""

    kind: Literal["hitoku/known-head/1"] = "hitoku/known-head/1"


class KnownGiven(Message):
    """That head as canonical JSON; None where it keeps none."""

    kind: Literal["hitoku/known-head-given/1"] = "hitoku/known-head-given/1"
    head: Annotated[str, Field(max_length=limits.MAX_LEDGER_HEAD_BYTES)] | None


class LossRequest(Message):
    """Any to any: what does your ledger say of its being restored?"""

    kind: Literal["hitoku/restore-proof/1"] = "hitoku/restore-proof/1"


class LossGiven(Message):
    """The newest such entry as a ledger proof in JSON; None where there is none."""

    kind: Literal["hitoku/restore-proof-given/1"] = "hitoku/restore-proof-given/1"
    proof: Annotated[str, Field(max_length=_PROOF_BYTES)] | None


class Arrived(Message):
    """Any to any: my ledger goes on here; an `Arrival` in JSON."""

    kind: Literal["hitoku/arrived/1"] = "hitoku/arrived/1"
    arrival: Annotated[str, Field(max_length=limits.MAX_LEDGER_HEAD_BYTES)]


class ArrivedKept(Message):
    """The arrival that is kept of the sender, which may be another one."""

    kind: Literal["hitoku/arrived-kept/1"] = "hitoku/arrived-kept/1"
    arrival: Annotated[str, Field(max_length=limits.MAX_LEDGER_HEAD_BYTES)]


def answer(records: Records, agreement: Agreement, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a KnownRequest, a LossRequest or an Arrived.

    Raises:
        PeerError: the message is malformed.
    """
    if message["kind"] == "hitoku/known-head/1":
        read(KnownRequest, message, sender)
        head = records.peer_head(sender)
        return KnownGiven(head=None if head is None else head.to_bytes().decode()).model_dump(mode="json")
    if message["kind"] == "hitoku/arrived/1":
        text = read(Arrived, message, sender).arrival
        arrival = _arrival(text, (records.room, sender), member_signed(agreement))
        if arrival is None:
            raise PeerError(f"what {sender!r} says of its arrival does not hold")
        return ArrivedKept(arrival=keep(records.store, arrival).to_text()).model_dump(mode="json")
    read(LossRequest, message, sender)
    seq = records.loss()
    proof = None if seq is None else json.dumps(records.ledger.prove(seq).to_dict())
    return LossGiven(proof=proof).model_dump(mode="json")


def known_heads(room: Room, peers: Peers, members: Iterable[str]) -> dict[str, Head | None]:
    """Which head of this member's ledger each of the others keeps.

    Raises:
        PeerError: one cannot be reached, or gave what this member never signed.
    """
    signed = signed_ever(room)
    found: dict[str, Head | None] = {}
    for member in members:
        if member == peers.me:
            continue
        reply = peers.call(member, KnownRequest().model_dump(mode="json"))
        text = read(KnownGiven, reply, member).head
        if text is None:
            found[member] = None
            continue
        try:
            head = Head.from_bytes(text.encode())
        except RoomError:
            raise PeerError(f"{member!r} keeps no head of this ledger that can be read") from None
        mine = (head.room, head.member) == (str(room.agreement.id), peers.me)
        if not mine or not signed(peers.me, head.message(), head.signature):
            raise PeerError(f"{member!r} keeps a head that this member never signed")
        found[member] = head
    return found


def missing_of(records: Records, heads: Iterable[Head | None]) -> int:
    """How many entries the restored ledger lacks of what others have seen.

    Raises:
        Refusal: ``LEDGER_FORKED``: it is not an older state of the ledger that they have seen, but another.
    """
    known = [head for head in heads if head is not None]
    size = records.ledger.size()
    for head in known:
        if head.size <= size and records.ledger.root_at(head.size) != head.root:
            raise Refusal(
                "LEDGER_FORKED",
                f"the restored ledger of {records.member!r} is another than the one that members have seen",
                owner=records.member,
                remedy="restore a backup of this member's own ledger",
            )
    return max([0, *(head.size - size for head in known)])


def check_restored(records: Records, room: Room, peers: Peers) -> None:
    """Refuse where this member's ledger is closed since it was restored, and say by how much it is behind.

    One that was moved here goes on, if all others can be told so now.

    Raises:
        Refusal: ``RESTORED_BEHIND``, ``MOVED_AWAY``, ``NOT_ARRIVED``, ``MOVED_TWICE`` or ``LEDGER_FORKED``.
    """
    closed = records.ledger.restored()
    if closed is None:
        return
    if closed.state == "arriving":
        with suppress(PeerError):
            arrive(records, room, peers)
            return
    if closed.state == "restored" and closed.missing is None:
        try:
            heads = known_heads(room, peers, [m.name for m in room.agreement.members])
            closed = closed.compared(missing_of(records, heads.values()))
        except PeerError:
            pass  # who cannot be asked leaves it unknown; it stays closed all the same
        else:
            records.note_missing(closed)
    raise closed.refusal(records.member)


def arrive(records: Records, room: Room, peers: Peers) -> None:
    """Tell all other members that this member's ledger was moved here; when all keep that, it goes on.

    Raises:
        PeerError: one cannot be reached, or gave what this member never signed. It stays closed then.
        Refusal: ``MOVED_TWICE``: another copy of it goes on, or did; ``LEDGER_FORKED``. From now on this one
            is as one that was restored from a plain backup.
    """
    closed = records.ledger.restored()
    if closed is None or closed.state != "arriving":
        return
    members = [m.name for m in room.agreement.members if m.name != peers.me]
    missing = missing_of(records, known_heads(room, peers, members).values())
    mine, other = records.ledger.arrival(closed), ""
    signed = signed_ever(room)
    for member in () if missing else members:
        reply = peers.call(member, Arrived(arrival=mine.to_text()).model_dump(mode="json"))
        kept = _arrival(read(ArrivedKept, reply, member).arrival, (mine.room, mine.member), signed)
        if kept is None or kept.size < mine.size:
            raise PeerError(f"{member!r} keeps an arrival that this member never signed")
        if (kept.size, kept.instance) != (mine.size, mine.instance):
            other = member
            break
    if not missing and not other:
        records.arrived(closed)
        return
    records.arrived_twice(closed, missing)
    seen = f"{other!r} knows another copy" if other else f"others have seen {missing} more entries of it"
    raise Refusal(
        "MOVED_TWICE",
        f"the ledger of {records.member!r} was moved, and goes on elsewhere already: {seen}",
        owner=records.member,
        remedy="if the other node runs, delete this one. If it is gone for good, go on from this one as from "
        "a backup: `hitoku node restore --to DIR --accept-loss`",
    )


def _arrival(text: str, whose: tuple[str, str], signed: Any) -> Arrival | None:
    """An arrival in a room, of a member, that it signed; None where it is none."""
    try:
        arrival = Arrival.from_text(text)
    except RoomError:
        return None
    holds = signed(arrival.member, arrival.message(), arrival.signature)
    return arrival if (arrival.room, arrival.member) == whose and holds else None


def loss_of(agreement: Agreement, room: Room, peers: Peers, member: str) -> Inclusion:
    """What a member's ledger says of its being restored, checked: its signature, and the entry's proof.

    Raises:
        RoomError: it says nothing, or the proof does not hold.
        PeerError: the member cannot be reached.
    """
    reply = peers.call(member, LossRequest().model_dump(mode="json"))
    text = read(LossGiven, reply, member).proof
    if text is None:
        raise RoomError(f"the ledger of {member!r} does not say that it was restored")
    try:
        proof = Inclusion.from_dict(json.loads(text))
    except (ValueError, RecursionError):
        raise RoomError(f"{member!r} sent no ledger proof") from None
    head = proof.head
    if (head.room, head.member) != (str(agreement.id), member) or not proof.verify(signed_ever(room)):
        raise RoomError(f"the proof that {member!r} sent does not hold")
    return proof
