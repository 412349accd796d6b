# SPDX-License-Identifier: Apache-2.0
"""A table sealed by its owner for one run: chunks of ciphertext in a parcel, and a head that tells of them.

The rows' bytes (`rows`) are cut into pieces of one size, whatever is in them, and sealed in order under the
run's fresh key (`hitoku.attestation.envelope`), which binds each to room, run, table and number. Last comes
the head: which columns, how many rows and pieces. So a host that changes, moves, leaves out or exchanges a
chunk, or takes one from another run, table or sealing, is seen, and it learns how many bytes there are, in
steps of a piece, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from hitoku import limits
from hitoku.attestation.envelope import OVERHEAD, Envelope
from hitoku.errors import LimitError, PeerError
from hitoku.protections.enclave.rows import Rows, pieces, read_rows
from hitoku.transport.parcels import write_parcel

__all__ = ["CHUNK_BYTES", "SCHEMA", "SealedTable", "open_table", "seal_table", "stage_of"]

SCHEMA: Final = pa.schema([pa.field("sealed", pa.binary(), nullable=False)])
"""The parcel's: one chunk a row."""
CHUNK_BYTES: Final = limits.ENCLAVE_CHUNK_BYTES + OVERHEAD
_NOBODY: Final = ""
"""Owners' nodes seal what they own; no program has to be vouched for."""


@dataclass(frozen=True, slots=True)
class SealedTable:
    """What an owner says of a table that it sealed.

    Attributes:
        chunks: how many there are in the parcel.
        head: the sealed head.
        size: how many sealed bytes there are in all.
        rows: how many rows; for the owner's own ledger, never sent in clear.
    """

    chunks: int
    head: bytes
    size: int
    rows: int


def stage_of(table: str) -> str:
    """The name of a table's chunks as one stage of a run."""
    return f"table {table}"


def seal_table(
    batches: Iterable[pa.RecordBatch],
    columns: Sequence[tuple[str, str]],
    path: Path,
    *,
    key: bytes | bytearray,
    room: str,
    run: str,
    table: str,
) -> SealedTable:
    """Seal a table into a parcel at `path`.

    Args:
        batches: its rows, their columns in the order of `columns`.
        columns: names in the room, and types (`rows.plain_type`).
        path: the parcel's file; there when it is whole.
        key: 32 bytes, used for this table of this run and nothing else.
        room: the agreement's hash.
        run: the run.
        table: the table's name.

    Raises:
        InputError: a value cannot travel. No value is quoted.
        LimitError: the table is too large.
    """
    envelope = Envelope(key, room, run, stage_of(table), _NOBODY)
    counted = _Counted()
    sealed = 0

    def batch_of(number: int, piece: memoryview) -> pa.RecordBatch:
        nonlocal sealed
        if number >= limits.MAX_ENCLAVE_CHUNKS:
            raise LimitError(f"table {table}: it is too large to be sent to an enclave")
        chunk = envelope.seal(number, False, piece)
        sealed += len(chunk)
        return _one(chunk)

    stream = pieces(batches, columns, _parcel(run), table)
    chunks = (batch_of(n, piece) for n, piece in enumerate(_even(counted.of(stream))))
    count = write_parcel(path, SCHEMA, chunks)
    head = json.dumps({"columns": [list(c) for c in columns], "rows": counted.rows, "chunks": count}).encode()
    return SealedTable(count, envelope.seal(count, True, head), sealed, counted.rows)


def open_table(
    head: bytes,
    chunks: int,
    content: Iterator[bytes | bytearray | memoryview],
    wanted: Sequence[str],
    *,
    key: bytes | bytearray,
    room: str,
    run: str,
    table: str,
    owner: str,
    opened: Callable[[bytes | bytearray | memoryview], None] = lambda _: None,
) -> pa.Table:
    """The table, if it is as its owner sealed it, with exactly the wanted columns.

    Args:
        head: the sealed head.
        chunks: how many chunks there are.
        content: the chunks, in order; all of them are taken.
        wanted: the columns.
        key: the table's.
        room: the agreement's hash.
        run: the run.
        table: the table's name.
        owner: its owner, for errors.
        opened: hears each chunk as it came.

    Raises:
        RunAborted: something was altered, moved, left out, or is of another run. Nothing of it may be used.
        PeerError: the owner sealed something else than a table with these columns.
    """
    envelope = Envelope(key, room, run, stage_of(table), _NOBODY)
    rows, count = _head(envelope.open(chunks, True, head), owner)
    if count != chunks or [name for name, _ in rows.columns] != list(wanted):
        raise PeerError(f"{owner!r} sent another table than the question needs")

    def plain() -> Iterator[bytes]:
        for number in range(chunks):
            sealed = next(content, None)
            if sealed is None:
                raise PeerError(f"{owner!r} sent a table that breaks off")
            opened(sealed)
            yield envelope.open(number, False, memoryview(sealed).cast("B"))

    made = read_rows(plain(), rows, _parcel(run), owner)
    if next(content, None) is not None:
        raise PeerError(f"{owner!r} sent more than its table")
    return made


def _head(content: bytes, owner: str) -> tuple[Rows, int]:
    try:
        data: Any = json.loads(content)
        columns = [(str(name), str(kind)) for name, kind in data["columns"]]
        rows, chunks = data["rows"], data["chunks"]
        if set(data) != {"columns", "rows", "chunks"} or len(columns) > limits.MAX_TABLE_COLUMNS:
            raise ValueError
        if type(rows) is not int or type(chunks) is not int:
            raise ValueError
        if not (0 <= rows <= limits.MAX_ENCLAVE_TABLE_ROWS and 0 < chunks <= limits.MAX_ENCLAVE_CHUNKS):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise PeerError(f"{owner!r} sent a table that is not as agreed") from None
    return Rows(tuple(columns), rows), chunks


class _Counted:
    """How many rows have gone by."""

    def __init__(self) -> None:
        self.rows = 0

    def of(self, stream: Iterator[tuple[memoryview, int]]) -> Iterator[memoryview]:
        for content, rows in stream:
            self.rows += rows
            if self.rows > limits.MAX_ENCLAVE_TABLE_ROWS:
                raise LimitError("a table has too many rows to be sent to an enclave")
            yield content


def _even(stream: Iterable[memoryview]) -> Iterator[memoryview]:
    """The same bytes in pieces of one size; the last one is shorter."""
    size = limits.ENCLAVE_CHUNK_BYTES
    piece, at = bytearray(size), 0
    for content in stream:
        begin = 0
        while begin < len(content):
            count = min(size - at, len(content) - begin)
            piece[at : at + count] = content[begin : begin + count]
            at, begin = at + count, begin + count
            if at == size:
                yield memoryview(piece)
                at = 0
    if at:
        yield memoryview(piece)[:at]


def _one(chunk: bytes) -> pa.RecordBatch:
    """A batch of one row. Not by `pa.array`, which would import pandas: a second."""
    offsets = pa.py_buffer(b"\0\0\0\0" + len(chunk).to_bytes(4, "little"))
    column = pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(chunk)], null_count=0)
    return pa.RecordBatch.from_arrays([column], schema=SCHEMA)


def _parcel(run: str) -> str:
    return f"{run}/rows"
