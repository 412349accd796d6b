"""Two owners in one process whose room demands mutual attestation; evidence by developer keys."""

# mypy: allow-untyped-defs, allow-incomplete-defs

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hitoku.attestation.attest.dev import make_key_file
from hitoku.attestation.kept import Kept
from hitoku.attestation.reference import ReferenceValue
from hitoku.disclosure.answer import Answer
from hitoku.node.local import open_room
from hitoku.node.settings import NodeSettings
from hitoku.ports import SystemClock
from hitoku.room.agreement import Agreement, Room
from hitoku.room.consent import moment
from hitoku.room.directory import MemberDirectory, write_peers
from hitoku.room.files import save_room
from hitoku.room.ledger import EntryKind
from hitoku.room.signing import sign

OWNERS = ("shop", "telco")
PROGRAM = hashlib.sha384(b"the node that both owners signed for").hexdigest()
OTHER = hashlib.sha384(b"the same with one byte changed").hexdigest()
REGIONS = ("east", "west")
PLANS = ("basic", "family")
QUESTION = """SELECT g.region, m.plan, COUNT(DISTINCT g.phone) AS n, SUM(g.spend) AS s
FROM guests g JOIN members m ON g.phone = m.phone GROUP BY g.region, m.plan"""


def rule(**privacy: Any) -> dict[str, Any]:
    return {
        "type": "custom",
        "allowedAnalyses": ["ANY_QUERY"],
        "allowedAnalysisProviders": list(OWNERS),
        "differentialPrivacy": {"columns": [{"name": "phone"}], "unit": "person", **privacy},
    }


PHONE = {"name": "phone", "type": "string", "protection": "fingerprint", "nullable": False}
AGREEMENT: dict[str, Any] = {
    "id": "5b6e0f0a-1c7f-4a57-9f11-7a0a5fbb2a10",
    "name": "Two owners that attest",
    "settings": {"allow_cleartext": True, "allow_duplicates": True, "preserve_nulls": True},
    "protections": ["crosstab"],
    "tables": [
        {
            "name": "guests",
            "owner": "shop",
            "columns": [
                PHONE,
                {"name": "region", "type": "string", "protection": "cleartext"},
                {"name": "spend", "type": "int", "protection": "cleartext", "nullable": False},
            ],
            "rule": rule(
                bounds=[{"columnName": "spend", "lower": 0, "upper": 100}],
                publicValues=[{"columnName": "region", "values": list(REGIONS)}],
            ),
        },
        {
            "name": "members",
            "owner": "telco",
            "columns": [PHONE, {"name": "plan", "type": "string", "protection": "cleartext"}],
            "rule": rule(publicValues=[{"columnName": "plan", "values": list(PLANS)}]),
        },
    ],
    "budgets": [
        {"owner": owner, "unit": "person", "epsilon": 20, "users_noise_per_query": 10} for owner in OWNERS
    ],
    "crosstab": {
        "identifiers": [{"kind": "phone"}],
        "tables": [{"table": "guests"}, {"table": "members"}],
    },
    "attestation": {"accept": ["dev"], "software": True, "crosstab": True},
}


def rows() -> dict[str, tuple[str, pa.Table]]:
    draw = random.Random(5)
    numbers = [f"+49 170 {n:07d}" for n in draw.sample(range(10**7), 60)]
    guests, members = numbers[:40], numbers[20:]
    shop = {
        "phone": guests,
        "region": [draw.choice(REGIONS) for _ in guests],
        "spend": pa.array([draw.randrange(101) for _ in guests], pa.int32()),
    }
    telco = {"phone": members, "plan": [draw.choice(PLANS) for _ in members]}
    return {"shop": ("guests", pa.table(shop)), "telco": ("members", pa.table(telco))}


@dataclass
class World:
    """The members' directories and their room."""

    path: Path
    room: Room
    members: dict[str, MemberDirectory] = field(default_factory=dict)

    def ask(self, me: str = "shop") -> Answer:
        return open_room(self.path, me).ask(QUESTION)

    def ledger(self, name: str, kind: EntryKind | None = None) -> list[dict[str, Any]]:
        """The bodies of a member's entries."""
        records = self.members[name].records(str(self.room.agreement.id), SystemClock())
        try:
            return [entry.body for entry in records.ledger.entries(0, kind)]
        finally:
            records.store.close()

    def kinds(self, name: str) -> list[str]:
        records = self.members[name].records(str(self.room.agreement.id), SystemClock())
        try:
            return [str(entry.kind) for entry in records.ledger.entries()]
        finally:
            records.store.close()

    def runs(self, name: str, program: str) -> None:
        """A member's node runs that program from now on."""
        directory = self.members[name].path
        make_key_file(directory / "dev-2.key", program)
        path = directory / "node.toml"
        path.write_text(path.read_text().replace("dev-1.key", "dev-2.key"))


def make(path: Path, attestation: dict[str, Any] | None = None) -> World:
    """The world; with another attestation part, or none where it is empty."""
    members = {name: MemberDirectory.create(path / name, name) for name in OWNERS}
    data: dict[str, Any] = dict(AGREEMENT)
    data["members"] = [
        {"name": n, "key": d.keys({}).public_key(), "abilities": ["query", "receive"]}
        for n, d in members.items()
    ]
    part = data.pop("attestation")
    if attestation is not None:
        part = attestation
    if part:
        data["attestation"] = part
    room = Room(agreement=Agreement.model_validate(data))
    for name, directory in members.items():
        room = sign(room, name, directory.keys({}))
        directory.remember(room)
    save_room(room, path / "room.yaml")
    write_peers(path, {n: n for n in members})
    for name, (table, content) in rows().items():
        pq.write_table(content, members[name].path / "tables" / f"{table}.parquet")
    world = World(path, room, members)
    for directory in members.values():
        settings: dict[str, Any] = {
            "listen": "127.0.0.1:8443",
            "url": "https://127.0.0.1:8443",
            "rooms": [{"file": "../room.yaml"}],
        }
        if part:
            make_key_file(directory.path / "dev-1.key", PROGRAM)
            settings["attestation"] = {"platform": "dev", "device": "dev-1.key"}
        NodeSettings.made(settings, "node.toml").write(directory.path)
    if part:
        accept(world, PROGRAM)
    return world


def accept(world: World, program: str, purpose: str = "node") -> None:
    """Both owners sign for a program."""
    value = ReferenceValue.model_validate(
        {
            "room": world.room.agreement.id,
            "serial": 1,
            "program": program,
            "version": "1.0",
            "kind": "dev",
            "purpose": purpose,
            "measurements": {"program": (program,)},
            "not_after": moment(datetime.now(UTC) + timedelta(days=1)),
        }
    )
    for name, directory in world.members.items():
        value = value.sign(name, directory.keys({}))
    for directory in world.members.values():
        records = directory.records(str(world.room.agreement.id), SystemClock())
        try:
            Kept(directory, records).put([value], world.room.agreement, "import")
        finally:
            records.store.close()
