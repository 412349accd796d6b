# SPDX-License-Identifier: Apache-2.0
"""How runs end: for good, with nothing left, and paid for once they began; whoever says so, and when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import FakeClock, Place

from hitoku.errors import PeerError, Refusal
from hitoku.node.jobs import Following, JobRunner, RunShelf
from hitoku.room.jobs import Job, Jobs, JobState, Part
from hitoku.room.records import Records
from hitoku.room.runs import Role, Run, RunState

RUN = "0" * 32
SECONDS = 20


@pytest.fixture
def records(place: Place, clock: FakeClock) -> Iterator[Records]:
    made = place.members["airport"].records(str(place.agreement.id), clock)
    yield made
    made.store.close()


@pytest.fixture
def jobs(records: Records) -> Jobs:
    return Jobs(records.store, records.room)


@pytest.fixture
def shelf(jobs: Jobs, tmp_path: Path) -> RunShelf:
    return RunShelf(lambda: jobs, tmp_path / "runs", lambda: frozenset({"registry", "airport"}))


def add(records: Records, jobs: Jobs, clock: FakeClock, part: Part = Part.PARTNER) -> None:
    records.beside(lambda c: jobs.add(c, Job(RUN, part, "registry", b"{}"), clock.now()))


def state(jobs: Jobs) -> JobState:
    job = jobs.find(RUN)
    assert job is not None
    return job.state


def secret(shelf: RunShelf) -> Path:
    shelf.place(RUN).mkdir(parents=True, exist_ok=True)
    path = shelf.place(RUN) / "secrets"
    path.write_bytes(b"key")
    return path


def test_an_end_is_final(records: Records, jobs: Jobs, clock: FakeClock) -> None:
    add(records, jobs, clock)
    jobs.end(RUN, JobState.DONE, b"answer")
    jobs.end(RUN, JobState.RELEASED, b"other")
    jobs.end(RUN, JobState.FAILED)
    job = jobs.find(RUN)
    assert job is not None
    assert (job.state, job.result) == (JobState.DONE, b"answer")


def test_work_under_way_stops_at_its_next_step_and_leaves_nothing(
    records: Records, jobs: Jobs, shelf: RunShelf, clock: FakeClock
) -> None:
    """Erased under its hands, it would write again: the end of its thread is what erases."""
    add(records, jobs, clock)
    began, go_on, codes = threading.Event(), threading.Event(), list[str | None]()

    def work(job: Job, following: Following) -> None:
        began.set()
        assert go_on.wait(SECONDS)
        secret(shelf)
        try:
            following.advance()
        except PeerError as error:
            codes.append(error.code)
            raise

    runner = JobRunner(lambda: jobs, shelf, work, lambda job: False, lambda job: True)
    runner.start(RUN)
    assert began.wait(SECONDS)
    runner.over(RUN)
    assert state(jobs) is JobState.FAILED
    go_on.set()
    assert runner.wait(SECONDS)
    assert codes == ["RUN_ENDED"]
    assert not (shelf.place(RUN) / "secrets").exists()
    assert (shelf.place(RUN) / "ended").exists()


@pytest.mark.parametrize(("released", "end"), [(True, JobState.DONE), (False, JobState.FAILED)])
def test_the_leaders_word_is_how_a_run_ended(
    records: Records, jobs: Jobs, shelf: RunShelf, clock: FakeClock, released: bool, end: JobState
) -> None:
    """It may come before this side has written down that its part is done."""
    add(records, jobs, clock)
    path = secret(shelf)
    runner = JobRunner(lambda: jobs, shelf, lambda job, following: None, lambda job: False, lambda job: True)
    runner.over(RUN, released=released)
    runner.over(RUN, released=not released)
    assert state(jobs) is end
    assert not path.exists()


def test_errors_of_any_kind_end_a_run_without_a_word_of_them(
    records: Records, jobs: Jobs, shelf: RunShelf, clock: FakeClock, capfd: pytest.CaptureFixture[str]
) -> None:
    add(records, jobs, clock)

    def work(job: Job, following: Following) -> None:
        secret(shelf)
        raise ValueError("PLANTED")

    runner = JobRunner(lambda: jobs, shelf, work, lambda job: False, lambda job: True)
    runner.start(RUN)
    assert runner.wait(SECONDS)
    assert state(jobs) is JobState.FAILED
    assert not (shelf.place(RUN) / "secrets").exists()
    assert "PLANTED" not in "".join(capfd.readouterr())


def test_what_a_process_left_of_ended_runs_is_erased_by_the_next(
    records: Records, jobs: Jobs, shelf: RunShelf, clock: FakeClock
) -> None:
    add(records, jobs, clock)
    path = secret(shelf)
    runner = JobRunner(lambda: jobs, shelf, lambda job, following: None, lambda job: False, lambda job: True)
    shelf.clean()
    assert path.exists()  # the run goes on
    jobs.end(RUN, JobState.FAILED)
    runner.resume()
    assert not path.exists()


def test_a_side_that_is_done_asks_whether_the_run_is_over(
    records: Records, jobs: Jobs, shelf: RunShelf, clock: FakeClock
) -> None:
    add(records, jobs, clock)
    jobs.end(RUN, JobState.RELEASED)
    over = [False, True]
    runner = JobRunner(
        lambda: jobs, shelf, lambda job, following: None, lambda job: over.pop(0), lambda job: True
    )
    runner.look()
    assert state(jobs) is JobState.RELEASED
    runner.look()
    assert state(jobs) is JobState.DONE


def reserved(records: Records, place: Place) -> None:
    run = Run(RUN, Role.OWNER, "airport", "registry", "question", "sql", "plan", "crosstab", ("airport",))
    records.reserve(run, place.agreement)


def test_what_has_begun_is_charged_whatever_its_leader_says(
    records: Records, jobs: Jobs, place: Place, clock: FakeClock
) -> None:
    reserved(records, place)
    add(records, jobs, clock)
    records.abort(RUN, Role.OWNER, "cancelled before it began")
    assert records.state(RUN, Role.OWNER) is RunState.COMMITTED


def test_what_was_given_up_before_it_began_costs_nothing_and_never_begins(
    records: Records, place: Place
) -> None:
    reserved(records, place)
    wrote: list[str] = []
    records.while_reserved(RUN, Role.OWNER, lambda connection: wrote.append("first"))
    records.abort(RUN, Role.OWNER, "cancelled before it began")
    assert records.state(RUN, Role.OWNER) is RunState.ABORTED
    with pytest.raises(Refusal):
        records.while_reserved(RUN, Role.OWNER, lambda connection: wrote.append("second"))
    with pytest.raises(Refusal):
        records.while_reserved("1" * 32, Role.OWNER, lambda connection: wrote.append("third"))
    assert wrote == ["first"]


@pytest.mark.parametrize("left", [False, True])
def test_a_run_is_given_up_free_only_where_nothing_has_left(left: bool, tmp_path: Path) -> None:
    """Whoever refuses to begin again after a restart has seen the sizes already."""
    from types import SimpleNamespace

    from hitoku.ask.led import Led
    from hitoku.errors import Refusal
    from hitoku.protections.crosstab import Crosstab
    from hitoku.transport import messages

    said: list[object] = []
    if left:
        (tmp_path / "left-offer-a").touch()

    def refuses(*_: object) -> None:
        raise Refusal("RUN_ENDED", "no")

    protection = Crosstab(SimpleNamespace(vault=tmp_path))  # type: ignore[arg-type]
    protection.begin = refuses  # type: ignore[method-assign,assignment]
    host = SimpleNamespace(
        jobs=SimpleNamespace(end=lambda run, state, result: said.append(state)),
        records=SimpleNamespace(abort=lambda *given: said.append("given back")),
        peers=SimpleNamespace(me="airport"),
        examined=lambda *_: SimpleNamespace(question=SimpleNamespace(owners=("airport", "registry"))),
        runner=lambda *_: protection,
        settle=lambda owners, settle: said.append(settle.outcome),
    )
    request = messages.RunRequest(
        sql="SELECT 1", room="sha256:" + "0" * 64, run=RUN, receivers=["airport"], protection="crosstab",
        consents=[],
    )  # fmt: skip
    job = Job(RUN, Part.LEAD, "airport", messages.encode(request.model_dump(mode="json")))
    assert Led(host).begin(job) is left  # type: ignore[arg-type]
    assert said == ([] if left else [JobState.REFUSED, "given back", "aborted"])
