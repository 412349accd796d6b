# SPDX-License-Identifier: Apache-2.0
"""The server's side of a run over Flower, in one call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hitoku.errors import PeerError
from hitoku.learning.flower.fleet import FlowerFleet
from hitoku.learning.flower.run import Run
from hitoku.learning.flower.superlink import SuperLink

__all__ = ["Served", "serve"]


@dataclass(frozen=True, slots=True)
class Served:
    """What a server has once it is up.

    Attributes:
        fleet: the members.
        address: where members' nodes find the server, as ``host:port``; by this machine's name if it listens
            on all addresses (the name has to be one that the members can look up).
        certificate: what the server shows, PEM; to be handed to the members so that they can trust it.
        certificate_file: the same as a file.
        process_id: the SuperLink's, for measurements.
    """

    fleet: FlowerFleet
    address: str
    certificate: bytes
    certificate_file: Path
    process_id: int


@contextlib.contextmanager
def serve(
    folder: Path,
    publics: Mapping[str, str],
    context: bytes,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[Served]:
    """Start a SuperLink and a run on it; leave, and the members are told that the run has ended.

    With an exception the members are not told: they go on looking for a server on the same folder, address
    and certificate, which may be started again. The same is so after a crash.

    Args:
        folder: everything is written here and nowhere else: certificate, key, log, Flower's home.
        publics: the keys of the members that may join, as the room writes them (``ed25519:...``).
        context: what members and server both know of the run, for example plan hash and run id: a node's
            admission is bound to it.
        host: the address to listen on; loopback unless said otherwise.
        port: 0 takes a free one, and the same again after a restart.

    Raises:
        InputError: Flower is missing (the message says how to install it), or the port is taken.
        PeerError: the SuperLink did not start.
    """
    with SuperLink(folder, publics, context, host, port) as link:
        run = Run(link)
        fleet = FlowerFleet(link, run)
        try:
            yield Served(fleet, link.address, link.certificate, link.certificate_file, link.process_id)
            with contextlib.suppress(PeerError):  # it has ended without us
                fleet.end()
        finally:
            run.close()
