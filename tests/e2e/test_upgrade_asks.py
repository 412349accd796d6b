# SPDX-License-Identifier: Apache-2.0
"""A question asked through the API of a console whose node is stopped, upgraded and started in its midst.

Asked again, it is answered at no second charge where another member had charged it. For private cross
statistics, see tests/console/test_ask_crosstab.py; of an answer on shares the key ended with the process, so
it is charged again, and the console says so.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import Place
from tests.e2e.nodes import Nodes, free_ports
from tests.e2e.releases import released
from tests.e2e.soak import made
from tests.e2e.test_load import cost
from tests.e2e.test_nodes import _working
from tests.e2e.test_shares_nodes import nodes_of
from tests.e2e.test_upgrade import NEWER, NOISED, USERS, looked, noised_place, serves
from tests.sharing import SQL, agreement_data, make

from hitoku.console.words import say
from hitoku.room.directory import MemberDirectory
from hitoku.room.ledger import EntryKind

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ENDED = {"done", "refused", "failed", "cancelled", "interrupted"}
SECONDS = 300


class Api:
    """A user's token at a member's console."""

    def __init__(self, client: httpx.Client, room: str) -> None:
        self._client, self._asks = client, f"/api/v1/rooms/{room}/asks"

    def ask(self, sql: str) -> str:
        answer = self._client.post(self._asks, json={"sql": sql})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def look(self, ask: str) -> dict[str, Any]:
        answer = self._client.get(f"{self._asks}/{ask}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, ask: str) -> dict[str, Any]:
        until_true(lambda: self.look(ask)["state"] in ENDED)
        return self.look(ask)


def until_true(done: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < until
        time.sleep(0.002)


@contextmanager
def console(directory: MemberDirectory, room: str) -> Iterator[Api]:
    """A console for a member's node, before it starts, and a user's token for it."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with (directory.path / "node.toml").open("a") as file:
        file.write(f'\n[console]\nlisten = "127.0.0.1:{port}"\nurl = "{url}"\n')
    made("user", "add", directory.path, "anne", "--ability", "ask", text="a password of a test 83b1\n")
    token = re.search(r"hitoku_[A-Za-z0-9_-]+", made("user", "token", directory.path, "anne"))
    assert token is not None
    headers = {"authorization": f"Bearer {token[0]}"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=SECONDS) as client:
        yield Api(client, room)


def wait_for_console(api: Api, nodes: Nodes, member: str) -> None:
    until = time.monotonic() + SECONDS
    while True:
        try:
            api._client.get("/api/v1/health")
            break
        except httpx.TransportError:
            assert nodes.processes[member].poll() is None, nodes.log(member).read_text("utf-8")
            assert time.monotonic() < until
            time.sleep(0.1)
    serves(nodes, member)


def test_tokens_what_the_host_ended_meanwhile_is_given_again(tmp_path: Path) -> None:
    place: Place = noised_place(tmp_path / "place")
    nodes = Nodes(place)
    newer = released(tmp_path / "newer", NEWER, migrates=True)
    try:
        with console(place.members["airport"], str(place.agreement.id)) as api:
            nodes.start()
            wait_for_console(api, nodes, "airport")
            ask = api.ask(NOISED)
            until = time.monotonic() + SECONDS
            while not (engines := _working(nodes)):
                assert time.monotonic() < until
                time.sleep(0.001)
            (engine,) = engines
            os.kill(engine, signal.SIGSTOP)  # the run is under way at the host, for sure
            assert nodes.stop("airport") == 0
            os.kill(engine, signal.SIGCONT)
            until_true(lambda: any(line.get("kind") == "hitoku/settle/1" for line in nodes.lines("registry")))
            nodes.more = newer.environment
            nodes.start("airport")
            wait_for_console(api, nodes, "airport")
            cut = api.look(ask)
            assert (cut["state"], cut["charge"]) == ("interrupted", "open")
            again = api.ended(api.ask(NOISED))
            assert again["state"] == "done", again
            assert again["run"] == cut["run"]
    finally:
        nodes.end()
    seen = looked(newer, tmp_path / "place")
    assert seen["registry"]["accounts"] == {"tails": [1, cost(USERS)]}
    assert {run for run, kinds in seen["registry"]["entries"].items() if kinds.get("charge")} == {cut["run"]}


def test_shares_are_charged_again_and_the_console_says_so(tmp_path: Path) -> None:
    import pyarrow as pa

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
    world = make(tmp_path, agreement_data(), content)
    nodes = nodes_of(world)
    try:
        with console(world.members["telco"], str(world.room.agreement.id)) as api:
            nodes.start()
            wait_for_console(api, nodes, "telco")
            ask = api.ask(SQL)
            until_true(lambda: (world.place / "telco" / "shares" / "runs").exists())
            nodes.stop("telco", signal.SIGKILL)
            nodes.start("telco")
            wait_for_console(api, nodes, "telco")
            cut = api.look(ask)
            assert (cut["state"], cut["charge"]) == ("interrupted", "open")
            until_true(lambda: any(e["run"] == cut["run"] for e in world.entries("shop", EntryKind.CHARGE)))
            again = api.ended(api.ask(SQL))
            assert again["state"] == "done", again
            assert again["run"] != cut["run"]
    finally:
        nodes.end()
    for owner in ("shop", "telco"):
        charged = {e["run"] for e in world.entries(owner, EntryKind.CHARGE)}
        assert {again["run"]} <= charged <= {again["run"], cut["run"]}
    for language, words in (("en", "computed, and charged, anew"), ("ja", "改めて計上")):
        assert words in say(language, "ask.interrupted_why")
        assert "shares" in say(language, "ask.interrupted_why")
