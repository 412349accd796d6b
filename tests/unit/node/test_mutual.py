# SPDX-License-Identifier: Apache-2.0
"""A node's side of mutual attestation: who begins, who is answered, what is kept, and what is recorded."""

# mypy: allow-untyped-defs, allow-incomplete-defs

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.attestation.handshakes import OTHER_PROGRAM, RUN, Found, Members
from tests.unit.node.attested_world import AGREEMENT

from hitoku import limits
from hitoku.errors import InputError, PeerError, Refusal
from hitoku.node import mutual as module
from hitoku.node.attested import AttestedRun
from hitoku.node.mutual import MutualAttestation
from hitoku.room.agreement import Agreement, Room
from hitoku.transport.in_process import InProcessNetwork

SHOP, TELCO = "shop", "telco"
START = datetime(2026, 11, 22, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Book:
    """Records that keep what is appended."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, Any]]] = []
        self.store, self.ledger = self, Pages(self.entries)

    @contextmanager
    def transaction(self):
        yield None


class Pages:
    """A ledger that is a list."""

    def __init__(self, entries: list[tuple[str, dict[str, Any]]]) -> None:
        self._entries = entries

    def append(self, connection, kind, body):
        self._entries.append((str(kind), body))

    def entries(self, start, kind):
        return [SimpleNamespace(body=body) for found, body in self._entries[start:] if found == str(kind)]


class Side:
    """One member's node, as far as mutual attestation goes."""

    def __init__(self, world: Pair, me: str) -> None:
        self.me, self.world = me, world
        self.book, self.shares = Book(), True
        self.before: Callable[[dict[str, Any]], None] = lambda message: None
        self.peers = world.network.join(me, self.handle)
        self.again()

    def again(self) -> None:
        """The process starts again."""
        members, judge = self.world.members, self.world.members.judges[self.me]

        def judged(evidence, binding, activated):
            judge(evidence, binding, activated)
            return Found(judge.accepts, until=self.world.clock.now() + timedelta(minutes=60))

        self.mutual = MutualAttestation(
            room=self.world.room,
            peers=self.peers,
            keys=members.keys[self.me],
            clock=self.world.clock,
            attester=lambda: members.machines[self.me],
            judge=judged,
            records=lambda: self.book,  # type: ignore[arg-type,return-value]
            shares=lambda run, member: self.shares,
        )

    def handle(self, sender: str, message: dict[str, Any]) -> dict[str, Any]:
        self.before(message)
        return self.mutual.answer(sender, message)

    @property
    def other(self) -> Side:
        return self.world.sides[TELCO if self.me == SHOP else SHOP]

    def ensure(self, **more: Any) -> None:
        self.mutual.ensure(RUN, self.other.me, **more)

    def session(self):
        return self.mutual.sessions.newest(RUN, self.other.me)


class Pair:
    def __init__(self) -> None:
        self.members, self.clock, self.network = Members(SHOP, TELCO), Clock(), InProcessNetwork()
        data: dict[str, Any] = dict(AGREEMENT)
        data["members"] = [
            {"name": name, "key": self.members.keys[name].public, "abilities": ["query", "receive"]}
            for name in (SHOP, TELCO)
        ]
        self.room = Room(agreement=Agreement.model_validate(data))
        self.sides: dict[str, Side] = {}
        for name in (SHOP, TELCO):
            self.sides[name] = Side(self, name)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setattr(module, "_SETTLING_SECONDS", 0.2)
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.01)
    return Pair()


@pytest.mark.parametrize("begins", [SHOP, TELCO])
def test_either_side_may_begin_and_both_have_the_session(pair, begins):
    one = pair.sides[begins]
    one.ensure()
    ours, theirs = one.session(), one.other.session()
    assert ours.id == theirs.id
    assert one.other.mutual.sessions.sealing(RUN, begins, "x").session == ours.id
    sealed = ours.sealing("points-a").seal(0, True, b"data")
    opening = one.other.mutual.sessions.opening(RUN, begins, "points-a")
    assert opening.opener(ours.id).open(0, True, sealed) == b"data"
    assert opening.opener(b"another session!") is None
    for side in pair.sides.values():
        ((kind, body),) = side.book.entries
        assert (kind, body["verdict"], body["member"]) == ("appraisal", "accept", side.other.me)
        assert body["session"] == ours.id.hex()


def test_a_session_that_holds_is_not_made_again_and_one_that_ended_is(pair):
    one = pair.sides[SHOP]
    one.ensure()
    first = one.session()
    one.ensure()
    assert one.session() is first
    pair.clock.sleep(59 * 60)
    assert one.session() is first
    pair.clock.sleep(2 * 60)
    assert one.session() is None
    assert one.mutual.sessions.sealing(RUN, TELCO, "x") is None
    assert one.mutual.sessions.opening(RUN, TELCO, "x").opener(first.id) is None
    one.ensure()
    assert one.session().id != first.id


def test_a_process_that_starts_again_attests_again_whoever_begins(pair):
    one, two = pair.sides[SHOP], pair.sides[TELCO]
    one.ensure()
    before = one.session().id
    one.again()
    assert one.session() is None
    one.ensure()
    assert one.session().id == two.session().id != before
    two.again()
    two.ensure(wait=0.02)
    assert one.session().id == two.session().id


def test_who_follows_waits_for_the_other_to_begin(pair):
    one, two = pair.sides[SHOP], pair.sides[TELCO]
    heard = []
    follower = threading.Thread(target=lambda: two.ensure(wait=60, hear=lambda: heard.append(1)))
    follower.start()
    one.ensure()
    follower.join(60)
    assert not follower.is_alive()
    assert one.session().id == two.session().id
    assert len(two.book.entries) == 1


def test_waiting_ends_where_the_run_does(pair):
    def over():
        raise PeerError("the run has ended", "RUN_ENDED")

    with pytest.raises(PeerError, match="ended"):
        pair.sides[SHOP].ensure(wait=60, hear=over)
    assert pair.sides[SHOP].session() is None


def test_both_may_begin_at_once(pair):
    """Each answers the other's hello in the middle of its own handshake."""
    one, two = pair.sides[SHOP], pair.sides[TELCO]
    begun: list[int] = []

    def crossing(message):
        if message["kind"] == "hitoku/attest-prove/1" and not begun:
            begun.append(1)
            two.ensure()

    two.before = crossing
    one.ensure()
    held = {name: side.mutual.sessions._held[RUN] for name, side in pair.sides.items()}
    assert {s.id for s in held[SHOP]} == {s.id for s in held[TELCO]}
    assert len(held[SHOP]) == 2
    for side in pair.sides.values():  # whichever one takes, the other knows it
        sealing = side.mutual.sessions.sealing(RUN, side.other.me, "x")
        opener = side.other.mutual.sessions.opening(RUN, side.me, "x").opener(sealing.session)
        assert opener.open(0, True, sealing.sealer.seal(0, True, b"data")) == b"data"


def test_only_the_last_few_sessions_are_kept(pair):
    one = pair.sides[SHOP]
    for _ in range(limits.MAX_SESSIONS_A_RUN + 2):
        one.again()
        one.ensure()
    assert len(one.other.mutual.sessions._held[RUN]) == limits.MAX_SESSIONS_A_RUN


@pytest.mark.parametrize("tampered", [SHOP, TELCO])
@pytest.mark.parametrize("begins", [SHOP, TELCO])
def test_a_refusal_is_one_on_both_sides_and_in_both_ledgers(pair, tampered, begins):
    pair.members.machines[tampered].program = OTHER_PROGRAM
    with pytest.raises(Refusal) as caught:
        pair.sides[begins].ensure()
    assert caught.value.code == "MEASUREMENT_MISMATCH"
    honest = pair.sides[tampered].other
    assert caught.value.owner == honest.me
    assert not any(side.session() for side in pair.sides.values())
    ((kind, body),) = honest.book.entries
    assert (kind, body["verdict"], body["by"], body["member"]) == ("appraisal", "refuse", honest.me, tampered)
    assert body["evidence"].startswith("sha256:")
    ((_, told),) = pair.sides[tampered].book.entries
    assert (told["verdict"], told["by"], told["member"]) == ("refuse", honest.me, tampered)
    assert told["code"] == body["code"] == "MEASUREMENT_MISMATCH"


def test_who_shares_no_run_is_not_answered(pair):
    one, two = pair.sides[SHOP], pair.sides[TELCO]
    two.shares = False
    with pytest.raises(Refusal) as caught:
        one.ensure()
    assert caught.value.code == "NO_SUCH_RUN"
    assert pair.members.machines[TELCO].made == []
    assert (one.book.entries, two.book.entries) == ([], [])


def test_a_node_that_is_just_starting_is_asked_again(pair, monkeypatch):
    monkeypatch.setattr(module, "_SETTLING_SECONDS", 60)
    one, two = pair.sides[SHOP], pair.sides[TELCO]
    two.shares, asked = False, []

    def soon(message):
        asked.append(message["kind"])
        two.shares = len(asked) > 3

    two.before = soon
    one.ensure()
    assert asked[:4] == ["hitoku/attest-hello/1"] * 4
    assert one.session().id == two.session().id


def test_a_node_that_starts_again_in_the_middle_is_asked_again(pair, monkeypatch):
    monkeypatch.setattr(module, "_SETTLING_SECONDS", 60)
    one, two = pair.sides[SHOP], pair.sides[TELCO]
    lost: list[int] = []

    def forgetting(message):
        if message["kind"] == "hitoku/attest-prove/1" and not lost:
            lost.append(1)
            two.again()

    two.before = forgetting
    one.ensure()
    assert one.session().id == two.session().id


def test_a_session_that_was_not_confirmed_is_none(pair):
    one, two = pair.sides[SHOP], pair.sides[TELCO]

    def failing(message):
        if message["kind"] == "hitoku/attest-confirm/1":
            raise InputError("a disk is full")

    two.before = failing
    with pytest.raises(PeerError):
        one.ensure()
    assert one.session() is None
    assert two.session() is None


@pytest.mark.parametrize(
    ("change", "code"),
    [({"room": "sha256:" + "0" * 64}, "ROOM_DIFFERS"), ({"content": "AAAA"}, "MALFORMED")],
)
def test_what_is_no_hello_is_refused(pair, change, code):
    from hitoku.room.canonical import agreement_hash

    hello = {
        "kind": "hitoku/attest-hello/1",
        "room": agreement_hash(pair.room.agreement),
        "run": RUN,
        "content": "",
    }
    with pytest.raises(Refusal) as caught:
        pair.sides[SHOP].peers.call(TELCO, {**hello, **change})
    assert caught.value.code == code
    assert pair.sides[TELCO].session() is None


@pytest.mark.parametrize("kind", ["prove", "confirm", "stopped"])
def test_nothing_is_taken_without_a_handshake(pair, kind):
    from hitoku.room.canonical import agreement_hash

    message = {"kind": f"hitoku/attest-{kind}/1", "room": agreement_hash(pair.room.agreement), "run": RUN}
    message |= {"code": "DEBUG", "detail": ""} if kind == "stopped" else {"content": "AAAA"}
    with pytest.raises(Refusal) as caught:
        pair.sides[SHOP].peers.call(TELCO, message)
    assert caught.value.code == "NO_HANDSHAKE"
    assert pair.sides[TELCO].book.entries == []


def test_handshakes_of_a_run_are_bounded(pair, monkeypatch):
    monkeypatch.setattr(limits, "MAX_HANDSHAKES_A_RUN", 2)
    one = pair.sides[SHOP]
    for _ in range(2):
        one.again()
        one.ensure()
    one.again()
    with pytest.raises(Refusal) as caught:
        one.ensure()
    assert caught.value.code == "BUSY"


def test_after_an_abort_there_is_no_session_and_none_is_made(pair):
    one, two = pair.sides[SHOP], pair.sides[TELCO]
    one.ensure()
    AttestedRun(one.mutual, RUN, TELCO, leads=True).aborted("points-b")
    one.mutual.abort(RUN, TELCO, "points-b")
    for ask in (one.ensure, lambda: two.mutual._begin(RUN, SHOP)):
        with pytest.raises((PeerError, Refusal)):
            ask()
    revoked = [body for kind, body in one.book.entries if kind == "revocation"]
    assert revoked == [{"run": RUN, "stage": "points-b", "member": TELCO, "by": SHOP, "code": "RUN_ABORTED"}]
    one.mutual.forget(RUN)
    assert one.session() is None


@pytest.mark.parametrize("again", [SHOP, TELCO])
def test_an_aborted_run_gets_no_session_after_a_restart_either(pair, again):
    one = pair.sides[again]
    one.ensure()
    one.mutual.abort(RUN, one.other.me, "points-b")
    one.again()
    with pytest.raises(PeerError) as caught:
        one.ensure()
    assert caught.value.code == "RUN_ABORTED"
    one.again()  # and where the other side begins
    one.other.again()
    with pytest.raises(Refusal) as refused:
        one.other.ensure()
    assert refused.value.code == "NO_SUCH_RUN"
    assert one.mutual.sessions.aborted(RUN)
    assert one.other.session() is None
    one.mutual.ensure("f" * 32, one.other.me)  # another run is none of this


def test_when_a_run_is_over_nothing_of_it_is_left(pair):
    one = pair.sides[SHOP]
    one.ensure()
    for side in pair.sides.values():
        side.mutual.forget(RUN)
        assert side.session() is None
        assert not side.mutual._answering
        assert not side.mutual._begun
        assert not side.mutual._beginning
