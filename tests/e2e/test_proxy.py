# SPDX-License-Identifier: Apache-2.0
"""The bad network that other tests use does what it says."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from tests.e2e.proxy import Proxy

SECONDS = 60
CONTENT = random.Random(1).randbytes(3_000_000)


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that says what it hears, until that ends."""
    bound = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while piece := connection.recv(65_536):
                connection.sendall(piece)

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=[bound.accept()[0]], daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield bound.getsockname()
    bound.shutdown(socket.SHUT_RDWR)
    bound.close()


def said(port: int, content: bytes) -> bytes:
    """What comes back, up to where the connection ends or breaks."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:

        def send() -> None:
            with suppress(OSError):
                connection.sendall(content)
                connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        with suppress(ConnectionError):
            while piece := connection.recv(65_536):
                found += piece
        thread.join(SECONDS)
    return found


def test_all_is_carried_both_ways(echo):
    with Proxy(echo) as proxy:
        assert said(proxy.port, CONTENT) == CONTENT
        assert proxy.carried == (len(CONTENT), len(CONTENT))


def test_a_narrow_and_long_way_takes_its_time(echo):
    with Proxy(echo, delay_ms=50, mbit=40) as proxy:
        began = time.monotonic()
        assert said(proxy.port, CONTENT) == CONTENT
        # 0.6 s for 24 Mbit, twice the delay to connect, and twice to come back; more if the machine is busy.
        assert time.monotonic() - began > 0.79


@pytest.mark.parametrize("words", [{"drop_bytes": 1_000_000}, {"drop_seconds": 0.05, "mbit": 40}])
def test_connections_break_and_what_came_is_right(echo, words):
    with Proxy(echo, **words) as proxy:
        found = said(proxy.port, CONTENT)
        assert proxy.drops == 1
        assert len(found) < len(CONTENT)
        assert CONTENT.startswith(found)
        assert proxy.connections == 1


def test_as_a_process_it_ends_with_its_input(echo):
    host, port = echo
    words = [sys.executable, "-m", "tests.e2e.proxy", "--to", f"{host}:{port}", "--delay-ms", "1"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert said(int(process.stdout.readline()), CONTENT) == CONTENT
        process.stdin.close()
        assert process.wait(SECONDS) == 0
