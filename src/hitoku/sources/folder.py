# SPDX-License-Identifier: Apache-2.0
"""A folder of Parquet files as one table, as Spark and others write it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pyarrow as pa

from hitoku import limits
from hitoku.errors import InputError, LimitError
from hitoku.sources.base import Batch
from hitoku.sources.parquet import ParquetSource

__all__ = ["FolderSource"]

_SUFFIXES: Final = frozenset({".parquet", ".pq"})
_NOTHING: Final = "__HIVE_DEFAULT_PARTITION__"


class FolderSource:
    """All Parquet files below a folder, in the order of their paths; all must have the same columns.

    Names that begin with ``_`` or ``.`` are passed over. A folder ``name=value`` inside makes a column of
    text.

    Args:
        path: the folder.

    Raises:
        InputError: there is no Parquet file, one is malformed, or two differ in their columns.
        LimitError: there are too many files.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        files = sorted(self._files())
        if not files:
            raise InputError(f"{self.name} has no Parquet file in it")
        if len(files) > limits.MAX_FOLDER_FILES:
            raise LimitError(f"{self.name} has more than {limits.MAX_FOLDER_FILES:,} files")
        self._sources = [ParquetSource(file) for file in files]
        self._constants = [_constants(file.relative_to(path)) for file in files]
        self._same(files)
        first = self._sources[0].schema
        fields = [*first, *(pa.field(name, pa.string()) for name in self._constants[0])]
        names = [field.name for field in fields]
        if len(set(names)) != len(names):
            raise InputError(f"{self.name} has two columns of one name")
        self._schema = pa.schema(fields)

    def _files(self) -> Iterator[Path]:
        for file in self._path.rglob("*"):
            parts = file.relative_to(self._path).parts
            if (
                file.suffix.lower() in _SUFFIXES
                and not any(part[0] in "_." for part in parts)
                and file.is_file()
            ):
                yield file

    def _same(self, files: list[Path]) -> None:
        first, keys = self._sources[0].schema, list(self._constants[0])
        types = dict(zip(first.names, first.types, strict=True))
        for file, source, constants in zip(files, self._sources, self._constants, strict=True):
            own = dict(zip(source.schema.names, source.schema.types, strict=True))
            if own != types or len(source.schema) != len(first) or list(constants) != keys:
                odd = sorted(set(own.items()) ^ set(types.items()), key=str)
                what = f": see column {odd[0][0]}" if odd else ""
                raise InputError(f"{self.name}: {file.name} has other columns than {files[0].name}{what}")

    @property
    def name(self) -> str:
        """The folder's name."""
        return self._path.name

    @property
    def schema(self) -> pa.Schema:
        """The columns of the files and those of the folders' names."""
        return self._schema

    @property
    def estimated_bytes(self) -> int:
        """That of all files."""
        return sum(source.estimated_bytes for source in self._sources)

    def batches(self, columns: Sequence[int]) -> Iterator[Batch]:
        """The chosen columns, file by file."""
        wanted = pa.schema([self._schema.field(place) for place in columns])
        # A column of the file at least, or nobody would know how many rows there are.
        stored = [place for place in columns if place < len(self._sources[0].schema)] or [0]
        names = [self._schema.field(place).name for place in stored]
        for source, constants in zip(self._sources, self._constants, strict=True):
            places = [source.schema.get_field_index(name) for name in names]
            for batch_of in source.batches(places):
                yield partial(_whole, batch_of, constants, wanted)


def _whole(batch_of: Batch, constants: dict[str, str | None], wanted: pa.Schema) -> pa.RecordBatch:
    batch = batch_of()
    columns = []
    for field in wanted:
        if field.name in constants:
            columns.append(pa.repeat(pa.scalar(constants[field.name], pa.string()), batch.num_rows))
        else:
            columns.append(batch.column(batch.schema.get_field_index(field.name)))
    return pa.RecordBatch.from_arrays(columns, schema=wanted)


def _constants(path: Path) -> dict[str, str | None]:
    """The columns that the folders' names make."""
    found: dict[str, str | None] = {}
    for part in path.parts[:-1]:
        name, equals, value = part.partition("=")
        if equals and name:
            found[unquote(name)] = None if value == _NOTHING else unquote(value)
    return found
