# SPDX-License-Identifier: Apache-2.0
"""Who keeps others from the console, or reads what other rooms have."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

import pytest
from tests.attacks.test_console_others import ask, filled
from tests.console.conftest import Console, make_console
from tests.console.routes import routes
from tests.e2e.nodes import free_ports

from hitoku import limits
from hitoku.console import oidc, service
from hitoku.console.api.busy import bounded, busy
from hitoku.console.listening import HERE, FairListener
from hitoku.console.service import ConsoleService
from hitoku.console.users import May
from hitoku.console.work import background
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


def _from(address: str, port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(address, 0))


def _answered(connection: socket.socket, port: int) -> bytes:
    """What comes on a connection for a page; nothing where it was closed."""
    try:
        connection.sendall(
            f"GET /login HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
        )
        return connection.recv(12)
    except ConnectionError:
        return b""


@pytest.mark.parametrize("proxies", [(), ("127.0.0.2",), ("127.0.0.0/30",)], ids=["none", "one", "network"])
def test_one_address_does_not_take_all_connections(listening, monkeypatch, proxies):
    """Else whoever reaches the console once keeps everybody else out of it."""
    directory, port = listening
    monkeypatch.setattr(service, "HERE", ())  # all addresses of this machine are others' now
    monkeypatch.setattr(limits, "CONSOLE_CONNECTIONS_EACH", 3)
    monkeypatch.setattr(limits, "CONSOLE_CONNECTIONS_MOST", 12)
    settings = NodeSettings.open(directory.path)
    (directory.path / "node.toml").unlink()
    assert settings.console is not None
    console = settings.console.model_copy(update={"proxies": proxies})
    settings.model_copy(update={"console": console}).write(directory.path)

    most = 6 if proxies else 3

    def flood() -> int:
        held = [_from("127.0.0.2", port) for _ in range(6)]
        # The last one first: when that is taken or not, so are those before it.
        taken = [one for one in reversed(held) if _answered(one, port)]
        for one in held:
            one.close()
        assert len(taken) <= most
        return len(taken)

    def work() -> None:
        silent = [_from("127.0.0.2", port) for _ in range(3)]
        if not proxies:
            with _from("127.0.0.2", port) as late:
                assert _answered(late, port) == b""
        with _from("127.0.0.5", port) as other:  # somebody else is answered all the same
            assert _answered(other, port) == b"HTTP/1.1 200"
        for one in silent:
            one.close()
        until = time.monotonic() + 60
        while flood() < most:  # what was closed is given back, as soon as that was noticed
            assert time.monotonic() < until
            time.sleep(0.1)

    async def run() -> None:
        view = MemberView(directory)
        served = ConsoleService(view, Log())
        await served.start()
        try:
            await asyncio.to_thread(work)
        finally:
            await served.stop()
            view.close()

    asyncio.run(run())


def test_addresses_are_counted_as_who_has_them(monkeypatch):
    bound = socket.create_server(("127.0.0.1", 0))
    with FairListener(bound, (*HERE, "10.0.0.5")) as listener:
        share = listener._counted
        assert share("127.0.0.1") == share("::1") == share("::ffff:10.0.0.5") == ()
        assert share("::ffff:10.0.0.6") == share("10.0.0.6") != share("10.0.0.7")
        assert share("2001:db8::1") == share("2001:db8::ffff%eth0") != share("2001:db8:0:1::1")
        assert share("2001:db8::1")[1] == share("2001:db8:0:1::1")[1] != share("2001:db8:1::1")[1]


def _come(listener: FairListener, port: int, stack: contextlib.ExitStack, monkeypatch, source: str) -> bool:
    """Whether a connection from an address is taken."""
    counted = FairListener._counted
    stack.enter_context(_from("127.0.0.1", port))
    with monkeypatch.context() as patch:
        patch.setattr(FairListener, "_counted", lambda self, _: counted(self, source))
        try:
            stack.enter_context(listener.accept()[0])
        except ConnectionAbortedError:
            return False
    return True


def test_all_others_together_leave_room_for_this_machine_and_proxies(monkeypatch):
    monkeypatch.setattr(limits, "CONSOLE_CONNECTIONS_OTHERS", 4)
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    with FairListener(bound, (*HERE, "10.0.0.5")) as listener, contextlib.ExitStack() as stack:
        came = [_come(listener, port, stack, monkeypatch, f"10.1.0.{n}") for n in range(6)]
        assert came == [True] * 4 + [False] * 2
        for source in ("127.0.0.1", "10.0.0.5", "::1"):
            assert _come(listener, port, stack, monkeypatch, source)
    assert limits.CONSOLE_CONNECTIONS_OTHERS < limits.CONSOLE_CONNECTIONS < limits.CONSOLE_CONNECTIONS_MOST


def test_a_site_of_many_networks_has_a_share_as_well(monkeypatch):
    monkeypatch.setattr(limits, "CONSOLE_CONNECTIONS_EACH", 2)
    monkeypatch.setattr(limits, "CONSOLE_CONNECTIONS_SITE", 3)
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    with FairListener(bound, HERE) as listener, contextlib.ExitStack() as stack:
        sources = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1", "2001:db8:0:2::1"]
        came = [_come(listener, port, stack, monkeypatch, source) for source in sources]
        assert came == [True, True, False, True, False]
        assert _come(listener, port, stack, monkeypatch, "2001:db8:1::1")


def test_all_connections_are_bounded(monkeypatch):
    """Each takes a file of the node's process: with none left, the members are not answered either."""
    monkeypatch.setattr(limits, "CONSOLE_CONNECTIONS_MOST", 2)
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    with FairListener(bound, HERE) as listener, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(_from("127.0.0.1", port))
        kept = [stack.enter_context(listener.accept()[0]) for _ in range(2)]
        with pytest.raises(ConnectionAbortedError):
            listener.accept()
        kept[0].close()
        stack.enter_context(_from("127.0.0.1", port))
        stack.enter_context(listener.accept()[0])


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


ASKS_PEERS = {
    "GET /rooms/join/{room_id}",
    "GET /rooms/{room_id}/members/status",
    "GET /rooms/{room}/tables/-/declare",
    "POST /rooms/join",
    "POST /rooms/join/{room_id}/sign",
    "POST /rooms/{room_id}/draft/crosstab",
    "POST /rooms/{room_id}/draft/decline",
    "POST /rooms/{room_id}/draft/edit",
    "POST /rooms/{room_id}/draft/send",
    "POST /rooms/{room_id}/draft/settle",
    "POST /rooms/{room_id}/draft/sign",
    "POST /rooms/{room_id}/draft/withdraw",
    "POST /rooms/{room_id}/invite/{identity}/admit",
    "POST /rooms/{room_id}/ledger/heads",
    "POST /rooms/{room_id}/members/{name}/remove",
    "POST /rooms/{room_id}/pull",
    "POST /rooms/{room_id}/templates",
    "POST /rooms/{room_id}/templates/{name}/approve",
    "POST /rooms/{room}/budgets/close",
    "POST /rooms/{room}/budgets/edit",
    "POST /rooms/{room}/budgets/preview",
    "POST /rooms/{room}/budgets/windows/{table}",
    "POST /rooms/{room}/tables",
    "POST /rooms/{room}/tables/-/sample",
    "POST /rooms/{room}/tables/{table}/remove",
    "POST /rooms/{room}/tables/{table}/rule",
}


def test_pages_that_ask_members_are_bounded_each_user(console: Console):
    """A member's node that never answers would else hold a thread of the console for each page."""
    browser, room = console.sign_in(*May), console.room
    user = browser.account.user()
    found = [(m, p) for m, p, route in routes(console.app) if _is_bounded(route)]
    assert {f"{m} {p}" for m, p in found} == ASKS_PEERS
    paths = [(m, filled(p, room)) for m, p in found] + [("GET", f"/rooms/{room}/members?check=1")]
    with contextlib.ExitStack() as stack:
        for _ in range(limits.API_AT_ONCE_EACH):
            stack.enter_context(busy(console.context, user))
        for method, path in paths:
            answer = ask(browser, method, path)
            assert answer.status_code == 429, path
            assert answer.headers["retry-after"]
        assert browser.get(f"/rooms/{room}/members").status_code == 200  # which asks nobody
        other = console.sign_in(*May)
        assert other.get(f"/rooms/{room}/members/status").status_code == 200
    assert browser.get(f"/rooms/{room}/members/status").status_code == 200
    everybody = [console.sign_in().account.user() for _ in range(limits.API_AT_ONCE)]
    with contextlib.ExitStack() as stack:
        for one in everybody:
            stack.enter_context(busy(console.context, one))
        assert browser.get(f"/rooms/{room}/members/status").status_code == 429


def _is_bounded(route) -> bool:
    dependant = getattr(route, "dependant", None)
    return dependant is not None and any(one.call is bounded for one in dependant.dependencies)


def test_no_page_asks_a_member_unless_it_is_bounded(console: Console, monkeypatch):
    """Whatever a page connects to, it does so in one of the places that its user has."""
    browser = console.sign_in(*May)
    asked: dict[str, bool] = {}
    now = ""

    def connect(_socket, _address):
        going = console.context.parts.get("api-busy")
        if not threading.current_thread().name.startswith(
            ("console-", "asks")
        ):  # they are bounded themselves
            asked[now] = asked.get(now, True) and going is not None and going.of[browser.account.id] > 0
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    form = {"sql": "SELECT 1", "name": "x", "url": "https://127.0.0.1:9"}
    for method, path, _ in routes(console.app):
        if method == "MOUNT" or path in {"/logout", "/users/{account}"}:
            continue
        now = f"{method} {path}"
        where = filled(path, console.room)
        if method == "POST" and not path.startswith("/api/"):
            browser.submit(where, **form)
        else:
            ask(browser, method, where)
    now = "GET members?check=1"
    browser.get(f"/rooms/{console.room}/members?check=1")
    assert {one for one, bounded_ in asked.items() if not bounded_} == set()
    assert {"GET /rooms/{room_id}/members/status", "POST /rooms/{room_id}/pull", now} <= set(asked)


def test_one_user_does_not_take_all_tasks(console: Console):
    go = threading.Event()
    user, other = console.account(May.ASK).user(), console.account(May.ASK).user()
    try:
        for _ in range(limits.MAX_CONSOLE_TASKS_EACH):
            background.start(console.context, user, "test", "x", lambda _task: go.wait(60))
        with pytest.raises(LimitError, match="of yours"):
            background.start(console.context, user, "test", "x", lambda _task: None)
        assert background.start(console.context, other, "test", "x", lambda _task: None)
    finally:
        go.set()
