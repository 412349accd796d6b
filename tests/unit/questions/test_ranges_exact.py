# SPDX-License-Identifier: Apache-2.0
"""Ranges of one column: what a condition lets through, what two let through, and the one form of a set."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlglot import parse_one

from hitoku.errors import InputError
from hitoku.questions.form import Family
from hitoku.questions.ranges import Range, range_of, settled
from hitoku.room.agreement import Column, ColumnProtection, ColumnType

D = Decimal
N, S, B, DAY, AT = Family.NUMBER, Family.STRING, Family.BOOLEAN, Family.DATE, Family.TIMESTAMP


def column(kind: str) -> Column:
    more: dict[str, Any] = {"precision": 12, "scale": 2} if kind == "decimal" else {}
    return Column(name="c", type=ColumnType(kind), protection=ColumnProtection.CLEARTEXT, **more)


def read(sql: str, kind: str = "int") -> Range | None:
    return range_of(parse_one(sql, dialect="duckdb"), column(kind))


@pytest.mark.parametrize(
    ("sql", "kind", "found"),
    [
        ("c = 3", "int", Range(N, (D(3),))),
        ("((c = 3))", "int", Range(N, (D(3),))),
        ("c > 3", "int", Range(N, None, D(3), None, True, False)),
        ("c >= 3", "int", Range(N, None, D(3), None, False, False)),
        ("c < 3", "int", Range(N, None, None, D(3), False, True)),
        ("c <= 3", "int", Range(N, None, None, D(3), False, False)),
        ("c = -3", "int", Range(N, (D(-3),))),
        ("c = -(-(3))", "smallint", Range(N, (D(3),))),
        ("c = -(3.5)", "decimal", Range(N, (D("-3.5"),))),
        ("c IN (3, 1, 2, 1)", "bigint", Range(N, (D(1), D(2), D(3)))),
        ("c IN ('b', 'a')", "string", Range(S, ("a", "b"))),
        ("c IN (1, 'a')", "int", None),
        ("c IN (1, NULL)", "int", None),
        ("c + 1 IN (1)", "int", None),
        ("c = '3'", "int", None),
        ("c = 3", "string", None),
        ("c = 'x'", "string", Range(S, ("x",))),
        ("c > 'x'", "string", Range(S, None, "x", None, True)),
        ("c = 1e2", "double", None),
        ("c = 1E2", "double", None),
        ("c = 1.5", "double", Range(N, (D("1.5"),))),
        ("c = TRUE", "boolean", Range(B, (True,))),
        ("c = FALSE", "boolean", Range(B, (False,))),
        ("c = TRUE", "int", None),
        ("c = 1", "boolean", None),
        ("c = CAST('2025-01-31' AS DATE)", "date", Range(DAY, (date(2025, 1, 31),))),
        ("c = CAST('2025-13-31' AS DATE)", "date", None),
        ("c = CAST('2025-01-31' AS DATE)", "string", None),
        ("c = '2025-01-31'", "date", None),
        (
            "c < CAST('2025-01-31 10:00:00' AS TIMESTAMP)",
            "timestamp",
            Range(AT, None, None, datetime(2025, 1, 31, 10), False, True),
        ),
        ("c = CAST('x' AS TIMESTAMP)", "timestamp", None),
        ("c = CAST(3 AS DATE)", "date", None),
        ("c <> 3", "int", None),
        ("c IS NULL", "int", None),
        ("c LIKE 'x'", "string", None),
        ("c + 1 > 3", "int", None),
        ("c > c", "int", None),
        ("c", "boolean", None),
        ("NOT c = 3", "int", None),
    ],
)
def test_what_a_condition_lets_through(sql: str, kind: str, found: Range | None) -> None:
    assert read(sql, kind) == found
    assert range_of(parse_one(sql, dialect="duckdb"), None) is None


def test_a_list_in_an_order_of_its_own() -> None:
    found = read("c IN (10, 9, 100)")
    assert found is not None
    assert found.values == (D(9), D(10), D(100))


def some(low: int | None, high: int | None, low_open: bool = False, high_open: bool = False) -> Range:
    return Range(
        N, None, None if low is None else D(low), None if high is None else D(high), low_open, high_open
    )


@pytest.mark.parametrize(
    ("found", "empty"),
    [
        (Range(N, ()), True),
        (Range(N, (D(1),)), False),
        (some(None, None), False),
        (some(1, None), False),
        (some(None, 1), False),
        (some(1, 2), False),
        (some(1, 1), False),
        (some(1, 1, True), True),
        (some(1, 1, False, True), True),
        (some(1, 1, True, True), True),
        (some(1, 2, True, True), False),
        (some(2, 1), True),
    ],
)
def test_what_is_empty(found: Range, empty: bool) -> None:
    assert found.empty is empty


@pytest.mark.parametrize(
    ("found", "held"),
    [
        (Range(N, (D(1), D(3))), [1, 3]),
        (some(None, None), [0, 1, 2, 3, 4]),
        (some(1, None), [1, 2, 3, 4]),
        (some(1, None, True), [2, 3, 4]),
        (some(None, 3), [0, 1, 2, 3]),
        (some(None, 3, False, True), [0, 1, 2]),
        (some(1, 3), [1, 2, 3]),
        (some(1, 3, True, True), [2]),
        (some(3, 1), []),
    ],
)
def test_what_is_held(found: Range, held: list[int]) -> None:
    assert [n for n in range(5) if found.holds(D(n))] == held


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (some(1, 4), some(2, 3), some(2, 3)),
        (some(1, 3), some(2, 4), some(2, 3)),
        (some(None, 3), some(2, None), some(2, 3)),
        (some(1, None), some(2, None), some(2, None)),
        (some(None, 1), some(None, 2), some(None, 1)),
        (some(1, 3, True, False), some(1, 3, False, True), some(1, 3, True, True)),
        (some(1, 3), some(1, 3), some(1, 3)),
        (some(1, 3, True, True), some(None, None), some(1, 3, True, True)),
        (some(1, 4, True, True), some(2, 3), some(2, 3)),
        (Range(N, (D(1), D(2), D(5))), some(2, None), Range(N, (D(2), D(5)))),
        (Range(N, (D(1), D(2))), Range(N, (D(2), D(3))), Range(N, (D(2),))),
        (Range(N, (D(1),)), Range(N, (D(2),)), Range(N, ())),
        (Range(N, ()), some(1, 2), Range(N, ())),
    ],
)
def test_what_is_in_both(one: Range, other: Range, both: Range) -> None:
    assert one.met(other) == both
    assert other.met(one) == both


@pytest.mark.parametrize(
    ("found", "kind", "form"),
    [
        (some(1, 5, True, True), "int", some(2, 4)),
        (some(1, 5), "smallint", some(1, 5)),
        (some(1, 5, True, True), "decimal", some(1, 5, True, True)),
        (some(1, 5, True, True), "double", some(1, 5, True, True)),
        (some(None, 5, False, True), "bigint", some(None, 4)),
        (some(5, None, True), "int", some(6, None)),
        (some(5, 5), "int", Range(N, (D(5),))),
        (some(5, 5), "decimal", Range(N, (D(5),))),
        (some(5, 5, True), "decimal", some(5, 5, True)),
        (some(5, 5, False, True), "decimal", some(5, 5, False, True)),
        (some(4, 6, True, True), "int", Range(N, (D(5),))),
        (some(None, None), "int", some(None, None)),
        (Range(N, None, D("1.5"), D("4.5")), "int", some(2, 4)),
        (Range(N, None, D("1.5"), D("4.5"), True, True), "int", some(2, 4)),
        (Range(N, None, D("-1.5"), D("-0.5")), "int", Range(N, (D(-1),))),
        (Range(N, None, D("1.5"), D("4.5")), "decimal", Range(N, None, D("1.5"), D("4.5"))),
        (Range(N, (D(1), D(2), D(3))), "int", some(1, 3)),
        (Range(N, (D(1), D(2))), "decimal", Range(N, (D(1), D(2)))),
        (Range(N, (D(1), D(3))), "int", Range(N, (D(1), D(3)))),
        (Range(N, (D(1), D("1.5"), D(2))), "int", some(1, 2)),
        (Range(N, (D("1.5"),)), "int", Range(N, ())),
        (Range(N, (D("1.5"),)), "decimal", Range(N, (D("1.5"),))),
        (Range(N, (D(1),)), "int", Range(N, (D(1),))),
        (Range(N, ()), "int", Range(N, ())),
        (Range(S, ("a", "b")), "string", Range(S, ("a", "b"))),
        (
            Range(DAY, (date(2025, 1, 31), date(2025, 2, 1))),
            "date",
            Range(DAY, None, date(2025, 1, 31), date(2025, 2, 1)),
        ),
        (
            Range(DAY, (date(2025, 1, 31), date(2025, 2, 2))),
            "date",
            Range(DAY, (date(2025, 1, 31), date(2025, 2, 2))),
        ),
        (
            Range(DAY, None, date(2025, 1, 1), date(2025, 1, 9), True, True),
            "date",
            Range(DAY, None, date(2025, 1, 2), date(2025, 1, 8)),
        ),
        (
            Range(DAY, None, date(2025, 1, 1), date(2025, 1, 9)),
            "date",
            Range(DAY, None, date(2025, 1, 1), date(2025, 1, 9)),
        ),
        (Range(DAY, None, date.max, None, True), "date", Range(DAY, None, date.max)),
        (Range(DAY, None, None, date.min, False, True), "date", Range(DAY, None, None, date.min)),
        (Range(DAY, (date.max, date.min)), "date", Range(DAY, (date.max, date.min))),
        (
            Range(AT, None, datetime(2025, 1, 1), datetime(2025, 1, 9), True, True),
            "timestamp",
            Range(AT, None, datetime(2025, 1, 1), datetime(2025, 1, 9), True, True),
        ),
        (
            Range(AT, (datetime(2025, 1, 1), datetime(2025, 1, 2))),
            "timestamp",
            Range(AT, (datetime(2025, 1, 1), datetime(2025, 1, 2))),
        ),
    ],
)
def test_one_form_for_one_set(found: Range, kind: str, form: Range) -> None:
    assert settled(found, column(kind)) == form


def test_without_a_column_nothing_is_discrete() -> None:
    assert settled(some(1, 5, True, True), None) == some(1, 5, True, True)
    assert settled(Range(N, (D(1), D(2))), None) == Range(N, (D(1), D(2)))


def test_the_last_days_still_make_a_run() -> None:
    last = date.max
    before = last - timedelta(days=1)
    assert settled(Range(DAY, (before, last)), column("date")) == Range(DAY, None, before, last)


def test_numbers_of_many_digits_are_exact() -> None:
    big = D("9" * 38)
    more = D("1" + "0" * 38)
    assert settled(Range(N, (big, more)), column("bigint")) == Range(N, None, big, more)
    assert settled(Range(N, None, big, None, True), column("bigint")) == Range(N, None, more)
    assert settled(Range(N, None, None, more, False, True), column("bigint")) == Range(N, None, None, big)


@pytest.mark.parametrize(
    ("found", "data"),
    [
        (
            Range(N, (D("1.50"), D(20), D("0.0"), D("1E+2"))),
            {"family": "number", "values": ["1.5", "20", "0", "100"]},
        ),
        (Range(N, ()), {"family": "number", "values": []}),
        (Range(S, ("1.50", "a.")), {"family": "string", "values": ["1.50", "a."]}),
        (Range(B, (False, True)), {"family": "boolean", "values": ["false", "true"]}),
        (Range(N), {"family": "number"}),
        (some(1, None, True), {"family": "number", "low": "1", "low_open": True}),
        (some(None, 10), {"family": "number", "high": "10", "high_open": False}),
        (
            Range(DAY, None, date(2025, 1, 1), date(2025, 1, 2), False, True),
            {
                "family": "date",
                "low": "2025-01-01",
                "low_open": False,
                "high": "2025-01-02",
                "high_open": True,
            },
        ),
        (
            Range(AT, (datetime(2025, 1, 1, 2, 3),)),
            {"family": "timestamp", "values": ["2025-01-01T02:03:00"]},
        ),
    ],
)
def test_ranges_as_data(found: Range, data: dict[str, Any]) -> None:
    assert found.to_json() == data
    assert Range.from_json(data) == found


def test_ends_are_closed_unless_said_otherwise() -> None:
    assert Range.from_json({"family": "number", "low": "1", "high": "2"}) == some(1, 2)
    assert Range.from_json({"family": "number", "low": "1", "low_open": True}) == some(1, None, True)
    assert Range.from_json({"family": "number", "high": "1", "high_open": True}) == some(None, 1, False, True)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"family": "colour"},
        {"family": "null", "values": []},
        {"family": "number", "values": ["x"]},
        {"family": "number", "low": "x"},
        {"family": "date", "high": "2025-13-01"},
        {"family": "date", "values": [3]},
        {"family": "number", "values": 3},
        {"family": []},
    ],
)
def test_what_is_no_range(data: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="this is no range of a box") as caught:
        Range.from_json(data)
    assert caught.value.__cause__ is None
