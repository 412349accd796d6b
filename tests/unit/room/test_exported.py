# SPDX-License-Identifier: Apache-2.0
"""A ledger as a file for an outside auditor: whatever is changed in it is found, with the room file alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import FakeClock, Place

from hitoku.errors import InputError, RoomError
from hitoku.room.agreement import Room
from hitoku.room.exported import check_export, export
from hitoku.room.heads import signed_ever
from hitoku.room.keys import FileKeyStore, generate_key
from hitoku.room.ledger import Head
from hitoku.room.records import Records
from hitoku.room.signing import problems, sign
from hitoku.room.versions import revise


@pytest.fixture
def records(place: Place, clock: FakeClock) -> Records:
    """The airport's records with five entries."""
    found = place.members["airport"].records(str(place.agreement.id), clock)
    for n in range(5):
        found.deleted(f"table{n}", "no reason")
    return found


@pytest.fixture
def lines(records: Records) -> list[bytes]:
    return list(export(records.ledger))


def test_an_export_is_every_entry_as_it_was_hashed(
    lines: list[bytes], records: Records, place: Place
) -> None:
    assert [line.rstrip(b"\n") for line in lines[1:]] == [e.raw for e in records.ledger.entries()]
    head = check_export(lines, place.room)
    assert head == records.ledger.head()


def test_an_empty_ledger_exports_nothing(place: Place, clock: FakeClock) -> None:
    empty = place.members["host"].records(str(place.agreement.id), clock)
    assert list(export(empty.ledger)) == []
    with pytest.raises(InputError, match="not an export"):
        check_export([], place.room)


def test_what_is_written_meanwhile_is_not_in_it(records: Records, place: Place) -> None:
    going = export(records.ledger)
    first = next(going)
    records.deleted("later", "x")
    assert check_export([first, *going], place.room).size == 5


@pytest.mark.parametrize("at", range(1, 6))
def test_any_change_of_an_entry_is_found(lines: list[bytes], place: Place, at: int) -> None:
    edited = [*lines[:at], lines[at].replace(b"no reason", b"a reason"), *lines[at + 1 :]]
    dropped = [*lines[:at], *lines[at + 1 :]]
    doubled = [*lines[: at + 1], lines[at], *lines[at + 1 :]]
    moved = [lines[0], *lines[2:], lines[1]] if at == 1 else [*lines[:at], *reversed(lines[at - 1 :])]
    for changed in (edited, dropped, doubled, moved, lines[:at], [*lines, lines[at]]):
        with pytest.raises(RoomError):
            check_export(changed, place.room)


def first_with(lines: list[bytes], **head: Any) -> list[bytes]:
    data = json.loads(lines[0])
    data["head"] |= head
    data |= {name: head[name] for name in ("room", "member") if name in head}
    return [json.dumps(data).encode() + b"\n", *lines[1:]]


def test_a_head_that_its_member_did_not_sign_is_refused(lines: list[bytes], place: Place) -> None:
    for head in ({"size": 4}, {"member": "host"}, {"member": "nobody"}, {"time": "x"}, {"root": "00" * 32}):
        with pytest.raises(RoomError, match="not signed"):
            check_export(first_with(lines, **head), place.room)
    with pytest.raises(RoomError, match="another room"):
        check_export(first_with(lines, room="11111111-2222-3333-4444-555555555555"), place.room)


def test_what_is_no_export(lines: list[bytes], place: Place) -> None:
    for first in (b"", b"[]", b"{}", b"x" * 100_000, b"[" * 9_000, lines[1]):
        with pytest.raises(InputError):
            check_export([first, *lines[1:]], place.room)


def test_it_must_continue_a_head_that_was_kept(
    lines: list[bytes], records: Records, place: Place, clock: FakeClock
) -> None:
    older = records.ledger.head()
    records.deleted("more", "x")
    newer = list(export(records.ledger))
    assert older is not None
    assert check_export(newer, place.room, [older]).size == 6
    newest = records.ledger.head()
    assert newest is not None
    with pytest.raises(RoomError, match="does not continue"):
        check_export(lines, place.room, [newest])  # it was cut
    fork = Head(older.room, older.member, 3, b"\1" * 32, older.time, b"")
    signed = place.members["airport"].keys({}).sign(fork.message())
    fork = Head(fork.room, fork.member, fork.size, fork.root, fork.time, signed)
    with pytest.raises(RoomError, match="kept head of 3"):
        check_export(newer, place.room, [fork])
    theirs = place.members["host"].records(str(place.agreement.id), clock)
    theirs.deleted("x", "y")
    kept = theirs.ledger.head()
    assert kept is not None
    with pytest.raises(RoomError, match="another ledger"):
        check_export(newer, place.room, [kept])


def test_entries_are_read_from_the_end(records: Records) -> None:
    assert [seq for seq, _ in records.ledger.back()] == [4, 3, 2, 1, 0]
    assert [seq for seq, _ in records.ledger.back(2)] == [1, 0]
    assert list(records.ledger.back(0)) == []


def test_a_ledger_in_use_is_not_taken_for_a_broken_one(
    records: Records, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries come while it is read: they are read too, under the head that covers them."""
    from hitoku.room import ledger as module
    from hitoku.room.heads import member_signed

    told: list[tuple[int, int]] = []
    real, more = records.ledger._raw, iter(range(3))

    def busy(start: int) -> Any:
        yield from real(start)
        for n in more:
            records.deleted(f"busy{n}", "x")
            break

    monkeypatch.setattr(records.ledger, "_raw", busy)
    monkeypatch.setattr(module, "_TELL_ROWS", 4)
    size = records.ledger.verify(member_signed(place.agreement), None, lambda *at: told.append(at))
    assert size == 8
    assert told == [(4, 5), (8, 8)]


def rotated(place: Place, member: str, path: Path) -> tuple[Room, FileKeyStore]:
    """The room's next version, in force, in which a member has a new key."""
    path.mkdir()
    generate_key(path)
    new, old = FileKeyStore(path), place.members[member].keys({})
    members = [m.model_dump(mode="json") for m in place.agreement.members]
    room = revise(
        place.room,
        {"members": [m | {"key": new.public_key()} if m["name"] == member else m for m in members]},
    )
    for keys in (old, new):
        room = sign(room, member, keys)
    for other in place.members.keys() - {member}:
        room = sign(room, other, place.members[other].keys({}))
    assert problems(room) == ()
    return room, new


def test_an_export_from_before_a_change_of_key_still_holds(
    lines: list[bytes], place: Place, tmp_path: Path
) -> None:
    room, new = rotated(place, "airport", tmp_path / "new")
    head = check_export(lines, room)
    kept = Head(head.room, head.member, 5, head.root, head.time, new.sign(head.message()))
    assert check_export(lines, room, [kept]).size == 5
    resigned = first_with(lines, signature=json.loads(kept.to_bytes())["signature"])
    assert check_export(resigned, room, [head]) == kept
    with pytest.raises(RoomError, match="not signed"):
        check_export(resigned, place.room)


def test_a_draft_gives_nobody_a_key(lines: list[bytes], place: Place, tmp_path: Path) -> None:
    """Who may only propose a new key for another member cannot sign that member's past."""
    room, new = rotated(place, "airport", tmp_path / "new")
    head = check_export(lines, room)
    forged = first_with(
        lines,
        signature=json.loads(
            Head(head.room, head.member, 5, head.root, head.time, new.sign(head.message())).to_bytes()
        )["signature"],
    )
    draft = room.model_copy(update={"signatures": room.signatures[:1]})
    assert check_export(lines, draft).size == 5
    with pytest.raises(RoomError, match="not signed"):
        check_export(forged, draft)
    assert not signed_ever(draft)("airport", head.message(), new.sign(head.message()))
