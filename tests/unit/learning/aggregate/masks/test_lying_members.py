# SPDX-License-Identifier: Apache-2.0
"""A member whose replies are malformed is left out where that is still possible; the others' sum is exact."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.learning.world import World, instruction
from tests.unit.learning.aggregate.masks.masks_world import masks_world, single, summer

from hitoku.hazmat.masks import SHARE_BYTES
from hitoku.learning.base import SessionLost, TooFewMembers

LIAR = "beni"
REST = ("aoi", "chika", "daichi", "emi")


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fdatasync", lambda _: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def lie(world: World, about: str, said: dict[str, Any], values: dict[str, Any]) -> None:
    """From now on the liar's replies of one kind have these parts put in; None takes one out."""
    answer = world.answers[LIAR].answer

    def mixed(given: Any, changed: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in {**given, **changed}.items() if value is not None}

    def lying(kind: str, body: Any, arrays: Any) -> tuple[Any, Any]:
        reply, vectors = answer(kind, body, arrays)
        return (mixed(reply, said), mixed(vectors, values)) if kind == about else (reply, vectors)

    world.doors[LIAR]._answer = lying


BEFORE = [
    ("masks.advertise", {"public": "no"}, {}),
    ("masks.advertise", {"public": "00" * 64}, {}),
    ("masks.advertise", {"public": "00" * 32}, {}),
    ("masks.advertise", {"signature": "00" * 64}, {}),
    ("masks.advertise", {"signature": 1}, {}),
    ("masks.advertise", {"round": 7}, {}),
    ("masks.advertise", {"public": None}, {}),
    ("masks.share", {"commitment": None}, {}),
    ("masks.share", {"commitment": "x"}, {}),
    ("masks.share", {}, {"sealed/shares": None}),
    ("masks.share", {}, {"sealed/shares": np.zeros((4, 5), np.uint8)}),
    ("masks.share", {}, {"sealed/shares": np.zeros((3, 82), np.uint8)}),
    ("masks.share", {}, {"sealed/shares": np.zeros((4, 82))}),
    ("masks.masked", {}, {"masked/values": None}),
    ("masks.masked", {}, {"masked/values": np.zeros(19, np.uint64)}),
    ("masks.masked", {}, {"masked/values": np.zeros(20, np.int64)}),
]
AFTER = [
    ("masks.consistent", {"signature": None}, {}),
    ("masks.consistent", {"signature": "00" * 64}, {}),
    ("masks.consistent", {"signature": 5}, {}),
    ("masks.unmask", {}, {"seeds": None}),
    ("masks.unmask", {}, {"keys": np.zeros((1, SHARE_BYTES), np.uint8)}),
    ("masks.unmask", {}, {"seeds": np.zeros((5, SHARE_BYTES), np.uint8)}),
    ("masks.unmask", {}, {"seeds": np.full((5, SHARE_BYTES), 2, np.uint8)}),
    ("masks.unmask", {}, {"seeds": np.zeros((5, SHARE_BYTES))}),
]


def name(case: Any) -> str:
    return f"{case[0]}-{'-'.join([*case[1], *case[2]])}"


@pytest.mark.parametrize("case", BEFORE, ids=[f"{n}-{name(case)}" for n, case in enumerate(BEFORE)])
def test_before_its_vector_counts(tmp_path: Path, case: Any) -> None:
    with masks_world(tmp_path) as world:
        lie(world, *case)
        total = summer(world).total(single())
        assert total.members == REST
        assert np.array_equal(total.values, world.plain(single(), REST))


@pytest.mark.parametrize("case", AFTER, ids=[f"{n}-{name(case)}" for n, case in enumerate(AFTER)])
def test_after_its_vector_counts(tmp_path: Path, case: Any) -> None:
    with masks_world(tmp_path) as world:
        lie(world, *case)
        total = summer(world).total(single())
        assert total.members == world.plan.members
        assert np.array_equal(total.values, world.plain(single(), world.plan.members))


class Shuffled:
    """A key or seed whose shares go to the wrong members."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def shares(self, threshold: int, members: int) -> list[bytes]:
        given: list[bytes] = self.made.shares(threshold, members)
        return given[1:] + given[:1]

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.made, attribute)


@pytest.mark.parametrize("what", ["masking", "seed"])
def test_shares_for_the_wrong_members(tmp_path: Path, what: str) -> None:
    with masks_world(tmp_path) as world:
        rounds = world.answers[LIAR]._rounds
        advertise = rounds.advertise

        def shuffling(body: Any) -> Any:
            reply = advertise(body)
            setattr(rounds._round, what, Shuffled(getattr(rounds._round, what)))
            return reply

        rounds.advertise = shuffling
        with pytest.raises(TooFewMembers):
            summer(world).total(single())
        reasons = {absence.member: absence.reason for absence in world.channel.absences}
        assert all("another member's" in reasons[name] for name in REST)


def test_wrong_session_keys(tmp_path: Path) -> None:
    with masks_world(tmp_path) as world:
        lie(world, "masks.keys", {"signature": "00" * 64}, {})
        with summer(world).fixed() as session:
            assert session.members == REST
            assert np.array_equal(session.sum(instruction()), world.plain(instruction(), REST))


def test_a_vector_of_another_shape_in_a_session(tmp_path: Path) -> None:
    with masks_world(tmp_path) as world:
        lie(world, "masks.sum", {}, {"masked/values": np.zeros(3, np.uint64)})
        with summer(world).fixed() as session, pytest.raises(SessionLost) as lost:
            session.sum(instruction())
        assert lost.value.lost == (LIAR,)


def test_a_least_number_that_is_far_too_high(tmp_path: Path) -> None:
    with masks_world(tmp_path) as world:
        lie(world, "masks.advertise", {"least": 1 << 51}, {})
        adder = summer(world)
        for step in range(2):
            assert adder.total(single(step)).members[-1] == "emi"
        assert adder._rounds < 1 << 35
