# SPDX-License-Identifier: Apache-2.0
"""Rows that their owner puts in the order of the groups: the same answers, without the sort."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.shares.world import (
    Asked,
    answered,
    answered_by_three,
    ask,
    counted,
    plain_table,
    prepared,
    rows_of,
)

from hitoku.protections.base import Unsupported
from hitoku.protections.shares.planning import expected, predict

from .shapes import COLUMNS, VALUES, room, tables

JOIN = "FROM sales s JOIN cards c ON s.k = c.k"
LEFT = "FROM sales s LEFT JOIN cards c ON s.k = c.k"
THREE = f"{JOIN} JOIN kinds t ON c.kind = t.kind"
SHAPES = (
    f"SELECT word, COUNT(*) AS n, SUM(points) AS p, SUM(whole) AS w {JOIN} GROUP BY word",
    f"SELECT word, flag, day, AVG(points) AS p, COUNT(fee) AS f {LEFT} GROUP BY word, flag, day",
    f"SELECT s.n AS g, SUM(s.price) AS p {JOIN} WHERE c.points > s.n GROUP BY s.n HAVING COUNT(*) > 1",
    f"SELECT word, COUNT(*) AS n {JOIN} WHERE s.flag GROUP BY word ORDER BY n DESC, word LIMIT 2",
    f"SELECT s.n AS g, COUNT(*) AS n, SUM(weight) AS w {THREE} GROUP BY s.n",
)


def row(table, **fixed):
    cells = {name: st.sampled_from(VALUES[name]) for name in COLUMNS[table] if name not in fixed}
    return st.fixed_dictionaries(cells).map(lambda made: made | fixed)


SALES = st.lists(row("sales"), max_size=9).map(lambda made: [*made, {"k": "a"}, {"k": "a"}])
"""A key of sales is repeated, so rows begin as these."""
CARDS = st.tuples(*(row("cards", k=k) for k in ("a", "b", "c")))
KINDS = st.tuples(*(row("kinds", kind=kind) for kind in ("gold", "tin")))


def content(seed, count=40):
    chance = random.Random(seed)

    def one(table, **fixed):
        return {name: chance.choice(VALUES[name]) for name in COLUMNS[table]} | fixed

    return tables(
        {
            "sales": [one("sales") for _ in range(count)],
            "cards": [one("cards", k=k) for k in ("a", "b", "c", "d")],
            "kinds": [one("kinds", kind=kind) for kind in ("gold", "tin")],
        }
    )


def compare(sql, data, *, surely=True):
    question, planned, drafted = prepared(sql, room(), "shop")
    assert not isinstance(drafted, Unsupported), drafted.reason
    made = answered(question, planned, drafted, data)
    (branch,) = made.program.branches
    assert branch.sorted_by_owner or not surely
    assert counted(rows_of(made.table)) == counted(rows_of(plain_table(sql, data)))
    return made


@pytest.mark.parametrize("place", range(len(SHAPES)))
def test_the_answer_is_the_one_that_duckdb_gives(place):
    made = compare(SHAPES[place], content(place))
    assert [set(values) <= {0, 1} for values in made.opened] == [True]
    assert sum(made.opened[0]) == made.table.num_rows


@pytest.mark.slow
@pytest.mark.parametrize("place", range(len(SHAPES)))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SALES, CARDS, KINDS)
def test_any_rows(place, sales, cards, kinds):
    # Of three tables rows may begin as another one, where that is cheaper.
    compare(SHAPES[place], tables({"sales": sales, "cards": cards, "kinds": kinds}), surely=place < 4)


@pytest.mark.parametrize("place", [0, 1])
def test_three_parties_give_what_duckdb_gives(place):
    data = content(place + 10)
    question, planned, drafted = prepared(SHAPES[place], room(), "shop")
    assert not isinstance(drafted, Unsupported), drafted.reason
    made, _ = answered_by_three(question, planned, drafted, data)
    assert made.program.branches[0].sorted_by_owner
    assert counted(rows_of(made.table)) == counted(rows_of(plain_table(SHAPES[place], data)))


def test_the_owner_is_asked_for_the_order_and_the_last_rows():
    made = prepared(SHAPES[1], room(), "shop")[2]
    assert not isinstance(made, Unsupported)
    wanted = made.table("sales")
    assert [made.table("sales").leaves[int(name.split(".")[1])].column for name in wanted.order] == [
        leaf.column for leaf in wanted.leaves if leaf.column in {"word", "flag", "day"}
    ]
    assert wanted.boundary == "sales.899"
    assert not made.table("cards").order


def test_repeated_keys_and_figures_with_an_order_of_their_own_are_sorted_for():
    data = content(1)
    repeated = tables(
        {
            "sales": [{"k": k, "word": "x", "day": date(2024, 1, 1)} for k in "aab"],
            "cards": [{"k": k, "points": 1} for k in "aab"],
        }
    )
    for sql, rows in ((SHAPES[0], repeated), (SHAPES[0].replace("SUM(points)", "MAX(points)"), data)):
        made = ask(sql, room(), rows, "shop")
        assert isinstance(made, Asked)
        assert not made.program.branches[0].sorted_by_owner
        assert counted(rows_of(made.table)) == counted(rows_of(plain_table(sql, rows)))


def test_an_order_saves_the_sort():
    sql = f"SELECT s.whole AS g, SUM(c.points) AS p {JOIN} GROUP BY s.whole"
    drafted = prepared(sql, room(), "shop")[2]
    assert not isinstance(drafted, Unsupported)
    assert expected(drafted, {"sales": 10_000, "cards": 100}) is not None
    made = compare(sql, content(3))
    sorted_inside = replace(
        made.program,
        branches=(replace(made.program.branches[0], sorted_by_owner=False, boundary=None),),
    )
    assert predict(made.program).rounds < predict(sorted_inside).rounds
