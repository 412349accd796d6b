# SPDX-License-Identifier: Apache-2.0
"""The fixture room's tables in clear, in a plain DuckDB: what an answer is compared with."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb

from hitoku.room.agreement import Agreement, Column, ColumnType

_TYPES = {ColumnType.STRING: "VARCHAR", ColumnType.INT: "INTEGER", ColumnType.FLOAT: "REAL"}
_WORDS = ["north", "south", "Oslo", "bonn", "x", "o'neil", "", "北"]


def sql_type(column: Column) -> str:
    """The SQL type of a column's values in clear."""
    if column.type is ColumnType.DECIMAL:
        return f"DECIMAL({column.precision}, {column.scale})"
    return _TYPES.get(column.type, column.type.value.upper())


def value(column: Column, chance: random.Random) -> Any:
    """One value at random; names that identify people are drawn from few, so that tables match."""
    if column.nullable and chance.random() < 0.1:
        return None
    if column.name in {"phone", "email", "card", "customer_no"}:
        person = chance.randrange(60)
        return person if column.type is ColumnType.BIGINT else f"p{person}"
    match column.type:
        case ColumnType.STRING:
            return chance.choice(_WORDS)
        case ColumnType.INT | ColumnType.BIGINT | ColumnType.SMALLINT:
            return chance.randrange(50)
        case ColumnType.BOOLEAN:
            return chance.random() < 0.5
        case ColumnType.DATE:
            return date(2024, 1, 1) + timedelta(days=chance.randrange(500))
        case ColumnType.TIMESTAMP:
            return datetime(2024, 1, 1) + timedelta(minutes=chance.randrange(500_000))
        case ColumnType.DECIMAL:
            return Decimal(chance.randrange(100_000)) / 100
        case _:
            # Sums of sixteenths are exact, so their order does not matter.
            return chance.randrange(1600) / 16


def database(agreement: Agreement, rows: int = 200, seed: int = 7) -> duckdb.DuckDBPyConnection:
    """A database with every table of the room filled at random."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for table in agreement.tables:
        chance = random.Random(f"{seed}/{table.name}")
        columns = ", ".join(f'"{c.name}" {sql_type(c)}' for c in table.columns)
        connection.execute(f'CREATE TABLE "{table.name}" ({columns})')
        data = [[value(c, chance) for c in table.columns] for _ in range(rows)]
        marks = ", ".join("?" for _ in table.columns)
        connection.executemany(f'INSERT INTO "{table.name}" VALUES ({marks})', data)
    return connection
