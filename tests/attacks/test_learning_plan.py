# SPDX-License-Identifier: Apache-2.0
"""A server with the right key that departs from the plan that the banks signed, and others posing as it."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.unit.learning.learning_world import BANKS, make_room
from tests.unit.learning.test_server import RUN, Running

from hitoku.errors import InputError, PeerError, Refusal, RoomError
from hitoku.learning.aggregate.masks import MasksSummer
from hitoku.learning.bank import Bank, make_tasks
from hitoku.learning.base import Instruction, SessionLost, TooFewMembers
from hitoku.learning.boosting.shape import shape_of
from hitoku.learning.channel import Channel
from hitoku.learning.guard import Block, Vote
from hitoku.learning.invitation import Invitation
from hitoku.learning.signing import SignedPlan


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_room(tmp_path_factory.mktemp("room"))


@pytest.fixture
def world(place, tmp_path):
    made = Running(place, tmp_path, guard={"every": 2})
    yield made
    made.close()


@pytest.fixture
def channel(world, place):
    return Channel(world.plan, RUN, world.fleet, place.members["adder"].keys({}), place.publics)


@pytest.fixture
def summer(world, channel):
    return MasksSummer(channel, world.plan, RUN, 1)


class First(Exception):
    """The first instruction of an honest run."""


def first_count(world):
    """The instruction that an honest driver begins with."""
    from hitoku.learning.boosting import BoostingTrainer

    class Catches:
        members = BANKS

        def fixed(self):
            return self

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def sum(self, instruction):
            raise First(instruction)

    with pytest.raises(First) as caught:
        BoostingTrainer(world.plan).prepare(cast(Any, Catches()))
    return caught.value.args[0]


def codes(channel):
    return [refusal.code for _, _, refusal in channel.refusals]


def test_a_member_is_not_dropped_without_a_word(world, summer):
    summer.exclude("ebisu")
    with pytest.raises(Refusal) as caught, summer.fixed() as session:
        session.sum(first_count(world))
    assert caught.value.code == "LEARNING_SET_UNEXPLAINED"


def test_two_almost_equal_sums(world, summer, channel):
    """The same counts over all and over all but one: the difference is that one's."""
    asked = first_count(world)
    with summer.fixed() as session:
        session.sum(asked)
    summer.exclude("ebisu")
    summer.tell("boosting", {"do": "set", "members": list(BANKS[:4]), "because": "loss"})
    assert channel.refusals == []
    with pytest.raises(Refusal) as caught, summer.fixed() as session:
        session.sum(asked)
    assert caught.value.code == "LEARNING_NOT_FRESH"


def test_a_sum_of_three(world, summer, channel):
    for name in ("daiwa", "ebisu"):
        summer.exclude(name)
    summer.tell("boosting", {"do": "set", "members": list(BANKS[:3]), "because": "loss"})
    assert set(codes(channel)) == {"LEARNING_SET"}
    with pytest.raises(TooFewMembers), summer.fixed():
        pass


def test_rejections_that_nobody_cast(world, summer, channel, place):
    """Signed by the server instead, of another run, and one member's alone."""
    server = place.members["adder"].keys({})
    block = Block(0, 2)
    forged = [Vote.cast(world.plan, RUN, name, block, False, server).to_dict() for name in BANKS]
    other = [
        Vote.cast(world.plan, "b" * 32, name, block, False, place.members[name].keys({})).to_dict()
        for name in BANKS
    ]
    one = [Vote.cast(world.plan, RUN, "aki", block, False, place.members["aki"].keys({})).to_dict()]
    for votes in (forged, other, one * 3):
        answers = summer.tell("boosting", {"do": "rollback", "to": 0, "votes": votes})
        assert answers == {}
        answers = summer.tell(
            "boosting", {"do": "set", "members": list(BANKS[:4]), "because": "votes", "votes": votes}
        )
        assert answers == {}
    assert set(codes(channel)) == {"LEARNING_VOTES"}


@pytest.mark.parametrize("field", ["length", "bound", "task"])
def test_sums_that_the_plan_does_not_name(world, summer, field):
    asked = first_count(world)
    other = {
        "length": Instruction(asked.task, asked.body, asked.length + 1, asked.bound, asked.arrays),
        "bound": Instruction(asked.task, asked.body, asked.length, asked.bound * 2, asked.arrays),
        "task": Instruction("counters", asked.body, asked.length, asked.bound, asked.arrays),
    }[field]
    with pytest.raises((Refusal, SessionLost)), summer.fixed() as session:
        session.sum(other)


def test_the_bounds_of_all_members_fit_the_ring(world):
    """What every instruction of this plan may have, times the members, is below 2^63."""
    shape = shape_of(world.plan)
    for bound in (shape.count_bound, shape.level_bound):
        assert 0 < len(BANKS) * bound < 2**63


def test_somebody_else_as_the_server(world, place):
    channel = Channel(world.plan, RUN, world.fleet, place.members["host"].keys({}), place.publics)
    assert channel.ask("masks.keys", {"aki": ({"session": 1}, {})}) == {}
    assert [absence.reason for absence in channel.absences] == ["no answer"]


def test_a_member_of_another_plan(world, place, tmp_path):
    plan = place.plan(members=list(BANKS[:4]))
    tasks = make_tasks(plan, world.data["ebisu"])
    keys = place.members["ebisu"].keys({})
    with pytest.raises(RoomError, match="brings no rows"):
        Bank(plan, RUN, "ebisu", keys, place.publics, tasks, tmp_path / "other")


class TestInvitations:
    """The file that says where the server is."""

    def made(self, world):
        return Invitation(world.signed.hash, RUN, "127.0.0.1:4711", "-----BEGIN CERTIFICATE-----")

    def test_of_the_server(self, world, place, tmp_path):
        made, path = self.made(world), tmp_path / "server.json"
        made.save(path, place.members["adder"].keys({}))
        assert Invitation.load(path, world.signed, place.publics["adder"]) == made

    def test_of_somebody_else(self, world, place, tmp_path):
        path = tmp_path / "server.json"
        self.made(world).save(path, place.members["aki"].keys({}))
        with pytest.raises(PeerError, match="did not sign"):
            Invitation.load(path, world.signed, place.publics["adder"])

    def test_with_another_address(self, world, place, tmp_path):
        path = tmp_path / "server.json"
        self.made(world).save(path, place.members["adder"].keys({}))
        path.write_text(path.read_text().replace("4711", "4712"))
        with pytest.raises(PeerError, match="did not sign"):
            Invitation.load(path, world.signed, place.publics["adder"])

    def test_of_another_plan(self, world, place, tmp_path):
        path = tmp_path / "server.json"
        self.made(world).save(path, place.members["adder"].keys({}))
        other = SignedPlan(place.plan(), {})
        with pytest.raises(PeerError, match="another plan"):
            Invitation.load(path, other, place.publics["adder"])

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"signature": 1}', "x" * 100])
    def test_of_no_form(self, world, place, tmp_path, content):
        path = tmp_path / "server.json"
        path.write_text(content)
        with pytest.raises(InputError):
            Invitation.load(path, world.signed, place.publics["adder"])
