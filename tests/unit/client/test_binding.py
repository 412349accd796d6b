# SPDX-License-Identifier: Apache-2.0
"""Parameters become literals, whatever they are."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
import sqlglot
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlglot import exp

from hitoku.client.binding import bound, called
from hitoku.errors import InputError, Refusal
from hitoku.questions import templates
from hitoku.questions.text import parse

SQL = "SELECT COUNT(*) FROM t WHERE a = ? AND b = 1 -- ?"
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@settings(deadline=None)
@given(TEXTS)
@example("' OR 1 = 1 --")
@example("\\'; DROP TABLE t; /*")
@example("?")
@example(":name $1 {{ }}")
@example("\N{FULLWIDTH APOSTROPHE} \u2028 \N{RIGHT-TO-LEFT OVERRIDE}")
def test_a_text_is_one_literal_with_the_same_text(value):
    tree = sqlglot.parse_one(bound(SQL, [value]), dialect="duckdb")
    literals = [node.this for node in tree.find_all(exp.Literal) if node.is_string]
    assert literals == [value]
    assert tree.find(exp.Or) is None
    assert len(list(tree.find_all(exp.EQ))) == 2


@settings(deadline=None)
@given(TEXTS)
def test_hitoku_s_own_parser_reads_the_same_literal(value):
    try:
        tree = parse(bound(SQL, [value]))
    except Refusal:  # characters that no question may have
        return
    assert [n.this for n in tree.find_all(exp.Literal) if n.is_string] == [value]


@settings(deadline=None)
@given(
    st.one_of(
        st.integers(-(2**100), 2**100),
        st.floats(allow_nan=False, allow_infinity=False),
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30),
    )
)
def test_a_number_keeps_its_value_and_its_sign(value):
    tree = sqlglot.parse_one(bound("SELECT 7 - ? FROM t", [value]), dialect="duckdb")
    right = tree.expressions[0].expression.unnest()
    negative = isinstance(right, exp.Neg)
    literal = right.this if negative else right
    assert isinstance(literal, exp.Literal)
    text = "-" * negative + literal.this
    assert type(value)(text) == value


@pytest.mark.parametrize(
    ("value", "sql"),
    [
        (None, "NULL"),
        (True, "TRUE"),
        (False, "FALSE"),
        (-1, "(-1)"),
        (Decimal("-0.50"), "(-0.50)"),
        (dt.date(2026, 1, 2), "CAST('2026-01-02' AS DATE)"),
        (dt.datetime(2026, 1, 2, 3, 4, 5), "CAST('2026-01-02 03:04:05' AS TIMESTAMP)"),
        ("it's", "'it''s'"),
    ],
    ids=["null", "true", "false", "negative", "decimal", "date", "timestamp", "text"],
)
def test_values_are_written_as_sql_has_them(value, sql):
    assert bound("SELECT ? FROM t", [value]) == f"SELECT {sql} FROM t"


def test_numbers_of_numpy_are_numbers():
    import numpy as np

    assert bound("SELECT ?, ?", [np.int64(3), np.float64(0.5)]) == "SELECT 3, 0.5"


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("1E+999999"),
        2**200,
        b"x",
        ["x"],
        object(),
        "\0",
        "\ud800",
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    ],
    ids=["nan", "inf", "dnan", "dbig", "big", "bytes", "list", "object", "nul", "surrogate", "zone"],
)
def test_what_is_no_literal_is_refused_without_being_quoted(value):
    with pytest.raises(InputError) as found:
        bound("SELECT ?", [value])
    assert repr(value) not in str(found.value)


@pytest.mark.parametrize(
    ("sql", "parameters", "words"),
    [
        ("SELECT ?", [1, 2], "1 places and 2 values"),
        ("SELECT ?, ?", [1], "2 places and 1 values"),
        ("SELECT 1 WHERE 1 = :a", {"b": 1}, "without value"),
        ("SELECT 1 WHERE 1 = :a", {"a": 1, "b": 2}, "without place"),
        ("SELECT ?", {"a": 1}, "go"),
        ("SELECT 1 WHERE 1 = :a", [1], "go"),
        ("SELECT ?", "x", "a list"),
        ("SELECT ?; SELECT ?", [1, 2], "one question"),
        ("SELECT (", [1], "cannot be read"),
        ("EXECUTE x(a := ?)", [1], "callproc"),
        ("SELECT $1", [1], "go"),
        ("SELECT 1 " + "x" * 200_000, [1], "at most"),
    ],
    ids=lambda value: None,
)
def test_places_and_values_go_together(sql, parameters, words):
    with pytest.raises(InputError, match=words):
        bound(sql, parameters)


def test_without_parameters_the_text_is_the_asker_s():
    assert bound("SELECT  ? ", None) == "SELECT  ? "
    assert bound("SELECT  1 ", []) == "SELECT  1 "
    assert bound("SELECT x + :a, :b || :a FROM t", {"a": 1, "b": "x"}) == "SELECT x + 1, 'x' || 1 FROM t"


@settings(deadline=None)
@given(TEXTS)
@example("') , b := ('")
def test_a_template_s_value_is_one_argument(value):
    try:
        execution = templates.asked(called("planes_of", {"carrier": value}))
    except Refusal:
        return
    assert execution is not None
    assert execution.name == "planes_of"
    assert {name: given.text for name, given in execution.values.items()} == {"carrier": value}


def test_templates_are_called_by_name():
    sql = called("t", {"a": -1, "b": dt.date(2026, 1, 2), "c": True})
    assert sql == "EXECUTE t(a := -1, b := '2026-01-02', c := TRUE)"
    execution = templates.asked(sql)
    assert execution is not None
    assert set(execution.values) == {"a", "b", "c"}
    assert called("t", {}) == "EXECUTE t"
    names: list[Any] = ["t)", "T", "", "a b", None]
    for name in names:
        with pytest.raises(InputError, match="names"):
            called(name, {})
    with pytest.raises(InputError, match="names"):
        called("t", {"a)": 1})
    with pytest.raises(InputError, match="by name"):
        called("t", [1])
    with pytest.raises(InputError, match="NULL"):
        called("t", {"a": None})
