# SPDX-License-Identifier: Apache-2.0
"""The other owner's side of a question that two owners compute together: it consented, now it takes part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hitoku import limits
from hitoku.ask.common import Examined, examine, same_room
from hitoku.errors import Refusal
from hitoku.ports import Clock, Peers
from hitoku.room.agreement import Room
from hitoku.room.consent import check_consents
from hitoku.room.jobs import Job, Jobs, JobState, Part
from hitoku.room.records import Records, replayed
from hitoku.room.runs import Role
from hitoku.transport import messages, runs

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

__all__ = ["Partner", "TakesPart"]


class TakesPart(Protocol):
    """A protection's part at the other owner."""

    def take_part(self) -> None:
        """Do this side's part of the run, from wherever it stands."""
        ...


@dataclass(frozen=True, slots=True)
class Partner:
    """The other owner's side.

    Attributes:
        room: the room, verified.
        peers: the way to the others.
        records: what this owner remembers.
        clock: the time.
        jobs: runs that outlive their request.
        runner: this side's part of a run, with all that it needs here.
    """

    room: Room
    peers: Peers
    records: Records
    clock: Clock
    jobs: Jobs
    runner: Callable[[Examined, runs.Begin], TakesPart]

    def begin(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a Begin: take the run on, durably; asked again, say that it is under way.

        Raises:
            Refusal: this owner's copy of the rules does not allow it, a consent is missing, forged or for
                something else, this owner did not consent to it, or it is over.
            PeerError: the message is malformed.
        """
        request = messages.read(runs.Begin, message, sender)
        same_room(self.room, request.room, self.peers.me)
        content = messages.encode(request.model_dump(mode="json"))
        known = self.jobs.find(request.run)
        if known is not None:
            if known.request != content or known.sender != sender:
                raise replayed()
            if known.state is JobState.FAILED:
                raise Refusal("RUN_ENDED", f"{self.peers.me!r} has ended this run; ask again")
            return runs.Begun(run=request.run).model_dump(mode="json")
        examined = self._examined(request)
        if examined.place != sender or self.peers.me not in examined.question.owners:
            raise Refusal("HOST_NOT_ALLOWED", f"{sender!r} may not lead this question")
        check_consents(
            request.consents,
            self.room.agreement,
            self.clock.now(),
            owners=examined.question.owners,
            room=examined.question.room_hash,
            question=examined.question.hash,
            plan=examined.plan.hash,
            protection=str(examined.protection.name),
            asker=request.asker,
            host=sender,
            run=request.run,
        )
        if self.jobs.parts() >= limits.MAX_PARTS_AT_ONCE:
            # Refused, not kept waiting: two nodes that wait for each other would wait for ever.
            raise Refusal(
                "BUSY",
                f"{self.peers.me!r} takes part in {limits.MAX_PARTS_AT_ONCE} runs already",
                owner=self.peers.me,
                remedy="ask again when one of them has ended",
            )
        job = Job(request.run, Part.PARTNER, sender, content)

        def write(connection: Connection) -> None:
            self.jobs.add(connection, job, self.clock.now())

        # The consent is this owner's own, so the charge is on record; what it has ended is not begun again.
        # That is looked at as the job is written, so that nobody can have the charge given back in between.
        self.records.while_reserved(request.run, Role.OWNER, write)
        return runs.Begun(run=request.run).model_dump(mode="json")

    def take_part(self, job: Job) -> None:
        """Do this side's part; called again after the process was ended.

        Raises:
            HitokuError: whatever ends it; the job is at its end then.
        """
        request = messages.read(runs.Begin, messages.decode(job.request, job.sender), job.sender)
        try:
            self.runner(self._examined(request), request).take_part()
        except Exception:
            self.jobs.end(job.run, JobState.FAILED)
            raise
        self.jobs.end(job.run, JobState.RELEASED)

    def _examined(self, request: runs.Begin) -> Examined:
        return examine(
            request.sql,
            self.room,
            request.asker,
            request.receivers,
            request.protection,
            request.users_noise,
        )
