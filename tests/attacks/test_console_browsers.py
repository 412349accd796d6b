# SPDX-License-Identifier: Apache-2.0
"""What browsers are told and sent: hosts, headers, cookies, redirects, sessions, and no secrets in pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from tests.conftest import Place
from tests.console.conftest import URL, Browser, Console, cheap_passwords, make_console
from tests.console.crawling import crawl

from hitoku.console import onetime, passwords, sessions
from hitoku.console.entering import page_after
from hitoku.console.users import May

PASSWORD = "correct horse battery"


@pytest.fixture(name="console")
def own_console(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    cheap_passwords(monkeypatch)
    made = make_console(place)
    yield made
    made.close()


def enter(console: Console, browser: Browser, **more: Any) -> Any:
    page = browser.get("/login").text
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    assert token is not None
    return browser.submit("/login", name="ann", password=PASSWORD, csrf=token[1], **more)


def ann(console: Console, *abilities: May) -> Any:
    return console.account(*(abilities or (May.ASK,)), name="ann", password=passwords.hashed(PASSWORD))


# --- hosts (DNS rebinding), framing, types ---


def test_another_name_is_not_answered(console: Console) -> None:
    browser = console.sign_in(*May)
    names = (
        "evil.example",
        "127.0.0.1",
        "localhost:8480",
        "127.0.0.1:8480.evil.example",
        "127.0.0.1:8481",
        "",
    )
    for host in names:
        for more in ({}, {"x-forwarded-host": "127.0.0.1:8480"}, {"forwarded": "host=127.0.0.1:8480"}):
            answer = browser.get("/users", headers={"host": host, **more})
            assert answer.status_code == 421, host
            assert "<" not in answer.text
    assert browser.get("/users", headers={"x-forwarded-host": "evil.example"}).status_code == 200


def test_every_answer_has_the_headers(console: Console) -> None:
    ann(console)
    browser = console.browser()
    answers = [
        browser.get("/login"),
        browser.get("/"),
        browser.get("/nothing"),
        browser.get("/api/v1/me"),
        browser.get("/static/console.css"),
        browser.get("/static/../app.py"),
        browser.post("/login"),
        browser.get("/", headers={"host": "evil.example"}),
        console.sign_in(*May).get("/users"),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers
    for answer in (answers[0], answers[-1], answers[3]):
        assert answer.headers["cache-control"] == "no-store"


def test_an_unexpected_error_says_nothing(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    from hitoku.console.work import overview

    def fails(*_: Any) -> Any:
        raise ZeroDivisionError("PLANTED-VALUE")

    monkeypatch.setattr(overview, "health", fails)
    answer = console.sign_in(May.ASK).get("/")
    assert answer.status_code == 500
    assert "PLANTED" not in answer.text
    assert "ZeroDivision" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
    assert "PLANTED" not in str(console.logged)
    assert any(line.get("type") == "ZeroDivisionError" for line in console.logged)


def test_the_log_has_no_queries_bodies_or_addresses(console: Console) -> None:
    browser = console.sign_in(May.ASK)
    browser.get("/account?done=PLANTED")
    browser.get("/rooms/PLANTED/ask")
    browser.get("/PLANTED")
    browser.submit("/account/tokens", name="PLANTED", days="3")
    browser.request("PLANTED", "/")
    assert len(console.logged) >= 5
    assert "PLANTED" not in str(console.logged)
    assert browser.session not in str(console.logged)


# --- bodies ---


def test_strangers_send_little_and_users_not_more_than_is_set(console: Console) -> None:
    stranger = console.browser()
    stranger.get("/login")
    assert stranger.submit("/login", name="x" * 70_000).status_code == 413
    browser = console.sign_in(May.ASK)
    assert browser.submit("/account/look", language="en", theme="auto", more="x" * 70_000).status_code == 303
    answer = browser.post("/account/look", content=b"x", headers={"content-length": "99999999999"})
    assert answer.status_code == 413


def test_a_body_without_a_length_is_counted(console: Console) -> None:
    stranger = console.browser()
    stranger.get("/login")
    token = stranger.csrf.encode()

    def chunks() -> Iterator[bytes]:
        yield b"csrf=" + token + b"&name="
        for _ in range(100):
            yield b"x" * 1024

    kind = "application/x-www-form-urlencoded"
    answer = stranger.post("/login", content=chunks(), headers={"content-type": kind})
    assert answer.status_code == 413


# --- redirects ---

OUTSIDE = [
    "https://evil.example",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "\\\\evil.example",
    "/%0d%0aSet-Cookie:x=y\r\nX: y",
    "javascript:alert(1)",
    "http:evil.example",
    "evil.example",
    " //evil.example",
    "/ /evil.example",
    "/login/oidc",
    "/.\\/evil.example",
    "/logout",
    "/api/v1/me",
    "/\u2215evil.example",
    "/" + "x" * 3_000,
]


@pytest.mark.parametrize("where", OUTSIDE, ids=range(len(OUTSIDE)))
def test_an_address_that_is_no_page_of_ours(where: str) -> None:
    assert page_after(where) == "/"


def test_signing_in_leads_nowhere_else(console: Console) -> None:
    ann(console)
    signed = console.sign_in(May.ASK)
    for where in OUTSIDE:
        browser = console.browser()
        assert 'name="next" value="/"' in browser.get("/login", params={"next": where}).text
        assert enter(console, browser, next=where).headers["location"] == "/", where
        assert signed.get("/login", params={"next": where}).headers["location"] == "/", where


@pytest.mark.parametrize("where", ["/", "/users", "/rooms/x?y=z#w", "/audit?who=a%2Fb"])
def test_signing_in_leads_to_pages_of_ours(where: str) -> None:
    assert page_after(where) == where


# --- sessions and cookies ---


def test_a_session_that_somebody_planted_is_worth_nothing(console: Console) -> None:
    ann(console)
    browser, planted = console.browser(), "A" * 43
    browser.hold(planted)
    enter(console, browser)
    assert browser.session != planted
    attacker = console.browser()
    attacker.hold(planted)
    assert attacker.get("/account").status_code == 303
    # Nor is one that was good before: signing in again makes a new one and ends it.
    old = browser.session
    browser.submit("/login", name="ann", password=PASSWORD)
    assert browser.session != old
    attacker.hold(old)
    assert attacker.get("/account").status_code == 303


def test_the_session_of_the_first_step_is_not_that_of_the_second(console: Console) -> None:
    account = ann(console)
    setup = onetime.begin(console.context, account.id)
    totp = pyotp.TOTP(setup.secret)
    onetime.finish(console.context, account.id, totp.at(console.clock.now() - timedelta(seconds=30)))
    browser = console.browser()
    enter(console, browser)
    half = browser.session
    for path in ("/", "/account", f"/rooms/{console.room}"):
        assert browser.get(path).status_code == 303
    assert browser.get("/api/v1/me").status_code == 401
    assert browser.submit("/account/sessions/end").status_code == 303
    assert browser.submit("/login/code", code=totp.at(console.clock.now())).status_code == 303
    attacker = console.browser()
    attacker.hold(half)
    assert attacker.get("/account").status_code == 303


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_cookies_have_their_flags(place: Place, monkeypatch: pytest.MonkeyPatch, secure: bool) -> None:
    cheap_passwords(monkeypatch)
    url = "https://console.example" if secure else URL
    console = make_console(place, url=url)
    try:
        ann(console)
        browser = console.browser()
        first = browser.get("/login")
        answer = enter(console, browser)
        cookies = first.headers.get_list("set-cookie") + answer.headers.get_list("set-cookie")
        assert len(cookies) >= 3
        for cookie in cookies:
            name = cookie.partition("=")[0]
            assert "HttpOnly" in cookie
            assert "Path=/" in cookie
            assert "SameSite=" in cookie
            assert "Domain" not in cookie
            assert ("Secure" in cookie) is secure
            assert name.startswith("__Host-") is secure
        session = next(c for c in cookies if "session" in c.partition("=")[0])
        assert "max-age" not in session.lower()
        assert ("strict-transport-security" in answer.headers) is secure
        assert browser.get("/account").status_code == 200
    finally:
        console.close()


# --- secrets ---


def test_no_page_has_a_secret(console: Console) -> None:
    account = ann(console, *May)
    browser = console.browser()
    enter(console, browser)
    token = sessions.make_token(console.context, account, "x", frozenset({May.ASK}), 9)
    key = onetime.console_key(console.context).hex()
    private = console.place.members["airport"].key_file.read_text("utf-8")
    secrets = [
        browser.session,
        token,
        key,
        sessions.hashed(browser.session),
        sessions.hashed(token),
        "$argon2",
    ]
    secrets += [line for line in private.splitlines() if len(line) > 20 and "---" not in line]
    seen = 0
    for path, answer in crawl(browser, ("/", "/account", "/users", f"/rooms/{console.room}"), 120):
        seen += 1
        for secret in secrets:
            assert secret not in answer.text, path
            assert secret not in str(answer.headers), path
    assert seen > 10
    assert not re.search("|".join(map(re.escape, secrets)), str(console.logged))


def test_what_is_shown_once_is_not_kept_by_browsers(console: Console) -> None:
    browser = console.sign_in(May.ASK)
    answer = browser.submit("/account/tokens", name="x", days="3", abilities=["ask"])
    assert "hitoku_" in answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_pages_asked_for_from_elsewhere_are_not_compressed(console: Console) -> None:
    """The length of a compressed page would tell what stands beside what was put into it (BREACH)."""
    browser = console.sign_in(*May)
    packed = {"accept-encoding": "gzip"}
    near = browser.get("/users", headers={**packed, "sec-fetch-site": "same-origin"})
    far = browser.get("/users", headers={**packed, "sec-fetch-site": "cross-site"})
    assert near.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in far.headers


# --- static files ---


def test_only_static_files_are_static(console: Console) -> None:
    for path in (
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e%2fwords/base.py",
        "/static//etc/passwd",
        "/static/vendor/../../app.py",
        "/static/vendor",
        "/static/",
        "/static/console.css%00.js",
    ):
        assert console.browser().get(path).status_code == 404, path


def test_static_files_are_cached_by_content(console: Console) -> None:
    from hitoku.console.statics import address

    browser = console.browser()
    where = address("console.css")
    answer = browser.get(where, headers={"accept-encoding": "gzip"})
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["etag"].startswith('"')
    again = browser.get(where, headers={"accept-encoding": "gzip", "if-none-match": answer.headers["etag"]})
    assert again.status_code == 304
    assert browser.get("/static/console.css?v=old").headers["cache-control"] == "no-cache"
    assert browser.get("/static/console.css", headers={"accept-encoding": "identity"}).text == answer.text
    assert browser.post("/static/console.css").status_code in {403, 404, 405}
