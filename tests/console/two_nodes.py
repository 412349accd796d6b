# SPDX-License-Identifier: Apache-2.0
"""Two members' nodes over HTTPS, empty at first, each with its console: as two companies have them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

from tests.console.conftest import Browser
from tests.e2e.nodes import free_ports

from hitoku.console.app import create_app
from hitoku.console.context import Context
from hitoku.console.sessions import begin
from hitoku.console.store import create
from hitoku.console.users import May
from hitoku.node.proposal_service import ProposalService
from hitoku.node.serving import NodeProcess, json_log
from hitoku.room.directory import MemberDirectory

__all__ = ["Company", "until"]

SECONDS = 180


class Company:
    """A member's node in a thread, and a browser that is signed in to its console."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.directory = MemberDirectory.create(path / name, name)
        listen, desk, console = free_ports(3)
        text = f'listen = "127.0.0.1:{listen}"\nurl = "https://127.0.0.1:{listen}"\n'
        text += f'invitations = "127.0.0.1:{desk}"\n[console]\nlisten = "127.0.0.1:{console}"\n'
        (self.directory.path / "node.toml").write_text(text, "utf-8")
        self.out = StringIO()
        self._thread: threading.Thread | None = None
        self.start()
        self.context = Context(self.node.view)
        self.app = create_app(self.context)
        self.site = self.app.state.site
        self.browser = self.sign_in(*May)

    def start(self) -> None:
        """Serve, from the files that are there."""
        ready = threading.Event()
        self.node = NodeProcess(
            self.directory.path, json_log(self.out), ready.set, services=(ProposalService,)
        )
        self._thread = threading.Thread(target=self.node.run)
        self._thread.start()
        assert ready.wait(SECONDS)
        if hasattr(self, "context"):
            self.context.node = self.node.view

    def stop(self) -> None:
        """Serve no longer."""
        self.node.stop()
        assert self._thread is not None
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def sign_in(self, *abilities: May) -> Browser:
        """A browser of a new user."""
        browser = Browser(self.app, base_url=self.site.url, follow_redirects=False)
        name = f"user{time.monotonic_ns()}"
        account = create(self.context, name=name, abilities=frozenset(abilities), rooms=None)
        browser.cookies.set(self.site.cookie("session"), begin(self.context, account.id, "password"))
        return browser

    def page(self, path: str) -> str:
        """What a page says."""
        answer = self.browser.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-2_000:])
        return str(answer.text)

    def post(self, path: str, **fields: Any) -> str:
        """Post a form. Returns where it leads to."""
        answer = self.browser.submit(path, **fields)
        assert answer.status_code == 303, (path, answer.status_code, shown(answer.text))
        return str(answer.headers["location"])

    def hash_at(self, path: str) -> str:
        """The hash that the form on a page signs."""
        found = re.search(r'name="hash" value="(sha256:[0-9a-f]{64})"', self.page(path))
        assert found, shown(self.page(path))
        return found[1]

    def version(self, room: str) -> int:
        """The version in force here; 0 for none."""
        entry = next((e for e in self.node.view.rooms() if e.id == room), None)
        return 0 if entry is None or entry.in_force is None else entry.in_force.agreement.version

    def served(self, room: str) -> int:
        """The version that its node answers by."""
        served = self.node._rooms.served().get(room)
        return 0 if served is None else served.agreement.version


def shown(html: str) -> str:
    """The words of a page."""
    body = html.partition("<main")[2]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def until(true: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)
