# SPDX-License-Identifier: Apache-2.0
"""A member's durable state: SQLAlchemy Core on SQLite (WAL) by default, PostgreSQL by URL.

Everything that belongs together is written in one transaction (`Store.transaction`), which is durable
when the `with` block ends and leaves nothing when it raises or the process dies inside it. On SQLite a
transaction takes the write lock at once (`BEGIN IMMEDIATE`), so that what it read still holds when it
writes. On PostgreSQL transactions are READ COMMITTED: who counts on what it reads locks the room's ledger
first (`Ledger.lock`), whose row's lock everybody takes before any other, so that none waits in a circle.

No error of the driver reaches a caller, for it names hosts and quotes rows: a database that is gone, full or
too busy is a LimitError, a damaged one a RoomError. Only a broken constraint, which is a mistake in the
program and not of the world, comes through.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, RootTransaction, make_url

from hitoku.errors import LimitError, RoomError
from hitoku.room import consoletables, keytables, predictiontables  # noqa: F401 (they declare their tables)
from hitoku.room.databaseerrors import BUSY, comes_back, sqlite_code, told
from hitoku.room.schema import metadata

__all__ = ["SCHEMA_VERSION", "Store", "insert_once", "lock_all", "metadata"]

SCHEMA_VERSION = "0008"
"""Revision of the newest migration; revisions sort as text."""

# secure_delete: an answer that is deleted leaves no bytes behind in the file. cache_size, in KiB where it is
# negative: a node has two dozen connections, and each would keep 2 MiB of pages that the system has anyway.
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=60000",
    "foreign_keys=ON",
    "secure_delete=ON",
    "cache_size=-512",
)

agreements = sa.Table(
    "agreements",
    metadata,
    sa.Column("room", sa.String(36), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("hash", sa.String(71), nullable=False),
)
"""Every version of every agreement that this member signed or took over."""

ledgers = sa.Table(
    "ledgers",
    metadata,
    sa.Column("room", sa.String(36), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("head", sa.LargeBinary, nullable=True),
    sa.Column("restored", sa.Text, nullable=True),
)
"""One ledger a room: its size and the signed head over all entries, as canonical JSON.

`restored` is set where it came from a backup and may not go on yet: `hitoku.room.restored`."""

facts = sa.Table(
    "store_facts",
    metadata,
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
"""What is true of the whole database: `member`, whose it is."""

entries = sa.Table(
    "ledger_entries",
    metadata,
    sa.Column("room", sa.String(36), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
"""The entries: canonical JSON bytes, exactly what is hashed."""

nodes = sa.Table(
    "ledger_nodes",
    metadata,
    sa.Column("room", sa.String(36), primary_key=True),
    sa.Column("level", sa.Integer, primary_key=True),
    sa.Column("index", sa.BigInteger, primary_key=True),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
)
"""Hashes of complete subtrees, so that a proof reads O(log n) rows."""

peer_heads = sa.Table(
    "peer_heads",
    metadata,
    sa.Column("room", sa.String(36), primary_key=True),
    sa.Column("member", sa.String(63), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("head", sa.LargeBinary, nullable=False),
)
"""The newest head seen of each other member's ledger."""

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run", sa.String(64), primary_key=True),
    sa.Column("room", sa.String(36), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("asker", sa.String(63), nullable=False),
    sa.Column("host", sa.String(63), nullable=False),
    sa.Column("question", sa.String(71), nullable=False),
    sa.Column("plan", sa.String(71), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created", sa.String(32), nullable=False),
    sa.Column("updated", sa.String(32), nullable=False),
    sa.Column("repeats", sa.String(32), nullable=True),
)
"""One row for each run this member has a part in: reserved, then committed or aborted.

`repeats` names the run whose stored answer it gives again; None where it computes one."""

charges = sa.Table(
    "charges",
    metadata,
    sa.Column("run", sa.String(64), primary_key=True),
    sa.Column("unit", sa.String(63), primary_key=True),
    sa.Column("room", sa.String(36), nullable=False),
    sa.Column("period", sa.String(16), nullable=False),
    sa.Column("question", sa.String(71), nullable=False),
    sa.Column("rho", sa.BigInteger, nullable=False),
    sa.Column("delta", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Index("charges_of_account", "room", "unit", "period"),
)
"""What runs cost this member's own accounts: reserved and committed both count, aborted does not.

An account's balance is the sum of its rows, and nothing else is kept of it: it cannot drift from them."""

uses = sa.Table(
    "table_uses",
    metadata,
    sa.Column("run", sa.String(64), primary_key=True),
    sa.Column("table", sa.String(63), primary_key=True),
    sa.Column("room", sa.String(36), nullable=False),
    sa.Column("time", sa.String(32), nullable=False),
    sa.Column("box", sa.Text, nullable=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Index("uses_of_table", "room", "table", "time"),
)
"""Questions of this member's own tables, for access budgets; `box` is what they asked, for overlaps."""

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("room", sa.String(36), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("key", sa.String(71), nullable=False),
    sa.Column("tables", sa.LargeBinary, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Index("answers_by_key", "room", "key"),
    sa.Index("answers_by_age", "number"),
)
"""As host: released answers, to be given again; see `hitoku.room.answers`."""

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("room", sa.String(36), primary_key=True),
    sa.Column("part", sa.String(16), nullable=False),
    sa.Column("sender", sa.String(63), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("request", sa.LargeBinary, nullable=False),
    sa.Column("result", sa.LargeBinary, nullable=True),
    sa.Column("created", sa.String(32), nullable=False),
    sa.Column("drawn", sa.Boolean, nullable=False, server_default=sa.false()),
)
"""Runs that outlive a request: see `hitoku.room.jobs`."""


_AWAY_SECONDS: Final = 15.0
"""How long a server that does not answer is waited for, before a transaction begins: a restart takes less."""
_LOCK_SECONDS: Final = 60
_POOL: Final = {"pool_pre_ping": True, "pool_size": 8, "max_overflow": 24, "pool_timeout": 30}
_ADVISORY: Final = 0x6869746F6B75  # "hitoku"


class Store:
    """A member's database.

    Args:
        url: an SQLAlchemy URL (`sqlite:///...`, `postgresql+psycopg://...`) or a path to an SQLite file.
        password: of PostgreSQL, asked for with every connection; the driver's own ways where it is None.
        migrate: whether to bring it to the newest schema first; see `unmade`.

    Raises:
        RoomError: the database was written by a newer hitoku, or is damaged.
        LimitError: it cannot be reached.
    """

    def __init__(
        self, url: str | Path, password: Callable[[], str | None] | None = None, *, migrate: bool = True
    ) -> None:
        text = f"sqlite:///{url}" if isinstance(url, Path) else url
        self.url = make_url(text)
        self.engine = _engine(text, password)
        self._turn = _turn(self.url)
        # A process that was forked from this one must not end its connections.
        weakref.finalize(self, _dispose, self.engine, os.getpid())
        if migrate:
            with told():
                self._migrate()

    @classmethod
    def unmade(cls, url: str | Path, password: Callable[[], str | None] | None = None) -> Store:
        """A database in which nothing is made yet, for who fills it by an older schema first."""
        return cls(url, password, migrate=False)

    def __repr__(self) -> str:
        return f"Store({self.url.render_as_string(hide_password=True)!r})"

    @property
    def is_sqlite(self) -> bool:
        """Whether it is an SQLite file, and not a server's."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: all of the block is durable at its end, or none of it ever was.

        Where the server ends the connection in the very moment of the commit, nobody can tell which of the
        two it is. Who tries again finds out: what is written once is refused the second time.

        Raises:
            LimitError: other processes kept the database locked for too long, or it is full or gone.
            RoomError: it is damaged.
            InputError: a text cannot be kept in it.
        """
        writing = {"hitoku_write": True}
        with self._turn, told(), self._connected(writing) as connection, self._begun(connection):
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view for reading: all statements see one moment.

        Raises:
            LimitError: the database does not answer.
            RoomError: it is damaged.
        """
        options: dict[str, Any] = {}
        if not self.is_sqlite:
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with told(), self._connected(options) as connection:
            yield connection

    def belongs_to(self, member: str) -> None:
        """See to it that the database is one member's: two in one would write into each other's ledgers.

        Raises:
            RoomError: it is another member's.
        """
        named = sa.select(facts.c.value).where(facts.c.name == "member")
        with self.reading() as connection:
            known = connection.scalar(named)
        if known is None:
            with self.transaction() as connection:
                insert_once(connection, facts, {"name": "member", "value": member})
                known = connection.scalar(named)
        if known != member:
            raise RoomError(
                f"the database belongs to member {known!r}, not {member!r}: every member has one of its own"
            )

    def scrub(self) -> None:
        """On SQLite, take what was deleted out of the write-ahead log, too, unless others read it now."""
        if self.engine.dialect.name == "sqlite":
            with self._turn, told(), self.engine.connect() as connection:
                raw = connection.connection.cursor()
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                raw.close()

    def close(self) -> None:
        """Close all connections that nobody uses; the next use opens them again."""
        self.engine.dispose()

    def _connected(self, options: Mapping[str, Any]) -> Connection:
        """A connection; a server that is just starting again is waited for: nothing was begun yet."""
        deadline = time.monotonic() + _AWAY_SECONDS
        while True:
            try:
                return self.engine.connect().execution_options(**options)
            except sa.exc.OperationalError as error:
                if self.is_sqlite or not comes_back(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def _begun(self, connection: Connection) -> RootTransaction:
        try:
            return connection.begin()
        except sa.exc.OperationalError as error:
            if self.is_sqlite and sqlite_code(error) in {None, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise LimitError(BUSY) from None
            raise

    def _migrate(self) -> None:
        # Alembic takes a third of a second to import: ask the version table first.
        with self._connected({}) as connection:
            known = sa.inspect(connection).has_table("alembic_version")
            version = connection.scalar(sa.text("SELECT version_num FROM alembic_version")) if known else None
        if version == SCHEMA_VERSION:
            return
        self._check_version(version)
        from hitoku.room.migrations import upgrade

        upgrade(self.engine)

    def _check_version(self, version: str | None) -> None:
        if version is not None and version > SCHEMA_VERSION:
            raise RoomError(
                f"the state in {self.url.database!r} has schema {version}, this hitoku knows "
                f"{SCHEMA_VERSION}: use the newer hitoku that wrote it"
            )


def _dispose(engine: Engine, process: int) -> None:
    engine.dispose(close=os.getpid() == process)


def insert_once(connection: Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless there is one of its key. Returns whether it was inserted; of two at once one is."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql

        return connection.execute(insert_postgresql(table).on_conflict_do_nothing(), row).rowcount == 1
    from sqlalchemy.dialects.sqlite import insert as insert_sqlite

    return connection.execute(insert_sqlite(table).on_conflict_do_nothing(), row).rowcount == 1


def lock_all(connection: Connection, what: int) -> None:
    """Let one transaction after the other do something that is not one room's; after its ledger's lock.

    Args:
        connection: of a writing transaction; on SQLite it has the database to itself anyway.
        what: 0 the schema, 1 the kept answers.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY + what)))


_TURNS: dict[str, threading.Lock] = {}
_TURNS_LOCK = threading.Lock()


def _turn(url: sa.URL) -> AbstractContextManager[object]:
    """Who writes to an SQLite file takes turns with the threads of this process.

    SQLite has no queue: it tries again now and then until its time is up, so that of many writers at once
    some would never come to it. Other processes are few.
    """
    if url.get_backend_name() != "sqlite" or not url.database:
        return nullcontext()
    with _TURNS_LOCK:
        return _TURNS.setdefault(str(Path(url.database).resolve()), threading.Lock())


def _engine(url: str, password: Callable[[], str | None] | None) -> Engine:
    # Parameters are what members and askers wrote: they are in no error.
    if not url.startswith("sqlite"):
        return _server(url, password)
    engine = sa.create_engine(url, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are ours to open: see _begin
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("hitoku_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _server(url: str, password: Callable[[], str | None] | None) -> Engine:
    try:
        engine = sa.create_engine(url, hide_parameters=True, **_POOL)
    except ImportError:
        raise LimitError(
            "the state is in PostgreSQL, whose driver is missing: install hitoku with the extra `postgres`"
        ) from None

    @event.listens_for(engine, "do_connect")
    def _credentials(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        word = None if password is None else password()
        if word is not None:
            parameters["password"] = word
        parameters.setdefault("connect_timeout", 10)
        parameters.setdefault("application_name", "hitoku")

    @event.listens_for(engine, "connect")
    def _session(connection: Any, _record: Any) -> None:
        # Durable means durable, whatever the server's default is; who waits for a lock is told in the end.
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{_LOCK_SECONDS}s'")
            cursor.execute("SHOW synchronous_commit")
            if cursor.fetchone()[0] == "off":
                cursor.execute("SET synchronous_commit = on")
        connection.commit()

    return engine
