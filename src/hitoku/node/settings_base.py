# SPDX-License-Identifier: Apache-2.0
"""What the parts of ``node.toml`` are made of: places to listen on, addresses, texts as TOML."""

from __future__ import annotations

import ipaddress
import json
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from hitoku.errors import InputError
from hitoku.transport.https.client import check_address
from hitoku.transport.https.places import check_network

__all__ = [
    "Address",
    "Health",
    "Listen",
    "ListenAnywhere",
    "Network",
    "Part",
    "is_loopback",
    "socket_of",
    "toml_text",
]


def socket_of(listen: str, *, any_port: bool = False) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[IPv6]:port``; the port may be 0 with `any_port`.

    Raises:
        ValueError: it is neither.
    """
    host, colon, port = listen.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets: [::1]:8443")
    if (
        not colon
        or not host
        or not port.isascii()
        or not port.isdigit()
        or not (not any_port) <= int(port) < 65_536
    ):
        raise ValueError("host:port is expected, e.g. 127.0.0.1:8443")
    return host, int(port)


def _listen(text: str) -> str:
    socket_of(text)
    return text


def _listen_anywhere(text: str) -> str:
    socket_of(text, any_port=True)
    return text


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone, by its address; a name may mean anything."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _loopback(text: str) -> str:
    if not is_loopback(socket_of(text)[0]):
        raise ValueError("must be a loopback address, e.g. 127.0.0.1:8480: nobody proves who asks there")
    return text


def _network(text: str) -> str:
    try:
        return check_network(text)
    except InputError as error:
        raise ValueError(str(error)) from None


Address = Annotated[str, AfterValidator(check_address)]
Listen = Annotated[str, AfterValidator(_listen)]
Network = Annotated[str, AfterValidator(_network)]
ListenAnywhere = Annotated[str, AfterValidator(_listen_anywhere)]
Health = Annotated[str, AfterValidator(_loopback)]


def toml_text(value: object) -> str:
    """A text or list of texts as TOML, which knows no surrogates and no plain DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


class Part(BaseModel):
    """A part of the settings: nothing unknown in it, nothing changed after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
