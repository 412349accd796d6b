# SPDX-License-Identifier: Apache-2.0
"""Signing in and out, sessions, one-time codes, tokens, the account and users pages."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pyotp
import pytest
import sqlalchemy as sa
from tests.console.conftest import CHEAP, cheap_passwords

from hitoku.console import onetime, passwords, sessions, store
from hitoku.console.users import May
from hitoku.errors import InputError, RoomError
from hitoku.room.consoletables import sessions as session_rows
from hitoku.room.consoletables import tokens as token_rows
from hitoku.room.consoletables import users as user_rows

PASSWORD = "correct horse battery"
REAL, NOBODY = passwords._HASHER, passwords._NOBODY
STORED = CHEAP.hash(PASSWORD)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords cost little, save where their cost is what is tested."""
    cheap_passwords(monkeypatch)


def person(console: Any, *abilities: May, name: str = "ann", **more: Any) -> store.Account:
    found: store.Account = console.account(*abilities, name=name, password=STORED, **more)
    return found


def enter(console: Any, name: str = "ann", password: str = PASSWORD, **more: Any) -> tuple[Any, Any]:
    browser = console.browser()
    browser.get("/login")
    return browser, browser.submit("/login", name=name, password=password, **more)


def with_codes(console: Any, account: store.Account) -> tuple[pyotp.TOTP, list[str]]:
    setup = onetime.begin(console.context, account.id)
    totp = pyotp.TOTP(setup.secret)
    codes = onetime.finish(console.context, account.id, totp.at(console.clock.now()))
    assert codes is not None
    console.clock.pass_seconds(60)  # the code that confirmed it is used up
    return totp, codes


def test_a_password_signs_in_and_leads_to_the_page_that_was_wanted(console: Any) -> None:
    person(console, May.ASK)
    wanted = console.browser().get("/account?done=look")
    assert wanted.status_code == 303
    assert wanted.headers["location"] == "/login?next=%2Faccount%3Fdone%3Dlook"
    browser, answer = enter(console, next="/account?done=look")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/account?done=look"
    assert "Saved." in browser.get("/account?done=look").text


def test_a_wrong_password_and_an_unknown_name_look_the_same(console: Any) -> None:
    person(console, May.ASK)
    pages = [enter(console, name, "wrong password!")[1] for name in ("ann", "bob")]
    assert [page.status_code for page in pages] == [403, 403]
    texts = [re.sub(r'[\w-]{86}|value="(?:ann|bob)"', "", page.text) for page in pages]
    assert texts[0] == texts[1]


def test_unknown_names_cost_the_same_work(monkeypatch: pytest.MonkeyPatch, console: Any) -> None:
    seen: list[str] = []

    class Spy:
        def verify(self, stored: str, password: str) -> bool:
            seen.append(stored.rpartition("$")[0].rpartition("$")[0])
            return False

    stored = REAL.hash(PASSWORD)
    monkeypatch.setattr(passwords, "_NOBODY", NOBODY)
    console.account(May.ASK, name="ann", password=stored)
    monkeypatch.setattr(passwords, "_HASHER", Spy())
    for name in ("ann", "bob"):
        enter(console, name, "wrong password!")
    assert seen == ["$argon2id$v=19$m=47104,t=2,p=1"] * 2


def test_a_disabled_user_does_not_sign_in_and_is_out_at_once(console: Any) -> None:
    person(console, May.ASK)
    browser, _ = enter(console)
    assert browser.get("/account").status_code == 200
    store.change(console.context, store.by_name(console.context, "ann").id, disabled=True)  # type: ignore[union-attr]
    assert browser.get("/account").status_code == 303
    assert enter(console)[1].status_code == 403


def test_only_hashes_are_stored(console: Any) -> None:
    account = person(console, May.ASK)
    browser, _ = enter(console)
    token = sessions.make_token(console.context, account, "x", frozenset({May.ASK}), 3)
    with_codes(console, account)
    with console.context.node.store().reading() as connection:
        kept = str([connection.execute(sa.select(t)).all() for t in (session_rows, token_rows, user_rows)])
    for secret in (browser.session, token, PASSWORD):
        assert secret not in kept
    assert "$argon2id$" in kept


def test_a_session_ends_when_unused_and_at_latest_after_half_a_day(console: Any) -> None:
    person(console, May.ASK)
    browser, _ = enter(console)
    console.clock.pass_seconds(3_500)
    assert browser.get("/account").status_code == 200
    console.clock.pass_seconds(3_700)
    assert browser.get("/account").status_code == 303
    browser, _ = enter(console)
    for _ in range(12):
        assert browser.get("/account").status_code == 200
        console.clock.pass_seconds(3_599)
    assert browser.get("/account").status_code == 200
    console.clock.pass_seconds(60)
    assert browser.get("/account").status_code == 303


def test_sign_out_and_sign_out_everywhere(console: Any) -> None:
    person(console, May.ASK)
    one, two = enter(console)[0], enter(console)[0]
    assert one.submit("/account/sessions/end").status_code == 303
    assert one.get("/account").status_code == 200
    assert two.get("/account").status_code == 303
    old = one.session
    assert one.submit("/logout").headers["location"] == "/login"
    one.hold(old)
    assert one.get("/account").status_code == 303


def test_a_one_time_code_works_once(console: Any) -> None:
    console.clock.stand()
    totp, _ = with_codes(console, person(console, May.ASK))
    browser, answer = enter(console, next="/account")
    assert answer.headers["location"] == "/login/code?next=%2Faccount"
    assert browser.get("/account").status_code == 303  # the password alone is not enough
    code = totp.at(console.clock.now())
    assert browser.submit("/login/code", code="000000").status_code == 403
    before = browser.session
    assert browser.submit("/login/code", code=code, next="/account").headers["location"] == "/account"
    assert browser.session != before
    assert browser.get("/account").status_code == 200
    again, _ = enter(console)
    assert again.submit("/login/code", code=code).status_code == 403
    # Nor does one of the step before, once a later one was used.
    assert (
        again.submit("/login/code", code=totp.at(console.clock.now() - timedelta(seconds=30))).status_code
        == 403
    )


def test_a_recovery_code_works_once(console: Any) -> None:
    _, codes = with_codes(console, person(console, May.ASK))
    browser, _ = enter(console)
    assert browser.submit("/login/code", code=codes[3].lower()).status_code == 303
    browser, _ = enter(console)
    assert browser.submit("/login/code", code=codes[3]).status_code == 403
    assert browser.submit("/login/code", code=codes[4]).status_code == 303


def test_the_second_step_does_not_wait_for_ever(console: Any) -> None:
    with_codes(console, person(console, May.ASK))
    browser, _ = enter(console)
    console.clock.pass_seconds(301)
    assert browser.get("/login/code").status_code == 303


def test_one_time_codes_are_set_up_on_the_account_page(console: Any) -> None:
    person(console, May.ASK)
    browser, _ = enter(console)
    assert browser.get("/account/onetime.svg").status_code == 404
    assert browser.submit("/account/onetime/begin", password="wrong").status_code == 403
    assert browser.submit("/account/onetime/begin", password=PASSWORD).status_code == 303
    picture = browser.get("/account/onetime.svg")
    assert picture.headers["content-type"] == "image/svg+xml"
    assert b"<svg" in picture.content
    secret = re.search(r'class="secret">([A-Z2-7 ]+)<', browser.get("/account").text)
    assert secret is not None
    totp = pyotp.TOTP(secret[1].replace(" ", ""))
    other, _ = enter(console)
    before = browser.session
    shown = browser.submit("/account/onetime", code=totp.at(console.clock.now()))
    assert len(re.findall(r"<li>[A-Z2-9]{4}(?:-[A-Z2-9]{4}){3}</li>", shown.text)) == 10
    assert browser.session != before
    # The page's own forms are good for the new session.
    (proof,) = set(re.findall(r'name="csrf" value="([^"]+)"', shown.text))
    assert browser.submit("/account/look", csrf=proof, language="en", theme="auto").status_code == 303
    assert other.get("/account").status_code == 303
    assert secret[1] not in browser.get("/account").text
    assert enter(console)[1].headers["location"] == "/login/code"
    assert browser.submit("/account/onetime/drop", password=PASSWORD).status_code == 403  # nor without a code
    console.clock.pass_seconds(60)
    code = totp.at(console.clock.now())
    assert browser.submit("/account/onetime/drop", password=PASSWORD, code=code).status_code == 303
    assert enter(console)[1].headers["location"] == "/"


def test_a_new_password_ends_all_other_sessions(console: Any) -> None:
    person(console, May.ASK)
    one, two = enter(console)[0], enter(console)[0]
    before, new = one.session, "another horse battery"
    wrong = one.submit("/account/password", old="no", new=new, again=new)
    assert wrong.status_code == 403
    assert one.submit("/account/password", old=PASSWORD, new=new, again="x").status_code == 400
    assert one.submit("/account/password", old=PASSWORD, new="short", again="short").status_code == 400
    assert one.submit("/account/password", old=PASSWORD, new=new, again=new).status_code == 303
    assert one.session != before
    assert one.get("/account").status_code == 200
    assert two.get("/account").status_code == 303
    assert enter(console)[1].status_code == 403
    assert enter(console, password=new)[1].status_code == 303


def test_a_new_password_ends_all_tokens(console: Any) -> None:
    """A password is changed mostly because it leaked: whoever had it may have made a token."""
    account = person(console, May.ASK)
    token = sessions.make_token(console.context, account, "x", frozenset({May.ASK}), 3)
    browser, _ = enter(console)
    new = "another horse battery"
    assert sessions.of_token(console.context, token) is not None
    assert browser.submit("/account/password", old=PASSWORD, new=new, again=new).status_code == 303
    assert sessions.of_token(console.context, token) is None
    assert "All other sessions and all tokens have ended." in browser.get("/account?done=password").text


def test_a_token_and_a_password_need_password_and_code(console: Any) -> None:
    account = person(console, May.ASK)
    totp, codes = with_codes(console, account)
    browser = console.browser()
    browser.hold(sessions.begin(console.context, account.id, "onetime"))  # somebody has the session alone
    wanted = {"name": "x", "days": "3", "abilities": ["ask"]}
    new = "another horse battery"
    page = browser.get("/account").text
    assert page.count('name="code"') == 3
    wrong = [{}, {"password": "wrong"}, {"password": PASSWORD}, {"password": PASSWORD, "code": "000000"}]
    for proof in wrong:
        refused = browser.submit("/account/tokens", **wanted, **proof)
        assert refused.status_code == 403
        assert "hitoku_" not in refused.text
    assert browser.submit("/account/password", old=PASSWORD, new=new, again=new).status_code == 403
    console.clock.pass_seconds(900)
    assert browser.submit("/account/recovery", password=PASSWORD).status_code == 403
    assert sessions.tokens_of(console.context, account.id) == []
    console.clock.pass_seconds(900)
    code = totp.at(console.clock.now())
    made = browser.submit("/account/tokens", **wanted, password=PASSWORD, code=code)
    assert "hitoku_" in made.text
    again = browser.submit("/account/tokens", **wanted, password=PASSWORD, code=code)
    assert again.status_code == 403  # a code works once
    done = browser.submit("/account/password", old=PASSWORD, new=new, again=new, code=codes[0])
    assert done.status_code == 303


def test_who_signs_in_elsewhere_makes_a_token_soon_after_it(console: Any) -> None:
    browser = console.sign_in(May.ASK, issuer="https://provider.example", subject="ann")
    assert 'name="password"' not in browser.get("/account").text
    wanted = {"name": "x", "days": "3", "abilities": ["ask"]}
    assert "hitoku_" in browser.submit("/account/tokens", **wanted).text
    console.clock.pass_seconds(901)
    refused = browser.submit("/account/tokens", **wanted)
    assert refused.status_code == 403
    assert "sign out and in again" in refused.text


@pytest.mark.parametrize("given", ["short", "aaaaaaaaaaaaaa", "123456789012345", "x" * 257, "ann-ann-ann1"])
def test_passwords_that_are_not_taken(given: str) -> None:
    with pytest.raises(InputError):
        passwords.checked(given, "ann")


def test_passwords_are_the_same_however_they_are_typed() -> None:
    assert passwords.matches(passwords.hashed("パスワード１２３４５６７"), "パスワード1234567")
    assert not passwords.matches(None, PASSWORD)


def test_a_token_is_shown_once_and_narrowed(console: Any) -> None:
    account = person(console, May.ASK, May.AUDIT)
    browser, _ = enter(console)
    page = browser.submit("/account/tokens", name="notebook", days="5", abilities=["ask"], password=PASSWORD)
    token = re.search(r"hitoku_[\w-]{43}", page.text)
    assert token is not None
    assert token[0] not in browser.get("/account").text
    user = sessions.of_token(console.context, token[0])
    assert user is not None
    assert (user.id, user.abilities) == (account.id, frozenset({May.ASK}))
    refused = browser.submit("/account/tokens", name="x", days="5", abilities=["sign"])
    assert refused.status_code == 400
    # What the user loses, its tokens lose.
    store.change(console.context, account.id, abilities=frozenset({May.AUDIT}))
    narrowed = sessions.of_token(console.context, token[0])
    assert narrowed is not None
    assert narrowed.abilities == frozenset()
    console.clock.pass_seconds(5 * 86_400 + 1)
    assert sessions.of_token(console.context, token[0]) is None


def test_the_last_administrator_stays(console: Any) -> None:
    browser = console.sign_in(May.ADMINISTER)
    me = f"/users/{browser.account.id}"
    assert browser.submit(me, abilities=["ask"]).status_code == 409
    assert browser.submit(me, abilities=["administer"], disabled="yes").status_code == 409
    with pytest.raises(RoomError):
        store.change(console.context, browser.account.id, disabled=True)
    console.account(May.ADMINISTER)
    assert browser.submit(me, abilities=["ask"]).status_code == 303
    assert browser.get("/users").status_code == 403


def test_an_administrator_makes_changes_and_resets_users(console: Any) -> None:
    browser = console.sign_in(May.ADMINISTER)
    page = browser.submit("/users", name="bob", abilities=["ask", "sign"], which="some", rooms=[console.room])
    password = re.search(r'id="secret-password">([\w-]+)<', page.text)
    assert password is not None
    bob, answer = enter(console, "bob", password[1])
    assert answer.status_code == 303
    account = store.by_name(console.context, "bob")
    assert account is not None
    assert account.rooms == frozenset({console.room})
    assert browser.submit("/users", name="bob", abilities=["ask"]).status_code == 400
    assert browser.submit("/users", name="eve", abilities=["root"]).status_code == 400
    page = browser.submit(f"/users/{account.id}/reset")
    fresh = re.search(r'id="secret-password">([\w-]+)<', page.text)
    assert fresh is not None
    assert fresh[1] != password[1]
    assert bob.get("/account").status_code == 303
    assert enter(console, "bob", password[1])[1].status_code == 403
    assert enter(console, "bob", fresh[1])[1].status_code == 303
    what = [one["what"] for one in store.notes(console.context)]
    assert {"user made", "user reset", "signed in", "sign-in failed"} <= set(what)
    assert fresh[1] not in str(store.notes(console.context))


def test_language_and_theme(console: Any) -> None:
    browser = console.sign_in(May.ASK)
    assert browser.submit("/account/look", language="ja", theme="dark").status_code == 303
    page = browser.get("/").text
    assert '<html lang="ja" class="theme-dark">' in page
    assert "概要" in page
    assert browser.submit("/account/look", language="xx", theme="dark").status_code == 400
    assert "サインイン" in console.browser().get("/login", headers={"accept-language": "ja-JP,en;q=0.5"}).text


def test_the_overview_says_how_rooms_stand(console: Any) -> None:
    page = console.sign_in(May.ASK).get("/").text
    assert "in force" in page
    assert f"/rooms/{console.room}/ask" in page
    assert "Test room" not in console.sign_in(May.ASK, rooms=frozenset()).get("/").text


def test_a_token_is_of_the_api_alone(console: Any) -> None:
    account = person(console, May.ASK)
    token = sessions.make_token(console.context, account, "x", frozenset({May.ASK}), 3)
    answer = console.browser().get("/account", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 303


def test_a_code_that_is_used_twice_at_once_works_once(console: Any) -> None:
    account = person(console, May.ASK)
    totp, codes = with_codes(console, account)
    now = totp.at(console.clock.now())

    def one(code: str) -> bool:
        return onetime.passes(console.context, account.id, code)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, [now] * 16)) == 1
        assert sum(pool.map(one, [codes[0]] * 16)) == 1
    assert store.by_id(console.context, account.id).recovery == 9
