# SPDX-License-Identifier: Apache-2.0
"""When a TPM counts as hardware, and what is said where it does not."""

from __future__ import annotations

import base64
import hashlib
import itertools
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from tests.appraisals import BINDING, KEYS, binding_of, registry_of, room_of, value
from tests.appraisals import PROGRAM as WORKER
from tests.attestation_pki import NOW
from tests.attestation_tpm import need_swtpm

from hitoku.attestation import appraise as appraising
from hitoku.attestation import judge as judging
from hitoku.attestation.appraiser import Appraiser
from hitoku.attestation.attest.dev import DevAttester
from hitoku.attestation.attest.tpm import TpmAttester, extend_program
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.ear import verify_ear
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.policy import Policy
from hitoku.attestation.program import event_digest, pcr_of
from hitoku.attestation.swtpm import SwTpm
from hitoku.room.attestation import Authority

CHAIN = ("pcr0", "pcr2", "pcr4", "pcr7", "pcr8", "pcr9")
BOOT = {name: [name.encode().hex().ljust(64, "1")] for name in CHAIN}
PROGRAM = {"pcr12": [pcr_of(WORKER)]}
MEASURED = {name: values[0] for name, values in (BOOT | PROGRAM).items()}


@cache
def certificate(name: str) -> str:
    key = ec.derive_private_key(sum(name.encode()) + 7, ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(Encoding.DER)).decode()


def authority(name: str, *, software: bool) -> dict[str, object]:
    return {"certificate": certificate(name), "software": software}


def root_of(name: str) -> str:
    found = Authority(certificate=certificate(name), software=True).fingerprint
    assert found is not None
    return found


def ask(monkeypatch, *, root=None, activated=False, boot=True, hardware_id=None, lacking="", **attestation):
    extra = {"ak_name": "000b" + "ab" * 32} | ({} if root is None else {"ek_root": root_of(root)})
    extra.pop(lacking, None)
    claims = Claims(
        kind=Kind.TPM,
        measurements=MEASURED,
        report_data=BINDING.report_data(Kind.TPM),
        software_rooted=True,
        hardware_id=hardware_id,
        extra=extra,
    )
    monkeypatch.setattr(judging, "verify", lambda evidence, now: claims)
    return appraising.appraise(
        Evidence(Kind.TPM, b""),
        BINDING,
        now=NOW,
        room=room_of(**attestation),
        registry=registry_of(value(kind="tpm", measurements=(BOOT if boot else {}) | PROGRAM)),
        policy=Policy(),
        keys=KEYS["acme"],
        activated=activated,
    )


def refusal(monkeypatch, **how) -> Code:
    with pytest.raises(Refused) as caught:
        ask(monkeypatch, **how)
    return caught.value.code


MAKER, SWTPM = authority("maker", software=False), authority("swtpm", software=True)


def test_an_appraiser_takes_nothing_as_activated_by_itself(monkeypatch, make, clock):
    place = make(lambda data: data.update(attestation={"accept": ["tpm"], "authorities": [MAKER]}))
    claims = Claims(
        kind=Kind.TPM,
        measurements=MEASURED,
        report_data=BINDING.report_data(Kind.TPM),
        software_rooted=True,
        extra={"ak_name": "000b" + "ab" * 32, "ek_root": root_of("maker")},
    )
    monkeypatch.setattr(judging, "verify", lambda evidence, now: claims)
    directory = place.members["airport"]
    records = directory.records(str(place.agreement.id), clock)
    appraiser = Appraiser(directory, lambda: place.room, records, directory.keys({}), clock)
    for how, words in (((), "a credential must be activated"), ((True,), "no program that the members")):
        with pytest.raises(Refused, match=words):
            appraiser.appraise(Evidence(Kind.TPM, b""), BINDING, *how)
    records.store.close()


def test_hardware_needs_root_and_credential_and_boot_chain_all_three(monkeypatch):
    for root, activated, boot in itertools.product(("maker", None), (True, False), (True, False)):
        how = {"root": root, "activated": activated, "boot": boot, "authorities": [MAKER]}
        if root and activated and boot:
            assert not ask(monkeypatch, **how).software_rooted
        else:
            assert refusal(monkeypatch, **how) in {Code.SOFTWARE_ROOTED, Code.UNTRUSTED_ROOT}, how


def test_codes_of_what_is_lacking(monkeypatch):
    known = {"root": "maker", "activated": True, "authorities": [MAKER]}
    assert refusal(monkeypatch, **known | {"boot": False}) is Code.SOFTWARE_ROOTED
    assert refusal(monkeypatch, **known | {"activated": False}) is Code.UNTRUSTED_ROOT
    assert refusal(monkeypatch, **known | {"root": "other"}) is Code.SOFTWARE_ROOTED
    assert refusal(monkeypatch, **known | {"root": None}) is Code.SOFTWARE_ROOTED
    assert refusal(monkeypatch) is Code.SOFTWARE_ROOTED


def test_software_passes_where_the_room_says_so_and_is_stamped(monkeypatch):
    appraisal = ask(monkeypatch, software=True, boot=False)
    assert appraisal.software_rooted
    claims = verify_ear(appraisal.ear, room_of(software=True).agreement, NOW)
    (submod,) = claims["submods"].values()
    assert submod["ear.status"] == "contraindicated"
    assert submod["ear.trustworthiness-vector"]["hardware"] == 97
    assert submod["ear.trustworthiness-vector"]["executables"] == 33
    assert submod["ear.trustworthiness-vector"]["runtime-opaque"] == 96
    assert submod["hitoku"]["software_rooted"] is True


def test_a_key_that_is_not_shown_to_be_a_tpms_attests_nothing(monkeypatch):
    assert refusal(monkeypatch, software=True, lacking="ak_name") is Code.UNTRUSTED_ROOT
    known = {"root": "maker", "activated": True, "authorities": [MAKER]}
    assert refusal(monkeypatch, lacking="ak_name", **known) is Code.UNTRUSTED_ROOT


def test_a_software_authority_never_makes_hardware(monkeypatch):
    how = {"root": "swtpm", "activated": True, "authorities": [SWTPM, MAKER]}
    assert refusal(monkeypatch, **how) is Code.SOFTWARE_ROOTED
    assert ask(monkeypatch, software=True, **how).software_rooted


def test_where_authorities_are_named_no_other_tpm_passes(monkeypatch):
    how = {"software": True, "authorities": [SWTPM]}
    assert refusal(monkeypatch, **how) is Code.UNTRUSTED_ROOT
    assert refusal(monkeypatch, root="other", activated=True, **how) is Code.UNTRUSTED_ROOT
    # The certificate of an endorsement key is public: beside another's key it says nothing.
    assert refusal(monkeypatch, root="swtpm", activated=False, **how) is Code.UNTRUSTED_ROOT
    assert ask(monkeypatch, root="swtpm", activated=True, **how).software_rooted


def test_hardware_without_what_it_booted_is_software_in_a_room_that_accepts_that(monkeypatch):
    how = {"root": "maker", "activated": True, "authorities": [MAKER], "software": True}
    assert ask(monkeypatch, boot=False, **how).software_rooted
    assert not ask(monkeypatch, boot=True, **how).software_rooted


def test_a_tpm_is_on_the_hardware_list_only_by_a_credential(monkeypatch):
    how = {"software": True, "hardware": ["ab" * 32], "hardware_id": "ab" * 32}
    assert refusal(monkeypatch, activated=False, **how) is Code.HARDWARE_NOT_ALLOWED
    assert ask(monkeypatch, activated=True, **how).software_rooted
    assert refusal(monkeypatch, activated=True, **how | {"hardware_id": None}) is Code.HARDWARE_NOT_ALLOWED


DEVELOPER = Ed25519PrivateKey.from_private_bytes(b"d" * 32)


class Standing:
    def now(self):
        return NOW

    def sleep(self, seconds):
        raise AssertionError


def dev(key: Ed25519PrivateKey, program: str = WORKER, **attestation):
    evidence = DevAttester(key, program, Standing()).attest(BINDING)
    return judging.judge(
        evidence,
        BINDING,
        now=NOW,
        agreement=room_of(**attestation).agreement,
        registry=registry_of(value(kind="dev", measurements={"program": [WORKER]})),
    )


def test_dev_evidence_needs_a_room_for_software_and_a_named_key_where_keys_are_named():
    known = DevAttester(DEVELOPER, "ef" * 48).public_key
    named: dict[str, Any] = {"authorities": [{"key": known, "software": True}]}
    stranger = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
    assert dev(DEVELOPER, software=True, **named).claims.software_rooted
    assert dev(stranger, software=True).claims.software_rooted
    cases: tuple[tuple[Ed25519PrivateKey, str, dict[str, Any], Code], ...] = (
        (stranger, WORKER, {"software": True, **named}, Code.UNTRUSTED_ROOT),
        (DEVELOPER, WORKER, named, Code.SOFTWARE_ROOTED),
        (DEVELOPER, "e0" * 48, {"software": True, **named}, Code.MEASUREMENT_MISMATCH),
    )
    for key, program, how, code in cases:
        with pytest.raises(Refused) as caught:
            dev(key, program, **how)
        assert caught.value.code is code


def test_a_software_tpm_from_end_to_end():
    """Real commands, a real quote, the real verifier: the program in PCR 12, or another, or none."""
    need_swtpm()
    program = hashlib.sha384(b"the worker").hexdigest()
    room = room_of(software=True).agreement
    registry = registry_of(
        value(kind="tpm", program=program, measurements={"pcr12": [pcr_of(program)]}),
    )

    def judge(evidence):
        return judging.judge(evidence, BINDING, now=datetime.now(UTC), agreement=room, registry=registry)

    with SwTpm(certificate=False) as machine, machine.connect() as device, TpmAttester(device) as attester:
        with pytest.raises(Refused) as caught:
            judge(attester.attest(BINDING))  # nothing was launched
        assert caught.value.code is Code.MEASUREMENT_MISMATCH
        extend_program(device, event_digest(program))
        found = judge(attester.attest(BINDING))
        assert found.reference.program == program
        assert found.claims.software_rooted
        with pytest.raises(Refused) as caught:
            judge(attester.attest(binding_of(b"another room")))
        assert caught.value.code is Code.BINDING
        extend_program(device, event_digest(program))  # launched twice is another state
        with pytest.raises(Refused) as caught:
            judge(attester.attest(BINDING))
        assert caught.value.code is Code.MEASUREMENT_MISMATCH


def test_nothing_counts_as_activated_unless_that_is_said(monkeypatch):
    claims = Claims(
        kind=Kind.TPM,
        measurements=MEASURED,
        report_data=BINDING.report_data(Kind.TPM),
        software_rooted=True,
        extra={"ak_name": "000b" + "ab" * 32, "ek_root": root_of("maker")},
    )
    monkeypatch.setattr(judging, "verify", lambda evidence, now: claims)
    with pytest.raises(Refused, match="a credential must be activated") as caught:
        judging.judge(
            Evidence(Kind.TPM, b""),
            BINDING,
            now=NOW,
            agreement=room_of(authorities=[MAKER]).agreement,
            registry=registry_of(value(kind="tpm", measurements=BOOT | PROGRAM)),
        )
    assert caught.value.code is Code.UNTRUSTED_ROOT


def test_the_refusal_of_software_says_what_is_lacking(monkeypatch):
    with pytest.raises(Refused, match="no authority that the room names as hardware vouches for this TPM"):
        ask(monkeypatch)
    with pytest.raises(Refused, match="does not name what the machine booted"):
        ask(monkeypatch, root="maker", activated=True, boot=False, authorities=[MAKER])
    other = Claims(Kind.SEV_SNP, {"measurement": "ab" * 48}, BINDING.digest, software_rooted=True)
    monkeypatch.setattr(judging, "verify", lambda evidence, now: other)
    with pytest.raises(Refused, match="no hardware vouches for the evidence"):
        judging.judge(
            Evidence(Kind.SEV_SNP, b""),
            BINDING,
            now=NOW,
            agreement=room_of().agreement,
            registry=registry_of(),
        )
