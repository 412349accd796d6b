# SPDX-License-Identifier: Apache-2.0
"""Tables by URI: files, folders of Parquet files, and what is refused."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hitoku.errors import InputError
from hitoku.sources.uri import open_uri, shown


def rows(source, names=None):
    """The rows of a source, as dictionaries."""
    names = source.schema.names if names is None else names
    places = [source.schema.get_field_index(name) for name in names]
    batches = [batch_of().rename_columns(names) for batch_of in source.batches(places)]
    return [row for batch in batches for row in batch.to_pylist()]


def test_files_are_found_from_the_directory(tmp_path):
    (tmp_path / "a b.csv").write_text("x,y\n1,2\n")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "t.parquet")
    assert rows(open_uri("a b.csv", tmp_path)) == [{"x": "1", "y": "2"}]
    assert rows(open_uri("./a b.csv", tmp_path)) == [{"x": "1", "y": "2"}]
    assert rows(open_uri(f"file://{tmp_path}/a%20b.csv", tmp_path / "elsewhere")) == [{"x": "1", "y": "2"}]
    assert rows(open_uri(str(tmp_path / "t.parquet"), tmp_path / "elsewhere")) == [{"x": 1}]


def test_a_folder_is_one_table(tmp_path):
    for name, first in (("day=1/b.parquet", 5), ("day=1/a.parquet", 3), ("day=%E6%97%A5/c.pq", 1)):
        (tmp_path / "t" / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"x": [first, first + 1], "s": ["p", None]}), tmp_path / "t" / name)
    (tmp_path / "t" / "_SUCCESS").write_text("")
    (tmp_path / "t" / ".c.parquet").write_text("no Parquet")
    (tmp_path / "t" / "_temporary").mkdir()
    (tmp_path / "t" / "_temporary" / "d.parquet").write_text("no Parquet")
    source = open_uri("t", tmp_path)
    assert source.schema == pa.schema([("x", pa.int64()), ("s", pa.string()), ("day", pa.string())])
    assert [(r["x"], r["day"]) for r in rows(source)] == [(n, "日" if n < 3 else "1") for n in range(1, 7)]
    assert rows(source, ["day"]) == [{"day": "日"}] * 2 + [{"day": "1"}] * 4
    assert rows(source, ["day", "x"])[0] == {"day": "日", "x": 1}
    assert source.estimated_bytes > 0


def test_the_missing_partition_is_null(tmp_path):
    (tmp_path / "k=__HIVE_DEFAULT_PARTITION__").mkdir()
    pq.write_table(pa.table({"x": [1]}), tmp_path / "k=__HIVE_DEFAULT_PARTITION__" / "a.parquet")
    assert rows(open_uri(".", tmp_path)) == [{"x": 1, "k": None}]


@pytest.mark.parametrize(
    "other",
    [pa.table({"x": [1.5]}), pa.table({"y": [1]}), pa.table({"x": [1], "y": [1]})],
    ids=["type", "name", "more"],
)
def test_files_of_a_folder_have_the_same_columns(tmp_path, other):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    pq.write_table(other, tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet has other columns than a\.parquet: see column [xy]"):
        open_uri(".", tmp_path)


def test_a_folder_with_a_column_twice_or_without_files_is_refused(tmp_path):
    with pytest.raises(InputError, match="no Parquet file"):
        open_uri(".", tmp_path)
    (tmp_path / "x=1").mkdir()
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x=1" / "a.parquet")
    with pytest.raises(InputError, match="two columns of one name"):
        open_uri(".", tmp_path)


def test_a_damaged_file_of_a_folder_is_named(tmp_path):
    pq.write_table(pa.table({"x": ["secret-value"] * 50_000}), tmp_path / "a.parquet", compression="none")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[4:64] = bytes(60)
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet is not a whole") as caught:
        rows(open_uri(".", tmp_path))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("s3://bucket/t.parquet", "not s3:; a path that looks like it begins with ./"),
        ("file://server/t.csv", "names a file of this machine"),
        ("file:", "names no file"),
        ("missing.csv", "No such file"),
        ("t.xlsx", "neither .csv nor .parquet"),
        ("duckdb:x.db", "say which table"),
        ("duckdb:x.db?table=a.b.c", "say which table"),
        ("duckdb:x.db?table=t&memory=1", "the setting table alone, not memory"),
        ("duckdb:x.db?table=t&table=u", "a setting stands twice"),
        ("duckdb:x.db?table", "must be name=value"),
        ("duckdb:x.db?table=t", "there is no such file"),
        ("postgresql://host/db", "say which table"),
        ("postgresql://u:hunter2@host/db?table=t", "a password has no place in a URI"),
        ("postgresql://host/db?table=t&password=hunter2", "a password has no place in a URI"),
        ("postgresql://host/db?table=t&options=-cx", "the setting options is not known"),
        ("postgresql://host:port/db?table=t", "the port must be a number"),
        ("postgresql://[host/db?table=t", "not a URI"),
    ],
)
def test_other_uris_are_refused_in_words(tmp_path, uri, words):
    with pytest.raises(InputError, match=words) as caught:
        open_uri(uri, tmp_path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "seen"),
    [
        ("people.csv", "people.csv"),
        ("postgresql://u@h/d?table=t", "postgresql://u@h/d?table=t"),
        ("postgresql://u:hunter2@h/d?table=t", "postgresql://u:***@h/d?table=t"),
        ("postgresql://u:p@ss@h/d?table=t", "postgresql://u:***@h/d?table=t"),
        ("postgresql://h/d?table=t&password=hunter2&x=1", "postgresql://h/d?table=t&password=***&x=1"),
    ],
)
def test_what_is_shown_has_no_password(uri, seen):
    assert shown(uri) == seen
