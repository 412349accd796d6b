# SPDX-License-Identifier: Apache-2.0
"""Boxes in full: their texts, which clash, and where a question touches a declared column otherwise."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlglot import parse_one
from tests.rules.pairs import room

from hitoku.errors import InputError, Refusal, Span
from hitoku.questions import check
from hitoku.questions.form import Block, Family, Item, Left, Ref, Use, Value, column_node
from hitoku.questions.overlap import Box, box, box_of, conflicts, declared, overlapping
from hitoku.questions.ranges import Range
from hitoku.room.agreement import Room, Table

CUSTOM = room("custom.yaml")
N = Family.NUMBER
D = Decimal


def visits() -> Table:
    found = CUSTOM.agreement.table("visits")
    assert found is not None
    return found


def asked(where: str = "", room_: Room = CUSTOM) -> Box:
    sql = "SELECT COUNT(*) AS n FROM visits" + (f" WHERE {where}" if where else "")
    return box(check(sql, room_, "shop"), "visits")


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("", '{"columns":{},"table":"visits"}'),
        ("plan = 'x'", None),
        ("age > 20", '{"columns":{"age":{"family":"number","low":"21","low_open":false}},"table":"visits"}'),
        (
            "vip = TRUE AND age IN (1, 3) AND amount < 2.50",
            (
                '{"columns":{"age":{"family":"number","values":["1","3"]},'
                '"amount":{"family":"number","high":"2.5","high_open":true},'
                '"vip":{"family":"boolean","values":["true"]}},"table":"visits"}'
            ),
        ),
        ("region = 'ü'", '{"columns":{"region":{"family":"string","values":["\\u00fc"]}},"table":"visits"}'),
        (
            "age > 3 AND age < 2 AND region = 'x'",
            (
                '{"columns":{"age":{"family":"number","values":[]},"region":{"family":"string","values":[]}},'
                '"table":"visits"}'
            ),
        ),
    ],
)
def test_the_text_of_a_box(where: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(Refusal, match="visits"):
            asked(where)
        return
    found = asked(where)
    assert found.to_json() == text
    assert Box.from_json(text) == found


def test_columns_of_a_box_are_in_order() -> None:
    assert [
        name for name, _ in asked("vip = TRUE AND region = 'x' AND age = 3 AND day > '2025-01-01'").ranges
    ] == [
        *("age", "day", "region", "vip"),
    ]
    text = '{"table":"t","columns":{"b":{"family":"number"},"a":{"family":"string"}}}'
    assert [name for name, _ in Box.from_json(text).ranges] == ["a", "b"]


@pytest.mark.parametrize(
    "text", ["x", "3", "[]", '{"table":"t"}', '{"columns":{}}', '{"table":"t","columns":[]}']
)
def test_what_is_no_box(text: str) -> None:
    with pytest.raises(InputError, match="this is no box") as caught:
        Box.from_json(text)
    assert caught.value.__cause__ is None


def test_a_deep_text_is_no_box() -> None:
    with pytest.raises(InputError, match="no box"):
        Box.from_json("[" * 200_000)


def test_an_empty_box_is_told_by_one_empty_column() -> None:
    some, none = Range(N, (D(1),)), Range(N, ())
    assert not Box("t").empty
    assert not Box("t", (("a", some),)).empty
    assert Box("t", (("a", some), ("b", none))).empty
    assert Box("t", (("a", none), ("b", none))).empty


def ages(*values: int) -> tuple[str, Range]:
    return "age", Range(N, tuple(D(v) for v in values))


def levels(*values: int) -> tuple[str, Range]:
    return "level", Range(N, tuple(D(v) for v in values))


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        (Box("t", (ages(1),)), Box("t", (ages(1),)), False),
        (Box("t", (ages(1),)), Box("t", (ages(2),)), False),
        (Box("t", (ages(1, 2),)), Box("t", (ages(2),)), True),
        (Box("t", (ages(1, 2),)), Box("u", (ages(2),)), False),
        (Box("t", (ages(1),)), Box("t", (levels(1),)), True),
        (Box("t", (ages(1), levels(1))), Box("t", (ages(1), levels(2))), False),
        (Box("t", (ages(1), levels(1))), Box("t", (ages(2), levels(1))), False),
        (Box("t", (ages(1), levels(1))), Box("t", (ages(1),)), True),
        (Box("t", (ages(),)), Box("t", (levels(1),)), False),
        (Box("t", (ages(),)), Box("t"), False),
        (Box("t"), Box("t"), False),
        (Box("t"), Box("t", (ages(1),)), True),
    ],
)
def test_which_boxes_clash(one: Box, other: Box, clash: bool) -> None:
    assert conflicts(one, [other]) is clash
    assert conflicts(other, [one]) is clash
    assert conflicts(one, [one, other]) is clash
    assert conflicts(one, []) is False


def test_a_clash_names_rule_owner_and_columns() -> None:
    refusal = overlapping(check("SELECT COUNT(*) AS n FROM visits WHERE age = 47", CUSTOM, "shop"), "visits")
    assert (refusal.code, refusal.clause, refusal.rule, refusal.owner, refusal.span) == (
        *("OVERLAP", "WHERE", "tables.visits.rule.overlapColumns", "bank"),
        None,
    )
    assert refusal.params == {"table": "visits", "columns": "age, amount, day, region, vip", "owner": "bank"}


def test_the_tables_with_declared_columns() -> None:
    both = "SELECT COUNT(*) AS n FROM visits v JOIN people p ON v.phone = p.phone"
    assert declared(check(both, CUSTOM, "shop")) == ("visits",)
    assert declared(check("SELECT COUNT(*) AS n FROM people", CUSTOM, "shop")) == ()
    assert declared(check("SELECT COUNT(phone) AS n FROM old", CUSTOM, "shop")) == ()
    assert box(check(both, CUSTOM, "shop"), "visits") == Box("visits")


def test_a_box_is_of_the_branches_that_read_the_table() -> None:
    sql = (
        "SELECT plan, COUNT(*) AS n FROM visits WHERE age = 3 GROUP BY plan UNION ALL "
        "SELECT region, COUNT(*) AS n FROM people GROUP BY region"
    )
    assert box(check(sql, CUSTOM, "shop"), "visits") == Box("visits", (ages(3),))


def test_conditions_of_other_tables_are_not_looked_at() -> None:
    sql = (
        "SELECT COUNT(*) AS n FROM visits v JOIN people p ON v.phone = p.phone "
        "WHERE v.age = 3 AND p.age > 5 AND UPPER(p.region) = 'X'"
    )
    assert box(check(sql, CUSTOM, "shop"), "visits") == Box("visits", (ages(3),))


# --- forms that the checker makes seldom or never ---


def value(sql: str, **more: Any) -> Value:
    node = parse_one(sql, dialect="duckdb")
    uses = tuple(Use(Ref(c.table, c.name), Span(n, n + 1)) for n, c in enumerate(node.find_all(type(COLUMN))))
    return Value(node, Family.BOOLEAN, uses, span=Span(90, 99), **more)


COLUMN = column_node(Ref("visits", "age"))
PLAIN = Block(("visits",), (), (), (), (), (Item("n", value("COUNT(*)")),), ())


def refusal_of(**parts: Any) -> tuple[str, str | None, str | None, str | None, tuple[int, int] | None]:
    with pytest.raises(Refusal) as caught:
        box_of([replace(PLAIN, **parts)], visits())
    refusal = caught.value
    span = None if refusal.span is None else (refusal.span.start, refusal.span.end)
    assert refusal.params == {"table": "visits", "column": refusal.params["column"], "owner": "bank"}
    assert refusal.rule == "tables.visits.rule.overlapColumns"
    return refusal.code, refusal.clause, refusal.owner, refusal.params["column"], span


CASE = "CASE WHEN visits.plan = 'x' THEN visits.vip WHEN visits.region = 'y' THEN visits.age END"


@pytest.mark.parametrize(
    ("parts", "clause", "column", "span"),
    [
        ({"where": (value("visits.age = visits.plan"),)}, "WHERE", "age", (0, 1)),
        ({"where": (value("visits.plan = visits.region AND visits.age > 3"),)}, "WHERE", "region", None),
        ({"where": (value("visits.vip = visits.age"),)}, "WHERE", "age", (1, 2)),
        ({"where": (value("visits.age > 3 AND visits.vip"),)}, "WHERE", "vip", None),
        ({"on": (value("visits.day = people.joined"),)}, "JOIN", "day", (0, 1)),
        (
            {"on": (value("people.joined = people.joined"), value("people.x = visits.day"))},
            "JOIN",
            "day",
            (1, 2),
        ),
        (
            {"lefts": (Left("people", (value("people.region = visits.region"),)),)},
            "JOIN",
            "region",
            (1, 2),
        ),
        ({"having": (value("visits.vip = visits.age"),)}, "HAVING", "age", (1, 2)),
        ({"groups": (value("visits.age"),)}, "GROUP BY", "age", (0, 1)),
        ({"items": (Item("c", value(CASE)),)}, "SELECT", "age", None),
    ],
)
def test_where_a_declared_column_may_not_be(
    parts: dict[str, Any], clause: str, column: str, span: tuple[int, int] | None
) -> None:
    found = refusal_of(**parts)
    assert found[:4] == ("OVERLAP_FORM", clause, "bank", column)
    if span is not None:
        assert found[4] == span


def test_the_whole_expression_is_pointed_at_where_the_column_has_no_place() -> None:
    bare = replace(value("visits.vip"), uses=(Use(Ref("visits", "vip"), None),))
    assert refusal_of(having=(bare,)) == ("OVERLAP_FORM", "HAVING", "bank", "vip", (90, 99))


@pytest.mark.parametrize(
    "parts",
    [
        {"groups": (value("visits.age", plain=Ref("visits", "age")),)},
        {"groups": (value("visits.plan || 'x'"),)},
        {"items": (Item("c", value("visits.age + 1")),)},
        {"items": (Item("c", value("CASE WHEN visits.plan = 'x' THEN 1 END")),)},
        {"having": (value("visits.plan = 'x'"),)},
        {"on": (value("visits.phone = people.phone"),)},
        {"where": (value("visits.plan = people.age"),)},
    ],
)
def test_where_columns_may_be(parts: dict[str, Any]) -> None:
    assert box_of([replace(PLAIN, **parts)], visits()) == Box("visits")


def test_branches_must_ask_for_one_box() -> None:
    one, other = (replace(PLAIN, where=(value(f"visits.age = {n}"),)) for n in (1, 2))
    assert box_of([one, one], visits()) == Box("visits", (ages(1),))
    assert box_of([one, replace(other, tables=("people",))], visits()) == Box("visits", (ages(1),))
    with pytest.raises(Refusal) as caught:
        box_of([one, other], visits())
    refusal = caught.value
    assert (refusal.code, refusal.clause, refusal.span) == ("OVERLAP_FORM", "UNION", None)
    assert refusal.params["column"] == "age"


def test_a_left_joined_table_has_its_box_too() -> None:
    block = replace(PLAIN, tables=("people",), lefts=(Left("visits", ()),), where=(value("visits.age = 1"),))
    assert box_of([block], visits()) == Box("visits", (ages(1),))
