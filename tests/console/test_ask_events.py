# SPDX-License-Identifier: Apache-2.0
"""Live progress over a real socket: told as it happens, taken up again, ended in order."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from tests.conftest import QUESTION, fill, make_place
from tests.console.asking import Served
from tests.console.conftest import make_console
from tests.e2e.nodes import free_ports

from hitoku import limits
from hitoku.console.users import May
from hitoku.console.work import following
from hitoku.console.work.asks import asks_of

SECONDS = 120
"""What takes as long as that hangs; a stream by itself ends after twice as long."""


class Web:
    """The console behind a real HTTP server."""

    def __init__(self, console: Any, port: int) -> None:
        self.console, self.port = console, port
        config = uvicorn.Config(
            console.app,
            host="127.0.0.1",
            port=port,
            ws="none",
            http="h11",
            log_config=None,
            timeout_graceful_shutdown=5,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.opened: list[Any] = []
        self.thread.start()
        until = time.monotonic() + SECONDS
        while not self.server.started:
            assert time.monotonic() < until
            time.sleep(0.02)

    def stop(self) -> None:
        for one in self.opened:
            one.close()
        self.server.should_exit = True
        self.thread.join(SECONDS)
        assert not self.thread.is_alive()

    def open(self, browser: Any, path: str, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        cookie = f"{browser.site.cookie('session')}={browser.session}"
        connection.request("GET", path, headers={"Cookie": cookie, **headers})
        answer = connection.getresponse()
        self.opened += [answer, connection]
        return answer


def told(answer: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    """Events as they come: id and data."""
    mark = ""
    for raw in answer:
        line = raw.decode().rstrip("\n")
        if line.startswith("id: "):
            mark = line.removeprefix("id: ")
        elif line.startswith("data: "):
            yield mark, json.loads(line.removeprefix("data: "))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    nodes = Served(fill(make_place(tmp_path_factory.mktemp("events"))))
    nodes.start()
    yield nodes
    nodes.stop()


@pytest.fixture
def web(served):
    port = free_ports(1)[0]
    path = served.place.members["airport"].path / "node.toml"
    before = path.read_text("utf-8")
    url = f"http://127.0.0.1:{port}"
    path.write_text(f'{before}\n[console]\nlisten = "127.0.0.1:{port}"\nurl = "{url}"\n', "utf-8")
    console = make_console(served.place)
    path.write_text(before, "utf-8")
    made = Web(console, port)
    yield made
    if made.thread.is_alive():
        made.stop()
    console.close()


@pytest.fixture
def held(monkeypatch):
    """Holds every question at its consents until `set`."""
    go = threading.Event()
    phase = following.Following.phase

    def holding(self, name, total=None):
        phase(self, name, total)
        if name == "consent":
            assert go.wait(SECONDS)

    monkeypatch.setattr(following.Following, "phase", holding)
    yield go
    go.set()


def test_progress_is_told_as_it_happens(web, held, monkeypatch):
    monkeypatch.setattr("hitoku.console.pages.events._TICK_SECONDS", 2 * SECONDS)  # nothing but news wakes it
    browser = web.console.sign_in(May.ASK)
    ask = asks_of(web.console.context).ask(browser.account.user(), web.console.room, QUESTION)
    where = f"/rooms/{web.console.room}/asks/{ask.id}/events"
    answer = web.open(browser, where)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    seen = []
    for mark, data in told(answer):
        seen.append((mark, data))
        if [p["how"] for p in data["phases"]] == ["done", "now"]:
            # Taken up again: a page that has the newest state is not told it at once.
            other = told(web.open(browser, where, **{"Last-Event-ID": mark}))
            began = time.monotonic()
            held.set()
            assert next(other)[1]["phases"]
            assert time.monotonic() - began < SECONDS
            break
    for mark, data in told(answer):
        seen.append((mark, data))
    assert seen[-1][1]["state"] == "done"
    assert seen[-1][1]["ended"] is True
    assert [p["how"] for p in seen[-1][1]["phases"]] == ["done"] * 4
    assert "BIG" not in json.dumps(seen), "progress tells nothing of the answer"
    # After its end a stream tells that, and ends.
    again = list(told(web.open(browser, where)))
    assert [data["state"] for _, data in again] == ["done"]


def test_a_stream_is_for_who_may_see_the_question(web, held):
    browser = web.console.sign_in(May.ASK)
    ask = asks_of(web.console.context).ask(browser.account.user(), web.console.room, QUESTION)
    where = f"/rooms/{web.console.room}/asks/{ask.id}/events"
    assert web.open(web.console.sign_in(May.ASK), where).status == 404
    assert web.open(web.console.sign_in(May.AUDIT), where).status == 200


def test_streams_are_bounded(web, held, monkeypatch):
    monkeypatch.setattr(limits, "MAX_CONSOLE_STREAMS", 20)
    browser = web.console.sign_in(May.ASK)
    ask = asks_of(web.console.context).ask(browser.account.user(), web.console.room, QUESTION)
    where = f"/rooms/{web.console.room}/asks/{ask.id}/events"
    answers = [web.open(browser, where) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    for answer in answers:
        answer.close()
    held.set()


@pytest.mark.parametrize("prefix", ["", "/api/v1"], ids=["page", "program"])
def test_streams_that_begin_at_once_are_bounded(web, held, monkeypatch, prefix):
    """Each is counted before it begins: else all that come before the first event would pass."""
    monkeypatch.setattr(limits, "MAX_CONSOLE_STREAMS", 20)
    browser = web.console.sign_in(May.ASK)
    asks = asks_of(web.console.context)
    ask = asks.ask(browser.account.user(), web.console.room, QUESTION)
    site = browser.site
    scope: dict[str, Any] = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "query_string": b"",
        "path": f"{prefix}/rooms/{web.console.room}/asks/{ask.id}/events", "root_path": "",
        "headers": [
            (b"host", site.host.encode()),
            (b"cookie", f"{site.cookie('session')}={browser.session}".encode()),
        ],
    }  # fmt: skip
    scope["raw_path"] = scope["path"].encode()
    statuses: list[int] = []

    async def at_once(count: int) -> None:
        begun = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await begun.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                if len(statuses) == count:
                    begun.set()
                await begun.wait()  # nothing of a stream goes out before all of them were answered

        await asyncio.gather(*(web.console.app(dict(scope), receive, send) for _ in range(count)))

    async def all_of_it() -> None:
        async with asyncio.timeout(SECONDS):
            await at_once(8)
            assert sorted(statuses) == [200, 200, *[429] * 6]
            statuses.clear()
            await at_once(2)  # those that ended gave their places back, though nothing was told
            assert statuses == [200, 200]

    asyncio.run(all_of_it())
    held.set()


def test_a_stream_ends_when_the_console_stops(web, held, monkeypatch):
    monkeypatch.setattr("hitoku.console.pages.events._TICK_SECONDS", 2 * SECONDS)  # nothing but news wakes it
    browser = web.console.sign_in(May.ASK)
    asks = asks_of(web.console.context)
    ask = asks.ask(browser.account.user(), web.console.room, QUESTION)
    answer = web.open(browser, f"/rooms/{web.console.room}/asks/{ask.id}/events")
    events = told(answer)
    assert next(events)[1]["state"] in {"queued", "running"}
    began = time.monotonic()
    asks.close()
    rest = list(events)
    assert time.monotonic() - began < SECONDS
    assert rest[-1][1]["state"] == "interrupted"
    web.stop()
