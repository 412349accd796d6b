# SPDX-License-Identifier: Apache-2.0
"""One party of OpenMined's PSI: rank 0 is the client, who learns. Needs `openmined-psi`; see pair.py."""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from pathlib import Path

from private_set_intersection.python import (  # type: ignore[import-not-found]
    DataStructure,
    Request,
    Response,
    ServerSetup,
    client,
    server,
)

ONE_IN = 1e-9


def send(link: socket.socket, message: bytes) -> int:
    """One message with its length in front; how many bytes that is."""
    head = struct.pack("<Q", len(message))
    link.sendall(head)
    link.sendall(message)
    return len(head) + len(message)


def receive(link: socket.socket) -> bytes:
    """One message."""
    (size,) = struct.unpack("<Q", exactly(link, 8))
    return exactly(link, size)


def exactly(link: socket.socket, size: int) -> bytes:
    """So many bytes, and none of the next message."""
    message = bytearray()
    while len(message) < size:
        part = link.recv(min(size - len(message), 1 << 20))
        if not part:
            raise ConnectionError("the other party ended")
        message += part
    return bytes(message)


def connect(port: int) -> socket.socket:
    """A connection to the server, as soon as it listens."""
    for _ in range(1_000):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise ConnectionError("the server did not come up")


def ask(link: socket.socket, items: list[str]) -> tuple[int, int]:
    """The client's side: bytes sent, size of the intersection."""
    me = client.CreateWithNewKey(True)
    sent = send(link, me.CreateRequest(items).SerializeToString())
    setup, response = ServerSetup(), Response()
    setup.ParseFromString(receive(link))
    response.ParseFromString(receive(link))
    return sent, len(me.GetIntersection(setup, response))


def serve(link: socket.socket, items: list[str]) -> tuple[int, None]:
    """The server's side: bytes sent."""
    me = server.CreateWithNewKey(True)
    setup = me.CreateSetupMessage(ONE_IN, len(items), items, DataStructure.GCS)
    request = Request()
    request.ParseFromString(receive(link))
    sent = send(link, setup.SerializeToString())
    return sent + send(link, me.ProcessRequest(request).SerializeToString()), None


def main() -> None:
    """Intersect."""
    rank, port = int(sys.argv[1]), int(sys.argv[2])
    items = Path(sys.argv[4]).read_text(encoding="ascii").split()[1:]
    if rank == 0:
        link = connect(port)
    else:
        with socket.create_server(("127.0.0.1", port)) as listening:
            link, _ = listening.accept()
    wall, cpu = time.perf_counter(), time.process_time()
    sent, found = ask(link, items) if rank == 0 else serve(link, items)
    told = {
        "protocol_wall": time.perf_counter() - wall,
        "protocol_cpu": time.process_time() - cpu,
        "sent": sent,
        "found": found,
    }
    link.close()
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
