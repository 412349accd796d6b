# SPDX-License-Identifier: Apache-2.0
"""Questions of the console over real nodes: written down, run, seen, cancelled, cut off."""

from __future__ import annotations

import html
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import PLANTED, QUESTION, REFUSED, fill, make_place
from tests.console.asking import Served, context, user
from tests.console.conftest import make_console

from hitoku import limits
from hitoku.ask import asker
from hitoku.ask.host import Host
from hitoku.console.context import NotFound
from hitoku.console.users import May
from hitoku.console.words import say
from hitoku.console.work import following, running
from hitoku.console.work.asks import Asks, asks_of
from hitoku.console.work.asks_store import Ask, moment
from hitoku.errors import EngineError, InputError, LimitError, PeerError, Refusal, RoomError
from hitoku.node.local import RoomHandle
from hitoku.node.remote import open_remote_room
from hitoku.node.settings import NodeSettings
from hitoku.ports import SystemClock
from hitoku.room import store as tables
from hitoku.room.runs import Role

ANNE, BERT = user("anne", May.ASK), user("bert", May.ASK)
AUDITOR, BOTH = user("carl", May.AUDIT), user("dora", May.AUDIT, May.ASK)
SECONDS = 300
"""What takes as long as that hangs."""


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


def wait(asks: Asks, ask: Ask, who=ANNE, seconds: float = SECONDS) -> Any:
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
    until = time.monotonic() + SECONDS
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
            assert self.go.wait(SECONDS)
            return went(handle, *arguments)

        monkeypatch.setattr(RoomHandle, "_go", held)


def begun(served: Served) -> set[str]:
    """All runs that the member ever asked for, in the console or elsewhere."""
    row = tables.runs.c
    with context(served.place).node.store().reading() as connection:
        found = connection.scalars(sa.select(row.run).where(row.role == str(Role.ASKER)))
        return {str(key).partition(":")[2] for key in found}


def hold(monkeypatch, phase: str) -> tuple[threading.Event, threading.Event]:
    """Holds questions of the console where they come to a phase. Told there, and goes on when it is let."""
    reached, go = threading.Event(), threading.Event()
    before = following.Following.phase

    def held(self, name, total=None):
        before(self, name, total)
        if name == phase:
            reached.set()
            assert go.wait(SECONDS)

    monkeypatch.setattr(following.Following, "phase", held)
    return reached, go


@pytest.mark.parametrize("end", ["cancelled", "interrupted"])
def test_the_same_question_of_the_command_line_is_not_taken_for_its_own(served, room, monkeypatch, end):
    """It runs while this one is about to: whatever it cost, this one cost nothing."""
    sql = QUESTION.replace("AS delay", f"AS beside_{end}")
    first = asks_of(context(served.place))
    reached, go = hold(monkeypatch, "check")
    taken = first.ask(ANNE, room, sql)
    assert reached.wait(SECONDS)
    other = open_remote_room(served.place.members["airport"].path).ask(sql)
    if end == "cancelled":
        first.cancel(ANNE, taken.id)
    else:
        first.close()
    go.set()
    ended = wait(first, taken)
    over(first, taken)
    assert other.run in begun(served)
    assert (ended.state, ended.run, ended.refusal["charge"]) == (end, None, "none")
    first.close()


def test_one_that_is_given_up_before_it_began_costs_nothing(asks, room, monkeypatch):
    held = Held(monkeypatch)
    taken = asks.ask(ANNE, room, QUESTION.replace("AS delay", "AS later"))
    assert held.inside.wait(SECONDS)
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
            assert go.wait(SECONDS)

    monkeypatch.setattr(following.Following, "phase", held)
    taken = asks.ask(ANNE, room, sql)
    assert reached.wait(SECONDS)
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
    assert held.inside.wait(SECONDS)
    first.close()
    found: Any = first.find(ANNE, early.id).ask
    assert (found.state, found.refusal["charge"]) == ("interrupted", "none")
    with pytest.raises(RoomError):
        first.ask(ANNE, room, QUESTION)
    before = begun(served)
    held.go.set()
    over(first, early)
    assert begun(served) == before, "what is said to cost nothing begins nothing afterwards"
    found = first.find(ANNE, early.id).ask
    assert found.refusal["charge"] == "none"


@pytest.mark.slow
def test_one_that_is_cut_off_while_it_runs_may_be_charged(served, room, monkeypatch):
    first = asks_of(context(served.place))
    reached, go = hold(monkeypatch, "run")
    taken = first.ask(ANNE, room, QUESTION.replace("AS delay", "AS cut_off"))
    assert reached.wait(SECONDS)
    first.close()
    found: Any = first.find(ANNE, taken.id).ask
    assert (found.state, found.refusal["charge"]) == ("interrupted", "open")
    assert len(found.run) == 32
    assert [phase.name for phase in found.phases] == ["check", "consent", "run"]
    go.set()
    over(first, taken)
    found = first.find(ANNE, taken.id).ask
    assert found.state == "interrupted"  # an end is final
    assert found.refusal["charge"] == "charged"  # what it costs is known later, and told then
    (listed,) = (ask for ask in first.some(ANNE)[0] if ask.id == taken.id)
    assert listed == found


@pytest.mark.slow
def test_two_that_were_cut_off_are_each_bound_to_their_own_run(served, room, monkeypatch):
    """Asked again at once, each takes one of the two up: no run is waited for by two, and none is left."""
    sql = QUESTION.replace("AS delay", "AS twice")
    first = asks_of(context(served.place))
    known = begun(served)
    reached, go = hold(monkeypatch, "run")
    both = []
    for _ in range(2):
        both.append(first.ask(ANNE, room, sql))
        assert reached.wait(SECONDS)
        reached.clear()
    first.close()
    cut = {first.find(ANNE, one.id).ask.run for one in both}
    assert cut == begun(served) - known
    assert len(cut) == 2
    again = asks_of(context(served.place))
    taken: list[list[str]] = []
    met = threading.Barrier(2)

    def asked(handle, *_):
        left = iter(handle.cut_off)
        met.wait(SECONDS)
        mine = [next(left)]
        met.wait(SECONDS)
        mine += left
        taken.append(mine)
        met.wait(SECONDS)
        raise PeerError("not today")

    with monkeypatch.context() as patch:
        patch.setattr(RoomHandle, "_go", asked)
        second = [again.ask(ANNE, room, sql) for _ in range(2)]
        for one in second:
            assert wait(again, one).state == "failed"
    assert sorted(map(len, taken)) == [1, 1]
    assert {run for mine in taken for run in mine} == cut
    go.set()
    for one in both:
        over(first, one)
    again.close()


@pytest.mark.slow
def test_a_refusal_says_what_its_run_cost(asks, room, monkeypatch):
    def refused(*_):
        raise Refusal("DATA_CHANGED", "look again")

    monkeypatch.setattr(asker._Asking, "_ordered", refused)
    ended = wait(asks, asks.ask(ANNE, room, QUESTION.replace("AS delay", "AS refused_late")))
    assert (ended.state, ended.refusal["charge"]) == ("refused", "given_up")
    assert len(ended.run) == 32


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "key"),
    [(PeerError("gone"), "ask.again_lost"), (EngineError("cancelled", "CANCELLED"), "ask.again_costs")],
)
def test_the_page_says_that_asking_again_costs_again(served, room, monkeypatch, error, key):
    """Where the host was not reached to say that nothing began, it counts as charged."""

    def broken(*_):
        raise error

    console = make_console(served.place)
    anne = console.sign_in(May.ASK)
    asks, who = asks_of(console.context), anne.account.user()
    monkeypatch.setattr(asker._Asking, "_ordered", broken)
    with monkeypatch.context() as patch:
        patch.setattr(Host, "cancel", lambda *_: broken())
        ended = wait(asks, asks.ask(who, room, QUESTION.replace("AS delay", f"AS {key[4:]}")), who)
    assert ended.refusal["charge"] == "charged"
    page = html.unescape(anne.get(f"/rooms/{room}/asks/{ended.id}").text)
    for words in ("ask.charge_charged", key):
        assert say("en", words) in page
    assert 'value="run"' in page
    asks.close()
    console.close()


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
