# SPDX-License-Identifier: Apache-2.0
"""The chain of versions: who signs what, what a file may not hide, and what a member takes over."""

from __future__ import annotations

import pytest

from hitoku.errors import RoomError
from hitoku.room.agreement import Room, SignedVersion
from hitoku.room.canonical import agreement_hash
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import dump_room, parse_room
from hitoku.room.signing import missing, problems, sign, verify
from hitoku.room.versions import continues, revise


def keys(place, name):
    return place.members[name].keys({})


def loosened(place, room=None, minimum=2):
    """The next version: airport lowers its own minimum."""
    room = room or place.room
    tables = room.agreement.model_dump(mode="json", by_alias=True, exclude_none=True)["tables"]
    flights = next(t for t in tables if t["owner"] == "airport")
    flights["rule"]["outputConstraints"][0]["minimum"] = minimum
    return revise(room, {"tables": tables})


def test_a_change_of_an_owners_rule_needs_that_owner_alone(place):
    room = loosened(place)
    assert room.agreement.version == 2
    assert room.agreement.previous == agreement_hash(place.agreement)
    assert missing(room) == ("airport",)
    with pytest.raises(RoomError, match="'airport' has not signed yet"):
        verify(room)
    by_other = sign(room, "registry", keys(place, "registry"))
    with pytest.raises(RoomError, match="'airport' has not signed yet"):
        verify(by_other)
    verify(sign(room, "airport", keys(place, "airport")))


def test_a_version_not_in_force_is_changed_itself(place):
    room = loosened(place)
    again = revise(room, {"name": "Another"})
    assert again.agreement.version == 2
    assert again.agreement.previous == agreement_hash(place.agreement)
    assert again.signatures == ()


def test_every_member_takes_over_what_the_touched_have_signed(place):
    room = sign(loosened(place), "airport", keys(place, "airport"))
    for directory in place.members.values():
        assert directory.room(room) == room
        assert directory.known(room) == room.agreement
        with pytest.raises(RoomError, match="rolled back"):
            directory.room(place.room)


def test_a_room_survives_its_file(place):
    room = sign(loosened(place), "airport", keys(place, "airport"))
    assert parse_room(dump_room(room)) == room
    third = loosened(place, room, minimum=5)
    assert third.agreement.version == 3
    verify(sign(third, "airport", keys(place, "airport")))


def resign(place, room, *names):
    for name in names:
        room = sign(room, name, keys(place, name))
    return room


def test_a_broken_chain_is_refused(place):
    good = sign(loosened(place), "airport", keys(place, "airport"))
    cases = {
        "versions before it are not in the file": good.model_copy(update={"history": ()}),
        "does not continue version 1": resign(
            place,
            good.model_copy(update={"agreement": good.agreement.model_copy(update={"version": 3})}),
            "airport",
        ),
        "changes nothing": revise(place.room, {}),
        "another room": good.model_copy(
            update={
                "history": (
                    SignedVersion(
                        agreement=place.agreement.model_copy(update={"id": type(place.agreement.id)(int=7)}),
                        signatures=place.room.signatures,
                    ),
                )
            }
        ),
        "version 1: 'host' has not signed yet": good.model_copy(
            update={
                "history": (
                    SignedVersion(
                        agreement=place.agreement,
                        signatures=tuple(s for s in place.room.signatures if s.member != "host"),
                    ),
                )
            }
        ),
    }
    for words, room in cases.items():
        assert any(words in problem for problem in problems(room)), (words, problems(room))
    forked = good.agreement.model_copy(update={"name": "Fork"})
    history = (SignedVersion(agreement=forked, signatures=good.signatures),)
    with pytest.raises(RoomError):
        verify(Room(agreement=good.agreement, signatures=good.signatures, history=history))


def test_continues_knows_rollback_and_forks(place):
    room = sign(loosened(place), "airport", keys(place, "airport"))
    continues(room, place.agreement)
    continues(room, room.agreement)
    with pytest.raises(RoomError, match="rolled back"):
        continues(place.room, room.agreement)
    other = sign(loosened(place, minimum=3), "airport", keys(place, "airport"))
    with pytest.raises(RoomError, match="not the one that was signed"):
        continues(other, room.agreement)


def test_a_key_changes_with_the_old_keys_consent_only(place, tmp_path):
    fresh = MemberDirectory.create(tmp_path / "fresh", "registry")
    members = place.agreement.model_dump(mode="json")["members"]
    next(m for m in members if m["name"] == "registry")["key"] = fresh.keys({}).public_key()
    room = revise(place.room, {"members": members})
    room = sign(room, "registry", fresh.keys({}))
    room = sign(room, "airport", keys(place, "airport"))
    assert problems(room) == ("'registry' has not signed yet with its key of the version before",)
    verify(sign(room, "registry", keys(place, "registry")))


def test_an_owner_is_not_removed_against_its_will(place):
    data = place.agreement.model_dump(mode="json", by_alias=True, exclude_none=True)
    room = revise(
        place.room,
        {
            "members": [m for m in data["members"] if m["name"] != "registry"],
            "tables": [t for t in data["tables"] if t["owner"] != "registry"],
        },
    )
    room = sign(room, "airport", keys(place, "airport"))
    assert any("'registry' has not signed yet" in problem for problem in problems(room))
    verify(sign(room, "registry", keys(place, "registry")))
