# SPDX-License-Identifier: Apache-2.0
"""A run with `he` whose leader, or whose server, is started again on the way: the driver goes on."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from tests.unit.learning.learning_world import BANKS, make_room
from tests.unit.learning.test_server import Running, ideal

from hitoku.learning.aggregate.he import LeaderLost

LEADER = BANKS[0]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_room(tmp_path_factory.mktemp("room"))


@pytest.fixture
def running(place, tmp_path):
    with ExitStack() as stack:

        def start(seconds=20):
            world = Running(place, tmp_path, aggregation={"kind": "he", "seconds": seconds})
            stack.callback(world.close)
            return world

        yield start


def holds(world, report, tmp_path):
    """Every member has the model of plain sums, and the audit finds nothing."""
    assert report["steps"] == 4
    assert report["delivered"] == list(BANKS)
    model = ideal(world, tmp_path).model
    for name in BANKS:
        assert (world.path / name / "model.json").read_bytes() == model
    assert world.audit().findings == []


# 3: while the first set is formed, before a driver of the leader has had any answer.
@pytest.mark.parametrize(("request_", "resumed"), [(3, False), (5, False), (20, True)])
def test_a_leader_that_was_started_again_resumes(running, tmp_path, request_, resumed):
    world = running()
    world.before[LEADER, request_] = lambda: world.start(LEADER)
    report = world.run()
    holds(world, report, tmp_path)
    assert [event["event"] for event in report["events"]] == (["resumed"] if resumed else [])


def test_a_leader_that_is_gone_ends_the_server_and_it_goes_on_with_both(running, tmp_path):
    world = running(seconds=1)
    world.before[LEADER, 20] = lambda: world.stop(LEADER)
    with pytest.raises(LeaderLost, match=r"Start aki's `hitoku learn join` again.*checkpoint"):
        world.run()
    asked = world.asked[LEADER]
    world.start(LEADER)
    report = world.run()
    assert "resumed" in [event["event"] for event in report["events"]]
    assert world.asked[LEADER] > asked
    holds(world, report, tmp_path)


@pytest.mark.parametrize("calls", [4, 18, 30])
def test_a_server_that_was_started_again_finds_the_leader_where_it_was(running, tmp_path, calls):
    world = running()
    ask, made = world.fleet.ask, []

    def asked(requests, seconds):
        made.append(1)
        if len(made) == calls:
            raise KeyboardInterrupt
        return ask(requests, seconds)

    world.fleet.ask = asked
    with pytest.raises(KeyboardInterrupt):
        world.run()
    report = world.run()
    assert (world.path / LEADER / "model.json").exists()
    assert report["steps"] == 4
    assert report["delivered"] == list(BANKS)
    assert world.audit().findings == []
