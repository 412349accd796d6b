# SPDX-License-Identifier: Apache-2.0
"""What each output reveals, example by example; and that the verdict is an opinion of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.rules.pairs import pairs

from hitoku.errors import Refusal
from hitoku.protections.registry import choices
from hitoku.questions import check, explain, may_go_on
from hitoku.questions.custom import has_threshold
from hitoku.questions.derive import By, Level, Way, derive, levels
from hitoku.questions.form import Block, Family, Form, Item, Ref, Use, Value, column_node
from hitoku.questions.rules import Rules
from hitoku.questions.verdict import judge
from hitoku.questions.words import protected_by, reveal_tree, revealed
from hitoku.room.agreement import Agreement, Room
from hitoku.room.rules import CustomRule

HERE = Path(__file__).parents[2] / "rules"


def load(name: str) -> Room:
    return Room(agreement=Agreement.model_validate(yaml.safe_load((HERE / name).read_text("utf-8"))))


REVIEW, CUSTOM = load("room.yaml"), load("custom.yaml")


def ways(sql: str, room: Room = REVIEW, output: int = 0) -> dict[str, set[tuple[str, str]]]:
    return {
        f"{r.table}.{r.column}": {(way.level.value, way.by.value) for way in r.ways}
        for r in check(sql, room, "shop").reveals[output]
    }


def test_filters_joins_and_thresholds_come_through_every_output() -> None:
    sql = (
        "SELECT plan, SUM(spend) AS s FROM customers c JOIN subscribers u ON c.phone = u.phone "
        "WHERE age > 30 GROUP BY plan HAVING AVG(score) > 1"
    )
    common = {
        "customers.phone": {("after_join", "JOIN"), ("after_aggregate", "threshold")},
        "subscribers.phone": {("after_join", "JOIN"), ("after_aggregate", "threshold")},
        "customers.age": {("after_compare", "WHERE")},
        "customers.score": {("after_aggregate", "HAVING")},
    }
    assert ways(sql) == {
        **common,
        "subscribers.plan": {("after_group_by", "SELECT"), ("after_group_by", "GROUP BY")},
    }
    assert ways(sql, output=1) == {
        **common,
        "subscribers.plan": {("after_group_by", "GROUP BY")},
        "customers.spend": {("after_aggregate", "SELECT")},
    }


def test_a_case_compares_its_conditions_and_shows_its_results() -> None:
    found = ways(
        "SELECT CASE WHEN age > 30 THEN region ELSE 'x' END AS g, COUNT(phone) AS n FROM customers GROUP BY 1"
    )
    assert found["customers.age"] == {("after_compare", "SELECT"), ("after_compare", "GROUP BY")}
    assert found["customers.region"] == {("after_group_by", "SELECT"), ("after_group_by", "GROUP BY")}


def test_rows_are_plain_alone_and_after_join_together() -> None:
    assert ways("SELECT DISTINCT item FROM catalog", CUSTOM)["catalog.item"] >= {("plain", "SELECT")}
    joined = "SELECT DISTINCT c.item, o.offer FROM catalog c JOIN offers o ON c.phone = o.phone"
    assert ways(joined, CUSTOM)["catalog.item"] >= {("after_join", "SELECT")}
    assert ways(joined, CUSTOM)["offers.offer"] == {("after_compare", "DISTINCT")}


def test_windows_sorting_and_set_operations() -> None:
    ranked = "SELECT region, RANK() OVER (ORDER BY SUM(age)) AS r FROM customers GROUP BY region"
    assert ways(ranked, output=1)["customers.age"] == {("after_aggregate", "OVER")}
    assert "customers.age" not in ways(ranked)
    sorted_ = "SELECT region, SUM(age) AS s FROM customers GROUP BY region ORDER BY AVG(score)"
    assert ways(sorted_)["customers.score"] == {("after_aggregate", "ORDER BY")}
    assert "customers.age" not in ways(sorted_)
    limited = sorted_ + " LIMIT 3"
    assert ways(limited)["customers.age"] == {("after_aggregate", "LIMIT")}
    united = (
        "SELECT region, SUM(age) AS s FROM customers GROUP BY region {} "
        "SELECT city, COUNT(store) FROM stores GROUP BY city"
    )
    assert "customers.age" not in ways(united.format("UNION ALL"))
    assert ways(united.format("UNION"))["customers.age"] == {("after_aggregate", "set operation")}


def test_what_is_not_read_is_never_revealed() -> None:
    (output,) = check("SELECT COUNT(DISTINCT phone) AS n FROM customers", REVIEW, "shop").reveals
    assert levels(output, "customers", "age") == {Level.NEVER}
    assert levels(output, "customers", "phone") == {Level.AFTER_AGGREGATE}


def test_noised_figures_are_marked() -> None:
    kind, count = check(
        "SELECT kind, COUNT(DISTINCT phone) AS n FROM trips GROUP BY kind", CUSTOM, "shop"
    ).reveals
    assert not any(reveal.noised for reveal in kind)
    assert all(reveal.noised for reveal in count)
    assert Way(Level.AFTER_AGGREGATE, By.THRESHOLD) in kind[1].ways


# --- the second opinion ---


def column(table: str, name: str, family: Family = Family.STRING) -> Value:
    ref = Ref(table, name)
    return Value(column_node(ref), family, (Use(ref),), plain=ref)


def form(sql: str, room: Room = REVIEW) -> Form:
    return check(sql, room, "shop").form


def judged(made: Form, room: Room = REVIEW) -> str | None:
    rules = Rules(room.agreement, "shop")
    try:
        judge(derive(made, rules), rules)
    except Refusal as refusal:
        return refusal.code
    return None


GROUPED = "SELECT region, COUNT(phone) AS n FROM customers WHERE age > 3 GROUP BY region"
LISTED = "SELECT DISTINCT tier, offer FROM contacts c JOIN leads l ON c.phone = l.phone"


def altered(sql: str, **parts: object) -> Form:
    """A form that the checker would never make."""
    made = form(sql)
    block: Block = replace(made.blocks[0], **parts)  # type: ignore[arg-type]
    return replace(made, blocks=(block,))


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (form(GROUPED), None),
        (form(LISTED), None),
        (altered(GROUPED, groups=(column("customers", "phone"),)), "NOT_GRANTED"),
        (altered(GROUPED, groups=(column("customers", "spend", Family.NUMBER),)), "NOT_GRANTED"),
        (altered(GROUPED, items=(Item("x", column("customers", "city")),)), "NOT_GRANTED"),
        (altered(GROUPED, where=(column("customers", "city"),)), "NOT_GRANTED"),
        (altered(GROUPED, having=(column("customers", "city"),)), "NOT_GRANTED"),
        (altered(GROUPED, on=(column("customers", "region"),)), "NOT_GRANTED"),
        (altered(GROUPED, listing=True, groups=()), "NOT_GRANTED"),
        (altered(LISTED, items=(Item("x", column("contacts", "phone")),)), "NOT_GRANTED"),
        (altered(LISTED, items=(Item("x", column("leads", "internal_id")),)), "NOT_GRANTED"),
        (altered(LISTED, where=(column("leads", "phone"),)), "NOT_GRANTED"),
        (altered(LISTED, on=(column("leads", "offer"),)), "NOT_GRANTED"),
        (
            altered(LISTED, tables=("contacts",), on=(), items=(Item("x", column("contacts", "tier")),)),
            "NOT_GRANTED",
        ),
    ],
)
def test_the_verdict_refuses_what_the_checker_never_makes(made: Form, code: str | None) -> None:
    assert judged(made) == code


def test_the_verdict_refuses_aggregates_that_no_rule_lists() -> None:
    made = form("SELECT SUM(spend) AS s FROM customers")
    text = "SELECT COUNT(store) AS n FROM stores"
    item = form(text).blocks[0].items[0]
    for table, name in (("customers", "joined"), ("subscribers", "months")):
        node = item.value.node.copy()
        node.this.replace(column_node(Ref(table, name)))
        value = replace(item.value, node=node)
        block = replace(made.blocks[0], tables=(table,), items=(Item("n", value),))
        assert judged(replace(made, blocks=(block,))) == "NOT_GRANTED"


def test_the_verdict_refuses_a_count_of_rows_that_no_rule_lists() -> None:
    block = form("SELECT COUNT(*) AS n FROM customers").blocks[0]
    assert judged(Form((block,))) is None
    assert judged(Form((replace(block, tables=("cells",)),))) == "NOT_GRANTED"


def test_custom_rows_and_fingerprints() -> None:
    listed = form("SELECT DISTINCT item FROM catalog", CUSTOM)
    block = listed.blocks[0]
    shown = replace(block, items=(Item("x", column("catalog", "phone")),))
    assert judged(replace(listed, blocks=(shown,)), CUSTOM) == "NOT_GRANTED"
    for table, name in (("people", "region"), ("trips", "kind")):
        other = replace(block, tables=(table,), items=(Item("x", column(table, name)),))
        assert judged(replace(listed, blocks=(other,)), CUSTOM) == "NOT_GRANTED"


# --- thresholds of output columns ---


@pytest.mark.parametrize(
    ("sql", "minimum"),
    [
        ("SELECT COUNT(*) AS n FROM lines", 20),
        ("SELECT tariff, COUNT(DISTINCT phone) AS n FROM lines GROUP BY tariff", 20),
        ("SELECT tariff, SUM(minutes) AS m FROM lines GROUP BY tariff", 5),
        ("SELECT tariff, months, SUM(minutes) AS m FROM lines GROUP BY tariff, months", 50),
        ("SELECT SUM(minutes) AS m FROM lines", 5),
        ("SELECT SUM(minutes) AS m FROM lines WHERE months > 3", 5),
        ("SELECT SUM(minutes) AS m FROM lines GROUP BY months", 50),
        ("SELECT SUM(minutes) AS m FROM lines ORDER BY AVG(months)", 50),
        ("SELECT tariff, SUM(minutes) AS m FROM lines GROUP BY tariff HAVING AVG(months) > 2", 5),
    ],
)
def test_the_largest_minimum_of_what_is_shown(sql: str, minimum: int) -> None:
    assert [c.minimum for c in check(sql, CUSTOM, "shop").constraints] == [minimum]


def test_every_threshold_of_every_table_is_counted() -> None:
    exact = {t.name for t in CUSTOM.agreement.tables if isinstance(t.rule, CustomRule) and has_threshold(t)}
    assert exact >= {"people", "lines", "cards", "visits", "clubs"}
    for pair in pairs():
        if pair.accept and pair.room == "custom.yaml":
            question = check(pair.sql, CUSTOM, pair.asker)
            assert exact & set(question.tables) <= {c.table for c in question.constraints}


# --- in words ---


def test_the_tree_and_the_words() -> None:
    sql = "SELECT region, COUNT(DISTINCT phone) AS n FROM customers WHERE age > 3 GROUP BY region"
    data = explain(sql, REVIEW, "shop", choices).to_dict()
    tree = reveal_tree(data["question"]["outputs"])
    assert tree[0] == "  region (dimension)"
    assert "    ├─ customers.age of shop: after compare (WHERE)" in tree
    assert "    └─ customers.region of shop: after group by (SELECT, GROUP BY)" in tree
    assert data["question"]["outputs"][1]["reveals"][1] == {
        "table": "customers",
        "column": "phone",
        "owner": "shop",
        "ways": [
            {"level": "after_aggregate", "by": "SELECT"},
            {"level": "after_aggregate", "by": "threshold"},
        ],
        "noised": False,
    }
    question = check(sql, REVIEW, "shop")
    assert "customers.phone after aggregate" in revealed(question)
    answer = next(i for i in data["protections"][0]["learned"] if i["code"] == "ANSWER")
    assert "customers.age after compare" in answer["words"]
    assert "at least 10 of customers.phone" in answer["words"]


def test_no_threshold_is_said_plainly() -> None:
    rows = check("SELECT DISTINCT item FROM catalog", CUSTOM, "shop")
    groups = check("SELECT item, COUNT(*) AS n FROM catalog GROUP BY item", CUSTOM, "shop")
    noised = check("SELECT COUNT(*) AS n FROM trips", CUSTOM, "shop")
    assert "no threshold protects" in protected_by(rows)
    assert "no threshold protects" in protected_by(groups)
    assert "noise" in protected_by(noised)


def test_which_answers_may_go_on() -> None:
    assert may_go_on(check("SELECT COUNT(*) AS n FROM people", CUSTOM, "shop"), CUSTOM)
    assert not may_go_on(check("SELECT COUNT(*) AS n FROM lines", CUSTOM, "shop"), CUSTOM)
    assert not may_go_on(check("SELECT COUNT(phone) AS n FROM old", CUSTOM, "shop"), CUSTOM)
    both = "SELECT COUNT(*) AS n FROM people p JOIN lines l ON p.phone = l.phone"
    assert not may_go_on(check(both, CUSTOM, "shop"), CUSTOM)
