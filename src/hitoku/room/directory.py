# SPDX-License-Identifier: Apache-2.0
"""Member directories and workspaces: where things are when several members share one machine.

A member directory belongs to one member: ``member.toml`` (its name, and where its database is),
``member.key``, optionally ``shared.secret``, ``tables/``, ``answers/``, and ``rooms/<room id>.json``, the
member's own record of the agreement it signed. A workspace is a directory with ``room.yaml`` and
``peers.toml``, which says where the member directories are::

    [members]
    airport = "airport"
    host = "host"
"""

from __future__ import annotations

import json
import os
import threading
import tomllib
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku.errors import RoomError
from hitoku.ports import Clock
from hitoku.room.agreement import Ability, Agreement, Room
from hitoku.room.canonical import canonical
from hitoku.room.database import STATE_FILE, DatabaseSettings, checked_url
from hitoku.room.files import load_agreement, load_room, write_whole
from hitoku.room.keys import KEY_FILE, SECRET_FILE, FileKeyStore, generate_key
from hitoku.room.signing import verify
from hitoku.room.versions import continues

if TYPE_CHECKING:
    from hitoku.room.records import Records
    from hitoku.room.store import Store

__all__ = ["MemberDirectory", "Workspace", "write_peers"]

PEERS_FILE: Final = "peers.toml"
MEMBER_FILE: Final = "member.toml"
ROOM_FILE: Final = "room.yaml"


def _toml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > 1_000_000:
            raise RoomError(f"{path}: too large")
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RoomError(f"{path}: there is no such file") from None
    except OSError as error:
        raise RoomError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise RoomError(f"{path}: not valid TOML") from None


@dataclass(frozen=True, slots=True)
class MemberDirectory:
    """One member's place: its name, key, tables and records."""

    path: Path
    name: str

    @classmethod
    def create(
        cls, path: Path, name: str, database: str | None = None, password_file: Path | None = None
    ) -> MemberDirectory:
        """Make a member's directory with a new key in it.

        Args:
            path: where.
            name: whose.
            database: URL of the PostgreSQL database for its state; an SQLite file in it where None.
            password_file: where the password for that is, with mode 0600.

        Raises:
            SecretError: there is a key already.
            RoomError: the directory cannot be made.
            InputError: `database` is no such URL, or has a password in it.
        """
        lines = [f"name = {json.dumps(name)}"]
        if database is not None:
            file = None if password_file is None else password_file.resolve()
            lines += DatabaseSettings(checked_url(database), file).lines(path.resolve())
        try:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o700)
        except OSError as error:
            raise RoomError(f"{path}: cannot be made ({error.strerror})") from None
        generate_key(path)
        write_whole(path / MEMBER_FILE, ("\n".join(lines) + "\n").encode())
        (path / "tables").mkdir(exist_ok=True)
        return cls(path, name)

    @classmethod
    def open(cls, path: Path) -> MemberDirectory:
        """Open a member's directory.

        Raises:
            RoomError: it is none.
            InputError: what it says of its database cannot be used.
        """
        said = _toml(path / MEMBER_FILE)
        name = said.get("name")
        if not isinstance(name, str):
            raise RoomError(f'{path / MEMBER_FILE}: needs `name = "..."`')
        DatabaseSettings.read(said, path, str(path / MEMBER_FILE))
        return cls(path, name)

    def keys(self, environment: Mapping[str, str] | None = None) -> FileKeyStore:
        """The member's keys."""
        return FileKeyStore(self.path, environment)

    def records(self, room: str, clock: Clock) -> Records:
        """The member's durable record of a room."""
        # SQLAlchemy takes a quarter of a second to import: only who keeps records pays for it.
        from hitoku.room.records import Records

        return Records(self.store(), room, self.name, self.keys(), clock)

    @property
    def database(self) -> DatabaseSettings | None:
        """What member.toml says of its database now; None where it is an SQLite file in here.

        Raises:
            RoomError: member.toml cannot be read.
            InputError: what it says cannot be used.
        """
        file = self.path / MEMBER_FILE
        # A directory made by hand, without member.toml, has its state in it.
        return DatabaseSettings.read(_toml(file), self.path, str(file)) if file.exists() else None

    def store(self) -> Store:
        """The member's database: the same object for all of this process that ask, as long as one uses it.

        Raises:
            RoomError: it was written by a newer hitoku, is damaged, or is another member's.
            InputError: member.toml says what cannot be used.
            SecretError: the file with its password cannot be read.
            LimitError: it cannot be reached.
        """
        from hitoku.room.store import Store

        settings, file = self.database, self.path / STATE_FILE
        place = str(file.resolve()) if settings is None else f"{self.path.resolve()} {settings.url}"
        with _STORES_LOCK:
            key = (os.getpid(), self.name, place, _identity(file) if settings is None else ())
            known = _STORES.get(key)
            if known is not None:
                return known
            store = Store(file) if settings is None else Store(settings.url, settings.password)
            store.belongs_to(self.name)
            if settings is None:
                key = (*key[:3], _identity(file))
            _STORES[key] = store
        return store

    @property
    def key_file(self) -> Path:
        """Where the member's key is."""
        return self.path / KEY_FILE

    def table_file(self, table: str) -> Path | None:
        """The file of a table in `tables/`, if there is one: Parquet first, then CSV."""
        candidates = (self.path / "tables" / f"{table}.{suffix}" for suffix in ("parquet", "csv"))
        return next((path for path in candidates if path.is_file()), None)

    def remember(self, room: Room) -> None:
        """Keep the agreement that the member signs, as its own word on what the room is.

        Raises:
            RoomError: the member signed a later version before, or another agreement as this version.
        """
        path = self._record(room.agreement)
        if path.exists():
            continues(room, load_agreement(path))
        path.parent.mkdir(exist_ok=True)
        write_whole(path, canonical(room.agreement))

    def known(self, room: Room) -> Agreement | None:
        """The newest version of the room that this member signed or accepted; None if it knows none."""
        path = self._record(room.agreement)
        return load_agreement(path) if path.exists() else None

    def room(self, shared: Room) -> Room:
        """The room as this member knows it: in force by everybody's signatures, continuing its own record.

        A version later than the member's record is taken over if the chain of signed versions leads to it:
        then all whose data or duty the changes touch have signed them, and this member would be among those.

        Raises:
            RoomError: the member has no record of the room, the file is altered or older than the record, it
                is not in force, or the member is a host and its directory holds a shared secret.
        """
        own = self.known(shared)
        if own is None:
            raise RoomError(
                f"{self.name!r} has no record of having signed room {shared.agreement.name!r}: look at it "
                "with `hitoku room show` and sign it with `hitoku room sign`"
            )
        continues(shared, own)
        verify(shared)
        self.check_duties(shared.agreement)
        if own.version < shared.agreement.version:
            write_whole(self._record(shared.agreement), canonical(shared.agreement))
        return shared

    def check_duties(self, agreement: Agreement) -> None:
        """Refuse a host whose directory holds what no host may have.

        Raises:
            RoomError: the member is a host in the room and its directory holds a shared secret.
        """
        member = agreement.member(self.name)
        if member is None:
            raise RoomError(f"{self.name!r} is no member of room {agreement.name!r}")
        if Ability.HOST in member.abilities and (self.path / SECRET_FILE).exists():
            raise RoomError(
                f"{self.path / SECRET_FILE}: a host must not hold the shared secret: with it, it could try "
                "every value against the fingerprints. Remove it, and make a new secret: this one is spent"
            )

    def _record(self, agreement: Agreement) -> Path:
        return self.path / "rooms" / f"{agreement.id}.json"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A room file with the member directories that are on this machine."""

    path: Path
    room: Room
    members: Mapping[str, MemberDirectory]

    @classmethod
    def open(cls, path: Path) -> Workspace:
        """Open a workspace by its directory or its room file.

        Raises:
            RoomError: the room file or `peers.toml` cannot be used, or names a directory of another member.
        """
        room_file = path / ROOM_FILE if path.is_dir() else path
        room = load_room(room_file)
        peers = _toml(room_file.parent / PEERS_FILE).get("members")
        if not isinstance(peers, dict):
            raise RoomError(f"{room_file.parent / PEERS_FILE}: needs a [members] table")
        members: dict[str, MemberDirectory] = {}
        for name, place in peers.items():
            if not isinstance(place, str):
                raise RoomError(f"{room_file.parent / PEERS_FILE}: members.{name} must be a path")
            directory = MemberDirectory.open(room_file.parent / place)
            if directory.name != name:
                raise RoomError(f"{directory.path}: belongs to {directory.name!r}, not {name!r}")
            members[name] = directory
        return cls(room_file.parent, room, members)

    def member(self, name: str) -> MemberDirectory:
        """The directory of a member on this machine.

        Raises:
            RoomError: there is none.
        """
        if name not in self.members:
            raise RoomError(
                f"{name!r} is not on this machine: {PEERS_FILE} names "
                + (", ".join(sorted(self.members)) or "nobody")
            )
        return self.members[name]


_Key = tuple[int, str, str, tuple[int, ...]]
_STORES: weakref.WeakValueDictionary[_Key, Store] = weakref.WeakValueDictionary()
_STORES_LOCK = threading.Lock()


def _identity(file: Path) -> tuple[int, ...]:
    """Tells an SQLite database from another that took its place, or whose log was taken away.

    Without that, a connection that is still open would go on in a file that is no longer there.
    """
    found: list[int] = []
    for path in (file, file.with_name(file.name + "-wal")):
        try:
            stat = path.stat()
            found += [stat.st_dev, stat.st_ino]
        except OSError:
            found.append(0)
    return tuple(found)


def write_peers(workspace: Path, members: Mapping[str, str]) -> None:
    """Write a workspace's `peers.toml`: member names to directories, relative to the workspace.

    Raises:
        RoomError: it cannot be written.
    """
    lines = ["# Where the members' directories are on this machine.", "[members]"]
    lines += [f"{name} = {json.dumps(place)}" for name, place in members.items()]
    write_whole(workspace / PEERS_FILE, ("\n".join(lines) + "\n").encode())
