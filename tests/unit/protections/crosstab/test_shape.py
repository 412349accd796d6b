# SPDX-License-Identifier: Apache-2.0
"""Which questions two owners can cross-tabulate, and what is said of those they cannot."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.japanese import in_japanese

from hitoku.ask.common import examine
from hitoku.demo.crosstab import rooms
from hitoku.errors import Refusal
from hitoku.protections.base import Supported, TableStats, Unsupported
from hitoku.protections.crosstab import Crosstab
from hitoku.protections.crosstab.shape import Shape, recognise
from hitoku.questions import check
from hitoku.room.agreement import Agreement, Room

JOIN = "FROM travellers t JOIN subscribers s ON t.phone = s.phone"
COUNT = "COUNT(DISTINCT t.phone) AS n"
YOUNG = (
    "WITH young AS (SELECT phone FROM subscribers WHERE age_band = '20s') SELECT COUNT(*) AS n "
    "FROM young JOIN travellers t ON t.phone = young.phone"
)


def key() -> str:
    raw = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return "ed25519:" + base64.b64encode(raw).decode()


KEYS = {"airline": key(), "operator": key()}


def room(change: Callable[[dict[str, Any]], None] | None = None) -> Room:
    data = rooms.travel(KEYS)
    if change is not None:
        change(data)
    return Room(agreement=Agreement.model_validate(data))


def shape(sql: str, change: Callable[[dict[str, Any]], None] | None = None) -> Shape | Unsupported:
    where = room(change)
    return recognise(check(sql, where, "airline"), where)


def privacy(data: dict[str, Any], table: int) -> dict[str, Any]:
    found: dict[str, Any] = data["tables"][table]["rule"]["differentialPrivacy"]
    return found


def test_the_owner_of_the_summed_column_is_side_b() -> None:
    found = shape(rooms.TRAVEL)
    assert isinstance(found, Shape)
    assert (found.a.owner, found.b.owner) == ("operator", "airline")
    assert (found.a.cells, found.b.cells, found.cells) == (47 * 8, 10, 3_760)
    assert [f.column.column for f in found.b.sums if f.column] == ["stay_nights"]
    assert found.a.sums == ()


def test_without_sums_the_second_table_by_name_is_side_b() -> None:
    found = shape(f"SELECT s.age_band, {COUNT} {JOIN} GROUP BY s.age_band")
    assert isinstance(found, Shape)
    assert (found.a.owner, found.b.owner) == ("operator", "airline")
    assert (found.a.cells, found.b.cells) == (8, 1)


def test_each_side_has_its_own_conditions_and_dimensions() -> None:
    found = shape(
        f"SELECT t.airport, s.age_band, {COUNT} {JOIN} "
        "WHERE s.home_prefecture = 'Tokyo' AND t.stay_nights > 2 AND s.age_band <> '10s' "
        "GROUP BY t.airport, s.age_band"
    )
    assert isinstance(found, Shape)
    texts = {side.owner: sorted(c.text for c in side.conditions) for side in (found.a, found.b)}
    assert len(texts["operator"]) == 2
    assert len(texts["airline"]) == 1
    assert "stay_nights" in texts["airline"][0]
    assert {name for _, name, _ in found.a.groups} == {"age_band"}
    assert {place for side in (found.a, found.b) for place, _, _ in side.groups} == {0, 1}


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT {COUNT} {JOIN}",
        f"SELECT COUNT(*) AS n {JOIN}",
        f"SELECT s.age_band, AVG(t.stay_nights) AS a {JOIN} GROUP BY s.age_band",
        f"SELECT s.age_band, {COUNT} {JOIN} GROUP BY s.age_band HAVING COUNT(*) > 5 ORDER BY n DESC LIMIT 3",
        YOUNG,
    ],
)
def test_other_words_for_it(sql: str) -> None:
    assert isinstance(shape(sql), Shape)


def no_values(data: dict[str, Any]) -> None:
    privacy(data, 0).pop("publicValues")


def two_groups(data: dict[str, Any]) -> None:
    for table in (0, 1):
        privacy(data, table)["maxGroups"] = 2


def nullable(data: dict[str, Any]) -> None:
    data["tables"][0]["columns"][2]["nullable"] = True


def both_sum(data: dict[str, Any]) -> None:
    column = {"name": "bill", "type": "int", "protection": "cleartext", "nullable": False}
    data["tables"][1]["columns"].append(column)
    privacy(data, 1)["bounds"] = [{"columnName": "bill", "lower": 0, "upper": 9}]


def one_receives(data: dict[str, Any]) -> None:
    data["members"][1]["abilities"] = ["query"]


def one_is_received(data: dict[str, Any]) -> None:
    data["tables"][0]["rule"]["allowedResultReceivers"] = ["airline"]


def not_agreed(data: dict[str, Any]) -> None:
    data.pop("crosstab")


def many_cells(data: dict[str, Any]) -> None:
    privacy(data, 1)["publicValues"][0]["values"] = [f"p{n}" for n in range(200)]


SPLIT = f"SELECT COUNT(*) AS n {JOIN} WHERE t.airport = 'OKA' OR s.age_band = '20s'"


@pytest.mark.parametrize(
    ("sql", "change", "reason", "remedy"),
    [
        (f"SELECT {COUNT} {JOIN}", not_agreed, "does not agree", "agree on a version"),
        (rooms.TRAVEL, no_values, "need public values", "publicValues"),
        (rooms.TRAVEL, two_groups, "count each person once", "maxGroups"),
        (rooms.TRAVEL, nullable, "may be NULL", "not nullable"),
        (
            f"SELECT SUM(t.stay_nights) AS a, SUM(s.bill) AS b {JOIN}",
            both_sum,
            "one of the two owners",
            "question of their own",
        ),
        (rooms.TRAVEL, one_receives, "operator may not receive", "operator receives"),
        (rooms.TRAVEL, one_is_received, "operator may not receive", "operator receives"),
        (rooms.TRAVEL, many_cells, "16,000 cells are more than the 10,000", "fewer columns"),
        (SPLIT, None, "one owner's table alone", "split the condition"),
        (
            f"SELECT {COUNT} FROM travellers t LEFT JOIN subscribers s ON t.phone = s.phone",
            None,
            "inner join",
            "join one table",
        ),
        ("SELECT airport, COUNT(*) AS n FROM travellers GROUP BY airport", None, "join two tables", "join"),
        (
            f"SELECT COUNT(*) AS n {JOIN} UNION ALL SELECT COUNT(*) {JOIN}",
            None,
            "one SELECT",
            "one at a time",
        ),
        (
            f"SELECT COUNT(*) AS n {JOIN} AND t.airport = s.home_prefecture",
            None,
            "by the person alone",
            "subscribers.phone = travellers.phone",
        ),
    ],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_what_is_not_supported_says_why_and_what_would_help(
    sql: str, change: Callable[[dict[str, Any]], None] | None, reason: str, remedy: str
) -> None:
    found = shape(sql, change)
    assert isinstance(found, Unsupported)
    assert re.search(reason, found.reason), found.reason
    assert found.remedy is not None
    assert remedy in found.remedy


def test_too_many_cells_are_refused_with_what_they_would_cost() -> None:
    found = shape(rooms.TRAVEL, many_cells)
    assert isinstance(found, Unsupported)
    assert "dummies" in found.reason
    assert "CPU-hours" in found.reason


def test_both_owners_receive_whatever_the_asker_says() -> None:
    made = examine(rooms.TRAVEL, room(), "airline", ["airline"])
    assert made.plan.receivers == ("airline", "operator")
    assert made.place == "operator"
    assert {c.owner for c in made.plan.charges} == {"airline", "operator"}


def test_a_question_that_no_protection_of_the_room_computes_is_refused_with_the_reason() -> None:
    with pytest.raises(Refusal) as caught:
        examine(SPLIT, room(), "airline", ["airline"])
    assert caught.value.code == "NO_PROTECTION"
    assert "one owner's table alone" in str(caught.value)


def test_an_estimate_grows_with_people_and_cells() -> None:
    where = room()
    protection = Crosstab()
    few = check(f"SELECT s.age_band, {COUNT} {JOIN} GROUP BY s.age_band", where, "airline")
    many = check(rooms.TRAVEL, where, "airline")
    small = TableStats({"travellers": 10_000, "subscribers": 10_000})
    large = TableStats({"travellers": 1_000_000, "subscribers": 1_000_000})
    costs = [protection.estimate(q, s).seconds or 0 for q, s in ((few, small), (few, large), (many, large))]
    assert 0 < costs[0] < costs[1] < costs[2]
    assert protection.estimate(few, TableStats()).seconds is None
    assert isinstance(protection.supports(few, where), Supported)


def test_the_leakage_names_what_is_not_covered() -> None:
    where = room()
    question = check(rooms.TRAVEL, where, "airline")
    learned = Crosstab().leakage(question, where).learned
    assumptions = " ".join(i.assumption or "" for i in learned)
    assert "leaving out its dummies" in assumptions
    assert "beyond the bounds" in assumptions
    assert "quantum" in assumptions
    in_japanese(learned)
    assert {"NOISED_SIZES", "NOISED_CELLS"} <= {i.code for i in learned if i.member == "airline"}
