# SPDX-License-Identifier: Apache-2.0
"""A room whose questions are computed in an enclave, its members' directories, and workers in threads.

Two own a table each (`shop`, `telco`), `cloud` computes. Everything is real but the enclave's walls: the
worker is the code that a launcher starts, in a thread of the test, and its evidence is of a dev key.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hitoku.attestation.attest.dev import DevAttester
from hitoku.attestation.kept import Kept
from hitoku.attestation.values import ReferenceValue
from hitoku.node.enclave import EnclaveDesk
from hitoku.node.local import RoomHandle, open_room
from hitoku.ports import SystemClock
from hitoku.protections.enclave.frames import Channel
from hitoku.protections.enclave.worker.serve import serve
from hitoku.room.agreement import Agreement, Room
from hitoku.room.directory import MemberDirectory, write_peers
from hitoku.room.files import save_room
from hitoku.room.signing import sign

PROGRAM = hashlib.sha384(b"the worker").hexdigest()
DEV = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a developer").digest())
DEV_KEY = "ed25519:" + base64.b64encode(DEV.public_key().public_bytes_raw()).decode()
PHONE = {"name": "phone", "type": "string", "protection": "fingerprint", "nullable": False}
JOIN = "FROM customers c JOIN subscribers s ON c.phone = s.phone"
SQL = f"SELECT s.plan, COUNT(DISTINCT c.phone) AS people {JOIN} GROUP BY s.plan"
CLEAR = {"basic": 40, "family": 30}
"""What SQL answers: `few` has too few people."""


def rule(join: str, *dimensions: str, minimum: int) -> dict[str, Any]:
    return {
        "type": "aggregation",
        "aggregateColumns": [{"columnNames": [join], "function": "COUNT_DISTINCT"}],
        "joinColumns": [join],
        "dimensionColumns": list(dimensions),
        "outputConstraints": [{"columnName": join, "minimum": minimum}],
    }


def agreement_data(**changes: Any) -> dict[str, Any]:
    """An agreement without its members' keys; what is said is changed."""
    data: dict[str, Any] = {
        "id": "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e77",
        "name": "Enclaves",
        "protections": ["enclave"],
        "settings": {"allow_cleartext": True, "allow_duplicates": True, "preserve_nulls": True},
        "members": [
            {"name": "shop", "abilities": ["query", "receive"]},
            {"name": "telco", "abilities": ["query", "receive"]},
            {"name": "cloud", "abilities": ["compute"]},
        ],
        "tables": [
            {
                "name": "customers",
                "owner": "shop",
                "columns": [PHONE, {"name": "region", "type": "string", "protection": "cleartext"}],
                "rule": rule("phone", "region", minimum=5),
            },
            {
                "name": "subscribers",
                "owner": "telco",
                "columns": [PHONE, {"name": "plan", "type": "string", "protection": "cleartext"}],
                "rule": rule("phone", "plan", minimum=3),
            },
        ],
        "attestation": {"accept": ["dev"], "software": True},
    }
    return data | changes


def tables() -> dict[str, pa.Table]:
    """70 people of both; `few` has two of them."""
    plans = ["basic"] * 40 + ["family"] * 30 + ["few"] * 2
    numbers = [f"+49 170 {n:07d}" for n in range(len(plans))]
    return {
        "customers": pa.table({"phone": numbers, "region": [f"region {n % 3}" for n in range(len(plans))]}),
        "subscribers": pa.table({"phone": numbers, "plan": plans}),
    }


class ThreadWorker:
    """A worker in a thread of this process; see `hitoku.protections.enclave.enclosure.Started`."""

    def __init__(self, attester: Any) -> None:
        self.connection, theirs = socket.socketpair()
        self._channel = Channel(theirs)
        self.thread = threading.Thread(target=self._serve, args=(attester,), daemon=True)
        self.thread.start()

    def _serve(self, attester: Any) -> None:
        serve(self._channel, attester, SystemClock())
        self._channel.close()

    def end(self) -> None:
        Channel(self.connection).close()
        self.thread.join(300)


@dataclass
class World:
    """A signed room on disk.

    Attributes:
        place: the workspace.
        room: the room.
        members: the members' directories.
        program: what the workers' evidence says that they are; a test may change it.
        workers: those that were started.
    """

    place: Path
    room: Room
    members: dict[str, MemberDirectory]
    program: str = PROGRAM
    workers: int = 0

    def handle(self, me: str = "shop") -> RoomHandle:
        return open_room(self.place, me)

    def started(self) -> ThreadWorker:
        self.workers += 1
        return ThreadWorker(DevAttester(DEV, self.program))


def make(
    place: Path, data: dict[str, Any], content: Mapping[str, pa.Table], program: str | None = PROGRAM
) -> World:
    """A workspace with a signed room, tables in clear at their owners, and the owners' reference value."""
    members = {m["name"]: MemberDirectory.create(place / m["name"], m["name"]) for m in data["members"]}
    keys = {name: directory.keys({}).public_key() for name, directory in members.items()}
    data = data | {"members": [{**m, "key": keys[m["name"]]} for m in data["members"]]}
    room = Room(agreement=Agreement.model_validate(data))
    for name, table in content.items():
        declared = room.agreement.table(name)
        assert declared is not None
        pq.write_table(table, members[declared.owner].path / "tables" / f"{name}.parquet")
    for name, directory in members.items():
        room = sign(room, name, directory.keys({}))
        directory.remember(room)
    save_room(room, place / "room.yaml")
    write_peers(place, {name: name for name in members})
    world = World(place, room, members)
    if program is not None:
        refer(world, program)
    return world


def refer(world: World, program: str, kind: str = "dev", **changes: Any) -> None:
    """Have all owners sign for a program, and enter it at each of them."""
    agreement = world.room.agreement
    value = ReferenceValue.model_validate(
        {
            "room": str(agreement.id),
            "serial": 1,
            "program": program,
            "version": "1.0.0",
            "kind": kind,
            "measurements": {"program": [program]},
            "not_after": "2099-01-01T00:00:00Z",
        }
        | changes
    )
    for owner in sorted(agreement.owners()):
        value = value.sign(owner, world.members[owner].keys({}))
    for owner in agreement.owners():
        records = world.members[owner].records(str(agreement.id), SystemClock())
        Kept(world.members[owner], records).put([value], agreement, "add")
        records.store.close()


@contextmanager
def in_threads(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Workers are started in threads of this process."""
    monkeypatch.setattr(EnclaveDesk, "start", lambda _, __: world.started())
    yield world
