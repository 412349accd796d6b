# SPDX-License-Identifier: Apache-2.0
"""Templates: hashes that mean the text, statements read token by token, values that stay values."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlglot import exp

from hitoku.errors import Refusal
from hitoku.questions import check, execution_sql, explain, parse, template_hash
from hitoku.questions.templates import asked
from hitoku.room.agreement import Agreement, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.templates import ParameterType, Template, TemplateParameter, canonical_value

ROOM = Path(__file__).parents[2] / "rules" / "custom.yaml"
DATA = yaml.safe_load(ROOM.read_text("utf-8"))
ROOM_ = Room(agreement=Agreement.model_validate(DATA))


def template(sql: str = "SELECT kind FROM cards WHERE amount > :least", **more: object) -> Template:
    data = {"name": "t", "sql": sql, "parameters": [{"name": "least", "type": "decimal"}], **more}
    return Template.model_validate(data)


def test_the_hash_is_of_the_meaning_not_of_the_spelling() -> None:
    plain = template_hash(template())
    assert plain == template_hash(template("select  kind\nfrom cards /* c */ where amount>:least -- end"))
    assert plain == template_hash(template("SELECT kind FROM cards WHERE amount > $least"))
    assert plain == template_hash(template(name="other"))


@pytest.mark.parametrize(
    "other",
    [
        template("SELECT kind FROM cards WHERE amount >= :least"),
        template("SELECT level FROM cards WHERE amount > :least"),
        template("SELECT kind FROM cards WHERE kind <> 'a' AND amount > :least"),
        template(parameters=[{"name": "least", "type": "int"}]),
        template(parameters=[{"name": "least", "type": "decimal", "defaultValue": "0"}]),
    ],
)
def test_another_text_type_or_default_has_another_hash(other: Template) -> None:
    assert template_hash(other) != template_hash(template())


def test_a_changed_template_is_approved_no_more() -> None:
    data = json.loads(json.dumps(DATA))
    data["templates"][0]["sql"] = data["templates"][0]["sql"].replace(">=", ">")
    with pytest.raises(Refusal) as caught:
        check("EXECUTE spend_by_kind", Room(agreement=Agreement.model_validate(data)), "shop")
    assert caught.value.code == "TEMPLATE_NOT_ALLOWED"


def test_the_question_is_the_bound_sql() -> None:
    question = check("EXECUTE spend_by_kind(least := 9.50)", ROOM_, "shop")
    assert question.template == "spend_by_kind"
    assert '"cards"."amount" >= 9.5' in question.sql
    same = check('execute SPEND_BY_KIND ( "least" := 9.5 ) ;', ROOM_, "shop")
    assert (same.sql, same.hash) == (question.sql, question.hash)
    data = explain("EXECUTE spend_by_kind", ROOM_, "shop").to_dict()
    assert data["question"]["template"] == "spend_by_kind"


def test_one_parameter_of_each_type() -> None:
    sql = check(
        "EXECUTE all_types(small := -3, ratio := 1e-3, moment := '2025-01-01T10:00:00')", ROOM_, "shop"
    ).sql
    assert "IN (-3, 2, 3)" in sql or "-3" in sql
    assert "CAST('2025-01-01 10:00:00' AS TIMESTAMP)" in sql
    assert "LIMIT 100" in sql


NASTY = [
    "'",
    "''",
    "'; DROP TABLE cards; --",
    "' OR '1'='1",
    "\\'",
    "\\",
    "$kind",
    ":first",
    "/*",
    "--",
    "é",
    ";",
    '"',
]


@given(st.text(max_size=40))
@example("'; DROP TABLE cards; --")
@example("\\' OR 1=1 --")
@example(":first")
@example("$kind")
def test_a_text_is_one_literal_whatever_it_holds(text: str) -> None:
    one_literal(text)


def one_literal(text: str) -> None:
    if any((c < " " and c not in "\t\n\r") or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in text):
        return
    sql = f"EXECUTE cards_since(first := '2025-01-01', kind := '{text.replace(chr(39), chr(39) * 2)}')"
    question = check(sql, ROOM_, "shop")
    plain = check("EXECUTE cards_since(first := '2025-01-01', kind := 'x')", ROOM_, "shop")
    literals = [node for node in parse(question.sql).find_all(exp.Literal) if node.is_string]
    assert text in {node.name for node in literals}
    assert len(literals) == len([node for node in parse(plain.sql).find_all(exp.Literal) if node.is_string])
    skeleton = [type(node).__name__ for node in parse(question.sql).walk()]
    assert skeleton == [type(node).__name__ for node in parse(plain.sql).walk()]
    assert execution_sql(question)


@pytest.mark.parametrize("text", NASTY)
def test_nasty_texts_stay_text(text: str) -> None:
    one_literal(text)


@given(st.text(alphabet="EXECUTEspnd_by_kind(least:=5,)'\"; -\n.10", max_size=60))
def test_no_statement_crashes(rest: str) -> None:
    sql = "EXECUTE " + rest
    refusal = explain(sql, ROOM_, "shop").refusal
    if refusal is not None and refusal.span is not None:
        assert 0 <= refusal.span.start <= refusal.span.end <= len(sql)


def test_spans_point_into_the_asked_text() -> None:
    sql = "EXECUTE  spend_by_kind( most := 5 )"
    with pytest.raises(Refusal) as caught:
        check(sql, ROOM_, "shop")
    assert caught.value.span is not None
    assert sql[caught.value.span.start : caught.value.span.end] == "5"


def test_a_refusal_of_a_value_does_not_quote_it() -> None:
    for sql in ("EXECUTE all_types(small := 987654)", "EXECUTE cards_since(first := 'secret', kind := 'x')"):
        with pytest.raises(Refusal) as caught:
            check(sql, ROOM_, "shop")
        assert not re.search("987654|secret", json.dumps(caught.value.to_dict()))


def test_what_is_no_execute_is_left_alone() -> None:
    assert asked("SELECT 1") is None
    assert asked("") is None
    assert asked("SELECT 'execute' FROM t") is None
    assert asked("'") is None


@pytest.mark.parametrize(
    ("kind", "text", "read"),
    [
        ("int", "007", "7"),
        ("bigint", "1e3", "1000"),
        ("decimal", "1.50", "1.50"),
        ("double", "1e-40", "1E-40"),
        ("boolean", "TRUE", "true"),
        ("date", " 2025-01-31 ", "2025-01-31"),
        ("timestamp", "2025-01-31", "2025-01-31 00:00:00"),
        ("string", " x ", " x "),
    ],
)
def test_one_spelling_for_one_value(kind: str, text: str, read: str) -> None:
    assert canonical_value(ParameterType(kind), text) == read


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int", "2147483648"),
        ("int", "-2147483649"),
        ("smallint", "0.5"),
        ("bigint", "x"),
        ("decimal", "NaN"),
        ("double", "Infinity"),
        ("decimal", "1" * 39),
        ("boolean", "yes"),
        ("date", "2025-13-01"),
        ("timestamp", "2025-01-31T00:00:00+00:00"),
        ("string", "x" * 1001),
    ],
)
def test_values_out_of_range(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"value") as caught:
        canonical_value(ParameterType(kind), text)
    assert text not in str(caught.value)


def test_what_a_template_must_be() -> None:
    with pytest.raises(ValidationError, match="one name"):
        template(parameters=[{"name": "a", "type": "int"}, {"name": "a", "type": "date"}])
    with pytest.raises(ValidationError, match="smallint"):
        TemplateParameter.model_validate({"name": "a", "type": "smallint", "defaultValue": "70000"})
    twice = {**DATA, "templates": [DATA["templates"][0], DATA["templates"][0]]}
    with pytest.raises(ValidationError, match="templates"):
        Agreement.model_validate(twice)


def test_an_agreement_without_templates_has_the_hash_it_had() -> None:
    review = yaml.safe_load(ROOM.with_name("room.yaml").read_text("utf-8"))
    agreement = Agreement.model_validate(review)
    assert "templates" not in agreement.model_dump(mode="json")
    assert agreement_hash(agreement) == agreement_hash(Agreement.model_validate({**review, "templates": []}))
