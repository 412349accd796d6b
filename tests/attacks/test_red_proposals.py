# SPDX-License-Identifier: Apache-2.0
"""Two signatures of one member under two drafts of one number: both could come in force, at two nodes."""

from __future__ import annotations

import pytest
from tests.attacks.test_proposals import NO_SIGNATURE, draft, says
from tests.proposing import World, retold

from hitoku import limits
from hitoku.errors import LimitError, RoomError
from hitoku.node import rotation
from hitoku.room import signing
from hitoku.room.agreement import Room, Signature
from hitoku.room.canonical import agreement_hash
from hitoku.room.files import load_room
from hitoku.room.history import standing, written
from hitoku.room.signing import sign, signers, signers_of_all, verify
from hitoku.room.versions import revise
from hitoku.transport.proposals import SignatureGiven


@pytest.fixture
def world(tmp_path, clock):
    return World(tmp_path, clock)


def test_who_signed_a_proposal_does_not_sign_a_change_of_its_key_beside_it(world):
    other = draft(world, name="Signed on the console")
    says(world, "registry", "airport", other)
    world["airport"].proposals.sign(agreement_hash(other.agreement))
    with pytest.raises(RoomError, match="signed another draft of version 2"):
        rotation.begin(world["airport"].directory)
    assert load_room(world["airport"].file).agreement.version == 1


def test_who_began_to_change_its_key_signs_no_proposal_beside_it(world):
    other = draft(world, name="Came afterwards")
    rotation.begin(world["airport"].directory)
    rotation.begin(world["airport"].directory)  # said again, it is the same draft
    made = load_room(world["airport"].file)
    assert made.agreement.version == 2
    assert says(world, "registry", "airport", other)["state"] == "bound"
    with pytest.raises(RoomError):
        world["airport"].proposals.sign(agreement_hash(other.agreement))
    assert world["airport"].proposals.book.bound().hash == agreement_hash(made.agreement)


def _stricter(world, name, minimum):
    tables = retold(world[name].agreement)["tables"]
    next(t for t in tables if t["owner"] == name)["rule"]["outputConstraints"][0]["minimum"] = minimum
    return {"tables": tables}


def _flood(world, name, most):
    """One owner changes its own rule, again and again; returns how often it could."""
    for count in range(most):
        made = world[name].proposals.propose(_stricter(world, name, 10 + count))
        world.clock.pass_seconds(100)
        world[name].step()
        if world[name].proposals.find(made.hash).live:
            return count, made
    return most, None


def test_one_owner_does_not_use_up_the_history(world, monkeypatch):
    monkeypatch.setattr(limits, "MAX_HISTORY_BYTES", 40 * limits.MIN_VERSION_BYTES)
    monkeypatch.setattr(limits, "MAX_ROOM_VERSIONS", 40)
    count, stuck = _flood(world, "airport", 40)
    assert count == 4  # a share of the half of what was left
    assert stuck.everybody
    assert stuck.missing == ("registry", "host")
    assert world.versions() == [5, 5, 5]
    # It is in the way of nobody: whoever does not want it declines, and has a share of its own.
    for name in ("registry", "host"):
        world[name].proposals.decline(stuck.hash, "not again")
        world[name].step()
    world["airport"].proposals.withdraw(stuck.hash)
    world["airport"].step()
    assert _flood(world, "registry", 2)[0] == 2
    assert world.versions() == [7, 7, 7]
    # What is shown to who comes later is the same, and the whole history holds there, too.
    room = load_room(world["host"].file)
    verify(room)
    assert signers_of_all(room)[4].current == {"airport"}


def test_signatures_that_were_left_away_do_not_decide_who_must_sign(world, monkeypatch):
    """Else one node would say that everybody signed a version, and begin to count anew, and another not."""
    monkeypatch.setattr(limits, "MAX_HISTORY_BYTES", 16 * limits.MIN_VERSION_BYTES)
    room = revise(load_room(world["airport"].file), _stricter(world, "airport", 10))
    bare = sign(room, "airport", world["airport"].directory.keys())
    more = bare
    for name in ("registry", "host"):
        more = sign(more, name, world[name].directory.keys())
    verify(bare)
    verify(more)
    for one in (bare, more):
        after = revise(one, _stricter(world, "airport", 11))
        assert signers(after).everybody
    world["registry"].proposals.take_up(more)
    kept = load_room(world["registry"].file).signatures
    assert [s.member for s in kept] == ["airport"]  # and the others take no room


def test_a_large_table_of_one_owner_leaves_the_others_their_versions(world, monkeypatch):
    monkeypatch.setattr(limits, "MAX_HISTORY_BYTES", 100 * limits.MIN_VERSION_BYTES)
    share = standing([world["airport"].agreement]).left["airport"]
    tables = retold(world["airport"].agreement)["tables"]
    for count in (1_000, 100, 30):
        columns = [{"name": f"c{n}", "type": "string", "protection": "sealed"} for n in range(count)]
        big = {"name": "big", "owner": "airport", "columns": columns}
        made = world["airport"].proposals.propose({"tables": [*tables, big]})
        world["airport"].step()
        if made.everybody:
            world["airport"].proposals.withdraw(made.hash)
            world["airport"].step()
    assert world.versions() == [2, 2, 2]
    size = written(world["registry"].agreement)
    assert size < share / 8  # what it could make it larger by
    assert _flood(world, "registry", 8)[0] == 8


def test_a_history_that_everybody_filled_says_so(world, monkeypatch):
    monkeypatch.setattr(limits, "MAX_HISTORY_BYTES", limits.MIN_VERSION_BYTES)
    with pytest.raises(LimitError, match="history is full"):
        world["airport"].proposals.propose({"name": "One more"})
    assert world["airport"].proposals.all() == ()


def _walks(monkeypatch):
    """Grows by one whenever a whole history is verified."""
    found: list[Room] = []
    walk = signing._walk

    def counted(room: Room):
        found.append(room)
        return walk(room)

    monkeypatch.setattr(signing, "_walk", counted)
    return found


@pytest.mark.parametrize("real", [False, True], ids=["junk", "its own"])
def test_many_signatures_do_not_have_the_history_verified_once_for_each(world, monkeypatch, real):
    """A room may have a thousand versions, and its file is locked meanwhile."""
    made = draft(world, name="Heavy")
    mine = sign(made, "host", world["host"].directory.keys()).signatures[0]
    one = mine if real else Signature(member="registry", signature=NO_SIGNATURE)
    walks = _walks(monkeypatch)

    def cost(signatures):
        before = len(walks)
        says(world, "host", "airport", Room(agreement=made.agreement, signatures=signatures))
        return len(walks) - before

    cost(())  # kept now, so that the others find it there
    few, many = cost((one,)), cost((one,) * (2 * limits.MAX_MEMBERS))
    assert few == many


def test_many_signatures_of_an_answer_are_as_cheap(world, monkeypatch):
    made = world["airport"].proposals.propose({"name": "Heavy"})
    junk = Signature(member="registry", signature=NO_SIGNATURE)
    walks = _walks(monkeypatch)

    def cost(count):
        before = len(walks)
        message = SignatureGiven(hash=made.hash, signatures=[junk] * count)
        world["registry"].peers.call("airport", message.model_dump(mode="json"))
        return len(walks) - before

    assert cost(1) == cost(2 * limits.MAX_MEMBERS)
    assert world["airport"].proposals.find(made.hash).missing == ("registry", "host")
