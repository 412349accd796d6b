# SPDX-License-Identifier: Apache-2.0
"""Two nodes as processes compute private cross statistics over HTTPS: right, charged, and nothing is left."""

from __future__ import annotations

import hashlib
import hmac
import os
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.e2e.crosstab_world import (
    COUNTS,
    LED_BY_CLINIC,
    LED_BY_INSURER,
    ONLY,
    OWNERS,
    Asking,
    World,
    appears,
    need_febrl,
    new_run,
    serving,
    spellings,
)

from hitoku.demo.crosstab import nodes, run
from hitoku.disclosure.answer import Answer
from hitoku.node.people import _salt
from hitoku.room.files import load_room
from hitoku.room.jobs import JobState

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PLANTED = "HITOKU_TEST_PLANTED"


def test_febrl_is_answered_right_and_charged_each_time(tmp_path: Path) -> None:
    need_febrl()
    act = run.health(tmp_path / "health")
    with nodes.running(act.place, list(act.members)) as processes:
        world = World(act.place, load_room(act.place / "room.yaml"), {}, processes)
        answers = []
        for number in (1, 2):  # never the old noise for a new price, nor new noise for the old one
            before = world.runs()
            answers.append(act.ask())
            assert act.compared(answers[-1]).right
            (fresh,) = world.runs() - before
            assert answers[-1].run == fresh
            assert world.settled(fresh) == dict.fromkeys(OWNERS, JobState.DONE)
            for name in OWNERS:
                assert world.entries(name, "charge")[fresh] == world.charged(name)[fresh] == 1
                assert world.entries(name, "charge").total() == number
        assert act.cells(answers[0]) != act.cells(answers[1])
        for name in OWNERS:
            for place in (act.place / name / "runs").iterdir():
                names = {p.name for p in place.iterdir() if not p.name.startswith("left-")}
                assert names == {"ended", "figures", "lock"}, names


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Each node has one of its member's own ids in its environment, and so in its memory."""
    with serving(tmp_path_factory.mktemp("pair")) as made, pytest.MonkeyPatch.context() as patch:
        for name in OWNERS:
            made.kill(name)
            patch.setenv(PLANTED, raw_ids(made, name)[0])
            made.start(name)
        yield made


def raw_ids(world: World, name: str) -> list[str]:
    """The ids that only this member has, as its table spells them."""
    table = pq.read_table(world.path / "data" / f"{name}.parquet")
    raw: list[str] = table.column("person").to_pylist()
    found = [text for text in raw if normal(text).startswith(ONLY[name])]
    assert len(found) >= 100
    return found


def normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def memory(pid: int) -> Iterator[bytes]:
    """What a process has in its own writable memory, area by area."""
    with Path(f"/proc/{pid}/mem").open("rb") as file:
        for line in Path(f"/proc/{pid}/maps").read_text("ascii").splitlines():
            place, rights, *_ = line.split()
            start, end = (int(part, 16) for part in place.split("-"))
            if rights.startswith("rw") and end - start < 1 << 30:
                with suppress(OSError, ValueError):  # it may be gone by now
                    file.seek(start)
                    yield file.read(end - start)


def in_memory(world: World, name: str, needles: list[bytes]) -> set[bytes]:
    """Which of these a node has in memory."""
    found: set[bytes] = set()
    size = 0
    for area in memory(world.nodes.processes[name].pid):
        size += len(area)
        found |= {needle for needle in needles if needle in area}
    assert size > 10_000_000
    return found


def in_files(world: World, name: str, needles: list[bytes]) -> set[bytes]:
    """Which of these are in a member's directory or in its log."""
    found: set[bytes] = set()
    for path in (*(world.path / name).rglob("*"), world.nodes.log(name)):
        with suppress(OSError):  # a run's files go while we look
            if path.is_file():
                content = path.read_bytes()
                found |= {needle for needle in needles if needle in content}
    return found


def marks(name: str) -> list[bytes]:
    """What all ids have in them that only this member has, in any spelling."""
    return spellings(ONLY[name])


def hashed(world: World, name: str) -> list[bytes]:
    """Some of them as they are computed with: a guess of an id could be tested against it."""
    salt = _salt(world.room)
    return [
        hmac.new(salt, b"card\0" + normal(text).encode(), hashlib.sha256).digest()
        for text in raw_ids(world, name)[:3]
    ]


def test_no_plain_or_hashed_id_of_one_side_is_anywhere_at_the_other(world: World) -> None:
    """During runs, with each as leader and as the other one, and after them."""
    other = dict(zip(OWNERS, reversed(OWNERS), strict=True))
    theirs = {name: [*marks(other[name]), *hashed(world, other[name])] for name in OWNERS}
    for sql in (LED_BY_CLINIC, LED_BY_INSURER):
        before = world.runs()
        asking = Asking(world, sql)
        fresh = new_run(world, before, asking.going)
        assert fresh is not None
        for name in OWNERS:
            place = world.path / name / "runs" / fresh / "input.arrow"
            assert appears(place, asking.going)
            os.link(place, world.path / f"{fresh}-{name}")
        going = True
        while going:
            for name in OWNERS:
                assert not in_memory(world, name, theirs[name]), name
                assert not in_files(world, name, theirs[name]), name
            going = asking.going()
        answer = asking.end()
        assert isinstance(answer, Answer)
        world.check(answer, sql)
        world.settled(fresh)
        for name in OWNERS:
            # What a side computes with has its own hashed ids, and none of the other's.
            content = (world.path / f"{fresh}-{name}").read_bytes()
            assert all(found in content for found in hashed(world, name))
            assert not any(found in content for found in hashed(world, other[name]))
    for name in OWNERS:
        assert not in_memory(world, name, theirs[name])
        assert not in_files(world, name, theirs[name])
        # The search finds what is there: a node's own id, and the runs in its database and its log.
        planted = raw_ids(world, name)[0].encode()
        runs = [run.encode() for run in world.runs()]
        assert in_memory(world, name, [planted]) == {planted}
        assert in_files(world, name, runs) == set(runs)
        assert in_memory(world, other[name], [planted]) == set()
        (world.path / name / "note").write_bytes(planted)
        assert in_files(world, name, marks(name)), "the search does not find an id in a file"
        (world.path / name / "note").unlink()


def test_two_runs_at_once_get_their_own_answers(world: World) -> None:
    """Of one leader, and then led in both directions, asked by either."""
    for asked in (
        [(LED_BY_CLINIC, "clinic"), (COUNTS, "insurer")],
        [(LED_BY_CLINIC, "clinic"), (LED_BY_INSURER, "insurer")],
        [(LED_BY_CLINIC, "insurer"), (LED_BY_INSURER, "clinic")],
    ):
        going = [Asking(world, sql, me) for sql, me in asked]
        runs = set()
        for asking in going:
            answer = asking.end()
            assert isinstance(answer, Answer), answer
            world.check(answer, asking.sql)
            assert answer.run is not None
            assert world.settled(answer.run) == dict.fromkeys(OWNERS, JobState.DONE)
            runs.add(answer.run)
        assert len(runs) == 2
        assert all(world.charged(name)[run] == 1 for name in OWNERS for run in runs)


@pytest.mark.parametrize("victim", OWNERS)
def test_a_node_that_is_stopped_in_order_goes_on_when_it_is_back(world: World, victim: str) -> None:
    before = world.runs()
    asking = Asking(world)
    fresh = new_run(world, before, asking.going)
    assert fresh is not None
    assert appears(world.path / victim / "runs" / fresh / "terms", asking.going)
    world.stop(victim)
    world.start(victim)
    answer = asking.end()
    assert isinstance(answer, Answer), answer
    world.check(answer)
    assert answer.run == fresh
    assert world.settled(fresh) == dict.fromkeys(OWNERS, JobState.DONE)
    assert all(world.charged(name)[fresh] == 1 for name in OWNERS)


def test_both_nodes_killed_at_once_go_on_when_they_are_back(world: World) -> None:
    """As after a power cut; and an asker that waits meanwhile."""
    before = world.runs()
    asking = Asking(world, me="insurer")  # whose own node is not the leader's
    fresh = new_run(world, before, asking.going)
    assert fresh is not None
    assert appears(world.path / "clinic" / "runs" / fresh / "left-points-a", asking.going)
    for name in OWNERS:
        world.kill(name)
    world.start()
    answer = asking.end()
    assert isinstance(answer, Answer), answer
    world.check(answer)
    assert world.settled(fresh) == dict.fromkeys(OWNERS, JobState.DONE)
