# SPDX-License-Identifier: Apache-2.0
"""The rooms that a node serves: taken up, changed and dropped while it serves, as node.toml says.

`ServedRooms.look` compares node.toml and the room files with what is served. It is called every two seconds,
and at once by whoever changed something (the console). What cannot be served is said in the log, once for
each state of the files, and changes nothing for the other rooms.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hitoku.errors import HitokuError, InputError
from hitoku.node.served import ServedRoom
from hitoku.node.settings import SETTINGS_FILE, NodeSettings, RoomSettings
from hitoku.node.view import Stamp, stamp
from hitoku.transport.https.app import Log, Served

__all__ = ["ServedRooms"]

Make = Callable[[Path, RoomSettings, bool], ServedRoom]
"""Makes what serves a room, of its file, what node.toml says of it, and whether it may be waited for."""


class ServedRooms:
    """The rooms of one node. For many threads.

    Args:
        path: the member's directory.
        settings: what node.toml says.
        make: makes what serves a room.
        log: hears what was taken up, left and ignored.
        changed: called, under a lock, where another set of rooms or versions is served.
        waits: whether rooms that cannot be served yet are waited for, and no error at the start.

    Raises:
        HitokuError: a room cannot be served, and is not waited for.
    """

    def __init__(
        self,
        path: Path,
        settings: NodeSettings,
        make: Make,
        log: Log,
        changed: Callable[[], None],
        *,
        waits: bool,
    ) -> None:
        self._path, self._make, self._log, self._changed = path, make, log, changed
        self._turn = threading.RLock()
        self._rooms: dict[str, ServedRoom] = {}
        self._leaving: list[ServedRoom] = []
        self._failed: dict[Path, tuple[Stamp | None, Stamp | None]] = {}
        self._seen: Stamp | None = stamp(path / SETTINGS_FILE)
        self._settings = settings
        try:
            for file, one in self._wanted(settings, strict=not waits).items():
                if waits:
                    self._add(file, one)
                else:
                    self._put(file, self._make(file, one, False))
        except BaseException:
            self.close()
            raise

    def __getitem__(self, identity: str) -> ServedRoom:
        """The room of that id."""
        return self._rooms[identity]

    @property
    def all(self) -> tuple[ServedRoom, ...]:
        """The rooms now, also those that are not in force yet."""
        return tuple(self._rooms.copy().values())

    @property
    def problems(self) -> int:
        """How many rooms of node.toml cannot be served as their files are now, signed or not."""
        return len(self._failed) + sum(room.served is None and not room.waiting for room in self.all)

    @property
    def settings(self) -> NodeSettings:
        """What node.toml said when it could last be used."""
        return self._settings

    def served(self) -> dict[str, Served]:
        """What is served, by room id."""
        return {name: room.served for name, room in self._rooms.copy().items() if room.served is not None}

    def keys(self) -> set[str]:
        """The keys of all members of all rooms that are served."""
        return {member.key for served in self.served().values() for member in served.agreement.members}

    def look(self) -> None:
        """Take up what changed."""
        with self._turn:
            changed, taken = False, list[ServedRoom]()
            self._reread()
            wanted = self._wanted(self._settings, strict=False)
            for identity, room in list(self._rooms.items()):
                if room.file not in wanted and room.leave():
                    del self._rooms[identity]
                    self._leaving.append(room)
                    self._log.info("room_left", room=identity)
                    changed = True
            known = {room.file for room in self._rooms.values()}  # one that is about to be left included
            for file, one in wanted.items():
                added = None if file in known else self._add(file, one)
                if added is not None and added.served is not None:
                    taken.append(added)
            taken += [
                room
                for room in self._rooms.values()
                if room.file in wanted.keys() & known and self._take_up(room)
            ]
            if changed or taken:
                self._changed()
            for room in taken:
                served = room.served
                if served is not None:
                    self._log.info("room_taken_up", room=room.identity, version=served.agreement.version)
                with suppress(Exception):  # a database that is busy is asked again by the next process
                    self.resume(room)
            for room in [room for room in self._leaving if room.idle]:
                self._leaving.remove(room)
                room.close()

    def resume(self, room: ServedRoom) -> None:
        """Go on with the room's runs that a process before this one left."""
        found = 0 if room.node is None else room.node.runs.resume()
        if found:
            self._log.info("resumed", room=room.identity, runs=found)

    def stop_runs(self) -> None:
        """End what still runs: the host records it as failed and tells the owners."""
        for room in self.all:
            room.stop_runs()

    def close(self) -> None:
        """End what is open."""
        for room in (*self.all, *self._leaving):
            room.close()

    @property
    def idle(self) -> bool:
        """Whether nothing is being answered and nothing runs."""
        return all(room.idle for room in (*self.all, *self._leaving))

    def _reread(self) -> None:
        seen = stamp(self._path / SETTINGS_FILE)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._settings = NodeSettings.open(self._path)
        except InputError as error:  # quotes no value
            self._log.info("settings_ignored", why=str(error))

    def _wanted(self, settings: NodeSettings, *, strict: bool) -> dict[Path, RoomSettings]:
        found: dict[Path, RoomSettings] = {}
        for file, one in zip(settings.room_files(self._path), settings.rooms, strict=True):
            if file in found and strict:
                raise InputError(f"node.toml: {file} is there twice")
            found.setdefault(file, one)
        self._failed = {file: seen for file, seen in self._failed.items() if file in found}
        return found

    def _put(self, file: Path, room: ServedRoom) -> None:
        if room.identity in self._rooms:
            room.close()
            raise InputError(f"node.toml: {file} is there twice")
        self._rooms[room.identity] = room

    def _add(self, file: Path, one: RoomSettings) -> ServedRoom | None:
        """Serve one more room, or wait for it. Where that fails, it is tried again when something changes."""
        now = stamp(file), self._seen
        if self._failed.get(file) == now:
            return None
        try:
            room = self._make(file, one, True)
            self._put(file, room)
        except HitokuError as error:
            # Names and versions at most: an error of the tree quotes no value.
            self._ignored(file, now, why=str(error))
            return None
        except Exception as error:  # whatever it is, what is served goes on
            self._ignored(file, now, error=type(error).__name__)
            return None
        self._failed.pop(file, None)
        if room.served is None:
            event = "room_waits" if room.waiting else "room_ignored"
            self._log.info(event, room=room.identity, why=room.problem)
        return room

    def _ignored(self, file: Path, now: tuple[Stamp | None, Stamp | None], **why: str) -> None:
        self._failed[file] = now
        self._log.info("room_ignored", file=file.name, **why)

    def _take_up(self, room: ServedRoom) -> bool:
        try:
            return room.take_up()
        except HitokuError as error:
            self._log.info("room_ignored", room=room.identity, why=str(error))
        except Exception as error:  # whatever it is, what is served goes on
            self._log.info("room_ignored", room=room.identity, error=type(error).__name__)
        return False
