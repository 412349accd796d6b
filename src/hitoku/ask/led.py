# SPDX-License-Identifier: Apache-2.0
"""Runs that outlive their request: taken on, carried on from where they stand, asked for until they end."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hitoku.ask.pace import Pace
from hitoku.errors import HitokuError, Refusal
from hitoku.room.consent import moment
from hitoku.room.jobs import Job, Jobs, JobState, Part
from hitoku.room.runs import Role, Run
from hitoku.transport import messages, runs
from hitoku.transport.in_process import told

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from hitoku.ask.common import Examined
    from hitoku.ask.host import Host
    from hitoku.transport.runs import RunGoing

__all__ = ["Led"]

_ENDED: Final = frozenset({JobState.DONE, JobState.FAILED, JobState.REFUSED})


class Led:
    """The long runs of a place where questions are computed."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def begin(self, job: Job) -> bool:
        """Have the other owner begin its part, before this one waits for its turn. Returns whether it did.

        The owners' consents are for soon. Where it does not begin, nothing of this member has left, so the
        run is given up and costs this member nothing; the other owner's own record says what it costs there.
        """
        if job.state is not JobState.OPEN:
            return True
        request = messages.read(messages.RunRequest, messages.decode(job.request, job.sender), job.sender)
        try:
            examined = self._host.examined(job.sender, request)
        except HitokuError:
            return True  # `finish` tells
        protection = self._host.runner(examined, request)
        try:
            protection.begin(examined.question, self._host.peers)
        except HitokuError as error:
            if not protection.nothing_left():
                return True  # it had begun before this process was started again: `finish` fails, and charges
            self._book.end(job.run, JobState.REFUSED, messages.encode(told(error)))
            self._host.records.abort(job.run, Role.HOST, "the other owner did not begin")
            outcome = messages.Settle(run=job.run, outcome="aborted")
            self._host.settle(examined.question.owners, outcome)
            return False
        return True

    def finish(self, job: Job) -> None:
        """Carry a job on from where it stands to its end. Called again after the process was ended.

        Whatever ends it is in its result, for its asker to take; only what ends the process leaves it open.
        """
        request = messages.read(messages.RunRequest, messages.decode(job.request, job.sender), job.sender)
        pace = Pace(self._host.clock, self._host.room.agreement.release.interval_seconds, job.taken_on)
        try:
            examined = self._host.examined(job.sender, request)
        except HitokuError as error:  # a newer version of the room no longer allows it
            self._gone(job, error)
            return
        if job.state is JobState.OPEN:
            try:
                protection = self._host.runner(examined, request)
                released = self._host.compute(protection, examined, request.run)
                released = replace(released, released_at=moment(pace.next()))
                delivery = messages.Deliver(run=released.run, answer=released.to_message())
                content = messages.encode(delivery.model_dump(mode="json"))
            except Exception as error:
                if os.environ.get("HITOKU_DEBUG") == "1":
                    traceback.print_exc()
                pace.wait()
                self._failed(request.run, examined, error)
                return
            pace.wait()

            def keep(connection: Connection) -> None:
                self._book.move(connection, request.run, JobState.RELEASED, content)

            facts = self._host.facts(examined, released.digest)
            self._host.records.commit(request.run, Role.HOST, facts, beside=keep)
            job = replace(job, state=JobState.RELEASED, result=content)
        if job.result is None:
            raise AssertionError("a job that is released has its result")
        from hitoku.disclosure.answer import Answer

        message = messages.decode(job.result, self._host.peers.me)
        digest = Answer.from_message(message["answer"], self._host.peers.me).digest
        with suppress(HitokuError):  # a receiver that is away gets it from the asker, or asks
            self._host.deliver(job.sender, request.run, examined, message, digest)
        done = self._host.done(job.sender, request.run, examined, message)
        self._book.end(request.run, JobState.DONE, messages.encode(done))

    def wait(self, sender: str, message: Mapping[str, Any], going: RunGoing | None) -> dict[str, Any]:
        """Answer a RunWait: how the job ended, or what it does.

        Args:
            sender: who asks; it must be who asked for the run.
            message: the RunWait.
            going: what the job does just now, where that is known.

        Raises:
            Refusal: ``NO_SUCH_RUN``; ``RUN_ENDED``, it was given up without a result.
            PeerError: the message is malformed.
        """
        run = messages.read(runs.RunWait, message, sender).run
        job = None if self._host.jobs is None else self._host.jobs.find(run)
        if job is None or job.part is not Part.LEAD or job.sender != sender:
            raise Refusal("NO_SUCH_RUN", f"{self._host.peers.me!r} runs no such question of {sender!r}")
        if job.state in _ENDED and job.result is not None:
            return messages.decode(job.result, self._host.peers.me)
        if job.state in _ENDED:
            raise Refusal("RUN_ENDED", f"{self._host.peers.me!r} has ended this run; ask again")
        now = going or runs.RunGoing(run=run)
        if sender != self._host.peers.me:
            # Of how many records, and how many are done: no other member is told, noised or not. And where
            # times are to tell nothing, neither is the phase.
            paced = self._host.room.agreement.release.interval_seconds > 0
            now = runs.RunGoing(run=run, phase="" if paced else now.phase)
        return now.model_dump(mode="json")

    @property
    def _book(self) -> Jobs:
        if self._host.jobs is None:
            raise AssertionError("this host takes no jobs")
        return self._host.jobs

    def taken_on(self, own: Run, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Reserve the run and write the job, both or none."""
        job = Job(own.id, Part.LEAD, sender, messages.encode(message))

        def write(connection: Connection) -> None:
            self._book.add(connection, job, self._host.clock.now())

        self._host.records.reserve(own, self._host.room.agreement, beside=write)
        return runs.RunGoing(run=own.id).model_dump(mode="json")

    def _gone(self, job: Job, error: Exception) -> None:
        """The room no longer allows the question: what is released is not given any more, and charged."""
        self._book.end(job.run, JobState.FAILED, messages.encode(told(error)))
        self._host.records.fail(job.run, Role.HOST, type(error).__name__)
        self._host.settle(self._host.room.agreement.owners(), messages.Settle(run=job.run, outcome="failed"))

    def _failed(self, run: str, examined: Examined, error: Exception) -> None:
        result = messages.encode(told(error))

        def keep(connection: Connection) -> None:
            self._book.move(connection, run, JobState.FAILED, result)

        self._host.records.fail(run, Role.HOST, type(error).__name__, beside=keep)
        self._host.settle(examined.question.owners, messages.Settle(run=run, outcome="failed"))
