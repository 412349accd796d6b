# SPDX-License-Identifier: Apache-2.0
"""The one way between an enclave's worker and its host: frames on a stream, each with a kind and a bound.

A frame is 8 bytes of length, one byte of kind and the content. Whoever receives says which kinds it takes and
how long each may be, and reads no byte of any other. The worker starts every exchange; the host answers::

    worker                                            host
      O  (nothing)                            ->  <-  o  the order: room, question, consents (JSON)
      C  member and a broker's message (JSON) ->  <-  c  the broker's answer (JSON)
      T  the name of a table                  ->  <-  s  a sealed chunk, again and again;  e  the end
      P  where the run stands (a code)        ->
      R  the sealed answer, piece by piece    ->
      D  what the run leaves for its certificate (JSON), the last  ->
    or
      F  it failed: a code and an owner (JSON), the last  ->
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from typing import Final

from hitoku.errors import HitokuError

__all__ = ["Broken", "Channel", "Kind"]

_HEAD: Final = struct.Struct(">Qc")


class Kind(Enum):
    """What a frame is."""

    READY = b"O"
    CALL = b"C"
    TABLE = b"T"
    PHASE = b"P"
    RESULT = b"R"
    DONE = b"D"
    FAILED = b"F"
    ORDER = b"o"
    REPLY = b"c"
    CHUNK = b"s"
    END = b"e"


class Broken(HitokuError):
    """The other side is gone, sends what it may not, or does not answer in time."""

    exit_code = 7


class Channel:
    """One side of the way. Not for two threads at once.

    Args:
        connection: a stream socket; it is this channel's from now on.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, kind: Kind, content: bytes | bytearray | memoryview = b"") -> None:
        """Send a frame.

        Raises:
            Broken: the other side is gone.
        """
        try:
            self._connection.settimeout(None)
            self._connection.sendall(_HEAD.pack(len(content), kind.value))
            if content:
                self._connection.sendall(content)
        except OSError:
            raise Broken("the other side of the channel is gone") from None

    def receive(self, wanted: Mapping[Kind, int], seconds: float | None = None) -> tuple[Kind, bytearray]:
        """The next frame.

        Args:
            wanted: how many bytes a frame of each kind may have that is taken here.
            seconds: how long to wait for all of it; for ever where None.

        Raises:
            Broken: it is another frame, too long, or does not come.
        """
        until = None if seconds is None else time.monotonic() + seconds
        length, letter = _HEAD.unpack(self._read(_HEAD.size, until))
        kind = next((k for k in wanted if k.value == letter), None)
        if kind is None:
            raise Broken("the other side of the channel sent a frame out of turn")
        if length > wanted[kind]:
            raise Broken("the other side of the channel sent a frame that is too long")
        return kind, self._read(length, until)

    def close(self) -> None:
        """End the way; what the other side waits for ends, too."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _read(self, size: int, until: float | None) -> bytearray:
        content = bytearray(size)
        place, at = memoryview(content), 0
        try:
            while at < size:
                if until is not None:
                    left = until - time.monotonic()
                    if left <= 0:
                        raise Broken("the other side of the channel did not answer in time")
                    self._connection.settimeout(left)
                else:
                    self._connection.settimeout(None)
                count = self._connection.recv_into(place[at:], min(size - at, 1 << 20))
                if not count:
                    raise Broken("the other side of the channel is gone")
                at += count
        except TimeoutError:
            raise Broken("the other side of the channel did not answer in time") from None
        except OSError:
            raise Broken("the other side of the channel is gone") from None
        return content
