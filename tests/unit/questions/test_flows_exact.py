# SPDX-License-Identifier: Apache-2.0
"""Flows and comparisons of single expressions, in full and in order."""

from __future__ import annotations

import pytest
from sqlglot import exp, parse_one

from hitoku.questions.flows import By, Flows, Level
from hitoku.questions.form import Family, Value


def taken(
    sql: str, by: By = By.SELECT, level: Level = Level.PLAIN, *, compare: bool = True, **how: bool
) -> Flows:
    found = Flows(compare=compare)
    found.take(Value(parse_one(sql, dialect="duckdb"), Family.NUMBER), by, level, **how)
    return found


def flows(found: Flows) -> list[str]:
    return [
        f"{f.ref.table}.{f.ref.column} {f.level.value} {f.by.value}"
        + (f" {f.function.value}" if f.function else "")
        + (" bare" if f.bare else "")
        for f in found.flows
    ]


def comparisons(found: Flows) -> list[str]:
    return [
        " ".join([*(f"{r.table}.{r.column}" for r in c.refs), c.by.value])
        + (" literal" if c.literal else "")
        + (" column" if c.column else "")
        for c in found.comparisons
    ]


@pytest.mark.parametrize(
    ("sql", "passing", "compared"),
    [
        ("t.a", ["t.a plain SELECT bare"], []),
        ("t.a + 1", ["t.a plain SELECT"], []),
        ("1", [], []),
        ("t.a > 1", ["t.a after_compare SELECT"], ["t.a SELECT literal"]),
        ("t.a > t.b", ["t.a after_compare SELECT", "t.b after_compare SELECT"], ["t.a t.b SELECT column"]),
        (
            "t.b + t.a > 1",
            ["t.b after_compare SELECT", "t.a after_compare SELECT"],
            ["t.a t.b SELECT literal column"],
        ),
        ("t.a IN (1, 2)", ["t.a after_compare SELECT"], ["t.a SELECT literal"]),
        ("t.a LIKE 'x'", ["t.a after_compare SELECT"], ["t.a SELECT literal"]),
        ("t.a IS NULL", ["t.a after_compare SELECT"], ["t.a SELECT literal"]),
        ("t.a = TRUE", ["t.a after_compare SELECT"], ["t.a SELECT literal"]),
        ("t.a <> t.b", ["t.a after_compare SELECT", "t.b after_compare SELECT"], ["t.a t.b SELECT column"]),
        ("t.a >= 1", ["t.a after_compare SELECT"], ["t.a SELECT literal"]),
        ("t.a < 1", ["t.a after_compare SELECT"], ["t.a SELECT literal"]),
        ("t.a <= 1", ["t.a after_compare SELECT"], ["t.a SELECT literal"]),
        ("t.a = 1", ["t.a after_compare SELECT"], ["t.a SELECT literal"]),
        (
            "t.a AND t.b > 1",
            ["t.a after_compare SELECT", "t.b after_compare SELECT"],
            ["t.a SELECT literal", "t.b SELECT literal"],
        ),
        (
            "t.a OR t.b",
            ["t.a after_compare SELECT", "t.b after_compare SELECT"],
            ["t.a SELECT literal", "t.b SELECT literal"],
        ),
        ("NOT t.a", ["t.a after_compare SELECT"], ["t.a SELECT literal"]),
        ("SUM(t.a)", ["t.a after_aggregate SELECT SUM"], []),
        ("SUM(DISTINCT t.a)", ["t.a after_aggregate SELECT SUM_DISTINCT"], []),
        ("COUNT(t.a)", ["t.a after_aggregate SELECT COUNT"], []),
        ("COUNT(DISTINCT t.a)", ["t.a after_aggregate SELECT COUNT_DISTINCT"], []),
        ("AVG(t.a)", ["t.a after_aggregate SELECT AVG"], []),
        ("MAX(t.a)", ["t.a one_of_group SELECT"], []),
        ("MEDIAN(t.a + t.b)", ["t.a one_of_group SELECT", "t.b one_of_group SELECT"], []),
        ("SUM(t.a * 2)", ["t.a after_aggregate SELECT"], []),
        (
            "SUM(CASE WHEN t.a = 1 THEN t.b END)",
            ["t.a after_compare SELECT", "t.b after_aggregate SELECT"],
            ["t.a SELECT literal"],
        ),
        ("SUM(t.a) > 1", ["t.a after_aggregate SELECT SUM"], []),
        (
            "SUM(t.a) > t.b",
            ["t.a after_aggregate SELECT SUM", "t.b after_compare SELECT"],
            ["t.b SELECT column"],
        ),
        (
            "t.b > SUM(t.a) + 1",
            ["t.b after_compare SELECT", "t.a after_aggregate SELECT SUM"],
            ["t.b SELECT literal column"],
        ),
        (
            "CASE WHEN t.a > 1 THEN t.b ELSE t.c END",
            ["t.a after_compare SELECT", "t.b plain SELECT", "t.c plain SELECT"],
            ["t.a SELECT literal"],
        ),
        (
            "CASE t.a WHEN 1 THEN t.b END",
            ["t.a after_compare SELECT", "t.b plain SELECT"],
            ["t.a SELECT literal"],
        ),
        (
            "CASE t.a WHEN t.b THEN 1 END",
            ["t.a after_compare SELECT", "t.b after_compare SELECT"],
            ["t.a t.b SELECT column"],
        ),
        (
            "CASE t.a WHEN SUM(t.b) THEN 1 WHEN SUM(t.b) + 1 THEN 2 END",
            [
                "t.a after_compare SELECT",
                "t.b after_aggregate SELECT SUM",
                "t.b after_aggregate SELECT SUM",
            ],
            ["t.a SELECT column", "t.a SELECT literal column"],
        ),
        (
            "CASE WHEN t.a THEN t.b ELSE t.c END = 1",
            ["t.a after_compare SELECT", "t.b after_compare SELECT", "t.c after_compare SELECT"],
            ["t.a t.b t.c SELECT literal column", "t.a SELECT literal"],
        ),
        (
            "CASE WHEN t.a > t.b THEN 'x' ELSE 'y' END = t.c",
            ["t.a after_compare SELECT", "t.b after_compare SELECT", "t.c after_compare SELECT"],
            ["t.a t.b t.c SELECT column", "t.a t.b SELECT column"],
        ),
        (
            "CASE t.a WHEN t.b THEN 1 END = t.c",
            ["t.a after_compare SELECT", "t.b after_compare SELECT", "t.c after_compare SELECT"],
            ["t.a t.b t.c SELECT column", "t.a t.b SELECT column"],
        ),
        ("STRFTIME(t.a, '%Y') = t.b", ["t.b after_compare SELECT"], None),
        (
            "CAST(t.a AS INT) = t.b",
            ["t.a after_compare SELECT", "t.b after_compare SELECT"],
            ["t.a t.b SELECT literal column"],
        ),
        (
            "CAST(t.a AS BOOLEAN) = t.b",
            ["t.a after_compare SELECT", "t.b after_compare SELECT"],
            ["t.a t.b SELECT literal column"],
        ),
        (
            "CAST(t.a AS DATE) = t.b",
            ["t.a after_compare SELECT", "t.b after_compare SELECT"],
            ["t.a t.b SELECT column"],
        ),
        (
            "CAST(t.a AS TEXT) = t.b",
            ["t.a after_compare SELECT", "t.b after_compare SELECT"],
            ["t.a t.b SELECT column"],
        ),
        ("t.a + INTERVAL '1' DAY > t.b", None, ["t.a t.b SELECT literal column"]),
    ],
)
def test_an_output(sql: str, passing: list[str] | None, compared: list[str] | None) -> None:
    found = taken(sql)
    if passing is not None and compared is not None:
        assert (flows(found), comparisons(found)) == (passing, compared)
        assert flows(taken(sql, compare=False)) == passing
    elif compared is not None:
        assert comparisons(found) == compared
    assert taken(sql, compare=False).comparisons == []


def anonymous(name: str, *parts: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(parts))


@pytest.mark.parametrize("name", ["STRFTIME", "TRY_STRPTIME", "strftime"])
def test_the_format_of_a_date_is_no_literal_that_it_is_compared_with(name: str) -> None:
    column = parse_one("t.a", dialect="duckdb")
    node = exp.EQ(
        this=anonymous(name, column, exp.Literal.string("%Y")), expression=parse_one("t.b", dialect="duckdb")
    )
    found = Flows(compare=True)
    found.take(Value(node, Family.BOOLEAN), By.WHERE, Level.AFTER_COMPARE, condition=True)
    assert flows(found) == ["t.a after_compare WHERE", "t.b after_compare WHERE"]
    assert comparisons(found) == ["t.a t.b WHERE column"]


def test_other_functions_read_all_their_arguments() -> None:
    node = anonymous("DATE_ADD", parse_one("t.a"), exp.Literal.string("x"), parse_one("t.b"))
    found = Flows(compare=True)
    found.take(Value(node, Family.NUMBER), By.GROUP_BY, Level.AFTER_GROUP_BY, key=True)
    assert flows(found) == ["t.a after_group_by GROUP BY", "t.b after_group_by GROUP BY"]
    assert comparisons(found) == ["t.a t.b GROUP BY literal column"]


@pytest.mark.parametrize(
    ("sql", "passing", "compared"),
    [
        ("t.a", ["t.a after_compare WHERE bare"], ["t.a WHERE literal"]),
        ("(t.a)", ["t.a after_compare WHERE"], ["t.a WHERE literal"]),
        ("NOT (t.a > 1)", ["t.a after_compare WHERE"], ["t.a WHERE literal"]),
        ("t.a > 1 AND t.b < t.c", None, ["t.a WHERE literal", "t.b t.c WHERE column"]),
        ("t.a > 1 OR t.b = 2", None, ["t.a WHERE literal", "t.b WHERE literal"]),
        ("f(t.a)", ["t.a after_compare WHERE"], ["t.a WHERE literal"]),
        (
            "COALESCE(t.a, t.b)",
            ["t.a after_compare WHERE", "t.b after_compare WHERE"],
            ["t.a t.b WHERE literal column"],
        ),
        ("TRUE", [], []),
    ],
)
def test_a_condition(sql: str, passing: list[str] | None, compared: list[str]) -> None:
    found = taken(sql, By.WHERE, Level.AFTER_COMPARE, condition=True)
    if passing is not None:
        assert flows(found) == passing
    assert comparisons(found) == compared


def test_a_condition_of_a_join_shows_matches_only() -> None:
    found = taken("t.a = u.b", By.JOIN, Level.AFTER_JOIN, condition=True)
    assert flows(found) == ["t.a after_compare JOIN", "u.b after_compare JOIN"]
    assert comparisons(found) == ["t.a u.b JOIN column"]


@pytest.mark.parametrize(
    ("by", "sql", "compared"),
    [
        (By.GROUP_BY, "t.a", ["t.a GROUP BY column"]),
        (By.GROUP_BY, "FLOOR(t.a / 30)", ["t.a GROUP BY literal column"]),
        (By.ORDER_BY, "t.a", []),
        (By.ORDER_BY, "t.a + t.b", []),
        (By.ORDER_BY, "t.a + 1", ["t.a ORDER BY literal"]),
        (By.ORDER_BY, "SUM(t.a) + 1", []),
        (By.GROUP_BY, "1", []),
    ],
)
def test_a_key(by: By, sql: str, compared: list[str]) -> None:
    assert comparisons(taken(sql, by, Level.AFTER_GROUP_BY, key=True)) == compared


def test_a_window_compares_rows_by_its_keys() -> None:
    sql = "RANK() OVER (PARTITION BY t.a ORDER BY t.b + 1, SUM(t.c))"
    found = taken(sql, By.SELECT, Level.AFTER_GROUP_BY)
    assert flows(found) == [
        "t.a after_group_by OVER",
        "t.b after_group_by OVER",
        "t.c after_aggregate OVER SUM",
    ]
    assert comparisons(found) == ["t.a OVER column", "t.b OVER literal column"]
    ordering = taken(sql, By.ORDER_BY, Level.AFTER_GROUP_BY)
    assert [f.by for f in ordering.flows] == [By.ORDER_BY] * 3


def test_after_a_window_the_part_is_the_old_one() -> None:
    found = taken("SUM(SUM(t.a)) OVER (ORDER BY t.b) + t.c", By.SELECT, Level.AFTER_GROUP_BY)
    assert flows(found) == [
        "t.a after_aggregate OVER SUM",
        "t.b after_group_by OVER",
        "t.c after_group_by SELECT",
    ]
    plain = taken("RANK() OVER ()", By.SELECT, Level.AFTER_GROUP_BY)
    assert (flows(plain), comparisons(plain)) == ([], [])


def test_what_a_window_computes_with_is_shown_not_compared() -> None:
    window = parse_one("RANK() OVER (ORDER BY t.b)", dialect="duckdb")
    window.this.replace(anonymous("LAG", parse_one("t.a"), exp.Literal.number("1")))
    found = Flows(compare=True)
    found.take(Value(window, Family.NUMBER), By.SELECT, Level.AFTER_GROUP_BY)
    assert flows(found) == ["t.a after_group_by OVER", "t.b after_group_by OVER"]
    assert comparisons(found) == ["t.b OVER column"]


def test_columns_of_a_comparison_are_in_order() -> None:
    found = taken("t.f + t.b + t.e + t.a + u.d + t.c + t.a > 1")
    assert comparisons(found) == ["t.a t.b t.c t.e t.f u.d SELECT literal column"]


def test_a_count_of_rows_is_noted_by_its_value() -> None:
    found = Flows(compare=False)
    first, second = (Value(parse_one(sql), Family.NUMBER) for sql in ("COUNT(*) + 1", "COUNT(t.a)"))
    found.take(first, By.SELECT, Level.PLAIN)
    found.take(second, By.SELECT, Level.PLAIN)
    assert [value is first for value in found.rows_counted] == [True]


def test_values_are_taken_one_after_another() -> None:
    found = Flows(compare=True)
    one, other = (Value(parse_one(sql), Family.BOOLEAN) for sql in ("t.a > 1", "t.b = 2"))
    found.take(one, By.WHERE, Level.AFTER_COMPARE, condition=True)
    found.take(other, By.HAVING, Level.AFTER_COMPARE, condition=True)
    assert [(f.by, f.value is value) for f, value in zip(found.flows, (one, other), strict=True)] == [
        (By.WHERE, True),
        (By.HAVING, True),
    ]
    assert [c.value is v for c, v in zip(found.comparisons, (one, other), strict=True)] == [True, True]
