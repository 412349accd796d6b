# SPDX-License-Identifier: Apache-2.0
"""The owner in a process of its own, over a connection that its caller opened and authenticated.

Frames are a kind of one byte, a length of eight bytes (little-endian) and the bytes: ``R`` sums for a
refresh, ``W`` the new weights, ``E`` a refusal in words. For two companies this travels inside an
authenticated, encrypted channel; nothing here authenticates.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from hitoku.errors import PeerError
from hitoku.inference.errors import ModelError
from hitoku.inference.training.owner import ModelOwner

__all__ = ["RemoteOwner", "serve_owner"]

_HEAD: Final = struct.Struct("<cQ")
_MOST: Final = 1 << 30
_MOST_WORDS: Final = 4096


class RemoteOwner:
    """A `Refresher` at the other end of a connection.

    Args:
        connection: to who runs `serve_owner`.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def refresh(self, message: bytes) -> bytes:
        """See `Refresher.refresh`.

        Raises:
            PeerError: the owner refuses, or the connection ends.
        """
        _send(self._connection, b"R", message)
        kind, content = _receive(self._connection)
        if kind == b"W":
            return content
        words = content[:_MOST_WORDS].decode("utf-8", "replace")
        shown = "".join(c if c.isprintable() else "\ufffd" for c in words)
        raise PeerError(
            f"the model's owner refuses: {shown}" if kind == b"E" else "the model's owner is gone"
        )


def serve_owner(owner: ModelOwner, connection: socket.socket) -> int:
    """Refresh until the trainer ends the connection. Returns how many rounds there were."""
    rounds = 0
    while True:
        kind, content = _receive(connection)
        if kind != b"R":
            return rounds
        try:
            answer = owner.refresh(content)
        except ModelError as error:
            _send(connection, b"E", str(error).encode()[:_MOST_WORDS])
            continue
        rounds += 1
        _send(connection, b"W", answer)


def _send(connection: socket.socket, kind: bytes, content: bytes) -> None:
    connection.sendall(_HEAD.pack(kind, len(content)))
    connection.sendall(content)


def _receive(connection: socket.socket) -> tuple[bytes, bytes]:
    """A frame; an empty kind at the end. Memory grows with what came, not with what was announced."""
    head = _exactly(connection, _HEAD.size)
    if len(head) < _HEAD.size:
        return b"", b""
    kind, length = _HEAD.unpack(head)
    if length > _MOST:
        return b"", b""
    content = _exactly(connection, length)
    return (kind, content) if len(content) == length else (b"", b"")


def _exactly(connection: socket.socket, length: int) -> bytes:
    found = bytearray()
    while len(found) < length:
        piece = connection.recv(min(1 << 20, length - len(found)))
        if not piece:
            break
        found += piece
    return bytes(found)
