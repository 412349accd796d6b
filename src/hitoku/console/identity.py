# SPDX-License-Identifier: Apache-2.0
"""Whose request it is: of a session's cookie or, under ``/api/``, of a bearer token. Never of both."""

from __future__ import annotations

import secrets

from anyio import to_thread
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hitoku.console import failing, sessions
from hitoku.console.forging import masked, secret_of

__all__ = ["Identity"]


class Identity:
    """Sets who it is on ``request.state``, for routes and pages.

    ``user`` (None where nobody is signed in), ``via`` (``cookie`` or ``token``), ``session`` (the cookie's
    token), ``half`` (who gave the password and not yet the one-time code), ``csrf`` and ``csrf_secret``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http" or scope["path"].startswith("/static/"):
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state.setdefault("user", None)
        state.update(via=None, session=None, half=None, csrf="", csrf_secret=None)
        request = Request(scope)
        visitor = None
        if "authorization" in request.headers and failing.is_api(scope["path"]):
            # Shown a token, the cookie counts for nothing: a wrong token is nobody, not somebody else.
            scheme, _, token = request.headers["authorization"].partition(" ")
            if scheme.lower() == "bearer" and len(request.headers.getlist("authorization")) == 1:
                user = await to_thread.run_sync(sessions.of_token, scope["app"].state.context, token.strip())
                if user is not None:
                    state.update(user=user, via="token")
        else:
            visitor = await self._cookie(request)

        async def sending(message: Message) -> None:
            if visitor is not None and message["type"] == "http.response.start":
                made = Response()
                scope["app"].state.site.set_cookie(made, "visitor", visitor, strict=True)
                MutableHeaders(scope=message).append("set-cookie", made.headers["set-cookie"])
            await send(message)

        await self._app(scope, receive, sending)

    async def _cookie(self, request: Request) -> str | None:
        """Sets the state of a request with cookies. Returns the visitor's cookie where one is to be set."""
        state, site = request.state, request.app.state.site
        token = request.cookies.get(site.cookie("session"), "")
        found = None
        if token:
            found = await to_thread.run_sync(sessions.of_session, request.app.state.context, token)
        made = None
        if found is not None:
            state.session = token
            if found.half:
                state.half = found.account.id
            else:
                state.user, state.via = found.account.user(), "cookie"
        else:
            # Who has no session yet still proves that the form of the sign-in page is ours.
            token = request.cookies.get(site.cookie("visitor"), "")
            if not sessions.well_formed(token):
                if not request.url.path.startswith("/login"):
                    return None
                token = made = secrets.token_urlsafe(32)
        state.csrf_secret = secret_of(token)
        state.csrf = masked(state.csrf_secret)
        return made
