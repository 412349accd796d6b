# SPDX-License-Identifier: Apache-2.0
"""Private cross statistics asked in the console, with both nodes as processes: cost, phases, bands, ends."""

from __future__ import annotations

import html
import http.client
import json
import re
import signal
import time
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from tests.console.conftest import make_console
from tests.e2e.crosstab_world import COUNTS, LED_BY_CLINIC, LED_BY_INSURER, OWNERS, World, serving
from tests.e2e.nodes import free_ports

from hitoku.console.users import May
from hitoku.console.work.asks import asks_of
from hitoku.room.consoletables import asks as table
from hitoku.room.store import Store

pytestmark = pytest.mark.slow


class Page:
    """A signed-in user of a console that a node serves in a process of its own."""

    def __init__(self, world: World, member: str, port: int) -> None:
        self.port, self.place = port, world.path / member
        self.console = make_console(world.place, member)
        self.browser = self.console.sign_in(May.ASK)

    def send(self, method: str, path: str, **fields: str) -> tuple[int, str, str]:
        """Status, where it leads, and the page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Cookie": f"{self.browser.site.cookie('session')}={self.browser.session}"}
        body = None
        if method == "POST":
            body = urlencode({"csrf": self.browser.csrf, **fields})
            headers |= {
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": f"http://127.0.0.1:{self.port}",
            }
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("location", ""), answer.read().decode()
        finally:
            connection.close()

    def row(self, ask: str) -> Any:
        """What stands in the member's database of a question."""
        with Store(self.place / "state.db").reading() as connection:
            return connection.execute(sa.select(table).where(table.c.id == ask)).first()


@pytest.fixture(scope="module")
def served(world: World):
    """The insurer's node with a console of its own."""
    port = free_ports(1)[0]
    path = world.path / "insurer" / "node.toml"
    url = f"http://127.0.0.1:{port}"
    with path.open("a", encoding="utf-8") as file:
        file.write(f'\n[console]\nlisten = "127.0.0.1:{port}"\nurl = "{url}"\n')
    world.nodes.stop("insurer")
    world.start("insurer")
    made = Page(world, "insurer", port)
    yield made
    made.console.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_node_that_ends_in_the_middle_notes_it(world, served, number):
    sql = COUNTS.replace("AS people", "AS " + ("stopped" if number == signal.SIGTERM else "killed"))
    before = {name: set(world.charged(name)) for name in OWNERS}
    status, where, page = served.send("POST", f"/rooms/{served.console.room}/ask", sql=sql, do="run")
    assert status == 303, page
    ask = where.rpartition("/")[2]
    end = time.monotonic() + 60
    while len(json.loads(served.row(ask).phases)) < 3:
        assert time.monotonic() < end
        time.sleep(0.005)
    world.nodes.stop("insurer", number)
    after = served.row(ask)
    assert after.state == ("interrupted" if number == signal.SIGTERM else "running")
    world.start("insurer")
    status, _, page = served.send("GET", where)
    assert status == 200
    assert "cut off" in page
    assert served.row(ask).state == "interrupted"
    why = json.loads(served.row(ask).refusal)
    assert why["charge"] in {"open", "charged"}
    assert 'value="run"' in page, "it can be asked again at once"
    status, where, page = served.send("POST", f"/rooms/{served.console.room}/ask", sql=sql, do="run")
    assert status == 303, page
    again = where.rpartition("/")[2]
    end = time.monotonic() + 120
    while served.row(again).state in {"queued", "running"}:
        assert time.monotonic() < end
        time.sleep(0.1)
    found = served.row(again)
    assert found.state == "done", found.refusal
    # One charge: of the first run where it goes on, else of the second. A first run that broke off for good,
    # once it had begun, stays charged beside it: what had left an owner has left.
    first = served.row(ask).run
    for name in OWNERS:
        charged = set(world.charged(name)) - before[name]
        assert charged - {first} == {found.run} - {first}
        assert found.run in charged
        assert world.charged(name)[found.run] == 1
    if why["charge"] == "open" and world.entries("clinic", "charge")[served.row(ask).run]:
        assert found.run == served.row(ask).run


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("crosstab")) as made:
        yield made


@pytest.fixture
def console(world: World):
    made = make_console(world.place, "clinic")
    yield made
    asks_of(made.context).close()
    made.close()


def until(asks, user, ask, done, seconds: float = 90):
    """The question as soon as `done` says so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = asks.find(user, ask.id).ask
        if done(found):
            return found
        time.sleep(0.01)
    raise AssertionError(asks.find(user, ask.id))


def ended(ask):
    return ask.ended


def computing(ask):
    """Past the consents: the members' nodes are at work."""
    return len(ask.phases) > 3 or ask.ended


def test_cost_bands_and_budget_are_shown(world, console):
    anne = console.sign_in(May.ASK)
    page = html.unescape(anne.submit(f"/rooms/{console.room}/ask", sql=LED_BY_CLINIC).text)
    assert re.search(r"clinic · person.*?insurer · person", page, re.S)
    assert "crosstab" in page
    assert re.search(r"Predicted.*?about .*? over the network", page, re.S)
    assert "as many rows as yours (500)" in page
    asks, user = asks_of(console.context), anne.account.user()
    ask = asks.ask(user, console.room, LED_BY_CLINIC)
    done = until(asks, user, ask, ended)
    assert done.state == "done", done.refusal
    assert len(done.phases) > 4, "the members' own phases are told, too"
    world.check(asks.answer(user, ask.id))
    page = html.unescape(anne.get(f"/rooms/{console.room}/asks/{ask.id}").text)
    for words in (
        "± (95 %)",
        "from (95 %)",
        "Every figure carries noise",
        "clinic's account for person: epsilon",
    ):
        assert words in page
    assert anne.get(f"/rooms/{console.room}/asks/{ask.id}/plot.json").json()["layer"][1]["encoding"]["x2"]
    jobs = html.unescape(anne.get("/jobs").text)
    assert "leads" in jobs
    assert done.run[:12] in jobs


def test_one_that_a_restart_cut_off_is_answered_at_no_further_cost(world, console):
    asks, user = asks_of(console.context), console.sign_in(May.ASK).account.user()
    ask = asks.ask(user, console.room, LED_BY_INSURER)
    until(asks, user, ask, computing)
    asks.close()
    cut: Any = asks.find(user, ask.id).ask
    assert (cut.state, cut.refusal["charge"]) == ("interrupted", "open")
    before = {name: set(world.charged(name)) for name in OWNERS}
    again = asks_of(console.context)
    second = again.ask(user, console.room, LED_BY_INSURER)
    done = until(again, user, second, ended)
    assert done.state == "done", done.refusal
    assert done.run == cut.run
    world.check(again.answer(user, second.id), LED_BY_INSURER)
    for name in OWNERS:
        assert set(world.charged(name)) == before[name]
        assert world.charged(name)[cut.run] == 1
    third = again.ask(user, console.room, LED_BY_INSURER)  # its answer is here: this is a new question
    done = until(again, user, third, ended)
    assert done.state == "done", done.refusal
    assert done.run != cut.run
    assert set(world.charged("clinic")) == before["clinic"] | {done.run}


def test_one_that_is_cancelled_says_what_is_known_of_its_charge(world, console):
    asks, user = asks_of(console.context), console.sign_in(May.ASK).account.user()
    ask = asks.ask(user, console.room, COUNTS)
    until(asks, user, ask, computing)
    asks.cancel(user, ask.id)
    found = until(asks, user, ask, ended)
    assert found.state == "cancelled"
    assert found.refusal["charge"] in {"charged", "given_up"}
    charged = world.charged("clinic")[found.run]
    assert charged == (1 if found.refusal["charge"] == "charged" else 0)
