# SPDX-License-Identifier: Apache-2.0
"""What a member checks for itself: votes, roll-backs, sets without somebody."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.unit.learning.learning_world import BANKS, make_room

from hitoku.errors import Refusal
from hitoku.learning.base import Instruction
from hitoku.learning.boosting.fixed_point import losses
from hitoku.learning.guard import Block, Guarded, Vote, ballot, blind_loss, needed, rejected

RUN = "a" * 32
ASK = Instruction("boosting", {}, 2, 10)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_room(tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def plan(place):
    return place.plan(guard={"every": 2})


class Work:
    """A task that remembers what it was told."""

    def __init__(self, accept=True):
        self.accept, self.heard = accept, []

    def contribute(self, instruction, members):
        return np.ones(instruction.length, np.int64)

    def told(self, body, arrays):
        self.heard.append(dict(body))
        return ({"accept": self.accept} if body["do"] == "vote" else {}), {}


def guarded(place, plan, name="aki", accept=True):
    work = Work(accept)
    return Guarded(work, plan, RUN, name, place.members[name].keys({}), place.publics), work


def votes(place, plan, rejecting, block=Block(0, 2), names=BANKS, run=RUN):  # noqa: B008 (it is frozen)
    return [
        Vote.cast(plan, run, name, block, name not in rejecting, place.members[name].keys({})).to_dict()
        for name in names
    ]


def vote(guard):
    return guard.told({"do": "vote", "from": 0, "to": 2}, {})[0]["vote"]


@pytest.mark.parametrize(
    ("before", "after", "accept"),
    [
        (0.5, 0.5, True),
        (0.5, 0.51, True),
        (0.5, 0.5101, False),
        (0.5, 0.1, True),
        (0.5, math.nan, False),
        (math.inf, 0.1, False),
        (0.0, 1e-7, True),
        (0.0, 0.1, False),
    ],
)
def test_ballot(plan, before, after, accept):
    assert ballot(plan, before, after) is accept


@pytest.mark.parametrize(
    ("after", "blind", "accept"),
    [(0.1, 0.05, True), (0.1001, 0.05, False), (0.3, None, True), (2e-6, 0.0, True)],
)
def test_ballot_knows_a_model_that_is_worse_than_none(plan, after, blind, accept):
    """Also where the block itself made things better."""
    assert ballot(plan, 0.4, after, blind) is accept


def test_the_loss_of_a_constant_is_the_least_that_a_constant_can_have():
    label = np.array([1] * 12 + [0] * 300, np.uint8)
    for positive in (1.0, 7.5):
        weight = np.where(label == 1, positive, 1.0).sum()
        margins = np.linspace(-8, 4, 4001)
        each = [losses(np.full(len(label), m), label, positive).sum() / weight for m in margins]
        found = blind_loss(label, positive)
        assert found is not None
        assert found == pytest.approx(min(each), abs=1e-6)
        assert found <= min(each)
    assert blind_loss(label[3:], 1.0) is None, "nine frauds are too few"
    assert blind_loss(1 - label[3:], 1.0) is None


def test_more_than_a_third_rejects(place, plan):
    assert needed(plan) == 2

    def read(rejecting, **more) -> list[Vote]:
        made = [Vote.of(v) for v in votes(place, plan, rejecting, **more)]
        return [vote for vote in made if vote is not None]

    block = Block(0, 2)
    assert not rejected(plan, RUN, block, read({"aki"}), place.publics)
    assert rejected(plan, RUN, block, read({"aki", "chiyo"}), place.publics)
    # Of another block, run, without its signature, or one member's twice: does not count.
    assert not rejected(plan, RUN, Block(0, 4), read({"aki", "chiyo"}), place.publics)
    assert not rejected(plan, "b" * 32, block, read({"aki", "chiyo"}), place.publics)
    assert not rejected(plan, RUN, block, read({"aki"}) * 2, place.publics)
    forged = [replace(v, accept=False) for v in read(set())]
    assert not rejected(plan, RUN, block, forged, place.publics)


def test_a_vote_is_signed_and_comes_back(place, plan):
    guard, _ = guarded(place, plan, accept=False)
    given = Vote.of(vote(guard))
    assert given is not None
    assert (given.member, given.accept) == ("aki", False)
    assert given.holds(plan, RUN, place.publics)
    assert not given.holds(plan, "b" * 32, place.publics)
    assert not replace(given, accept=True).holds(plan, RUN, place.publics)


@pytest.mark.parametrize(
    "data", [None, [], {}, {"member": 1, "from": 0, "to": 1, "accept": True, "signature": ""}],
    ids=["none", "list", "empty", "types"],
)  # fmt: skip
def test_what_is_no_vote(data):
    assert Vote.of(data) is None


def test_a_member_that_voted_waits_for_what_came_of_it(place, plan):
    guard, _ = guarded(place, plan)
    own = vote(guard)
    with pytest.raises(Refusal) as caught:
        guard.contribute(ASK, BANKS)
    assert caught.value.code == "LEARNING_VOTES"
    others = votes(place, plan, set(), names=BANKS[1:])
    guard.told({"do": "votes", "votes": [own, *others]}, {})
    assert guard.contribute(ASK, BANKS).tolist() == [1, 1]


def test_a_vote_that_is_hidden_is_noticed_by_who_cast_it(place, plan):
    guard, _ = guarded(place, plan, accept=False)
    vote(guard)
    with pytest.raises(Refusal, match="own vote"):
        guard.told({"do": "votes", "votes": votes(place, plan, set(), names=BANKS[1:])}, {})
    with pytest.raises(Refusal, match="own vote"):
        guard.told({"do": "votes", "votes": votes(place, plan, set())}, {})


def test_a_rejected_block_does_not_stay(place, plan):
    guard, _ = guarded(place, plan, accept=False)
    own = vote(guard)
    shown = [own, *votes(place, plan, {"benten"}, names=BANKS[1:])]
    with pytest.raises(Refusal, match="taken back"):
        guard.told({"do": "votes", "votes": shown}, {})
    guard.told({"do": "rollback", "to": 0, "votes": shown}, {})
    assert guard.contribute(ASK, BANKS).tolist() == [1, 1]


@pytest.mark.parametrize("case", ["one", "none", "other-block", "other-run", "forged"])
def test_a_roll_back_needs_signed_rejections(place, plan, case):
    guard, work = guarded(place, plan)
    shown = {
        "one": lambda: votes(place, plan, {"aki"}),
        "none": lambda: None,
        "other-block": lambda: votes(place, plan, set(BANKS), block=Block(2, 4)),
        "other-run": lambda: votes(place, plan, set(BANKS), run="b" * 32),
        "forged": lambda: [v | {"accept": False} for v in votes(place, plan, set())],
    }[case]()
    with pytest.raises(Refusal) as caught:
        guard.told({"do": "rollback", "to": 0, "votes": shown}, {})
    assert caught.value.code == "LEARNING_VOTES"
    assert work.heard == []


def test_a_set_without_somebody_needs_a_reason(place, plan):
    guard, _ = guarded(place, plan)
    with pytest.raises(Refusal) as caught:
        guard.contribute(ASK, BANKS[:4])
    assert caught.value.code == "LEARNING_SET_UNEXPLAINED"
    assert "ebisu" in str(caught.value)
    said = {"do": "set", "members": list(BANKS[:4])}
    for wrong in ({}, {"because": "rejoin"}, {"because": "votes", "votes": votes(place, plan, {"aki"})}):
        with pytest.raises(Refusal):
            guard.told(said | wrong, {})
    guard.told(said | {"because": "loss"}, {})
    assert guard.lost == [("ebisu",)]
    assert guard.contribute(ASK, BANKS[:4]).tolist() == [1, 1]
    guard.told({"do": "set", "members": list(BANKS), "because": "rejoin"}, {})
    with pytest.raises(Refusal):
        guard.contribute(ASK, BANKS[:4])


def test_votes_leave_a_member_out(place, plan):
    guard, _ = guarded(place, plan)
    said = {"do": "set", "members": list(BANKS[1:]), "because": "votes"}
    guard.told(said | {"votes": votes(place, plan, {"aki", "benten"})}, {})
    assert guard.lost == []
    assert guard.contribute(ASK, BANKS[1:]).tolist() == [1, 1]


@pytest.mark.parametrize(
    "members", [BANKS[:3], (*BANKS, "zen"), (*BANKS, "aki"), (1, 2, 3, 4), None],
    ids=["few", "stranger", "twice", "numbers", "none"],
)  # fmt: skip
def test_a_set_that_is_none_of_the_plan(place, plan, members):
    guard, _ = guarded(place, plan)
    given = None if members is None else list(members)
    with pytest.raises(Refusal) as caught:
        guard.told({"do": "set", "members": given, "because": "loss"}, {})
    assert caught.value.code == "LEARNING_SET"


def test_everything_else_goes_to_the_task(place, plan):
    guard, work = guarded(place, plan)
    guard.told({"do": "sync", "trees": 3}, {})
    assert work.heard == [{"do": "sync", "trees": 3}]
