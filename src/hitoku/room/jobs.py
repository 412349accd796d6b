# SPDX-License-Identifier: Apache-2.0
"""Runs that outlive a request, and the process: what is under way, durably.

A job is written in the same transaction as the reservation of its run, so a process that is killed finds,
when it starts again, exactly the runs that it had taken on. The result is written in the transaction that
commits the run: what was released is delivered again as it was, and never made anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hitoku.room import store as tables
from hitoku.room.store import Store

__all__ = ["Job", "JobState", "Jobs", "Part"]

_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
_ENDED = ("done", "failed", "refused")


class Part(StrEnum):
    """What a member does in a run; an upload, of its tables as shares, has ended when it is written down."""

    LEAD = "lead"
    PARTNER = "partner"
    UPLOAD = "upload"


class JobState(StrEnum):
    """Where a job stands.

    `released` has a result that not everybody may have got yet; of a `refused` one nothing has left this
    member, since the other owner did not begin.
    """

    OPEN = "open"
    RELEASED = "released"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is under way, or was.

    Attributes:
        run: the run's id.
        part: what this member does in it.
        sender: who asked this member to.
        request: the message that asked, encoded.
        created: when, as text.
        state: where it stands.
        result: what is answered to who asks for it: the answer, or why it failed; encoded.
    """

    run: str
    part: Part
    sender: str
    request: bytes
    created: str = ""
    state: JobState = JobState.OPEN
    result: bytes | None = None

    @property
    def taken_on(self) -> datetime:
        """When it was taken on."""
        return datetime.strptime(self.created, _FORMAT).replace(tzinfo=UTC)


class Jobs:
    """A member's jobs in one room."""

    def __init__(self, store: Store, room: str) -> None:
        self._store, self._room = store, room

    def add(self, connection: Connection, job: Job, now: datetime) -> None:
        """Take a job on, within the caller's transaction."""
        moment = now.strftime(_FORMAT)
        row = {
            "run": job.run,
            "part": str(job.part),
            "room": self._room,
            "sender": job.sender,
            "state": str(JobState.OPEN),
            "request": job.request,
            "created": moment,
        }
        connection.execute(sa.insert(tables.jobs), row)

    def find(self, run: str) -> Job | None:
        """The job of a run; a member has one part in a run."""
        known = tables.jobs.c
        with self._store.reading() as connection:
            row = connection.execute(
                sa.select(tables.jobs).where(known.run == run, known.room == self._room)
            ).first()
        return None if row is None else _job(row)

    def unfinished(self) -> tuple[Job, ...]:
        """All jobs that are not at their end, the oldest first."""
        known = tables.jobs.c
        with self._store.reading() as connection:
            rows = connection.execute(
                sa.select(tables.jobs)
                .where(
                    known.room == self._room, known.state.in_((str(JobState.OPEN), str(JobState.RELEASED)))
                )
                .order_by(known.created)
            ).all()
        return tuple(_job(row) for row in rows)

    def parts(self) -> int:
        """How many runs of others this member takes part in just now."""
        known = tables.jobs.c
        here = (known.room == self._room) & (known.part == str(Part.PARTNER))
        with self._store.reading() as connection:
            count = connection.scalar(
                sa.select(sa.func.count()).where(here, known.state == str(JobState.OPEN))
            )
        return int(count or 0)

    def move(self, connection: Connection, run: str, state: JobState, result: bytes | None = None) -> None:
        """Set a job's state, and its result where one is given, within the caller's transaction.

        An end is final: nothing changes a job that has come to one.
        """
        known = tables.jobs.c
        values = {"state": str(state)} | ({} if result is None else {"result": result})
        connection.execute(
            sa.update(tables.jobs)
            .where(known.run == run, known.room == self._room, known.state.not_in(_ENDED))
            .values(**values)
        )

    def end(self, run: str, state: JobState, result: bytes | None = None) -> None:
        """The same in a transaction of its own."""
        with self._store.transaction() as connection:
            self.move(connection, run, state, result)

    def drawn(self, run: str) -> bool:
        """Whether the run's secrets were drawn here, as `note_drawn` wrote down."""
        known = tables.jobs.c
        here = sa.select(known.drawn).where(known.run == run, known.room == self._room)
        with self._store.reading() as connection:
            return bool(connection.scalar(here))

    def note_drawn(self, run: str) -> None:
        """Write down, durably, that the run's secrets were drawn here: if its folder is lost, it has ended.

        Drawn a second time they would show the other owner a second noisy view for one charge.
        """
        known = tables.jobs.c
        with self._store.transaction() as connection:
            connection.execute(
                sa.update(tables.jobs)
                .where(known.run == run, known.room == self._room)
                .values(drawn=sa.true())
            )

    def forget(self, before: datetime) -> int:
        """Delete what is left of jobs that ended and were taken on before that time."""
        known = tables.jobs.c
        with self._store.transaction() as connection:
            done = connection.execute(
                sa.delete(tables.jobs).where(
                    known.room == self._room,
                    known.state.in_(_ENDED),
                    known.created < before.strftime(_FORMAT),
                )
            )
        return int(done.rowcount)


def _job(row: sa.Row[tuple[object, ...]]) -> Job:
    return Job(
        run=str(row.run),
        part=Part(row.part),
        sender=str(row.sender),
        request=bytes(row.request),
        created=str(row.created),
        state=JobState(row.state),
        result=None if row.result is None else bytes(row.result),
    )
