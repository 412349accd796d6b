# SPDX-License-Identifier: Apache-2.0
"""Boxes: what a question asks of declared columns, read from its text; equal or disjoint, or in conflict."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hitoku.errors import InputError
from hitoku.questions import check
from hitoku.questions.form import Family
from hitoku.questions.overlap import Box, box, conflicts, declared, overlapping
from hitoku.questions.ranges import Range
from hitoku.room.agreement import Agreement, Room

ROOM = Path(__file__).parents[2] / "rules" / "custom.yaml"
ROOM_ = Room(agreement=Agreement.model_validate(yaml.safe_load(ROOM.read_text("utf-8"))))


def asked(where: str) -> Box:
    sql = "SELECT COUNT(*) AS n FROM visits" + (f" WHERE {where}" if where else "")
    return box(check(sql, ROOM_, "shop"), "visits")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("age > 20", "age >= 21"),
        ("age > 20.5", "age >= 21"),
        ("age < 30", "29 >= age"),
        ("age BETWEEN 1 AND 3", "age IN (3, 2, 1)"),
        ("age = 7", "age >= 7 AND age <= 7"),
        ("age IN (5, 6, 9) AND age > 5", "age IN (6, 9)"),
        ("age IN (1.5, 2)", "age = 2"),
        ("day > '2025-01-01'", "day >= DATE '2025-01-02'"),
        ("region IN ('a', 'b')", "region IN ('b', 'a', 'a')"),
        ("amount = 1.50", "amount BETWEEN 1.5 AND 1.500"),
        ("age > 5 AND age < 6", "age IN (7) AND age > 8"),
        ("vip = TRUE", "TRUE = vip"),
        ("age > 20 AND region = 'x'", "region = 'x' AND age > 20"),
    ],
)
def test_equal_sets_are_equal_boxes(one: str, other: str) -> None:
    first, second = asked(one), asked(other)
    assert first == second
    assert first.to_json() == second.to_json()
    assert not conflicts(first, [second])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("age <= 20", "age > 20"),
        ("age < 20 AND region = 'x'", "age < 30 AND region = 'y'"),
        ("region = 'a'", "region IN ('b', 'c')"),
        ("day < '2025-01-01'", "day BETWEEN '2025-01-01' AND '2025-12-31'"),
        ("amount < 10.5", "amount >= 10.5"),
        ("vip = TRUE", "vip = FALSE"),
        ("age > 5 AND age < 6", "age > 0"),
        ("region < 'm'", "region >= 'm'"),
    ],
)
def test_disjoint_boxes_do_not_conflict(one: str, other: str) -> None:
    assert not conflicts(asked(one), [asked(other)])
    assert not conflicts(asked(other), [asked(one)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", "age > 20"),
        ("age > 20", "age > 21"),
        ("age <= 20", "age >= 20"),
        ("age > 20", "region = 'x'"),
        ("region IN ('a', 'b')", "region = 'b'"),
        ("amount <= 10.5", "amount >= 10.5"),
        ("age > 20 AND region = 'x'", "age > 20"),
    ],
)
def test_what_overlaps_in_part_conflicts(one: str, other: str) -> None:
    first = asked(one)
    assert conflicts(first, [asked("age = 999 AND region = 'zz'"), asked(other)])
    assert conflicts(asked(other), [first])


def test_other_tables_do_not_count() -> None:
    assert not conflicts(Box("visits"), [Box("others", (("age", Range(Family.NUMBER, (Decimal(3),))),))])


def test_grouping_by_a_declared_column_asks_for_all_of_it() -> None:
    question = check("SELECT age, COUNT(*) AS n FROM visits GROUP BY age", ROOM_, "shop")
    assert box(question, "visits") == asked("")
    assert declared(question) == ("visits",)


def test_a_conflict_is_told_without_what_was_asked() -> None:
    question = check("SELECT COUNT(*) AS n FROM visits WHERE age = 47", ROOM_, "shop")
    refusal = overlapping(question, "visits")
    assert (refusal.code, refusal.owner) == ("OVERLAP", "bank")
    assert "47" not in str(refusal.to_dict())


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"table":"x","columns":{"a":{"family":"colour"}}}', "null"]
)
def test_what_is_no_box_is_told(text: str) -> None:
    with pytest.raises(InputError):
        Box.from_json(text)


numbers = st.integers(-20, 20)
conditions = st.one_of(
    st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), numbers).map(lambda t: f"age {t[0]} {t[1]}"),
    st.tuples(numbers, numbers).map(lambda t: f"age BETWEEN {t[0]} AND {t[1]}"),
    st.lists(numbers, min_size=1, max_size=5).map(lambda v: f"age IN ({', '.join(map(str, v))})"),
)


def _holds(where: str, age: int) -> bool:
    """An oracle: Python reads the conditions."""
    made = []
    for part in where.split(" & "):
        words = part.removeprefix("age ").replace("(", "").replace(")", "")
        if words.startswith("BETWEEN"):
            low, high = words.removeprefix("BETWEEN ").split(" AND ")
            made.append(int(low) <= age <= int(high))
        elif words.startswith("IN"):
            made.append(age in {int(v) for v in words.removeprefix("IN ").split(", ")})
        else:
            sign, number = words.split()
            value = int(number)
            made.append(
                {
                    "=": age == value,
                    "<": age < value,
                    "<=": age <= value,
                    ">": age > value,
                    ">=": age >= value,
                }[sign]
            )
    return all(made)


@given(st.lists(conditions, min_size=1, max_size=3), st.lists(conditions, min_size=1, max_size=3))
def test_boxes_are_the_sets_that_python_computes(one: list[str], other: list[str]) -> None:
    sets = [{age for age in range(-30, 31) if _holds(" & ".join(w), age)} for w in (one, other)]
    boxes = [asked(" AND ".join(w)) for w in (one, other)]
    assert Box.from_json(boxes[0].to_json()) == boxes[0]
    clash = sets[0] != sets[1] and bool(sets[0] & sets[1])
    assert conflicts(boxes[0], [boxes[1]]) == clash
    if sets[0] == sets[1]:
        assert boxes[0] == boxes[1] or not sets[0]


def test_ranges_travel_as_text() -> None:
    for found in (
        Range(Family.DATE, None, date(2025, 1, 1), None, True),
        Range(Family.NUMBER, (Decimal("1.50"), Decimal(2))),
        Range(Family.BOOLEAN, (True,)),
        Range(Family.STRING, ("a'b", "ü")),
    ):
        assert Range.from_json(found.to_json()) == found
