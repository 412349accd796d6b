# SPDX-License-Identifier: Apache-2.0
"""The listener's HTTP, as an ASGI application: three routes a room, and nothing else.

``POST /rooms/<id>/messages`` takes one message and answers it, the same bytes that the network of one process
carries. ``GET /rooms/<id>/version`` says what this node runs. ``GET /rooms/<id>/parcels/...`` sends bulk data
(`parcels`). The sender is who holds the key that TLS proved (`tls`), as the room names it; no field of a
message and no header says who sends.

A body is bounded before it is read, by what its sender may send at all, and in time while it is read; then
the message's own kind bounds it again (`messages.decode`). Errors here are a status and a code; nothing of a
request is ever repeated in an answer or a log. The application is plain ASGI: a framework would read bodies
before we can bound them, and would have nothing to validate that `messages` does not.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from hitoku.room.agreement import Ability, Agreement
from hitoku.room.canonical import agreement_hash
from hitoku.transport.https import bounds
from hitoku.transport.https.asgi import (
    JSON,
    TOO_SLOW,
    Receive,
    Scope,
    Send,
    Stop,
    declared,
    headers_of,
    send_body,
    start,
)
from hitoku.transport.https.client import VersionGiven
from hitoku.transport.https.lanes import Busy, Lanes
from hitoku.transport.https.parcels import ParcelRoute, Wanted
from hitoku.transport.messages import Failed, encode
from hitoku.transport.parcels import Shelf

__all__ = ["Application", "Log", "Served"]

_PATH: Final = re.compile(
    rb"/rooms/(?P<room>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/"
    rb"(?P<route>messages|version|parcels"
    rb"(?:/(?P<run>[0-9a-f]{32})/(?P<name>[a-z0-9-]{1,32})/(?P<sequence>0|[1-9][0-9]{0,8})))"
)


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
        lanes: the threads that call `answer`, and those that read from `shelf`.
        shelf: the parcels that are ready for other members; None where there are none, ever.
    """

    agreement: Agreement
    me: str
    answer: Callable[[str, bytes], bytes]
    lanes: Lanes = field(default_factory=Lanes)
    shelf: Shelf | None = None

    def sender(self, key: str) -> str | None:
        """The member with that key; no two members of a room have the same."""
        return next((m.name for m in self.agreement.members if m.key == key), None)

    def most(self, sender: str) -> int:
        """How many bytes a message of that member may have at most: answers come from who computes them."""
        who, me = self.agreement.member(sender), self.agreement.member(self.me)
        gives = who is not None and (
            bool({Ability.HOST, Ability.COMPUTE} & set(who.abilities))
            or (self.agreement.crosstab is not None and sender in self.agreement.owners())
        )
        takes = me is not None and Ability.RECEIVE in me.abilities
        return bounds.MOST_BY_HOST if gives and takes else bounds.MOST_BY_MEMBER


class Application:
    """The ASGI application of a node.

    Args:
        rooms: what is served, by room id; another may be put in its place while it serves.
        hitoku: the version of hitoku that runs here.
        log: hears of each request.
        now: the time, which is told with the version.
    """

    def __init__(
        self,
        rooms: Mapping[str, Served],
        hitoku: str,
        log: Log,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.rooms, self._hitoku, self._log, self._now = dict(rooms), hitoku, log, now
        self._large = asyncio.Semaphore(bounds.LARGE_AT_ONCE)
        self._parcels = ParcelRoute(lambda: self.stopping)
        self.stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began = time.monotonic()
        facts: dict[str, Any] = {"request": secrets.token_hex(8)}
        answer: tuple[int, bytes] | None
        try:
            answer = await self._answer(scope, receive, send, facts)
        except Stop as stop:
            answer = stop.status, encode(Failed(code=stop.code).model_dump())
        except Exception as error:  # its words may quote a message: only its type is told, and only here
            facts["error"] = type(error).__name__
            answer = 500, encode(Failed(code="INTERNAL").model_dump())
        try:
            if answer is not None:
                await self._reply(send, *answer, facts)
        except TimeoutError:
            facts["error"] = TOO_SLOW
            scope["state"]["connection"].abort()
        self._log.info("request", **facts, seconds=round(time.monotonic() - began, 3))

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, facts: dict[str, Any]
    ) -> tuple[int, bytes] | None:
        """The status and the body; None where the answer has been sent already."""
        room, sender, path = self._route(scope)
        route = path["route"].partition("/")[0]
        facts |= {"room": str(room.agreement.id), "sender": sender, "route": route}
        headers = headers_of(scope)
        # What this node runs is told to every version, so that who cannot talk to it can say why.
        if headers.get(b"hitoku-protocol") != bounds.PROTOCOL.encode() and route != "version":
            raise Stop(426, "PROTOCOL")
        if self.stopping:
            raise Stop(503, "STOPPING")
        if route == "version":
            return 200, encode(self._version(room).model_dump(mode="json"))
        if route == "parcels":
            run, name, number = path["run"], path["name"], int(path["sequence"])
            wanted = Wanted(
                room.shelf, room.lanes.files, sender, run, name, number, scope["state"]["connection"]
            )
            return await self._parcels.answer(wanted, send, facts)
        if headers.get(b"content-type") != JSON or b"content-encoding" in headers:
            raise Stop(415, "CONTENT_TYPE")
        length = declared(headers)
        most = room.most(sender)
        if length is not None and length > most:
            raise Stop(413, "TOO_LARGE")
        content = await self._body(receive, most)
        kind = bounds.kind_of(content)
        facts |= {"kind": kind, "received": len(content)}
        if kind is None:
            # Also well-formed JSON whose kind stands elsewhere: the lane must be known before it is parsed.
            raise Stop(400, "PEER")
        try:
            return 200, await room.lanes.of(kind).answer(sender, lambda: room.answer(sender, content))
        except Busy:
            raise Stop(503, "BUSY") from None
        except asyncio.CancelledError:
            if self.stopping:  # the lane was closed before the message's turn came
                raise Stop(503, "STOPPING") from None
            raise

    def _route(self, scope: Scope) -> tuple[Served, str, dict[str, str]]:
        """The room, the sender in it, and what is wanted; who is no member cannot tell which rooms exist."""
        found = _PATH.fullmatch(scope["raw_path"])
        if found is None or scope["query_string"]:
            raise Stop(404, "NOT_FOUND")
        path = {name: part.decode() for name, part in found.groupdict().items() if part is not None}
        room = self.rooms.get(path["room"])
        key = scope["state"]["key"]
        sender = None if room is None or key is None else room.sender(key)
        if room is None or sender is None:
            raise Stop(404, "NOT_FOUND")
        if scope["method"] != ("POST" if path["route"] == "messages" else "GET"):
            raise Stop(405, "METHOD")
        return room, sender, path

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
                    raise Stop(408, "TOO_SLOW") from None
                if event["type"] != "http.request":
                    raise Stop(400, "DISCONNECTED")
                piece = event.get("body", b"")
                content += piece
                until += len(piece) / bounds.BODY_BYTES_A_SECOND
                if len(content) > most:
                    raise Stop(413, "TOO_LARGE")
                if not event.get("more_body", False):
                    return bytes(content)
                if not large and len(content) > bounds.MOST_BY_MEMBER:
                    try:
                        async with asyncio.timeout(bounds.BODY_SECONDS):
                            large = await self._large.acquire()
                    except TimeoutError:
                        raise Stop(503, "BUSY") from None
                    until = loop.time() + bounds.BODY_SECONDS
        finally:
            if large:
                self._large.release()

    async def _reply(self, send: Send, status: int, content: bytes, facts: dict[str, Any]) -> None:
        facts |= {"status": status, "answer": bounds.kind_of(content), "bytes": len(content)}
        nothing = status == 204
        now = self._now() if facts.get("route") == "version" and status == 200 else None
        await start(send, status, None if nothing else JSON, None if nothing else len(content), now)
        await send_body(send, content, last=True)
