# SPDX-License-Identifier: Apache-2.0
"""Brings proposals, signatures and versions in force to the other members' nodes, until they have them.

What is to be said to whom follows from the records alone (`hitoku.node.proposal_book`), so nothing is lost
when this node or another one stops: whatever was not heard is said again, at once when something changed, and
with longer and longer pauses to a node that does not answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Final

from hitoku.errors import HitokuError, PeerError, RoomError
from hitoku.node.certificate import certificate_file
from hitoku.node.proposal_book import Record, Tried
from hitoku.node.proposal_desk import heard
from hitoku.node.proposals import Proposals
from hitoku.node.resigned import learn
from hitoku.room.agreement import Agreement, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.consent import moment
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room, parse_room
from hitoku.room.signing import verify
from hitoku.room.versions import continues, newest_in_force
from hitoku.transport import messages
from hitoku.transport.https.client import HttpsNetwork
from hitoku.transport.in_process import InProcessNetwork, InProcessPeers
from hitoku.transport.joining import RoomGiven, RoomRequest
from hitoku.transport.proposals import (
    Noted,
    Propose,
    Proposed,
    SignatureGiven,
    Withdraw,
    draft_text,
    read_draft,
)

__all__ = ["Courier", "pull"]

_PAUSES: Final = (2, 5, 10, 30, 60)
"""Seconds until a member that was not reached is tried again, after the first, second, ... failure."""
_POLL_SECONDS: Final = 30
"""How often who keeps an open proposal is asked again whether it signed."""
_ASK_SECONDS: Final = 10
"""How often all others are asked what a restored member signed, until all have answered."""
_AT_ONCE: Final = 8


class Courier:
    """Speaks for one member about one room's proposals. For one thread at a time.

    Args:
        proposals: the room's.
        peers: the other members' addresses.
        network: the way to the others; over HTTPS where None.
    """

    def __init__(
        self, proposals: Proposals, peers: Mapping[str, str], network: InProcessNetwork | None = None
    ) -> None:
        self._proposals, self._addresses, self._given = proposals, dict(peers), network
        self._now = proposals.clock.now
        self._to_pull: list[str] = []

    def step(self, agreement: Agreement, *, eager: bool = False) -> bool:
        """Say what is to be said to everybody it is due to, and put in force what is complete.

        Args:
            agreement: the one in force here.
            eager: without the pauses; after something changed here.

        Returns:
            Whether a version was put in force or taken up here.
        """
        book, me = self._proposals.book, self._proposals.me
        busy = any(r.state == "open" for r in book.records() if r.author == me)
        since = moment(self._now() - timedelta(seconds=_ASK_SECONDS))
        closed = book.closed(None if eager else since)
        if not busy and not closed and not self._ahead(eager) and not self._due(agreement, eager):
            return False
        network = self._given or _network(self._proposals.directory, agreement, self._addresses)
        peers = InProcessPeers(network, self._proposals.me)
        try:
            if closed:
                self._learn(peers)
            return self._step(peers, agreement, eager)
        finally:
            if self._given is None and isinstance(network, HttpsNetwork):
                network.close()

    def _learn(self, peers: InProcessPeers) -> None:
        """Since a restore: ask what this member signed."""
        self._proposals.book.tried(self._proposals.now())
        try:
            self._to_pull += learn(self._proposals, peers)
        except HitokuError:  # not all answered: asked again
            return

    def _step(self, peers: InProcessPeers, agreement: Agreement, eager: bool) -> bool:
        changed = self._proposals.settle()
        sent = changed or self._send(peers, agreement, eager)
        changed = self._proposals.settle() or changed
        if changed and sent:
            # What is in force now is told at once, not at the next step.
            changed_to = newest_in_force(load_room(self._proposals.file)).agreement
            self._send(peers, changed_to, True)
        return self._catch_up(peers, eager) or changed

    def _ahead(self, eager: bool) -> tuple[str, ...]:
        """Who has something newer, and is due to be asked for it."""
        since = moment(self._now() - timedelta(seconds=_POLL_SECONDS))
        return self._proposals.book.ahead(None if eager else since)

    def _catch_up(self, peers: InProcessPeers, eager: bool) -> bool:
        """Get what others said they have in force and this node has not."""
        changed, left = False, list[str]()
        wanted = dict.fromkeys((*self._to_pull, *self._ahead(eager)))
        self._to_pull = []
        for member in wanted:
            try:
                changed = pull(self._proposals, peers, member) or changed
            except PeerError:  # it is down: asked again
                left.append(member)
            except HitokuError:  # what it has cannot be taken up; it is told so where it says so again
                pass
        if wanted:
            self._proposals.book.caught_up(tuple(left), self._proposals.now())
        return changed

    def _send(self, peers: InProcessPeers, agreement: Agreement, eager: bool) -> bool:
        due = self._due(agreement, eager)
        if not due:
            return False
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="hitoku-courier") as threads:
            wait([threads.submit(self._say, peers, author, member, say) for author, member, say in due])
        return True

    def _due(self, agreement: Agreement, eager: bool) -> list[tuple[str, str, Callable[..., None]]]:
        """Whose record, to whom, and what is said."""
        me, found = self._proposals.me, list[tuple[str, str, Callable[..., None]]]()
        others = [m.name for m in agreement.members if m.name != me]
        for record in self._proposals.book.records():
            if record.author != me:
                waits = record.state == "declined" or (record.state == "open" and record.signed)
                waits = waits and not record.delivered and record.author in others
                if waits and (eager or self._again(record.tried.get(record.author))):
                    found.append((record.author, record.author, self._give))
                continue
            found += [
                (me, name, self._inform)
                for name in record.owed
                if name in others and (eager or self._again(record.tried.get(name)))
            ]
            say = {"open": self._propose, "in_force": self._propose, "withdrawn": self._withdraw}.get(
                record.state
            )
            if say is None or (record.state == "withdrawn" and record.withdrawal is None):
                continue
            for name in others:
                heard_ = name in record.told
                if record.state == "open" and name in record.kept:
                    heard_ = not self._polled(record, name)
                if not heard_ and (eager or self._again(record.tried.get(name))):
                    found.append((me, name, say))
        return found

    def _again(self, tried: Tried | None) -> bool:
        if tried is None or not tried.failures:
            return True
        pause = _PAUSES[min(tried.failures, len(_PAUSES)) - 1]
        return self._now() >= datetime.fromisoformat(tried.last) + timedelta(seconds=pause)

    def _polled(self, record: Record, name: str) -> bool:
        """Whether who keeps it is due to be asked for its signature: usually it comes by itself."""
        tried = record.tried.get(name)
        last = None if tried is None else datetime.fromisoformat(tried.last)
        return last is None or self._now() >= last + timedelta(seconds=_POLL_SECONDS)

    def _say(self, peers: InProcessPeers, author: str, member: str, say: Callable[..., None]) -> None:
        problem = None
        try:
            record = self._proposals.book.record(author)
            if record is not None:
                say(peers, member, record)
        except HitokuError as error:
            problem = str(error)[:1_000]
        except Exception:  # its words may be anybody's
            problem = "it answered with something that cannot be used"
        now = self._proposals.now()

        def tried(record: Record) -> Record:
            before = record.tried.get(member)
            since = None
            if problem is not None:
                since = now if before is None or before.since is None else before.since
            failures = 0 if problem is None else 1 + (0 if before is None else before.failures)
            made = Tried(since=since, last=now, failures=failures, problem=problem)
            return record.model_copy(update={"tried": {**record.tried, member: made}})

        self._proposals.update(author, tried)

    def _propose(self, peers: InProcessPeers, member: str, record: Record) -> None:
        if record.state == "in_force":
            draft = self._whole(record)
        else:  # without signatures: with them it would be in force there before all others keep it
            draft = draft_text(Room(agreement=read_draft(record.draft, record.author).agreement))
        message = Propose(draft=draft, why=record.why).model_dump(mode="json")
        reply = messages.read(Proposed, peers.call(member, message), member)
        if reply.state == "bound" and record.earlier:  # it has not heard that what it signed was taken back
            for hash_, signature in record.earlier:
                said = Withdraw(version=record.version, hash=hash_, signature=signature)
                messages.read(Noted, peers.call(member, said.model_dump(mode="json")), member)
            reply = messages.read(Proposed, peers.call(member, message), member)
        if record.state == "in_force":
            if reply.state in {"in_force", "ahead"}:
                self._told(record, member)
            elif reply.state == "behind":  # it pulls the versions between from this node, when it looks
                raise PeerError(f"{member!r} has version {reply.version} only; it gets the newer ones itself")
            else:
                raise PeerError(f"{member!r} does not take up version {record.version} ({reply.state})")
            return
        if reply.state in {"ahead", "in_force"}:
            self._to_pull.append(member)
            return
        with self._proposals.turn() as now:
            mine = self._proposals.book.record(record.author)
            if mine is None or mine.hash != record.hash or mine.state != "open":
                return
            taken = {name: whose for name, whose in mine.taken.items() if name != member}
            if reply.state in {"kept", "declined"}:
                declined = (reply.reason or "") if reply.state == "declined" else None
                mine = heard(self._proposals, mine, member, reply.signatures, declined, now)
            elif reply.state in {"taken", "bound"}:
                taken[member] = reply.author or member
            self._proposals.book.write(mine.model_copy(update={"taken": taken}))
        if reply.state == "behind":
            raise PeerError(f"{member!r} has version {reply.version} only; it must get the newer one first")

    def _whole(self, record: Record) -> str:
        """The version as it came into force, with all signatures."""
        room = newest_in_force(load_room(self._proposals.file))
        versions = [(v.agreement, v.signatures) for v in room.history]
        for agreement, signatures in [*versions, (room.agreement, room.signatures)]:
            if agreement_hash(agreement) == record.hash:
                return draft_text(Room(agreement=agreement, signatures=signatures))
        raise RoomError("the version is not in the room file any more")

    def _inform(self, peers: InProcessPeers, member: str, record: Record) -> None:
        """Tell of the version in force, which this member made before its newest proposal."""
        room = newest_in_force(load_room(self._proposals.file))
        text = draft_text(Room(agreement=room.agreement, signatures=room.signatures))
        message = Propose(draft=text).model_dump(mode="json")
        reply = messages.read(Proposed, peers.call(member, message), member)
        if reply.state not in {"in_force", "ahead", "behind"}:
            raise PeerError(f"{member!r} does not take up the version in force ({reply.state})")
        self._proposals.update(
            record.author,
            lambda r: r.model_copy(update={"owed": tuple(name for name in r.owed if name != member)}),
        )

    def _withdraw(self, peers: InProcessPeers, member: str, record: Record) -> None:
        message = Withdraw(version=record.version, hash=record.hash, signature=record.withdrawal or "")
        messages.read(Noted, peers.call(member, message.model_dump(mode="json")), member)
        self._told(record, member)

    def _give(self, peers: InProcessPeers, member: str, record: Record) -> None:
        draft = read_draft(record.draft, record.author)
        mine = [s for s in draft.signatures if s.member == self._proposals.me] if record.signed else []
        declined = (record.reason or "") if record.state == "declined" else None
        message = SignatureGiven(hash=record.hash, signatures=mine, declined=declined)
        messages.read(Noted, peers.call(member, message.model_dump(mode="json")), member)
        self._proposals.update(
            record.author,
            lambda r: r.model_copy(update={"delivered": True}) if r.hash == record.hash else r,
        )

    def _told(self, record: Record, member: str) -> None:
        self._proposals.update(
            record.author,
            lambda r: (
                r.model_copy(update={"told": tuple(dict.fromkeys((*r.told, member)))})
                if r.hash == record.hash and r.state == record.state
                else r
            ),
        )


def pull(proposals: Proposals, peers: InProcessPeers, member: str) -> bool:
    """Get the newest version in force from another member, and take it up. Returns whether it was newer.

    Raises:
        PeerError: the member cannot be reached.
        RoomError: what it sends does not continue what is known here, or is not in force.
    """
    reply = peers.call(member, RoomRequest().model_dump(mode="json"))
    found = parse_room(messages.read(RoomGiven, reply, member).room, f"the room that {member!r} sent")
    with proposals.turn() as (_, force):
        if found.agreement.version <= force.agreement.version:
            return False
        continues(found, force.agreement)
        verify(found)
        proposals.take_up(found)
    return True


def _network(directory: MemberDirectory, agreement: Agreement, peers: Mapping[str, str]) -> HttpsNetwork:
    return HttpsNetwork(directory.name, agreement, peers, certificate_file(directory), directory.key_file)
