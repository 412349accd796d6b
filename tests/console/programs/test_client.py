# SPDX-License-Identifier: Apache-2.0
"""`hitoku.connect` over real nodes: asks, is refused, gives up, is cut off; gets what a `RoomHandle` gets."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from tests.conftest import QUESTION, REFUSED

import hitoku
from hitoku.client.http import Door
from hitoku.console.users import May
from hitoku.errors import EngineError, InputError, LimitError, PeerError, Refusal, RoomError, SecretError
from hitoku.node.local import RoomHandle
from hitoku.ports import NoProgress
from hitoku.room.heads import member_signed
from hitoku.room.ledger import Inclusion


class Heard(NoProgress):
    def __init__(self):
        self.names = []

    def phase(self, name, total=None):
        self.names.append(name)


class Held:
    """Questions stop before anything is asked, until `go`."""

    def __init__(self, monkeypatch):
        self.inside, self.go = threading.Event(), threading.Event()
        really = RoomHandle._go

        def held(handle, *arguments):
            self.inside.set()
            assert self.go.wait(300)
            return really(handle, *arguments)

        monkeypatch.setattr(RoomHandle, "_go", held)


def asks_of(world) -> int:
    asks = world.context.parts.get("asks")
    return 0 if asks is None else asks.store.count()


def test_a_question_has_the_answer_that_an_open_room_has(world, room):
    heard = Heard()
    answer = room.ask(QUESTION, progress=heard)
    assert answer.fetchall()[0][:2] == ("BIG", 18)
    assert {"consent", "run"} <= set(heard.names)
    assert heard.names == list(dict.fromkeys(heard.names))  # each phase is told once
    here = hitoku.open_room(world.place.members["airport"].path).ask(QUESTION)
    assert answer.digest == here.digest  # asked again, the host gives the same answer
    assert (answer.leakage, answer.withheld, answer.run) == (here.leakage, here.withheld, here.run)


def test_a_refusal_is_the_same_refusal(world, room):
    with pytest.raises(Refusal) as found:
        room.ask(REFUSED)
    with pytest.raises(Refusal) as here:
        hitoku.open_room(world.place.members["airport"].path).ask(REFUSED)
    assert found.value.to_dict() == here.value.to_dict()
    assert found.value.span is not None


def test_explain_and_preview_say_what_they_say_here_and_ask_nothing(world, room):
    before = asks_of(world)
    here: Any = hitoku.open_room(world.place.members["airport"].path)
    assert room.explain(QUESTION).to_dict() == here.explain(QUESTION).to_dict()
    refusals = [where.explain(REFUSED).refusal.to_dict() for where in (room, here)]
    assert refusals[0] == refusals[1]
    assert room.explain(QUESTION).learned("tokens").learned
    preview, other = room.preview(QUESTION), here.preview(QUESTION)
    assert preview.to_dict() == other.to_dict()
    assert preview == other
    with pytest.raises(Refusal):
        room.preview(REFUSED)
    assert asks_of(world) == before


def test_the_room_s_facts(world, connection, room):
    assert room.agreement == world.place.agreement
    assert room.hash == hitoku.open_room(world.place.members["airport"].path).hash
    assert room.receivers == ("airport",)
    assert room.id == world.room
    assert connection.room("Test room").id == connection.room(world.room).id == room.id
    assert [t["name"] for t in room.tables()] == ["flights", "planes"]
    assert [t["name"] for t in room.templates()] == ["planes_of"]
    assert room.templates()[0]["hash"].startswith("sha256:")
    assert room.models() == []
    assert room.budgets() == {"accounts": [], "windows": []}
    assert connection.me()["member"] == "airport"
    assert connection.health()["hitoku"] == hitoku.__version__
    with pytest.raises(RoomError, match="sees 0 rooms called"):
        connection.room("another")


def test_an_answer_may_go_to_others(room):
    sent = room.send(QUESTION, receivers=["registry"])
    assert (sent.receivers, len(sent.run), sent.question[:7]) == (("registry",), 32, "sha256:")
    with pytest.raises(Refusal) as found:
        room.ask(QUESTION, receivers=["registry"])
    assert found.value.code == "ASKER_DOES_NOT_RECEIVE"


def test_the_ledger_is_read_proved_and_verified(world, room, monkeypatch):
    room.ask(QUESTION)
    monkeypatch.setattr("hitoku.client.room._PAGE", 2)  # several pages
    entries = list(room.ledger())
    assert [e["seq"] for e in entries] == list(range(len(entries)))
    assert {"question", "release"} <= {e["kind"] for e in entries}
    assert [e["seq"] for e in room.ledger(after=entries[-3]["seq"])] == [e["seq"] for e in entries[-2:]]
    proof = Inclusion.from_dict(room.ledger_proof(1))
    assert proof.verify(member_signed(world.place.agreement))
    assert json.loads(proof.entry)["body"] == entries[1]["body"]
    found = room.verify_ledger()
    assert (found["holds"], found["entries"]) == (True, len(entries))
    with pytest.raises(RoomError, match="no such entry"):
        room.ledger_proof(10**9)


def test_a_post_that_is_sent_twice_asks_once(world, room, monkeypatch):
    """The first answer is lost on its way; the client sends the question again."""
    import httpx

    before, sent = asks_of(world), []
    transport = room._door._client._transport  # the node in this process has others
    really = transport.handle_request

    def lost(request):
        answer = really(request)
        if request.method == "POST" and request.url.path.endswith("/asks"):
            sent.append(request.headers["idempotency-key"])
            if len(sent) == 1:
                answer.close()
                raise httpx.ReadError("lost")
        return answer

    monkeypatch.setattr(transport, "handle_request", lost)
    assert room.ask(QUESTION).num_rows == 1
    assert len(sent) == 2
    assert len(set(sent)) == 1
    assert asks_of(world) == before + 1


def test_one_key_is_for_one_question_of_one_user(world, connection, room):
    door, path = connection._door, f"rooms/{world.room}/asks"
    first = door.post(path, {"sql": QUESTION}, key="one-key-only")
    assert door.post(path, {"sql": QUESTION}, key="one-key-only")["id"] == first["id"]
    with pytest.raises(InputError, match="another question"):
        door.post(path, {"sql": REFUSED}, key="one-key-only")
    with hitoku.connect(world.url, world.token("another")) as other:
        assert other._door.post(path, {"sql": QUESTION}, key="one-key-only")["id"] != first["id"]


def test_another_post_is_never_sent_twice(world, room, monkeypatch):
    import httpx

    sent = []

    def lost(request):
        sent.append(request.method)
        raise httpx.ReadError("lost")

    monkeypatch.setattr(room._door._client._transport, "handle_request", lost)
    monkeypatch.setattr("hitoku.client.http._PAUSE_SECONDS", 0.001)
    with pytest.raises(PeerError) as found:
        room.explain(QUESTION)
    assert (sent, found.value.code) == (["POST"], "UNREACHABLE")
    sent.clear()
    with pytest.raises(PeerError):
        room.tables()
    assert sent == ["GET"] * 4


def test_another_thread_gives_a_question_up(room, monkeypatch):
    held, ended = Held(monkeypatch), []

    def ask():
        try:
            room.ask(QUESTION)
        except EngineError as error:
            ended.append(error.code)

    thread = threading.Thread(target=ask)
    thread.start()
    assert held.inside.wait(300)
    room.cancel()
    held.go.set()
    thread.join(300)
    assert ended == ["CANCELLED"]


@pytest.fixture
def heeded():
    """SIGINT interrupts, also where a shell in the background began this process to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_ctrl_c_gives_a_question_up_at_the_node(world, room, monkeypatch):
    held = Held(monkeypatch)

    def interrupt():
        assert held.inside.wait(300)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        room.ask(QUESTION)
    held.go.set()
    path = f"rooms/{world.room}/asks"
    until = time.monotonic() + 300
    newest = room._door.get(path)["asks"][0]
    while newest["state"] not in {"cancelled", "done"} and time.monotonic() < until:
        time.sleep(0.05)
        newest = room._door.get(path)["asks"][0]
    assert (newest["state"], newest["charge"]) == ("cancelled", "none")


def test_a_node_that_ends_is_said_and_another_start_serves_the_same_token(world, token, monkeypatch):
    connection = hitoku.connect(world.url, token)
    room, held, ended = connection.room(), Held(monkeypatch), []
    monkeypatch.setattr("hitoku.client.asking._PAUSE_SECONDS", 0.05)

    def ask():
        try:
            room.ask(QUESTION)
        except PeerError as error:
            ended.append(error.code)

    thread = threading.Thread(target=ask)
    thread.start()
    assert held.inside.wait(300)
    world.stop_airport()
    world.start_airport()
    thread.join(300)
    held.go.set()
    assert ended == ["INTERRUPTED"]
    monkeypatch.undo()
    assert room.ask(QUESTION).num_rows == 1
    connection.close()


def test_a_user_sees_only_its_rooms_and_does_only_what_it_may(world):
    nobody = frozenset({"11111111-1111-4111-8111-111111111111"})
    with hitoku.connect(world.url, world.token("elsewhere", rooms=nobody)) as elsewhere:
        assert elsewhere.rooms() == []
        for path in ("", "/tables", "/asks", "/ledger", "/budgets"):
            with pytest.raises(RoomError, match="not yours to see"):
                elsewhere._door.get(f"rooms/{world.room}{path}")
        with pytest.raises(RoomError, match="not yours to see"):
            elsewhere._door.post(f"rooms/{world.room}/asks", {"sql": QUESTION})
    with hitoku.connect(world.url, world.token("auditor", frozenset({May.AUDIT}))) as auditor:
        assert list(auditor.room().ledger())
        with pytest.raises(Refusal) as found:
            auditor.room().ask(QUESTION)
        assert found.value.code == "NOT_ALLOWED"
    with hitoku.connect(world.url, world.token("asker", frozenset({May.ASK}))) as asker:
        with pytest.raises(Refusal) as found:
            list(asker.room().ledger())
        assert found.value.code == "NOT_ALLOWED"


def test_one_user_s_questions_are_not_another_s(world, connection, room):
    room.ask(QUESTION)
    path = f"rooms/{world.room}/asks"
    mine = connection._door.get(path)["asks"][0]["id"]
    with hitoku.connect(world.url, world.token("curious", frozenset({May.ASK}))) as other:
        assert other._door.get(path) == {"asks": [], "more": False}
        for call in (
            lambda: other._door.get(f"{path}/{mine}"),
            lambda: other._door.get(f"{path}/{mine}/answer"),
            lambda: other._door.post(f"{path}/{mine}/cancel"),
            lambda: list(other._door.lines(f"{path}/{mine}/events", 5)),
        ):
            with pytest.raises(RoomError, match="not yours to see"):
                call()


def test_quotas_say_when_to_try_again(world, room, monkeypatch):
    import httpx

    monkeypatch.setattr("hitoku.limits.API_AT_ONCE_EACH", 0)
    monkeypatch.setattr("hitoku.client.http._PAUSE_SECONDS", 0.001)
    with pytest.raises(LimitError):
        room.explain(QUESTION)
    headers = {"Authorization": f"Bearer {world.token('busy')}"}
    answer = httpx.get(
        f"{world.url}/api/v1/rooms/{world.room}/ledger/verify", headers=headers, trust_env=False, timeout=300
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "LIMIT")
    assert int(answer.headers["retry-after"]) > 0


def test_a_quota_of_questions_is_said_at_once(room, monkeypatch):
    monkeypatch.setattr("hitoku.limits.MAX_CONSOLE_ASKS_OPEN", 0)
    monkeypatch.setattr("hitoku.client.http.time", SimpleNamespace(sleep=lambda _: pytest.fail("it waits")))
    with pytest.raises(LimitError, match="try again"):
        room.ask(QUESTION)


def test_arrow_comes_where_it_is_wanted(world, connection, room, token):
    import httpx
    import pyarrow as pa

    answer = room.ask(QUESTION)
    ask = connection._door.get(f"rooms/{world.room}/asks")["asks"][0]["id"]
    where = f"{world.url}/api/v1/rooms/{world.room}/asks/{ask}/answer"
    for accept, kind in (
        ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream"),
        (
            "text/html, application/json;q=0.5, application/vnd.apache.arrow.stream;q=0.9",
            "application/vnd.apache.arrow.stream",
        ),
        ("*/*", "application/json"),
        ("application/vnd.apache.arrow.stream;q=x", "application/json"),
    ):
        headers = {"Authorization": f"Bearer {token}", "Accept": accept}
        got = httpx.get(where, headers=headers, trust_env=False, timeout=300)
        assert (got.status_code, got.headers["content-type"]) == (200, kind)
        if kind == "application/json":
            assert got.json()["rows"] == answer.to_dict()["rows"]
        else:
            assert pa.ipc.open_stream(got.content).read_all().equals(answer.to_arrow())


def test_a_token_is_never_shown_and_never_goes_elsewhere(
    world, token, connection, room, tmp_path, monkeypatch
):
    assert token not in repr(connection) + repr(room) + repr(room._door._client) + repr(vars(room._door))
    assert token not in world.log.getvalue()
    for url in ("http://console.example", "ftp://127.0.0.1", "https://user:x@console.example", "console", ""):
        with pytest.raises(InputError):
            hitoku.connect(url, token)
    file = tmp_path / "token"
    file.write_text(f"{token}\n")
    file.chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        hitoku.connect(world.url, token_file=file)
    file.chmod(0o600)
    hitoku.connect(world.url, token_file=file).close()
    monkeypatch.setenv("HITOKU_TOKEN", token)
    hitoku.connect(world.url).close()
    monkeypatch.delenv("HITOKU_TOKEN")
    none: dict[str, Any] = {}
    for given in (none, {"token": "a b"}, {"token": "x\r\nInjected: 1"}):
        with pytest.raises(SecretError):
            hitoku.connect(world.url, **given)
    with pytest.raises(InputError, match="either"):
        hitoku.connect(world.url, token, file)
    with pytest.raises(Refusal) as found:
        hitoku.connect(world.url, "hitoku_" + "A" * 43)
    assert found.value.code == "NOT_SIGNED_IN"
    no_check: Any = False
    with pytest.raises(InputError, match="never left out"):
        Door("https://console.example", token, no_check)
