# SPDX-License-Identifier: Apache-2.0
"""Join conditions: one form for one meaning, which operators they need, and where they go wrong."""

from __future__ import annotations

from typing import Any

import pytest
from sqlglot import exp
from tests.rules.pairs import room

from hitoku.errors import Refusal, Span
from hitoku.questions.form import Family, Ref, Use, Value, column_node
from hitoku.questions.joins import join_conditions, join_side
from hitoku.questions.names import span_of
from hitoku.questions.rules import Rules
from hitoku.questions.text import parse
from hitoku.room.rules import JoinOperator

NAMES = {"a": "accounts", "s": "subscribers", "l": "loans", "c": "customers"}


def resolve(column: exp.Column) -> Value:
    ref = Ref(NAMES[column.table], column.name)
    return Value(column_node(ref), Family.STRING, (Use(ref),), plain=None if column.name == "x" else ref)


class Asked(Rules):
    """Notes which operators were asked for, and of which tables."""

    def __init__(self) -> None:
        super().__init__(room().agreement, "shop")
        self.operators: list[tuple[list[str], str, Span | None]] = []

    def operator(self, tables: Any, operator: JoinOperator, node: exp.Expr) -> None:
        self.operators.append((sorted(tables), operator.value, span_of(node)))


def on(condition: str) -> tuple[exp.Join, str]:
    sql = f"SELECT 1 FROM q JOIN r ON {condition}"
    join: exp.Join = parse(sql).args["joins"][0]
    return join, sql


def made(condition: str) -> tuple[list[str], list[tuple[list[str], str]]]:
    rules = Asked()
    values = join_conditions(on(condition)[0].args["on"], rules, resolve)
    assert all(value.family is Family.BOOLEAN for value in values)
    return [v.text.replace('"', "") for v in values], [asked[:2] for asked in rules.operators]


PLAIN = "accounts.phone = subscribers.phone"


@pytest.mark.parametrize(
    ("condition", "texts", "operators"),
    [
        ("a.phone = s.phone", [PLAIN], []),
        ("s.phone = a.phone", [PLAIN], []),
        ("((s.phone) = ((a.phone)))", [PLAIN], []),
        (
            "a.phone = s.phone AND a.email = s.email",
            [PLAIN, "accounts.email = subscribers.email"],
            [(["accounts", "subscribers"], "AND")],
        ),
        (
            "a.phone = s.phone OR a.email = s.email",
            [f"accounts.email = subscribers.email OR {PLAIN}"],
            [(["accounts", "subscribers"], "OR")],
        ),
        ("a.phone = s.phone OR s.phone = a.phone", [PLAIN], [(["accounts", "subscribers"], "OR")]),
        (
            "a.phone = l.phone OR (a.phone = s.phone AND a.email = s.email)",
            [
                (
                    "(accounts.email = subscribers.email AND accounts.phone = subscribers.phone) OR "
                    "accounts.phone = loans.phone"
                ),
            ],
            [(["accounts", "loans", "subscribers"], "OR"), (["accounts", "loans", "subscribers"], "AND")],
        ),
        (
            "a.phone = l.phone AND (a.phone = s.phone OR a.email = s.email)",
            ["accounts.phone = loans.phone", f"accounts.email = subscribers.email OR {PLAIN}"],
            [(["accounts", "subscribers"], "OR"), (["accounts", "loans", "subscribers"], "AND")],
        ),
        (
            "a.phone = s.phone OR a.email = s.email OR a.phone = l.phone",
            [f"accounts.email = subscribers.email OR accounts.phone = loans.phone OR {PLAIN}"],
            [(["accounts", "loans", "subscribers"], "OR")],
        ),
    ],
)
def test_one_form_for_one_meaning(
    condition: str, texts: list[str], operators: list[tuple[list[str], str]]
) -> None:
    assert made(condition) == (texts, operators)


def test_uses_and_places() -> None:
    join, sql = on("s.phone = a.phone AND a.email = s.email")
    first, second = join_conditions(join.args["on"], Asked(), resolve)
    assert [(use.ref.table, use.ref.column) for use in first.uses] == [
        ("subscribers", "phone"),
        ("accounts", "phone"),
    ]
    assert [sql[use.span.start : use.span.end] for use in first.uses if use.span] == ["s.phone", "a.phone"]
    assert [sql[v.span.start : v.span.end] for v in (first, second) if v.span] == [
        *("s.phone = a.phone", "a.email = s.email"),
    ]


def test_a_choice_has_the_place_of_its_first_equality() -> None:
    join, sql = on("s.phone = a.phone OR a.email = s.email")
    (choice,) = join_conditions(join.args["on"], Asked(), resolve)
    assert choice.span is not None
    assert sql[choice.span.start : choice.span.end] == "s.phone = a.phone"


def test_an_operator_is_shown_at_its_condition() -> None:
    rules = Asked()
    join, sql = on("a.phone = l.phone AND (a.phone = s.phone OR a.email = s.email)")
    join_conditions(join.args["on"], rules, resolve)
    shown = [sql[span.start : span.end] for _, _, span in rules.operators if span is not None]
    assert shown[0] == "a.phone = s.phone OR a.email = s.email"
    assert shown[1].startswith("a.phone = l.phone AND")


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("a.phone > s.phone", "JOIN_CONDITION"),
        ("a.phone = s.phone + 1", "JOIN_CONDITION"),
        ("1 = s.phone", "JOIN_CONDITION"),
        ("a.phone = s.x", "JOIN_CONDITION"),
        ("a.phone = a.email", "JOIN_CONDITION"),
        ("NOT a.phone = s.phone", "JOIN_CONDITION"),
        ("a.phone = s.plan", "JOIN_COLUMN"),
        ("c.age = s.phone", "JOIN_COLUMN"),
        ("a.customer_no = s.customer_no", "JOIN_TYPES_DIFFER"),
        ("TRUE", "JOIN_CONDITION"),
    ],
)
def test_what_is_no_condition(condition: str, code: str) -> None:
    join, sql = on(condition)
    with pytest.raises(Refusal) as caught:
        join_conditions(join.args["on"], Asked(), resolve)
    refusal = caught.value
    assert (refusal.code, refusal.clause) == (code, "JOIN")
    if code == "JOIN_CONDITION" and condition != "TRUE":
        assert refusal.span is not None
        assert condition.startswith(
            sql[refusal.span.start : refusal.span.end].removeprefix("NOT "), 4 * ("NOT" in condition)
        )


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        ("JOIN", False),
        ("INNER JOIN", False),
        ("LEFT JOIN", True),
        ("LEFT OUTER JOIN", True),
    ],
)
def test_joins(kind: str, left: bool) -> None:
    join: exp.Join = parse(f"SELECT 1 FROM q {kind} r ON q.a = r.a").args["joins"][0]
    assert join_side(join) is left
    using: exp.Join = parse(f"SELECT 1 FROM q {kind} r USING (a)").args["joins"][0]
    assert join_side(using) is left


@pytest.mark.parametrize(
    ("text", "code", "params"),
    [
        ("RIGHT JOIN rest r ON q.a = r.a", "JOIN_KIND", {"kind": "RIGHT"}),
        ("FULL OUTER JOIN rest r ON q.a = r.a", "JOIN_KIND", {"kind": "FULL OUTER"}),
        ("LEFT SEMI JOIN rest r ON q.a = r.a", "JOIN_KIND", {"kind": "LEFT SEMI"}),
        ("ANTI JOIN rest r ON q.a = r.a", "JOIN_KIND", {"kind": "ANTI"}),
        ("NATURAL JOIN rest r", "JOIN_KIND", {"kind": "NATURAL"}),
        ("natural join rest r", "JOIN_KIND", {"kind": "NATURAL"}),
        ("CROSS JOIN rest r", "CROSS_JOIN", {"table": "r"}),
        ("JOIN rest r", "CROSS_JOIN", {"table": "r"}),
        ("LEFT JOIN rest", "CROSS_JOIN", {"table": "rest"}),
        (", rest r", "CROSS_JOIN", {"table": "r"}),
    ],
)
def test_other_joins(text: str, code: str, params: dict[str, str]) -> None:
    sql = f"SELECT 1 FROM q {text}" if text[0] != "," else f"SELECT 1 FROM q{text}"
    join: exp.Join = parse(sql).args["joins"][0]
    with pytest.raises(Refusal) as caught:
        join_side(join)
    refusal = caught.value
    assert (refusal.code, refusal.clause, refusal.params) == (code, "JOIN", params)
    assert refusal.span is not None
    assert sql[refusal.span.start : refusal.span.end].startswith("rest")


def test_a_join_with_parts_that_nobody_checks() -> None:
    join, _ = on("a.phone = s.phone")
    join.args["hint"] = "x"
    with pytest.raises(Refusal) as caught:
        join_side(join)
    assert (caught.value.code, caught.value.clause) == ("CLAUSE_NOT_ALLOWED", "JOIN")
