# SPDX-License-Identifier: Apache-2.0
"""Fixed release times: how long the work took shows only in which interval it ended."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.attacks.budget_world import World
from tests.conftest import FakeClock, fill

from hitoku.errors import EngineError, PeerError, Refusal
from hitoku.protections.tokens import Tokens


class Watched(FakeClock):
    """Remembers for how long somebody slept."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        super().sleep(seconds)


@pytest.fixture
def clock():
    return Watched()


@pytest.fixture
def world(make, clock):
    made = World(fill(make(lambda data: data.update(release={"interval_seconds": 60}))), clock)
    yield made
    made.close()


def working(monkeypatch, clock, seconds, error=None):
    """The engine takes so long."""
    run = Tokens.run

    def work(self, *arguments):
        clock.pass_seconds(seconds)
        if error is not None:
            raise error
        return run(self, *arguments)

    monkeypatch.setattr(Tokens, "run", work)


@pytest.mark.parametrize(
    ("seconds", "leaves"), [(0, 60), (0.001, 60), (59.999, 60), (60, 60), (60.001, 120), (130, 180)]
)
@pytest.mark.parametrize("error", [None, EngineError("no", "TIMEOUT")])
def test_answers_and_failures_leave_at_whole_multiples(
    world, clock, question, monkeypatch, seconds, leaves, error
):
    working(monkeypatch, clock, seconds, error)
    began = clock.now()
    if error is None:
        answer = world.ask(question)
        assert answer.released_at == (began + timedelta(seconds=leaves)).strftime("%Y-%m-%dT%H:%M:%SZ")
    else:
        with pytest.raises(PeerError):
            world.ask(question)
    assert clock.now() - began == timedelta(seconds=leaves)


def test_nothing_that_others_see_leaves_before(world, clock, question, monkeypatch):
    """Deliveries, the word to the owners, and the times in the host's ledger."""
    working(monkeypatch, clock, 10)
    began, seen = clock.now(), []
    world.network.change = lambda sender, receiver, message: seen.append((message["kind"], clock.now()))
    world.ask(question, receivers=["registry"])
    after = [time for kind, time in seen if kind in {"hitoku/deliver/1", "hitoku/settle/1"}]
    assert len(after) == 3
    assert set(after) == {began + timedelta(seconds=60)}
    times = {e.kind.value: e.time for e in world.nodes["host"].records.ledger.entries()}
    assert times["charge"][:19] == times["release"][:19] == "2026-11-21T12:01:00"
    assert times["reservation"][:19] == "2026-11-21T12:00:00"


def test_an_answer_given_again_takes_as_long(world, clock, question):
    world.ask(question)
    began = clock.now()
    assert "repeats" in world.ask(question).ledger
    assert clock.now() - began == timedelta(seconds=60)


def test_how_long_a_delivery_took_is_not_told(world, clock, question):
    """It grows with the answer, which the asker does not receive."""
    began = clock.now()

    def slow(sender, receiver, message):
        if message["kind"] == "hitoku/deliver/1":
            clock.pass_seconds(7)

    world.network.change = slow
    world.ask(question, receivers=["registry"])
    assert clock.now() - began == timedelta(seconds=120)


def test_a_refusal_before_any_data_is_read_does_not_wait(world, clock, refused):
    began = clock.now()
    with pytest.raises(Refusal):
        world.ask(refused)
    assert clock.now() == began


def test_a_clock_that_is_set_back_does_not_shorten_the_wait(world, clock, question, monkeypatch):
    working(monkeypatch, clock, -1_000)
    world.ask(question)
    assert sum(clock.slept) >= 60


def test_without_an_interval_nothing_waits(make, clock, question):
    world = World(fill(make()), clock)
    world.ask(question)
    assert clock.slept == []
    world.close()
