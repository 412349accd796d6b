# SPDX-License-Identifier: Apache-2.0
"""`hitoku node restore`: a member's directory and database from a backup.

A restored database may be older than what the others have seen, so every ledger in it is closed
(`hitoku.room.restored`); runs that were under way then are ended, data keys of the broker are revoked, and
nothing in it is believed to be the last word. `hitoku.node.rejoin` opens a ledger again. Only an archive that
was made with the node's own closing (`hitoku node backup --move`) is known to be the last word; its ledgers
go on when all other members know that they go on here (`hitoku.room.arrivals`).

The directory appears whole or not at all, with its database in it; a database on a server is filled in one
transaction, before the directory appears, and has to be empty.
"""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku.errors import InputError, LimitError, RoomError, SecretError
from hitoku.node.archive import ArchiveReader, Manifest, Part, sync
from hitoku.node.backup import KEYS_PART, PRIVATE, SKIPPED, derive, sealing_context
from hitoku.node.proposal_book import Book
from hitoku.node.settings import SETTINGS_FILE, NodeSettings
from hitoku.ports import Clock
from hitoku.room.database import STATE_FILE, DatabaseSettings, checked_url
from hitoku.room.directory import MEMBER_FILE, MemberDirectory
from hitoku.room.private import write_private
from hitoku.room.restored import Restored

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

__all__ = ["restore"]

_ROWS: Final = 500


def restore(
    archive: Path,
    to: Path,
    clock: Clock,
    *,
    passphrase: Path | None = None,
    key: str | None = None,
    database: str | None = None,
    password_file: Path | None = None,
) -> Manifest:
    """Make a member's directory from a backup. Returns what was in it.

    Args:
        archive: the backup.
        to: the directory; there must be nothing, or an empty one.
        clock: dates the closing of the ledgers.
        passphrase: a file with the passphrase of the keys; without it they are not restored.
        key: the member's public key, as the operator knows it from elsewhere: the archive must be signed by
            it. Needed where there is no passphrase: whoever holds an archive can make another one, signed by
            a key of its own, and what it says of itself proves nothing. Under the passphrase is the member's
            own key, which must then be the one that signed.
        database: URL of an empty PostgreSQL database for the state; an SQLite file in `to` where None.
        password_file: where the password for that is.

    Raises:
        InputError: the archive is damaged, altered or none, or not signed by `key`; there is something at
            `to`; neither `passphrase` nor `key` says whose it is.
        SecretError: the passphrase does not open the keys.
        RoomError: a newer hitoku made it, or the database is not empty.
        LimitError: there is no room for it. Nothing is left then.
    """
    file = None if password_file is None else password_file.resolve()
    settings = None if database is None else DatabaseSettings(checked_url(database), file)
    if to.is_symlink() or (to.exists() and (not to.is_dir() or any(to.iterdir()))):
        raise InputError(f"{to}: is there already; a restore makes a directory anew")
    if key is None and passphrase is None:
        raise InputError(
            "without the passphrase of its keys nothing tells whose the backup is: name the member's public "
            "key (--key ed25519:..., as the room's file has it)"
        )
    with ArchiveReader(archive) as source:
        if key not in {None, source.manifest.key}:
            raise InputError(f"{archive}: is signed by another key than the one named; nothing was restored")
        source.check()
        _check_schema(source.manifest)
        try:
            staging = Path(tempfile.mkdtemp(dir=to.parent, prefix=f".{to.name}."))
        except OSError as error:
            raise InputError(f"{to}: cannot be made ({error.strerror})") from None
        try:
            _write_files(source, staging, settings)
            if passphrase is not None:
                _open_keys(source, staging, passphrase)
            (staging / "tables").mkdir()
            _fill(source, staging, settings, clock.now())
            for room in _rooms(staging):
                Book(staging, room).close("restored")  # until all others said what was signed since
            _sync(staging)
            if to.exists():
                to.rmdir()
            staging.rename(to)
            sync(to.parent)
        except OSError as error:
            raise LimitError(f"{to}: cannot be written ({error.strerror}); nothing was restored") from None
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return source.manifest


def _check_schema(manifest: Manifest) -> None:
    from hitoku.room.store import SCHEMA_VERSION

    if manifest.schema_version > SCHEMA_VERSION:
        raise RoomError(
            f"the backup has schema {manifest.schema_version}, this hitoku knows {SCHEMA_VERSION}: "
            f"restore it with hitoku {manifest.hitoku} or a newer one"
        )


def _write_files(source: ArchiveReader, staging: Path, database: DatabaseSettings | None) -> None:
    """The files. Parts that could come to lie on a key, or outside, are none that a backup has."""
    manifest = source.manifest
    for part in manifest.parts:
        folder, _, name = part.path.partition("/")
        if folder == "files":
            target = staging / name
            if name.split("/")[0] in {*PRIVATE, STATE_FILE, "tables"}:
                raise InputError(f"the backup has a file {name!r}, which no backup has; nothing was restored")
            target.parent.mkdir(parents=True, exist_ok=True)
            write_private(target, source.content(part), f"the file {name}")
        elif folder == "rooms" and part.path in manifest.outside:
            write_private(staging / _room_name(part), source.content(part), "the room file")
        elif folder != "tables" and part.path != KEYS_PART:
            raise InputError(f"the backup has a part {folder!r}, which no backup has; nothing was restored")
    lines = [f"name = {json.dumps(manifest.member)}", *(database.lines(staging) if database else [])]
    (staging / MEMBER_FILE).write_text("\n".join(lines) + "\n", "utf-8")
    if manifest.outside and (staging / SETTINGS_FILE).exists():
        moved = {said: f"room-{Path(part).name}" for part, said in manifest.outside.items()}
        settings = NodeSettings.open(staging)
        rooms = tuple(
            room.model_copy(update={"file": moved.get(room.file, room.file)}) for room in settings.rooms
        )
        text = settings.model_copy(update={"rooms": rooms}).text()
        (staging / SETTINGS_FILE).write_text(text, "utf-8")


def _room_name(part: Part) -> str:
    return f"room-{Path(part.path).name}"


def _open_keys(source: ArchiveReader, staging: Path, passphrase: Path) -> None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    part = source.manifest.part(KEYS_PART)
    if part is None:
        raise SecretError("the backup was made without keys: put member.key into the directory yourself")
    content = source.content(part)
    salt, nonce, sealed = content[:16], content[16:28], content[28:]
    try:
        opened = AESGCM(derive(passphrase, salt)).decrypt(
            nonce, sealed, sealing_context(source.manifest.member)
        )
        held: dict[str, str] = json.loads(opened)
    except (InvalidTag, ValueError):
        raise SecretError(
            "the passphrase does not open the keys of the backup; nothing was restored"
        ) from None
    for name in PRIVATE:
        if name in held:
            write_private(staging / name, base64.b64decode(held[name]), f"the file {name}")
    if MemberDirectory(staging, source.manifest.member).keys().public_key() != source.manifest.key:
        raise SecretError("the key in the backup is not the one that signed it; nothing was restored")


def _fill(source: ArchiveReader, staging: Path, settings: DatabaseSettings | None, now: datetime) -> None:
    """Rows by the schema that they were written with, then the migrations to this one: one transaction."""
    from hitoku.room.migrations import upgrade_to
    from hitoku.room.store import Store, lock_all

    if settings is None:
        store = Store.unmade(staging / STATE_FILE)
    else:
        store = Store.unmade(settings.url, settings.password)
    try:
        with store.transaction() as connection:
            lock_all(connection, 0)
            _check_empty(connection)
            upgrade_to(connection, source.manifest.schema_version)
            _insert(source, connection)
            upgrade_to(connection, "head")
            _mark(connection, source.manifest, _rooms(staging), now)
        store.scrub()
    finally:
        store.close()
    if settings is None:
        for suffix in ("-wal", "-shm"):
            (staging / f"{STATE_FILE}{suffix}").unlink(missing_ok=True)


def _check_empty(connection: Connection) -> None:
    import sqlalchemy as sa

    if sa.inspect(connection).get_table_names():
        raise RoomError("the database is not empty: a restore needs one of its own; nothing was restored")


def _insert(source: ArchiveReader, connection: Connection) -> None:
    import sqlalchemy as sa

    known = sa.MetaData()
    known.reflect(connection)
    for part in source.manifest.parts:
        folder, _, name = part.path.partition("/")
        if folder != "tables":
            continue
        table = known.tables.get(name.removesuffix(".jsonl"))
        if table is None or table.name == "alembic_version" or table.name in SKIPPED:
            raise InputError(f"the backup has a table {name!r} that is not known; nothing was restored")
        rows = source.lines(part)
        columns = next(rows, [])
        if sorted(map(str, columns)) != sorted(column.name for column in table.columns):
            raise InputError(f"the backup's table {name!r} has other columns; nothing was restored")
        for batch in _batches(rows, columns, part.path):
            connection.execute(sa.insert(table), batch)
        _go_on_counting(connection, table)


def _batches(rows: Iterator[list[Any]], columns: list[Any], where: str) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        if len(row) != len(columns):
            raise InputError(f"{where} in the backup is damaged; nothing was restored")
        batch.append({str(name): _opened(value, where) for name, value in zip(columns, row, strict=True)})
        if len(batch) == _ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _opened(value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        try:
            return base64.b64decode(value["b"], validate=True) if "b" in value else value["j"]
        except (KeyError, ValueError, TypeError):
            raise InputError(f"{where} in the backup is damaged; nothing was restored") from None
    if isinstance(value, list):
        raise InputError(f"{where} in the backup is damaged; nothing was restored")
    return value


def _go_on_counting(connection: Connection, table: Any) -> None:
    """On PostgreSQL a column that counts by itself goes on after the largest number that was inserted."""
    import sqlalchemy as sa

    keys = list(table.primary_key.columns)
    if connection.dialect.name != "postgresql" or len(keys) != 1:
        return
    if not isinstance(keys[0].type, sa.Integer):
        return
    sequence = connection.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, keys[0].name)))
    if sequence is not None:
        most = connection.scalar(sa.select(sa.func.max(keys[0])))
        if most is not None:
            connection.execute(sa.select(sa.func.setval(sequence, most)))


def _rooms(staging: Path) -> list[str]:
    """The rooms that the member has a record of, also where its ledger of them is not in the backup."""
    return sorted(path.stem for path in (staging / "rooms").glob("*.json") if len(path.stem) == 36)


def _mark(connection: Connection, manifest: Manifest, rooms: list[str], now: datetime) -> None:
    """Close the ledgers, end what was under way, and revoke the broker's keys."""
    import sqlalchemy as sa

    from hitoku.room import consoletables, keytables
    from hitoku.room import store as tables

    named = connection.scalar(sa.select(tables.facts.c.value).where(tables.facts.c.name == "member"))
    if named not in {None, manifest.member}:
        raise RoomError("the backup's database is another member's; nothing was restored")
    ledger = tables.ledgers.c
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    for room in rooms:
        tables.insert_once(connection, tables.ledgers, {"room": room, "size": 0, "head": None})
    for row in connection.execute(sa.select(ledger.room, ledger.size, ledger.restored)).all():
        # A backup of a copy that did not go on, where another one may: it does not get rid of that.
        was = None if row.restored is None else Restored.from_text(str(row.restored))
        closed = Restored("restored", time, int(row.size), instance=was.instance if was else None)
        if manifest.moved:  # of all copies of it one goes on: the one that the others hear of
            closed = Restored("arriving", time, int(row.size), instance=secrets.token_hex(16))
        connection.execute(
            sa.update(tables.ledgers).where(ledger.room == row.room).values(restored=closed.to_text())
        )
    # A run that goes on from an older state would draw its noise a second time: two views for one charge.
    job = tables.jobs.c
    connection.execute(sa.update(tables.jobs).where(job.state == "open").values(state="failed"))
    key = keytables.keys.c
    connection.execute(
        sa.update(keytables.keys).where(key.state == "live").values(state="revoked", wrapped=None)
    )
    connection.execute(sa.delete(keytables.challenges))
    if not manifest.moved:  # one that was ended after the backup would be good again
        connection.execute(sa.delete(consoletables.tokens))


def _sync(folder: Path) -> None:
    """Make everything in a folder durable, and the folder itself."""
    for path in (*sorted(folder.rglob("*")), folder):
        sync(path)
