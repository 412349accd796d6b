# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 - SQL reads better on one line
"""Window functions and set operations see released groups only: withheld people change nothing in the answer.

Two databases that differ in the people of small groups alone must give the same released rows; and no
overflow in a small group may make a question fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from hitoku.questions import check, execution_sql

from .clear import database
from .pairs import room

SMALL: list[list[tuple[str | None, int, float]]] = [
    # region, age, spend of the few people in small groups: each row is one world's small groups
    [],
    [("tiny", 40, 1.0)],
    [("tiny", 40, 1.0), ("tiny", 41, 9_999_999_999.99), ("aaa", 30, 5.0), (None, 20, 0.5)],
    [("zzz", 2_000_000_000, 9_999_999_999.99)] * 9,
]
QUESTIONS = [
    "SELECT region, RANK() OVER (ORDER BY COUNT(phone) DESC) AS r, ROW_NUMBER() OVER (ORDER BY SUM(spend)) AS n FROM customers GROUP BY region",
    "SELECT region, COUNT(phone) / SUM(COUNT(phone)) OVER () AS share, COUNT(*) OVER () AS groups, MAX(SUM(spend)) OVER () AS most FROM customers GROUP BY region",
    "SELECT region, LAG(region) OVER (ORDER BY region) AS before, LEAD(SUM(age)) OVER (ORDER BY SUM(spend)) AS after, NTILE(2) OVER (ORDER BY region) AS half FROM customers GROUP BY region",
    "SELECT region, SUM(SUM(age) * SUM(age) * SUM(age)) OVER (ORDER BY region) AS s, AVG(SUM(spend)) OVER (ORDER BY region ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS a FROM customers GROUP BY region",
    "SELECT region, PERCENT_RANK() OVER (ORDER BY SUM(spend)) AS p, CUME_DIST() OVER (PARTITION BY 1 ORDER BY SUM(spend)) AS c FROM customers GROUP BY region HAVING SUM(age) > 0 ORDER BY p LIMIT 2",
    "SELECT region, SUM(age) AS s FROM customers GROUP BY region UNION SELECT region, SUM(age) FROM customers WHERE age > 0 GROUP BY region",
    "SELECT region, COUNT(phone) AS s FROM customers GROUP BY region EXCEPT SELECT region, COUNT(phone) FROM customers WHERE region < 'o' GROUP BY region",
    "SELECT region, COUNT(phone) AS s FROM customers GROUP BY region INTERSECT SELECT region, COUNT(phone) FROM customers WHERE age > 0 OR age <= 0 OR age IS NULL GROUP BY region",
    "SELECT COUNT(phone) AS s FROM customers GROUP BY region EXCEPT SELECT COUNT(phone) FROM customers GROUP BY region, vip",
    "SELECT region, RANK() OVER (ORDER BY SUM(age)) AS r FROM customers GROUP BY region UNION ALL SELECT region, RANK() OVER (ORDER BY SUM(age) DESC) FROM customers GROUP BY region ORDER BY r, region LIMIT 4",
]


def world(people: list[tuple[str | None, int, float]]) -> duckdb.DuckDBPyConnection:
    connection = database(room().agreement)
    connection.execute(
        "DELETE FROM customers WHERE region IS NULL OR region NOT IN ('north', 'south', 'Oslo')"
    )
    for number, (region, age, spend) in enumerate(people):
        connection.execute(
            "INSERT INTO customers (phone, name_sealed, region, age, vip, spend) VALUES (?, 'x', ?, ?, true, ?)",
            [f"small{number}", region, age, spend],
        )
    return connection


@pytest.fixture(scope="module")
def worlds() -> Iterator[list[duckdb.DuckDBPyConnection]]:
    made = [world(people) for people in SMALL]
    yield made
    for connection in made:
        connection.close()


def released(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """The rows that reach every threshold, in the order in which they would be released."""
    question = check(sql, room(), "shop")
    cells = connection.execute(execution_sql(question)).fetchall()
    outputs = len(question.outputs)
    rows = [
        row[:outputs]
        for row in cells
        # After the units, the units of the rest; a row without units stands for no row at all.
        if all(
            n is not None and n >= c.minimum
            for n, c in zip(row[outputs:], question.constraints, strict=False)
        )
    ]
    return [tuple(f"{v:.9g}" if isinstance(v, float) else v for v in row) for row in rows]


@pytest.mark.parametrize("sql", QUESTIONS)
def test_small_groups_change_nothing_in_the_answer(worlds: list[duckdb.DuckDBPyConnection], sql: str) -> None:
    first, *others = (released(connection, sql) for connection in worlds)
    assert first
    assert all(other == first for other in others)


def test_a_withheld_row_takes_nothing_away(worlds: list[duckdb.DuckDBPyConnection]) -> None:
    """A small group made to look like a released one: EXCEPT and INTERSECT must not tell that it is there."""
    connection = worlds[1]
    sums = released(connection, "SELECT SUM(age) AS s FROM customers GROUP BY region")
    connection.execute("UPDATE customers SET age = ? WHERE region = 'tiny'", [int(sums[0][0])])
    small = "SELECT SUM(age) AS s FROM customers WHERE region = 'tiny' GROUP BY region"
    others = "SELECT SUM(age) AS s FROM customers WHERE region <> 'tiny' GROUP BY region"
    assert sorted(released(connection, f"{others} EXCEPT {small}")) == sorted(sums)
    assert released(connection, f"{others} INTERSECT {small}") == []
    assert sorted(released(connection, f"{others} UNION {small}")) == sorted(sums)
    # Asked the other way round nothing is released either.
    assert released(connection, f"{small} EXCEPT {others}") == []


@pytest.mark.parametrize("sql", QUESTIONS)
def test_no_withheld_group_is_among_the_cells(worlds: list[duckdb.DuckDBPyConnection], sql: str) -> None:
    """Only how many units they rest on together comes out, and never more than there are."""
    question = check(sql, room(), "shop")
    assert len(question.constraints) == 1
    for connection, people in zip(worlds, SMALL, strict=True):
        cursor = connection.execute(execution_sql(question))
        names = [column[0] for column in cursor.description]
        rest = names.index(f"{question.constraints[0].alias}_rest")
        units = names.index(question.constraints[0].alias)
        for row in cursor.fetchall():
            assert row[units] is None or row[units] >= question.constraints[0].minimum
            assert 0 <= row[rest] <= len(people) + 33
        if not people and question.form.tree == 0:
            assert row[rest] == 0


def test_the_units_of_the_rest_are_those_of_its_union(worlds: list[duckdb.DuckDBPyConnection]) -> None:
    """Nine people of one small group; another group of the same nine adds nobody."""
    sql = "SELECT region, COUNT(phone) AS n FROM customers WHERE region = 'zzz' GROUP BY region"
    for asked in (sql, f"{sql} UNION ALL {sql}"):
        question = check(asked, room(), "shop")
        (row,) = worlds[3].execute(execution_sql(question)).fetchall()
        assert row[:3] == (None, None, None)
        assert 1 < row[3] <= 9
