# SPDX-License-Identifier: Apache-2.0
"""The process that asked ends in the midst of its question: asked again, nothing is charged twice."""

from __future__ import annotations

from typing import Any

import pytest
from tests.attacks.test_crash_of_ask import check
from tests.e2e.test_load import cost
from tests.e2e.test_upgrade import NOISED, USERS, noised_place

from hitoku.ask import asker
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


def account(place: Any) -> tuple[int, int]:
    records = place.members["registry"].records(str(place.agreement.id), SystemClock())
    (found,) = records.accounts(place.agreement)
    records.store.close()
    return found.charges, found.rho


def states(place: Any, run: str) -> tuple[RunState | None, RunState | None]:
    """Of the asker's part, and of the owner's."""
    found = []
    for name, role in (("airport", Role.ASKER), ("registry", Role.OWNER)):
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
