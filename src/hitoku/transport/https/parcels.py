# SPDX-License-Identifier: Apache-2.0
"""The listener's third route: ``GET /rooms/<id>/parcels/<run>/<name>/<sequence>``.

Answers 200 and an Arrow IPC stream from batch `sequence` on; 204 after some seconds in which the parcel was
not made yet; 404 where the member may not have it, or there is no such run; 410 where the run is over. Who
asks is who TLS says. The file is read a batch at a time, in threads, and no faster than the other side reads:
one batch and a few pieces are in memory for each stream, and a member has a bounded number of streams.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from hitoku.errors import Refusal
from hitoku.transport.https import bounds
from hitoku.transport.https.asgi import ARROW, TOO_SLOW, Send, Stop, send_body, start
from hitoku.transport.parcels import NO_SUCH_PARCEL, RUN_ENDED, ParcelFile, Shelf, open_parcel
from hitoku.transport.sealed import SealedStream

__all__ = ["Connection", "ParcelRoute", "Wanted"]

T = TypeVar("T")


class Connection(Protocol):
    """The connection that a request came on."""

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        ...

    def abort(self) -> None:
        """End it at once."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for, by whom, and where it is."""

    shelf: Shelf | None
    threads: Executor
    member: str
    run: str
    name: str
    sequence: int
    connection: Connection


class ParcelRoute:
    """Sends parcels; one for all rooms of a node.

    Args:
        stopping: whether the node is about to stop: then streams are cut, and go on when it is back.
    """

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._asking: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()

    async def answer(self, wanted: Wanted, send: Send, facts: dict[str, Any]) -> tuple[int, bytes] | None:
        """Answer a request for a parcel: with a status and a body, or, after the parcel was sent, None.

        Raises:
            Stop: before anything was sent.
        """
        facts |= {"run": wanted.run, "parcel": wanted.name, "sequence": wanted.sequence}
        with _counted(self._asking, wanted.member, bounds.PARCELS_ASKED_A_MEMBER, bounds.PARCELS_ASKED):
            try:
                path = await self._find(wanted)
            except asyncio.CancelledError:
                if self._stopping():  # the threads were closed before the look's turn came
                    raise Stop(503, "STOPPING") from None
                raise
            if path is None:
                return 204, b""
            # Since the look for a free place nothing was awaited, so there still is one.
            with _counted(self._streams, wanted.member, bounds.STREAMS_A_MEMBER, bounds.STREAMS):
                await self._open(wanted, path, send, facts)
        return None

    async def _find(self, wanted: Wanted) -> Path | None:
        """The parcel's file, waiting for it, and for a place to send it from."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            if self._stopping() or wanted.connection.gone:
                raise Stop(503, "STOPPING")
            path = await _in_thread(wanted, lambda: _look(wanted))
            if path is not None and not self._full(wanted.member):
                return path
            waited = loop.time() - began
            if waited > bounds.PARCEL_SECONDS:
                if path is not None:
                    raise Stop(503, "BUSY")
                return None
            # Soon at first: a small run's parcels are ready at once, and it has several of them.
            await asyncio.sleep(bounds.LOOK_SECONDS if waited < 2 else 2 * bounds.LOOK_SECONDS)

    def _full(self, member: str) -> bool:
        return self._streams[member] >= bounds.STREAMS_A_MEMBER or self._streams.total() >= bounds.STREAMS

    async def _open(self, wanted: Wanted, path: Path, send: Send, facts: dict[str, Any]) -> None:
        shelf = wanted.shelf
        if shelf is None:
            raise Stop(404, NO_SUCH_PARCEL)
        file = await _in_thread(
            wanted, lambda: open_parcel(shelf, path, wanted.member, wanted.run, wanted.name)
        )
        try:
            if wanted.sequence >= file.count:
                raise Stop(416, "SEQUENCE")
            await _in_thread(wanted, lambda: shelf.left(wanted.member, wanted.run, wanted.name))
            facts |= {"status": 200, "bytes": 0}
            try:
                await start(send, 200, ARROW, None)
                await self._send(wanted, file, send, facts)
            except BaseException as error:
                # The answer has begun: that it is not whole can only be said by the connection's end.
                wanted.connection.abort()
                if not isinstance(error, Exception):
                    raise
                facts["error"] = TOO_SLOW if isinstance(error, TimeoutError) else type(error).__name__
        finally:
            file.close()

    async def _send(
        self, wanted: Wanted, file: ParcelFile | SealedStream, send: Send, facts: dict[str, Any]
    ) -> None:
        content: bytes | memoryview = file.head()
        for number in range(wanted.sequence, file.count):
            await send_body(send, content, last=False)
            facts["bytes"] += len(content)
            if self._stopping() or wanted.connection.gone:
                raise Stop(503, "STOPPING")
            content = await _in_thread(wanted, partial(file.batch, number))
        await send_body(send, content, last=True)
        facts["bytes"] += len(content)


def _look(wanted: Wanted) -> Path | None:
    if wanted.shelf is None:
        raise Stop(404, NO_SUCH_PARCEL)
    try:
        path = wanted.shelf.parcel(wanted.member, wanted.run, wanted.name)
    except Refusal as refusal:
        if refusal.code == RUN_ENDED:
            raise Stop(410, RUN_ENDED) from None
        # Whatever else it says: who may not have it cannot tell which runs there are.
        raise Stop(404, NO_SUCH_PARCEL) from None
    # Where it was removed this moment, the next look says why.
    return path if path is not None and path.is_file() else None


async def _in_thread(wanted: Wanted, work: Callable[[], T]) -> T:
    """Do what reads files in a thread.

    Raises:
        Stop: the threads were closed, because the node is about to stop.
    """
    try:
        future = asyncio.get_running_loop().run_in_executor(wanted.threads, work)
    except RuntimeError:
        raise Stop(503, "STOPPING") from None
    return await future


@contextmanager
def _counted(held: Counter[str], member: str, most: int, most_of_all: int) -> Iterator[None]:
    if held[member] >= most or held.total() >= most_of_all:
        raise Stop(503, "BUSY")
    held[member] += 1
    try:
        yield
    finally:
        held[member] -= 1
