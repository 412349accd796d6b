# SPDX-License-Identifier: Apache-2.0
"""The engine's type of each type that a room declares."""

from __future__ import annotations

from typing import Final

from hitoku.room.agreement import Column, ColumnProtection, ColumnType

__all__ = ["compared_type", "declared_type"]

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
_CLASSES: Final = {"STRING": "VARCHAR", "BIGINT": "BIGINT", "BOOLEAN": "BOOLEAN", "DATE": "DATE"}


def declared_type(column: Column) -> str:
    """The SQL type of a column's values."""
    if column.type is ColumnType.DECIMAL:
        return f"DECIMAL({column.precision},{column.scale})"
    return _TYPES[column.type]


def compared_type(column: Column) -> str:
    """The SQL type under which plain values of a column are equal exactly where its tokens would be.

    Fingerprints are equal within a class of types (all whole numbers are one), and a sealed value is only
    there or not.
    """
    if column.protection is ColumnProtection.SEALED:
        return "VARCHAR"
    if column.protection is ColumnProtection.FINGERPRINT and column.type.equivalence_class is not None:
        return _CLASSES[column.type.equivalence_class]
    return declared_type(column)
