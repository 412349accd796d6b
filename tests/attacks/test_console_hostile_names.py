# SPDX-License-Identifier: Apache-2.0
"""Names and values that others choose never become markup, scripts, templates or addresses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import Place
from tests.console.conftest import Console, make_console
from tests.console.crawling import ADDRESS, HOSTILE, TEMPLATE, Found, crawl
from tests.console.routes import routes

from hitoku.console import store
from hitoku.console.users import May
from hitoku.console.work.asks_store import Options, moment
from hitoku.room.consoletables import asks

TURNED = "\u202egnp.exe\u2066\x1b[31m"


def hostile_room(data: dict[str, Any]) -> None:
    """What a member can write into an agreement that others sign without looking."""
    data["name"] = HOSTILE
    data["templates"] = [
        {
            "name": "hostile",
            "sql": f"SELECT '{HOSTILE.replace(chr(39), '')}' AS x FROM flights WHERE carrier = :c",
            "parameters": [{"name": "c", "type": "string", "defaultValue": HOSTILE}],
        }
    ]


@pytest.fixture(name="console")
def hostile_console(make: Callable[..., Place]) -> Iterator[Console]:
    console = make_console(make(hostile_room))
    console.account(May.ASK, name=HOSTILE[:63])
    console.account(May.ASK, name=ADDRESS)
    _events(console)
    yield console
    console.close()


def _events(console: Console) -> None:
    account = store.by_name(console.context, ADDRESS)
    assert account is not None
    store.note(console.context, account, "signed", room=console.room, table=HOSTILE, code=TURNED)
    refusal = '{"error": "Refusal", "code": "X", "message": %s, "rule": %s, "owner": %s, "remedy": %s}'
    text = json.dumps(HOSTILE + TURNED)
    for number, state in enumerate(("done", "refused", "failed")):
        row = {
            "id": f"{number:032x}",
            "user": account.id,
            "room": console.room,
            "sql": f"SELECT '{HOSTILE}{TURNED}'",
            "options": json.dumps(Options().to_dict()),
            "state": state,
            "phases": "[]",
            "refusal": refusal % (text, text, text, text) if state != "done" else None,
            "created": moment(console.clock.now()),
            "updated": moment(console.clock.now()),
        }
        with console.context.node.store().transaction() as connection:
            connection.execute(sa.insert(asks).values(**row))


def look(path: str, answer: Any) -> list[str]:
    """What is wrong with an answer."""
    kind = answer.headers.get("content-type", "")
    wrong = (
        [f"{path}: {answer.status_code}"] if answer.status_code >= 500 and answer.status_code != 502 else []
    )
    if kind.startswith("text/html"):
        wrong += [f"{path}: {what}" for what in Found(answer.text).wrong]
        if re.search(
            r"(?<![\w.])49(?:\$49)?(?![\w.])", re.sub(TEMPLATE.replace("{", r"\{"), "", answer.text)
        ) and ("49$" in answer.text or "$49" in answer.text):
            wrong.append(f"{path}: a template was run")
        csp = answer.headers["content-security-policy"]
        if "unsafe" in csp or "script-src 'self';" not in csp:
            wrong.append(f"{path}: content security policy")
    return wrong


def pages(console: Console) -> tuple[str, ...]:
    """All addresses without parameters, and those with what there is in the room filled in."""
    filled = {
        "room": console.room,
        "room_id": console.room,
        "table": "planes",
        "ask_id": "0" * 31 + "1",
        "number": "1",
        "seq": "0",
        "name": "airport",
    }
    found = []
    for method, path, _ in routes(console.app):
        names = re.findall(r"\{(\w+)\}", path)
        if method == "GET" and set(names) <= set(filled):
            for name in names:
                path = path.replace("{" + name + "}", filled[name])
            if not path.endswith(("/events", "/logout")):
                found.append(path)
    return tuple(found)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_no_page_makes_markup_of_names(console: Console, language: str) -> None:
    browser = console.sign_in(*May, language=language)
    wrong, seen, shown = [], 0, 0
    for path, answer in crawl(browser, pages(console)):
        wrong += look(path, answer)
        if answer.headers.get("content-type", "").startswith("text/html"):
            seen += 1
            shown += "&lt;img src=x" in answer.text
    assert not wrong
    assert seen > 20
    assert shown > 5  # the names were there


def asked_of(console: Console, path: str) -> set[str]:
    """The names that a route takes from an address."""
    found: set[str] = set()
    for _, pattern, route in routes(console.app):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path) and hasattr(route, "dependant"):
            found |= {field.alias for field in route.dependant.query_params}
    return found


def test_no_page_repeats_what_an_address_says(console: Console) -> None:
    browser = console.sign_in(*May)
    wrong = []
    for path in pages(console):
        names = ("q", "words", "next", "done", "sql", "state", "who", "user", "room", "name", "run", "what")
        wrong += look(path, browser.get(path, params=dict.fromkeys(names, HOSTILE)))
        for name in asked_of(console, path):
            wrong += look(f"{path}?{name}", browser.get(path, params={name: HOSTILE}))
    assert not wrong


def test_an_address_that_is_not_there_is_not_markup(console: Console) -> None:
    browser = console.sign_in(*May)
    wrong = []
    for path in (
        f"/{HOSTILE}",
        f"/rooms/{HOSTILE}",
        f"/rooms/{console.room}/tables/{HOSTILE}",
        f"/users/{HOSTILE}",
    ):
        answer = browser.get(path)
        assert answer.status_code in {404, 400}
        wrong += look(path, answer)
    assert not wrong


def _renamed(column: Any) -> Any:
    return column.model_copy(update={"name": column.name + HOSTILE + TURNED})


class Forged:
    """A node whose rooms have names that no agreement could have: as if a check before were missing."""

    def __init__(self, node: Any) -> None:
        self._node = node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    def rooms(self) -> Any:
        found = []
        for entry in self._node.rooms():
            agreement = entry.room.agreement
            members = tuple(
                m.model_copy(update={"name": HOSTILE + TURNED}) if m.name == "registry" else m
                for m in agreement.members
            )
            tables = tuple(
                t.model_copy(update={"name": HOSTILE + TURNED, "owner": HOSTILE})
                if t.name == "planes"
                else t.model_copy(update={"columns": tuple(map(_renamed, t.columns))})
                for t in agreement.tables
            )
            changed = agreement.model_copy(
                update={"members": members, "tables": tables, "name": HOSTILE + TURNED}
            )
            found.append(replace(entry, room=entry.room.model_copy(update={"agreement": changed})))
        return tuple(found)


def test_even_impossible_names_stay_text(console: Console) -> None:
    console.context.node = Forged(console.context.node)
    browser = console.sign_in(*May)
    wrong = []
    for path, answer in crawl(browser, pages(console), 150):
        kind = answer.headers.get("content-type", "")
        if kind.startswith("text/html"):
            wrong += [f"{path[:80]}: {what}" for what in Found(answer.text).wrong]
    assert not wrong


def test_templates_never_switch_escaping_off() -> None:
    folder = Path(__file__).parents[2] / "src/hitoku/console"
    wrong = []
    for file in folder.rglob("*.html"):
        text = file.read_text("utf-8")
        for found in re.findall(
            r"\|\s*safe\b|autoescape|\son\w+=|\sstyle=|<style|\|\s*urlize|hx-on|javascript:", text
        ):
            wrong.append(f"{file.name}: {found}")
        wrong += [
            f"{file.name}: attribute without quotes {a}" for a in re.findall(r"\s[\w:-]+=\{\{[^}]*", text)
        ]
        for value in re.findall(r"[?&;]\w+=\{\{([^}]*)\}\}", text):
            # Ids and runs are hexadecimal, made or checked here.
            if "urlencode" not in value and not value.strip().endswith((".id", ".run")):
                wrong.append(f"{file.name}: not encoded in an address: {value}")
    for file in folder.rglob("*.py"):
        if re.search(r"\bMarkup\(|from_string\(|\|safe", file.read_text("utf-8")):
            wrong.append(f"{file.name}: markup made in code")
    assert not wrong
