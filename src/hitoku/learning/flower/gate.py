# SPDX-License-Identifier: Apache-2.0
"""What stands before a SuperLink's app: who may call what, how much, and when an answer is worth giving.

A stock SuperLink serves three interfaces on one port: Fleet (SuperNodes), Runtime (ServerApps) and Control
(who starts and stops runs, sends programs, reads logs). Without accounts Control is open to all who reach
the port. Behind the gate, Runtime and Control are only for our own server, which knows a secret; Fleet only
for nodes that a member signed (see `admission`), and of Fleet only the calls that carry messages: no program
can be fetched. Bodies are bounded, and their length must be said.

A stock SuperNode asks for messages every 3 seconds (`supernode/start_client_internal.py`), a stock server for
replies every 3 (`superlink/grid/http_grid.py`). Asking every few milliseconds would keep a processor busy. So
the gate holds a question for messages back until there is news since the same caller's last one, or until the
time the caller named has passed; whoever pushes the last object of a message says so. A caller that says it
wrongly wins nothing: the others ask once more, or wait out their time.

Flower's and Starlette's objects around a request refer to each other in circles, and hold its body until
Python's collector looks at its oldest generation, which in a large process is rarely: after 10 rounds of
10 MB a SuperLink held 1 GB. So the gate calls the collector after every 64 MiB of requests.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import hmac
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from hitoku.learning.flower.admission import MEMBER_HEADER, SIGNATURE_HEADER, admitted

__all__ = ["LAST_HEADER", "MEMBERS_PATH", "MOST_WAIT", "SECRET_HEADER", "WAIT_HEADER", "Gate"]

SECRET_HEADER: Final = "hitoku-secret"  # noqa: S105 - the name of the header
WAIT_HEADER: Final = "hitoku-wait"
LAST_HEADER: Final = "hitoku-last"
MEMBERS_PATH: Final = "/hitoku/members"
MOST_WAIT: Final = 10.0
_NODE_KEY: Final = "flwr-public-key"
_FLEET: Final = "/v1/fleet/"
_RUNTIME: Final = "/v1/runtime/"
_FLEET_CALLS: Final = frozenset(
    {
        "register-node",
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        "pull-messages",
        "push-messages",
        "pull-object",
        "push-object",
        "confirm-message-received",
    }
)
_KEPT_REPLACED: Final = 1_000
_COLLECT_BYTES: Final = 64 * 1024 * 1024
_MOST_KEY_CHARS: Final = 1_024

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _News:
    """A count that only grows, and a wait until it is more than a caller has seen."""

    def __init__(self) -> None:
        self._count = 0
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._more = asyncio.Condition()

    async def add(self) -> None:
        async with self._more:
            self._count += 1
            self._more.notify_all()

    async def wait(self, caller: str, seconds: float) -> None:
        seen = self._seen.get(caller, -1)
        if self._count <= seen and seconds > 0:
            async with self._more:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._more.wait_for(lambda: self._count > seen), seconds)
        self._seen[caller] = self._count
        self._seen.move_to_end(caller)
        while len(self._seen) > _KEPT_REPLACED:
            self._seen.popitem(last=False)


class Gate:
    """An ASGI app around a SuperLink's.

    Args:
        app: the SuperLink's app.
        secret: what our own server sends with each request.
        publics: the members' keys, as the room writes them.
        context: what a node's signature is bound to.
        most: the longest body of a request, in bytes.
    """

    def __init__(
        self, app: App, *, secret: str, publics: Mapping[str, str], context: bytes, most: int
    ) -> None:
        self._app = app
        self._secret = secret
        self._publics = dict(publics)
        self._context = context
        self._most = most
        self._members: OrderedDict[str, str] = OrderedDict()  # a node's key -> its member; the newest last
        self._replaced: OrderedDict[str, None] = OrderedDict()
        self._requests, self._replies = _News(), _News()
        self._passed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path: str = scope["path"]
        length = headers.get("content-length", "0" if scope["method"] == "GET" else "")
        if not (length.isascii() and length.isdigit() and len(length) < 16):
            await _answer(send, 411, {"detail": "say the length"})
        elif int(length) > self._most:
            await _answer(send, 413, {"detail": "too long"})
        elif path.startswith(_FLEET):
            await self._fleet(path.removeprefix(_FLEET), headers, scope, receive, send)
            self._collect(int(length))
        elif not hmac.compare_digest(headers.get(SECRET_HEADER, "").encode(), self._secret.encode()):
            await _answer(send, 404, {"detail": "not here"})
        elif path == MEMBERS_PATH:
            await _answer(send, 200, dict(self._members))
        else:
            if path == _RUNTIME + "pull-messages":
                await self._replies.wait("server", _seconds(headers))
            await self._app(scope, receive, send)
            if path == _RUNTIME + "push-object" and LAST_HEADER in headers:
                await self._requests.add()
            self._collect(int(length))

    def _collect(self, length: int) -> None:
        self._passed += length
        if self._passed > _COLLECT_BYTES:
            self._passed = 0
            gc.collect()

    async def _fleet(
        self, call: str, headers: Mapping[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        key = headers.get(_NODE_KEY, "")
        if call not in _FLEET_CALLS or not 0 < len(key) <= _MOST_KEY_CHARS:
            await _answer(send, 404, {"detail": "not here"})
        elif call == "register-node":
            await self._register(key, headers, scope, receive, send)
        elif key in self._replaced:
            await _answer(send, 409, {"detail": "another node of the same member took this one's place"})
        elif key not in self._members:
            await _answer(send, 401, {"detail": "unknown node"})
        else:
            if call == "pull-messages":
                await self._requests.wait(key, _seconds(headers))
            await self._app(scope, receive, send)
            if call == "push-object" and LAST_HEADER in headers:
                await self._replies.add()

    async def _register(
        self, key: str, headers: Mapping[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            raw = base64.b64decode(key, validate=True)
        except ValueError:
            raw = b""
        member = admitted(
            self._context,
            self._publics,
            raw,
            headers.get(MEMBER_HEADER, ""),
            headers.get(SIGNATURE_HEADER, ""),
        )
        if member is None:
            await _answer(send, 403, {"detail": "no member of this plan signed this node"})
            return
        status = 0

        async def noted(event: MutableMapping[str, Any]) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
                if status == 200:
                    self._place(key, member)
            await send(event)

        await self._app(scope, receive, noted)

    def _place(self, key: str, member: str) -> None:
        """The newest node of a member is its node; SuperLink has checked that it has the key."""
        for old in [old for old, name in self._members.items() if name == member and old != key]:
            del self._members[old]
            self._replaced[old] = None
        while len(self._replaced) > _KEPT_REPLACED:
            self._replaced.popitem(last=False)
        self._replaced.pop(key, None)
        self._members[key] = member


def _seconds(headers: Mapping[str, str]) -> float:
    text = headers.get(WAIT_HEADER, "0")
    try:
        seconds = float(text) if len(text) < 16 else 0.0
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), MOST_WAIT) if seconds == seconds else 0.0


async def _answer(send: Send, status: int, content: object) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status in (411, 413):
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
