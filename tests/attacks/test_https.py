# SPDX-License-Identifier: Apache-2.0
"""A member's key in hostile hands, at the listener: what it sends, how slowly, how often.

Nobody without such a key gets as far. Limits are made small here, so that the tests are quick; that they hold
does not depend on their size.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from tests.unit.transport.https.parties import SECONDS, connect, forged, listening, party, rest
from tests.unit.transport.https.test_client import carrying, holder

from hitoku import limits
from hitoku.transport import messages
from hitoku.transport.https import bounds, tls

HEAD = b'{"kind":"hitoku/head-request/1","size":0}'
PLANTED = b"PLANTED-LITERAL"


class World:
    """A host's listener, and the airport's key to attack it with."""

    def __init__(self, place, there, heard):
        self.there, self.heard = there, heard
        airport = holder(place, "airport")
        self.context = tls.client_context(
            airport.certificate, airport.key_file, place.agreement.member("host").key
        )

    def connect(self) -> ssl.SSLSocket:
        return connect(self.there, self.context)

    def head(self, length=None, method="POST", path=None, **headers) -> bytes:
        """The head of a request; a header that is None is left out."""
        lines = {
            "host": "a",
            "content-type": "application/json",
            "hitoku-protocol": bounds.PROTOCOL,
            "content-length": length,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        text = f"{method} {path or self.there.path} HTTP/1.1\r\n"
        text += "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
        return text.encode() + b"\r\n"

    def send(self, *pieces: bytes) -> tuple[int | None, bytes]:
        """Send pieces. Returns the status, None where the connection was just ended, and the body."""
        with self.connect() as connection:
            with suppress(ConnectionError, ssl.SSLError):
                for piece in pieces:
                    connection.sendall(piece)
            return parsed(rest(connection))

    def post(self, body: bytes, **headers) -> tuple[int | None, bytes]:
        """Post a body in one piece, and have the connection closed."""
        return self.send(self.head(len(body), **{"connection": "close", **headers}) + body)

    def alive(self) -> None:
        """The listener still serves."""
        status, body = self.post(HEAD)
        assert (status, body) == (200, b'{"kind":"echo","sender":"airport"}')


def parsed(content: bytes) -> tuple[int | None, bytes]:
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", content)
    return (int(found[1]) if found else None), content.partition(b"\r\n\r\n")[2]


@pytest.fixture
def world(place, monkeypatch):
    monkeypatch.setattr(bounds, "SHUTDOWN_SECONDS", 1)
    monkeypatch.setattr(bounds, "MOST_BY_MEMBER", 100_000)
    heard: list[dict[str, object]] = []

    def handler(sender, message):
        heard.append(message)
        return {"kind": "echo", "sender": sender}

    with listening(place.agreement, "host", holder(place, "host"), carrying("host", handler)) as there:
        made = World(place, there, heard)
        yield made
        made.alive()
        assert PLANTED.decode() not in str(there.heard.events)


@pytest.fixture
def hurried(world):
    """The listener with little time, for those who take all they can get."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "HEAD_SECONDS", 1)
        patch.setattr(bounds, "BODY_SECONDS", 1)
        yield world


def refused(world: World, outcome: tuple[int | None, bytes], *statuses: int | None) -> None:
    """The message was not handled, the answer is one of these, and it repeats nothing."""
    status, body = outcome
    assert status in statuses, (status, body)
    assert PLANTED not in body
    assert len(body) < 200
    assert world.heard == []


def test_a_body_that_says_it_is_too_large_is_not_read(world):
    refused(world, world.send(world.head(10**9)), 413)
    refused(world, world.send(world.head(10**12)), 400)
    refused(world, world.send(world.head(100_001)), 413)


def test_a_body_that_is_too_large_without_saying_so_is_cut(world):
    pieces = [world.head(transfer_encoding="chunked")] + [b"4000\r\n" + b"x" * 0x4000 + b"\r\n"] * 200
    refused(world, world.send(*pieces), 413, None)


def test_a_chunked_body_without_an_end_is_given_up(hurried):
    stop = threading.Event()
    with hurried.connect() as connection:
        connection.sendall(hurried.head(transfer_encoding="chunked"))

        def drip():
            with suppress(OSError):
                while not stop.wait(0.1):
                    connection.sendall(b"1\r\nx\r\n")

        thread = threading.Thread(target=drip)
        thread.start()
        outcome = parsed(rest(connection))
        stop.set()
        thread.join()
    refused(hurried, outcome, 408, None)


@pytest.mark.parametrize("part", ["nothing", "line", "headers"])
def test_a_head_that_does_not_end_is_given_up(hurried, part):
    stop = threading.Event()
    with hurried.connect() as connection:

        def drip():
            with suppress(OSError):
                if part != "nothing":
                    connection.sendall(b"POST " if part == "line" else hurried.head(9)[:-2])
                while not stop.wait(0.1):
                    if part != "nothing":
                        connection.sendall(b"x" if part == "line" else b"x: y\r\n")

        thread = threading.Thread(target=drip)
        thread.start()
        outcome = parsed(rest(connection))
        stop.set()
        thread.join()
    refused(hurried, outcome, None, 400)


def test_an_idle_connection_is_ended(world, monkeypatch):
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 5)
    with world.connect() as connection:
        connection.sendall(world.head(len(HEAD)) + HEAD)
        assert parsed(rest(connection))[0] == 200
    world.heard.clear()


def test_a_body_that_never_comes_is_given_up(hurried):
    refused(hurried, hurried.send(hurried.head(100)), 408, None)


def test_who_never_ends_the_handshake_is_given_up(place, monkeypatch):
    monkeypatch.setattr(bounds, "HANDSHAKE_SECONDS", 1)
    with listening(place.agreement, "host", holder(place, "host"), lambda s, c: c) as there:
        for said in (b"", b"\x16\x03\x01"):
            with socket.create_connection(("127.0.0.1", there.port), SECONDS) as connection:
                connection.sendall(said)
                assert rest(connection) == b""


def test_who_does_not_read_answers_is_given_up(place, monkeypatch):
    monkeypatch.setattr(bounds, "BODY_SECONDS", 3)
    monkeypatch.setattr(bounds, "SHUTDOWN_SECONDS", 1)
    answer = b'{"kind":"x"' + b" " * 64_000_000 + b"}"
    with listening(place.agreement, "host", holder(place, "host"), lambda s, c: answer) as there:
        world = World(place, there, [])
        with world.connect() as connection:
            connection.sendall(world.head(len(HEAD)) + HEAD)
            for _ in range(SECONDS * 10):
                if there.heard.events and not there.listener.server_state.connections:
                    break
                threading.Event().wait(0.1)
            assert "read too slowly" in str(there.heard.events)
            assert not there.listener.server_state.connections


def test_malformed_json_is_answered_like_in_one_process(world):
    for body in (
        b'{"kind":"hitoku/head-request/1",' + PLANTED,
        b'{"kind":"hitoku/head-request/1","kind":"hitoku/run-request/1"}',
        b'{"kind":"hitoku/head-request/1","size":NaN}',
        b'{"kind":"hitoku/head-request/1","x":"\xff"}',
        b'{"kind":"hitoku/head-request/1","x":' + b"[" * 90_000,
        b'{"kind":"hitoku/head-request/1","x":' + b'{"x":' * 15_000,
        b'{"kind":"hitoku/head-request/1","x":' + b"[" * 70 + b"]" * 70 + b"}",
        b'{"kind":"hitoku/head-request/1","x":"' + PLANTED * 6_000 + b'"}',
    ):
        outcome = world.post(body)
        refused(world, outcome, 200)
        assert outcome[1] == b'{"kind":"hitoku/failed/1","code":"PEER"}'


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b"null", b"\0" * 50_000, b'{"x":1,"kind":"hitoku/run-request/1"}']
)
def test_what_does_not_begin_like_a_message_is_not_parsed(world, body):
    outcome = world.post(body)
    refused(world, outcome, 400)
    assert b'"PEER"' in outcome[1]


def test_only_json_without_encoding_is_taken(world):
    for kind in (None, "text/plain", "application/json; charset=utf-7", "multipart/form-data; boundary=x"):
        refused(world, world.post(HEAD, content_type=kind), 415)
    for encoding in ("gzip", "identity", "br"):
        refused(world, world.post(HEAD, content_encoding=encoding), 415)


def test_headers_that_readers_could_differ_about_are_refused(world):
    refused(world, world.send(world.head(len(HEAD), transfer_encoding="chunked") + b"0\r\n\r\n"), 400)
    double = world.head(len(HEAD)).replace(b"\r\n\r\n", b"\r\ncontent-type: text/plain\r\n\r\n")
    refused(world, world.send(double + HEAD), 400)
    for length in ("-1", "+5", "5, 6", "0x5", "5" * 20):
        refused(world, world.send(world.head(length) + HEAD), 400, None)
    refused(world, world.send(world.head(len(HEAD), x="y" * 50_000) + HEAD), 400, None)
    refused(world, world.send(b"\0\xff\r\n\r\n"), 400, None)
    refused(world, world.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400, 404, None)


def test_only_two_paths_are_there(world):
    room = world.there.room
    for path in (
        "/", "/health", "/version", "/rooms", "/rooms/", f"/rooms/{room}", f"/rooms/{room}/",
        f"/rooms/{room}/messages/",
        f"//rooms/{room}/messages", f"/rooms/../rooms/{room}/messages", f"/rooms/{room}/./messages",
        f"/rooms/{room}/%6dessages", f"/rooms/{room}%2fmessages", f"/rooms/{room.upper()}/messages",
        f"/rooms/{room}/messages?x=1", f"/rooms/{room}/messages%00", f"/rooms/{'0' * 8}-{room[9:]}/messages",
        "/rooms/../../etc/passwd", f"https://a/rooms/{room}/messages", f"/rooms/{room}/messages;x", "*",
    ):  # fmt: skip
        refused(world, world.post(HEAD, path=path), 404, 400)
    for method in ("GET", "PUT", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post"):
        refused(world, world.post(HEAD, method=method), 405, 400)
    status, _ = world.post(b"", method="POST", path=f"/rooms/{room}/version")
    assert status == 405


def test_websockets_and_other_upgrades_are_not_spoken(world):
    refused(world, world.post(HEAD, method="GET", connection="upgrade", upgrade="websocket"), 405)


def test_requests_in_a_row_are_all_answered(world):
    one = world.head(len(HEAD)) + HEAD
    with world.connect() as connection:
        connection.sendall(one * 5 + world.head(len(HEAD), connection="close") + HEAD)
        content = rest(connection)
    assert content.count(b'{"kind":"echo","sender":"airport"}') == 6
    world.heard.clear()


def test_fifty_connections_at_once_are_answered(world):
    gate = threading.Barrier(50, timeout=SECONDS)

    def one(_):
        with world.connect() as connection:
            gate.wait()
            connection.sendall(world.head(len(HEAD), connection="close") + HEAD)
            return parsed(rest(connection))

    with ThreadPoolExecutor(50) as threads:
        found = list(threads.map(one, range(50)))
    assert found == [(200, b'{"kind":"echo","sender":"airport"}')] * 50
    world.heard.clear()


def test_a_member_has_a_bounded_number_of_connections_and_others_still_come_in(world, place, monkeypatch):
    monkeypatch.setattr(bounds, "CONNECTIONS_A_MEMBER", 5)
    monkeypatch.setattr(bounds, "HEAD_SECONDS", SECONDS)
    held = [world.connect() for _ in range(5)]
    for connection in held:  # each is counted when it has been answered
        connection.sendall(world.head(len(HEAD)) + HEAD)
        assert connection.recv(9) == b"HTTP/1.1 "
    assert world.post(HEAD)[0] is None
    registry = holder(place, "registry")
    world.context, mine = (
        tls.client_context(registry.certificate, registry.key_file, place.agreement.member("host").key),
        world.context,
    )
    assert world.post(HEAD)[0] == 200
    world.context = mine
    for connection in held:
        connection.close()
    for _ in range(SECONDS * 10):
        if not world.there.listener.server_state.connections:
            break
        threading.Event().wait(0.1)
    world.heard.clear()


def test_a_member_cannot_take_all_places(place, monkeypatch):
    monkeypatch.setattr(bounds, "PLACES_A_MEMBER", 8)
    go_on = threading.Event()

    def handler(sender, message):
        if sender == "airport":
            go_on.wait(SECONDS)
        return {"kind": "echo", "sender": sender}

    with listening(place.agreement, "host", holder(place, "host"), carrying("host", handler)) as there:
        world = World(place, there, [])
        with ThreadPoolExecutor(20) as threads:
            waiting = [threads.submit(world.post, HEAD) for _ in range(20)]
            while sum(f.done() for f in waiting) < 12:
                threading.Event().wait(0.05)
            go_on.set()
            found = sorted(f.result()[0] or 0 for f in waiting)
        assert found == [200] * 8 + [503] * 12


def test_slow_runs_do_not_keep_other_messages_out(place):
    """Runs wait here for what they ask of others; those must be answered meanwhile: no circle of waiting."""
    go_on = threading.Event()

    def handler(sender, message):
        if message["kind"] != "hitoku/head-request/1":
            go_on.wait(SECONDS)
        return {"kind": "echo", "sender": sender}

    with listening(place.agreement, "host", holder(place, "host"), carrying("host", handler)) as there:
        world = World(place, there, [])
        with ThreadPoolExecutor(40) as threads:
            slow = [
                threads.submit(world.post, b'{"kind":"hitoku/%s/1"}' % kind)
                for kind in (b"run-request", b"consent-request", b"cancel")
                for _ in range(10)
            ]
            while sum(e.get("route") == "messages" for e in there.heard.events) == 0:
                assert world.post(HEAD)[0] == 200
            assert not any(f.done() for f in slow)
            go_on.set()
            assert [f.result()[0] for f in slow] == [200] * 30


def test_plain_http_and_strangers_hear_nothing(world, tmp_path, place):
    with socket.create_connection(("127.0.0.1", world.there.port), SECONDS) as connection:
        connection.sendall(world.head(len(HEAD)) + HEAD)
        assert b"HTTP" not in rest(connection)
    stranger = party(tmp_path, "stranger")
    context = tls.client_context(stranger.certificate, stranger.key_file, place.agreement.member("host").key)
    # A certificate that a member signed for a key that is not its own.
    like = holder(place, "airport")
    lent = stranger.shows(forged(like.certificate.read_bytes(), stranger.key, like.key))
    vouched = tls.client_context(lent.certificate, lent.key_file, place.agreement.member("host").key)
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    for way in (context, vouched, bare):
        with connect(world.there, way) as connection:
            with suppress(OSError):
                connection.sendall(world.head(len(HEAD)) + HEAD)
            assert rest(connection) == b""
    assert world.heard == []


def test_a_member_of_one_room_cannot_tell_which_others_are_served(world):
    nowhere = world.there.path.replace(world.there.room[:8], "f" * 8)
    assert world.post(HEAD, path=nowhere) == world.post(HEAD, path="/nothing")


def test_only_a_host_may_send_large_messages_and_only_to_who_receives(place):
    from hitoku.transport.https.app import Served

    for me, sender, large in (
        ("airport", "host", True),
        ("registry", "host", True),
        ("airport", "registry", False),
        ("host", "airport", False),
        ("host", "host", False),
    ):
        served = Served(place.agreement, me, lambda s, c: c)
        assert served.most(sender) == (bounds.MOST_BY_HOST if large else bounds.MOST_BY_MEMBER)
        served.lanes.close()
    assert bounds.MOST_BY_MEMBER >= limits.MAX_CONTROL_SQL_BYTES
    assert bounds.MOST_BY_HOST == limits.MAX_MESSAGE_BYTES


def test_an_answer_of_a_host_larger_than_other_messages_arrives(place):
    """A Deliver of some MB is taken whole from the host, and cut from anybody else."""
    sizes = []

    def handler(sender, message):
        sizes.append(len(message["x"]))
        return {"kind": "echo", "sender": sender}

    body = messages.encode({"kind": "hitoku/deliver/1", "x": "y" * 5_000_000})
    with listening(
        place.agreement, "airport", holder(place, "airport"), carrying("airport", handler)
    ) as there:
        for me, status in (("host", 200), ("registry", 413)):
            world = World(place, there, [])
            who = holder(place, me)
            world.context = tls.client_context(
                who.certificate, who.key_file, place.agreement.member("airport").key
            )
            assert world.post(body)[0] in {status, None if status == 413 else status}
    assert sizes == [5_000_000]
