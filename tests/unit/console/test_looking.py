# SPDX-License-Identifier: Apache-2.0
"""What is said of a source: types that a room would declare, and counts."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hitoku.console.work import looking
from hitoku.console.work.looking import look
from hitoku.errors import InputError


def guesses(found: dict[str, object]) -> dict[str, object]:
    columns = found["columns"]
    assert isinstance(columns, list)
    return {c["name"]: c["guess"] for c in columns}


def test_what_columns_of_text_are(tmp_path: Path) -> None:
    rows = [
        "whole,part,real,flag,day,moment,phone,long,mixed,empty,text",
        "-5,1.50,1e3,true,2026-01-31,2026-01-31 10:00:00,0901234,12345678901234567890,1,,a",
        "17,22.255,0.5e-2,false,2026-02-01,2026-02-01T11:00,0801234,12345678901234567891,x,,b",
    ]
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    found = look("a.csv", tmp_path, profile=True)
    assert guesses(found) == {
        "whole": "bigint", "part": "decimal", "real": "double", "flag": "boolean", "day": "date",
        "moment": "timestamp", "phone": "string", "long": "string", "mixed": "string", "empty": "string",
        "text": "string",
    }  # fmt: skip
    part = found["columns"][1]
    assert (part["precision"], part["scale"]) == (18, 3)
    assert found["columns"][9]["nulls"] == 2
    assert (found["rows"], found["all"]) == (2, True)


def test_what_columns_of_parquet_are(tmp_path: Path) -> None:
    table = pa.table(
        {
            "i8": pa.array([1, 2, None], pa.int8()), "i32": pa.array([1, 1, 1], pa.int32()),
            "u32": pa.array([1, 1, 1], pa.uint32()), "f": pa.array([1.0, 2.0, 3.0], pa.float32()),
            "d": [Decimal("1.50"), Decimal("2.25"), None], "day": [date(2026, 1, 1)] * 3,
            "at": [datetime(2026, 1, 1, 2, 3)] * 3, "b": [True, False, None],
            "s": pa.array(["a", "b", "a"]).dictionary_encode(),
        }
    )  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    found = look("a.parquet", tmp_path, profile=True)
    assert guesses(found) == {
        "i8": "smallint", "i32": "int", "u32": "bigint", "f": "float", "d": "decimal", "day": "date",
        "at": "timestamp", "b": "boolean", "s": "string",
    }  # fmt: skip
    assert found["total"] == 3
    assert [c["distinct"] for c in found["columns"]] == [2, 1, 1, 3, 2, 1, 1, 2, 2]
    assert [c["nulls"] for c in found["columns"]] == [1, 0, 0, 0, 1, 0, 0, 1, 0]
    assert not any(c["more"] for c in found["columns"])


def counted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the process is asked from now on."""
    asked: list[dict[str, Any]] = []
    process = looking._asked

    def ask(request: dict[str, Any]) -> bytes:
        asked.append(request)
        return process(request)

    monkeypatch.setattr(looking, "_asked", ask)
    return asked


def test_what_was_said_of_a_file_is_said_again_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counted(monkeypatch)
    (tmp_path / "a.csv").write_text("n,m\n1,2\n")
    look("a.csv", tmp_path, profile=True, upload=True)
    (tmp_path / "b.csv").hardlink_to(tmp_path / "a.csv")  # as an upload gets its name
    found = look("b.csv", tmp_path, profile=True)
    assert (found["name"], guesses(found)) == ("b.csv", {"n": "bigint", "m": "bigint"})
    look("a.csv", tmp_path)
    assert len(asked) == 1
    # The first rows are asked for each time, and are not in what is remembered.
    assert look("a.csv", tmp_path, profile=True, sample=True)["sample"] == [["1", "2"]]
    assert len(asked) == 2
    assert "sample" not in look("a.csv", tmp_path, profile=True)
    (tmp_path / "a.csv").write_text("n,m\nx,2\n")
    assert guesses(look("a.csv", tmp_path, profile=True)) == {"n": "string", "m": "bigint"}
    assert len(asked) == 3


def test_what_is_wrong_with_a_file_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counted(monkeypatch)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    for _ in range(2):
        with pytest.raises(InputError):
            look("a.parquet", tmp_path)
    assert len(asked) == 2
