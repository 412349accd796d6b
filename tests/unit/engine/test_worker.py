# SPDX-License-Identifier: Apache-2.0
"""The worker's functions inside the test's own process (its limits and its watch left out)."""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hitoku.engine import worker


def request(path: Path, sql: str, form: str = "csv", **limits: int) -> dict[str, Any]:
    bounds = {
        "memory_bytes": 1 << 30,
        "seconds": 30,
        "threads": 2,
        "result_rows": 100,
        "result_bytes": 1 << 20,
    }
    columns = [
        {"name": "token", "type": "VARCHAR", "encrypted": True},
        {"name": "n", "type": "INTEGER", "encrypted": False},
    ]
    table = {"name": "t", "path": str(path), "format": form, "columns": columns}
    return {"sql": sql, "directory": str(path.parent), "limits": {**bounds, **limits}, "tables": [table]}


def frame(content: dict[str, Any]) -> io.BytesIO:
    data = json.dumps(content).encode()
    return io.BytesIO(struct.pack(">Qc", len(data), b"Q") + data)


def frames(out: io.BytesIO) -> list[tuple[bytes, bytes]]:
    data, found = out.getvalue(), []
    while data:
        length, kind = struct.unpack(">Qc", data[:9])
        found.append((kind, data[9 : 9 + length]))
        data = data[9 + length :]
    return found


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "bound", lambda limits: None)
    monkeypatch.setattr(worker, "watch", lambda source, directory: None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "t.csv"
    file.write_text("Token,n\na,1\nb,x\n", "utf-8")
    return file


@pytest.mark.usefixtures("inside")
def test_a_request_is_answered_with_arrow(path: Path) -> None:
    out = io.BytesIO()
    worker.serve(frame(request(path, "SELECT n FROM t ORDER BY token")), out)
    (ready, _), (kind, content) = frames(out)
    assert (ready, kind) == (b"H", b"R")
    assert pa.ipc.open_stream(content).read_all().to_pylist() == [{"n": 1}, {"n": None}]


@pytest.mark.usefixtures("inside")
def test_parquet_columns_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"token": ["a"], "n": ["7"]}), file)
    out = io.BytesIO()
    worker.serve(frame(request(file, "SELECT n FROM t", "parquet")), out)
    assert pa.ipc.open_stream(frames(out)[1][1]).read_all().to_pylist() == [{"n": 7}]
    pq.write_table(pa.table({"token": [1], "n": [7]}), file)
    with pytest.raises(worker.Failed) as caught:
        worker.serve(frame(request(file, "SELECT n FROM t", "parquet")), io.BytesIO())
    assert caught.value.answer == {"code": "COLUMN_TYPE", "table": "t", "column": "token"}


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    ("content", "code"),
    [("", "EMPTY_FILE"), ("token\na\n", "MISSING_COLUMN"), ("n,N,token\n", "DUPLICATE_COLUMN")],
)
def test_headers_are_checked(path: Path, content: str, code: str) -> None:
    path.write_text(content, "utf-8")
    with pytest.raises(worker.Failed) as caught:
        worker.serve(frame(request(path, "SELECT 1")), io.BytesIO())
    assert caught.value.answer["code"] == code


@pytest.mark.usefixtures("inside")
def test_a_result_that_is_too_large_is_not_sent(path: Path) -> None:
    with pytest.raises(worker.Failed) as caught:
        worker.serve(frame(request(path, "SELECT * FROM range(1000)")), io.BytesIO())
    assert caught.value.answer == {"code": "RESULT_TOO_LARGE"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 5,
        struct.pack(">Qc", 3, b"Z") + b"{}}",
        struct.pack(">Qc", 1 << 40, b"Q"),
        struct.pack(">Qc", 9, b"Q"),
    ],
)
def test_a_malformed_frame_is_an_error(data: bytes) -> None:
    with pytest.raises(worker.Failed):
        worker.receive(io.BytesIO(data))


def test_main_reports_a_code_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended(BaseException):
        pass

    def end(code: int) -> None:
        raise Ended

    for error, code in (
        (worker.Failed("MISSING_COLUMN", table="t", column="c"), "MISSING_COLUMN"),
        (UnicodeDecodeError("utf-8", b"planted", 0, 1, "planted"), "INPUT_FILE"),
        (RuntimeError("planted"), "INTERNAL"),
        (MemoryError("planted"), "OUT_OF_MEMORY"),
    ):
        out = io.BytesIO()

        def fail(source: Any, target: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(worker, "serve", fail)
        monkeypatch.setattr(os, "_exit", end)
        streams = type("Streams", (), {"buffer": out})()
        monkeypatch.setattr(sys, "stdout", streams)
        monkeypatch.setattr(sys, "stdin", streams)
        with pytest.raises(Ended):
            worker.main()
        kind, content = frames(out)[0]
        assert kind == b"E"
        assert json.loads(content)["code"] == code
        assert b"planted" not in content


def test_limits_of_the_system_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", lambda what, value: seen.update({what: value}))
    worker.bound({"memory_bytes": 1 << 30, "seconds": 5, "threads": 2})
    assert seen[resource.RLIMIT_CORE] == (0, 0)
    assert seen[resource.RLIMIT_CPU][0] <= 20
    assert seen[resource.RLIMIT_AS][0] <= 6 * 1024**3


def test_the_watch_removes_the_directory_when_the_parent_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "private"
    place.mkdir()
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    worker.watch(io.BytesIO(), str(place))
    assert ended == [1]
    assert not place.exists()
