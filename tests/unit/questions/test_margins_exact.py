# SPDX-License-Identifier: Apache-2.0
"""Which branches of a question count the same rows, which stays, and what they have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlglot import parse_one
from tests.rules.pairs import room

from hitoku.questions import check
from hitoku.questions.form import Block, Family, Form, Item, Left, Ref, Use, Value
from hitoku.questions.margins import related


def value(sql: str) -> Value:
    node = parse_one(sql, dialect="duckdb")
    return Value(node, Family.BOOLEAN, (Use(Ref("t", "a")),))


def block(*, tables: tuple[str, ...] = ("t",), listing: bool = False, **parts: Any) -> Block:
    texts = {
        name: tuple(value(sql) for sql in parts.get(name, ())) for name in ("on", "where", "groups", "having")
    }
    items = (Item("n", value("COUNT(*)")),)
    lefts = tuple(Left(table, tuple(value(sql) for sql in on)) for table, on in parts.get("lefts", ()))
    return Block(
        tables, texts["on"], lefts, texts["where"], texts["groups"], items, texts["having"], listing=listing
    )


def told(*blocks: Block) -> list[dict[str, Any]]:
    return [
        {
            "branches": [
                (b.blocks, [g.text for g in b.groups], [w.text for w in b.where]) for b in found.branches
            ],
            "kept": found.kept,
            "common": [w.text for w in found.rows.where],
        }
        for found in related(Form(blocks))
    ]


def test_a_total_and_its_parts() -> None:
    assert told(block(groups=("t.a",)), block()) == [
        {"branches": [((0,), ["t.a"], []), ((1,), [], [])], "kept": 0, "common": []}
    ]


def test_one_branch_has_no_relations() -> None:
    assert told(block(groups=("t.a",))) == []
    assert told() == []


def test_equal_branches_are_one_and_one_alone_is_none() -> None:
    assert told(block(groups=("t.a",)), block(groups=("t.a",))) == []
    assert told(block(groups=("t.a",)), block(), block(groups=("t.a",)), block()) == [
        {"branches": [((0, 2), ["t.a"], []), ((1, 3), [], [])], "kept": 0, "common": []}
    ]


def test_having_makes_no_other_rows() -> None:
    assert told(block(groups=("t.a",)), block(groups=("t.a",), having=("COUNT(*) > 3",))) == []


def test_groups_and_conditions_count_in_any_order() -> None:
    one = block(groups=("t.a", "t.b"), where=("t.c", "t.d"))
    other = block(groups=("t.b", "t.a"), where=("t.d", "t.c"))
    assert told(one, other) == []


def test_conditions_of_all_are_of_the_rows() -> None:
    blocks = (
        block(where=("t.x", "t.y"), groups=("t.a",)),
        block(where=("t.y", "t.z")),
        block(where=("t.y",)),
    )
    assert told(*blocks) == [
        {
            "branches": [((0,), ["t.a"], ["t.x"]), ((1,), [], ["t.z"]), ((2,), [], [])],
            "kept": 0,
            "common": ["t.y"],
        }
    ]


@pytest.mark.parametrize(
    ("groups", "kept"),
    [
        ([(), ("t.a",)], 1),
        ([("t.a",), ()], 0),
        ([("t.a",), ("t.b",)], 0),
        ([(), ("t.a",), ("t.a", "t.b"), ("t.b",), ("t.b", "t.c")], 2),
    ],
)
def test_the_branch_with_most_keys_is_kept_the_first_of_equals(
    groups: list[tuple[str, ...]], kept: int
) -> None:
    assert [found["kept"] for found in told(*(block(groups=g) for g in groups))] == [kept]


def test_other_tables_and_other_joins_are_not_related() -> None:
    plain, parts = block(), block(groups=("t.a",))
    assert told(plain, block(tables=("u",), groups=("t.a",))) == []
    assert told(plain, block(groups=("t.a",), on=("t.a = u.a",))) == []
    assert told(plain, block(groups=("t.a",), lefts=(("u", ("t.a = u.a",)),))) == []
    with_u, with_v = (block(groups=("t.a",), lefts=((n, ("t.a = u.a",)),)) for n in ("u", "v"))
    assert told(replace(with_u, groups=()), with_v) == []
    assert told(block(lefts=(("u", ("t.b = u.a",)),)), with_u) == []
    assert len(told(replace(with_u, groups=()), with_u)) == 1
    assert len(told(plain, parts)) == 1


def test_joins_are_the_same_in_any_order() -> None:
    one = block(tables=("t", "u"), on=("t.a = u.a", "t.b = u.b"))
    other = block(tables=("t", "u"), on=("t.b = u.b", "t.a = u.a"), groups=("t.a",))
    assert len(told(one, other)) == 1
    left = block(lefts=(("u", ("t.a = u.a", "t.b = u.b")),))
    turned = block(lefts=(("u", ("t.b = u.b", "t.a = u.a")),), groups=("t.a",))
    assert len(told(left, turned)) == 1


def test_several_sets_stand_in_the_order_of_their_first_branches() -> None:
    u = block(tables=("u",), groups=("t.a",))
    found = told(u, block(), replace(u, groups=()), block(groups=("t.b",)), block(tables=("v",)))
    assert [[b[0] for b in one["branches"]] for one in found] == [[(0,), (2,)], [(1,), (3,)]]


def test_rows_that_are_listed_are_not_related() -> None:
    assert told(block(listing=True), block(listing=True, where=("t.x",))) == []
    assert told(block(listing=True), block(), block(groups=("t.a",)))[0]["branches"] == [
        ((1,), [], []),
        ((2,), ["t.a"], []),
    ]


def test_the_rows_have_the_joins_and_nothing_of_the_branches() -> None:
    sql = (
        "SELECT plan, COUNT(DISTINCT u.phone) AS n FROM subscribers u JOIN customers c ON u.phone = c.phone "
        "WHERE c.age > 3 GROUP BY plan HAVING COUNT(DISTINCT u.phone) > 60 UNION ALL "
        "SELECT 'all', COUNT(DISTINCT u.phone) FROM subscribers u JOIN customers c ON u.phone = c.phone "
        "WHERE c.age > 3"
    )
    (found,) = related(check(sql, room(), "shop").form)
    assert found.rows.tables == ("customers", "subscribers")
    assert [c.text for c in found.rows.on] == ['"customers"."phone" = "subscribers"."phone"']
    assert (found.rows.groups, found.rows.items, found.rows.having) == ((), (), ())
    assert [w.text for w in found.rows.where] == ['"customers"."age" > 3']
