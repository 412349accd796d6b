# SPDX-License-Identifier: Apache-2.0
"""CASE: what is rebuilt, what it reads, and which types may stand side by side."""

from __future__ import annotations

import pytest
from sqlglot import exp, parse_one

from hitoku.errors import Refusal, Span
from hitoku.questions.cases import alike, cased, combined
from hitoku.questions.form import Family, Ref, Use, Value

FAMILIES = {"n": Family.NUMBER, "m": Family.NUMBER, "s": Family.STRING, "d": Family.DATE}


def operand(node: exp.Expr) -> Value:
    if isinstance(node, exp.Column):
        return Value(node, FAMILIES[node.name], (Use(Ref("t", node.name)),))
    if isinstance(node, exp.AggFunc):
        return Value(node, Family.NUMBER, (), (Use(Ref("t", "z")),), aggregate=True)
    if isinstance(node, exp.Anonymous):
        return Value(node, Family.NUMBER, window=True)
    if isinstance(node, exp.Literal):
        return Value(node, Family.STRING if node.is_string else Family.NUMBER)
    return Value(node, Family.NULL)


def condition(node: exp.Expr) -> Value:
    uses = tuple(Use(Ref("t", c.name)) for c in node.find_all(exp.Column))
    return Value(exp.Paren(this=node.copy()), Family.BOOLEAN, uses)


def made(sql: str) -> Value:
    return cased(parse_one(sql, dialect="duckdb"), "HAVING", operand, condition)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sql", "text", "family", "uses"),
    [
        ("CASE WHEN t.n > 1 THEN t.s END", "CASE WHEN (t.n > 1) THEN t.s END", Family.STRING, "n s"),
        (
            "CASE WHEN t.n > 1 THEN t.s WHEN t.m > 1 THEN 'x' ELSE t.s END",
            "CASE WHEN (t.n > 1) THEN t.s WHEN (t.m > 1) THEN 'x' ELSE t.s END",
            Family.STRING,
            "n s m s",
        ),
        ("CASE t.n WHEN 1 THEN t.m ELSE 2 END", "CASE t.n WHEN 1 THEN t.m ELSE 2 END", Family.NUMBER, "n m"),
        (
            "CASE t.d WHEN '2025-01-31' THEN 1 WHEN NULL THEN 2 END",
            "CASE t.d WHEN CAST('2025-01-31' AS DATE) THEN 1 WHEN NULL THEN 2 END",
            Family.NUMBER,
            "d",
        ),
        (
            "CASE WHEN t.n > 1 THEN NULL ELSE t.s END",
            "CASE WHEN (t.n > 1) THEN NULL ELSE t.s END",
            Family.STRING,
            "n s",
        ),
        ("CASE WHEN t.n > 1 THEN NULL END", "CASE WHEN (t.n > 1) THEN NULL END", Family.NULL, "n"),
    ],
)
def test_what_is_rebuilt(sql: str, text: str, family: Family, uses: str) -> None:
    value = made(sql)
    assert (value.text, value.family, " ".join(use.ref.column for use in value.uses)) == (text, family, uses)
    assert (value.aggregate, value.window, value.plain, value.inside) == (False, False, None, ())


@pytest.mark.parametrize(
    ("sql", "left", "right"),
    [
        ("CASE WHEN t.n > 1 THEN t.s ELSE t.n END", "string", "number"),
        ("CASE WHEN t.n > 1 THEN t.n WHEN t.n > 2 THEN t.s END", "number", "string"),
        ("CASE WHEN t.n > 1 THEN NULL WHEN t.n > 2 THEN t.d ELSE t.n END", "date", "number"),
        ("CASE t.n WHEN 'x' THEN 1 END", "number", "string"),
        ("CASE t.s WHEN 'x' THEN 1 WHEN 2 THEN 1 END", "string", "number"),
    ],
)
def test_mixed_types(sql: str, left: str, right: str) -> None:
    with pytest.raises(Refusal) as caught:
        made(sql)
    refusal = caught.value
    assert (refusal.code, refusal.clause) == ("TYPES_DIFFER", "HAVING")
    assert refusal.params == {"left": left, "right": right}


def test_a_date_that_is_none() -> None:
    with pytest.raises(Refusal) as caught:
        made("CASE t.d WHEN 'yesterday' THEN 1 END")
    assert (caught.value.code, caught.value.clause) == ("NOT_A_DATE", "HAVING")


def test_aggregates_and_windows_in_any_part() -> None:
    summed = made("CASE WHEN t.n > 1 THEN SUM(t.z) END")
    assert (summed.aggregate, summed.window, [use.ref.column for use in summed.inside]) == (
        True,
        False,
        ["z"],
    )
    ranked = made("CASE WHEN t.n > 1 THEN 1 ELSE f() END")
    assert (ranked.aggregate, ranked.window) == (False, True)
    assert made("CASE f() WHEN 1 THEN 2 END").window


def test_parts_that_nobody_checks_are_refused() -> None:
    node = parse_one("CASE WHEN t.n > 1 THEN 1 END")
    node.args["other"] = exp.Null()
    with pytest.raises(Refusal) as caught:
        cased(node, "HAVING", operand, condition)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.clause) == ("CLAUSE_NOT_ALLOWED", "HAVING")
    node = parse_one("CASE WHEN t.n > 1 THEN 1 END")
    node.args["ifs"][0].args["false"] = exp.Null()
    with pytest.raises(Refusal) as caught:
        cased(node, "HAVING", operand, condition)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.clause) == ("CLAUSE_NOT_ALLOWED", "HAVING")


def test_alike() -> None:
    number, text, null = (Value(exp.Null(), family) for family in (Family.NUMBER, Family.STRING, Family.NULL))
    alike(number, number, exp.Null(), "WHERE")
    alike(number, null, exp.Null(), "WHERE")
    alike(null, text, exp.Null(), "WHERE")
    with pytest.raises(Refusal) as caught:
        alike(number, text, parse_one("SELECT abc", dialect="duckdb").expressions[0], "WHERE")
    assert (caught.value.clause, caught.value.params) == ("WHERE", {"left": "number", "right": "string"})
    assert caught.value.span == Span(7, 10)


def test_combined_parts() -> None:
    asked = parse_one("SELECT abc", dialect="duckdb").expressions[0]
    parts = [
        Value(exp.Null(), Family.NUMBER, (Use(Ref("t", "b")),), (Use(Ref("t", "z")),)),
        Value(exp.Null(), Family.STRING, (Use(Ref("t", "a")),), (Use(Ref("t", "y")),), window=True),
    ]
    value = combined(exp.Null(), Family.DATE, asked, *parts)
    assert ([u.ref.column for u in value.uses], [u.ref.column for u in value.inside]) == (
        ["b", "a"],
        ["z", "y"],
    )
    assert (value.family, value.plain, value.aggregate, value.window) == (Family.DATE, None, False, True)
    assert value.span == Span(7, 10)
