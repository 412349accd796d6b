# SPDX-License-Identifier: Apache-2.0
"""Two members' nodes with their consoles, and people who use them in Debian's Chromium.

Every page that a person comes to is looked at: accessibility by axe-core, what the browser complains of (a
violation of the content security policy is one such complaint), bytes over the network with nothing cached,
and how long it took to load.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.e2e.nodes import SECONDS, free_ports, hitoku

WIDTH, HEIGHT = 1200, 800
MOST_BYTES = 300 * 1024
MOST_SECONDS = 1.0
PATIENCE = 120_000
"""Milliseconds that a page or an answer may take before the story is called broken."""
PASSWORD = "correct horse 1A!x battery"
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
ABILITIES = ("ask", "tables", "sign", "audit", "administer")


def chromium() -> str:
    """Where the browser is; without one the test is skipped, unless everything must be there."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("HITOKU_REQUIRE_ALL") == "1":
            pytest.fail("there is no Chromium: apt install chromium")
        pytest.skip("there is no Chromium: apt install chromium")
    return found


@dataclass
class Seen:
    """One page as it was loaded.

    Attributes:
        path: its address, without the host and what follows a question mark.
        bytes: over the network, headers too, with nothing cached.
        seconds: from the request to the end of its load event.
        axe: rules that it breaks, of impact serious or critical.
    """

    path: str
    bytes: int
    seconds: float
    axe: list[str]


@dataclass
class Node:
    """One member's node, from an empty directory."""

    directory: Path
    user: str
    url: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What it writes to stderr."""
        return self.directory.with_suffix(".log")

    def make(self) -> None:
        """Member, settings of the node, and its first user, all by the command line."""
        listen, invitations, console, health = (f"127.0.0.1:{port}" for port in free_ports(4))
        done = hitoku("room", "member", self.directory, "--name", self.directory.name)
        assert done.returncode == 0, done.stderr
        done = hitoku(
            "node", "init", self.directory, "--listen", listen, "--invitations", invitations,
            "--console", console, "--health", health,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        abilities = [word for name in ABILITIES for word in ("--ability", name)]
        added = subprocess.run(
            [sys.executable, "-m", "hitoku.cli.main", "user", "add", str(self.directory), self.user,
             *abilities],
            input=PASSWORD + "\n", capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert added.returncode == 0, added.stderr
        self.url = f"http://{console}"

    def start(self) -> None:
        """Start it, and wait until its console answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hitoku.cli.main", "node", "serve", str(self.directory)], stderr=log
            )
        until = time.monotonic() + SECONDS
        while True:
            try:
                assert httpx.get(f"{self.url}/login", trust_env=False).status_code == 200
                return
            except httpx.TransportError:
                assert self.process.poll() is None, self.log.read_text("utf-8")
                assert time.monotonic() < until, self.log.read_text("utf-8")
                time.sleep(0.2)

    def stop(self) -> None:
        """End it, in order if it can."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SECONDS)
        finally:
            self.process.kill()


@dataclass
class Person:
    """Somebody who uses a console in a browser of their own."""

    node: Node
    context: Any
    page: Any
    wire: Any
    pictures: Path | None
    seen: list[Seen] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    came: set[str] = field(default_factory=set)
    """Paths that were answered without an error: of pages, parts of pages, files and streams."""
    _bytes: int = 0
    _waiting: dict[str, str] = field(default_factory=dict)
    """What the page asked for and has not got: requests, each with the document that asked."""

    @classmethod
    def made(cls, node: Node, browser: Any, pictures: Path | None) -> Person:
        """A browser with nothing in it."""
        context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        wire = context.new_cdp_session(page)
        person = cls(node, context, page, wire, pictures)
        page.on("console", person._said)
        page.on("pageerror", lambda error: person.complaints.append(f"{page.url}: {error}"))
        page.on("dialog", lambda dialog: dialog.accept())
        page.on("download", lambda download: person.came.add(urlsplit(download.url).path))
        wire.send("Network.enable")
        wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
        wire.on("Network.requestWillBeSent", person._asked)
        wire.on("Network.responseReceived", person._answered)
        wire.on("Network.loadingFinished", person._came)
        wire.on("Network.loadingFailed", lambda event: person._waiting.pop(event["requestId"], None))
        wire.send("Page.enable")
        wire.on("Page.frameNavigated", person._moved)
        return person

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(f"{self.page.url}: {message.text}")

    def _asked(self, event: dict[str, Any]) -> None:
        if event.get("type") != "EventSource":  # a stream ends when its question does
            self._waiting[event["requestId"]] = event["loaderId"]

    def _moved(self, event: dict[str, Any]) -> None:
        """Another document is there; of what the one before waited for, nothing may be heard any more."""
        now = event["frame"]["loaderId"]
        self._waiting = {request: loader for request, loader in self._waiting.items() if loader == now}

    def _answered(self, event: dict[str, Any]) -> None:
        if event["response"]["status"] < 400:
            self.came.add(urlsplit(event["response"]["url"]).path)

    def _came(self, event: dict[str, Any]) -> None:
        self._waiting.pop(event["requestId"], None)
        self._bytes += int(event["encodedDataLength"])

    def settle(self) -> None:
        """Wait until the page is loaded, and what its scripts asked for right away has come too."""
        self.page.wait_for_load_state("load")
        until = time.monotonic() + PATIENCE / 1000
        quiet = 0
        while quiet < 2:
            self.page.wait_for_timeout(30)
            quiet = 0 if self._waiting else quiet + 1
            assert time.monotonic() < until, f"{self.page.url} goes on loading"

    def go(self, path: str, picture: str = "") -> None:
        """Open a page and look at it."""
        self._bytes = 0
        self.page.goto(self.node.url + path, wait_until="load")
        self.look(picture)

    def press(self, words: str | re.Pattern[str], picture: str = "", within: str = "main") -> None:
        """Press the button or link of these words, come to the page after it, and look at that."""
        with self.leaving():
            self.click(words, within)
        self.look(picture)

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """What is done inside leads to another page: wait until that is loaded."""
        self._bytes = 0
        # A mark in the document that goes with it. Navigations themselves cannot be counted on: scripts make
        # some within a page.
        self.page.evaluate("() => document.documentElement.setAttribute('data-left', '')")
        yield
        self.page.locator("html:not([data-left])").wait_for(state="attached")
        self.page.wait_for_load_state("load")

    def click(self, words: str | re.Pattern[str], within: str = "main") -> None:
        """Press the button or link of these words."""
        place = self.page.locator(within)
        both = place.get_by_role("button", name=words, exact=True).or_(
            place.get_by_role("link", name=words, exact=True)
        )
        both.first.click()

    def look(self, picture: str = "") -> Seen:
        """Note how the page loaded, and what axe-core says of it."""
        self.settle()
        timing = self.page.evaluate(
            "() => { const n = performance.getEntriesByType('navigation')[0];"
            " return n.loadEventEnd - n.startTime; }"
        )
        seen = Seen(urlsplit(self.page.url).path, self._bytes, timing / 1000, self.axe())
        self.seen.append(seen)
        if picture:
            self.picture(picture)
        return seen

    def axe(self) -> list[str]:
        """What is wrong with the page as it stands, of impact serious or critical.

        The script comes through the debugger, which the page's policy does not concern: it stays in force.
        """
        self.page.evaluate(AXE.read_text("utf-8") + "; 0")
        found = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']} ({one['impact']}): {node['target']}: {node.get('failureSummary', '')[:200]}"
            for one in found["violations"]
            if one["impact"] in {"serious", "critical"}
            for node in one["nodes"][:3]
        ]

    def picture(self, name: str, height: int = HEIGHT) -> None:
        """Keep how the page looks, where pictures are wanted; of the window so much from above."""
        if self.pictures is not None:
            part = {"x": 0, "y": 0, "width": WIDTH, "height": height}
            path = self.pictures / f"{name}.png"
            self.page.screenshot(path=path, clip=part, animations="disabled")

    def sign_in(self, picture: str = "") -> None:
        """Come in by name and password."""
        self.go("/login", picture)
        self.page.get_by_label("Name").fill(self.node.user)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.press("Sign in")

    def fetch(self, path: str) -> None:
        """Get a file by its address, as the browser would."""
        answer = self.context.request.get(self.node.url + path)
        assert answer.ok, f"{path}: {answer.status}"
        self.came.add(urlsplit(path).path)

    def text(self) -> str:
        """The words of the page."""
        return str(self.page.locator("main").inner_text())


@contextmanager
def two_people(place: Path) -> Iterator[tuple[Person, Person]]:
    """A user of member aoi and one of ben, each before an own browser; nothing is set up yet."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    wanted = os.environ.get("HITOKU_SCREENSHOTS")
    pictures = None if wanted is None else Path(wanted)
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
    nodes = [Node(place / "aoi", "aoi_user"), Node(place / "ben", "ben_user")]
    try:
        for node in nodes:
            node.make()
        for node in nodes:
            node.start()
        with sync_playwright() as play:
            arguments = ["--no-sandbox"] if os.getuid() == 0 else []
            browser = play.chromium.launch(executable_path=path, args=arguments)
            aoi_user, ben_user = (Person.made(node, browser, pictures) for node in nodes)
            try:
                yield aoi_user, ben_user
            except BaseException:
                for person in (aoi_user, ben_user):
                    sys.stderr.write(f"{person.page.url}\n{person.text()}\n{person.complaints}\n")
                raise
            finally:
                browser.close()
    finally:
        for node in nodes:
            node.stop()
