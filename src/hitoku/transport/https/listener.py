# SPDX-License-Identifier: Apache-2.0
"""The listener: uvicorn with TLS by `tls`, a time limit on everything, and bounded connections.

uvicorn itself waits without end for the head of a request, and logs what an exception says; here it does
neither.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hitoku.transport.https import bounds
from hitoku.transport.https.app import Application, Log
from hitoku.transport.https.tls import peer_key

__all__ = ["Listener", "quiet"]


class _Connection(H11Protocol):
    """A connection whose other side has proven its key."""

    connected: Counter[str]  # set by Listener, for all connections of one listener
    key: str | None = None
    late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the key that TLS proved, and count the connection."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        self.key = None if tls is None else peer_key(tls)
        self.app_state = {"key": self.key, "connection": self}
        if self.key is None:
            transport.abort()
            return
        full = self.connected.total() >= bounds.CONNECTIONS
        full = full or self.connected[self.key] >= bounds.CONNECTIONS_A_MEMBER
        self.connected[self.key] += 1
        if full:
            transport.abort()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._no_wait()
        if self.key is not None:
            self.connected[self.key] -= 1
            self.key = None

    def data_received(self, data: bytes) -> None:
        """Read; the time for a head does not begin anew with each piece of it."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._no_wait()  # from here on the application looks at the time
        elif self.late is None:
            self._wait()

    def on_response_complete(self) -> None:
        """The next head has its own time; it may have come already."""
        super().on_response_complete()
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self._no_wait()
            self._wait()

    def shutdown(self) -> None:
        """The listener stops: an idle connection does not wait for the other side's goodbye."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and not self.transport.get_write_buffer_size():
            self.abort()
        else:
            super().shutdown()

    @property
    def gone(self) -> bool:
        """Whether the connection has ended, or is about to."""
        return self.transport.is_closing()

    def abort(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    def _wait(self) -> None:
        self.late = self.loop.call_later(bounds.HEAD_SECONDS, self.abort)

    def _no_wait(self) -> None:
        if self.late is not None:
            self.late.cancel()
            self.late = None


class Listener(uvicorn.Server):
    """Serves an application on one socket until it is told to stop.

    Args:
        application: answers the requests.
        context: the listener's side of TLS.
        bound: a socket that is bound.
        stop_runs: called where what runs has not ended GRACE_SECONDS after the listener was told to stop.
        ready: called when connections are taken.
    """

    def __init__(
        self,
        application: Application,
        context: ssl.SSLContext,
        bound: socket.socket,
        stop_runs: Callable[[], None],
        ready: Callable[[], None],
    ) -> None:
        protocol = type("Connection", (_Connection,), {"connected": Counter()})
        super().__init__(
            uvicorn.Config(
                application,
                http=protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                h11_max_incomplete_event_size=bounds.HEAD_BYTES,
                timeout_keep_alive=bounds.HEAD_SECONDS,
                timeout_graceful_shutdown=3 * bounds.GRACE_SECONDS,
            )
        )
        self._application, self._context, self._bound = application, context, bound
        self._stop_runs, self._ready = stop_runs, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections; uvicorn's own has no time limit of ours for handshakes."""
        del sockets
        loop = asyncio.get_running_loop()
        factory: Any = self.config.http_protocol_class

        def connection() -> asyncio.Protocol:
            protocol: asyncio.Protocol = factory(
                config=self.config, server_state=self.server_state, app_state={}, _loop=loop
            )
            return protocol

        server = await loop.create_server(
            connection,
            sock=self._bound,
            ssl=self._context,
            backlog=256,
            ssl_handshake_timeout=bounds.HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=bounds.SHUTDOWN_SECONDS,
        )
        self.servers = [server]
        self.started = True
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new; let what runs end, then end it."""
        self._application.stopping = True
        patience = asyncio.get_running_loop().call_later(bounds.GRACE_SECONDS, self._stop_runs)
        try:
            await super().shutdown(sockets)
        finally:
            patience.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop the listener in order; unlike uvicorn's own, they then end nothing more."""
        loop = asyncio.get_running_loop()
        taken = []
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.handle_exit, number, None)
                taken.append(number)
        except (NotImplementedError, RuntimeError, ValueError):
            pass  # not the main thread: whoever started this stops it by `should_exit`
        try:
            yield
        finally:
            for number in taken:
                loop.remove_signal_handler(number)


class _Named(logging.Handler):
    """Says that a library logged something, and never what: its words may quote what came over the wire."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        kind = None if record.exc_info is None or record.exc_info[0] is None else record.exc_info[0].__name__
        self._log.info("library", logger=record.name, level=record.levelname, line=record.lineno, error=kind)


_LOUD: Final = (
    "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "httpx", "httpcore", "opentelemetry", "urllib3",
    "requests", "sqlalchemy", "alembic", "authlib", "py.warnings",
)  # fmt: skip


def quiet(log: Log) -> None:
    """Keep the libraries' own words out of all logs of this process, also of those that nobody named here."""
    handler = _Named(log)
    logging.lastResort = handler  # else it prints what a library says that has no handler of its own
    logging.captureWarnings(True)
    for name in _LOUD:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.WARNING)
