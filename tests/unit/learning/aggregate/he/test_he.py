# SPDX-License-Identifier: Apache-2.0
"""Runs over threshold encryption from end to end: sums equal the plain ones, losses, words, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.learning.world import NAMES, RUN, World, instruction, plan_of

from hitoku.errors import InputError, PeerError, Refusal
from hitoku.learning.aggregate.he import HeDriver, HeMember, HeRelay, LeaderLost
from hitoku.learning.aggregate.he import member as member_side
from hitoku.learning.aggregate.he.sealing import Group
from hitoku.learning.base import Instruction, SessionLost, TooFewMembers
from hitoku.learning.transcript import read_transcript

Drive = Callable[[HeDriver], Mapping[str, Any] | None]


def make(name: str, world: World, state: Path) -> HeMember:
    return HeMember(
        world.plan, RUN, name, world.keys[name], world.publics, world.tasks[name], state, threads=1
    )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(plan_of(5), tmp_path, make)
    yield made
    made.close()


def led(world: World, drive: Drive, leader: str | None = None) -> dict[str, Any]:
    """Run `drive` at the leader, and relay."""
    for member in world.answers.values():
        member.lead(drive)
    return HeRelay(world.channel, world.plan, RUN, leader, threads=1).run()


def test_sums_of_sessions_are_the_plain_sums(world: World) -> None:
    found: list[Any] = []

    def drive(summer: HeDriver) -> dict[str, Any]:
        for step in range(2):
            with summer.fixed() as session:
                for level in range(3):
                    asked = instruction(10 * step + level, length=40 * (level + 1), do="session")
                    found.append((asked, session.members, session.sum(asked)))
        return {"sums": len(found)}

    assert led(world, drive) == {"sums": 6}
    for asked, members, values in found:
        assert members == world.plan.members
        assert np.array_equal(values, world.plain(asked, members))
    # One set of keys for both sessions: nobody came or went.
    lines = read_transcript(world.transcript.lines)
    kinds = [line["kind"] for line in lines if line.get("direction") == "sent"]
    assert kinds.count("he/card") == kinds.count("he/join") == 5


def test_single_sums_are_exact_over_those_that_stay(world: World) -> None:
    found: list[Any] = []

    def drive(summer: HeDriver) -> None:
        for step in range(3):
            if step == 1:
                world.stop("emi")
            asked = instruction(step, length=300, do="single", fresh=True)
            found.append((asked, summer.total(asked)))

    led(world, drive)
    assert [total.members for _, total in found] == [NAMES[:5], NAMES[:4], NAMES[:4]]
    for asked, total in found:
        assert np.array_equal(total.values, world.plain(asked, total.members))


def test_a_lost_member_ends_a_session_and_the_rest_go_on_with_fresh_rows(world: World) -> None:
    def drive(summer: HeDriver) -> dict[str, Any]:
        with summer.fixed() as session:
            session.sum(instruction(0))
            world.stop("emi")
            for step in (1, 2):
                with pytest.raises(SessionLost) as lost:
                    session.sum(instruction(step))
                assert set(lost.value.lost) & {"emi"}
        with summer.fixed() as session:
            assert session.members == NAMES[:4]
            # The same rows over a smaller set would tell what emi's were.
            with pytest.raises(Refusal) as refused:
                session.sum(instruction(3))
            asked = instruction(3, fresh=True)
            assert np.array_equal(session.sum(asked), world.plain(asked, session.members))
        world.stop("daichi")
        with pytest.raises(TooFewMembers, match="3 of 5"), summer.fixed():
            raise AssertionError
        return {"code": refused.value.code}

    assert led(world, drive) == {"code": "LEARNING_NOT_FRESH"}


def test_a_restarted_member_comes_back_with_the_next_set(world: World) -> None:
    def drive(summer: HeDriver) -> None:
        with summer.fixed() as session:
            session.sum(instruction(0))
        world.start("beni")
        with summer.fixed() as session, pytest.raises(SessionLost):
            session.sum(instruction(1))
        with summer.fixed() as session:
            asked = instruction(2)
            assert session.members == NAMES[:5]
            assert np.array_equal(session.sum(asked), world.plain(asked, session.members))

    led(world, drive)


def test_words_reach_all_and_answers_come_back_sealed(world: World) -> None:
    heard: dict[str, Any] = {}

    def drive(summer: HeDriver) -> None:
        heard.update(summer.tell("numbers", {"do": "sync"}, {"model": np.arange(5.0)}))
        world.stop("chika")
        heard["later"] = sorted(summer.tell("numbers", {"do": "vote"}))

    led(world, drive)
    assert heard.pop("later") == ["aoi", "beni", "daichi", "emi"]
    assert sorted(heard) == list(NAMES[:5])
    for place, name in enumerate(sorted(heard)):
        said, arrays = heard[name]
        assert said == {"heard": {"do": "sync"}, "seed": place + 1}
        assert np.array_equal(arrays["model"], np.arange(5.0))


def test_members_are_left_out_and_taken_in_again(world: World) -> None:
    def drive(summer: HeDriver) -> None:
        before = len(summer.members)
        assert before == 0
        sets: list[tuple[str, ...]] = []
        for step in range(3):
            with summer.fixed() as session:
                sets.append(session.members)
                asked = instruction(step, fresh=True)
                assert np.array_equal(session.sum(asked), world.plain(asked, session.members))
            if step == 0:
                summer.exclude("beni")
                assert "beni" not in summer.tell("numbers", {})
            else:
                summer.include("beni")
        assert sets == [NAMES[:5], ("aoi", "chika", "daichi", "emi"), NAMES[:5]]
        assert summer.members == NAMES[:5]
        with pytest.raises(PeerError):
            summer.exclude("aoi")

    led(world, drive)


def test_a_tasks_refusal_reaches_the_driver_and_the_session_goes_on(world: World) -> None:
    class Refusing:
        def contribute(self, asked: Instruction, members: tuple[str, ...]) -> Any:
            raise Refusal("NOT_TODAY", "not today", owner="beni")

    world.tasks["beni"]["refusing"] = Refusing()  # type: ignore[assignment]
    for name in ("aoi", "chika", "daichi", "emi"):
        world.tasks[name]["refusing"] = world.tasks[name]["numbers"]

    def drive(summer: HeDriver) -> dict[str, Any]:
        with summer.fixed() as session:
            with pytest.raises(Refusal) as refused:
                session.sum(Instruction("refusing", {"step": 1}, 3, 5))
            asked = instruction(1)
            assert np.array_equal(session.sum(asked), world.plain(asked, session.members))
        return {"code": refused.value.code}

    assert led(world, drive) == {"code": "NOT_TODAY"}


def test_a_value_outside_the_bound_is_not_sent(world: World) -> None:
    class Outside:
        def contribute(self, asked: Instruction, members: tuple[str, ...]) -> Any:
            return np.full(asked.length, asked.bound + 1)

    world.tasks["beni"]["numbers"] = Outside()  # type: ignore[assignment]

    def drive(summer: HeDriver) -> None:
        with summer.fixed() as session, pytest.raises(SessionLost) as lost:
            session.sum(instruction(0))
        assert lost.value.lost == ("beni",)

    led(world, drive)
    assert "bound" in world.channel.absences[-1].reason


@pytest.mark.parametrize(("what", "who"), [("give", "beni"), ("open_part", "chika")])
def test_a_member_that_sends_no_residues_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str, who: str
) -> None:
    plain = getattr(member_side, what)

    def spoiled(group: Group, *rest: Any) -> dict[str, Any]:
        made: dict[str, Any] = plain(group, *rest)
        if group.name == who:
            for name in ("encrypted/second", "encrypted/part"):
                if name in made:
                    made[name] = np.full_like(made[name], 255)
        return made

    monkeypatch.setattr(member_side, what, spoiled)

    def drive(summer: HeDriver) -> dict[str, Any]:
        with summer.fixed() as session, pytest.raises(SessionLost) as lost:
            session.sum(instruction(0))
        return {"lost": list(lost.value.lost)}

    assert led(world, drive) == {"lost": [who]}


def test_what_fails_at_the_leader_is_told_without_its_words(world: World) -> None:
    def drive(summer: HeDriver) -> None:
        raise ValueError("a secret value: 4711")

    with pytest.raises(PeerError) as caught:
        led(world, drive)
    assert "ValueError" in str(caught.value)
    assert "4711" not in str(caught.value)


def test_too_few_members_end_a_run(world: World) -> None:
    def drive(summer: HeDriver) -> None:
        world.stop("emi")
        world.stop("daichi")
        summer.total(instruction(0))

    with pytest.raises(TooFewMembers, match="3 of 5"):
        led(world, drive)


def test_one_member_leads_a_run_also_after_a_restart(tmp_path: Path) -> None:
    world = World(plan_of(5, seconds=0.5), tmp_path, make)

    def drive(summer: HeDriver) -> None:
        summer.total(instruction(0, length=3))

    try:
        led(world, drive)
        for name in world.plan.members:
            world.start(name)
        for member in world.answers.values():
            member.lead(drive)
        with pytest.raises(LeaderLost):
            HeRelay(world.channel, world.plan, RUN, "beni").run()
        assert "does not lead" in world.channel.absences[-1].reason
        # One that never heard of the leader would lead, but nobody gives it shares.
        world.stop("aoi")
        with pytest.raises(LeaderLost):
            HeRelay(world.channel, world.plan, RUN).run()
        with pytest.raises(InputError):
            HeRelay(world.channel, world.plan, RUN, "nobody")
    finally:
        world.close()


def test_a_leader_that_was_restarted_begins_again(world: World) -> None:
    begun: list[int] = []

    def drive(summer: HeDriver) -> dict[str, Any]:
        begun.append(len(begun))
        for step in range(3):
            asked = instruction(step)
            with summer.fixed() as session:
                assert np.array_equal(session.sum(asked), world.plain(asked, session.members))
        return {"begun": len(begun)}

    def progress(event: Mapping[str, Any]) -> None:
        if event["do"] == "sum" and len(begun) == 1:
            world.start("aoi")
            world.answers["aoi"].lead(drive)

    for member in world.answers.values():
        member.lead(drive)
    assert HeRelay(world.channel, world.plan, RUN, threads=1).run(progress) == {"begun": 2}


def test_requests_out_of_order_or_malformed_are_refused(world: World) -> None:
    member = world.answers["beni"]
    for kind, body in [
        ("he/give", {"set": 1, "number": 1}),
        ("he/open", {"set": 1, "number": 1}),
        ("he/tell", {"set": 1, "number": 1}),
        ("he/join", {"set": 1}),
        ("he/share", {"set": 1, "leader": "aoi", "keys": {}}),
        ("he/card", {"set": "1"}),
        ("he/card", {"set": 0}),
        ("he/next", {"seconds": 1}),
        ("he/nothing", {}),
    ]:
        with pytest.raises(PeerError):
            member.answer(kind, body, {})
    said, _ = member.answer("he/card", {"set": 5}, {})
    assert said["number"] == 5
    assert member.answer("he/card", {"set": 5}, {})[0] == {"least": 6}
    with pytest.raises(PeerError):
        member.answer("he/share", {"set": 6, "leader": "aoi", "keys": {}}, {})
