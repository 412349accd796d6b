# SPDX-License-Identifier: Apache-2.0
"""Workers in guests: the host's way to one, and how a guest takes its one connection."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import pytest

from hitoku.errors import InputError
from hitoku.protections.enclave import guests
from hitoku.protections.enclave.guests import connect_guest
from hitoku.protections.enclave.starting import start_worker
from hitoku.protections.enclave.worker import guest

ECHO = """
import os, socket, sys
from hitoku.protections.enclave.worker.guest import serve_one
listening = socket.socket(fileno=int(sys.argv[1]))
def work():
    channel = socket.socket(fileno=3)
    channel.sendall(channel.recv(4)[::-1])
serve_one(listening, work)
"""


def test_a_guest_takes_one_connection_as_its_channel() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        os.set_inheritable(listening.fileno(), True)
        words = [sys.executable, "-c", ECHO, str(listening.fileno())]
        process = subprocess.Popen(words, pass_fds=[listening.fileno()])
        place = listening.getsockname()
    with socket.create_connection(place) as host:
        host.sendall(b"abcd")
        assert host.recv(4) == b"dcba"
    assert process.wait(300) == 0
    with pytest.raises(OSError), socket.create_connection(place, 1):
        pass


def test_the_host_waits_for_a_guest_that_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    class Late(socket.socket):
        def connect(self, address: object) -> None:
            tries.append(address)
            if len(tries) < 3:
                raise ConnectionResetError
            assert address == (16, 5005)

    monkeypatch.setattr(guests, "_socket", lambda: Late(socket.AF_UNIX, socket.SOCK_STREAM))
    monkeypatch.setattr(guests, "_PAUSE", 0.001)
    found = start_worker("vsock", device="16:5005")
    assert len(tries) == 3
    assert found.connection.gettimeout() is None
    threads = [threading.Thread(target=found.end) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.connection.fileno() == -1


@pytest.mark.parametrize("place", ["", "16", "16:", ":5005", "a:b", "16:5005:1", "-1:5", "16:５"])
def test_a_place_is_two_numbers(place: str) -> None:
    with pytest.raises(InputError, match="CID:PORT"):
        connect_guest(place)


def test_nobody_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nobody(socket.socket):
        def connect(self, address: object) -> None:
            raise ConnectionRefusedError

    monkeypatch.setattr(guests, "_socket", lambda: Nobody(socket.AF_UNIX, socket.SOCK_STREAM))
    with pytest.raises(InputError, match="no enclave waits at vsock 16:5005"):
        connect_guest("16:5005", 0.01)


def test_only_a_first_process_switches_off() -> None:
    with pytest.raises(SystemExit, match="first process"):
        guest.machine()


@pytest.mark.parametrize(("path", "allowed"), [
    ("/dev/nsm", True),
    ("/sys/kernel/config/tsm/report/hitoku-1/inblob", True),
    ("/sys/kernel/config/other", False),
    ("/tmp/x", False),
])  # fmt: skip
def test_a_worker_writes_where_evidence_is_made_and_nowhere_else(path: str, allowed: bool) -> None:
    from hitoku.protections.enclave.worker.main import _hook

    if allowed:
        _hook("open", (path, None, os.O_RDWR))
        return
    with pytest.raises(PermissionError):
        _hook("open", (path, None, os.O_RDWR))
