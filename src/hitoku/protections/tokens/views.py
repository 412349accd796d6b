# SPDX-License-Identifier: Apache-2.0
"""The room's tables as the engine is told of them: files, headers and types, encrypted columns as text."""

from __future__ import annotations

from collections.abc import Mapping

from hitoku.engine.tables import EngineColumn, EngineTable, TableFile
from hitoku.engine.types import declared_type
from hitoku.errors import InputError
from hitoku.questions.question import Question
from hitoku.room.agreement import Column, ColumnProtection

__all__ = ["engine_tables"]


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
    return EngineColumn(column.name, declared_type(column), encrypted)
