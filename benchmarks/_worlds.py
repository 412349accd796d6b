# SPDX-License-Identifier: Apache-2.0
"""The worlds of `protections.py`: the same two tables and the same question, in a room of each protection.

Made-up people: an airline's travellers and an operator's subscribers, one row a person, 60 % of them in both.
The tables are a function of the number of people. Directories, keys, room files and settings are real, and so
are the processes that serve them (`hitoku.demo.crosstab.nodes`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from hitoku.demo.crosstab import compare, nodes
from hitoku.room.agreement import Room
from hitoku.room.directory import MemberDirectory

__all__ = ["CLEAR", "MINIMUM", "NOISE", "QUESTION", "WORLDS", "Tables", "World", "write"]

MINIMUM: Final = 10
"""Distinct people that a group must have in each table, where nothing is noised."""
NOISE: Final = 10
"""People, one standard deviation: the noise of a figure where there is some."""
MOST_NIGHTS: Final = 14
AIRPORTS: Final = [f"airport {n}" for n in range(10)]
HOMES: Final = [f"home {n}" for n in range(10)]
_OWNERS: Final = {"airline": "travellers", "operator": "subscribers"}
_SELECT: Final = """\
SELECT s.home, t.airport, COUNT(DISTINCT t.phone) AS people_{0}, AVG(t.nights) AS mean_{0}
FROM {1} AS t JOIN {2} AS s ON t.phone = s.phone
GROUP BY s.home, t.airport"""


def QUESTION(number: int) -> str:  # noqa: N802 - it stands where others have a constant
    """The question; with another number it is another one, which is not answered from what is kept."""
    return _SELECT.format(number, "travellers", "subscribers")


CLEAR: Final = _SELECT.format(0, "read_parquet('{travellers}')", "read_parquet('{subscribers}')")
"""The same on the clear files."""


@dataclass(frozen=True)
class Tables:
    """Both clear tables and the exact answer.

    Attributes:
        folder: where the files are.
        people: of each table.
        exact: every group, small ones too.
    """

    folder: Path
    people: int
    exact: dict[compare.Cell, compare.Exact]

    def file(self, table: str) -> Path:
        """A table's."""
        return self.folder / f"{table}.parquet"


@dataclass(frozen=True)
class World:
    """A room in force, with directories that can serve.

    Attributes:
        place: the directory.
        members: who serves.
        delivered: bytes that owners gave to others before anything is asked.
        before: seconds that this and the like took.
        noised: whether figures carry noise.
        note: in words.
    """

    place: Path
    members: tuple[str, ...]
    delivered: int = 0
    before: float = 0
    noised: bool = False
    note: str | None = None


def write(folder: Path, people: int) -> Tables:
    """Make the tables, and ask plain DuckDB."""
    import duckdb

    folder.mkdir(parents=True)
    first = people - people * 6 // 10
    columns = {
        "travellers": "'airport ' || (hash(i) % 10) AS airport, "
        f"(hash(i, 1) % {MOST_NIGHTS + 1})::BIGINT AS nights",
        "subscribers": "'home ' || (hash(i, 2) % 10) AS home",
    }
    made = Tables(folder, people, {})
    with duckdb.connect() as connection:
        for table, start in (("travellers", first), ("subscribers", 0)):
            phone = "'+8190' || lpad(((i * 7919) % 100000000)::VARCHAR, 8, '0') AS phone"
            numbers = f"range({start}, {start + people}) t(i) ORDER BY hash(i, 3)"
            rows = f"SELECT {phone}, {columns[table]} FROM {numbers}"
            connection.execute(f"COPY ({rows}) TO '{made.file(table)}' (FORMAT parquet)")
        files = {table: str(made.file(table)) for table in columns}
        for home, airport, count, mean in connection.execute(CLEAR.format(**files)).fetchall():
            made.exact[home, airport] = compare.Exact(count, round(mean * count))
    return made


# --- what is agreed on ---

_ABILITIES: Final = {"airline": ["query", "receive"], "operator": []}


def _room(keys: Mapping[str, str], abilities: Mapping[str, list[str]], protection: str) -> dict[str, Any]:
    """The agreement as data, with minimum groups."""

    def rule(dimension: str, *more: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "aggregation",
            "aggregateColumns": [{"function": "COUNT_DISTINCT", "columnNames": ["phone"]}, *more],
            "joinColumns": ["phone"],
            "dimensionColumns": [dimension],
            "outputConstraints": [{"columnName": "phone", "minimum": MINIMUM}],
        }

    phone = {"name": "phone", "type": "string", "protection": "fingerprint", "nullable": False}
    nights = {"name": "nights", "type": "bigint", "protection": "cleartext", "nullable": False}
    airport, home = (
        {"name": name, "type": "string", "protection": "cleartext", "nullable": False}
        for name in ("airport", "home")
    )
    average = {"function": "AVG", "columnNames": ["nights"]}
    return {
        "id": str(uuid4()),
        "name": f"Benchmark of {protection}",
        "settings": {"allow_cleartext": True, "allow_duplicates": True, "preserve_nulls": True},
        "protections": [protection],
        "members": [{"name": n, "key": k, "abilities": abilities[n]} for n, k in keys.items()],
        "tables": [
            {
                "name": "travellers",
                "owner": "airline",
                "columns": [phone, airport, nights],
                "rule": rule("airport", average),
            },
            {"name": "subscribers", "owner": "operator", "columns": [phone, home], "rule": rule("home")},
        ],
    }


def _sources(tables: Tables, others: tuple[str, ...] = ()) -> dict[str, list[dict[str, Any]]]:
    made = {o: [{"name": table, "source": str(tables.file(table))}] for o, table in _OWNERS.items()}
    return {**made, **{name: [] for name in others}}


# --- the worlds ---


def _tokens(place: Path, tables: Tables) -> World:
    """Two owners with a secret between them, and a host; encrypted tables are delivered as files."""
    from hitoku.columns import encrypt

    abilities = {**_ABILITIES, "host": ["host"]}
    room = nodes.make(place, lambda k: _room(k, abilities, "tokens"), {n: [] for n in abilities})
    began, delivered = time.perf_counter(), 0
    for table in room.agreement.tables:
        target = place / "host" / "tables" / f"{table.name}.parquet"
        columns = [
            {"sourceHeader": c.name, "targetHeader": c.name, "type": c.protection.value}
            for c in table.columns
        ]
        schema = {"headerRow": True, "columns": columns}
        agreed = room.agreement
        encrypt(tables.file(table.name), target, schema, agreed.settings, str(agreed.id), bytes(range(32)))
        delivered += target.stat().st_size
    seconds = time.perf_counter() - began
    return World(place, tuple(abilities), delivered, seconds, note="the host serves encrypted files")


def _crosstab(place: Path, tables: Tables) -> World:
    """Two owners and nobody else; every figure is noised."""

    def agreed(keys: dict[str, str]) -> dict[str, Any]:
        # Both owners learn the result, so both must be allowed to.
        made = _room(keys, {**_ABILITIES, "operator": ["receive"]}, "crosstab")
        names = {"travellers": ("airport", AIRPORTS), "subscribers": ("home", HOMES)}
        for table in made["tables"]:
            column, values = names[table["name"]]
            private: dict[str, Any] = {
                "columns": [{"name": "phone"}],
                "unit": "person",
                "publicValues": [{"columnName": column, "values": values}],
            }
            if table["name"] == "travellers":
                private["bounds"] = [{"columnName": "nights", "lower": 0, "upper": MOST_NIGHTS}]
            table["rule"] = {
                "type": "custom",
                "allowedAnalyses": ["ANY_QUERY"],
                "allowedAnalysisProviders": ["airline"],
                "differentialPrivacy": private,
            }
        budget = {"unit": "person", "epsilon": 20, "users_noise_per_query": NOISE}
        made["budgets"] = [{"owner": owner, **budget} for owner in _OWNERS]
        made["crosstab"] = {
            "identifiers": [{"kind": "phone", "normalise": ["nfkc", "trim", "e164"]}],
            "calling_code": "81",
            "tables": [
                {"table": "travellers", "duplicates": [{"column_name": "nights", "merge": "sum"}]},
                {"table": "subscribers"},
            ],
        }
        return made

    sources = _sources(tables)
    for entries in sources.values():
        for entry in entries:
            entry["person"] = {"phone": ["phone"]}
    nodes.make(place, agreed, sources)
    return World(place, tuple(_OWNERS), noised=True)


def _shares(place: Path, tables: Tables) -> World:
    """Both owners and a laboratory compute."""
    abilities = {
        "airline": ["query", "receive", "compute"],
        "operator": ["compute"],
        "laboratory": ["compute"],
    }
    nights = {"columnName": "nights", "lower": 0, "upper": MOST_NIGHTS}

    def agreed(keys: dict[str, str]) -> dict[str, Any]:
        made = _room(keys, abilities, "shares")
        made["shares"] = {
            "servers": list(abilities),
            "tables": [
                {"table": "travellers", "rows": tables.people, "unique": [["phone"]], "columns": [nights]},
                {"table": "subscribers", "rows": tables.people, "unique": [["phone"]]},
            ],
        }
        return made

    nodes.make(place, agreed, _sources(tables, ("laboratory",)), {"shares": {"listen": "127.0.0.1:0"}})
    return World(place, tuple(abilities))


def _enclave(place: Path, tables: Tables) -> World:
    """Two owners with key brokers, and a host that starts a worker under a TPM in software."""
    from hitoku.attestation.kept import Kept
    from hitoku.attestation.launch.image import measure
    from hitoku.attestation.program import pcr_of, program_digest
    from hitoku.attestation.reference import ReferenceValue
    from hitoku.ports import SystemClock
    from hitoku.protections.enclave.starting import worker_image
    from hitoku.room.consent import moment

    abilities = {**_ABILITIES, "host": ["compute"]}
    attestation = {"accept": ["tpm"], "software": True}
    room: Room = nodes.make(
        place,
        lambda k: {**_room(k, abilities, "enclave"), "attestation": attestation},
        _sources(tables, ("host",)),
    )
    began, clock = time.perf_counter(), SystemClock()
    program = program_digest(measure(worker_image("swtpm")))
    value = ReferenceValue.model_validate(
        {
            "room": room.agreement.id,
            "serial": 1,
            "program": program,
            "version": "measured",
            "kind": "tpm",
            "measurements": {"pcr12": (pcr_of(program),)},
            "not_after": moment(clock.now() + timedelta(days=1)),
        }
    )
    directories = [MemberDirectory.open(place / owner) for owner in _OWNERS]
    for directory in directories:
        value = value.sign(directory.name, directory.keys({}))
    for directory in directories:
        records = directory.records(str(room.agreement.id), clock)
        Kept(directory, records).put([value], room.agreement, "import")
        records.store.close()
    return World(place, tuple(abilities), before=time.perf_counter() - began, note="TPM in software")


WORLDS: Final[dict[str, Callable[[Path, Tables], World]]] = {
    "tokens": _tokens,
    "crosstab": _crosstab,
    "shares": _shares,
    "enclave": _enclave,
}
