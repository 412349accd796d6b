# SPDX-License-Identifier: Apache-2.0
"""Room files: one YAML document with the agreement and its signatures, for people to read and review."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from hitoku import limits
from hitoku.errors import RoomError
from hitoku.findings import findings
from hitoku.room.agreement import Agreement, Room
from hitoku.room.canonical import canonical_json
from hitoku.room.history import AWKWARD
from hitoku.room.private import sync_folder
from hitoku.room.yamlfile import Dumper, load_yaml

__all__ = [
    "dump_room",
    "load_agreement",
    "load_room",
    "locked",
    "parse_room",
    "read_text",
    "save_room",
    "write_whole",
]

_HEADER = """\
# A hitoku room: what its members agreed on, and their signatures of it.
# Any change of the agreement makes the signatures invalid. `hitoku room show` explains it.
"""
_LARGE_CHARS = 1024 * 1024
"""Beyond it nobody reads all versions, and to write YAML takes seconds a megabyte."""


def read_text(path: Path) -> str:
    """A file of a room as text, bounded.

    Raises:
        RoomError: missing, unreadable, too large, not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limits.MAX_ROOM_FILE_BYTES + 1)
    except FileNotFoundError:
        raise RoomError(f"{path}: there is no such room file") from None
    except IsADirectoryError:
        raise RoomError(f"{path}: is a directory, not a room file") from None
    except OSError as error:
        raise RoomError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > limits.MAX_ROOM_FILE_BYTES:
        raise RoomError(f"{path}: larger than {limits.MAX_ROOM_FILE_BYTES} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise RoomError(f"{path}: not UTF-8 text") from None


def _validated(model: type[BaseModel], data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise RoomError(f"{where}: a mapping is expected, see `hitoku room new`")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise RoomError(f"{where}: {findings(error, 'room')}") from None


def parse_room(text: str, where: str = "room") -> Room:
    """Read a room from YAML (or JSON) text. Its signatures are not verified here.

    Raises:
        RoomError: not a room; says the path inside it and what is wrong, and quotes no value.
    """
    try:
        data = load_yaml(text, limits.MAX_ROOM_FILE_BYTES)
    except RoomError as error:
        raise RoomError(f"{where}: {error}") from None
    room: Room = _validated(Room, data, where)
    return room


def load_room(path: Path) -> Room:
    """Read a room file. Its signatures are not verified here.

    Raises:
        RoomError: missing, unreadable, too large, or not a room.
    """
    return parse_room(read_text(path), str(path))


def load_agreement(path: Path) -> Agreement:
    """Read an agreement alone, e.g. a member's own record of what it signed.

    Raises:
        RoomError: missing, unreadable, too large, or not an agreement.
    """
    try:
        data = load_yaml(read_text(path), limits.MAX_ROOM_FILE_BYTES)
    except RoomError as error:
        text = str(error)
        raise RoomError(text if text.startswith(str(path)) else f"{path}: {text}") from None
    agreement: Agreement = _validated(Agreement, data, str(path))
    return agreement


def dump_room(room: Room) -> str:
    """The room as YAML, in the order of the model, without absent fields.

    A room with so many versions that this is large is written as JSON, which is YAML, too, and never larger
    than `hitoku.room.history` counts.
    """
    data = room.model_dump(mode="json", exclude_none=True)
    compact = canonical_json(data).decode()
    if len(compact) > _LARGE_CHARS:
        return _HEADER + AWKWARD.sub(lambda found: f"\\u{ord(found[0]):04x}", compact) + "\n"
    return _HEADER + yaml.dump(
        data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
    )


def save_room(room: Room, path: Path) -> None:
    """Write a room file, whole or not at all.

    Raises:
        RoomError: it cannot be written, or would be too large to be read again.
    """
    content = dump_room(room).encode()
    if len(content) > limits.MAX_ROOM_FILE_BYTES:
        raise RoomError(f"{path}: the room would be larger than {limits.MAX_ROOM_FILE_BYTES} bytes")
    write_whole(path, content)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes of hitoku from changing a room file between its being read and being written.

    Raises:
        RoomError: the file beside it, which is the lock, cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # not on this system: then one command after the other is the operator's care
        yield
        return
    lock = path.with_name(f".{path.name}.lock")
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        raise RoomError(f"{lock}: cannot be made ({error.strerror})") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file in one step and make it durable; a crash leaves the old or the new one.

    Raises:
        RoomError: it cannot be written.
    """
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise RoomError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
