# SPDX-License-Identifier: Apache-2.0
"""The published JSON Schema is the model's, and rooms with many owners work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import hitoku
from hitoku.columns import encrypt
from hitoku.room.agreement import Agreement, Room
from hitoku.room.directory import MemberDirectory, write_peers
from hitoku.room.files import save_room
from hitoku.room.signing import sign, verify

SCHEMA = Path(__file__).parents[3] / "docs" / "schemas" / "room-1.schema.json"


def test_the_published_schema_is_the_models():
    assert json.loads(SCHEMA.read_text()) == Room.model_json_schema(by_alias=True), (
        "make it anew: hitoku room export --schema > docs/schemas/room-1.schema.json"
    )


def test_eight_members_seven_of_whom_own_tables(tmp_path):
    names = [f"bank{i}" for i in range(7)]
    members = {n: MemberDirectory.create(tmp_path / n, n) for n in (*names, "host")}
    data: dict[str, Any] = {
        "id": "5b0c2d0e-7f0f-4f55-9a58-6f3f3b6f7a01",
        "name": "Seven banks",
        "settings": {"allow_cleartext": True, "allow_duplicates": True},
        "members": [
            {
                "name": n,
                "key": m.keys({}).public_key(),
                "abilities": ["host"] if n == "host" else ["query", "receive"],
            }
            for n, m in members.items()
        ],
        "tables": [
            {
                "name": f"cards{i}",
                "owner": name,
                "columns": [
                    {"name": "person", "type": "string", "protection": "fingerprint", "nullable": False},
                    {"name": "kind", "type": "string", "protection": "cleartext"},
                ],
                "rule": {
                    "type": "aggregation",
                    "aggregateColumns": [{"function": "COUNT_DISTINCT", "columnNames": ["person"]}],
                    "joinColumns": ["person"],
                    "dimensionColumns": ["kind"],
                    "outputConstraints": [{"columnName": "person", "minimum": 2 + i}],
                },
            }
            for i, name in enumerate(names)
        ],
    }
    room = Room(agreement=Agreement.model_validate(data))
    for name, member in members.items():
        room = sign(room, name, member.keys({}))
        member.remember(room)
    verify(room)
    save_room(room, tmp_path / "room.yaml")
    write_peers(tmp_path, {n: n for n in members})

    schema: dict[str, Any] = {
        "headerRow": True,
        "columns": [
            {"sourceHeader": "person", "targetHeader": "person", "type": "fingerprint"},
            {"sourceHeader": "kind", "targetHeader": "kind", "type": "cleartext"},
        ],
    }
    for i in range(7):
        people = pa.table(
            {
                "person": [f"p{n}" for n in range(30)],
                "kind": ["gold" if n < 25 - i else "rare" if n < 27 else "blue" for n in range(30)],
            }
        )
        sealed = encrypt(people, None, schema, room.agreement.settings, data["id"], bytes(range(32)))
        pq.write_table(sealed, members["host"].path / "tables" / f"cards{i}.parquet")

    joins = " ".join(f"JOIN cards{i} c{i} ON c0.person = c{i}.person" for i in range(1, 5))
    sql = f"SELECT c0.kind, COUNT(DISTINCT c0.person) AS n FROM cards0 c0 {joins} GROUP BY c0.kind"
    answer = hitoku.open_room(tmp_path, "bank6").ask(sql)
    assert answer.fetchall() == [("gold", 25)]  # 2 rare and 3 blue do not reach bank4's minimum of 6
    assert answer.withheld.some is None  # not told
