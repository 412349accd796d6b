# SPDX-License-Identifier: Apache-2.0
"""A table's rows between an owner and the worker: plain Arrow batches as the bytes that are sealed, and back.

An owner does not trust the others' owners, and all of them meet in the worker: rows that are made to break
the worker's memory would read the other owner's. Arrow's own decoder believes its input, so the worker reads
the bytes with `hitoku.transport.batches`, which checks every place and size. That reader takes no NULLs: a
column that may have some is two here, its values and whether they are there.

The types are few: what Arrow has of others (dictionaries, views, large text, times of a day) the owner turns
into one of these, or text. Values become the room's declared types in the worker, by the engine, the same
way as tokens of a file do: what is not of its type is NULL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from hitoku import limits
from hitoku.errors import InputError, PeerError
from hitoku.transport.batches import BatchReader, CutOff, Pieces

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TYPES", "Rows", "pieces", "plain_type", "read_rows", "schema_of"]

TYPES: Final = {
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamp-utc": pa.timestamp("us", "UTC"),
    "text": pa.string(),
}
"""What a column may be on its way; decimals beside, as ``decimal(precision,scale)``."""
_NAMES: Final = {kind: name for name, kind in TYPES.items()}


@dataclass(frozen=True, slots=True)
class Rows:
    """What is on its way: columns by their names in the room, the type of each, and how many rows."""

    columns: tuple[tuple[str, str], ...]
    count: int


def _arrow(name: str) -> pa.DataType:
    """The Arrow type of a name.

    Raises:
        ValueError: there is none.
    """
    if name in TYPES:
        return TYPES[name]
    if name.startswith("decimal(") and name.endswith(")"):
        precision, _, scale = name[8:-1].partition(",")
        if precision.isascii() and precision.isdigit() and scale.isascii() and scale.isdigit():
            made = int(precision), int(scale)
            if 1 <= made[0] <= 38 and 0 <= made[1] <= made[0] and name == f"decimal({made[0]},{made[1]})":
                return pa.decimal128(*made)
    raise ValueError("a column is of no type that is known here")


def plain_type(kind: pa.DataType) -> str:
    """The name of the type that values of a source's type travel in."""
    if kind in _NAMES:
        return _NAMES[kind]
    if pa.types.is_decimal(kind) and kind.precision <= 38 and 0 <= kind.scale <= kind.precision:
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamp-utc"
    if pa.types.is_float16(kind):
        return "float"
    return "text"


def schema_of(columns: Sequence[tuple[str, str]]) -> pa.Schema:
    """The schema of the batches on their way.

    Raises:
        ValueError: a type is unknown.
    """
    fields = []
    for place, (_, kind) in enumerate(columns):
        fields += [
            pa.field(f"v{place}", _arrow(kind), nullable=False),
            pa.field(f"p{place}", pa.bool_(), nullable=False),
        ]
    return pa.schema(fields)


# --- the owner's side ---


def pieces(
    batches: Iterable[pa.RecordBatch], columns: Sequence[tuple[str, str]], parcel: str, table: str
) -> Iterator[tuple[memoryview, int]]:
    """The bytes of an Arrow stream, batch by batch, each with how many rows are in it.

    Args:
        batches: the rows, their columns in the order of `columns`.
        columns: names and types.
        parcel: what every batch says that it is of.
        table: its name, for errors.

    Raises:
        InputError: a value cannot travel: too long, or not of its type. No value is quoted.
    """
    schema = schema_of(columns)
    head = schema.serialize().to_pybytes()
    cut = _cut(_made(batches, columns, schema, table), table)
    number, before = 0, next(cut, None)
    if before is None:
        before = pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=schema)
    yield memoryview(head), 0
    while before is not None:
        following = next(cut, None)
        labels = {"parcel": parcel, "seq": str(number), **({"last": "1"} if following is None else {})}
        sink = pa.BufferOutputStream()
        writer = pa.ipc.new_stream(sink, schema)
        writer.write_batch(before, custom_metadata=labels)
        if following is None:
            writer.close()
        yield memoryview(sink.getvalue()).cast("B")[len(head) :], before.num_rows
        before, number = following, number + 1


def _made(
    batches: Iterable[pa.RecordBatch], columns: Sequence[tuple[str, str]], schema: pa.Schema, table: str
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if not batch.num_rows:
            continue
        arrays: list[Any] = []
        try:
            for place in range(len(columns)):
                kind = schema.field(2 * place).type
                values = batch.column(place)
                values = values if values.type == kind else values.cast(kind)
                arrays += [pc.fill_null(values, _zero(kind)), pc.is_valid(values)]
        except (pa.ArrowException, ValueError):  # their words may quote a value
            raise InputError(f"table {table}: a value does not fit its column's type") from None
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _zero(kind: pa.DataType) -> pa.Scalar:
    """What stands where no value is. Not by `pa.scalar`, which would import pandas: a second."""
    empty = pa.py_buffer(bytes(64))
    buffers = [None, empty, pa.py_buffer(b"")] if kind == pa.string() else [None, empty]
    return pa.Array.from_buffers(kind, 1, buffers)[0]


def _cut(batches: Iterable[pa.RecordBatch], table: str) -> Iterator[pa.RecordBatch]:
    """Batches that the reader takes: of bounded rows, and bounded text in each column."""
    for batch in batches:
        stack = [batch]
        while stack:
            top = stack.pop()
            most = max((_text(column) for column in top.columns), default=0)
            if top.num_rows <= limits.MAX_PARCEL_BATCH_ROWS and most <= limits.MAX_PARCEL_BINARY_BYTES:
                yield top
                continue
            if top.num_rows == 1:
                raise InputError(
                    f"table {table}: a text is longer than {limits.MAX_PARCEL_BINARY_BYTES} bytes"
                )
            half = top.num_rows // 2
            stack += [top.slice(half), top.slice(0, half)]


def _text(column: pa.Array) -> int:
    """How many bytes of text a column has."""
    if column.type != pa.string():
        return 0
    ends = memoryview(column.buffers()[1]).cast("B").cast("i")
    return int(ends[column.offset + len(column)] - ends[column.offset])


# --- the worker's side ---


def read_rows(content: Iterator[bytes | memoryview], rows: Rows, parcel: str, owner: str) -> pa.Table:
    """The table that an owner sent, with NULLs, its columns by their names in the room.

    Args:
        content: the bytes, opened.
        rows: what was declared, and is sealed with the rows.
        parcel: what every batch must say that it is of.
        owner: who sent it, for errors.

    Raises:
        PeerError: it is not as declared.
    """
    try:
        reader = BatchReader(schema_of(rows.columns), rows.count, parcel, owner)
    except ValueError:
        raise PeerError(f"{owner!r} sent a table that is not as agreed") from None
    kinds = [_arrow(kind) for _, kind in rows.columns]
    schema = pa.schema([pa.field(name, kind) for (name, _), kind in zip(rows.columns, kinds, strict=True)])
    batches = []
    try:
        for batch in reader.batches(Pieces(content)):
            arrays = [
                _joined(kind, batch.column(2 * place), batch.column(2 * place + 1))
                for place, kind in enumerate(kinds)
            ]
            batches.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
    except CutOff:
        raise PeerError(f"{owner!r} sent a table that breaks off") from None
    return pa.Table.from_batches(batches, schema)


def _joined(kind: pa.DataType, values: pa.Array, there: pa.Array) -> pa.Array:
    """One array of values and whether they are there; nothing is copied."""
    if there.true_count == len(there):
        return values
    return pa.Array.from_buffers(kind, len(values), [there.buffers()[1], *values.buffers()[1:]])
