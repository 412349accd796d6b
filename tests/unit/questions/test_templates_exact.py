# SPDX-License-Identifier: Apache-2.0
"""EXECUTE statements and their values, token by token: what is read, what is written, where it goes wrong."""

from __future__ import annotations

from typing import Any

import pytest
from sqlglot import exp
from tests.rules.pairs import room

from hitoku import limits
from hitoku.errors import Refusal
from hitoku.questions import check, template_hash
from hitoku.questions.templates import asked, bound, canonical_sql, some_of
from hitoku.room.agreement import Agreement
from hitoku.room.templates import Template

CUSTOM = room("custom.yaml").agreement


def read(sql: str) -> dict[str, tuple[str, str, str]]:
    found = asked(sql)
    assert found is not None
    return {
        name: (v.text, "" if v.kind is None else v.kind.value, sql[v.span.start : v.span.end])
        for name, v in found.values.items()
    }


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("EXECUTE t", {}),
        ("EXECUTE t()", {}),
        ("EXECUTE t(a := 5)", {"a": ("5", "decimal", "5")}),
        ("EXECUTE t(a => 5)", {"a": ("5", "decimal", "5")}),
        ("EXECUTE t(a := -5.5)", {"a": ("-5.5", "decimal", "5.5")}),
        ("EXECUTE t(a := 'x')", {"a": ("x", "string", "'x'")}),
        (
            "EXECUTE t(a := TRUE, b := false)",
            {"a": ("TRUE", "boolean", "TRUE"), "b": ("false", "boolean", "false")},
        ),
        ("EXECUTE t(a := DATE '2025-01-01')", {"a": ("2025-01-01", "date", "DATE")}),
        ("EXECUTE t(a := timestamp '2025-01-01')", {"a": ("2025-01-01", "timestamp", "timestamp")}),
        ('EXECUTE t("A" := 1, B := 2)', {"a": ("1", "decimal", "1"), "b": ("2", "decimal", "2")}),
        ("EXECUTE t(select := 1)", {"select": ("1", "decimal", "1")}),
        ("EXECUTE t(c := 3, a := 1, b := 2)", None),
    ],
)
def test_what_is_read(sql: str, values: dict[str, tuple[str, str, str]] | None) -> None:
    if values is None:
        assert list(read(sql)) == ["c", "a", "b"]
    else:
        assert read(sql) == values


@pytest.mark.parametrize(
    "sql", ["EXECUTE  Some_Name ( a := 1 ) ;", "execute some_name(a := 1);;", 'EXECUTE "Some_Name"(a := 1)']
)
def test_the_name_is_folded_and_has_its_place(sql: str) -> None:
    found = asked(sql)
    assert found is not None
    assert found.name == "some_name"
    assert sql[found.span.start : found.span.end].strip('"').lower() == "some_name"


@pytest.mark.parametrize(
    ("sql", "code", "clause", "at"),
    [
        ("EXECUTE t(a := 1) x", "EXECUTE_FORM", "EXECUTE", "x"),
        ("EXECUTE t(a := 1", "EXECUTE_FORM", "EXECUTE", "1"),
        ("EXECUTE t(a", "EXECUTE_FORM", "EXECUTE", "a"),
        ("EXECUTE t(a :=", "EXECUTE_FORM", "EXECUTE", ":="),
        ("EXECUTE t(a := -", "EXECUTE_FORM", "EXECUTE", "-"),
        ("EXECUTE t(1 := 1)", "EXECUTE_FORM", "EXECUTE", "1"),
        ("EXECUTE t('a' := 1)", "EXECUTE_FORM", "EXECUTE", "'a'"),
        ("EXECUTE t(, a := 1)", "EXECUTE_FORM", "EXECUTE", ","),
        ("EXECUTE t[a := 1]", "EXECUTE_FORM", "EXECUTE", "["),
        ("EXECUTE _t", "EXECUTE_FORM", "EXECUTE", "_t"),
        ("EXECUTE t(a := b)", "PARAMETER_LITERAL", "EXECUTE", "b"),
        ("EXECUTE t(a := NULL)", "PARAMETER_LITERAL", "EXECUTE", "NULL"),
        ("EXECUTE t(a := -TRUE)", "PARAMETER_LITERAL", "EXECUTE", "TRUE"),
        ("EXECUTE t(a := - -1)", "PARAMETER_LITERAL", "EXECUTE", "-"),
        ("EXECUTE t(a := (1))", "PARAMETER_LITERAL", "EXECUTE", "("),
        ("EXECUTE t(a := 1 b := 2)", "PARAMETER_LITERAL", "EXECUTE", "b"),
        ("EXECUTE t(a := DATE)", "PARAMETER_LITERAL", "EXECUTE", "DATE"),
        ("EXECUTE t(a := DATE 5)", "PARAMETER_LITERAL", "EXECUTE", "DATE"),
        ("EXECUTE t(a := TIME '10:00')", "PARAMETER_LITERAL", "EXECUTE", "TIME"),
        ("EXECUTE t(a := \"DATE\" '2025-01-01')", "PARAMETER_LITERAL", "EXECUTE", '"DATE"'),
        ("EXECUTE t(a := -DATE '2025-01-01')", "PARAMETER_LITERAL", "EXECUTE", "DATE"),
        ("EXECUTE t(a := 1, A := 2)", "PARAMETER_TWICE", "EXECUTE", "A"),
        ("EXECUTE t; EXECUTE t", "SEVERAL_STATEMENTS", "SQL", ";"),
        ("EXECUTE ';' ; x", "SEVERAL_STATEMENTS", "SQL", ";"),
        ("EXECUTE", "EXECUTE_FORM", "EXECUTE", None),
        ("EXECUTE ;", "EXECUTE_FORM", "EXECUTE", None),
    ],
)
def test_what_is_wrong_and_where(sql: str, code: str, clause: str, at: str | None) -> None:
    with pytest.raises(Refusal) as caught:
        asked(sql)
    refusal = caught.value
    span = refusal.span
    told = None if span is None else sql[span.start : span.end]
    assert (refusal.code, refusal.clause, told) == (code, clause, at)
    assert refusal.__cause__ is None


def test_the_last_semicolon_of_several_statements_is_not_the_place() -> None:
    sql = "EXECUTE t; EXECUTE t; x"
    with pytest.raises(Refusal) as caught:
        asked(sql)
    assert caught.value.span is not None
    assert (caught.value.span.start, caught.value.span.end) == (9, 10)


def test_the_most_arguments() -> None:
    most = 2 * limits.MAX_TEMPLATE_PARAMETERS
    arguments = [f"a{n} := {n}" for n in range(most)]
    assert len(read(f"EXECUTE t({', '.join(arguments)})")) == most
    with pytest.raises(Refusal) as caught:
        asked(f"EXECUTE t({', '.join([*arguments, 'b := 1'])})")
    refusal = caught.value
    assert (refusal.code, refusal.clause, refusal.params) == (
        "TOO_MANY_PARTS",
        "EXECUTE",
        {"limit": str(most)},
    )


def test_names_in_a_refusal_are_short_and_printable() -> None:
    name = "a" * 100
    with pytest.raises(Refusal) as caught:
        asked(f"EXECUTE t({name} := 1, {name} := 2)")
    assert caught.value.params == {"parameter": "a" * 63}
    with pytest.raises(Refusal) as caught:
        asked('EXECUTE t("a\tb" := 1, "a\tb" := 2)')
    assert caught.value.params == {"parameter": "a?b"}


def test_what_begins_otherwise() -> None:
    assert asked("SELECT execute FROM t") is None
    assert asked("-- execute") is None
    assert asked("EXECUTE t(a := 'x)") is None
    assert asked("SELECT 'execute") is None
    with pytest.raises(Refusal) as caught:
        asked("EXECUTE t(\x01)")
    assert caught.value.code == "BAD_CHARACTER"


# --- bound ---


def bind(sql: str, *templates: dict[str, Any]) -> tuple[str, str]:
    execution = asked(sql)
    assert execution is not None
    agreement: Agreement = CUSTOM
    if templates:
        agreement = CUSTOM.model_copy(update={"templates": [Template.model_validate(t) for t in templates]})
    template, tree = bound(execution, agreement)
    assert all(not node.meta for node in tree.walk())
    return template.name, tree.sql(dialect="duckdb")


def one(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "t",
        "sql": "SELECT x FROM u WHERE x = :a",
        "parameters": [{"name": "a", "type": kind, **more}],
    }


@pytest.mark.parametrize(
    ("kind", "given", "written"),
    [
        ("smallint", "5", "5"),
        ("int", "-5", "(-5)"),
        ("bigint", "007", "7"),
        ("decimal", "1.50", "1.50"),
        ("double", "-0.5", "(-0.5)"),
        ("string", "'it''s'", "'it''s'"),
        ("string", "'5'", "'5'"),
        ("boolean", "TRUE", "TRUE"),
        ("boolean", "FALSE", "FALSE"),
        ("date", "'2025-01-31'", "CAST('2025-01-31' AS DATE)"),
        ("date", "DATE '2025-01-31'", "CAST('2025-01-31' AS DATE)"),
        ("timestamp", "'2025-01-31'", "CAST('2025-01-31 00:00:00' AS TIMESTAMP)"),
        ("timestamp", "TIMESTAMP '2025-01-31 10:00:00'", "CAST('2025-01-31 10:00:00' AS TIMESTAMP)"),
    ],
)
def test_a_value_is_one_literal_of_its_type(kind: str, given: str, written: str) -> None:
    assert bind(f"EXECUTE t(a := {given})", one(kind)) == ("t", f"SELECT x FROM u WHERE x = {written}")


@pytest.mark.parametrize(
    ("kind", "given", "code"),
    [
        ("int", "'5'", "PARAMETER_TYPE"),
        ("int", "TRUE", "PARAMETER_TYPE"),
        ("int", "5.5", "PARAMETER_VALUE"),
        ("string", "5", "PARAMETER_TYPE"),
        ("string", "TRUE", "PARAMETER_TYPE"),
        ("string", "DATE '2025-01-31'", "PARAMETER_TYPE"),
        ("boolean", "'true'", "PARAMETER_TYPE"),
        ("boolean", "1", "PARAMETER_TYPE"),
        ("date", "5", "PARAMETER_TYPE"),
        ("date", "TIMESTAMP '2025-01-31'", "PARAMETER_TYPE"),
        ("timestamp", "DATE '2025-01-31'", "PARAMETER_TYPE"),
        ("date", "'x'", "PARAMETER_VALUE"),
        ("timestamp", "'x'", "PARAMETER_VALUE"),
    ],
)
def test_a_value_of_another_type(kind: str, given: str, code: str) -> None:
    sql = f"EXECUTE t(a := {given})"
    with pytest.raises(Refusal) as caught:
        bind(sql, one(kind))
    refusal = caught.value
    assert refusal.span is not None
    assert (refusal.code, refusal.clause, refusal.params) == (
        code,
        "EXECUTE",
        {"parameter": "a", "kind": kind},
    )
    assert sql[refusal.span.start : refusal.span.end] == given.split(" ")[0]
    assert refusal.__cause__ is None


def test_a_default_stands_for_a_missing_value() -> None:
    with_default = one("decimal", defaultValue="-1.5")
    assert bind("EXECUTE t", with_default)[1] == "SELECT x FROM u WHERE x = (-1.5)"
    assert bind("EXECUTE t(a := 2)", with_default)[1] == "SELECT x FROM u WHERE x = 2"
    with pytest.raises(Refusal) as caught:
        bind("EXECUTE t", one("decimal"))
    refusal = caught.value
    assert (refusal.code, refusal.span and (refusal.span.start, refusal.span.end)) == (
        "PARAMETER_MISSING",
        (8, 9),
    )


def test_a_placeholder_may_stand_several_times_and_its_name_is_folded() -> None:
    template = one("int") | {"sql": "SELECT x FROM u WHERE x = :A OR y = $a"}
    execution = asked("EXECUTE t(a := 3)")
    assert execution is not None
    _, tree = bound(execution, CUSTOM.model_copy(update={"templates": [Template.model_validate(template)]}))
    first, second = tree.find_all(exp.Literal)
    assert first is not second
    assert tree.sql() == "SELECT x FROM u WHERE x = 3 OR y = 3"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS x FROM u",
        "SELECT x FROM u WHERE x = :a AND y = :b",
        "SELECT x FROM u WHERE x = ? AND x = :a",
        "DROP TABLE u",
    ],
)
def test_a_template_whose_text_and_parameters_differ(sql: str) -> None:
    with pytest.raises(Refusal) as caught:
        bind("EXECUTE t(a := 3)", one("int") | {"sql": sql})
    refusal = caught.value
    assert (refusal.code, refusal.clause, refusal.params) == (
        "TEMPLATE_INVALID",
        "EXECUTE",
        {"template": "t"},
    )
    assert refusal.__cause__ is None


def test_unknown_names() -> None:
    sql = "EXECUTE nothing(a := 1)"
    with pytest.raises(Refusal) as caught:
        bind(sql, *({"name": f"t{n:02}", "sql": "SELECT 1 AS x FROM u"} for n in range(12)))
    refusal = caught.value
    assert refusal.params == {
        "template": "nothing",
        "known": "t00, t01, t02, t03, t04, t05, t06, t07, t08, t09, ...",
    }
    with pytest.raises(Refusal) as caught:
        bind("EXECUTE t(b := 1)", one("int"))
    assert caught.value.params == {"template": "t", "parameter": "b", "known": "a"}


def test_names_for_a_sentence() -> None:
    assert some_of([]) == "-"
    assert some_of(["b", "a"]) == "a, b"
    assert some_of(f"n{n}" for n in range(9, -1, -1)) == "n0, n1, n2, n3, n4, n5, n6, n7, n8, n9"
    assert some_of(f"n{n:02}" for n in range(11)) == "n00, n01, n02, n03, n04, n05, n06, n07, n08, n09, ..."


# --- hashes ---


def test_the_canonical_text_and_its_hash() -> None:
    template = Template.model_validate(one("int") | {"sql": "select  x /* c */ from u\nwhere x=:a -- end"})
    assert canonical_sql(template) == "SELECT x FROM u WHERE x = $a"
    assert template_hash(template) == template_hash(Template.model_validate(one("int") | {"name": "other"}))
    assert template_hash(template).startswith("sha256:")
    known = {t.name: template_hash(t) for t in CUSTOM.templates if t.name in {"spend_by_kind", "single_rows"}}
    rule = CUSTOM.table("cards")
    assert rule is not None
    assert set(known.values()) <= set(rule.rule.allowed_analyses)  # type: ignore[union-attr]


def test_a_template_that_is_no_question_has_no_hash() -> None:
    with pytest.raises(Refusal) as caught:
        template_hash(Template.model_validate({"name": "n", "sql": "DROP TABLE u"}))
    assert (caught.value.code, caught.value.clause, caught.value.params) == (
        *("TEMPLATE_INVALID", "EXECUTE"),
        {"template": "n"},
    )


def test_remedies_of_an_executed_template_do_not_edit_its_text() -> None:
    with pytest.raises(Refusal) as caught:
        check("EXECUTE single_rows", room("custom.yaml"), "shop")
    assert (caught.value.code, caught.value.change) == ("THRESHOLD_ROWS", None)
