# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at every boundary between messages and at random moments, on either side of a run over HTTPS.

Whatever moment it is, the run ends in the right answer, from messages that are byte for byte the same as
before, or in a clean end on both sides; and nobody ever saw more noisy views of an owner than that owner has
charges on record.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.attacks.test_crash_of_ask import check
from tests.e2e.crosstab_world import (
    LED_BY_CLINIC,
    LED_BY_INSURER,
    OWNERS,
    Asking,
    Watch,
    World,
    appears,
    need_febrl,
    new_run,
    serving,
)

from hitoku.disclosure.answer import Answer
from hitoku.room.jobs import JobState

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SEED = 20_26
MESSAGES = (
    ("offer-a", "clinic"),
    ("offer-b", "insurer"),
    ("points-a", "clinic"),
    ("points-b", "insurer"),
    ("tags-a", "insurer"),
    ("cells-a", "clinic"),
    ("sums-b", "insurer"),
)
"""In the order in which they are made, and who sends them where the clinic leads."""
BOUNDARIES = [
    (file, sender, victim)
    for message, sender in MESSAGES
    for file, victim in (
        (f"parcels/{message}.arrow", sender),
        (f"left-{message}", sender),
        (f"left-{message}", next(o for o in OWNERS if o != sender)),
    )
] + [("figures", "insurer", "insurer"), ("figures", "clinic", "clinic")]
HALF = (len(BOUNDARIES) + 1) // 2
RANDOM = 20
TELLING = {"clinic": {"cells-a"}, "insurer": {"tags-a", "sums-b"}}
"""What carries an owner's noise, where the clinic leads."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    need_febrl()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HITOKU_DEBUG", "1")  # what a run fails of is in the log then
        with serving(tmp_path_factory.mktemp("kills"), febrl=True) as made:
            yield made


@pytest.fixture(scope="module")
def watch(world: World) -> Iterator[Watch]:
    with Watch(world, world.path / "kept") as made:
        yield made


def outcome(world: World, asking: Asking, run: str | None) -> str:
    """How a question ended, which must be one of the ways that are allowed."""
    ended = asking.end()
    if run is not None:
        states = world.settled(run)
        if isinstance(ended, Answer):
            assert ended.run == run
            assert states == dict.fromkeys(OWNERS, JobState.DONE), states
            assert all(world.charged(name)[run] == 1 for name in OWNERS)
    if isinstance(ended, Answer):
        world.check(ended, asking.sql)
        return "answer"
    said = [line for name in OWNERS for line in world.nodes.log(name).read_text("utf-8").splitlines()]
    return "\n".join([f"{type(ended).__name__}: {ended}", *(line for line in said if line[:1] != "{")])


@pytest.mark.parametrize("number", range(HALF))
def test_a_kill_at_a_boundary_changes_nothing(world: World, watch: Watch, number: int) -> None:
    """Two kills a run, far apart: at an early boundary, and at a late one after the restart."""
    before = world.runs()
    asking = Asking(world)
    run = new_run(world, before, asking.going)
    assert run is not None, asking.end()
    hit = 0
    for file, sender, victim in BOUNDARIES[number::HALF]:
        if appears(world.path / sender / "runs" / run / file, asking.going):
            world.kill(victim)
            hit += 1
            world.start(victim)
    assert hit >= 1
    assert outcome(world, asking, run) == "answer"


def begun(world: World, run: str) -> bool:
    """Whether a run has begun at both."""
    marks = ("terms", "figures", "ended")
    return all(any((world.path / o / "runs" / run / mark).exists() for mark in marks) for o in OWNERS)


def test_kills_at_random_moments_end_right_or_cleanly(world: World, watch: Watch) -> None:
    """An order that is lost before the run has begun at both is the asker's to give again; later, none is.

    When a moment comes is the machine's: so every second one is counted from when the run has begun.
    """
    chance = random.Random(SEED)
    print(f"seed {SEED}")  # noqa: T201 (shown where the test fails)
    began = time.monotonic()
    world.check(world.ask())
    whole = time.monotonic() - began
    ends: Counter[str] = Counter()
    lost: list[str] = []
    for number in range(RANDOM):
        moment, victim = chance.uniform(0, whole), chance.choice(OWNERS)
        sql, me = chance.choice([LED_BY_CLINIC, LED_BY_INSURER]), chance.choice(OWNERS)
        before = world.runs()
        asking = Asking(world, sql, me)
        run = None
        if number % 2:
            run = new_run(world, before, asking.going)
            assert run is not None, asking.end()
            while asking.going() and not begun(world, run):
                time.sleep(0.001)
        time.sleep(moment)
        early = not any(begun(world, one) for one in world.runs() - before)
        world.kill(victim)
        world.start(victim)
        end = outcome(world, asking, run or new_run(world, before, asking.going))
        ends["answer" if end == "answer" else "error"] += 1
        if end != "answer":
            lost.append(f"{number} at {moment:.2f}, {'early' if early else 'late'}: {end}")
    print(ends, *lost, sep="\n")  # noqa: T201
    assert not [words for words in lost if ", late: " in words]
    assert ends["answer"] >= RANDOM // 2, ends  # at least those that were late


def test_what_left_before_a_kill_leaves_as_it_was_after_it(world: World, watch: Watch) -> None:
    versions = watch.versions()
    assert len(versions) > 7 * HALF // 2, "nothing was watched"
    again = {key: found for key, found in versions.items() if len(found) > 1}
    assert not again


def test_nobody_saw_more_noisy_views_than_were_charged(world: World, watch: Watch) -> None:
    """A view is one version of a message that carries an owner's noise, and that may have left."""
    versions, seen = watch.versions(), Counter[str]()
    for name in OWNERS:
        charged = world.charged(name)
        for run, job in world.jobs(name).items():
            telling = {"cells-a"} if job.part == "lead" else {"tags-a", "sums-b"}
            views = 0
            for parcel in telling:
                if (world.path / name / "runs" / run / f"left-{parcel}").exists():
                    views = max(views, len(versions[run, name, parcel]) or 1)
            assert views <= charged[run] == 1, (name, run, views, charged[run])
            seen[name] += views
        assert seen[name] <= sum(charged.values())
    assert all(seen[name] >= HALF for name in OWNERS), seen


def test_ledgers_and_stores_agree_after_all_this(world: World) -> None:
    states = check(world.place)
    assert states["clinic committed"] >= HALF
    for name in OWNERS:
        left = [run for run in world.runs() if world.left(name, run)]
        assert not left


def test_the_errors_of_all_answers_together_are_those_of_the_noise(world: World) -> None:
    world.check_errors()


def test_no_thread_died(world: World) -> None:
    """It would print what it was working on."""
    for name in OWNERS:
        log = Path(world.nodes.log(name)).read_text("utf-8")
        assert "serving" in log
        assert "Exception in thread" not in log
