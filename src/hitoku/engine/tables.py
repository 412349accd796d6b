# SPDX-License-Identifier: Apache-2.0
"""What the engine is told of a table: its file, and the name and type of each column it may read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["EngineColumn", "EngineTable", "TableFile"]


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table as its owner delivered it: one file, columns named by target headers."""

    path: Path
    format: Literal["csv", "parquet"]


@dataclass(frozen=True, slots=True)
class EngineColumn:
    """A column: its header and the SQL type its values get. Encrypted columns are VARCHAR as they are."""

    name: str
    sql_type: str
    encrypted: bool


@dataclass(frozen=True, slots=True)
class EngineTable:
    """A table of the room, as a view in the engine."""

    name: str
    file: TableFile
    columns: tuple[EngineColumn, ...]
