# SPDX-License-Identifier: Apache-2.0
"""Jobs on record: written with their runs or not at all, found again, forgotten when they are old."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from hitoku import limits
from hitoku.room.jobs import Job, Jobs, JobState, Part
from hitoku.room.records import Records
from hitoku.room.runs import Role, Run, RunState

RUN = "0" * 32
OTHER = "1" * 32


@pytest.fixture
def records(place, clock):
    found: Records = place.members["airport"].records(str(place.agreement.id), clock)
    yield found
    found.store.close()


@pytest.fixture
def jobs(records, place) -> Jobs:
    return Jobs(records.store, str(place.agreement.id))


def job(run: str = RUN, part: Part = Part.LEAD) -> Job:
    return Job(run, part, "registry", b'{"kind":"x"}')


def a_run(run: str) -> Run:
    return Run(run, Role.HOST, "registry", "airport", "q", "SELECT 1", "p", "crosstab", ("registry",))


def test_a_job_is_written_with_its_run_or_not_at_all(records, jobs, place, clock) -> None:
    def fails(connection: sa.Connection) -> None:
        jobs.add(connection, job(), clock.now())
        raise RuntimeError

    with pytest.raises(RuntimeError):
        records.reserve(a_run(RUN), place.agreement, beside=fails)
    assert jobs.find(RUN) is None
    assert records.state(RUN, Role.HOST) is None
    records.reserve(a_run(RUN), place.agreement, beside=lambda c: jobs.add(c, job(), clock.now()))
    assert records.state(RUN, Role.HOST) is RunState.RESERVED
    found = jobs.find(RUN)
    assert found is not None
    assert (found.part, found.sender, found.state) == (Part.LEAD, "registry", JobState.OPEN)
    assert found.taken_on == clock.now()


def test_a_result_is_written_with_the_commit(records, jobs, place, clock) -> None:
    records.reserve(a_run(RUN), place.agreement, beside=lambda c: jobs.add(c, job(), clock.now()))
    records.commit(
        RUN, Role.HOST, {"answer": "a"}, beside=lambda c: jobs.move(c, RUN, JobState.RELEASED, b"answer")
    )
    found = jobs.find(RUN)
    assert found is not None
    assert (found.state, found.result) == (JobState.RELEASED, b"answer")
    assert records.state(RUN, Role.HOST) is RunState.COMMITTED
    # What is settled already is not written twice.
    records.commit(
        RUN, Role.HOST, {"answer": "b"}, beside=lambda c: jobs.move(c, RUN, JobState.RELEASED, b"other")
    )
    assert jobs.find(RUN).result == b"answer"


def test_unfinished_jobs_are_found_oldest_first_and_ended_ones_not(records, jobs, clock) -> None:
    for number, run in enumerate((RUN, OTHER, "2" * 32)):
        clock.pass_seconds(number)
        records.beside(lambda c, run=run: jobs.add(c, job(run), clock.now()))
    jobs.end("2" * 32, JobState.FAILED, b"why")
    jobs.end(OTHER, JobState.RELEASED, b"answer")
    assert [j.run for j in jobs.unfinished()] == [RUN, OTHER]
    assert jobs.find("2" * 32).result == b"why"


def test_a_job_of_another_room_is_not_found(records, jobs, clock) -> None:
    records.beside(lambda c: jobs.add(c, job(), clock.now()))
    assert Jobs(records.store, "another room").find(RUN) is None
    assert Jobs(records.store, "another room").unfinished() == ()


def test_what_ended_long_ago_is_forgotten_and_what_is_open_is_not(records, jobs, clock) -> None:
    records.beside(lambda c: jobs.add(c, job(RUN), clock.now()))
    records.beside(lambda c: jobs.add(c, job(OTHER), clock.now()))
    jobs.end(OTHER, JobState.DONE, b"answer")
    assert jobs.forget(clock.now()) == 0
    assert jobs.forget(clock.now() + timedelta(seconds=1)) == 1
    assert jobs.find(OTHER) is None
    assert jobs.find(RUN) is not None


def test_one_run_has_one_job(records, jobs, clock) -> None:
    records.beside(lambda c: jobs.add(c, job(), clock.now()))
    with pytest.raises(sa.exc.IntegrityError):
        records.beside(lambda c: jobs.add(c, job(part=Part.PARTNER), clock.now()))


def test_a_run_that_takes_long_keeps_its_release(records, jobs, place, clock) -> None:
    """What charges runs whose end nobody told leaves alone those that are still under way."""
    records.reserve(a_run(RUN), place.agreement, beside=lambda c: jobs.add(c, job(), clock.now()))
    records.reserve(a_run(OTHER), place.agreement)
    clock.pass_seconds(limits.RUN_SECONDS + 1)
    assert records.recover() == 1
    assert records.state(OTHER, Role.HOST) is RunState.COMMITTED
    entry = records.commit(
        RUN, Role.HOST, {"answer": "a"}, beside=lambda c: jobs.move(c, RUN, JobState.RELEASED, b"answer")
    )
    assert entry is not None
    assert jobs.find(RUN).result == b"answer"


def test_a_run_whose_job_has_ended_is_charged_like_any_other(records, jobs, place, clock) -> None:
    records.reserve(a_run(RUN), place.agreement, beside=lambda c: jobs.add(c, job(), clock.now()))
    jobs.end(RUN, JobState.FAILED)
    clock.pass_seconds(limits.RUN_SECONDS + 1)
    assert records.recover() == 1


def test_parts_under_way_are_counted(records, jobs, clock) -> None:
    for number, part in enumerate((Part.PARTNER, Part.PARTNER, Part.LEAD)):
        records.beside(lambda c, n=number, p=part: jobs.add(c, job(str(n) * 32, p), clock.now()))
    assert jobs.parts() == 2
    jobs.end("0" * 32, JobState.RELEASED)
    assert jobs.parts() == 1


def test_that_secrets_were_drawn_outlives_the_process(records, jobs, place, clock) -> None:
    records.reserve(a_run(RUN), place.agreement, beside=lambda c: jobs.add(c, job(), clock.now()))
    assert not jobs.drawn(RUN)
    jobs.note_drawn(RUN)
    assert Jobs(records.store, str(place.agreement.id)).drawn(RUN)
    assert not jobs.drawn(OTHER)
