# SPDX-License-Identifier: Apache-2.0
"""Sign-in by an OpenID Connect provider, against a small one over HTTP that can lie."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from tests.conftest import Place
from tests.console.conftest import Browser, Console, make_console
from tests.console.provider import CLIENT, SECRET, Provider

from hitoku.console import store
from hitoku.console.users import May


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


@pytest.fixture(name="console")
def own_console(place: Place, provider: Provider) -> Iterator[Console]:
    (place.members["airport"].path / "oidc.secret").write_text(SECRET + "\n")
    oidc = {
        "issuer": provider.issuer,
        "client_id": CLIENT,
        "client_secret_file": "oidc.secret",
        "abilities": {"analysts": ["ask"], "lawyers": ["audit", "sign"]},
    }
    made = make_console(place, oidc=oidc)
    yield made
    made.close()


def there(provider: Provider, browser: Browser, then: str = "/") -> str:
    """Go to the provider, agree. Returns where the browser is sent."""
    answer = browser.get("/login/oidc", params={"next": then})
    assert answer.status_code == 303
    return provider.authorize(answer.headers["location"])


def sign_in(console: Console, provider: Provider) -> tuple[Browser, Any]:
    browser = console.browser()
    return browser, browser.get(there(provider, browser))


def test_a_user_signs_in_and_has_what_its_groups_give(console: Console, provider: Provider) -> None:
    browser = console.browser()
    assert provider.issuer.partition("://")[2] in browser.get("/login").text
    answer = browser.get(there(provider, browser, "/account"))
    assert answer.status_code == 303
    assert answer.headers["location"] == "/account"
    page = browser.get("/account")
    assert page.status_code == 200
    assert "/account/password" not in page.text
    assert "verifier" not in provider.asked[0]
    user = store.by_name(console.context, "ann")
    assert user is not None
    assert (user.abilities, user.password, user.issuer) == (frozenset({May.ASK}), None, provider.issuer)
    # The second time it is the same user, with the groups of today.
    provider.claims["groups"] = ["lawyers", "unknown"]
    provider.claims["preferred_username"] = "ann.b"
    sign_in(console, provider)
    again = store.by_id(console.context, user.id)
    assert again.abilities == frozenset({May.AUDIT, May.SIGN})
    assert len(store.all_accounts(console.context)) == 1
    provider.claims["groups"] = []
    other, refused = sign_in(console, provider)
    assert refused.status_code == 403
    assert other.get("/account").status_code == 303
    assert browser.get("/account").status_code == 303  # the groups are gone: so is the session


def test_a_name_joins_no_local_user(console: Console, provider: Provider) -> None:
    local = console.account(May.ADMINISTER, name="ann", password="x")
    browser, _ = sign_in(console, provider)
    page = browser.get("/account").text
    assert "ann (2)" in page
    assert store.by_id(console.context, local.id).issuer is None
    assert browser.get("/users").status_code == 403


def test_who_has_no_group_does_not_enter(console: Console, provider: Provider) -> None:
    several: tuple[Any, ...] = (None, "analysts", ["others"], [], [["analysts"]], {"analysts": 1})
    for groups in several:
        provider.claims["groups"] = groups
        assert sign_in(console, provider)[1].status_code == 403, groups
    assert store.all_accounts(console.context) == ()


def test_a_disabled_user_does_not_enter(console: Console, provider: Provider) -> None:
    sign_in(console, provider)
    user = store.by_name(console.context, "ann")
    assert user is not None
    store.change(console.context, user.id, disabled=True)
    browser, answer = sign_in(console, provider)
    assert answer.status_code == 403
    assert browser.get("/account").status_code == 303


def change(**claims: Any) -> Callable[[dict[str, Any]], None]:
    def lie(said: dict[str, Any]) -> None:
        said.update(claims)
        for name, value in claims.items():
            if value is None:
                del said[name]

    return lie


LIES = {
    "another issuer": change(iss="https://evil.example"),
    "no issuer": change(iss=None),
    "another client": change(aud="other"),
    "several clients, no azp": change(aud=[CLIENT, "other"]),
    "azp of another": change(aud=[CLIENT, "other"], azp="other"),
    "no audience": change(aud=None),
    "expired": lambda said: said.update(exp=int(time.time()) - 100),
    "no end": change(exp=None),
    "an end that is no time": change(exp="never"),
    "an end that is true": change(exp=True),
    "made tomorrow": lambda said: said.update(iat=int(time.time()) + 90_000),
    "made long ago": lambda said: said.update(iat=int(time.time()) - 90_000),
    "another nonce": change(nonce="x" * 43),
    "no nonce": change(nonce=None),
    "no subject": change(sub=None),
    "an empty subject": change(sub=""),
    "a long subject": change(sub="x" * 300),
}


def test_id_tokens_that_do_not_hold(console: Console, provider: Provider) -> None:
    for name, lie in LIES.items():
        provider.lie = lie
        browser, answer = sign_in(console, provider)
        assert answer.status_code == 502, name
        assert browser.get("/account").status_code == 303, name
    assert store.all_accounts(console.context) == ()
    provider.lie = lambda _: None
    assert sign_in(console, provider)[1].status_code == 303


def _none(claims: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def _other_key(claims: dict[str, Any]) -> str:
    other = RSAKey.generate_key(2048, parameters={"kid": "one"})
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, other)


def test_signatures_that_do_not_hold(console: Console, provider: Provider) -> None:
    def confused(claims: dict[str, Any]) -> str:
        pem = provider.key.as_pem(private=False)
        header = {"alg": "HS256", "kid": "one"}
        made = [urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in (header, claims)]
        mac = hmac.digest(pem, ".".join(made).encode(), "sha256")
        return ".".join([*made, urlsafe_b64encode(mac).decode().rstrip("=")])

    def changed(claims: dict[str, Any]) -> str:
        head, _, mac = provider.signed(claims).split(".")
        body = json.dumps({**claims, "groups": ["lawyers"]}).encode()
        return ".".join([head, urlsafe_b64encode(body).decode().rstrip("="), mac])

    made: dict[str, Callable[[dict[str, Any]], Any]] = {
        "none": _none,
        "other-key": _other_key,
        "public-key-as-secret": confused,
        "changed": changed,
        "not-a-token": lambda _: "a.b.c",
        "number": lambda _: 7,
    }
    for how, sign in made.items():
        provider.sign = sign
        assert sign_in(console, provider)[1].status_code == 502, how
    assert store.all_accounts(console.context) == ()


def test_nobody_finishes_what_another_browser_began(console: Console, provider: Provider) -> None:
    """Else somebody could sign a victim's browser in as himself, and read what it then does."""
    attacker, victim = console.browser(), console.browser()
    back = there(provider, attacker)
    assert victim.get(back).status_code == 403
    there(provider, victim)  # it has begun something of its own
    assert victim.get(back).status_code == 403
    assert victim.get("/account").status_code == 303


def test_answers_that_are_none(console: Console, provider: Provider) -> None:
    said = (
        "",
        "?code=x",
        "?state=x",
        "?error=access_denied&state={}",
        "?code=wrong&state={}",
        "?code=&state={}",
    )
    for query in said:
        browser = console.browser()
        there(provider, browser)
        answer = browser.get("/login/oidc/back" + query.format(provider.asked[-1]["state"]))
        assert answer.status_code in {403, 502}, query
        assert browser.get("/account").status_code == 303


def test_an_answer_comes_once_and_soon(console: Console, provider: Provider) -> None:
    browser = console.browser()
    back = there(provider, browser)
    assert browser.get(back + "&iss=https://evil.example").status_code == 403
    back = there(provider, browser)
    assert browser.get(back).status_code == 303
    assert browser.get(back).status_code == 403  # the cookie is gone
    late = console.browser()
    back = there(provider, late)
    console.clock.pass_seconds(301)
    assert late.get(back).status_code == 403


def test_a_provider_that_cannot_be_used(console: Console, provider: Provider) -> None:
    several: tuple[dict[str, Any], ...] = (
        {"issuer": "http://127.0.0.1:1"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "ftp://evil.example"},
        {"authorization_endpoint": None},
        {"authorization_endpoint": ["x"]},
    )
    for metadata in several:
        provider.metadata = metadata
        answer = console.browser().get("/login/oidc")
        assert answer.status_code == 502, metadata
        assert "javascript" not in answer.text


def test_a_provider_that_is_not_there(console: Console, provider: Provider) -> None:
    provider.close()
    assert console.browser().get("/login/oidc").status_code == 502
    assert console.browser().get("/login").status_code == 200
