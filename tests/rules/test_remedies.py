# SPDX-License-Identifier: Apache-2.0
"""Every refused pair names clause, rule, owner and the change; where a program can make it, it is made."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from hitoku.errors import Change, InputError, Refusal
from hitoku.questions import check, explain
from hitoku.questions.changes import applied_to_room, applied_to_sql
from hitoku.room.agreement import Room
from hitoku.transport.in_process import _refusal, _refused
from hitoku.transport.messages import Refused

from .pairs import Pair, pairs, room

NO_CLAUSE = {"NOT_AN_ASKER"}
"""Refused for who asks, whatever is asked."""

OF_A_TABLE = {
    *("AGGREGATE", "COUNT_ROWS", "DIMENSION", "ENCRYPTED_COLUMN", "JOIN_COLUMN", "JOIN_OPERATOR"),
    *("JOIN_PROTECTIONS_DIFFER", "JOIN_REQUIRED", "JOIN_TYPES_DIFFER", "LIST_AGGREGATE", "LIST_COLUMN"),
    *("LIST_FINGERPRINT", "LIST_NEEDS_DISTINCT", "LIST_NEEDS_JOIN", "LIST_OUTER_JOIN", "NO_AGGREGATE"),
    *("NO_RULE", "NULLS_COUNTED", "RULE_KINDS_DIFFER", "SCALAR_FUNCTION", "SUM_OVERFLOW"),
    *("UNIT_NULLS_COUNTED", "ANALYSIS_NOT_ALLOWED", "TEMPLATE_REQUIRED", "TEMPLATE_MISSING"),
    *("TEMPLATE_NOT_ALLOWED", "ADDITIONAL_ANALYSIS_REQUIRED", "COLUMNS_ONLY"),
    *("RULE_MODES_DIFFER", "PRIVACY_ROWS", "THRESHOLD_ROWS", "OUTPUT_COLUMN_DISALLOWED"),
    *("IDENTITY_COMPARED", "LITERAL_COMPARISON", "COLUMN_COMPARISON", "OVERLAP_FORM"),
}
"""Refused for a rule or column of one table: its owner is named."""

OF_THE_ROOM = {"JOIN_NAMES_DIFFER", "NOT_AN_ASKER"}
"""Refused for what all members agreed on together."""

MECHANICAL = {
    *("AGGREGATE", "AMBIGUOUS_COLUMN", "COUNT_ROWS", "DIMENSION", "DISTINCT_GROUPS", "DUPLICATE_OUTPUT"),
    *("JOIN_COLUMN", "JOIN_KIND", "JOIN_NAMES_DIFFER", "JOIN_OPERATOR", "JOIN_REQUIRED"),
    *("LEFT_JOIN_SOURCE", "LIST_COLUMN", "LIST_NEEDS_DISTINCT", "LIST_OUTER_JOIN", "NESTED_CLAUSE"),
    *("NOT_AN_ASKER", "NOT_GROUPED", "NULLS_COUNTED", "OUTER_THEN_INNER", "OUTPUT_NAME"),
    *("SCALAR_FUNCTION", "SEVERAL_STATEMENTS", "SUM_OVERFLOW", "UNIT_NULLS_COUNTED", "UNKNOWN_NAME"),
    *("ANALYSIS_NOT_ALLOWED", "TEMPLATE_NOT_ALLOWED", "ADDITIONAL_ANALYSIS_REQUIRED"),
    *("LITERAL_COMPARISON", "COLUMN_COMPARISON"),
}
"""Codes of which some pair has a change that a program can make."""

STILL_REFUSED: dict[str, str] = {
    "SELECT COUNT(*) AS n FROM visits WHERE age + amount > 3;": "OVERLAP_FORM",
}
"""Pairs (by their SQL) whose change leads to another refusal for good, and its code. In all others that come
to light there is a change again, and the end is a question that passes."""

REFUSED = [pair for pair in pairs() if not pair.accept]


def refused(sql: str, place: Room, asker: str) -> Refusal | None:
    try:
        check(sql, place, asker)
    except Refusal as refusal:
        return refusal
    return None


def made(change: Change, sql: str, place: Room) -> tuple[str, Room]:
    if change.action == "edit":
        return applied_to_sql(change, sql), place
    return sql, Room(agreement=applied_to_room(change, place.agreement))


@pytest.mark.parametrize("pair", REFUSED, ids=str)
def test_clause_rule_owner_and_remedy(pair: Pair) -> None:
    told = explain(pair.sql, room(pair.room), pair.asker).to_dict()["refusal"]
    assert bool(told["clause"]) is (told["code"] not in NO_CLAUSE)
    assert bool(told["rule"]) is (told["code"] in OF_A_TABLE | OF_THE_ROOM)
    assert bool(told["owner"]) is (told["code"] in OF_A_TABLE)
    assert len(told["remedy"]) > 8
    assert "?" not in told["remedy"].replace(" ?", "")
    if told["owner"]:
        table = room(pair.room).agreement.table(told["rule"].split(".")[1])
        assert table is not None
        assert told["owner"] == table.owner


@pytest.mark.parametrize("pair", REFUSED, ids=str)
def test_the_change_makes_it_pass(pair: Pair) -> None:
    """Made again for each refusal that comes to light, at most four times; the code changes each time."""
    sql, place = pair.sql, room(pair.room)
    first = refusal = refused(sql, place, pair.asker)
    assert first is not None
    if first.change is None:
        return
    for _ in range(4):
        if refusal is None or refusal.change is None:
            break
        before = (refusal.code, refusal.to_dict()["change"])
        sql, place = made(refusal.change, sql, place)
        refusal = refused(sql, place, pair.asker)
        assert refusal is None or (refusal.code, refusal.to_dict()["change"]) != before
    assert (refusal.code if refusal else None) == STILL_REFUSED.get(pair.sql)


def test_what_is_mechanical() -> None:
    counted = Counter(
        refusal.code
        for pair in REFUSED
        if (refusal := refused(pair.sql, room(pair.room), pair.asker)) is not None and refusal.change
    )
    assert set(counted) >= MECHANICAL
    assert counted.total() >= 60


def test_a_change_travels_and_comes_back() -> None:
    for pair in REFUSED:
        refusal = refused(pair.sql, room(pair.room), pair.asker)
        assert refusal is not None
        sent = json.loads(json.dumps(_refused(refusal)))
        assert _refusal(Refused.model_validate(sent)).to_dict() == refusal.to_dict()


def test_a_change_holds_no_literal_of_the_question() -> None:
    """It travels to whoever asked and is shown; it holds names, never a value."""
    for pair in REFUSED:
        refusal = refused(pair.sql, room(pair.room), pair.asker)
        assert refusal is not None
        assert "'" not in json.dumps(refusal.to_dict()["change"])


@pytest.mark.parametrize(
    ("sql", "near"),
    [
        ("SELECT COUNT(DISTINCT phne) FROM customers", '"phone"'),
        ("SELECT COUNT(DISTINCT c.phonee) FROM customers AS c", '"phone"'),
        ("SELECT COUNT(DISTINCT customers.PHON) FROM customers", '"phone"'),
        ("SELECT COUNT(DISTINCT zzz) FROM customers", None),
        (f"SELECT COUNT(DISTINCT {'phone' * 20}) FROM customers", None),
    ],
)
def test_a_misspelt_column_is_offered_as_the_one_it_is_near_to(sql: str, near: str | None) -> None:
    refusal = refused(sql, room(), "shop")
    assert refusal is not None
    assert refusal.code == "UNKNOWN_COLUMN"
    if near is None:
        assert refusal.change is None
        return
    assert refusal.change is not None
    assert [text for _, _, text in refusal.change.edits] == [near]
    assert refused(applied_to_sql(refusal.change, sql), room(), "shop") is None


def test_an_impossible_change_is_not_offered() -> None:
    refusal = refused("SELECT SUM(phone) AS s FROM customers", room(), "shop")
    assert refusal is not None
    assert (refusal.code, refusal.change) == ("AGGREGATE", None)


@pytest.mark.parametrize(
    "change",
    [
        Change("add", "tables.nosuch.rule.joinColumns", "x"),
        Change("set", "nothing", 1),
        Change("add", "tables.customers.rule.dimensionColumns", "phone"),
        Change("set", None, 1),
    ],
)
def test_a_change_that_does_not_fit_the_room(change: Change) -> None:
    with pytest.raises(InputError):
        applied_to_room(change, room().agreement)


@pytest.mark.parametrize("edits", [((5, 2, ""),), ((0, 99, ""),), ((0, 3, "a"), (2, 4, "b"))])
def test_a_change_that_does_not_fit_the_text(edits: tuple[tuple[int, int, str], ...]) -> None:
    with pytest.raises(InputError):
        applied_to_sql(Change("edit", edits=edits), "SELECT 1")
