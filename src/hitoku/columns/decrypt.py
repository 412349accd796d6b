# SPDX-License-Identifier: Apache-2.0
"""Decrypt sealed columns, streaming; rows keep their order and fingerprints pass through."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack, overload

import pyarrow as pa

from hitoku import _core
from hitoku.columns.headers import shown
from hitoku.columns.keys import Keys
from hitoku.columns.options import DecryptOptions
from hitoku.columns.sinks import DryRun, Sink, TableSink, open_sink
from hitoku.columns.summary import Summary
from hitoku.errors import InputError
from hitoku.executors import Local
from hitoku.ports import Executor, NoProgress, Progress
from hitoku.sources import Batch, NewFile, RowError, Source, format_of, open_source
from hitoku.sources.table import TableSource

__all__ = ["decrypt"]

_FAULTS = {
    "not-authentic": "a sealed value that was changed, or that another secret or room id sealed",
    "bad-base64": "a sealed value that is not base64",
    "truncated": "a sealed value that was cut short",
    "malformed": "a sealed value whose content is malformed",
    "unknown-type": "a sealed value of an unknown type",
    "unknown-version": "an encrypted value of another version of the format",
    "bad-text": "a sealed text that is not UTF-8",
    "bad-decimal": "a sealed decimal that does not fit its own precision and scale",
    "mixed-types": "a value of another type than the column's first sealed value",
}


@overload
def decrypt(
    source: pa.Table,
    target: None,
    id: str,
    secret: bytes,
    **options: Unpack[DecryptOptions],
) -> pa.Table: ...


@overload
def decrypt(
    source: str | Path | pa.Table,
    target: str | Path | None,
    id: str,
    secret: bytes,
    **options: Unpack[DecryptOptions],
) -> Summary: ...


def decrypt(
    source: str | Path | pa.Table,
    target: str | Path | None,
    id: str,  # noqa: A002  (AWS's word for it; the room's UUID)
    secret: bytes,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    fail_on_fingerprint: bool = False,
    csv_input_null: str | None = None,
    csv_output_null: str | None = None,
    source_format: str | None = None,
    target_format: str | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Summary | pa.Table:
    """Open the sealed values of a table. Fingerprints cannot be opened and stay as they are.

    Args:
        source: a CSV or Parquet file, or an Arrow table; a query's result will do.
        target: the file to write; None with an Arrow table gives a table back.
        id: the room's UUID (AWS: the collaboration's).
        secret: the shared secret, 32 to 1,024 bytes; see `read_secret`.
        overwrite: an existing target may be replaced.
        dry_run: open and check everything, write nothing.
        fail_on_fingerprint: a fingerprint is an error, not a warning.
        csv_input_null: the CSV text that means NULL; by default blank does and `""` is empty text.
        csv_output_null: the CSV text to write for NULL; blank by default.
        source_format: `csv` or `parquet`, where the suffix does not tell.
        target_format: the same of the target.
        executor: who runs batches; threads on all cores of the process by default.
        progress: hears about the phases `looking` (Parquet) and `decrypting` (rows).

    Returns:
        A Summary; the opened table where `source` is a table and `target` is None. Sealed columns of
        Parquet and of tables get the type that their values carry, those of CSV become text.

    Raises:
        InputError: a wrong tag, a truncated or undecodable value, anything about the files; names
            column and row, never a value. No target is left behind.
        SecretError: the secret is too short or too long.
    """
    started = time.monotonic()
    keys = Keys.derive(secret, id)
    in_memory = isinstance(source, pa.Table)
    reader: Source
    if isinstance(source, pa.Table):
        reader = TableSource(source)
    else:
        is_csv = format_of(Path(source), source_format) == "csv"
        null = ("" if csv_input_null is None else csv_input_null) if is_csv else csv_input_null
        reader = open_source(Path(source), source_format, null=null)
    run = _Run(keys, executor or Local(), progress or NoProgress(), fail_on_fingerprint)
    typed = in_memory or format_of(Path(str(source)), source_format) == "parquet"
    out = run.look(reader) if typed else reader.schema
    if target is None and not (dry_run or in_memory):
        raise InputError("no target file is given (--output)")
    if target is None and not dry_run:
        gathered = TableSink(out)
        run.all(reader, out, gathered)
        return gathered.table()
    if dry_run or target is None:
        if target is not None:
            NewFile(Path(target), overwrite=overwrite)
        opened: Any = nullcontext(DryRun())
    else:
        opened = open_sink(
            Path(target),
            out,
            stated=target_format or source_format,
            overwrite=overwrite,
            null=csv_output_null or "",
        )
    with opened as sink:
        rows, fingerprints = run.all(reader, out, sink)
    warnings = []
    if fingerprints:
        warnings.append(
            "fingerprints cannot be decrypted and were passed through in: "
            + ", ".join(shown(name) for name in fingerprints)
        )
    return Summary(
        action="decrypt",
        source=reader.name,
        target=None if dry_run or target is None else str(target),
        rows=rows,
        columns={"fingerprint": len(fingerprints), "other": len(out) - len(fingerprints)},
        seconds=time.monotonic() - started,
        dry_run=dry_run,
        warnings=tuple(warnings),
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


@dataclass(frozen=True)
class _Run:
    """One decryption under way."""

    keys: Keys
    executor: Executor
    progress: Progress
    fail_on_fingerprint: bool

    def look(self, reader: Source) -> pa.Schema:
        """The output's schema: the type of each column's first sealed value tells its type."""
        fields = []
        self.progress.phase("looking", len(reader.schema))
        for index, field in enumerate(reader.schema):
            kind = field.type
            if _is_text(kind):
                kind = self._column_type(reader, index) or kind
            # A sealed NULL may stand in a column that was declared to have none.
            nullable = field.nullable or kind != field.type or _is_text(kind)
            fields.append(field.with_type(kind).with_nullable(nullable))
            self.progress.advance()
        return pa.schema(fields)

    def _column_type(self, reader: Source, index: int) -> pa.DataType | None:
        rows = 0
        for batch_of in reader.batches([index]):
            column = _narrow(batch_of().column(0))
            try:
                name = _core.unseal_type(column, self.keys.root)
                if name is not None:
                    return _arrow_type(name)
                sealed, _ = _core.count_kinds(column)
            except _core.CellError as error:
                raise _row_error(reader, index, error).located(rows) from None
            if not sealed and column.null_count < len(column):
                return None
            rows += len(column)
        return None

    def all(self, reader: Source, out: pa.Schema, sink: Sink) -> tuple[int, list[str]]:
        """Open every batch. Returns the rows and the columns with fingerprints."""

        def work(batch_of: Batch) -> tuple[int, list[bool], Any]:
            batch = batch_of()
            arrays, marks = [], []
            for index, (column, field) in enumerate(zip(batch.columns, out, strict=True)):
                try:
                    array, fingerprints = self._open(column, field.type)
                except _core.CellError as error:
                    raise _row_error(reader, index, error) from None
                arrays.append(array)
                marks.append(fingerprints > 0)
            opened = pa.RecordBatch.from_arrays(arrays, schema=out)
            return batch.num_rows, marks, sink.prepare(opened)

        self.progress.phase("decrypting")
        rows = 0
        seen = [False] * len(out)
        try:
            for count, marks, prepared in self.executor.map(work, _batches(reader)):
                rows += count
                seen = [a or b for a, b in zip(seen, marks, strict=True)]
                names = [name for name, mark in zip(out.names, seen, strict=True) if mark]
                if names and self.fail_on_fingerprint:
                    raise InputError(
                        "fingerprints cannot be decrypted: " + ", ".join(shown(name) for name in names)
                    )
                sink.write(prepared)
                self.progress.advance(count)
        except RowError as error:
            raise error.located(rows) from None
        return rows, [name for name, mark in zip(out.names, seen, strict=True) if mark]

    def _open(self, column: pa.Array, wanted: pa.DataType) -> tuple[pa.Array, int]:
        if not _is_text(column.type):
            return column, 0
        if not _is_text(wanted):
            return _core.unseal_typed(_narrow(column), self.keys.root, wanted), 0
        opened, fingerprints = _core.unseal_text(_narrow(column), self.keys.root)
        return opened if opened.type == wanted else opened.cast(wanted), fingerprints


def _batches(reader: Source) -> Iterator[Batch]:
    return reader.batches(range(len(reader.schema)))


def _narrow(column: pa.Array) -> pa.Array:
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _arrow_type(name: str) -> pa.DataType:
    """The Arrow type that a sealed value's type is; see `Opened::type_name` in the Rust core."""
    kind, *details = name.split(":")
    if kind == "decimal":
        precision, scale = (int(detail) for detail in details)
        try:
            make = pa.decimal128 if precision <= 38 else pa.decimal256
            return make(precision, scale)
        except (ValueError, pa.ArrowException):
            raise InputError("a sealed decimal has a precision that cannot be used") from None
    if kind == "timestamp":
        unit, zone = details
        return pa.timestamp(unit, tz=zone or None)
    simple: dict[str, pa.DataType] = {
        "string": pa.string(),
        "int16": pa.int16(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "bool": pa.bool_(),
        "date32": pa.date32(),
        "float32": pa.float32(),
        "float64": pa.float64(),
    }
    return simple[kind]


def _row_error(reader: Source, index: int, error: _core.CellError) -> RowError:
    code, row, _ = error.args
    what = _FAULTS.get(code, f"a value that cannot be decrypted ({code})")
    column = shown(reader.schema.field(index).name)
    return RowError(reader.name, f"has in column '{column}' {what}", row or 0)
