# SPDX-License-Identifier: Apache-2.0
"""Fixtures that many tests share: a small room of three members, signed by all, on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from hitoku.room.agreement import Agreement, Room
from hitoku.room.directory import MemberDirectory, write_peers
from hitoku.room.files import save_room
from hitoku.room.signing import sign

# The same examples in every run, so that a failure is of the last change; `make long` draws new ones. And no
# deadline: an example that takes 0.2 s says that the machine is busy.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.register_profile("new", deadline=None)
if settings.get_current_profile_name() != "mutation":
    settings.load_profile("new" if os.environ.get("HITOKU_LONG") else "same")


class FakeClock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def pass_seconds(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        self.pass_seconds(seconds)


@dataclass
class Place:
    """A workspace with its members."""

    path: Path
    members: dict[str, MemberDirectory]
    room: Room

    @property
    def room_file(self) -> Path:
        return self.path / "room.yaml"

    @property
    def agreement(self) -> Agreement:
        return self.room.agreement


AGREEMENT: dict[str, Any] = {
    "id": "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e11",
    "name": "Test room",
    "settings": {"allow_cleartext": True, "allow_duplicates": True},
    "members": [
        {"name": "airport", "abilities": ["query", "receive"]},
        {"name": "registry", "abilities": ["receive"]},
        {"name": "host", "abilities": ["host"]},
    ],
    "tables": [
        {
            "name": "flights",
            "owner": "airport",
            "columns": [
                {"name": "tailnum", "type": "string", "protection": "fingerprint", "nullable": False},
                {"name": "dest_sealed", "type": "string", "protection": "sealed"},
                {"name": "carrier", "type": "string", "protection": "cleartext"},
                {"name": "arr_delay", "type": "bigint", "protection": "cleartext"},
            ],
            "rule": {
                "type": "aggregation",
                "aggregateColumns": [
                    {"function": "COUNT", "columnNames": ["tailnum"]},
                    {"function": "COUNT_DISTINCT", "columnNames": ["tailnum"]},
                    {"function": "AVG", "columnNames": ["arr_delay"]},
                ],
                "joinColumns": ["tailnum"],
                "dimensionColumns": ["carrier"],
                "outputConstraints": [{"columnName": "tailnum", "minimum": 3}],
            },
        },
        {
            "name": "planes",
            "owner": "registry",
            "columns": [
                {"name": "tailnum", "type": "string", "protection": "fingerprint", "nullable": False},
                {"name": "manufacturer", "type": "string", "protection": "cleartext"},
            ],
            "rule": {
                "type": "aggregation",
                "aggregateColumns": [{"function": "COUNT_DISTINCT", "columnNames": ["tailnum"]}],
                "joinColumns": ["tailnum"],
                "dimensionColumns": ["manufacturer"],
                "outputConstraints": [{"columnName": "tailnum", "minimum": 3}],
            },
        },
    ],
}


def make_place(path: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Place:
    """A workspace whose room every member signed."""
    data = deepcopy(AGREEMENT)
    members = {}
    for member in data["members"]:
        members[member["name"]] = MemberDirectory.create(path / member["name"], member["name"])
        member["key"] = members[member["name"]].keys({}).public_key()
    if change is not None:
        change(data)
    room = Room(agreement=Agreement.model_validate(data))
    for name, directory in members.items():
        room = sign(room, name, directory.keys({}))
        directory.remember(room)
    save_room(room, path / "room.yaml")
    write_peers(path, {name: name for name in members})
    return Place(path, members, room)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A signed room of airport, registry and host."""
    return make_place(tmp_path)


@pytest.fixture
def make(tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], None] | None], Place]:
    """Makes a signed room of a changed agreement."""

    def made(change: Callable[[dict[str, Any]], None] | None = None) -> Place:
        return make_place(tmp_path, change)

    return made


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


SECRET = bytes(range(1, 33))
PLANTED = "PLANTED-DESTINATION"


def fill(place: Place) -> Place:
    """Put both owners' tables, encrypted, on the host. One carrier and one manufacturer are small."""
    import pyarrow as pa
    from pyarrow import parquet

    from hitoku import columns

    tails = [f"N{n:03}" for n in range(20)]
    flights = [
        (t, PLANTED, "AA" if n < 14 else "ZZ" if n < 18 else "UA", n)
        for n, t in enumerate(tails)
        for _ in range(2)
    ]
    planes = [(t, "SMALL" if n in {3, 4} else "BIG") for n, t in enumerate(tails)]
    tables = {
        "flights": pa.table(
            dict(
                zip(
                    ["tailnum", "dest", "carrier", "arr_delay"],
                    map(list, zip(*flights, strict=True)),
                    strict=True,
                )
            )
        ),
        "planes": pa.table(
            dict(zip(["tailnum", "manufacturer"], map(list, zip(*planes, strict=True)), strict=True))
        ),
    }
    schemas: dict[str, list[dict[str, Any]]] = {
        "flights": [
            {"sourceHeader": "tailnum", "targetHeader": "tailnum", "type": "fingerprint"},
            {
                "sourceHeader": "dest",
                "targetHeader": "dest_sealed",
                "type": "sealed",
                "pad": {"type": "none"},
            },
            {"sourceHeader": "carrier", "type": "cleartext"},
            {"sourceHeader": "arr_delay", "type": "cleartext"},
        ],
        "planes": [
            {"sourceHeader": "tailnum", "targetHeader": "tailnum", "type": "fingerprint"},
            {"sourceHeader": "manufacturer", "type": "cleartext"},
        ],
    }
    for table in place.agreement.tables:
        owner = place.members[table.owner]
        parquet.write_table(tables[table.name], owner.path / "tables" / f"{table.name}.parquet")
        encrypted = columns.encrypt(
            tables[table.name],
            None,
            {"headerRow": True, "columns": schemas[table.name]},
            place.agreement.settings,
            str(place.agreement.id),
            SECRET,
        )
        parquet.write_table(encrypted, place.members["host"].path / "tables" / f"{table.name}.parquet")
    return place


@pytest.fixture
def filled(place: Place) -> Place:
    """The small room with its encrypted tables on the host."""
    return fill(place)


QUESTION = """\
SELECT p.manufacturer, COUNT(DISTINCT p.tailnum) AS aircraft, AVG(f.arr_delay) AS delay
FROM flights AS f JOIN planes AS p ON f.tailnum = p.tailnum
GROUP BY p.manufacturer"""
REFUSED = "SELECT COUNT(tailnum) AS n FROM flights WHERE dest_sealed = 'PLANTED-LITERAL'"


@pytest.fixture
def question() -> str:
    """A question that the small room allows: BIG is large enough, SMALL is withheld."""
    return QUESTION


@pytest.fixture
def refused() -> str:
    """A question that is refused, with a literal that must show nowhere but in its own echo."""
    return REFUSED
