# SPDX-License-Identifier: Apache-2.0
"""Which threads answer which messages, so that nodes that wait for each other never all wait.

A node that answers a run request calls other nodes, and those may have to be answered here at the same time.
With one set of threads, runs could hold all of them while what they wait for finds none. So there are lanes:

- *run*: run requests, one at a time in a room. They call others only with messages of the lane *plain*.
- *calling*: consent requests and cancellations. They, too, call only with messages of *plain*.
- *plain*: all other messages. Answering them calls nobody.

Whoever waits for an answer waits for *plain* somewhere, and who works in *plain* waits for nobody: no circle.
Places are bounded, and one member has at most half of them, so that it cannot keep the others out.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hitoku.transport.https import bounds

__all__ = ["Busy", "Lane", "Lanes"]


class Busy(Exception):
    """All places are taken."""


class Lane:
    """Threads that answer some messages, and places to wait for them."""

    def __init__(self, name: str, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"hitoku-{name}")
        self._held: Counter[str] = Counter()
        self._working = 0
        self._lock = threading.Lock()

    async def answer(self, sender: str, work: Callable[[], bytes]) -> bytes:
        """Do the work in a thread of this lane.

        Raises:
            Busy: the lane's places, or the sender's, are taken.
        """
        if self._held.total() >= bounds.PLACES or self._held[sender] >= bounds.PLACES_A_MEMBER:
            raise Busy

        def counted() -> bytes:
            with self._lock:
                self._working += 1
            try:
                return work()
            finally:
                with self._lock:
                    self._working -= 1

        self._held[sender] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, counted)
        finally:
            self._held[sender] -= 1

    @property
    def held(self) -> int:
        """How many of its places are taken."""
        return self._held.total()

    @property
    def idle(self) -> bool:
        """Whether no thread works."""
        return self._working == 0

    def close(self) -> None:
        """Take no more work; what runs goes on."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Lanes:
    """The lanes of one room at one node."""

    def __init__(self) -> None:
        # Together no more than the connections that the member's database has (15).
        self._run, self._calling, self._plain = Lane("run", 1), Lane("calling", 4), Lane("plain", 8)
        self.files = ThreadPoolExecutor(2, thread_name_prefix="hitoku-parcels")
        """Threads that read parcels; what they do is short, and calls nobody."""

    def of(self, kind: str) -> Lane:
        """The lane that answers messages of a kind."""
        if kind == bounds.RUN:
            return self._run
        return self._calling if kind in bounds.CALLING else self._plain

    @property
    def queued(self) -> dict[str, int]:
        """How many messages each lane answers, or has waiting."""
        return {"run": self._run.held, "calling": self._calling.held, "plain": self._plain.held}

    @property
    def idle(self) -> bool:
        """Whether no thread works."""
        return self._run.idle and self._calling.idle and self._plain.idle

    def close(self) -> None:
        """Take no more work; what runs goes on."""
        for lane in (self._run, self._calling, self._plain):
            lane.close()
        self.files.shutdown(wait=False, cancel_futures=True)
