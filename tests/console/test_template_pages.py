# SPDX-License-Identifier: Apache-2.0
"""Templates in the console: listed with their approvals, proposed, approved, asked with typed values."""

from __future__ import annotations

import html

import pytest
from tests.conftest import make_place
from tests.console.conftest import make_console

from hitoku.console.context import NotFound
from hitoku.console.users import May
from hitoku.console.work import templates as work
from hitoku.errors import InputError, Refusal, RoomError
from hitoku.questions.templates import template_hash
from hitoku.room.templates import Template

SQL = "SELECT carrier, COUNT(DISTINCT tailnum) AS n FROM flights WHERE carrier = :carrier GROUP BY carrier"
TEMPLATE = {
    "name": "by_carrier",
    "sql": SQL,
    "parameters": [{"name": "carrier", "type": "string", "defaultValue": "AA"}],
}
OTHER = {"name": "wide", "sql": "SELECT COUNT(DISTINCT tailnum) AS n FROM flights"}


def change(data):
    data["templates"] = [TEMPLATE, OTHER]
    flights = data["tables"][0]
    flights["rule"] = {
        "type": "custom",
        "allowedAnalyses": [template_hash(Template.model_validate(TEMPLATE))],
        "aggregationThresholds": [{"identityColumns": ["tailnum"], "minimumIdentityCount": 3}],
    }


@pytest.fixture
def console(tmp_path):
    made = make_console(make_place(tmp_path, change))
    yield made
    made.close()


@pytest.fixture
def entry(console):
    return console.context.node.rooms()[0]


def test_who_approved_what_is_shown(console, entry):
    first, second = work.lines(entry)
    assert [(a.table, a.owner, a.state) for a in first.approvals] == [("flights", "airport", "approved")]
    assert [(a.table, a.state) for a in second.approvals] == [("flights", "waiting")]
    assert (first.may_run, second.may_run) == (True, False)
    page = html.unescape(console.sign_in(May.ASK).get(f"/rooms/{console.room}/templates").text)
    assert str(first.hash) in page
    assert "not approved" in page
    assert "Approve for" not in page
    assert "Propose a template" not in page
    assert "Approve for flights" in console.sign_in(May.TABLES).get(f"/rooms/{console.room}/templates").text


def test_a_template_is_asked_with_typed_values(console):
    anne = console.sign_in(May.ASK)
    page = anne.submit(f"/rooms/{console.room}/templates/by_carrier/ask", **{"p-carrier": "O'Hare; DROP"})
    assert page.status_code == 200
    text = html.unescape(page.text)
    assert "EXECUTE by_carrier(carrier := 'O''Hare; DROP')" in text
    # The others cannot be reached here, so the cost is not known; what would happen is told all the same.
    assert "The rules allow it" in text
    assert "The template by_carrier" in text
    assert anne.submit(f"/rooms/{console.room}/templates/nothing/ask").status_code == 404
    refused = html.unescape(anne.submit(f"/rooms/{console.room}/templates/wide/ask").text)
    assert "TEMPLATE_NOT_ALLOWED" in refused
    assert "tables.flights.rule.allowedAnalyses" in refused


@pytest.mark.parametrize(
    ("kind", "typed", "literal"),
    [
        ("string", "a'b", "'a''b'"),
        ("int", " 12 ", "12"),
        ("int", "-3", "-3"),
        ("boolean", "TRUE", "true"),
        ("date", "2026-11-22", "'2026-11-22'"),
        ("decimal", "1.50", "1.50"),
    ],
)
def test_values_become_literals(kind, typed, literal):
    template = Template.model_validate(
        {"name": "x", "sql": "SELECT :p AS p FROM flights", "parameters": [{"name": "p", "type": kind}]}
    )
    assert work.execution(template, {"p": typed}) == f"EXECUTE x(p := {literal})"


@pytest.mark.parametrize(
    ("kind", "typed"),
    [("int", "1; DROP TABLE"), ("int", ""), ("int", "99999999999"), ("date", "soon"), ("boolean", "maybe")],
)
def test_values_of_another_type_are_not_quoted_back(kind, typed):
    template = Template.model_validate(
        {"name": "x", "sql": "SELECT :p AS p FROM flights", "parameters": [{"name": "p", "type": kind}]}
    )
    with pytest.raises(InputError) as caught:
        work.execution(template, {"p": typed})
    assert "p:" in str(caught.value)
    assert not typed or typed not in str(caught.value)


def test_an_empty_value_has_the_default(entry):
    assert work.execution(entry.agreement.template("by_carrier"), {"carrier": " "}) == "EXECUTE by_carrier()"


def test_parameters_are_read_from_lines():
    found = work.parameters_of("Year int = 2013\n\n:maker string = 'O''Neill'\nday date\n")
    assert [(p.name, p.type.value, p.default_value) for p in found] == [
        ("year", "int", "2013"),
        ("maker", "string", "O'Neill"),
        ("day", "date", None),
    ]
    for text in ("year", "year integer", "1year int", "year int = soon", "a b c"):
        with pytest.raises(InputError, match="line 1"):
            work.parameters_of(text)


def test_a_template_is_proposed(console, entry):
    user = console.sign_in(May.TABLES).account.user()
    sql = "SELECT COUNT(DISTINCT tailnum) AS n FROM flights WHERE carrier = :c"
    made = work.propose_template(console.context, user, console.room, "New_One", sql, "c string")
    assert made.state == "draft"
    again = console.sign_in(May.ASK).account.user()
    with pytest.raises(Refusal, match="ability"):
        work.propose_template(console.context, again, console.room, "another", sql, "c string")


@pytest.mark.parametrize(
    ("name", "sql", "parameters", "words"),
    [
        ("by_carrier", SQL, "carrier string", "already"),
        ("x y", SQL, "carrier string", "no template"),
        ("x", SQL, "", "declare the parameter 'carrier'"),
        ("x", SQL, "carrier string\nmore int", "does not use 'more'"),
        ("x", "DROP TABLE flights", "", ""),
    ],
)
def test_what_is_no_template_is_not_proposed(console, name, sql, parameters, words):
    browser = console.sign_in(May.TABLES)
    page = browser.submit(f"/rooms/{console.room}/templates", name=name, sql=sql, parameters=parameters)
    assert page.status_code in {400, 409}
    assert words in html.unescape(page.text)
    assert "<textarea" in page.text, "what was typed is not lost"


def test_an_owner_approves_for_its_own_table_alone(console, entry):
    browser = console.sign_in(May.TABLES)
    user = browser.account.user()
    with pytest.raises(NotFound):
        work.approve(console.context, user, console.room, "wide", "planes")
    with pytest.raises(RoomError):
        work.approve(console.context, user, console.room, "by_carrier", "flights")
    answer = browser.submit(f"/rooms/{console.room}/templates/wide/approve", table="flights")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/rooms/{console.room}/draft")
    page = browser.get(f"/rooms/{console.room}/draft").text
    assert str(work.find(entry, "wide").hash) in page
    assert (
        console.sign_in(May.ASK)
        .submit(f"/rooms/{console.room}/templates/wide/approve", table="flights")
        .status_code
        == 403
    )


def test_jobs_show_what_runs_here(console):
    page = console.sign_in(May.SIGN).get("/jobs")
    assert page.status_code == 200
    assert "No question runs or ran" in page.text
