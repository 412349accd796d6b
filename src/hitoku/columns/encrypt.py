# SPDX-License-Identifier: Apache-2.0
"""Encrypt a table: read once and scatter, then protect bucket by bucket in a random order.

Pass 1 reads, checks and measures, and scatters the rows over buckets (in memory, or in an encrypted
temporary file without a name). Pass 2 takes one bucket after the other, permutes it, makes
fingerprints and sealed values, and writes. Both passes keep all cores busy and memory bounded.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

import pyarrow as pa

from hitoku import _core, limits
from hitoku.columns.keys import Keys
from hitoku.columns.options import EncryptOptions
from hitoku.columns.plan import Plan, Target, make_plan
from hitoku.columns.schema import TableSchema, load_schema
from hitoku.columns.sinks import DryRun, Sink, TableSink, open_sink
from hitoku.columns.summary import Summary
from hitoku.errors import InputError
from hitoku.executors import Local
from hitoku.ports import Executor, NoProgress, Progress
from hitoku.sources import Batch, NewFile, RowError, Source, open_source
from hitoku.sources.table import TableSource

if TYPE_CHECKING:
    from hitoku.room.settings import Settings

__all__ = ["encrypt"]


@overload
def encrypt(
    source: pa.Table,
    target: None,
    schema: TableSchema | str | Path | dict[str, Any],
    settings: Settings,
    id: str,
    secret: bytes,
    **options: Unpack[EncryptOptions],
) -> pa.Table: ...


@overload
def encrypt(
    source: str | Path | pa.Table,
    target: str | Path | None,
    schema: TableSchema | str | Path | dict[str, Any],
    settings: Settings,
    id: str,
    secret: bytes,
    **options: Unpack[EncryptOptions],
) -> Summary: ...


def encrypt(
    source: str | Path | pa.Table,
    target: str | Path | None,
    schema: TableSchema | str | Path | dict[str, Any],
    settings: Settings,
    id: str,  # noqa: A002  (AWS's word for it; the room's UUID)
    secret: bytes,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    csv_input_null: str | None = None,
    csv_output_null: str | None = None,
    temp_dir: Path | None = None,
    source_format: str | None = None,
    target_format: str | None = None,
    parquet_binary_as_string: bool | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Summary | pa.Table:
    """Encrypt the columns of a table as its schema says; rows come out in uniformly random order.

    Args:
        source: a CSV or Parquet file, or an Arrow table.
        target: the file to write; None with an Arrow table gives a table back.
        schema: what becomes of each column; see `TableSchema`.
        settings: the room's four settings, which all owners of its tables share.
        id: the room's UUID (AWS: the collaboration's).
        secret: the shared secret, 32 to 1,024 bytes; see `read_secret`.
        overwrite: an existing target may be replaced.
        dry_run: do and check everything, write nothing.
        csv_input_null: the CSV text that means NULL; None: blank and `""` both do.
        csv_output_null: the CSV text to write for NULL; blank by default.
        temp_dir: where rows wait, encrypted, if they do not fit memory.
        source_format: `csv` or `parquet`, where the suffix does not tell.
        target_format: the same of the target.
        parquet_binary_as_string: plain binary columns of Parquet hold UTF-8 text.
        executor: who runs batches; threads on all cores of the process by default.
        progress: hears about the phases `reading`, `encrypting` and `checking` (rows).

    Returns:
        A Summary; the encrypted table where `source` is a table and `target` is None.

    Raises:
        InputError: anything about the files, the schema or a value; names columns and rows, never
            values. No target is left behind.
        SecretError: the secret is too short or too long.

    The format is that of the AWS C3R client (3.x, "02:").
    """
    started = time.monotonic()
    table_schema = load_schema(schema)
    keys = Keys.derive(secret, id, shared=settings.allow_joins_on_columns_with_different_names)
    reader = _reader(source, table_schema, source_format, csv_input_null, parquet_binary_as_string)
    plan = make_plan(table_schema, reader.schema, reader.name, settings)
    run = _Run(
        plan=plan,
        keys=keys,
        settings=settings,
        folder=Path(temp_dir or tempfile.gettempdir()),
        executor=executor or Local(),
        progress=progress or NoProgress(),
    )
    out = _output_schema(plan)
    if target is None and not (dry_run or isinstance(source, pa.Table)):
        raise InputError("no target file is given (--output)")
    if isinstance(source, pa.Table) and target is None and not dry_run:
        gathered = TableSink(out)
        run.all(reader, gathered)
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
            plain=[t.kind != "cleartext" for t in plan.targets],
        )
    with opened as sink:
        rows = run.all(reader, sink)
    return Summary(
        action="encrypt",
        source=reader.name,
        target=None if dry_run or target is None else str(target),
        rows=rows,
        columns=plan.counts(),
        seconds=time.monotonic() - started,
        dry_run=dry_run,
    )


def _reader(
    source: str | Path | pa.Table,
    schema: TableSchema,
    stated: str | None,
    null: str | None,
    binary_as_string: bool | None,
) -> Source:
    if isinstance(source, pa.Table):
        return TableSource(source)
    return open_source(
        Path(source),
        stated,
        header_row=schema.header_row,
        null=null,
        binary_as_string=bool(binary_as_string),
    )


def _output_schema(plan: Plan) -> pa.Schema:
    """Encrypted columns are optional text; cleartext columns keep type and field metadata.

    Metadata of the whole table is dropped: pandas writes names and types of all columns there,
    also of those that must not leave.
    """
    return pa.schema(
        [
            plan.fields.field(target.slot).with_name(target.header)
            if target.kind == "cleartext"
            else pa.field(target.header, pa.string())
            for target in plan.targets
        ]
    )


@dataclass(frozen=True)
class _Measured:
    """What pass 1 learns of one batch, a value for each used column."""

    rows: int
    longest: list[int]
    nulls: list[int]


@dataclass(frozen=True)
class _Run:
    """One encryption under way."""

    plan: Plan
    keys: Keys
    settings: Settings
    folder: Path
    executor: Executor
    progress: Progress

    def all(self, reader: Source, sink: Sink) -> int:
        """Both passes. Returns how many rows there were."""
        try:
            shuffle = _core.Shuffle(
                self.plan.fields,
                self._buckets(reader.estimated_bytes),
                limits.SHUFFLE_MEMORY_BYTES,
                self.folder,
            )
            measured = self._scatter(reader, shuffle)
            pads = self._pads(measured)
            self._check_nulls(measured)
            self._protect(shuffle, measured.rows, pads, sink)
        except _core.CellError as error:
            raise self._explain(error) from None
        return measured.rows

    def _buckets(self, size: int) -> int:
        wanted = -(-size // limits.SHUFFLE_BUCKET_BYTES)
        if size > 256 * 1024:
            # Enough pieces of work for all threads, also where one bucket would do.
            wanted = max(wanted, 4 * self.executor.parallelism)
        return max(1, min(wanted, limits.SHUFFLE_MAX_BUCKETS))

    def _scatter(self, reader: Source, shuffle: _core.Shuffle) -> _Measured:
        sealed = self.plan.of_kind("sealed")
        strictest: dict[int, Target] = {}
        for target in sealed:
            known = strictest.get(target.slot)
            if known is None or target.limit < known.limit:
                strictest[target.slot] = target
        fingerprints = {target.slot for target in self.plan.of_kind("fingerprint")}

        def work(batch_of: Batch) -> _Measured:
            batch = batch_of()
            longest, nulls = [0] * batch.num_columns, [0] * batch.num_columns
            for slot in sorted(fingerprints | strictest.keys()):
                column = batch.column(slot)
                nulls[slot] = column.null_count
                if slot in strictest:
                    target = strictest[slot]
                    longest[slot], over, _ = _core.measure(column, max(0, target.limit))
                    if over is not None:
                        raise RowError(reader.name, _too_long(target), over)
            shuffle.push(batch)
            return _Measured(batch.num_rows, longest, nulls)

        self.progress.phase("reading")
        rows = 0
        width = len(self.plan.used)
        longest, nulls = [0] * width, [0] * width
        try:
            for part in self.executor.map(work, reader.batches(self.plan.used)):
                rows += part.rows
                longest = [max(a, b) for a, b in zip(longest, part.longest, strict=True)]
                nulls = [a + b for a, b in zip(nulls, part.nulls, strict=True)]
                self.progress.advance(part.rows)
        except RowError as error:
            raise error.located(rows) from None
        except OSError as error:
            raise _no_room(error, self.folder) from None
        return _Measured(rows, longest, nulls)

    def _pads(self, measured: _Measured) -> list[int | None]:
        """The length that each column's values, without the type byte, are padded to; None: as they are."""
        pads: list[int | None] = []
        for target in self.plan.of_kind("sealed"):
            pad = target.pad
            if pad is None or pad.type == "none":
                pads.append(None)
            elif pad.type == "fixed":
                pads.append(target.limit)
            else:
                pads.append(measured.longest[target.slot] + (pad.length or 0))
        return pads

    def _check_nulls(self, measured: _Measured) -> None:
        """Two NULLs are duplicates where NULLs are not told apart by staying NULL."""
        if self.settings.allow_duplicates or self.settings.preserve_nulls:
            return
        twice = [t.header for t in self.plan.of_kind("fingerprint") if measured.nulls[t.slot] > 1]
        if twice:
            raise _duplicates(twice)

    def _protect(self, shuffle: _core.Shuffle, rows: int, pads: list[int | None], sink: Sink) -> None:
        fingerprints = self.plan.of_kind("fingerprint")
        distinct = None
        if fingerprints and not self.settings.allow_duplicates:
            partitions = max(1, min(1024, rows * 16 // (4 * 1024 * 1024)))
            distinct = _core.Distinct(
                len(fingerprints), partitions, limits.DISTINCT_MEMORY_BYTES, self.folder
            )
        protect = _Protector(self.plan, self.keys, self.settings, pads, distinct)

        def work(piece: tuple[_core.Shuffle, int]) -> tuple[int, list[Any]]:
            shuffle, number = piece
            bucket = shuffle.take(number)
            step = limits.BATCH_ROWS // 4
            return bucket.rows, [
                sink.prepare(protect(bucket.slice(start, step))) for start in range(0, bucket.rows, step)
            ]

        self.progress.phase("encrypting", rows)
        try:
            for count, prepared in self.executor.map(work, _pieces(shuffle)):
                for part in prepared:
                    sink.write(part)
                self.progress.advance(count)
            if distinct is not None:
                self._check_distinct(distinct, fingerprints)
        except OSError as error:
            raise _no_room(error, self.folder) from None

    def _check_distinct(self, distinct: _core.Distinct, fingerprints: list[Target]) -> None:
        self.progress.phase("checking", len(fingerprints) * distinct.partitions)
        pieces = [(c, p) for c in range(len(fingerprints)) for p in range(distinct.partitions)]
        found: set[int] = set()
        results = self.executor.map(lambda piece: distinct.repeats(*piece), pieces)
        for (column, _), repeats in zip(pieces, results, strict=True):
            if repeats:
                found.add(column)
            self.progress.advance()
        if found:
            raise _duplicates([fingerprints[column].header for column in sorted(found)])

    def _explain(self, error: _core.CellError) -> InputError:
        code, _, column = error.args
        where = ""
        sealed = self.plan.of_kind("sealed")
        if column is not None and column < len(sealed):
            where = f" in column '{sealed[column].header}'"
        if code == "no-randomness":
            return InputError("the operating system gives no randomness")
        return InputError(f"the table cannot be encrypted{where} ({code})")


@dataclass(frozen=True)
class _Protector:
    """Makes the output columns of a batch; called on worker threads."""

    plan: Plan
    keys: Keys
    settings: Settings
    pads: list[int | None]
    distinct: _core.Distinct | None

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        preserve = self.settings.preserve_nulls
        made: dict[str, pa.Array] = {}
        sealed = self.plan.of_kind("sealed")
        if sealed:
            arrays = _core.seal(
                [batch.column(t.slot) for t in sealed],
                [t.header for t in sealed],
                self.pads,
                self.keys.root,
                preserve,
            )
            made.update(zip((t.header for t in sealed), arrays, strict=True))
        for index, target in enumerate(self.plan.of_kind("fingerprint")):
            key = self.keys.fingerprint(target.header)
            array = _core.fingerprint(batch.column(target.slot), key, preserve)
            if self.distinct is not None:
                self.distinct.push(index, array)
            made[target.header] = array
        for target in self.plan.of_kind("cleartext"):
            made[target.header] = batch.column(target.slot)
        return pa.RecordBatch.from_arrays(
            [made[t.header] for t in self.plan.targets], schema=_output_schema(self.plan)
        )


def _pieces(shuffle: _core.Shuffle) -> Iterator[tuple[_core.Shuffle, int]]:
    """Buckets that fit memory; larger ones are scattered again."""
    for bucket in range(shuffle.buckets):
        size = shuffle.bucket_bytes(bucket)
        if size > 4 * limits.SHUFFLE_BUCKET_BYTES:
            ways = min(limits.SHUFFLE_MAX_BUCKETS, -(-size // limits.SHUFFLE_BUCKET_BYTES))
            yield from _pieces(shuffle.split(bucket, ways))
        elif size:
            yield shuffle, bucket


def _too_long(target: Target) -> str:
    if target.pad is not None and target.pad.type == "fixed":
        return (
            f"has a value of more than {target.limit:,} bytes in column '{target.header}', which is "
            f"padded to {target.pad.length:,} with its type: give it a greater pad length"
        )
    return f"has a value of more than {max(0, target.limit):,} bytes in column '{target.header}'"


def _duplicates(headers: list[str]) -> InputError:
    return InputError(
        "fingerprint columns hold a value (or NULL) more than once, which the room forbids "
        f"(allow_duplicates): {', '.join(headers)}"
    )


def _no_room(error: OSError, folder: Path) -> Exception:
    """Temporary files fail as the target does; the target's own errors pass unchanged."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return InputError(f"no space left for the output or for temporary files in {folder} (--tempDir)")
    return error
