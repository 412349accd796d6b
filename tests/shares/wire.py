# SPDX-License-Identifier: Apache-2.0
"""The session protocol between servers, written again in Python: what a peer may say, rightly or not.

A `Raw` peer has a member's certificate and speaks TLS by the standard library, so tests can play a server
that lies at any step. Messages and keys are those that `rust/src/shares/session.rs` and `frame.rs` describe.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hitoku.transport.https.certificate import make_certificate

MAGIC = b"hitoku/shares/1\0"
HELLO, KEY, PROOF, REFUSED = 1, 2, 3, 4
REASONS = {0: "hello", 1: "certificate", 2: "aborted"}
PIECE = 256 << 10
LAST = 1 << 31
ABORT = 1 << 30
SECONDS = 20.0


class Server:
    """A server's key, with the files that TLS wants."""

    def __init__(self, folder: Path, name: str) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.certificate = make_certificate(self.key)
        self.key_pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = base64.b64encode(self.key.public_key().public_bytes_raw()).decode()
        self.public = f"ed25519:{public}"
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.certificate + self.key_pem)


def client_context(server: Server | None) -> ssl.SSLContext:
    """TLS that dials as `server`, or without a certificate, and believes whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if server is not None:
        context.load_cert_chain(server.file)
    return context


def server_context(server: Server) -> ssl.SSLContext:
    """TLS that answers as `server` and believes whoever dials, without asking for a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.file)
    return context


def hello(run: bytes, program: bytes, index: int, peer: int, nonce: bytes | None = None) -> bytes:
    """The bytes of a hello."""
    return MAGIC + run + program + bytes([index, peer]) + (nonce or os.urandom(32))


def frames(message: bytes) -> bytes:
    """A message in pieces."""
    pieces = [message[at : at + PIECE] for at in range(0, len(message), PIECE)]
    return b"".join(
        struct.pack("<I", len(piece) | (LAST if at + 1 == len(pieces) else 0)) + piece
        for at, piece in enumerate(pieces)
    )


class Refused(Exception):
    """The other side said no; args: its reason."""


class Raw:
    """One end of a session, by hand."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock

    @classmethod
    def dial(cls, port: int, server: Server | None) -> Raw:
        plain = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        return cls(client_context(server).wrap_socket(plain))

    def send(self, kind: int, body: bytes) -> None:
        self.sock.sendall(bytes([kind]) + body)

    def read(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            more = self.sock.recv(size - len(got))
            if not more:
                raise ConnectionError("closed")
            got += more
        return got

    def receive(self, kind: int, size: int) -> bytes:
        came = self.read(1)[0]
        if came == REFUSED:
            raise Refused(REASONS[self.read(1)[0]])
        assert came == kind
        return self.read(size)

    def join(self, run: bytes, program: bytes, index: int, peer: int) -> bytes:
        """All of the dialler's side, done rightly. The key of the pair."""
        mine = hello(run, program, index, peer)
        self.send(HELLO, mine)
        theirs = self.receive(HELLO, len(mine))
        assert theirs[:-32] == hello(run, program, peer, index)[:-32]
        drawn = os.urandom(32)
        self.send(KEY, drawn)
        key = pair_key(drawn, mine, theirs)
        assert self.receive(PROOF, 32) == proof(key, theirs)
        self.send(PROOF, proof(key, mine))
        return key

    def ended(self) -> str:
        """How the other side ended it: "refused ...", "closed"."""
        try:
            kind = self.read(1)[0]
            return f"refused {REASONS[self.read(1)[0]]}" if kind == REFUSED else f"kind {kind}"
        except OSError:
            return "closed"

    def close(self) -> None:
        with suppress(OSError):
            self.sock.close()


def pair_key(drawn: bytes, dialler: bytes, listener: bytes) -> bytes:
    """The key that both ends share."""
    return hmac.digest(drawn, b"hitoku/shares pair key/1\0" + dialler + listener, hashlib.sha256)


def proof(key: bytes, sender: bytes) -> bytes:
    """What shows that one has the key."""
    return hmac.digest(key, b"hitoku/shares proof/1\0" + sender, hashlib.sha256)


class Tap:
    """Stands between a dialler and a port, passes bytes on and keeps what the dialler sent."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.sent = bytearray()
        self.pairs: list[tuple[socket.socket, socket.socket]] = []

    def run(self) -> None:
        """Serves one connection after another until closed; for a thread."""
        from threading import Thread

        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target), timeout=SECONDS)
                self.pairs.append((near, far))
                Thread(target=self._pump, args=(near, far, self.sent), daemon=True).start()
                Thread(target=self._pump, args=(far, near, None), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, keep: bytearray | None) -> None:
        with suppress(OSError):
            while got := source.recv(1 << 16):
                if keep is not None:
                    keep += got
                target.sendall(got)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        close_all([self.listener, *(end for pair in self.pairs for end in pair)])


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Closes sockets, whatever state they are in."""
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            one.close()
