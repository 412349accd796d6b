# SPDX-License-Identifier: Apache-2.0
"""Runs that outlive a request: each in a thread of its own, started again when the process starts again.

How many are led at a time is bounded, for each uses all cores while it computes. The other owner's part
begins at once: if parts could wait for places, two nodes that lead runs for each other could wait for ever.
"""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from hitoku import limits
from hitoku.errors import PeerError, Refusal
from hitoku.node.warm import warm
from hitoku.room.jobs import Job, JobState, Part
from hitoku.transport.parcels import NO_SUCH_PARCEL, RUN_ENDED
from hitoku.transport.runs import RunGoing
from hitoku.transport.sealed import Sealing

if TYPE_CHECKING:
    from hitoku.node.mutual import MutualAttestation
    from hitoku.protections.crosstab.vault import Vault
    from hitoku.room.jobs import Jobs

__all__ = ["Following", "JobRunner", "RunShelf"]

_LED_AT_ONCE: Final = 2
_ENDED: Final = frozenset({JobState.DONE, JobState.FAILED, JobState.REFUSED})
_STAYS: Final = frozenset({"ended", "figures", "lock"})
_ASK_SECONDS: Final = (2, 4, 8)
"""When the other owner, who has done its part, asks whether the run is over, if nobody tells it."""


class Following:
    """A Progress that remembers where a run stands, for its asker to be told.

    It is also what ends a run that is over elsewhere: the work hears of it at its next step.
    """

    def __init__(self, run: str) -> None:
        self._now = RunGoing(run=run)
        self._over = threading.Event()

    @property
    def now(self) -> RunGoing:
        """Where the run stands."""
        return self._now

    def end(self) -> None:
        """The run is over: its work is to stop."""
        self._over.set()

    def ended(self, seconds: float) -> bool:
        """Wait so long for the run to be over. Returns whether it is."""
        return self._over.wait(seconds)

    def phase(self, name: str, total: int | None = None) -> None:
        """A new phase begins.

        Raises:
            PeerError: the run is over.
        """
        self._check()
        self._now = RunGoing(run=self._now.run, phase=name, total=total)

    def advance(self, amount: int = 1) -> None:
        """So much of the phase is done.

        Raises:
            PeerError: the run is over.
        """
        self._check()
        self._now = self._now.model_copy(update={"done": self._now.done + amount})

    def _check(self) -> None:
        if self._over.is_set():
            raise PeerError("the run has ended", RUN_ENDED)


class RunShelf:
    """What the other owner of a run may take from this node: the run's parcels, while it is not over.

    Args:
        jobs: this member's jobs.
        folder: where the runs' directories are.
        owners: who may compute with this member at all.
        mutual: the attested sessions that parcels are sealed for; None where the room does not demand them.
    """

    def __init__(
        self,
        jobs: Callable[[], Jobs],
        folder: Path,
        owners: Callable[[], frozenset[str]],
        mutual: MutualAttestation | None = None,
    ) -> None:
        self._jobs, self._folder, self._owners, self._mutual = jobs, folder, owners, mutual
        self._with: dict[str, str] = {}
        self._erasing = threading.Lock()

    def place(self, run: str) -> Path:
        """The directory of a run."""
        return self._folder / run

    def shared(self, run: str, member: str) -> None:
        """The run is computed with that member, who may take its parcels."""
        self._with[run] = member

    def parcel(self, member: str, run: str, name: str) -> Path | None:
        """The file of a parcel; see `hitoku.transport.parcels.Shelf`.

        Raises:
            Refusal: ``NO_SUCH_PARCEL``, ``RUN_ENDED``.
        """
        job = self._jobs().find(run)
        if job is None:
            raise Refusal(NO_SUCH_PARCEL, "there is no such parcel for that member")
        peer = self._peer(job)
        if peer is None and member in self._owners():
            # A led run that this process has not taken up again yet.
            if job.state in _ENDED:
                raise Refusal(RUN_ENDED, "the run is over")
            return None
        if peer != member:
            raise Refusal(NO_SUCH_PARCEL, "there is no such parcel for that member")
        if job.state in _ENDED:
            raise Refusal(RUN_ENDED, "the run is over")
        found = self._vault(job).parcel(member, run, name)
        if found is not None and self._mutual is not None:
            if self._mutual.sessions.aborted(run):
                raise Refusal(RUN_ENDED, "the run is over")
            if self._mutual.sessions.newest(run, member) is None:
                return None  # not before both nodes have accepted each other
        return found

    def sealing(self, member: str, run: str, name: str) -> Sealing | None:
        """What seals a parcel; see `hitoku.transport.sealed.SealingShelf`.

        Raises:
            PeerError: the room demands it, and there is no session.
        """
        if self._mutual is None:
            return None
        found = self._mutual.sessions.sealing(run, member, name)
        if found is None:
            raise PeerError(f"there is no attested session with {member!r} any more")
        return found

    def left(self, member: str, run: str, name: str) -> None:
        """Some of a parcel is about to leave."""
        job = self._jobs().find(run)
        if job is not None:
            self._vault(job).left(member, run, name)

    def erase(self, job: Job) -> None:
        """Wipe what a run has left here: keys, input, parcels."""
        with self._erasing:  # who tells of the end and the run's own thread may both come here
            if self.place(job.run).is_dir():
                self._vault(job).erase()
        if self._mutual is not None:
            self._mutual.forget(job.run)

    def shares(self, run: str, member: str) -> bool:
        """Whether a run that is not over is computed with that member."""
        job = self._jobs().find(run)
        return job is not None and job.state not in _ENDED and self._peer(job) == member

    def clean(self) -> None:
        """Wipe what runs that ended have left here because the process was ended first."""
        for place in self._folder.iterdir() if self._folder.is_dir() else ():
            job = self._jobs().find(place.name)
            if job is None or job.state not in _ENDED:
                continue
            if any(p.name not in _STAYS and not p.name.startswith("left-") for p in place.iterdir()):
                self.erase(job)

    def _peer(self, job: Job) -> str | None:
        return job.sender if job.part is Part.PARTNER else self._with.get(job.run)

    def _vault(self, job: Job) -> Vault:
        from hitoku.protections.crosstab.vault import Vault

        side: Literal["a", "b"] = "a" if job.part is Part.LEAD else "b"
        return Vault(self.place(job.run), run=job.run, side=side, peer=self._peer(job) or "")


class JobRunner:
    """Carries out a member's jobs in one room.

    Args:
        jobs: the jobs on record.
        shelf: what the runs have ready.
        work: does a job; hears its progress.
        ended: asks the leader of a job whether its run is over.
        begin: has the other owner begin its part of a led run; whether it did.
    """

    def __init__(
        self,
        jobs: Callable[[], Jobs],
        shelf: RunShelf,
        work: Callable[[Job, Following], None],
        ended: Callable[[Job], bool],
        begin: Callable[[Job], bool],
    ) -> None:
        self._jobs, self._shelf, self._work, self._ended = jobs, shelf, work, ended
        self._begin = begin
        self._threads: dict[str, threading.Thread] = {}
        self._following: dict[str, Following] = {}
        self._places = threading.Semaphore(_LED_AT_ONCE)
        self._lock = threading.Lock()

    def start(self, run: str) -> None:
        """Begin a job, or go on with it; nothing where it is under way already, or over."""
        warm(runs=True)
        with self._lock:
            known = self._threads.get(run)
            if known is not None and known.is_alive():
                return
            job = self._jobs().find(run)
            if job is None or job.state in _ENDED:
                return
            thread = threading.Thread(
                target=self._run, args=(job,), name=f"hitoku-run-{run[:8]}", daemon=True
            )
            self._threads[run] = thread
            self._following[run] = Following(run)
            # Under the lock: who comes next (a request, and `resume` after a new version of the room) must
            # find it alive, or two threads do one job, and both fail.
            thread.start()

    def resume(self) -> int:
        """Go on with all that a process before this one left. Returns how many there are.

        What nobody can be waiting for any more is ended; its charge stays.
        """
        oldest = datetime.now(UTC) - timedelta(seconds=limits.JOB_SECONDS)
        found = 0
        self._shelf.clean()
        for job in self._jobs().unfinished():
            if job.taken_on < oldest:
                self.over(job.run)
            elif job.part is Part.LEAD or job.state is JobState.OPEN:
                self.start(job.run)
                found += 1
        return found

    def look(self) -> None:
        """End the other owner's jobs whose leader has ended the run; its word may have been lost.

        And forget what ended long ago, with those of a leader who was never heard of again.
        """
        oldest = datetime.now(UTC) - timedelta(days=limits.JOB_DAYS)
        for job in self._jobs().unfinished():
            waits = job.part is Part.PARTNER and job.state is JobState.RELEASED
            if waits and (job.taken_on < oldest or self._ended(job)):
                self.over(job.run, released=True)
        self._jobs().forget(oldest)

    def going(self, run: str) -> RunGoing | None:
        """Where a run stands, as far as this process knows."""
        following = self._following.get(run)
        return None if following is None else following.now

    def over(self, run: str, *, released: bool = False) -> None:
        """The run has ended everywhere, or is given up: wipe what it left here. May be said twice.

        Args:
            run: the run.
            released: whether its leader says that it came to its result.
        """
        job = self._jobs().find(run)
        if job is None:
            return
        if job.state not in _ENDED:
            state = JobState.DONE if released or job.state is JobState.RELEASED else JobState.FAILED
            self._jobs().end(run, state)
        with self._lock:
            following = self._following.get(run)
            if run in self._threads and following is not None:
                # Erasing under its hands would leave what it writes afterwards: its thread erases at its end.
                following.end()
                return
        self._shelf.erase(job)

    def wait(self, seconds: float) -> bool:
        """Wait until nothing runs. Returns whether that is so."""
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(seconds)
        return not any(thread.is_alive() for thread in threads)

    @property
    def count(self) -> int:
        """How many jobs are under way."""
        with self._lock:
            return sum(thread.is_alive() for thread in self._threads.values())

    def led_for(self, sender: str) -> int:
        """How many runs this member leads for another that are not at their end."""
        unfinished = self._jobs().unfinished()
        return sum(
            job.part is Part.LEAD and job.sender == sender and job.state is JobState.OPEN
            for job in unfinished
        )

    @property
    def idle(self) -> bool:
        """Whether nothing runs."""
        with self._lock:
            return not any(thread.is_alive() for thread in self._threads.values())

    def _run(self, job: Job) -> None:
        over, following = job.part is Part.LEAD, self._following[job.run]
        try:
            if over:
                if self._begin(job):
                    with self._places:
                        self._work(job, following)
            else:
                self._work(job, following)
                over = self._told(job, following)
        except Exception:  # it is over on this side, whatever the other does; its words may quote data
            if os.environ.get("HITOKU_DEBUG") == "1":
                traceback.print_exc()
            over = True
        finally:
            with self._lock:
                self._following.pop(job.run, None)  # from here on `over` erases
            with suppress(Exception):  # what is not erased now is erased when the process starts again
                now = self._jobs().find(job.run)
                if over or (now is not None and now.state in _ENDED):
                    self.over(job.run)
            with self._lock:
                self._threads.pop(job.run, None)

    def _told(self, job: Job, following: Following) -> bool:
        """Whether the run is over, of which the leader has all that it needs; waits a little for its word."""
        return any(following.ended(seconds) or self._ended(job) for seconds in _ASK_SECONDS)
