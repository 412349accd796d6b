# SPDX-License-Identifier: Apache-2.0
"""Guessing passwords and codes is slow, also over restarts and in parallel; the owner is never kept out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyotp
import pytest
from tests.conftest import Place
from tests.console.conftest import CHEAP, Browser, Console, cheap_passwords, make_console

from hitoku.console import entering, onetime, sessions
from hitoku.console.failing import Slow
from hitoku.console.users import May

PASSWORD = "correct horse battery"


@pytest.fixture(name="console")
def own_console(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    cheap_passwords(monkeypatch)
    made = make_console(place)
    made.clock.stand()
    made.account(May.ASK, name="ann", password=CHEAP.hash(PASSWORD))
    yield made
    made.close()


def attempt(
    console: Console, password: str = "wrong", name: str = "ann", address: str = "10.0.0.9", known: str = ""
) -> Any:
    return entering.by_password(console.context, name, password, address, known)


def several(console: Console, count: int) -> None:
    for number in range(count):
        attempt(console, address=f"10.1.1.{number}")


def guesses(console: Console, seconds: int, **more: Any) -> int:
    """How many guesses can be made in a time, by who tries each second."""
    done = 0
    for _ in range(seconds):
        try:
            attempt(console, **more)
            done += 1
        except Slow:
            pass
        console.clock.pass_seconds(1)
    return done


def test_few_guesses_in_an_hour(console: Console) -> None:
    assert guesses(console, 600) <= 15
    console.clock.pass_seconds(4_000)
    assert guesses(console, 5) == 1


def test_waiting_is_said_and_the_right_password_waits_too(console: Console) -> None:
    browser = console.browser()
    browser.get("/login")
    for _ in range(6):
        browser.submit("/login", name="ann", password="wrong")
    answer = browser.submit("/login", name="ann", password=PASSWORD)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 2
    console.clock.pass_seconds(5)
    assert browser.submit("/login", name="ann", password=PASSWORD).status_code == 303


def test_it_survives_a_restart(console: Console) -> None:
    for _ in range(11):
        console.clock.pass_seconds(100)
        attempt(console)
    console.close()
    again = make_console(console.place)
    again.clock.standing = console.clock.now()
    with pytest.raises(Slow):
        attempt(again)
    again.close()


def test_guesses_at_the_same_time_count_as_many(console: Console) -> None:
    def one(_: int) -> bool:
        try:
            attempt(console)
        except Slow:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        done = sum(pool.map(one, range(40)))
    assert done <= 6


def test_many_addresses_and_many_names_are_counted_too(console: Console) -> None:
    done = 0
    for number in range(200):
        try:
            attempt(console, address=f"10.0.0.{number}")
            done += 1
        except Slow:
            pass
    assert done <= 21  # one name from everywhere
    done = 0
    for number in range(200):
        try:
            attempt(console, name=f"user{number}", address="10.9.9.9")
            done += 1
        except Slow:
            pass
    assert done <= 61  # one address, many names


def test_headers_of_proxies_are_not_believed(console: Console) -> None:
    browser = console.browser()
    browser.get("/login")
    statuses = [
        browser.submit(
            "/login", name="ann", password="wrong", headers={"x-forwarded-for": f"10.1.1.{n}"}
        ).status_code
        for n in range(9)
    ]
    assert 429 in statuses


def test_the_owner_gets_in_while_somebody_guesses(console: Console) -> None:
    """From a browser that signed in before, at once; from a new one, after half a minute at most."""
    account = attempt(console, PASSWORD, address="192.0.2.1")
    known = entering.known_cookie(console.context, account.id)
    for number in range(300):
        try:
            attempt(console, address=f"10.0.{number % 7}.{number}")
        except Slow:
            console.clock.pass_seconds(1)
    assert attempt(console, PASSWORD, address="192.0.2.1", known=known) is not None
    with pytest.raises(Slow) as slow:
        several(console, 3)
    assert slow.value.seconds <= 30
    console.clock.pass_seconds(slow.value.seconds)
    assert attempt(console, PASSWORD, address="192.0.2.77") is not None


def test_a_known_browser_is_of_one_user_and_cannot_be_made_up(console: Console) -> None:
    account = attempt(console, PASSWORD)
    other = console.account(May.ASK, name="bob", password=CHEAP.hash(PASSWORD))
    of_other = entering.known_cookie(console.context, other.id)
    good = entering.known_cookie(console.context, account.id)
    for made in (of_other, "x.y", ".", good[:-1] + ("A" if good[-1] != "A" else "B"), good.partition(".")[0]):
        assert guesses(console, 40, known=made) <= 11
        console.clock.pass_seconds(90_000)
    # A stolen one is slow as well.
    assert guesses(console, 60, known=good) <= 12


def test_one_time_codes_are_not_guessed(console: Console) -> None:
    account = attempt(console, PASSWORD)
    setup = onetime.begin(console.context, account.id)
    assert (
        onetime.finish(console.context, account.id, pyotp.TOTP(setup.secret).at(console.clock.now()))
        is not None
    )
    done = 0
    for _ in range(300):
        try:
            assert entering.by_code(console.context, account.id, "000000") is None
            done += 1
        except Slow:
            console.clock.pass_seconds(1)
    assert done <= 15


def test_the_password_of_a_stolen_session_is_not_guessed(console: Console) -> None:
    browser: Browser = console.browser()
    account = attempt(console, PASSWORD)
    browser.hold(sessions.begin(console.context, account.id, "password"))
    new = "another horse battery"
    answers = [browser.submit("/account/password", old=f"guess{n}", new=new, again=new) for n in range(9)]
    assert [a.status_code for a in answers].count(403) <= 6
    assert answers[-1].status_code == 429


def test_attempts_are_forgotten(console: Console) -> None:
    import sqlalchemy as sa

    from hitoku.room.consoletables import attempts

    for number in range(30):
        attempt(console, name=f"nobody{number}")
    console.clock.pass_seconds(90_000)
    attempt(console, PASSWORD)
    with console.context.node.store().reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(attempts)) == 0
