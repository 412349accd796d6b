# SPDX-License-Identifier: Apache-2.0
"""Bounds of questions, each at its last allowed value and one beyond; names, literals and places."""

from __future__ import annotations

from typing import Any

import pytest
from sqlglot import exp

from hitoku import limits
from hitoku.errors import Refusal, Span
from hitoku.questions import check, parse
from hitoku.questions.form import Family, Ref, Use, Value
from hitoku.questions.literals import matched, whole_number
from hitoku.questions.names import fold, quoted, span_of
from hitoku.questions.nodes import describe, filled, operands
from hitoku.questions.refusals import refuse
from hitoku.questions.rules import Rules
from hitoku.room.agreement import Agreement, Room

from .test_mutants_forms import RULES


def refused(sql: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(sql)
    return caught.value


def span_of_refusal(sql: str) -> Span | None:
    try:
        parse(sql)
    except Refusal as refusal:
        return refusal.span
    return None


def at(sql: str, refusal: Refusal) -> str | None:
    return None if refusal.span is None else sql[refusal.span.start : refusal.span.end]


# --- the text ---


def test_the_longest_text() -> None:
    sql = "SELECT 1".ljust(limits.MAX_SQL_CHARS)
    assert parse(sql).sql() == "SELECT 1"
    refusal = refused(sql + " ")
    assert refusal.code == "TEXT_TOO_LONG"
    assert str(limits.MAX_SQL_CHARS) in f"{refusal.message} {refusal.remedy}"


@pytest.mark.parametrize("char", ["\0", "\x1f", "\x0b", "\x7f", "\ud800", chr(0xDFFF)])
def test_a_character_that_is_refused_is_pointed_at(char: str) -> None:
    refusal = refused(f"SELECT 'a{char}b'")
    assert refusal.code == "BAD_CHARACTER"
    assert refusal.span == Span(9, 10)


@pytest.mark.parametrize("char", ["\t", "\n", "\r", " ", "~", "\x80", "\ud7ff", "\ue000", "\U0001f600"])
def test_a_character_that_is_allowed(char: str) -> None:
    assert parse(f"SELECT 'a{char}b'").expressions[0].name == f"a{char}b"


@pytest.mark.parametrize(
    ("most", "sql", "fits"),
    [
        (6, "SELECT 1, 2, 3", True),
        (5, "SELECT 1, 2, 3", False),  # tokens
        (7, "SELECT a, b, c", True),
        (6, "SELECT a, b, c", False),  # nodes
    ],
)
def test_the_most_parts(monkeypatch: pytest.MonkeyPatch, most: int, sql: str, fits: bool) -> None:
    monkeypatch.setattr(limits, "MAX_SQL_NODES", most)
    if fits:
        assert parse(sql)
    else:
        refusal = refused(sql)
        assert (refusal.code, refusal.clause, refusal.params) == (
            "TOO_MANY_PARTS",
            "SQL",
            {"limit": str(most)},
        )


@pytest.mark.parametrize(
    ("deepest", "sql", "place"),
    [
        (12, "SELECT (((1)))", None),
        (11, "SELECT (((1)))", 9),
        (12, "SELECT (1), (1), (1), (1)", None),  # closed ones do not count
        (12, "SELECT NOT NOT NOT a", None),
        (11, "SELECT NOT NOT NOT a", 15),
        (12, "SELECT -(NOT a)", None),
        (11, "SELECT (NOT(NOT a))", 12),
        (8, "SELECT [[1]]", None),
        (7, "SELECT [[1]]", 8),
        (4, "SELECT CASE WHEN a THEN 1 END, CASE WHEN a THEN 1 END", None),
        (4, "SELECT a + 1", None),
    ],
)
def test_the_deepest_text(monkeypatch: pytest.MonkeyPatch, deepest: int, sql: str, place: int | None) -> None:
    monkeypatch.setattr(limits, "MAX_SQL_DEPTH", deepest)
    if place is None:
        assert span_of_refusal(sql) is None  # if it is refused, then by the tree, not by the text
        return
    refusal = refused(sql)
    assert refusal.code == "TOO_DEEP"
    assert refusal.span is not None
    assert refusal.span.start == place
    assert refusal.params == {"limit": str(deepest)}


@pytest.mark.parametrize(("deepest", "fits"), [(4, True), (3, False)])
def test_the_deepest_tree(monkeypatch: pytest.MonkeyPatch, deepest: int, fits: bool) -> None:
    monkeypatch.setattr(limits, "MAX_SQL_DEPTH", deepest)
    if fits:
        assert parse("SELECT a + 1")
    else:
        assert refused("SELECT a + 1").code == "TOO_DEEP"


@pytest.mark.parametrize(
    ("sql", "code", "place"),
    [
        ("", "EMPTY", None),
        (" ;; ", "EMPTY", None),
        ("SELECT 1; SELECT 2", "SEVERAL_STATEMENTS", ";"),
        ("; SELECT 1", "SEVERAL_STATEMENTS", ";"),
        ("SELECT 1,, 2", "SYNTAX", ","),
        ("DROP TABLE x", "NOT_A_QUESTION", "DROP"),
        ("SELECT CONVERT(a, INT)", "FUNCTION_OTHERWISE", "CONVERT"),
        ("SELECT 1 FROM a WHERE (", "SYNTAX", None),
        ("SELECT 'a", "SYNTAX", None),
    ],
)
def test_what_is_no_question(sql: str, code: str, place: str | None) -> None:
    refusal = refused(sql)
    assert (refusal.code, refusal.clause) == (code, "SQL")
    if place is not None:
        assert at(sql, refusal) == place


@pytest.mark.parametrize(
    "sql", ["SELECT 1", "SELECT 1;", "(SELECT 1)", "FROM a", "WITH a AS (SELECT 1) SELECT 1 FROM a"]
)
def test_what_opens_a_question(sql: str) -> None:
    assert isinstance(parse(sql), exp.Query)


# --- literals, names, nodes ---


@pytest.mark.parametrize(
    ("node", "number"),
    [
        (exp.Literal.number("0"), 0),
        (exp.Literal.number("9" * 15), 10**15 - 1),
        (exp.Literal.number("9" * 16), None),
        (exp.Literal.number("1.0"), None),
        (exp.Literal.string("1"), None),
        (exp.Literal(this="٣", is_string=False), None),
        (exp.Neg(this=exp.Literal.number("1")), None),
        (None, None),
    ],
)
def test_whole_numbers(node: exp.Expr | None, number: int | None) -> None:
    assert whole_number(node) == number


@pytest.mark.parametrize(
    ("text", "family", "written"),
    [
        ("2020-01-02", Family.DATE, "CAST('2020-01-02' AS DATE)"),
        (" 2020-01-02 ", Family.DATE, "CAST('2020-01-02' AS DATE)"),
        ("2020-01-02", Family.TIMESTAMP, "CAST('2020-01-02 00:00:00' AS TIMESTAMP)"),
        ("2020-01-02T03:04", Family.TIMESTAMP, "CAST('2020-01-02 03:04:00' AS TIMESTAMP)"),
        ("2020-01-02", Family.STRING, "'2020-01-02'"),
        ("2020-01-02", Family.NUMBER, "'2020-01-02'"),
    ],
)
def test_a_text_beside_a_date_is_a_date(text: str, family: Family, written: str) -> None:
    value = Value(exp.Literal.string(text), Family.STRING, span=Span(1, 2))
    made = matched(value, family, "WHERE")
    assert made.node.sql(dialect="duckdb") == written
    assert made.span == Span(1, 2)


@pytest.mark.parametrize(
    ("text", "family"), [("yesterday", Family.DATE), ("2020-01-02T03:04Z", Family.TIMESTAMP)]
)
def test_a_text_beside_a_date_that_is_none(text: str, family: Family) -> None:
    with pytest.raises(Refusal) as caught:
        matched(Value(exp.Literal.string(text), Family.STRING, span=Span(1, 2)), family, "WHERE")
    refusal = caught.value
    assert (refusal.code, refusal.clause, refusal.span) == ("NOT_A_DATE", "WHERE", Span(1, 2))
    assert text not in f"{refusal.message} {refusal.remedy}"
    assert refusal.__cause__ is None


def test_names_fold_ascii_letters_only() -> None:
    assert fold("AZaz_ÅK\u212a") == "azaz_ÅK\u212a".replace("K", "k", 1)
    assert quoted('a"b') == '"a""b"'


def test_places() -> None:
    assert span_of(None) is None
    assert span_of(exp.Column(this=exp.Identifier(this="a"))) is None
    node = parse("SELECT  abc + de FROM t").expressions[0]
    assert span_of(node) == Span(8, 16)


def test_what_a_node_is_called() -> None:
    assert describe(parse("SELECT leak(1)").expressions[0]) == "LEAK()"
    assert describe(exp.Anonymous(this="a b'c" + "x" * 100)) == "A?B?C" + "X" * 55 + "()"
    assert describe(parse("SELECT SUM(a)").expressions[0]) == "SUM()"
    assert describe(exp.BitwiseAnd(this=exp.Null(), expression=exp.Null())) == "BITWISE AND"


def test_filled_parts() -> None:
    node = exp.Column(this=exp.Identifier(this="a"), table=None)
    node.args["x"], node.args["y"], node.args["z"] = False, [], ""
    assert set(filled(node)) == {"this", "z"}


def test_operands_stay_in_order_and_brackets_open() -> None:
    node = parse("SELECT a AND ((b AND (c OR d)) AND e)").expressions[0]
    assert [part.sql() for part in operands(node, exp.And)] == ["a", "b", "(c OR d)", "e"]
    assert [part.sql() for part in operands(node, exp.Or)] == [node.sql()]


def test_a_refusal_has_its_parts() -> None:
    node = parse("SELECT abc FROM t").expressions[0]
    made = refuse("UNKNOWN_TABLE", clause="FROM", node=node, table="abc", rule="r", owner="shop")
    assert (made.code, made.clause, made.rule, made.owner) == ("UNKNOWN_TABLE", "FROM", "r", "shop")
    assert made.span == Span(7, 10)
    assert made.params == {"table": "abc", "owner": "shop"}
    assert refuse("UNKNOWN_TABLE", node=node, span=Span(1, 2), table="abc").span == Span(1, 2)
    assert refuse("UNKNOWN_TABLE", params={"table": "abc"}, owner=None).params == {"table": "abc"}


def test_what_a_value_says_of_itself() -> None:
    column = exp.Column(this=exp.Identifier(this="a"))
    use = Use(Ref("t", "a"), Span(1, 2))
    assert Value(exp.Null(), Family.NULL).constant
    for changed in ({"uses": (use,)}, {"aggregate": True}, {"window": True}):
        assert not Value(column, Family.NUMBER, **changed).constant
    assert Use(Ref("t", "a"), Span(1, 2)) == Use(Ref("t", "a"), None)
    assert Ref("a", "z") < Ref("b", "a") < Ref("b", "b")
    assert Value(column, Family.NUMBER, span=Span(1, 2)) == Value(column, Family.NUMBER)


# --- a question in its room ---


def place(change: dict[str, Any] | None = None) -> Room:
    import yaml

    data = yaml.safe_load((RULES / "room.yaml").read_text("utf-8"))
    data["settings"].update(change or {})
    return Room(agreement=Agreement.model_validate(data))


def code_of(sql: str, room: Room, asker: str = "shop") -> str | None:
    try:
        check(sql, room, asker)
    except Refusal as refusal:
        return refusal.code
    return None


def test_the_most_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    sql = (
        "SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN visits v ON c.phone = v.phone "
        "LEFT JOIN cells t ON t.phone = c.phone"
    )
    monkeypatch.setattr(limits, "MAX_TABLES_PER_QUESTION", 3)
    assert code_of(sql, place()) is None
    monkeypatch.setattr(limits, "MAX_TABLES_PER_QUESTION", 2)
    assert code_of(sql, place()) == "TOO_MANY_TABLES"


def test_names_of_names_do_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = Rules(place().agreement, "shop")
    node = exp.Null()
    monkeypatch.setattr(limits, "MAX_SQL_NODES", 10)
    rules.spend(4, node)
    rules.spend(6, node)
    with pytest.raises(Refusal) as caught:
        rules.spend(1, node)
    assert caught.value.code == "TOO_MANY_PARTS"


@pytest.mark.parametrize("most", [1_000_000])
def test_the_largest_limit(most: int) -> None:
    sql = "SELECT region, COUNT(DISTINCT phone) AS n FROM customers GROUP BY region"
    asked = check(f"{sql} LIMIT {most} OFFSET {most}", place(), "shop")
    assert (asked.form.limit, asked.form.offset) == (most, most)
    assert code_of(f"{sql} LIMIT {most + 1}", place()) == "LIMIT_FORM"
    assert code_of(f"{sql} OFFSET {most + 1}", place()) == "LIMIT_FORM"
    assert check(sql, place(), "shop").form.limit is None


@pytest.mark.parametrize("asker", ["press", "host", "nobody", "x" * 100])
def test_who_may_not_ask(asker: str) -> None:
    with pytest.raises(Refusal) as caught:
        check("SELECT COUNT(phone) AS n FROM customers", place(), asker)
    refusal = caught.value
    assert (refusal.code, refusal.rule, refusal.clause) == ("NOT_AN_ASKER", "members", None)
    assert refusal.params["asker"] == asker[:63]
    known = asker in {"press", "host"}
    assert (refusal.change is not None) is known
    if refusal.change is not None:
        assert refusal.change.action == "add"
        assert f"members.{asker}.abilities" in str(refusal.to_dict()["change"])


def test_a_function_of_an_aggregate_is_an_aggregate() -> None:
    question = check("SELECT COALESCE(SUM(spend), 0) AS s FROM customers", place(), "shop")
    assert question.outputs[0].kind.value == "aggregate"


def test_nulls_may_be_counted_where_encryption_keeps_them() -> None:
    sql = "SELECT COUNT(phone) AS n FROM visits"
    assert code_of(sql, place()) == "NULLS_COUNTED"
    assert code_of(sql, place({"preserve_nulls": True})) is None


def test_joins_of_other_names_where_the_room_allows_them() -> None:
    sql = "SELECT COUNT(DISTINCT c.phone) AS n FROM customers c JOIN subscribers s ON c.phone = s.email"
    assert code_of(sql, place()) == "JOIN_NAMES_DIFFER"
    wide = place({"allow_joins_on_columns_with_different_names": True})
    assert code_of(sql, wide) != "JOIN_NAMES_DIFFER"
