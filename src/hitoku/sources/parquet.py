# SPDX-License-Identifier: Apache-2.0
"""Parquet files as Arrow batches, with the engine's own error texts (which quote data) kept inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hitoku import limits
from hitoku.errors import InputError
from hitoku.sources.base import Batch

__all__ = ["ParquetSource", "flat", "flat_schema", "flat_type"]


@contextmanager
def _guard(name: str) -> Iterator[None]:
    """Turn whatever the Parquet reader throws into one sentence without a byte of the file."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except FileNotFoundError:
        raise InputError(f"{name} cannot be read: No such file or directory") from None
    except PermissionError:
        raise InputError(f"{name} cannot be read: Permission denied") from None
    except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError, OverflowError):
        raise InputError(f"{name} is not a whole, well-formed Parquet file") from None


def flat_type(kind: pa.DataType) -> pa.DataType:
    """The plain form of a type: dictionaries and views become what they stand for."""
    if pa.types.is_dictionary(kind):
        return flat_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    return kind


class ParquetSource:
    """One Parquet file.

    Args:
        path: the file.
        binary_as_string: plain binary columns are UTF-8 text.

    Raises:
        InputError: the file cannot be read, is malformed or truncated, or has nested columns.
    """

    def __init__(self, path: Path, *, binary_as_string: bool = False) -> None:
        self._path = path
        with _guard(self.name), self._open() as file:
            self._stored = file.schema_arrow
            self._rows = file.metadata.num_rows
            groups = range(file.metadata.num_row_groups)
            self._bytes = sum(file.metadata.row_group(i).total_byte_size for i in groups)
        self._schema = flat_schema(self._stored, self.name, binary_as_string=binary_as_string)

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self._path.name

    @property
    def schema(self) -> pa.Schema:
        """The columns with their plain types."""
        return self._schema

    @property
    def estimated_bytes(self) -> int:
        """The uncompressed size that the file's footer states, within reason.

        Dictionaries hide how much text there is: a column counts for some bytes a row at least.
        """
        least = int(self._rows) * sum(map(_least_bytes, self._schema.types))
        return max(0, min(max(int(self._bytes), least), 1 << 46))

    def batches(self, columns: Sequence[int]) -> Iterator[Batch]:
        """The chosen columns in batches of at most 16,384 rows."""
        names = [self._stored.field(i).name for i in columns]
        wanted = pa.schema([self._schema.field(i) for i in columns])
        if len(set(names)) != len(names):
            raise InputError(f"{self.name} has two columns of one name")
        with _guard(self.name), self._open() as file:
            seen = 0
            stream = file.iter_batches(batch_size=limits.BATCH_ROWS, columns=names, use_threads=True)
            for batch in stream:
                seen += batch.num_rows
                yield partial(self._flatten, batch, wanted)
            if seen != self._rows:
                raise InputError(f"{self.name} is not a whole, well-formed Parquet file")

    def _flatten(self, batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
        with _guard(self.name):
            arrays = [batch.column(batch.schema.get_field_index(field.name)) for field in wanted]
            return _plain(arrays, wanted)

    def _open(self) -> pq.ParquetFile:
        # Bounds on the footer's Thrift: a hostile file must not ask for all memory.
        return pq.ParquetFile(
            self._path,
            memory_map=False,
            buffer_size=1 << 20,
            pre_buffer=False,
            thrift_string_size_limit=64 * 1024 * 1024,
            thrift_container_size_limit=1_000_000,
        )


def flat_schema(stored: pa.Schema, name: str, *, binary_as_string: bool = False) -> pa.Schema:
    """The columns of a source with their plain types.

    Raises:
        InputError: some are nested.
    """
    nested = [field.name for field in stored if pa.types.is_nested(field.type)]
    if nested:
        raise InputError(f"{name} has nested columns, which cannot be used: {', '.join(nested)}")
    return pa.schema([_flat(field, binary_as_string) for field in stored])


def flat(batch: pa.RecordBatch, wanted: pa.Schema, name: str) -> pa.RecordBatch:
    """A batch of a database with plain types, column by column.

    Raises:
        InputError: a text is not UTF-8, or a value does not fit.
    """
    try:
        return _plain(batch.columns, wanted)
    except (pa.ArrowException, ValueError):
        raise InputError(f"{name}: a value is not of its column's type, or not UTF-8") from None


def _plain(arrays: Sequence[pa.Array], wanted: pa.Schema) -> pa.RecordBatch:
    made = [_cast(array, field.type) for array, field in zip(arrays, wanted, strict=True)]
    # Strings are validated here: the readers do not, and every kernel relies on it.
    for array in made:
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            array.validate(full=True)
    return pa.RecordBatch.from_arrays(made, schema=wanted)


def _flat(field: pa.Field, binary_as_string: bool) -> pa.Field:
    kind = flat_type(field.type)
    if binary_as_string and pa.types.is_binary(kind):
        kind = pa.string()
    if binary_as_string and pa.types.is_large_binary(kind):
        kind = pa.large_string()
    return field.with_type(kind)


def _least_bytes(kind: pa.DataType) -> int:
    """A column's bytes in a row of the shuffle, about: its width, or the length of a short text."""
    try:
        return -(-int(kind.bit_width) // 8)
    except ValueError:
        return 20


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    return array if array.type == kind else array.cast(kind)
