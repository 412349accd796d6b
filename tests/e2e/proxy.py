# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that is a bad network: it delays, is narrow, and breaks connections. In user space, no root.

In a test: ``with Proxy(("127.0.0.1", port), delay_ms=50, mbit=100) as proxy: ... proxy.port``. As a process:
``python -m tests.e2e.proxy --to 127.0.0.1:8443 --delay-ms 50 --mbit 100`` prints its port, and ends when its
standard input does. It imports nothing of hitoku, so that benchmarks may use it as well.

All connections of a proxy share one link in each direction. A byte leaves after all before it at the link's
rate, and arrives `delay_ms` later; making a connection takes the delay twice before anything is carried.
What waits for the link is bounded, so that a sender feels it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import struct
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_PIECE = 16 * 1024
_AHEAD_SECONDS = 0.02
"""How much the link takes in before it can send it."""


@dataclass
class _Link:
    """One direction."""

    rate: float | None  # bytes a second
    delay: float  # seconds
    free: float = 0.0  # when the link has sent all that it took in
    carried: int = 0

    async def take(self, count: int) -> float:
        """Take in some bytes, when there is room. Returns when they arrive."""
        now = asyncio.get_running_loop().time()
        self.carried += count
        if self.rate is None:
            return now + self.delay
        self.free = max(now, self.free) + count / self.rate
        arrives = self.free + self.delay
        await asyncio.sleep(max(0.0, self.free - now - _AHEAD_SECONDS))
        return arrives


@dataclass
class Proxy:
    """Carries connections to `to`.

    Args:
        to: host and port.
        delay_ms: each way, in milliseconds.
        mbit: each way, in millions of bits a second; None for as fast as it goes.
        drop_bytes: break a connection each time so many bytes were carried, both ways together.
        drop_seconds: break all connections at random moments, so many seconds apart on average.
        most_drops: then break no more.
        seed: of the random moments.
        listen: the port; 0 for any.
    """

    to: tuple[str, int]
    delay_ms: float = 0
    mbit: float | None = None
    drop_bytes: int | None = None
    drop_seconds: float | None = None
    most_drops: int = 2**31
    seed: int = 0
    listen: int = 0
    port: int = 0
    connections: int = 0
    drops: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        rate = None if self.mbit is None else self.mbit * 1e6 / 8
        self._up, self._down = (_Link(rate, self.delay_ms / 1000) for _ in range(2))
        self._left = self.drop_bytes

    @property
    def carried(self) -> tuple[int, int]:
        """The bytes that went to the server, and those that came from it."""
        return self._up.carried, self._down.carried

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)
        self._thread.start()
        if not self._ready.wait(60):
            raise RuntimeError("the proxy does not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    def drop(self) -> None:
        """Break all connections now; from any thread."""
        self._loop.call_soon_threadsafe(self._drop_all)

    async def serve(self) -> None:
        """Carry connections until the proxy is stopped."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.listen)
        self.port = server.sockets[0].getsockname()[1]
        beside = asyncio.create_task(self._at_random())
        self._ready.set()
        await self._stop.wait()
        beside.cancel()
        server.close()
        for writer in tuple(self._writers):
            _reset(writer)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _at_random(self) -> None:
        chance = random.Random(self.seed)
        while self.drop_seconds is not None and self.drops < self.most_drops:
            await asyncio.sleep(chance.expovariate(1 / self.drop_seconds))
            self._drop_all()

    def _drop_all(self) -> None:
        self.drops += bool(self._writers)
        for writer in tuple(self._writers):
            _reset(writer)
        self._writers.clear()  # none is broken twice

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writers = [writer]
        try:
            await asyncio.sleep(self._up.delay + self._down.delay)
            there, out = await asyncio.open_connection(*self.to)
            writers.append(out)
            self._writers.update(writers)
            for one in writers:
                one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, out, self._up, writers))
                group.create_task(self._carry(there, writer, self._down, writers))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass  # a connection that breaks is what this is for, and the proxy may stop
        finally:
            self._writers.difference_update(writers)
            for one in writers:
                one.close()
                with suppress(OSError):
                    await one.wait_closed()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        link: _Link,
        both: list[asyncio.StreamWriter],
    ) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                arrives, piece = await waiting.get()
                await asyncio.sleep(arrives - self._loop.time())
                if writer.transport.is_closing():
                    return
                if not piece:
                    writer.write_eof()
                    return
                writer.write(piece)
                await writer.drain()

        delivering = asyncio.create_task(deliver())
        try:
            while piece := await reader.read(_PIECE):
                waiting.put_nowait((await link.take(len(piece)), piece))
                if link.rate is None:
                    while waiting.qsize() > 64 and not delivering.done():  # nothing else would slow it down
                        await asyncio.sleep(0.001)
                if self._breaks(len(piece)):
                    for one in both:
                        _reset(one)
                    return
                if delivering.done():
                    break
            waiting.put_nowait((self._loop.time() + link.delay, b""))
            await delivering
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    def _breaks(self, count: int) -> bool:
        """Whether the connection that carried so many bytes breaks now."""
        if self._left is None or self.drop_bytes is None or self.drops >= self.most_drops:
            return False
        self._left -= count
        if self._left > 0:
            return False
        self._left += self.drop_bytes
        self.drops += 1
        return True


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a broken network does: with a reset, whatever is still on its way."""
    with suppress(OSError):
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def main() -> None:
    """Run a proxy until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", required=True, help="host:port")
    parser.add_argument("--listen", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--mbit", type=float)
    parser.add_argument("--drop-bytes", type=int)
    parser.add_argument("--drop-seconds", type=float)
    parser.add_argument("--most-drops", type=int, default=2**31)
    parser.add_argument("--seed", type=int, default=0)
    words = vars(parser.parse_args())
    host, _, port = words.pop("to").rpartition(":")
    with Proxy((host, int(port)), **words) as proxy:
        sys.stdout.write(f"{proxy.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
