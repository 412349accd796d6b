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
import highspy
import numpy as np
import pytest

from hitoku.disclosure.margins import suppressed
from hitoku.disclosure.plan import plan
from hitoku.questions import check, execution_sql, survey_sql

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


def released(
    connection: duckdb.DuckDBPyConnection, sql: str, *, suppress: bool = True
) -> list[tuple[Any, ...]]:
    """The rows that reach every threshold, in the order in which they would be released."""
    question = check(sql, room(), "shop")
    text = survey_sql(question) if suppress else None
    withheld: dict[int, frozenset[int] | None] = {}
    if text is not None:
        table = connection.sql(text).to_arrow_table()
        withheld = suppressed(question, plan(question, room(), ["shop"]), table)
    cells = connection.execute(execution_sql(question, None, withheld)).fetchall()
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


# --- totals beside their parts: a withheld group must not follow from what is released ---

REGIONS = "SELECT region, vip, COUNT(*) AS n FROM customers GROUP BY region, vip"
WITH_TOTALS = [
    # the question's branches: its text, and the keys it groups by or the condition it has
    (
        f"{REGIONS} UNION ALL SELECT region, NULL, COUNT(*) FROM customers GROUP BY region",
        ["region, vip", "region"],
    ),
    (f"{REGIONS} UNION ALL SELECT 'all', NULL, COUNT(*) FROM customers", ["region, vip", ""]),
    (
        "SELECT COUNT(*) AS n, vip, 'any' AS region FROM customers GROUP BY vip UNION ALL SELECT COUNT(*), vip, region FROM customers GROUP BY vip, region UNION ALL SELECT COUNT(*), NULL, region FROM customers GROUP BY region",
        ["vip", "region, vip", "region"],
    ),
    (
        f"{REGIONS} UNION ALL SELECT region, NULL, COUNT(*) FROM customers GROUP BY region UNION ALL SELECT NULL, vip, COUNT(*) FROM customers GROUP BY vip UNION ALL SELECT NULL, NULL, COUNT(*) FROM customers",
        ["region, vip", "region", "vip", ""],
    ),
    (
        "SELECT region, COUNT(*) AS n FROM customers GROUP BY region UNION ALL SELECT region, COUNT(*) FROM customers WHERE vip GROUP BY region UNION ALL SELECT region, COUNT(*) FROM customers WHERE NOT vip GROUP BY region",
        ["region", "region|vip", "region|NOT vip"],
    ),
    (
        "SELECT region, COUNT(*) AS n FROM customers GROUP BY region UNION ALL SELECT NULL, COUNT(*) FROM customers WHERE region < 'o' OR region IS NULL UNION ALL SELECT NULL, COUNT(*) FROM customers WHERE region > 'a' OR region IS NULL UNION ALL SELECT NULL, COUNT(*) FROM customers",
        ["region", "|region < 'o' OR region IS NULL", "|region > 'a' OR region IS NULL", ""],
    ),
]
PEOPLE: list[list[tuple[str | None, bool | None, int]]] = [
    [("tiny", True, 3)],
    [("tiny", True, 2), ("tiny", False, 4), ("mid", True, 14), ("mid", False, 1)],
    [("aaa", None, 1), ("bbb", True, 25), ("ccc", False, 9), (None, True, 2), ("ddd", True, 11)],
]


@pytest.fixture(scope="module")
def towns() -> Iterator[list[duckdb.DuckDBPyConnection]]:
    """Worlds with one row a person, so that who knows the numbers of rows knows those of people."""
    made: list[duckdb.DuckDBPyConnection] = []
    base = world([])
    schema = base.sql("SELECT * FROM customers LIMIT 0").to_arrow_table()
    base.close()
    for people in PEOPLE:
        connection = duckdb.connect()
        connection.register("empty", schema)
        connection.execute("CREATE TABLE customers AS SELECT * FROM empty")
        usual = [("north", True, 30), ("north", False, 24), ("south", True, 17), ("south", False, 40)]
        number = 0
        for region, vip, many in [*usual, *people]:
            connection.executemany(
                "INSERT INTO customers (phone, name_sealed, region, age, vip, spend) VALUES (?, 'x', ?, 30, ?, 1)",
                [[f"p{number + n}", region, vip] for n in range(many)],
            )
            number += many
        made.append(connection)
    yield made
    for connection in made:
        connection.close()


def narrow(connection: duckdb.DuckDBPyConnection, sql: str, branches: list[str], suppress: bool) -> list[str]:
    """The withheld groups of which a receiver can exclude 0 or the minimum, from the released rows alone.

    The receiver knows which kinds of people there are (region and vip), and not how many of each. Rows are
    told apart by branch and keys here: by asking branch by branch what an answer without suppression shows,
    and looking which of these rows the answer has.
    """
    minimum = 10
    kinds = connection.execute(
        "SELECT region, vip, COUNT(*) FROM customers GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    shown = released(connection, sql, suppress=suppress)
    parts: list[tuple[list[int], int, bool]] = []
    for branch, one in zip(branches, sql.split(" UNION ALL "), strict=True):
        keys, _, condition = branch.partition("|")
        by = [key.strip() for key in keys.split(",") if key]
        rows = f"SELECT region, vip, ({condition or 'TRUE'}) IS TRUE AS inside FROM customers"
        members = connection.execute(f"SELECT DISTINCT region, vip, inside FROM ({rows})").fetchall()
        inside = {(region, vip) for region, vip, is_inside in members if is_inside}
        groups: dict[tuple[Any, ...], list[int]] = {}
        for place, (region, vip, _) in enumerate(kinds):
            if (region, vip) in inside:
                groups.setdefault(tuple({"region": region, "vip": vip}[key] for key in by), []).append(place)
        names = [c[0] for c in connection.execute(one).description]
        places = {key: n for n, key in enumerate(names) if key in by}
        count = next(n for n, name in enumerate(names) if name == "n" or "count" in name.lower())
        connection.execute(one).fetchall()
        for group, cells in groups.items():
            total = sum(kinds[place][2] for place in cells)
            found = any(
                row[count] == total and all(row[places[key]] == group[n] for n, key in enumerate(by))
                for row in shown
            )
            parts.append((cells, total, found))
    return [
        f"{cells}"
        for cells, total, _ in parts
        if total < minimum and not _free(len(kinds), parts, cells, minimum)
    ]


def _free(size: int, parts: list[tuple[list[int], int, bool]], cells: list[int], minimum: int) -> bool:
    reach = []
    for way in (1.0, -1.0):
        program: Any = highspy.Highs()
        program.setOptionValue("output_flag", False)
        for place in range(size):
            program.addVar(0.0, 10_000.0)
            program.changeColCost(place, way if place in cells else 0.0)
        for inside, total, found in parts:
            if found:
                places = np.array(inside, dtype=np.int32)
                program.addRow(float(total), float(total), len(inside), places, np.ones(len(inside)))
        program.run()
        assert program.getModelStatus() == highspy.HighsModelStatus.kOptimal
        reach.append(way * program.getObjectiveValue())
    return bool(reach[0] < 1e-6 and reach[1] > minimum - 1e-6)


@pytest.mark.parametrize(("sql", "branches"), WITH_TOTALS)
def test_a_withheld_group_does_not_follow_from_totals(towns, sql, branches) -> None:
    for connection in towns:
        assert narrow(connection, sql, branches, suppress=True) == []


def test_without_suppression_it_follows(towns) -> None:
    """The planted fault: the receiver above is able to read it."""
    for sql, branches in WITH_TOTALS:
        assert any(narrow(connection, sql, branches, suppress=False) for connection in towns), sql


def test_windows_and_limits_do_not_see_what_suppression_withholds(towns) -> None:
    """A group withheld for the sake of another has no rank, is in no total, and takes no place of a LIMIT."""
    total = "SELECT region, NULL, COUNT(*), COUNT(*) FROM customers GROUP BY region"
    parts = "SELECT region, vip, COUNT(*) AS n, SUM(COUNT(*)) OVER (PARTITION BY region) AS s FROM customers GROUP BY region, vip"
    sql = f"{parts} UNION ALL {total}"
    taken = 0
    for connection in towns:
        before, rows = released(connection, sql, suppress=False), released(connection, sql)
        taken += len(before) - len(rows)
        for region, vip, _, s in rows:
            if vip is not None:
                assert float(s) == sum(row[2] for row in rows if row[0] == region and row[1] is not None)
        ordered = released(connection, f"{sql} ORDER BY region, vip, n LIMIT 3")
        full = released(connection, f"{sql} ORDER BY region, vip, n")
        assert ordered == full[:3]
    assert taken > 0
