# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from hitoku.errors import RoomError, SecretError
from hitoku.room.agreement import Agreement, Room, Signature
from hitoku.room.canonical import agreement_hash, canonical, canonical_json
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import dump_room, load_room, parse_room, save_room
from hitoku.room.keys import FileKeyStore, valid_signature
from hitoku.room.signing import missing, problems, sign, verify


def test_a_room_signed_by_all_is_in_force(place):
    verify(place.room)
    assert problems(place.room) == ()
    assert missing(place.room) == ()


def test_the_file_keeps_everything(place):
    again = load_room(place.room_file)
    assert again == place.room
    assert agreement_hash(again.agreement) == agreement_hash(place.agreement)
    assert parse_room(dump_room(again)) == again


def test_canonical_form_is_stable_json_without_absent_fields(place):
    data = json.loads(canonical(place.agreement))
    assert list(data) == sorted(data)
    assert "previous" not in data
    assert "precision" not in data["tables"][0]["columns"][0]
    assert b": " not in canonical(place.agreement)


def test_canonical_form_does_not_depend_on_how_the_file_is_written(place):
    data = place.agreement.model_dump(mode="json")
    data["id"] = data["id"].upper()
    data["tables"][0]["rule"]["joinColumns"] = [" TAILNUM "]
    assert canonical(Agreement.model_validate(data)) == canonical(place.agreement)


def test_text_without_a_canonical_form_is_refused():
    with pytest.raises(RoomError, match="canonical"):
        canonical_json({"a": "\ud800"})
    with pytest.raises(RoomError, match="canonical"):
        canonical_json({"a": float("nan")})


def test_missing_signers_are_named(place):
    room = Room(agreement=place.agreement, signatures=place.room.signatures[:1])
    assert missing(room) == ("registry", "host")
    with pytest.raises(RoomError, match=r"'registry' has not signed yet; 'host' has not signed yet"):
        verify(room)


def test_signing_again_renews_and_does_not_double(place):
    again = sign(place.room, "airport", place.members["airport"].keys({}))
    assert len(again.signatures) == 3
    verify(again)


def test_signing_with_another_members_key_is_refused(place):
    with pytest.raises(RoomError, match="not the key that the room names for 'airport'"):
        sign(place.room, "airport", place.members["registry"].keys({}))
    with pytest.raises(RoomError, match="no member"):
        sign(place.room, "stranger", place.members["registry"].keys({}))


def test_garbage_is_no_signature(place):
    key = place.agreement.members[0].key
    assert not valid_signature(key, b"m", "not base64!")
    assert not valid_signature("ed25519:xx", b"m", "A" * 86 + "==")


def test_keys_are_made_once_closed_to_others_and_checked(tmp_path):
    made = MemberDirectory.create(tmp_path / "a", "a")
    assert made.key_file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SecretError, match="never overwritten"):
        MemberDirectory.create(tmp_path / "a", "a")
    made.key_file.chmod(0o640)
    with pytest.raises(SecretError, match="chmod 600"):
        made.keys({}).sign(b"x")
    made.key_file.chmod(0o600)
    made.key_file.write_bytes(b"-----BEGIN PRIVATE KEY-----\nsecretstuff\n")
    with pytest.raises(SecretError, match="not an Ed25519 key") as caught:
        made.keys({}).sign(b"x")
    assert "secretstuff" not in str(caught.value)
    made.key_file.unlink()
    with pytest.raises(SecretError, match="no member key"):
        made.keys({}).sign(b"x")


def test_a_key_that_is_a_link_or_no_file_is_refused(tmp_path):
    made = MemberDirectory.create(tmp_path / "a", "a")
    real = made.key_file.rename(tmp_path / "elsewhere")
    made.key_file.symlink_to(real)
    with pytest.raises(SecretError, match="cannot be read"):
        made.keys({}).sign(b"x")
    made.key_file.unlink()
    made.key_file.mkdir()
    with pytest.raises(SecretError, match="plain file"):
        made.keys({}).sign(b"x")


SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def test_the_secret_comes_from_the_environment_then_the_file(tmp_path):
    assert FileKeyStore(tmp_path, {"HITOKU_SHARED_SECRET": SECRET}).shared_secret() == bytes(range(32))
    assert FileKeyStore(tmp_path, {"C3R_SHARED_SECRET": SECRET}).shared_secret() == bytes(range(32))
    with pytest.raises(SecretError, match="HITOKU_SHARED_SECRET"):
        FileKeyStore(tmp_path, {}).shared_secret()
    file = tmp_path / "shared.secret"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    assert FileKeyStore(tmp_path, {}).shared_secret() == bytes(range(32))
    file.chmod(0o604)
    with pytest.raises(SecretError, match="chmod 600"):
        FileKeyStore(tmp_path, {}).shared_secret()


@pytest.mark.parametrize("text", ["plainly-not-base64!", "c2hvcnQ=", SECRET[:-4], ""])
def test_a_bad_secret_is_refused_without_being_quoted(tmp_path, text):
    with pytest.raises(SecretError, match="C3R_SHARED_SECRET") as caught:
        FileKeyStore(tmp_path, {"C3R_SHARED_SECRET": text}).shared_secret()
    assert not text or text not in str(caught.value)


def test_a_record_cannot_be_changed_under_the_same_number(place):
    airport = place.members["airport"]
    airport.remember(place.room)
    with pytest.raises(RoomError, match="not the one that was signed"):
        airport.remember(Room(agreement=place.agreement.model_copy(update={"name": "Other"})))
    assert airport.room(place.room) == place.room


def test_a_member_that_signed_nothing_has_no_room(place, tmp_path):
    stranger = MemberDirectory.create(tmp_path / "s", "stranger")
    with pytest.raises(RoomError, match="no record"):
        stranger.room(place.room)
    with pytest.raises(RoomError, match="no member"):
        stranger.check_duties(place.agreement)


def test_files_that_cannot_be_written_say_so(place, tmp_path):
    with pytest.raises(RoomError, match="cannot be written"):
        save_room(place.room, tmp_path / "no" / "such" / "room.yaml")


def test_signature_text_has_one_form():
    with pytest.raises(ValueError):
        Signature(member="a", signature="A" * 88)
