# SPDX-License-Identifier: Apache-2.0
"""Servers that join a run over loopback: real sockets, real certificates, threads and processes."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.shares.wire import Server

from hitoku._core import SharesError, SharesListener

RUN = bytes(range(16))
PROGRAM = bytes(range(32))
SECONDS = 120.0


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("servers")
    return [Server(folder, str(index)) for index in range(4)]


@pytest.fixture
def trio(servers):
    made = Trio(servers[:3])
    yield made
    made.close()


class Trio:
    """Three nodes of this process."""

    def __init__(self, servers):
        self.servers = servers
        self.listeners = [SharesListener("127.0.0.1", 0, s.certificate, s.key_pem) for s in servers]

    def peers(self):
        return [
            ("127.0.0.1", listener.port, server.public)
            for listener, server in zip(self.listeners, self.servers, strict=True)
        ]

    def connect(self, index, run=RUN, program=PROGRAM, peers=None, timeout=SECONDS):
        return self.listeners[index].connect(index, run, program, peers or self.peers(), timeout)

    def all(self, run=RUN, timeout=SECONDS):
        return in_three(lambda index: self.connect(index, run, timeout=timeout))

    def close(self):
        for listener in self.listeners:
            listener.close()


def in_three(function):
    """Results of one function for three indices, each in a thread; errors are results too."""

    def caught(index):
        try:
            return function(index)
        except SharesError as error:
            return error

    with ThreadPoolExecutor(3) as threads:
        return list(threads.map(caught, range(3)))


def product(party, seed=1):
    """A product of shared numbers, opened: every operation needs the keys of both pairs to fit."""
    rng = np.random.default_rng(seed)
    shares = rng.integers(0, 2**64, (2, 3, 1000), dtype=np.uint64)
    at = party.index
    a, b = (party.load("r64", share[at].tobytes(), share[(at + 1) % 3].tobytes()) for share in shares)
    found = np.asarray(party.open(party.mul(a, b)))
    party.check()
    expected = shares[0].sum(axis=0, dtype=np.uint64) * shares[1].sum(axis=0, dtype=np.uint64)
    return bool((found == expected).all())


def codes(results):
    return [result.code if isinstance(result, SharesError) else "joined" for result in results]


def test_three_servers_join_and_compute(trio):
    parties = trio.all()
    assert [party.index for party in parties] == [0, 1, 2]
    assert in_three(lambda index: product(parties[index])) == [True] * 3
    data = os.urandom(5_000_001)
    relayed = in_three(lambda i: parties[i].relay(data if i == 1 else None, len(data)))
    assert relayed[2] == data
    counted = [party.counters() for party in parties]
    assert sum(c["bytes_sent"] for c in counted) == sum(c["bytes_received"] for c in counted)


def test_a_run_can_be_joined_again_and_has_other_keys(trio):
    views = []
    for _ in range(2):
        parties = trio.all()

        def shares(index, parties=parties):
            party = parties[index]
            zero = party.load("r64", bytes(800), bytes(800))
            return party.dump(party.mul(zero, zero))

        views.append(in_three(shares))
        del parties
    assert views[0] != views[1]


def test_two_jobs_at_once_do_not_mix(trio):
    other = bytes(16)
    with ThreadPoolExecutor(2) as threads:
        one, two = threads.map(trio.all, [RUN, other])
        assert codes(one) == codes(two) == ["joined"] * 3

        def work(parties):
            return in_three(lambda i: all(product(parties[i], seed) for seed in range(5)))

        assert list(threads.map(work, [one, two])) == [[True] * 3] * 2


def test_another_program_is_refused_by_both_and_the_third_does_not_wait(trio):
    results = in_three(lambda i: trio.connect(i, program=bytes(32) if i == 0 else PROGRAM))
    assert codes(results)[:2] == ["hello", "hello"]
    assert codes(results)[2] in ("closed", "aborted", "hello")  # else "timeout"
    assert results[1].peer == 0


def test_another_run_is_never_answered(trio):
    results = in_three(lambda i: trio.connect(i, run=bytes(16) if i == 0 else RUN, timeout=1.0))
    assert set(codes(results)) <= {"timeout", "closed", "aborted"}
    assert codes(results)[0] == "timeout"


def test_a_key_that_the_room_does_not_name_ends_it_at_the_dialler(trio, servers):
    peers = trio.peers()
    peers[1] = (*peers[1][:2], servers[3].public)
    with pytest.raises(SharesError) as caught:
        trio.connect(0, peers=peers)
    assert (caught.value.code, caught.value.peer) == ("certificate", 1)


def test_a_key_that_the_room_does_not_name_is_sent_away_by_the_listener(trio, servers):
    peers = trio.peers()
    peers[0] = (*peers[0][:2], servers[3].public)
    results = in_three(
        lambda i: trio.connect(i, peers=peers if i == 1 else None, timeout=5.0 if i == 1 else SECONDS)
    )
    assert codes(results)[:2] == ["certificate", "certificate"]


def test_nobody_there_is_a_timeout(trio):
    for index in range(3):
        with pytest.raises(SharesError) as caught:
            trio.connect(index, timeout=0.3)
        assert caught.value.code == "timeout"
        assert caught.value.peer != index


def test_a_peer_that_says_nothing_is_a_timeout(trio):
    parties = trio.all(timeout=5.0)
    with pytest.raises(SharesError) as caught:
        parties[2].relay(None, 10)
    assert (caught.value.code, caught.value.peer) == ("timeout", 1)
    with pytest.raises(SharesError) as caught:
        parties[2].relay(None, 10)
    assert caught.value.code == "aborted"


def test_an_abort_ends_it_for_all(trio):
    parties = trio.all()

    def work(index):
        if index == 0:
            time.sleep(0.2)
            parties[0].abort()
            return "aborted"
        return product(parties[index])

    results = in_three(work)
    assert set(codes(results[1:])) <= {"aborted", "closed"}
    with pytest.raises(SharesError) as caught:
        product(parties[0])
    assert caught.value.code == "aborted"


def test_parties_that_are_joined_outlive_their_listeners(trio):
    parties = trio.all()
    trio.close()
    assert in_three(lambda index: product(parties[index])) == [True] * 3
    with pytest.raises(SharesError) as caught:
        trio.connect(2)
    assert caught.value.code == "aborted"


CHILD = """
import sys, time
from hitoku._core import SharesListener
from pathlib import Path
pem = Path(sys.argv[1]).read_bytes()
at = pem.index(b"-----BEGIN PRIVATE KEY")
listener = SharesListener("127.0.0.1", 0, pem[:at], pem[at:])
peers = [("127.0.0.1", int(port), key) for port, key in (text.split("/", 1) for text in sys.argv[2:])]
print("ready", flush=True)
party = listener.connect(0, bytes(range(16)), bytes(range(32)), peers, 120.0)
print("joined", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["killed", pytest.param("stopped", marks=pytest.mark.slow)])
def test_a_server_that_dies_or_hangs_ends_the_job(trio, how):
    peers = [f"{port}/{key}" for _, port, key in trio.peers()]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(trio.servers[0].file), *peers], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"ready\n"
        with ThreadPoolExecutor(2) as threads:
            wait = SECONDS if how == "killed" else 10.0
            joined = list(threads.map(lambda index: trio.connect(index, timeout=wait), [1, 2]))
            assert child.stdout.readline() == b"joined\n"
            os.kill(child.pid, signal.SIGKILL if how == "killed" else signal.SIGSTOP)

            def work(party):
                with pytest.raises(SharesError) as caught:
                    product(party)
                return caught.value.code

            codes = set(threads.map(work, joined))
            assert codes <= {"closed", "aborted"} | ({"timeout"} if how == "stopped" else set())
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_what_cannot_be_right_is_refused_before_anything_is_sent(trio, servers):
    one, other = servers[0], servers[1]
    with pytest.raises(ValueError, match="certificate"):
        SharesListener("127.0.0.1", 0, one.certificate, other.key_pem)
    with pytest.raises(ValueError, match="certificate"):
        SharesListener("127.0.0.1", 0, b"nonsense", one.key_pem)
    with pytest.raises(OSError, match="listen"):
        SharesListener("127.0.0.1", trio.listeners[0].port, one.certificate, one.key_pem)
    peers = trio.peers()
    for arguments in [
        (3, RUN, PROGRAM, peers, 1.0),
        (0, RUN[:15], PROGRAM, peers, 1.0),
        (0, RUN, PROGRAM[:31], peers, 1.0),
        (0, RUN, PROGRAM, peers[:2], 1.0),
        (0, RUN, PROGRAM, [*peers[:2], ("127.0.0.1", 1, "ed25519:" + base64.b64encode(b"x").decode())], 1.0),
        (0, RUN, PROGRAM, peers, -1.0),
        (0, RUN, PROGRAM, peers, float("nan")),
    ]:
        with pytest.raises((ValueError, TypeError)):
            trio.listeners[0].connect(*arguments)
