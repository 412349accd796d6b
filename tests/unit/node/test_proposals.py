# SPDX-License-Identifier: Apache-2.0
"""Proposals between members' nodes: one signature, several, members that are down, two authors at once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.proposing import World, retold

from hitoku.errors import RoomError
from hitoku.room.canonical import agreement_hash
from hitoku.room.files import load_room, save_room
from hitoku.room.signing import verify
from hitoku.room.versions import revise


@pytest.fixture
def world(tmp_path, clock):
    return World(tmp_path, clock)


def minimum(world: World, table: str, count: int) -> dict[str, Any]:
    """A change of one owner's rule."""
    tables = retold(world["airport"].agreement)["tables"]
    for one in tables:
        if one["name"] == table:
            one["rule"]["outputConstraints"][0]["minimum"] = count
    return {"tables": tables}


def test_an_owners_own_rule_is_in_force_everywhere_at_once(world):
    made = world["airport"].proposals.propose(minimum(world, "flights", 7), by="kim", why="safer")
    assert made.state == "open"
    assert made.signers == ("airport",)
    assert made.missing == ()
    assert made.waits == ("registry", "host")
    assert world["airport"].agreement.version == 1  # not before all others keep it
    assert world["airport"].step()
    assert world.versions() == [2, 2, 2]
    hashes = {agreement_hash(m.agreement) for m in world.members.values()}
    assert hashes == {made.hash}
    for member in world.members.values():
        verify(load_room(member.file))
        assert [p.state for p in member.proposals.all()] == ["in_force"]


def test_who_must_sign_signs_what_was_shown(world):
    made = world["registry"].proposals.propose({"name": "Another name"}, why="the contract's")
    assert set(made.signers) == {"airport", "registry", "host"}
    assert not world["registry"].step()
    shown = world["airport"].proposals.find(made.hash)
    assert shown is not None
    assert shown.author == "registry"
    assert shown.record.why == "the contract's"
    assert "airport" in shown.missing
    assert [c.path for c in shown.changes] == ["name"]
    signed = world["airport"].proposals.sign(made.hash)
    assert "airport" not in signed.missing
    assert world.versions() == [1, 1, 1]
    world["airport"].step()
    world["host"].proposals.sign(made.hash)
    world["host"].step()
    assert world["registry"].step()
    assert world.versions() == [2, 2, 2]
    assert {m.agreement.name for m in world.members.values()} == {"Another name"}


def test_a_member_that_signed_still_serves_what_is_in_force(world):
    made = world["registry"].proposals.propose({"name": "Another name"})
    world["registry"].step()
    world["airport"].proposals.sign(made.hash)
    airport = world["airport"]
    assert airport.directory.room(load_room(airport.file)).agreement.version == 1


def test_a_node_that_is_down_hears_it_later(world):
    world["host"].up = False
    made = world["airport"].proposals.propose(minimum(world, "flights", 7))
    assert not world["airport"].step()
    shown = world["airport"].proposals.find(made.hash)
    assert shown is not None
    assert shown.waits == ("host",)
    tried = shown.record.tried["host"]
    assert tried.failures == 1
    assert tried.since is not None
    assert world.versions() == [1, 1, 1]
    world["host"].up = True
    assert not world["airport"].step(eager=False)  # it pauses before it tries again
    world.clock.pass_seconds(60)
    assert world["airport"].step(eager=False)
    assert world.versions() == [2, 2, 2]


def test_the_end_is_told_until_all_have_heard_it(world):
    world["airport"].proposals.propose(minimum(world, "flights", 7))
    courier_sees = world["host"].handle

    def dies_after_keeping(sender, message):
        answer = courier_sees(sender, message)
        world["host"].up = False
        return answer

    world.network._handlers["host"] = dies_after_keeping
    assert world["airport"].step()
    assert world.versions() == [2, 2, 1]
    world["host"].up = True
    world.network._handlers["host"] = courier_sees
    world.clock.pass_seconds(60)
    world["airport"].step(eager=False)
    assert world.versions() == [2, 2, 2]


def test_an_operator_need_not_wait_for_who_signs_nothing(world):
    world["host"].up = False
    made = world["airport"].proposals.propose(minimum(world, "flights", 7))
    world["airport"].step()
    assert world["airport"].proposals.settle(unheard=True)
    assert world["airport"].agreement.version == 2
    assert agreement_hash(world["airport"].agreement) == made.hash
    world["airport"].step()
    whole = world["registry"].proposals.propose({"name": "B"})
    assert not world["registry"].proposals.settle(unheard=True)  # signatures cannot be left out
    assert whole.missing


def test_two_authors_at_once_make_one_version_after_the_other(world):
    first = world["airport"].proposals.propose(minimum(world, "flights", 7))
    second = world["registry"].proposals.propose(minimum(world, "planes", 9))
    world["registry"].step()  # the airport's is in the way: it comes first in the agreement
    world["airport"].step()
    world["registry"].step()
    world["airport"].step()
    assert world.versions() == [2, 2, 2]
    assert agreement_hash(world["host"].agreement) == first.hash
    gone = world["registry"].proposals.find(second.hash)
    assert gone is not None
    assert gone.state == "withdrawn"
    world["registry"].proposals.propose(minimum(world, "planes", 9))
    world["registry"].step()
    assert world.versions() == [3, 3, 3]


def test_one_open_proposal_at_a_time(world):
    world["airport"].proposals.propose({"name": "A"})
    with pytest.raises(RoomError, match="another draft of the next version"):
        world["airport"].proposals.propose({"name": "B"})
    world["airport"].step()
    with pytest.raises(RoomError, match="a proposal of 'airport' is open"):
        world["registry"].proposals.propose({"name": "B"})


def test_declining_frees_who_declines_and_tells_why(world):
    made = world["airport"].proposals.propose({"name": "A"})
    world["airport"].step()
    world["registry"].proposals.decline(made.hash, "the old name is in the contract")
    world["registry"].step()
    shown = world["airport"].proposals.find(made.hash)
    assert shown is not None
    assert shown.record.refused == {"registry": "the old name is in the contract"}
    assert world["registry"].proposals.propose({"name": "B"}).state == "open"


def test_who_signed_is_free_again_when_the_author_takes_it_back(world):
    first = world["airport"].proposals.propose({"name": "A"})
    world["airport"].step()
    world["registry"].proposals.sign(first.hash)
    world["registry"].up = False
    world["airport"].proposals.withdraw(first.hash)
    world["airport"].step()
    second = world["airport"].proposals.propose({"name": "B"})
    world["registry"].up = True
    world.clock.pass_seconds(100)
    world["airport"].step()
    for name in ("registry", "host"):
        world[name].proposals.sign(second.hash)
        world[name].step()
    world["airport"].step()
    assert world.versions() == [2, 2, 2]
    assert world["host"].agreement.name == "B"


def test_a_draft_is_not_sent_before_it_is_given(world):
    made = world["airport"].proposals.propose({"name": "A"}, by="drafter", signed=False)
    assert made.state == "draft"
    world["airport"].step()
    assert world["registry"].proposals.all() == ()
    given = world["airport"].proposals.give(made.hash)
    assert given.state == "open"
    assert "airport" not in given.missing
    world["airport"].step()
    assert [p.hash for p in world["registry"].proposals.all()] == [made.hash]


def test_a_draft_that_is_overtaken_is_over(world):
    made = world["airport"].proposals.propose({"name": "A"}, signed=False)
    world["registry"].proposals.propose(minimum(world, "planes", 9))
    world["registry"].step()
    assert world.versions() == [2, 2, 2]
    gone = world["airport"].proposals.find(made.hash)
    assert gone is not None
    assert gone.state == "superseded"
    assert load_room(world["airport"].file).agreement.version == 2


def test_a_node_that_missed_versions_gets_them(world):
    world["host"].up = False
    for count in (7, 8):
        world["airport"].proposals.propose(minimum(world, "flights", count))
        world["airport"].step()
        world["airport"].proposals.settle(unheard=True)
        world["airport"].step()
    assert world.versions() == [3, 3, 1]
    world["host"].up = True
    world["airport"].step()
    world["host"].step()
    assert world.versions() == [3, 3, 3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "changes nothing"),
        ({"members": []}, "cannot be so: members"),
        ({"nonsense": 1}, "cannot be so: nonsense"),
        ({"protections": ["nonsense"]}, "cannot be so: protections"),
    ],
)
def test_what_is_no_next_version_is_refused_and_leaves_nothing(world, change, words):
    with pytest.raises(RoomError, match=words):
        world["airport"].proposals.propose(change)
    assert world["airport"].proposals.all() == ()
    assert load_room(world["airport"].file).agreement.version == 1


def test_the_same_change_can_be_proposed_again_after_it_was_taken_back(world):
    first = world["airport"].proposals.propose({"name": "A"})
    world["airport"].step()
    for name in ("registry", "host"):
        world[name].proposals.sign(first.hash)
    world["airport"].proposals.withdraw(first.hash)
    world["airport"].step()
    again = world["airport"].proposals.propose({"name": "A"})
    assert again.hash == first.hash
    world["airport"].step()
    assert world.versions() == [1, 1, 1]  # what they signed before does not count again
    for name in ("registry", "host"):
        world[name].proposals.sign(again.hash)
        world[name].step()
    world["airport"].step()
    assert world.versions() == [2, 2, 2]


def test_a_draft_that_was_made_by_hand_is_known(world):
    airport = world["airport"]
    made = revise(load_room(airport.file), {"name": "By hand"})
    save_room(made, airport.file)
    (shown,) = airport.proposals.all()
    assert (shown.state, shown.hash) == ("draft", agreement_hash(made.agreement))
    airport.proposals.withdraw(shown.hash)
    assert load_room(airport.file).agreement.version == 1
    assert airport.proposals.propose({"name": "B"}).state == "open"


def test_a_crash_while_a_proposal_is_taken_back_leaves_nothing_in_the_way(world):
    airport = world["airport"]
    made = airport.proposals.propose({"name": "A"})
    left = airport.file.read_bytes()
    airport.proposals.withdraw(made.hash)
    airport.file.write_bytes(left)  # as if it had ended before this
    assert airport.proposals.propose({"name": "B"}).state == "open"


def test_a_signature_that_was_not_heard_is_asked_for(world):
    made = world["airport"].proposals.propose({"name": "A"})
    world["airport"].step()
    world["airport"].up = False
    for name in ("registry", "host"):
        world[name].proposals.sign(made.hash)
        world[name].step()  # the author is down
        kept = world[name].proposals.find(made.hash)
        assert kept is not None
        assert not kept.record.delivered
    world["airport"].up = True
    world.clock.pass_seconds(31)
    assert world["airport"].step(eager=False)
    assert world.versions() == [2, 2, 2]


def test_a_removed_owner_lets_its_table_go_by_its_own_signature(world):
    data = retold(world["airport"].agreement)
    change = {
        "members": [m for m in data["members"] if m["name"] != "registry"],
        "tables": [t for t in data["tables"] if t["owner"] != "registry"],
    }
    made = world["airport"].proposals.propose(change)
    assert set(made.signers) == {"airport", "registry"}
    world["airport"].step()
    assert world.versions() == [1, 1, 1]
    world["registry"].proposals.sign(made.hash)
    world["registry"].step()
    world["airport"].step()
    assert [world[n].agreement.version for n in ("airport", "host")] == [2, 2]
    assert world["host"].agreement.member("registry") is None
