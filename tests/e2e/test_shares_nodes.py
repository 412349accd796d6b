# SPDX-License-Identifier: Apache-2.0
"""Three `hitoku node` processes, two owners and a neutral, compute on shares over HTTPS and their own TLS."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from tests.e2e.nodes import SECONDS, Nodes, hitoku
from tests.sharing import CLEAR, JOIN, SQL, World, make, tables

from hitoku import limits
from hitoku.errors import HitokuError
from hitoku.node.remote import open_remote_room
from hitoku.room.ledger import EntryKind

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def nodes_of(world: World) -> Nodes:
    place: Any = SimpleNamespace(members=world.members, path=world.place, room_file=world.place / "room.yaml")
    return Nodes(place)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = make(tmp_path_factory.mktemp("nodes"))
    nodes = nodes_of(made)
    try:
        nodes.start()
        yield made
    finally:
        nodes.end()


def rows(answer: Any) -> dict[str, tuple[int, ...]]:
    return {row[0]: tuple(row[1:]) for row in answer.fetchall()}


def test_it_is_answered_over_the_network(world: World) -> None:
    answer = open_remote_room(world.members["shop"].path).ask(SQL)
    assert rows(answer) == CLEAR
    assert world.stays() == []


QUESTIONS = [
    f"SELECT s.plan, COUNT(DISTINCT c.phone) AS n {JOIN} WHERE c.region <> 'region 2' GROUP BY s.plan",
    f"SELECT c.region, s.plan, SUM(c.spend) AS t {JOIN} GROUP BY c.region, s.plan",
    f"SELECT COUNT(DISTINCT c.phone) AS n, SUM(c.spend) AS t {JOIN} WHERE c.region <> 'region 1'",
    f"SELECT s.plan, SUM(c.spend) AS t {JOIN} GROUP BY s.plan HAVING SUM(c.spend) > 1500 ORDER BY t DESC",
]


@pytest.mark.parametrize("place", range(len(QUESTIONS)))
def test_answers_equal_duckdb(world: World, place: int) -> None:
    sql = QUESTIONS[place]
    clear = duckdb.connect()
    for name, table in tables().items():
        clear.register(name, table)
    minimum = "COUNT(DISTINCT c.phone) >= 5 AND COUNT(DISTINCT s.phone) >= 3"
    with_minimum = (
        sql.replace("HAVING", f"HAVING {minimum} AND") if "HAVING" in sql else f"{sql} HAVING {minimum}"
    )
    expected = sorted(clear.execute(with_minimum).fetchall())
    answer = open_remote_room(world.members["telco"].path).ask(sql)
    assert sorted(answer.fetchall()) == expected


def test_others_receive_over_the_network(world: World) -> None:
    answer = open_remote_room(world.members["shop"].path).ask(SQL, receivers=["shop", "telco"])
    file = world.members["telco"].path / "answers" / f"{answer.run}.json"
    theirs = json.loads(file.read_text())
    assert theirs["rows"] == json.loads(json.dumps(answer.to_dict()))["rows"]
    assert theirs["released_at"] == answer.released_at


def test_the_shell_asks_and_explains(world: World) -> None:
    place = world.members["shop"].path
    shown = hitoku("ask", SQL, "--room", place, "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["protection"] == "shares"
    explained = hitoku("explain", SQL, "--room", place)
    assert "no two of the three servers" in explained.stdout


@pytest.mark.parametrize("server", ["lab", "telco", "shop"])
def test_a_server_that_is_killed_ends_the_run_promptly(tmp_path: Path, server: str) -> None:
    """And when it serves again, the next question is answered. What was begun is charged, at every member."""
    import pyarrow as pa
    from tests.sharing import agreement_data

    many = 60_000
    numbers = [f"+49 170 {n:07d}" for n in range(many)]
    content = {
        "customers": pa.table(
            {
                "phone": numbers,
                "region": [f"region {n % 3}" for n in range(many)],
                "spend": pa.array(range(many), pa.int32()),
            }
        ),
        "subscribers": pa.table({"phone": numbers, "plan": [f"plan {n % 7}" for n in range(many)]}),
    }
    made = make(tmp_path, agreement_data(), content)
    nodes = nodes_of(made)
    asker = "telco" if server == "shop" else "shop"
    found: list[HitokuError] = []
    took: list[float] = []

    def ask() -> None:
        try:
            open_remote_room(made.members[asker].path).ask(SQL)
        except HitokuError as error:
            found.append(error)
        took.append(time.monotonic())

    try:
        nodes.start()
        thread = threading.Thread(target=ask)
        thread.start()
        # Killed while it computes: its node has joined the others.
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and not (made.place / "telco" / "shares" / "runs").exists():
            time.sleep(0.05)
        killed = time.monotonic()
        nodes.stop(server, signal.SIGKILL)
        thread.join(limits.RUN_SECONDS)
        assert found, "the run came to its end before the server was killed"
        assert "in time" not in str(found[0])  # its end was noticed, not waited out
        assert took[0] - killed < limits.RUN_SECONDS / 2
        nodes.start(server)
        answer = open_remote_room(made.members[asker].path).ask(SQL)
        assert len(answer) == 7
        # Where it led, nobody told the owners that the run is over: it goes when it is too old.
        if server != "shop":
            assert made.stays() == []
    finally:
        nodes.end()
    released = {e["run"] for e in made.entries("telco", EntryKind.RELEASE)}
    assert released == {answer.run}
