# SPDX-License-Identifier: Apache-2.0
"""Which machines a node calls because somebody else named their address.

An invitation says where the inviter is, and who joins or lets join says where members' nodes are. Whoever
writes these would have a node of another company open connections inside that company's network. What is said
there goes to the holder of a key only (`tls`), but that a connection is tried, and how long it takes, is
something.

So such an address is called, or kept, only where it is in an allowed network: by default public ones, and the
loopback or private networks that the node's own addresses are in. ``networks`` in node.toml names more.
Where clouds have what tells keys to whoever asks (link-local addresses, and some that look public or private)
no network opens: who means such an address lists exactly it. Names are resolved
here, and `Networks.place` gives the very address that was looked at, so that a name cannot be another's a
moment later.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Self
from urllib.parse import urlsplit

from hitoku.errors import InputError

__all__ = ["Networks", "check_network"]

_Ip = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network
_LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
_PRIVATE: Final = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("100.64.0.0/10"),  # shared, RFC 6598
    IPv6Network("fc00::/7"),
)
_NEVER: Final[tuple[_Network, ...]] = (
    IPv4Network("169.254.0.0/16"),  # link-local, and most clouds' metadata
    IPv4Network("168.63.129.16/32"),  # Azure
    IPv4Network("100.100.100.200/32"),  # Alibaba Cloud
    IPv4Network("192.0.0.0/24"),  # RFC 6890; Oracle Cloud
    IPv4Network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
    IPv6Network("fe80::/10"),
    IPv6Network("fec0::/10"),  # site-local, RFC 3879
    IPv6Network("fd00:ec2::/32"),  # AWS: ::254, and others beside it
    IPv6Network("fd20:ce::254/128"),  # Google Cloud
    IPv6Network("64:ff9b:1::/48"),  # IPv4 addresses that cannot be told, RFC 8215
    IPv6Network("3fff::/20"),  # documentation, RFC 9637
    IPv6Network("5f00::/16"),  # RFC 9602
)
_SMALLEST: Final = {4: 8, 6: 7}
_NAT64: Final = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Networks:
    """Where an address that somebody else named may be.

    Attributes:
        listed: these networks, besides what is reached over the internet.
    """

    listed: tuple[_Network, ...] = ()

    @classmethod
    def of(cls, own: Iterable[str], listed: Iterable[str] = ()) -> Self:
        """Those of a node.

        Args:
            own: the node's own hosts, names or addresses.
            listed: what its operator allows besides.

        Raises:
            InputError: a network is none.
        """
        found: list[_Network] = [ip_network(check_network(one)) for one in listed]
        for address in (ip for host in own for ip in _addresses(host)):
            if any(_in(address, one) for one in _LOOPBACK):
                found += _LOOPBACK
            found += [one for one in _PRIVATE if _in(address, one)]
        return cls(tuple(dict.fromkeys(found)))

    def allow(self, ip: _Ip) -> bool:
        """Whether a machine may be called."""
        inner = _inner(ip)
        around = [one for one in self.listed if _in(inner, one)]
        if any(_in(one, never) for one in (ip, inner) for never in _NEVER):
            return any(one.prefixlen == one.max_prefixlen for one in around)
        if around:
            return True
        odd = inner.is_multicast or inner.is_reserved or inner.is_unspecified or inner.is_link_local
        return inner.is_global and not odd

    def place(self, address: str) -> str:
        """Where to connect to for an address: ``https://host:port``, with the host's number in it.

        Args:
            address: as `hitoku.transport.https.client.check_address` takes it.

        Raises:
            InputError: its host is not known, or in no allowed network. Which of the two is not said: it
                would tell names inside this network.
        """
        parts = urlsplit(address)
        for ip in _addresses(parts.hostname or ""):
            if self.allow(ip):
                host = f"[{ip}]" if isinstance(ip, IPv6Address) else str(ip)
                return f"https://{host}:{parts.port or 443}"
        raise InputError(
            f"{address}: is in no network that addresses from others may be in, or is not known. Where it is "
            "right, allow its network: `networks` in node.toml, or --network"
        )


def check_network(text: str) -> str:
    """A network such as ``10.1.0.0/16``.

    Raises:
        InputError: it is none, or so large that it is no choice any more.
    """
    try:
        found = ip_network(text)
    except ValueError:
        raise InputError("not a network: 10.1.0.0/16 or fd00:1::/32 is expected") from None
    if found.prefixlen < _SMALLEST[found.version]:
        raise InputError(f"a network of /{_SMALLEST[found.version]} at most is expected: name what you mean")
    return str(found)


def _addresses(host: str) -> list[_Ip]:
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [ip_address(str(one[4][0]).partition("%")[0]) for one in found]


def _inner(ip: _Ip) -> _Ip:
    """The IPv4 address that is meant by an IPv6 one, where it is one in other clothes."""
    if isinstance(ip, IPv6Address):
        teredo = ip.teredo
        inner = ip.ipv4_mapped or ip.sixtofour or (teredo[1] if teredo else None)
        if inner is not None:
            return inner
        if ip in _NAT64:
            return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip


def _in(ip: _Ip, network: _Network) -> bool:
    return ip.version == network.version and ip in network
