# SPDX-License-Identifier: Apache-2.0
"""`hitoku node backup`: one consistent archive of what a node cannot do without.

In it: the database, as it was at one moment, while the node goes on; the room files, the member's own record
of what it signed, node.toml and member.toml, the answers that it received, its invitations and policy. The
keys are in it only where that is asked for, sealed under a passphrase. Never in it: the member's plain
tables, encrypted copies of others' tables (their owners have them), models, what runs that are under way have
on disk, and the key broker's own key and counter, which must not be put back (the counter is what tells a
broker that its database was).

The archive says what members asked and what they were answered: whoever reads it learns that.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku import limits
from hitoku.errors import InputError, SecretError
from hitoku.node.archive import ArchiveWriter, Manifest, inside
from hitoku.node.proposal_book import Book
from hitoku.node.settings import SETTINGS_FILE, NodeSettings
from hitoku.node.settings_console import SEALING_KEY
from hitoku.ports import Clock
from hitoku.room.directory import MEMBER_FILE, MemberDirectory
from hitoku.room.files import load_room, locked
from hitoku.room.keys import KEY_FILE, SECRET_FILE
from hitoku.room.private import read_private

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

__all__ = ["KEYS_PART", "PRIVATE", "SKIPPED", "backup", "derive", "sealing_context"]

KEYS_PART: Final = "keys.sealed"
PRIVATE: Final = (KEY_FILE, SECRET_FILE, SEALING_KEY, "console.key")
"""Files that are sealed under the passphrase, or not in the archive at all. The last is
the one before it by its old name, or the key of the console's certificate."""

_FOLDERS: Final = ("rooms", "answers", "invitations", "joining")
_ROOM_FOLDERS: Final = ("proposals", "examples")
"""With a folder for each room: which drafts were signed (no other may be), rules' examples of questions."""
_FILES: Final = (MEMBER_FILE, SETTINGS_FILE, "attestation/policy.json")
SKIPPED: Final = frozenset({"console_sessions", "console_attempts"})
"""Tables that are not in it: who was signed in then is not signed in afterwards."""

_CONTEXT: Final = b"hitoku/backup-keys/1\n"
_MIN_PASSPHRASE: Final = 12
_SALT, _NONCE = 16, 12


def backup(
    directory: MemberDirectory,
    to: Path,
    clock: Clock,
    *,
    passphrase: Path | None = None,
    move: bool = False,
) -> Manifest:
    """Write a backup. Returns what is in it.

    Args:
        directory: the member's.
        to: the archive; refused if there is something.
        clock: dates it.
        passphrase: a file with the passphrase that the keys are sealed under; without it they are left out.
        move: close the node's ledgers in the same moment, since it is to go on from this archive elsewhere.

    Raises:
        InputError: there is something at `to`, or a file of the directory cannot be read.
        SecretError: the passphrase or a key cannot be used.
        LimitError: there is no room for it; nothing is left then.
    """
    from hitoku._core import __version__
    from hitoku.room.store import SCHEMA_VERSION

    keys = directory.keys()
    made = clock.now()
    sealed = None if passphrase is None else _sealed_keys(directory, passphrase)
    with ArchiveWriter(to) as archive:
        _database(directory, archive, made, move)
        if move:
            _close_signing(directory)
        outside = _files(directory, archive)
        if sealed is not None:
            archive.add(KEYS_PART, iter([sealed]))
        manifest = Manifest(
            member=directory.name,
            key=keys.public_key(),
            made=made.strftime("%Y-%m-%dT%H:%M:%SZ"),
            hitoku=__version__,
            schema_version=SCHEMA_VERSION,
            moved=move,
            outside=outside,
            parts=tuple(archive.parts),
        )
        archive.sign(manifest, keys)
    return manifest


def derive(passphrase: Path, salt: bytes) -> bytes:
    """The key that keys are sealed under: scrypt (RFC 7914) of the passphrase, 128 MiB, about half a second.

    Raises:
        SecretError: the passphrase is missing, open to others, or too short.
    """
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    word = read_private(passphrase, "the passphrase").rstrip(b"\r\n")
    if len(word) < _MIN_PASSPHRASE:
        raise SecretError(f"{passphrase}: a passphrase has at least {_MIN_PASSPHRASE} characters")
    return Scrypt(salt=salt, length=32, n=2**17, r=8, p=1).derive(word)


def sealing_context(member: str) -> bytes:
    """What sealed keys are bound to: sealed for one member, they do not open as another's."""
    return _CONTEXT + member.encode()


def _sealed_keys(directory: MemberDirectory, passphrase: Path) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    held = {
        name: base64.b64encode(read_private(directory.path / name, f"the file {name}")).decode()
        for name in PRIVATE
        if (directory.path / name).exists()
    }
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    content = json.dumps(held).encode()
    sealed = AESGCM(derive(passphrase, salt)).encrypt(nonce, content, sealing_context(directory.name))
    return salt + nonce + sealed


def _database(directory: MemberDirectory, archive: ArchiveWriter, made: datetime, move: bool) -> None:
    """All tables as they are at one moment."""
    store = directory.store()
    if move:
        # Durable before anything is read: what is read then is the last word, also by a second attempt.
        with store.transaction() as connection:
            _close_ledgers(connection, made)
    with store.reading() as connection:
        _tables(connection, archive)


def _close_ledgers(connection: Connection, made: datetime) -> None:
    import sqlalchemy as sa

    from hitoku.room import store as tables
    from hitoku.room.restored import Restored

    ledger = tables.ledgers.c
    # The update of all rows comes first: whoever writes now ends before it, whoever comes later is refused.
    connection.execute(sa.update(tables.ledgers).values(size=ledger.size))
    for row in connection.execute(sa.select(ledger.room, ledger.size, ledger.restored)).all():
        known = None if row.restored is None else Restored.from_text(str(row.restored))
        if known is not None and known.state != "moved":  # an arriving one as well: it would be two copies
            raise known.refusal("this node")
        closed = known or Restored("moved", made.strftime("%Y-%m-%dT%H:%M:%SZ"), int(row.size))
        connection.execute(
            sa.update(tables.ledgers).where(ledger.room == row.room).values(restored=closed.to_text())
        )


def _close_signing(directory: MemberDirectory) -> None:
    """No proposal is signed here any more: what is signed is read after this."""
    settings = directory.path / SETTINGS_FILE
    files = NodeSettings.open(directory.path).room_files(directory.path) if settings.is_file() else ()
    for file in files:
        if file.is_file():
            with locked(file):
                Book(directory.path, str(load_room(file).agreement.id)).close("moved")


def _tables(connection: Connection, archive: ArchiveWriter) -> None:
    from hitoku.room.store import metadata

    for table in metadata.sorted_tables:
        if table.name not in SKIPPED:
            archive.add(f"tables/{table.name}.jsonl", _rows(connection, table))


def _rows(connection: Connection, table: Any) -> Iterator[bytes]:
    """The table's rows: the names of its columns, then every row in the order of its key."""
    import sqlalchemy as sa

    yield _line([column.name for column in table.columns])
    wanted = sa.select(table).order_by(*table.primary_key.columns)
    for row in connection.execution_options(yield_per=500).execute(wanted):
        yield _line([_packed(table.name, name, value) for name, value in row._mapping.items()])


def _packed(table: str, column: str, value: Any) -> Any:
    if (table, column) == ("broker_keys", "wrapped"):
        return None  # a data key is never put back
    if isinstance(value, bytes | memoryview):
        return {"b": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict | list):
        return {"j": value}
    return value


def _line(values: list[Any]) -> bytes:
    return json.dumps(values, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _files(directory: MemberDirectory, archive: ArchiveWriter) -> dict[str, str]:
    """The files. Returns the room files that lay outside the directory: part to path as node.toml has it."""
    base = directory.path.resolve()
    for name in _FILES:
        if (base / name).is_file():
            archive.add(f"files/{name}", _content(base / name))
    for folder in _FOLDERS:
        for path in _plain_files(base / folder):
            archive.add(f"files/{folder}/{path.name}", _content(path))
    for folder in _ROOM_FOLDERS:
        for place in _plain_folders(base / folder):
            for path in _plain_files(place):
                archive.add(f"files/{folder}/{place.name}/{path.name}", _content(path))
    outside: dict[str, str] = {}
    if not (base / SETTINGS_FILE).is_file():
        return outside
    settings = NodeSettings.open(base)
    for number, (file, said) in enumerate(zip(settings.room_files(base), settings.rooms, strict=True)):
        if not file.is_file():
            continue
        inner = f"files/{file.relative_to(base).as_posix()}" if file.is_relative_to(base) else ""
        if inside(inner):
            if all(part.path != inner for part in archive.parts):
                archive.add(inner, _content(file))
            continue
        part = f"rooms/{number}.yaml"
        archive.add(part, _content(file))
        outside[part] = said.file
    return outside


def _plain_folders(folder: Path) -> Iterable[Path]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if path.is_dir() and not path.is_symlink() and path.name[0] != "."]


def _plain_files(folder: Path) -> Iterable[Path]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if path.is_file() and not path.is_symlink() and path.name[0] != "."]


def _content(path: Path) -> Iterator[bytes]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > limits.MAX_BACKUP_FILE_BYTES:
        raise InputError(f"{path}: is larger than {limits.MAX_BACKUP_FILE_BYTES} bytes")
    yield content
