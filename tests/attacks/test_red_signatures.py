# SPDX-License-Identifier: Apache-2.0
"""A signature under a proposal that never ends: taken back, forgotten by a restore, never given twice."""

from __future__ import annotations

from typing import Any

import pytest
from tests.attacks.test_proposals import NO_SIGNATURE, draft, says
from tests.attacks.test_red_proposals import _stricter
from tests.proposing import World

from hitoku import limits
from hitoku.cli import main as cli
from hitoku.cli.room import _ANY_KEY
from hitoku.errors import HitokuError, LimitError, PeerError, RoomError
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
from hitoku.transport.proposals import Unsign, Unsigned, draft_text, unsigning, withdrawal


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


def unsign_message(world: World, signer: str, made, *, void: bool = False) -> dict[str, Any]:
    signature = unsigning(world[signer].room, 2, made.hash, void, world[signer].directory.keys())
    return Unsign(version=2, hash=made.hash, void=void, signature=signature).model_dump(mode="json")


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


# --- taking a signature back ---


def test_who_signed_is_free_when_all_others_promised(world):
    made = signed(world)
    with pytest.raises(RoomError, match="signed another draft of version 2"):
        world["registry"].proposals._signed(
            world["registry"].proposals.book.record("airport"), draft(world, name="Other")
        )
    world["registry"].proposals.unsign(made.hash)
    assert world["registry"].proposals.book.bound().hash == made.hash  # not before they did
    world["registry"].step()
    assert world["registry"].proposals.book.bound().hash is None
    assert world["registry"].proposals.find(made.hash).state == "declined"
    assert world["airport"].proposals.find(made.hash).state == "withdrawn"  # nobody waits for it
    world["airport"].step()
    world["registry"].proposals.propose(_stricter(world, "registry", 50))
    world["registry"].step()
    assert world.versions() == [2, 2, 2]


def test_what_was_taken_back_is_never_taken_up_whoever_has_all_signatures(world):
    made = signed(world)
    kept = whole(world, made.hash)
    world["registry"].proposals.unsign(made.hash)
    world["registry"].step()
    for name in ("registry", "host", "airport"):
        with pytest.raises(HitokuError), world[name].proposals.turn():
            world[name].proposals.take_up(kept)
        assert world[name].agreement.version == 1
    with pytest.raises(PeerError):
        says(world, "airport", "host", draft_text_room(kept))
    assert says(world, "airport", "host", Room(agreement=kept.agreement))["state"] == "bound"
    with pytest.raises(RoomError, match="took its signature"):
        world["airport"].proposals.propose({"name": "Never finished"})  # nor proposed again
    # Nor where it comes with a version on top of it.
    for name in ("host", "registry"):
        with pytest.raises(RoomError):
            world[name].proposals.book.check_kept(kept)


def draft_text_room(room: Room) -> Room:
    return Room(agreement=room.agreement, signatures=room.signatures)


def test_one_that_does_not_answer_keeps_the_signer_bound(world):
    """It may have the version in force, and nobody else can tell."""
    made = signed(world)
    world["airport"].up = False
    world["registry"].proposals.unsign(made.hash)
    for _ in range(4):
        world.clock.pass_seconds(100)
        world["registry"].step()
    assert world["registry"].proposals.find(made.hash).state == "unsigning"
    with pytest.raises(RoomError):
        world["registry"].proposals.propose(_stricter(world, "registry", 50))
    world["airport"].up = True
    world.clock.pass_seconds(100)
    world["registry"].step()
    assert world["registry"].proposals.book.bound().hash is None


def test_it_is_too_late_where_the_version_is_in_force(world):
    """The author and the host have it; the signer learns so, and the promise of another ends."""
    made = signed(world)
    world["registry"].up = False
    world["registry"].proposals.unsign(made.hash)
    world["airport"].up = False
    world["registry"].step()
    assert world["host"].proposals.book.promised(made.hash)
    room = whole(world, made.hash)
    with world["airport"].proposals.turn():
        world["airport"].proposals.take_up(room)
    world["airport"].up = world["registry"].up = True
    world.clock.pass_seconds(100)
    world["registry"].step()  # the author says no, and gives the version
    assert world["registry"].agreement.version == 2
    assert world["registry"].proposals.find(made.hash).state == "in_force"
    for _ in range(4):
        world.clock.pass_seconds(100)
        for name in ("registry", "airport", "host"):
            world[name].step()
    assert world.versions() == [2, 2, 2]
    assert not world["host"].proposals.book.promised(made.hash)
    assert not world["registry"].proposals.book.record("airport").unsigned


def test_a_promise_is_worth_what_it_is_signed(world):
    made = signed(world)
    world["registry"].proposals.unsign(made.hash)
    for answer in (
        NO_SIGNATURE,
        None,
        withdrawal(world["host"].room, 2, made.hash, world["host"].directory.keys()),
    ):
        world.network._handlers["host"] = lambda sender, message, answer=answer: (
            Unsigned(state="promised", signature=answer).model_dump(mode="json")
            if message["kind"] == "hitoku/unsign/1"
            else world["host"].handle(sender, message)
        )
        world.clock.pass_seconds(100)
        world["registry"].step()
        assert world["registry"].proposals.book.bound().hash == made.hash


def test_nobody_takes_back_anothers_signature(world):
    made = signed(world)
    message = unsign_message(world, "host", made)
    for name in ("airport", "registry"):
        assert world["host"].peers.call(name, message)["state"] == "promised"
    world["registry"].step()
    message = unsign_message(world, "registry", made)
    with pytest.raises(PeerError):
        world["host"].peers.call("airport", message)
    with pytest.raises(PeerError):
        world["registry"].peers.call("airport", message | {"void": True})  # it says something else
    assert world["registry"].proposals.book.bound().hash == made.hash


def test_a_member_cannot_fill_anothers_disk_with_promises(world):
    for number in range(limits.MAX_PROMISES):
        made = draft(world, name=f"N{number}")
        hash_ = agreement_hash(made.agreement)
        signature = unsigning(world["host"].room, 2, hash_, False, world["host"].directory.keys())
        said = Unsign(version=2, hash=hash_, signature=signature).model_dump(mode="json")
        assert world["host"].peers.call("airport", said)["state"] == "promised"
        world["host"].peers.call("airport", said)  # said again, it takes nothing
    said = unsign_message(world, "host", signed(world))
    with pytest.raises((LimitError, PeerError)):
        world["host"].peers.call("airport", said)
    assert len(world["airport"].proposals.book.promises()) == limits.MAX_PROMISES


def test_a_draft_that_brings_somebody_is_not_given_back(world):
    """Who joins takes it up as well, and cannot be asked yet."""
    data = world["airport"].agreement.model_dump(mode="json")
    new = [*data["members"], {"name": "newcomer", "key": _ANY_KEY, "abilities": ["receive"]}]
    made = signed(world, members=new)
    with pytest.raises(RoomError, match="newcomer may join"):
        world["registry"].proposals.unsign(made.hash)
    assert world["registry"].proposals.book.bound().hash == made.hash


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
    world["registry"].proposals.unsign(made.hash)  # the way out is there, too
    world["registry"].step()
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


def test_a_promise_outlives_a_restore_of_who_gave_it(world):
    made = signed(world)
    world["host"].save()
    kept = whole(world, made.hash)
    world["registry"].proposals.unsign(made.hash)
    world["airport"].up = False
    world["registry"].step()
    assert world["host"].proposals.book.promised(made.hash)
    put_back(world, "host")
    assert not world["host"].proposals.book.promised(made.hash)
    world["airport"].up = True
    world["host"].step()
    assert world["host"].proposals.book.promised(made.hash)
    with pytest.raises(RoomError), world["host"].proposals.turn():
        world["host"].proposals.take_up(kept)


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


def test_nor_is_a_version_pulled_that_it_promised_never_to_take_up(world):
    """Also where it is in the history of a newer one."""
    made = signed(world)
    room = whole(world, made.hash)
    world["registry"].proposals.unsign(made.hash)
    world["registry"].step()
    later = revise(room, _stricter_of(room, 60))
    later = sign(later, "airport", world["airport"].directory.keys())
    book = world["host"].proposals.book
    book.check_kept(load_room(world["host"].file))
    for one in (room, later):
        with pytest.raises(RoomError, match="promised not to take it up"):
            book.check_kept(one)


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
