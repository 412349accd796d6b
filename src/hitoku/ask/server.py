# SPDX-License-Identifier: Apache-2.0
"""One server's side of a run on shares: it examines, asks every owner, computes with the two others, seals.

Each of the three does all of that by itself; the leader's word counts for nothing. It looks at the question,
every consent and every receiver's key, asks every owner for what is public of its tables and for its own
seeds, and makes the program itself. The three begin only when they have made the same program. What they open
to each other they compare; then each seals its shares of the result for each receiver. Nobody gives out any
before all three have computed.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from hitoku import limits
from hitoku.ask.broken import Told
from hitoku.ask.common import Examined, examine, run_of, same_room
from hitoku.ask.gathering import Offered, Offers
from hitoku.ask.work import Computed, Order, Work
from hitoku.errors import HitokuError, PeerError, Refusal
from hitoku.ports import Clock, KeyStore, NoProgress, Parcels, Peers, Progress
from hitoku.room.agreement import Room
from hitoku.room.consent import check_consents
from hitoku.room.parts import SealedPart, Terms, seal_part
from hitoku.room.records import Records
from hitoku.room.runs import Role
from hitoku.room.sealing import check_sealing_keys
from hitoku.transport import messages, shares

if TYPE_CHECKING:
    from hitoku.protections.shares.manifest import Manifest
    from hitoku.protections.shares.program import Program
    from hitoku.protections.shares.upload.load import Given
    from hitoku.protections.shares.upload.spool import Spool

__all__ = ["Server", "Site"]

_SHORTEST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0
_SECOND: Final = 1
"""The place of the server that fetches explicit shares."""
_PARCEL_SECONDS: Final = 60.0
_UNKNOWN_SECONDS: Final = 30
"""So long another server may not have heard of a run."""


class Site(Protocol):
    """What a server's node gives to its runs."""

    @property
    def parcels(self) -> Parcels:
        """The way to what owners have ready."""
        ...

    def folder(self, run: str) -> Path:
        """Where a run may put what does not fit into memory; it is wiped at the run's end."""
        ...

    def connect(
        self, index: int, run: str, program: str, addresses: Sequence[str | None], seconds: float
    ) -> Any:
        """Join the two other servers.

        Args:
            index: this server's place.
            run: the run.
            program: the hash of what is computed.
            addresses: where the servers after this one listen; None of the others.
            seconds: so long they wait for each other.

        Returns:
            A `hitoku.hazmat.shares.Party`.

        Raises:
            PeerError: one is not there, is somebody else, or has another program.
        """
        ...


@dataclass(frozen=True, slots=True)
class Server:
    """One server's side of runs.

    Attributes:
        room: the room, verified.
        peers: the way to the others.
        records: what it remembers.
        keys: what it signs with.
        clock: the time.
        site: what its node gives.
    """

    room: Room
    peers: Peers
    records: Records
    keys: KeyStore
    clock: Clock
    site: Site

    @property
    def servers(self) -> tuple[str, ...]:
        """The room's three servers, in order."""
        part = self.room.agreement.shares
        return () if part is None else part.servers

    def begin(self, sender: str, message: Mapping[str, Any]) -> Work:
        """Take a run on for which another server asks: examined, and on record.

        Raises:
            Refusal: this server's copy of the rules does not allow it, a consent or a key is missing, forged
                or for something else, the sender does not lead, or the run was taken on before.
            PeerError: the message is malformed.
        """
        request = messages.read(shares.SharesBegin, message, sender)
        same_room(self.room, request.room, self.peers.me)
        examined = self.examined(Order(sender, request))
        own = run_of(request.run, Role.SERVER, request.asker, sender, examined)
        self.records.reserve(own, self.room.agreement)
        return Work(Order(sender, request), examined)

    def examined(self, order: Order) -> Examined:
        """The question, if it may be computed here under that leader, with all that it needs.

        Raises:
            Refusal: it may not.
        """
        request, me = order.request, self.peers.me
        examined = examine(
            request.sql, self.room, request.asker, request.receivers, request.protection, request.users_noise
        )
        if not examined.protection.shared or me not in self.servers or examined.place != order.leader:
            raise Refusal(
                "HOST_NOT_ALLOWED",
                f"{order.leader!r} does not lead this question, or {me!r} has no part in it",
                rule="shares.servers",
                owner=me,
            )
        question = examined.question
        check_consents(
            request.consents,
            self.room.agreement,
            self.clock.now(),
            owners=question.owners,
            room=question.room_hash,
            question=question.hash,
            plan=examined.plan.hash,
            protection=str(examined.protection.name),
            asker=request.asker,
            host=order.leader,
            run=request.run,
        )
        check_sealing_keys(
            request.sealing,
            self.room.agreement,
            receivers=examined.plan.receivers,
            room=question.room_hash,
            run=request.run,
            host=order.leader,
        )
        return examined

    def compute(self, work: Work, progress: Progress | None = None) -> Computed:
        """Compute with the two others. `work` ends where this fails.

        Raises:
            Refusal: an owner refuses.
            PeerError: an owner or a server failed, or the three do not agree.
            HitokuError: whatever else ends it.
        """
        try:
            made = self._compute(work, progress or NoProgress())
        except HitokuError as error:
            work.end(error)
            raise (work.error or error) from None  # what ended the run first is why it ended
        except BaseException:  # its words may quote data
            if os.environ.get("HITOKU_DEBUG") == "1":
                traceback.print_exc()
            work.end(PeerError(f"{self.peers.me!r} could not compute its part", "INTERNAL"))
            raise
        work.computed = made
        return made

    def parts(self, work: Work, released_at: str) -> list[SealedPart]:
        """This server's sealed parts, one for each receiver in the order of their names. It ends the work.

        Raises:
            Refusal: it has not computed, or the time is another than now.
            LimitError: the answer is too large.
        """
        from hitoku.protections.shares.output.share import share

        self._soon(released_at)
        computed = work.take()
        if computed is None:
            raise Refusal("NO_SUCH_RUN", f"{self.peers.me!r} has nothing to give out for this run")
        question, request = work.examined.question, work.order.request
        terms = Terms(
            room=question.room_hash,
            run=request.run,
            question=question.hash,
            plan=work.examined.plan.hash,
            program=computed.name,
            released_at=released_at,
        )
        content = share(
            computed.party,
            computed.results,
            run=request.run,
            question=question.hash,
            plan=work.examined.plan.hash,
            program=computed.name,
            released_at=released_at,
        )
        found = []
        for key in sorted(request.sealing, key=lambda key: key.receiver):
            found.append(
                seal_part(
                    content, key.raw, self.keys, server=self.peers.me, receiver=key.receiver, terms=terms
                )
            )
        computed.party.close()
        return found

    def _soon(self, released_at: str) -> None:
        now, said = self.clock.now(), datetime.fromisoformat(released_at)
        skew = timedelta(seconds=limits.CLOCK_SKEW_SECONDS)
        interval = timedelta(seconds=self.room.agreement.release.interval_seconds)
        if not now - skew <= said <= now + interval + skew:
            raise Refusal(
                "RELEASE_TIME",
                f"the leader would date the answer at another time than {self.peers.me!r} has",
                remedy="set the servers' clocks",
            )

    # --- the steps ---

    def _compute(self, work: Work, progress: Progress) -> Computed:
        from hitoku.protections.shares.naming import run_name
        from hitoku.protections.shares.operators.execute import execute
        from hitoku.protections.shares.upload.load import load

        index = self.servers.index(self.peers.me)
        with ExitStack() as stack:
            progress.phase("owners share their tables")
            offered = Offers(self, work).all()
            program = self._program(work, {table: one.manifest for table, one in offered.items()})
            name = run_name(program, {table: one.manifest.hash for table, one in offered.items()})
            given = self._given(work, index, offered, stack)
            work.program = name
            progress.phase("join the other servers")
            addresses = self._ready(work, name)
            party = self.site.connect(index, work.run, name, addresses, limits.SHARES_CONNECT_SECONDS)
            work.joined(party)
            with Told(self.servers):
                loaded = load(given, party, self.servers, progress=progress)
                results = execute(program, party, loaded, progress)
                party.check()
        work.check()
        return Computed(program, name, party, results)

    def _program(self, work: Work, manifests: Mapping[str, Manifest]) -> Program:
        from hitoku.protections.base import Unsupported
        from hitoku.protections.shares.planning import draft
        from hitoku.protections.shares.planning import program as made

        sketch = draft(work.examined.question, work.examined.plan, self.room)
        if isinstance(sketch, Unsupported):
            raise Refusal("NO_PROTECTION", sketch.reason, rule="protections", remedy=sketch.remedy)
        return made(sketch, manifests)

    def _given(
        self, work: Work, index: int, offered: Mapping[str, Offered], stack: ExitStack
    ) -> dict[str, Given]:
        """What this server has of each table; the second one fetches the explicit shares for it."""
        from hitoku.protections.shares.upload.load import Given

        found: dict[str, Given] = {}
        for table, one in offered.items():
            seeds = [None if s is None else bytes.fromhex(s) for s in (one.offer.seed_a, one.offer.seed_b)]
            spool = self._fetched(work, one, stack) if index == _SECOND else None
            found[table] = Given(one.manifest, seeds[0], seeds[1], spool)
        return found

    def _fetched(self, work: Work, one: Offered, stack: ExitStack) -> Spool:
        from hitoku.protections.shares.upload.chunks import SCHEMA, chunks_in
        from hitoku.protections.shares.upload.spool import Spool

        if one.offer.parcel is None:
            raise PeerError(f"{one.owner!r} offers no explicit share of table {one.manifest.table}")
        spool = stack.enter_context(Spool(one.manifest, self.site.folder(work.run)))
        batches = self.site.parcels.fetch(
            one.owner, work.run, one.offer.parcel, SCHEMA, one.manifest.chunks, _PARCEL_SECONDS
        )
        spool.take(chunks_in(batches))
        return spool

    def _ready(self, work: Work, name: str) -> list[str | None]:
        """Wait until both other servers are to compute the same; where those after this one listen.

        Raises:
            PeerError: one is to compute something else, or has given up.
        """
        index = self.servers.index(self.peers.me)
        found: list[str | None] = [None] * len(self.servers)
        for place, other in enumerate(self.servers):
            if place == index:
                continue
            at = self._where(work, other)
            if at.program != name:
                raise PeerError(f"{other!r} made another program of this question: nothing was computed")
            if place > index:
                found[place] = at.address
        return found

    def _where(self, work: Work, other: str) -> shares.SharesAt:
        asked = shares.SharesWhere(run=work.run).model_dump(mode="json")
        pause, began = _SHORTEST_PAUSE, time.monotonic()
        while True:
            work.check()
            passed = time.monotonic() - began
            try:
                at = messages.read(shares.SharesAt, self.peers.call(other, asked), other)
                if at.run == work.run and at.program is not None and at.address is not None:
                    return at
            except Refusal as refusal:
                if refusal.code != "NO_SUCH_RUN" or passed > _UNKNOWN_SECONDS:
                    raise
            if passed > limits.RUN_SECONDS:
                raise PeerError(f"{other!r} was not ready in time", "LATE")
            self.clock.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 1.5)
