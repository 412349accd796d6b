# SPDX-License-Identifier: Apache-2.0
"""Questions of the console over real nodes: written down, run, seen, cancelled, cut off."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import PLANTED, QUESTION, REFUSED, fill, make_place
from tests.console.asking import Served, context, user

from hitoku import limits
from hitoku.console.context import NotFound
from hitoku.console.users import May
from hitoku.console.work import following, running
from hitoku.console.work.asks import Asks, asks_of
from hitoku.console.work.asks_store import Ask, moment
from hitoku.errors import InputError, LimitError, RoomError
from hitoku.node.local import RoomHandle
from hitoku.node.settings import NodeSettings
from hitoku.ports import SystemClock

ANNE, BERT = user("anne", May.ASK), user("bert", May.ASK)
AUDITOR, BOTH = user("carl", May.AUDIT), user("dora", May.AUDIT, May.ASK)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    nodes = Served(fill(make_place(tmp_path_factory.mktemp("asks"))))
    nodes.start()
    yield nodes
    nodes.stop()


@pytest.fixture
def asks(served):
    made = asks_of(context(served.place))
    yield made
    made.close()


@pytest.fixture
def room(served):
    return str(served.place.agreement.id)


def wait(asks: Asks, ask: Ask, who=ANNE, seconds: float = 60) -> Any:
    """The question at its end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = asks.find(who, ask.id).ask
        if found.ended:
            return found
        time.sleep(0.02)
    raise AssertionError(asks.find(who, ask.id))


def test_a_question_runs_and_its_user_has_the_answer(asks, room):
    taken = asks.ask(ANNE, room, QUESTION)
    assert taken.state == "queued"
    done = wait(asks, taken)
    assert done.state == "done", done.refusal
    answer = asks.answer(ANNE, done.id)
    assert answer.fetchall() == [("BIG", 18, pytest.approx(183 / 18))]
    assert done.run == answer.run
    assert [phase.name for phase in done.phases] == ["check", "consent", "run", "receive"]
    assert all(phase.ended is not None for phase in done.phases)
    assert done.phases[1].done == done.phases[1].total == 2
    assert done.options.question == answer.question
    again = wait(asks, asks.ask(ANNE, room, QUESTION))
    assert asks.answer(ANNE, again.id).run == answer.run


def test_a_refusal_is_kept_with_what_to_do(asks, room):
    ended = wait(asks, asks.ask(ANNE, room, REFUSED))
    assert ended.state == "refused"
    assert ended.refusal["remedy"]
    assert ended.refusal["ja"]["message"]
    start, end = ended.refusal["span"]
    assert "dest_sealed" in REFUSED[start:end]
    with pytest.raises(NotFound):
        asks.answer(ANNE, ended.id)


def test_who_sees_what(asks, room):
    taken = wait(asks, asks.ask(ANNE, room, QUESTION))
    for who in (BERT, user("erik", May.SIGN, May.TABLES, May.ADMINISTER)):
        for look in (asks.find, asks.answer, asks.cancel):
            with pytest.raises(NotFound):
                look(who, taken.id)
    seen = asks.find(AUDITOR, taken.id)
    assert (seen.mine, seen.rows, seen.ask.sql) == (False, False, QUESTION)
    with pytest.raises(NotFound):
        asks.answer(AUDITOR, taken.id)
    assert asks.answer(BOTH, taken.id).num_rows == 1
    with pytest.raises(NotFound):
        asks.cancel(BOTH, taken.id)
    for who in (replace(ANNE, rooms=frozenset()), replace(BOTH, rooms=frozenset({"other"}))):
        with pytest.raises(NotFound):
            asks.find(who, taken.id)
    with pytest.raises(NotFound):
        asks.find(ANNE, taken.id, "00000000-0000-0000-0000-000000000000")
    for text in ("", "x" * 32, "' OR 1=1 --", taken.id.upper() + "0"):
        with pytest.raises(NotFound):
            asks.find(ANNE, text)
    assert taken.id in {ask.id for ask in asks.some(ANNE)[0]}
    assert taken.id not in {ask.id for ask in asks.some(BERT, everybody=True)[0]}
    assert taken.id in {ask.id for ask in asks.some(AUDITOR, everybody=True)[0]}
    assert taken.id not in {ask.id for ask in asks.some(AUDITOR)[0]}


def test_questions_are_found_by_their_words(asks, room):
    one = wait(asks, asks.ask(ANNE, room, "SELECT 1 AS needle_100%"))
    assert {ask.id for ask in asks.some(ANNE, words="NEEDLE_100%")[0]} == {one.id}
    assert not asks.some(ANNE, words="needle_100x")[0]
    assert not asks.some(ANNE, words="needleX100")[0]


def test_what_is_no_question_is_not_written_down(asks, room):
    before = len(asks.some(ANNE)[0])
    for text in ("", "  \n", "SELECT \0", "SELECT '\ud800'", "x" * (limits.MAX_SQL_CHARS + 1)):
        with pytest.raises(InputError):
            asks.ask(ANNE, room, text)
    with pytest.raises(NotFound):
        asks.ask(replace(ANNE, rooms=frozenset()), room, QUESTION)
    assert len(asks.some(ANNE)[0]) == before


def over(asks: Asks, ask: Ask) -> None:
    """Wait until the thread of a question has let it go."""
    until = time.monotonic() + 30
    while asks.version(ask.id) is not None:
        assert time.monotonic() < until
        time.sleep(0.02)


class Held:
    """Holds questions on their way until it is let go."""

    def __init__(self, monkeypatch):
        self.inside, self.go = threading.Event(), threading.Event()
        went = RoomHandle._go

        def held(handle, *arguments):
            self.inside.set()
            assert self.go.wait(60)
            return went(handle, *arguments)

        monkeypatch.setattr(RoomHandle, "_go", held)


def test_one_that_is_given_up_before_it_began_costs_nothing(asks, room, monkeypatch):
    held = Held(monkeypatch)
    taken = asks.ask(ANNE, room, QUESTION.replace("AS delay", "AS later"))
    assert held.inside.wait(30)
    asks.cancel(ANNE, taken.id)
    held.go.set()
    ended = wait(asks, taken)
    assert (ended.state, ended.refusal["charge"], ended.run) == ("cancelled", "none", None)
    asks.cancel(ANNE, taken.id)  # again: nothing happens


@pytest.mark.slow
def test_one_that_is_given_up_at_the_consents_is_not_charged(asks, room, monkeypatch):
    sql = QUESTION.replace("AS delay", "AS much_later")
    reached, go = threading.Event(), threading.Event()
    phase = following.Following.phase

    def held(self, name, total=None):
        phase(self, name, total)
        if name == "consent":
            reached.set()
            assert go.wait(30)

    monkeypatch.setattr(following.Following, "phase", held)
    taken = asks.ask(ANNE, room, sql)
    assert reached.wait(30)
    asks.cancel(ANNE, taken.id)
    go.set()
    ended = wait(asks, taken)
    assert (ended.state, ended.refusal["charge"]) == ("cancelled", "given_up")


@pytest.mark.slow
def test_a_member_that_cannot_be_reached_is_said(asks, room, served):
    served.stop("host")
    try:
        ended = wait(asks, asks.ask(ANNE, room, QUESTION.replace("AS delay", "AS away")))
    finally:
        served.start("host")
    assert (ended.state, ended.refusal["error"]) == ("failed", "PeerError")
    assert "host" in ended.refusal["message"]
    assert ended.refusal["charge"] in {"none", "given_up"}


def test_a_bug_shows_nothing_of_itself(asks, room, monkeypatch):
    def broken(*_):
        raise ValueError(PLANTED)

    monkeypatch.setattr(running, "_asked", broken)
    ended = wait(asks, asks.ask(ANNE, room, QUESTION))
    assert (ended.state, ended.refusal["code"]) == ("failed", "INTERNAL")
    assert PLANTED not in str(ended)


@pytest.mark.slow
def test_one_user_does_not_take_it_all(asks, served, room, monkeypatch):
    held = Held(monkeypatch)
    quotas = NodeSettings.open(served.place.members["airport"].path).quotas
    mine = [asks.ask(ANNE, room, QUESTION) for _ in range(quotas.user_runs)]
    with pytest.raises(LimitError, match="quota"):
        asks.ask(ANNE, room, QUESTION)
    other = asks.ask(BERT, room, QUESTION)
    held.go.set()
    for one, who in [*((ask, ANNE) for ask in mine), (other, BERT)]:
        assert wait(asks, one, who).state == "done"
    monkeypatch.setattr(asks.store, "count", lambda **_: quotas.user_asks_an_hour)
    with pytest.raises(LimitError, match="hour"):
        asks.ask(ANNE, room, QUESTION)


def test_what_a_restart_cuts_off_is_noted_with_its_charge(served, room, monkeypatch):
    first = asks_of(context(served.place))
    held = Held(monkeypatch)
    early = first.ask(ANNE, room, QUESTION)
    assert held.inside.wait(30)
    first.close()
    found: Any = first.find(ANNE, early.id).ask
    assert (found.state, found.refusal["charge"]) == ("interrupted", "none")
    with pytest.raises(RoomError):
        first.ask(ANNE, room, QUESTION)
    held.go.set()
    over(first, early)


@pytest.mark.slow
def test_one_that_is_cut_off_while_it_runs_may_be_charged(served, room, monkeypatch):
    first = asks_of(context(served.place))
    reached, go = threading.Event(), threading.Event()
    phase = following.Following.phase

    def held(self, name, total=None):
        phase(self, name, total)
        if name == "run":
            reached.set()
            assert go.wait(30)

    monkeypatch.setattr(following.Following, "phase", held)
    taken = first.ask(ANNE, room, QUESTION.replace("AS delay", "AS cut_off"))
    assert reached.wait(30)
    first.close()
    found: Any = first.find(ANNE, taken.id).ask
    assert (found.state, found.refusal["charge"]) == ("interrupted", "open")
    assert len(found.run) == 32
    assert [phase.name for phase in found.phases] == ["check", "consent", "run"]
    go.set()
    over(first, taken)
    assert first.find(ANNE, taken.id).ask.state == "interrupted"  # an end is final


def test_what_a_kill_cuts_off_is_settled_by_the_next_start(served, room):
    killed = context(served.place)
    asks = asks_of(killed)
    done = wait(asks, asks.ask(BERT, room, QUESTION), BERT)
    asks.close()
    # What a process that was killed in the middle leaves: rows that are at no end.
    later = moment(SystemClock().now())
    for name, state in (("ab" * 16, "running"), ("cd" * 16, "queued")):
        options = replace(done.options, question=done.options.question if state == "running" else None)
        asks.store.add(replace(done, id=name, state=state, options=options, run=None, created=later))
    again = asks_of(context(served.place))
    for name in ("ab" * 16, "cd" * 16):
        found: Any = again.find(BERT, name).ask
        assert (found.state, found.refusal["charge"]) == ("interrupted", "none")
    assert again.find(BERT, done.id).ask.state == "done"
    again.close()
