# SPDX-License-Identifier: Apache-2.0
"""What is said of a source: types that a room would declare, and counts."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hitoku.console.work.looking import look


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
