# SPDX-License-Identifier: Apache-2.0
"""Encrypt a table; how is in `passes.py`."""

from __future__ import annotations

import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

import pyarrow as pa

from hitoku.columns.keys import Keys
from hitoku.columns.options import EncryptOptions
from hitoku.columns.passes import Encryption, output_schema
from hitoku.columns.plan import make_plan
from hitoku.columns.schema import TableSchema, load_schema
from hitoku.columns.sinks import DryRun, TableSink, open_sink
from hitoku.columns.summary import Summary
from hitoku.errors import InputError
from hitoku.executors import Local
from hitoku.ports import Executor, NoProgress, Progress
from hitoku.sources import NewFile, Source, open_source
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
    run = Encryption(
        plan=plan,
        keys=keys,
        settings=settings,
        folder=Path(temp_dir or tempfile.gettempdir()),
        executor=executor or Local(),
        progress=progress or NoProgress(),
    )
    out = output_schema(plan)
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
            encrypted=[t.header for t in plan.targets if t.kind != "cleartext"],
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
