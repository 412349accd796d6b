# SPDX-License-Identifier: Apache-2.0
"""A signature under a proposal that is not in force: forgotten by a restore, never given twice."""

from __future__ import annotations

from typing import Any

import pytest
from tests.attacks.test_proposals import NO_SIGNATURE, draft, says
from tests.attacks.test_red_proposals import _stricter
from tests.proposing import World

from hitoku.cli import main as cli
from hitoku.errors import HitokuError, RoomError
from hitoku.node import rotation
from hitoku.node.backup import backup
from hitoku.node.joining import Joining
from hitoku.node.proposal_book import Book
from hitoku.node.proposals import Proposals
from hitoku.node.resigned import learn
from hitoku.node.restore import restore
from hitoku.room.agreement import Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import dump_room, load_room, locked, save_room
from hitoku.room.invitations import Invitation
from hitoku.room.signing import missing, sign
from hitoku.room.versions import revise
from hitoku.transport.joining import Joined
from hitoku.transport.proposals import draft_text


@pytest.fixture
def world(tmp_path, clock):
    return World(tmp_path, clock)


def signed(world: World, author: str = "airport", signer: str = "registry", **change):
    """A proposal that its signer signed, and its author has the signature of."""
    made = world[author].proposals.propose(change or {"name": "Never finished"})
    world[author].step()
    world[signer].proposals.sign(made.hash)
    world[signer].step()
    return made


def whole(world: World, hash_: str, author: str = "airport", by=("airport", "registry", "host")) -> Room:
    """All signatures of the author's draft, however they came together."""
    with world[author].proposals.turn() as (_, force):
        record = world[author].proposals.book.record(author)
        assert record is not None
        room = world[author].proposals.gathered(record, force, force)
    assert agreement_hash(room.agreement) == hash_
    for name in by:
        room = sign(room, name, world[name].directory.keys())
    return room


# --- after a restore ---


def put_back(world: World, name: str) -> None:
    world[name].restore()


def test_a_restored_member_learns_what_it_signed_before_it_signs_another(world):
    world["registry"].save()
    made = signed(world)
    put_back(world, "registry")
    assert world["registry"].proposals.book.bound().hash is None  # forgotten
    other = draft(world, name="Another two")
    assert says(world, "host", "registry", other)["state"] == "kept"
    with pytest.raises(RoomError, match="restored from a backup"):
        world["registry"].proposals.sign(agreement_hash(other.agreement))
    with pytest.raises(RoomError, match="restored from a backup"):
        rotation.begin(world["registry"].directory)
    with pytest.raises(RoomError, match="restored from a backup"):
        world["registry"].proposals.propose(_stricter(world, "registry", 50))
    world["registry"].step()
    assert world["registry"].proposals.book.bound().hash == made.hash
    with pytest.raises(RoomError, match="signed another draft"):
        world["registry"].proposals.sign(agreement_hash(other.agreement))
    world["airport"].proposals.withdraw(made.hash)
    world["airport"].step()
    world["registry"].proposals.sign(agreement_hash(other.agreement))


def test_all_others_have_to_answer(world):
    world["registry"].save()
    signed(world)
    put_back(world, "registry")
    for down in ("airport", "host"):
        world[down].up = False
        world.clock.pass_seconds(100)
        world["registry"].step()
        assert world["registry"].proposals.book.closed()
        world[down].up = True
    world.clock.pass_seconds(100)
    world["registry"].step()
    assert not world["registry"].proposals.book.closed()


def test_versions_that_came_since_are_got_first(world):
    world["registry"].save()
    world["airport"].proposals.propose(_stricter(world, "airport", 20))
    world["airport"].step()
    made = signed(world, name="Third")
    put_back(world, "registry")
    assert world["registry"].agreement.version == 1
    for _ in range(3):
        world.clock.pass_seconds(100)
        world["registry"].step()
    assert world["registry"].agreement.version == 2
    assert world["registry"].proposals.book.bound().hash == made.hash


def test_nobody_binds_a_restored_member_to_what_it_did_not_sign(world):
    world["registry"].save()
    put_back(world, "registry")
    forged = draft(world, name="Never signed")
    forged = sign(forged, "airport", world["airport"].directory.keys())
    lie = forged.signatures[0].model_copy(update={"member": "registry"})
    shown = draft_text(Room(agreement=forged.agreement, signatures=(lie,)))
    honest = world["airport"].handle

    def lies(sender, message):
        answer = honest(sender, message)
        return answer | {"signed": shown} if message["kind"] == "hitoku/signed-request/1" else answer

    world.network._handlers["airport"] = lies
    world["registry"].step()
    assert world["registry"].proposals.book.closed()
    assert world["registry"].proposals.book.bound().hash is None
    world.network._handlers["airport"] = honest
    world.clock.pass_seconds(100)
    world["registry"].step()
    assert not world["registry"].proposals.book.closed()


def test_its_own_proposals_are_taken_back(world):
    """Who signed what the restored member forgot would be bound to it for ever."""
    world["airport"].save()
    made = signed(world)
    put_back(world, "airport")
    world["airport"].step()
    assert not world["airport"].proposals.book.closed()
    assert world["registry"].proposals.book.bound().hash is None
    assert world["registry"].proposals.find(made.hash).state == "withdrawn"


@pytest.mark.parametrize("move", [False, True], ids=["backup", "move"])
def test_a_real_restore_closes_signing_and_no_backup_opens_it(world, clock, tmp_path, move):
    member = world["registry"]
    backup(member.directory, tmp_path / "b.zip", clock, move=move)
    if move:  # the old one must not go on
        with pytest.raises(RoomError, match="moved elsewhere"):
            member.proposals.propose(_stricter(world, "registry", 50))
    key = member.directory.keys().public_key()
    restore(tmp_path / "b.zip", tmp_path / "again", clock, key=key)
    book = Book(tmp_path / "again", member.room)
    assert book.closed()
    with pytest.raises(RoomError, match="restored from a backup"):
        book.check_free(draft(world, name="New").agreement)


def test_a_moved_member_signs_when_the_others_know_where_it_goes_on(world, clock, tmp_path):
    """An archive can be restored twice; one of the two copies goes on (docs/decisions/0018-restore.md)."""
    member = world["registry"]
    member.directory.records(member.room, clock)
    backup(member.directory, tmp_path / "b.zip", clock, move=True)
    restore(tmp_path / "b.zip", tmp_path / "again", clock, key=member.directory.keys().public_key())
    again = tmp_path / "again"
    (again / "member.key").write_bytes(member.directory.key_file.read_bytes())
    (again / "member.key").chmod(0o600)
    directory = MemberDirectory.open(again)
    proposals = Proposals(directory, again / "room.yaml", member.room, clock)
    with locked(proposals.file):
        assert load_room(proposals.file).agreement.version == 1
    with pytest.raises(HitokuError) as caught:
        learn(proposals, member.peers)
    assert "moved" in str(caught.value) or "goes on" in str(caught.value)
    assert proposals.book.closed()


def test_nor_does_a_restored_member_sign_by_hand(world, capsys):
    """A file that is passed on by hand is signed past the proposals."""
    member = world["registry"]
    member.save()
    member.restore()
    save_room(draft(world, name="By hand"), member.file)
    assert cli.run(["room", "sign", str(member.file), "--member", str(member.directory.path)]) == 5
    assert "restored from a backup" in capsys.readouterr().err
    assert load_room(member.file).signatures == ()


def test_what_was_taken_back_is_not_pulled_either(world):
    """Also where it is in the history of a newer one."""
    made = signed(world)
    room = whole(world, made.hash)
    world["airport"].proposals.withdraw(made.hash)
    world["airport"].step()
    later = revise(room, _stricter_of(room, 60))
    later = sign(later, "airport", world["airport"].directory.keys())
    book = world["registry"].proposals.book
    known = world["registry"].agreement
    book.check_kept(load_room(world["registry"].file), "registry", known)
    for one in (room, later):
        with pytest.raises(RoomError, match="taken back by its author"):
            book.check_kept(one, "registry", known)


def test_a_version_needs_no_signature_of_a_member_that_signed_another_here(world):
    """Its key signed both: elsewhere, or by somebody else. Here it stays with what it signed here."""
    signed(world)
    other = draft(world, name="Another two")
    for name in ("airport", "registry", "host"):
        other = sign(other, name, world[name].directory.keys())
    later = revise(other, _stricter_of(other, 60))
    later = sign(later, "airport", world["airport"].directory.keys())
    for one in (other, later):
        with pytest.raises(RoomError, match="signed another draft of that number here"):
            world["registry"].proposals.take_up(one)
    assert world["registry"].agreement.version == 1
    # What needs no signature of it is no matter of its word.
    bare = revise(load_room(world["registry"].file), _stricter_of(load_room(world["registry"].file), 60))
    bare = sign(bare, "airport", world["airport"].directory.keys())
    world["registry"].proposals.take_up(bare)
    assert world["registry"].agreement.version == 2


def test_after_a_restore_the_binding_of_the_backup_is_in_the_way_of_nothing(world):
    """The draft was taken back, and another signed and put in force, after the backup."""
    made = signed(world)
    world["registry"].save()
    world["airport"].proposals.withdraw(made.hash)
    world["airport"].step()
    other = world["airport"].proposals.propose({"name": "Another two"})
    world["airport"].step()
    for name in ("registry", "host"):
        world[name].proposals.sign(other.hash)
        world[name].step()
    world["airport"].step()
    assert world.versions() == [2, 2, 2]
    put_back(world, "registry")
    assert world["registry"].proposals.book.bound().hash == made.hash
    for _ in range(3):
        world.clock.pass_seconds(100)
        world["registry"].step()
    assert world.versions() == [2, 2, 2]
    assert not world["registry"].proposals.book.closed()


def test_what_was_taken_back_since_the_backup_holds_nobody(world):
    """Its author says so once, and had said so."""
    made = signed(world)
    world["registry"].save()
    world["airport"].proposals.withdraw(made.hash)
    world["airport"].step()
    put_back(world, "registry")
    honest = world["airport"].handle

    def lies(sender, message):
        answer = honest(sender, message)
        for one in answer.get("taken_back", ()):
            one["signature"] = NO_SIGNATURE
        return answer

    world.network._handlers["airport"] = lies
    world["registry"].step()
    assert world["registry"].proposals.book.closed()
    assert world["registry"].proposals.book.bound().hash == made.hash
    world.network._handlers["airport"] = honest
    world.clock.pass_seconds(100)
    world["registry"].step()
    assert not world["registry"].proposals.book.closed()
    assert world["registry"].proposals.book.bound().hash is None
    assert world["registry"].proposals.find(made.hash).state == "withdrawn"
    with pytest.raises(RoomError, match="taken back by its author"):
        world["registry"].proposals.take_up(whole(world, made.hash))


def test_a_restored_author_ends_nothing_before_it_knows_what_became_of_it(world):
    """It may be in force since: who heard that it is taken back would sign another of that number."""
    world["host"].up = False
    made = world["airport"].proposals.propose(_stricter(world, "airport", 20))
    world["airport"].step()
    world["airport"].save()
    assert world["airport"].proposals.settle(unheard=True)
    world["airport"].step()
    assert (world["airport"].agreement.version, world["registry"].agreement.version) == (2, 2)
    put_back(world, "airport")
    with pytest.raises(RoomError, match="restored from a backup"):
        world["airport"].proposals.withdraw(made.hash)
    assert world["airport"].proposals.find(made.hash).state == "open"


def test_nor_does_it_give_way(world):
    made = world["registry"].proposals.propose({"name": "Open"})
    world["registry"].save()
    put_back(world, "registry")
    assert says(world, "airport", "registry", draft(world, name="Another two"))["state"] == "taken"
    assert world["registry"].proposals.find(made.hash).state == "open"


def test_nor_puts_in_force_what_it_may_have_taken_back(world):
    world["host"].up = False
    made = world["airport"].proposals.propose(_stricter(world, "airport", 20))
    world["airport"].step()
    world["airport"].save()
    world["airport"].proposals.withdraw(made.hash)
    world["airport"].step()
    put_back(world, "airport")
    world["airport"].step()  # the host does not answer
    assert world["airport"].proposals.settle() is False
    with pytest.raises(RoomError, match="restored from a backup"):
        world["airport"].proposals.settle(unheard=True)
    world["host"].up = True
    world["airport"].step()
    assert world.versions() == [1, 1, 1]
    assert world["airport"].proposals.find(made.hash).state == "withdrawn"


def _stricter_of(room: Room, minimum: int) -> dict[str, Any]:
    tables = room.agreement.model_dump(mode="json", by_alias=True, exclude_none=True)["tables"]
    tables[0]["rule"]["outputConstraints"][0]["minimum"] = minimum
    return {"tables": tables}


# --- other ways to sign ---


def test_who_signed_a_proposal_does_not_sign_another_by_hand_as_the_last(world, capsys):
    """With this signature the other would be in force at once."""
    signed(world)
    member = world["registry"]
    other = draft(world, name="Another two")
    for name in ("airport", "host"):
        other = sign(other, name, world[name].directory.keys())
    save_room(other, member.file)
    assert cli.run(["room", "sign", str(member.file), "--member", str(member.directory.path)]) == 5
    assert "signed another draft of version 2" in capsys.readouterr().err
    assert missing(load_room(member.file)) == ("registry",)


def test_nor_by_an_invitation(world, clock, monkeypatch):
    signed(world)
    member = world["registry"]
    other = draft(world, name="Another two")
    text = Invitation(
        id="0" * 32, url="https://127.0.0.1:1", key=world["airport"].directory.keys().public_key(),
        room=member.room, name="registry", hash=agreement_hash(other.agreement), secret="A" * 43,
        until="2030-01-01T00:00:00Z",
    )  # fmt: skip
    joining = Joining(member.directory, text, clock)
    monkeypatch.setattr(joining, "_ask", lambda *_: Joined(admitted=True, room=dump_room(other)))
    with pytest.raises(RoomError, match="signed another draft of version 2"):
        joining.sign(agreement_hash(other.agreement))
