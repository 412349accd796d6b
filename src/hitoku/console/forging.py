# SPDX-License-Identifier: Apache-2.0
"""Against forged requests: whatever changes something comes from a page of this console, and proves it.

Two checks, of which each would do in a browser of today. The browser's own word: ``Origin`` and
``Sec-Fetch-Site`` must name this console where they are sent. And a token that only our pages hold: a MAC of
the cookie's token, posted as the field ``csrf`` or sent as ``X-CSRF-Token``. Each page has it under another
mask, so that its bytes never repeat (what BREACH needs). Programs that show a bearer token have no cookie
that a foreign page could ride on, and need neither.
"""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hitoku import limits
from hitoku.console import failing

__all__ = ["Forging", "masked", "secret_of", "unmasked"]

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BYTES: Final = 32
_BOUNDARY: Final = re.compile(
    r'boundary=(?:"([^"\r\n]{1,70})"|([A-Za-z0-9\'()+_,./:=?-]{1,70}))', re.IGNORECASE
)


def secret_of(cookie: str) -> bytes:
    """What the pages of one cookie prove to know; the cookie cannot be had from it."""
    return hmac.digest(cookie.encode(), b"hitoku console: requests are not forged", "sha256")


def masked(secret: bytes) -> str:
    """The token of one page."""
    pad = secrets.token_bytes(_BYTES)
    return (
        urlsafe_b64encode(pad + bytes(a ^ b for a, b in zip(pad, secret, strict=True))).decode().rstrip("=")
    )


def unmasked(token: str) -> bytes | None:
    """The secret in a token; None where it is none."""
    if len(token) != 86 or not token.isascii():
        return None
    try:
        raw = urlsafe_b64decode(token + "==")
    except ValueError:
        return None
    return bytes(a ^ b for a, b in zip(raw[:_BYTES], raw[_BYTES:], strict=True))


def _from_here(request: Request) -> bool:
    ours = request.app.state.site.url
    origins = request.headers.getlist("origin")
    if origins and origins != [ours]:
        return False
    sites = request.headers.getlist("sec-fetch-site")
    return not sites or all(site in {"same-origin", "none"} for site in sites)


class Forging:
    """Refuses what changes something and does not prove to come from here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http" or scope["method"] in _SAFE or scope["state"].get("via") == "token":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        expected: bytes | None = scope["state"].get("csrf_secret")
        if expected is None and failing.is_api(scope["path"]):
            await self._app(scope, receive, send)  # nobody: the route's guard says so
            return
        ahead: list[Message] = []
        token = request.headers.get("x-csrf-token", "")
        if not token:
            token = await _posted(request, receive, ahead)
        given = unmasked(token)
        if expected is None or given is None or not hmac.compare_digest(given, expected):
            await failing.answer(request, failing.Forged())(scope, receive, send)
            return
        if not _from_here(request):
            await failing.answer(request, failing.Forged())(scope, receive, send)
            return

        async def replayed() -> Message:
            return ahead.pop(0) if ahead else await receive()

        await self._app(scope, replayed, send)


async def _posted(request: Request, receive: Receive, ahead: list[Message]) -> str:
    """The field ``csrf`` of a form; what was read for it is kept in `ahead`."""
    kind = request.headers.get("content-type", "")
    form = kind.partition(";")[0].strip().lower()
    if form == "application/x-www-form-urlencoded":
        body = await _read(receive, ahead, None)
        try:
            pairs = parse_qsl(body.decode("latin-1"), max_num_fields=20_000) if body else []
        except ValueError:
            return ""
        found = [value for name, value in pairs if name == "csrf"]
        return found[0] if len(found) == 1 else ""
    boundary = _BOUNDARY.search(kind) if form == "multipart/form-data" else None
    if boundary is None:
        return ""
    body = await _read(receive, ahead, limits.CONSOLE_FORM_HEAD_BYTES)
    mark = b"--" + (boundary[1] or boundary[2]).encode("latin-1")
    for part in body.split(mark)[1:17]:
        head, gap, value = part.partition(b"\r\n\r\n")
        if gap and re.search(rb';\s*name="csrf"(?:;|\r|$)', head[:1024]):
            return value[:100].removesuffix(b"\r\n").decode("latin-1")
    return ""


async def _read(receive: Receive, ahead: list[Message], most: int | None) -> bytes:
    body = bytearray()
    while most is None or len(body) < most:
        message = await receive()
        ahead.append(message)
        if message["type"] != "http.request":
            break
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return bytes(body)
