# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - this file writes SQL from checked names and trees; no asker's text comes here
"""An owner's leaves: the plain table, read where it lies, through the locked-down engine, into a file.

The rows go to a file of the owner's own, in a folder that only this user can read, with nothing but the
columns that the leaves read; the engine's process reads that file and writes the leaves to another one, which
is read through a memory map. Both are gone when the leaves have been taken. Texts that are only compared
become the first 64 bits of a hash in the engine: the room's, the run's, so that they mean nothing elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hitoku import limits
from hitoku.engine import Engine, EngineColumn, EngineLimits, EngineTable, TableFile
from hitoku.engine.types import declared_type
from hitoku.errors import InputError, LimitError
from hitoku.executors.local import Local
from hitoku.questions.names import quoted
from hitoku.sources.base import RowError
from hitoku.sources.columns import find_column

if TYPE_CHECKING:
    from hitoku.ports import Progress
    from hitoku.protections.shares.wanted import WantedLeaf, WantedTable
    from hitoku.room.agreement import Column
    from hitoku.sources.base import Source

__all__ = ["FOLDER", "PASSES", "ROW", "Evaluated", "evaluated", "salt_of", "spooled", "statement"]

FOLDER: Final = "hitoku-shares-"
"""What the folder's name begins with; one that is left behind by SIGKILL can be told by it."""
ROW: Final = "#row"
"""The column of rows' numbers; no column of a room can be called so."""
PASSES: Final = "#passes"
"""The column that says which rows pass the owner's own conditions, where there are some."""
_GROUP_ROWS: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The leaves of a table.

    Attributes:
        table: a `pyarrow.Table` with a column for each leaf, named by its place, and unless rows are groups
            `ROW` (from 0) and, where there are conditions, `PASSES`. In any order.
        total: rows of the source.
        most: by a leaf's place, how many different values it has at most, and how many bytes they have
            (`WantedLeaf.most`).
        groups: how many groups there are at most; None where that is not asked for.
    """

    table: Any
    total: int
    most: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    groups: int | None = None


@contextmanager
def evaluated(
    wanted: WantedTable,
    source: Source,
    columns: Mapping[str, str],
    folder: Path,
    salt: bytes,
    progress: Progress,
) -> Iterator[Evaluated]:
    """The leaves, while the context lasts.

    Args:
        wanted: what is asked.
        source: the member's table.
        columns: source columns by room column; the same name where nothing is said.
        folder: where files may stand.
        salt: of hashes.
        progress: hears about the phases.

    Raises:
        InputError: the source is malformed, lacks a column, or the disk is full.
        LimitError: there are too many rows.
        EngineError: the engine failed.
    """
    try:
        place = TemporaryDirectory(prefix=FOLDER, dir=folder, ignore_cleanup_errors=True)
    except OSError as error:
        raise InputError(f"no temporary file can be made: {error.strerror}") from None
    with place as name:
        rows = Path(name) / "rows.parquet"
        total = spooled(wanted.table, wanted.columns, source, columns, rows, progress)
        told = tuple(EngineColumn(c.name, declared_type(c), encrypted=False) for c in wanted.columns)
        row = EngineColumn(ROW, "UINTEGER", encrypted=False)
        view = EngineTable(wanted.table, TableFile(rows, "parquet"), (row, *told))
        sizes = _sizes(wanted, view)
        bounds = EngineLimits(result_rows=limits.MAX_SHARES_ROWS, result_bytes=limits.MAX_SHARES_UPLOAD_BYTES)
        with Engine(bounds) as engine:
            progress.phase(f"compute the columns of {wanted.table}", 100)
            table = engine.run([view], statement(wanted, salt), progress.advance, Path(name) / "leaves.arrow")
        most = {n: (sizes[f"{n}e"], sizes[f"{n}l"]) for n, leaf in enumerate(wanted.leaves) if leaf.most}
        yield Evaluated(table, total, most, sizes.get("groups"))


def _sizes(wanted: WantedTable, view: EngineTable) -> dict[str, int]:
    """What the owner says of its table without regard to the asker's conditions, by name."""
    outputs: list[str] = []
    for n, leaf in enumerate(wanted.leaves):
        if leaf.most is not None:
            outputs.append(f"CAST({leaf.most.entries} AS BIGINT) AS {quoted(f'{n}e')}")
            outputs.append(f"CAST({leaf.most.longest} AS BIGINT) AS {quoted(f'{n}l')}")
    if wanted.groups is not None:
        outputs.append(f"CAST({wanted.groups} AS BIGINT) AS groups")
    if not outputs:
        return {}
    outputs.append(f"COUNT(*) AS {quoted(ROW)}")  # so that it is one row, also of constants alone
    with Engine(EngineLimits()) as engine:
        table = engine.run([view], f"SELECT {', '.join(outputs)} FROM {quoted(wanted.table)}")
    found: dict[str, int] = table.to_pylist()[0]
    return found


def statement(wanted: WantedTable, salt: bytes) -> str:
    """The owner's SQL.

    Rows that fail the owner's conditions are told from others, not left out: what the manifest says is of all
    rows, so that the asker's conditions do not show in it. Where the owner groups, they are left out.
    """
    outputs = [f"{_told(leaf, salt)} AS {quoted(str(n))}" for n, leaf in enumerate(wanted.leaves)]
    if wanted.group is None:
        outputs.insert(0, f"{quoted(wanted.table)}.{quoted(ROW)} AS {quoted(ROW)}")
    condition = " AND ".join(f"({condition})" for condition in wanted.where)
    if condition and wanted.group is None:
        outputs.append(f"(({condition}) IS TRUE) AS {quoted(PASSES)}")
    sql = f"SELECT {', '.join(outputs)} FROM {quoted(wanted.table)}"
    if condition and wanted.group is not None:
        sql += f" WHERE {condition}"
    if wanted.group:
        sql += f" GROUP BY {', '.join(f'({key})' for key in wanted.group)}"
    return sql


def _told(leaf: WantedLeaf, salt: bytes) -> str:
    if leaf.kind != "hash":
        return f"({leaf.sql})"
    # 16 digits of 4 bits: the first 64 bits, as a number.
    hashed = f"sha256('{salt.hex()}' || CAST(({leaf.sql}) AS VARCHAR))"
    return f"CAST('0x' || substr({hashed}, 1, 16) AS UBIGINT)"


def salt_of(room: str, run: str) -> bytes:
    """What hashes of a run begin with. No secret: servers see shares of hashes only."""
    return hashlib.sha256(f"hitoku/shares-key/1\n{room}\n{run}".encode()).digest()[:16]


def spooled(
    table: str,
    wanted: Sequence[Column],
    source: Source,
    columns: Mapping[str, str],
    path: Path,
    progress: Progress,
) -> int:
    """Write columns of a table, and each row's number in `ROW`, to a Parquet file. Returns how many rows.

    Raises:
        InputError: the source is malformed, lacks a column, or the disk is full.
        LimitError: there are too many rows.
    """
    names = [c.name for c in wanted]
    places = [find_column(source.schema, table, columns.get(n, n)) for n in names]
    slots = list(dict.fromkeys(places)) or [0]  # something has to be read to count rows
    fields = [pa.field(ROW, pa.uint32())]
    fields += [pa.field(n, source.schema.field(p).type) for n, p in zip(names, places, strict=True)]
    schema, total = pa.schema(fields), 0
    progress.phase(f"read {table}")
    try:
        with pq.ParquetWriter(path, schema, compression="lz4", use_dictionary=False) as writer:
            waiting: list[pa.RecordBatch] = []
            held = 0
            for batch in Local().map(_call, source.batches(slots)):
                count = batch.num_rows
                if total + count > limits.MAX_SHARES_ROWS:
                    raise LimitError(f"table {table}: has more than {limits.MAX_SHARES_ROWS:,} rows")
                numbers = np.arange(total, total + count, dtype=np.uint32)
                arrays = [pa.Array.from_buffers(pa.uint32(), count, [None, pa.py_buffer(numbers)])]
                arrays += [batch.column(slots.index(p)) for p in places]
                waiting.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
                total, held = total + count, held + count
                if held >= _GROUP_ROWS:
                    writer.write_table(pa.Table.from_batches(waiting, schema), row_group_size=_GROUP_ROWS)
                    waiting, held = [], 0
                progress.advance(count)
            writer.write_table(pa.Table.from_batches(waiting, schema), row_group_size=_GROUP_ROWS)
    except RowError as error:
        raise error.located(total) from None
    except OSError:
        raise InputError(f"table {table}: no space left for a temporary file") from None
    return total


def _call(batch: Any) -> Any:
    return batch()
