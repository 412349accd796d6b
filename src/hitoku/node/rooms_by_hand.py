# SPDX-License-Identifier: Apache-2.0
"""One room of a member's node.toml, opened by a command to talk with the other members' nodes.

Unlike `hitoku.node.remote`, it asks nothing of the room and does not need the member's own node to serve.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hitoku.errors import RoomError
from hitoku.node.certificate import certificate_file, check_key
from hitoku.node.member import LocalNode
from hitoku.node.settings import NodeSettings
from hitoku.ports import Clock, NoProgress, Peers
from hitoku.room.agreement import Room
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room
from hitoku.room.versions import newest_in_force
from hitoku.transport.https.client import HttpsNetwork

__all__ = ["Hand", "by_hand", "number_of"]


@dataclass(frozen=True, slots=True)
class Hand:
    """A room, this member's part in it, and the way to the others."""

    node: LocalNode
    room: Room
    peers: Peers


@contextmanager
def by_hand(directory: MemberDirectory, number: int, clock: Clock) -> Iterator[Hand]:
    """Open the room of that number in node.toml.

    Raises:
        InputError: node.toml cannot be used.
        RoomError: the room is not in force, or this member's key is not the one it names.
        SecretError: the key cannot be used.
    """
    settings = NodeSettings.open(directory.path)
    file, said = settings.room_files(directory.path)[number], settings.rooms[number]
    shared = newest_in_force(load_room(file))
    network = HttpsNetwork(
        directory.name,
        shared.agreement,
        dict(said.peers),
        certificate_file(directory),
        directory.key_file,
    )
    try:
        node = LocalNode(directory, shared, network, clock, NoProgress())
        try:
            check_key(directory, node.room.agreement)
            yield Hand(node, node.room, node.peers)
        finally:
            node.close()
    finally:
        network.close()


def number_of(directory: MemberDirectory, room: str | None) -> int:
    """The number in node.toml of a room, by its name or id; None names the only one.

    Raises:
        RoomError: there is no such room, or more than one.
    """
    files = NodeSettings.open(directory.path).room_files(directory.path)
    agreements = [newest_in_force(load_room(file)).agreement for file in files]
    found = [n for n, one in enumerate(agreements) if room in {None, one.name, str(one.id)}]
    if len(found) != 1:
        raise RoomError(f"node.toml names {len(found)} such rooms; say which one")
    return found[0]
