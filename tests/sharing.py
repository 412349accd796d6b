# SPDX-License-Identifier: Apache-2.0
"""A room whose questions three servers compute on shares: two own a table each, the third is neutral.

Everything is real: the nodes' messages, TLS between the servers on loopback, the kernel, sealed parts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hitoku.node.local import RoomHandle, open_room
from hitoku.room.agreement import Agreement, Room
from hitoku.room.directory import MemberDirectory, write_peers
from hitoku.room.files import save_room
from hitoku.room.ledger import EntryKind
from hitoku.room.signing import sign

PHONE = {"name": "phone", "type": "string", "protection": "fingerprint", "nullable": False}
JOIN = "FROM customers c JOIN subscribers s ON c.phone = s.phone"
SQL = f"SELECT s.plan, COUNT(DISTINCT c.phone) AS people, SUM(c.spend) AS spend {JOIN} GROUP BY s.plan"
CLEAR = {"basic": (40, 40 * 10 + 780), "family": (30, 30 * 10 + sum(range(40, 70)))}
"""What SQL answers: `few` has too few people."""
SERVERS = ("shop", "telco", "lab")


def rule(join: str, *dimensions: str, minimum: int, sums: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "aggregation",
        "aggregateColumns": [
            {"columnNames": [join], "function": "COUNT_DISTINCT"},
            *([{"columnNames": list(sums), "function": "SUM"}] if sums else []),
        ],
        "joinColumns": [join],
        "dimensionColumns": list(dimensions),
        "outputConstraints": [{"columnName": join, "minimum": minimum}],
    }


def agreement_data(**changes: Any) -> dict[str, Any]:
    """An agreement without its members' keys; what is said is changed."""
    data: dict[str, Any] = {
        "id": "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e99",
        "name": "Shares",
        "protections": ["shares"],
        "settings": {"allow_cleartext": True, "allow_duplicates": True, "preserve_nulls": True},
        "members": [
            {"name": "shop", "abilities": ["query", "receive", "compute"]},
            {"name": "telco", "abilities": ["query", "receive", "compute"]},
            {"name": "lab", "abilities": ["compute"]},
        ],
        "tables": [
            {
                "name": "customers",
                "owner": "shop",
                "columns": [
                    PHONE,
                    {"name": "region", "type": "string", "protection": "cleartext"},
                    {"name": "spend", "type": "int", "protection": "cleartext"},
                ],
                "rule": rule("phone", "region", minimum=5, sums=("spend",)),
            },
            {
                "name": "subscribers",
                "owner": "telco",
                "columns": [PHONE, {"name": "plan", "type": "string", "protection": "cleartext"}],
                "rule": rule("phone", "plan", minimum=3),
            },
        ],
        "shares": {
            "servers": list(SERVERS),
            "tables": [
                {"table": "customers", "unique": [["phone"]]},
                {"table": "subscribers", "unique": [["phone"]]},
            ],
        },
    }
    return data | changes


def tables() -> dict[str, pa.Table]:
    """72 people of both; `few` has two of them."""
    plans = ["basic"] * 40 + ["family"] * 30 + ["few"] * 2
    numbers = [f"+49 170 {n:07d}" for n in range(len(plans))]
    return {
        "customers": pa.table(
            {
                "phone": numbers,
                "region": [f"region {n % 3}" for n in range(len(plans))],
                "spend": pa.array([10 + n for n in range(len(plans))], pa.int32()),
            }
        ),
        "subscribers": pa.table({"phone": numbers, "plan": plans}),
    }


@dataclass
class World:
    """A signed room on disk.

    Attributes:
        place: the workspace.
        room: the room.
        members: the members' directories.
    """

    place: Path
    room: Room
    members: dict[str, MemberDirectory]

    def handle(self, me: str = "shop") -> RoomHandle:
        return open_room(self.place, me)

    def entries(self, member: str, *kinds: EntryKind) -> list[dict[str, Any]]:
        """What a member's ledger has of these kinds."""
        from hitoku.ports import SystemClock

        records = self.members[member].records(str(self.room.agreement.id), SystemClock())
        try:
            return [e.body for e in records.ledger.entries(0) if e.kind in kinds]
        finally:
            records.store.close()

    def left(self) -> list[str]:
        """What runs have left on the members' disks, beside answers and records."""
        while True:
            with suppress(FileNotFoundError):  # a folder that goes while we look: look again
                return sorted(
                    str(file.relative_to(self.place))
                    for member in self.members
                    for part in ("shares", "enclave")
                    for file in (self.place / member / part).rglob("*")
                    if file.is_file() and file.name != "lock"
                )

    def stays(self, seconds: float = 120) -> list[str]:
        """What runs leave for good: each member wipes what it has as soon as it hears of the end."""
        until = time.monotonic() + seconds
        while (found := self.left()) and time.monotonic() < until:
            time.sleep(0.02)
        return found


def make(
    place: Path, data: dict[str, Any] | None = None, content: Mapping[str, pa.Table] | None = None
) -> World:
    """A workspace with a signed room, and tables in clear at their owners."""
    data = agreement_data() if data is None else data
    members = {m["name"]: MemberDirectory.create(place / m["name"], m["name"]) for m in data["members"]}
    keys = {name: directory.keys({}).public_key() for name, directory in members.items()}
    data = data | {"members": [{**m, "key": keys[m["name"]]} for m in data["members"]]}
    room = Room(agreement=Agreement.model_validate(data))
    for name, table in (tables() if content is None else content).items():
        declared = room.agreement.table(name)
        assert declared is not None
        pq.write_table(table, members[declared.owner].path / "tables" / f"{name}.parquet")
    for name, directory in members.items():
        room = sign(room, name, directory.keys({}))
        directory.remember(room)
    save_room(room, place / "room.yaml")
    write_peers(place, {name: name for name in members})
    return World(place, room, members)
