# SPDX-License-Identifier: Apache-2.0
"""Groups, conditions on groups, names of outputs and nested SELECTs, in full."""

from __future__ import annotations

from typing import Any

import pytest
from tests.rules.pairs import room

from hitoku.errors import Refusal
from hitoku.questions import check

from .test_custom_exact import told
from .test_mutants_forms import entries

ROOM = room()


@pytest.mark.parametrize("entry", entries("blocks.yaml"))
def test_a_block(entry: dict[str, Any]) -> None:
    if "normal" in entry:
        question = check(entry["sql"], ROOM, "shop")
        assert (question.sql, [output.name for output in question.outputs]) == (
            entry["normal"],
            entry["names"],
        )
        return
    with pytest.raises(Refusal) as caught:
        check(entry["sql"], ROOM, "shop")
    assert told(caught.value, entry["sql"]) == {name: fact for name, fact in entry.items() if name != "sql"}


def test_the_longest_name() -> None:
    longest = "x" * 128
    named = "SELECT COUNT(phone) AS {} FROM customers"
    assert check(named.format(longest), ROOM, "shop").outputs[0].name == longest
    with pytest.raises(Refusal) as caught:
        check(named.format(longest + "x"), ROOM, "shop")
    refusal = caught.value
    assert (refusal.code, refusal.clause, refusal.params) == ("OUTPUT_NAME", "SELECT", {"place": "1"})


def test_another_name_for_the_second_of_two_fits() -> None:
    longest = "x" * 128
    sql = f"SELECT COUNT(phone) AS {longest}, SUM(spend) AS {longest} FROM customers"
    with pytest.raises(Refusal) as caught:
        check(sql, ROOM, "shop")
    change = caught.value.change
    assert change is not None
    assert [text for _, _, text in change.edits] == ['"' + "x" * 124 + '_2"']


def test_a_hidden_name_is_refused_from_its_first_letters() -> None:
    for name in ("_hitoku", "_hitokux", "_HITOKU_1"):
        with pytest.raises(Refusal) as caught:
            check(f"SELECT COUNT(phone) AS {name} FROM customers", ROOM, "shop")
        assert caught.value.code == "OUTPUT_NAME"
    assert check("SELECT COUNT(phone) AS _hitok FROM customers", ROOM, "shop").outputs[0].name == "_hitok"


def test_outputs_have_places() -> None:
    sql = "SELECT region, COUNT(phone) + 1 AS n FROM customers GROUP BY region"
    spans = [item.value.span for item in check(sql, ROOM, "shop").form.blocks[0].items]
    assert [None if s is None else sql[s.start : s.end] for s in spans] == ["region", "COUNT(phone) + 1"]
