# SPDX-License-Identifier: Apache-2.0
"""The engine inside the process: computes, and can reach nothing."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from hitoku.engine import inline
from hitoku.errors import EngineError

TABLE = {"t": pa.table({"a": [3, 1, 2]})}


def test_it_computes() -> None:
    assert inline.compute(TABLE, "SELECT a + 1 AS b FROM t ORDER BY a").to_pydict() == {"b": [2, 3, 4]}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{file}')",
        "COPY t TO '{file}.out'",
        "ATTACH '{file}.db'",
        "SET threads = 4",
        "SET lock_configuration = false",
        "INSTALL httpfs",
        "LOAD '{file}'",
    ],
)
def test_it_has_no_files_and_no_settings(sql: str, tmp_path: Path) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n")
    with pytest.raises(EngineError):
        inline.compute(TABLE, sql.replace("{file}", str(file)))
    assert [p.name for p in tmp_path.iterdir()] == ["secret.csv"]


def test_its_errors_quote_nothing() -> None:
    with pytest.raises(EngineError) as caught:
        inline.compute({"t": pa.table({"a": ["alice@example.com"]})}, "SELECT CAST(a AS INTEGER) FROM t")
    assert "alice" not in str(caught.value)


def test_it_ends_what_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline, "_SECONDS", 0.2)
    with pytest.raises(EngineError):
        inline.compute(
            TABLE, "SELECT COUNT(*) FROM range(1000000) x, range(1000000) y WHERE (x.range + y.range) % 7 = 0"
        )
