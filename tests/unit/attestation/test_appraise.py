# SPDX-License-Identifier: Apache-2.0
"""What is accepted, for how long, and what the result says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.appraisals import (
    BINDING,
    KEYS,
    NONCE,
    PROGRAM,
    ROOM,
    Given,
    evidence_of,
    pcrs,
    registry_of,
    room_of,
    value,
)
from tests.attestation_pki import NOW

from hitoku.attestation import judge as judging
from hitoku.attestation.appraise import facts
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.ear import ear_id, verify_ear
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.judge import Judged
from hitoku.attestation.policy import Policy
from hitoku.room.canonical import agreement_hash


def refused(code: Code, given: Given, **more: object) -> str:
    with pytest.raises(Refused) as caught:
        given.asked(**more)  # type: ignore[arg-type]
    assert caught.value.code is code, caught.value
    return caught.value.detail


def test_the_members_program_is_accepted():
    appraisal = Given().asked()
    assert appraisal.program == PROGRAM
    assert appraisal.reference == value()
    assert not appraisal.software_rooted
    assert appraisal.made == NOW
    assert appraisal.until == NOW + timedelta(minutes=60)
    assert appraisal.ear_id == ear_id(appraisal.ear)


def test_the_result_says_what_was_found_and_who_found_it():
    appraisal = Given().asked()
    claims = verify_ear(appraisal.ear, ROOM.agreement, NOW)
    assert claims["iss"] == "acme"
    assert (claims["iat"], claims["exp"]) == (int(NOW.timestamp()), int(NOW.timestamp()) + 3600)
    assert claims["ear.verifier-id"]["developer"] == "hitoku"
    (submod,) = claims["submods"].values()
    assert list(claims["submods"]) == ["nitro"]
    assert submod["ear.status"] == "affirming"
    assert submod["ear.trustworthiness-vector"] == {
        "instance-identity": 0,
        "configuration": 2,
        "executables": 2,
        "file-system": 0,
        "hardware": 2,
        "runtime-opaque": 2,
        "storage-opaque": 0,
        "sourced-data": 0,
    }
    assert submod["eat_nonce"] == NONCE.hex()
    assert submod["ear.appraisal-policy-id"] == Policy().digest
    found = submod["hitoku"]
    assert found["program"] == PROGRAM
    assert found["room"] == agreement_hash(ROOM.agreement)
    assert found["registry"] == {"serial": 0, "digest": registry_of().digest}
    assert (found["software_rooted"], found["activated"]) == (False, False)
    assert found["hardware_id"] == "i-0123456789abcdef0"


def test_it_ends_with_what_it_rests_on():
    soon = "2026-11-22T12:10:00Z"
    appraisal = Given().asked(registry=registry_of(value(not_after=soon)))
    assert appraisal.until == NOW + timedelta(minutes=10)
    assert appraisal.holds(NOW)
    assert appraisal.holds(NOW - timedelta(seconds=30))
    assert not appraisal.holds(NOW - timedelta(seconds=90))
    assert not appraisal.holds(NOW + timedelta(minutes=10))
    assert Given(room_of(minutes=7)).asked().until == NOW + timedelta(minutes=7)
    # The certificates of the enclave end in two hours.
    assert Given(room_of(minutes=300)).asked().until == NOW + timedelta(hours=2)


def test_a_room_without_attestation_accepts_nothing():
    room = ROOM.model_copy(update={"agreement": ROOM.agreement.model_copy(update={"attestation": None})})
    assert "agreed on no attestation" in refused(Code.POLICY, Given(room))


def test_a_kind_that_the_room_does_not_accept_is_not_read():
    detail = refused(Code.POLICY, Given(room_of(accept=["sev-snp"])), evidence=Evidence(Kind.NITRO, b"junk"))
    assert "does not accept evidence of kind nitro" in detail


def test_a_registry_of_another_room_is_refused():
    other = room_of()
    agreement = other.agreement.model_copy(update={"id": "11111111-2222-3333-4444-555555555556"})
    refused(Code.REFERENCE, Given(other.model_copy(update={"agreement": agreement})))


def test_a_program_signed_for_as_a_node_is_no_worker():
    registry = registry_of(value(purpose="node"))
    assert "signed for as node, not as enclave" in refused(
        Code.MEASUREMENT_MISMATCH, Given(), registry=registry
    )
    assert Given().asked(registry=registry, purpose="node").program == PROGRAM


def test_evidence_bound_to_something_else_is_refused():
    refused(Code.BINDING, Given(), evidence=evidence_of(BINDING, user_data=b"\x00" * 64))


@pytest.mark.parametrize(
    ("minutes", "code"), [(-2, Code.NOT_YET), (7, Code.EXPIRED), (-0.9, None), (5.9, None)]
)
def test_evidence_that_tells_another_time_is_refused(minutes, code):
    given = Given(minutes=minutes)
    if code is None:
        given.asked()
    else:
        refused(code, given)


def test_the_members_policy_can_refuse_more():
    policy = Policy({"equals": ["reference.version", "2.0.0"]})
    assert 'reference.version is "2.0.0" is false' in refused(Code.POLICY, Given(policy=policy))
    both = {"allOf": [{"equals": ["reference.signed_by.bank", True]}, {"gte": ["reference.signers", 2]}]}
    assert Given(policy=Policy(both)).asked().program == PROGRAM


def test_the_hardware_list():
    listed = Given(room_of(hardware=["i-0123456789abcdef0"])).asked()
    (submod,) = verify_ear(listed.ear, ROOM.agreement, NOW)["submods"].values()
    assert submod["ear.trustworthiness-vector"]["instance-identity"] == 2
    refused(Code.HARDWARE_NOT_ALLOWED, Given(room_of(hardware=["i-0123456789abcdef1"])))


def test_hardware_that_does_not_show_itself_is_not_on_the_list():
    unknown = evidence_of(module_id="enclave-of-nobody", pcrs=pcrs(pcr4=bytes(48)))
    refused(Code.HARDWARE_NOT_ALLOWED, Given(room_of(hardware=["i-0123456789abcdef0"])), evidence=unknown)


def test_a_key_of_nobody_signs_no_result():
    stranger = ROOM.agreement.model_copy(update={"members": ROOM.agreement.members[1:]})
    with pytest.raises(Refused) as caught:
        Given(ROOM.model_copy(update={"agreement": stranger})).asked()
    assert caught.value.code in {Code.INTERNAL, Code.REFERENCE}


# What no synthetic hierarchy here can sign for is judged from claims.


def judged(claims: Claims, monkeypatch, **more) -> Judged:
    monkeypatch.setattr(judging, "verify", lambda evidence, now: claims)
    room = more.pop("room", ROOM)
    found: Judged = judging.judge(
        Evidence(claims.kind, b""),
        BINDING,
        now=NOW,
        agreement=room.agreement,
        registry=more.pop("registry", registry_of()),
        **more,
    )
    return found


def claims_of(kind: Kind, measurements: dict[str, str], **more) -> Claims:
    return Claims(
        kind=kind,
        measurements=measurements,
        report_data=BINDING.report_data(kind),
        software_rooted=more.pop("software_rooted", False),
        **more,
    )


SNP = "ab" * 48


def snp(**more):
    return value(kind="sev-snp", measurements={"measurement": [SNP]}, **more)


def test_security_versions_are_ranges(monkeypatch):
    registry = registry_of(
        snp(minimum_tcb={"snp": {"at_least": 20, "at_most": 30}, "microcode": {"at_least": 5}})
    )

    def ask(**tcb: int) -> Judged:
        claims = claims_of(Kind.SEV_SNP, {"measurement": SNP}, tcb=tcb, extra={"vmpl": 0})
        return judged(claims, monkeypatch, registry=registry)

    assert ask(snp=20, microcode=5).reference.version == "1.0.0"
    assert ask(snp=30, microcode=9).reference.version == "1.0.0"
    for tcb, words in (
        ({"snp": 19, "microcode": 5}, "snp has security version 19, at least 20 is needed"),
        ({"snp": 31, "microcode": 5}, "at most 30 is accepted"),
        ({"snp": 20}, "does not tell the security version of 'microcode'"),
    ):
        with pytest.raises(Refused, match=words) as caught:
            ask(**tcb)
        assert caught.value.code is Code.TCB


def test_another_privilege_level_is_refused(monkeypatch):
    for signed, shown, accepted in (
        (0, 0, True),
        (0, 1, False),
        (2, 2, True),
        (2, 0, False),
        (0, None, False),
    ):
        claims = claims_of(Kind.SEV_SNP, {"measurement": SNP}, extra={} if shown is None else {"vmpl": shown})
        registry = registry_of(snp(vmpl=signed))
        if accepted:
            judged(claims, monkeypatch, registry=registry)
        else:
            with pytest.raises(Refused) as caught:
                judged(claims, monkeypatch, registry=registry)
            assert caught.value.code is Code.POLICY


def test_advisories_must_be_accepted_by_the_room(monkeypatch):
    names = {"mrtd": "aa" * 48, "rtmr0": "dd" * 48, "rtmr1": "bb" * 48, "rtmr2": "cc" * 48}
    registry = registry_of(value(kind="tdx", measurements={n: [v] for n, v in names.items()}))
    claims = claims_of(
        Kind.TDX, names, tcb_status="UpToDate", advisories=("INTEL-SA-00001", "INTEL-SA-00002")
    )
    with pytest.raises(Refused, match=r"INTEL-SA-00002$") as caught:
        judged(claims, monkeypatch, registry=registry, room=room_of(advisories=["INTEL-SA-00001"]))
    assert caught.value.code is Code.TCB
    both = room_of(advisories=["INTEL-SA-00001", "INTEL-SA-00002"])
    judged(claims, monkeypatch, registry=registry, room=both)
    for wrong in ("OutOfDate", "SWHardeningNeeded", ""):
        late = claims_of(Kind.TDX, names, tcb_status=wrong)
        with pytest.raises(Refused) as caught:
            judged(late, monkeypatch, registry=registry, room=both)
        assert caught.value.code is Code.TCB


def test_what_rests_on_something_of_another_time_is_refused(monkeypatch):
    minute = timedelta(minutes=1)
    for when, code in (
        ({"not_after": NOW - minute}, Code.EXPIRED),
        ({"not_before": NOW + 2 * minute}, Code.NOT_YET),
    ):
        with pytest.raises(Refused) as caught:
            judged(claims_of(Kind.SEV_SNP, {"measurement": SNP}, **when), monkeypatch)
        assert caught.value.code is code


def test_a_verifier_that_reads_another_kind_is_not_believed(monkeypatch):
    monkeypatch.setattr(judging, "verify", lambda evidence, now: claims_of(Kind.SEV_SNP, {}))
    with pytest.raises(Refused) as caught:
        judging.judge(
            Evidence(Kind.NITRO, b""), BINDING, now=NOW, agreement=ROOM.agreement, registry=registry_of()
        )
    assert caught.value.code is Code.INTERNAL


def test_debugging_is_refused_even_where_a_verifier_let_it_pass(monkeypatch):
    with pytest.raises(Refused) as caught:
        judged(claims_of(Kind.SEV_SNP, {"measurement": SNP}, extra={"debug": True}), monkeypatch)
    assert caught.value.code is Code.DEBUG
    good = {"pcr0": "01" * 48, "pcr1": "02" * 48, "pcr2": "03" * 48}
    for name in good:
        for zero in ({name: "00" * 48}, {name: ""}):
            with pytest.raises(Refused) as caught:
                judged(claims_of(Kind.NITRO, good | zero, nonce=NONCE), monkeypatch)
            assert caught.value.code is Code.DEBUG
    judged(claims_of(Kind.NITRO, good, nonce=NONCE), monkeypatch)


def test_claims_cannot_take_the_names_of_what_was_found():
    extra = {"program": "forged", "reference.version": "9", "room.id": "forged", "vmpl": 0}
    claims = claims_of(Kind.SEV_SNP, {"measurement": SNP}, extra=extra)
    found = facts(Judged(claims, snp()), ROOM.agreement)
    assert found["program"] == PROGRAM
    assert found["reference.version"] == "1.0.0"
    assert found["room.id"] == str(ROOM.agreement.id)
    assert found["extra.program"] == "forged"
    assert found["vmpl"] == 0
    assert found["reference.signed_by.acme"] is True
    assert found["reference.signed_by.cloud"] is False
    assert (found["reference.signers"], found["reference.serial"], found["room.version"]) == (2, 1, 1)
    assert found["purpose"] == "enclave"


def test_results_are_signed_by_whoever_appraises():
    appraisal = Given().asked()
    claims = verify_ear(appraisal.ear, ROOM.agreement, NOW)
    assert claims["iss"] == "acme"
    assert KEYS["acme"].public_key() == ROOM.agreement.members[0].key
