# SPDX-License-Identifier: Apache-2.0
"""Reveals and protections in words, and the tree that people read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.rules.pairs import room

from hitoku.questions import check
from hitoku.questions.derive import By, Level, Reveal, Way
from hitoku.questions.question import Question
from hitoku.questions.words import protected_by, reveal_tree, revealed

ROOM = room()


def question(*outputs: tuple[Reveal, ...]) -> Question:
    return replace(check("SELECT COUNT(phone) AS n FROM customers", ROOM, "shop"), reveals=outputs)


def reveal(column: str, *levels: Level, table: str = "t") -> Reveal:
    return Reveal(table, column, "shop", tuple(Way(level, By.SELECT) for level in levels))


def test_levels_of_all_outputs_together_in_their_order() -> None:
    outputs = (
        (reveal("b", Level.AFTER_COMPARE), reveal("a", Level.NEVER)),
        (reveal("b", Level.PLAIN, Level.AFTER_GROUP_BY), reveal("a", Level.AFTER_JOIN, table="s")),
    )
    assert revealed(question(*outputs)) == (
        "s.a after join; t.a never; t.b plain and after group by and after compare"
    )


def test_no_column() -> None:
    assert revealed(question()) == "no column"
    assert revealed(question(())) == "no column"


@pytest.mark.parametrize(
    ("count", "more"), [(19, ""), (20, ""), (21, "; 1 more columns"), (25, "; 5 more columns")]
)
def test_long_lists_are_cut(count: int, more: str) -> None:
    names = [f"c{n:02}" for n in range(count)]
    told = revealed(question(tuple(reveal(name, Level.PLAIN) for name in names)))
    assert told == "; ".join(f"t.{name} plain" for name in names[:20]) + more


@pytest.mark.parametrize(
    ("sql", "place", "words"),
    [
        (
            "SELECT COUNT(DISTINCT s.phone) AS n FROM customers c JOIN subscribers s ON c.phone = s.phone",
            "room.yaml",
            "every released row rests on at least 10 of customers.phone, 50 of subscribers.phone",
        ),
        ("SELECT COUNT(*) AS n FROM trips", "custom.yaml", "every figure carries noise"),
        (
            "SELECT COUNT(*) AS n FROM catalog c JOIN trips t ON c.phone = t.phone",
            "custom.yaml",
            "every figure carries noise",
        ),
        ("SELECT DISTINCT item FROM catalog", "custom.yaml", "every listed row, and no threshold protects"),
        (
            "SELECT COUNT(*) AS n FROM catalog",
            "custom.yaml",
            "no threshold protects: a row may rest on one person",
        ),
    ],
)
def test_what_protects(sql: str, place: str, words: str) -> None:
    assert protected_by(check(sql, room(place), "shop")) == words


def test_the_tree() -> None:
    def way(level: str, by: str) -> dict[str, str]:
        return {"level": level, "by": by}

    def column(name: str, noised: bool, *ways: dict[str, str]) -> dict[str, Any]:
        return {"table": "t", "column": name, "owner": "shop", "noised": noised, "ways": list(ways)}

    joined, compared = way("after_join", "JOIN"), way("after_compare", "WHERE")
    outputs: list[dict[str, Any]] = [
        {
            "name": "x",
            "kind": "dimension",
            "reveals": [
                column("a", False, joined, way("after_compare", "SELECT"), compared),
                column("b", True, joined),
                column("c", False, way("plain", "SELECT")),
            ],
        },
        {"name": "y", "kind": "aggregate", "reveals": []},
        {"name": "z", "kind": "listed", "reveals": [column("a", True, compared)]},
    ]
    assert reveal_tree(outputs) == [
        "  x (dimension)",
        "    ├─ t.a of shop: after join (JOIN), after compare (SELECT, WHERE)",
        "    ├─ t.b of shop: after join (JOIN), noised",
        "    └─ t.c of shop: plain (SELECT)",
        "  y (aggregate)",
        "    └─ no column",
        "  z (listed)",
        "    └─ t.a of shop: after compare (WHERE), noised",
    ]
    assert reveal_tree([]) == []
