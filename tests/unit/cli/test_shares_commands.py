# SPDX-License-Identifier: Apache-2.0
"""What commands say of rooms with secret-shared tables, and what `node init` writes for their servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.sharing import SQL, World, agreement_data, make

from hitoku.cli import main as cli
from hitoku.node.settings import NodeSettings, SharesSettings


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    data = agreement_data()
    data["members"].append({"name": "guest", "abilities": ["receive"]})
    data["shares"]["tables"][0] |= {
        "rows": 100,
        "columns": [{"columnName": "spend", "lower": 0, "upper": 500}],
        "repeats": 4,
    }
    return make(tmp_path_factory.mktemp("commands"), data)


def test_a_servers_node_listens_for_the_others(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    room = str(world.place / "room.yaml")
    for name, more, expected in (
        ("lab", ["--listen", "127.0.0.2:8443"], SharesSettings(listen="127.0.0.2:0")),
        (
            "telco",
            ["--shares", "0.0.0.0:9443", "--advertise", "telco.example:9443"],
            SharesSettings(listen="0.0.0.0:9443", advertise="telco.example:9443"),
        ),
        ("guest", [], None),
    ):
        directory = world.members[name].path
        assert cli.run(["node", "init", str(directory), "--room", room, *more]) == 0
        assert NodeSettings.open(directory).shares == expected
        (directory / "node.toml").unlink()
    capsys.readouterr()


def test_a_room_says_who_computes_and_what_is_public(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["room", "show", str(world.place / "room.yaml")]) == 0
    shown = capsys.readouterr().out
    assert "shop (leads), telco and lab compute; any two together could read the tables" in shown
    assert "public of customers: 100 rows; unique phone; a key in at most 4 rows; spend 0 to 500" in shown


def test_doctor_looks_at_the_servers(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["doctor", "--room", str(world.place), "--json"])
    findings = {f["name"]: f for f in json.loads(capsys.readouterr().out)["findings"]}
    assert findings["three-server kernel"]["state"] == "ok"
    assert "3 of their directories are here" in findings["servers on shares"]["detail"]
    assert "different companies" in findings["servers on shares"]["remedy"]


def test_explain_shows_steps_and_what_servers_see(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", SQL, "--room", str(world.place), "--as", "shop"]) == 0
    shown = capsys.readouterr().out
    assert "By shares, who learns what:" in shown
    assert "each server sees:" in shown
    assert "rounds" in shown
    assert not Path("answers").exists()
