# SPDX-License-Identifier: Apache-2.0
"""How many streams of events a user may have open, and all together: counted before a stream begins.

Routes and streams run in the event loop alone, so nothing comes between looking and counting. The place is
given back when the response ends, also where its browser is gone before the first event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from hitoku import limits
from hitoku.console.context import Context
from hitoku.console.failing import Slow
from hitoku.console.users import User

__all__ = ["Stream"]

_PART: Final = "event-streams"
_AGAIN_SECONDS: Final = 10
_HEADERS: Final[Mapping[str, str]] = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Stream(StreamingResponse):
    """Server-sent events to a user; made in the event loop, as the last step of its route.

    Args:
        context: the console's.
        user: who is told.
        told: the events, as bytes.

    Raises:
        Slow: too many are open already, of this user or of all.
    """

    def __init__(self, context: Context, user: User, told: AsyncIterator[bytes]) -> None:
        self._open: Counter[str] = context.parts.setdefault(_PART, Counter())
        self._user = user.id
        each = max(1, limits.MAX_CONSOLE_STREAMS // 10)
        if self._open.total() >= limits.MAX_CONSOLE_STREAMS or self._open[user.id] >= each:
            raise Slow(_AGAIN_SECONDS)
        super().__init__(told, media_type="text/event-stream", headers=_HEADERS)
        self._open[user.id] += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell them until their end, or the browser's."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._open[self._user] -= 1
            if not self._open[self._user]:
                del self._open[self._user]
