# SPDX-License-Identifier: Apache-2.0
"""How long the checker takes: parse, check and explain of a question of 10 tables and 5 CTEs.

With it: the release of 10^4 noised cells (`release.py`) and ledgers (`ledger.py`).

Run: `python benchmarks/questions.py [--quick] [--json]`
"""

from __future__ import annotations

import base64
import statistics
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import ledger
import release
from _common import Claim, report
from hitoku.protections.registry import choices
from hitoku.questions import explain
from hitoku.questions.explain import Verdict
from hitoku.room.agreement import Agreement, Room

TABLES = 10
CTES = 5


def room() -> Room:
    """Ten companies with a table of forty columns each."""
    members: list[dict[str, Any]] = []
    tables: list[dict[str, Any]] = []
    for n in range(TABLES):
        members.append({"name": f"company{n}", "key": _key(n + 1), "abilities": ["query", "receive"]})
        columns: list[dict[str, Any]] = [
            {"name": "phone", "type": "string", "protection": "fingerprint", "nullable": False},
            {"name": "amount", "type": "bigint", "protection": "cleartext"},
        ]
        columns += [{"name": f"dim{c}", "type": "string", "protection": "cleartext"} for c in range(38)]
        rule = {
            "type": "aggregation",
            "aggregateColumns": [
                {"columnNames": ["phone"], "function": "COUNT_DISTINCT"},
                {"columnNames": ["amount"], "function": "SUM"},
            ],
            "joinColumns": ["phone"],
            "joinRequired": "QUERY_RUNNER",
            "dimensionColumns": [f"dim{c}" for c in range(38)],
            "scalarFunctions": ["UPPER", "ROUND"],
            "outputConstraints": [{"columnName": "phone", "minimum": 50}],
        }
        tables.append({"name": f"t{n}", "owner": f"company{n}", "columns": columns, "rule": rule})
    members.append({"name": "host", "key": _key(TABLES + 1), "abilities": ["host"]})
    return Room(
        agreement=Agreement.model_validate(
            {
                "id": "00000000-1111-2222-3333-444444444444",
                "name": "Ten companies",
                "settings": {"allow_cleartext": True},
                "members": members,
                "tables": tables,
            }
        )
    )


def _key(number: int) -> str:
    public = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32).public_key().public_bytes_raw()
    return "ed25519:" + base64.b64encode(public).decode()


def question() -> str:
    """Ten tables in five common table expressions, joined, filtered, grouped, computed with."""
    ctes = [
        f"c{n} AS (SELECT a.phone AS p, UPPER(a.dim1) AS x{n}, b.dim2 AS y{n}, b.amount AS m{n} "
        f"FROM t{2 * n} AS a JOIN t{2 * n + 1} AS b ON a.phone = b.phone "
        "WHERE a.dim3 IN ('u', 'v') AND b.dim4 > 'k')"
        for n in range(CTES)
    ]
    joins = "c0 " + " ".join(f"JOIN c{n} ON c{n}.p = c0.p" for n in range(1, CTES))
    sums = ", ".join(f"ROUND(SUM(m{n}) / COUNT(DISTINCT c{n}.p), 2) AS s{n}" for n in range(CTES))
    keys = ", ".join(f"x{n}, y{n}" for n in range(CTES))
    return (
        f"WITH {', '.join(ctes)} SELECT {keys}, COUNT(DISTINCT c0.p) AS people, {sums} FROM {joins} "
        f"GROUP BY {keys} HAVING COUNT(DISTINCT c0.p) > 100 ORDER BY people DESC LIMIT 20"
    )


def main(quick: bool) -> list[Claim]:
    """Measure; the first call apart, as `hitoku explain` makes only one."""
    place, sql = room(), question()
    times = []
    for _ in range(5 if quick else 30):
        start = time.perf_counter()
        explanation = explain(sql, place, "company3", choices)
        times.append((time.perf_counter() - start) * 1000)
        if explanation.verdict is not Verdict.ACCEPT:
            raise SystemExit(f"refused: {explanation.to_dict()['refusal']}")
    first, median = times[0], statistics.median(times)
    note = f"{TABLES} tables, {CTES} CTEs, {len(sql)} characters"
    return [
        Claim("parse, check and explain, median", median, "ms", "< 100 ms", holds=median < 100, note=note),
        Claim("the same, first call of a process", first, "ms", "< 100 ms", holds=first < 100, note=note),
    ]


if __name__ == "__main__":
    report("questions", {"questions": main, "release": release.main, "ledger": ledger.main})
