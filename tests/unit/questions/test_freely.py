# SPDX-License-Identifier: Apache-2.0
"""Aggregates that custom rules may allow beyond counts, sums and means of a column."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from tests.rules.pairs import room

from hitoku.errors import Refusal
from hitoku.questions import check
from hitoku.questions.running import execution_text

ROOM = room("custom.yaml")
ROWS = [(f"p{n}", n % 7 if n % 5 else None, f"2024-01-{n % 28 + 1:02}") for n in range(60)]


def answered(sql: str) -> list[tuple[Any, ...]]:
    question = check(sql, ROOM, "shop")
    with duckdb.connect() as database:
        database.execute("CREATE TABLE nested (phone VARCHAR, age INT, day DATE)")
        database.executemany("INSERT INTO nested VALUES (?, ?, ?)", ROWS)
        got = database.execute(execution_text(question.form, question.constraints)).fetchall()
        assert all(row[len(question.outputs)] >= 5 for row in got)
        plain = database.execute(sql).fetchall()
    assert len(got) == len(plain)
    for row, expected in zip(got, plain, strict=True):
        # The last digits of a double depend on the order of the rows.
        pairs = zip(row, expected, strict=False)
        assert all(a == pytest.approx(b, rel=1e-12) if isinstance(b, float) else a == b for a, b in pairs)
    return plain


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT MIN(age) AS a, MAX(age) AS b, MEDIAN(age) AS c FROM nested",
        "SELECT MIN(day) AS a, MAX(day) AS b FROM nested",
        "SELECT VARIANCE(age) AS v, VAR_SAMP(age) AS w, STDDEV(age) AS s, STDDEV_SAMP(age) AS t FROM nested",
        "SELECT SUM(age * 2 + 1) AS a, AVG(age - 3) AS b FROM nested",
        "SELECT COUNT(CASE WHEN age > 3 THEN 1 END) AS c, COUNT(age + 1) AS d FROM nested",
        "SELECT SUM(CASE WHEN age > 3 THEN age ELSE 0 END) * 100 / SUM(age) AS share FROM nested",
        "SELECT age % 2 AS odd, MAX(age) AS m FROM nested WHERE age IS NOT NULL GROUP BY 1 ORDER BY 1",
        "SELECT age % 2 AS odd, COUNT(*) AS n FROM nested GROUP BY 1 HAVING MIN(age) >= 0 ORDER BY 1",
        "SELECT SUM(1000 / age) AS s FROM nested WHERE age > 0",
    ],
)
def test_it_runs_as_asked(sql: str) -> None:
    assert answered(sql)


def test_what_fails_on_a_value_is_null_there() -> None:
    sql = "SELECT SUM(1000 % (age - 3)) AS s FROM nested"
    question = check(sql, ROOM, "shop")
    assert "TRY(" in execution_text(question.form, question.constraints)


def test_a_sum_that_could_overflow_is_a_double() -> None:
    wide = check("SELECT SUM(age * age * age * age) AS s FROM nested", ROOM, "shop")
    assert "TRY_CAST" in wide.sql
    assert "DOUBLE" in wide.sql
    assert "DOUBLE" not in check("SELECT SUM(age * age) AS s FROM nested", ROOM, "shop").sql


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT MIN(phone) AS a FROM nested", "ENCRYPTED_COLUMN"),
        ("SELECT COUNT(CASE WHEN phone = 'x' THEN 1 END) AS a FROM nested", "ENCRYPTED_COLUMN"),
        ("SELECT SUM(COUNT(*) + 1) AS a FROM nested", "AGGREGATE_TWICE"),
        ("SELECT SUM(2 + 3) AS a FROM nested", "AGGREGATE_ARGUMENT"),
        ("SELECT STRING_AGG(age) AS a FROM nested", "AGGREGATE_KIND"),
        ("SELECT FIRST(age) AS a FROM nested", "AGGREGATE_KIND"),
        ("SELECT MEDIAN(age) FILTER (WHERE age > 3) AS a FROM nested", "AGGREGATE_MODIFIED"),
        ("SELECT age FROM nested WHERE MIN(age) > 3 GROUP BY age", "AGGREGATE_KIND"),
        ("SELECT MIN(age > 3) AS a FROM nested", "AGGREGATE_ARGUMENT"),
        ("SELECT SUM(age > 3) AS a FROM nested", "NOT_A_NUMBER"),
    ],
)
def test_what_is_not_allowed(sql: str, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        check(sql, ROOM, "shop")
    assert caught.value.code == code
