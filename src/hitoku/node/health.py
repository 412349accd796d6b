# SPDX-License-Identifier: Apache-2.0
"""``GET /health`` in the clear, on loopback only, for a supervisor on this machine: that the node lives.

It says nothing else, so nobody has to prove who asks.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

__all__ = ["start_health"]

_SECONDS: Final = 5
_MOST: Final = 8_192
_OK: Final = b'{"status": "ok"}\n'


async def start_health(host: str, port: int) -> asyncio.Server:
    """Listen for health requests."""
    return await asyncio.start_server(_answer, host, port, limit=_MOST)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            asked = head.startswith((b"GET /health HTTP/1.1\r\n", b"GET /health HTTP/1.0\r\n"))
            status, body = (b"200 OK", _OK) if asked else (b"404 Not Found", b"")
            length = str(len(body)).encode()
            writer.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\ncontent-length: " + length
                + b"\r\nconnection: close\r\n\r\n" + body
            )  # fmt: skip
            await writer.drain()
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        pass
    finally:
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_SECONDS):
                await writer.wait_closed()
