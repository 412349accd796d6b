# SPDX-License-Identifier: Apache-2.0
"""Workers on another side of a hypervisor: the host connects to an enclave or guest that waits for a run.

A Nitro enclave or a confidential virtual machine has no network; its one way out is a vsock to its host. What
is in it was measured by the platform when it started (``packaging/enclave``), so nothing is launched here: an
operator's service starts one, it serves one run and ends, and the service starts the next.

Not run on hardware.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Final

from hitoku.errors import InputError

__all__ = ["Guest", "connect_guest"]

_SECONDS: Final = 60.0
_PAUSE: Final = 0.2


class Guest:
    """A worker in a guest.

    Args:
        connection: to it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._ended = False

    @property
    def connection(self) -> socket.socket:
        """The host's end of its channel."""
        return self._connection

    def end(self) -> None:
        """Close the channel, at which the guest ends. From any thread, more than once."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def connect_guest(place: str, seconds: float = _SECONDS) -> Guest:
    """Connect to a guest, which may still be starting.

    Args:
        place: ``CID:PORT``.
        seconds: how long to try.

    Raises:
        InputError: the place is none, or nothing waits there.
    """
    number, colon, port = place.partition(":")
    if not (colon and number.isascii() and number.isdigit() and port.isascii() and port.isdigit()):
        raise InputError("where a guest waits is CID:PORT, two numbers")
    until = time.monotonic() + seconds
    while True:
        connection = _socket()
        try:
            connection.settimeout(max(_PAUSE, until - time.monotonic()))
            connection.connect((int(number), int(port)))
        except (OSError, OverflowError) as error:
            connection.close()
            if isinstance(error, OverflowError) or time.monotonic() >= until:
                raise InputError(
                    f"no enclave waits at vsock {place}: start one (packaging/enclave)"
                ) from None
            time.sleep(_PAUSE)
            continue
        connection.settimeout(None)
        return Guest(connection)


def _socket() -> socket.socket:
    family = getattr(socket, "AF_VSOCK", None)
    if family is None:
        raise InputError("this system has no vsock")
    return socket.socket(family, socket.SOCK_STREAM)
