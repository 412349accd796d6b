# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - this file writes SQL from checked names and types; nobody else's text comes here
"""Whether every value of an owner's table is of the type that the room declares.

In a question, text that is not of its column's type counts as NULL (`hitoku.engine`), which nobody would
notice in an answer. So the owner hears of it before, on its own machine, with the row's number and no value.
The engine itself is asked, in its own process, so that the check and a question cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hitoku.errors import InputError
from hitoku.ports import NoProgress, Progress

if TYPE_CHECKING:
    from hitoku.room.agreement import Column, Table
    from hitoku.sources.base import Source

__all__ = ["check_types"]


def check_types(
    table: Table, source: Source, columns: Mapping[str, str], folder: Path, progress: Progress | None = None
) -> int:
    """Read the whole table as its room declares it. Returns how many rows there are.

    Args:
        table: the room's.
        source: the plain table.
        columns: source columns by room column; the same name where nothing is said.
        folder: where a file of it may stand meanwhile.
        progress: hears of phases and rows.

    Raises:
        InputError: a value is not of its column's type, or is missing where the room says that it is there;
            says in how many rows and in which first, and quotes no value. Or the source cannot be read.
        EngineError: the engine failed.
        LimitError: there are too many rows.
    """
    from hitoku.engine import Engine, EngineColumn, EngineLimits, EngineTable, TableFile
    from hitoku.engine.types import declared_type
    from hitoku.protections.shares.upload.evaluate import FOLDER, ROW, spooled

    hears = progress or NoProgress()
    number = EngineColumn(ROW, "UINTEGER", encrypted=False)
    faults = [fault for column in table.columns for fault in _faults(column)]
    outputs = [f'COUNT(*) FILTER (WHERE {f}), MIN(said."{ROW}") FILTER (WHERE {f})' for _, f in faults]
    with TemporaryDirectory(prefix=FOLDER, dir=folder, ignore_cleanup_errors=True) as name:
        rows = Path(name) / "rows.parquet"
        total = spooled(table.name, table.columns, source, columns, rows, hears)
        views = [
            EngineTable(
                view,
                TableFile(rows, "parquet"),
                (number, *(EngineColumn(c.name, kind(c), encrypted=False) for c in table.columns)),
            )
            for view, kind in (("said", lambda _: "VARCHAR"), ("typed", declared_type))
        ]
        sql = f'SELECT {", ".join(outputs)} FROM said JOIN typed ON said."{ROW}" = typed."{ROW}"'
        hears.phase(f"look at the types of {table.name}", 100)
        with Engine(EngineLimits()) as engine:
            figures = [column[0].as_py() for column in engine.run(views, sql, hears.advance).columns]
    wrong = [
        f"{what} in {count:,} row{'s' * (count > 1)}, first in row {first + 1:,}"
        for (what, _), count, first in zip(faults, figures[::2], figures[1::2], strict=True)
        if count
    ]
    if wrong:
        raise InputError(f"table {table.name}: {'; '.join(wrong)}; a question would take it for NULL")
    return total


def _faults(column: Column) -> list[tuple[str, str]]:
    """What may be wrong in a column, and the SQL condition of it."""
    from hitoku.engine.types import declared_type
    from hitoku.questions.names import quoted

    name, kind = quoted(column.name), declared_type(column).lower()
    found = [(f"column {column.name}: no {kind}", f"said.{name} IS NOT NULL AND typed.{name} IS NULL")]
    if not column.nullable:
        missing = f"column {column.name}: no value, though the room says there always is one"
        found.append((missing, f"said.{name} IS NULL"))
    return found
