# SPDX-License-Identifier: Apache-2.0
"""Two companies' small tables: in clear in a plain DuckDB, and encrypted as a host gets them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from hitoku.columns import encrypt
from hitoku.engine.tables import TableFile
from hitoku.room.agreement import Agreement, ColumnProtection, Room, Table

SECRET = bytes(range(32))
PHONE = {"name": "phone", "type": "string", "protection": "fingerprint"}
FILLED_PHONE = {**PHONE, "nullable": False}


def _noised(most_rows: int, *bounds: dict[str, Any]) -> dict[str, Any]:
    """A custom rule with noise, and bounds so wide that they leave nothing out here."""
    return {
        "type": "custom",
        "allowedAnalyses": ["ANY_QUERY"],
        "allowedAnalysisProviders": ["shop"],
        "differentialPrivacy": {
            "columns": [{"name": "phone"}],
            "unit": "person",
            "maxRowsPerGroup": most_rows,
            "maxGroups": 100,
            "bounds": list(bounds),
        },
    }


AGREEMENT: dict[str, Any] = {
    "id": "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e11",
    "name": "Conformance",
    "protections": ["tokens", "enclave", "shares"],
    "shares": {
        "servers": ["east", "north", "west"],
        "tables": [{"table": "customers", "columns": [{"columnName": "score", "decimals": 2}]}],
    },
    "attestation": {"accept": ["dev"], "software": True},
    "members": [
        {
            "name": "shop",
            "key": "ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=",
            "abilities": ["query", "receive"],
        },
        {
            "name": "telco",
            "key": "ed25519:gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=",
            "abilities": ["query", "receive"],
        },
        {
            "name": "host",
            "key": "ed25519:bnoc3Smwt4/ROvTFWY/v9O8qlxZuPKby5Pv8zYBQW/E=",
            "abilities": ["host"],
        },
        {
            "name": "north",
            "key": "ed25519:sNqmIPoDZ90DhUPMv6l+98UZF5A3M9GNabmEoLHFre0=",
            "abilities": ["compute"],
        },
        {
            "name": "east",
            "key": "ed25519:wD6qBPt2vcH+PCpEI4MA60z29guFyIQuJPGCiCXjY24=",
            "abilities": ["compute"],
        },
        {
            "name": "west",
            "key": "ed25519:9JFGYBQO7wlig1++nyVUPRBEvKXS25RMUp/FprxmjTA=",
            "abilities": ["compute"],
        },
    ],
    "tables": [
        {
            "name": "customers",
            "owner": "shop",
            "columns": [
                PHONE,
                {"name": "name_sealed", "type": "string", "protection": "sealed", "nullable": False},
                {"name": "region", "type": "string", "protection": "cleartext"},
                {"name": "age", "type": "int", "protection": "cleartext"},
                {"name": "joined", "type": "date", "protection": "cleartext"},
                {"name": "spend", "type": "decimal", "precision": 12, "scale": 2, "protection": "cleartext"},
                {"name": "score", "type": "double", "protection": "cleartext"},
            ],
            "rule": {
                "type": "aggregation",
                "aggregateColumns": [
                    {"columnNames": ["phone", "name_sealed", "spend"], "function": "COUNT"},
                    {"columnNames": ["phone"], "function": "COUNT_DISTINCT"},
                    {"columnNames": ["spend", "age"], "function": "SUM"},
                    {"columnNames": ["age"], "function": "SUM_DISTINCT"},
                    {"columnNames": ["spend", "score"], "function": "AVG"},
                ],
                "joinColumns": ["phone"],
                "dimensionColumns": ["region", "age", "joined"],
                "scalarFunctions": [
                    "ROUND",
                    "UPPER",
                    "EXTRACT",
                    "COALESCE",
                    "LN",
                    "DATEADD",
                    "TO_CHAR",
                    "TO_DATE",
                ],
                "outputConstraints": [{"columnName": "phone", "minimum": 5}],
            },
        },
        {
            "name": "subscribers",
            "owner": "telco",
            "columns": [
                {**PHONE, "nullable": False},
                {"name": "plan", "type": "string", "protection": "cleartext"},
                {"name": "minutes", "type": "bigint", "protection": "cleartext"},
                {"name": "roams", "type": "boolean", "protection": "cleartext"},
            ],
            "rule": {
                "type": "aggregation",
                "aggregateColumns": [
                    {"columnNames": ["phone"], "function": "COUNT_DISTINCT"},
                    {"columnNames": ["minutes"], "function": "SUM"},
                    {"columnNames": ["minutes"], "function": "AVG"},
                ],
                "joinColumns": ["phone"],
                "dimensionColumns": ["plan", "roams"],
                "outputConstraints": [{"columnName": "phone", "minimum": 3}],
            },
        },
        {
            "name": "contacts",
            "owner": "shop",
            "columns": [PHONE, {"name": "tier", "type": "string", "protection": "cleartext"}],
            "rule": {"type": "list", "joinColumns": ["phone"], "listColumns": ["tier"]},
        },
        {
            "name": "leads",
            "owner": "telco",
            "columns": [PHONE, {"name": "offer", "type": "string", "protection": "cleartext"}],
            "rule": {"type": "list", "joinColumns": ["phone"], "listColumns": ["offer"]},
        },
        {
            "name": "visits",
            "owner": "shop",
            "columns": [
                FILLED_PHONE,
                {"name": "region", "type": "string", "protection": "cleartext"},
                {"name": "age", "type": "int", "protection": "cleartext"},
                {"name": "spend", "type": "decimal", "precision": 12, "scale": 2, "protection": "cleartext"},
            ],
            "rule": _noised(
                1_000,
                {"columnName": "age", "lower": 0, "upper": 200},
                {"columnName": "spend", "lower": 0, "upper": 10_000, "decimals": 2},
            ),
        },
        {
            "name": "calls",
            "owner": "telco",
            "columns": [
                FILLED_PHONE,
                {"name": "plan", "type": "string", "protection": "cleartext"},
                {"name": "minutes", "type": "bigint", "protection": "cleartext"},
            ],
            "rule": _noised(500, {"columnName": "minutes", "lower": 0, "upper": 1_000}),
        },
    ],
    "budgets": [
        {"owner": "shop", "unit": "person", "epsilon": 20},
        {"owner": "telco", "unit": "person", "epsilon": 20},
    ],
}


@dataclass(frozen=True)
class World:
    """A room, its tables in clear, and the files a host holds."""

    room: Room
    clear: duckdb.DuckDBPyConnection
    files: dict[str, TableFile]


def _phone(chance: random.Random, nullable: bool) -> str | None:
    return None if nullable and chance.random() < 0.15 else f"+49 170 {chance.randrange(120):07}"


def _rows(table: Table, chance: random.Random) -> list[dict[str, Any]]:
    made = []
    for number in range(150):
        row: dict[str, Any] = {}
        for column in table.columns:
            match column.name:
                case "phone":
                    row["phone"] = _phone(chance, column.nullable)
                case "name_sealed":
                    row["name_sealed"] = f"name {number}"
                case "joined":
                    row["joined"] = date(2024, 1, 1) + timedelta(days=chance.randrange(700))
                case "spend":
                    row["spend"] = Decimal(chance.randrange(100_000)) / 100
                case "score":
                    row["score"] = chance.choice([None, 0.5, 1.25, 3.0])
                case "age" | "minutes":
                    row[column.name] = chance.choice([None, 20, 30, 40])
                case "roams":
                    row["roams"] = chance.choice([True, False, None])
                case _:
                    row[column.name] = chance.choice(
                        ["north", "south", "rare"] if number < 8 else ["north", "south", None, ""]
                    )
        made.append(row)
    return made


_ARROW = {
    "joined": pa.date32(),
    "spend": pa.decimal128(12, 2),
    "score": pa.float64(),
    "age": pa.int32(),
    "minutes": pa.int64(),
    "roams": pa.bool_(),
}


def world(folder: Path, form: str, preserve_nulls: bool) -> World:
    """Make the tables and encrypt each with its owner's code."""
    settings = {"allow_cleartext": True, "allow_duplicates": True, "preserve_nulls": preserve_nulls}
    room = Room(agreement=Agreement.model_validate({**AGREEMENT, "settings": settings}))
    clear = duckdb.connect()
    files: dict[str, TableFile] = {}
    for table in room.agreement.tables:
        schema = pa.schema([(c.name, _ARROW.get(c.name, pa.string())) for c in table.columns])
        plain = pa.Table.from_pylist(_rows(table, random.Random(table.name)), schema=schema)
        clear.register("incoming", plain)
        clear.execute(f'CREATE TABLE "{table.name}" AS SELECT * FROM incoming')
        path = folder / f"{table.name}.{form}"
        source = folder / f"{table.name}-clear.{form}"
        nulls = "(FORMAT csv, HEADER, FORCE_QUOTE *, NULLSTR '')" if form == "csv" else "(FORMAT parquet)"
        clear.execute(f"COPY incoming TO '{source}' {nulls}")
        columns = [
            {
                "sourceHeader": c.name,
                "targetHeader": c.name,
                "type": c.protection.value,
                **({"pad": {"type": "none"}} if c.protection is ColumnProtection.SEALED else {}),
            }
            for c in table.columns
        ]
        encrypt(
            source,
            path,
            {"headerRow": True, "columns": columns},
            room.agreement.settings,
            str(room.agreement.id),
            SECRET,
            csv_input_null="" if form == "csv" else None,
        )
        files[table.name] = TableFile(path, "csv" if form == "csv" else "parquet")
    return World(room, clear, files)
