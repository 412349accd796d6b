# SPDX-License-Identifier: Apache-2.0
"""Errors as pages, fragments or JSON. hitoku's own say what is wrong; of others only the type is logged."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from hitoku.console.context import NotFound
from hitoku.console.guard import NotSignedIn
from hitoku.errors import EngineError, HitokuError, InputError, LimitError, PeerError, Refusal, RoomError

__all__ = ["Forged", "Slow", "TooLarge", "Unexpected", "add", "answer", "is_api", "status_of"]


class Forged(Refusal):
    """A request that did not come from a page of this console."""

    def __init__(self) -> None:
        super().__init__(
            "FORGED",
            "this request did not come from a page of this console, or the page is too old",
            remedy="go back, load the page anew, and try again",
        )


class TooLarge(LimitError):
    """More was sent than is taken."""


class Slow(LimitError):
    """Too many attempts: wait.

    Attributes:
        seconds: how long.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, int(seconds + 0.999))
        super().__init__(f"too many attempts: try again in {self.seconds} seconds")


class Unexpected(HitokuError):
    """An error in hitoku itself."""

    def __init__(self) -> None:
        super().__init__("an error in hitoku itself; the node's log names its type and place")


class _NoSuchPage(NotFound):
    """Nothing is at this address, or not for this method."""


_STATUS: Final[tuple[tuple[type[HitokuError], int], ...]] = (
    (NotFound, 404),
    (NotSignedIn, 401),
    (TooLarge, 413),
    (InputError, 400),
    (RoomError, 409),
    (LimitError, 429),
    (PeerError, 502),
)


def status_of(error: HitokuError) -> int:
    """The HTTP status that an error has."""
    if isinstance(error, Refusal) and not isinstance(error, NotSignedIn):
        return 403 if error.code in {"NOT_ALLOWED", "FORGED"} else 422
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


_CODES: Final = {
    400: "INPUT",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "ROOM",
    413: "TOO_LARGE",
    422: "INVALID",
    429: "LIMIT",
    502: "PEER",
}
_AGAIN_SECONDS: Final = 10
"""After this long a program may try again where a limit was reached and nothing says when it ends."""


def coded(error: HitokuError, status: int) -> dict[str, Any]:
    """An error as the API says it: always with a code."""
    if status == 500 and not isinstance(error, EngineError):
        return {"error": "InternalError", "code": "INTERNAL", "message": str(error)}
    code = getattr(error, "code", None) or _CODES.get(status, "FAILED")
    # The name in hitoku's own tree of errors: a program knows no others.
    name = next(
        (k.__name__ for k in type(error).__mro__ if k.__module__ == HitokuError.__module__), "HitokuError"
    )
    return {**error.to_dict(), "error": name, "code": code}


def is_api(path: str) -> bool:
    """Whether a program asks, that gets JSON."""
    return path.startswith("/api/")


def answer(
    request: Request,
    error: HitokuError,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error as what the request wants: JSON, a fragment or a page.

    Whoever is not signed in is led to the sign-in page and from there back.
    """
    code = status or status_of(error)
    extra = dict(headers or {})
    if isinstance(error, Slow):
        extra["Retry-After"] = str(error.seconds)
    if is_api(request.url.path):
        if code == 401:
            extra["WWW-Authenticate"] = "Bearer"
        if code == 429:
            extra.setdefault("Retry-After", str(_AGAIN_SECONDS))
        return JSONResponse({"error": coded(error, code)}, status_code=code, headers=extra)
    fragment = request.headers.get("hx-request") == "true"
    if isinstance(error, NotSignedIn):
        back = request.url.path if request.method == "GET" and not fragment else "/"
        query = f"?{request.url.query}" if back != "/" and request.url.query else ""
        where = "/login" if back == "/" else f"/login?next={quote(back + query, safe='')}"
        if fragment:
            return Response(status_code=401, headers={**extra, "HX-Redirect": where})
        return RedirectResponse(where, 303, headers=extra)

    from hitoku.console.render import render

    user = getattr(request.state, "user", None)
    page = render(
        request,
        "error_part.html" if fragment else "error.html",
        user,
        status=code,
        kind=_kind(code),
        error=None if code == 500 else error,
        refusal=error if isinstance(error, Refusal) else None,
    )
    page.headers.update(extra)
    return page


def _kind(status: int) -> str:
    known = {400, 403, 404, 409, 413, 422, 429, 502}
    return f"error.{status}" if status in known else "error.500"


def unexpected(request: Request, error: BaseException) -> Response:
    """An error nobody raised on purpose: type and place are logged, never its words, which may quote data."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/hitoku/" in f.filename]
    place = f"{frames[-1].filename.rpartition('/hitoku/')[2]}:{frames[-1].lineno}" if frames else "?"
    request.app.state.context.log("console failed", type=type(error).__name__, at=place)
    return answer(request, Unexpected())


async def _hitoku(request: Request, error: Exception) -> Response:
    assert isinstance(error, HitokuError)  # noqa: S101 (registered for it)
    return answer(request, error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for it)
    found = _NoSuchPage("there is nothing at this address")
    if error.status_code in {404, 405}:
        return answer(request, found, status=error.status_code, headers=error.headers)
    if error.status_code < 500:
        return answer(request, InputError("the request cannot be understood"), headers=error.headers)
    return answer(request, Unexpected())


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (registered for it)
    wrong = [
        {"where": ".".join(str(part) for part in item["loc"])[:200], "type": str(item["type"])}
        for item in error.errors()[:16]
    ]
    names = ", ".join(sorted({str(item["where"]).rpartition(".")[2] for item in wrong}))
    said = InputError(f"cannot be used: {names}")
    if not is_api(request.url.path):
        return answer(request, said)
    shown: dict[str, Any] = {**coded(said, 422), "fields": wrong}
    return JSONResponse({"error": shown}, status_code=422)


def add(app: FastAPI) -> None:
    """Have an application answer its errors this way."""
    app.add_exception_handler(HitokuError, _hitoku)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
