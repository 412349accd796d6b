# SPDX-License-Identifier: Apache-2.0
"""Members' nodes in threads of this process, over HTTPS on loopback, and a console of one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

from tests.conftest import Place
from tests.e2e.nodes import free_ports

from hitoku.cli import main as cli
from hitoku.console.context import Context, RoomEntry
from hitoku.console.users import May, User
from hitoku.node.serving import NodeProcess, json_log
from hitoku.node.settings import NodeSettings
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room
from hitoku.room.store import Store


class View:
    """A node as its console sees it, from its directory alone."""

    def __init__(self, path: Path) -> None:
        self.directory = MemberDirectory.open(path)
        self.opened: Store | None = None

    def settings(self) -> NodeSettings:
        return NodeSettings.open(self.directory.path)

    def rooms(self) -> tuple[RoomEntry, ...]:
        settings = self.settings()
        files = settings.room_files(self.directory.path)
        found = []
        for file, one in zip(files, settings.rooms, strict=True):
            room = load_room(file)
            found.append(RoomEntry(str(room.agreement.id), file, room, one))
        return tuple(found)

    def look(self) -> None:
        """Nothing is kept."""

    def store(self) -> Store:
        if self.opened is None:
            self.opened = Store(self.directory.path / "state.db")
        return self.opened


class Served:
    """Nodes of all members of a place, in threads."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._running: dict[str, tuple[NodeProcess, threading.Thread]] = {}
        ports = dict(zip(place.members, free_ports(len(place.members)), strict=True))
        for name, directory in place.members.items():
            words: list[Any] = ["node", "init", directory.path, "--room", place.room_file]
            words += ["--listen", f"127.0.0.1:{ports[name]}"]
            for other, port in ports.items():
                if other != name:
                    words += ["--peer", f"{other}=https://127.0.0.1:{port}"]
            assert cli.run([str(word) for word in words]) == 0

    def start(self, *names: str) -> None:
        for name in names or tuple(self.place.members):
            ready = threading.Event()
            node = NodeProcess(self.place.members[name].path, json_log(StringIO()), ready.set)
            thread = threading.Thread(target=node.run)
            thread.start()
            assert ready.wait(300)
            self._running[name] = (node, thread)

    def stop(self, *names: str) -> None:
        for name in names or tuple(self._running):
            node, thread = self._running.pop(name)
            node.stop()
            thread.join(300)
            assert not thread.is_alive()


def user(name: str, *abilities: May, rooms: frozenset[str] | None = None, **more: str) -> User:
    """A user of the console."""
    return User(name.ljust(32, "0").encode().hex()[:32], name, frozenset(abilities), rooms, **more)


def context(place: Place, member: str = "airport", log: Callable[..., Any] | None = None) -> Context:
    """What the console of a member has."""
    return Context(View(place.members[member].path), log=log or (lambda *_, **__: None))
