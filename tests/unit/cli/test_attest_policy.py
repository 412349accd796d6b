# SPDX-License-Identifier: Apache-2.0
"""`hitoku attest policy`, `collect`, `measure` and `lint-kms`."""

from __future__ import annotations

import json

import pytest
from tests.attestation_tpm import need_swtpm

from hitoku.attestation.attest.dev import make_key_file
from hitoku.attestation.launch import image
from hitoku.attestation.program import Manifest, Measured, pcr_of, program_digest
from hitoku.attestation.swtpm import SwTpm

PROGRAM = "ab" * 48


def policy(allow):
    return json.dumps({"format": "hitoku/attestation-policy/1", "allow": allow})


@pytest.fixture
def world(make):
    return make(lambda data: data.update(attestation={"accept": ["dev"], "software": True, "signers": 1}))


@pytest.fixture
def where(world):
    return ["--room", world.path, "--member", world.members["airport"].path]


@pytest.fixture
def evidence(hitoku, tmp_path):
    make_key_file(tmp_path / "dev.key", PROGRAM)
    file = tmp_path / "evidence.json"
    code, out, _ = hitoku(
        "attest", "collect", "--platform", "dev", "--device", tmp_path / "dev.key", "--output", file,
        "--nonce", "00" * 32, "--json",
    )  # fmt: skip
    assert code == 0
    return file, json.loads(out)


def test_collected_evidence_is_verified(hitoku, evidence):
    file, facts = evidence
    assert (facts["kind"], facts["nonce"]) == ("dev", "00" * 32)
    expect = f"report_data={facts['report_data']}"
    code, out, _ = hitoku("attest", "verify", file, "--expect", expect, "--expect", f"program={PROGRAM}")
    assert (code, "accepted: dev" in out, "no hardware vouches" in out) == (0, True, True)
    assert hitoku("attest", "verify", file, "--expect", f"report_data={'00' * 64}")[0] == 3


def test_a_tpm_attests_again_and_again(hitoku, tmp_path):
    need_swtpm()
    file = tmp_path / "evidence.json"
    with SwTpm(certificate=False) as machine:
        common = [
            "attest",
            "collect",
            "--platform",
            "tpm",
            "--device",
            machine.path,
            "--output",
            file,
            "--json",
        ]
        for _ in range(5):  # a TPM has room for three keys
            code, out, _ = hitoku(*common)
            assert (code, json.loads(out)["kind"]) == (0, "tpm")
    expect = f"report_data={json.loads(out)['report_data']}"
    assert hitoku("attest", "verify", file, "--expect", expect)[0] == 0


def test_collecting_refuses_what_it_cannot_use(hitoku, tmp_path):
    assert hitoku("attest", "collect", "--platform", "dev")[0] == 4
    assert hitoku("attest", "collect", "--platform", "dev", "--device", tmp_path / "no.key")[0] == 4
    for wrong in (["--nonce", "xyz"], ["--nonce", "00" * 7], ["--nonce", "00" * 65], ["--data", "00" * 63]):
        code, _, err = hitoku("attest", "collect", *wrong)
        assert (code, "hexadecimal" in err) == (4, True), wrong
    code, _, err = hitoku("attest", "collect", "--platform", "tpm", "--device", tmp_path / "no.socket")
    assert (code, "no TPM" in err) == (4, True)


def test_evidence_goes_to_standard_output(hitoku, tmp_path):
    make_key_file(tmp_path / "dev.key", PROGRAM)
    common = ["attest", "collect", "--platform", "dev", "--device", tmp_path / "dev.key"]
    one, two = (json.loads(hitoku(*common)[1]) for _ in range(2))
    assert one["cmw"][0] == "application/vnd.hitoku.evidence.dev"
    assert one != two  # a nonce of its own each time


def test_a_policy_is_checked_set_shown_and_unset(hitoku, where, tmp_path):
    file = tmp_path / "policy.json"
    file.write_text(policy({"equals": ["kind", "dev"]}))
    code, out, _ = hitoku("attest", "policy", "check", file, "--json")
    digest = json.loads(out)["policy"]
    assert code == 0
    assert hitoku("attest", "policy", "show", *where)[1].startswith("no policy")
    code, out, _ = hitoku("attest", "policy", "set", file, *where, "--json")
    assert (code, json.loads(out)["policy"]) == (0, digest)
    assert json.loads(hitoku("attest", "policy", "show", *where)[1]) == json.loads(file.read_text())
    assert hitoku("attest", "policy", "set", "--none", *where)[0] == 0
    assert hitoku("attest", "policy", "show", *where)[1].startswith("no policy")
    assert hitoku("attest", "policy", "set", file, "--none", *where)[0] == 4
    file.write_text("{}")
    assert hitoku("attest", "policy", "check", file)[0] == 4
    assert hitoku("attest", "policy", "set", file, *where)[0] == 4
    assert hitoku("attest", "policy", "check", tmp_path / "none.json")[0] == 4


def test_the_policy_file_of_the_members_directory(hitoku, world, where):
    file = world.members["airport"].path / "attestation" / "policy.json"
    file.parent.mkdir()
    file.write_text(policy({"exists": "kind"}))
    code, out, _ = hitoku("attest", "policy", "show", *where)
    assert code == 3
    assert out == ""
    assert hitoku("attest", "policy", "set", *where)[0] == 0
    assert hitoku("attest", "policy", "show", *where)[0] == 0


def test_explaining_what_a_policy_says_of_evidence(hitoku, evidence, where, tmp_path):
    file, _ = evidence
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(policy({"allOf": [{"equals": ["kind", "dev"]}, {"equals": ["reference.version", "7"]}]}))
    bad.write_text(policy({"not": {"equals": ["tcb.snp", 3]}}))
    code, out, _ = hitoku("attest", "policy", "explain", file, *where)
    assert (code, "no reference value in force fits" in out) == (3, True)

    add = ["--version", "7", "--kind", "dev", "--not-after", "2030-01-01T00:00:00Z"]
    assert hitoku("attest", "reference", "add", PROGRAM, *add, *where)[0] == 0
    assert hitoku("attest", "policy", "explain", file, *where)[0] == 0
    code, out, _ = hitoku("attest", "policy", "explain", file, "--policy", good, *where)
    assert code == 0
    assert out.splitlines()[1].split() == ["yes", "all", "of"]
    code, out, _ = hitoku("attest", "policy", "explain", file, "--policy", bad, *where, "--json")
    data = json.loads(out)
    assert (code, data["allows"], data["truth"], data["parts"][0]["truth"]) == (3, False, None, None)
    assert data["facts"]["reference.version"] == "7"
    old = ["--now", "2020-01-01T00:00:00Z"]
    assert hitoku("attest", "policy", "explain", file, *old, *where)[0] == 3
    assert hitoku("attest", "policy", "explain", file, "--now", "soon", *where)[0] == 4


def test_linting_a_key_policy(hitoku, tmp_path):
    file = tmp_path / "key.json"
    image384 = "kms:RecipientAttestation:ImageSha384"
    statement = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::1:role/e"}, "Resource": "*"}
    allow = statement | {
        "Action": "kms:Decrypt",
        "Condition": {"StringEqualsIgnoreCase": {image384: "ab" * 48}},
    }
    deny = allow | {
        "Effect": "Deny",
        "Principal": "*",
        "Condition": {"StringNotEqualsIgnoreCase": {image384: "ab" * 48}},
    }
    file.write_text(json.dumps({"Statement": [allow, deny]}))
    assert hitoku("attest", "lint-kms", file) == (0, f"{file}: nothing found\n", "")
    file.write_text(json.dumps({"Statement": [allow]}))
    code, out, _ = hitoku("attest", "lint-kms", file)
    assert (code, out.startswith("NO_DENY: no statement denies kms:Decrypt")) == (3, True)
    code, out, _ = hitoku("attest", "lint-kms", file, "--json")
    assert (code, [f["code"] for f in json.loads(out)["findings"]]) == (3, ["NO_DENY"])
    file.write_text("no policy")
    assert hitoku("attest", "lint-kms", file)[0] == 4


def test_measuring_a_program(hitoku, tmp_path, monkeypatch):
    seen = []

    def measured(made, *, fresh=False):
        seen.append((made.entry, made.argv, fresh))
        return Manifest({"a": Measured("00" * 48)}, made.command())

    monkeypatch.setattr(image, "measure", measured)
    file = tmp_path / "manifest.json"
    code, out, _ = hitoku("attest", "measure", "worker", "--output", file, "--json")
    data = json.loads(out)
    assert code == 0
    assert data["program"] == program_digest(Manifest.from_bytes(file.read_bytes()))
    assert data["pcr12"] == pcr_of(data["program"])
    assert data["purpose"] == "enclave"
    code, out, _ = hitoku("attest", "measure", "node")
    assert (code, out.startswith("program ")) == (0, True)
    hitoku("attest", "measure", "worker", "--attester", "dev", "--cached")
    assert [(argv[:1], fresh) for _, argv, fresh in seen] == [
        (("tpm",), True), (("node",), True), (("dev",), False),
    ]  # fmt: skip
