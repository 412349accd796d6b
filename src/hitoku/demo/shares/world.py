# SPDX-License-Identifier: Apache-2.0
"""The demo's room, members and questions: an airport, an aircraft registry, a laboratory that owns nothing.

All three compute. Both owners' rules let columns into conditions and sums which must not come out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from hitoku.demo.crosstab import nodes
from hitoku.demo.data import write_flights, write_planes
from hitoku.ports import SystemClock
from hitoku.room.directory import MemberDirectory, write_peers
from hitoku.room.ledger import Entry, EntryKind

if TYPE_CHECKING:
    from hitoku.node.remote import RemoteRoom
    from hitoku.ports import Progress
    from hitoku.room.agreement import Room

__all__ = [
    "HIDDEN",
    "MINIMUM",
    "NEXT",
    "QUESTION",
    "REFUSED",
    "SERVERS",
    "TRUTH",
    "World",
    "agreement",
    "make",
]

SERVERS: Final = ("airport", "registry", "laboratory")
MINIMUM: Final = 10
HIDDEN: Final = ("planes.year", "planes.engines", "planes.seats", "flights.arr_delay")
"""The columns that the question computes with and that no rule lets out."""
_TABLES: Final = {"airport": "flights", "registry": "planes"}
_ABILITIES: Final = {
    "airport": ["query", "receive", "compute"],
    "registry": ["compute"],
    "laboratory": ["compute"],
}

_FROM: Final = """\
FROM flights AS f JOIN planes AS p ON f.tailnum = p.tailnum
WHERE p.year < 2000 AND p.engines = 2"""

_SELECT: Final = """\
SELECT p.manufacturer,
       COUNT(DISTINCT p.tailnum) AS aircraft,
       COUNT(f.arr_delay) AS flights,
       AVG(f.arr_delay) AS mean_delay,
       SUM(f.arr_delay * p.seats) AS seat_minutes
"""

QUESTION: Final = f"""{_SELECT}{_FROM}
GROUP BY p.manufacturer"""

REFUSED: Final = f"""\
SELECT p.year, AVG(f.arr_delay) AS mean_delay
{_FROM}
GROUP BY p.year"""

NEXT: Final = """\
SELECT f.carrier, COUNT(DISTINCT p.tailnum) AS aircraft, AVG(p.seats) AS mean_seats
FROM flights AS f JOIN planes AS p ON f.tailnum = p.tailnum
WHERE f.arr_delay > 60 AND p.year < 2000
GROUP BY f.carrier"""

TRUTH: Final = QUESTION.replace(
    "AS seat_minutes\n",
    "AS seat_minutes,\n"
    "       COUNT(DISTINCT f.tailnum) < $minimum OR COUNT(DISTINCT p.tailnum) < $minimum AS small\n",
).replace(
    "FROM flights AS f JOIN planes AS p", "FROM read_parquet($flights) AS f JOIN read_parquet($planes) AS p"
)
"""The same question on the plain tables, which only the demo itself has side by side."""


def _rule(shown: Iterable[str], columns: Iterable[str]) -> dict[str, Any]:
    """Whatever the airport asks, of groups of enough aircraft; what is not shown stays inside."""
    return {
        "type": "custom",
        "allowedAnalyses": ["ANY_QUERY"],
        "allowedAnalysisProviders": ["airport"],
        "disallowedOutputColumns": sorted(set(columns) - set(shown)),
        "aggregationThresholds": [
            {
                "identityColumns": ["tailnum"],
                "minimumIdentityCount": MINIMUM,
                "allowedAggregateExpressionType": "ANY_EXPRESSION",
            }
        ],
    }


def agreement(keys: dict[str, str]) -> dict[str, Any]:
    """The agreement as data, for the members' public keys."""
    flights = {"tailnum": "string", "month": "bigint", "carrier": "string", "arr_delay": "bigint"}
    planes = {
        "tailnum": "string",
        "manufacturer": "string",
        "year": "bigint",
        "engines": "bigint",
        "seats": "bigint",
    }
    tables = {"flights": (flights, ("month", "carrier")), "planes": (planes, ("manufacturer",))}
    return {
        "id": str(uuid4()),
        "name": "Delays by age and size of aircraft",
        "settings": {"allow_cleartext": True, "allow_duplicates": True, "preserve_nulls": True},
        "protections": ["shares"],
        "members": [{"name": n, "key": k, "abilities": _ABILITIES[n]} for n, k in keys.items()],
        "tables": [
            {
                "name": table,
                "owner": owner,
                "columns": [
                    {"name": n, "type": t, "protection": "fingerprint" if n == "tailnum" else "cleartext"}
                    for n, t in tables[table][0].items()
                ],
                "rule": _rule(tables[table][1], tables[table][0]),
            }
            for owner, table in _TABLES.items()
        ],
        "shares": {
            "servers": list(SERVERS),
            "tables": [
                {
                    "table": "flights",
                    "rows": 340_000,
                    "columns": [{"columnName": "arr_delay", "lower": -200, "upper": 2_000}],
                },
                {
                    "table": "planes",
                    "rows": 3_400,
                    "unique": [["tailnum"]],
                    "columns": [{"columnName": "seats", "lower": 0, "upper": 1_000}],
                },
            ],
        },
    }


@dataclass(frozen=True, slots=True)
class World:
    """The demo's place.

    Attributes:
        place: its directory: members' directories, room file, logs.
        room: in force.
        rows: of each table.
    """

    place: Path
    room: Room
    rows: dict[str, int]

    def handle(self, progress: Progress | None = None) -> RemoteRoom:
        """The room, as the airport sees it over the network."""
        from hitoku.node.remote import open_remote_room

        return open_remote_room(self.place / "airport", progress=progress)

    def entries(self, member: str, kind: EntryKind) -> list[Entry]:
        """What a member's ledger says."""
        directory = MemberDirectory.open(self.place / member)
        records = directory.records(str(self.room.agreement.id), SystemClock())
        try:
            return list(records.ledger.entries(0, kind))
        finally:
            records.store.close()


def make(place: Path) -> World:
    """Members with keys and tables, the room that they sign, their nodes' settings.

    Raises:
        InputError: the data is not installed.
    """
    tables = {
        server: [{"name": table, "source": f"tables/{table}.parquet"}]
        if (table := _TABLES.get(server)) is not None
        else []
        for server in SERVERS
    }
    room = nodes.make(place, agreement, tables, {"shares": {"listen": "127.0.0.1:0"}})
    rows = {
        "flights": write_flights(place / "airport" / "tables" / "flights.parquet"),
        "planes": write_planes(place / "registry" / "tables" / "planes.parquet"),
    }
    write_peers(place, {server: server for server in SERVERS})
    return World(place, room, rows)
