# SPDX-License-Identifier: Apache-2.0
"""The pages of questions, over real nodes: check, run, watch, read, export; two users; words of others."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import time
from typing import Any

import pytest
from tests.conftest import PLANTED, QUESTION, REFUSED, fill, make_place
from tests.console.asking import Served
from tests.console.conftest import make_console

from hitoku.console.render import _environment
from hitoku.console.users import May
from hitoku.console.work.asks import asks_of


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    nodes = Served(fill(make_place(tmp_path_factory.mktemp("pages"))))
    nodes.start()
    yield nodes
    nodes.stop()


@pytest.fixture(scope="module")
def console(served):
    made = make_console(served.place)
    yield made
    asks_of(made.context).close()
    made.close()


@pytest.fixture(scope="module")
def anne(console):
    return console.sign_in(May.ASK)


def ended(browser, where: str) -> str:
    """The page of a question at its end."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        page = browser.get(where)
        assert page.status_code == 200, page.text
        if "data-events" not in page.text:
            return str(page.text)
        time.sleep(0.05)
    raise AssertionError(where)


def asked(browser, room: str, sql: str = QUESTION, **fields) -> str:
    """Where a question is that was asked."""
    answer = browser.submit(f"/rooms/{room}/ask", sql=sql, do="run", **fields)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


@pytest.fixture(scope="module")
def where(anne, console):
    """A question of Anne's that is answered."""
    found = asked(anne, console.room)
    ended(anne, found)
    return found


def test_the_editor_has_tables_and_rules_beside_it(anne, console):
    page = anne.get(f"/rooms/{console.room}/ask").text
    for words in (
        "flights",
        "planes",
        'data-insert="tailnum"',
        "COUNT_DISTINCT",
        "each row rests on 3 tailnum",
    ):
        assert words in page
    assert 'onclick="' not in page
    assert "style=" not in page


@pytest.mark.parametrize(("left", "warned"), [(0, True), (3, False), (None, False)])
def test_a_spent_budget_is_said_before_the_question_runs(left, warned):
    account = {
        "owner": "clinic", "unit": "person", "period": "ever", "cost": "0.9", "spent": "1.1", "epsilon": 1,
        "questions": left,
    }  # fmt: skip
    found: dict[str, Any] = {
        "accepted": True,
        "fix": None,
        "sql": "SELECT 1",
        "runs_by": {"protection": "crosstab", "seconds": None, "network_bytes": None, "rounds": None,
                    "learned": [], "plan": []},
        "cost": {"answered": False, "accounts": [account], "windows": [], "users_noise": None},
        "cost_problem": "",
        "data": {"question": {"template": None, "thresholds": [], "protected_by": "noise", "sql": "SELECT 1",
                              "outputs": []}, "protections": []},
    }  # fmt: skip
    given = {"receivers": [], "noise": "", "users_noise": "", "epsilon": ""}
    page = _environment().get_template("ask/verdict.html")
    text = html.unescape(
        page.render(
            found=found, problem=None, marked=None, usually=None, given=given, room={"id": "r"}, csrf="",
            language="en", size=str, duration=str,
        )
    )  # fmt: skip
    assert ("clinic's account for person has too little left" in text) is warned
    assert ("notice warn run-it" in text) is warned


def test_a_question_is_explained_before_it_runs(anne, console):
    before = len(asks_of(console.context).some(anne.account.user())[0])
    page = anne.submit(f"/rooms/{console.room}/ask", sql=QUESTION)
    assert page.status_code == 200
    text = html.unescape(page.text)
    assert "The rules allow it" in text
    assert "tokens" in text
    assert "Who learns what" in text
    assert re.search(r"at least 3 distinct (flights|planes)\.tailnum", text)
    assert 'value="run"' in page.text
    assert len(asks_of(console.context).some(anne.account.user())[0]) == before
    part = anne.submit(f"/rooms/{console.room}/ask", sql=QUESTION, headers={"HX-Request": "true"})
    assert part.status_code == 200
    assert "<html" not in part.text
    assert "The rules allow it" in html.unescape(part.text)


def test_a_refusal_is_marked_in_the_text_and_says_what_to_do(anne, console):
    page = anne.submit(f"/rooms/{console.room}/ask", sql=REFUSED).text
    assert re.search(r"<mark>[^<]*dest_sealed", page)
    for words in ("airport", "tables.flights"):
        assert words in page
    assert 'value="run"' not in page


def test_a_change_of_the_text_takes_the_refusal_away(anne, console):
    sql = "SELECT p.manufacturer, COUNT(DISTINCT p.tailnum) AS n FROM planes AS p"
    page = anne.submit(f"/rooms/{console.room}/ask", sql=sql).text
    found = re.search(r'<form[^>]*class="fix".*?<textarea[^>]*>\n(.*?)</textarea>', page, re.S)
    assert found, page
    better = html.unescape(found[1])
    assert better.endswith("GROUP BY p.manufacturer")
    again = anne.submit(f"/rooms/{console.room}/ask", sql=better).text
    assert "GROUP BY p.manufacturer" in again
    assert "NOT_GROUPED" not in again


def test_line_ends_of_browsers_do_not_shift_the_mark(anne, console):
    sql = "SELECT COUNT(tailnum) AS n\r\nFROM flights\r\nWHERE dest_sealed = 'x'"
    page = anne.submit(f"/rooms/{console.room}/ask", sql=sql).text
    assert re.search(r"<mark>dest_sealed", page)


def test_what_cannot_be_asked_is_said_in_place(anne, console):
    for fields, words in (
        ({"sql": "  "}, "write a question first"),
        ({"sql": QUESTION, "noise": "users_noise", "users_noise": "many"}, "whole number"),
        ({"sql": QUESTION, "noise": "epsilon", "epsilon": ""}, "decimal number"),
        ({"sql": QUESTION, "noise": "epsilon", "epsilon": "zero"}, "decimal number"),
    ):
        page = anne.submit(f"/rooms/{console.room}/ask", **fields)
        assert page.status_code == 400
        assert words in page.text


def test_the_answer_is_a_table_with_all_that_is_known_of_it(anne, console, where):
    page = html.unescape(anne.get(where).text)
    assert re.search(
        r'<th scope="row">BIG</th>\s*<td class="number">18</td>\s*<td class="number">10.17</td>', page
    )
    for words in (
        "are not shown, and not told of",
        "3 distinct flights.tailnum (airport's rule)",
        "Who learned what",
        "It costs no privacy budget",
        "1 row",
        '<div id="plot" ',
    ):
        assert words in page
    assert PLANTED not in page


def test_a_user_sees_nothing_of_anothers_question(anne, console, where):
    bert = console.sign_in(May.ASK, May.TABLES, May.SIGN, May.ADMINISTER)
    for end in ("", "/events", "/plot.json", "/export.csv", "/export.json", "/export.arrow", "/export.svg"):
        assert bert.get(where + end).status_code == 404, end
    assert bert.submit(where + "/cancel").status_code == 404
    ask = where.rpartition("/")[2]
    assert bert.get(f"/rooms/{console.room}/ask?again={ask}").status_code == 404
    assert ask not in bert.get(f"/rooms/{console.room}/ask?everybody=true").text
    assert ask not in bert.get("/jobs").text
    away = console.sign_in(May.ASK, May.AUDIT, rooms=frozenset())
    assert away.get(where).status_code == 404
    nobody = console.browser()
    assert nobody.get(where).status_code == 303


def test_an_auditor_sees_what_was_asked_and_no_rows(console, where):
    carl = console.sign_in(May.AUDIT)
    page = html.unescape(carl.get(where).text)
    assert "GROUP BY p.manufacturer" in page
    # As a word: these three letters stand in one of 3,000 tokens against forged requests.
    assert not re.search(r"(?<![\w-])BIG(?![\w-])", page)
    assert "shown to who asked" in page
    for end in ("/plot.json", "/export.csv"):
        assert carl.get(where + end).status_code == 404
    assert carl.submit(where + "/cancel").status_code == 403
    assert where.rpartition("/")[2] in carl.get(f"/rooms/{console.room}/ask?everybody=true").text
    assert "BIG" in console.sign_in(May.AUDIT, May.ASK).get(where).text


def test_exports(anne, where):
    table = anne.get(where + "/export.csv")
    assert table.headers["content-disposition"].startswith('attachment; filename="answer-')
    rows = list(csv.reader(io.StringIO(table.content.decode("utf-8-sig"))))
    assert rows[0] == ["manufacturer", "aircraft", "delay"]
    assert rows[1][:2] == ["BIG", "18"]
    whole = anne.get(where + "/export.json").json()
    assert whole["rows"][0][1] == 18
    assert whole["leakage"]
    import pyarrow as pa

    found = pa.ipc.open_file(anne.get(where + "/export.arrow").content).read_all()
    assert found.column("aircraft").to_pylist() == [18]
    assert found.schema.metadata[b"hitoku.run"].decode() == whole["run"]
    assert anne.get(where + "/export.svg").content.startswith(b"<svg")
    assert anne.get(where + "/export.exe").status_code == 404


def test_the_plot_has_no_words_or_colours_of_its_own(anne, where):
    spec = anne.get(where + "/plot.json").json()
    assert spec["data"]["values"][0]["group"] == "BIG"
    assert "title" not in spec
    assert "color" not in json.dumps(spec)


def test_a_page_of_an_answer_is_small(anne, where):
    """All that a browser loads for it the first time, compressed, in bytes: a plot needs no script."""
    page = anne.get(where, headers={"accept-encoding": "gzip", "sec-fetch-site": "same-origin"})
    total = int(page.headers["content-length"])
    names = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    for name in names:
        total += int(anne.get(name, headers={"accept-encoding": "gzip"}).headers["content-length"])
    assert len(names) > 3
    assert total < 50_000, total


def test_the_plot_is_in_the_page(anne, where):
    page = html.unescape(anne.get(where).text)
    drawing = page.split('<div id="plot"')[1].split("</svg>")[0]
    assert "<title>BIG: 10.17</title>" in drawing
    assert drawing.count("<rect ") == 1
    assert "<script" not in page.split("</head>")[1]
    assert "<title>BIG: 18</title>" in html.unescape(anne.get(f"{where}?column=aircraft").text)


def test_the_history_is_searched(anne, console, where):
    page = anne.get(f"/rooms/{console.room}/ask?words=MANUFACTURER").text
    assert where in page
    assert where not in anne.get(f"/rooms/{console.room}/ask?words=nowhere_at_all").text
    again = anne.get(f"/rooms/{console.room}/ask?again={where.rpartition('/')[2]}").text
    assert "COUNT(DISTINCT p.tailnum) AS aircraft" in again


def test_words_of_others_are_no_markup(anne, console):
    evil = "SELECT '<script>alert(1)</script>' AS \"</textarea><img src=x onerror=alert(1)>\" FROM flights"
    page = anne.submit(f"/rooms/{console.room}/ask", sql=evil).text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    found = asked(anne, console.room, evil)
    page = ended(anne, found)
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_names_in_an_answer_are_no_markup_and_no_formula(anne, console):
    sql = QUESTION.replace("AS aircraft", 'AS "<img src=x onerror=alert(1)>"').replace(
        "AS delay", 'AS "=1+1"'
    )
    found = asked(anne, console.room, sql)
    page = ended(anne, found)
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    head = anne.get(found + "/export.csv").content.decode("utf-8-sig").splitlines()[0]
    assert head == "manufacturer,<img src=x onerror=alert(1)>,'=1+1"
    drawn = anne.get(found + "/export.svg")
    assert "attachment" in drawn.headers["content-disposition"]
    assert "<img" not in drawn.text


def test_the_other_receiver_has_the_answer_too(anne, console, served):
    sql = QUESTION.replace("AS delay", "AS for_both")
    found = asked(anne, console.room, sql, receivers=["airport", "registry"])
    run = json.loads(anne.get((ended(anne, found), found)[1] + "/export.json").content)["run"]
    registry = make_console(served.place, "registry")
    try:
        hana = registry.sign_in(May.ASK)
        where = f"/rooms/{console.room}/received"
        assert run in hana.get(where).text
        page = html.unescape(hana.get(f"{where}/{run}").text)
        assert re.search(r"BIG</th>\s*<td[^>]*>18</td>", page)
        assert hana.get(f"{where}/{run}/export.json").json()["rows"][0][1] == 18
        auditor = registry.sign_in(May.AUDIT)
        assert "for_both" in auditor.get(where).text
        assert auditor.get(f"{where}/{run}").status_code == 403
        assert registry.sign_in(May.SIGN).get(where).status_code == 403
        away = registry.sign_in(May.ASK, rooms=frozenset())
        assert away.get(f"{where}/{run}").status_code == 404
        for wrong in ("0" * 32, "..%2Fmember", "x"):
            assert hana.get(f"{where}/{wrong}").status_code == 404
    finally:
        registry.close()


def test_a_question_without_a_token_is_not_asked(anne, console):
    answer = anne.post(f"/rooms/{console.room}/ask", data={"sql": QUESTION, "do": "run"})
    assert answer.status_code == 403


def test_everything_is_said_in_japanese_too(console):
    hana = console.sign_in(May.ASK, language="ja")
    page = hana.submit(f"/rooms/{console.room}/ask", sql=REFUSED).text
    assert "対処方法" in page
    assert "質問を確認" in page
    found = asked(hana, console.room)
    page = ended(hana, found)
    for words in ("誰が何を知ったか", "表示され", "書き出し", "プライバシー予算は消費しません"):
        assert words in page
