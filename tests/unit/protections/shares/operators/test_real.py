# SPDX-License-Identifier: Apache-2.0
"""The same programs at three real parties: equal results, predicted costs, equal sizes for other values."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.shares import oracle
from tests.shares.dealing import run_shared
from tests.shares.tables import Made, Table, nullable, number, program

from hitoku.protections.shares.planning.predict import predict
from hitoku.protections.shares.program import (
    Aggregate,
    Branch,
    Column,
    Compare,
    Literal,
    Lookup,
    Opened,
    Ratio,
    Round,
    SortKey,
    Type,
)

COUNT = Type("number", 0, 10**5, nullable=False)
SUM = Type("number", -(10**9), 10**9)
BOOLEAN = Type("boolean", 0, 1)
TEXTS = ["zero", "", "abcdefghi", "~"]


def flights(seed: int, rows: int = 60) -> Table:
    """Codes with NULLs, a join key, values, and rows that are not valid."""
    chance = random.Random(seed)
    codes = [chance.choice([0, 1, 2, 3, None]) for _ in range(rows)]
    return Table(
        "s",
        [
            Made(Type("code", 0, 3, dictionary="s.1"), codes),
            number([*(chance.randrange(20) for _ in range(rows - 1)), 3], 0, 31),
            Made(
                Type("number", -1000, 1000),
                [chance.choice([None, 5, -1000, 1000]) for _ in range(rows)],
                "r64",
            ),
        ],
        [chance.random() < 0.9 for _ in range(rows)],
        {1: TEXTS},
    )


def planes(seed: int, rows: int = 12) -> Table:
    """A unique key and a value."""
    chance = random.Random(seed + 1000)
    return Table(
        "t",
        [
            number(chance.sample(range(20), rows), 0, 31),
            number([chance.randrange(9) for _ in range(rows)], 0, 8, ring="r64"),
        ],
        [chance.random() < 0.9 for _ in range(rows)],
    )


def branch_of(start: Table, **other: Any) -> Branch:
    groups = (("g1", start.column(1)),)
    value = start.column(3)
    aggregates = (
        Aggregate("a1", "count_rows", None, COUNT),
        Aggregate("a2", "sum", value, SUM),
        Aggregate("a3", "count_distinct", start.column(2), COUNT),
    )
    ratio = Ratio(Column("a2", SUM), Column("a1", COUNT), SUM)
    opened = (
        Opened("g1", Column("g1", start.column(1).type)),
        *(Opened(one.name, Column(one.name, one.type)) for one in aggregates),
        Opened("o1", Round(ratio, 2, Type("number", -(10**6), 10**6, 2))),
    )
    made = Branch("s", (), (), groups, aggregates, 5, thresholds=(("a3", 2),), opened=opened)
    return replace(made, **other)


def joined(start: Table, **other: Any) -> Branch:
    value = Column("t.2", nullable(Type("number", 0, 8)))
    made = branch_of(start, lookups=(Lookup("t", "left", ((start.column(2), "t.1"),)),))
    extra = (Aggregate("a4", "sum", value, SUM), Aggregate("a5", "max", value, value.type))
    return replace(
        made,
        aggregates=(*made.aggregates, *extra),
        opened=(*made.opened, *(Opened(one.name, Column(one.name, one.type)) for one in extra)),
        having=(Compare(">", Column("a1", COUNT), Literal(3, COUNT), BOOLEAN),),
        **other,
    )


def middles(start: Table) -> Branch:
    value = start.column(3)
    median = Type("number", -10_000, 10_000, 1)
    extra = (Aggregate("a4", "median", value, median), Aggregate("a5", "min", value, value.type))
    made = branch_of(start)
    return replace(
        made,
        aggregates=(*made.aggregates, *extra),
        opened=(*made.opened, *(Opened(one.name, Column(one.name, one.type)) for one in extra)),
    )


def texts(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Codes of an expected answer as their texts."""
    return [(None if row[0] is None else TEXTS[row[0]], *row[1:]) for row in rows]


PROGRAMS: dict[str, Callable[[Table], Branch]] = {"group": branch_of, "join": joined, "median": middles}


@pytest.mark.parametrize("name", PROGRAMS)
def test_three_parties_give_what_plain_python_gives(name: str) -> None:
    tables = (flights(1), planes(1)) if name == "join" else (flights(1),)
    branch = PROGRAMS[name](tables[0])
    found, _ = run_shared(tables, branch)
    assert len(found) >= 3
    assert Counter(found) == Counter(texts(oracle.answer(branch, tables)))


def test_order_and_limit_at_three_parties() -> None:
    start = flights(2)
    order = (SortKey(Column("g1", start.column(1).type), True, False),)
    found, _ = run_shared([start], branch_of(start, order=order, limit=3))
    assert [row[0] for row in found] == ["~", "zero", "abcdefghi"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_prediction_is_what_is_sent(name: str) -> None:
    tables = (flights(3, 2000), planes(3)) if name == "join" else (flights(3, 2000),)
    branch = PROGRAMS[name](tables[0])
    # All five groups are released, as a prediction assumes.
    branch = replace(branch, thresholds=(("a1", 1),), having=())
    found, counters = run_shared(tables, branch)
    assert len(found) == 5
    # The first step is the upload, which these parties did not do.
    steps = predict(program(tables, branch)).steps[1:]
    rounds = max(one["rounds"] for one in counters)
    assert sum(step.rounds for step in steps) == pytest.approx(rounds, rel=0.02)
    sent = sum(one["bytes_sent"] for one in counters)
    assert sum(step.bytes for step in steps) == pytest.approx(sent, rel=0.02)


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_sent_depends_on_sizes_alone(name: str) -> None:
    seen = set()
    for seed in (4, 5):
        tables = (flights(seed), planes(seed)) if name == "join" else (flights(seed),)
        branch = replace(PROGRAMS[name](tables[0]), thresholds=(("a1", 1),), having=())
        found, counters = run_shared(tables, branch)
        seen.add((len(found), str(counters)))
    assert len(seen) == 1
