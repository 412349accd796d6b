# SPDX-License-Identifier: Apache-2.0
"""Nodes of other versions, and nodes whose clock is wrong: they work together, or are told why not."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
from tests.conftest import QUESTION, fill, make_place
from tests.unit.node.served_world import Ahead, World

from hitoku import limits
from hitoku._core import __version__
from hitoku.cli import main as cli
from hitoku.errors import PeerError, Refusal
from hitoku.node import duties
from hitoku.node.remote import open_remote_room
from hitoku.transport import kinds, messages
from hitoku.transport.https import bounds

OTHER = QUESTION.replace("AVG(f.arr_delay) AS delay", "COUNT(f.tailnum) AS flights")


class Clocks:
    """A clock for each node."""

    def __init__(self):
        self.of = {name: Ahead() for name in ("airport", "registry", "host")}

    def set(self, **seconds):
        for name, clock in self.of.items():
            clock.off = timedelta(seconds=seconds.get(name, 0))


@pytest.fixture(scope="module")
def clocks():
    return Clocks()


@pytest.fixture(scope="module")
def world(tmp_path_factory, clocks):
    made = World(fill(make_place(tmp_path_factory.mktemp("versions"))), **clocks.of)
    yield made
    made.close()


@pytest.fixture
def room(world, clocks):
    clocks.set()
    made = open_remote_room(world.place.members["airport"].path)
    yield made
    made.close()


def _as(monkeypatch, world, name, version):
    """Let a node say that it runs another version."""
    monkeypatch.setattr(world.nodes[name]._application, "_hitoku", version)


@pytest.mark.parametrize("version", ["0.0.1", "99.1.0"])
def test_a_node_of_another_minor_version_answers_what_it_knows(world, room, monkeypatch, version):
    _as(monkeypatch, world, "host", version)
    assert room.ask(f"{QUESTION} HAVING COUNT(DISTINCT p.tailnum) > {len(version)}").num_rows == 1
    host = next(one for one in room.status() if one["member"] == "host")
    assert host["hitoku"] == version
    assert host["reached"]
    assert "problem" not in host


def test_a_node_that_does_not_know_a_message_says_what_it_runs(world, room, monkeypatch):
    known = kinds.known_kinds() - {"hitoku/preview-request/1"}
    monkeypatch.setattr(duties, "known_kinds", lambda: known)
    monkeypatch.setattr(duties.Duties, "_owner", lambda self, me, kind: None)
    message = messages.HeadRequest(size=0).model_dump(mode="json")
    assert room._peers.call("registry", message)["kind"] == "hitoku/head-given/1"
    with pytest.raises(Refusal) as caught:
        room.preview(QUESTION)
    assert caught.value.code == "VERSION"
    assert f"runs hitoku {__version__}" in str(caught.value)
    assert "same version" in str(caught.value.remedy)


def test_an_older_node_that_only_fails_is_named_with_both_versions(world, room, monkeypatch):
    """A node from before `VERSION` was a code answers an unknown message with the bare code PEER."""

    def old(self, sender, message):
        if message["kind"] == "hitoku/preview-request/1":
            raise PeerError("does not answer such messages")
        return answer(self, sender, message)

    answer = duties.Duties.answer
    monkeypatch.setattr(duties.Duties, "answer", old)
    with pytest.raises(
        PeerError, match=r"'registry' failed \(PEER\)"
    ):  # the same version: no reason to name it
        room._peers.call("registry", _preview(room))
    _as(monkeypatch, world, "registry", "0.0.9")
    with pytest.raises(PeerError) as caught:
        room._peers.call("registry", _preview(room))
    assert caught.value.code == "VERSION"
    assert "runs hitoku 0.0.9" in str(caught.value)
    assert f"this node hitoku {__version__}" in str(caught.value)


def _preview(room):
    from hitoku.transport.preview import PreviewRequest

    return PreviewRequest(
        sql=QUESTION, room=room.hash, receivers=["airport"], protection="tokens"
    ).model_dump(mode="json")  # fmt: skip


class Another:
    """`bounds` of a hitoku that speaks protocol 2 alone."""

    PROTOCOL = "2"

    def __getattr__(self, name):
        return getattr(bounds, name)


def test_a_node_that_speaks_another_protocol_is_refused_with_both(world, room, monkeypatch, capsys):
    _as(monkeypatch, world, "host", "2.0.0")
    monkeypatch.setattr("hitoku.transport.https.app.bounds", Another())  # the listeners', not the callers'
    with pytest.raises(PeerError) as caught:
        room._peers.call("host", messages.HeadRequest(size=0).model_dump(mode="json"))
    assert caught.value.code == "PROTOCOL"
    assert "runs hitoku 2.0.0, which speaks protocol 2" in str(caught.value)
    assert f"hitoku {__version__} here speaks {bounds.PROTOCOL}" in str(caught.value)
    host = next(one for one in room.status() if one["member"] == "host")
    assert "speaks protocol 2" in host["problem"]
    assert cli.run(["node", "status", str(world.place.members["airport"].path)]) == PeerError.exit_code
    assert "speaks protocol 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "words"), [(-3_600, "behind this one's"), (3_600, "ahead of this one's"), (30, None)]
)
def test_a_clock_that_is_far_off_is_said_in_the_status(world, clocks, room, seconds, words):
    clocks.set(host=seconds)
    began = time.monotonic()
    found = {one["member"]: one for one in room.status()}
    most = 2 + time.monotonic() - began  # so far apart are the two looks at the clock, at most
    assert abs(found["host"]["clock_seconds"] - seconds) <= most
    assert abs(found["registry"]["clock_seconds"]) <= most
    assert "problem" not in found["registry"]
    if words is None:
        assert "problem" not in found["host"]
    else:
        assert words in found["host"]["problem"]
        assert "NTP" in found["host"]["problem"]


@pytest.mark.parametrize("seconds", [-3_600, 3_600])
def test_consents_of_another_time_are_refused_and_nothing_is_charged_twice(world, clocks, room, seconds):
    """The host takes consents for this time only; that it may be the clocks is told."""
    clocks.set(registry=seconds)
    sql = f"{OTHER} HAVING COUNT(DISTINCT p.tailnum) > {5 + (seconds > 0)}"
    with pytest.raises(Refusal) as caught:
        room.ask(sql)
    assert caught.value.code == "CONSENT_EXPIRED"
    assert f"more than {limits.CLOCK_SKEW_SECONDS} s apart" in str(caught.value)
    clocks.set(registry=limits.CLOCK_SKEW_SECONDS // 2)
    assert room.ask(sql).num_rows == 1


def test_a_node_whose_clock_is_behind_says_that_it_is_not_ready(world, clocks, room):
    """It has seen the others' signatures, which are of later than now."""
    room.status()
    assert world.get("airport", "/ready")[0] == 200
    clocks.set(airport=-3_600)
    status, said = world.get("airport", "/ready")
    assert (status, json.loads(said)["checks"]["clock"]) == (503, "behind")
