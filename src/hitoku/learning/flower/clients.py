# SPDX-License-Identifier: Apache-2.0
"""Flower's own HTTP clients, with one certificate that is trusted, our headers, and bounds on what comes.

Flower's client follows redirections, unpacks compressed bodies, reads bodies of any length and always goes by
the proxy that the environment names. Its `httpx.Client` is replaced by one that does none of the first three,
and that goes to loopback addresses directly.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Final

from hitoku.errors import InputError, PeerError
from hitoku.learning.flower.certificate import trusting
from hitoku.limits import MAX_LEARNING_MESSAGE_BYTES

__all__ = ["ENVELOPE_BYTES", "Headers", "client", "plain_client", "split"]

ENVELOPE_BYTES: Final = 64 * 1024
"""What Flower adds to a message of ours, at most."""
_SECONDS: Final = 30.0
_MOST_PORT: Final = 65_535


class Headers:
    """Puts headers on requests: some always, some for one call of one thread (see `with_`)."""

    def __init__(self, always: Mapping[str, str] | None = None) -> None:
        self._always = dict(always or {})
        self._now = threading.local()

    @contextmanager
    def with_(self, headers: Mapping[str, str]) -> Iterator[None]:
        """Within, requests of this thread carry these too."""
        self._now.headers = dict(headers)
        try:
            yield
        finally:
            self._now.headers = {}

    def intercept(self, context: Any, call_next: Any) -> Any:
        """As Flower's clients call it."""
        context.request.headers.update(self._always | getattr(self._now, "headers", {}))
        return call_next(context)


def split(address: str) -> tuple[str, int]:
    """The host and the port of ``host:port`` or ``[host]:port``.

    Raises:
        InputError: it is something else.
    """
    host, _, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    usable = bool(bare) and not set(bare) & set("/@?# []") and (":" not in bare or bare != host)
    if not (usable and port.isascii() and port.isdigit() and 0 < int(port[:6]) <= _MOST_PORT):
        raise InputError(f"{address!r} is no address: write host:port, or [host]:port for IPv6")
    return bare, int(port)


def plain_client(address: str, certificate: bytes) -> Any:
    """An `httpx.Client` for a server at `address` that shows exactly this certificate (PEM)."""
    from hitoku.learning.flower import parts

    return parts.httpx.Client(
        verify=trusting(certificate),
        timeout=_SECONDS,
        follow_redirects=False,
        trust_env=not _loopback(split(address)[0]),
        headers={"accept-encoding": "identity"},
        event_hooks={"response": [_bounded]},
    )


def client(kind: Any, address: str, certificate: bytes, interceptors: list[Any]) -> Any:
    """One of Flower's HTTP clients for a SuperLink at `address` that shows exactly this certificate."""
    made = kind(f"https://{address}", interceptors=interceptors, verify=trusting(certificate))
    made._client.close()
    made._client = plain_client(address, certificate)
    return made


def _bounded(response: Any) -> None:
    """Called with the head of each answer, before its body is read."""
    length = response.headers.get("content-length", "")
    known = length.isascii() and length.isdigit() and len(length) < 16
    packed = response.headers.get("content-encoding", "identity") != "identity"
    if packed or not known or int(length) > MAX_LEARNING_MESSAGE_BYTES + ENVELOPE_BYTES:
        raise PeerError("the server's answer is packed, of no said length, or too long", "BOUNDS")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
