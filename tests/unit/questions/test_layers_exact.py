# SPDX-License-Identifier: Apache-2.0
"""Layers of an aggregated block, and the first column that is neither grouped nor aggregated."""

from __future__ import annotations

import pytest
from sqlglot import exp, parse_one

from hitoku.questions.form import Family, Value
from hitoku.questions.layers import Layers, grouped


def node(sql: str) -> exp.Expr:
    """An expression as the checker builds it: window functions are calls by name, no aggregates."""
    made = parse_one(sql, dialect="duckdb")
    for window in made.find_all(exp.Window):
        if not window.this.expressions and not window.this.args.get("this"):
            window.this.replace(exp.Anonymous(this=window.this.sql_name(), expressions=[]))
    return made


def groups(*texts: str) -> tuple[Value, ...]:
    return tuple(Value(node(text), Family.STRING) for text in texts)


@pytest.mark.parametrize(
    ("sql", "keys", "column"),
    [
        ("t.a", ("t.a",), None),
        ("t.a", ("t.b",), "a"),
        ("UPPER(t.a)", ("UPPER(t.a)",), None),
        ("UPPER(t.a)", ("t.a",), None),
        ("t.a", ("UPPER(t.a)",), "a"),
        ("SUM(t.a)", (), None),
        ("SUM(t.a) + t.b", (), "b"),
        ("SUM(t.a) OVER (PARTITION BY t.b)", (), "b"),
        ("RANK() OVER (ORDER BY SUM(t.a))", (), None),
        ("CASE WHEN t.a > 1 THEN t.b END", ("t.a > 1", "t.b"), None),
        ("CAST(t.a AS DECIMAL(18, 2))", ("CAST(t.a AS DECIMAL(18, 2))",), None),
        ("CAST(t.a AS DECIMAL(18, 2))", ("18",), "a"),
        ("1 + t.a", ("1",), "a"),
        ("1", (), None),
    ],
)
def test_what_is_neither_grouped_nor_aggregated(sql: str, keys: tuple[str, ...], column: str | None) -> None:
    found = grouped(node(sql), groups(*keys))
    assert (None if found is None else found.name) == column


def test_columns_aggregates_and_windows_have_numbers_of_their_own() -> None:
    layers = Layers(groups("t.a", "UPPER(t.b)"))
    assert layers.upper(node("t.a")).sql() == '"g1"'
    assert layers.upper(node("UPPER(t.b) || t.a")).sql(dialect="duckdb") == '"g2" || "g1"'
    assert layers.upper(node("SUM(t.x) / COUNT(*)")).sql(dialect="duckdb") == '"a1" / "a2"'
    assert layers.upper(node("COUNT(*) + SUM(t.x)")).sql(dialect="duckdb") == '"a2" + "a1"'
    ranked = "RANK() OVER (PARTITION BY t.a ORDER BY SUM(t.x))"
    assert layers.upper(node(f"{ranked} + 1")).sql(dialect="duckdb") == '"w1" + 1'
    assert layers.upper(node("ROW_NUMBER() OVER (ORDER BY AVG(t.y))")).sql(dialect="duckdb") == '"w2"'
    assert layers.upper(node(ranked)).sql(dialect="duckdb") == '"w1"'
    assert list(layers.aggregates) == ["SUM(t.x)", "COUNT(*)", "AVG(t.y)"]
    assert [w.sql(dialect="duckdb") for w in layers.windows.values()] == [
        'RANK() OVER (PARTITION BY "g1" ORDER BY "a1")',
        'ROW_NUMBER() OVER (ORDER BY "a3")',
    ]


def test_the_asked_node_stays_as_it_is() -> None:
    layers, asked = Layers(groups("t.a")), node("t.a + SUM(t.b)")
    assert layers.upper(asked).sql() == '"g1" + "a1"'
    assert asked.sql() == "t.a + SUM(t.b)"


@pytest.mark.parametrize(
    ("sql", "key", "layered"),
    [
        ("CAST(t.a AS DECIMAL(18, 2))", "18", 'CAST("g9" AS DECIMAL(18, 2))'),
        ("t.a + 1", "1", '"g9" + 1'),
        ("t.a + 'x'", "'x'", "\"g9\" + 'x'"),
        ("CAST(t.a AS INT)", "INT", 'CAST("g9" AS INT)'),
        ("EXTRACT(YEAR FROM t.a)", "YEAR", 'EXTRACT(YEAR FROM "g9")'),
    ],
)
def test_literals_types_and_words_are_no_keys(sql: str, key: str, layered: str) -> None:
    """A constant is never a group; a group whose text is that of a literal or type must not replace it."""
    keys = [Value(exp.Var(this=key), Family.NUMBER), *groups(*[f"t.z{n}" for n in range(7)]), *groups("t.a")]
    assert Layers(keys).upper(node(sql)).sql(dialect="duckdb") == layered
