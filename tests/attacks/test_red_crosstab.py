# SPDX-License-Identifier: Apache-2.0
"""What the asker is told while a run goes on must not be more than what is noised and charged."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import threading

import pytest
from tests.unit.protections.crosstab.world import World, inputs, parameters

from hitoku.node.jobs import Following


class Polled(Following):
    """A job's progress, with everything that somebody who asks often enough is told of it."""

    def __init__(self, run):
        self.seen = []
        super().__init__(run)

    def phase(self, name, total=None):
        super().phase(name, total)
        self.seen.append(self.now)

    def advance(self, amount=1):
        super().advance(amount)
        self.seen.append(self.now)


def polled(tmp_path, people):
    given = parameters()
    world = World(tmp_path, given, inputs(given, people, 0, 5))
    following = Polled(given.run)
    world.party("a")
    other = threading.Thread(target=lambda: world.run_side("b"), daemon=True)
    other.start()
    world.party("a", progress=following).run(lambda: world.inputs.of("a"))
    other.join()
    return following.seen


@pytest.mark.parametrize("people", [0, 1, 37])
def test_the_asker_is_not_told_how_many_people_the_leader_has(tmp_path, people):
    seen = {going.done for going in polled(tmp_path, people) if going.phase.startswith("masking")}
    more = {going.done for going in polled(tmp_path / "2", people + 1) if going.phase.startswith("masking")}
    # What is noised differs from run to run; the number itself must not be among what is told.
    assert people == 0 or people not in seen
    assert people + 1 not in more
