# SPDX-License-Identifier: Apache-2.0
"""The demo's server, a process of its own: one bundle, public keys, ciphertexts; one client on loopback.

Frames: a kind of one byte, a length of eight bytes (little-endian), the bytes. ``K`` keys, ``R`` a request;
answers: ``A`` eight bytes for the seconds it took, then the content. There is no authentication here, and one
connection only: between companies a node serves models (`hitoku model serve`), over HTTPS, by a signed room.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hitoku.errors import PeerError

__all__ = ["Asked", "serving"]

_HEAD: Final = struct.Struct("<cQ")
_SECONDS: Final = struct.Struct("<d")
_MOST: Final = 4 << 30
_PATIENCE: Final = 120.0


class Asked:
    """The client's end: a server process that was started for it.

    Attributes:
        pid: the server's process.
        up: bytes that went to it.
        down: bytes that came back.
    """

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection, self.pid = connection, pid
        self.up = self.down = 0

    def keys(self, keys: bytes) -> None:
        """Give it the evaluation keys, once."""
        self._call(b"K", keys)

    def score(self, request: bytes) -> tuple[bytes, float]:
        """The encrypted scores of a request, and the seconds that the server took for them."""
        return self._call(b"R", request)

    def _call(self, kind: bytes, content: bytes) -> tuple[bytes, float]:
        try:
            _send(self._connection, kind, content)
            told, reply = _receive(self._connection)
        except OSError:
            told, reply = b"", b""
        if told != b"A":
            raise PeerError("the demo's server process ended; its words are above")
        self.up += len(content)
        self.down += len(reply) - _SECONDS.size
        (seconds,) = _SECONDS.unpack_from(reply)
        return reply[_SECONDS.size :], seconds


@contextmanager
def serving(folder: Path) -> Iterator[Asked]:
    """A server process for the bundle in a folder, until the block ends.

    Raises:
        PeerError: it does not start.
    """
    command = [sys.executable, "-m", "hitoku.demo.predict.server", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            told = b"" if process.stdout is None else process.stdout.readline()
            if not told.strip().isdigit():
                raise PeerError("the demo's server process does not start; its words are above")
            with socket.create_connection(("127.0.0.1", int(told)), timeout=_PATIENCE) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                yield Asked(connection, process.pid)
        finally:
            process.kill()


def _send(connection: socket.socket, kind: bytes, *parts: bytes) -> None:
    connection.sendall(_HEAD.pack(kind, sum(map(len, parts))))
    for part in parts:
        connection.sendall(part)


def _receive(connection: socket.socket) -> tuple[bytes, bytes]:
    """One frame; an empty kind where the other side has gone."""
    head = _exactly(connection, _HEAD.size)
    if not head:
        return b"", b""
    kind, length = _HEAD.unpack(head)
    if length > _MOST:
        return b"", b""
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    content = bytearray(length)
    view, at = memoryview(content), 0
    while at < length:
        count = connection.recv_into(view[at:])
        if not count:
            return b""
        at += count
    view.release()
    return bytes(content)


def main(folder: Path) -> None:
    """Serve one client, then end."""
    from hitoku.inference import Server

    server = Server(folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        listener.settimeout(_PATIENCE)
        connection, _ = listener.accept()
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        admitted = None
        while True:
            kind, content = _receive(connection)
            if kind not in (b"K", b"R"):
                return
            began = time.perf_counter()
            answer = b""
            if kind == b"K" or admitted is None:
                admitted = server.admit(content)
            else:
                answer = server.run(content, admitted)
            _send(connection, b"A", _SECONDS.pack(time.perf_counter() - began), answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
