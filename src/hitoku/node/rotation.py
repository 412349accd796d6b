# SPDX-License-Identifier: Apache-2.0
"""A member changes its Ed25519 key in all its rooms (docs/key-rotation.md).

Three steps, because others have a say. *Begin*: a new key is made beside the old one, and every room gets a
next version that names it, signed with both: the old key lets itself go, the new one shows that it is held.
The owners whose data the change touches sign, too, as for any change of a member. *Finish*, once all rooms
are in force with the new key and while the node is stopped: the new key takes the old one's place, every
ledger's newest head is signed again with it, and the ledger says so. *Erase*: the old key goes.

What the old key signed stays valid as what it was: heads that others keep are checked with any key that the
member ever had in the room (`hitoku.room.heads.signed_ever`); what is signed from now on is not.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hitoku.errors import InputError, RoomError, SecretError
from hitoku.node.archive import sync
from hitoku.node.certificate import certificate_file
from hitoku.node.proposal_book import Book
from hitoku.node.settings import SETTINGS_FILE, NodeSettings, socket_of
from hitoku.ports import Clock
from hitoku.room.agreement import Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room, locked, save_room
from hitoku.room.keys import KEY_FILE, FileKeyStore, generate_key
from hitoku.room.signing import missing, problems, sign
from hitoku.room.versions import revise

__all__ = ["RETIRED_FILE", "Step", "begin", "erase", "finish"]

NEXT_FOLDER: Final = "next-key"
RETIRED_FILE: Final = "member.key.retired"


@dataclass(frozen=True, slots=True)
class Step:
    """How one room stands.

    Attributes:
        room: its name.
        file: its file.
        version: the version that names the new key.
        missing: who must still sign it.
    """

    room: str
    file: Path
    version: int
    missing: tuple[str, ...]


def begin(directory: MemberDirectory) -> tuple[str, tuple[Step, ...]]:
    """Make a new key and a next version of every room with it. Returns the public key, and the rooms.

    Said again, it goes on where it was: there is one new key until it is finished.

    Raises:
        RoomError: a room cannot be used, or has another draft in its file.
        SecretError: a key cannot be used.
    """
    folder = directory.path / NEXT_FOLDER
    if not (folder / KEY_FILE).exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        generate_key(folder)
    old, new = directory.keys(), FileKeyStore(folder)
    files = _files(directory)
    for _, room in files:  # before anything is written
        _check(directory, room, old, new)
        _check_free(directory, _revised(room, directory.name, new.public_key()))
    steps = []
    for file, _ in files:
        with locked(file):
            room = _revised(load_room(file), directory.name, new.public_key())
            book = _check_free(directory, room)
            if problems(room):  # bound before the signature is there, as in `hitoku.node.proposals`
                version, hash_ = room.agreement.version, agreement_hash(room.agreement)
                book.bind(book.bound().signed(directory.name, version, hash_))
            for keys in (old, new):
                room = sign(room, directory.name, keys)
            save_room(room, file)
        steps.append(Step(room.agreement.name, file, room.agreement.version, missing(room)))
    return new.public_key(), tuple(steps)


def finish(directory: MemberDirectory, clock: Clock) -> tuple[str, tuple[Step, ...]]:
    """Let the new key take the old one's place. Returns it, and the rooms.

    Said again, also after it was cut off, it does what is left to do.

    Raises:
        InputError: the node is running: it would go on signing with the old key.
        RoomError: a room is not in force with the new key.
        SecretError: there is no new key.
    """
    _not_running(directory)
    path, files = directory.path, _files(directory)
    waiting = path / NEXT_FOLDER / KEY_FILE
    if not waiting.exists() and not (path / RETIRED_FILE).exists():
        raise SecretError(f"{path}: there is no new key to finish with; begin with `hitoku node rotate-key`")
    key = (FileKeyStore(path / NEXT_FOLDER) if waiting.exists() else directory.keys()).public_key()
    for file, room in files:
        member = room.agreement.member(directory.name)
        if member is None or member.key != key or problems(room):
            lacking = ", ".join(missing(room)) or "the new key"
            raise RoomError(f"{file}: is not in force with the new key; still to sign: {lacking}")
    if waiting.exists():
        _swap(path, waiting)
    for _, room in files:
        directory.remember(room)
        _sign_again(directory, room, clock)
    certificate_file(directory)
    return key, tuple(Step(r.agreement.name, file, r.agreement.version, ()) for file, r in files)


def erase(directory: MemberDirectory) -> bool:
    """Erase the key that was retired. Returns whether there was one.

    It is written over first; a file system or disk that keeps older blocks may keep it all the same.

    Raises:
        SecretError: it cannot be erased.
    """
    path = directory.path / RETIRED_FILE
    if not path.exists():
        return False
    try:
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except OSError as error:
        raise SecretError(f"{path}: cannot be erased ({error.strerror})") from None
    return True


def _files(directory: MemberDirectory) -> list[tuple[Path, Room]]:
    if not (directory.path / SETTINGS_FILE).exists():
        raise InputError(f"{directory.path / SETTINGS_FILE}: says which rooms there are; there is none")
    found = NodeSettings.open(directory.path).room_files(directory.path)
    return [(file, load_room(file)) for file in found]


def _check(directory: MemberDirectory, room: Room, old: FileKeyStore, new: FileKeyStore) -> None:
    name = room.agreement.name
    member = room.agreement.member(directory.name)
    if member is None:
        raise RoomError(f"{directory.name!r} is no member of room {name!r}")
    if problems(room) and member.key != new.public_key():
        raise RoomError(
            f"room {name!r} has another draft in its file: have it signed, or take it away, before the key "
            "changes"
        )
    if member.key not in {old.public_key(), new.public_key()}:
        raise RoomError(f"the key of this directory is not the one that room {name!r} names")


def _check_free(directory: MemberDirectory, room: Room) -> Book:
    """Who signed another proposal of that number signs no second one: both could come in force."""
    book = Book(directory.path, str(room.agreement.id))
    if problems(room):
        book.check_free(room.agreement)
    return book


def _revised(room: Room, name: str, key: str) -> Room:
    members: list[dict[str, Any]] = [m.model_dump(mode="json") for m in room.agreement.members]
    if any(m["name"] == name and m["key"] == key for m in members):
        return room
    return revise(room, {"members": [m | {"key": key} if m["name"] == name else m for m in members]})


def _swap(path: Path, waiting: Path) -> None:
    """At every moment there is a whole key in its place: the old one, or the new one."""
    retired = path / RETIRED_FILE
    try:
        if not retired.exists():
            os.link(path / KEY_FILE, retired)
        waiting.replace(path / KEY_FILE)
        sync(path)
        waiting.parent.rmdir()
    except OSError as error:
        raise SecretError(f"{path}: the key cannot be put in its place ({error.strerror})") from None


def _sign_again(directory: MemberDirectory, room: Room, clock: Clock) -> None:
    """Sign the ledger's newest head with the key of now, and say so in the ledger; once."""
    from hitoku.room.heads import member_signed
    from hitoku.room.ledger import EntryKind

    agreement = room.agreement
    records = directory.records(str(agreement.id), clock)
    signed = member_signed(agreement)
    head = records.ledger.head()
    member = agreement.member(directory.name)
    if member is not None and head is not None and not signed(head.member, head.message(), head.signature):
        with records.store.transaction() as connection:
            records.ledger.sign_again(connection)
            body = {"key": member.key, "version": agreement.version}
            records.ledger.append(connection, EntryKind.KEY_CHANGE, body)
    records.accept(agreement)


def _not_running(directory: MemberDirectory) -> None:
    host, port = socket_of(NodeSettings.open(directory.path).listen)
    for address in _addresses(host):
        try:
            socket.create_connection((address, port), timeout=2).close()
        except OSError:
            continue
        raise InputError(
            "the node is running and would go on signing with the old key: stop it, finish, start it again"
        )


def _addresses(host: str) -> Iterable[str]:
    """Where to look for the node: an address that stands for all is reached on loopback."""
    return {"0.0.0.0": ("127.0.0.1",), "::": ("::1", "127.0.0.1")}.get(host, (host,))  # noqa: S104
