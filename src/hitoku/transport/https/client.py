# SPDX-License-Identifier: Apache-2.0
"""The network of a member whose others are on other machines: each message is one POST to the other's node.

`HttpsNetwork` is the network of one process with a wire in it: what is sent, what comes back and how errors
cross are the same code. What a member says to itself stays in its process.

What is sent again where the connection broke: whatever could not be sent at all; and, once, messages that are
idempotent, because a second one finds what the first left and answers the same (`IDEMPOTENT`). Never again: a
consent request, a run and a cancellation. Their run's id is used up by the first, so the second would be
refused, and the asker would take the refusal for the answer to the first.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import Field

from hitoku import limits
from hitoku.errors import PeerError
from hitoku.room.agreement import Agreement
from hitoku.room.consent import Hash
from hitoku.transport import messages
from hitoku.transport.https import bounds
from hitoku.transport.https.tls import Deadline, reading
from hitoku.transport.in_process import InProcessNetwork

if TYPE_CHECKING:
    import httpx

    from hitoku.transport.parcels import Shelf
    from hitoku.transport.sealed import SealingParcels

__all__ = ["IDEMPOTENT", "HttpsNetwork", "VersionGiven", "check_address"]

IDEMPOTENT: Final = frozenset(
    {
        "hitoku/head-request/1",  # reads
        "hitoku/arrived/1",  # the same one is kept once
        "hitoku/known-head/1",  # reads
        "hitoku/lookup/1",  # reads
        "hitoku/restore-proof/1",  # reads
        "hitoku/preview-request/1",  # reads
        "hitoku/room-request/1",  # reads
        "hitoku/settle/1",  # a run that is settled is not settled again, and the answer is the same
        "hitoku/deliver/1",  # writes the same answer to the same place
        "hitoku/begin/1",  # a run that has begun is not begun again, and the answer is the same
        "hitoku/run-wait/1",  # reads
        "hitoku/offer-tables/1",  # tables are sealed once for a run; then it reads
        "hitoku/sealing-key-request/1",  # a run has one key
        "hitoku/deliver-sealed/1",  # what is kept is not kept again, and the answer is the same
        "hitoku/attest-hello/1",  # begins another handshake; one that is not gone on with has no effect
        "hitoku/challenge/1",  # makes another challenge; each is answered once
        "hitoku/revoke-keys/1",  # keys that are revoked stay so, and the answer is the same
        "hitoku/offer-shares/1",  # tables are shared once for a run; then it reads
        "hitoku/shares-where/1",  # reads
        "hitoku/shares-wait/1",  # reads
        "hitoku/shares-stop/1",  # a run that is over stays so, and the answer is the same
        "hitoku/deliver-shares/1",  # what is kept is not kept again, and the answer is the same
        "hitoku/delete-keys/1",  # a tombstone is made once, and given again
        "hitoku/propose/1",  # a draft that is kept is not kept again, and the answer is the same
        "hitoku/signature/1",  # a signature that is there is put in its own place
        "hitoku/signed-request/1",  # reads
        "hitoku/withdraw/1",  # what is taken back stays so, and the answer is the same
    }
)
"""Messages that may be sent twice."""

_VERSION: Final = "version"
_KEPT: Final = "kept"
_ONCE: Final = "once"
_PARCELS: Final = "parcels"


class VersionGiven(messages.Message):
    """A node to a member of its room: what it runs, and which agreement it knows."""

    kind: Literal["hitoku/version-given/1"] = "hitoku/version-given/1"
    hitoku: messages.Text
    protocols: Annotated[list[Annotated[str, Field(pattern=r"^[0-9]{1,4}$")]], Field(max_length=64)]
    room: Hash
    version: Annotated[int, Field(ge=1, le=limits.MAX_ROOM_VERSIONS)]


class HttpsNetwork(InProcessNetwork):
    """One member's way to the others, over HTTPS. May be used by many threads at once.

    Args:
        me: the member whose network it is.
        agreement: the agreement in force, verified: the keys in it are who is called.
        peers: the other members' addresses, ``https://host:port``.
        certificate: what this node shows (`certificate.make_certificate`), PEM.
        key: the member's private key, PEM.
    """

    def __init__(
        self, me: str, agreement: Agreement, peers: Mapping[str, str], certificate: Path, key: Path
    ) -> None:
        super().__init__()
        self._me, self._agreement, self._peers = me, agreement, dict(peers)
        self._certificate, self._key = certificate, key
        self._clients: dict[tuple[str, str], httpx.Client] = {}
        self._dates: dict[str, datetime] = {}
        self._run_seconds = limits.RUN_SECONDS + agreement.release.interval_seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; later calls open new ones."""
        while self._clients:
            self._clients.popitem()[1].close()

    def parcels(self, member: str, shelf: Shelf) -> SealingParcels:
        """This member's way to what the others' nodes have ready; its own shelf its node serves."""
        from hitoku.transport.https.fetching import HttpsParcels

        del member, shelf
        return HttpsParcels(self)

    def carry(self, sender: str, receiver: str, content: bytes) -> bytes:
        """Deliver the bytes of a message. Returns the bytes of the answer.

        Raises:
            PeerError: the member cannot be reached, is another, or does not take the message.
        """
        if receiver == self._me:
            return super().carry(sender, receiver, content)
        if sender != self._me:
            raise PeerError(f"{self._me!r} does not speak for {sender!r}")
        kind = bounds.kind_of(content) or ""
        answer = self._again(receiver, "messages", content, kind)
        if bounds.kind_of(answer) == "hitoku/failed/1":
            self._other_version(receiver, kind, answer)
        return answer

    def _other_version(self, member: str, kind: str, answer: bytes) -> None:
        """Say so where a member failed because its hitoku is too old, or too new, for a message.

        Raises:
            PeerError: the member took no such message, and runs another version.
        """
        if messages.read(messages.Failed, messages.decode(answer, member), member).code != "PEER":
            return
        try:
            given = self.version(member)
        except PeerError:
            return
        if given.hitoku != _mine():
            raise PeerError(
                f"{member!r} failed at {kind}; it runs hitoku {given.hitoku}, this node hitoku {_mine()}: "
                "if one of them is too old for it, bring both to the same version",
                "VERSION",
            )

    def told_time(self, member: str) -> datetime | None:
        """A member's time, as its node told it with `version` the last time, in whole seconds."""
        return self._dates.get(member)

    def version(self, member: str) -> VersionGiven:
        """What a member's node runs and knows.

        Raises:
            PeerError: it cannot be reached, is another, or answers with something else.
        """
        content = self._again(member, _VERSION, None, _VERSION)
        return messages.read(VersionGiven, messages.decode(content, member), member)

    def _again(self, member: str, route: str, content: bytes | None, kind: str) -> bytes:
        import httpx

        twice = kind in IDEMPOTENT or content is None
        address = self._address(member)
        for left in (1, 0):
            try:
                client = self._client(member, _KEPT if twice else _ONCE)
                return self._send(client, address, member, route, content, kind)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                # Nothing was sent. A second try after a refused handshake would only be refused again.
                if left == 0 or _tls(error) or isinstance(error, httpx.PoolTimeout):
                    raise PeerError(_unreached(member, address, error)) from None
            except (httpx.TransportError, httpx.InvalidURL) as error:
                if left == 0 or not twice or _tls(error):
                    raise PeerError(_broken(member, address, error)) from None
        raise AssertionError("the second try returns or raises")

    def _send(
        self, client: httpx.Client, address: str, member: str, route: str, content: bytes | None, kind: str
    ) -> bytes:
        import httpx

        seconds = self._run_seconds if kind == bounds.RUN else bounds.REPLY_SECONDS
        most = limits.MAX_MESSAGE_BYTES if kind == bounds.RUN else limits.MAX_CONTROL_REFUSAL_BYTES
        times = httpx.Timeout(
            connect=bounds.CONNECT_SECONDS,
            pool=bounds.CONNECT_SECONDS,
            write=bounds.BODY_SECONDS,
            read=seconds,
        )
        headers = {"accept-encoding": "identity", "hitoku-protocol": bounds.PROTOCOL}
        if content is not None:
            headers["content-type"] = "application/json"
        url = f"{address}/rooms/{self._agreement.id}/{route}"
        method = "GET" if content is None else "POST"
        deadline = Deadline(time.monotonic() + seconds)
        with (
            reading(deadline),
            client.stream(method, url, content=content, headers=headers, timeout=times) as response,
        ):
            if response.status_code == httpx.codes.UPGRADE_REQUIRED and route != _VERSION:
                raise PeerError(self._protocols(member, address), "PROTOCOL")
            if response.status_code != httpx.codes.OK:
                raise PeerError(_status(member, address, response.status_code))
            if route == _VERSION:
                self._take_date(member, response.headers.get("date"))
            if "content-encoding" in response.headers:  # never unpacked: it could grow without bound
                raise PeerError(f"{member!r} answered with something that is no message")
            parts = bytearray()
            for piece in response.iter_raw(bounds.PIECE_BYTES):
                parts += piece
                if len(parts) > most:
                    raise PeerError(f"{member!r} sent a message larger than {most} bytes")
                deadline.until += len(piece) / bounds.BODY_BYTES_A_SECOND
                if time.monotonic() > deadline.until:
                    raise PeerError(f"{member!r} at {address} answers too slowly")
            return bytes(parts)

    def _protocols(self, member: str, address: str) -> str:
        """Why a member's node does not speak with this one: what both run."""
        try:
            given = self.version(member)
        except PeerError:
            return _status(member, address, 426)
        return (
            f"{member!r} at {address} runs hitoku {given.hitoku}, which speaks protocol "
            f"{' and '.join(given.protocols) or 'none'}; hitoku {_mine()} here speaks {bounds.PROTOCOL}: "
            "bring both to versions that speak the same"
        )

    def _take_date(self, member: str, said: str | None) -> None:
        with suppress(ValueError, TypeError, IndexError):
            self._dates[member] = parsedate_to_datetime(said or "").astimezone(UTC)

    def _address(self, member: str) -> str:
        if self._agreement.member(member) is None:
            raise PeerError(f"{member!r} is no member of this room")
        address = self._peers.get(member)
        if address is None:
            raise PeerError(
                f"{member!r} cannot be reached: its address is not known; "
                "add it to [rooms.peers] in node.toml"
            )
        return address.rstrip("/")

    @contextmanager
    def open(self, member: str, path: str, seconds: float, deadline: Deadline) -> Iterator[httpx.Response]:
        """Ask a member's node for something large, to be read while the block runs.

        Args:
            member: who is asked.
            path: of the address, below the room's.
            seconds: how long the answer, and each part of it, may take to begin.
            deadline: until when the head of the answer has to be here.

        Raises:
            PeerError: no address of it is known, or what answers at its address is another.
            httpx.TransportError: the connection cannot be made, or breaks.
        """
        import httpx

        address = self._address(member)
        times = httpx.Timeout(
            connect=bounds.CONNECT_SECONDS,
            pool=bounds.CONNECT_SECONDS,
            write=bounds.BODY_SECONDS,
            read=seconds,
        )
        headers = {"accept-encoding": "identity", "hitoku-protocol": bounds.PROTOCOL}
        url = f"{address}/rooms/{self._agreement.id}/{path}"
        client = self._client(member, _PARCELS)
        try:
            with ExitStack() as stack:
                with reading(deadline):
                    response = stack.enter_context(client.stream("GET", url, headers=headers, timeout=times))
                yield response
        except httpx.TransportError as error:
            if _another(error):
                raise PeerError(_unreached(member, address, error)) from None
            raise

    def why(self, member: str, error: Exception) -> str:
        """What to tell the user about a connection that could not be made, or broke, again and again."""
        import httpx

        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
            return _unreached(member, self._address(member), error)
        return _broken(member, self._address(member), error)

    def _client(self, member: str, use: str) -> httpx.Client:
        """A pool of connections to a member.

        A connection that was kept may be closed by the other side at any moment, and then nobody knows
        whether what was sent on it arrived. So only what may be sent twice goes over kept ones. Parcels have
        a pool of their own: waiting for many of them keeps no message waiting.
        """
        known = self._clients.get((member, use))
        if known is not None:
            return known
        import httpx

        from hitoku.transport.https.tls import client_context

        who = self._agreement.member(member)
        if who is None:
            raise PeerError(f"{member!r} is no member of this room")
        pool = httpx.Limits(
            max_connections=bounds.PARCELS_ASKED_A_MEMBER if use == _PARCELS else 32,
            max_keepalive_connections=0 if use == _ONCE else 8,
            keepalive_expiry=5,
        )
        transport = httpx.HTTPTransport(
            verify=client_context(self._certificate, self._key, who.key),
            limits=pool,
            trust_env=False,  # no proxy, no other trust
            socket_options=_socket_options(),
        )
        made = httpx.Client(transport=transport, trust_env=False, follow_redirects=False)
        kept = self._clients.setdefault((member, use), made)
        if kept is not made:
            made.close()
        return kept


def _mine() -> str:
    from hitoku._core import __version__

    return __version__


def _socket_options() -> list[tuple[int, int, int]]:
    """So that a peer that vanishes while it computes is noticed within some minutes."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, name):  # not everywhere
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


def _tls(error: BaseException) -> bool:
    text = str(error)
    return "SSL:" in text or "certificate" in text


def _another(error: BaseException) -> bool:
    """Whether the other side is not who it should be; to ask it again would not help."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error) or "does not carry" in str(error)


def _unreached(member: str, address: str, error: BaseException) -> str:
    """Why a member could not be reached; the words of `error` are the system's, and are not shown."""
    if _another(error):
        return (
            f"what answers at {address} is not {member!r}: it does not have the key that the room gives that "
            "member. Check the address in node.toml, and that both have the same version of the room"
        )
    if _tls(error):
        return _broken(member, address, error)
    return (
        f"{member!r} cannot be reached at {address}: check that its node runs (`hitoku node serve`), the "
        "address in node.toml, and the way between the two machines"
    )


def _broken(member: str, address: str, error: BaseException) -> str:
    if _tls(error):
        return (
            f"{member!r} at {address} did not accept this member's key, or does not speak TLS 1.3: check "
            "that its node knows the same version of the room, and was started again after the last one"
        )
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return f"{member!r} at {address} did not answer in time; whether it acted on the message is not known"
    # asyncio ends a handshake that it refuses without a word, so this may also be a key that is not known.
    return (
        f"the connection to {member!r} at {address} broke before it answered: its node was stopped, or does "
        "not accept this member's key (do both know the same version of the room?); whether it acted on the "
        "message is not known"
    )


_STATUS: Final = {
    404: "does not know this room, or this member in it: check that its node serves the room",
    408: "got the message too slowly",
    413: "takes no message of this size",
    426: "speaks another version of the protocol: one of the two nodes needs the newer hitoku",
    503: "is busy or shutting down: try again",
}


def _status(member: str, address: str, status: int) -> str:
    what = _STATUS.get(status, f"answered with the HTTP status {status}: is that address a node of hitoku?")
    return f"{member!r} at {address} {what}"


def check_address(text: str) -> str:
    """An address of a node: ``https://host`` or ``https://host:port``.

    Raises:
        ValueError: it is none.
    """
    import httpx

    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, TypeError):
        raise ValueError("not an address: https://host:port is expected") from None
    extra = url.userinfo or url.query or url.fragment or url.path != "/"
    if url.scheme != "https" or not url.host or extra or not 0 < (url.port or 443) < 65_536:
        raise ValueError("not an address: https://host:port is expected")
    return text.rstrip("/")
