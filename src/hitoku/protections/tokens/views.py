# SPDX-License-Identifier: Apache-2.0
"""The room's tables as the engine is told of them: files, headers and types, encrypted columns as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hitoku.engine.tables import EngineColumn, EngineTable, TableFile
from hitoku.errors import InputError
from hitoku.questions.question import Question
from hitoku.room.agreement import Column, ColumnProtection, ColumnType

__all__ = ["engine_tables"]

_TYPES: Final = {
    ColumnType.STRING: "VARCHAR",
    ColumnType.SMALLINT: "SMALLINT",
    ColumnType.INT: "INTEGER",
    ColumnType.BIGINT: "BIGINT",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.DATE: "DATE",
    ColumnType.FLOAT: "FLOAT",
    ColumnType.DOUBLE: "DOUBLE",
    ColumnType.TIMESTAMP: "TIMESTAMP",
}


def engine_tables(question: Question, files: Mapping[str, TableFile]) -> tuple[EngineTable, ...]:
    """The tables of a question.

    Raises:
        InputError: the host has no file of one of them.
    """
    made: list[EngineTable] = []
    for table in question.sources:
        if table.name not in files:
            raise InputError(f"the host has no file of table {table.name}; its owner must deliver it first")
        columns = tuple(_column(column) for column in table.columns)
        made.append(EngineTable(table.name, files[table.name], columns))
    return tuple(made)


def _column(column: Column) -> EngineColumn:
    encrypted = column.protection is not ColumnProtection.CLEARTEXT
    if column.type is ColumnType.DECIMAL:
        sql_type = f"DECIMAL({column.precision},{column.scale})"
    else:
        sql_type = _TYPES[column.type]
    return EngineColumn(column.name, sql_type, encrypted)
