# SPDX-License-Identifier: Apache-2.0
"""What another site makes a user's browser send changes nothing (OWASP: cross-site request forgery)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from tests.conftest import Place
from tests.console.conftest import URL, Browser, Console, make_console
from tests.console.routes import routes

from hitoku.console import sessions, store
from hitoku.console.forging import masked, secret_of, unmasked
from hitoku.console.users import May

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(name="console")
def own_console(place: Place) -> Iterator[Console]:
    made = make_console(place)
    yield made
    made.close()


def language(console: Console, browser: Browser) -> str:
    return store.by_id(console.context, browser.account.id).language


def post(browser: Browser, headers: dict[str, str], body: str) -> int:
    answer = browser.post("/account/look", content=body, headers={"content-type": FORM, **headers})
    return int(answer.status_code)


def test_nothing_changes_without_a_token(console: Console) -> None:
    browser = console.sign_in(*May)
    tried = 0
    for method, path, _ in routes(console.app):
        if method in {"GET", "HEAD", "MOUNT"}:
            continue
        address = re.sub(r"\{room(_id)?\}", console.room, path)
        address = re.sub(r"\{\w+\}", "0" * 32, address)
        answer = browser.request(method, address, headers={"origin": URL})
        assert answer.status_code == 403, path
        assert "FORGED" in answer.text, path
        tried += 1
    assert tried > 30


def test_the_token_must_be_of_this_session_and_once_in_the_form(console: Console) -> None:
    browser, other = console.sign_in(May.ASK), console.sign_in(May.ASK)
    stranger = console.browser()
    stranger.get("/login")
    good = browser.csrf
    body = "language=ja&theme=auto&csrf="
    flipped = good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1]
    refused = [
        "",
        "x",
        "A" * 86,
        flipped,
        other.csrf,
        stranger.csrf,
        browser.session,
        good + good,
        good + "\n",
    ]
    for token in refused:
        assert post(browser, {}, body + token) == 403, token
    assert post(browser, {}, f"{body}{good}&csrf={good}") == 403
    assert post(browser, {}, f"language=ja&theme=auto&CSRF={good}") == 403
    address = f"/account/look?csrf={good}"
    assert browser.post(address, data={"language": "ja", "theme": "auto"}).status_code == 403
    assert language(console, browser) == "en"
    assert post(browser, {}, body + good) == 303
    assert language(console, browser) == "ja"


ELSEWHERE = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:8481"},
    {"origin": "http://127.0.0.1:8480.evil.example"},
    {"origin": "https://127.0.0.1:8480"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": URL, "sec-fetch-site": "cross-site"},
]


def test_a_good_token_from_elsewhere_is_refused(console: Console) -> None:
    browser = console.sign_in(May.ASK)
    for headers in ELSEWHERE:
        assert post(browser, headers, f"language=ja&theme=auto&csrf={browser.csrf}") == 403, headers
    assert language(console, browser) == "en"


def test_other_content_types_carry_no_token(console: Console) -> None:
    browser = console.sign_in(May.ASK)
    body = f"language=ja&theme=auto&csrf={browser.csrf}"
    data = json.dumps({"csrf": browser.csrf, "language": "ja"})
    for kind in (
        "text/plain",
        "application/json",
        "",
        "multipart/form-data",
        "application/x-www-form-urlencoded2",
    ):
        headers = {"content-type": kind} if kind else {}
        for content in (body, data):
            assert browser.post("/account/look", content=content, headers=headers).status_code == 403, kind
    assert language(console, browser) == "en"


def test_a_token_in_a_form_with_files_or_in_the_header(console: Console) -> None:
    browser = console.sign_in(May.ASK)
    files = {"x": ("x.txt", b"y" * 10)}
    fields = {"language": "ja", "theme": "auto"}
    assert browser.post("/account/look", data=fields, files=files).status_code == 403
    forged = {"x": ('name="csrf"', browser.csrf.encode())}
    assert browser.post("/account/look", data=fields, files=forged).status_code == 403
    assert browser.submit("/account/look", files=files, **fields).status_code == 303
    fields["language"] = "en"
    headers = {"x-csrf-token": browser.csrf}
    assert browser.post("/account/look", data=fields, headers=headers).status_code == 303
    assert language(console, browser) == "en"


def test_signing_in_and_out_cannot_be_forged(console: Console) -> None:
    stranger = console.browser()
    assert stranger.post("/login", data={"name": "x", "password": "y"}).status_code == 403
    stranger.get("/login")
    assert stranger.post("/login", data={"name": "x", "password": "y"}).status_code == 403
    browser = console.sign_in(May.ASK)
    assert browser.post("/logout").status_code == 403
    assert browser.get("/logout").status_code == 405
    assert browser.get("/account").status_code == 200


def test_reading_changes_nothing(console: Console) -> None:
    """No address that a link or picture can name changes the users or the rooms."""
    browser = console.sign_in(*May)
    before = store.all_accounts(console.context)
    files = {path: path.read_bytes() for path in console.place.path.rglob("*.yaml")}
    for method, path, _ in routes(console.app):
        if method == "GET" and not path.endswith("/events") and "/login" not in path:
            browser.get(re.sub(r"\{\w+\}", browser.account.id, re.sub(r"\{room(_id)?\}", console.room, path)))
    assert store.all_accounts(console.context) == before
    assert {path: path.read_bytes() for path in console.place.path.rglob("*.yaml")} == files


def test_programs_need_no_token_and_cookies_do_at_the_api(console: Console) -> None:
    browser = console.sign_in(May.ASK)
    path = f"/api/v1/rooms/{console.room}/explain"
    refused = browser.post(path, json={"sql": "SELECT 1"})
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "FORGED"
    assert (
        browser.post(path, json={"sql": "SELECT 1"}, headers={"x-csrf-token": browser.csrf}).status_code
        != 403
    )
    token = sessions.make_token(console.context, browser.account, "x", frozenset({May.ASK}), 1)
    program = console.browser()
    shown = {"authorization": f"Bearer {token}"}
    assert program.post(path, json={"sql": "SELECT 1"}, headers=shown).status_code not in {401, 403}
    # A wrong token is nobody, also where the browser has a good cookie.
    wrong = {"authorization": "Bearer hitoku_" + "A" * 43, "x-csrf-token": browser.csrf}
    answer = browser.post(path, json={"sql": "SELECT 1"}, headers=wrong)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_tokens_of_pages_never_repeat(console: Console) -> None:
    browser = console.sign_in(May.ASK)
    pages = [browser.get("/account").text for _ in range(3)]
    tokens = {re.search(r'name="csrf" value="([^"]+)"', page)[1] for page in pages}  # type: ignore[index]
    assert len(tokens) == 3
    assert {unmasked(token) for token in tokens} == {secret_of(browser.session)}
    assert unmasked(masked(b"x" * 32)) == b"x" * 32
