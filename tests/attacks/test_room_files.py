# SPDX-License-Identifier: Apache-2.0
"""Room files that somebody altered, or made to hurt whoever reads them."""

from __future__ import annotations

import random
import time

import pytest

from hitoku import limits
from hitoku.errors import RoomError
from hitoku.room.agreement import Agreement, Room, Signature
from hitoku.room.canonical import canonical
from hitoku.room.files import dump_room, load_agreement, load_room, parse_room
from hitoku.room.keys import generate_key
from hitoku.room.signing import sign, verify
from hitoku.room.yamlfile import load_yaml


def _accepted(text: str) -> Room | None:
    try:
        room = parse_room(text)
        verify(room)
    except RoomError:
        return None
    return room


def test_every_byte_altered_is_refused_or_means_the_same(place):
    content = dump_room(place.room).encode()
    wanted = canonical(place.agreement)
    rng = random.Random(2)
    same = 0
    for position in range(len(content)):
        altered = bytearray(content)
        altered[position] ^= 1 << rng.randrange(8)
        try:
            text = altered.decode()
        except UnicodeDecodeError:
            continue
        room = _accepted(text)
        if room is not None:
            same += 1
            assert canonical(room.agreement) == wanted
    assert same < len(content) / 4  # comments, blanks and the like


def test_every_byte_of_the_canonical_form_is_signed(place):
    content = canonical(place.agreement)
    for position in range(0, len(content), 3):
        altered = bytearray(content)
        altered[position] ^= 0x01
        try:
            text = altered.decode()
            agreement = Agreement.model_validate(load_yaml(text, 10**6))
        except (RoomError, ValueError):
            continue
        if canonical(agreement) == content:
            continue
        with pytest.raises(RoomError):
            verify(Room(agreement=agreement, signatures=place.room.signatures))


def test_every_line_cut_or_doubled_is_refused_or_means_the_same(place):
    lines = dump_room(place.room).splitlines(keepends=True)
    for i in range(len(lines)):
        for changed in (lines[:i] + lines[i + 1 :], lines[: i + 1] + lines[i:], lines[:i]):
            room = _accepted("".join(changed))
            assert room is None or canonical(room.agreement) == canonical(place.agreement)


def test_a_strangers_signature_is_refused(place, tmp_path):
    (tmp_path / "stranger").mkdir()
    generate_key(tmp_path / "stranger")
    room = Room(
        agreement=place.agreement,
        signatures=(*place.room.signatures, Signature(member="stranger", signature="A" * 86 + "==")),
    )
    with pytest.raises(RoomError, match="'stranger' signed but is no member"):
        verify(room)


def test_one_signature_twice_is_refused(place):
    room = Room(agreement=place.agreement, signatures=(*place.room.signatures, place.room.signatures[0]))
    with pytest.raises(RoomError, match="signed 2 times"):
        verify(room)


def test_a_signature_of_another_member_or_room_does_not_count(place):
    first, second, third = place.room.signatures
    swapped = Signature(member=first.member, signature=second.signature)
    with pytest.raises(RoomError, match="does not fit"):
        verify(Room(agreement=place.agreement, signatures=(swapped, second, third)))
    other = place.agreement.model_copy(update={"name": "Another room"})
    with pytest.raises(RoomError, match="does not fit"):
        verify(Room(agreement=other, signatures=place.room.signatures))


def test_a_room_file_altered_after_signing_is_refused_even_if_all_but_one_signed_again(place):
    data = place.agreement.model_dump(mode="json")
    data["tables"][0]["rule"]["outputConstraints"][0]["minimum"] = 2
    altered = Room(agreement=Agreement.model_validate(data), signatures=place.room.signatures)
    for name in ("registry", "host"):
        altered = sign(altered, name, place.members[name].keys({}))
    with pytest.raises(RoomError, match="'airport' does not fit"):
        verify(altered)
    # The owner does not even look at the file's rules: only at what it signed.
    with pytest.raises(RoomError, match="not the one that was signed"):
        place.members["airport"].room(altered)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["tables"][0].update(owner="host"), "a host must own none"),
        (lambda d: d["members"][2].update(abilities=["host", "receive"]), "a host must receive none"),
        (lambda d: d["members"][0].update(key=d["members"][1]["key"]), "two member keys are the same"),
        (lambda d: d["members"][0].update(key="x" + d["members"][0]["key"]), "32 bytes in base64"),
        (lambda d: d["members"][0].update(key="ed25519:" + "A" * 43 + "="), "anybody can sign"),
        (lambda d: d["members"][0].update(name="../../etc/passwd"), "a name is"),
        (lambda d: d["members"][0].update(name="a\n"), "a name is"),
        (lambda d: d["tables"][0].update(name='x"; DROP TABLE y; --'), "a name is"),
        (lambda d: d["tables"][0]["columns"][0].update(name='x" FROM y'), "target header"),
        (lambda d: d.update(name="\x1b[2Jgone"), "printable"),
        (lambda d: d.update(name="\u202egnihtemos"), "printable"),
        (lambda d: d.update(surprise=1), "Extra inputs"),
        (lambda d: d["settings"].update(allow_cleartext="yes"), "valid boolean"),
        (lambda d: d["tables"][0]["rule"]["outputConstraints"][0].update(minimum=1), "greater than or equal"),
        (lambda d: d["tables"][0]["rule"].update(dimensionColumns=["dest_sealed"]), "must be cleartext"),
        (lambda d: d.update(tables="x"), "tables"),
    ],
)
def test_hostile_agreements_are_refused_with_the_reason(place, change, words):
    data = place.agreement.model_dump(mode="json")
    change(data)
    import json

    with pytest.raises(RoomError, match=words):
        parse_room(json.dumps({"agreement": data}))


def test_the_reason_quotes_no_value(place):
    data = place.agreement.model_dump(mode="json")
    data["members"][0]["key"] = "PLANTED-SECRET"
    import json

    with pytest.raises(RoomError) as caught:
        parse_room(json.dumps({"agreement": data}))
    assert "PLANTED-SECRET" not in str(caught.value)
    assert "members.0.key" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x [1]\nb: *x\n", "anchors and aliases"),
        ("a: *nothing\n", "anchors and aliases"),
        ("a: !!python/object/apply:os.system ['true']\n", "tags"),
        ("!!map {a: 1}\n", "tags"),
        ("%TAG ! tag:example.com,2000:\n---\na: 1\n", "tags"),
        ("a: 1\na: 2\n", "twice"),
        ('{"agreement": {}, "agreement": {}}', "twice"),
        ("a: .nan\n", "finite"),
        ("a: -.INF\n", "finite"),
        ("a: 1e999\n", "finite"),
        ("? [x]\n: 1\n", "key must be text"),
        ("1: x\n", "key must be text"),
        ("a: 1\n---\nb: 2\n", "one document"),
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("a: [1, 2\n", "not valid YAML"),
        ("a:\n\t- x\n", "not valid YAML"),
        ("[" * 5_000, "nested deeper"),
        ("{a: " * 5_000, "nested deeper"),
        ("- " * 5_000 + "x", "nested deeper"),
        ("a: \x00\n", "not valid YAML"),
        ("just text", "mapping is expected"),
        ("- 1", "mapping is expected"),
        ("{}", "Field required"),
    ],
)
def test_hostile_yaml_is_refused(text, words):
    with pytest.raises(RoomError, match=words):
        parse_room(text)


def test_a_billion_laughs_costs_nothing():
    lines = ['a0: &a0 ["lol"]']
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    began = time.process_time()
    with pytest.raises(RoomError, match="anchors"):
        parse_room("\n".join(lines))
    assert time.process_time() - began < 1


def test_plain_words_are_text_and_numbers_are_numbers():
    assert load_yaml("[no, 2013-01-01, 0x1f, 1_000, 017, 12, -3, 1.5, true, null, '5']", 100) == [
        "no", "2013-01-01", "0x1f", "1_000", "017", 12, -3, 1.5, True, None, "5",
    ]  # fmt: skip


def test_files_that_are_no_room_files(tmp_path):
    with pytest.raises(RoomError, match="no such room file"):
        load_room(tmp_path / "none.yaml")
    with pytest.raises(RoomError, match="is a directory"):
        load_room(tmp_path)
    file = tmp_path / "room.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RoomError, match="UTF-8"):
        load_room(file)
    file.write_bytes(b"#" * (limits.MAX_ROOM_FILE_BYTES + 1))
    with pytest.raises(RoomError, match="larger"):
        load_room(file)
    file.write_text("a: &x 1")
    with pytest.raises(RoomError, match=r"room\.yaml"):
        load_agreement(file)


def test_a_host_with_the_secret_in_its_directory_is_refused(place):
    host = place.members["host"]
    (host.path / "shared.secret").write_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    with pytest.raises(RoomError, match="must not hold the shared secret") as caught:
        host.room(place.room)
    assert "AAEC" not in str(caught.value)
