# SPDX-License-Identifier: Apache-2.0
"""Rows of joined tables: their order, what is proven of them, and what stands twice or alone."""

from __future__ import annotations

import pytest
from sqlglot import exp, parse_one

from hitoku.errors import Refusal
from hitoku.questions.form import Family, Left, Ref, Use, Value
from hitoku.questions.rows import Rows, connected, merged


def value(sql: str) -> Value:
    node = parse_one(sql, dialect="duckdb")
    return Value(node, Family.BOOLEAN, tuple(Use(Ref(c.table, c.name)) for c in node.find_all(exp.Column)))


def texts(values: tuple[Value, ...]) -> list[str]:
    return [v.text for v in values]


def test_all_tables_and_one_alone() -> None:
    rows = Rows(("b", "a"), (), (Left("d", ()), Left("c", ())))
    assert rows.all_tables == ("b", "a", "d", "c")
    assert Rows(("a",)).single
    assert not Rows().single
    assert not Rows(("a", "b")).single
    assert not Rows(("a",), lefts=(Left("b", ()),)).single
    assert not Rows(("a",), where=(value("a.x"),)).single


def test_only_an_equality_proves_and_of_a_left_join_only_its_table() -> None:
    rows = Rows(
        ("a", "b"),
        (value("a.x = b.x"), value("a.y > b.y"), value("a.z = b.z OR a.u = b.u")),
        (Left("c", (value("c.x = a.v"), value("c.y > a.w"))),),
        (value("a.q = b.q"),),
    )
    assert rows.proven == {Ref("a", "x"), Ref("b", "x"), Ref("c", "x")}


def test_rows_of_both() -> None:
    one = Rows(("a",), (value("a.x = a.y"),), (Left("c", ()),), (value("a.u"),))
    other = Rows(("b",), (value("b.x = b.y"),), (Left("d", ()),), (value("b.u"),))
    both = merged(one, other, exp.Null())
    assert both.tables == ("a", "b")
    assert texts(both.on) == ["a.x = a.y", "b.x = b.y"]
    assert [left.table for left in both.lefts] == ["c", "d"]
    assert texts(both.where) == ["a.u", "b.u"]


@pytest.mark.parametrize(
    ("one", "other", "table"),
    [
        (Rows(("a", "b")), Rows(("b",)), "b"),
        (Rows(("b", "a")), Rows(("a", "b")), "a"),
        (Rows(("a",), lefts=(Left("b", ()),)), Rows(("b",)), "b"),
        (Rows(("b",)), Rows(("a",), lefts=(Left("b", ()),)), "b"),
    ],
)
def test_a_table_in_both(one: Rows, other: Rows, table: str) -> None:
    node = parse_one("SELECT abc FROM t", dialect="duckdb").expressions[0]
    with pytest.raises(Refusal) as caught:
        merged(one, other, node)
    refusal = caught.value
    assert (refusal.code, refusal.clause, refusal.params) == ("SELF_JOIN", "JOIN", {"table": table})
    assert refusal.span is not None


def test_the_order_depends_on_names_and_conditions_alone() -> None:
    conditions = (value("d.x = b.x"), value("a.x = d.x"), value("c.x = a.x"), value("d.x = b.x"))
    made = connected(Rows(("d", "c", "b", "a"), conditions, (), (value("a.z"), value("a.b"), value("a.z"))))
    assert made.tables == ("a", "c", "d", "b")
    assert texts(made.on) == ["a.x = d.x", "c.x = a.x", "d.x = b.x"]
    assert texts(made.where) == ["a.b", "a.z"]
    assert connected(Rows(("a", "b", "c", "d"), conditions[::-1], (), ())).tables == made.tables


def test_a_condition_of_three_tables_waits_for_all() -> None:
    wide = value("a.x = b.x OR a.x = c.x")
    with pytest.raises(Refusal) as caught:
        connected(Rows(("c", "b", "a"), (wide,)))
    assert (caught.value.code, caught.value.clause, caught.value.params) == (
        "CROSS_JOIN",
        "JOIN",
        {"table": "b"},
    )
    made = connected(Rows(("c", "b", "a"), (wide, value("a.y = c.y"))))
    assert made.tables == ("a", "c", "b")


def test_a_condition_that_does_not_touch_a_table_connects_nothing() -> None:
    with pytest.raises(Refusal) as caught:
        connected(Rows(("a", "b", "c"), (value("a.x = b.x"),)))
    assert caught.value.params == {"table": "c"}


def test_left_joins_are_in_order_with_their_conditions() -> None:
    lefts = (
        Left("c", (value("c.y = a.y"), value("c.x = a.x"), value("c.y = a.y"))),
        Left("b", (value("b.x = a.x"),)),
    )
    made = connected(Rows(("a",), (), lefts))
    assert [(left.table, texts(left.on)) for left in made.lefts] == [
        ("b", ["b.x = a.x"]),
        ("c", ["c.x = a.x", "c.y = a.y"]),
    ]
