# SPDX-License-Identifier: Apache-2.0
"""DuckDB over tables in memory: locked down, bounded, and silent about values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from hitoku.engine.memory import MemoryEngine, TypedColumn
from hitoku.engine.process import EngineLimits
from hitoku.errors import EngineError, LimitError

BOUNDS = EngineLimits(threads=1)
TABLE = pa.table({"a": ["1", "2", "no number", None], "b": pa.array([1, 2, 3, 4], pa.int64())})


def engine(bounds: EngineLimits = BOUNDS) -> MemoryEngine:
    made = MemoryEngine(bounds)
    made.add("t", [TypedColumn("a", "a", "INTEGER"), TypedColumn("n", "b", "BIGINT")], TABLE)
    return made


def test_values_become_the_declared_type_or_null() -> None:
    with engine() as made:
        rows = made.run('SELECT "a", "n" FROM "t" ORDER BY "n"').to_pylist()
    assert rows == [{"a": 1, "n": 1}, {"a": 2, "n": 2}, {"a": None, "n": 3}, {"a": None, "n": 4}]


def test_it_can_run_more_than_once_and_has_only_what_was_given() -> None:
    with engine() as made:
        assert made.run("SELECT COUNT(*) AS n FROM t").to_pylist() == [{"n": 4}]
        assert made.run("SELECT SUM(n) AS s FROM t").to_pylist() == [{"s": 10}]
        for sql in ("SELECT b FROM t", "SELECT * FROM TABLE", "SELECT * FROM other"):
            with pytest.raises(EngineError):
                made.run(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "COPY t TO '{place}/out.csv'",
        "ATTACH '{place}/out.db'",
        "SELECT * FROM read_csv('{place}/in.csv')",
        "SELECT * FROM '{place}/in.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET temp_directory = '{place}'",
        "SET lock_configuration = false",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('{place}/*')",
        "EXPORT DATABASE '{place}'",
    ],
)
def test_there_is_no_way_out_of_it(tmp_path: Path, sql: str) -> None:
    (tmp_path / "in.csv").write_text("a\n1\n")
    with engine() as made, pytest.raises(EngineError) as caught:
        made.run(sql.replace("{place}", str(tmp_path)))
    assert str(tmp_path) not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_errors_are_codes_and_quote_nothing() -> None:
    with engine() as made:
        made.add("texts", [TypedColumn("a", "a", "VARCHAR")], TABLE)
        with pytest.raises(EngineError) as caught:
            made.run("SELECT CAST(a AS INTEGER) FROM texts")
    assert caught.value.code == "DATA_TYPE"
    assert "no number" not in str(caught.value)


def test_a_result_is_bounded() -> None:
    for bounds in (replace(BOUNDS, result_rows=3), replace(BOUNDS, result_bytes=10)):
        with engine(bounds) as made, pytest.raises(LimitError):
            made.run("SELECT * FROM t")


def test_time_is_bounded() -> None:
    with engine(replace(BOUNDS, seconds=1)) as made, pytest.raises(EngineError) as caught:
        made.run("SELECT SUM(a.range * b.range % 7) FROM range(1000000) AS a, range(1000000) AS b")
    assert caught.value.code == "TIMEOUT"


def test_memory_is_bounded_and_nothing_is_spilled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with engine(replace(BOUNDS, memory_bytes=32 << 20)) as made, pytest.raises(EngineError) as caught:
        made.run("SELECT COUNT(*) FROM (SELECT DISTINCT range, range * 7 FROM range(20000000))")
    assert caught.value.code == "OUT_OF_MEMORY"
    assert not list(tmp_path.iterdir())
