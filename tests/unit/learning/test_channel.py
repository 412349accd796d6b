# SPDX-License-Identifier: Apache-2.0
"""A channel takes signed replies to its own requests, and says why others do not count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.learning.world import NAMES, SERVER, World, plan_of

from hitoku.errors import PeerError, Refusal
from hitoku.learning.channel import refusal_from
from hitoku.learning.transcript import read_transcript
from hitoku.learning.wire import REPLY_DOMAIN, seal


class Echo:
    """Answers with what it got, or as `does` says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.does: Any = None

    def answer(self, kind: str, body: Any, arrays: Any) -> tuple[Any, Any]:
        self.count += 1
        if self.does is not None:
            self.does()
        return {"name": self.name, **body}, dict(arrays)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(plan_of(), tmp_path, lambda name, *_: Echo(name))
    yield made
    made.close()


def ask(world: World) -> dict[str, Any]:
    message = ({"x": 1}, {"masked/a": np.arange(5)})
    return world.channel.ask("echo", dict.fromkeys(world.channel.members, message))


def reasons(world: World) -> dict[str, str]:
    return {absence.member: absence.reason for absence in world.channel.absences}


def test_everybody_answers(world: World) -> None:
    for _ in range(3):
        replies = ask(world)
        assert list(replies) == list(NAMES[:5])
        body, arrays = replies["chika"]
        assert body == {"name": "chika", "x": 1}
        assert arrays["masked/a"].tolist() == [0, 1, 2, 3, 4]
    assert world.channel.absences == []
    assert world.channel.received_bytes > 15 * 40


def test_only_the_plans_members_count(world: World) -> None:
    world.fleet.join("zoe", lambda content: content)
    assert "zoe" not in world.channel.members
    with pytest.raises(PeerError, match="not a member"):
        world.channel.ask("echo", {"zoe": ({}, {})})


def test_restarts_of_both_sides(world: World) -> None:
    ask(world)
    world.start("aoi")
    world.start("emi")
    assert len(ask(world)) == 5
    world.channel = world.server()
    assert len(ask(world)) == 5
    assert [world.answers[name].count for name in ("aoi", "beni")] == [2, 3]


def test_a_late_reply_is_not_taken_for_the_next_one(world: World) -> None:
    late: list[bytes] = []

    def lose(content: bytes) -> bytes:
        late.append(world.doors["beni"].handle(content))
        raise ConnectionError

    world.fleet.join("beni", lose)
    assert "beni" not in ask(world)
    assert reasons(world) == {"beni": "no answer"}
    world.fleet.join("beni", lambda _: late[0])
    assert "beni" not in ask(world)
    assert "another request" in reasons(world)["beni"]
    world.fleet.join("beni", world.doors["beni"].handle)
    assert ask(world)["beni"][0]["name"] == "beni"


def test_a_refusal_is_kept(world: World) -> None:
    def refuse() -> None:
        raise Refusal(
            "NOT_PLANNED", "not in the plan", owner="beni", remedy="sign another", params={"a": "b"}
        )

    world.answers["beni"].does = refuse
    assert "beni" not in ask(world)
    ((member, kind, refusal),) = world.channel.refusals
    assert (member, kind, refusal.code, refusal.message) == ("beni", "echo", "NOT_PLANNED", "not in the plan")
    assert (refusal.owner, refusal.remedy, refusal.params) == ("beni", "sign another", {"a": "b"})
    assert reasons(world) == {"beni": "refused: NOT_PLANNED"}


def test_an_error_is_a_reason(world: World) -> None:
    def fail() -> None:
        raise PeerError("wrong\nphase")

    world.answers["beni"].does = fail
    ask(world)
    assert reasons(world) == {"beni": "failed: PeerError: wrong phase"}


def reply(world: World, content: bytes, **changed: Any) -> bytes:
    """A reply of aoi that it signed, changed."""
    from hitoku.learning.wire import open_signed

    opened = open_signed(REPLY_DOMAIN, world.publics["aoi"], world.doors["aoi"].handle(content))
    header = {**opened.header, **changed}
    return seal(
        REPLY_DOMAIN, world.keys["aoi"], {k: v for k, v in header.items() if v is not None}, opened.arrays
    ).content


@pytest.mark.parametrize(
    "changed",
    [
        {"plan": "0" * 64},
        {"run": "x"},
        {"member": "beni"},
        {"sequence": 2},
        {"request": "0" * 64},
        {"body": None},
        {"body": []},
        {"refused": {}},
        {"body": None, "stale": True},
        {"body": None, "stale": -1},
        {"body": None, "stale": 1 << 60},
        {"body": None, "refused": "no"},
        {"body": None, "failed": 1},
        {"more": 1},
    ],
    ids=str,
)
def test_replies_that_do_not_fit(world: World, changed: dict[str, Any]) -> None:
    world.fleet.join("aoi", lambda content: reply(world, content, **changed))
    assert sorted(ask(world)) == list(NAMES[1:5])
    assert reasons(world).keys() == {"aoi"}


def test_stale_for_ever(world: World) -> None:
    counts = iter(range(100, 200))
    world.fleet.join("aoi", lambda content: reply(world, content, body=None, stale=next(counts)))
    assert "aoi" not in ask(world)
    assert reasons(world) == {"aoi": "its sequence numbers do not go on"}


def test_noise_and_others_signatures(world: World) -> None:
    world.fleet.join("aoi", lambda _: b"noise")
    world.fleet.join("beni", world.doors["chika"].handle)

    def raises(_: bytes) -> bytes:
        raise ConnectionError

    world.fleet.join("emi", raises)
    assert sorted(ask(world)) == ["chika", "daichi"]
    assert reasons(world)["emi"] == "no answer"


def test_the_transcript_hears_all(world: World) -> None:
    ask(world)
    world.stop("aoi")
    world.channel.ask("echo", {"aoi": ({}, {})}, 0.1)
    lines = list(read_transcript(world.transcript.lines))[1:]
    assert [line["direction"] for line in lines] == ["sent"] * 5 + ["received"] * 5 + ["sent", "absent"]
    assert {line["protected"].get("masked", 0) for line in lines[:10]} == {40}
    assert sum(line["bytes"] for line in lines[:5]) <= world.channel.sent_bytes
    assert world.publics[SERVER] != world.publics["aoi"]


def test_refusals_of_others_are_cut() -> None:
    refusal = refusal_from({"code": "X" * 9999, "message": "a\x1b[0m", "params": {"k": 1}, "span": [1, 2]})
    assert len(refusal.code) == 500
    assert refusal.message == "a [0m"
    assert refusal.params == {"k": ""}
    assert refusal_from({}).code == "REFUSED"
