# SPDX-License-Identifier: Apache-2.0
"""Three members' nodes as processes over HTTPS; a worker that its node launches for each question."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.e2e.nodes import Nodes, hitoku
from tests.enclaves import CLEAR, PROGRAM, SQL, World, agreement_data, make, tables

from hitoku.attestation.attest.dev import make_key_file
from hitoku.errors import Refusal
from hitoku.node.remote import open_remote_room

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def nodes_of(world: World, **settings: str) -> Nodes:
    """The members' nodes; `settings` are of the place where enclaves run."""
    place: Any = SimpleNamespace(members=world.members, path=world.place, room_file=world.place / "room.yaml")
    made = Nodes(place)
    lines = ["", "[enclave]", *(f'{name} = "{value}"' for name, value in settings.items()), ""]
    with (world.members["cloud"].path / "node.toml").open("a") as file:
        file.write("\n".join(lines))
    return made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = make(tmp_path_factory.mktemp("nodes"), agreement_data(), tables())
    make_key_file(made.members["cloud"].path / "dev.key", PROGRAM)
    nodes = nodes_of(made, platform="dev", device="dev.key")
    try:
        nodes.start()
        yield made
    finally:
        nodes.end()


def test_it_is_answered_over_the_network(world: World) -> None:
    answer = open_remote_room(world.members["shop"].path).ask(SQL)
    assert dict(answer.fetchall()) == CLEAR
    assert answer.attestation is not None
    assert answer.attestation["evidence"] == "dev"
    file = world.members["shop"].path / "answers" / f"{answer.run}.deletion.json"
    assert json.loads(file.read_text())["run"] == answer.run


def test_others_receive_over_the_network(world: World) -> None:
    answer = open_remote_room(world.members["shop"].path).ask(SQL, receivers=["shop", "telco"])
    file = world.members["telco"].path / "answers" / f"{answer.run}.json"
    assert json.loads(file.read_text())["rows"] == [list(row) for row in answer.fetchall()]


def test_the_shell_shows_the_stamp(world: World) -> None:
    place = world.members["shop"].path
    shown = hitoku("ask", SQL, "--room", place)
    assert shown.returncode == 0, shown.stderr
    assert "SOFTWARE-ROOTED" in shown.stdout
    as_csv = hitoku("ask", SQL, "--room", place, "--csv")
    assert "SOFTWARE-ROOTED" in as_csv.stderr
    as_json = json.loads(hitoku("ask", SQL, "--room", place, "--json").stdout)
    assert as_json["attestation"]["software_rooted"] is True
    explained = hitoku("explain", SQL, "--room", place)
    assert "protects nothing" in explained.stdout


def test_another_program_is_refused_over_the_network(tmp_path: Path) -> None:
    world = make(tmp_path, agreement_data(), tables())
    make_key_file(world.members["cloud"].path / "dev.key", "ab" * 48)
    nodes = nodes_of(world, platform="dev", device="dev.key")
    try:
        nodes.start()
        with pytest.raises(Refusal) as caught:
            open_remote_room(world.members["shop"].path).ask(SQL)
    finally:
        nodes.end()
    assert caught.value.code == "MEASUREMENT_MISMATCH"
    assert caught.value.owner == "shop"
    assert not (world.members["shop"].path / "answers").exists()
