# SPDX-License-Identifier: Apache-2.0
"""The console as a service of a node's process: uvicorn in the node's event loop, on its own address.

Stopping is in order and bounded: no new connection is taken, requests under way get a while to end, and
streams of events, which would go on for ever, are told that their browser is gone. Browsers come back by
themselves; sessions are in the database, so nobody has to sign in again.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn

from hitoku import limits
from hitoku.console.app import create_app
from hitoku.console.context import Context
from hitoku.console.listening import HERE, FairListener
from hitoku.console.patience import PatientConnection
from hitoku.errors import InputError, SecretError
from hitoku.node.settings import ConsoleSettings, socket_of
from hitoku.node.view import NodeView
from hitoku.ports import Clock, SystemClock
from hitoku.room.private import read_private
from hitoku.transport.https.app import Log

__all__ = ["ConsoleService"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_GRACE_SECONDS: Final = 8
_HEAD_BYTES: Final = 32 * 1024
_BODY_SECONDS: Final = 0.5


class ConsoleService:
    """The console of one member.

    Args:
        node: the node that it belongs to.
        log: hears of each request: method, route, status and seconds, nothing of what was sent.
        clock: the time.

    Raises:
        InputError: node.toml has no [console], its certificate does not fit its key, or nothing can be
            listened to there.
        SecretError: the certificate's key is open to others, or cannot be read.
    """

    def __init__(self, node: NodeView, log: Log, clock: Clock | None = None) -> None:
        settings = node.settings()
        if settings.console is None:
            raise InputError("node.toml has no [console]")
        self.settings = settings.console
        self._tls = _tls(self.settings, node.directory.path)
        context = Context(node, clock or SystemClock(), log.info)
        self.application = create_app(context)
        self._ending = _Ending(self.application)
        self._log = log
        self._bound = FairListener(_bound(self.settings.listen), (*HERE, *self.settings.proxies))
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """What browsers use."""
        return self.settings.url

    async def start(self) -> None:
        """Begin to listen. Returns when connections are taken."""
        self._server = _Server(
            uvicorn.Config(
                self._ending,
                interface="asgi3",
                http=PatientConnection,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                h11_max_incomplete_event_size=_HEAD_BYTES,
                limit_concurrency=limits.CONSOLE_CONNECTIONS,
                timeout_keep_alive=20,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            ),
            self._tls,
        )
        self._serving = asyncio.create_task(self._server.serve([self._bound]))
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
                raise InputError(f"the console cannot listen on {self.settings.listen}")
            await asyncio.sleep(0.02)
        self._log.info("console", listen=self.settings.listen, url=self.settings.url)

    async def stop(self) -> None:
        """Stop listening, and end what is under way in order."""
        if self._server is None or self._serving is None:
            self._bound.close()
            return
        self._ending.stopping.set()
        self._server.should_exit = True
        await self._serving


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves the process's signals alone: the node stops it."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        if not config.loaded:
            config.load()
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections; uvicorn's own leaves a TLS handshake a minute, and a goodbye half of one."""
        await self.lifespan.startup()
        if self.lifespan.should_exit or not sockets:
            self.should_exit = True
            return
        loop = asyncio.get_running_loop()
        factory: Any = self.config.http_protocol_class

        def connection() -> asyncio.Protocol:
            protocol: asyncio.Protocol = factory(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=loop
            )
            return protocol

        limited: dict[str, Any] = {} if self._tls is None else {
            "ssl": self._tls,
            "ssl_handshake_timeout": limits.CONSOLE_HANDSHAKE_SECONDS,
            "ssl_shutdown_timeout": limits.CONSOLE_SHUTDOWN_SECONDS,
        }  # fmt: skip
        self.servers = [await loop.create_server(connection, sock=sockets[0], backlog=256, **limited)]
        self.started = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signals."""
        yield


class _Ending:
    """Tells what waits for a browser that the browser is gone, when the console stops.

    Args:
        application: the console.

    Attributes:
        stopping: set when the console stops.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self.stopping = asyncio.Event()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def next_() -> Message:
            coming = asyncio.ensure_future(receive())
            stopping = asyncio.ensure_future(self.stopping.wait())
            try:
                await asyncio.wait((coming, stopping), return_when=asyncio.FIRST_COMPLETED)
                # A body that is on its way is still taken; only who waits for nothing more is told.
                done, _ = await asyncio.wait((coming,), timeout=_BODY_SECONDS)
                return coming.result() if done else {"type": "http.disconnect"}
            finally:
                coming.cancel()
                stopping.cancel()

        await self._application(scope, next_, send)


def _tls(settings: ConsoleSettings, directory: Path) -> ssl.SSLContext | None:
    """What the console shows to browsers; None where it listens on loopback in the clear."""
    if settings.certificate is None or settings.key is None:
        return None
    certificate, key = directory / settings.certificate, directory / settings.key
    read_private(key, "the key of the console's certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, OSError):
        raise SecretError(
            f"{certificate}: cannot be used with {key.name}; both are PEM, and the key has no password"
        ) from None
    return context


def _no_password() -> str:
    """Instead of asking for one at the terminal."""
    return ""


def _bound(listen: str) -> socket.socket:
    host, port = socket_of(listen)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server((host, port), family=found[0][0], backlog=256)
    except OSError as error:
        raise InputError(f"the console cannot listen on {listen} ({error.strerror})") from None
