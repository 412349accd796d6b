# SPDX-License-Identifier: Apache-2.0
"""`hitoku room import-rule`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Place

from hitoku.room.files import load_room
from hitoku.room.rules import AggregationRule

RULE = {
    "analysisRule": {
        "policy": {
            "v1": {
                "aggregation": {
                    "aggregateColumns": [{"columnNames": ["tailnum"], "function": "COUNT_DISTINCT"}],
                    "joinColumns": ["tailnum"],
                    "dimensionColumns": [],
                    "scalarFunctions": ["SOUNDEX"],
                    "outputConstraints": [{"columnName": "tailnum", "minimum": 33, "type": "COUNT_DISTINCT"}],
                    "allowedResultReceivers": ["111122223333"],
                }
            }
        }
    }
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rule.json"
    path.write_text(json.dumps(RULE))
    return path


def test_it_prints_the_rule_and_what_is_missing(file: Path, hitoku: Any) -> None:
    code, out, _ = hitoku("room", "import-rule", file, "--table", "flights", "--account", "111122223333=host")
    assert code == 0
    assert "minimum: 33" in out
    assert "ALLOWS MORE:" in out
    assert "host" in out
    assert "allows less:" in out
    assert "SOUNDEX" in out


def test_json_has_rule_and_notes(file: Path, hitoku: Any) -> None:
    code, out, _ = hitoku("room", "import-rule", file, "--table", "flights", "--json")
    assert code == 0
    data = json.loads(out)
    assert data["rule"]["outputConstraints"][0]["minimum"] == 33
    assert {note["code"] for note in data["notes"]} == {"FUNCTION", "RECEIVERS"}


def test_into_a_room(file: Path, place: Place, hitoku: Any) -> None:
    before = load_room(place.room_file).agreement
    code, out, _ = hitoku("room", "import-rule", file, "--table", "flights", "--room", place.room_file)
    assert code == 0
    after = load_room(place.room_file).agreement
    table = after.table("flights")
    assert table is not None
    assert isinstance(table.rule, AggregationRule)
    assert table.rule.output_constraints[0].minimum == 33
    assert after.version == before.version + 1
    assert "its owner signs it" in out


@pytest.mark.parametrize("more", [["--account", "x"], ["--template", "a=b"]], ids=["account", "template"])
def test_wrong_arguments(hitoku: Any, file: Path, more: list[str]) -> None:
    assert hitoku("room", "import-rule", file, "--table", "flights", *more)[0] == 4


def test_a_table_that_is_not_there(hitoku: Any, file: Path, place: Place) -> None:
    code, _, _ = hitoku("room", "import-rule", file, "--table", "nothing", "--room", place.room_file)
    assert code == 5
