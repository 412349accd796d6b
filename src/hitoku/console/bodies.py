# SPDX-License-Identifier: Apache-2.0
"""How much a request may send, and for how long: counted as it comes, whatever its header says."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hitoku import limits
from hitoku.console import failing

__all__ = ["Gone", "bounded", "largest"]


class Gone(Exception):
    """The sender of a body sent too much, too slowly or went away."""


_SAID: Final = "what was sent is larger than this console takes"


def largest(scope: Scope) -> int:
    """The largest body of a request, in bytes."""
    if scope["state"].get("user") is None:
        return limits.CONSOLE_STRANGER_BYTES
    quotas = getattr(scope["app"].state.context.node.settings(), "quotas", None)
    return int(getattr(quotas, "body_bytes", limits.CONSOLE_BODY_BYTES))


async def bounded(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass a request on, and refuse it where its body is too large."""
    most = largest(scope) if scope["method"] not in {"GET", "HEAD", "OPTIONS"} else 0
    request = Request(scope)
    said = request.headers.get("content-length", "0")
    if len(said) > 15 or not (said.isascii() and said.isdigit()) or int(said) > most:
        await failing.answer(request, failing.TooLarge(_SAID))(scope, receive, send)
        return
    stranger = scope["state"].get("user") is None
    patience = limits.CONSOLE_STRANGER_SECONDS if stranger else limits.CONSOLE_BODY_SECONDS
    seen, over, started, whole, until = 0, False, False, False, time.monotonic() + patience

    async def receiving() -> Message:
        nonlocal seen, over, whole
        if whole:  # what comes now is only that the browser goes away: whenever it does
            return await receive()
        try:
            # Who announces a body and sends none would hold the connection for ever.
            message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
        except TimeoutError:
            over = True
            return {"type": "http.disconnect"}
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > most:
                over = True
                # To whoever reads it, the sender went away: nothing is done with half a body.
                return {"type": "http.disconnect"}
        whole = not message.get("more_body", False)
        return message

    async def sending(message: Message) -> None:
        nonlocal started
        if over and not started:
            return  # what was made of half a body
        started = True
        await send(message)

    try:
        await app(scope, receiving, sending)
    except Exception:
        if not over:
            raise
    if over and not started:
        await failing.answer(request, failing.TooLarge(_SAID))(scope, receive, send)
