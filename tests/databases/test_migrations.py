# SPDX-License-Identifier: Apache-2.0
"""Databases of every older schema, with data in them, are brought up; a newer one is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.postgresql import PASSWORD, Server

from hitoku.errors import RoomError
from hitoku.room.migrations import upgrade_to
from hitoku.room.store import SCHEMA_VERSION, Store, metadata

REVISIONS = [f"{number:04}" for number in range(1, int(SCHEMA_VERSION))]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    if request.param == "sqlite":
        return tmp_path / "state.db"
    server: Server = request.getfixturevalue("postgresql")
    return server.database()


def _value(column: sa.Column[Any], number: int) -> Any:
    kind = column.type
    if isinstance(kind, sa.LargeBinary):
        return f"b{number}".encode()
    if isinstance(kind, sa.Boolean):
        return bool(number % 2)
    if isinstance(kind, sa.Numeric | sa.Integer):
        return number
    return f"{number}"


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_of_every_older_schema_keeps_its_rows(url, revision):
    old = Store.unmade(url, lambda: PASSWORD)
    before: dict[str, list[Any]] = {}
    with old.transaction() as connection:
        upgrade_to(connection, revision)
        known = sa.MetaData()
        known.reflect(connection)
        for table in known.sorted_tables:
            if table.name == "alembic_version":
                continue
            data = [{c.name: _value(c, number) for c in table.columns} for number in (1, 2)]
            connection.execute(sa.insert(table), data)
            chosen = sa.select(table).order_by(*table.primary_key.columns)
            before[table.name] = [dict(row) for row in connection.execute(chosen).mappings()]
    old.close()
    assert len(before) >= 4
    store = Store(url, lambda: PASSWORD)
    with store.reading() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == SCHEMA_VERSION
        for name, rows in before.items():
            table = metadata.tables[name]
            chosen = sa.select(table).order_by(*table.primary_key.columns)
            after = [dict(row) for row in connection.execute(chosen).mappings()]
            assert [{k: v for k, v in row.items() if k in rows[0]} for row in after] == rows, name
    store.close()


def test_one_that_fails_half_way_leaves_the_older_schema(url, monkeypatch):
    old = Store.unmade(url, lambda: PASSWORD)
    with old.transaction() as connection:
        upgrade_to(connection, REVISIONS[-1])
    old.close()
    import hitoku.room.migrations as migrations

    def fails(connection: sa.Connection, revision: str) -> None:
        upgrade_to(connection, revision)
        raise RoomError("killed")

    monkeypatch.setattr(migrations, "upgrade_to", fails)
    with pytest.raises(RoomError, match="killed"):
        Store(url, lambda: PASSWORD)
    monkeypatch.undo()
    again = Store.unmade(url, lambda: PASSWORD)
    with again.reading() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == REVISIONS[-1]
    again.close()
    Store(url, lambda: PASSWORD).close()


def test_a_newer_one_is_left_as_it_is(url):
    made = Store(url, lambda: PASSWORD)
    with made.transaction() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    made.close()
    with pytest.raises(RoomError, match="use the newer hitoku"):
        Store(url, lambda: PASSWORD)
