# SPDX-License-Identifier: Apache-2.0
"""The desk: a listener of its own for who is invited, and the call to one.

The members' listener takes nobody whose key the room does not name, and stays so. Who is invited has no such
key yet, so a node that invites listens for it on another port, which knows one request (``POST /join``, one a
connection) and reaches nothing but `hitoku.node.desk`.

TLS here proves the inviter's key to the caller and nothing to the inviter: the caller takes the inviter's key
from the invitation (`tls.client_context`, the same as between members). Who calls is shown inside, by the
invitation's secret and a signature (`hitoku.room.invitations`). TLS 1.3 only, no tickets, as everywhere.

What a stranger can take: a handshake, `CONNECTIONS` connections for `SECONDS` each, 64 KiB of memory each,
and one thread that answers them in turn.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from hitoku import limits
from hitoku.errors import InputError, PeerError, SecretError
from hitoku.transport.https import bounds
from hitoku.transport.https.places import Networks

__all__ = ["Desk", "ask_desk", "desk_context"]

PATH: Final = "/join"
CONNECTIONS: Final = 32
SECONDS: Final = 30
"""For all of a connection after its handshake."""

_HEAD: Final = re.compile(
    rb"POST /join HTTP/1\.1\r\n((?:[!-9;-~]{1,64}:[ \t]*[\x20-\x7e]{0,512}\r\n){1,32})\r\n"
)
_LENGTH: Final = re.compile(rb"^content-length:[ \t]*([0-9]{1,6})[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_OTHER_LENGTH: Final = re.compile(rb"^(?:transfer-encoding|content-encoding):", re.IGNORECASE | re.MULTILINE)
_WORDS: Final = {200: "OK", 400: "Bad Request", 413: "Content Too Large", 503: "Service Unavailable"}


def desk_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """The desk's side of TLS: shows this member's key, and asks for none.

    Raises:
        SecretError: certificate or key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError):
        raise SecretError(f"{certificate}: does not fit {key.name}, or one of the two is damaged") from None
    return context


class Desk:
    """Takes requests of who is invited.

    Args:
        context: of `desk_context`.
        bound: a socket that is bound.
        answer: takes the bytes of a message, returns those of the answer; called by one thread.
        heard: told of each request: its size, the status, how large the answer was.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        bound: socket.socket,
        answer: Callable[[bytes], bytes],
        heard: Callable[[int, int, int], None],
    ) -> None:
        self._context, self._bound, self._answer, self._heard = context, bound, answer, heard
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hitoku-desk")
        self._connections = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(
            self._connected,
            sock=self._bound,
            ssl=self._context,
            limit=bounds.HEAD_BYTES,
            backlog=64,
            ssl_handshake_timeout=bounds.HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=bounds.SHUTDOWN_SECONDS,
        )

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= CONNECTIONS:
            writer.transport.abort()
            return
        self._connections += 1
        try:
            async with asyncio.timeout(SECONDS):
                await self._one(reader, writer)
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, RuntimeError):
            pass  # RuntimeError: the thread takes no more, for the node stops
        finally:
            self._connections -= 1
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _length(head)
        status, body = 400, b""
        if length is not None and length > limits.MAX_CONTROL_BYTES:
            status = 413
        elif length is not None:
            content = await reader.readexactly(length)
            body = await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, content)
            status = 200
        self._heard(length or 0, status, len(body))
        start = f"HTTP/1.1 {status} {_WORDS[status]}\r\ncontent-type: application/json\r\n"
        rest = f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        writer.write((start + rest).encode() + body)
        await writer.drain()


def _length(head: bytes) -> int | None:
    """The length of the body that the head of a request announces; None for any other head."""
    found = _HEAD.fullmatch(head)
    if found is None or _OTHER_LENGTH.search(found[1]):
        return None
    lengths = _LENGTH.findall(found[1])
    return int(lengths[0]) if len(lengths) == 1 else None


def ask_desk(
    address: str, inviter: str, certificate: Path, key: Path, content: bytes, networks: Networks
) -> bytes:
    """Send one message to the desk at an address, if the holder of the inviter's key is there.

    Args:
        address: ``https://host:port``.
        inviter: the inviter's public key, from the invitation.
        certificate: what this member's node shows, PEM; a desk does not ask for it.
        key: this member's private key, PEM.
        content: the message.
        networks: where the address may be: who wrote the invitation chose it.

    Raises:
        InputError: it is no address, or in no allowed network.
        PeerError: nobody answers, somebody else does, or the answer is no message.
    """
    import httpx

    from hitoku.transport.https.client import check_address
    from hitoku.transport.https.tls import client_context

    try:
        check_address(address)
    except ValueError as error:
        raise InputError(f"the invitation's address: {error}") from None
    place = networks.place(address)
    times = httpx.Timeout(bounds.CONNECT_SECONDS, read=SECONDS)
    transport = httpx.HTTPTransport(verify=client_context(certificate, key, inviter), trust_env=False)
    host = urlsplit(address).netloc
    headers = {"accept-encoding": "identity", "content-type": "application/json", "host": host}
    until = time.monotonic() + 2 * SECONDS
    try:
        with (
            httpx.Client(transport=transport, trust_env=False, timeout=times) as client,
            client.stream("POST", place + PATH, content=content, headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK or "content-encoding" in response.headers:
                raise PeerError(f"what answers at {address} takes no invitations (is the port right?)")
            parts = bytearray()
            for piece in response.iter_raw(bounds.PIECE_BYTES):
                parts += piece
                if len(parts) > limits.MAX_CONTROL_REFUSAL_BYTES or time.monotonic() > until:
                    raise PeerError(f"the inviter at {address} answers too much, or too slowly")
            return bytes(parts)
    except (httpx.TransportError, httpx.InvalidURL):
        # One sentence for all: else an invitation would tell what is at an address of its writer's choice.
        raise PeerError(
            f"the inviter cannot be reached at {address}: nobody there showed the key that is in the "
            "invitation, and nothing was sent. Check that its node runs and takes who is invited "
            "(`invitations` in its node.toml), and the way between the two machines"
        ) from None
