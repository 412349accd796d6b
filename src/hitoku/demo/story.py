# SPDX-License-Identifier: Apache-2.0
"""What the demo's members agree on and ask: data of the story, kept apart from telling it."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

__all__ = ["ABILITIES", "MINIMUM", "NEXT", "NOT_THIS", "QUESTION", "REFUSED", "SCHEMAS", "TRUTH", "agreement"]

MINIMUM: Final = 10

ABILITIES: Final[dict[str, list[str]]] = {"airport": ["query", "receive"], "registry": [], "host": ["host"]}

SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "flights": {
        "headerRow": True,
        "columns": [
            {"sourceHeader": "tailnum", "targetHeader": "tailnum", "type": "fingerprint"},
            {
                "sourceHeader": "dest",
                "targetHeader": "dest_sealed",
                "type": "sealed",
                "pad": {"type": "max", "length": 0},
            },
            {
                "sourceHeader": "flight",
                "targetHeader": "flight_sealed",
                "type": "sealed",
                "pad": {"type": "none"},
            },
            {"sourceHeader": "month", "type": "cleartext"},
            {"sourceHeader": "carrier", "type": "cleartext"},
            {"sourceHeader": "arr_delay", "type": "cleartext"},
        ],
    },
    "planes": {
        "headerRow": True,
        "columns": [
            {"sourceHeader": "tailnum", "targetHeader": "tailnum", "type": "fingerprint"},
            {
                "sourceHeader": "model",
                "targetHeader": "model_sealed",
                "type": "sealed",
                "pad": {"type": "max", "length": 0},
            },
            {"sourceHeader": "manufacturer", "type": "cleartext"},
            {"sourceHeader": "engine", "type": "cleartext"},
        ],
    },
}
"""How each owner encrypts its table: the same file that AWS's C3R client reads."""


def _rule(aggregates: list[tuple[str, list[str]]], dimensions: list[str]) -> dict[str, Any]:
    return {
        "type": "aggregation",
        "aggregateColumns": [{"function": f, "columnNames": columns} for f, columns in aggregates],
        "joinColumns": ["tailnum"],
        "dimensionColumns": dimensions,
        "outputConstraints": [{"columnName": "tailnum", "minimum": MINIMUM, "type": "COUNT_DISTINCT"}],
    }


def agreement(keys: dict[str, str]) -> dict[str, Any]:
    """The agreement as data, for the members' public keys."""

    def column(name: str, type_: str, protection: str) -> dict[str, str]:
        return {"name": name, "type": type_, "protection": protection}

    return {
        "id": str(uuid4()),
        "name": "Delays by aircraft type",
        "settings": {"allow_cleartext": True, "allow_duplicates": True},
        "members": [{"name": n, "key": k, "abilities": ABILITIES[n]} for n, k in keys.items()],
        "tables": [
            {
                "name": "flights",
                "owner": "airport",
                "columns": [
                    column("tailnum", "string", "fingerprint"),
                    column("dest_sealed", "string", "sealed"),
                    column("flight_sealed", "bigint", "sealed"),
                    column("month", "bigint", "cleartext"),
                    column("carrier", "string", "cleartext"),
                    column("arr_delay", "bigint", "cleartext"),
                ],
                "rule": _rule(
                    [("COUNT", ["tailnum"]), ("COUNT_DISTINCT", ["tailnum"]), ("AVG", ["arr_delay"])],
                    ["month", "carrier"],
                ),
            },
            {
                "name": "planes",
                "owner": "registry",
                "columns": [
                    column("tailnum", "string", "fingerprint"),
                    column("model_sealed", "string", "sealed"),
                    column("manufacturer", "string", "cleartext"),
                    column("engine", "string", "cleartext"),
                ],
                "rule": _rule([("COUNT_DISTINCT", ["tailnum"])], ["manufacturer", "engine"]),
            },
        ],
    }


QUESTION: Final = """\
SELECT p.manufacturer, p.engine,
       COUNT(f.tailnum) AS flights,
       COUNT(DISTINCT p.tailnum) AS aircraft,
       AVG(f.arr_delay) AS mean_delay
FROM flights AS f JOIN planes AS p ON f.tailnum = p.tailnum
GROUP BY p.manufacturer, p.engine"""

REFUSED: Final = """\
SELECT p.manufacturer, COUNT(f.tailnum) AS flights
FROM flights AS f JOIN planes AS p ON f.tailnum = p.tailnum
WHERE f.dest_sealed = 'HNL'
GROUP BY p.manufacturer"""

NEXT: Final = (
    "SELECT p.engine, COUNT(DISTINCT p.tailnum) AS aircraft FROM flights f "
    "JOIN planes p ON f.tailnum = p.tailnum GROUP BY p.engine"
)

NOT_THIS: Final = "SELECT tailnum FROM flights"

TRUTH: Final = """\
SELECT p.manufacturer, p.engine,
       COUNT(f.tailnum) AS flights,
       COUNT(DISTINCT p.tailnum) AS aircraft,
       AVG(f.arr_delay) AS mean_delay,
       COUNT(DISTINCT p.tailnum) < $minimum AS small
FROM read_parquet($flights) AS f JOIN read_parquet($planes) AS p ON f.tailnum = p.tailnum
GROUP BY p.manufacturer, p.engine"""
"""The same question on the clear tables, which only the demo itself has side by side."""
