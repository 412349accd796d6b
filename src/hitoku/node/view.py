# SPDX-License-Identifier: Apache-2.0
"""A member's node, as what else runs in its process sees it: its rooms, settings and database now.

Everything is read anew from node.toml and the room files, so that what one part of the process or another
process changed is seen by all; a file that did not change since is not read again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Protocol

from hitoku.errors import HitokuError
from hitoku.node.settings import SETTINGS_FILE, NodeSettings, RoomSettings
from hitoku.room.agreement import Agreement, Room
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room
from hitoku.room.signing import missing, problems
from hitoku.room.versions import newest_in_force

if TYPE_CHECKING:
    from hitoku.room.store import Store

__all__ = ["MemberView", "NodeView", "RoomEntry", "stamp"]

Stamp = tuple[int, int, int]


def stamp(path: Path) -> Stamp | None:
    """What tells that a file changed, as the file system has it; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@dataclass(frozen=True, slots=True)
class RoomEntry:
    """A room of this node's node.toml.

    Attributes:
        id: the room's UUID.
        file: the room file.
        room: what the file holds now: the newest version, in force or a draft on top of one.
        settings: what node.toml says of it: the others' addresses.
        verified: the newest version in force, where who made this has verified it already; ``...`` where not.
    """

    id: str
    file: Path
    room: Room
    settings: RoomSettings
    verified: Room | EllipsisType | None = ...

    @property
    def name(self) -> str:
        """The room's name, as it is in force."""
        return self.agreement.name

    @property
    def missing(self) -> tuple[str, ...]:
        """Who must still sign what the file holds."""
        return missing(self.room)

    @property
    def in_force(self) -> Room | None:
        """The newest version in force; None where none is yet."""
        return _force(self.room) if isinstance(self.verified, EllipsisType) else self.verified

    @property
    def agreement(self) -> Agreement:
        """The agreement in force, or the draft where none is."""
        return (self.in_force or self.room).agreement


def _force(room: Room) -> Room | None:
    found = newest_in_force(room)
    return None if problems(found) else found


class NodeView(Protocol):
    """The node, as what else runs in its process sees it. For many threads."""

    @property
    def directory(self) -> MemberDirectory:
        """The member's directory."""
        ...

    def settings(self) -> NodeSettings:
        """What node.toml says now.

        Raises:
            InputError: it cannot be used.
        """
        ...

    def rooms(self) -> tuple[RoomEntry, ...]:
        """The rooms of node.toml, as their files are now; one whose file cannot be read is left out."""
        ...

    def look(self) -> None:
        """Take up what changed in node.toml and the room files now, and not in two seconds."""
        ...

    def store(self) -> Store:
        """The member's database."""
        ...


class MemberView:
    """A NodeView of a member's directory.

    Args:
        directory: the member's.
        look: makes the node take up what changed; nothing is served where it is left out.
    """

    def __init__(self, directory: MemberDirectory, look: Callable[[], None] = lambda: None) -> None:
        self._directory, self._take_up = directory, look
        self._lock = threading.Lock()
        self._settings: tuple[Stamp | None, NodeSettings] | None = None
        # All signatures of all versions are verified once for each state of a file, not for each look at it.
        self._rooms: dict[Path, tuple[Stamp | None, Room | None, Room | None]] = {}
        self._store: Store | None = None

    @property
    def directory(self) -> MemberDirectory:
        """The member's directory."""
        return self._directory

    def settings(self) -> NodeSettings:
        """What node.toml says now.

        Raises:
            InputError: it cannot be used.
        """
        with self._lock:
            seen = stamp(self._directory.path / SETTINGS_FILE)
            if self._settings is None or seen is None or self._settings[0] != seen:
                self._settings = seen, NodeSettings.open(self._directory.path)
            return self._settings[1]

    def rooms(self) -> tuple[RoomEntry, ...]:
        """The rooms of node.toml, as their files are now; one whose file cannot be read is left out.

        Raises:
            InputError: node.toml cannot be used.
        """
        settings = self.settings()
        found: dict[str, RoomEntry] = {}
        files = settings.room_files(self._directory.path)
        with self._lock:
            self._rooms = {file: kept for file, kept in self._rooms.items() if file in files}
        for file, one in zip(files, settings.rooms, strict=True):
            room, force = self._room(file)
            if room is not None:
                entry = RoomEntry(str(room.agreement.id), file, room, one, force)
                found.setdefault(entry.id, entry)
        return tuple(found.values())

    def look(self) -> None:
        """Take up what changed in node.toml and the room files now, and not in two seconds."""
        self._take_up()

    def store(self) -> Store:
        """The member's database."""
        store = self._directory.store()  # one for the process, and another where the state was put elsewhere
        with self._lock:
            self._store = store  # kept, so that it stays the one for the process
        return store

    def close(self) -> None:
        """End what is open."""
        with self._lock:
            store, self._store = self._store, None
        if store is not None:
            store.close()

    def _room(self, file: Path) -> tuple[Room | None, Room | None]:
        seen = stamp(file)
        with self._lock:
            kept = self._rooms.get(file)
        if kept is not None and kept[0] == seen:
            return kept[1:]
        room = force = None
        with suppress(HitokuError):
            room = load_room(file)
            force = _force(room)
        with self._lock:
            self._rooms[file] = seen, room, force
        return room, force
