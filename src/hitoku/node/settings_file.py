# SPDX-License-Identifier: Apache-2.0
"""Changes of node.toml by programs, while people may have the file open and the node serves from it.

A change is made under a lock, checked as a whole before it is written, and written in one step. What stands
in the file stays as it is, comments included, wherever that is possible: a line is put in, the result is read
again, and only if it says exactly what was wanted is it kept. Otherwise the whole file is written anew.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from hitoku.errors import InputError
from hitoku.node.settings import SETTINGS_FILE, NodeSettings, RoomSettings, TableSettings
from hitoku.node.settings_base import toml_text
from hitoku.room.files import locked, write_whole

__all__ = ["add_room", "drop_room", "forget_table", "put_table", "room_entry", "set_peer"]

_HEADER: Final = re.compile(r"^\s*\[")
_ROOM: Final = re.compile(r"^\s*\[\[\s*rooms\s*\]\]\s*(#.*)?$")
_PEERS: Final = re.compile(r"^\s*\[\s*rooms\s*\.\s*peers\s*\]\s*(#.*)?$")


def room_entry(directory: Path, file: Path) -> str:
    """How a room file is named in node.toml: relative to the member's directory."""
    return os.path.relpath(file.resolve(), directory.resolve())


def add_room(directory: Path, file: Path, peers: Mapping[str, str] | None = None) -> NodeSettings:
    """Serve one more room; the node takes it up by itself. Nothing changes where it is there already.

    Args:
        directory: the member's directory.
        file: the room file.
        peers: the other members' addresses; of a room that is there they are added to what is known.

    Raises:
        InputError: node.toml or an address cannot be used.
        RoomError: the file cannot be written.
    """
    entry, known = room_entry(directory, file), dict(peers or {})

    def change(data: dict[str, Any]) -> None:
        rooms = data.setdefault("rooms", [])
        found = _index(directory, data, file)
        if found is None:
            rooms.append({"file": entry, "peers": known})
        else:
            rooms[found].setdefault("peers", {}).update(known)

    def text(before: str, data: dict[str, Any]) -> str:
        found = _index(directory, data, file)
        if found is not None:
            for name, address in known.items():
                before = _with_peer(before, found, name, address)
            return before
        lines = RoomSettings.model_construct(file=entry, peers=known).lines()
        return "\n".join([before.rstrip("\n"), "", *lines, ""])

    return _edit(directory, change, text)


def drop_room(directory: Path, file: Path) -> NodeSettings:
    """Serve a room no longer. The room file and all records of it stay.

    Raises:
        InputError: node.toml cannot be used, or does not name the room.
        RoomError: the file cannot be written.
    """

    def change(data: dict[str, Any]) -> None:
        del data["rooms"][_there(directory, data, file)]

    def text(before: str, data: dict[str, Any]) -> str:
        lines = before.splitlines()
        start, end = _room_lines(lines, _there(directory, data, file))
        return "\n".join([*lines[:start], *lines[end:], ""])

    return _edit(directory, change, text)


def set_peer(directory: Path, file: Path, name: str, address: str | None) -> NodeSettings:
    """Enter where another member's node is; forget it where the address is None.

    Args:
        directory: the member's directory.
        file: the room file, which node.toml names.
        name: the other member.
        address: ``https://host:port``.

    Raises:
        InputError: node.toml, name or address cannot be used, or the room is not there.
        RoomError: the file cannot be written.
    """

    def change(data: dict[str, Any]) -> None:
        peers = data["rooms"][_there(directory, data, file)].setdefault("peers", {})
        peers.pop(name, None)
        if address is not None:
            peers[name] = address

    def text(before: str, data: dict[str, Any]) -> str:
        return _with_peer(before, _there(directory, data, file), name, address)

    return _edit(directory, change, text)


def put_table(directory: Path, table: TableSettings) -> NodeSettings:
    """Enter one of the member's own tables, or put it in the place of the one of the same name and room.

    Whether the source has the columns is not looked at here: `hitoku.node.tables` does that.

    Raises:
        InputError: node.toml cannot be used.
        RoomError: the file cannot be written.
    """
    made = table.model_dump(mode="json", exclude_none=True)
    made = {name: value for name, value in made.items() if value != {}}

    def change(data: dict[str, Any]) -> None:
        tables = data.setdefault("tables", [])
        tables[:] = [t for t in tables if (t.get("name"), t.get("room")) != (table.name, table.room)]
        tables.append(made)

    def text(before: str, data: dict[str, Any]) -> str:
        del data
        return "\n".join([before.rstrip("\n"), "", *table.lines(), ""])

    return _edit(directory, change, text)


def forget_table(directory: Path, name: str, room: str | None = None) -> NodeSettings:
    """Take one of the member's own tables out of node.toml; its source stays where it is.

    Raises:
        InputError: node.toml cannot be used, or has no such table.
        RoomError: the file cannot be written.
    """

    def change(data: dict[str, Any]) -> None:
        tables = data.get("tables", [])
        left = [t for t in tables if (t.get("name"), t.get("room")) != (name, room)]
        if len(left) == len(tables):
            raise InputError(f"{directory / SETTINGS_FILE}: has no table {name!r}")
        data["tables"] = left

    return _edit(directory, change, lambda before, _: before)


def _edit(
    directory: Path, change: Callable[[dict[str, Any]], None], text: Callable[[str, dict[str, Any]], str]
) -> NodeSettings:
    """Change node.toml.

    Args:
        directory: the member's directory.
        change: changes what the file says, as data.
        text: the file's text with the same change, as far as it can tell; of the text and the data before.
    """
    path = directory / SETTINGS_FILE
    with locked(path):
        NodeSettings.open(directory)  # says what is wrong with it now, before anything else is
        before = path.read_text("utf-8")
        data = tomllib.loads(before)
        wanted = deepcopy(data)
        change(wanted)
        settings = NodeSettings.made(wanted, str(path))
        if wanted != data:
            made = text(before, data)
            write_whole(path, (made if _says(made, settings) else settings.text()).encode())
    return settings


def _says(text: str, settings: NodeSettings) -> bool:
    try:
        return NodeSettings.made(tomllib.loads(text), SETTINGS_FILE) == settings
    except (tomllib.TOMLDecodeError, InputError):
        return False


def _index(directory: Path, data: dict[str, Any], file: Path) -> int | None:
    """Which of the rooms in the data has that room file."""
    wanted = file.resolve()
    rooms = data.get("rooms", [])
    return next((i for i, room in enumerate(rooms) if (directory / room["file"]).resolve() == wanted), None)


def _there(directory: Path, data: dict[str, Any], file: Path) -> int:
    found = _index(directory, data, file)
    if found is None:
        raise InputError(f"{directory / SETTINGS_FILE}: does not name {file}")
    return found


def _room_lines(lines: list[str], which: int) -> tuple[int, int]:
    """Where a room's lines are: from its header to the next that is not part of it; (0, 0) for nowhere."""
    starts = [i for i, line in enumerate(lines) if _ROOM.match(line)]
    if which >= len(starts):
        return 0, 0
    start = starts[which]
    rest = range(start + 1, len(lines))
    others = (i for i in rest if _HEADER.match(lines[i]) and not _PEERS.match(lines[i]))
    return start, next(others, len(lines))


def _with_peer(text: str, which: int, name: str, address: str | None) -> str:
    """The text with another address of a peer, if the file is laid out as `hitoku node init` does it."""
    lines = text.splitlines()
    start, end = _room_lines(lines, which)
    header = next((i for i in range(start, end) if _PEERS.match(lines[i])), None)
    new = [] if address is None else [f"{name} = {toml_text(address)}"]
    if header is None:
        lines[end:end] = ["", "[rooms.peers]", *new, ""]
        return "\n".join([*lines, ""])
    same = re.compile(rf"""^\s*(?P<q>["']?){re.escape(name)}(?P=q)\s*=""")
    there = next((i for i in range(header + 1, end) if same.match(lines[i])), None)
    if there is not None:
        lines[there : there + 1] = new
    else:
        last = max(i for i in range(header, end) if lines[i].strip())
        lines[last + 1 : last + 1] = new
    return "\n".join([*lines, ""])
