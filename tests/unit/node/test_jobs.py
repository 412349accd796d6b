# SPDX-License-Identifier: Apache-2.0
"""Runs in threads of their own: begun once, taken up again, tidied up; and who may take their parcels."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hitoku import limits
from hitoku.attestation.session import Session
from hitoku.errors import PeerError, Refusal
from hitoku.node.jobs import Following, JobRunner, RunShelf
from hitoku.node.sessions import Sessions
from hitoku.room.jobs import Job, Jobs, JobState, Part

RUN = "0" * 32
SECONDS = 20


@pytest.fixture
def jobs(place, clock):
    records = place.members["airport"].records(str(place.agreement.id), clock)
    yield Jobs(records.store, str(place.agreement.id))
    records.store.close()


@pytest.fixture
def shelf(jobs: Jobs, tmp_path: Path) -> RunShelf:
    return RunShelf(lambda: jobs, tmp_path / "runs", lambda: frozenset({"registry", "airport"}))


def add(jobs: Jobs, clock, part: Part = Part.LEAD, run: str = RUN) -> None:
    with jobs._store.transaction() as connection:
        jobs.add(connection, Job(run, part, "registry", b"{}"), clock.now())


class Worked:
    """Remembers what it was given to do; waits until it may end."""

    def __init__(self, jobs: Jobs, state: JobState | None = JobState.DONE, error: Exception | None = None):
        self.jobs, self.state, self.error = jobs, state, error
        self.done: list[str] = []
        self.may_end = threading.Event()

    def __call__(self, job: Job, following: Following) -> None:
        following.phase("working", 10)
        following.advance(4)
        self.done.append(job.run)
        assert self.may_end.wait(SECONDS)
        if self.error is not None:
            raise self.error
        if self.state is not None:
            self.jobs.end(job.run, self.state)


def test_a_job_runs_once_at_a_time_and_tells_where_it_stands(jobs, shelf, clock) -> None:
    add(jobs, clock)
    work = Worked(jobs)
    runner = JobRunner(lambda: jobs, shelf, work, lambda job: True, lambda job: True)
    runner.start(RUN)
    runner.start(RUN)
    while runner.going(RUN).done < 4:  # type: ignore[union-attr]
        pass
    assert runner.going(RUN).phase == "working"  # type: ignore[union-attr]
    assert not runner.idle
    work.may_end.set()
    assert runner.wait(SECONDS)
    assert work.done == [RUN]
    assert runner.going(RUN) is None
    runner.start(RUN)  # it is over
    assert runner.wait(SECONDS)
    assert work.done == [RUN]


def test_two_who_start_a_job_at_the_same_moment_start_one_thread(jobs, shelf, clock, monkeypatch) -> None:
    """A request does, and so does the node after it took up a new version of the room."""
    add(jobs, clock)
    work = Worked(jobs)
    runner = JobRunner(lambda: jobs, shelf, work, lambda job: True, lambda job: True)

    class Late(threading.Thread):
        """One that somebody else comes before."""

        def start(self) -> None:
            other = plain(target=runner.start, args=(RUN,))
            other.start()
            other.join(0.3)
            super().start()

    plain = threading.Thread
    monkeypatch.setattr("hitoku.node.jobs.threading", SimpleNamespace(Thread=Late, Event=threading.Event))
    runner.start(RUN)
    monkeypatch.undo()
    work.may_end.set()
    assert runner.wait(SECONDS)
    assert work.done == [RUN]


@pytest.mark.parametrize(("part", "state"), [(Part.LEAD, JobState.FAILED), (Part.PARTNER, JobState.FAILED)])
def test_a_job_that_fails_is_over_and_wiped(jobs, shelf, clock, part, state) -> None:
    add(jobs, clock, part)
    shelf.place(RUN).mkdir(parents=True)
    (shelf.place(RUN) / "secrets").write_bytes(b"key")
    work = Worked(jobs, None, PeerError("gone"))
    work.may_end.set()
    runner = JobRunner(lambda: jobs, shelf, work, lambda job: True, lambda job: True)
    runner.start(RUN)
    assert runner.wait(SECONDS)
    assert jobs.find(RUN).state is state
    assert not (shelf.place(RUN) / "secrets").exists()


def test_a_process_takes_up_what_the_one_before_left(jobs, shelf, clock) -> None:
    clock.time = datetime.now(UTC)
    for number, part in enumerate((Part.LEAD, Part.PARTNER)):
        add(jobs, clock, part, str(number) * 32)
    add(jobs, clock, Part.PARTNER, "2" * 32)
    jobs.end("2" * 32, JobState.RELEASED)  # has done its part, waits for the word of the end
    add(jobs, clock, Part.LEAD, "3" * 32)
    jobs.end("3" * 32, JobState.FAILED)
    clock.pass_seconds(-24 * 3600)
    add(jobs, clock, Part.LEAD, "4" * 32)  # nobody waits for it any more
    work = Worked(jobs)
    work.may_end.set()
    runner = JobRunner(lambda: jobs, shelf, work, lambda job: True, lambda job: True)
    assert runner.resume() == 2
    assert runner.wait(SECONDS)
    assert sorted(work.done) == ["0" * 32, "1" * 32]
    assert jobs.find("4" * 32).state is JobState.FAILED
    assert jobs.find("2" * 32).state is JobState.RELEASED


def test_what_waits_for_a_leader_that_is_gone_is_wiped_and_forgotten_in_the_end(jobs, shelf, clock) -> None:
    clock.time = datetime.now(UTC) - timedelta(days=limits.JOB_DAYS - 1)
    add(jobs, clock, Part.PARTNER, "1" * 32)
    clock.time -= timedelta(days=2)
    add(jobs, clock, Part.PARTNER, "2" * 32)
    for run in ("1" * 32, "2" * 32):
        jobs.end(run, JobState.RELEASED)
        shelf.place(run).mkdir(parents=True)
        (shelf.place(run) / "input.arrow").write_bytes(b"rows")
    runner = JobRunner(lambda: jobs, shelf, Worked(jobs), lambda job: False, lambda job: True)
    runner.look()
    assert jobs.find("1" * 32).state is JobState.RELEASED
    assert (shelf.place("1" * 32) / "input.arrow").exists()
    assert jobs.find("2" * 32) is None
    assert not (shelf.place("2" * 32) / "input.arrow").exists()


def refused(shelf: RunShelf, member: str, run: str = RUN) -> str:
    with pytest.raises(Refusal) as caught:
        shelf.parcel(member, run, "offer-a")
    return caught.value.code


def test_parcels_are_for_the_other_owner_of_the_run_alone(jobs, shelf, clock) -> None:
    assert refused(shelf, "registry") == "NO_SUCH_PARCEL"
    add(jobs, clock)
    assert shelf.parcel("registry", RUN, "offer-a") is None  # this process has not taken it up yet
    assert refused(shelf, "stranger") == "NO_SUCH_PARCEL"
    shelf.shared(RUN, "registry")
    assert shelf.parcel("registry", RUN, "offer-a") is None
    assert refused(shelf, "airport") == "NO_SUCH_PARCEL"
    jobs.end(RUN, JobState.DONE)
    assert refused(shelf, "registry") == "RUN_ENDED"
    assert refused(shelf, "airport") == "NO_SUCH_PARCEL"


def test_a_partner_serves_its_leader_only(jobs, shelf, clock) -> None:
    add(jobs, clock, Part.PARTNER)
    assert shelf.parcel("registry", RUN, "offer-b") is None
    assert refused(shelf, "airport") == "NO_SUCH_PARCEL"
    with pytest.raises(Refusal):
        shelf.parcel("registry", RUN, "points-a")  # the other side's message


def test_where_the_room_demands_it_nothing_leaves_before_both_nodes_have_attested(
    jobs, tmp_path: Path, clock
) -> None:
    gone: list[str] = []
    sessions = Sessions(clock)
    mutual: Any = SimpleNamespace(sessions=sessions, forget=gone.append)
    shelf = RunShelf(lambda: jobs, tmp_path / "runs", lambda: frozenset({"registry", "airport"}), mutual)
    add(jobs, clock, Part.PARTNER)
    assert shelf.parcel("registry", RUN, "offer-b") is None
    file = shelf.place(RUN) / "parcels" / "offer-b.arrow"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"made before the process was started again")
    assert shelf.parcel("registry", RUN, "offer-b") is None
    with pytest.raises(PeerError, match="no attested session"):
        shelf.sealing("registry", RUN, "offer-b")
    facts = {"room": "sha256:", "run": RUN, "me": "airport", "program": "", "peer_program": "", "ear_id": ""}
    until = clock.now() + timedelta(minutes=1)
    common = {**facts, "software_rooted": True, "until": until, "_send": bytes(32), "_receive": bytes(32)}
    sessions.add(Session(id=b"1" * 16, peer="stranger", **common))
    assert shelf.parcel("registry", RUN, "offer-b") is None
    sessions.add(Session(id=b"2" * 16, peer="registry", **common))
    assert shelf.parcel("registry", RUN, "offer-b") == file
    found = shelf.sealing("registry", RUN, "offer-b")
    assert found is not None
    assert found.session == b"2" * 16
    sessions.abort(RUN)
    assert refused_of(shelf, "offer-b") == "RUN_ENDED"
    shelf.erase(Job(RUN, Part.PARTNER, "registry", b"{}"))
    assert gone == [RUN]


def refused_of(shelf: RunShelf, name: str) -> str:
    with pytest.raises(Refusal) as caught:
        shelf.parcel("registry", RUN, name)
    return caught.value.code


def test_whom_a_run_is_shared_with(jobs, shelf, clock) -> None:
    assert not shelf.shares(RUN, "registry")
    add(jobs, clock, Part.PARTNER)
    assert shelf.shares(RUN, "registry")
    assert not shelf.shares(RUN, "stranger")
    jobs.end(RUN, JobState.FAILED)
    assert not shelf.shares(RUN, "registry")


def test_a_run_that_the_other_owner_does_not_begin_is_not_worked_on(jobs, shelf, clock) -> None:
    add(jobs, clock)
    work = Worked(jobs)

    def refused_there(job: Job) -> bool:
        jobs.end(job.run, JobState.REFUSED, b"why")
        return False

    runner = JobRunner(lambda: jobs, shelf, work, lambda job: True, refused_there)
    runner.start(RUN)
    assert runner.wait(SECONDS)
    assert work.done == []
    assert jobs.find(RUN).state is JobState.REFUSED
    runner.start(RUN)
    assert runner.wait(SECONDS)
    assert work.done == []


def test_the_other_owner_begins_before_a_place_is_free(jobs, shelf, clock) -> None:
    begun: list[str] = []
    work = Worked(jobs)

    def begins(job: Job) -> bool:
        begun.append(job.run)
        return True

    runner = JobRunner(lambda: jobs, shelf, work, lambda job: True, begins)
    runs = [str(n) * 32 for n in range(5)]
    for run in runs:
        add(jobs, clock, run=run)
        runner.start(run)
    while len(begun) < len(runs):
        pass
    assert len(work.done) <= 2
    work.may_end.set()
    assert runner.wait(SECONDS)
    assert sorted(work.done) == runs
