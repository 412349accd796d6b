# SPDX-License-Identifier: Apache-2.0
"""Tables of a real PostgreSQL server, started for the test."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.e2e.nodes import SECONDS, free_ports

from hitoku.errors import InputError
from hitoku.sources.postgres import PostgresSource
from hitoku.sources.uri import open_uri

PASSWORD = "s3cret-pass'word"


def _missing(what: str) -> None:
    if os.environ.get("HITOKU_REQUIRE_ALL") == "1":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="module")
def server():
    """A server on loopback that wants a password; its port."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if shutil.which("initdb") is None else []
    programs = (
        Path(shutil.which("initdb") or (found[-1] if found else Path("/nowhere")) / "initdb").resolve().parent
    )
    if not (programs / "postgres").exists():
        _missing("PostgreSQL's server (`make system-deps`)")
    try:
        import adbc_driver_postgresql  # noqa: F401
    except ImportError:
        _missing("the extra `postgres`")
    # A path of a Unix socket has a hundred characters at most, so not in pytest's folder.
    with tempfile.TemporaryDirectory(prefix="hitoku-pg-") as name:
        folder = Path(name)
        more: dict[str, Any] = {"env": {"PATH": str(programs), "LC_ALL": "C", "HOME": name}, "cwd": name}
        if os.geteuid() == 0:  # the server does not run as root
            shutil.chown(folder, "postgres", "postgres")
            more |= {"user": "postgres", "group": "postgres", "extra_groups": []}
        (folder / "password").write_text(PASSWORD + "\n")
        (folder / "password").chmod(0o644)
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        words = ["-D", f"{name}/data", "-U", "owner", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"]
        subprocess.run(
            [programs / "initdb", *words, f"--pwfile={name}/password"], check=True, **quiet, **more
        )
        (port,) = free_ports(1)
        words = ["-D", f"{name}/data", "-p", str(port), "-k", name, "-h", "127.0.0.1", "-c", "fsync=off"]
        process = subprocess.Popen([programs / "postgres", *words], **quiet, **more)
        try:
            _fill(f"host=127.0.0.1 port={port} dbname=postgres user=owner")
            yield port
        finally:
            process.terminate()
            process.wait(SECONDS)


def _fill(settings: str) -> None:
    from adbc_driver_postgresql import dbapi

    password = PASSWORD.replace("'", "\\'")
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            connection = dbapi.connect(f"{settings} password='{password}'")
            break
        except dbapi.Error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    with connection, connection.cursor() as cursor:
        for sql in (
            "CREATE TABLE people(id text, born date, paid numeric(8, 2), n int, w double precision, u uuid)",
            """INSERT INTO people SELECT 'p' || i, date '2000-01-01' + i % 9, i / 100.0, i, i / 8.0,
               '6ecd8c99-4036-403d-bf84-cf8400f67836' FROM generate_series(0, 39999) i""",
            "INSERT INTO people(id) VALUES ('日本')",
            'CREATE SCHEMA "S x"',
            'CREATE TABLE "S x"."T ""y"("a b" text)',
            "CREATE VIEW bad AS SELECT id, 1 / (n - 39000) AS q FROM people WHERE n IS NOT NULL",
            "CREATE TABLE lists(a int[])",
            "CREATE ROLE nobody LOGIN PASSWORD 'other'",
        ):
            cursor.execute(sql)
        connection.commit()


@pytest.fixture
def uri(server, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return f"postgresql://owner@127.0.0.1:{server}/postgres"


def rows(source, names):
    places = [source.schema.get_field_index(name) for name in names]
    return [row for batch_of in source.batches(places) for row in batch_of().to_pylist()]


def test_a_table_is_streamed(uri, tmp_path):
    source = open_uri(f"{uri}?table=people", tmp_path)
    assert source.name == "PostgreSQL table people"
    types = dict(zip(source.schema.names, source.schema.types, strict=True))
    assert types["paid"] == types["u"] == types["id"] == pa.string()
    assert (types["n"], types["w"], types["born"]) == (pa.int32(), pa.float64(), pa.date32())
    made = rows(source, ["n", "paid", "id"])
    assert len(made) == 40_001
    assert {"n": 7, "paid": "0.07", "id": "p7"}.items() <= next(r for r in made if r["n"] == 7).items()
    assert made[-1] == {"n": None, "paid": None, "id": "日本"}
    assert max(batch_of().num_rows for batch_of in source.batches([0])) <= 16_384
    assert rows(source, ["u"])[0] == {"u": "6ecd8c99-4036-403d-bf84-cf8400f67836"}


def test_schemas_and_odd_names(uri, tmp_path):
    assert open_uri(f'{uri}?table=S%20x.T%20"y', tmp_path).schema == pa.schema([("a b", pa.string())])


def test_the_password_may_stand_in_a_file(uri, server, tmp_path, monkeypatch):
    monkeypatch.delenv("PGPASSWORD")
    word = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    (tmp_path / "pass").write_text(f"127.0.0.1:{server}:postgres:owner:{word}\n")
    (tmp_path / "pass").chmod(0o600)
    assert rows(open_uri(f"{uri}?table=people&passfile=pass&connect_timeout=9", tmp_path), ["n"])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?table=nope", "there is no such table .SQLSTATE 42P01."),
        ("?table=nope.people", r"there is no such (schema|table) .SQLSTATE"),
        ("?table=lists", "has nested columns"),
        ("?table=people&user=nobody", "cannot be reached, refuses the login"),
        ("?table=people&port=1", "cannot be reached"),
    ],
)
def test_errors_say_what_and_show_no_value(uri, query, words, tmp_path):
    with pytest.raises(InputError, match=words) as caught:
        open_uri(uri + query, tmp_path)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_failure_amid_the_rows_shows_nothing_of_them(uri, tmp_path):
    with pytest.raises(InputError, match="failed amid the rows") as caught:
        rows(open_uri(f"{uri}?table=bad", tmp_path), ["id", "q"])
    assert "zero" not in str(caught.value)


def test_nothing_can_be_written(uri, tmp_path):
    source = open_uri(f"{uri}?table=people", tmp_path)
    assert isinstance(source, PostgresSource)
    with pytest.raises(InputError, match="25006"), source._cursor() as cursor:
        cursor.execute("DELETE FROM people")
