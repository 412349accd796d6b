# SPDX-License-Identifier: Apache-2.0
"""Templates and custom rules in agreements: what is refused when a room is read, and who signs a change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from hitoku.disclosure.plan import plan
from hitoku.errors import Refusal
from hitoku.questions import check
from hitoku.room.agreement import Agreement, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.changes import changes

ROOM = Path(__file__).parents[2] / "rules" / "custom.yaml"


def data() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(ROOM.read_text("utf-8"))))
    return loaded


def table(loaded: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(t for t in loaded["tables"] if t["name"] == name)
    return found


def test_the_identity_column_meets_no_literal() -> None:
    loaded = data()
    rule = table(loaded, "clubs")["rule"]
    rule["comparisonControls"] = {
        "allowedLiteralComparisonColumns": ["member"],
        "allowedColumnComparisonColumns": ["member"],
    }
    with pytest.raises(ValidationError, match="identity column 'member' cannot be compared with literals"):
        Agreement.model_validate(loaded)
    rule["comparisonControls"]["allowedLiteralComparisonColumns"] = ["club"]
    Agreement.model_validate(loaded)


@pytest.mark.parametrize("column", ["phone", "score"])
def test_overlap_columns_are_compared_exactly(column: str) -> None:
    loaded = data()
    table(loaded, "people")["rule"]["overlapColumns"] = [column]
    with pytest.raises(ValidationError, match="compared exactly"):
        Agreement.model_validate(loaded)


def test_a_threshold_of_no_column() -> None:
    loaded = data()
    threshold = table(loaded, "lines")["rule"]["aggregationThresholds"][0]
    threshold["outputColumnThresholds"] = [{"outputColumnName": "colour", "minimumIdentityCount": 5}]
    with pytest.raises(ValidationError, match="unknown columns"):
        Agreement.model_validate(loaded)


def test_the_owners_sign_changed_templates() -> None:
    old = Agreement.model_validate(data())
    loaded = data() | {"version": 2, "previous": agreement_hash(old)}
    loaded["templates"][0]["sql"] += " LIMIT 3"
    loaded["templates"].append({"name": "more", "sql": "SELECT 1"})
    found = {
        change.path: (change.kind, change.touches)
        for change in changes(old, Agreement.model_validate(loaded))
    }
    assert found == {
        "templates.spend_by_kind": ("changed", ("bank", "shop", "telco")),
        "templates.more": ("added", ("bank", "shop", "telco")),
    }


def test_receivers_are_those_that_every_table_allows() -> None:
    room = Room(agreement=Agreement.model_validate(data()))
    question = check("SELECT DISTINCT offer FROM offers", room, "telco")
    assert plan(question, room, ["shop"]).receivers == ("shop",)
    with pytest.raises(Refusal) as caught:
        plan(question, room, ["shop", "telco"])
    refusal = caught.value
    assert (refusal.code, refusal.owner) == ("RECEIVER_NOT_ALLOWED", "telco")
    assert refusal.rule == "tables.offers.rule.allowedResultReceivers"
    assert refusal.remedy == "send the answer to shop"
