# SPDX-License-Identifier: Apache-2.0
"""Attacks on appraisal: altered programs, debugging, old platforms, edited or older values, software.

Names of tests begin with the threat that they are about (the table in `docs/attestation-deletion.md`).
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.appraisals import (
    BINDING,
    KEYS,
    OWNERS,
    PCR0,
    PROGRAM,
    ROOM,
    Given,
    evidence_of,
    pcrs,
    registry_of,
    room_of,
    value,
)
from tests.attestation_pki import NOW, AmdWorld

from hitoku.attestation import judge as judging
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.ear import sign_ear, verify_ear
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.kept import Kept
from hitoku.attestation.lint_kms import lint
from hitoku.attestation.policy import Policy
from hitoku.attestation.program import pcr_of
from hitoku.attestation.reference import ReferenceValue, Registry
from hitoku.errors import RoomError
from hitoku.protections.enclave.stamp import stamp_of
from hitoku.room.heads import member_signed
from hitoku.room.ledger import Head

AGREEMENT = ROOM.agreement
EVERYTHING = Policy({"exists": "kind"})
"""As lax as a policy can be."""


def refusal(given: Given, **more: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        given.asked(**more)
    return caught.value


# --- T1: the program is altered ---


def test_t1_one_bit_of_any_measured_register_is_another_program():
    for register in ("pcr0",):
        good = bytes.fromhex(PCR0)
        for place in range(0, len(good) * 8, 7):
            flipped = bytearray(good)
            flipped[place // 8] ^= 1 << place % 8
            evidence = evidence_of(pcrs=pcrs(**{register: bytes(flipped)}))
            assert refusal(Given(), evidence=evidence).code is Code.MEASUREMENT_MISMATCH


def test_t1_a_register_that_is_not_named_does_not_make_up_for_one_that_is():
    # AWS's stock kernel is the same in everybody's enclaves.
    other = evidence_of(pcrs=pcrs(pcr0=b"\x77" * 48))
    registry = registry_of(value(measurements={"pcr0": [PCR0], "pcr1": ["02" * 48]}))
    assert refusal(Given(), evidence=other, registry=registry).code is Code.MEASUREMENT_MISMATCH


def test_t1_a_program_of_another_platform_or_purpose_is_none_of_this():
    snp = value(kind="sev-snp", measurements={"measurement": [PCR0]})
    node = value(purpose="node")
    for registry in (registry_of(snp), registry_of(node), Registry(AGREEMENT.id)):
        assert refusal(Given(), registry=registry).code is Code.MEASUREMENT_MISMATCH


def test_t1_no_policy_makes_an_unknown_program_known():
    evidence = evidence_of(pcrs=pcrs(pcr0=b"\x77" * 48))
    assert refusal(Given(policy=EVERYTHING), evidence=evidence).code is Code.MEASUREMENT_MISMATCH


def boot_of(**changes: str) -> dict[str, str]:
    """What a machine's TPM has after GRUB booted it and the launcher measured the program."""
    names = ("pcr0", "pcr2", "pcr4", "pcr7", "pcr8", "pcr9")
    return {n: f"{i:02x}" * 32 for i, n in enumerate(names, 1)} | {"pcr12": pcr_of(PROGRAM)} | changes


@pytest.mark.parametrize("named", ["with-command-line", "without"])
def test_t1_a_kernel_command_line_that_was_changed_at_the_console(monkeypatch, named):
    """`init=/bin/sh` typed at GRUB's prompt moves PCR 8 alone; then a shell extends PCR 12 as it likes."""
    told = boot_of(pcr8="77" * 32)
    claims = Claims(
        Kind.TPM, told, BINDING.report_data(Kind.TPM), True, extra={"ak_name": "000b" + "ab" * 32}
    )
    monkeypatch.setattr(judging, "verify", lambda evidence, now: claims)
    monkeypatch.setattr(judging, "_check_authority", lambda *given: True)  # a maker's TPM, and activated
    signed = {n: [v] for n, v in boot_of().items() if n != "pcr8" or named == "with-command-line"}
    registry = registry_of(value(kind="tpm", measurements=signed))
    found = refusal(Given(), registry=registry, evidence=Evidence(Kind.TPM, b""))
    wanted = Code.MEASUREMENT_MISMATCH if named == "with-command-line" else Code.SOFTWARE_ROOTED
    assert found.code is wanted
    assert named == "with-command-line" or "pcr8 with pcr9" in found.detail


def test_t1_acpi_tables_of_the_hypervisors_making(monkeypatch):
    """Code in ACPI tables runs in the guest's kernel, and moves rtmr0 alone."""
    names = {"mrtd": "aa" * 48, "rtmr0": "77" * 48, "rtmr1": "bb" * 48, "rtmr2": "cc" * 48}
    claims = Claims(Kind.TDX, names, BINDING.digest, False, tcb_status="UpToDate")
    monkeypatch.setattr(judging, "verify", lambda evidence, now: claims)
    good = {n: [v] for n, v in (names | {"rtmr0": "dd" * 48}).items()}
    registry = registry_of(value(kind="tdx", measurements=good))
    found = refusal(Given(), registry=registry, evidence=Evidence(Kind.TDX, b""))
    assert found.code is Code.MEASUREMENT_MISMATCH
    with pytest.raises(ValueError, match="without 'rtmr0'"):
        value(kind="tdx", measurements={n: v for n, v in good.items() if n != "rtmr0"})


@pytest.mark.parametrize("kind", ["tpm", "dev"])
def test_t1_a_second_program_behind_the_digest_that_is_signed_for(kind):
    evil = "66" * 48
    name, good, bad = {
        "tpm": ("pcr12", pcr_of(PROGRAM), pcr_of(evil)),
        "dev": ("program", PROGRAM, evil),
    }[kind]
    value(kind=kind, measurements={name: [good]})
    for values in ([good, bad], [bad, good], [bad]):
        with pytest.raises(ValueError, match="no other value"):
            value(kind=kind, measurements={name: values})


# --- T7: debugging ---


@pytest.mark.parametrize("zeros", [("pcr0", "pcr1", "pcr2"), ("pcr0",), ("pcr1",), ("pcr2",)])
def test_t7_a_debugged_enclave_is_refused_whatever_a_policy_says(zeros):
    evidence = evidence_of(pcrs=pcrs(**{name: bytes(48) for name in zeros}))
    assert refusal(Given(policy=EVERYTHING), evidence=evidence).code is Code.DEBUG


def test_t7_the_appraisal_looks_itself(monkeypatch):
    """Were the verifier's own check lost, zeros would still be refused here, and could not be signed for."""
    claims = Claims(
        Kind.NITRO,
        {"pcr0": "00" * 48, "pcr1": "00" * 48, "pcr2": "00" * 48},
        BINDING.digest,
        False,
        nonce=BINDING.nonce,
    )
    monkeypatch.setattr(judging, "verify", lambda evidence, now: claims)
    assert refusal(Given(policy=EVERYTHING)).code is Code.DEBUG
    with pytest.raises(ValueError, match="zeros is no program"):
        value(measurements={"pcr0": ["00" * 48]})


# --- T8: an old platform ---


def snp_world() -> tuple[AmdWorld, Given, Registry]:
    world = AmdWorld("genoa")
    measurement = world.report()[0x90:0xC0].hex()
    registry = registry_of(
        value(
            kind="sev-snp",
            measurements={"measurement": [measurement]},
            minimum_tcb={"snp": {"at_least": 24}, "microcode": {"at_least": 219}},
        )
    )
    return world, Given(), registry


def test_t8_below_the_minimum_of_the_room_is_refused_though_the_vendor_signed_it():
    world, given, registry = snp_world()

    def ask(**tcb: int) -> str:
        levels = world.tcb(**tcb)
        evidence = world.evidence(
            endorsements={"vcek": world.endorse(tcb=levels).der},
            report_data=BINDING.report_data(Kind.SEV_SNP),
            reported=levels,
        )
        with world.trusted():
            return given.asked(evidence=evidence, registry=registry).reference.version

    assert ask() == "1.0.0"
    assert ask(snp=25) == "1.0.0"
    for older in ({"snp": 23}, {"microcode": 218}):
        with pytest.raises(Refused) as caught:
            ask(**older)
        assert caught.value.code is Code.TCB, older


@pytest.mark.parametrize(
    "status", ["OutOfDate", "Revoked", "ConfigurationAndSWHardeningNeeded", "uptodate", ""]
)
def test_t8_no_policy_accepts_a_platform_that_its_vendor_does_not(monkeypatch, status):
    names = {"mrtd": "aa" * 48, "rtmr0": "dd" * 48, "rtmr1": "bb" * 48, "rtmr2": "cc" * 48}
    claims = Claims(Kind.TDX, names, BINDING.digest, False, tcb_status=status)
    monkeypatch.setattr(judging, "verify", lambda evidence, now: claims)
    registry = registry_of(value(kind="tdx", measurements={n: [v] for n, v in names.items()}))
    found = refusal(Given(policy=EVERYTHING), registry=registry, evidence=Evidence(Kind.TDX, b""))
    assert found.code is Code.TCB


# --- T17: reference values and policies rolled back, or edited by one signer ---


def edits() -> list[dict[str, Any]]:
    return [
        {"measurements": {"pcr0": [PCR0, "77" * 48]}},
        {"measurements": {"pcr0": ["77" * 48]}},
        {"not_after": "2036-01-01T00:00:00Z"},
        {"minimum_tcb": {}},
        {"purpose": "node"},
        {"serial": 9},
        {"program": "77" * 48},
    ]


@pytest.mark.parametrize("edit", edits())
def test_t17_one_signers_edit_counts_for_nothing(edit):
    signed = value(minimum_tcb={"snp": {"at_least": 2}})
    data = json.loads(signed.model_dump_json()) | edit
    edited = ReferenceValue.model_validate(data).sign("bank", KEYS["bank"])
    assert edited.signers(AGREEMENT) == {"bank"}
    evidence = evidence_of(pcrs=pcrs(pcr0=b"\x77" * 48))
    purpose = edit.get("purpose", "enclave")
    given = Given()
    for shown in (None, evidence):
        found = refusal(given, registry=registry_of(edited), evidence=shown, purpose=purpose)
        assert found.code in {Code.REFERENCE, Code.MEASUREMENT_MISMATCH}


@pytest.mark.parametrize("signers", [(), ("acme",), ("bank",), ("acme", "cloud"), ("bank", "cloud")])
def test_t17_too_few_signers(signers):
    assert refusal(Given(), registry=registry_of(value(signers))).code is Code.REFERENCE


@pytest.mark.parametrize("signers", [("cloud",), ("acme", "cloud"), ("bank", "cloud")])
def test_t17_who_owns_no_table_signs_for_nobody(signers):
    """Where the room asks for two, host or asker beside one owner are still one."""
    given = Given(room_of(signers=2))
    assert refusal(given, registry=registry_of(value(signers))).code is Code.REFERENCE
    assert given.asked().reference.version == "1.0.0"


def test_t17_an_owners_broker_gives_nothing_to_what_that_owner_has_not_signed():
    """Where the room asks for one: the others decide for their own tables, not for acme's."""
    given = Given(room_of(signers=1))  # acme appraises
    found = refusal(given, registry=registry_of(value(("bank", "cloud"))))
    assert found.code is Code.REFERENCE
    assert "'acme' owns a table and has not signed" in found.detail
    assert given.asked(registry=registry_of(value(("acme",)))).reference.version == "1.0.0"
    newer = value(("bank",), serial=2)
    assert refusal(given, registry=registry_of(value(("acme",)), newer)).code is Code.REFERENCE


def test_t17_one_member_cannot_be_two():
    alone = value(("acme",)).sign("bank", KEYS["acme"])
    twice = value(("acme",))
    twice = twice.model_copy(update={"signatures": twice.signatures * 2})
    for entry in (alone, twice):
        for needed in (None, 2):
            given = Given(room_of(signers=needed))
            assert refusal(given, registry=registry_of(entry)).code is Code.REFERENCE


def test_t17_signatures_of_another_room_count_for_nothing():
    elsewhere = value((), room="11111111-2222-3333-4444-555555555556")
    for name in OWNERS:
        elsewhere = elsewhere.sign(name, KEYS[name])
    moved = ReferenceValue.model_validate(
        json.loads(elsewhere.model_dump_json()) | {"room": str(AGREEMENT.id)}
    )
    assert refusal(Given(), registry=registry_of(moved)).code is Code.REFERENCE


def test_t17_an_older_statement_that_all_signed_does_not_come_back():
    old = value()
    new = value(serial=2, measurements={"pcr0": ["77" * 48]})
    registry = registry_of(new)
    with pytest.raises(Refused, match="rolled back") as caught:
        registry.put(old, AGREEMENT)
    assert caught.value.code is Code.REFERENCE
    # Nor where somebody gets it into the registry in another way.
    found = refusal(Given(), registry=registry_of(old, new))
    assert (found.code, "newer statement" in found.detail) == (Code.REFERENCE, True)


def test_t17_a_revoked_program_does_not_come_back():
    revoked = value(("acme",), serial=2, revoked=True)
    assert refusal(Given(), registry=registry_of(value(), revoked)).code is Code.REVOKED
    renamed = value(program="77" * 48, version="renamed")
    assert refusal(Given(), registry=registry_of(value(), revoked, renamed)).code is Code.REVOKED
    with pytest.raises(Refused, match="rolled back"):
        registry_of(value(), revoked).put(value(), AGREEMENT)


def test_t17_a_statement_past_its_time_is_none():
    past = value(not_after="2026-11-22T11:59:59Z")
    assert refusal(Given(), registry=registry_of(past)).code is Code.REFERENCE


def test_t17_the_ledger_shows_a_rollback_of_registry_and_policy(make, clock):
    """Whoever can write to a member's database can cut its end off; every head kept elsewhere shows that."""
    place = make(lambda data: data.update(attestation={"accept": ["nitro"]}))
    directory = place.members["airport"]
    records = directory.records(str(place.agreement.id), clock)
    kept = Kept(directory, records)
    statement: Any = {"room": place.agreement.id, "measurements": {"pcr0": [PCR0]}}
    good = ReferenceValue.model_validate(json.loads(value(()).model_dump_json()) | statement)
    for name in ("airport", "registry"):
        good = good.sign(name, place.members[name].keys({}))
    kept.put([good], place.agreement, "add")
    before = directory.path / "state.db"
    records.store.close()
    old = before.read_bytes()
    assert not (before.with_name("state.db-wal")).exists()

    records = directory.records(str(place.agreement.id), clock)
    kept = Kept(directory, records)
    revoked = ReferenceValue.model_validate(
        json.loads(good.model_dump_json()) | {"serial": 2, "revoked": True, "signatures": []}
    ).sign("airport", directory.keys({}))
    kept.put([revoked], place.agreement, "revoke")
    kept.set_policy(Policy({"equals": ["kind", "nitro"]}))
    head = records.ledger.head()
    assert head is not None
    records.store.close()

    before.write_bytes(old)
    records = directory.records(str(place.agreement.id), clock)
    assert not Kept(directory, records).registry(place.agreement).in_force(place.agreement)[0].revoked
    with pytest.raises(RoomError, match="does not continue"):
        records.ledger.verify(member_signed(place.agreement), Head.from_bytes(head.to_bytes()))
    records.store.close()


def test_t17_a_policy_changed_behind_the_ledger_refuses(make, clock):
    place = make(lambda data: data.update(attestation={"accept": ["nitro"]}))
    directory = place.members["airport"]
    records = directory.records(str(place.agreement.id), clock)
    (directory.path / "attestation").mkdir()
    file = directory.path / "attestation" / "policy.json"
    strict = {"format": "hitoku/attestation-policy/1", "allow": {"equals": ["kind", "sev-snp"]}}
    file.write_text(json.dumps(strict))
    Kept(directory, records).set_policy(Policy.open(file))
    file.write_text(json.dumps(strict | {"allow": {"exists": "kind"}}))
    with pytest.raises(Refused) as caught:
        Kept(directory, records).policy()
    assert caught.value.code is Code.POLICY
    records.store.close()


def test_t17_the_result_names_the_values_and_the_policy_it_rests_on():
    one = Given().asked()
    two = Given(policy=EVERYTHING).asked()
    three = Given().asked(registry=Registry(AGREEMENT.id, [value(("acme", "bank", "cloud"))], 4))
    found = []
    for appraisal in (one, two, three):
        (submod,) = verify_ear(appraisal.ear, AGREEMENT, NOW)["submods"].values()
        found.append((submod["ear.appraisal-policy-id"], submod["hitoku"]["registry"]["digest"]))
    assert len(set(found)) == 3


# --- T19: key policies that decrypt without attestation ---


def statement(**changes: Any) -> dict[str, Any]:
    return {
        "Sid": "Enclave",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:role/enclave"},
        "Action": "kms:Decrypt",
        "Resource": "*",
        "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": "ab" * 48}},
    } | changes


DENIAL = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": ["kms:Decrypt", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:PutKeyPolicy"],
    "Resource": "*",
    "Condition": {"StringNotEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": "ab" * 48}},
}


def codes(*statements: dict[str, Any]) -> set[str]:
    return {f.code for f in lint(json.dumps({"Statement": statements}).encode())}


def test_t19_the_root_of_the_account_beside_a_good_statement():
    """aws-nitro-enclaves-sdk-c #100: the parent instance decrypts, too."""
    root = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    assert "ALLOW_WITHOUT_ATTESTATION" in codes(statement(), DENIAL, root)
    assert "UNRESTRICTED" in codes(statement(), DENIAL, root)
    assert codes(statement(), DENIAL) == set()


def test_t19_a_role_without_a_condition():
    """aws-nitro-enclaves-sdk-c #157: an enclave that sends no document is served all the same."""
    assert "ALLOW_WITHOUT_ATTESTATION" in codes(statement(Condition={}), DENIAL)
    assert "NO_DENY" in codes(statement())


def test_t19_a_condition_that_is_met_by_nothing_at_all():
    for operator in ("StringEqualsIgnoreCaseIfExists", "ForAllValues:StringEqualsIgnoreCase"):
        condition = {operator: {"kms:RecipientAttestation:ImageSha384": "ab" * 48}}
        assert "IF_EXISTS" in codes(statement(Condition=condition), DENIAL)


def test_t19_zeros_are_every_enclave_in_debug_mode():
    condition = {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": "0" * 96}}
    assert "DEBUG" in codes(statement(Condition=condition), DENIAL)


# --- T23: software where hardware is agreed on ---


def test_t23_dev_evidence_is_refused_where_the_room_does_not_allow_software():
    for accept in (["nitro"], ["nitro", "dev"]):
        found = refusal(Given(room_of(accept=accept)), evidence=Evidence(Kind.DEV, b"{}"))
        assert found.code is Code.SOFTWARE_ROOTED
        assert found.exit_code == 3


def software(monkeypatch, kind: Kind) -> Registry:
    names = {"program": PROGRAM} if kind is Kind.DEV else {"pcr12": pcr_of(PROGRAM)}
    claims = Claims(kind, names, BINDING.report_data(kind), True, extra={"ak_name": "000b" + "ab" * 32})
    monkeypatch.setattr(judging, "verify", lambda evidence, now: claims)
    return registry_of(value(kind=str(kind), measurements={n: [v] for n, v in names.items()}))


@pytest.mark.parametrize("kind", [Kind.DEV, Kind.TPM])
def test_t23_no_policy_makes_hardware_of_software(monkeypatch, kind):
    registry = software(monkeypatch, kind)
    for policy in (Policy(), EVERYTHING, Policy({"equals": ["software_rooted", True]})):
        found = refusal(Given(policy=policy), registry=registry, evidence=Evidence(kind, b""))
        assert found.code is Code.SOFTWARE_ROOTED


@pytest.mark.parametrize("kind", [Kind.DEV, Kind.TPM])
def test_t23_where_it_is_allowed_every_result_says_so(monkeypatch, kind):
    registry = software(monkeypatch, kind)
    room = room_of(software=True)
    appraisal = Given(room).asked(registry=registry, evidence=Evidence(kind, b""))
    assert appraisal.software_rooted
    (submod,) = verify_ear(appraisal.ear, room.agreement, NOW)["submods"].values()
    assert submod["ear.trustworthiness-vector"]["hardware"] == 97
    assert submod["ear.status"] == "contraindicated"
    # A member that wants no software can still say so for itself.
    policy = Policy({"equals": ["software_rooted", False]})
    found = refusal(Given(room, policy=policy), registry=registry, evidence=Evidence(kind, b""))
    assert found.code is Code.POLICY


def test_t23_a_dev_key_is_software_whatever_is_said_of_it(monkeypatch):
    """A verifier that forgot to say so; owners whose results say otherwise."""
    said = {"program": PROGRAM}
    claims = Claims(Kind.DEV, said, BINDING.report_data(Kind.DEV), False, extra={"key": "a key"})
    monkeypatch.setattr(judging, "verify", lambda evidence, now: claims)
    room = room_of(software=True)
    registry = registry_of(value(kind="dev", measurements={"program": [PROGRAM]}))
    appraisal = Given(room).asked(registry=registry, evidence=Evidence(Kind.DEV, b""))
    assert appraisal.software_rooted

    body = verify_ear(appraisal.ear, room.agreement, NOW)
    body["submods"]["dev"]["hitoku"]["software_rooted"] = False
    lying = {"acme": sign_ear(body, KEYS["acme"]), "bank": sign_ear(body | {"iss": "bank"}, KEYS["bank"])}
    assert stamp_of(lying, room.agreement, NOW)["software_rooted"] is True


def test_t23_nobody_can_sign_software_into_a_room_alone():
    changed = room_of(software=True).agreement
    from hitoku.room.changes import must_sign

    assert must_sign(AGREEMENT, changed).current == {"acme", "bank"}
