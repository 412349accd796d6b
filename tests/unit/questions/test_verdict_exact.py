# SPDX-License-Identifier: Apache-2.0
"""The verdict on flows that the checker never makes: what each rule grants and what not, told in full."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlglot import exp
from tests.rules.pairs import room

from hitoku.errors import Refusal, Span
from hitoku.questions.derive import Derivation, DerivedBlock
from hitoku.questions.flows import By, Comparison, Flow, Level
from hitoku.questions.form import Block, Family, Item, Left, Ref, Use, Value, column_node
from hitoku.questions.rules import Rules
from hitoku.questions.verdict import judge
from hitoku.room.agreement import Room
from hitoku.room.rules import AggregateFunction as F

ROOM, CUSTOM = room(), room("custom.yaml")
AT = Span(3, 9)


def value(table: str, column: str, span: Span | None = AT) -> Value:
    ref = Ref(table, column)
    return Value(column_node(ref), Family.STRING, (Use(ref, span),), plain=ref, span=Span(50, 60))


EMPTY = Block(("customers",), (), (), (), (), (), ())


def derivation(**parts: Any) -> Derivation:
    block = DerivedBlock(
        parts.get("block", EMPTY),
        parts.get("items", ()),
        parts.get("rows", ()),
        parts.get("groups", ()),
        parts.get("compared", ()),
        parts.get("counts_rows", False),
    )
    return Derivation((block,), parts.get("order", ()), parts.get("comparisons", ()), ())


def told(place: Room = ROOM, **parts: Any) -> tuple[Any, ...] | None:
    try:
        judge(derivation(**parts), Rules(place.agreement, "shop"))
    except Refusal as refusal:
        span = refusal.span
        return (
            *(refusal.code, refusal.clause, refusal.rule, refusal.owner),
            *(None if span is None else (span.start, span.end), refusal.params.get("column")),
            refusal.params.get("level"),
        )
    return None


def flow(
    column: str,
    level: Level,
    by: By,
    function: F | None = None,
    *,
    bare: bool = False,
    span: Span | None = AT,
) -> Flow:
    table, name = column.split(".")
    return Flow(Ref(table, name), level, by, function, bare, value(table, name, span))


P, J, G, A, C = (
    *(Level.PLAIN, Level.AFTER_JOIN, Level.AFTER_GROUP_BY, Level.AFTER_AGGREGATE, Level.AFTER_COMPARE),
)


@pytest.mark.parametrize(
    ("column", "level", "by", "function", "granted"),
    [
        ("customers.region", G, By.GROUP_BY, None, True),
        ("customers.region", G, By.SELECT, None, True),
        ("customers.region", C, By.WHERE, None, True),
        ("customers.region", P, By.SELECT, None, False),
        ("customers.region", J, By.SELECT, None, False),
        ("customers.region", J, By.JOIN, None, False),
        ("customers.city", J, By.JOIN, None, True),
        ("customers.city", C, By.WHERE, None, False),
        ("customers.phone", J, By.JOIN, None, True),
        ("customers.phone", C, By.JOIN, None, True),
        ("customers.phone", A, By.SELECT, F.COUNT, True),
        ("customers.phone", A, By.SELECT, F.COUNT_DISTINCT, True),
        ("customers.phone", A, By.SELECT, F.SUM, False),
        ("customers.phone", A, By.SELECT, None, False),
        ("customers.phone", A, By.JOIN, F.SUM, False),
        ("customers.age", A, By.HAVING, F.AVG, False),
        ("contacts.phone", J, By.JOIN, None, True),
        ("contacts.phone", C, By.JOIN, None, False),
        ("contacts.tier", J, By.JOIN, None, False),
        ("contacts.tier", J, By.SELECT, None, True),
        ("contacts.tier", C, By.WHERE, None, True),
        ("contacts.tier", P, By.SELECT, None, False),
        ("contacts.tier", G, By.GROUP_BY, None, False),
        ("contacts.phone", J, By.SELECT, None, False),
        ("leads.internal_id", J, By.SELECT, None, False),
        ("payroll.salary", J, By.SELECT, None, False),
    ],
)
def test_what_aggregation_and_list_rules_grant(
    column: str, level: Level, by: By, function: F | None, granted: bool
) -> None:
    one = flow(column, level, by, function)
    table, name = column.split(".")
    owner = Rules(ROOM.agreement, "shop").table(table).owner
    refused = ("NOT_GRANTED", by.value, f"tables.{table}.rule", owner, (3, 9), name, level.value)
    expected = None if granted else refused
    assert told(rows=(one,)) == expected
    assert told(groups=(one,)) == expected
    assert told(items=((), (one,))) == expected
    assert told(order=(one,)) == expected


@pytest.mark.parametrize(
    ("level", "by", "bare", "granted"),
    [
        (J, By.SELECT, True, True),
        (J, By.ORDER_BY, True, True),
        (J, By.SELECT, False, False),
        (C, By.SELECT, True, False),
        (C, By.WHERE, True, False),
    ],
)
def test_a_sealed_column_is_listed_as_it_is_only(level: Level, by: By, bare: bool, granted: bool) -> None:
    found = told(items=((flow("contacts.address_sealed", level, by, bare=bare),),))
    assert (found is None) is granted
    plain = told(CUSTOM, items=((flow("catalog.note_sealed", level, by, bare=bare),),))
    assert (plain is None) is granted
    if level is J:
        assert (told(CUSTOM, items=((flow("catalog.note_sealed", P, by, bare=bare),),)) is None) is granted


@pytest.mark.parametrize(
    ("column", "level", "by", "code"),
    [
        ("people.region", G, By.GROUP_BY, None),
        ("people.region", C, By.WHERE, None),
        ("people.region", P, By.SELECT, "NOT_GRANTED"),
        ("people.region", J, By.SELECT, "NOT_GRANTED"),
        ("people.region", J, By.ORDER_BY, "NOT_GRANTED"),
        ("trips.kind", P, By.SELECT, "NOT_GRANTED"),
        ("trips.kind", G, By.SELECT, None),
        ("catalog.item", P, By.SELECT, None),
        ("catalog.item", J, By.SELECT, None),
        ("catalog.phone", J, By.JOIN, None),
        ("catalog.phone", P, By.SELECT, "NOT_GRANTED"),
        ("catalog.phone", C, By.WHERE, "NOT_GRANTED"),
        ("catalog.phone", A, By.SELECT, None),
        ("catalog.note_sealed", J, By.JOIN, "NOT_GRANTED"),
        ("catalog.note_sealed", A, By.SELECT, None),
        ("people.age", A, By.SELECT, None),
        ("people.age", C, By.WHERE, None),
        ("people.age", C, By.HAVING, None),
        ("people.age", J, By.JOIN, None),
        ("people.age", G, By.GROUP_BY, "OUTPUT_COLUMN_DISALLOWED"),
        ("people.age", G, By.SELECT, "OUTPUT_COLUMN_DISALLOWED"),
        ("people.age", G, By.OVER, "OUTPUT_COLUMN_DISALLOWED"),
        ("people.age", G, By.ORDER_BY, "OUTPUT_COLUMN_DISALLOWED"),
    ],
)
def test_what_custom_rules_grant(column: str, level: Level, by: By, code: str | None) -> None:
    table, name = column.split(".")
    owner = Rules(CUSTOM.agreement, "shop").table(table).owner
    clause = "SELECT" if by is By.OVER else by.value
    expected = {
        None: None,
        "NOT_GRANTED": ("NOT_GRANTED", clause, f"tables.{table}.rule", owner, (3, 9), name, level.value),
        "OUTPUT_COLUMN_DISALLOWED": (
            *("OUTPUT_COLUMN_DISALLOWED", clause, f"tables.{table}.rule.disallowedOutputColumns", owner),
            *((3, 9), name, None),
        ),
    }[code]
    assert told(CUSTOM, items=((flow(column, level, by),),)) == expected


def test_a_column_without_a_place_is_shown_by_its_expression() -> None:
    found = told(rows=(flow("customers.city", C, By.WHERE, span=None),))
    assert found is not None
    assert found[4] == (50, 60)


def test_the_first_of_several_is_told() -> None:
    bad = {by: flow(f"customers.{name}", C, by) for by, name in ((By.WHERE, "city"), (By.HAVING, "phone"))}
    last = flow("customers.spend", C, By.SELECT)
    found = told(rows=(bad[By.WHERE],), groups=(bad[By.HAVING],), items=((last,),), order=(last,))
    assert found is not None
    assert found[5] == "city"
    assert (told(groups=(bad[By.HAVING],), items=((last,),)) or ())[5] == "phone"


# --- comparisons ---


def compared(*columns: str, literal: bool = False, column: bool = False, by: By = By.WHERE) -> Comparison:
    refs = tuple(Ref(*name.split(".")) for name in columns)
    nodes = [column_node(ref) for ref in refs]
    uses = tuple(Use(ref, Span(n, n + 1)) for n, ref in enumerate(refs))
    made = exp.Tuple(expressions=nodes)
    return Comparison(refs, literal, column, by, Value(made, Family.BOOLEAN, uses, span=Span(50, 60)))


CONTROLS = "tables.people.rule.comparisonControls."


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (compared("people.region", literal=True), None),
        (compared("people.region", column=True), None),
        (
            compared("people.city", literal=True),
            (
                "LITERAL_COMPARISON",
                "WHERE",
                CONTROLS + "allowedLiteralComparisonColumns",
                "shop",
                (0, 1),
                "city",
                None,
            ),
        ),
        (compared("people.city", column=True), None),
        (compared("people.spend"), None),
        (
            compared("people.region", "people.spend", column=True, by=By.OVER),
            (
                "COLUMN_COMPARISON",
                "SELECT",
                CONTROLS + "allowedColumnComparisonColumns",
                "shop",
                (1, 2),
                "spend",
                None,
            ),
        ),
        (
            compared("people.spend", literal=True, column=True, by=By.GROUP_BY),
            (
                *("LITERAL_COMPARISON", "GROUP BY", CONTROLS + "allowedLiteralComparisonColumns", "shop"),
                *((0, 1), "spend", None),
            ),
        ),
        (
            compared("clubs.club", "clubs.member", literal=True, by=By.HAVING),
            (
                "IDENTITY_COMPARED",
                "HAVING",
                "tables.clubs.rule.aggregationThresholds",
                "telco",
                (1, 2),
                "member",
                None,
            ),
        ),
        (compared("clubs.member", column=True), None),
        (compared("clubs.club", literal=True, column=True), None),
        (
            compared("clubs.club", "people.vip", literal=True),
            (
                "LITERAL_COMPARISON",
                "WHERE",
                CONTROLS + "allowedLiteralComparisonColumns",
                "shop",
                (1, 2),
                "vip",
                None,
            ),
        ),
        (compared("old.phone", literal=True, column=True), None),
        (
            compared("old.phone", "people.vip", literal=True),
            (
                "LITERAL_COMPARISON",
                "WHERE",
                CONTROLS + "allowedLiteralComparisonColumns",
                "shop",
                (1, 2),
                "vip",
                None,
            ),
        ),
    ],
)
def test_comparisons(one: Comparison, expected: tuple[Any, ...] | None) -> None:
    assert told(CUSTOM, compared=(one,)) == expected
    assert told(CUSTOM, comparisons=(one,)) == expected


def test_the_remedy_of_a_comparison_is_an_entry_but_not_for_an_identity() -> None:
    def change(one: Comparison) -> Any:
        with pytest.raises(Refusal) as caught:
            judge(derivation(compared=(one,)), Rules(CUSTOM.agreement, "shop"))
        return caught.value.to_dict().get("change")

    field = CONTROLS + "allowedLiteralComparisonColumns"
    assert change(compared("people.vip", literal=True)) == {"action": "add", "rule": field, "value": "vip"}
    assert change(compared("clubs.member", literal=True)) is None


# --- COUNT(*) ---


def rows(*tables: str, **more: Any) -> dict[str, Any]:
    return {
        "block": replace(EMPTY, tables=tables, items=(Item("n", value("x", "y")),), **more),
        "counts_rows": True,
    }


def equal(left: str, right: str, kind: type[exp.Binary] = exp.EQ) -> Value:
    refs = [Ref(*name.split(".")) for name in (left, right)]
    made = kind(this=column_node(refs[0]), expression=column_node(refs[1]))
    return Value(made, Family.BOOLEAN, tuple(Use(ref) for ref in refs))


def test_rows_are_counted_where_a_column_without_nulls_may_be() -> None:
    assert told(**rows("customers")) is None
    assert told(**rows("cells", "customers")) is None
    assert told(**rows("visits", "cells", on=(equal("visits.phone", "cells.phone"),))) is None
    left = replace(Left("cells", (equal("visits.phone", "cells.phone"),)))
    assert told(**rows("visits", lefts=(left,))) is None
    assert told(CUSTOM, **rows("people", "catalog")) is None
    assert told(CUSTOM, **rows("old", "people")) is None


@pytest.mark.parametrize(
    ("place", "parts", "rule", "owner"),
    [
        (ROOM, rows("cells"), "tables.cells.rule", "telco"),
        (ROOM, rows("visits"), "tables.visits.rule", "shop"),
        (ROOM, rows("visits", "cells"), "tables.visits.rule", "shop"),
        (
            ROOM,
            rows("visits", "cells", on=(equal("visits.phone", "cells.phone", exp.GT),)),
            "tables.visits.rule",
            "shop",
        ),
        (ROOM, rows("cells", lefts=(Left("customers", ()),)), "tables.cells.rule", "telco"),
        (ROOM, rows("contacts", "leads"), "tables.contacts.rule", "shop"),
        (CUSTOM, rows("people", lefts=(Left("old", ()),)), "tables.people.rule", "shop"),
    ],
)
def test_rows_are_not_counted_elsewhere(place: Room, parts: dict[str, Any], rule: str, owner: str) -> None:
    assert told(place, **parts) == ("NOT_GRANTED", "SELECT", rule, owner, None, "*", "after_aggregate")
    assert told(place, **(parts | {"counts_rows": False})) is None
