# SPDX-License-Identifier: Apache-2.0
"""A member's durable state: SQLAlchemy Core on SQLite (WAL) by default, PostgreSQL by URL.

Everything that belongs together is written in one transaction (`Store.transaction`), which is durable
when the `with` block ends and leaves nothing when it raises or the process dies inside it. On SQLite a
transaction takes the write lock at once (`BEGIN IMMEDIATE`), so that what it read still holds when it
writes; on PostgreSQL, callers lock the row they count on by updating it first.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url

from hitoku.errors import LimitError, RoomError
from hitoku.room import keytables, predictiontables  # noqa: F401 (they declare their tables)
from hitoku.room.schema import metadata

__all__ = ["SCHEMA_VERSION", "Store", "metadata"]

SCHEMA_VERSION = "0006"
"""Revision of the newest migration; revisions sort as text."""

# secure_delete: an answer that is deleted leaves no bytes behind in the file.
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=60000",
    "foreign_keys=ON",
    "secure_delete=ON",
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
)
"""One ledger a room: its size and the signed head over all entries, as canonical JSON."""

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


class Store:
    """A member's database.

    Args:
        url: an SQLAlchemy URL (`sqlite:///...`, `postgresql+psycopg://...`) or a path to an SQLite file.

    Raises:
        RoomError: the database was written by a newer hitoku.
    """

    def __init__(self, url: str | Path) -> None:
        text = f"sqlite:///{url}" if isinstance(url, Path) else url
        self.url = make_url(text)
        self.engine = _engine(text)
        self._turn = _turn(self.url)
        self._migrate()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: all of the block is durable at its end, or none of it ever was.

        Raises:
            LimitError: other processes kept the database locked for too long.
        """
        with self._turn, self.engine.connect().execution_options(hitoku_write=True) as connection:
            try:
                begun = connection.begin()
            except sa.exc.OperationalError:
                raise LimitError("the member's database is too busy to write to it: try again") from None
            with begun:
                yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view for reading."""
        with self.engine.connect() as connection:
            yield connection

    def scrub(self) -> None:
        """On SQLite, take what was deleted out of the write-ahead log, too, unless others read it now."""
        if self.engine.dialect.name == "sqlite":
            with self._turn, self.engine.connect() as connection:
                raw = connection.connection.cursor()
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                raw.close()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _migrate(self) -> None:
        # Alembic takes a third of a second to import: ask the version table first.
        with self.engine.connect() as connection:
            known = sa.inspect(connection).has_table("alembic_version")
            version = connection.scalar(sa.text("SELECT version_num FROM alembic_version")) if known else None
        if version == SCHEMA_VERSION:
            return
        if version is not None and version > SCHEMA_VERSION:
            raise RoomError(
                f"the state in {self.url.database!r} has schema {version}, this hitoku knows "
                f"{SCHEMA_VERSION}: use the newer hitoku that wrote it"
            )
        from hitoku.room.migrations import upgrade

        upgrade(self.engine)


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


def _engine(url: str) -> Engine:
    engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":

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
