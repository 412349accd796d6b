# SPDX-License-Identifier: Apache-2.0
"""How much of what a request computes, or asks other members, may go on at once: of one user and of all.

Another member's node may take its time to answer, or for ever not: a user who opens such pages again and
again would else hold all threads that serve pages.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Depends, Request

from hitoku import limits
from hitoku.console.context import Context
from hitoku.console.failing import Slow
from hitoku.console.guard import signed_in
from hitoku.console.users import User

__all__ = ["PEERS", "bounded", "busy"]

_FIRST = threading.Lock()
_PART = "api-busy"
_AGAIN_SECONDS = 2


class _Going:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.of: Counter[str] = Counter()


@contextmanager
def busy(context: Context, user: User) -> Iterator[None]:
    """Count a request that works for long, while it works.

    Raises:
        Slow: too many go on already, of this user or of all.
    """
    with _FIRST:
        going: _Going = context.parts.setdefault(_PART, _Going())
    with going.lock:
        if going.of[user.id] >= limits.API_AT_ONCE_EACH or going.of.total() >= limits.API_AT_ONCE:
            raise Slow(_AGAIN_SECONDS)
        going.of[user.id] += 1
    try:
        yield
    finally:
        with going.lock:
            going.of[user.id] -= 1
            if not going.of[user.id]:
                del going.of[user.id]


def bounded(request: Request) -> Iterator[None]:
    """A dependency of routes that ask other members: `busy` from before the route until it is done.

    Raises:
        NotSignedIn: nobody is.
        Slow: as `busy`.
    """
    with busy(request.app.state.context, signed_in(request)):
        yield


PEERS = [Depends(bounded)]
"""The `dependencies` of such a route."""
