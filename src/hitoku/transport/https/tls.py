# SPDX-License-Identifier: Apache-2.0
"""TLS contexts that accept members of a room and nobody else, by key.

Claim: after a handshake, the other side holds the private key of a member of the room (a client: of the one
member it called), and `peer_key` says which. Argument, under the assumptions that Ed25519 is unforgeable and
OpenSSL does TLS 1.3 right:

1. OpenSSL accepts a certificate only with a path to one of the anchors made by `certificate.anchor`, and
   each side demands one (CERT_REQUIRED). So a member's key has signed it.
2. Our own check, which is part of the handshake (`do_handshake`), accepts it only if it carries one of the
   keys wanted, and is signed by that key. A key that a member merely vouches for is not enough.
3. TLS 1.3 proves possession: CertificateVerify signs the transcript with the key in the certificate
   (RFC 8446, section 4.4.3). The transcript holds both sides' fresh values, so a proof cannot be carried over
   from another connection (the signed context string keeps a server's proof from being a client's).
4. Nothing goes round a full handshake: no tickets are given, so there is no resumption (section 4.6.1) and no
   early data; TLS 1.3 has no renegotiation (section 4.1.2), and older versions are not spoken.

Whoever connects without a certificate can still have the server's shown, which tells a public key, no name.
"""

from __future__ import annotations

import errno
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from hitoku.errors import SecretError
from hitoku.transport.https.certificate import anchor, carried_key

__all__ = ["Deadline", "admit", "client_context", "peer_key", "reading", "server_context"]

_REFUSED: Final = "the certificate does not carry the key that the room gives the member"
_NOT_CONNECTED: Final = frozenset({errno.ENOTCONN, errno.EINVAL})


class Deadline:
    """A moment (of `time.monotonic`) that may move."""

    def __init__(self, until: float) -> None:
        self.until = until


_now = threading.local()


@contextmanager
def reading(deadline: Deadline) -> Iterator[None]:
    """While the block runs, this thread reads from blocking connections until `deadline`, and no longer.

    A socket's own time limit begins anew with each byte, and what reads HTTP asks for more until a line or a
    piece is whole; so without this, a byte now and then would keep a caller waiting for days.
    """
    before = getattr(_now, "deadline", None)
    _now.deadline = deadline
    try:
        yield
    finally:
        _now.deadline = before


def server_context(certificate: Path, key: Path, members: Iterable[str]) -> ssl.SSLContext:
    """The listener's side: takes connections from holders of these keys only.

    Args:
        certificate: what this node shows, PEM.
        key: this member's private key, PEM.
        members: public keys, ``ed25519:...``.

    Raises:
        SecretError: certificate or key cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, certificate, key, frozenset(members))
    context.num_tickets = 0
    return context


def client_context(certificate: Path, key: Path, member: str) -> ssl.SSLContext:
    """The caller's side: talks to the holder of one key only, at whatever address.

    Args:
        certificate: what this node shows, PEM.
        key: this member's private key, PEM.
        member: the called member's public key, ``ed25519:...``.

    Raises:
        SecretError: certificate or key cannot be used.
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT, certificate, key, frozenset((member,)))


def peer_key(connection: ssl.SSLObject | ssl.SSLSocket) -> str | None:
    """The key that the other side proved to have, ``ed25519:...``; None before the handshake is done."""
    try:
        return carried_key(connection.getpeercert(binary_form=True))
    except ValueError:  # what `ssl` raises while the handshake is not done
        return None


def admit(context: ssl.SSLContext, members: Iterable[str]) -> None:
    """From the next handshake on, accept the holders of these keys and nobody else.

    The anchor of a key that is no longer wanted stays, for OpenSSL cannot take one out. That is step 1 of the
    argument only: by step 2, who shows a certificate that such a key signed is refused all the same.

    Args:
        context: of `server_context`.
        members: public keys, ``ed25519:...``.
    """
    if not isinstance(context, _Pinned):
        raise TypeError("this context does not go by keys")
    wanted = frozenset(members)
    for member in sorted(wanted - context.known):
        context.load_verify_locations(cadata=anchor(member))
    context.known |= wanted
    context.wanted = wanted


class _Pinned(ssl.SSLContext):
    """A context that goes by keys: those wanted now, and those that have an anchor in it."""

    wanted: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()


def _context(protocol: int, certificate: Path, key: Path, wanted: frozenset[str]) -> ssl.SSLContext:
    context = _Pinned(protocol)
    context.check_hostname = False  # the key is the name: see `certificate`
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # our anchors are not signed by themselves
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.post_handshake_auth = False
    context.set_alpn_protocols(["http/1.1"])
    admit(context, wanted)
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError):
        raise SecretError(f"{certificate}: does not fit {key.name}, or one of the two is damaged") from None

    def check(connection: ssl.SSLObject | ssl.SSLSocket) -> None:
        if peer_key(connection) not in context.wanted:
            raise ssl.SSLCertVerificationError(1, _REFUSED)

    class PinnedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            check(self)

    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            check(self)

        def recv(self, *arguments: Any) -> bytes:
            deadline: Deadline | None = getattr(_now, "deadline", None)
            if deadline is not None and time.monotonic() > deadline.until:
                raise TimeoutError
            try:
                return super().recv(*arguments)
            except OSError as error:
                # `ssl` looks at a connection that was reset before the handshake, and leaves it open.
                if getattr(self, "_sslobj", None) is None and error.errno not in _NOT_CONNECTED:
                    self.close()
                raise

    context.sslobject_class = PinnedObject
    context.sslsocket_class = PinnedSocket
    return context
