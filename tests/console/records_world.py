# SPDX-License-Identifier: Apache-2.0
"""Pages of records over a real member's directory, with a user of one's choice put in before each request."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.testclient import TestClient
from tests.conftest import Place
from tests.console.asking import View

from hitoku.console import failing
from hitoku.console.context import Context
from hitoku.console.pages import attestation, audit, learning, ledger, models
from hitoku.console.statics import Statics
from hitoku.console.users import May, User
from hitoku.ports import SystemClock
from hitoku.room.directory import MemberDirectory
from hitoku.room.ledger import Ledger
from hitoku.room.records import Records
from hitoku.room.store import Store

ROOM = "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e11"


def copied(place: Place, to: Path) -> Place:
    """A copy of a place, to change at will."""
    shutil.copytree(place.path, to, dirs_exist_ok=True)
    members = {name: MemberDirectory.open(to / name) for name in place.members}
    return Place(to, members, place.room)


class World:
    """A member's console, as far as records go.

    Attributes:
        user: who is signed in; None is nobody.
    """

    def __init__(self, place: Place, member: str = "airport", *, more: str = "") -> None:
        self.place, self.member = place, member
        self.directory = place.members[member]
        if not (self.directory.path / "node.toml").exists():
            self.configure(more)
        self.view = View(self.directory.path)
        self.context = Context(node=self.view)
        self.user: User | None = self.somebody(May.AUDIT)
        app = FastAPI()
        app.state.context = self.context
        failing.add(app)

        @app.middleware("http")
        async def put_in(request: Request, go: Callable[[Request], Awaitable[Response]]) -> Response:
            request.state.user, request.state.csrf = self.user, "csrf"
            return await go(request)

        for module in (attestation, audit, learning, ledger, models):
            app.include_router(module.router)
        app.mount("/static", Statics(), name="static")
        self.client = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)

    def configure(self, more: str = "") -> None:
        """Write the least node.toml with this room, and more."""
        text = (
            'listen = "127.0.0.1:18443"\nurl = "https://127.0.0.1:18443"\n'
            f'{more}\n[[rooms]]\nfile = "{self.place.room_file}"\n'
        )
        (self.directory.path / "node.toml").write_text(text)

    def somebody(self, *abilities: May, rooms: frozenset[str] | None = None, language: str = "en") -> User:
        return User("0" * 32, "Somebody", frozenset(abilities), rooms, language)

    @property
    def store(self) -> Store:
        return self.view.store()

    def records(self, room: str = ROOM) -> Records:
        return Records(self.store, room, self.member, self.directory.keys({}), SystemClock())

    @property
    def ledger(self) -> Ledger:
        return self.records().ledger

    def get(self, path: str, status: int = 200, **params: Any) -> str:
        """A page's text, of the status expected."""
        answer = self.client.get(path, params=params or None)  # an empty one would take the query away
        assert answer.status_code == status, answer.text[:2000]
        text: str = answer.text
        return text

    def post(self, path: str, status: int = 200, **form: str) -> Any:
        answer = self.client.post(path, data=form)
        assert answer.status_code == status, answer.text[:2000]
        return answer
