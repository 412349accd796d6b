# SPDX-License-Identifier: Apache-2.0
"""A member's side of a run over Flower: a SuperNode that is the resident process itself.

A stock SuperNode starts a new process for each message (0.4 s of processor time to load Flower alone), sleeps
3 s when there is none and looks every 0.5 s whether the process has answered
(`supernode/start_client_internal.py`, the loop of `start_client_internal` and `_push_messages`); and it runs
whatever program the SuperLink sends. This one speaks the same protocol with Flower's own client
(`FleetHttpClient`: registration, node authentication, heartbeats, messages and their objects), but hands each
message to a function of the process that already has the data and the keys in memory. It asks for no program
and runs none. The gate in front of our SuperLink lets it wait for messages instead of asking again and again;
at a SuperLink without the gate it polls.

The process is the node, so nothing is left over when it is killed; the SuperLink misses its heartbeats and
says so to the server after 2 times HEARTBEAT_SECONDS.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hitoku.errors import PeerError
from hitoku.learning.flower.clients import split
from hitoku.learning.flower.environment import require_flower
from hitoku.learning.flower.node import Ended, Node, Replaced, Unreachable

__all__ = ["serve_member"]

_FIRST_PAUSE: Final = 0.2
_MOST_PAUSE: Final = 5.0
_log = logging.getLogger(__name__)


def serve_member(
    handle: Callable[[bytes], bytes],
    *,
    folder: Path,
    address: str,
    certificate: bytes,
    member: str,
    sign: Callable[[bytes], bytes],
    context: bytes,
    patience: float | None = 600.0,
    stop: threading.Event | None = None,
    connected: Callable[[], None] | None = None,
) -> None:
    """Answer the server's requests until the run ends. Blocks; data and keys stay in this process.

    If the server cannot be reached, goes on trying (after 0.2 s, then ever longer, to 5 s), so that it may be
    started before the server, and outlives a restart of it.

    Args:
        handle: answers one request. If it raises, the server sees no reply, and the next request is served.
        folder: Flower's home; nothing is written elsewhere.
        address: the server's, as ``host:port``.
        certificate: the only one that is trusted, PEM; the caller has made sure that it is the server's.
        member: whose process this is.
        sign: signs with the member's Ed25519 key.
        context: as the server was given it; for example plan hash and run id.
        patience: so many seconds without a server end it; None never.
        stop: ends it from another thread.
        connected: called each time that the server has let this node in.

    Raises:
        InputError: Flower is missing (the message says how to install it), the certificate is none,
            or the address none.
        PeerError: the server does not let this member in, another process of the member took its place, or no
            server was found for `patience` seconds.
    """
    require_flower(folder.resolve())
    split(address)
    stop = stop or threading.Event()
    pause = _FIRST_PAUSE
    seen = time.monotonic()
    while not stop.is_set():
        served = False
        try:
            with Node(address, certificate, member, sign, context) as node:
                pause, served = _FIRST_PAUSE, True
                if connected is not None:
                    connected()
                while not stop.is_set():
                    node.serve_one(handle)
        except Ended:
            return
        except Replaced:
            raise PeerError(
                f"another process of {member!r} has joined in this one's place", "REPLACED"
            ) from None
        except Unreachable as error:
            seen = time.monotonic() if served else seen
            if patience is not None and time.monotonic() - seen > patience:
                raise PeerError(f"no server at {address} for {patience:.0f} seconds: {error}") from None
            _log.info("no server at %s (%s): trying again", address, error)
            stop.wait(pause * random.uniform(0.7, 1.0))  # noqa: S311
            pause = min(2 * pause, _MOST_PAUSE)
