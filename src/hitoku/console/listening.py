# SPDX-License-Identifier: Apache-2.0
"""The console's listening socket, which gives no address more than its share of the connections.

It is counted where a connection is taken, before TLS and before a word was read: what is refused here costs
nothing more. What is counted are sockets that are open, so nothing can be forgotten to be given back. Of a
proxy, all people come from one address: it is not counted, and shares connections out among them itself. All
other addresses together leave some connections to it and to this machine.
"""

from __future__ import annotations

import ipaddress
import socket
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final
from weakref import WeakKeyDictionary

from hitoku import limits

__all__ = ["HERE", "FairListener"]

HERE: Final = ("127.0.0.0/8", "::1/128")
"""This machine: a proxy on it, a tunnel's end, or a person who sits at it."""

_SITE: Final = 48
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class FairListener(socket.socket):
    """Takes connections while their address has less than its share, and closes others at once.

    Args:
        bound: a socket that listens; it is taken over.
        spared: networks that are not counted by address: this machine, and proxies.
    """

    def __init__(self, bound: socket.socket, spared: Iterable[str]) -> None:
        super().__init__(bound.family, bound.type, bound.proto, fileno=bound.detach())
        self._spared = [ipaddress.ip_network(text) for text in spared]
        self._taken: WeakKeyDictionary[socket.socket, tuple[_Network, ...]] = WeakKeyDictionary()

    def accept(self) -> tuple[socket.socket, Any]:
        """Take a connection.

        Raises:
            ConnectionAbortedError: it was one too many, and is closed. An event loop goes on with the next.
        """
        connection, address = super().accept()
        whose = self._counted(str(address[0]))
        held = [networks for one, networks in self._taken.items() if one.fileno() != -1]
        mine = Counter(network for networks in held for network in networks)
        if (
            any(mine[network] >= _most(network) for network in whose)
            or (whose and sum(map(bool, held)) >= limits.CONSOLE_CONNECTIONS_OTHERS)
            or len(held) >= limits.CONSOLE_CONNECTIONS_MOST
        ):
            connection.close()
            raise ConnectionAbortedError
        self._taken[connection] = whose
        return connection, address

    def _counted(self, text: str) -> tuple[_Network, ...]:
        """What an address is counted with: an IPv4 address; 64 and 48 bits of an IPv6 one; or nothing."""
        address = ipaddress.ip_address(text.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if any(address in network for network in self._spared):
            return ()
        widths = (32,) if address.version == 4 else (64, _SITE)
        return tuple(ipaddress.ip_network((address, width), strict=False) for width in widths)


def _most(network: _Network) -> int:
    site = network.version == 6 and network.prefixlen == _SITE
    return limits.CONSOLE_CONNECTIONS_SITE if site else limits.CONSOLE_CONNECTIONS_EACH
