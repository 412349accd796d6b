# SPDX-License-Identifier: Apache-2.0
"""GROUP BY over shared columns equals plain Python: every figure, NULLs, empties, duplicates, extremes."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shares import oracle
from tests.shares.ideal import IdealEngine
from tests.shares.tables import Table, number, run

from hitoku.protections.shares.program import Aggregate, Branch, Column, Compare, Literal, Opened, Type

KINDS = ["count", "sum", "count_distinct", "sum_distinct", "sum_squares", "min", "max", "median"]


def figure_type(kind: str, argument: Type, rows: int) -> Type:
    """Bounds that no number of rows exceeds."""
    many, most = max(rows, 1), max(abs(argument.low), abs(argument.high))
    if kind in ("count_rows", "count", "count_distinct"):
        return Type("number", 0, many, 0, nullable=False)
    if kind in ("min", "max"):
        return Type("number", argument.low, argument.high, argument.scale)
    if kind == "median":
        return Type("number", 10 * argument.low, 10 * argument.high, argument.scale + 1)
    if kind == "sum_squares":
        return Type("number", 0, many * most * most, 2 * argument.scale)
    return Type("number", -many * most, many * most, argument.scale)


def branch_of(table: Table, keys: list[int], figures: list[tuple[str, int | None]], **other: Any) -> Branch:
    """All grouping values and figures are opened."""
    count = len(table.valid)
    groups = tuple((f"g{at}", table.column(place)) for at, place in enumerate(keys, 1))
    aggregates = tuple(
        Aggregate(
            f"a{at}",
            kind,  # type: ignore[arg-type]
            table.column(place) if place else None,
            figure_type(kind, table.column(place).type if place else Type("number", 0, 0), count),
        )
        for at, (kind, place) in enumerate(figures, 1)
    )
    opened = tuple(
        Opened(name, Column(name, kind))
        for name, kind in [
            *((name, expr.type) for name, expr in groups),
            *((one.name, one.type) for one in aggregates),
        ]
    )
    other.setdefault("most_groups", max(count, 1))
    other.setdefault("opened", opened)
    return Branch(table.name, (), (), groups, aggregates, **other)


def check(tables: list[Table], branch: Branch, seed: int = 0) -> None:
    assert Counter(run(tables, branch, seed=seed)) == Counter(oracle.answer(branch, tables))


WIDE = 2**62


@st.composite
def grouped_tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(0, 12))

    def column(low: int, high: int, nulls: bool, ring: str | None, word: bool = True) -> Any:
        values = st.integers(low, high) | st.sampled_from([low, high])
        cells = st.one_of(st.none(), values) if nulls else values
        return number(draw(st.lists(cells, min_size=rows, max_size=rows)), low, high, ring=ring, word=word)

    span = draw(st.sampled_from([(0, 1), (-2, 2), (5, 5), (-WIDE, WIDE), (0, 255)]))
    ring = draw(st.sampled_from([None, "r64", "r128"]))
    return Table(
        "t",
        [
            column(0, draw(st.sampled_from([0, 1, 3])), draw(st.booleans()), None),
            column(-1, 1, draw(st.booleans()), None),
            column(*span, draw(st.booleans()), ring),
            column(-3, 100, draw(st.booleans()), "r64"),
        ],
        draw(st.lists(st.booleans(), min_size=rows, max_size=rows)),
    )


@given(
    grouped_tables(),
    st.sampled_from([[1], [1, 2], [2]]),
    st.lists(st.sampled_from(KINDS[:7]), min_size=0, max_size=3),
    st.lists(st.sampled_from(KINDS), min_size=0, max_size=3),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_groups_equal_plain_python(
    table: Table, keys: list[int], wide: list[str], narrow: list[str], rows: bool
) -> None:
    figures: list[tuple[str, int | None]] = [("count_rows", None)] if rows else []
    if table.columns[2].type.high > 2**32:
        wide = [kind for kind in wide if kind != "sum_squares"]
    figures += [(kind, 3) for kind in wide] + [(kind, 4) for kind in narrow]
    check([table], branch_of(table, keys, figures))


@given(
    grouped_tables(),
    st.lists(st.sampled_from(KINDS[:7]), min_size=0, max_size=3),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=3),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_one_group_is_there_even_of_no_rows(
    table: Table, wide: list[str], narrow: list[str], rows: bool
) -> None:
    figures: list[tuple[str, int | None]] = [("count_rows", None)] if rows else []
    if table.columns[2].type.high > 2**32:
        wide = [kind for kind in wide if kind != "sum_squares"]
    figures += [(kind, 3) for kind in wide] + [(kind, 4) for kind in narrow]
    check([table], branch_of(table, [], figures, one_group=True, most_groups=1))


@pytest.mark.parametrize("seed", range(20))
def test_random_groups(seed: int) -> None:
    chance = random.Random(seed)
    rows = 300
    keys = number([chance.randrange(20) for _ in range(rows)], 0, 31)
    values = number(
        [chance.choice([None, chance.randint(-(10**12), 10**12)]) for _ in range(rows)],
        -(10**12),
        10**12,
        ring="r64",
    )
    table = Table("t", [keys, values], [chance.random() < 0.9 for _ in range(rows)])
    figures: list[tuple[str, int | None]] = [("count_rows", None), *((kind, 2) for kind in KINDS)]
    check([table], branch_of(table, [1], figures, most_groups=32), seed)


@given(grouped_tables(), st.integers(1, 4), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_thresholds_and_having(table: Table, least: int, bound: int) -> None:
    count = figure_type("count", Type("number", 0, 0), len(table.valid))
    branch = branch_of(
        table,
        [1],
        [("count_rows", None), ("count_distinct", 2), ("sum", 4)],
        thresholds=(("a1", least), ("a2", 1)),
        having=(
            Compare(">", Column("a1", count), Literal(bound, count), Type("boolean", 0, 1, nullable=False)),
        ),
    )
    check([table], branch)


def test_a_group_below_the_threshold_is_never_opened() -> None:
    table = Table("t", [number([0, 0, 0, 1, 2, 2], 0, 3)], [True] * 6)
    engine = IdealEngine(3)
    assert run([table], branch_of(table, [1], [("count_rows", None)], thresholds=(("a1", 3),)), engine) == [
        (0, 3)
    ]
    # Of what was opened nothing tells that there were three groups.
    assert len(engine.opened) == 1
    assert sorted(engine.opened[0]) == [0, 0, 0, 0, 0, 1]


def test_where_the_pass_bits_lie_tells_nothing() -> None:
    table = Table("t", [number([0, 0, 1, 2], 0, 3)], [True] * 4)
    branch = branch_of(table, [1], [("count_rows", None)], thresholds=(("a1", 2),))
    places = set()
    for seed in range(40):
        engine = IdealEngine(seed)
        run([table], branch, engine)
        places.add(engine.opened[0].index(1))
    assert places == {0, 1, 2, 3}


def test_a_plain_group_by_sum_costs_what_it_should() -> None:
    table = Table(
        "t", [number([1, 2, 1], 0, 1000), number([5, 6, 7], 0, 9, ring="r64", word=False)], [True] * 3
    )
    engine = IdealEngine()
    branch = branch_of(table, [1], [("sum", 2), ("count_rows", None)], most_groups=2)
    run([table], branch, engine)
    rows = [name for name, vectors in engine.calls if vectors and vectors[0][1] >= 2 and name != "check"]
    at_rows = rows[: rows.index("shuffle")]
    # 10 bits of key and one for rows that are not valid; neighbours; and the last row of each group.
    assert at_rows == ["order 11", "apply", "equal", "and_", "order 1", "apply"]
    applied = [vectors for name, vectors in engine.calls if name == "apply"]
    assert [kind for kind, _ in applied[0]] == ["u16", "r32"]
    assert [kind for kind, _ in applied[1]] == ["u16", "r32", "r32", "u8"]


@given(grouped_tables())
@settings(max_examples=60, deadline=None)
def test_rows_that_their_owner_sorted(table: Table) -> None:
    rows = sorted(
        range(len(table.valid)),
        key=lambda row: (table.columns[0].values[row] is None, table.columns[0].values[row] or 0),
    )
    columns = [
        number([made.values[row] for row in rows], made.type.low, made.type.high, ring=made.ring)
        for made in table.columns
    ]
    keys = columns[0].values
    last = [int(row + 1 == len(rows) or keys[row] != keys[row + 1]) for row in range(len(rows))]
    boundary = number(last, 0, 1)
    ordered = Table("t", [*columns, boundary], [table.valid[row] for row in rows])
    branch = branch_of(
        ordered,
        [1],
        [("count_rows", None), ("sum", 4), ("count", 4), ("count", 2)],
        sorted_by_owner=True,
        boundary="t.5",
    )
    engine = IdealEngine()
    found = run([ordered], branch, engine)
    assert Counter(found) == Counter(oracle.answer(branch, [ordered]))
    assert {name for name, _ in engine.calls if name.startswith("order")} <= {"order 1"}


def test_of_no_rows_nothing_is_left_behind() -> None:
    """Rows that are not valid have values; none of them stands behind a NULL that is opened."""
    table = Table("t", [number([7, 9], 0, 100, ring="r64")], [False, False])
    figures: list[tuple[str, int | None]] = [(kind, 1) for kind in KINDS]
    expected = (0, None, 0, None, None, None, None, None)
    assert run([table], branch_of(table, [], figures, one_group=True, most_groups=1)) == [expected]
