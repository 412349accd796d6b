# SPDX-License-Identifier: Apache-2.0
"""What every request passes through: headers and log, host, compression, identity, bodies, forgery.

Plain ASGI, so that streams (server-sent events, exports) go through as they come. A request that is refused
here never reaches a route.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hitoku.console import failing
from hitoku.console.forging import Forging
from hitoku.console.identity import Identity
from hitoku.errors import HitokuError

__all__ = ["CONTENT_SECURITY_POLICY", "HEADERS", "add"]

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

# Not `no-referrer`: with it browsers send `Origin: null` with our own forms.
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Outermost:
    """Headers on every answer, one line of log a request, and an answer where nothing else made one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        secure = scope["app"].state.site.secure
        began, status = time.monotonic(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            request = Request(scope)
            if isinstance(error, HitokuError):
                response = failing.answer(request, error)
            else:
                response = failing.unexpected(request, error)
            if status == 0:
                await response(scope, receive, sending)
            else:
                raise _CutOff from None
        finally:
            # The route's pattern, never the path or the query: both may hold what somebody typed.
            route = getattr(scope.get("route"), "path", None)
            if route is not None and failing.is_api(scope["path"]):
                route = "/api/v1" + route.removeprefix("/api/v1")
            scope["app"].state.context.log(
                "console request",
                method=scope["method"] if scope["method"] in _METHODS else "OTHER",
                route=route or ("/static" if scope["path"].startswith("/static/") else "-"),
                status=status,
                ms=round((time.monotonic() - began) * 1000),
            )


class _CutOff(Exception):
    """An answer broke off in its middle; what broke it is logged already."""


_METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Hosts:
    """Only requests for our own name: else a page of a name that was re-bound to our address reads us."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            ours = scope["app"].state.site.host
            if len(hosts) != 1 or hosts[0].decode("latin-1").lower() != ours:
                said = PlainTextResponse(
                    f"This console is at {scope['app'].state.site.url}\n", status_code=421
                )
                await said(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Compression:
    """Compresses answers, save those that a page of another site can ask for with a guess in them (BREACH).

    Its length would tell whether the guess is in the page. The token against forgery is masked anew in each
    page besides, and files in `/static/` are compressed already.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._packed = GZipMiddleware(app, minimum_size=1024, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http" or scope["path"].startswith("/static/"):
            await self._app(scope, receive, send)
            return
        sites = [value for name, value in scope["headers"] if name == b"sec-fetch-site"]
        near = all(value in {b"same-origin", b"none"} for value in sites)
        app: Callable[[Scope, Receive, Send], Awaitable[None]] = self._packed if near else self._app
        await app(scope, receive, send)


class Bodies:
    """Bodies have a bound: a small one for strangers, `[quotas] body_bytes` for users."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from hitoku.console.bodies import bounded

        await bounded(self._app, scope, receive, send)


def add(app: FastAPI) -> None:
    """Have an application's requests pass through all of this."""
    layers: tuple[Any, ...] = (Outermost, Hosts, Compression, Identity, Bodies, Forging)
    for layer in reversed(layers):  # the last added is the outermost
        app.add_middleware(layer)
