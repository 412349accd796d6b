# SPDX-License-Identifier: Apache-2.0
"""What reaches a compute server's port: strangers, members of other rooms, and peers that lie at each step.

The victim is server 2: it listens to both others. The attacker speaks TLS by itself (`tests/shares/wire.py`).
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from tests.shares import wire
from tests.shares.wire import Raw, Refused, Server, Tap

from hitoku._core import SharesError, SharesListener

RUN, OTHER_RUN = bytes(range(16)), bytes(16)
PROGRAM, OTHER_PROGRAM = bytes(range(32)), bytes(32)
SECONDS = 120.0


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("servers")
    return [Server(folder, name) for name in ("zero", "one", "victim", "stranger")]


@pytest.fixture
def victim(servers):
    made = Victim(servers)
    yield made
    made.close()


class Victim:
    """Server 2, which waits for the other two."""

    def __init__(self, servers):
        self.servers = servers
        own = servers[2]
        self.listener = SharesListener("127.0.0.1", 0, own.certificate, own.key_pem)
        self.threads = ThreadPoolExecutor(4)
        self.raws = []

    def waits(self, timeout=SECONDS, work=lambda party: party.relay(None, 10), run=RUN):
        """It joins and then works, in a thread."""
        peers = [("127.0.0.1", 9, server.public) for server in self.servers[:3]]

        def job():
            return work(self.listener.connect(2, run, PROGRAM, peers, timeout))

        return self.threads.submit(job)

    def dial(self, server):
        raw = Raw.dial(self.listener.port, server)
        self.raws.append(raw)
        return raw

    def joined(self, index, run=RUN):
        """An attacker that joined rightly as server `index`, with its key."""
        raw = self.dial(self.servers[index])
        raw.join(run, PROGRAM, index, 2)
        return raw

    def works(self, job):
        """Both others join and server 1 sends what is waited for: whatever came before did no harm."""
        self.joined(0)
        one = self.joined(1)
        one.sock.sendall(wire.frames(b"0123456789"))
        assert job.result(SECONDS) == b"0123456789"

    def close(self):
        for raw in self.raws:
            raw.close()
        self.listener.close()
        self.threads.shutdown()


def refusal(job):
    with pytest.raises(SharesError) as caught:
        job.result(SECONDS)
    return caught.value.code, caught.value.peer


# --- strangers ---


def test_an_honest_run_of_this_attacker_works(victim):
    victim.works(victim.waits())


@pytest.mark.parametrize(
    "garbage",
    [b"", b"GET / HTTP/1.1\r\n\r\n", bytes(1000), b"\x16\x03\x01\xff\xff" + bytes(70_000)],
    ids=["nothing", "http", "zeros", "a large record"],
)
def test_a_stranger_without_tls_is_dropped(victim, garbage):
    job = victim.waits()
    with socket.create_connection(("127.0.0.1", victim.listener.port), timeout=SECONDS) as plain:
        with suppress(OSError):
            plain.sendall(garbage)
        if garbage:
            with suppress(OSError):
                assert len(plain.recv(4096)) < 100  # an alert at most
    victim.works(job)


def test_a_stranger_without_a_certificate_gets_nothing(victim):
    job = victim.waits()
    with suppress(OSError):
        raw = victim.dial(None)
        raw.send(wire.HELLO, wire.hello(RUN, PROGRAM, 0, 2))
        assert raw.ended() == "closed"
    victim.works(job)


def test_a_member_of_another_room_is_sent_away_and_the_job_goes_on(victim, servers):
    job = victim.waits()
    for index in (0, 1):
        raw = victim.dial(servers[3])
        raw.send(wire.HELLO, wire.hello(RUN, PROGRAM, index, 2))
        assert raw.ended() == "refused certificate"
    victim.works(job)


def test_a_server_cannot_take_the_place_of_another(victim, servers):
    job = victim.waits()
    raw = victim.dial(servers[1])
    raw.send(wire.HELLO, wire.hello(RUN, PROGRAM, 0, 2))
    assert raw.ended() == "refused certificate"
    victim.works(job)


def test_a_stranger_that_names_the_victim_itself_is_sent_away(victim, servers):
    job = victim.waits()
    raw = victim.dial(servers[3])
    raw.send(wire.HELLO, wire.hello(RUN, PROGRAM, 2, 0))
    assert raw.ended() == "refused certificate"
    victim.works(job)


def test_the_dialler_sends_nothing_to_a_certificate_that_is_not_the_peers(servers):
    """Who answers in the place of server 2 has a good certificate, of a member of another room."""
    context = wire.server_context(servers[3])
    got = []
    with socket.create_server(("127.0.0.1", 0)) as fake:

        def answer():
            near, _ = fake.accept()
            with suppress(OSError), context.wrap_socket(near, server_side=True) as tls:
                got.append(tls.recv(100))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        dialler = SharesListener("127.0.0.1", 0, servers[1].certificate, servers[1].key_pem)
        peers = [("127.0.0.1", fake.getsockname()[1], server.public) for server in servers[:3]]
        with pytest.raises(SharesError) as caught:
            dialler.connect(1, RUN, PROGRAM, peers, SECONDS)
        assert (caught.value.code, caught.value.peer) == ("certificate", 2)
        thread.join(SECONDS)
        dialler.close()
    assert got in ([], [b""])


def test_an_answer_that_is_no_tls_ends_the_dialling(servers):
    with socket.create_server(("127.0.0.1", 0)) as fake:

        def answer():
            near, _ = fake.accept()
            near.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(500))
            time.sleep(0.5)
            near.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        dialler = SharesListener("127.0.0.1", 0, servers[1].certificate, servers[1].key_pem)
        peers = [("127.0.0.1", fake.getsockname()[1], server.public) for server in servers[:3]]
        with pytest.raises(SharesError) as caught:
            dialler.connect(1, RUN, PROGRAM, peers, SECONDS)
        assert caught.value.code == "hello"
        thread.join(SECONDS)
        dialler.close()


# --- crowds and slowness ---


def test_a_crowd_of_silent_connections_keeps_nobody_out(victim):
    job = victim.waits()
    crowd = [
        socket.create_connection(("127.0.0.1", victim.listener.port), timeout=SECONDS) for _ in range(200)
    ]
    try:
        victim.works(job)
    finally:
        wire.close_all(crowd)


def test_a_crowd_that_waits_for_runs_that_never_begin_keeps_nobody_out(victim, servers):
    for _ in range(80):
        raw = victim.dial(servers[3])
        raw.send(wire.HELLO, wire.hello(os.urandom(16), PROGRAM, 0, 2))
    victim.works(victim.waits())


def test_the_oldest_of_a_crowd_is_dropped_first(victim):
    first = socket.create_connection(("127.0.0.1", victim.listener.port), timeout=SECONDS)
    crowd = [
        socket.create_connection(("127.0.0.1", victim.listener.port), timeout=SECONDS) for _ in range(70)
    ]
    try:
        assert first.recv(1) == b""
        time.sleep(1)
        crowd[-1].setblocking(False)
        with pytest.raises(BlockingIOError):  # else all of them were dropped, for they were too slow
            crowd[-1].recv(1)
    finally:
        wire.close_all([first, *crowd])


@pytest.mark.slow
def test_a_handshake_has_a_limit_however_slowly_bytes_come(victim):
    """One byte a second keeps any timeout of a single read away."""
    started, ended = time.monotonic(), False
    with socket.create_connection(("127.0.0.1", victim.listener.port), timeout=1.0) as plain:
        for byte in b"\x16\x03\x01\x02\x00" + bytes(120):
            try:
                plain.sendall(bytes([byte]))
                ended = plain.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
            if ended:
                break
    assert ended
    assert time.monotonic() - started > 8


@pytest.mark.slow
def test_a_connection_for_a_run_that_never_begins_is_closed(victim, servers):
    raw = victim.dial(servers[0])
    raw.sock.settimeout(SECONDS)
    started = time.monotonic()
    raw.send(wire.HELLO, wire.hello(OTHER_RUN, PROGRAM, 0, 2))
    assert raw.ended() == "closed"
    assert time.monotonic() - started > 15


def test_a_peer_that_comes_before_the_run_begins_waits_for_it(victim):
    early = victim.threads.submit(victim.joined, 0)
    time.sleep(0.3)
    assert not early.done()
    job = victim.waits()
    early.result(SECONDS)
    victim.joined(1).sock.sendall(wire.frames(b"0123456789"))
    assert job.result(SECONDS) == b"0123456789"


# --- hellos ---


@pytest.mark.parametrize(
    "spoil",
    [
        lambda: wire.hello(RUN, OTHER_PROGRAM, 0, 2),
        lambda: wire.hello(RUN, PROGRAM, 0, 1),
    ],
    ids=["another program", "for another server"],
)
def test_a_hello_of_the_right_member_that_does_not_fit_ends_the_job(victim, servers, spoil):
    job = victim.waits()
    raw = victim.dial(servers[0])
    raw.send(wire.HELLO, spoil())
    assert raw.ended() == "refused hello"
    assert refusal(job) == ("hello", 0)


@pytest.mark.parametrize(
    "sent",
    [
        bytes([wire.HELLO]) + b"hitoku/shares/2\0" + RUN + PROGRAM + bytes([0, 2]) + bytes(32),
        bytes([wire.HELLO]) + wire.hello(RUN, PROGRAM, 0, 0, bytes(32)),
        bytes([wire.HELLO]) + wire.hello(RUN, PROGRAM, 3, 2, bytes(32)),
        bytes([wire.KEY]) + bytes(32),
        bytes([wire.REFUSED, 0]),
        bytes(2000),
    ],
    ids=["version", "index twice", "index", "key first", "refusal first", "zeros"],
)
def test_what_is_no_hello_is_dropped_and_the_job_goes_on(victim, servers, sent):
    job = victim.waits()
    raw = victim.dial(servers[0])
    raw.sock.sendall(sent)
    assert raw.ended() == "closed"
    victim.works(job)


def test_any_hello_is_refused_or_dropped_and_the_job_goes_on(victim, servers):
    """Hellos with bytes changed, cut or too long, from a member of another room."""
    job = victim.waits()
    dice = random.Random(8)
    for _ in range(60):
        sent = bytearray(bytes([wire.HELLO]) + wire.hello(RUN, PROGRAM, dice.randrange(3), 2))
        for _ in range(dice.randrange(4)):
            sent[dice.randrange(len(sent))] = dice.randrange(256)
        sent = sent[: dice.choice([len(sent), dice.randrange(len(sent))])] + bytes(dice.choice([0, 0, 50]))
        raw = victim.dial(servers[3])
        with suppress(OSError):
            raw.sock.sendall(sent)
        raw.close()
    victim.works(job)


def test_the_same_server_twice(victim):
    job = victim.waits()
    victim.joined(0)
    with pytest.raises(Refused, match="hello"):
        victim.joined(0)
    one = victim.joined(1)
    one.sock.sendall(wire.frames(b"0123456789"))
    assert job.result(SECONDS) == b"0123456789"


def test_a_wrong_proof_of_the_key_ends_the_job(victim, servers):
    job = victim.waits()
    raw = victim.dial(servers[0])
    mine = wire.hello(RUN, PROGRAM, 0, 2)
    raw.send(wire.HELLO, mine)
    theirs = raw.receive(wire.HELLO, len(mine))
    raw.send(wire.KEY, bytes(32))
    key = wire.pair_key(bytes(32), mine, theirs)
    assert raw.receive(wire.PROOF, 32) == wire.proof(key, theirs)
    raw.send(wire.PROOF, wire.proof(key, theirs))  # its own proof sent back
    assert refusal(job) == ("hello", 0)


def test_the_victim_says_nothing_of_the_run_before_the_member_is_known(victim, servers):
    """The first byte that a stranger gets is a refusal, never a hello."""
    victim.waits()
    raw = victim.dial(servers[3])
    assert "closed" in peek(raw)
    raw = victim.dial(servers[3])
    raw.send(wire.HELLO, wire.hello(RUN, PROGRAM, 1, 2))
    assert raw.read(2) == bytes([wire.REFUSED, 1])


def peek(raw):
    raw.sock.settimeout(0.3)
    try:
        return raw.read(1).hex()
    except TimeoutError:
        return "closed: nothing came"
    except OSError:
        return "closed"


# --- replay ---


def test_recorded_bytes_of_an_earlier_session_mean_nothing(victim, servers):
    """All that server 1 sent in a good session, sent again to a new job of the same run and program."""
    tap = Tap(victim.listener.port)
    threading.Thread(target=tap.run, daemon=True).start()
    try:
        job = victim.waits()
        victim.joined(0)
        one = Raw.dial(tap.port, servers[1])
        victim.raws.append(one)
        one.join(RUN, PROGRAM, 1, 2)
        one.sock.sendall(wire.frames(b"0123456789"))
        assert job.result(SECONDS) == b"0123456789"
        recorded = bytes(tap.sent)
        assert len(recorded) > 500
    finally:
        tap.close()
    job = victim.waits()
    with socket.create_connection(("127.0.0.1", victim.listener.port), timeout=SECONDS) as plain:
        plain.sendall(recorded)
        with suppress(OSError):
            while plain.recv(4096):
                pass
    assert not job.done()
    victim.works(job)


def test_bytes_changed_on_the_way_end_the_job(victim, servers):
    tap = Tap(victim.listener.port)
    threading.Thread(target=tap.run, daemon=True).start()
    joined = threading.Event()

    def work(party):
        joined.set()
        return party.relay(None, 10)

    try:
        job = victim.waits(work=work)
        victim.joined(0)
        one = Raw.dial(tap.port, servers[1])
        victim.raws.append(one)
        one.join(RUN, PROGRAM, 1, 2)
        assert joined.wait(SECONDS)
        # A record of application data that no key made.
        tap.pairs[0][1].sendall(b"\x17\x03\x03\x00\x30" + bytes(48))
        assert refusal(job) == ("closed", 1)
    finally:
        tap.close()


# --- frames ---

TEN = struct.pack("<I", 10 | wire.LAST)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (wire.frames(b"123456789"), "size"),
        (wire.frames(b"12345678901"), "size"),
        (struct.pack("<I", 10) + b"0123456789", "size"),
        (struct.pack("<I", wire.LAST), "size"),
        (struct.pack("<I", (wire.PIECE + 1) | wire.LAST) + bytes(100), "size"),
        (struct.pack("<I", 0x3FFF_FFFF) + bytes(100), "size"),
        (struct.pack("<I", 0xFFFF_FFFF) + bytes(100), "size"),
        (wire.frames(bytes(wire.PIECE + 1)), "size"),
        (struct.pack("<I", wire.ABORT), "aborted"),
    ],
    ids=[
        "short",
        "long",
        "more to come",
        "empty",
        "larger than a piece",
        "a gigabyte",
        "all bits",
        "two pieces",
        "abort",
    ],
)
def test_a_frame_other_than_the_expected_one_ends_the_job(victim, sent, code):
    job = victim.waits()
    victim.joined(0)
    one = victim.joined(1)
    one.sock.sendall(sent)
    assert refusal(job) == (code, 1)


@pytest.mark.parametrize("part", [b"", TEN[:2], TEN, TEN + b"01234"], ids=["none", "header", "empty", "half"])
def test_a_truncated_frame_ends_the_job(victim, part):
    job = victim.waits()
    victim.joined(0)
    one = victim.joined(1)
    if part:
        one.sock.sendall(part)
    one.close()
    assert refusal(job) == ("closed", 1)


def test_a_frame_that_comes_byte_by_byte_has_a_limit(victim):
    job = victim.waits(timeout=5.0, work=lambda party: party.relay(None, 1000))
    victim.joined(0)
    one = victim.joined(1)
    sent = 0
    with suppress(OSError):
        for byte in wire.frames(bytes(1000)):  # takes three minutes
            one.sock.sendall(bytes([byte]))
            time.sleep(0.2)
            if job.done():
                break
            sent += 1
    assert refusal(job) == ("timeout", 1)
    assert sent < 1000


def test_a_crowd_of_frames_nobody_asked_for_fills_no_memory(victim):
    """The victim reads 32 MiB ahead, then the attacker has to wait."""
    release = threading.Event()

    def work(party):
        release.wait(SECONDS)
        return party.relay(None, 10)

    job = victim.waits(work=work)
    victim.joined(0)
    one = victim.joined(1)
    one.sock.settimeout(5.0)
    sent = 0
    block = wire.frames(bytes(1 << 20))
    with suppress(TimeoutError):
        while sent < 256 << 20:
            one.sock.sendall(block)
            sent += len(block)
    assert 30 << 20 <= sent <= 60 << 20
    release.set()
    assert refusal(job) == ("size", 1)


def test_an_aborting_victim_tells_both(victim):
    def work(party):
        party.abort()
        return party.relay(None, 10)

    job = victim.waits(work=work)
    zero, one = victim.joined(0), victim.joined(1)
    assert refusal(job)[0] == "aborted"
    for raw in (zero, one):
        assert raw.read(4) == struct.pack("<I", wire.ABORT)
        assert raw.ended() == "closed"


def test_a_failure_towards_one_peer_ends_it_towards_the_other(victim):
    job = victim.waits()
    zero, one = victim.joined(0), victim.joined(1)
    one.sock.sendall(struct.pack("<I", 0xFFFF_FFFF))
    assert refusal(job) == ("size", 1)
    assert zero.ended() in ("closed", "kind 0")
