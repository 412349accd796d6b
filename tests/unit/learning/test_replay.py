# SPDX-License-Identifier: Apache-2.0
"""The model grown once more from the opened sums: with counters, and of a server that was started again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.unit.learning.learning_world import SHORT, make_room
from tests.unit.learning.test_server import Running, at_terminals

from hitoku.learning.planning import made
from hitoku.learning.replay import replayed

FULL = {"transcript": "full", "seconds": 20}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_room(tmp_path_factory.mktemp("room"))


def counting(place):
    day = 86_400
    cuts = {"history": 0, "train": 10 * day, "holdout": 30 * day, "wait": 36 * day, "test": 37 * day}
    data = {
        **SHORT["data"],
        "time": "time",
        "cuts": {**cuts, "end": 45 * day},
        "counters": [{"column": "terminal", "entities": 20, "windows": [1, 7], "delay": 2}],
    }
    return made({**SHORT, "data": data, "aggregation": FULL}, place.agreement)


def crashing(world, calls):
    """Run with a server that dies at these of its rounds, and is started again."""
    ask, counted = world.fleet.ask, []

    def asked(requests, seconds):
        counted.append(1)
        if len(counted) in calls:
            raise KeyboardInterrupt
        return ask(requests, seconds)

    world.fleet.ask = asked
    for _ in calls:
        with pytest.raises(KeyboardInterrupt):
            world.run()
    world.run()


def other_sums(world):
    """Change the number of one opened sum that a tree was grown from; its record with it."""
    path = world.folder.transcript
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    last = [line for line in lines if line.get("direction") == "opened"][-1]
    payload = world.folder.path / "payloads" / last["sha256"]
    values = np.frombuffer(payload.read_bytes(), "<i8").copy()
    payload.write_bytes((values * 3 + 1).astype("<i8").tobytes())


@pytest.mark.parametrize(
    "calls",
    [
        (),
        pytest.param((4,), marks=pytest.mark.slow),
        pytest.param((9,), marks=pytest.mark.slow),
        (21,),
        pytest.param((14, 25), marks=pytest.mark.slow),
    ],
    ids=lambda calls: "-".join(map(str, calls)) or "none",
)
def test_a_restarted_servers_model_is_grown_again(place, tmp_path, calls):
    world = Running(place, tmp_path, aggregation=FULL, model={"trees": 6})
    try:
        crashing(world, calls)
        report = world.audit()
        told = world.folder.report or {"events": []}
        kept = sum(event["event"] == "resumed" for event in told["events"])
        assert report.findings == []
        if kept == len(calls):
            assert report.facts["replayed"]
            other_sums(world)
            content, _ = replayed(world.folder)
            assert content != world.folder.model.read_bytes()
        else:
            assert calls[0] < 10
            assert not report.facts["replayed"]
            assert any("before it had kept anything" in notice for notice in report.notices)
    finally:
        world.close()


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param((), id="none"),
        pytest.param((17,), marks=pytest.mark.slow, id="17"),
        pytest.param((22,), id="22"),
    ],
)
def test_counters_are_summed_again(place, tmp_path, calls):
    world = Running(place, tmp_path, plan=counting(place), data=at_terminals)
    try:
        crashing(world, calls)
        report = world.audit()
        assert report.findings == []
        assert report.facts["replayed"], (report.notices, world.asked)
        other_sums(world)
        content, _ = replayed(world.folder)
        assert content != world.folder.model.read_bytes()
    finally:
        world.close()
