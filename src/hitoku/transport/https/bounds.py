# SPDX-License-Identifier: Apache-2.0
"""What one node lets another take of it: sizes, times, places. Sizes of single messages are in `limits`."""

from __future__ import annotations

import re
from typing import Final

from hitoku import limits

__all__ = [
    "AGAIN_SECONDS",
    "BODY_BYTES_A_SECOND",
    "BODY_SECONDS",
    "CALLING",
    "CONNECTIONS",
    "CONNECTIONS_A_MEMBER",
    "CONNECT_SECONDS",
    "GRACE_SECONDS",
    "HANDSHAKE_SECONDS",
    "HEAD_BYTES",
    "HEAD_SECONDS",
    "LARGE_AT_ONCE",
    "LOOK_SECONDS",
    "MOST_BY_HOST",
    "MOST_BY_MEMBER",
    "PARCELS_ASKED",
    "PARCELS_ASKED_A_MEMBER",
    "PARCEL_SECONDS",
    "PIECE_BYTES",
    "PLACES",
    "PLACES_A_MEMBER",
    "PROTOCOL",
    "REPLY_SECONDS",
    "RUN",
    "SHUTDOWN_SECONDS",
    "STALL_SECONDS",
    "STREAMS",
    "STREAMS_A_MEMBER",
    "kind_of",
]

PROTOCOL: Final = "1"
"""The version of what is said over HTTPS around the messages; messages have versions of their own."""

# --- connections ---
HANDSHAKE_SECONDS: Final = 10
SHUTDOWN_SECONDS: Final = 2
"""How long TLS may take to end a connection in order."""
HEAD_SECONDS: Final = 10
"""For the whole head of a request, and for how long a connection may be idle."""
HEAD_BYTES: Final = 16 * 1024
CONNECTIONS: Final = 512
CONNECTIONS_A_MEMBER: Final = 128
CONNECT_SECONDS: Final = 10

# --- bodies ---
BODY_SECONDS: Final = 20
BODY_BYTES_A_SECOND: Final = 128 * 1024
"""A body may take BODY_SECONDS, and a second more for each so many bytes of it that came."""
PIECE_BYTES: Final = 256 * 1024
MOST_BY_MEMBER: Final = limits.MAX_CONTROL_SQL_BYTES
MOST_BY_HOST: Final = limits.MAX_MESSAGE_BYTES
"""Only answers are larger than that, and only hosts send answers, one at a time."""
LARGE_AT_ONCE: Final = 1

# --- work ---
PLACES: Final = 128
PLACES_A_MEMBER: Final = 64
REPLY_SECONDS: Final = 120
GRACE_SECONDS: Final = 10

# --- parcels ---
PARCEL_SECONDS: Final = 5
"""How long a request for a parcel that is not there yet is held."""
LOOK_SECONDS: Final = 0.05
PARCELS_ASKED: Final = 256
PARCELS_ASKED_A_MEMBER: Final = 64
STREAMS: Final = 32
STREAMS_A_MEMBER: Final = 8
"""Parcels that are sent to a member at the same time; more wait."""
STALL_SECONDS: Final = 60
"""How long a parcel may not go on, its sender's restart included. It is used up by all the time in which the
receiver waits, and BODY_BYTES_A_SECOND of it give back a second."""
AGAIN_SECONDS: Final = (0.05, 2.0)
"""How long to wait before a broken connection is made again: at first, and at most."""

RUN: Final = "hitoku/run-request/1"
CALLING: Final = frozenset({"hitoku/consent-request/1", "hitoku/cancel/1"})
"""Messages whose answering makes calls to other members, besides RUN; see `lanes`."""

_KIND: Final = re.compile(rb'\{"kind": ?"([a-z0-9/-]{1,64})"')


def kind_of(content: bytes) -> str | None:
    """The kind that a message's bytes begin with; None where they begin otherwise."""
    found = _KIND.match(content)
    return found[1].decode() if found else None
