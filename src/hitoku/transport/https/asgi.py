# SPDX-License-Identifier: Apache-2.0
"""What the parts of the listener's application share: how a request ends early, how bytes go out in time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

from hitoku.transport.https import bounds

__all__ = [
    "ARROW",
    "JSON",
    "TOO_SLOW",
    "Receive",
    "Scope",
    "Send",
    "Stop",
    "declared",
    "headers_of",
    "send_body",
    "start",
]

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

JSON: Final = b"application/json"
TOO_SLOW: Final = "read too slowly"
ARROW: Final = b"application/vnd.apache.arrow.stream"


class Stop(Exception):
    """The request ends here, with a status and a code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """The headers; none may come twice, for then readers could differ about which one counts.

    Raises:
        Stop: one does.
    """
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in headers:
            raise Stop(400, "HEADERS")
        headers[name] = value
    return headers


def declared(headers: Mapping[bytes, bytes]) -> int | None:
    """How long the body says that it is.

    Raises:
        Stop: it says so in a way that readers could differ about.
    """
    length = headers.get(b"content-length")
    if length is not None and (b"transfer-encoding" in headers or not re.fullmatch(rb"[0-9]{1,12}", length)):
        raise Stop(400, "HEADERS")
    return None if length is None else int(length)


async def start(
    send: Send, status: int, kind: bytes | None, length: int | None, now: datetime | None = None
) -> None:
    """Begin an answer.

    Args:
        send: of ASGI.
        status: HTTP's.
        kind: the content's type; None where there is none.
        length: of the content; None where it is not said.
        now: the time here, where it is to be told.

    Raises:
        TimeoutError: the other side does not read.
    """
    headers = [(b"cache-control", b"no-store"), (b"hitoku-protocol", bounds.PROTOCOL.encode())]
    if kind is not None:
        headers.append((b"content-type", kind))
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    if now is not None:
        headers.append((b"date", format_datetime(now.astimezone(UTC), usegmt=True).encode()))
    if status >= 300:
        # What is left of the body is not read.
        headers.append((b"connection", b"close"))
    async with asyncio.timeout(bounds.BODY_SECONDS):
        await send({"type": "http.response.start", "status": status, "headers": headers})


async def send_body(send: Send, content: bytes | memoryview, *, last: bool) -> None:
    """Send a part of a body, piece by piece, each as soon as the other side has taken the one before.

    Raises:
        TimeoutError: the other side does not read.
    """
    for at in range(0, max(1, len(content)), bounds.PIECE_BYTES):
        piece = content[at : at + bounds.PIECE_BYTES]
        more = not last or at + bounds.PIECE_BYTES < len(content)
        async with asyncio.timeout(bounds.BODY_SECONDS):
            await send({"type": "http.response.body", "body": piece, "more_body": more})
