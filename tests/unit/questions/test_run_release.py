# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 - SQL reads better on one line
"""The SQL that runs: rounded counts, totals of what is withheld, related branches, and no trace of row order."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import duckdb
import pytest
from tests.rules.clear import database
from tests.rules.pairs import room

from hitoku import limits
from hitoku.disclosure.cells import Cells
from hitoku.disclosure.leakage import Leakage
from hitoku.disclosure.margins import protected, suppressed
from hitoku.disclosure.plan import DisclosurePlan, plan
from hitoku.disclosure.release import release
from hitoku.errors import DisclosureError
from hitoku.ports import SystemClock
from hitoku.questions import check, execution_sql, survey_sql
from hitoku.questions.margins import related
from hitoku.questions.question import Question
from hitoku.room.agreement import Release, Room


def agreed(**release: Any) -> Room:
    """The rules' room with another way of release."""
    known = room()
    agreement = known.agreement.model_copy(update={"release": Release(**release)})
    return known.model_copy(update={"agreement": agreement})


@pytest.fixture(scope="module")
def data() -> Iterator[duckdb.DuckDBPyConnection]:
    made = database(room().agreement, rows=400)
    yield made
    made.close()


def asked(
    connection: duckdb.DuckDBPyConnection, sql: str, place: Room | None = None, *, suppress: bool = True
) -> list[dict[str, Any]]:
    """What the host's engine returns: outputs and hidden columns of rows that are there."""
    _, _, table = ran(connection, sql, place, suppress=suppress)
    return list(table.to_pylist())


def ran(
    connection: duckdb.DuckDBPyConnection, sql: str, place: Room | None = None, *, suppress: bool = True
) -> tuple[Question, DisclosurePlan, Any]:
    place = place or room()
    question = check(sql, place, "shop")
    planned = plan(question, place, ["shop"])
    withheld: Mapping[int, frozenset[int] | None] = {}
    text = survey_sql(question, planned)
    assert (text is not None) == protected(question, planned)
    if text is not None and suppress:
        withheld = suppressed(question, planned, connection.sql(text).to_arrow_table())
    return question, planned, connection.sql(execution_sql(question, planned, withheld)).to_arrow_table()


def told(connection: duckdb.DuckDBPyConnection, sql: str, place: Room) -> bytes:
    """All that a receiver gets of an answer, but for its salt and date."""
    question, planned, table = ran(connection, sql, place)
    applied = {"suppression": protected(question, planned), "rounding": planned.round_counts > 1}
    answer = release(
        Cells(question.hash, table, frozenset(name for name, is_so in applied.items() if is_so)),
        planned,
        question,
        leakage=Leakage(()),
        protection="tokens",
        run="ab" * 16,
        clock=SystemClock(),
    )
    message = {**answer.to_message(), "salt": "", "released_at": ""}
    return json.dumps(message, sort_keys=True).encode()


# --- rounding ---


@pytest.mark.parametrize("multiple", [2, 5, 10, 1000])
def test_counts_are_rounded_where_they_are_computed(data, multiple):
    sql = "SELECT region, COUNT(*) AS n, COUNT(DISTINCT phone) AS d, COUNT(*) * 2 AS twice, SUM(age) AS s FROM customers GROUP BY region"
    exact = {row["region"]: row for row in asked(data, sql)}
    rounded = asked(data, sql, agreed(round_counts=multiple))
    assert {row["region"] for row in rounded} == set(exact)
    for row in rounded:
        for name in ("n", "d"):
            known = exact[row["region"]][name]
            assert row[name] % multiple == 0
            assert 2 * abs(row[name] - known) <= multiple
            assert row[name] == (2 * known + multiple) // (2 * multiple) * multiple, "halves go up"
        assert row["twice"] == 2 * row["n"]
        assert row["s"] == exact[row["region"]]["s"]
        # The threshold reads the exact count.
        assert row["_hitoku_unit_1"] == exact[row["region"]]["_hitoku_unit_1"]


def test_conditions_orders_and_windows_read_rounded_counts(data):
    place = agreed(round_counts=20)
    sql = "SELECT region, COUNT(*) AS n, SUM(COUNT(*)) OVER () AS all_of_them, RANK() OVER (ORDER BY COUNT(*)) AS r FROM customers GROUP BY region"
    rows = asked(data, sql, place)
    assert {row["all_of_them"] for row in rows} == {sum(row["n"] for row in rows)}
    assert all(row["r"] == 1 + sum(other["n"] < row["n"] for other in rows) for row in rows)
    most = max(row["n"] for row in rows)
    kept = asked(data, f"{sql} HAVING COUNT(*) = {most} ORDER BY COUNT(*), region", place)
    assert {row["region"] for row in kept} == {row["region"] for row in rows if row["n"] == most}
    ordered = asked(
        data, "SELECT region, COUNT(*) AS n FROM customers GROUP BY region ORDER BY COUNT(*), region", place
    )
    known = {row["region"]: row["n"] for row in rows}
    assert [row["region"] for row in ordered] == sorted(known, key=lambda r: (known[r], r is None, r))


def test_a_type_stays_what_it_is(data):
    question = check("SELECT COUNT(*) AS n FROM customers", room(), "shop")
    for place in (room(), agreed(round_counts=7)):
        text = execution_sql(question, plan(question, place, ["shop"]))
        assert str(data.sql(text).types[0]) == "BIGINT"


# --- totals of what is withheld ---


def test_the_totals_of_the_withheld_groups(data):
    sql = "SELECT age, region, COUNT(*) AS n, SUM(age) AS s, COUNT(DISTINCT phone) AS d, COUNT(*) + 1 AS e FROM customers GROUP BY age, region"
    (first, *_) = asked(data, sql, agreed(summary=True))
    shown = [row for row in asked(data, sql) if row["_hitoku_unit_1"] is not None]
    n, s = data.execute("SELECT COUNT(*), SUM(age) FROM customers").fetchall()[0]
    assert first["_hitoku_total_2"] == n - sum(row["n"] for row in shown)
    assert first["_hitoku_total_3"] == s - sum(row["s"] or 0 for row in shown)
    assert [name for name in first if name.startswith("_hitoku_total_")] == [
        "_hitoku_total_2",
        "_hitoku_total_3",
    ]
    (other, *_) = asked(data, sql, agreed(summary=True, round_counts=100))
    assert other["_hitoku_total_2"] == (first["_hitoku_total_2"] + 50) // 100 * 100


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT region, COUNT(*) AS n FROM customers GROUP BY region UNION ALL SELECT NULL, COUNT(*) FROM customers",
        "SELECT region, COUNT(DISTINCT phone) AS n, AVG(spend) AS a FROM customers GROUP BY region",
    ],
)
def test_no_totals_where_others_stand_beside_them_or_they_are_none(data, sql):
    assert not any(name.startswith("_hitoku_total_") for name in asked(data, sql, agreed(summary=True))[0])


def test_having_hides_no_group_from_the_totals(data):
    sql = "SELECT age, region, COUNT(*) AS n FROM customers GROUP BY age, region"
    plain = asked(data, sql, agreed(summary=True))[0]
    hidden = asked(data, f"{sql} HAVING COUNT(*) > 100000", agreed(summary=True))[0]
    assert hidden["_hitoku_total_2"] == plain["_hitoku_total_2"]
    assert hidden["n"] is None


# --- related branches ---

PLAIN = "SELECT region, COUNT(*) AS n FROM customers"


def sets(sql: str) -> list[tuple[tuple[int, ...], ...]]:
    return [tuple(b.blocks for b in found.branches) for found in related(check(sql, room(), "shop").form)]


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        (f"{PLAIN} GROUP BY region", []),
        (f"{PLAIN} GROUP BY region UNION ALL {PLAIN} GROUP BY region", []),
        (f"{PLAIN} GROUP BY region UNION ALL SELECT 'all', COUNT(*) FROM customers", [((0,), (1,))]),
        (f"{PLAIN} GROUP BY region UNION {PLAIN} WHERE vip GROUP BY region", [((0,), (1,))]),
        (f"{PLAIN} GROUP BY region, vip EXCEPT {PLAIN} GROUP BY region HAVING COUNT(*) > 7", [((0,), (1,))]),
        (
            "SELECT region AS k, COUNT(*) AS n FROM customers GROUP BY region UNION ALL SELECT tower, COUNT(DISTINCT phone) FROM cells GROUP BY tower",
            [],
        ),
        (
            f"{PLAIN} GROUP BY region UNION ALL SELECT tower, COUNT(DISTINCT phone) FROM cells GROUP BY tower UNION ALL SELECT NULL, COUNT(*) FROM customers UNION ALL SELECT region, SUM(age) FROM customers GROUP BY region",
            [((0, 3), (2,))],
        ),
    ],
)
def test_which_branches_are_related(sql, found):
    assert sets(sql) == found


KEYS = [
    "region",
    "vip",
    "joined",
    "last_seen",
    "EXTRACT(YEAR FROM joined)",
    "region, vip",
    "vip, region, EXTRACT(YEAR FROM joined)",
    "SUBSTRING(region, 1, 1)",
    "FLOOR(LN(age))",
]


@pytest.mark.parametrize("keys", KEYS)
def test_a_survey_numbers_groups_as_the_question_does(data, keys):
    """Withholding group i of the survey takes away one row, with as many rows as the survey counts in it."""
    sql = f"SELECT COUNT(*) AS n FROM customers GROUP BY {keys} UNION ALL SELECT COUNT(*) FROM customers WHERE vip"
    question = check(sql, room(), "shop")
    loose = [replace(c, minimum=1) for c in question.constraints]
    table = data.sql(survey_sql(question, loose) or "").to_arrow_table()
    sizes: Counter[int] = Counter()
    for number, n in zip(table["c1"].to_pylist(), table["n"].to_pylist(), strict=True):
        sizes[number] += n
    groups = data.execute(f"SELECT COUNT(*) FROM (SELECT 1 FROM customers GROUP BY {keys})").fetchall()[0]
    assert sorted(sizes) == list(range(1, groups[0] + 1))

    def rows(withheld: Mapping[int, frozenset[int] | None]) -> Counter[int]:
        return Counter(row[0] for row in data.execute(execution_sql(question, loose, withheld)).fetchall())

    everything = rows({})
    assert sum(everything.values()) == groups[0] + 1
    for number in random.Random(1).sample(sorted(sizes), min(8, len(sizes))):
        assert everything - rows({0: frozenset({number})}) == Counter([sizes[number]])
    assert sum(rows({0: None}).values()) == 1
    assert sum(rows({0: None, 1: frozenset({1})}).values()) <= 1


def test_too_many_related_branches_are_withheld_but_for_one(data):
    sql = " UNION ALL ".join(
        f"SELECT {n} AS what, COUNT(*) AS n FROM customers WHERE age > {n}" for n in range(33)
    )
    question = check(f"{sql} UNION ALL SELECT age, COUNT(*) FROM customers GROUP BY age", room(), "shop")
    planned = plan(question, room(), ["shop"])
    assert survey_sql(question, planned) is None
    assert protected(question, planned)
    withheld = suppressed(question, planned, None)
    assert withheld == {**dict.fromkeys(range(33)), 33: frozenset()}
    shown = data.execute(execution_sql(question, planned, withheld)).fetchall()
    alone = data.execute(
        execution_sql(check("SELECT age AS what, COUNT(*) AS n FROM customers GROUP BY age", room(), "shop"))
    ).fetchall()
    assert [row[:2] for row in shown] == [row[:2] for row in alone]


def test_a_survey_that_is_cut_off_withholds_whole_branches(data, monkeypatch):
    sql = f"{PLAIN} GROUP BY region UNION ALL SELECT 'all', COUNT(*) FROM customers"
    some = "SELECT region, age, COUNT(*) AS n FROM customers GROUP BY region, age UNION ALL SELECT region, 0, COUNT(*) FROM customers GROUP BY region"
    whole = [row["n"] for row in asked(data, sql)]
    monkeypatch.setattr(limits, "SUPPRESSION_ATOMS", 3)
    # No group is small, so nothing is withheld, however large the survey.
    assert [row["n"] for row in asked(data, sql)] == whole
    assert all(row["n"] is None or row["age"] != 0 for row in asked(data, some))
    assert any(row["age"] == 0 for row in asked(data, some, suppress=False))


def test_a_survey_that_was_not_made_releases_nothing():
    question = check(
        f"{PLAIN} GROUP BY region UNION ALL SELECT 'all', COUNT(*) FROM customers", room(), "shop"
    )
    with pytest.raises(DisclosureError, match="not counted"):
        suppressed(question, plan(question, room(), ["shop"]), None)


def test_a_survey_has_numbers_only(data):
    question = check(
        f"{PLAIN} GROUP BY region UNION ALL SELECT 'all', COUNT(*) FROM customers", room(), "shop"
    )
    table = data.sql(survey_sql(question) or "").to_arrow_table()
    assert {str(field.type) for field in table.schema} == {"int64", "bool"}


# --- the order of rows ---


SAME = [
    "SELECT region, AVG(score) AS a, AVG(spend) AS b, SUM(spend) AS s FROM customers GROUP BY region",
    "SELECT vip, SUM(AVG(score)) OVER () AS s, AVG(AVG(score) / 3) OVER (ORDER BY vip) AS a FROM customers GROUP BY vip",
    "SELECT vip, ROW_NUMBER() OVER (ORDER BY 1) AS r, LAG(AVG(score)) OVER (ORDER BY COUNT(*) > 0) AS l, NTILE(2) OVER (ORDER BY 1) AS t FROM customers GROUP BY vip",
    "SELECT COUNT(*) > 0 AS same FROM customers GROUP BY region ORDER BY same LIMIT 2",
    "SELECT region, AVG(score) AS a FROM customers GROUP BY region UNION SELECT NULL, AVG(score) FROM customers WHERE vip ORDER BY a LIMIT 5",
]


@pytest.fixture(scope="module")
def orders(data: duckdb.DuckDBPyConnection) -> Iterator[list[duckdb.DuckDBPyConnection]]:
    """The same rows in four orders; sevenths, whose sum depends on the order in its last digits."""
    rows = data.sql("SELECT * REPLACE (score / 7 AS score) FROM customers").to_arrow_table()
    made = []
    for seed in range(4):
        places = list(range(rows.num_rows))
        random.Random(seed).shuffle(places)
        connection = duckdb.connect()
        connection.register("given", rows.take(places))
        connection.execute("CREATE TABLE customers AS SELECT * FROM given")
        made.append(connection)
    yield made
    for connection in made:
        connection.close()


@pytest.mark.parametrize("sql", SAME)
def test_the_order_of_the_rows_does_not_show(orders, sql):
    for options in ({}, {"round_counts": 5, "summary": True}):
        one, *others = (told(connection, sql, agreed(**options)) for connection in orders)
        assert all(other == one for other in others)


def test_the_engine_alone_would_show_it(orders):
    """Without ordered sums the last digits differ; else the test above could not fail."""
    text = "SELECT AVG(score), SUM(score) FROM customers"
    assert len({repr(connection.execute(text).fetchall()) for connection in orders}) > 1
