# SPDX-License-Identifier: Apache-2.0
"""`hitoku room shares`, and `hitoku table check` of a table that a room declares for secret shares."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.sharing import agreement_data, make

from hitoku.cli import main as cli
from hitoku.room.files import load_room, save_room

PART = """\
servers: [shop, telco, lab]
tables:
  - {table: customers, rows: 100, unique: [[phone]], columns: [{columnName: spend, lower: 0, upper: 100}]}
"""


@pytest.fixture
def world(tmp_path):
    return make(tmp_path / "world", agreement_data())


def part_in(tmp_path, text=PART):
    path = tmp_path / "shares.yaml"
    path.write_text(text, "utf-8")
    return str(path)


def test_it_puts_the_part_in_and_the_protection_behind_the_others(world, tmp_path, capsys):
    path = world.place / "room.yaml"
    assert cli.run(["room", "shares", str(path), part_in(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said == f"{path}: shop, telco, lab compute on shares; protections: shares\n"
    agreed = load_room(path).agreement
    assert agreed.version == 2
    assert agreed.shares is not None
    customers = agreed.shares.table("customers")
    assert customers is not None
    assert customers.rows == 100


@pytest.mark.parametrize(("flags", "accepted"), [((), ["tokens", "shares"]), (("--only",), ["shares"])])
def test_other_protections_stay_unless_it_is_to_be_the_only_one(world, tmp_path, capsys, flags, accepted):
    path, draft = world.place / "room.yaml", tmp_path / "draft.yaml"
    agreement = load_room(path).agreement
    tokens = agreement.model_validate({**agreement.model_dump(mode="json"), "protections": ["tokens"]})
    save_room(load_room(path).__class__(agreement=tokens), draft)
    assert cli.run(["room", "shares", str(draft), part_in(tmp_path), *flags, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["in_force"] is False
    assert list(load_room(draft).agreement.protections) == accepted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[shop, telco, lab]", "a mapping with `servers` is expected"),
        ("servers: [shop, telco]", "servers"),
        ("servers: [shop, telco, shop]", "three different members"),
        ("servers: [shop, telco, nobody]", "'nobody' is no member with the ability compute"),
        ("servers: [shop, telco, lab]\ntables: [{table: none}]", "there is no table 'none'"),
    ],
    ids=["no mapping", "two", "twice", "no member", "no table"],
)
def test_what_cannot_be_is_said_and_changes_nothing(world, tmp_path, capsys, text, words):
    path = world.place / "room.yaml"
    before = path.read_bytes()
    assert cli.run(["room", "shares", str(path), part_in(tmp_path, text)]) == 5
    assert words in capsys.readouterr().err
    assert path.read_bytes() == before


class TestCheck:
    """`hitoku table check`."""

    @pytest.fixture
    def declared(self, world, tmp_path, capsys):
        path = world.place / "room.yaml"
        assert cli.run(["room", "shares", str(path), part_in(tmp_path)]) == 0
        for member in world.members.values():
            assert cli.run(["room", "sign", str(path), "--member", str(member.path)]) == 0
        shop = world.members["shop"].path
        assert cli.run(["node", "init", str(shop), "--room", str(path)]) == 0
        source = shop / "tables" / "customers.parquet"
        assert cli.run(["table", "add", str(shop), "customers", "--source", str(source)]) == 0
        capsys.readouterr()
        return shop

    def test_what_holds_is_told(self, declared, capsys):
        assert cli.run(["table", "check", str(declared), "customers", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)["rooms"]
        assert found["rows"] == 72
        assert found["holds"] == [
            "it fits into the 100 rows that are declared",
            "spend lies between what the room declares",
            "phone has a value in every row",
            "no two rows have the same phone",
        ]

    @pytest.mark.parametrize(
        ("phones", "spend", "words"),
        [
            (["a", "b", "c"], [1, 2, 101], "column spend, row 3: a value is above the largest"),
            (["a", "b", "c"], [1, -2, 3], "column spend, row 2: a value is below the least"),
            (["a", "b", "a"], [1, 2, 3], "some value is in more than 1 rows"),
            (["a", None, "c"], [1, 2, 3], "column phone, row 2: a value is missing"),
            ([f"n{n}" for n in range(101)], [1] * 101, "has more rows than the 100 that are declared"),
        ],
        ids=["above", "below", "twice", "missing", "many"],
    )
    def test_what_does_not_is_said_without_a_value(self, declared, capsys, phones, spend, words):
        made = {"phone": phones, "region": ["x"] * len(phones), "spend": pa.array(spend, pa.int32())}
        pq.write_table(pa.table(made), declared / "tables" / "customers.parquet")
        assert cli.run(["table", "check", str(declared), "customers"]) == 4
        said = capsys.readouterr().err
        assert words in said
        assert "101" not in said
        assert not list(declared.rglob("leaves.arrow"))
