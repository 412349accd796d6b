# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 - SQL reads better on one line
"""Noised questions on shares answer what the engine answers over plain tables with the same noise."""

from __future__ import annotations

import random
from array import array
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
from tests.shares.world import answered, counted, plain_table, prepared, rows_of

from hitoku.disclosure.cells import Cells
from hitoku.disclosure.leakage import Leakage
from hitoku.disclosure.plan import DisclosurePlan, plan
from hitoku.disclosure.release import release
from hitoku.errors import DisclosureError
from hitoku.ports import SystemClock
from hitoku.protections.base import Unsupported
from hitoku.protections.shares.planning import draft, expected
from hitoku.questions import check
from hitoku.questions.noised import figures_text
from hitoku.questions.question import Question
from hitoku.room.agreement import Agreement, Room

from .shapes import KEYS

NOISE = 1_000
ENOUGH = 11
PLANS = ("basic", "extra", "late", "none")

QUESTIONS = {
    "groups": "SELECT region, COUNT(*) AS n, COUNT(DISTINCT p) AS u, COUNT(age) AS c, COUNT(DISTINCT age) AS d, SUM(spend) AS s, AVG(score) AS m FROM visits GROUP BY region",
    "one group": "SELECT COUNT(*) AS n, SUM(age) AS a, AVG(spend) AS m FROM visits WHERE age > 20",
    "no row": "SELECT COUNT(*) AS n, SUM(age) AS a FROM visits WHERE age > 1000",
    "public groups": "SELECT plan, COUNT(*) AS n, COUNT(DISTINCT p) AS u, SUM(minutes) AS m FROM calls GROUP BY plan",
    "public groups of no row": "SELECT plan, COUNT(*) AS n, AVG(minutes) AS m FROM calls WHERE minutes > 100000 GROUP BY plan",
    "a join": "SELECT c.plan, v.region, COUNT(*) AS n, COUNT(DISTINCT v.p) AS u, SUM(c.minutes) AS m, COUNT(DISTINCT v.age) AS d FROM visits v JOIN calls c ON v.p = c.p GROUP BY c.plan, v.region",
    "a join, public groups": "SELECT c.plan, COUNT(*) AS n, SUM(v.spend) AS s FROM visits v JOIN calls c ON v.p = c.p WHERE v.age < c.minutes GROUP BY c.plan",
    "a left join": "SELECT k.size, COUNT(*) AS n, COUNT(k.weight) AS w, SUM(v.age) AS a FROM visits v LEFT JOIN kinds k ON v.region = k.region GROUP BY k.size",
    "keys of dates and numbers": "SELECT day, age, COUNT(*) AS n FROM visits WHERE age > 0 GROUP BY day, age",
    "a floating-point key": "SELECT score, COUNT(*) AS n FROM visits GROUP BY score",
    "a long text": "SELECT word, COUNT(*) AS n FROM visits GROUP BY word",
    "labels of two tables": "SELECT CASE WHEN v.age > c.minutes THEN 'older' ELSE 'other' END AS l, COUNT(*) AS n FROM visits v JOIN calls c ON v.p = c.p GROUP BY CASE WHEN v.age > c.minutes THEN 'older' ELSE 'other' END",
    "what follows the noise": "SELECT region, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*) DESC) AS r, ROUND(SUM(age) / COUNT(*), 1) AS q FROM visits GROUP BY region HAVING COUNT(*) > 1010 ORDER BY n DESC, region LIMIT 3",
    "united": "SELECT region, COUNT(*) AS n FROM visits GROUP BY region UNION ALL SELECT 'all', COUNT(*) FROM visits WHERE age > 20",
    "but for": "SELECT region, COUNT(*) AS n FROM visits GROUP BY region EXCEPT SELECT region, COUNT(*) FROM visits WHERE age > 25 GROUP BY region",
    "limited": "SELECT plan, COUNT(*) AS n FROM calls GROUP BY plan UNION ALL SELECT 'none', COUNT(*) FROM calls ORDER BY n LIMIT 3",
}


def _rule(most_rows: int, bounds: list[dict[str, Any]], public: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "custom",
        "allowedAnalyses": ["ANY_QUERY"],
        "allowedAnalysisProviders": ["shop"],
        "differentialPrivacy": {
            "columns": [{"name": "p"}],
            "unit": "person",
            "maxRowsPerGroup": most_rows,
            "maxGroups": 100,
            "bounds": bounds,
            "publicValues": public,
        },
    }


def _column(name: str, kind: str, **more: Any) -> dict[str, Any]:
    extra = {"precision": 9, "scale": 2} if kind == "decimal" else {}
    return {"name": name, "type": kind, "protection": "cleartext", **extra, **more}


@cache
def room(most_rows: int = 400) -> Room:
    """Two owners whose people the room protects, and a table that concerns nobody."""
    plain = {
        "type": "custom",
        "allowedAnalyses": ["ANY_QUERY"],
        "allowedAnalysisProviders": ["shop"],
    }
    bounds = [
        {"columnName": "age", "lower": 0, "upper": 200},
        {"columnName": "spend", "lower": -10, "upper": 50, "decimals": 2},
        {"columnName": "score", "lower": 0, "upper": 2, "decimals": 1},
    ]
    tables = [
        {
            "name": "visits",
            "owner": "shop",
            "columns": [
                _column("p", "string", nullable=False),
                _column("region", "string"),
                _column("age", "int"),
                _column("spend", "decimal"),
                _column("score", "double"),
                _column("day", "date"),
                _column("word", "string"),
            ],
            "rule": _rule(most_rows, bounds, []),
        },
        {
            "name": "calls",
            "owner": "bank",
            "columns": [
                _column("p", "string", nullable=False),
                _column("plan", "string"),
                _column("minutes", "bigint"),
            ],
            "rule": _rule(
                most_rows,
                [{"columnName": "minutes", "lower": 0, "upper": 60}],
                [{"columnName": "plan", "values": list(PLANS)}],
            ),
        },
        {
            "name": "kinds",
            "owner": "bank",
            "columns": [_column("region", "string"), _column("size", "string"), _column("weight", "int")],
            "rule": plain,
        },
    ]
    abilities = {"shop": ["query", "receive"], "bank": ["receive"], "lab": ["compute"]}
    agreement = {
        "id": "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e13",
        "name": "Noise on shares",
        "protections": ["shares"],
        "members": [
            {"name": name, "key": key, "abilities": abilities[name]}
            for name, key in zip(("shop", "bank", "lab"), KEYS, strict=True)
        ],
        "tables": tables,
        "settings": {"allow_cleartext": True, "allow_duplicates": True, "preserve_nulls": True},
        "budgets": [{"owner": name, "unit": "person", "epsilon": 20} for name in ("shop", "bank")],
    }
    return Room(agreement=Agreement.model_validate(agreement, context={}))


def content(seed: int, rows: int = 300) -> dict[str, pa.Table]:
    chance = random.Random(seed)
    people = [f"p{n}" for n in range(20)]
    days = [None, *(date(2024, 1, 15) + timedelta(days=20 * n) for n in range(4))]
    visits = {
        "p": [chance.choice(people) for _ in range(rows)],
        "region": [chance.choice(["north", "south", "", None, "rare" if n < 4 else "east"]) for n in range(rows)],
        "age": pa.array([chance.choice([None, 0, 20, 30, 500]) for _ in range(rows)], pa.int32()),
        "spend": pa.array([chance.choice([None, Decimal("-50.00"), Decimal("7.77")]) for _ in range(rows)], pa.decimal128(9, 2)),
        "score": [chance.choice([None, 0.25, 1.5, -0.0, 0.0, 9e9, float("nan")]) for _ in range(rows)],
        "day": pa.array([chance.choice(days) for _ in range(rows)], pa.date32()),
        "word": [chance.choice(["x" * 256 + "a", "x" * 256 + "b", "y"]) for _ in range(rows)],
    }  # fmt: skip
    calls = {
        "p": [chance.choice(people) for _ in range(rows)],
        "plan": [chance.choice([*PLANS[:3], "secret", None]) for _ in range(rows)],
        "minutes": pa.array([chance.choice([None, 1, 25, 70]) for _ in range(rows)], pa.int64()),
    }
    kinds = {
        "region": ["north", "south", None],
        "size": ["big", None, "odd"],
        "weight": pa.array([3, None, 4], pa.int32()),
    }
    return {"visits": pa.table(visits), "calls": pa.table(calls), "kinds": pa.table(kinds)}


class Fixed:
    """The same noise everywhere."""

    def take(self, scale: int, count: int) -> array[int]:
        assert scale > 0
        return array("q", [NOISE] * count)


def low(planned: DisclosurePlan) -> DisclosurePlan:
    """With a threshold that some groups of twenty people reach; what it is has its own tests."""
    assert planned.noise is not None
    parts = tuple(replace(p, threshold=p.threshold and NOISE + ENOUGH) for p in planned.noise.parts)
    return replace(planned, noise=replace(planned.noise, parts=parts))


def in_the_clear(question: Question, tables: dict[str, pa.Table]) -> pa.Table:
    """The same figures by the engine over plain tables, noised and released."""
    planned = low(plan(question, room(), ["shop"]))
    privacy = question.privacy
    assert privacy is not None
    assert planned.noise is not None
    figures = plain_table(figures_text(question.form, privacy, planned.noise.parts[0].least_units), tables)
    answer = release(
        Cells(question.hash, figures, frozenset()),
        planned,
        question,
        leakage=Leakage(()),
        protection="none",
        run="5a" * 16,
        clock=SystemClock(),
        draws=Fixed(),  # type: ignore[arg-type]
    )
    return answer.table


def asked(name: str, tables: dict[str, pa.Table], most_rows: int = 400) -> tuple[pa.Table, pa.Table]:
    question, planned, _ = prepared(QUESTIONS[name], room(most_rows), "shop")
    planned = low(planned)
    sketch = draft(question, planned, room(most_rows))
    assert not isinstance(sketch, Unsupported), sketch.reason
    made = answered(question, planned, sketch, tables, draws=Fixed())
    # Each opening is one of the shuffled bits, and tells the number of rows alone.
    assert len(made.opened) == len(question.form.blocks)
    return made.table, in_the_clear(question, tables)


QUICK = ("groups", "public groups", "a join, public groups", "what follows the noise", "united")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in QUESTIONS]
)
def test_the_answer_is_the_engines_with_the_same_noise(name: str) -> None:
    got, wanted = asked(name, content(hash_of(name)))
    assert wanted.num_rows > 0
    assert counted(rows_of(got)) == counted(rows_of(wanted))
    assert [str(f.type) for f in got.schema] == [str(f.type) for f in wanted.schema]


def hash_of(name: str) -> int:
    return sum(map(ord, name))


def test_the_noisy_threshold_withholds_groups_of_enough_people_to_get_noise() -> None:
    tables = content(3)
    question, planned, _ = prepared(QUESTIONS["keys of dates and numbers"], room(), "shop")
    sketch = draft(question, low(planned), room())
    assert not isinstance(sketch, Unsupported)
    # Before the release, which would withhold them as well.
    got = answered(question, low(planned), sketch, tables, draws=Fixed()).cells
    sql = "SELECT COUNT(DISTINCT p) FROM visits WHERE age > 0 GROUP BY day, age"
    units = [row[0] for row in rows_of(plain_table(sql, tables))]
    # Six people are the least that get noise; fewer than `ENOUGH` do not pass.
    assert any(6 <= count < ENOUGH for count in units)
    assert got.num_rows == sum(count >= ENOUGH for count in units) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["groups", "public groups", "one group", "a join"])
def test_of_no_row_and_of_one(name: str) -> None:
    for rows in (0, 1):
        got, wanted = asked(name, content(rows, rows))
        assert counted(rows_of(got)) == counted(rows_of(wanted))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["public groups", "groups"])
def test_counts_with_few_rows_of_a_person(name: str) -> None:
    """Which rows are kept differs, how many does not."""
    got, wanted = asked(name, content(5, 200), 2)
    more, _ = asked(name, content(5, 200), 400)
    figures = ["n", "u"]
    key = got.column_names[0]
    told = counted(rows_of(got.select([key, *figures])))
    assert told == counted(rows_of(wanted.select([key, *figures])))
    assert told != counted(rows_of(more.select([key, *figures])))


def test_the_plan_is_another_than_that_of_noise_at_a_host() -> None:
    question = check(QUESTIONS["groups"], room(), "shop")
    inside = plan(question, room(), ["shop"], by_servers=True)
    assert len({inside.hash, plan(question, room(), ["shop"]).hash}) == 2
    assert inside.hash == plan(question, room(), ["shop"], 30, by_servers=True).hash
    assert {charge.owner for charge in inside.charges} == {"shop"}


def test_a_plan_with_another_noise_is_not_computed() -> None:
    question = check(QUESTIONS["groups"], room(), "shop")
    assert isinstance(draft(question, plan(question, room(), ["shop"]), room()), Unsupported)


@pytest.mark.parametrize(("inside", "applied"), [(True, ""), (True, "threshold"), (False, "noise")])
def test_a_release_takes_noised_cells_of_noised_plans_only(inside: bool, applied: str) -> None:
    question = check(QUESTIONS["groups"], room(), "shop")
    with pytest.raises(DisclosureError, match="do not agree about noise"):
        release(
            Cells(question.hash, pa.table({}), frozenset([applied] if applied else [])),
            plan(question, room(), ["shop"], by_servers=inside),
            question,
            leakage=Leakage(()),
            protection="shares",
            run="5a" * 16,
            clock=SystemClock(),
        )


def test_the_cost_is_told_with_its_steps() -> None:
    _, _, sketch = prepared(QUESTIONS["a join"], room(), "shop")
    assert not isinstance(sketch, Unsupported)
    found = expected(sketch, {"visits": 100_000, "calls": 50_000})
    assert found is not None
    names = [step.words for step in found.steps]
    assert "leaving out what a unit has too many of" in names
    assert "adding noise" in names
