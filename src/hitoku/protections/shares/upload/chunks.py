# SPDX-License-Identifier: Apache-2.0
"""Explicit shares on their way to a server: cut into chunks of one size, one in each row of a parcel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from hitoku import limits

__all__ = ["SCHEMA", "chunks_in", "cut"]

SCHEMA: Final = pa.schema([pa.field("share", pa.binary(), nullable=False)])
"""The parcel's: one chunk a row."""


def cut(content: Iterable[bytes]) -> Iterator[pa.RecordBatch]:
    """The same bytes in chunks of one size; the last one may be shorter."""
    size = limits.SHARES_CHUNK_BYTES
    piece, at = bytearray(size), 0
    for one in content:
        begin = 0
        view = memoryview(one)
        while begin < len(view):
            count = min(size - at, len(view) - begin)
            piece[at : at + count] = view[begin : begin + count]
            at, begin = at + count, begin + count
            if at == size:
                yield _one(bytes(piece))
                at = 0
    if at:
        yield _one(bytes(piece[:at]))


def chunks_in(batches: Iterable[pa.RecordBatch]) -> Iterator[memoryview]:
    """The chunks in a parcel's batches, which the parcel's reader has checked."""
    for batch in batches:
        column = batch.column(0)
        _, ends, content = column.buffers()
        places = memoryview(ends).cast("B").cast("i")
        for row in range(column.offset, column.offset + len(column)):
            if content is None:
                yield memoryview(b"")
            else:
                yield memoryview(content).cast("B")[places[row] : places[row + 1]]


def _one(chunk: bytes) -> pa.RecordBatch:
    """A batch of one row. Not by `pa.array`, which would import pandas: a second."""
    ends = pa.py_buffer(b"\0\0\0\0" + len(chunk).to_bytes(4, "little"))
    column = pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(chunk)], null_count=0)
    return pa.RecordBatch.from_arrays([column], schema=SCHEMA)
