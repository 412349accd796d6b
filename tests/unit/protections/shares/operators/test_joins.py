# SPDX-License-Identifier: Apache-2.0
"""Joins over shared columns equal plain Python, and DuckDB: NULL keys, missing keys, copies, wide keys."""

from __future__ import annotations

from collections import Counter
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shares import oracle
from tests.shares.ideal import IdealEngine
from tests.shares.tables import Made, Table, nullable, number, run

from hitoku.protections.shares.program import (
    Aggregate,
    Arith,
    Branch,
    Column,
    Compare,
    Expr,
    Literal,
    Lookup,
    Opened,
    Type,
)

BOOLEAN = Type("boolean", 0, 1)
COUNT = Type("number", 0, 10**6, nullable=False)
SUM = Type("number", -(10**9), 10**9)


def occurrences(keys: list[tuple[Any, ...]], valid: list[bool]) -> list[int]:
    """A row's place among valid rows with its key."""
    seen: Counter[Any] = Counter()
    found = []
    for key, there in zip(keys, valid, strict=True):
        counts = there and None not in key
        found.append(seen[key] if counts else 0)
        seen[key] += int(counts)
    return found


@st.composite
def sides(draw: st.DrawFn, copies: int = 1) -> tuple[Table, Table]:
    """Rows with a key of two columns and a value, and a table where a key has so many rows."""
    rows, others = draw(st.integers(0, 10)), draw(st.integers(0, 8))
    key = st.none() | st.integers(-2, 3)
    left = [draw(st.tuples(key, st.integers(0, 1), st.integers(-50, 50))) for _ in range(rows)]
    pool = [(a, b) for a in range(-2, 4) for b in (0, 1)] * copies
    chosen: list[tuple[int | None, int]] = [*draw(st.permutations(pool))[:others]]
    right_keys = [draw(st.sampled_from([(None, key[1]), key, key])) for key in chosen]
    right_valid = draw(st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen)))
    values = [draw(st.none() | st.integers(-1000, 1000)) for _ in chosen]
    start = Table(
        "s",
        [
            number([row[0] for row in left], -2, 3),
            number([row[1] for row in left], 0, 1),
            number([row[2] for row in left], -50, 50, ring="r64"),
        ],
        draw(st.lists(st.booleans(), min_size=rows, max_size=rows)),
    )
    place = number(occurrences(right_keys, right_valid), 0, max(copies - 1, 1))
    table = Table(
        "t",
        [
            number([key[0] for key in right_keys], -2, 3),
            number([key[1] for key in right_keys], 0, 1),
            number(values, -1000, 1000, ring="r64"),
            number([7] * len(chosen), 5, 9, ring="r128"),
            Made(place.type, place.values),
        ],
        right_valid,
    )
    return start, table


def branch_of(tables: tuple[Table, ...], lookups: tuple[Lookup, ...], where: tuple[Expr, ...] = ()) -> Branch:
    start, table = tables[0], tables[1]
    group = table.column(2)
    kind = nullable(group.type)
    value, seven = (Column(table.column(at).name, nullable(table.column(at).type)) for at in (3, 4))
    product = Arith("*", start.column(3), value, Type("number", -50_000, 50_000))
    aggregates = (
        Aggregate("a1", "count_rows", None, COUNT),
        Aggregate("a2", "sum", product, SUM),
        Aggregate("a3", "sum", seven, SUM),
        Aggregate("a4", "count", value, COUNT),
        Aggregate("a5", "max", value, nullable(value.type)),
    )
    opened = (
        Opened("g1", Column("g1", kind)),
        *(Opened(one.name, Column(one.name, one.type)) for one in aggregates),
    )
    return Branch(
        start.name, lookups, where, (("g1", Column(group.name, kind)),), aggregates, 3, opened=opened
    )


def check(tables: tuple[Table, ...], branch: Branch) -> None:
    assert Counter(run(tables, branch)) == Counter(oracle.answer(branch, tables))


KEYS = st.sampled_from([(1, 2), (2, 1), (1, 2, 2)])


@given(sides(), st.sampled_from(["inner", "left"]), KEYS)
@settings(max_examples=60, deadline=None)
def test_joins_by_a_unique_key(tables: tuple[Table, Table], kind: Any, columns: tuple[int, ...]) -> None:
    start = tables[0]
    keys = tuple((start.column(at), f"t.{at}") for at in columns)
    check(tables, branch_of(tables, (Lookup("t", kind, keys),)))


@given(sides(copies=3), st.sampled_from(["inner", "left"]))
@settings(max_examples=50, deadline=None)
def test_joins_with_copies(tables: tuple[Table, Table], kind: Any) -> None:
    keys = tuple((tables[0].column(at), f"t.{at}") for at in (1, 2))
    check(tables, branch_of(tables, (Lookup("t", kind, keys, copies=3, occurrence="t.5"),)))


@given(sides(), st.sampled_from(["inner", "left"]))
@settings(max_examples=40, deadline=None)
def test_a_condition_after_a_join_and_keys_of_other_bounds(tables: tuple[Table, Table], kind: Any) -> None:
    start = tables[0]
    wider = Type("number", -4, 8)
    shifted = Arith("+", start.column(1), Literal(0, Type("number", -1, 1, nullable=False)), wider)
    value = Column("t.3", nullable(tables[1].column(3).type))
    where = (Compare(">", value, start.column(3), BOOLEAN),)
    keys = ((shifted, "t.1"), (start.column(2), "t.2"))
    check(tables, branch_of(tables, (Lookup("t", kind, keys),), where))


@given(sides(), st.sampled_from(["inner", "left"]))
@settings(max_examples=30, deadline=None)
def test_a_table_that_its_owner_sorted_is_not_sorted_again(tables: tuple[Table, Table], kind: Any) -> None:
    start, table = tables

    def rank(row: int) -> tuple[Any, ...]:
        first, second = table.columns[0].values[row], table.columns[1].values[row]
        return (not table.valid[row] or first is None, first or 0, second)

    rows = sorted(range(len(table.valid)), key=rank)
    ordered = Table(
        "t",
        [Made(one.type, [one.values[row] for row in rows], one.ring) for one in table.columns],
        [table.valid[row] for row in rows],
    )
    keys = tuple((start.column(at), f"t.{at}") for at in (1, 2))
    branch = branch_of((start, ordered), (Lookup("t", kind, keys, sorted_by_owner=True),))
    check((start, ordered), branch)


@given(sides(), st.sampled_from(["inner", "left"]))
@settings(max_examples=30, deadline=None)
def test_joins_equal_duckdb(tables: tuple[Table, Table], kind: Any) -> None:
    keys = tuple((tables[0].column(at), f"t.{at}") for at in (1, 2))
    branch = branch_of(tables, (Lookup("t", kind, keys),))
    with duckdb.connect() as connection:
        for table in tables:
            names = ", ".join(f"c{at} BIGINT" for at in range(1, len(table.columns) + 1))
            connection.execute(f"CREATE TABLE {table.name} ({names})")
            for row in oracle.rows_of(table):
                marks = ", ".join("?" for _ in row)
                connection.execute(f"INSERT INTO {table.name} VALUES ({marks})", list(row.values()))
        rows = connection.execute(
            "SELECT t.c2, count(*), sum(s.c3 * t.c3), sum(t.c4), count(t.c3), max(t.c3) "
            f"FROM s {kind} JOIN t "
            "ON s.c1 = t.c1 AND s.c2 = t.c2 GROUP BY 1"
        ).fetchall()
    assert Counter(run(tables, branch)) == Counter(rows)


def test_a_chain_of_joins() -> None:
    start = Table(
        "s",
        [number([1, 2, 3, 9], 0, 15), number([0, 0, 1, 1], 0, 1), number([5, 6, 7, 8], 0, 9, ring="r64")],
        [True] * 4,
    )
    middle = Table("m", [number([3, 1, 2], 0, 15), number([10, 11, None], 0, 20)], [True] * 3)
    end = Table(
        "t",
        [
            number([10, 11], 0, 20),
            number([0, 1], 0, 1),
            number([100, 200], -1000, 1000, ring="r64"),
            number([7, 7], 5, 9, ring="r128"),
        ],
        [True, True],
    )
    lookups = (
        Lookup("m", "left", ((start.column(1), "m.1"),)),
        Lookup("t", "inner", ((Column("m.2", nullable(middle.column(2).type)), "t.1"),)),
    )
    branch = branch_of((start, end), lookups)
    check((start, end, middle), branch)
    assert len(oracle.answer(branch, (start, end, middle))) == 2


def test_a_join_opens_nothing() -> None:
    start = Table("s", [number([1], 0, 15), number([0], 0, 1), number([5], 0, 9, ring="r64")], [True])
    table = Table(
        "t", [number([2], 0, 15), number([0], 0, 1), number([3], 0, 9, ring="r64"), number([7], 5, 9)], [True]
    )
    engine = IdealEngine()
    lookup = Lookup("t", "inner", ((start.column(1), "t.1"),))
    assert run((start, table), branch_of((start, table), (lookup,)), engine) == []
    assert engine.opened == [[0]]


def test_keys_of_two_kinds_are_refused() -> None:
    start = Table("s", [number([1], 0, 15), number([0], 0, 1), number([5], 0, 9, ring="r64")], [True])
    date = Made(Type("date", 0, 15, nullable=False), [1])
    table = Table("t", [date, number([0], 0, 1), number([3], 0, 9, ring="r64"), number([7], 5, 9)], [True])
    lookup = Lookup("t", "inner", ((start.column(1), "t.1"),))
    with pytest.raises(ValueError, match="two kinds"):
        run((start, table), branch_of((start, table), (lookup,)))
