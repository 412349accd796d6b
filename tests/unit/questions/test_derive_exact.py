# SPDX-License-Identifier: Apache-2.0
"""What questions reveal, in full: every column of every output, every way in order, every comparison."""

from __future__ import annotations

from typing import Any

import pytest
from tests.rules.pairs import room

from hitoku.questions import check
from hitoku.questions.derive import By, Level, Reveal, Way, derive, levels
from hitoku.questions.flows import Comparison
from hitoku.questions.rules import Rules
from hitoku.questions.words import protected_by, revealed

from .test_mutants_forms import entries


def shown(comparison: Comparison) -> str:
    columns = ", ".join(f"{ref.table}.{ref.column}" for ref in comparison.refs)
    kinds = (" literal" if comparison.literal else "") + (" column" if comparison.column else "")
    return f"{columns}: {comparison.by.value}{kinds}"


def told(reveal: Reveal) -> str:
    ways = ", ".join(f"{way.level.value} {way.by.value}" for way in reveal.ways)
    return f"{reveal.table}.{reveal.column} of {reveal.owner}: {ways}{' noised' if reveal.noised else ''}"


@pytest.mark.parametrize("entry", entries("reveals.yaml"))
def test_what_a_question_reveals(entry: dict[str, Any]) -> None:
    place = room(entry.get("room", "room.yaml"))
    question = check(entry["sql"], place, "shop")
    names = [output.name for output in question.outputs]
    found = [[told(reveal) for reveal in output] for output in question.reveals]
    assert dict(zip(names, found, strict=True)) == entry["outputs"]
    derivation = derive(question.form, Rules(place.agreement, "shop"))
    assert derivation.outputs == question.reveals
    comparisons = [f"{n}: {shown(c)}" for n, block in enumerate(derivation.blocks) for c in block.comparisons]
    comparisons += [f"order: {shown(c)}" for c in derivation.comparisons]
    assert comparisons == entry.get("comparisons", [])
    counting = [n for n, block in enumerate(derivation.blocks) if block.counts_rows]
    assert counting == entry.get("rows_counted", [])
    assert (revealed(question), protected_by(question)) == (entry["revealed"], entry["protected"])


def test_levels_are_of_one_column_of_one_table() -> None:
    reveals = [
        Reveal("a", "x", "shop", (Way(Level.PLAIN, By.SELECT), Way(Level.AFTER_COMPARE, By.WHERE))),
        Reveal("a", "y", "shop", (Way(Level.AFTER_JOIN, By.JOIN),)),
        Reveal("b", "x", "shop", (Way(Level.AFTER_AGGREGATE, By.SELECT),)),
    ]
    assert levels(reveals, "a", "x") == {Level.PLAIN, Level.AFTER_COMPARE}
    assert levels(reveals, "a", "y") == {Level.AFTER_JOIN}
    assert levels(reveals, "b", "x") == {Level.AFTER_AGGREGATE}
    assert levels(reveals, "b", "y") == {Level.NEVER}


def test_a_reveal_is_data() -> None:
    reveal = Reveal(
        "a", "x", "shop", (Way(Level.AFTER_GROUP_BY, By.GROUP_BY), Way(Level.PLAIN, By.SET)), True
    )
    assert reveal.to_dict() == {
        "table": "a",
        "column": "x",
        "owner": "shop",
        "ways": [{"level": "after_group_by", "by": "GROUP BY"}, {"level": "plain", "by": "set operation"}],
        "noised": True,
    }
    assert Reveal("a", "x", "shop", ()).to_dict()["noised"] is False


def test_levels_and_parts_of_a_question_have_lasting_names_and_order() -> None:
    assert [level.value for level in Level] == [
        *(
            "plain",
            "after_join",
            "after_group_by",
            "one_of_group",
            "after_aggregate",
            "after_compare",
            "never",
        ),
    ]
    assert [by.value for by in By] == [
        *("SELECT", "OVER", "JOIN", "WHERE", "GROUP BY", "HAVING"),
        *("ORDER BY", "LIMIT", "DISTINCT", "set operation", "threshold"),
    ]


def test_flows_of_a_block_keep_their_part_of_it() -> None:
    """Of each output, of rows and of groups apart: the verdict and the minima read them one by one."""
    sql = (
        "SELECT l.tariff, SUM(p.spend) AS s FROM people p JOIN lines l ON p.phone = l.phone "
        "WHERE p.age > 3 GROUP BY l.tariff HAVING AVG(p.score) > 1 ORDER BY AVG(l.minutes)"
    )
    place = room("custom.yaml")
    derivation = derive(check(sql, place, "shop").form, Rules(place.agreement, "shop"))
    (block,) = derivation.blocks

    def flows(found: Any) -> list[tuple[str, str, str, str | None, bool]]:
        return [
            (
                f"{f.ref.table}.{f.ref.column}",
                f.level.value,
                f.by.value,
                f.function and f.function.value,
                f.bare,
            )
            for f in found
        ]

    assert flows(block.rows) == [
        ("lines.phone", "after_join", "JOIN", None, False),
        ("people.phone", "after_join", "JOIN", None, False),
        ("people.age", "after_compare", "WHERE", None, False),
    ]
    assert flows(block.groups) == [
        ("lines.tariff", "after_group_by", "GROUP BY", None, True),
        ("people.score", "after_aggregate", "HAVING", "AVG", False),
    ]
    assert [flows(item) for item in block.items] == [
        [("lines.tariff", "after_group_by", "SELECT", None, True)],
        [("people.spend", "after_aggregate", "SELECT", "SUM", False)],
    ]
    assert flows(derivation.order) == [("lines.minutes", "after_aggregate", "ORDER BY", "AVG", False)]
    assert block.counts_rows is False


def test_comparisons_are_gathered_for_custom_rules_alone() -> None:
    place = room()
    sql = (
        "SELECT region, COUNT(phone) AS n FROM customers WHERE age > 3 GROUP BY region ORDER BY UPPER(region)"
    )
    derivation = derive(check(sql, place, "shop").form, Rules(place.agreement, "shop"))
    assert [block.comparisons for block in derivation.blocks] == [()]
    assert derivation.comparisons == ()
