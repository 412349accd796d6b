# SPDX-License-Identifier: Apache-2.0
"""Whatever honest members do in whatever order, no number has two versions in force; and work goes on."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from tests.conftest import FakeClock
from tests.proposing import World, retold

from hitoku.errors import HitokuError
from hitoku.room.canonical import agreement_hash
from hitoku.room.files import load_room
from hitoku.room.versions import newest_in_force


def _propose(world: World, name: str, draw: random.Random) -> None:
    member = world[name]
    tables = retold(member.agreement)["tables"]
    mine = [t for t in tables if t["owner"] == name]
    if mine and draw.random() < 0.6:
        mine[0]["rule"]["outputConstraints"][0]["minimum"] = draw.randrange(3, 1_000)
        change = {"tables": tables}
    else:
        change = {"name": f"Name {draw.randrange(1_000_000)}"}
    member.proposals.propose(change, signed=draw.random() < 0.9)


def _act(world: World, draw: random.Random) -> None:
    name = draw.choice(list(world.members))
    member = world[name]
    what = draw.choices(
        [
            "propose",
            "step",
            "sign",
            "decline",
            "withdraw",
            "give",
            "down",
            "time",
            "save",
            "restore",
        ],
        [5, 10, 6, 1, 1, 2, 1, 3, 1, 1],
    )[0]
    with suppress(HitokuError):  # what cannot be is refused; that is the point
        if what == "propose":
            _propose(world, name, draw)
        elif what == "step":
            member.step(eager=draw.random() < 0.7)
        elif what == "down":
            member.up = not member.up
        elif what == "time":
            world.clock.pass_seconds(draw.choice([1, 10, 100]))
        elif what == "save":
            member.save()
        elif what == "restore":
            if member.saved is not None:
                member.restore()
        else:
            found = [p for p in member.proposals.all() if p.live and p.mine == (what in {"withdraw", "give"})]
            if found and what == "sign":
                member.proposals.sign(draw.choice(found).hash)
            elif found and what == "decline":
                member.proposals.decline(draw.choice(found).hash, "no")
            elif found:
                getattr(member.proposals, what)(found[0].hash)


def _check(world: World) -> None:
    """Every version is the same one for all that have it."""
    known: dict[int, str] = {}
    for member in world.members.values():
        force = newest_in_force(load_room(member.file))
        for agreement in (*(v.agreement for v in force.history), force.agreement):
            hash_ = agreement_hash(agreement)
            assert known.setdefault(agreement.version, hash_) == hash_, f"two versions {agreement.version}"


def _quiet(world: World) -> None:
    """Everybody is there and says all there is to say."""
    for member in world.members.values():
        member.up = True
    for _ in range(4):
        world.clock.pass_seconds(100)
        for member in world.members.values():
            with suppress(HitokuError):
                member.step()


def _run(tmp_path, seed: int, acts: int) -> int:
    world, draw = World(tmp_path, FakeClock()), random.Random(seed)
    for number in range(acts):
        _act(world, draw)
        if number % 8 == 0:
            _check(world)  # versions stay in the history, so none is missed
    _quiet(world)
    _check(world)
    assert len(set(world.versions())) == 1  # all have the newest
    # What is still open can be cleared away by people, and then there is a next version.
    for member in world.members.values():
        for proposal in member.proposals.all():
            if proposal.live and proposal.mine:
                member.proposals.withdraw(proposal.hash)
    _quiet(world)
    before = world["airport"].agreement.version
    tables = retold(world["airport"].agreement)["tables"]
    next(t for t in tables if t["owner"] == "airport")["rule"]["outputConstraints"][0]["minimum"] = 77_777
    world["airport"].proposals.propose({"tables": tables})
    _quiet(world)
    assert world.versions() == [before + 1] * 3
    return before


def test_members_agree_whatever_they_do(tmp_path):
    assert _run(tmp_path, 1, 50) > 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 22))
def test_members_agree_whatever_they_do_for_long(tmp_path, seed):
    _run(tmp_path, seed, 150)
