# SPDX-License-Identifier: Apache-2.0
"""Private cross statistics asked in the console, with both nodes as processes: cost, phases, bands, ends."""

from __future__ import annotations

import html
import http.client
import json
import re
import shutil
import signal
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from tests.console.conftest import make_console
from tests.e2e.crosstab_world import (
    COUNTS,
    LED_BY_CLINIC,
    LED_BY_INSURER,
    OWNERS,
    SECONDS,
    World,
    appears,
    serving,
)
from tests.e2e.nodes import free_ports

from hitoku.console.users import May
from hitoku.console.words import say
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
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
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

    def ask(self, sql: str) -> tuple[str, str]:
        """Ask a question: its id, and where it is."""
        status, where, page = self.send("POST", f"/rooms/{self.console.room}/ask", sql=sql, do="run")
        assert status == 303, page
        return where.rpartition("/")[2], where

    def again(self, sql: str) -> Any:
        """Ask a question, and wait for its end."""
        ask, _ = self.ask(sql)
        until_true(lambda: self.row(ask).state not in {"queued", "running"})
        return self.row(ask)


def until_true(done: Callable[[], bool], seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(scope="module")
def served(world: World):
    """The insurer's node with a console of its own."""
    port = free_ports(1)[0]
    path = world.path / "insurer" / "node.toml"
    url = f"http://127.0.0.1:{port}"
    with path.open("a", encoding="utf-8") as file:
        file.write(f'\n[console]\nlisten = "127.0.0.1:{port}"\nurl = "{url}"\n')
    world.stop("insurer")
    world.start("insurer")
    made = Page(world, "insurer", port)
    yield made
    made.console.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_node_that_ends_in_the_middle_notes_it(world, served, number):
    sql = COUNTS.replace("AS people", "AS " + ("stopped" if number == signal.SIGTERM else "killed"))
    before = {name: set(world.charged(name)) for name in OWNERS}
    ask, where = served.ask(sql)
    until_true(lambda: len(json.loads(served.row(ask).phases)) >= 3)
    if number == signal.SIGTERM:
        world.stop("insurer")
    else:
        world.kill("insurer")
    after = served.row(ask)
    # Where a stop takes long, the other owner may notice it first, and say so: then there is an answer.
    assert after.state in ({"interrupted", "failed"} if number == signal.SIGTERM else {"running"})
    world.start("insurer")
    status, _, page = served.send("GET", where)
    assert status == 200
    ended = served.row(ask)
    assert ended.state == ("failed" if after.state == "failed" else "interrupted")
    page = html.unescape(page)
    assert say("en", f"ask.state_{ended.state}") in page
    assert 'value="run"' in page, "it can be asked again at once"
    first = ended.run
    assert first in page
    free = say("en", "ask.charge_given_up") in page
    assert free or any(say("en", f"ask.charge_{word}") in page for word in ("open", "charged"))
    if free:  # what the page says of this node's own account is what the account says
        assert first not in world.charged("insurer")
    found = served.again(sql)
    assert found.state == "done", found.refusal
    # Either the first run goes on, and is answered, or it never began, and nobody charges it.
    for name in OWNERS:
        assert set(world.charged(name)) - before[name] == {found.run}
        assert world.charged(name)[found.run] == 1
    assert not (free and found.run == first)


def test_one_that_broke_off_once_it_had_begun_stays_charged_and_the_page_says_so(world, served):
    sql = COUNTS.replace("AS people", "AS broken")
    before = {name: set(world.charged(name)) for name in OWNERS}
    ask, where = served.ask(sql)
    until_true(lambda: served.row(ask).run is not None)
    first = served.row(ask).run
    assert appears(world.path / "clinic" / "runs" / first / "left-offer-a", lambda: True)
    for name in OWNERS:
        world.kill(name)
    shutil.rmtree(world.path / "clinic" / "runs" / first)  # its secrets are lost: nobody can go on with it
    world.start()
    world.settled(first)
    until_true(lambda: say("en", "ask.charge_charged") in html.unescape(served.send("GET", where)[2]))
    page = html.unescape(served.send("GET", where)[2])
    assert say("en", "ask.interrupted_why") in page
    assert "broke off once it had begun stays charged" in page
    found = served.again(sql)
    assert found.state == "done", found.refusal
    assert found.run != first
    for name in OWNERS:  # what had left an owner has left, and new noise was drawn for the second
        assert set(world.charged(name)) - before[name] == {first, found.run}
        assert world.charged(name)[first] == world.charged(name)[found.run] == 1


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


def until(asks, user, ask, done, seconds: float = SECONDS):
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


def test_two_at_once_that_were_cut_off_are_each_answered_from_their_own_run(world, console):
    sql = LED_BY_INSURER.replace("AS people", "AS twice")
    asks, user = asks_of(console.context), console.sign_in(May.ASK).account.user()
    both = [asks.ask(user, console.room, sql) for _ in range(2)]
    for ask in both:
        until(asks, user, ask, computing)
    asks.close()
    cut = {asks.find(user, ask.id).ask.run for ask in both}
    assert len(cut) == 2
    before = {name: set(world.charged(name)) for name in OWNERS}
    again = asks_of(console.context)
    second = [again.ask(user, console.room, sql) for _ in range(2)]
    done = [until(again, user, ask, ended) for ask in second]
    assert [one.state for one in done] == ["done", "done"], [one.refusal for one in done]
    assert {one.run for one in done} == cut
    for one in done:
        world.check(again.answer(user, one.id), LED_BY_INSURER)
    for name in OWNERS:
        assert set(world.charged(name)) == before[name]


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
