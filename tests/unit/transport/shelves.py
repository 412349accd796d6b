# SPDX-License-Identifier: Apache-2.0
"""Shelves with parcels on them, and streams as an honest or another sender would write them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa

from hitoku.errors import Refusal
from hitoku.transport.parcels import write_parcel

RUN = "0123456789abcdef" * 2
NAME = "points-a"
LABEL = f"{RUN}/{NAME}"
RECORD = pa.schema([("record", pa.binary(32))])


def records(rows: int, schema: pa.Schema = RECORD, seed: int = 1) -> pa.RecordBatch:
    """A batch of records of fixed width, the same for the same seed."""
    chance, columns = random.Random(seed), []
    for field in schema:
        content = pa.py_buffer(chance.randbytes((rows * field.type.bit_width + 7) // 8))
        columns.append(pa.Array.from_buffers(field.type, rows, [None, content]))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class Folder:
    """A shelf that is a folder: what lies in it is for one member; the others may never have it."""

    def __init__(self, path: Path, member: str = "airport") -> None:
        self.path, self.member = path, member
        self.ended = False
        self.told: list[tuple[str, str, str]] = []
        self.looks = 0

    def put(self, batch: pa.RecordBatch, run: str = RUN, name: str = NAME, rows: int | None = None) -> Path:
        """Make a parcel; its batches have at most so many rows."""
        path = self.path / f"{run}-{name}"
        step = rows or max(1, batch.num_rows)
        write_parcel(path, batch.schema, [batch.slice(i, step) for i in range(0, batch.num_rows, step)])
        return path

    def parcel(self, member: str, run: str, name: str) -> Path | None:
        self.looks += 1
        if member != self.member:
            raise Refusal("NO_SUCH_PARCEL", "PLANTED")
        if self.ended:
            raise Refusal("RUN_ENDED", "PLANTED")
        path = self.path / f"{run}-{name}"
        return path if path.exists() else None

    def left(self, member: str, run: str, name: str) -> None:
        self.told.append((member, run, name))


def stream(
    batches: list[pa.RecordBatch],
    labels: list[dict[str, str]] | None = None,
    schema: pa.Schema | None = None,
    **options: Any,
) -> bytes:
    """A stream of these batches, with labels as they should be where none are given."""
    if labels is None:
        labels = [{"parcel": LABEL, "seq": str(i)} for i in range(len(batches))]
        labels[-1]["last"] = "1"
    sink = pa.BufferOutputStream()
    made = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_stream(sink, schema or batches[0].schema, options=made) as writer:
        for batch, label in zip(batches, labels, strict=True):
            writer.write_batch(batch, custom_metadata=label)
    content: bytes = sink.getvalue().to_pybytes()
    return content
