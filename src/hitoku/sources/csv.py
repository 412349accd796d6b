# SPDX-License-Identifier: Apache-2.0
"""CSV files as Arrow batches of text. The tokenizer is Rust; see docs/decisions/0004-csv-reader.md."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from hitoku import _core, limits
from hitoku.errors import InputError
from hitoku.sources.base import Batch, RowError

__all__ = ["CsvSource"]

_BOM = b"\xef\xbb\xbf"
_CHUNK = 1024 * 1024

_FAULTS = {
    "not-utf8": "is not UTF-8",
    "wrong-width": "has another number of fields than the first",
    "stray-quote": "has text after a closing quote",
    "open-quote": "opens a quote that is never closed",
}


class CsvSource:
    """One CSV file.

    Args:
        path: the file; UTF-8, with or without a byte order mark, lines ended by LF or CRLF.
        header_row: whether the first record is the headers; without it they are `column 1`, ...
        null: the input null value (see docs/columns.md); None makes blank and `""` both NULL.

    Raises:
        InputError: the file cannot be read or has no usable first record.
    """

    def __init__(self, path: Path, *, header_row: bool = True, null: str | None = None) -> None:
        self._path = path
        self._null = null
        self._header_row = header_row
        try:
            self._size = path.stat().st_size
            with self._open() as file:
                first = _first_record(file, self.name)
        except OSError as error:
            raise InputError(f"{self.name} cannot be read: {error.strerror}") from None
        if len(first) > limits.MAX_CSV_COLUMNS:
            raise InputError(f"{self.name} has more than {limits.MAX_CSV_COLUMNS:,} columns")
        self._width = len(first)
        headers = first if header_row else [f"column {i + 1}" for i in range(self._width)]
        self._schema = pa.schema([(header, pa.string()) for header in headers])

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self._path.name

    @property
    def schema(self) -> pa.Schema:
        """One text column for each field of a record."""
        return self._schema

    @property
    def estimated_bytes(self) -> int:
        """The size of the file."""
        return self._size

    def batches(self, columns: Sequence[int]) -> Iterator[Batch]:
        """The chosen columns, in chunks of whole records of about 1 MB."""
        for chunk in self._chunks():
            yield partial(self._parse, chunk, list(columns))

    def _parse(self, chunk: bytes, columns: list[int]) -> pa.RecordBatch:
        try:
            return _core.csv_parse(chunk, self._width, columns, self._null)
        except _core.CellError as error:
            code, row, _ = error.args
            what = _FAULTS.get(code, f"cannot be read ({code})")
            raise RowError(self.name, what, row or 0) from None

    def _chunks(self) -> Iterator[bytes]:
        """The records as bytes, cut where records end."""
        try:
            with self._open() as file:
                rest = b""
                skip = self._header_row
                while block := file.read(_CHUNK):
                    rest += block
                    if len(rest) == len(block) and rest.startswith(_BOM) and file.tell() == len(rest):
                        rest = rest[len(_BOM) :]
                    end = _core.csv_boundary(rest)
                    if end is None:
                        if len(rest) > limits.MAX_CSV_RECORD_BYTES:
                            raise InputError(
                                f"{self.name} has a record of more than "
                                f"{limits.MAX_CSV_RECORD_BYTES:,} bytes; is a quote left open?"
                            )
                        continue
                    start = _core.csv_first_record(rest)[1] if skip else 0
                    skip = False
                    if end > start:
                        yield rest[start:end]
                    rest = rest[end:]
                start = _core.csv_first_record(rest)[1] if skip and rest else 0
                if len(rest) > start:
                    yield rest[start:]
        except OSError as error:
            raise InputError(f"{self.name} cannot be read: {error.strerror}") from None

    def _open(self) -> BinaryIO:
        file = self._path.open("rb", buffering=0)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return file


def _first_record(file: BinaryIO, name: str) -> list[str]:
    data = b""
    while block := file.read(_CHUNK):
        data += block
        if _core.csv_boundary(data) is not None:
            break
        if len(data) > limits.MAX_CSV_RECORD_BYTES:
            raise InputError(
                f"the first record of {name} has more than {limits.MAX_CSV_RECORD_BYTES:,} bytes"
            )
    data = data.removeprefix(_BOM)
    if not data.strip():
        raise InputError(f"{name} is empty: not even a header row")
    try:
        return _core.csv_first_record(data)[0]
    except _core.CellError as error:
        what = _FAULTS.get(error.args[0], "cannot be read")
        raise InputError(f"the first record of {name} {what}") from None
