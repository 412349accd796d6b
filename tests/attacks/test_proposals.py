# SPDX-License-Identifier: Apache-2.0
"""Members that say what they should not about next versions: forged, replayed, rolled back, too much."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from tests.proposing import World, retold

from hitoku import limits
from hitoku.errors import LimitError, PeerError, RoomError
from hitoku.node.proposal_book import Book
from hitoku.room.agreement import Agreement, Room, Signature
from hitoku.room.canonical import agreement_hash
from hitoku.room.files import load_room
from hitoku.room.signing import sign
from hitoku.room.versions import revise
from hitoku.transport.https.app import Served
from hitoku.transport.proposals import Propose, SignatureGiven, Withdraw, draft_text, withdrawal

NO_SIGNATURE = base64.b64encode(bytes(64)).decode()


@pytest.fixture
def world(tmp_path, clock):
    return World(tmp_path, clock)


def draft(world: World, **change: Any) -> Room:
    """A next version, signed by nobody."""
    return revise(load_room(world["airport"].file), change)


def says(world: World, sender: str, receiver: str, room: Room | str, **more: Any) -> dict[str, Any]:
    text = room if isinstance(room, str) else draft_text(room)
    message = Propose(draft="", why="").model_dump(mode="json") | {"draft": text} | more
    return world[sender].peers.call(receiver, message)


def unmoved(world: World) -> None:
    """Nothing is in force but what was, and nobody signed."""
    assert world.versions() == [1, 1, 1]
    for member in world.members.values():
        assert load_room(member.file).agreement.version == 1
        assert member.proposals.book.bound().hash is None


def test_signatures_of_others_are_not_believed(world):
    made = draft(world, name="Mine now")
    forged = tuple(Signature(member=n, signature=NO_SIGNATURE) for n in ("airport", "registry"))
    mine = sign(made, "host", world["host"].directory.keys())
    sent = made.model_copy(update={"signatures": (*forged, *mine.signatures)})
    assert says(world, "host", "airport", sent)["state"] == "kept"
    unmoved(world)
    (kept,) = world["airport"].proposals.all()
    assert set(kept.missing) == {"airport", "registry"}


def test_one_members_signature_under_anothers_name_is_dropped(world):
    made = draft(world, name="Mine now")
    mine = sign(made, "host", world["host"].directory.keys()).signatures[0]
    renamed = mine.model_copy(update={"member": "registry"})
    given = world["airport"].proposals.propose({"name": "Mine now"})
    world["airport"].step()
    message = SignatureGiven(hash=given.hash, signatures=[renamed, mine]).model_dump(mode="json")
    world["host"].peers.call("airport", message)
    shown = world["airport"].proposals.find(given.hash)
    assert shown is not None
    assert "registry" in shown.missing
    assert "host" not in shown.missing  # its own counts


def test_the_draft_that_is_exchanged_after_the_look_is_not_signed(world):
    looked_at = draft(world, name="Harmless")
    says(world, "registry", "airport", looked_at)
    hash_ = world["airport"].proposals.all()[0].hash
    says(world, "registry", "airport", draft(world, name="Harmful"))
    with pytest.raises(RoomError, match="changed since it was shown"):
        world["airport"].proposals.sign(hash_)
    unmoved(world)


def test_who_signed_one_draft_signs_no_other_of_that_number(world):
    first, second = draft(world, name="One"), draft(world, name="Two")
    says(world, "registry", "airport", first)
    world["airport"].proposals.sign(agreement_hash(first.agreement))
    assert says(world, "registry", "airport", second)["state"] == "bound"
    says(world, "host", "airport", second)
    with pytest.raises(RoomError):
        world["airport"].proposals.sign(agreement_hash(second.agreement))
    with pytest.raises(RoomError):  # nor its own
        world["airport"].proposals.propose({"name": "Three"})
    bound = world["airport"].proposals.book.bound()
    assert bound.hash == agreement_hash(first.agreement)


def test_a_draft_that_was_taken_back_is_never_taken_up(world):
    first = draft(world, name="One")
    hash_ = agreement_hash(first.agreement)
    says(world, "registry", "airport", first)
    says(world, "registry", "host", first)
    whole = first
    for name in ("airport", "host"):
        signed = world[name].proposals.sign(hash_)
        mine = next(s for s in signed.draft.signatures if s.member == name)
        whole = whole.model_copy(update={"signatures": (*whole.signatures, mine)})
    whole = sign(whole, "registry", world["registry"].directory.keys())
    signature = withdrawal(world["airport"].room, 2, hash_, world["registry"].directory.keys())
    world["registry"].peers.call(
        "airport", Withdraw(version=2, hash=hash_, signature=signature).model_dump(mode="json")
    )
    with pytest.raises(PeerError, match="ROOM"):
        says(world, "registry", "airport", whole)
    assert world["airport"].agreement.version == 1


def test_nobody_takes_back_what_is_anothers(world):
    first = draft(world, name="One")
    hash_ = agreement_hash(first.agreement)
    says(world, "registry", "airport", first)
    world["airport"].proposals.sign(hash_)
    host = world["host"]
    its_own = withdrawal(host.room, 2, hash_, host.directory.keys())
    for signature in (its_own, NO_SIGNATURE):
        message = Withdraw(version=2, hash=hash_, signature=signature).model_dump(mode="json")
        try:
            host.peers.call("airport", message)
        except PeerError:
            assert signature == NO_SIGNATURE
    assert world["airport"].proposals.book.bound().hash == hash_
    shown = world["airport"].proposals.find(hash_)
    assert shown is not None
    assert shown.state == "open"


@pytest.mark.parametrize(
    "change",
    [
        {"id": "11111111-1111-4111-8111-111111111111"},
        {"version": 3},
        {"previous": "sha256:" + "0" * 64},
        {"version": 2, "previous": "sha256:" + "1" * 64},
    ],
    ids=["another room", "a number left out", "on top of nothing", "on top of another"],
)
def test_what_is_no_next_version_is_not_kept(world, change):
    data = retold(draft(world, name="X").agreement, **change)
    made = Room(agreement=Agreement.model_validate(data))
    with suppress(PeerError):
        assert says(world, "registry", "airport", made)["state"] == "behind"
    assert world["airport"].proposals.all() == ()
    unmoved(world)


def test_an_older_version_is_not_taken_up_again(world):
    old = load_room(world["airport"].file)
    world["airport"].proposals.propose(
        {"tables": [t for t in retold(old.agreement)["tables"] if t["owner"] != "airport"]}
    )
    world["airport"].step()
    assert world.versions() == [2, 2, 2]
    assert says(world, "registry", "airport", Room(agreement=old.agreement))["state"] == "in_force"
    other = revise(old, {"name": "Another two"})  # another version 2, on top of version 1
    assert says(world, "registry", "airport", other)["state"] == "ahead"
    assert world["airport"].agreement.version == 2


def test_a_version_in_force_needs_the_signatures_of_whom_it_touches(world):
    tables = retold(world["airport"].agreement)["tables"]
    tables[0]["rule"]["outputConstraints"][0]["minimum"] = 2
    looser = draft(world, tables=tables)  # the airport's rule, made by another
    for name in ("registry", "host"):
        with pytest.raises(RoomError):
            looser = sign(looser, "airport", world[name].directory.keys())
        looser = sign(looser, name, world[name].directory.keys())
    assert says(world, "registry", "host", looser)["state"] == "kept"
    unmoved(world)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "{" * 5_000,
        '{"agreement": NaN}',
        '{"a": 1, "a": 2}',
        "agreement: yaml",
        "\\ud800",
    ],
    ids=["empty", "list", "null", "object", "deep", "nan", "twice", "yaml", "surrogate"],
)
def test_drafts_that_are_none(world, text):
    with pytest.raises(PeerError):
        says(world, "registry", "airport", text)
    assert world["airport"].proposals.all() == ()


def test_a_draft_with_a_history_of_its_own_is_none(world):
    data = json.loads(draft_text(draft(world, name="X")))
    data["history"] = []
    with pytest.raises(PeerError):
        says(world, "registry", "airport", json.dumps(data))


def test_what_is_too_large_is_neither_sent_nor_taken(world):
    with pytest.raises(PeerError):
        says(world, "registry", "airport", "x" * (limits.MAX_PROPOSAL_CHARS + 1))
    with pytest.raises(LimitError):
        says(world, "registry", "airport", "x" * (limits.MAX_CONTROL_SQL_BYTES + 1))
    served = Served(world["airport"].agreement, "airport", lambda *_: b"")
    assert served.most("registry") == limits.MAX_CONTROL_SQL_BYTES
    assert world["airport"].proposals.all() == ()
    column = {"name": "c", "type": "string", "protection": "sealed"}
    columns = [{**column, "name": f"{'c' * 100}{i}"} for i in range(60)]
    wide = [{"name": f"t{n}", "owner": "airport", "columns": columns} for n in range(100)]
    with pytest.raises(LimitError):
        world["airport"].proposals.propose({"tables": wide})
    assert world["airport"].proposals.all() == ()


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "hitoku/propose/2", "draft": "", "why": ""},
        {"kind": "hitoku/propose/1", "draft": "{}", "why": "", "more": 1},
        {"kind": "hitoku/propose/1", "draft": "{}", "why": "x" * 5_000},
        {"kind": "hitoku/signature/1", "hash": "sha256:0", "signatures": []},
        {"kind": "hitoku/signature/1", "hash": "sha256:" + "0" * 64, "signatures": [{"member": "../x"}]},
        {"kind": "hitoku/withdraw/1", "version": 0, "hash": "sha256:" + "0" * 64, "signature": ""},
    ],
    ids=["kind", "field", "why", "hash", "signatures", "withdraw"],
)
def test_malformed_messages_are_refused(world, message):
    with pytest.raises(PeerError):
        world["registry"].peers.call("airport", message)
    assert world["airport"].proposals.all() == ()


def test_a_flood_of_drafts_is_bounded(world):
    for number in range(limits.MAX_DRAFTS_AN_HOUR):
        assert says(world, "registry", "airport", draft(world, name=f"N{number}"))["state"] == "kept"
    with pytest.raises(PeerError):
        says(world, "registry", "airport", draft(world, name="One more"))
    kept = list((world["airport"].directory.path / "proposals" / world["airport"].room).iterdir())
    assert [path.name for path in kept] == ["registry.json"]
    world.clock.pass_seconds(3_601)
    assert says(world, "registry", "airport", draft(world, name="Later"))["state"] == "kept"


def test_an_open_proposal_of_a_malicious_member_can_be_put_aside(world):
    mine = says(world, "host", "airport", draft(world, name="For ever open"))
    assert mine["state"] == "kept"
    (shown,) = world["airport"].proposals.all()
    world["airport"].proposals.decline(shown.hash, "")
    tables = retold(world["airport"].agreement)["tables"]
    tables[0]["rule"]["outputConstraints"][0]["minimum"] = 50
    world["host"].up = False  # and it does not answer
    world["airport"].proposals.propose({"tables": tables})
    world["airport"].step()
    assert world["airport"].proposals.settle(unheard=True)
    assert world["airport"].agreement.version == 2


def test_the_reason_of_a_refusal_is_cleaned(world):
    made = world["airport"].proposals.propose({"name": "A"})
    world["airport"].step()
    message = SignatureGiven(hash=made.hash, declined="no\u202egnp.exe\x1b[2J").model_dump(mode="json")
    world["registry"].peers.call("airport", message)
    shown = world["airport"].proposals.find(made.hash)
    assert shown is not None
    assert shown.record.refused["registry"].isprintable()


def test_a_damaged_record_of_what_was_signed_signs_nothing(world):
    says(world, "registry", "airport", draft(world, name="One"))
    (shown,) = world["airport"].proposals.all()
    folder = world["airport"].directory.path / "proposals" / world["airport"].room
    (folder / "_bound.json").write_text("{", "utf-8")
    with pytest.raises(RoomError, match="damaged"):
        world["airport"].proposals.sign(shown.hash)


def test_a_member_named_like_a_record_has_its_own_file(tmp_path):
    book = Book(tmp_path, "room")
    assert book.record("_bound") is None or book.bound().hash is None
    assert book.records() == ()
