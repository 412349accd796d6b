# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - this file writes SQL from checked names and trees; no asker's text comes here
"""Which type the engine gives an expression, and its value where that depends on no row.

The engine itself is asked, about tables that have no rows or one row of NULLs: the types of an answer are
then those that the engine would give it over the plain tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hitoku.engine.types import declared_type
from hitoku.errors import EngineError
from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.questions.names import quoted

if TYPE_CHECKING:
    from hitoku.engine.memory import MemoryEngine
    from hitoku.room.agreement import Table

__all__ = ["Describer", "SqlType"]

_WHOLE: Final = {
    "TINYINT": 8,
    "SMALLINT": 16,
    "INTEGER": 32,
    "BIGINT": 64,
    "HUGEINT": 128,
}
_DECIMAL: Final = re.compile(r"DECIMAL\((\d+),(\d+)\)")


@dataclass(frozen=True, slots=True)
class SqlType:
    """A type of the engine's.

    Attributes:
        name: as it is written.
        kind: whole, decimal, double, text, boolean, date, timestamp, null.
        scale: of decimals.
        low: the least value, in units of ``10 ** -scale``; None of other kinds.
        high: the largest.
    """

    name: str
    kind: str
    scale: int = 0
    low: int | None = None
    high: int | None = None

    @property
    def exact(self) -> bool:
        """Whether its values are whole numbers of units."""
        return self.kind in {"whole", "decimal"}

    @classmethod
    def of(cls, name: str) -> SqlType:
        """The type of that name.

        Raises:
            Cannot: values of it cannot be shared.
        """
        if name in _WHOLE:
            half = 1 << (_WHOLE[name] - 1)
            return cls(name, "whole", 0, -half, half - 1)
        found = _DECIMAL.fullmatch(name)
        if found is not None:
            most = 10 ** int(found[1]) - 1
            return cls(name, "decimal", int(found[2]), -most, most)
        kinds = {
            "FLOAT": "double",
            "DOUBLE": "double",
            "VARCHAR": "text",
            "BOOLEAN": "boolean",
            "DATE": "date",
            "TIMESTAMP": "timestamp",
            '"NULL"': "null",
        }
        if name not in kinds:
            raise Cannot(f"the question has values of the type {name}, which cannot be shared")
        return cls(name, kinds[name])


class Describer:
    """Asks the engine. A context manager; the engine is started when it is first needed."""

    def __init__(self, tables: Sequence[Table], known: dict[str, Any] | None = None) -> None:
        self._columns = {
            table.name: {column.name: declared_type(column) for column in table.columns} for table in tables
        }
        self._engine: MemoryEngine | None = None
        self.known: dict[str, Any] = {} if known is None else known
        """What was asked before, by its text."""

    def __enter__(self) -> Describer:
        return self

    def __exit__(self, *error: object) -> None:
        if self._engine is not None:
            self._engine.close()

    def of_rows(self, text: str, tables: Sequence[str]) -> SqlType:
        """The type of an expression over rows of tables, or of an aggregate of such."""
        rows = ", ".join(f"{self._rows(table, empty=True)} AS {quoted(table)}" for table in sorted(tables))
        return self._described(f"SELECT {text} AS x FROM {rows}" if rows else f"SELECT {text} AS x")

    def of_groups(self, text: str, columns: Mapping[str, str]) -> SqlType:
        """The type of an expression over columns of these types."""
        made = ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in columns.items()) or "1 AS one"
        return self._described(f"SELECT {text} AS x FROM (SELECT {made} WHERE FALSE)")

    def constant(self, text: str) -> Any:
        """The value of an expression that reads no column."""
        return self._asked(f"SELECT {text} AS x")

    def of_nothing(self, text: str, table: str) -> Any:
        """The value of an expression where all columns of its table are NULL."""
        return self._asked(f"SELECT {text} AS x FROM {self._rows(table, empty=False)} AS {quoted(table)}")

    def column(self, table: str, column: str) -> SqlType:
        """The type of a column."""
        return SqlType.of(self._columns[table][column])

    def _rows(self, table: str, *, empty: bool) -> str:
        columns = ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in self._columns[table].items())
        return f"(SELECT {columns}{' WHERE FALSE' if empty else ''})"

    def _described(self, select: str) -> SqlType:
        return SqlType.of(self._asked(f"SELECT column_type FROM (DESCRIBE {select})"))

    def _asked(self, sql: str) -> Any:
        if sql not in self.known:
            self.known[sql] = self._run(sql)
        return self.known[sql]

    def _run(self, sql: str) -> Any:
        from hitoku.engine.memory import MemoryEngine
        from hitoku.engine.process import EngineLimits

        if self._engine is None:
            self._engine = MemoryEngine(EngineLimits(threads=1))
        try:
            return self._engine.run(sql).column(0)[0].as_py()
        except EngineError:
            raise Cannot("the engine cannot compute an expression of the question on any data") from None
