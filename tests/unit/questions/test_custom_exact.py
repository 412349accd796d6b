# SPDX-License-Identifier: Apache-2.0
"""Refusals under custom rules, word for word: where, which rule, whose, the remedy; and who may go on."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.rules.pairs import pairs, room

from hitoku.errors import Refusal
from hitoku.questions import check, may_go_on
from hitoku.questions.custom import has_noise, has_threshold, one_mode, statistics_only
from hitoku.questions.rules import Rules
from hitoku.questions.text import parse
from hitoku.room.agreement import Agreement, Room

from .test_mutants_forms import RULES, entries

CUSTOM = room("custom.yaml")


def changed(**rules: dict[str, Any]) -> Room:
    """The room of custom rules with fields of some tables' rules set otherwise."""
    data = yaml.safe_load((RULES / "custom.yaml").read_text("utf-8"))
    data["budgets"].append({"owner": "telco", "unit": "phone", "epsilon": 10})
    for table in data["tables"]:
        table["rule"].update(rules.get(table["name"], {}))
    return Room(agreement=Agreement.model_validate(data))


def refusal_of(sql: str, place: Room = CUSTOM, asker: str = "shop") -> Refusal:
    with pytest.raises(Refusal) as caught:
        check(sql, place, asker)
    return caught.value


def told(refusal: Refusal, sql: str) -> dict[str, Any]:
    span, change = refusal.span, refusal.to_dict().get("change")
    params = {name: value for name, value in refusal.params.items() if name != "owner"}
    facts = {
        "code": refusal.code,
        "clause": refusal.clause,
        "at": None if span is None else sql[span.start : span.end],
        "rule": refusal.rule,
        "owner": refusal.owner,
        "change": change,
        "params": params or None,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


@pytest.mark.parametrize("entry", entries("custom_refused.yaml"))
def test_a_refusal_is_told_in_full(entry: dict[str, Any]) -> None:
    refusal = refusal_of(entry["sql"], CUSTOM, entry.get("asker", "shop"))
    expected = {name: value for name, value in entry.items() if name not in {"sql", "asker"}}
    assert told(refusal, entry["sql"]) == expected


def test_the_list_of_refusals_has_every_refused_pair_of_the_room() -> None:
    assert len(entries("custom_refused.yaml")) > 200
    refused = {entry.values[0]["sql"] for entry in entries("custom_refused.yaml")}
    assert {p.sql for p in pairs() if p.room == "custom.yaml" and not p.accept} <= refused


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) AS n FROM people WHERE region = city",
        "SELECT COUNT(*) AS n FROM people WHERE UPPER(city) = UPPER(region) AND age > 3",
        "SELECT region, COUNT(*) AS n FROM people GROUP BY region HAVING SUM(age) > 3",
        "SELECT region, COUNT(*) AS n FROM people GROUP BY region HAVING region = 'x'",
        "SELECT CASE region WHEN city THEN 1 ELSE 2 END AS c, COUNT(*) AS n FROM people GROUP BY 1",
        "SELECT DISTINCT offer FROM offers",
        "SELECT DISTINCT price + 1 AS p FROM offers",
        "SELECT member, COUNT(*) AS n FROM clubs GROUP BY member",
        "SELECT COUNT(*) AS n FROM clubs WHERE member = club",
        "SELECT COUNT(*) AS n FROM clubs c JOIN catalog k ON c.member = k.item",
        "SELECT plan, COUNT(*) AS n FROM visits GROUP BY plan HAVING SUM(age) > 3",
        "SELECT COUNT(DISTINCT phone) AS n FROM people",
        "SELECT COUNT(name_sealed) AS n FROM people",
    ],
)
def test_what_a_custom_rule_lets_through(sql: str) -> None:
    assert check(sql, CUSTOM, "shop").sql


def test_what_a_rule_has() -> None:
    tables = {table.name: table for table in CUSTOM.agreement.tables}
    assert {name for name, table in tables.items() if has_noise(table)} == {"trips"}
    assert {name for name, table in tables.items() if has_threshold(table)} == {
        *("people", "lines", "cards", "nested", "visits", "clubs"),
    }


def test_modes_that_differ_are_told_by_name_in_order() -> None:
    noise = {"differentialPrivacy": {"columns": [{"name": "phone"}]}, "aggregationThresholds": []}
    place = changed(lines=noise)
    rules = Rules(place.agreement, "shop")
    with pytest.raises(Refusal) as caught:
        one_mode(rules, ["visits", "trips", "lines", "catalog", "people"])
    refusal = caught.value
    assert (
        refusal.code,
        refusal.rule,
        refusal.owner,
        refusal.params["tables"],
        refusal.params["others"],
    ) == (
        "RULE_MODES_DIFFER",
        "tables.lines.rule.differentialPrivacy",
        "telco",
        "lines, trips",
        "people, visits",
    )
    one_mode(rules, ["trips", "lines", "catalog"])
    one_mode(rules, ["visits", "people", "catalog"])


def test_rows_are_refused_for_the_first_table_by_name() -> None:
    rules = Rules(CUSTOM.agreement, "shop")
    node = parse("SELECT 1 AS n FROM people")

    def by(tables: list[str], *, grouped: bool) -> tuple[str, str | None] | None:
        try:
            statistics_only(rules, tables, grouped=grouped, node=node)
        except Refusal as refusal:
            return refusal.code, refusal.rule
        return None

    noise = ("PRIVACY_ROWS", "tables.trips.rule.differentialPrivacy")
    lines = ("THRESHOLD_ROWS", "tables.lines.rule.aggregationThresholds")
    assert by(["trips", "lines", "catalog"], grouped=False) == lines
    assert by(["trips", "lines", "catalog"], grouped=True) == noise
    assert by(["people", "lines"], grouped=True) is None
    assert by(["people", "lines"], grouped=False) == lines
    assert by(["offers", "catalog"], grouped=False) is None


def test_an_answer_goes_on_only_where_every_table_says_so() -> None:
    people = "SELECT COUNT(*) AS n FROM people"
    both = "SELECT COUNT(*) AS n FROM people p JOIN lines l ON p.phone = l.phone"
    allowed = changed(lines={"additionalAnalyses": "ALLOWED"})
    assert may_go_on(check(both, allowed, "shop"), allowed)
    assert not may_go_on(check(both, CUSTOM, "shop"), CUSTOM)
    required = changed(people={"additionalAnalyses": "REQUIRED"})
    assert may_go_on(check(people, CUSTOM, "shop"), required)
    forbidden = changed(people={"additionalAnalyses": "NOT_ALLOWED"})
    assert not may_go_on(check(people, CUSTOM, "shop"), forbidden)


def test_an_answer_of_a_table_that_left_the_room_goes_nowhere() -> None:
    question = check("SELECT COUNT(*) AS n FROM people", CUSTOM, "shop")
    tables = [table for table in CUSTOM.agreement.tables if table.name != "people"]
    agreement = CUSTOM.agreement.model_copy(update={"tables": tables})
    assert not may_go_on(question, Room(agreement=agreement))


def test_templates_that_are_no_question_are_approved_by_nobody() -> None:
    # `nonsense` stands among the room's templates; naming the approved ones must not fail on it.
    refusal = refusal_of("SELECT COUNT(*) AS n FROM cards")
    assert refusal.params["templates"] == "all_types, cards_since, single_rows, spend_by_kind"
    missing = refusal_of("SELECT COUNT(*) AS n FROM future")
    assert (missing.code, missing.params["templates"]) == ("TEMPLATE_MISSING", "-")
