# SPDX-License-Identifier: Apache-2.0
"""Thresholds of rules and the minima that output columns set: all of them, in order."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.rules.pairs import room

from hitoku.questions import check
from hitoku.questions.rules import Rules
from hitoku.questions.thresholds import thresholds
from hitoku.room.agreement import Agreement, Room

from .test_mutants_forms import RULES


def told(place: Room, tables: list[str]) -> list[tuple[str, str, int, str]]:
    return [
        (u.table.name, u.column, u.minimum, u.field)
        for u in thresholds(Rules(place.agreement, "shop"), tables)
    ]


def with_constraints(*constraints: tuple[str, int]) -> Room:
    data: dict[str, Any] = yaml.safe_load((RULES / "room.yaml").read_text("utf-8"))
    table = next(t for t in data["tables"] if t["name"] == "subscribers")
    table["rule"]["outputConstraints"] = [
        {"columnName": name, "minimum": least} for name, least in constraints
    ]
    return Room(agreement=Agreement.model_validate(data))


@pytest.mark.parametrize("order", [[50, 20], [20, 50], [50, 50], [20, 50, 30]])
def test_of_several_on_one_column_the_strictest(order: list[int]) -> None:
    place = with_constraints(*(("phone", least) for least in order))
    assert told(place, ["subscribers"]) == [("subscribers", "phone", 50, "outputConstraints")]


def test_tables_and_columns_are_in_order() -> None:
    place = with_constraints(("phone", 20), ("email", 30))
    assert told(place, ["subscribers", "customers"]) == [
        ("customers", "phone", 10, "outputConstraints"),
        ("subscribers", "email", 30, "outputConstraints"),
        ("subscribers", "phone", 20, "outputConstraints"),
    ]


def test_a_custom_rule_has_its_general_minimum() -> None:
    place = room("custom.yaml")
    assert told(place, ["visits", "lines", "catalog", "trips", "clubs"]) == [
        ("clubs", "member", 3, "aggregationThresholds"),
        ("lines", "phone", 20, "aggregationThresholds"),
        ("visits", "phone", 5, "aggregationThresholds"),
    ]


def test_lists_and_tables_without_a_rule_have_none() -> None:
    assert told(room(), ["contacts", "leads", "payroll"]) == []


@pytest.mark.parametrize(
    ("sql", "minimum"),
    [
        ("SELECT COUNT(DISTINCT phone) AS n FROM lines", 20),
        ("SELECT COUNT(phone) AS n, SUM(minutes) AS m FROM lines", 5),
        ("SELECT tariff, SUM(minutes) AS m FROM lines GROUP BY tariff", 5),
        ("SELECT tariff, COUNT(*) AS n FROM lines GROUP BY tariff ORDER BY SUM(minutes)", 5),
        ("SELECT AVG(wide) AS a, SUM(minutes) AS m FROM lines", 20),
        ("SELECT COUNT(*) AS n FROM lines WHERE months > 3", 20),
        ("SELECT COUNT(*) AS n FROM lines HAVING AVG(months) > 3", 20),
        ("SELECT AVG(months) AS n FROM lines", 50),
        ("SELECT tariff, RANK() OVER (ORDER BY AVG(months)) AS r FROM lines GROUP BY tariff", 50),
        ("SELECT tariff FROM lines GROUP BY tariff", 20),
    ],
)
def test_the_minimum_of_what_is_shown(sql: str, minimum: int) -> None:
    constraints = check(sql, room("custom.yaml"), "shop").constraints
    assert [(c.table, c.column, c.owner, c.minimum, c.alias) for c in constraints] == [
        ("lines", "phone", "telco", minimum, "_hitoku_unit_1")
    ]


def test_columns_of_other_tables_change_no_minimum() -> None:
    sql = (
        "SELECT p.region, SUM(l.minutes) AS m, AVG(p.spend) AS s FROM people p "
        "JOIN lines l ON p.phone = l.phone GROUP BY p.region"
    )
    constraints = check(sql, room("custom.yaml"), "shop").constraints
    assert [(c.table, c.minimum, c.alias) for c in constraints] == [
        ("lines", 5, "_hitoku_unit_1"),
        ("people", 10, "_hitoku_unit_2"),
    ]
    assert [c.sql for c in constraints] == [
        'COUNT(DISTINCT "lines"."phone")',
        'COUNT(DISTINCT "people"."phone")',
    ]


@pytest.mark.parametrize(
    ("least", "sql", "minimum"),
    [
        (2, "SELECT SUM(fee) AS s FROM clubs", 2),
        (2, "SELECT SUM(fee) AS s, COUNT(member) AS n FROM clubs", 2),
        (2, "SELECT SUM(fee) AS s, COUNT(DISTINCT member) AS n FROM clubs", 2),
        (2, "SELECT member, SUM(fee) AS s FROM clubs GROUP BY member", 3),
        (2, "SELECT SUM(fee) AS s FROM clubs HAVING COUNT(club) > 3", 2),
        (9, "SELECT club, SUM(fee) AS s FROM clubs GROUP BY club", 9),
        (9, "SELECT club, COUNT(*) AS n FROM clubs GROUP BY club", 3),
        (0, "SELECT SUM(fee) AS s FROM clubs", 3),
    ],
)
def test_an_identity_column_that_is_only_counted_is_not_shown(least: int, sql: str, minimum: int) -> None:
    data: dict[str, Any] = yaml.safe_load((RULES / "custom.yaml").read_text("utf-8"))
    table = next(t for t in data["tables"] if t["name"] == "clubs")
    columns = [{"outputColumnName": "fee", "minimumIdentityCount": least}]
    table["rule"]["aggregationThresholds"][0]["outputColumnThresholds"] = columns
    place = Room(agreement=Agreement.model_validate(data))
    assert [c.minimum for c in check(sql, place, "shop").constraints] == [minimum]
