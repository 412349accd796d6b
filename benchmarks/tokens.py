# SPDX-License-Identifier: Apache-2.0
"""Tokens: a 5M x 5M join on fingerprints against plain DuckDB on clear ids; the demo's question.

Parts for ``--only``: `join`, `ask`. Ours is everything a host does for the question: it starts the
locked-down process, reads the encrypted Parquet files, joins on 52-character fingerprints, counts the
hidden privacy units of both tables and returns Arrow. The peer is a warm DuckDB connection with the
same threads, memory and order setting on clear Parquet files of the same rows, with phone numbers as
ids, running the SQL as asked. Both best of several alternating runs, files in the page cache. `ask`
starts `hitoku ask` as a process.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from _common import Claim, bench_folder, report, say
from hitoku.columns import encrypt
from hitoku.disclosure.plan import plan
from hitoku.engine import EngineLimits
from hitoku.executors import Local
from hitoku.ports import NoProgress
from hitoku.protections.tokens import TableFile, Tokens
from hitoku.questions import Question, check
from hitoku.room.agreement import Agreement, Room

ROWS: Final = 5_000_000
QUICK_ROWS: Final = 500_000
SECRET: Final = bytes(range(32))
SQL: Final = (
    "SELECT segment, COUNT(DISTINCT a.phone) AS people, SUM(b.amount) AS total, AVG(b.amount) AS mean "
    "FROM a JOIN b ON a.phone = b.phone GROUP BY segment"
)
PHONE: Final = {"name": "phone", "type": "string", "protection": "fingerprint", "nullable": False}


def _key(number: int) -> str:
    public = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32).public_key().public_bytes_raw()
    return "ed25519:" + base64.b64encode(public).decode()


def _table(name: str, owner: str, extra: dict[str, str], rule: dict[str, Any]) -> dict[str, Any]:
    common = {"type": "aggregation", "joinColumns": ["phone"]}
    constraint = {"outputConstraints": [{"columnName": "phone", "minimum": 50}]}
    return {
        "name": name,
        "owner": owner,
        "columns": [PHONE, {**extra, "protection": "cleartext"}],
        "rule": {**common, **constraint, **rule},
    }


def room() -> Room:
    """Two companies and a host."""
    people = {"columnNames": ["phone"], "function": "COUNT_DISTINCT"}
    sums = [{"columnNames": ["amount"], "function": f} for f in ("SUM", "AVG")]
    return Room(
        agreement=Agreement.model_validate(
            {
                "id": "00000000-1111-2222-3333-444444444444",
                "name": "Benchmark",
                "settings": {"allow_cleartext": True},
                "members": [
                    {"name": "one", "key": _key(1), "abilities": ["query", "receive"]},
                    {"name": "two", "key": _key(2), "abilities": []},
                    {"name": "host", "key": _key(3), "abilities": ["host"]},
                ],
                "tables": [
                    _table(
                        "a",
                        "one",
                        {"name": "segment", "type": "string"},
                        {"aggregateColumns": [people], "dimensionColumns": ["segment"]},
                    ),
                    _table(
                        "b",
                        "two",
                        {"name": "amount", "type": "bigint"},
                        {"aggregateColumns": [people, *sums]},
                    ),
                ],
            }
        )
    )


def _files(folder: Path, rows: int, place: Room) -> dict[str, TableFile]:
    """Clear Parquet files of both companies, half of the phones in common, and what each encrypts of it."""
    say(f"writing two tables of {rows:,} rows")
    connection = duckdb.connect()
    a = f"'+49 170 ' || lpad(((i * 7919) % {2 * rows})::VARCHAR, 9, '0')"
    b = f"'+49 170 ' || lpad((((i + {rows // 2}) * 7919) % {2 * rows})::VARCHAR, 9, '0')"
    order = "ORDER BY hash(i)"
    for name, columns in (
        ("a", f"{a} AS phone, 'segment ' || (i % 20) AS segment"),
        ("b", f"{b} AS phone, (i % 1000)::BIGINT AS amount"),
    ):
        target = folder / f"{name}-clear.parquet"
        connection.execute(
            f"COPY (SELECT {columns} FROM range({rows}) t(i) {order}) TO '{target}' (FORMAT parquet)"
        )
    connection.close()
    made = {}
    for table in place.agreement.tables:
        say(f"encrypting {table.name}")
        path = folder / f"{table.name}.parquet"
        columns_ = [
            {"sourceHeader": c.name, "targetHeader": c.name, "type": c.protection.value}
            for c in table.columns
        ]
        encrypt(
            folder / f"{table.name}-clear.parquet",
            path,
            {"headerRow": True, "columns": columns_},
            place.agreement.settings,
            str(place.agreement.id),
            SECRET,
        )
        made[table.name] = TableFile(path, "parquet")
    return made


class _Nobody:
    me = "host"

    def call(self, member: str, message: Any) -> dict[str, Any]:
        raise AssertionError(member, message)


def _ours(
    question: Question, place: Room, files: dict[str, TableFile], bounds: EngineLimits
) -> tuple[float, pa.Table]:
    start = time.perf_counter()
    cells = Tokens(files, bounds).run(
        question, plan(question, place, ["one"]), _Nobody(), Local(), NoProgress()
    )
    return time.perf_counter() - start, cells.table


def _plain(folder: Path, bounds: EngineLimits) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        config={"threads": str(bounds.threads), "memory_limit": f"{bounds.memory_bytes}B"}
    )
    connection.execute("SET preserve_insertion_order = false")
    for name in ("a", "b"):
        connection.execute(
            f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{folder}/{name}-clear.parquet')"
        )
    return connection


def join(quick: bool) -> list[Claim]:
    """The join, ours and plain by turns."""
    rows = QUICK_ROWS if quick else ROWS
    place, bounds = room(), EngineLimits()
    with bench_folder("tokens") as folder:
        files = _files(folder, rows, place)
        question = check(SQL, place, "one")
        connection = _plain(folder, bounds)
        ours: list[float] = []
        plain: list[float] = []
        for _ in range(3 if quick else 5):
            start = time.perf_counter()
            expected = connection.sql(SQL).to_arrow_table()
            plain.append(time.perf_counter() - start)
            seconds, table = _ours(question, place, files, bounds)
            ours.append(seconds)
        _same(table, expected)
        connection.close()
    ratio = min(ours) / min(plain)
    return [
        Claim(
            f"join of {rows:,} x {rows:,} on fingerprints",
            min(ours),
            "s",
            "<= 2 x plain DuckDB on clear ids",
            peer=min(plain),
            ratio=1 / ratio,
            holds=None if quick else ratio <= 2,
            note=f"{ratio:.2f} x plain; process start and hidden unit counts included",
        )
    ]


def _same(table: pa.Table, expected: pa.Table) -> None:
    names = ["segment", "people", "total"]
    got = table.select(names).sort_by("segment").to_pylist()
    want = expected.select(names).sort_by("segment").to_pylist()
    if got != want or pc.sum(expected["people"]).as_py() == 0:
        raise SystemExit("the answers differ")


def ask(quick: bool) -> list[Claim]:
    """`hitoku ask` of the demo's question, a process from start to end."""
    from hitoku.demo import story

    with bench_folder("ask") as folder:
        place = folder / "demo"
        hitoku = str(Path(sys.executable).with_name("hitoku"))
        say("preparing the demo")
        subprocess.run([hitoku, "demo", "tokens", "--directory", str(place)], check=True, capture_output=True)
        times = []
        for number in range(3 if quick else 7):
            # Another name of an output is another question: the same one would be answered from what is kept.
            fresh = story.QUESTION.replace("AS flights", f"AS flights_{number}")
            start = time.perf_counter()
            subprocess.run(
                [hitoku, "ask", fresh, "--room", str(place), "--json"],
                check=True,
                capture_output=True,
                env={**os.environ, "NO_COLOR": "1"},
            )
            times.append(time.perf_counter() - start)
    best, worst = min(times), max(times)
    note = f"best of {len(times)}, worst {worst:.2f} s; 336,776 x 3,322 rows"
    return [Claim("demo's question end to end", best, "s", "<= 1.5 s", holds=best <= 1.5, note=note)]


if __name__ == "__main__":
    report("tokens", {"join": join, "ask": ask})
