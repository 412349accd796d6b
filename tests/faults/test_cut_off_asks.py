# SPDX-License-Identifier: Apache-2.0
"""The process that asked ends in the midst of its question: asked again, nothing is charged twice."""

from __future__ import annotations

from typing import Any

import pytest
from tests.attacks.test_crash_of_ask import check
from tests.e2e.test_load import cost
from tests.e2e.test_upgrade import NOISED, USERS, noised_place

from hitoku.ask import asker
from hitoku.ask.host import Host
from hitoku.ask.owner import Owner
from hitoku.errors import PeerError, Refusal
from hitoku.node.local import open_room
from hitoku.ports import SystemClock
from hitoku.room.records import Records
from hitoku.room.runs import Role, RunState


class Ended(BaseException):
    """The process ends: nobody tells anybody anything any more."""


@pytest.fixture
def world(tmp_path):
    return noised_place(tmp_path)


def cut_off(monkeypatch: pytest.MonkeyPatch, place: Any, method: str, sql: str = NOISED) -> str:
    """Ask, and end where the asker comes to a method. Returns the run."""
    begun: list[str] = []
    reserve = Records.reserve

    def reserved(self: Any, run: Any, *arguments: Any, **more: Any) -> None:
        if run.role is Role.ASKER:
            begun.append(run.id)
        reserve(self, run, *arguments, **more)

    def ended(*_: object) -> None:
        raise Ended

    with monkeypatch.context() as patch:
        patch.setattr(Records, "reserve", reserved)
        patch.setattr(asker._Asking, "_give_up", lambda *_: None)
        patch.setattr(asker._Asking, method, ended)
        with pytest.raises(Ended):
            open_room(place.path, "airport").ask(sql)
    (run,) = begun
    return run


def lost(*_: object) -> Any:
    raise PeerError("the connection broke")


def account(place: Any) -> tuple[int, int]:
    records = place.members["registry"].records(str(place.agreement.id), SystemClock())
    (found,) = records.accounts(place.agreement)
    records.store.close()
    return found.charges, found.rho


def states(place: Any, run: str, me: str = "airport") -> tuple[RunState | None, RunState | None]:
    """Of the asker's part, and of the owner's."""
    found = []
    for name, role in ((me, Role.ASKER), ("registry", Role.OWNER)):
        records = place.members[name].records(str(place.agreement.id), SystemClock())
        found.append(records.state(run, role))
        records.store.close()
    return found[0], found[1]


def again(place: Any, *runs: str, sql: str = NOISED) -> Any:
    handle = open_room(place.path, "airport")
    handle.cut_off = runs
    return handle.ask(sql)


def test_one_that_never_began_is_given_up_and_only_the_second_is_charged(world, monkeypatch):
    run = cut_off(monkeypatch, world, "_ordered")
    assert states(world, run) == (RunState.RESERVED, RunState.RESERVED)
    assert account(world) == (1, cost(USERS))
    answer = again(world, run)
    assert answer.run != run
    assert states(world, run) == (RunState.ABORTED, RunState.ABORTED)
    assert account(world) == (1, cost(USERS))
    check(world)


def test_one_that_came_to_its_end_is_given_again(world, monkeypatch):
    run = cut_off(monkeypatch, world, "_taken")
    assert states(world, run) == (RunState.RESERVED, RunState.COMMITTED)
    answer = again(world, run)
    assert answer.run == run
    assert account(world) == (1, cost(USERS))
    check(world)


def test_a_run_of_another_question_or_of_nobody_is_left_alone(world, monkeypatch):
    run = cut_off(monkeypatch, world, "_ordered")
    again(world, run, "ab" * 16, sql=NOISED.replace("AS n", "AS other"))
    assert states(world, run) == (RunState.RESERVED, RunState.RESERVED)
    assert account(world) == (2, 2 * cost(USERS))
    check(world)


def asked_in_vain(place: Any, me: str, error: type[Exception] = PeerError) -> str:
    """Ask what cannot be answered. Returns the only run that was asked for."""
    runs: list[str] = []
    handle = open_room(place.path, me)
    handle.begun = runs.append
    with pytest.raises(error):
        handle.ask(NOISED)
    (run,) = runs
    return run


def test_an_owner_that_asked_itself_needs_no_second_word_that_nothing_began(world, monkeypatch):
    """While its node stops, the host's word to the owners does not come through, and its answer does."""
    with monkeypatch.context() as patch:
        patch.setattr(Host, "settle", lambda *_: None)
        patch.setattr(asker._Asking, "_ordered", lost)
        run = asked_in_vain(world, "registry")
    assert states(world, run, "registry") == (RunState.ABORTED, RunState.ABORTED)
    assert account(world) == (0, 0)
    check(world)


def test_what_the_host_does_not_say_is_charged(world, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Host, "cancel", lost)
        patch.setattr(asker._Asking, "_ordered", lost)
        run = asked_in_vain(world, "registry")
    assert states(world, run, "registry") == (RunState.COMMITTED, RunState.RESERVED)
    assert account(world) == (1, cost(USERS))
    check(world)


def test_one_whose_host_could_not_be_asked_is_given_up_when_it_can(world, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Host, "cancel", lost)
        patch.setattr(asker._Asking, "_ordered", lost)
        run = asked_in_vain(world, "airport")
    assert states(world, run) == (RunState.COMMITTED, RunState.RESERVED)
    answer = again(world, run)
    assert answer.run != run
    assert states(world, run)[1] is RunState.ABORTED
    assert account(world) == (1, cost(USERS))
    check(world)


def test_an_owner_whose_consent_was_lost_on_its_way_is_told_of_the_end(world, monkeypatch):
    consent = Owner.consent

    def answer_lost(*arguments: Any) -> Any:
        consent(*arguments)
        raise PeerError("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(Owner, "consent", answer_lost)
        run = asked_in_vain(world, "airport")
    assert states(world, run) == (RunState.ABORTED, RunState.ABORTED)
    assert account(world) == (0, 0)
    check(world)


@pytest.mark.parametrize("reached", [True, False])
def test_nothing_is_asked_twice_unasked_where_the_first_may_be_charged(world, monkeypatch, reached):
    def changed(*_: object) -> Any:
        raise Refusal("DATA_CHANGED", "look again")

    runs: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(asker._Asking, "_ordered", changed)
        if not reached:
            patch.setattr(Host, "cancel", lost)
        handle = open_room(world.path, "airport")
        handle.begun = runs.append
        with pytest.raises(Refusal):
            handle.ask(NOISED)
    assert len(runs) == (asker._LOOKS if reached else 1)
    assert account(world) == ((0, 0) if reached else (1, cost(USERS)))


def test_what_must_know_the_run_knows_it_before_anything_is_on_record(world):
    def known(run: str) -> None:
        assert states(world, run) == (None, None)
        runs.append(run)
        raise Ended

    runs: list[str] = []
    handle = open_room(world.path, "airport")
    handle.begun = known
    with pytest.raises(Ended):
        handle.ask(NOISED)
    assert states(world, runs[0]) == (None, None)
    assert account(world) == (0, 0)
    handle.begun = runs.append
    assert handle.ask(NOISED).run == runs[1]


def test_of_several_only_as_many_are_taken_up_as_it_takes(world, monkeypatch):
    monkeypatch.setattr(asker._Asking, "picked_up", lambda _, run: f"the answer of {run}")
    monkeypatch.setattr(asker._Asking, "is_of_this", lambda _, run: run != "0" * 32)
    taken: list[str] = []

    def left() -> Any:
        for run in ("0" * 32, "1" * 32, "2" * 32):
            taken.append(run)
            yield run

    handle = open_room(world.path, "airport")
    handle.cut_off = left()
    got: Any = handle._go(NOISED, ("airport",), None, None, None)
    assert got == f"the answer of {'1' * 32}"
    assert taken == ["0" * 32, "1" * 32]
