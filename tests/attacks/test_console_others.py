# SPDX-License-Identifier: Apache-2.0
"""Nobody sees or changes what is another user's or room's (OWASP: insecure direct object references)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import AGREEMENT, Place
from tests.console.conftest import Console, make_console
from tests.console.routes import guards, routes

from hitoku.console import sessions, store
from hitoku.console.users import May
from hitoku.errors import InputError
from hitoku.room.agreement import Agreement, Room
from hitoku.room.files import save_room
from hitoku.room.signing import sign

OTHER = "11111111-2222-4333-8444-555555555555"
NOWHERE = "99999999-2222-4333-8444-555555555555"


@pytest.fixture(name="console")
def two_rooms(place: Place, tmp_path: Path) -> Iterator[Console]:
    def change(data: dict[str, Any]) -> None:
        data["id"] = OTHER
        data["name"] = "PLANTED-ROOM"
        for member in data["members"]:
            member["key"] = place.members[member["name"]].keys({}).public_key()

    made = make_console(place, rooms=(place.room_file, _second(place, tmp_path, change)))
    yield made
    made.close()


def _second(place: Place, tmp_path: Path, change: Any) -> Path:
    data = deepcopy(AGREEMENT)
    change(data)
    room = Room(agreement=Agreement.model_validate(data))
    for name, directory in place.members.items():
        room = sign(room, name, directory.keys({}))
        directory.remember(room)
    save_room(room, tmp_path / "second.yaml")
    return tmp_path / "second.yaml"


def in_rooms(console: Console) -> list[tuple[str, str]]:
    return [(m, p) for m, p, _ in routes(console.app) if re.search(r"\{room(_id)?\}", p)]


def filled(path: str, room: str, seq: str = "0") -> str:
    path = re.sub(r"\{room(_id)?\}", room, path)
    for name, value in {
        "seq": seq,
        "number": "1",
        "table": "flights",
        "kind": "csv",
        "name": "airport",
    }.items():
        path = path.replace("{" + name + "}", value)
    return re.sub(r"\{\w+\}", "0" * 32, path)


def ask(browser: Any, method: str, path: str) -> Any:
    if method == "GET":
        return browser.get(path)
    return browser.request(method, path, headers={"x-csrf-token": browser.csrf})


def test_another_room_looks_like_none(console: Console) -> None:
    """Of a room that the user may not see, each address answers just as of a room that is not there."""
    assert len(console.context.node.rooms()) == 2
    browser = console.sign_in(*May, rooms=frozenset({console.room}))
    tried, wrong = 0, []
    for method, path in in_rooms(console):
        if "/rooms/join/" in path:
            continue
        theirs = ask(browser, method, filled(path, OTHER))
        none = ask(browser, method, filled(path, NOWHERE))
        tried += 1
        said = [
            re.sub(r"[\w-]{86}", "", a.text.replace(OTHER, "").replace(NOWHERE, "")) for a in (theirs, none)
        ]
        if theirs.status_code != none.status_code or said[0] != said[1] or "PLANTED" in theirs.text:
            wrong.append(f"{method} {path}: {theirs.status_code} {none.status_code}")
        if theirs.status_code not in {400, 404, 422}:
            wrong.append(f"{method} {path}: {theirs.status_code}")
    assert not wrong
    assert tried > 40


def test_no_list_has_what_is_of_another_room(console: Console) -> None:
    browser = console.sign_in(*(May), rooms=frozenset({console.room}))
    everywhere = console.sign_in(*May)
    seen = 0
    for method, path, _ in routes(console.app):
        if method == "GET" and "{" not in path and path not in {"/users", "/logout"}:
            answer = browser.get(path)
            assert "PLANTED-ROOM" not in answer.text, path
            assert OTHER not in answer.text, path
            seen += "PLANTED-ROOM" in everywhere.get(path).text
    assert seen >= 2  # who may see it does


@pytest.mark.slow
def test_abilities_are_checked_by_every_route(console: Console) -> None:
    """Who is not signed in, and who has no ability at all, gets nothing that needs one."""
    nobody, powerless = console.browser(), console.sign_in()
    tried = 0
    for method, path, route in routes(console.app):
        found = guards(route)
        if method == "MOUNT" or ("anybody",) in found or path.endswith("openapi.json"):
            continue
        where = filled(path, console.room)
        answer = nobody.get(where) if method == "GET" else nobody.request(method, where)
        expected = {401} if path.startswith("/api/") else {303} if method == "GET" else {403}
        assert answer.status_code in expected, path
        if answer.status_code == 303:
            assert answer.headers["location"].startswith("/login"), path
        if found == [("signed in",)]:
            continue
        assert ask(powerless, method, where).status_code == 403, path
        tried += 1
    assert tried > 40


def test_each_ability_opens_its_routes_only(console: Console) -> None:
    for ability in May:
        browser = console.sign_in(ability)
        for method, path, route in routes(console.app):
            needed = [names for names in guards(route) if names != ("signed in",)]
            if method == "MOUNT" or not needed or ("anybody",) in needed or str(ability) in needed[0]:
                continue
            answer = ask(browser, method, filled(path, console.room))
            assert answer.status_code == 403, (ability, path)


def test_tokens_and_accounts_are_ones_own(console: Console) -> None:
    ann, bob = console.sign_in(May.ASK), console.sign_in(May.ASK)
    sessions.make_token(console.context, ann.account, "x", frozenset({May.ASK}), 1)
    token = sessions.tokens_of(console.context, ann.account.id)[0]["id"]
    assert bob.submit(f"/account/tokens/{token}/end").status_code == 404
    assert len(sessions.tokens_of(console.context, ann.account.id)) == 1
    assert bob.get(f"/users/{ann.account.id}").status_code == 403
    assert bob.submit(f"/users/{bob.account.id}", abilities=list(May)).status_code == 403
    # A form with more fields than the page has changes nothing else.
    more = {"language": "ja", "theme": "auto", "abilities": "administer", "rooms": "", "id": ann.account.id}
    assert bob.submit("/account/look", **more).status_code == 303
    assert store.by_id(console.context, bob.account.id).abilities == frozenset({May.ASK})
    assert store.by_id(console.context, ann.account.id).language == "en"
    with pytest.raises(InputError):
        sessions.make_token(console.context, bob.account, "x", frozenset({May.SIGN}), 1)


def test_a_token_sees_no_more_rooms_than_its_user(console: Console) -> None:
    account = console.account(May.ASK, May.AUDIT, rooms=frozenset({console.room}))
    token = sessions.make_token(console.context, account, "x", frozenset({May.ASK}), 1)
    program, shown = console.browser(), {"authorization": f"Bearer {token}"}
    listed = program.get("/api/v1/rooms", headers=shown)
    assert listed.status_code == 200
    assert OTHER not in listed.text
    assert program.get(f"/api/v1/rooms/{OTHER}", headers=shown).status_code == 404
    assert program.get(f"/api/v1/rooms/{console.room}/ledger", headers=shown).status_code == 403
