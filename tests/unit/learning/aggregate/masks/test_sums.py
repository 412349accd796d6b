# SPDX-License-Identifier: Apache-2.0
"""Sums under masks equal the plain sums bit for bit, whoever dies, or do not open at all."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.learning.world import NAMES, World, instruction, plan_of
from tests.unit.learning.aggregate.masks.masks_world import PHASES, Death, die, masks_world, single, summer

from hitoku.errors import InputError, PeerError, Refusal
from hitoku.learning.base import Instruction, SessionLost, TooFewMembers


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests kill no machine: what is written need not reach the disk."""
    monkeypatch.setattr(os, "fdatasync", lambda _: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def opened(world: World) -> int:
    return sum('"direction":"opened"' in line for line in world.transcript.lines)


def test_a_session_opens_every_sum_exactly(tmp_path: Path) -> None:
    with masks_world(tmp_path) as world:
        adder = summer(world)
        for tree in range(2):
            with adder.fixed() as session:
                assert session.members == world.plan.members
                for level in range(3):
                    asked = instruction(10 * tree + level, length=0 if level == 2 else 300)
                    assert np.array_equal(session.sum(asked), world.plain(asked, session.members))
        kinds = [line.split('"kind":"')[1].split('"')[0] for line in world.transcript.lines[1:]]
        assert (
            kinds.count("masks.keys") == 2 * 5
        )  # asked and answered once: the keys of a whole session go on


def test_values_at_the_bound_wrap_nowhere(tmp_path: Path) -> None:
    bound = ((1 << 63) - 1) // 5
    asked = Instruction("extremes", {"do": "extremes"}, 2, bound)

    class Extremes:
        def contribute(self, given: Instruction, members: tuple[str, ...]) -> np.ndarray:
            return np.array([given.bound, -given.bound], np.int64)

        told = None

    with masks_world(tmp_path) as world:
        for tasks in world.tasks.values():
            tasks["extremes"] = Extremes()  # type: ignore[assignment]
        with summer(world).fixed() as session:
            assert session.sum(asked).tolist() == [5 * bound, -5 * bound]


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("how", ["before", "after"])
def test_a_session_is_lost_with_a_member(tmp_path: Path, index: int, how: str) -> None:
    with masks_world(tmp_path) as world:
        adder = summer(world)
        die(world, {"chika": (1 + index, how)})  # type: ignore[dict-item]
        with adder.fixed() as session:
            for level in range(index):
                session.sum(instruction(level))
            before = opened(world)
            with pytest.raises(SessionLost) as lost:
                session.sum(instruction(index))
            assert lost.value.lost == ("chika",)
            with pytest.raises(SessionLost):
                session.sum(instruction(index + 1))
        assert opened(world) == before
        with adder.fixed() as session:  # the rest go on, with fresh rows
            asked = instruction(index, fresh=True)
            assert session.members == ("aoi", "beni", "daichi", "emi")
            assert np.array_equal(session.sum(asked), world.plain(asked, session.members))


def test_a_single_sum_is_exact_over_all(tmp_path: Path) -> None:
    with masks_world(tmp_path) as world:
        for step in range(2):
            asked = single(step)
            total = summer(world).total(asked)
            assert total.members == world.plan.members
            assert np.array_equal(total.values, world.plain(asked, total.members))


def expected(deaths: dict[str, Death], members: tuple[str, ...]) -> tuple[tuple[str, ...], list[int]]:
    """Who is in U3, and how many reply in each phase."""
    alive = [
        [
            name
            for name in members
            if name not in deaths or deaths[name][0] > phase  # a reply that is lost is no reply
        ]
        for phase in range(len(PHASES))
    ]
    return tuple(alive[2]), [len(names) for names in alive]


@pytest.mark.parametrize("phases", list(itertools.combinations_with_replacement(range(5), 2)), ids=str)
def test_two_of_seven_die_in_any_phases(tmp_path: Path, phases: tuple[int, int]) -> None:
    with masks_world(tmp_path, plan_of(7, threshold=5)) as world:
        deaths: dict[str, Death] = {"beni": (phases[0], "before"), "fuji": (phases[1], "after")}
        die(world, deaths)
        asked = single()
        total = summer(world).total(asked)
        assert total.members == expected(deaths, world.plan.members)[0]
        assert np.array_equal(total.values, world.plain(asked, total.members))


@pytest.mark.parametrize("phase", range(5))
def test_one_more_dies_and_nothing_opens(tmp_path: Path, phase: int) -> None:
    with masks_world(tmp_path, plan_of(7, threshold=5)) as world:
        die(world, {"beni": (phase, "before"), "fuji": (phase, "after"), "ginjo": (phase, "before")})
        with pytest.raises(TooFewMembers, match="nothing was opened"):
            summer(world).total(single())
        assert opened(world) == 0


def test_too_few_for_a_session(tmp_path: Path) -> None:
    with masks_world(tmp_path) as world:
        world.stop("aoi")
        world.stop("emi")
        with pytest.raises(TooFewMembers), summer(world).fixed():
            pass


def kill_schedule(seed: int, folder: Path) -> bool:
    """One random run of sums with random deaths and restarts; whether a sum was lost."""
    chance = random.Random(seed)
    count = chance.choice([3, 4, 5, 6])
    plan = plan_of(count, changes=1000)
    lost = False
    with masks_world(folder, plan) as world:
        adder = summer(world)
        for step in range(3):
            deaths: dict[str, Death] = {
                name: (chance.randrange(6), chance.choice(["before", "after"]))
                for name in plan.members
                if chance.random() < 0.2
            }
            die(world, deaths)
            before = opened(world)
            try:
                if chance.random() < 0.5:
                    asked = single(step, fresh=True)
                    members, replies = expected(deaths, plan.members)
                    if min(replies) >= plan.threshold:
                        total = adder.total(asked)
                        # Asked twice if one was lost after it shared keys; more may be lost by then.
                        assert set(total.members) <= set(members)
                        assert np.array_equal(total.values, world.plain(asked, total.members))
                        assert opened(world) == before + 1
                    else:
                        with pytest.raises(TooFewMembers):
                            adder.total(asked)
                        lost = True
                        assert opened(world) == before
                else:
                    with adder.fixed() as session:
                        for level in range(3):
                            asked = instruction(10 * step + level, fresh=True)
                            before = opened(world)
                            values = session.sum(asked)
                            assert np.array_equal(values, world.plain(asked, session.members))
            except (SessionLost, TooFewMembers):
                lost = True
                assert opened(world) == before
            for name in deaths:
                world.start(name)
            if chance.random() < 0.3:
                world.channel = world.server()
                adder = summer(world)
    return lost


PARTS = [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, 10))]


@pytest.mark.parametrize("part", PARTS)
def test_a_hundred_kill_schedules(tmp_path: Path, part: int) -> None:
    lost = [kill_schedule(seed, tmp_path / str(seed)) for seed in range(10 * part, 10 * part + 10)]
    assert 0 < sum(lost) < 10


def test_a_member_that_sends_wrong_shares_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with masks_world(tmp_path) as world:
        answer = world.answers["beni"].answer

        def lying(kind: str, body: Any, arrays: Any) -> tuple[Any, Any]:
            said, values = answer(kind, body, arrays)
            if kind == "masks.unmask":
                seeds = values["seeds"].copy()
                seeds[:, 1] ^= 1
                values = {**values, "seeds": seeds}
            return said, values

        monkeypatch.setattr(world.doors["beni"], "_answer", lying)
        asked = single()
        total = summer(world).total(asked)
        assert np.array_equal(total.values, world.plain(asked, total.members))


def test_a_member_that_sends_noise_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with masks_world(tmp_path) as world:
        answer = world.answers["beni"].answer

        def lying(kind: str, body: Any, arrays: Any) -> tuple[Any, Any]:
            said, values = answer(kind, body, arrays)
            if "masked/values" in values:
                values = {"masked/values": values["masked/values"] + np.uint64(1 << 62)}
            return said, values

        monkeypatch.setattr(world.doors["beni"], "_answer", lying)
        with pytest.raises(PeerError, match="no sum"):
            summer(world).total(single())
        with summer(world).fixed() as session, pytest.raises(PeerError, match="no sum"):
            session.sum(instruction())


def test_a_contribution_that_does_not_fit_is_not_sent(tmp_path: Path) -> None:
    made: dict[str, Any] = {
        "shape": np.zeros(3, np.int64),
        "type": np.zeros(4, np.int32),
        "bound": np.array([0, 0, 11, 0]),
        "low": np.array([0, 0, 0, -11]),
    }

    class Odd:
        def contribute(self, given: Instruction, members: tuple[str, ...]) -> np.ndarray:
            vector: np.ndarray = made[given.body["do"]]
            return vector

        told = None

    with masks_world(tmp_path) as world:
        world.tasks["aoi"]["numbers"] = Odd()  # type: ignore[assignment]
        for what in made:
            with summer(world).fixed() as session, pytest.raises(SessionLost):
                session.sum(Instruction("numbers", {"do": what}, 4, 10))
            assert world.channel.absences[-1].reason.startswith(f"failed: {InputError.__name__}")
        with summer(world).fixed() as session, pytest.raises(SessionLost) as lost:
            session.sum(Instruction("numbers", {"do": "shape"}, 4, ((1 << 63) - 1) // 5 + 1))
        assert lost.value.lost == world.plan.members
        assert "overflow" in world.channel.absences[-1].reason


def test_a_refusal_reaches_the_driver(tmp_path: Path) -> None:
    class Refusing:
        def contribute(self, given: Instruction, members: tuple[str, ...]) -> np.ndarray:
            raise Refusal("NOT_PLANNED", "the plan names no such sum", owner="aoi")

        told = None

    with masks_world(tmp_path) as world:
        world.tasks["aoi"]["numbers"] = Refusing()  # type: ignore[assignment]
        world.tasks["beni"]["numbers"] = Refusing()  # type: ignore[assignment]
        with summer(world).fixed() as session, pytest.raises(Refusal, match="no such sum"):
            session.sum(instruction())
        with pytest.raises(Refusal, match="no such sum"):
            summer(world).total(single())


def test_members_are_told_left_out_and_taken_in(tmp_path: Path) -> None:
    with masks_world(tmp_path) as world:
        adder = summer(world)
        heard = adder.tell("numbers", {"do": "sync"}, {"weights": np.arange(3.0)})
        assert list(heard) == list(world.plan.members)
        assert heard["beni"][0] == {"heard": {"do": "sync"}, "seed": 2}
        assert heard["beni"][1]["weights"].tolist() == [0, 1, 2]
        assert adder.tell("nothing", {}) == {}
        adder.exclude("beni")
        assert adder.total(single()).members == ("aoi", "chika", "daichi", "emi")
        adder.include("beni")
        assert adder.total(single(1, fresh=True)).members == NAMES[:5]


def test_the_set_that_a_task_hears_of(tmp_path: Path) -> None:
    with masks_world(tmp_path, plan_of(7, threshold=5)) as world:
        die(world, {"aoi": (0, "before"), "beni": (2, "before")})
        summer(world).total(single(weights=1))
        asked, members = world.tasks["chika"]["numbers"].asked[0]
        assert asked.body["weights"] == 1
        assert members == ("beni", *NAMES[2:7])  # who shared keys: the sum may open over fewer
