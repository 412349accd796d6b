# SPDX-License-Identifier: Apache-2.0
"""The engine's process: types, limits, what it can reach, and that nothing of it stays behind."""

from __future__ import annotations

import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hitoku.engine import Engine, EngineColumn, EngineLimits, EngineTable, TableFile
from hitoku.errors import EngineError, InputError, LimitError

COLUMNS = (
    EngineColumn("token", "VARCHAR", encrypted=True),
    EngineColumn("n", "INTEGER", encrypted=False),
    EngineColumn("day", "DATE", encrypted=False),
    EngineColumn("money", "DECIMAL(12,2)", encrypted=False),
    EngineColumn("text", "VARCHAR", encrypted=False),
)
CSV = 'Token, n ,day,money,text\na,1,2024-01-02,1.50,\nb,oops,never,x,""\n,3,,2.25,"q"",\n2"\n'
HANGS = 300
"""Seconds; what takes so long would take for ever."""


@pytest.fixture
def csv_table(tmp_path: Path) -> EngineTable:
    path = tmp_path / "odd [name]*'s.csv"
    path.write_text(CSV, "utf-8")
    return EngineTable("t-1", TableFile(path, "csv"), COLUMNS)


def run(table: EngineTable, sql: str, bounds: EngineLimits | None = None) -> pa.Table:
    with Engine(bounds) as engine:
        result: pa.Table = engine.run([table], sql)
        return result


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines have their folders where no other process's tests have theirs."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("engines")))


def leftovers() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("hitoku-engine-*")}


def nothing_stays(before: set[str]) -> bool:
    """Whether all folders that are new go."""
    new, until = leftovers() - before, time.monotonic() + 120
    while new & leftovers() and time.monotonic() < until:
        time.sleep(0.1)
    return not new & leftovers()


def test_csv_columns_have_the_declared_types_and_bad_values_are_null(csv_table: EngineTable) -> None:
    before = leftovers()
    rows = run(csv_table, 'SELECT * FROM "t-1" ORDER BY token NULLS LAST').to_pylist()
    assert [row["token"] for row in rows] == ["a", "b", None]
    assert [row["n"] for row in rows] == [1, None, 3]
    assert [row["money"] for row in rows] == [Decimal("1.50"), None, Decimal("2.25")]
    assert [row["day"] is None for row in rows] == [False, True, True]
    assert [row["text"] for row in rows] == [None, "", 'q",\n2']
    assert nothing_stays(before)


def test_parquet_columns_keep_or_get_their_type(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table(
        {
            "token": ["a", None],
            "n": pa.array([1, 2], pa.int32()),
            "day": ["2024-01-02", "x"],
            "money": [1.5, 2.0],
            "text": [1, 2],
        }
    )
    pq.write_table(table, path)
    rows = run(
        EngineTable("t", TableFile(path, "parquet"), COLUMNS), "SELECT * FROM t ORDER BY n"
    ).to_pylist()
    assert rows[0]["money"] == Decimal("1.50")
    assert rows[1]["day"] is None
    assert rows[1]["text"] == "2"


def test_a_missing_column_is_named(csv_table: EngineTable, tmp_path: Path) -> None:
    more = EngineTable("t", csv_table.file, (*COLUMNS, EngineColumn("gone", "DATE", encrypted=False)))
    with pytest.raises(InputError, match="column gone"):
        run(more, "SELECT 1")
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"token": [1], "n": [1], "day": [None], "money": [1], "text": ["x"]}), path)
    with pytest.raises(InputError, match="encrypted column token"):
        run(EngineTable("t", TableFile(path, "parquet"), COLUMNS), "SELECT 1")


@pytest.mark.parametrize(
    ("content", "pattern"), [(b"", "empty"), (b"a,A\n1,2\n", "twice"), (b"\xff\xfe,n\n", "cannot be read")]
)
def test_a_bad_csv_file_is_an_error_without_its_content(tmp_path: Path, content: bytes, pattern: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    columns = (EngineColumn("a", "VARCHAR", encrypted=True),)
    with pytest.raises((InputError, EngineError), match=pattern):
        run(EngineTable("t", TableFile(path, "csv"), columns), "SELECT * FROM t")


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="table t"):
        run(EngineTable("t", TableFile(tmp_path / "none.csv", "csv"), COLUMNS), "SELECT 1")


def test_a_damaged_parquet_file_is_a_coded_error(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"token": ["planted-value"] * 1000}), path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(EngineError) as caught:
        run(EngineTable("t", TableFile(path, "parquet"), COLUMNS[:1]), "SELECT * FROM t")
    assert "planted" not in str(caught.value)
    assert "hitoku-engine" not in str(caught.value)


def test_time_is_limited(csv_table: EngineTable) -> None:
    start = time.monotonic()
    with pytest.raises(EngineError) as caught:
        run(
            csv_table,
            "SELECT SUM(a.range * b.range) FROM range(10000000) a, range(10000000) b",
            EngineLimits(seconds=1),
        )
    assert caught.value.code == "TIMEOUT"
    assert time.monotonic() - start < HANGS


def test_memory_is_limited(csv_table: EngineTable) -> None:
    bounds = EngineLimits(memory_bytes=64 * 1024 * 1024, seconds=2 * HANGS)
    sql = (
        "SELECT COUNT(*) FROM (SELECT DISTINCT (range * 7919)::VARCHAR || repeat('x', 900) AS s "
        "FROM range(4000000))"
    )
    with pytest.raises(EngineError) as caught:
        run(csv_table, sql, bounds)
    assert caught.value.code in {"OUT_OF_MEMORY", "CRASHED"}


def test_the_result_is_limited(csv_table: EngineTable) -> None:
    with pytest.raises(LimitError):
        run(csv_table, "SELECT * FROM range(100000)", EngineLimits(result_rows=1000))
    with pytest.raises(LimitError):
        run(csv_table, "SELECT repeat('x', 1000) FROM range(5000)", EngineLimits(result_bytes=100_000))


def test_a_large_result_goes_to_a_file(tmp_path: Path, csv_table: EngineTable) -> None:
    into = tmp_path / "rows.arrow"
    sql = "SELECT i, 'x' || i AS t FROM range(100000) r(i) ORDER BY i"
    with Engine() as engine:
        result: pa.Table = engine.run([csv_table], sql, into=into)
    assert into.stat().st_mode & 0o777 == 0o600
    assert result.num_rows == 100_000
    into.unlink()  # what was read stays readable
    assert result.column("t")[99_999].as_py() == "x99999"
    into.write_bytes(b"of somebody else")
    with Engine() as engine, pytest.raises(EngineError):
        engine.run([csv_table], sql, into=into)
    assert into.read_bytes() == b"of somebody else"


def test_a_result_in_a_file_is_limited_too(tmp_path: Path, csv_table: EngineTable) -> None:
    with Engine(EngineLimits(result_rows=10)) as engine, pytest.raises(LimitError):
        engine.run([csv_table], "SELECT * FROM range(1000000)", into=tmp_path / "rows.arrow")


def test_a_question_can_be_cancelled_from_another_thread(csv_table: EngineTable) -> None:
    before = leftovers()
    with Engine(EngineLimits(seconds=2 * HANGS)) as engine:
        timer = threading.Timer(0.8, engine.cancel)
        timer.start()
        with pytest.raises(EngineError) as caught:
            engine.run([csv_table], "SELECT SUM(a.range * b.range) FROM range(10000000) a, range(10000000) b")
        timer.join()
    assert caught.value.code == "CANCELLED"
    assert caught.value.to_dict()["code"] == "CANCELLED"
    assert nothing_stays(before)


def test_cancelled_before_it_began(csv_table: EngineTable) -> None:
    with Engine() as engine:
        engine.cancel()
        with pytest.raises(EngineError) as caught:
            engine.run([csv_table], "SELECT 1")
    assert caught.value.code == "CANCELLED"


def test_progress_is_told_in_percent_and_ends_at_a_hundred(csv_table: EngineTable) -> None:
    told: list[int] = []
    sql = "SELECT COUNT(*) AS n, SUM(hash(range)) AS s FROM range(120000000) WHERE hash(range) % 7 = 1"
    with Engine(EngineLimits(seconds=2 * HANGS, threads=1)) as engine:
        engine.run([csv_table], sql, told.append)
    assert sum(told) == 100
    assert all(step > 0 for step in told)
    assert len(told) > 1, "a question of a second or two tells of itself on the way"


def test_a_short_question_is_done_at_once(csv_table: EngineTable) -> None:
    told: list[int] = []
    with Engine() as engine:
        engine.run([csv_table], "SELECT 1 AS one", told.append)
    assert sum(told) == 100


def test_what_the_process_tells_of_progress_is_not_trusted() -> None:
    frames = [(b"P", b"\x05"), (b"P", b""), (b"P", b"\xff"), (b"P", b"\x03"), (b"P", b"ab"), (b"R", b"done")]

    class Scripted(Engine):
        def _any(self, process: object, wanted: bytes, deadline: float) -> tuple[bytes, bytes]:
            return frames.pop(0)

    told: list[int] = []
    assert Scripted()._result(None, 0.0, told.append) == b"done"  # type: ignore[arg-type]
    assert told == [5, 95]


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.05, 0.15, 0.3, 0.6])
def test_cancelled_by_several_threads_at_any_moment(csv_table: EngineTable, delay: float) -> None:
    """Starting, reading or running: it ends as cancelled, soon, and leaves nothing."""
    before = leftovers()
    sql = "SELECT SUM(a.range * b.range) AS s FROM range(1000000) a, range(1000000) b"
    with Engine(EngineLimits(seconds=2 * HANGS)) as engine:
        timers = [threading.Timer(delay, engine.cancel) for _ in range(3)]
        for timer in timers:
            timer.start()
        start = time.monotonic()
        with pytest.raises(EngineError) as caught:
            engine.run([csv_table], sql)
        for timer in timers:
            timer.join()
        assert engine.cancelled
    assert caught.value.code == "CANCELLED"
    assert time.monotonic() - start < HANGS
    assert nothing_stays(before)


def test_a_result_that_comes_after_the_cancellation_is_thrown_away(csv_table: EngineTable) -> None:
    with Engine() as engine:

        def cancel_at_the_end(step: int) -> None:
            engine.cancel()

        with pytest.raises(EngineError) as caught:
            engine.run([csv_table], "SELECT 1 AS one", cancel_at_the_end)
    assert caught.value.code == "CANCELLED"
