# SPDX-License-Identifier: Apache-2.0
"""`hitoku attest reference` and `hitoku room attestation`: two owners agree on a program."""

from __future__ import annotations

import json

import pytest

from hitoku.attestation.program import pcr_of

PROGRAM = "ab" * 48
UNTIL = "2030-01-01T00:00:00Z"


@pytest.fixture
def world(make):
    return make(lambda data: data.update(attestation={"accept": ["tpm"], "software": True}))


@pytest.fixture
def reference(hitoku, world):
    def call(command, *arguments, by="airport"):
        where = ["--room", world.room_file, "--member", world.members[by].path]
        return hitoku("attest", "reference", command, *arguments, *where)

    return call


def add(reference, *more, by="airport", program=PROGRAM, kind="tpm", until=UNTIL):
    common = ["--version", "1.0", "--kind", kind, "--not-after", until]
    return reference("add", program, *common, *more, by=by)


def states(reference, by="airport"):
    code, out, _ = reference("list", "--json", by=by)
    assert code == 0
    return [(e["serial"], e["state"], e["signers"]) for e in json.loads(out)["entries"]]


def test_from_a_statement_to_one_in_force(reference, tmp_path):
    code, out, _ = add(reference)
    assert code == 0
    assert "still to sign: registry" in out
    assert f"pcr12 {pcr_of(PROGRAM)}" in out
    assert states(reference) == [(1, "not in force", ["airport"])]

    file = tmp_path / "bundle.json"
    assert reference("export", "--output", file)[0] == 0
    code, out, _ = reference("import", file, by="registry")
    assert code == 0
    assert "still to sign: registry" in out
    code, out, _ = reference("sign", PROGRAM[:12], by="registry")
    assert (code, "in force" in out, "still to sign" in out) == (0, True, False)

    code, out, _ = reference("export", by="registry")
    file.write_text(out)
    assert reference("import", file)[0] == 0
    assert states(reference) == [(1, "in force", ["airport", "registry"])]
    assert states(reference, by="host") == []


def test_more_is_said_of_a_program(reference):
    code, out, _ = add(
        reference,
        "--purpose", "node",
        "--measurement", f"pcr0={'AB' * 32},{'cd' * 32}",
        "--minimum-tcb", "microcode=219", "--minimum-tcb", "snp=3..9",
        "--repository", "the project's", "--commit", "ef" * 20, "--builder", "CI",
        "--json",
    )  # fmt: skip
    assert code == 0
    data = json.loads(out)
    assert data["purpose"] == "node"
    assert data["measurements"] == {"pcr0": ["ab" * 32, "cd" * 32], "pcr12": [pcr_of(PROGRAM)]}
    assert data["minimum_tcb"] == {"microcode": {"at_least": 219}, "snp": {"at_least": 3, "at_most": 9}}
    assert data["source"] == {"repository": "the project's", "commit": "ef" * 20, "builder": "CI"}
    code, out, _ = reference("list")
    assert "snp at least 3, at most 9" in out


def test_a_second_statement_has_the_next_serial(reference):
    for _ in range(2):
        assert add(reference)[0] == 0
    assert [serial for serial, _, _ in states(reference)] == [1, 2]
    assert add(reference, "--purpose", "node", "--json")[1].count('"serial": 1') == 1


def test_one_member_revokes(reference, tmp_path):
    add(reference)
    file = tmp_path / "bundle.json"
    for by, other in (("airport", "registry"), ("registry", "airport")):
        reference("export", "--output", file, by=by)
        reference("import", file, by=other)
        reference("sign", PROGRAM, by=other)
    assert states(reference) == [(1, "in force", ["airport", "registry"])]
    code, out, _ = reference("revoke", PROGRAM, "--reason", "a hole", by="registry")
    assert (code, "revoked: a hole" in out) == (0, True)
    reference("export", "--output", file, by="registry")
    assert reference("import", file)[0] == 0
    assert states(reference) == [(2, "revoked", ["registry"])]


def test_an_older_export_is_refused_whole(reference, tmp_path):
    add(reference)
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    reference("export", "--output", old)
    reference("revoke", PROGRAM, "--reason", "a hole")
    other = add(reference, "--json", program="cd" * 48)
    assert other[0] == 0
    reference("export", "--output", new, "--program", "cd" * 48)
    mixed = json.loads(old.read_text())
    mixed["entries"] += json.loads(new.read_text())["entries"]
    old.write_text(json.dumps(mixed))
    code, out, _ = reference("import", old, "--json")
    assert (code, json.loads(out)["code"]) == (3, "REFERENCE")


def test_a_manifest_in_a_file_is_a_program(reference, tmp_path):
    from hitoku.attestation.program import Manifest, Measured, program_digest

    manifest = Manifest({"a": Measured("00" * 48)}, ("a",))
    file = tmp_path / "manifest.json"
    file.write_bytes(manifest.to_bytes())
    code, out, _ = add(reference, "--json", program=file)
    assert (code, json.loads(out)["program"]) == (0, program_digest(manifest))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--measurement", "pcr0"], "NAME=VALUE"),
        (["--measurement", "pcr0=zz"], "measurements"),
        (["--measurement", f"pcr0={'ab' * 32}", "--measurement", f"PCR0={'ab' * 32}"], "one thing twice"),
        (["--minimum-tcb", "snp=x"], "COMPONENT=LOWEST"),
        (["--minimum-tcb", "snp=1..x"], "COMPONENT=LOWEST"),
    ],
)
def test_what_add_refuses(reference, more, words):
    code, _, err = add(reference, *more)
    assert code == 4, err
    assert words in err


def test_what_add_refuses_of_kind_and_time(reference):
    for how, words in (
        ({"kind": "sgx"}, "mrenclave"),
        ({"kind": "x"}, "kind"),
        ({"until": "soon"}, "not_after"),
    ):
        code, _, err = add(reference, **how)
        assert (code, words in err) == (4, True), err


def test_names_that_are_not_there(reference, tmp_path):
    add(reference)
    add(reference, program="ab" * 40 + "cd" * 8)
    assert reference("sign", "ab" * 3)[0] == 4
    assert "several programs" in reference("sign", "ab" * 8)[2]
    assert reference("sign", "ef" * 8)[0] == 4
    assert reference("sign", PROGRAM, "--kind", "tdx")[0] == 4
    assert reference("import", tmp_path / "nothing")[0] == 4


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "x", "room": "y", "entries": []}', '{"entries": 1, "entries": 1}']
)
def test_what_is_no_export(reference, tmp_path, text):
    file = tmp_path / "bundle.json"
    file.write_text(text)
    assert reference("import", file)[0] == 4


def test_a_room_without_attestation_gets_it_by_a_new_version(hitoku, place, tmp_path):
    where = ["--room", place.room_file, "--member", place.members["airport"].path]
    code, _, err = hitoku("attest", "reference", "list", *where)
    assert (code, "hitoku room attestation" in err) == (4, True)
    part = tmp_path / "part.yaml"
    part.write_text("accept: [tpm]\nsoftware: true\n")
    assert hitoku("room", "attestation", place.room_file, part)[0] == 0
    code, out, _ = hitoku("room", "diff", place.room_file, "--json")
    assert json.loads(out)["must_sign"] == ["airport", "registry"]
    for name in ("airport", "registry"):
        assert hitoku("room", "sign", place.room_file, "--member", place.members[name].path)[0] == 0
    assert hitoku("room", "verify", place.room_file)[0] == 0
    assert hitoku("attest", "reference", "list", *where)[1] == "no reference values\n"


@pytest.mark.parametrize("text", ["accept: []", "[]", "accept: [tpm]\nsigners: 9", "accept: [tpm]\nmore: 1"])
def test_a_part_that_is_none(hitoku, place, tmp_path, text):
    part = tmp_path / "part.yaml"
    part.write_text(text)
    assert hitoku("room", "attestation", place.room_file, part)[0] == 5
