# SPDX-License-Identifier: Apache-2.0
"""Normal forms and refusals, word for word, of many questions: what no other test would miss if it changed.

Members sign hashes of normal forms, so they must not drift from version to version. A refusal is only of use
if it points at the place, names the rule and its owner.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hitoku.errors import Refusal
from hitoku.questions import check
from hitoku.room.agreement import Agreement, Room

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "rules"


def entries(name: str) -> list[Any]:
    read = yaml.load((HERE / name).read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return [pytest.param(entry, id=f"{number}") for number, entry in enumerate(read)]


_ROOMS: dict[str, Room] = {}


def asked(entry: dict[str, Any]) -> Any:
    name = entry.get("room", "room.yaml")
    if name not in _ROOMS:
        agreement = Agreement.model_validate(yaml.safe_load((RULES / name).read_text("utf-8")))
        _ROOMS[name] = Room(agreement=agreement)
    return check(entry["sql"], _ROOMS[name], entry.get("asker", "shop"))


@pytest.mark.parametrize("entry", entries("accepted.yaml"))
def test_the_normal_form_and_the_outputs(entry: dict[str, Any]) -> None:
    question = asked(entry)
    outputs = [
        f"{o.name}: {o.kind.value}" + "".join(f" {table}.{column}" for table, column in o.sources)
        for o in question.outputs
    ]
    assert question.sql == entry["normal"]
    assert outputs == entry["outputs"]


@pytest.mark.parametrize("entry", entries("refused.yaml"))
def test_the_refusal_says_where_which_rule_and_whose(entry: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        asked(entry)
    refusal = caught.value
    span = refusal.span
    told = {
        "code": refusal.code,
        "clause": refusal.clause,
        "at": None if span is None else entry["sql"][span.start : span.end],
        "rule": refusal.rule,
        "owner": refusal.owner,
    }
    assert {key: value for key, value in told.items() if value is not None} == {
        key: value for key, value in entry.items() if key not in {"sql", "room", "asker"}
    }
