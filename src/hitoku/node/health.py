# SPDX-License-Identifier: Apache-2.0
"""A listener in the clear, on loopback only, for who supervises this machine.

``GET /health``: the process lives. ``GET /ready``: it can do its work (`readiness`), 503 where it cannot.
``GET /metrics``: numbers for Prometheus (`metrics`). Nobody has to prove who asks, so none of them says
anything but codes and numbers.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

__all__ = ["Answer", "alive", "metrics_answer", "ready_answer", "start_health"]

Answer = Callable[[], Awaitable[tuple[int, str, bytes]]]
"""Gives a status, the content's type and the content."""

JSON: Final = "application/json"
_SECONDS: Final = 5
_MOST: Final = 8_192
_OK: Final = b'{"status": "ok"}\n'
_WORDS: Final = {200: "OK", 404: "Not Found", 500: "Internal Server Error", 503: "Service Unavailable"}
_GET: Final = re.compile(rb"GET (/[a-z]{1,16}) HTTP/1\.[01]\r\n")


async def alive() -> tuple[int, str, bytes]:
    """That the process lives."""
    return 200, JSON, _OK


def ready_answer(look: Callable[[], Mapping[str, str]]) -> Answer:
    """Whether the node is ready, by what each check says.

    Args:
        look: the checks; called in a thread.
    """

    async def answer() -> tuple[int, str, bytes]:
        checks = dict(await asyncio.to_thread(look))
        ready = all(code == "ok" for code in checks.values())
        content = json.dumps({"status": "ready" if ready else "not_ready", "checks": checks}) + "\n"
        return 200 if ready else 503, JSON, content.encode()

    return answer


def metrics_answer(text: Callable[[], bytes], kind: str) -> Answer:
    """The metrics.

    Args:
        text: as Prometheus reads them; called in a thread.
        kind: the content's type.
    """

    async def answer() -> tuple[int, str, bytes]:
        return 200, kind, await asyncio.to_thread(text)

    return answer


async def start_health(host: str, port: int, answers: Mapping[str, Answer] | None = None) -> asyncio.Server:
    """Listen.

    Args:
        host: a loopback address.
        port: its port.
        answers: what is answered, by path; that the process lives where nothing is said.
    """
    known = {"/health": alive} if answers is None else dict(answers)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _connected(known, reader, writer)

    return await asyncio.start_server(connected, host, port, limit=_MOST)


async def _connected(
    answers: Mapping[str, Answer], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        async with asyncio.timeout(_SECONDS):
            status, kind, body = await _one(answers, await reader.readuntil(b"\r\n\r\n"))
            head = f"HTTP/1.1 {status} {_WORDS[status]}\r\ncontent-type: {kind}\r\n"
            rest = f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
            writer.write((head + rest).encode() + body)
            await writer.drain()
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        pass
    finally:
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_SECONDS):
                await writer.wait_closed()


async def _one(answers: Mapping[str, Answer], head: bytes) -> tuple[int, str, bytes]:
    asked = _GET.match(head)
    answer = None if asked is None else answers.get(asked[1].decode())
    if answer is None:
        return 404, JSON, b""
    try:
        return await answer()
    except Exception:  # its words may hold anything
        return 500, JSON, b'{"status": "failed"}\n'
