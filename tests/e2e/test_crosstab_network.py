# SPDX-License-Identifier: Apache-2.0
"""Private cross statistics over a bad network between the two nodes: slow, narrow, and breaking."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.e2e.crosstab_world import (
    LED_BY_CLINIC,
    LED_BY_INSURER,
    OWNERS,
    Asking,
    World,
    new_run,
)
from tests.e2e.proxy import Proxy

from hitoku.disclosure.answer import Answer
from hitoku.room.jobs import JobState

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DELAY, MBIT = 50, 100
SEED = 5
MOST_BREAKS = 60


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, dict[str, Proxy]]]:
    """Two nodes that reach each other only through proxies."""
    world = World.made(tmp_path_factory.mktemp("far"), both=8_000, alone=4_000)
    with ExitStack() as stack:
        proxies = {
            name: stack.enter_context(
                Proxy(("127.0.0.1", world.port(name)), delay_ms=DELAY, mbit=MBIT, seed=SEED)
            )
            for name in OWNERS
        }
        world.through({name: proxy.port for name, proxy in proxies.items()})
        stack.callback(world.end)
        world.start()
        yield world, proxies


def test_a_slow_network_changes_nothing(far: tuple[World, dict[str, Proxy]]) -> None:
    world, proxies = far
    answer = world.ask()
    world.check(answer)
    assert answer.run is not None
    assert world.settled(answer.run) == dict.fromkeys(OWNERS, JobState.DONE)
    # Whatever the two say to each other goes through the proxies: the insurer sends 96 bytes a record.
    assert proxies["insurer"].carried[1] > 96 * 12_000
    assert proxies["clinic"].carried[1] > 32 * 12_000


@pytest.mark.parametrize(("sql", "me"), [(LED_BY_CLINIC, "clinic"), (LED_BY_INSURER, "clinic")])
def test_connections_that_break_at_random_change_nothing(
    far: tuple[World, dict[str, Proxy]], sql: str, me: str
) -> None:
    """From when the run has begun: an order that is lost before that is the asker's to give again."""
    world, proxies = far
    chance = random.Random(SEED)
    before, dropped = world.runs(), sum(proxy.drops for proxy in proxies.values())
    asking = Asking(world, sql, me)
    run = new_run(world, before, asking.going)
    assert run is not None, asking.end()
    breaks = 0
    # Until it has an answer, but not for ever: a busy machine carries little between two breaks.
    while asking.going() and breaks < MOST_BREAKS:
        time.sleep(chance.expovariate(3))
        proxies[chance.choice(OWNERS)].drop()
        breaks += 1
    answer = asking.end()
    assert isinstance(answer, Answer), answer
    world.check(answer, sql)
    assert answer.run == run
    assert sum(proxy.drops for proxy in proxies.values()) > dropped + 2
    assert world.settled(run) == dict.fromkeys(OWNERS, JobState.DONE)
    assert all(world.charged(name)[run] == 1 for name in OWNERS)
