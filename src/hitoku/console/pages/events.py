# SPDX-License-Identifier: Apache-2.0
"""Live progress of a question, as server-sent events.

Each event holds the whole state, so a page that was cut off needs none of those it missed: with its
``Last-Event-ID`` it only says what it has, and is told at once if there is something else. A stream ends with
the question, when the node stops, and after some minutes, so that who was signed out hears no more.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Request
from starlette.concurrency import run_in_threadpool

from hitoku import limits
from hitoku.console.context import Context
from hitoku.console.guard import need
from hitoku.console.render import context_of
from hitoku.console.streams import Stream
from hitoku.console.users import May, User
from hitoku.console.work.asks import Asks, asks_of
from hitoku.console.work.asks_words import progress_data

__all__ = ["router"]

router = APIRouter()

_TICK_SECONDS: Final = 1.0
_PROCESS: Final = uuid.uuid4().hex[:8]
"""Numbers of events begin anew with each start of the node."""


@router.get("/rooms/{room_id}/asks/{ask_id}/events")
async def events(
    request: Request,
    room_id: str,
    ask_id: str,
    user: Annotated[User, Depends(need(May.ASK, May.AUDIT))],
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> Stream:
    """The state of a question whenever it changes, until its end."""
    context = context_of(request)
    context.room(user, room_id)
    asks = await run_in_threadpool(asks_of, context)
    await run_in_threadpool(asks.find, user, ask_id, room_id)
    return Stream(context, user, _told(context, asks, user, room_id, ask_id, last_event_id))


async def _told(
    context: Context, asks: Asks, user: User, room: str, ask: str, last: str | None
) -> AsyncIterator[bytes]:
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def hear() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(news.set)

    stop = asks.watch(ask, hear)
    until = time.monotonic() + limits.CONSOLE_STREAM_SECONDS
    told = time.monotonic()
    try:
        yield b"retry: 2000\n\n"
        while True:
            news.clear()
            settled = asks.settled  # before looking: what is seen after it is the last word
            version = asks.version(ask)
            seen = await run_in_threadpool(asks.find, user, ask, room)
            mark = f"{_PROCESS}-{'end' if seen.ask.ended else version}"
            # Once a second in any case: a phase's time goes on, and a lost connection is noticed.
            if mark != last or seen.ask.ended or time.monotonic() - told >= _TICK_SECONDS:
                last, told = mark, time.monotonic()
                data = progress_data(seen.ask, context.clock.now(), user.language)
                yield f"id: {mark}\nevent: progress\ndata: {json.dumps(data)}\n\n".encode()
            if seen.ask.ended or settled or time.monotonic() >= until:
                return
            try:
                await asyncio.wait_for(news.wait(), _TICK_SECONDS)
            except TimeoutError:
                continue
    finally:
        stop()
