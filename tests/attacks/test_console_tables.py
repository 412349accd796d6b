# SPDX-License-Identifier: Apache-2.0
"""Hostile sources and files: none of them kills the node, is kept, or comes out as markup."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hitoku import limits
from hitoku.console.work.looking import look
from hitoku.console.work.uploading import receive
from hitoku.errors import EngineError, HitokuError, InputError, LimitError, RoomError

BOUNDARY = "XbOuNdArY"
KIND = f"multipart/form-data; boundary={BOUNDARY}"


def form(content: bytes, filename: str, *, end: bool = True) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="csrf"\r\n\r\ntoken\r\n'
    head += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"
    return head.encode() + content + (f"\r\n--{BOUNDARY}--\r\n".encode() if end else b"")


def sent(base: Path, body: bytes, *, most: int = 10**8, size: int = 1000, kind: str = KIND) -> str:
    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    return asyncio.run(receive(stream(), kind, base, most))


def left(base: Path) -> list[str]:
    return sorted(p.name for p in (base / "data").iterdir())


def test_a_good_file_is_kept_whole(tmp_path: Path) -> None:
    content = b"phone,segment\r\n" + b"1,a\r\n" * 5000
    assert sent(tmp_path, form(content, "people.csv")) == "data/people.csv"
    assert (tmp_path / "data" / "people.csv").read_bytes() == content
    assert left(tmp_path) == ["people.csv"]
    assert (tmp_path / "data" / "people.csv").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "filename",
    [
        "people.exe",
        "people",
        ".csv",
        "..csv",
        "a b.csv",
        "x" * 200 + ".csv",
        "\x00.csv",
        "people.csv\x00",
        "..\\..\\.csv",
    ],
    ids=["suffix", "none", "hidden", "dots", "blank", "long", "nul", "nul-end", "backslash"],
)
def test_odd_names_are_refused(tmp_path: Path, filename: str) -> None:
    with pytest.raises(InputError):
        sent(tmp_path, form(b"a\n1\n", filename))
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "filename", ["../../evil.csv", "/etc/evil.csv", "..\\evil.csv"], ids=["up", "root", "back"]
)
def test_a_path_in_a_name_is_no_path(tmp_path: Path, filename: str) -> None:
    assert sent(tmp_path, form(b"a\n1\n", filename)) == "data/evil.csv"
    assert not (tmp_path.parent / "evil.csv").exists()


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "people.csv").write_text("mine\n1\n")
    with pytest.raises(RoomError):
        sent(tmp_path, form(b"a\n1\n", "people.csv"))
    assert (tmp_path / "data" / "people.csv").read_text() == "mine\n1\n"
    assert left(tmp_path) == ["people.csv"]


def test_too_much_is_cut_off_and_removed(tmp_path: Path) -> None:
    with pytest.raises(LimitError):
        sent(tmp_path, form(b"a\n" + b"1\n" * 100_000, "people.csv"), most=50_000)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "filename"),
    [
        (b"PAR1 not a parquet file PAR1", "people.parquet"),
        (b"", "people.csv"),
        (b"a,b\n1\n", "people.csv"),
        (b"a\n\xff\xfe\n", "people.csv"),
        (b'a\n"open', "people.csv"),
        (b"a,A\n1,2\n", "people.csv"),
        (b",".join(b"c%d" % n for n in range(10_000)) + b"\n", "people.csv"),
        (b",".join(b"c%d" % n for n in range(20_000)) + b"\n", "people.csv"),
    ],
    ids=["parquet", "empty", "width", "utf8", "quote", "twice", "ten-thousand", "twenty-thousand"],
)
def test_what_is_no_table_is_removed(tmp_path: Path, content: bytes, filename: str) -> None:
    with pytest.raises(HitokuError) as caught:
        sent(tmp_path, form(content, filename))
    assert ".upload-" not in str(caught.value)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (form(b"a\n1\n", "people.csv", end=False), KIND),
        (b"--other\r\n\r\n", KIND),
        (
            form(b"a\n1\n", "a.csv")[:-4] + form(b"a\n1\n", "b.csv").removeprefix(f"--{BOUNDARY}".encode()),
            KIND,
        ),
        (b"a=1", "application/x-www-form-urlencoded"),
        (b"", "multipart/form-data"),
        (b"", f"multipart/form-data; boundary={'x' * 500}"),
        (b"", KIND),
    ],
    ids=["cut", "boundary", "two", "urlencoded", "no-boundary", "long-boundary", "nothing"],
)
def test_what_is_no_form_is_refused(tmp_path: Path, body: bytes, kind: str) -> None:
    with pytest.raises(HitokuError):
        sent(tmp_path, body, kind=kind)
    assert not (tmp_path / "data").exists() or left(tmp_path) == []


def test_a_form_of_endless_headers_is_refused(tmp_path: Path) -> None:
    body = f"--{BOUNDARY}\r\nContent-Disposition: ".encode() + b"x" * 100_000
    with pytest.raises(InputError):
        sent(tmp_path, body)
    assert left(tmp_path) == []


def test_who_goes_away_leaves_nothing(tmp_path: Path) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield form(b"a\n1\n" * 1000, "people.csv", end=False)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(receive(stream(), KIND, tmp_path))
    assert left(tmp_path) == []


@pytest.mark.slow
def test_a_parquet_bomb_ends_in_its_own_process(tmp_path: Path) -> None:
    # One value of 16 MB a row, all alike: kilobytes on disk, gigabytes when read.
    values = pa.array(["x" * (1 << 24)], pa.large_string())
    table = pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0] * 800, pa.int32()), values)})
    pq.write_table(table, tmp_path / "bomb.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "bomb.parquet").stat().st_size < 1 << 20
    with pytest.raises((EngineError, LimitError, InputError)):
        look("bomb.parquet", tmp_path, profile=True)


@pytest.mark.slow
def test_a_file_of_too_many_rows_takes_bounded_time(tmp_path: Path) -> None:
    count = 20_000_000
    zeros = pa.array([True]).take(pa.array([0] * 1000))
    schema = pa.schema([("a", pa.bool_())])
    with pq.ParquetWriter(tmp_path / "many.parquet", schema) as writer:
        batch = pa.chunked_array([zeros] * (count // 1000))
        writer.write_table(pa.table({"a": batch}))
    found = look("many.parquet", tmp_path, profile=True)
    assert not found["all"]
    assert found["rows"] <= limits.LOOK_ROWS + limits.BATCH_ROWS
    assert found["total"] == count


def test_no_value_comes_out_unless_it_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,n\nSecretValue,1\n")
    assert "SecretValue" not in str(look("a.csv", tmp_path, profile=True))
    assert look("a.csv", tmp_path, sample=True)["sample"] == [["SecretValue", "1"]]
