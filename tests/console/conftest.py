# SPDX-License-Identifier: Apache-2.0
"""A console over a real member's directory, and browsers that are signed in to it.

``console.sign_in(May.ASK, ...)`` gives a browser: a TestClient with a session's cookie.
``browser.submit(path, name=value)`` posts a form as a page of the console would. Redirects are not followed.
``console.of("host")`` is the console of another member of the same room.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from tests.conftest import Place

from hitoku.console import passwords
from hitoku.console.app import create_app
from hitoku.console.context import Context
from hitoku.console.forging import masked, secret_of
from hitoku.console.sessions import begin
from hitoku.console.store import Account, create
from hitoku.console.users import May
from hitoku.node.settings import NodeSettings, RoomSettings
from hitoku.node.view import MemberView
from hitoku.room.directory import MemberDirectory

with warnings.catch_warnings():
    # It would rather have another HTTP client, which is not released yet.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

URL = "http://127.0.0.1:8480"
_NUMBERS = itertools.count(1)


class MovableClock:
    """The machine's clock, which tests can put ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.standing: datetime | None = None

    def stand(self) -> None:
        """Stand still, save for what tests put it ahead: a slow machine changes nothing."""
        self.standing = datetime.now(UTC)

    def now(self) -> datetime:
        return (self.standing or datetime.now(UTC)) + self.ahead

    def pass_seconds(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Browser(TestClient):
    """A browser at a console; `account` is who is signed in, if anybody is."""

    account: Account

    @property
    def site(self) -> Any:
        app: Any = self.app
        return app.state.site

    @property
    def session(self) -> str:
        """The session's token, in the cookie."""
        return str(self.cookies.get(self.site.cookie("session")) or "")

    @property
    def csrf(self) -> str:
        """A token for a form, as a page would have it."""
        held = self.session or str(self.cookies.get(self.site.cookie("visitor")) or "")
        return masked(secret_of(held))

    def hold(self, session: str) -> None:
        """Have the cookie of a session, as if the console had set it."""
        host = str(self.site.host).rpartition(":")[0] or str(self.site.host)
        self.cookies.set(self.site.cookie("session"), session, domain=host, path="/")

    def submit(self, path: str, *, files: Any = None, headers: Any = None, **fields: Any) -> Any:
        """Post a form of a page of the console."""
        made = {"csrf": self.csrf, **fields}
        sent = {"origin": self.site.url, "sec-fetch-site": "same-origin", **(headers or {})}
        return self.post(path, data=made, files=files, headers=sent)


@dataclass
class Console:
    """A console of one member, and what belongs to it."""

    place: Place
    member: str
    context: Context
    app: Any
    clock: MovableClock
    logged: list[dict[str, Any]] = field(default_factory=list)
    others: dict[str, Console] = field(default_factory=dict)

    @property
    def room(self) -> str:
        """The room's id."""
        return str(self.place.agreement.id)

    def browser(self, url: str | None = None) -> Browser:
        """A browser that is not signed in."""
        return Browser(self.app, base_url=url or self.app.state.site.url, follow_redirects=False)

    def account(self, *abilities: May, rooms: frozenset[str] | None = None, **more: Any) -> Account:
        """A new user without a password."""
        more.setdefault("name", f"user{next(_NUMBERS)}")
        return create(self.context, abilities=frozenset(abilities), rooms=rooms, **more)

    def sign_in(self, *abilities: May, rooms: frozenset[str] | None = None, **more: Any) -> Browser:
        """A browser of a new user who has these abilities."""
        browser = self.browser()
        browser.account = self.account(*abilities, rooms=rooms, **more)
        token = begin(self.context, browser.account.id, "password")
        browser.hold(token)
        return browser

    def of(self, member: str) -> Console:
        """The console of another member of the room."""
        if member not in self.others:
            self.others[member] = make_console(self.place, member)
        return self.others[member]

    def close(self) -> None:
        """Close what is open."""
        for other in self.others.values():
            other.close()
        node: Any = self.context.node
        node.close()


def make_console(
    place: Place,
    member: str = "airport",
    *,
    url: str = URL,
    rooms: tuple[Path, ...] | None = None,
    **more: Any,
) -> Console:
    """The console of a member of a place; node.toml is written where there is none."""
    directory: MemberDirectory = place.members[member]
    if not (directory.path / "node.toml").exists():
        files = (place.room_file,) if rooms is None else rooms
        NodeSettings.model_validate(
            {
                "listen": "127.0.0.1:8443",
                "url": "https://127.0.0.1:8443",
                "rooms": tuple(
                    RoomSettings(
                        file=str(file),
                        peers={n: "https://127.0.0.1:9443" for n in place.members if n != member},
                    )
                    for file in files
                ),
                "console": {"listen": "127.0.0.1:8480", "url": url, **more},
            }
        ).write(directory.path)
    clock, logged = MovableClock(), []

    def log(event: str, **said: Any) -> None:
        logged.append({"event": event, **said})

    context = Context(MemberView(directory), clock, log)
    return Console(place, member, context, create_app(context), clock, logged)


CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords cost little in a test; what they cost in truth is tested by itself."""
    monkeypatch.setattr(passwords, "_HASHER", CHEAP)
    monkeypatch.setattr(passwords, "_NOBODY", CHEAP.hash("nobody's"))


@pytest.fixture
def console(place: Place) -> Iterator[Console]:
    """The console of member ``airport`` of the small signed room."""
    made = make_console(place)
    yield made
    made.close()
