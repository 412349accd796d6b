# SPDX-License-Identifier: Apache-2.0
"""The rule editor and budgets, over a real member's directory."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.attacks.budget_world import NOISED, noised
from tests.conftest import fill, make_place
from tests.console.conftest import Console, make_console
from tests.console.test_tables import EVERYTHING, agreement, in_force

from hitoku.console.users import May
from hitoku.console.work import rules as work
from hitoku.console.work.rule_form import Fields, data_of_form, data_of_rule, problems_of
from hitoku.node.local import open_room
from hitoku.room.rules import AggregationRule, CustomRule

COUNT = "SELECT carrier, COUNT(DISTINCT tailnum) AS n FROM flights GROUP BY carrier"
ROWS = "SELECT carrier, arr_delay FROM flights"
FORM: dict[str, Any] = {
    "view": "form",
    "type": "aggregation",
    "aggregate": ["COUNT_DISTINCT:tailnum", "AVG:arr_delay"],
    "join": ["tailnum"],
    "dimension": ["carrier"],
    "constraint-column-0": "tailnum",
    "constraint-minimum-0": "3",
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """One console for all tests that leave agreement and node.toml as they are."""
    made = make_console(make_place(tmp_path_factory.mktemp("shared")))
    yield made
    made.close()


def editor(console: Console) -> str:
    return f"/rooms/{console.room}/tables/flights/rule"


def words(page: Any) -> str:
    return " ".join(html.unescape(page.text).split())


def entry(console: Console) -> Any:
    return console.context.room(EVERYTHING, console.room)


def keep(console: Console, *examples: tuple[str, str]) -> None:
    made = [work.example_of(sql, wanted) for sql, wanted in examples]
    work.keep_examples(console.context, entry(console), "flights", made)


def test_the_form_of_the_rule_in_force_gives_that_rule(shared: Console) -> None:
    browser = shared.sign_in(May.TABLES)
    page = browser.get(editor(shared))
    assert page.status_code == 200
    assert 'value="COUNT_DISTINCT:tailnum" aria-label="COUNT_DISTINCT tailnum" checked' in page.text
    kept = browser.submit(editor(shared), **FORM, action="view:json")
    shown = html.unescape(kept.text.split("<textarea")[1].split(">", 1)[1].split("</textarea>")[0])
    assert json.loads(shown)["outputConstraints"][0]["minimum"] == 3


def test_examples_show_verdicts_as_the_form_changes(shared: Console) -> None:
    keep(shared, (COUNT, "accept"), (ROWS, "refuse"))
    browser = shared.sign_in(May.TABLES)
    path = f"{editor(shared)}/try"
    page = words(browser.submit(path, **FORM))
    assert "2 of 2 as wanted; 0 decided otherwise" in page
    assert "NO_AGGREGATE" in page
    assert "By tokens" in page
    changed = words(browser.submit(path, **{**FORM, "dimension": []}))
    assert "1 of 2 as wanted; 1 decided otherwise" in changed
    assert "newly refused" in changed
    assert "tables.flights.rule.dimensionColumns" in changed
    assert "What to do:" in changed


def test_what_is_no_rule_yet_is_said_beside_the_form(shared: Console) -> None:
    keep(shared, (COUNT, "accept"))
    browser = shared.sign_in(May.TABLES)
    changes: tuple[dict[str, Any], ...] = (
        {"constraint-minimum-0": "1"},
        {"aggregate": []},
        {"constraint-minimum-0": "many"},
    )
    for change in changes:
        page = words(browser.submit(f"{editor(shared)}/try", **{**FORM, **change}))
        assert "This is not a rule yet" in page
    page = words(browser.submit(f"{editor(shared)}/try", **{**FORM, "aggregate": ["SUM:dest_sealed"]}))
    assert "SUM needs a cleartext number" in page


def test_examples_are_added_turned_round_and_removed(shared: Console) -> None:
    browser = shared.sign_in(May.TABLES)
    page = browser.submit(editor(shared), **FORM, action="add", **{"new-sql": COUNT, "new-wanted": "refuse"})
    assert "not as you want it" in words(page)
    browser.submit(editor(shared), **FORM, action="flip:0")
    kept = work.examples(shared.context, entry(shared), "flights")
    assert [(e.sql, e.wanted) for e in kept] == [(COUNT, "accept")]
    browser.submit(editor(shared), **FORM, action="drop:0")
    assert work.examples(shared.context, entry(shared), "flights") == ()
    # As browsers send a text of two lines.
    browser.submit(editor(shared), **FORM, action="add", **{"new-sql": "SELECT 1\r\nFROM flights"})
    assert [e.sql for e in work.examples(shared.context, entry(shared), "flights")] == [
        "SELECT 1\nFROM flights"
    ]
    browser.submit(editor(shared), **FORM, action="drop:0")
    browser.submit(editor(shared), **FORM, action="suggest")
    kept = work.examples(shared.context, entry(shared), "flights")
    assert len(kept) >= 5
    page = words(browser.submit(f"{editor(shared)}/try", **FORM))
    assert f"{len(kept)} of {len(kept)} as wanted" in page
    for action in ("drop:999", "drop:x", "flip:-1", "add"):
        assert browser.submit(editor(shared), **FORM, action=action).status_code in {200, 400}
    assert work.examples(shared.context, entry(shared), "flights") == kept


def test_saving_proposes_the_rule(console: Console) -> None:
    browser = console.sign_in(May.TABLES, May.SIGN)
    answer = browser.submit(editor(console), **{**FORM, "constraint-minimum-0": "77"}, action="propose")
    assert answer.status_code == 303
    in_force(console)
    rule = agreement(console).table("flights").rule
    assert isinstance(rule, AggregationRule)
    assert rule.output_constraints[0].minimum == 77


def test_a_draft_is_kept_for_who_may_sign(shared: Console) -> None:
    browser = shared.sign_in(May.TABLES)
    browser.submit(editor(shared), **{**FORM, "constraint-minimum-0": "55"}, action="keep")
    other = shared.sign_in(May.TABLES, May.SIGN)
    page = other.get(editor(shared)).text
    assert 'value="55"' in page
    assert agreement(shared).table("flights").rule.output_constraints[0].minimum == 3
    other.submit(editor(shared), **FORM, action="forget")
    assert 'value="55"' not in other.get(editor(shared)).text


def test_a_rule_with_noise_opens_its_account(console: Console) -> None:
    keep(console, ("SELECT COUNT(DISTINCT tailnum) AS n FROM flights", "accept"))
    browser = console.sign_in(May.TABLES, May.SIGN)
    form = {
        "view": "form", "type": "custom", "analyses": "any", "provider": ["airport"], "privacy": "noise",
        "unit-column": "tailnum", "unit": "aircraft", "rows": "1", "groups": "1", "lower-arr_delay": "-60",
        "upper-arr_delay": "600", "public-carrier": "AA\nUA", "account-epsilon": "4",
    }  # fmt: skip
    page = words(browser.submit(editor(console), **form, action="try"))
    assert "Open an account for aircraft" in page
    assert "epsilon" in page
    assert "airport's account aircraft" in page
    assert browser.submit(editor(console), **form, action="propose").status_code == 303
    in_force(console)
    assert agreement(console).budget("airport", "aircraft").epsilon == 4
    rule = agreement(console).table("flights").rule
    assert isinstance(rule, CustomRule)
    assert rule.differential_privacy is not None
    assert rule.differential_privacy.bounds[0].upper == 600
    assert rule.differential_privacy.public_values[0].values == ("AA", "UA")


def test_an_account_whose_figures_were_not_shown_is_not_opened(console: Console) -> None:
    browser = console.sign_in(May.TABLES, May.SIGN)
    form = {
        "view": "form", "type": "custom", "analyses": "any", "provider": ["airport"], "privacy": "noise",
        "unit-column": "tailnum", "unit": "aircraft",
    }  # fmt: skip
    page = browser.submit(editor(console), **form, action="propose")
    assert page.status_code == 200
    assert "This rule opens an account" in words(page)
    assert 'name="account-epsilon"' in page.text
    assert agreement(console).budgets == ()
    shown = {"account-epsilon": "3", "account-noise": "30", "account-delta": "1e-6"}
    assert browser.submit(editor(console), **form, **shown, action="propose").status_code == 303
    in_force(console)
    assert agreement(console).budget("airport", "aircraft").epsilon == 3


def test_a_choice_of_noise_says_in_words_what_it_lacks(shared: Console) -> None:
    browser = shared.sign_in(May.TABLES)
    form = {"view": "form", "type": "custom", "analyses": "any", "provider": ["airport"], "privacy": "noise"}
    page = words(browser.submit(f"{editor(shared)}/try", **form, **{"unit-column": ""}))
    assert "differentialPrivacy.columns: needs at least one" in page
    assert "String" not in page
    assert "Tuple" not in page


def test_a_rule_of_aws_is_pasted(shared: Console) -> None:
    browser = shared.sign_in(May.TABLES)
    content = {
        "aggregateColumns": [{"columnNames": ["tailnum"], "function": "COUNT_DISTINCT"}],
        "joinColumns": ["tailnum"], "dimensionColumns": [], "scalarFunctions": ["SOUNDEX<script>"],
        "outputConstraints": [{"columnName": "tailnum", "minimum": 44, "type": "COUNT_DISTINCT"}],
        "allowedResultReceivers": ["111122223333"],
    }  # fmt: skip
    pasted = json.dumps({"v1": {"aggregation": content}})
    fields = {"view": "aws", "aws": pasted, "aws-accounts": "111122223333=registry", "before": ""}
    page = browser.submit(editor(shared), **fields, action="import")
    assert page.status_code == 200
    assert 'value="44"' in page.text
    assert "allows more than AWS did" in page.text
    assert "registry" in page.text
    assert "<script>alert" not in page.text
    assert "SOUNDEX<script>" not in page.text
    wrong = browser.submit(editor(shared), **{**fields, "aws": "{"}, action="import")
    assert wrong.status_code == 400
    assert "not valid JSON" in wrong.text


def test_hostile_text_is_refused_in_words(shared: Console) -> None:
    browser = shared.sign_in(May.TABLES, May.SIGN)
    before = agreement(shared)
    for text in (
        "a: &a [*a]",
        "!!python/object/apply:os.system [x]",
        "[" * 50_000,
        "- list",
        "\x00",
        '{"type": "custom", "type": "list"}',
        "type: </textarea><script>alert(1)</script>",
    ):
        page = browser.submit(editor(shared), view="yaml", text=text, action="propose")
        assert page.status_code in {200, 400}
        assert "<script>alert" not in page.text
    assert agreement(shared) == before


def test_form_fields_and_rules_go_both_ways(shared: Console) -> None:
    """What the editor shows of a rule is that rule again when it is posted unchanged."""
    table = agreement(shared).table("flights")
    custom = {"type": "custom", "allowedAnalyses": ["ANY_QUERY"], "allowedAnalysisProviders": ["airport"]}
    functions = {"scalarFunctions": ["ABS"], "joinRequired": "QUERY_RUNNER"}
    rules: dict[str, dict[str, Any]] = {
        "aggregation": data_of_rule(table.rule) | functions,
        "list": {
            "type": "list", "joinColumns": ["tailnum"], "listColumns": ["carrier"],
            "allowedJoinOperators": ["OR"],
        },
        "threshold": custom | {
            "aggregationThresholds": [
                {"identityColumns": ["tailnum"], "minimumIdentityCount": 9,
                 "outputColumnThresholds": [{"outputColumnName": "carrier", "minimumIdentityCount": 0}]}
            ],
            "overlapColumns": ["carrier"], "disallowedOutputColumns": ["arr_delay"],
            "comparisonControls": {
                "allowedLiteralComparisonColumns": ["carrier"], "allowedColumnComparisonColumns": [],
            },
            "allowedResultReceivers": ["airport"], "additionalAnalyses": "ALLOWED",
        },
        "noise": custom | {
            "differentialPrivacy": {
                "columns": [{"name": "tailnum"}], "unit": "aircraft", "maxRowsPerGroup": 2, "maxGroups": 3,
                "bounds": [{"columnName": "arr_delay", "lower": -5, "upper": 7, "decimals": 1}],
                "publicValues": [{"columnName": "carrier", "values": ["AA", "<b>"]}],
            },
        },
        "templates": {"type": "custom", "allowedAnalyses": ["sha256:" + "0" * 64]},
    }  # fmt: skip
    browser = shared.sign_in(May.TABLES)
    for name, data in rules.items():
        rule, wrong = problems_of(data)
        assert not wrong
        text = json.dumps(data_of_rule(rule))
        page = browser.submit(editor(shared), view="json", text=text, action="view:form")
        assert page.status_code == 200
        again, wrong = problems_of(data_of_form(Fields(_posted(page.text)), table))
        # A template that the room has not cannot be ticked.
        assert bool(wrong) == (name == "templates")
        assert name == "templates" or again == rule


def _posted(text: str) -> list[tuple[str, str]]:
    """The fields that a browser would send of the editor's form."""
    from html.parser import HTMLParser

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[tuple[str, str]] = []
            self.inside, self.select, self.area = False, "", ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            a = dict(attrs)
            name, value = a.get("name") or "", a.get("value") or ""
            if tag == "form":
                self.inside = a.get("id") == "rule"
            if not self.inside:
                return
            if tag == "input" and (a.get("type") not in {"checkbox", "radio"} or "checked" in a):
                self.found.append((name, value))
            elif tag == "select":
                self.select = name
            elif tag == "option" and "selected" in a:
                self.found.append((self.select, value))
            elif tag == "textarea":
                self.area = name
                self.found.append((name, ""))

        def handle_data(self, data: str) -> None:
            if self.area and self.inside:
                name, value = self.found.pop()
                self.found.append((name, value + data))

        def handle_endtag(self, tag: str) -> None:
            if tag == "textarea":
                self.area = ""
            if tag == "form":
                self.inside = False

    reader = Reader()
    reader.feed(text)
    return reader.found


# --- budgets ---


def test_an_account_is_opened_changed_and_closed(console: Console) -> None:
    browser = console.sign_in(May.TABLES, May.SIGN)
    base = f"/rooms/{console.room}/budgets"
    form = {"unit": "person", "epsilon": "3", "delta": "1e-7", "noise": "40", "refresh": "CALENDAR_MONTH"}
    assert browser.submit(f"{base}/edit", **form).status_code == 303
    in_force(console)
    page = browser.get(base)
    assert 'aria-label="person: 100 percent of the budget is left"' in page.text
    assert browser.submit(f"{base}/edit", **{**form, "epsilon": "5"}).status_code == 303
    in_force(console)
    assert agreement(console).budget("airport", "person").epsilon == 5
    assert browser.submit(f"{base}/close", unit="person").status_code == 303
    in_force(console)
    assert agreement(console).budgets == ()


def test_a_wrong_account_changes_nothing(shared: Console) -> None:
    browser = shared.sign_in(May.TABLES, May.SIGN)
    form = {"unit": "person", "epsilon": "3", "delta": "1e-6", "noise": "30", "refresh": "NONE"}
    wrong = [("epsilon", "0"), ("epsilon", "21"), ("epsilon", "3.5"), ("unit", "A b"), ("delta", "1")]
    for name, value in (*wrong, ("noise", "9"), ("refresh", "x")):
        answer = browser.submit(f"/rooms/{shared.room}/budgets/edit", **{**form, name: value})
        assert answer.status_code == 400, (name, value)
    assert agreement(shared).budgets == ()


def test_questions_of_a_table_are_limited(console: Console) -> None:
    browser = console.sign_in(May.TABLES, May.SIGN)
    path = f"/rooms/{console.room}/budgets/windows/flights"
    assert browser.submit(path, **{"window-CALENDAR_DAY": "5"}).status_code == 303
    in_force(console)
    assert [b.budget for b in agreement(console).table("flights").access_budgets] == [5]
    assert 'value="5"' in browser.get(path).text
    assert browser.submit(path, **{"window-CALENDAR_DAY": "-1"}).status_code == 400
    assert browser.submit(f"/rooms/{console.room}/budgets/windows/planes").status_code == 404


def test_what_is_spent_is_not_for_everybody(shared: Console) -> None:
    base = f"/rooms/{shared.room}/budgets"
    asker = shared.sign_in(May.ASK).get(base).text
    assert "What was spent" not in asker
    assert "Preview a question" in asker
    auditor = shared.sign_in(May.AUDIT).get(base).text
    assert "What was spent" in auditor
    assert "Preview a question" not in auditor
    assert shared.sign_in(May.AUDIT).submit(f"{base}/preview", sql="SELECT 1").status_code == 403


def test_a_preview_that_is_refused_says_why(shared: Console) -> None:
    browser = shared.sign_in(May.ASK)
    page = browser.submit(f"/rooms/{shared.room}/budgets/preview", sql=ROWS)
    assert page.status_code == 200
    assert "NO_AGGREGATE" in page.text
    wrong = browser.submit(f"/rooms/{shared.room}/budgets/preview", sql=COUNT, noise="x")
    assert "whole number" in wrong.text


@pytest.mark.slow
def test_what_was_charged_is_listed(make: Any) -> None:
    place = fill(make(noised()))
    open_room(place.path, me="airport").ask(NOISED)
    console = make_console(place, "registry")
    try:
        page = console.sign_in(May.AUDIT).get(f"/rooms/{console.room}/budgets")
        said = words(page)
        assert re.search(r"epsilon 0\.\d{1,4} of \d+ spent \(questions: 1\); 98 %", said)
        assert 'aria-label="tail: 98 percent of the budget is left"' in page.text
        spent = said.partition("What was spent")[2]
        assert spent.count("<td>tail</td>") == 1
        assert f'href="/rooms/{console.room}/ledger/' in spent
        assert "0.4" in spent
    finally:
        console.close()
