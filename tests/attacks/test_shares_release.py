# SPDX-License-Identifier: Apache-2.0
"""What three servers learn of groups that are not released, when a real program runs: nothing.

A program's openings and messages are compared between tables that differ in nothing but how many groups lie
below the threshold. A compaction before the threshold, planted in the program, must be found.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import pytest
from tests.shares.machines import Model, dealt, generator, kernel
from tests.shares.views import Openings

from hitoku.ports import NoProgress
from hitoku.protections.shares.operators import select
from hitoku.protections.shares.operators.execute import execute
from hitoku.protections.shares.operators.loaded import Loaded
from hitoku.protections.shares.program import (
    Aggregate,
    Branch,
    Column,
    Leaf,
    Opened,
    Program,
    Type,
    Upload,
)

ROWS = 48
KEY = Type("number", 0, 63, nullable=False)
COUNT = Type("number", 0, ROWS, nullable=False)
PROGRAM = Program(
    uploads=(Upload("t", "A", ROWS, (Leaf("t.1", "k", KEY, word=True),)),),
    branches=(
        Branch(
            start="t",
            lookups=(),
            where=(),
            groups=(("g1", Column("t.1", KEY)),),
            aggregates=(Aggregate("u1", "count_rows", None, COUNT),),
            most_groups=ROWS,
            thresholds=(("u1", 3),),
            opened=(Opened("g1", Column("g1", KEY)), Opened("u1", Column("u1", COUNT))),
        ),
    ),
)


def told(machine, released, hidden):
    """The openings of all parties together, in order, each sorted; and sizes of messages."""
    keys = [key for key in range(released) for _ in range(4)] + [40 + key for key in range(hidden)]
    valid = [1] * len(keys) + [0] * (ROWS - len(keys))
    rng = generator("release", released, hidden)
    inputs = [dealt(rng, "u8", valid), dealt(rng, "u8", keys + [0] * (ROWS - len(keys)))]
    noted: list[list[int]] = []
    values: list[list[int]] = []

    def program(engine, v):
        watched = Openings(engine, noted if engine.index == 0 else [])
        loaded = Loaded(rows={"t": v[0]}, words={"t.1": v[1]})
        (result,) = execute(PROGRAM, watched, loaded, NoProgress())
        assert result.rows == released
        found = [engine.open(column.vectors[0]).tolist() for column in result.columns]
        if engine.index == 0:
            values.extend(found)
        return []

    seen = machine(program, inputs)
    assert sorted(zip(*values, strict=True)) == [(key, 4) for key in range(released)]
    return [sorted(found) for found in noted], [[len(data) for data in party] for party in seen.received]


@pytest.mark.parametrize("machine", [kernel, Model()], ids=["kernel", "reference"])
def test_groups_below_a_threshold_leave_no_trace(machine):
    none = told(machine, 5, 0)
    assert none == told(machine, 5, 20)
    assert len(none[0]) == 1  # one opening: the shuffled flags of what passes


@pytest.mark.parametrize("machine", [kernel, Model()], ids=["kernel", "reference"])
def test_a_compaction_before_the_threshold_is_found(machine, monkeypatch):
    passing = select._passing

    def early(branch, groups):
        engine = groups.engine
        engine.open(engine.shuffle([groups.valid])[0])
        return passing(branch, groups)

    monkeypatch.setattr(select, "_passing", early)
    assert told(machine, 5, 0)[0] != told(machine, 5, 20)[0]
