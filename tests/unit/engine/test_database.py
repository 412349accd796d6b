# SPDX-License-Identifier: Apache-2.0
"""Tables of DuckDB files: read in a process of its own that can do nothing else."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from hitoku.engine.database import DatabaseSource
from hitoku.errors import EngineError, InputError
from hitoku.sources.uri import open_uri


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "people.db"
    (tmp_path / "secret.csv").write_text("a\nsecret-value\n")
    with duckdb.connect(path) as connection:
        connection.execute(
            "CREATE TABLE people(id VARCHAR, paid DECIMAL(8, 2), area ENUM('n', 's'), big BIGINT)"
        )
        connection.execute(
            "INSERT INTO people SELECT 'p' || i, i / 100, CASE WHEN i % 2 = 0 THEN 'n' ELSE 's' END, i "
            "FROM range(50_000) t(i)"
        )
        connection.execute('CREATE SCHEMA "of airline"; CREATE TABLE "of airline"."T x"("a ""b" INT)')
        connection.execute("CREATE TABLE nested(a INT[])")
        connection.execute("CREATE VIEW own AS SELECT id FROM people LIMIT 3")
        connection.execute(f"CREATE VIEW outside AS SELECT * FROM read_csv('{tmp_path}/secret.csv')")
        connection.execute("CREATE TABLE small AS SELECT 1 AS x; CREATE VIEW gone AS SELECT x FROM small")
        connection.execute("ALTER TABLE small RENAME x TO y")
    return path


def rows(source, columns=None):
    places = range(len(source.schema)) if columns is None else columns
    return [row for batch_of in source.batches(list(places)) for row in batch_of().to_pylist()]


def test_a_table_is_streamed_with_plain_types(database):
    source = DatabaseSource(database, ("people",))
    assert source.schema == pa.schema(
        [("id", pa.string()), ("paid", pa.decimal128(8, 2)), ("area", pa.string()), ("big", pa.int64())]
    )
    assert (source.name, source.estimated_bytes > 0) == ("people in people.db", True)
    made = rows(source, [3, 2])
    assert len(made) == 50_000
    assert sorted((r["big"], r["area"]) for r in made)[:3] == [(0, "n"), (1, "s"), (2, "n")]
    assert len(rows(source, [0])) == 50_000


def test_schemas_and_odd_names_are_found_by_uri(database):
    assert rows(open_uri("duckdb:people.db?table=of+airline.T%20x", database.parent)) == []
    assert len(rows(open_uri(f"duckdb://{database}?table=own", Path("/")))) == 3


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (("nope",), "has no such table"),
        (("outside",), "is a view of other files, which are not read"),
        (("gone",), "lacks a column"),
        (("nested",), "has nested columns, which cannot be used: a"),
        (("people; DROP TABLE people",), "has no such table"),
    ],
)
def test_what_cannot_be_read_is_said_without_values(database, table, words):
    with pytest.raises(InputError, match=words) as caught:
        rows(DatabaseSource(database, table))
    assert "secret-value" not in str(caught.value)
    assert len(rows(DatabaseSource(database, ("own",)))) == 3


def test_what_is_no_database_is_refused(tmp_path):
    (tmp_path / "x.db").write_bytes(b"SQLite format 3\0" + bytes(100))
    (tmp_path / "y.db").write_bytes(bytes(8) + b"DUCK" + os.urandom(5_000))
    for name in ("x.db", "y.db", "z.db"):
        with pytest.raises((InputError, EngineError), match=f"people in {name}"):
            DatabaseSource(tmp_path / name, ("people",))


def test_the_file_is_not_changed_and_the_process_ends_with_its_reader(database):
    before = database.read_bytes()
    batches = DatabaseSource(database, ("people",)).batches([0])
    next(batches)
    getattr(batches, "close")()  # noqa: B009
    assert database.read_bytes() == before
    assert sorted(p.name for p in database.parent.iterdir()) == ["people.db", "secret.csv"]


def test_a_process_that_is_killed_has_not_sent_everything(database, monkeypatch):
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def keep(*arguments, **more):
        started.append(real(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", keep)
    source = DatabaseSource(database, ("people",))
    batches = source.batches([0, 1, 2, 3])
    next(batches)
    started[-1].kill()
    with pytest.raises(EngineError, match="ended early"):
        list(batches)
