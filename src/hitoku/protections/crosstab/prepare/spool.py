# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - this file writes SQL from checked names and trees; no asker's text comes here
"""Rows that the engine must look at: written to a file of the member's own, asked for by number.

The file has only the columns that conditions read or that need another type, beside each row's number. It
stands in a folder of mode 0700 that goes with it. The engine is the locked-down process that runs SQL on
tokens, with the same views and the same rendering of conditions, so that a condition keeps the same rows.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hitoku import limits
from hitoku.engine import Engine, EngineColumn, EngineLimits, EngineTable, TableFile
from hitoku.errors import InputError
from hitoku.questions.names import quoted
from hitoku.questions.render import all_of
from hitoku.questions.totals import total

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hitoku.ports import Progress
    from hitoku.questions.form import Value

__all__ = ["FOLDER", "Spool"]

FOLDER: Final = "hitoku-prepare-"
"""What the folder's name begins with; one that is left behind by SIGKILL can be told by it."""

# No column of a room can be called so.
_ROW: Final = "#row"
_GROUP_ROWS: Final = 1 << 17
_BYTES_A_VALUE: Final = 64


class Spool:
    """A context manager: rows in, then the engine's answer once.

    Args:
        table: the room's name of the table.
        columns: what the rows have.
        folder: where the file may stand; the platform's folder for temporary files where None.
    """

    def __init__(self, table: str, columns: Sequence[EngineColumn], folder: Path | None) -> None:
        self._table, self._columns = table, tuple(columns)
        self._parent = folder
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self._held = 0

    def __enter__(self) -> Self:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=FOLDER, dir=self._parent))
        except OSError as error:
            raise InputError(f"no temporary file can be made: {error.strerror}") from None
        self._path = self._folder / "rows.parquet"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
        except (OSError, pa.ArrowException):
            pass
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def push(self, arrays: Sequence[pa.Array]) -> None:
        """Take the next rows: one array a column.

        Raises:
            InputError: the disk is full.
        """
        count = len(arrays[0])
        numbers = np.arange(self._rows, self._rows + count, dtype=np.uint32)
        rows = pa.Array.from_buffers(pa.uint32(), count, [None, pa.py_buffer(numbers)])
        names = [_ROW, *(column.name for column in self._columns)]
        self._waiting.append(pa.RecordBatch.from_arrays([rows, *arrays], names=names))
        self._rows += count
        self._held += count
        if self._held >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        whole = pa.Table.from_batches(self._waiting)
        self._waiting, self._held = [], 0
        try:
            if self._writer is None:
                self._writer = pq.ParquetWriter(
                    self._path, whole.schema, compression="lz4", use_dictionary=False
                )
            self._writer.write_table(whole, row_group_size=_GROUP_ROWS)
        except OSError:
            raise InputError(f"table {self._table}: no space left for a temporary file") from None

    def kept(
        self, conditions: Sequence[Value], wanted: Sequence[str], progress: Progress
    ) -> tuple[NDArray[np.int64], list[pa.Array]]:
        """The numbers of the rows that fulfil all conditions, rising, and their columns as declared.

        Args:
            conditions: on this table alone.
            wanted: columns of the room.
            progress: hears of the engine's percents.

        Raises:
            InputError: a column cannot be used.
            EngineError: the engine failed.
        """
        self._flush()
        if self._writer is None:
            return np.zeros(0, np.int64), []
        self._writer.close()
        row = EngineColumn(_ROW, "UINTEGER", encrypted=False)
        view = EngineTable(self._table, TableFile(self._path, "parquet"), (row, *self._columns))
        sql = f"SELECT {', '.join(map(quoted, [_ROW, *wanted]))} FROM {quoted(self._table)}"
        if conditions:
            sql += f" WHERE {all_of(conditions, total)}"
        size = self._rows * (8 + _BYTES_A_VALUE * len(wanted))
        bounds = EngineLimits(result_rows=self._rows, result_bytes=max(limits.ENGINE_MAX_RESULT_BYTES, size))
        with Engine(bounds) as engine:
            progress.phase("filter rows", 100)
            answer = engine.run([view], sql, progress.advance)
        return _ordered(answer)


def _ordered(answer: pa.Table) -> tuple[NDArray[np.int64], list[Any]]:
    answer = answer.combine_chunks()
    if not answer.num_rows:
        return np.zeros(0, np.int64), []
    numbers = answer.column(0).chunk(0).to_numpy()
    columns = [answer.column(place).chunk(0) for place in range(1, answer.num_columns)]
    if (numbers[1:] > numbers[:-1]).all():
        return numbers.astype(np.int64), columns
    order = np.argsort(numbers)
    places = pa.Array.from_buffers(pa.int64(), len(order), [None, pa.py_buffer(order)])
    return numbers[order].astype(np.int64), [column.take(places) for column in columns]
