# SPDX-License-Identifier: Apache-2.0
"""Released rows: order, LIMIT and OFFSET inside, texts of codes, owners' own groups; and what is opened."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shares import oracle
from tests.shares.ideal import IdealEngine
from tests.shares.tables import Made, Table, number, program, run

from hitoku.protections.shares.operators import result_layout
from hitoku.protections.shares.program import Aggregate, Branch, Column, Opened, Ratio, SortKey, Type

COUNT = Type("number", 0, 100, nullable=False)
SUM = Type("number", -1000, 1000)


def branch_of(table: Table, **other: Any) -> Branch:
    aggregates = (
        Aggregate("a1", "count_rows", None, COUNT),
        Aggregate("a2", "sum", table.column(2), SUM),
    )
    group = table.column(1)
    opened = (
        Opened("g1", Column("g1", group.type)),
        Opened("a1", Column("a1", COUNT)),
        Opened("a2", Column("a2", SUM)),
    )
    other.setdefault("opened", opened)
    return Branch("t", (), (), (("g1", group),), aggregates, max(len(table.valid), 1), **other)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(0, 14))
    keys = draw(st.lists(st.none() | st.integers(0, 6), min_size=rows, max_size=rows))
    values = draw(st.lists(st.none() | st.integers(-9, 9), min_size=rows, max_size=rows))
    return Table(
        "t",
        [number(keys, 0, 7), number(values, -9, 9, ring="r64")],
        [draw(st.booleans()) or True for _ in keys],
    )


def in_duckdb(table: Table, order: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (c1 BIGINT, c2 BIGINT)")
        for row in oracle.rows_of(table):
            connection.execute("INSERT INTO t VALUES (?, ?)", list(row.values()))
        return connection.execute(
            f"SELECT c1, count(*), sum(c2) FROM t GROUP BY 1 ORDER BY {order}"
        ).fetchall()


@given(
    tables(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
    st.none() | st.integers(0, 4),
)
@settings(max_examples=40, deadline=None)
def test_order_and_limit_equal_duckdb(
    table: Table, descending: bool, nulls_first: bool, ratio: bool, offset: int, limit: int | None
) -> None:
    """By a figure first, or a quotient; then by the key, so that nothing ties."""
    figure = Column("a2", SUM)
    first = Ratio(figure, Column("a1", COUNT), SUM) if ratio else figure
    order = (
        SortKey(first, descending, nulls_first),
        SortKey(Column("g1", table.column(1).type), not descending, nulls_first),
    )
    words = ["DESC" if descending else "ASC", "ASC" if descending else "DESC"]
    nulls = "NULLS FIRST" if nulls_first else "NULLS LAST"
    by = "sum(c2) / count(*)" if ratio else "3"
    expected = in_duckdb(table, f"{by} {words[0]} {nulls}, 1 {words[1]} {nulls}")
    expected = expected[offset : None if limit is None else offset + limit]
    engine = IdealEngine(5)
    assert run([table], branch_of(table, order=order, offset=offset, limit=limit), engine) == expected
    # In order, the bits are so many ones and then zeros: nothing but a number.
    for opened in engine.opened:
        assert opened == sorted(opened, reverse=True)


@given(tables(), st.integers(0, 4))
@settings(max_examples=30, deadline=None)
def test_a_limit_without_an_order_releases_so_many_rows(table: Table, limit: int) -> None:
    engine = IdealEngine(1)
    whole = Counter(oracle.answer(branch_of(table), [table]))
    found = run([table], branch_of(table, limit=limit), engine)
    assert len(found) == min(limit, whole.total())
    assert Counter(found) <= whole
    assert all(len(opened) <= limit for opened in engine.opened)


def test_what_ties_comes_in_random_order() -> None:
    table = Table("t", [number(list(range(6)), 0, 7), number([1] * 6, -9, 9, ring="r64")], [True] * 6)
    order = (SortKey(Column("a2", SUM), True, False),)
    firsts = {run([table], branch_of(table, order=order, limit=1), seed=seed)[0][0] for seed in range(60)}
    assert firsts == set(range(6))


TEXTS = ["zero", "", "abcdefgh", "abcdefghi", "z", "é東京都千代田", "b", "ab"]


def coded(codes: list[int | None], numbers: list[int | None]) -> Table:
    kind = Type("code", 0, 7, nullable=None in codes, dictionary="t.1")
    return Table(
        "t", [Made(kind, codes), number(numbers, -9, 9, ring="r64")], [True] * len(codes), {1: TEXTS}
    )


@given(st.lists(st.none() | st.integers(0, 7), min_size=1, max_size=10))
@settings(max_examples=40, deadline=None)
def test_codes_come_out_as_texts(codes: list[int | None]) -> None:
    table = coded(codes, [1] * len(codes))
    texts = [None if code is None else TEXTS[code] for code in codes]
    found = run([table], branch_of(table))
    assert {row[0]: row[1] for row in found} == dict(Counter(texts))


def test_codes_are_ordered_as_their_texts_are() -> None:
    codes: list[int | None] = [*range(8), None]
    table = coded(codes, [1] * 9)
    order = (SortKey(Column("g1", table.column(1).type), True, False),)
    found = [row[0] for row in run([table], branch_of(table, order=order, limit=20))]
    assert found == [*sorted(TEXTS, key=lambda text: text.encode(), reverse=True), None]


def test_groups_that_their_owner_made() -> None:
    table = Table(
        "t",
        [
            number([3, None, 5], 0, 7),
            number([10, 20, 30], 0, 100),
            number([-1, None, 7], -1000, 1000, ring="r64", word=False),
        ],
        [True, True, False],
    )
    branch = branch_of(table, thresholds=(("a1", 10),))
    branch = replace(
        branch, ready=True, aggregates=tuple(replace(one, argument=None) for one in branch.aggregates)
    )
    assert Counter(run([table], branch)) == Counter([(3, 10, -1), (None, 20, None)])
    strict = replace(branch, thresholds=(("a1", 11),))
    assert run([table], strict) == [(None, 20, None)]


def test_the_layout_is_known_beforehand() -> None:
    table = coded([1], [2])
    ratio = Ratio(Column("a2", SUM), Column("a1", COUNT), SUM)
    branch = branch_of(
        table,
        opened=(
            Opened("g1", Column("g1", table.column(1).type)),
            Opened("o1", ratio),
            Opened("a2", Column("a2", SUM)),
        ),
    )
    layout = result_layout(program([table], branch), branch)
    assert [(one.form, one.kinds, one.nullable) for one in layout] == [
        ("text", ("u64", "u64", "u64"), False),
        ("ratio", ("u8", "u64", "u64", "u64"), True),
        ("word", ("u16",), True),
    ]
    assert run([table], branch) == [("", 2, 2)]
    assert run([table], replace(branch, thresholds=(("a1", 2),))) == []


def test_a_column_that_turns_out_nullable_is_refused() -> None:
    table = Table("t", [number([None, 1], 0, 1), number([1, 1], -9, 9)], [True] * 2)
    wrong = Opened("g1", Column("g1", replace(table.column(1).type, nullable=False)))
    with pytest.raises(ValueError, match="declared as never NULL"):
        run([table], branch_of(table, opened=(wrong,)))
