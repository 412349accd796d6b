# SPDX-License-Identifier: Apache-2.0
"""What a Question carries: outputs, constraints, order, spans; what an Explanation shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hitoku.errors import Refusal
from hitoku.protections.registry import choices
from hitoku.questions import OutputKind, Verdict, check, explain, parse
from hitoku.room.agreement import Agreement, Room

ROOM = Path(__file__).parents[2] / "rules" / "room.yaml"


@pytest.fixture(scope="module")
def room() -> Room:
    return Room(agreement=Agreement.model_validate(yaml.safe_load(ROOM.read_text("utf-8"))))


def test_outputs_name_kind_and_sources(room: Room) -> None:
    question = check(
        "SELECT plan AS tariff, SUM(spend) / COUNT(DISTINCT s.phone) AS each, 'x' AS mark "
        "FROM customers c JOIN subscribers s ON c.phone = s.phone GROUP BY plan",
        room,
        "shop",
    )
    assert [(o.name, o.kind, o.sources) for o in question.outputs] == [
        ("tariff", OutputKind.DIMENSION, (("subscribers", "plan"),)),
        ("each", OutputKind.AGGREGATE, (("customers", "spend"), ("subscribers", "phone"))),
        ("mark", OutputKind.DIMENSION, ()),
    ]
    assert question.tables == ("customers", "subscribers")
    assert question.owners == ("shop", "telco")
    assert [t.name for t in question.sources] == ["customers", "subscribers"]
    assert [(c.table, c.minimum, c.alias) for c in question.constraints] == [
        ("customers", 10, "_hitoku_unit_1"),
        ("subscribers", 50, "_hitoku_unit_2"),
    ]
    assert question.ordered is False
    assert question.hash.startswith("sha256:")
    assert "spend" not in repr(question.form.blocks[0].tables)


def test_the_hash_depends_on_the_agreement(room: Room) -> None:
    other = Room(agreement=room.agreement.model_copy(update={"name": "Another"}))
    sql = "SELECT COUNT(DISTINCT phone) AS n FROM customers"
    assert check(sql, room, "shop").hash != check(sql, other, "shop").hash
    assert check(sql, room, "shop").hash == check(sql, room, "bank").hash


def test_spans_point_into_the_asked_text(room: Room) -> None:
    sql = "SELECT region, COUNT(DISTINCT phone) AS n\nFROM customers -- all\nWHERE  spend > 3 GROUP BY region"
    with pytest.raises(Refusal) as caught:
        check(sql, room, "shop")
    refusal = caught.value
    assert refusal.span is not None
    assert sql[refusal.span.start : refusal.span.end] == "spend"
    assert (refusal.code, refusal.clause, refusal.owner) == ("DIMENSION", "WHERE", "shop")
    assert refusal.rule == "tables.customers.rule.dimensionColumns"
    assert refusal.params == {"owner": "shop", "table": "customers", "column": "spend"}


def test_an_explanation_of_an_accepted_question(room: Room) -> None:
    data = explain("SELECT COUNT(DISTINCT phone) AS n FROM customers", room, "shop", choices).to_dict()
    assert data["verdict"] == "accept"
    assert data["refusal"] is None
    assert data["question"]["thresholds"] == [
        {"table": "customers", "column": "phone", "owner": "shop", "minimum": 10}
    ]
    (tokens,) = data["protections"]
    assert tokens["protection"] == "tokens"
    assert tokens["supported"] is True
    codes = {item["code"] for item in tokens["learned"] if item["member"] == "host"}
    assert codes >= {"EQUALITY_PATTERN", "SIZES", "CELLS", "LENGTHS", "CLEARTEXT"}


def test_an_explanation_of_a_refused_question_speaks_two_languages(room: Room) -> None:
    explanation = explain("SELECT MAX(spend) AS m FROM customers", room, "shop", choices)
    assert explanation.verdict is Verdict.REFUSE
    data = explanation.to_dict()
    assert data["refusal"]["code"] == "AGGREGATE_KIND"
    assert "MAX()" in data["refusal"]["ja"]["message"]
    assert data["protections"] == []


def test_parse_gives_a_tree_and_checks_no_rule() -> None:
    assert parse("SELECT MAX(x) FROM nowhere").sql() == "SELECT MAX(x) FROM nowhere"
