# SPDX-License-Identifier: Apache-2.0
"""A member's input to a run: one row a person, de-identified, grouped and clamped. Never printed."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from hitoku import limits
from hitoku.errors import InputError
from hitoku.protections.crosstab.durable import whole

__all__ = ["IDENTIFIER", "Prepared", "buffer_of", "schema_of"]

IDENTIFIER: Final = 32
_DOMAIN: Final = b"hitoku/crosstab/input/1\n"
_PIECE: Final = 4 * 1024 * 1024


def schema_of(sums: int) -> pa.Schema:
    """The columns of an input with so many values a row."""
    fields = [pa.field("id", pa.binary(IDENTIFIER), False), pa.field("group", pa.uint16(), False)]
    return pa.schema([*fields, *(pa.field(f"value{number}", pa.int64(), False) for number in range(sums))])


def buffer_of(column: pa.Array, width: int) -> memoryview:
    """The bytes of a column of fixed width, where they lie."""
    data = column.buffers()[1]
    if data is None:
        return memoryview(b"")
    start = column.offset * width
    return memoryview(data)[start : start + len(column) * width]


@dataclass(frozen=True, slots=True, repr=False)
class Prepared:
    """The rows of a member in a run.

    Attributes:
        ids: 32 bytes each, HMAC-SHA256 of the normalised identifier; no two alike.
        groups: uint16, the composite attribute of each row, below the number of the side's groups.
        values: int64, one column a sum, each value within its bounds; none on the side that has no values.
    """

    ids: pa.FixedSizeBinaryArray
    groups: pa.UInt16Array
    values: tuple[pa.Int64Array, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def check(self, groups: int, bounds: tuple[tuple[int, int], ...]) -> None:
        """Whether this is an input of so many groups and values within these bounds.

        Raises:
            InputError: it is not. Says the column, and never a value.
        """
        import pyarrow.compute as pc

        from hitoku.hazmat import group

        if len(self.values) != len(bounds):
            raise InputError(f"the input has {len(self.values)} columns of values, not {len(bounds)}")
        if len(self) > limits.MAX_CROSSTAB_RECORDS:
            raise InputError(f"the input has more than {limits.MAX_CROSSTAB_RECORDS:,} rows")
        expected = [field.type for field in schema_of(len(bounds))]
        columns = [self.ids, self.groups, *self.values]
        for column, kind in zip(columns, expected, strict=True):
            if column.type != kind or column.null_count or len(column) != len(self):
                raise InputError("a column of the input is not of its type, length, or has NULLs")
        if not len(self):
            return
        if pc.max(self.groups).as_py() >= groups:
            raise InputError("a row of the input is of a group that is not declared")
        for number, (column, (lower, upper)) in enumerate(zip(self.values, bounds, strict=True)):
            reached = pc.min_max(column).as_py()
            if reached["min"] < lower or reached["max"] > upper:
                raise InputError(f"column {number + 1} of the values is not clamped to its bounds")
        try:
            group.check_distinct(self.ids, length=IDENTIFIER)
        except group.RecordError:
            raise InputError("an identifier stands in two rows of the input: a person counts once") from None

    def sizes(self, groups: int) -> list[int]:
        """How many rows each group has. Secret."""
        import pyarrow.compute as pc

        counts = [0] * groups
        for entry in pc.value_counts(self.groups):
            counts[entry["values"].as_py()] = entry["counts"].as_py()
        return counts

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """The rows, so many at a time."""
        batch = pa.RecordBatch.from_arrays(
            [self.ids, self.groups, *self.values], schema=schema_of(len(self.values))
        )
        for start in range(0, len(self), rows):
            yield batch.slice(start, rows)

    def write(self, path: Path) -> None:
        """Writes one Arrow IPC file, whole and durable, that only its owner may read."""
        schema = schema_of(len(self.values))
        batch = pa.RecordBatch.from_arrays([self.ids, self.groups, *self.values], schema=schema)
        with whole(path) as part, pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            # One batch: each column is then one array in the mapped file.
            writer.write_batch(batch)

    @classmethod
    def read(cls, path: Path) -> Prepared:
        """An input that `write` wrote, mapped into memory.

        Raises:
            InputError: there is none, or it is something else.
        """
        try:
            source = pa.memory_map(str(path), "r")
            reader = pa.ipc.open_file(source)
            sums = len(reader.schema) - 2
            if reader.num_record_batches != 1 or reader.schema != schema_of(sums):
                raise InputError(f"{path}: is not the input of a run")
            columns: list[Any] = reader.get_batch(0).columns
        except (OSError, pa.ArrowException):
            raise InputError(f"{path}: the input of the run is missing or damaged") from None
        return cls(columns[0], columns[1], tuple(columns[2:]))

    @property
    def digest(self) -> str:
        """``sha256:`` and the hash of the rows as they stand, whatever file or memory they are in."""
        hashed = hashlib.sha256(_DOMAIN + struct.pack("<QQ", len(self), len(self.values)))
        columns = [(self.ids, IDENTIFIER), (self.groups, 2), *((column, 8) for column in self.values)]
        for column, width in columns:
            view = buffer_of(column, width)
            for start in range(0, len(view), _PIECE):
                hashed.update(view[start : start + _PIECE])
        return "sha256:" + hashed.hexdigest()
