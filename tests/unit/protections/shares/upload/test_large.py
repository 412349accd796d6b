# SPDX-License-Identifier: Apache-2.0
"""Ten million rows are shared within a bounded memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROWS = 10_000_000
PROGRAM = """
import resource, sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hitoku.protections.shares.upload.make import Binding, make
from hitoku.protections.shares.wanted import WantedKey, WantedLeaf, WantedTable
from hitoku.room.agreement import Column, ColumnProtection, ColumnType
from hitoku.sources.parquet import ParquetSource
from tests.unit.protections.shares.sharing_world import PLAN, QUESTION, ROOM, RUN, Keys, split

folder, rows = Path(sys.argv[1]), int(sys.argv[2])
draw = np.random.default_rng(1)
schema = pa.schema([("k", pa.int64()), ("v", pa.int64()), ("d", pa.date32()), ("c", pa.string())])
cities = pa.array([f"city {n}" for n in range(500)])
with pq.ParquetWriter(folder / "t.parquet", schema) as writer:
    for start in range(0, rows, 1_000_000):
        count = min(1_000_000, rows - start)
        columns = [
            pa.array(np.arange(start, start + count) * 7919 % 2**40),
            pa.array(draw.integers(-(10**6), 10**6, count)),
            pa.array(draw.integers(8_000, 11_000, count).astype(np.int32)).cast(pa.date32()),
            cities.take(pa.array(draw.integers(0, 500, count))),
        ]
        writer.write_table(pa.table(columns, schema=schema))


def column(name, kind):
    return Column(name=name, type=kind, protection=ColumnProtection.SEALED)


wanted = WantedTable(
    "t",
    "shop",
    (
        column("k", ColumnType.BIGINT),
        column("v", ColumnType.BIGINT),
        column("d", ColumnType.DATE),
        column("c", ColumnType.STRING),
    ),
    (
        WantedLeaf("t.0", "t.k", "hash", word=True),
        WantedLeaf("t.1", "t.v", "number", ring="auto", word=True),
        WantedLeaf("t.2", "t.d", "date", word=True),
        WantedLeaf("t.3", "t.c", "code", word=True),
    ),
    keys=(WantedKey(("t.0",), "t.4"),),
)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
binding = Binding(ROOM, RUN, QUESTION, PLAN)
made = make(wanted, ParquetSource(folder / "t.parquet"), {}, folder / "share-0", binding, Keys(), split=split)
assert made.rows == rows
assert [key.copies for key in made.manifest.keys] == [1]
# One byte for the row, 8 for the key, 8 and 4 for the number, 2 each for date and text; then two words for
# each of 512 texts, and what blinds the hashes.
assert made.manifest.size == made.manifest.rows * (1 + 8 + 8 + 4 + 2 + 2) + 512 * 16 + 32
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
def test_ten_million_rows(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(ROWS)],
        cwd=Path(__file__).parents[5],
        capture_output=True,
        text=True,
        check=False,
        timeout=2400,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 1536, "MiB"
