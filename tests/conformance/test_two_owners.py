# SPDX-License-Identifier: Apache-2.0
"""Questions on two owners' tables with noise: every protection gives plain DuckDB's answer plus its noise.

The noise is the test's own: on `tokens` and in an `enclave` every figure gets NOISE once, in `crosstab` each
of the two owners adds DRAW to every figure. All else is real: the checker, the room, the engine on encrypted
files, the protocol between two owners, brokers, evidence and worker (in a thread), the release.
"""

from __future__ import annotations

import base64
import random
import secrets
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.enclaves import DEV, PROGRAM, ThreadWorker, refer
from tests.enclaves import World as Enclaves
from tests.japanese import in_japanese

from hitoku.attestation.attest.dev import DevAttester
from hitoku.columns import encrypt
from hitoku.disclosure import noise
from hitoku.disclosure.answer import Answer
from hitoku.node.enclave import EnclaveDesk
from hitoku.node.local import open_room
from hitoku.protections.base import Unsupported
from hitoku.protections.crosstab import draws
from hitoku.protections.registry import PROTECTIONS, get
from hitoku.questions import check
from hitoku.room.agreement import Agreement, ProtectionName, Room
from hitoku.room.directory import MemberDirectory, write_peers
from hitoku.room.files import save_room
from hitoku.room.keys import SECRET_FILE
from hitoku.room.private import write_private
from hitoku.room.signing import sign

from .test_protections import counted

NOISE = 1_000
DRAW = 7
AMOUNT = {
    ProtectionName.TOKENS: NOISE,
    ProtectionName.CROSSTAB: 2 * DRAW,
    ProtectionName.ENCLAVE: NOISE,
}
REGIONS = ("east", "north", "south", "west")
PLANS = ("basic", "family", "young")
JOIN = "FROM guests g JOIN members m ON g.phone = m.phone"
PEOPLE = "COUNT(DISTINCT g.phone)"


@dataclass(frozen=True)
class Asked:
    """A question, and the same on clear tables: ``{n}`` is the noise of a count, ``{c}`` that in cents."""

    name: str
    sql: str
    clear: str


QUESTIONS = [
    Asked(
        "people of both owners' dimensions",
        f"SELECT g.region, m.plan, {PEOPLE} AS n {JOIN} GROUP BY g.region, m.plan",
        "SELECT r, p, COALESCE(n, 0) + {n} FROM cells LEFT JOIN (SELECT g.region AS r, m.plan AS p, "
        f"COUNT(*) AS n {JOIN} GROUP BY ALL) USING (r, p)",
    ),
    Asked(
        "sums and means of one owner",
        f"SELECT m.plan, SUM(g.spend) AS s, AVG(g.spend) AS a, COUNT(*) AS n {JOIN} GROUP BY m.plan",
        "SELECT m.plan, SUM(g.spend) + {c}, GREATEST(0, LEAST(100, (SUM(g.spend) + {c}) / (COUNT(*) + "
        f"{{n}}))), COUNT(*) + {{n}} {JOIN} GROUP BY ALL",
    ),
    Asked(
        "the other owner's values, which may be below zero",
        f"SELECT g.region, SUM(m.change) AS s {JOIN} GROUP BY g.region",
        "SELECT r, COALESCE(s, 0) + {n} FROM (SELECT DISTINCT r FROM cells) LEFT JOIN "
        f"(SELECT g.region AS r, SUM(m.change) AS s {JOIN} GROUP BY ALL) USING (r)",
    ),
    Asked(
        "no dimension, filters on either side",
        f"SELECT {PEOPLE} AS n, SUM(m.change) AS s {JOIN} WHERE g.age >= 30 AND m.plan IN ('basic', 'young') "
        "AND g.region <> 'west'",
        f"SELECT COUNT(*) + {{n}}, SUM(m.change) + {{n}} {JOIN} WHERE g.age >= 30 AND m.plan IN "
        "('basic', 'young') AND g.region <> 'west'",
    ),
    Asked(
        "what follows the noise",
        f"SELECT m.plan, {PEOPLE} AS n, RANK() OVER (ORDER BY {PEOPLE} DESC) AS r {JOIN} GROUP BY m.plan "
        f"HAVING {PEOPLE} > 0 ORDER BY n DESC LIMIT 2",
        "SELECT * FROM (SELECT m.plan, COUNT(*) + {n} AS n, RANK() OVER (ORDER BY COUNT(*) DESC) "
        f"{JOIN} GROUP BY ALL) ORDER BY n DESC LIMIT 2",
    ),
    Asked(
        "nobody is left",
        f"SELECT m.plan, {PEOPLE} AS n {JOIN} WHERE g.age > 1000 GROUP BY m.plan",
        "SELECT DISTINCT p, {n} FROM cells",
    ),
]


def rule(**privacy: Any) -> dict[str, Any]:
    return {
        "type": "custom",
        "allowedAnalyses": ["ANY_QUERY"],
        "allowedAnalysisProviders": ["shop", "telco"],
        "differentialPrivacy": {"columns": [{"name": "phone"}], "unit": "person", **privacy},
    }


PHONE = {"name": "phone", "type": "string", "protection": "fingerprint", "nullable": False}
AGREEMENT: dict[str, Any] = {
    "id": "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e12",
    "name": "Two owners",
    "settings": {"allow_cleartext": True, "allow_duplicates": True, "preserve_nulls": True},
    "members": [
        {"name": "shop", "abilities": ["query", "receive"]},
        {"name": "telco", "abilities": ["query", "receive"]},
        {"name": "host", "abilities": ["host"]},
    ],
    "tables": [
        {
            "name": "guests",
            "owner": "shop",
            "columns": [
                PHONE,
                {"name": "region", "type": "string", "protection": "cleartext"},
                {"name": "age", "type": "int", "protection": "cleartext"},
                {
                    "name": "spend", "type": "decimal", "precision": 12, "scale": 2,
                    "protection": "cleartext", "nullable": False,
                },
            ],
            "rule": rule(
                bounds=[{"columnName": "spend", "lower": 0, "upper": 100, "decimals": 2}],
                publicValues=[{"columnName": "region", "values": list(REGIONS)}],
            ),
        },
        {
            "name": "members",
            "owner": "telco",
            "columns": [
                PHONE,
                {"name": "plan", "type": "string", "protection": "cleartext"},
                {"name": "change", "type": "bigint", "protection": "cleartext", "nullable": False},
            ],
            "rule": rule(
                bounds=[{"columnName": "change", "lower": -50, "upper": 50}],
                publicValues=[{"columnName": "plan", "values": list(PLANS)}],
            ),
        },
    ],
    "budgets": [
        {"owner": owner, "unit": "person", "epsilon": 20, "users_noise_per_query": 10}
        for owner in ("shop", "telco")
    ],
    "crosstab": {
        "identifiers": [{"kind": "phone"}],
        "tables": [{"table": "guests"}, {"table": "members"}],
    },
}  # fmt: skip


class Injected:
    """Draws that are all the same."""

    def __init__(self, *_: object) -> None:
        pass

    def take(self, scale: int, count: int) -> array[int]:
        assert scale > 0
        return array("q", [NOISE] * count)

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class World:
    """The tables in clear, and for each protection how to ask, and its room."""

    clear: duckdb.DuckDBPyConnection
    ask: dict[ProtectionName, Callable[..., Answer]]
    rooms: dict[ProtectionName, Room]


def rows() -> tuple[pa.Table, pa.Table]:
    draw = random.Random(11)
    numbers = [f"+49 170 {n:07d}" for n in draw.sample(range(10**7), 260)]
    guests, members = numbers[:180], numbers[70:]
    shop = {
        "phone": guests,
        "region": [draw.choice(REGIONS[:3]) for _ in guests],
        "age": [draw.randrange(18, 80) for _ in guests],
        "spend": [Decimal(draw.randrange(0, 10_000)).scaleb(-2) for _ in guests],
    }
    telco = {
        "phone": members,
        "plan": [draw.choice(PLANS) for _ in members],
        "change": [draw.randrange(-50, 51) for _ in members],
    }
    kinds = pa.schema([("phone", pa.string()), ("region", pa.string()), ("age", pa.int32()),
                       ("spend", pa.decimal128(12, 2))])  # fmt: skip
    return pa.table(shop, kinds), pa.table(telco)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    guests, members = rows()
    clear = duckdb.connect()
    clear.register("guests", guests)
    clear.register("members", members)
    # As they were typed: what the room calls one number must be found.
    typed = members.set_column(0, "phone", pa.array(f"  {n} " for n in members.column("phone").to_pylist()))
    cells = [(r, p) for r in REGIONS for p in PLANS]
    clear.execute("CREATE TABLE cells (r VARCHAR, p VARCHAR)")
    clear.executemany("INSERT INTO cells VALUES (?, ?)", cells)
    ask, rooms = {}, {}
    for name in AMOUNT:
        place = tmp_path_factory.mktemp(name.value)
        telco = typed if name is ProtectionName.CROSSTAB else members
        rooms[name] = make(place, name, {"shop": ("guests", guests), "telco": ("members", telco)})

        def asked(sql: str, me: str, place: Path = place) -> Answer:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(EnclaveDesk, "start", lambda _, __: ThreadWorker(DevAttester(DEV, PROGRAM)))
                return open_room(place, me).ask(sql)

        ask[name] = asked
    return World(clear, ask, rooms)


def make(place: Path, name: ProtectionName, tables: dict[str, tuple[str, pa.Table]]) -> Room:
    """A signed room that accepts one protection, the tables where it needs them."""
    data = {**AGREEMENT, "protections": [name.value]}
    if name is ProtectionName.ENCLAVE:
        data["attestation"] = {"accept": ["dev"], "software": True}
    directories = {m["name"]: MemberDirectory.create(place / m["name"], m["name"]) for m in data["members"]}
    keys = {n: d.keys({}).public_key() for n, d in directories.items()}
    data["members"] = [{**m, "key": keys[m["name"]]} for m in data["members"]]
    room = Room(agreement=Agreement.model_validate(data))
    secret = base64.b64encode(secrets.token_bytes(32))
    for owner, (table, content) in tables.items():
        file = directories[owner].path / "tables" / f"{table}.parquet"
        pq.write_table(content, file)
        if name is not ProtectionName.TOKENS:
            continue
        write_private(directories[owner].path / SECRET_FILE, secret, "the shared secret")
        made = room.agreement.table(table)
        assert made is not None
        schema = {
            "headerRow": True,
            "columns": [
                {"sourceHeader": c.name, "targetHeader": c.name, "type": c.protection.value}
                for c in made.columns
            ],
        }
        encrypt(
            file,
            directories["host"].path / "tables" / f"{table}.parquet",
            schema,
            room.agreement.settings,
            str(room.agreement.id),
            base64.b64decode(secret),
        )
    for member, directory in directories.items():
        room = sign(room, member, directory.keys({}))
        directory.remember(room)
    save_room(room, place / "room.yaml")
    write_peers(place, {n: n for n in directories})
    if name is ProtectionName.ENCLAVE:
        refer(Enclaves(place, room, directories), PROGRAM)
    return room


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The noise of both protections is the test's."""
    monkeypatch.setattr(noise, "Draws", Injected)
    monkeypatch.setattr(draws, "draw", lambda scale, bound, count: [DRAW] * count)


@pytest.mark.parametrize("name", list(PROTECTIONS))
@pytest.mark.parametrize("asked", QUESTIONS, ids=lambda a: a.name)
def test_the_answer_is_the_clear_one_plus_the_noise(
    world: World, known: None, name: ProtectionName, asked: Asked
) -> None:
    if name not in world.ask:
        pytest.skip(f"{name} is not asked about two owners here")
    answer = world.ask[name](asked.sql, "shop")
    amount = AMOUNT[name]
    clear = asked.clear.format(n=amount, c=f"{amount / 100:.2f}")
    got = [tuple(row.values()) for row in answer.table.to_pylist()]
    expected = world.clear.execute(clear).fetchall()
    assert expected
    assert counted(got) == counted(expected)
    assert answer.noise is not None
    assert answer.bands is not None


@pytest.mark.parametrize("name", list(PROTECTIONS))
def test_every_protection_says_who_learns_what(world: World, name: ProtectionName) -> None:
    if name not in world.rooms:
        pytest.skip(f"{name} is not asked about two owners here")
    room = world.rooms[name]
    question = check(QUESTIONS[0].sql, room, "shop")
    protection = get(name)
    assert not isinstance(protection.supports(question, room), Unsupported)
    learned = protection.leakage(question, room).learned
    assert {item.member for item in learned} >= {"shop", "telco"}
    assert all(item.words and item.code.isupper() for item in learned)
    in_japanese(learned)


def test_the_other_owner_receives_what_it_learned_anyway(world: World, known: None) -> None:
    answer = world.ask[ProtectionName.CROSSTAB](QUESTIONS[3].sql, "shop")
    assert answer.receivers == ("shop", "telco")


def test_one_question_asked_of_tokens_and_of_two_owners_has_one_hash_of_its_sql(world: World) -> None:
    texts = {check(QUESTIONS[1].sql, room, "shop").sql for room in world.rooms.values()}
    assert len(texts) == 1
