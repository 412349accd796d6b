# SPDX-License-Identifier: Apache-2.0
"""`open_remote_room`: a room whose other members are on other machines, as one member sees it.

The asker's own part runs in this process, on the member's own directory. Its node must serve at the same
time: owners and the host ask the asker, too, for the head of its ledger before they act.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hitoku.errors import HitokuError, PeerError, RoomError
from hitoku.node.certificate import certificate_file, check_key
from hitoku.node.local import RoomHandle
from hitoku.node.member import LocalNode
from hitoku.node.settings import SETTINGS_FILE, NodeSettings, RoomSettings
from hitoku.ports import Clock, NoProgress, Progress, SystemClock
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room
from hitoku.transport.heads import exchange_heads
from hitoku.transport.https.client import HttpsNetwork

if TYPE_CHECKING:
    from hitoku.room.agreement import Room

__all__ = ["RemoteRoom", "open_remote_room"]


class _AskersNetwork(HttpsNetwork):
    """The asker's way to the others. Looks first whether its own node answers."""

    _looked = False

    def carry(self, sender: str, receiver: str, content: bytes) -> bytes:
        """Deliver a message; the first to another member only if the others can reach this one."""
        if receiver != self._me and not self._looked:
            try:
                self.version(self._me)
            except PeerError as error:
                raise PeerError(
                    f"this member's own node must serve while it asks (`hitoku node serve`): {error}"
                ) from None
            self._looked = True
        return super().carry(sender, receiver, content)


class RemoteRoom(RoomHandle):
    """A room in force, as one member sees it from its own machine; asks like any `RoomHandle`.

    `cancel` ends nothing at the host: there, a run ends by itself.
    """

    def __init__(
        self,
        directory: MemberDirectory,
        shared: Room,
        settings: NodeSettings,
        room: RoomSettings,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self.me = directory.name
        peers = {**room.peers, self.me: settings.url}
        certificate = certificate_file(directory)
        self._https = _AskersNetwork(self.me, shared.agreement, peers, certificate, directory.key_file)
        self._network = self._https
        self._progress = progress
        self._node = LocalNode(directory, shared, self._https, clock, progress)
        self._nodes = (self._node,)
        self.room = self._node.room
        check_key(directory, self.agreement)
        self._peers = self._node.peers

    def status(self) -> list[dict[str, Any]]:
        """How every member's node stands: whether it answers, what it runs, and its ledger's newest head.

        A head that is new is checked against the last one, and kept.
        """
        found = []
        try:
            for member in self.agreement.members:
                found.append(self._status(member.name))
        finally:
            self._close()
        return found

    def _status(self, member: str) -> dict[str, Any]:
        data: dict[str, Any] = {"member": member, "reached": False}
        try:
            given = self._https.version(member)
            data |= {"reached": True, "hitoku": given.hitoku, "version": given.version}
            data["same_room"] = given.room == self.hash
            if member != self.me:
                exchange_heads(self._node.records, self.room, self._peers, (member,))
                head = self._node.records.peer_head(member)
                data["head"] = None if head is None else {"size": head.size, "root": head.root.hex()}
        except HitokuError as error:
            data["problem"] = str(error)
        return data

    def _close(self) -> None:
        super()._close()
        self._https.close()


def open_remote_room(
    path: str | Path,
    room: str | None = None,
    *,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> RemoteRoom:
    """Open a room from a member's directory whose node.toml says where the others are.

    Args:
        path: the member's directory.
        room: the room's name or id; may be left out if node.toml names only one.
        clock: the time; the machine's by default.
        progress: hears about phases; nobody by default.

    Raises:
        InputError: node.toml is missing or cannot be used.
        RoomError: the room is not in force, was altered, or is not named clearly.
        SecretError: the member's key cannot be used.
    """
    directory = MemberDirectory.open(Path(path))
    settings = NodeSettings.open(directory.path)
    known = []
    for file, one in zip(settings.room_files(directory.path), settings.rooms, strict=True):
        shared = load_room(file)
        if room in {None, shared.agreement.name, str(shared.agreement.id)}:
            known.append((shared, one))
    if len(known) != 1:
        raise RoomError(f"{directory.path / SETTINGS_FILE}: names {len(known)} such rooms; say which one")
    shared, one = known[0]
    return RemoteRoom(directory, shared, settings, one, clock or SystemClock(), progress or NoProgress())
