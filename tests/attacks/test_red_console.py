# SPDX-License-Identifier: Apache-2.0
"""Who keeps others from the console, or reads what other rooms have."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
from tests.console.conftest import Console, make_console
from tests.e2e.nodes import free_ports

from hitoku import limits
from hitoku.console import oidc
from hitoku.console.api.busy import busy
from hitoku.console.service import ConsoleService
from hitoku.console.users import May
from hitoku.errors import LimitError, PeerError
from hitoku.node.settings import NodeSettings
from hitoku.node.view import MemberView

BODY = b"POST /login HTTP/1.1\r\nHost: %b\r\nContent-Length: 50\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n\r\nname="


@pytest.fixture
def console(place):
    made = make_console(place)
    yield made
    made.close()


class Log:
    def info(self, event, **facts):
        del event, facts


@pytest.fixture
def listening(place):
    """A member with a console on a free port."""
    (port,) = free_ports(1)
    console = make_console(place, url=f"http://127.0.0.1:{port}")
    console.close()
    directory = place.members["airport"].path
    settings = NodeSettings.open(directory)
    assert settings.console is not None
    moved = settings.console.model_copy(update={"listen": f"127.0.0.1:{port}"})
    (directory / "node.toml").unlink()
    settings.model_copy(update={"console": moved}).write(directory)
    return place.members["airport"], port


async def _said(directory, port: int, words: bytes) -> bytes:
    """What the console answers to these bytes until it ends the connection, which it must."""
    view = MemberView(directory)
    service = ConsoleService(view, Log())
    await service.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(words.replace(b"%b", f"127.0.0.1:{port}".encode()))
            async with asyncio.timeout(60):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
    finally:
        await service.stop()
        view.close()


@pytest.mark.parametrize("words", [b"", b"GET / HTTP/1.1\r\nHost: "], ids=["silent", "half a head"])
def test_a_connection_that_says_nothing_is_ended(listening, monkeypatch, words):
    monkeypatch.setattr(limits, "CONSOLE_HEAD_SECONDS", 0.2)
    assert asyncio.run(_said(listening[0], listening[1], words)) == b""


def test_a_stranger_who_announces_a_body_and_sends_none_is_ended(listening, monkeypatch):
    monkeypatch.setattr(limits, "CONSOLE_STRANGER_SECONDS", 0.2)
    monkeypatch.setattr(limits, "CONSOLE_HEAD_SECONDS", 0.5)
    answer = asyncio.run(_said(listening[0], listening[1], BODY + FORM))
    assert b" 413 " in answer.split(b"\r\n", 1)[0]


def test_a_slow_provider_does_not_take_all_threads(console, monkeypatch):
    """Anybody may begin a sign-in there, as often as they like."""
    inside, go, errors = threading.Semaphore(0), threading.Event(), []

    class Provider:
        issuer = "https://provider.example"

    def slow(client, issuer):
        inside.release()
        go.wait(60)
        raise PeerError("the provider is slow")

    monkeypatch.setattr(oidc, "settings_of", lambda context: Provider())
    monkeypatch.setattr(oidc, "_discover", slow)

    def begin():
        try:
            oidc.begin(console.context, console.app.state.site, "/")
        except (LimitError, PeerError) as error:
            errors.append(type(error))

    threads = [threading.Thread(target=begin) for _ in range(20)]
    for thread in threads:
        thread.start()
    while sum(thread.is_alive() for thread in threads) > 8:
        threading.Event().wait(0.01)
    assert errors == [LimitError] * 12  # 40 threads serve all pages; these stay free
    go.set()
    for thread in threads:
        thread.join()
    assert errors.count(PeerError) == 8


def test_explaining_on_pages_is_bounded_as_it_is_for_programs(console: Console):
    """An owner whose node never answers would else hold a thread of the console for each keystroke."""
    browser = console.sign_in(May.ASK)
    user = browser.account.user()
    with contextlib.ExitStack() as stack:
        for _ in range(limits.API_AT_ONCE_EACH):
            stack.enter_context(busy(console.context, user))
        answer = browser.submit(f"/rooms/{console.room}/ask", sql="SELECT 1")
        assert answer.status_code == 429
        other = console.sign_in(May.ASK)  # somebody else's are counted apart
        assert other.submit(f"/rooms/{console.room}/ask", sql="SELECT 1").status_code != 429
    assert browser.submit(f"/rooms/{console.room}/ask", sql="SELECT 1").status_code != 429


@pytest.mark.parametrize("given", ["./data/../data/a.csv", "absolute"])
def test_who_sees_some_rooms_reads_no_table_of_others(console: Console, given):
    directory = console.context.node.directory.path
    (directory / "data").mkdir(exist_ok=True)
    (directory / "data" / "a.csv").write_text("salary\nPLANTED\n")
    entry = '\n[[tables]]\nname = "salaries"\nroom = "another room"\nsource = "data/a.csv"\n'
    with (directory / "node.toml").open("a") as file:
        file.write(entry)
    source = str(directory / "data" / "a.csv") if given == "absolute" else given
    path = f"/rooms/{console.room}/tables/-/sample"
    narrow = console.sign_in(May.TABLES, rooms=frozenset({console.room}))
    refused = narrow.submit(path, source=source, table="mine")
    missing = narrow.submit(path, source="data/b.csv", table="mine")
    assert refused.status_code == missing.status_code == 400
    assert "PLANTED" not in refused.text
    assert "salary" not in refused.text
    wide = console.sign_in(May.TABLES).submit(path, source=source, table="mine")
    assert "PLANTED" in wide.text
