# SPDX-License-Identifier: Apache-2.0
"""The survey, run on a few rows whose groups can be counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import duckdb
import pytest
from tests.rules.pairs import room

from hitoku import limits
from hitoku.questions import check
from hitoku.questions.question import UnitConstraint
from hitoku.questions.survey import survey_text, surveyed

ROOM = room()
PARTS_AND_TOTAL = (
    "SELECT region, COUNT(phone) AS n FROM customers GROUP BY region UNION ALL "
    "SELECT 'x', COUNT(phone) FROM customers"
)
HEAD = ["related", "n", "_hitoku_unit_1"]
# phone, region, age, vip
CUSTOMERS = [
    ("p1", "east", 20, True),
    ("p2", "east", 20, True),
    ("p2", "east", 20, True),
    ("p3", "east", 30, False),
    ("p4", "west", 20, None),
    ("p5", None, 30, True),
    ("p6", None, 30, True),
]


@pytest.fixture(scope="module")
def data() -> Iterator[duckdb.DuckDBPyConnection]:
    made = duckdb.connect()
    made.execute("CREATE TABLE customers (phone TEXT, region TEXT, age INTEGER, vip BOOLEAN)")
    made.executemany("INSERT INTO customers VALUES (?, ?, ?, ?)", CUSTOMERS)
    made.execute("CREATE TABLE stores (store TEXT, city TEXT, size INTEGER)")
    made.execute("INSERT INTO stores VALUES ('s1', 'A', 1), ('s2', 'A', 2), ('s3', 'B', 3)")
    yield made
    made.close()


def ran(
    data: duckdb.DuckDBPyConnection, sql: str, minimum: int = 2
) -> tuple[list[str], list[tuple[int | bool, ...]]]:
    question = check(sql, ROOM, "shop")
    text = survey_text(question.form, [replace(c, minimum=minimum) for c in question.constraints])
    assert text is not None
    found = data.execute(text)
    return [column[0] for column in found.description or ()], found.fetchall()


def test_parts_and_total(data: duckdb.DuckDBPyConnection) -> None:
    """East (3 people, 4 rows) and nobody's region (2) pass; west (1) is small, and comes first."""
    sql = PARTS_AND_TOTAL
    columns, found = ran(data, sql)
    assert columns == [*HEAD, "c1", "s1", "c2", "s2"]
    assert found == [
        (0, 1, 1, 2, True, 1, False),
        (0, 4, 3, 1, False, 1, False),
        (0, 2, 2, 3, False, 1, False),
    ]


def test_conditions_that_only_some_branches_have_cut_the_rows(data: duckdb.DuckDBPyConnection) -> None:
    """Where vip is NULL or false the row is in no group of the first branch; rows in no branch are out."""
    sql = (
        "SELECT region, COUNT(phone) AS n FROM customers WHERE vip GROUP BY region UNION ALL "
        "SELECT 'x', COUNT(phone) FROM customers WHERE age > 25"
    )
    columns, found = ran(data, sql)
    assert columns == [*HEAD, "c1", "s1", "c2", "s2"]
    # vip and young in the east: 3 rows of 2; older ones in the east, not vip; vip, older, without region.
    assert found == [
        (0, 1, 1, 0, False, 1, False),
        (0, 3, 2, 1, False, 0, False),
        (0, 2, 2, 2, False, 1, False),
    ]


def test_a_condition_of_all_branches_is_no_mark(data: duckdb.DuckDBPyConnection) -> None:
    sql = (
        "SELECT region, COUNT(phone) AS n FROM customers WHERE age < 25 GROUP BY region UNION ALL "
        "SELECT 'x', COUNT(phone) FROM customers WHERE age < 25"
    )
    _, found = ran(data, sql)
    assert found == [(0, 1, 1, 2, True, 1, False), (0, 3, 2, 1, False, 1, False)]


def test_totals_alone(data: duckdb.DuckDBPyConnection) -> None:
    sql = (
        "SELECT COUNT(phone) AS n FROM customers WHERE vip UNION ALL "
        "SELECT COUNT(phone) FROM customers WHERE vip AND age > 25 UNION ALL "
        "SELECT COUNT(phone) FROM customers"
    )
    columns, found = ran(data, sql, minimum=3)
    assert columns == [*HEAD, "c1", "s1", "c2", "s2", "c3", "s3"]
    assert found == [
        (0, 2, 2, 1, False, 1, True, 1, False),
        (0, 1, 1, 0, False, 0, False, 1, False),
        (0, 1, 1, 0, False, 0, False, 1, False),
        (0, 3, 2, 1, False, 0, False, 1, False),
    ]


def test_keys_that_cross(data: duckdb.DuckDBPyConnection) -> None:
    sql = (
        "SELECT region, COUNT(phone) AS n FROM customers GROUP BY region UNION ALL "
        "SELECT 'x', COUNT(phone) FROM customers GROUP BY age, region UNION ALL "
        "SELECT 'y', COUNT(phone) FROM customers GROUP BY age"
    )
    _, found = ran(data, sql)
    # Groups of (age, region), by age: 20 east, 20 west, 30 east, 30 nobody.
    assert found == [
        (0, 1, 1, 1, False, 3, True, 2, False),
        (0, 1, 1, 2, True, 2, True, 1, False),
        (0, 3, 2, 1, False, 1, False, 1, False),
        (0, 2, 2, 3, False, 4, False, 2, False),
    ]


def test_sets_of_other_tables_have_their_places_and_as_many_columns(data: duckdb.DuckDBPyConnection) -> None:
    """The third column of the second set is empty; a constraint of another table is met there."""
    sql = " UNION ALL ".join(
        [
            "SELECT region, COUNT(phone) AS n FROM customers GROUP BY region",
            "SELECT city, COUNT(store) FROM stores GROUP BY city",
            "SELECT 'x', COUNT(phone) FROM customers",
            "SELECT 'x', COUNT(store) FROM stores",
            "SELECT 'y', COUNT(phone) FROM customers GROUP BY age",
        ]
    )
    columns, found = ran(data, sql)
    assert columns == [*HEAD, "_hitoku_unit_2", "c1", "s1", "c2", "s2", "c3", "s3"]
    assert [row for row in found if row[0] == 0] == [
        (0, 1, 1, 2, 2, True, 1, False, 1, False),
        (0, 3, 2, 2, 1, False, 1, False, 1, False),
        (0, 1, 1, 2, 1, False, 1, False, 2, False),
        (0, 2, 2, 2, 3, False, 1, False, 2, False),
    ]
    assert [row for row in found if row[0] == 1] == [
        (1, 1, 2, 1, 2, True, 1, False, 0, False),
        (1, 2, 2, 2, 1, False, 1, False, 0, False),
    ]


def test_no_more_rows_than_there_may_be_atoms_and_one(
    data: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SUPPRESSION_ATOMS", 1)
    sql = PARTS_AND_TOTAL
    _, found = ran(data, sql)
    assert found == [(0, 1, 1, 2, True, 1, False), (0, 4, 3, 1, False, 1, False)]


def test_without_related_branches_there_is_no_survey(monkeypatch: pytest.MonkeyPatch) -> None:
    def text(sql: str) -> str | None:
        question = check(sql, ROOM, "shop")
        constraints: tuple[UnitConstraint, ...] = question.constraints
        return survey_text(question.form, constraints)

    alone = "SELECT region, COUNT(phone) AS n FROM customers GROUP BY region"
    both = f"{alone} UNION ALL SELECT 'x', COUNT(phone) FROM customers"
    assert text(alone) is None
    assert text(both) is not None
    monkeypatch.setattr(limits, "SUPPRESSION_BRANCHES", 2)
    assert len(surveyed(check(both, ROOM, "shop").form)) == 1
    monkeypatch.setattr(limits, "SUPPRESSION_BRANCHES", 1)
    assert surveyed(check(both, ROOM, "shop").form) == ()
    assert text(both) is None
