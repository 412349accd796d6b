# SPDX-License-Identifier: Apache-2.0
"""Holders of keys, honest and not, and a listener to talk to."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from hitoku._core import __version__
from hitoku.room.agreement import Agreement
from hitoku.transport.https import tls
from hitoku.transport.https.app import Application, Served
from hitoku.transport.https.certificate import make_certificate
from hitoku.transport.https.listener import Listener
from hitoku.transport.parcels import Shelf

SECONDS = 60


@dataclass
class Party:
    """Somebody with a key and something to show."""

    key: Ed25519PrivateKey
    key_file: Path
    certificate: Path

    @property
    def public(self) -> str:
        return "ed25519:" + base64.b64encode(self.key.public_key().public_bytes_raw()).decode()

    def shows(self, pem: bytes) -> Party:
        """The same holder, with another certificate."""
        path = self.certificate.with_name(f"{len(list(self.certificate.parent.iterdir()))}.crt")
        path.write_bytes(pem)
        return Party(self.key, self.key_file, path)


def party(place: Path, name: str, key: Ed25519PrivateKey | None = None) -> Party:
    """Somebody whose certificate is as hitoku makes it."""
    made = key or Ed25519PrivateKey.generate()
    key_file, certificate = place / f"{name}.key", place / f"{name}.crt"
    key_file.write_bytes(pem_of(made))
    certificate.write_bytes(make_certificate(made))
    return Party(made, key_file, certificate)


def pem_of(key: Any) -> bytes:
    content: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return content


def read(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def forged(
    like: bytes,
    key: Any,
    signer: Any,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    ca: bool = False,
    issuer: str | None = None,
    subject: str | None = None,
) -> bytes:
    """A certificate that looks like another one, with another key, signer or dates. Returns PEM."""
    old = read(like)
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject if subject is None else name(subject))
        .issuer_name(old.issuer if issuer is None else name(issuer))
        .public_key(key.public_key())
        .serial_number(old.serial_number)
        .not_valid_before(since or old.not_valid_before_utc)
        .not_valid_after(until or old.not_valid_after_utc)
    )
    for extension in old.extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and ca:
            value = x509.BasicConstraints(ca=True, path_length=None)
        if isinstance(value, x509.KeyUsage) and ca:
            continue
        builder = builder.add_extension(value, extension.critical)
    return builder.sign(signer, None).public_bytes(Encoding.PEM)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@dataclass
class Outcome:
    """How a handshake ended: the key that each side believes to see, or why it does not."""

    client: str | Exception | None = None
    server: str | Exception | None = None
    told: bytes = b""


def shake(client: ssl.SSLContext, server: ssl.SSLContext) -> Outcome:
    """One handshake over a pair of sockets; the server then says a word."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.settimeout(SECONDS)
    outcome = Outcome()

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as connection:
                outcome.server = tls.peer_key(connection)
                connection.sendall(b"word")
        except Exception as error:
            outcome.server = error
        finally:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname="node.example") as connection:
            outcome.client = tls.peer_key(connection)
            outcome.told = connection.recv(10)
    except Exception as error:
        outcome.client = error
    finally:
        ours.close()
        thread.join(SECONDS)
    return outcome


class Heard:
    """A log that remembers."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def info(self, event: str, **facts: Any) -> None:
        self.events.append({"event": event, **facts})


@dataclass
class Listening:
    """A listener in a thread."""

    port: int
    room: str
    heard: Heard
    listener: Listener

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def path(self) -> str:
        return f"/rooms/{self.room}/messages"


@contextmanager
def listening(
    agreement: Agreement,
    me: str,
    party: Party,
    answer: Callable[[str, bytes], bytes],
    stop_runs: Callable[[], None] = lambda: None,
    shelf: Shelf | None = None,
    port: int = 0,
) -> Iterator[Listening]:
    """A listener of one member, for as long as the block runs."""
    bound = socket.create_server(("127.0.0.1", port), backlog=128)
    heard, ready = Heard(), threading.Event()
    served = Served(agreement, me, answer, shelf=shelf)
    application = Application({str(agreement.id): served}, __version__, heard)
    context = tls.server_context(party.certificate, party.key_file, [m.key for m in agreement.members])
    listener = Listener(application, context, bound, stop_runs, ready.set)
    thread = threading.Thread(target=lambda: asyncio.run(listener.serve()))
    thread.start()
    try:
        assert ready.wait(SECONDS)
        yield Listening(bound.getsockname()[1], str(agreement.id), heard, listener)
    finally:
        listener.should_exit = True
        thread.join(SECONDS)
        served.lanes.close()
        assert not thread.is_alive()


def connect(there: Listening, client: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection to a listener, past its handshake."""
    return client.wrap_socket(socket.create_connection(("127.0.0.1", there.port), SECONDS))


def rest(connection: socket.socket) -> bytes:
    """Everything that still comes, until the other side ends it; b"" where it breaks the connection."""
    parts = b""
    try:
        while piece := connection.recv(65_536):
            parts += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return parts
