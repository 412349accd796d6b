# SPDX-License-Identifier: Apache-2.0
"""Which format a file has, and its reader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.sources.base import Source

__all__ = ["Format", "format_of", "open_source"]

Format = Literal["csv", "parquet"]
_SUFFIXES: dict[str, Format] = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}


def format_of(path: Path, stated: str | None = None) -> Format:
    """The stated format, or the one that the file's suffix tells.

    Raises:
        InputError: neither tells.
    """
    if stated is not None:
        wanted = stated.lower()
        if wanted not in ("csv", "parquet"):
            raise InputError("the file format must be csv or parquet")
        return cast("Format", wanted)
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise InputError(f"{path.name} ends in neither .csv nor .parquet: state its format (--fileFormat)")
    return found


def open_source(
    path: Path,
    stated: str | None = None,
    *,
    header_row: bool = True,
    null: str | None = None,
    binary_as_string: bool = False,
) -> Source:
    """A reader of a CSV or Parquet file.

    Raises:
        InputError: the file or its format cannot be used.
    """
    if format_of(path, stated) == "csv":
        from hitoku.sources.csv import CsvSource

        return CsvSource(path, header_row=header_row, null=null)
    if null is not None:
        raise InputError("an input null value is for CSV; Parquet has its own NULL")
    if not header_row:
        raise InputError("Parquet columns have names: use a schema with headerRow true")
    from hitoku.sources.parquet import ParquetSource

    return ParquetSource(path, binary_as_string=binary_as_string)
