# SPDX-License-Identifier: Apache-2.0
"""Whole questions at the edges of the grammar, in full; and what a Question carries of its room."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from tests.rules.pairs import room

from hitoku.errors import Refusal
from hitoku.questions import OutputKind, check
from hitoku.room.agreement import Agreement, Room
from hitoku.room.canonical import agreement_hash

from .test_custom_exact import told
from .test_mutants_forms import entries

# The package has a function of the same name.
MODULE = import_module("hitoku.questions.check")
ROOM, CUSTOM = room(), room("custom.yaml")


@pytest.mark.parametrize("entry", entries("edges.yaml"))
def test_a_question_at_the_edge(entry: dict[str, Any]) -> None:
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


def test_what_a_question_carries() -> None:
    sql = (
        "SELECT segment, SUM(spend) AS s FROM customers c JOIN accounts a ON c.phone = a.phone "
        "JOIN subscribers u ON u.phone = c.phone GROUP BY segment"
    )
    question = check(sql, ROOM, "shop")
    assert question.asker == "shop"
    assert question.room_hash == agreement_hash(ROOM.agreement)
    assert question.tables == ("accounts", "customers", "subscribers")
    assert question.owners == ("bank", "shop", "telco")
    assert [table.name for table in question.sources] == list(question.tables)
    assert [(c.table, c.column, c.owner, c.minimum, c.alias, c.sql) for c in question.constraints] == [
        ("accounts", "phone", "bank", 30, "_hitoku_unit_1", 'COUNT(DISTINCT "accounts"."phone")'),
        ("customers", "phone", "shop", 10, "_hitoku_unit_2", 'COUNT(DISTINCT "customers"."phone")'),
        ("subscribers", "phone", "telco", 50, "_hitoku_unit_3", 'COUNT(DISTINCT "subscribers"."phone")'),
    ]
    assert (question.template, question.privacy) == (None, None)


def test_lists_noise_and_templates() -> None:
    listed = check("SELECT DISTINCT item, price FROM catalog", CUSTOM, "shop")
    assert [o.kind for o in listed.outputs] == [OutputKind.LISTED] * 2
    assert listed.constraints == ()
    noised = check("SELECT COUNT(*) AS n FROM trips", CUSTOM, "shop")
    assert noised.privacy is not None
    assert noised.constraints == ()
    assert check("EXECUTE spend_by_kind", CUSTOM, "shop").template == "spend_by_kind"
    assert check("SELECT COUNT(*) AS n FROM catalog", CUSTOM, "shop").constraints == ()


def test_kinds_and_sources_of_all_branches_count() -> None:
    sql = (
        "SELECT region AS r, COUNT(phone) AS n, 1 AS x FROM customers GROUP BY region UNION ALL "
        "SELECT city, COUNT(store), AVG(size) FROM stores GROUP BY city"
    )
    assert [(o.name, o.kind, o.sources) for o in check(sql, ROOM, "shop").outputs] == [
        ("r", OutputKind.DIMENSION, (("customers", "region"), ("stores", "city"))),
        ("n", OutputKind.AGGREGATE, (("customers", "phone"), ("stores", "store"))),
        ("x", OutputKind.AGGREGATE, (("stores", "size"),)),
    ]
    window = "SELECT item, RANK() OVER (ORDER BY item) AS r FROM catalog GROUP BY item"
    assert [o.kind for o in check(window, CUSTOM, "shop").outputs] == [
        OutputKind.DIMENSION,
        OutputKind.AGGREGATE,
    ]


def test_ordering_and_limits_are_kept() -> None:
    sql = (
        "SELECT region, COUNT(phone) AS n FROM customers GROUP BY region ORDER BY n DESC, region NULLS FIRST"
    )
    form = check(f"{sql} LIMIT 7 OFFSET 3", ROOM, "shop").form
    assert [(o.value.text, o.descending, o.nulls_first) for o in form.order] == [
        ('COUNT("customers"."phone")', True, False),
        ('"customers"."region"', False, True),
    ]
    assert (form.limit, form.offset) == (7, 3)
    assert (check(sql, ROOM, "shop").form.limit, check(sql, ROOM, "shop").form.offset) == (None, 0)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE " + "(" * 20 + "age > 3" + ")" * 20,
        "((SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE age > 3))",
    ],
)
def test_brackets_change_nothing(sql: str) -> None:
    plain = check("SELECT COUNT(DISTINCT phone) AS n FROM customers WHERE age > 3", ROOM, "shop")
    assert check(sql, ROOM, "shop").hash == plain.hash


def test_what_is_too_deep_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def deep(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(MODULE, "_form", deep)
    with pytest.raises(Refusal) as caught:
        check("SELECT COUNT(DISTINCT phone) AS n FROM customers", ROOM, "shop")
    refusal = caught.value
    assert (refusal.code, refusal.clause, refusal.params) == ("TOO_DEEP", "SQL", {"limit": "200"})
    assert refusal.__cause__ is None


def test_a_question_without_a_threshold_is_refused_where_the_rules_should_have_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MODULE, "_constraints", lambda *_: ())
    with pytest.raises(Refusal) as caught:
        check("SELECT COUNT(DISTINCT phone) AS n FROM customers", ROOM, "shop")
    assert (caught.value.code, caught.value.clause) == ("NO_THRESHOLD", "FROM")
    assert check("SELECT COUNT(*) AS n FROM catalog", CUSTOM, "shop").constraints == ()


def test_a_template_is_not_edited_but_a_room_may_be_changed() -> None:
    """The asker cannot edit an approved text; a remedy that its owner can make stays."""
    with pytest.raises(Refusal) as caught:
        check("EXECUTE not_approved", CUSTOM, "shop")
    assert caught.value.change is not None
    assert caught.value.change.action == "add"
    with pytest.raises(Refusal) as caught:
        check("EXECUTE all_types(rows := -1)", CUSTOM, "shop")
    assert (caught.value.code, caught.value.change) == ("LIMIT_FORM", None)
    data = CUSTOM.agreement.model_dump(mode="json", by_alias=True)
    data["templates"].append({"name": "twice", "sql": "SELECT COUNT(*) AS n, COUNT(*) AS n FROM people"})
    with pytest.raises(Refusal) as caught:
        check("EXECUTE twice", Room(agreement=Agreement.model_validate(data)), "shop")
    assert (caught.value.code, caught.value.change) == ("DUPLICATE_OUTPUT", None)
