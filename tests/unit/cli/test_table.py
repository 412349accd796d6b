# SPDX-License-Identifier: Apache-2.0
"""`hitoku table`: entered without disturbing node.toml, listed, and checked for the owner alone."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import json

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hitoku.node.settings import NodeSettings

COMMENT = "# What the operator wrote stays.\n"


def crosstab(data):
    """Two tables with noise on one unit, in private cross statistics."""
    for table, owner in zip(data["tables"], ("airport", "registry"), strict=True):
        table["owner"] = owner
        table["columns"] = [
            {"name": "phone", "type": "string", "protection": "fingerprint", "nullable": False},
            {"name": "area", "type": "string", "protection": "cleartext"},
            {"name": "band", "type": "string", "protection": "cleartext"},
            {"name": "stay", "type": "int", "protection": "cleartext"},
        ]
        table["rule"] = {
            "type": "custom",
            "allowedAnalyses": ["ANY_QUERY"],
            "allowedAnalysisProviders": ["airport"],
            "differentialPrivacy": {
                "columns": [{"name": "phone"}],
                "unit": "person",
                "bounds": [{"columnName": "stay", "lower": 0, "upper": 30}],
                "publicValues": [
                    {"columnName": "area", "values": ["north", "south"]},
                    {"columnName": "band", "values": ["a", "other"]},
                ],
            },
        }
    data["budgets"] = [{"owner": owner, "unit": "person", "epsilon": 5} for owner in ("airport", "registry")]
    data["crosstab"] = {
        "identifiers": [{"kind": "phone", "normalise": ["e164"]}, {"kind": "name"}],
        "calling_code": "81",
        "tables": [
            {"table": "flights", "other": [{"column_name": "band", "value": "other"}]},
            {"table": "planes"},
        ],
    }


ROWS = {
    "Tel": ["090-1234-5678", "+81 90 1234 5678", "０８０１２３４５６７８", None, "secret-value"],
    "family": ["A", "A", "B", "C", None],
    "area": ["north", "south", "west", "north", "north"],
    "band": ["a", "b", "a", "a", "a"],
    "stay": [1, None, 3, 4, 5],
}


@pytest.fixture
def node(make, hitoku):
    """The airport's directory with a node.toml and a file."""
    place = make(crosstab)
    path = place.members["airport"].path
    assert hitoku("node", "init", path, "--room", place.room_file)[0] == 0
    settings = path / "node.toml"
    settings.write_text(COMMENT + settings.read_text())
    pq.write_table(pa.table(ROWS), path / "people.parquet")
    return path


MAPPED = ("--column", "phone=Tel")


def test_a_table_is_entered_listed_and_checked(node, hitoku):
    before = (node / "node.toml").read_text()
    code, out, err = hitoku("table", "add", node, "flights", "--source", node / "people.parquet", *MAPPED)
    assert (code, err) == (0, "")
    assert "table flights entered" in out
    assert (node / "node.toml").read_text().startswith(before)
    (table,) = NodeSettings.open(node).tables
    assert (table.name, table.source, table.columns) == ("flights", "people.parquet", {"phone": "Tel"})
    assert hitoku("table", "list", node)[1] == "flights: people.parquet\n"
    code, out, err = hitoku("table", "check", node, "flights")
    assert code == 0
    assert out == (
        "flights in room Test room: 5 rows, 2 people\n"
        "  1 further rows of these people: merged into one row each\n"
        "  2 rows without a usable identifier: left out\n"
        "  area: 1 rows outside its public values: left out where it is grouped by\n"
        "  band: 1 rows outside its public values: counted as `other`\n"
        "  stay: 1 rows without a number: they count as 0\n"
        "These figures are for you alone: no other member is told any of them.\n"
    )
    code, out, _ = hitoku("table", "check", node, "flights", "--json")
    (room,) = json.loads(out)["rooms"]
    assert (room["people"], room["unusable"], room["outside"]) == (2, 2, {"area": 1, "band": 1})


def test_identifiers_of_several_columns_and_a_uri(node, hitoku):
    with duckdb.connect(node / "p.db") as connection:
        connection.execute(
            "CREATE TABLE t(tel VARCHAR, f VARCHAR, g VARCHAR, area VARCHAR, band VARCHAR, stay INT)"
        )
        connection.execute(
            "INSERT INTO t VALUES (NULL, 'Sato', 'Ai', 'north', 'a', 1), ('', '', 'B', 'x', 'a', 1)"
        )
    words = ["--person", "name=f", "--person", "name=g", "--person", "phone=tel"]
    code, out, err = hitoku("table", "add", node, "flights", "--source", "duckdb:p.db?table=t", *words)
    assert (code, err) == (0, "")
    (table,) = NodeSettings.open(node).tables
    assert table.person == {"name": ("f", "g"), "phone": ("tel",)}
    out = hitoku("table", "check", node, "flights")[1]
    assert "2 rows, 1 people" in out
    assert "1 rows without a usable identifier" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["flights", "--source", "nope.parquet"], "No such file"),
        (["flights", "--source", "people.parquet"], "table flights: its source has no column phone"),
        (["flights", "--source", "people.parquet", *MAPPED, "--column", "x=Tel"], "has no column x"),
        (["flights", "--source", "people.parquet", *MAPPED, "--column", "stay=nope"], "no column nope"),
        (
            ["flights", "--source", "people.parquet", "--person", "mail=Tel"],
            "no identifier 'mail'; it has phone, name",
        ),
        (["flights", "--source", "people.parquet", "--person", "phone"], "--person KIND=SOURCE is expected"),
        (["planes", "--source", "people.parquet"], "airport owns a table 'planes' in no room of this node"),
        (["flights", "--source", "people.parquet", "--room", "Other"], "in no room 'Other' of this node"),
        (["flights", "--source", "postgresql://u:hunter2@h/d?table=t"], "a password has no place in a URI"),
    ],
)
def test_what_cannot_be_used_is_not_entered(node, hitoku, monkeypatch, words, said):
    monkeypatch.chdir(node)
    before = (node / "node.toml").read_text()
    code, out, err = hitoku("table", "add", node, *words)
    assert code == 4
    assert said in err
    assert "hunter2" not in out + err
    assert "secret-value" not in out + err
    assert (node / "node.toml").read_text() == before


def test_a_table_is_entered_once_and_odd_names_survive(node, hitoku, monkeypatch):
    monkeypatch.chdir(node)
    odd = '電話 "😀"\\ \x7f'
    pq.write_table(
        pa.table({odd: ["0901"], "area": ["x"], "band": ["a"], "stay": [1]}), node / "odd 😀.parquet"
    )
    add = ("table", "add", node, "flights", "--source", "odd 😀.parquet", "--column", f"phone={odd}")
    code, out, _ = hitoku(*add, "--json")
    assert (code, json.loads(out)["source"]) == (0, "odd 😀.parquet")
    (table,) = NodeSettings.open(node).tables
    assert (table.source, table.columns) == ("odd 😀.parquet", {"phone": odd})
    code, _, err = hitoku(*add)
    assert (code, "has table 'flights' already" in err) == (4, True)


def test_without_tables_or_agreement(make, hitoku):
    place = make(None)
    path = place.members["airport"].path
    hitoku("node", "init", path, "--room", place.room_file)
    assert hitoku("table", "list", path)[1].startswith("no tables")
    code, _, err = hitoku("table", "check", path, "flights")
    assert (code, "has no table 'flights'" in err) == (4, True)
    (path / "f.csv").write_text("tailnum,dest_sealed,carrier,arr_delay\nN1,x,AA,5\nN2,y,BB,6\n")
    add = ("table", "add", path, "flights", "--source", path / "f.csv")
    code, _, err = hitoku(*add, "--person", "phone=tailnum")
    assert (code, "has no identifiers of persons" in err) == (4, True)
    assert hitoku(*add)[0] == 0
    out = hitoku("table", "check", path, "flights")[1]
    assert out.startswith("flights in room Test room: 2 rows; the room has no private cross statistics")
