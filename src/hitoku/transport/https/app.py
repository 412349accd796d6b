# SPDX-License-Identifier: Apache-2.0
"""The listener's HTTP, as an ASGI application: two routes a room, and nothing else.

``POST /rooms/<id>/messages`` takes one message and answers it, the same bytes that the network of one process
carries. ``GET /rooms/<id>/version`` says what this node runs. The sender is who holds the key that TLS proved
(`tls`), as the room names it; no field of a message and no header says who sends.

A body is bounded before it is read, by what its sender may send at all, and in time while it is read; then
the message's own kind bounds it again (`messages.decode`). Errors here are a status and a code; nothing of a
request is ever repeated in an answer or a log. The application is plain ASGI: a framework would read bodies
before we can bound them, and would have nothing to validate that `messages` does not.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from hitoku.room.agreement import Ability, Agreement
from hitoku.room.canonical import agreement_hash
from hitoku.transport.https import bounds
from hitoku.transport.https.client import VersionGiven
from hitoku.transport.https.lanes import Busy, Lanes
from hitoku.transport.messages import Failed, encode

__all__ = ["Application", "Log", "Served"]

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_PATH: Final = re.compile(rb"/rooms/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(messages|version)")
_METHOD: Final = {"messages": "POST", "version": "GET"}


class Log(Protocol):
    """Hears what happened: an event's name and facts that are no data."""

    def info(self, event: str, **facts: Any) -> Any:
        """Something happened."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """A room as this node serves it.

    Attributes:
        agreement: the agreement in force, verified.
        me: the member whose node this is.
        answer: takes the sender and the bytes of a message, returns the bytes of the answer; from any thread.
        lanes: the threads that call `answer`.
    """

    agreement: Agreement
    me: str
    answer: Callable[[str, bytes], bytes]
    lanes: Lanes = field(default_factory=Lanes)

    def sender(self, key: str) -> str | None:
        """The member with that key; no two members of a room have the same."""
        return next((m.name for m in self.agreement.members if m.key == key), None)

    def most(self, sender: str) -> int:
        """How many bytes a message of that member may have at most: answers come from hosts only."""
        who, me = self.agreement.member(sender), self.agreement.member(self.me)
        gives = who is not None and Ability.HOST in who.abilities
        takes = me is not None and Ability.RECEIVE in me.abilities
        return bounds.MOST_BY_HOST if gives and takes else bounds.MOST_BY_MEMBER


class _Stop(Exception):
    """The request ends here, with a status and a code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class Application:
    """The ASGI application of a node.

    Args:
        rooms: what is served, by room id.
        hitoku: the version of hitoku that runs here.
        log: hears of each request.
    """

    def __init__(self, rooms: Mapping[str, Served], hitoku: str, log: Log) -> None:
        self._rooms, self._hitoku, self._log = dict(rooms), hitoku, log
        self._large = asyncio.Semaphore(bounds.LARGE_AT_ONCE)
        self.stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began = time.monotonic()
        facts: dict[str, Any] = {}
        try:
            status, content = 200, await self._answer(scope, receive, facts)
        except _Stop as stop:
            status, content = stop.status, encode(Failed(code=stop.code).model_dump())
        except Exception as error:  # its words may quote a message: only its type is told, and only here
            facts["error"] = type(error).__name__
            status, content = 500, encode(Failed(code="INTERNAL").model_dump())
        facts |= {"status": status, "answer": bounds.kind_of(content), "bytes": len(content)}
        try:
            await self._reply(send, status, content)
        except TimeoutError:
            facts["error"] = "read too slowly"
            scope["state"]["connection"].abort()
        self._log.info("request", **facts, seconds=round(time.monotonic() - began, 3))

    async def _answer(self, scope: Scope, receive: Receive, facts: dict[str, Any]) -> bytes:
        room, sender, route = self._route(scope)
        facts |= {"room": str(room.agreement.id), "sender": sender, "route": route}
        headers = _headers(scope)
        if headers.get(b"hitoku-protocol") != bounds.PROTOCOL.encode():
            raise _Stop(426, "PROTOCOL")
        if self.stopping:
            raise _Stop(503, "STOPPING")
        if route == "version":
            return encode(self._version(room).model_dump(mode="json"))
        if headers.get(b"content-type") != b"application/json" or b"content-encoding" in headers:
            raise _Stop(415, "CONTENT_TYPE")
        declared = _declared(headers)
        most = room.most(sender)
        if declared is not None and declared > most:
            raise _Stop(413, "TOO_LARGE")
        content = await self._body(receive, most)
        kind = bounds.kind_of(content)
        facts |= {"kind": kind, "received": len(content)}
        if kind is None:
            # Also well-formed JSON whose kind stands elsewhere: the lane must be known before it is parsed.
            raise _Stop(400, "PEER")
        try:
            return await room.lanes.of(kind).answer(sender, lambda: room.answer(sender, content))
        except Busy:
            raise _Stop(503, "BUSY") from None
        except asyncio.CancelledError:
            if self.stopping:  # the lane was closed before the message's turn came
                raise _Stop(503, "STOPPING") from None
            raise

    def _route(self, scope: Scope) -> tuple[Served, str, str]:
        """The room, the sender in it, and what is wanted; who is no member cannot tell which rooms exist."""
        found = _PATH.fullmatch(scope["raw_path"])
        if found is None or scope["query_string"]:
            raise _Stop(404, "NOT_FOUND")
        room = self._rooms.get(found[1].decode())
        key = scope["state"]["key"]
        sender = None if room is None or key is None else room.sender(key)
        if room is None or sender is None:
            raise _Stop(404, "NOT_FOUND")
        route = found[2].decode()
        if scope["method"] != _METHOD[route]:
            raise _Stop(405, "METHOD")
        return room, sender, route

    def _version(self, room: Served) -> VersionGiven:
        return VersionGiven(
            hitoku=self._hitoku,
            protocols=[bounds.PROTOCOL],
            room=agreement_hash(room.agreement),
            version=room.agreement.version,
        )

    async def _body(self, receive: Receive, most: int) -> bytes:
        """A body of at most `most` bytes, in time."""
        content = bytearray()
        loop = asyncio.get_running_loop()
        until = loop.time() + bounds.BODY_SECONDS
        large = False
        try:
            while True:
                try:
                    async with asyncio.timeout_at(until):
                        event = await receive()
                except TimeoutError:
                    raise _Stop(408, "TOO_SLOW") from None
                if event["type"] != "http.request":
                    raise _Stop(400, "DISCONNECTED")
                piece = event.get("body", b"")
                content += piece
                until += len(piece) / bounds.BODY_BYTES_A_SECOND
                if len(content) > most:
                    raise _Stop(413, "TOO_LARGE")
                if not event.get("more_body", False):
                    return bytes(content)
                if not large and len(content) > bounds.MOST_BY_MEMBER:
                    try:
                        async with asyncio.timeout(bounds.BODY_SECONDS):
                            large = await self._large.acquire()
                    except TimeoutError:
                        raise _Stop(503, "BUSY") from None
                    until = loop.time() + bounds.BODY_SECONDS
        finally:
            if large:
                self._large.release()

    async def _reply(self, send: Send, status: int, content: bytes) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"cache-control", b"no-store"),
            (b"hitoku-protocol", bounds.PROTOCOL.encode()),
        ]
        if status != 200:
            # What is left of the body is not read.
            headers.append((b"connection", b"close"))
        async with asyncio.timeout(bounds.BODY_SECONDS):
            await send({"type": "http.response.start", "status": status, "headers": headers})
        for start in range(0, len(content), bounds.PIECE_BYTES):
            piece = content[start : start + bounds.PIECE_BYTES]
            more = start + bounds.PIECE_BYTES < len(content)
            async with asyncio.timeout(bounds.BODY_SECONDS):
                await send({"type": "http.response.body", "body": piece, "more_body": more})


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """The headers; none may come twice, for then readers could differ about which one counts."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in headers:
            raise _Stop(400, "HEADERS")
        headers[name] = value
    return headers


def _declared(headers: Mapping[bytes, bytes]) -> int | None:
    length = headers.get(b"content-length")
    if length is not None and (b"transfer-encoding" in headers or not re.fullmatch(rb"[0-9]{1,12}", length)):
        raise _Stop(400, "HEADERS")
    return None if length is None else int(length)
