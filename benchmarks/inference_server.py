# SPDX-License-Identifier: Apache-2.0
"""The server of `inference.py`, a process of its own: a bundle, keys and requests over a socket, and figures.

Frames: a kind of one byte, a length of eight bytes (little-endian), the bytes. Kinds: ``K`` keys, ``R`` a
request, ``F`` figures wanted; answers: ``A`` an answer, ``J`` figures as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from pathlib import Path

_HEAD = struct.Struct("<cQ")


def receive(connection: socket.socket) -> tuple[bytes, bytes]:
    """One frame: its kind and content; an empty kind at the end."""
    head = _exactly(connection, _HEAD.size)
    if not head:
        return b"", b""
    kind, length = _HEAD.unpack(head)
    return kind, _exactly(connection, length)


def send(connection: socket.socket, kind: bytes, content: bytes) -> None:
    """Send one frame."""
    connection.sendall(_HEAD.pack(kind, len(content)))
    connection.sendall(content)


def _exactly(connection: socket.socket, length: int) -> bytes:
    content = bytearray(length)
    view, at = memoryview(content), 0
    while at < length:
        count = connection.recv_into(view[at:])
        if not count:
            return b""
        at += count
    return bytes(content)


def main(folder: str) -> None:
    """Serve one client."""
    from hitoku.inference.server import Server

    start = time.perf_counter()
    server = Server(Path(folder))
    loaded = time.perf_counter() - start
    admitted, runs, admitting = None, [], 0.0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                kind, content = receive(connection)
                if kind == b"K":
                    start = time.perf_counter()
                    admitted = server.admit(content)
                    admitting = time.perf_counter() - start
                    send(connection, b"A", b"")
                elif kind == b"R":
                    assert admitted is not None
                    wall, cpu = time.perf_counter(), time.process_time()
                    answer = server.run(content, admitted)
                    runs.append((time.perf_counter() - wall, time.process_time() - cpu))
                    send(connection, b"A", answer)
                elif kind == b"F":
                    status = Path("/proc/self/status").read_text("ascii")
                    peak = next(
                        int(r.split()[1]) * 1024 for r in status.splitlines() if r.startswith("VmHWM")
                    )
                    data = {
                        "runs": runs,
                        "admit": admitting,
                        "load": loaded,
                        "peak": peak,
                        "pid": os.getpid(),
                    }
                    send(connection, b"J", json.dumps(data).encode())
                else:
                    return


if __name__ == "__main__":
    main(sys.argv[1])
