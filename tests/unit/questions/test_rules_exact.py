# SPDX-License-Identifier: Apache-2.0
"""The rules asked one by one: both sides of each, with clause, place, path, owner and remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from sqlglot import exp
from tests.rules.pairs import room

from hitoku import limits
from hitoku.errors import Refusal, Span
from hitoku.questions.form import Family, Ref, Use
from hitoku.questions.rules import Rules, lists
from hitoku.questions.text import parse
from hitoku.room.agreement import Agreement, Room
from hitoku.room.rules import (
    AggregateFunction,
    AggregationRule,
    CustomRule,
    JoinOperator,
    ListRule,
    ScalarFunction,
)

from .test_mutants_forms import RULES

ROOM, CUSTOM = room(), room("custom.yaml")
OURS, THEIRS = Rules(ROOM.agreement, "shop"), Rules(CUSTOM.agreement, "shop")
NODE = parse("SELECT  abc FROM t").expressions[0]
F = AggregateFunction


def use(name: str, at: int | None = 1) -> Use:
    return Use(Ref(*name.split(".")), None if at is None else Span(at, at + 3))


def altered(change: Callable[[dict[str, Any]], None]) -> Rules:
    """The rules of the room with its tables, by name, changed."""
    data: dict[str, Any] = yaml.safe_load((RULES / "room.yaml").read_text("utf-8"))
    change({table["name"]: table for table in data["tables"]} | {"settings": data["settings"]})
    return Rules(Room(agreement=Agreement.model_validate(data)).agreement, "shop")


def told(ask: Callable[[], object]) -> dict[str, Any] | None:
    try:
        ask()
    except Refusal as refusal:
        change = refusal.to_dict().get("change")
        facts = {
            "code": refusal.code,
            "clause": refusal.clause,
            "at": refusal.span and refusal.span.start,
            "rule": refusal.rule,
            "owner": refusal.owner,
            "change": change and (change["action"], change["rule"], change.get("value")),
        }
        params = {name: text for name, text in refusal.params.items() if name != "owner"}
        return {name: fact for name, fact in facts.items() if fact is not None} | params
    return None


def test_tables_and_columns_that_are_not_there() -> None:
    assert OURS.table("customers").owner == "shop"
    assert told(lambda: OURS.table("none")) == {"code": "UNKNOWN_TABLE", "clause": "FROM", "table": "none"}
    assert OURS.column(Ref("customers", "age")).name == "age"
    assert told(lambda: OURS.column(Ref("customers", "none"))) == {"code": "UNKNOWN_COLUMN", "column": "none"}


@pytest.mark.parametrize(
    ("column", "family"),
    [
        ("region", Family.STRING),
        ("vip", Family.BOOLEAN),
        ("joined", Family.DATE),
        ("last_seen", Family.TIMESTAMP),
        ("age", Family.NUMBER),
        ("spend", Family.NUMBER),
        ("score", Family.NUMBER),
    ],
)
def test_families(column: str, family: Family) -> None:
    assert OURS.family(Ref("customers", column)) is family


def test_a_table_that_may_be_asked() -> None:
    assert OURS.usable(NODE, "customers").name == "customers"
    assert told(lambda: OURS.usable(NODE, "no\tne" + "x" * 90)) == {
        "code": "UNKNOWN_TABLE",
        "clause": "FROM",
        "at": 8,
        "table": "no?ne" + "x" * 58,
    }
    assert told(lambda: OURS.usable(NODE, "payroll")) == {
        "code": "NO_RULE",
        "clause": "FROM",
        "at": 8,
        "rule": "tables.payroll.rule",
        "owner": "telco",
        "table": "payroll",
    }
    assert (told(lambda: THEIRS.usable(NODE, "private")) or {})["code"] == "ANALYSIS_NOT_ALLOWED"


def test_parts_that_stand_for_names_are_counted() -> None:
    rules = Rules(ROOM.agreement, "shop")
    rules.spend(limits.MAX_SQL_NODES, NODE)
    found = told(lambda: rules.spend(1, NODE))
    assert found is not None
    assert (found["code"], found["clause"], found["at"]) == ("TOO_MANY_PARTS", "SQL", 8)


def test_the_kind_of_all_tables() -> None:
    assert OURS.kind([]) is AggregationRule
    assert OURS.kind(["payroll"]) is AggregationRule
    assert OURS.kind(["customers", "visits"]) is AggregationRule
    assert OURS.kind(["leads", "contacts"]) is ListRule
    assert THEIRS.kind(["people"]) is CustomRule
    differ = {"code": "RULE_KINDS_DIFFER", "clause": "FROM"}
    assert told(lambda: OURS.kind(["visits", "leads", "customers", "contacts"])) == {
        **differ,
        "rule": "tables.contacts.rule",
        "owner": "shop",
        "tables": "contacts, leads",
        "others": "customers, visits",
    }
    assert told(lambda: THEIRS.kind(["old", "people", "oldlist", "lines"])) == {
        **differ,
        "rule": "tables.lines.rule",
        "owner": "telco",
        "tables": "lines, people",
        "others": "old, oldlist",
    }


def test_columns_that_may_be_joined() -> None:
    assert told(lambda: OURS.joinable(use("customers.phone"))) is None
    assert told(lambda: OURS.joinable(use("contacts.phone"))) is None
    assert told(lambda: OURS.joinable(use("customers.age"))) == {
        "code": "JOIN_COLUMN",
        "clause": "JOIN",
        "at": 1,
        "rule": "tables.customers.rule.joinColumns",
        "owner": "shop",
        "change": ("add", "tables.customers.rule.joinColumns", "age"),
        "table": "customers",
        "column": "age",
    }
    assert (told(lambda: OURS.joinable(use("payroll.phone"))) or {})["code"] == "JOIN_COLUMN"
    assert told(lambda: THEIRS.joinable(use("catalog.phone"))) is None
    assert told(lambda: THEIRS.joinable(use("catalog.note_sealed"))) == {
        "code": "ENCRYPTED_COLUMN",
        "clause": "JOIN",
        "at": 1,
        "owner": "shop",
        "protection": "sealed",
        "rule": "tables.catalog.columns.note_sealed.protection",
        "table": "catalog",
        "column": "note_sealed",
    }


def typed(**types: dict[str, Any]) -> Rules:
    """Other types for columns of customers, all cleartext."""

    def change(tables: dict[str, Any]) -> None:
        columns = tables["customers"]["columns"]
        for column in columns:
            if column["name"] in types:
                column.update(types[column["name"]])

    return altered(change)


@pytest.mark.parametrize(
    ("left", "right", "code"),
    [
        ({"type": "int"}, {"type": "int"}, None),
        ({"type": "int"}, {"type": "bigint"}, None),
        ({"type": "smallint"}, {"type": "bigint"}, None),
        ({"type": "bigint"}, {"type": "double"}, "JOIN_TYPES_DIFFER"),
        ({"type": "string"}, {"type": "int"}, "JOIN_TYPES_DIFFER"),
        (
            {"type": "decimal", "precision": 12, "scale": 2},
            {"type": "decimal", "precision": 12, "scale": 2},
            None,
        ),
        (
            {"type": "decimal", "precision": 12, "scale": 2},
            {"type": "decimal", "precision": 12, "scale": 3},
            "JOIN_TYPES_DIFFER",
        ),
        (
            {"type": "decimal", "precision": 12, "scale": 2},
            {"type": "decimal", "precision": 13, "scale": 2},
            "JOIN_TYPES_DIFFER",
        ),
    ],
)
def test_columns_in_the_clear_join_by_type(
    left: dict[str, Any], right: dict[str, Any], code: str | None
) -> None:
    rules = typed(last_seen=left, joined=right)
    one, other = use("customers.last_seen"), use("customers.joined")
    for a, b in ((one, other), (other, one)):
        assert (told(lambda a=a, b=b: rules.comparable(a, b)) or {}).get("code") == code  # type: ignore[misc]


def test_what_is_unequal_is_told_of_the_other_owners_side() -> None:
    names = {"left": "customers.city", "right": "accounts.phone"}
    found = told(lambda: OURS.comparable(use("customers.city", 1), use("accounts.phone", 7)))
    assert found == {
        "code": "JOIN_PROTECTIONS_DIFFER",
        "clause": "JOIN",
        "at": 7,
        "owner": "bank",
        "rule": "tables.accounts.columns.phone.protection",
        **names,
    }
    found = told(lambda: OURS.comparable(use("accounts.phone", 1), use("customers.city", None)))
    assert found is not None
    assert (found["rule"], found["at"], found["owner"]) == (
        "tables.accounts.columns.phone.protection",
        1,
        "bank",
    )
    found = told(lambda: OURS.comparable(use("subscribers.customer_no", 1), use("accounts.customer_no", 7)))
    assert found is not None
    assert (found["code"], found["rule"]) == (
        "JOIN_TYPES_DIFFER",
        "tables.subscribers.columns.customer_no.type",
    )


def test_fingerprints_of_other_names_join_where_the_room_allows_it() -> None:
    a, b = use("customers.phone", 1), use("subscribers.email", 7)
    setting = "settings.allow_joins_on_columns_with_different_names"
    assert told(lambda: OURS.comparable(a, b)) == {
        "code": "JOIN_NAMES_DIFFER",
        "clause": "JOIN",
        "at": 7,
        "rule": setting,
        "change": ("set", setting, True),
        "left": "customers.phone",
        "right": "subscribers.email",
    }
    assert (told(lambda: OURS.comparable(a, use("subscribers.email", None))) or {})["at"] == 1
    assert told(lambda: OURS.comparable(a, use("subscribers.phone"))) is None

    def allow(tables: dict[str, Any]) -> None:
        tables["settings"]["allow_joins_on_columns_with_different_names"] = True

    assert told(lambda: altered(allow).comparable(a, b)) is None
    assert told(lambda: OURS.comparable(use("customers.city"), use("stores.store"))) is None


def test_operators_of_joins() -> None:
    both = JoinOperator.AND, JoinOperator.OR
    assert [told(lambda op=op: OURS.operator(["accounts"], op, NODE)) for op in both] == [None, None]  # type: ignore[misc]
    assert told(lambda: OURS.operator(["subscribers", "payroll"], JoinOperator.AND, NODE)) is None
    assert told(lambda: THEIRS.operator(["people", "lines"], JoinOperator.OR, NODE)) is None
    path = "tables.loans.rule.allowedJoinOperators"
    assert told(lambda: OURS.operator(["subscribers", "loans", "accounts"], JoinOperator.AND, NODE)) == {
        "code": "JOIN_OPERATOR",
        "clause": "JOIN",
        "at": 8,
        "rule": path,
        "owner": "bank",
        "change": ("add", path, "AND"),
        "operator": "AND",
        "table": "loans",
    }
    found = told(lambda: OURS.operator(["visits", "contacts"], JoinOperator.OR, NODE))
    assert found is not None
    assert (found["table"], found["operator"]) == ("contacts", "OR")


def test_tables_that_must_be_joined_with_the_askers() -> None:
    def ask(inner: list[str], tables: list[str], asker: str = "shop") -> Any:
        return told(lambda: Rules(ROOM.agreement, asker).joined_with_asker(inner, tables))

    path = "tables.subscribers.rule.joinRequired"
    refused = {
        "code": "JOIN_REQUIRED",
        "clause": "FROM",
        "rule": path,
        "owner": "telco",
        "change": ("set", path, None),
        "table": "subscribers",
        "asker": "shop",
    }
    assert ask(["subscribers"], ["subscribers"]) == refused
    assert ask(["customers", "subscribers"], ["customers", "subscribers"]) is None
    assert ask(["customers"], ["customers", "subscribers"]) == refused
    assert ask(["accounts", "subscribers"], ["accounts", "subscribers"]) == refused
    assert ask(["subscribers"], ["subscribers"], "telco") is None
    assert ask(["cells", "contacts"], ["cells", "contacts"]) is None


def test_scalar_functions() -> None:
    upper, cast = ScalarFunction.UPPER, ScalarFunction.CAST

    def ask(function: ScalarFunction, *names: str, rules: Rules = OURS) -> Any:
        return told(lambda: rules.scalar(function, [use(name) for name in names], NODE, "WHERE"))

    assert ask(upper, "customers.region", "accounts.segment") is None
    assert ask(upper) is None
    assert ask(upper, "people.region", rules=THEIRS) is None
    path = "tables.loans.rule.scalarFunctions"
    assert ask(upper, "visits.store", "customers.region", "loans.kind") == {
        "code": "SCALAR_FUNCTION",
        "clause": "WHERE",
        "at": 8,
        "rule": path,
        "owner": "bank",
        "change": ("add", path, "UPPER"),
        "function": "UPPER",
        "table": "loans",
    }
    assert ask(upper, "contacts.tier")["table"] == "contacts"
    assert ask(upper, "payroll.salary")["table"] == "payroll"
    assert ask(cast, "accounts.segment")["function"] == "CAST"

    def converted(tables: dict[str, Any]) -> None:
        tables["accounts"]["rule"]["scalarFunctions"] = ["CONVERT"]

    assert ask(cast, "accounts.segment", rules=altered(converted)) is None
    assert ask(upper, "accounts.segment", rules=altered(converted))["code"] == "SCALAR_FUNCTION"


def test_dimensions_and_listed_columns() -> None:
    def ask(name: str, rules: Rules = OURS, at: int | None = 1) -> Any:
        return told(lambda: rules.dimension(use(name, at), "WHERE", Span(40, 41)))

    assert ask("customers.region") is None
    assert ask("leads.offer") is None
    assert ask("people.city", THEIRS) is None
    path = "tables.customers.rule.dimensionColumns"
    assert ask("customers.city") == {
        "code": "DIMENSION",
        "clause": "WHERE",
        "at": 1,
        "rule": path,
        "owner": "shop",
        "change": ("add", path, "city"),
        "table": "customers",
        "column": "city",
    }
    assert ask("customers.city", at=None)["at"] == 40
    assert ask("customers.phone")["code"] == "DIMENSION"
    assert ask("payroll.salary")["code"] == "DIMENSION"
    path = "tables.leads.rule.listColumns"
    assert ask("leads.internal_id")["change"] == ("add", path, "internal_id")
    assert ask("leads.phone") == {
        "code": "LIST_COLUMN",
        "clause": "WHERE",
        "at": 1,
        "rule": path,
        "owner": "telco",
        "table": "leads",
        "column": "phone",
    }


def test_a_fingerprint_is_never_listed() -> None:
    def ask(name: str, rules: Rules = OURS, at: int | None = 1) -> Any:
        return told(lambda: rules.listable(use(name, at), Span(40, 41)))

    assert ask("contacts.tier") is None
    assert ask("catalog.item", THEIRS) is None
    assert ask("leads.internal_id")["clause"] == "SELECT"
    assert ask("contacts.phone") == {
        "code": "LIST_FINGERPRINT",
        "clause": "SELECT",
        "at": 1,
        "rule": "tables.contacts.rule.listColumns",
        "owner": "shop",
        "table": "contacts",
        "column": "phone",
    }
    found = ask("catalog.phone", THEIRS, None)
    assert (found["rule"], found["at"]) == ("tables.catalog.columns.phone.protection", 40)


def test_aggregates() -> None:
    def ask(name: str, function: F, rules: Rules = OURS) -> Any:
        return told(lambda: rules.aggregated(use(name), function, "HAVING"))

    assert ask("customers.phone", F.COUNT) is None
    path = "tables.customers.rule.aggregateColumns"
    assert ask("customers.score", F.SUM) == {
        "code": "AGGREGATE",
        "clause": "HAVING",
        "at": 1,
        "rule": path,
        "owner": "shop",
        "function": "SUM",
        "change": ("add", path, {"columnNames": ["score"], "function": "SUM"}),
        "table": "customers",
        "column": "score",
    }
    assert ask("contacts.tier", F.COUNT)["code"] == "AGGREGATE"
    assert ask("visits.amount", F.AVG) is None
    assert ask("visits.amount", F.SUM)["change"] == ("set", "tables.visits.columns.amount.precision", 27)
    assert ask("catalog.weight", F.SUM_DISTINCT, THEIRS)["rule"] == "tables.catalog.columns.weight.precision"
    assert ask("catalog.weight", F.COUNT, THEIRS) is None


@pytest.mark.parametrize(("precision", "code"), [(27, None), (28, "SUM_OVERFLOW")])
def test_the_most_digits_of_a_sum(precision: int, code: str | None) -> None:
    rules = typed(spend={"precision": precision, "scale": 10})
    found = told(lambda: rules.aggregated(use("customers.spend"), F.SUM, "SELECT")) or {}
    assert found.get("code") == code


def test_nulls() -> None:
    none: frozenset[Ref] = frozenset()
    assert OURS.nulls_told(Ref("visits", "store"), none)
    assert OURS.nulls_told(Ref("customers", "phone"), none)
    assert not OURS.nulls_told(Ref("visits", "phone"), none)
    assert not OURS.nulls_told(Ref("visits", "phone"), frozenset({Ref("visits", "card")}))
    assert OURS.nulls_told(Ref("visits", "phone"), frozenset({Ref("visits", "phone")}))

    def preserve(tables: dict[str, Any]) -> None:
        tables["settings"]["preserve_nulls"] = True

    assert altered(preserve).nulls_told(Ref("visits", "phone"), none)


def test_a_column_that_counts_rows() -> None:
    none: frozenset[Ref] = frozenset()
    assert OURS.row_count(["loans", "customers"], none) == Ref("customers", "phone")
    assert OURS.row_count(["contacts", "loans"], none) == Ref("loans", "phone")
    assert OURS.row_count(["visits", "cells"], none) is None
    assert OURS.row_count(["visits", "cells"], frozenset({Ref("visits", "phone")})) == Ref("visits", "phone")
    assert OURS.row_count(["accounts"], none) is None
    assert THEIRS.row_count(["people"], none) is None


def test_what_a_rule_lists() -> None:
    rule = OURS.table("customers").rule
    assert isinstance(rule, AggregationRule)
    assert [(c, f) for c in ("phone", "age", "spend") for f in F if lists(rule, c, f)] == [
        *(("phone", F.COUNT), ("phone", F.COUNT_DISTINCT), ("age", F.SUM), ("age", F.SUM_DISTINCT)),
        *(("spend", F.SUM), ("spend", F.AVG)),
    ]


def test_a_refusal_points_at_nothing_where_nothing_is_known() -> None:
    rules = Rules(ROOM.agreement, "shop")
    assert "at" not in (told(lambda: rules.usable(exp.Null(), "none")) or {})
