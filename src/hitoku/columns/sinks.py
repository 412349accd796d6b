# SPDX-License-Identifier: Apache-2.0
"""Where finished batches go: a CSV file, a Parquet file, a table in memory, nowhere (dry run)."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from hitoku import _core
from hitoku.sources import NewFile, format_of

__all__ = ["DryRun", "Sink", "TableSink", "open_sink"]

_ROW_GROUP_ROWS = 65_536
_ROW_GROUP_BYTES = 24 * 1024 * 1024


class Sink(Protocol):
    """Takes batches that `prepare` (on a worker thread) has brought into the sink's form."""

    @property
    def appends(self) -> tuple[str, Path] | None:
        """The text for NULL and the file, if worker threads may append CSV records themselves."""
        ...

    def prepare(self, batch: pa.RecordBatch) -> Any:
        """The batch as it is written; called on worker threads."""
        ...

    def write(self, prepared: Any) -> None:
        """Write it; called on one thread only."""
        ...


class DryRun:
    """Writes nothing, but makes everything that would be written."""

    appends = None

    def prepare(self, batch: pa.RecordBatch) -> None:
        """Forget the batch."""

    def write(self, prepared: Any) -> None:
        """Write nothing."""


class TableSink:
    """Gathers a table in memory."""

    appends = None

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._batches: list[pa.RecordBatch] = []

    def prepare(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch as it is."""
        return batch

    def write(self, prepared: pa.RecordBatch) -> None:
        """Keep the batch."""
        self._batches.append(prepared)

    def table(self) -> pa.Table:
        """All of it."""
        return pa.Table.from_batches(self._batches, self._schema)


class _Csv:
    def __init__(self, file: NewFile, schema: pa.Schema, null: str) -> None:
        self._target = file
        self._null = null
        self._texts = all(_is_text(field.type) for field in schema)
        file.file.write(_core.csv_record(list(schema.names)))
        file.file.flush()  # workers append behind it

    @property
    def appends(self) -> tuple[str, Path] | None:
        return (self._null, self._target.opened) if self._texts else None

    def prepare(self, batch: pa.RecordBatch) -> pa.Array:
        return _core.csv_write(_as_text(batch), self._null)

    def write(self, prepared: pa.Array | None) -> None:
        if prepared is not None and len(prepared):
            self._target.file.write(prepared.buffers()[1])
        self._target.settle()


class _Parquet:
    appends = None

    def __init__(self, file: NewFile, schema: pa.Schema, encrypted: Collection[str]) -> None:
        import pyarrow.parquet as pq

        clear = [name for name in schema.names if name not in encrypted]
        self._target = file
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        # Encrypted columns: no dictionary (all values differ or look random), no compression
        # (ciphertext has none to give), no minima and maxima.
        self._sink = file.native()
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            use_dictionary=clear or False,
            write_statistics=clear or False,
            compression={n: "snappy" if n in clear else "none" for n in schema.names},
            store_schema=True,
        )

    def prepare(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch

    def write(self, prepared: pa.RecordBatch) -> None:
        self._held.append(prepared)
        rows = sum(batch.num_rows for batch in self._held)
        size = sum(batch.nbytes for batch in self._held)
        if rows >= _ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held, self._schema))
            self._held = []
            self._target.settle()

    def finish(self) -> None:
        self._flush()
        self._writer.close()
        self._sink.close()

    def abandon(self) -> None:
        # Closing writes a footer; what it is written to is thrown away.
        with contextlib.suppress(Exception):
            self._writer.close()
        with contextlib.suppress(OSError):
            self._sink.close()


@contextlib.contextmanager
def open_sink(
    target: Path,
    schema: pa.Schema,
    *,
    stated: str | None,
    overwrite: bool,
    null: str,
    encrypted: Collection[str] = (),
) -> Iterator[Sink]:
    """A sink into a file that gets its name when the block ends without an exception.

    Args:
        target: the file.
        schema: names and types of the columns.
        stated: the file's format where its suffix does not tell it.
        overwrite: whether a file of that name may be replaced.
        null: what CSV writes for NULL.
        encrypted: names of the columns that hold encrypted values only.

    Raises:
        InputError: the file exists, or cannot be written.
    """
    kind = format_of(target, stated)
    with NewFile(target, overwrite=overwrite) as file:
        if kind == "csv":
            yield _Csv(file, schema, null)
        else:
            parquet = _Parquet(file, schema, encrypted)
            try:
                yield parquet
                parquet.finish()
            except BaseException:
                parquet.abandon()
                raise
        file.commit()


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Every column as text; what is text already stays in place."""
    import pyarrow.compute as pc

    arrays = []
    for array in batch.columns:
        if _is_text(array.type):
            arrays.append(array)
        else:
            arrays.append(pc.cast(array, pa.string()))
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
