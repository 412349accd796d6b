# SPDX-License-Identifier: Apache-2.0
"""GPUs' evidence of a hierarchy of our own: what is accepted, and what each fault is refused with."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.attestation_gpu import FIRMWARE, NONCE, OPAQUE, GpuWorld, fields
from tests.attestation_pki import NOW, ec_key, pem, rsa_key

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.verify import verify

WORLD = GpuWorld()


def code(evidence: Evidence, now: datetime = NOW) -> Code:
    with pytest.raises(Refused) as refused:
        WORLD.verify(evidence, now)
    return refused.value.code


def test_good_evidence_says_what_it_is():
    claims = WORLD.verify(WORLD.evidence())
    assert claims.kind is Kind.NVIDIA
    assert claims.report_data == NONCE
    assert claims.nonce is None
    assert claims.software_rooted is False
    assert claims.hardware_model == "GH100 A01 GSP BROM"
    assert claims.hardware_id == f"{0x1234:040x}"
    assert claims.measurements == {f"msr{i}": f"{i:02x}" * 48 for i in range(1, 65)}
    assert claims.extra == {"devices": 1, "driver_version": "535.86.09", "vbios_version": "96.00.5E.00.01"}
    assert (claims.not_before, claims.not_after) == (NOW - timedelta(days=1), NOW + timedelta(days=1))
    assert len(claims.not_checked) == 4
    assert claims.tcb_status is None


def test_versions_that_are_not_there_are_not_told():
    claims = WORLD.verify(WORLD.evidence(opaque=b""))
    assert claims.extra == {"devices": 1}
    assert WORLD.verify(WORLD.evidence(opaque=fields({6: b"1234567"}))).extra == {"devices": 1}


def test_several_devices_are_all_checked():
    content = WORLD.content()
    claims = WORLD.verify(WORLD.array(content, content))
    assert claims.measurements["gpu1.msr64"] == "40" * 48
    assert len(claims.measurements) == 128
    assert claims.extra["gpu0.driver_version"] == "535.86.09"
    assert claims.extra["devices"] == 2
    assert claims.hardware_id == f"{0x1234:040x},{0x1234:040x}"
    assert WORLD.verify(WORLD.array(content)).measurements == WORLD.verify(WORLD.evidence()).measurements
    forged = content[:-1] + bytes([content[-1] ^ 1])
    assert code(WORLD.array(content, forged)) is Code.SIGNATURE
    assert code(WORLD.array(content, WORLD.content(nonce=b"o" * 32))) is Code.NONCE_MISMATCH


def test_the_nonce_beside_it_must_be_the_one_inside():
    content = WORLD.content()
    assert WORLD.verify(WORLD.array(content, nonce=NONCE.hex().upper())).report_data == NONCE
    assert code(WORLD.array(content, nonce="00" * 32)) is Code.NONCE_MISMATCH
    assert code(WORLD.array(content, nonce="")) is Code.NONCE_MISMATCH


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"[",
        b"[1]",
        b"[{}]",
        b'[{"evidence": 1, "certificate": 2}]',
        b'[{"evidence": "!", "certificate": "!"}]',
        json.dumps([{"evidence": "", "certificate": ""}] * 17).encode(),
        b"[" * 100_000,
    ],
)
def test_json_that_is_none_is_malformed(content):
    with pytest.raises(Refused) as refused:
        verify(Evidence(Kind.NVIDIA, content), NOW)
    assert refused.value.code is Code.MALFORMED


def test_a_chain_is_needed():
    assert code(Evidence(Kind.NVIDIA, WORLD.content())) is Code.MISSING_ENDORSEMENT
    assert code(Evidence(Kind.NVIDIA, WORLD.content(), {"chain": b"x"})) is Code.MALFORMED


def test_every_byte_that_is_signed_counts():
    content = WORLD.content()
    chain = {"chain": WORLD.chain()}
    for at in range(0, len(content), 37):
        flipped = content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]
        assert code(Evidence(Kind.NVIDIA, flipped, chain)) in {
            Code.SIGNATURE,
            Code.MALFORMED,
            Code.UNSUPPORTED,
        }


def test_another_gpu_is_refused():
    assert code(WORLD.evidence(key=ec_key("other"))) is Code.SIGNATURE
    assert code(WORLD.evidence(leaf=WORLD.leaf(key=ec_key("other")))) is Code.SIGNATURE


@pytest.mark.parametrize("later", [False, True], ids=["Hopper", "Blackwell"])
def test_the_firmware_must_be_that_of_the_certificate(later):
    leaf = WORLD.leaf(later=later)
    same, other = (fields(OPAQUE | {20: digest}) for digest in (FIRMWARE, b"g" * 48))
    assert WORLD.verify(WORLD.evidence(leaf=leaf, opaque=same)).kind is Kind.NVIDIA
    assert code(WORLD.evidence(leaf=leaf, opaque=other)) is Code.HARDWARE_MISMATCH
    assert code(WORLD.evidence(leaf=WORLD.leaf(firmware=None), opaque=same)) is Code.HARDWARE_MISMATCH


def test_a_key_of_another_kind_is_not_supported():
    assert code(WORLD.evidence(leaf=WORLD.leaf(key=rsa_key("gpu")))) is Code.UNSUPPORTED
    p256 = ec.generate_private_key(ec.SECP256R1())
    assert code(WORLD.evidence(leaf=WORLD.leaf(key=p256))) is Code.UNSUPPORTED


def test_a_chain_of_somebody_else_is_refused():
    other = GpuWorld("theirs")
    assert code(other.evidence()) is Code.UNTRUSTED_ROOT
    with pytest.raises(Refused) as refused:
        verify(WORLD.evidence(), NOW)  # the real entrance: only NVIDIA's root
    assert refused.value.code is Code.UNTRUSTED_ROOT
    own_root = pem(WORLD.leaf().der, WORLD.root.der)  # its issuers are left out
    assert code(Evidence(Kind.NVIDIA, WORLD.content(), {"chain": own_root})) is Code.CHAIN


def test_an_authority_signs_no_measurements():
    """Whoever holds an intermediate key must not speak as a GPU."""
    boot = ec_key("ours-GH100 A01 GSP BROM")
    chain = pem(*(m.der for m in reversed(WORLD.middle)), WORLD.root.der)
    evidence = Evidence(Kind.NVIDIA, WORLD.content(key=boot), {"chain": chain})
    assert code(evidence) is Code.CHAIN


def test_a_chain_has_its_time():
    assert code(WORLD.evidence(), NOW + timedelta(days=2)) is Code.EXPIRED
    assert code(WORLD.evidence(), NOW - timedelta(days=2)) is Code.NOT_YET
