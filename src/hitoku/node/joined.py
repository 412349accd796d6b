# SPDX-License-Identifier: Apache-2.0
"""The last steps of joining, which the node takes itself: fetch the room all signed, serve it, know peers.

Nothing is agreed to here. A room is fetched only after this member signed it, and verified as it signed it;
an address only says where a member is called, who must still prove its key. One that is in no network where
others may have this node call (`hitoku.transport.https.places`) is left out: the operator enters it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from hitoku.errors import HitokuError, InputError
from hitoku.node.joining import Joining, Stand
from hitoku.node.settings_file import add_room, set_peer
from hitoku.node.view import NodeView, RoomEntry
from hitoku.ports import Clock
from hitoku.room.invitations import Invitations
from hitoku.transport.https.places import Networks

__all__ = ["Joiner", "complete", "new_room_file"]

_FOLDER: Final = "agreements"
_SECONDS: Final = 5
"""How often an inviter is asked whether all have signed."""


def new_room_file(directory: Path, room: str) -> Path:
    """Where the room file of a room goes that was made or joined here; its folder is made."""
    folder = directory / _FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{room}.yaml"


def complete(view: NodeView, joining: Joining, stand: Stand) -> None:
    """Write the file of a room in force that this member joined, and serve it.

    Raises:
        RoomError: it is not in force, or not what this member signed.
        InputError: node.toml cannot be used.
    """
    directory, agreement = view.directory, stand.room.agreement
    file = new_room_file(directory.path, str(agreement.id))
    joining.finish(stand, file)
    names = {m.name for m in agreement.members} - {directory.name}
    networks = view.settings().places()
    known = {n: a for n, a in stand.addresses.items() if n in names and _allowed(networks, a)}
    add_room(directory.path, file, known)
    joining.forget()
    view.look()


def _allowed(networks: Networks, address: str) -> bool:
    try:
        networks.place(address)
    except InputError:
        return False
    return True


class Joiner:
    """Of one node.

    Args:
        view: the node.
        clock: the time.
    """

    def __init__(self, view: NodeView, clock: Clock) -> None:
        self._view, self._clock = view, clock
        self._asked: dict[str, float] = {}

    def advance(self) -> None:
        """Take what steps can be taken now.

        Raises:
            HitokuError: node.toml cannot be used.
        """
        directory = self._view.directory
        settings = self._view.settings()
        if not any((directory.path / "joining").glob("*.invitation")):
            kept = []
        else:
            kept = Joining.all_kept(directory, self._clock, settings.url, settings.places())
        for joining in kept:
            room = joining.invitation.room
            # The member's own record of the room is there from its signature on.
            signed = (directory.path / "rooms" / f"{room}.json").exists()
            last = self._asked.get(room, float("-inf"))
            if not signed or time.monotonic() < last + _SECONDS:
                continue
            self._asked[room] = time.monotonic()
            with suppress(HitokuError):  # the inviter is down, or has changed its mind: asked again
                stand = joining.look()
                if stand.in_force:
                    complete(self._view, joining, stand)
        for entry in self._view.rooms():
            with suppress(HitokuError):
                self._addresses(entry)

    def _addresses(self, entry: RoomEntry) -> None:
        """Enter where who was invited is, from when it is a member in force; forget where who left was."""
        force, directory = entry.in_force, self._view.directory
        if force is None:
            return
        keys = {m.name: m.key for m in force.agreement.members}
        for name in entry.settings.peers:
            if name not in keys:
                set_peer(directory.path, entry.file, name, None)
        invitations = Invitations(directory.path, self._clock)
        for issued in invitations.issued():
            if issued.room != entry.id or issued.name in entry.settings.peers:
                continue
            offer = invitations.offer(issued.id)
            if offer is None or offer.url is None or keys.get(issued.name) != offer.key:
                continue
            if _allowed(self._view.settings().places(), offer.url):
                set_peer(directory.path, entry.file, issued.name, offer.url)
