# SPDX-License-Identifier: Apache-2.0
"""How a restored member comes back into its rooms (docs/decisions/0018-restore.md).

The restored member compares every closed ledger with the heads that all others keep of it, and its owner
accepts the loss: whatever may have been spent counts as spent, and the ledger says which heads it can no
longer continue. Where others had seen more of it, each of their operators accepts that in turn, after having
looked; until then they refuse it as a forked ledger, which it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from hitoku import limits
from hitoku.errors import Refusal, RoomError
from hitoku.node.settings import NodeSettings
from hitoku.ports import Clock, Peers
from hitoku.room.directory import MemberDirectory
from hitoku.room.restored import Restored

if TYPE_CHECKING:
    from hitoku.node.member import LocalNode
    from hitoku.room.agreement import Room

__all__ = ["Loss", "accept_loss", "accept_restored", "compare"]

_WAIT_SECONDS: Final = limits.CONSENT_SECONDS + 2 * limits.CLOCK_SKEW_SECONDS


@dataclass(frozen=True, slots=True)
class Loss:
    """How a restored ledger stands.

    Attributes:
        room: the room's name.
        entries: how many entries it has.
        missing: how many more another member has seen.
        known: the size of this ledger that each other member has seen; 0 where it has seen none.
        accepted: the entry with which it goes on; None while it is closed.
        closed: whether it still is.
    """

    room: str
    entries: int
    missing: int
    known: Mapping[str, int]
    accepted: int | None
    closed: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "room": self.room,
            "entries": self.entries,
            "missing": self.missing,
            "known": dict(self.known),
            "accepted": self.accepted,
            "closed": self.closed,
        }


def compare(directory: MemberDirectory, clock: Clock, *, accept: bool = False) -> tuple[Loss, ...]:
    """Compare all restored ledgers with what the other members keep; with `accept`, let them go on.

    What was signed since the backup is asked, too (`hitoku.node.resigned`), and signing is opened with that.
    Those that were moved here go on when all others were told so, which loses nothing.

    Args:
        directory: the restored member's.
        clock: the time.
        accept: whether the owner accepts the loss: `hitoku.room.records.Records.accept_loss`.

    Raises:
        PeerError: a member cannot be asked. Nothing is opened then.
        Refusal: ``MOVED_AWAY``, ``MOVED_TWICE``, ``LEDGER_FORKED``; ``RESTORED_BEHIND`` where it is too early
            to accept.
        RoomError: a room cannot be used.
    """
    from hitoku.node.resigned import learn_by_hand
    from hitoku.node.rooms_by_hand import by_hand

    numbers = range(len(NodeSettings.open(directory.path).rooms))
    found: list[Loss] = []
    for accepting in (False, True) if accept else (False,):  # first all are looked at, then all are opened
        found = []
        for number in numbers:
            with by_hand(directory, number, clock) as hand:
                found.append(_compared(hand.node, hand.room, hand.peers, clock, accepting))
    for number in numbers:
        learn_by_hand(directory, number, clock)
    return tuple(found)


def accept_loss(directory: MemberDirectory, clock: Clock) -> tuple[Loss, ...]:
    """`compare`, and accept."""
    return compare(directory, clock, accept=True)


def accept_restored(directory: MemberDirectory, room: str | None, member: str, clock: Clock) -> int:
    """Keep a restored member's ledger from where it goes on, though it does not continue what was seen of it.

    The member must have said so in its ledger, and named the very head that is kept here; both ledgers then
    tell of it. Returns this member's entry.

    Args:
        directory: of the member who accepts.
        room: the room's name or id; may be None where node.toml names only one.
        member: whose ledger was restored.
        clock: the time.

    Raises:
        RoomError: it did not say so, or names another head than the one that is kept.
        PeerError: it cannot be asked.
    """
    from hitoku.node.rooms_by_hand import by_hand, number_of
    from hitoku.transport.restoring import loss_of

    with by_hand(directory, number_of(directory, room), clock) as hand:
        records, agreement = hand.node.records, hand.room.agreement
        if member == directory.name or agreement.member(member) is None:
            raise RoomError(f"{member!r} is no other member of room {agreement.name!r}")
        kept = records.peer_head(member)
        if kept is None:
            raise RoomError(f"no head of the ledger of {member!r} is kept here: there is nothing to accept")
        proof = loss_of(agreement, hand.room, hand.peers, member)
        said = _said(proof.entry, directory.name)
        if said != {"size": kept.size, "root": kept.root.hex()}:
            raise RoomError(
                f"the ledger of {member!r} does not name the head that is kept here as one that it lost: "
                "nothing was accepted"
            )
        return records.accept_restored(proof.head, kept)


def _said(raw: bytes, me: str) -> Any:
    """What an entry says that this member has seen; None where it is no entry of that kind."""
    try:
        entry = json.loads(raw)
        restored = entry["kind"] == "restore" and entry["body"]["stage"] == "loss-accepted"
        return entry["body"]["known"].get(me) if restored else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _compared(node: LocalNode, room: Room, peers: Peers, clock: Clock, accept: bool) -> Loss:
    from hitoku.transport.restoring import arrive, known_heads, missing_of

    records = node.records
    agreement, closed = room.agreement, records.ledger.restored()
    size = records.ledger.size()
    if closed is None:
        return Loss(agreement.name, size, 0, {}, None, closed=False)
    if closed.state == "moved":
        raise closed.refusal(records.member)
    if closed.state == "arriving":
        arrive(records, room, peers)
        records.accept(agreement)
        records.recover()
        return Loss(agreement.name, records.ledger.size(), 0, {}, None, closed=False)
    heads = known_heads(room, peers, [m.name for m in agreement.members])
    missing = missing_of(records, heads.values())
    records.note_missing(closed.compared(missing))
    entry = None
    if accept:
        _check_time(closed, clock.now(), records.member)
        entry = records.accept_loss(agreement, heads, missing)
        records.accept(agreement)
        records.recover()
    sizes = {name: 0 if head is None else head.size for name, head in heads.items()}
    return Loss(agreement.name, size, missing, sizes, entry, closed=not accept)


def _check_time(closed: Restored, now: datetime, member: str) -> None:
    """Consents from before the loss must have ended: a host that forgot them might take them again."""
    since = datetime.fromisoformat(closed.time)
    left = since + timedelta(seconds=_WAIT_SECONDS) - now
    if left > timedelta():
        raise Refusal(
            "RESTORED_BEHIND",
            f"consents that were given before the backup was restored may still hold for {left.seconds + 1} "
            "seconds",
            owner=member,
            remedy="accept the loss after that",
        )
