# SPDX-License-Identifier: Apache-2.0
"""The HTTP of the client: the token, TLS off loopback, bounded bodies, and what is tried again.

Only a GET is sent again, and a POST that carries an idempotency key: the node knows a repeated one by it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import ssl
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from hitoku import limits
from hitoku.client.errors import rebuilt
from hitoku.errors import HitokuError, InputError, LimitError, PeerError, SecretError

__all__ = ["Door", "token_of"]

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{8,512}")
_BODY_BYTES: Final = 2 * limits.MAX_MESSAGE_BYTES  # an answer as JSON: base64 of rows and bands
_ERROR_BYTES: Final = 4 * 1024 * 1024
_TRIES: Final = 4
_PAUSE_SECONDS: Final = 0.25
_MOST_PAUSE_SECONDS: Final = 10.0
_AGAIN: Final = frozenset({429, 502, 503, 504})
_LINE_BYTES: Final = 4 * 1024 * 1024


def token_of(token: str | None, token_file: str | Path | None) -> str:
    """The user's token: as given, from a file that only this user can read, or from ``HITOKU_TOKEN``.

    Raises:
        InputError: both a token and a file are given.
        SecretError: there is none, or what is there is none.
    """
    if token is not None and token_file is not None:
        raise InputError("say either token or token_file")
    if token_file is not None:
        from hitoku.room.private import read_private

        token = read_private(Path(token_file), "the token").decode("ascii", "replace").strip()
    elif token is None:
        token = os.environ.get("HITOKU_TOKEN", "").strip()
        if not token:
            raise SecretError(
                "there is no token: make one with `hitoku user token`, and give it as HITOKU_TOKEN or in "
                "token_file"
            )
    if not _TOKEN.fullmatch(token):
        raise SecretError("this is no token: a token is one word of letters, digits and signs")
    return token


class _Bearer(httpx.Auth):
    """Puts the token into requests; unlike a header of the client, it is in no representation of it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class Door:
    """The way to one node's API.

    Args:
        url: the console's address, as a browser has it.
        token: the user's.
        verify: a file with the certificate, or the authority, that the node's certificate is checked
            against; the machine's authorities where None.

    Raises:
        InputError: `url` is not one that a token may be sent to.
    """

    def __init__(self, url: str, token: str, verify: str | Path | None) -> None:
        base = _checked(url)
        self.url = str(base).rstrip("/")
        secure = base.scheme == "https"
        self._client = httpx.Client(
            base_url=f"{self.url}/api/v1/",
            auth=_Bearer(token),
            verify=_context(verify) if secure else False,  # there is no TLS on loopback
            trust_env=secure,  # no proxy stands before loopback
            follow_redirects=False,
            timeout=httpx.Timeout(30.0, connect=10.0),
            headers={"User-Agent": "hitoku-python"},
        )

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """A resource, as JSON."""
        return self._json("GET", path, params=_given(params))

    def post(
        self, path: str, data: Any = None, *, key: str | None = None, seconds: float | None = None
    ) -> Any:
        """What a POST gives, as JSON.

        Args:
            path: under ``/api/v1/``.
            data: the body, JSON-ready.
            key: an idempotency key; with it the request is sent again where no answer came.
            seconds: how long the node may take to answer.
        """
        headers = {} if key is None else {"Idempotency-Key": key}
        more: dict[str, Any] = {} if seconds is None else {"timeout": httpx.Timeout(seconds, connect=10.0)}
        return self._json("POST", path, key is not None, json=data, headers=headers, **more)

    def lines(self, path: str, seconds: float) -> Iterator[str]:
        """The lines of a stream of events; ends where the node ends it.

        Raises:
            PeerError: the stream broke off, or is none.
            HitokuError: what the node answers instead.
        """
        asked = {"Accept": "text/event-stream"}
        limit = httpx.Timeout(seconds, connect=10.0)
        try:
            with self._client.stream("GET", path, headers=asked, timeout=limit) as response:
                if response.status_code != 200:
                    raise _error(response, _body(response, _ERROR_BYTES))
                yield from _lines(response)
        except httpx.HTTPError as error:
            raise self._broken(error) from None

    def _json(self, method: str, path: str, again: bool = False, **more: Any) -> Any:
        headers = {"Accept": "application/json", **more.pop("headers", {})}
        if path.endswith("/answer"):
            headers["Accept"] = "application/vnd.hitoku.answer+json"
        content = self._tried(method, path, again or method == "GET", headers=headers, **more)
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise PeerError(f"{self.url} answers with something else than JSON", "BAD_RESPONSE") from None

    def _tried(self, method: str, path: str, again: bool, **more: Any) -> bytes:
        for left in range(_TRIES - 1, -1, -1):
            pause = _PAUSE_SECONDS * 2 ** (_TRIES - 1 - left)
            failed: HitokuError
            try:
                with self._client.stream(method, path, **more) as response:
                    content = _body(response, _BODY_BYTES if response.is_success else _ERROR_BYTES)
                    if response.is_success:
                        return content
                failed = _error(response, content)
                if response.status_code not in _AGAIN or (response.status_code == 429 and method != "GET"):
                    raise failed  # a quota of questions is nothing to wait for unasked
                pause = max(pause, _retry_after(response))
            except httpx.HTTPError as error:
                failed = self._broken(error)
            if not again or not left or pause > _MOST_PAUSE_SECONDS:
                raise failed
            time.sleep(pause)
        raise AssertionError  # the loop returns or raises

    def _broken(self, error: httpx.HTTPError) -> PeerError:
        kind = "took too long" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
        certificate = "CERTIFICATE_VERIFY_FAILED" in str(error)
        why = " (its certificate is not trusted: name it with verify=)" if certificate else ""
        return PeerError(f"the node at {self.url} {kind}{why}", "UNREACHABLE")


def _checked(url: str) -> httpx.URL:
    try:
        found = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        raise InputError("url is the console's address, e.g. https://console.example:8480") from None
    if found.scheme not in {"http", "https"} or not found.host or found.userinfo or found.query:
        raise InputError("url is the console's address, e.g. https://console.example:8480")
    if found.scheme == "http" and not _loopback(found.host):
        raise InputError("off this machine the address begins with https://: the token would be readable")
    return found


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _context(verify: str | Path | None) -> ssl.SSLContext:
    if verify is not None and not isinstance(verify, str | Path):
        raise InputError("verify names a file of certificates: the check is never left out")
    try:
        context = ssl.create_default_context(cafile=None if verify is None else str(verify))
    except (OSError, ssl.SSLError):
        raise InputError(f"{verify}: no file of certificates") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _given(params: Mapping[str, Any] | None) -> dict[str, Any]:
    return {k: v for k, v in (params or {}).items() if v is not None}


def _body(response: httpx.Response, most: int) -> bytes:
    parts, size = [], 0
    for part in response.iter_bytes():
        size += len(part)
        if size > most:
            raise LimitError(f"the node's answer is longer than {most} bytes")
        parts.append(part)
    return b"".join(parts)


def _lines(response: httpx.Response) -> Iterator[str]:
    rest = b""
    for part in response.iter_bytes():
        *whole, rest = (rest + part).split(b"\n")
        if len(rest) > _LINE_BYTES:
            raise LimitError(f"an event is longer than {_LINE_BYTES} bytes")
        for line in whole:
            yield line.rstrip(b"\r").decode("utf-8", "replace")


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def _error(response: httpx.Response, content: bytes) -> HitokuError:
    if response.status_code == 421:
        said = "this console is known by another address: connect to the one that its node.toml says as url"
        return PeerError(said, "ANOTHER_ADDRESS")
    try:
        data = json.loads(content)
        found = data.get("error") if isinstance(data, dict) else None
    except (ValueError, RecursionError):
        found = None
    return rebuilt(found, response.status_code)
