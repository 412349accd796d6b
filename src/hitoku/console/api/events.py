# SPDX-License-Identifier: Apache-2.0
"""API: how a question goes on, told as it happens (server-sent events)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from hitoku import limits
from hitoku.console.api.asks import AskId, shown
from hitoku.console.api.shapes import ERRORS, SIGNED_IN, RoomId, errors
from hitoku.console.context import Context
from hitoku.console.guard import need
from hitoku.console.render import context_of
from hitoku.console.streams import Stream
from hitoku.console.users import May, User
from hitoku.console.work.asks import Seen, asks_of

__all__ = ["router"]

router = APIRouter(tags=["asks"], dependencies=SIGNED_IN, responses={**ERRORS, **errors(404)})

_QUIET_SECONDS: Final = 15.0
_EVENT: Final = {
    "type": "object",
    "properties": {
        "event": {"const": "ask"},
        "data": {"type": "string", "description": "The ask, as `GET` gives it, in JSON."},
    },
    "required": ["event", "data"],
}


@router.get(
    "/rooms/{room}/asks/{ask}/events",
    summary="How a question goes on, as it happens",
    response_class=Response,
    responses={
        200: {
            "description": "Events `ask`, each with the whole ask as JSON; the last when it has ended. A "
            "stream ends after some minutes all the same: then look, and open another.",
            "content": {"text/event-stream": {"schema": _EVENT}},
        }
    },
)
async def events(
    request: Request,
    room: RoomId,
    ask: AskId,
    user: Annotated[User, Depends(need(May.ASK, May.AUDIT))],
) -> Stream:
    """For `EventSource` and programs; a comment comes every 15 seconds where nothing else does."""
    context = context_of(request)
    context.room(user, room)
    await run_in_threadpool(asks_of(context).find, user, ask, room)
    return Stream(context, user, _told(context, user, room, ask))


async def _told(context: Context, user: User, room: str, ask: str) -> AsyncIterator[bytes]:
    asks, loop, news = asks_of(context), asyncio.get_running_loop(), asyncio.Event()
    stop = asks.watch(ask, lambda: _wake(loop, news))
    until = time.monotonic() + limits.CONSOLE_STREAM_SECONDS
    try:
        while True:
            news.clear()
            settled = asks.settled  # before looking: what is seen after it is the last word
            seen = await run_in_threadpool(asks.find, user, ask, room)
            yield _event(seen)
            if seen.ask.ended or settled or time.monotonic() >= until:
                return
            try:
                await asyncio.wait_for(news.wait(), _QUIET_SECONDS)
            except TimeoutError:
                yield b": nothing new\n\n"
    finally:
        stop()


def _wake(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(news.set)


def _event(seen: Seen) -> bytes:
    # JSON has no line ends of its own.
    return b"event: ask\ndata: " + shown(seen).model_dump_json().encode() + b"\n\n"
