# SPDX-License-Identifier: Apache-2.0
"""Quotes of a TPM: what is said of good ones, and what is refused, each for its own reason."""

from __future__ import annotations

import hashlib
import json
import struct
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from tests.attestation_pki import NOW, Issued, crl, issue, name_of, needs_vectors, spki, vector
from tests.attestation_tpm import (
    EXTRA,
    QUOTED,
    Maker,
    PaperTpm,
    ak_pem,
    ec_key,
    ek_public,
    flipped,
    public_area,
    rsa_key,
)

from hitoku.attestation.certificates import certificate
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.tpm2.pcrs import Event
from hitoku.attestation.tpm2.structures import Public
from hitoku.attestation.tpm2.wire import sized, u8, u16, u32
from hitoku.attestation.verify import verify

EK = rsa_key("ek")
MAKER = Maker()


def refused(evidence: Evidence, now=NOW) -> Code:
    with pytest.raises(Refused) as caught:
        verify(evidence, now)
    return caught.value.code


def logged(*events: Event) -> bytes:
    return json.dumps([event.to_dict() for event in events]).encode()


def of_log(*events: Event) -> PaperTpm:
    """A TPM whose PCR 12 holds what these events lead to."""
    value = bytes(32)
    for event in events:
        value = hashlib.sha256(value + event.digest).digest()
    tpm = PaperTpm()
    tpm.values[12] = value
    return tpm


@pytest.mark.parametrize(
    "key", [ec_key("ak"), ec_key("ak", "secp384r1"), rsa_key("ak")], ids=["p256", "p384", "rsa"]
)
def test_a_quote_is_read_into_claims(key):
    tpm = PaperTpm(key)
    curve = 4 if not isinstance(key, rsa.RSAPrivateKey) and key.curve.key_size == 384 else 3
    ak = public_area(key, curve=curve)
    claims = verify(tpm.evidence(ak=ak), NOW)
    assert claims.kind is Kind.TPM
    assert claims.measurements == {f"pcr{n}": (bytes([n]) * 32).hex() for n in QUOTED}
    assert claims.report_data == EXTRA
    assert claims.software_rooted
    assert claims.nonce is None
    assert claims.extra["ak_name"] == Public.parse(ak).name.hex()
    facts = {"clock": 1234, "reset_count": 2, "restart_count": 0, "firmware": "2019102300163636"}
    assert facts.items() <= claims.extra.items()
    assert claims.hardware_id is None
    assert "ek_root" not in claims.extra


def test_a_bare_key_has_no_name_and_that_is_said():
    tpm = PaperTpm()
    claims = verify(tpm.evidence(ak=ak_pem(tpm.key.public_key())), NOW)
    assert "ak_name" not in claims.extra
    assert any("public area is not there" in sentence for sentence in claims.not_checked)


@pytest.mark.parametrize("name", ["signature", "ak", "pcrs"])
def test_nothing_is_checked_without_what_it_needs(name):
    assert refused(PaperTpm().evidence(**{name: None})) is Code.MISSING_ENDORSEMENT


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"magic": b"\xff\x54\x43\x46"}, Code.MALFORMED),
        ({"type": b"\x80\x17"}, Code.UNSUPPORTED),  # a certification
        ({"safe": b"\x00"}, Code.POLICY),
        ({"safe": b"\x02"}, Code.MALFORMED),
        ({"clock": struct.pack(">Q", 1 << 53)}, Code.POLICY),
        ({"tail": b"\x00"}, Code.MALFORMED),
        ({"extra": sized(bytes(65))}, Code.MALFORMED),
        ({"digest": sized(bytes(32))}, Code.SIGNATURE),
        ({"digest": sized(b"")}, Code.SIGNATURE),
        ({"selection": u32(0)}, Code.UNSUPPORTED),
        ({"selection": u32(2) + (u16(0x0B) + u8(3) + b"\xff\x10\x00") * 2}, Code.UNSUPPORTED),
        ({"selection": u32(1) + u16(0x04) + u8(3) + b"\xff\x10\x00"}, Code.UNSUPPORTED),  # SHA-1
        ({"selection": u32(1) + u16(0x0C) + u8(3) + b"\xff\x10\x00"}, Code.UNSUPPORTED),  # SHA-384
        ({"selection": u32(1) + u16(0x0B) + u8(2) + b"\xff\x10"}, Code.MALFORMED),
        ({"selection": u32(1) + u16(0x0B) + u8(4) + b"\xff\x10\x00\x00"}, Code.MALFORMED),
    ],
)
def test_a_signed_quote_that_is_not_in_order_is_refused(patch, code):
    assert refused(PaperTpm(patches=patch).evidence()) is code


@pytest.mark.parametrize("left_out", range(8))
def test_a_quote_without_the_whole_boot_chain_is_refused(left_out):
    tpm = PaperTpm()
    del tpm.values[left_out]
    assert refused(tpm.evidence()) is Code.POLICY


def test_a_quote_without_pcr_12_has_no_such_measurement():
    tpm = PaperTpm(values={n: bytes(32) for n in range(8)})
    assert "pcr12" not in verify(tpm.evidence(), NOW).measurements


def test_pcrs_that_can_be_reset_are_no_measurements():
    tpm = PaperTpm(values={n: bytes([n]) * 32 for n in range(24)})
    claims = verify(tpm.evidence(), NOW)
    assert set(claims.measurements) == {f"pcr{n}" for n in range(16)}
    assert claims.extra["pcr23"] == "17" * 32
    assert claims.flat()["pcr16"] == "10" * 32


def test_a_value_beside_the_quote_that_it_does_not_sign_is_refused():
    tpm = PaperTpm()
    told = {str(n): value.hex() for n, value in tpm.values.items()}
    assert refused(tpm.evidence(pcrs=json.dumps(told | {"12": "00" * 32}).encode())) is Code.SIGNATURE
    swapped = told | {"0": told["1"], "1": told["0"]}
    assert refused(tpm.evidence(pcrs=json.dumps(swapped).encode())) is Code.SIGNATURE
    del told["12"]
    assert refused(tpm.evidence(pcrs=json.dumps(told).encode())) is Code.MISSING_ENDORSEMENT


def test_a_value_that_is_not_quoted_is_dropped():
    tpm = PaperTpm()
    told = {str(n): value.hex() for n, value in tpm.values.items()} | {"13": "ab" * 32}
    assert "pcr13" not in verify(tpm.evidence(pcrs=json.dumps(told).encode()), NOW).measurements


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        (0x00050070, "not fixedTPM: it may be copied out"),
        (0x00050052, "not made by the TPM"),
        (0x00040072, "not restricted: it signs what looks like a quote"),
        (0x00070072, "decrypts, too"),
        (0x00010072, "does not sign"),
    ],
)
def test_a_key_that_may_sign_anything_is_no_attestation_key(attributes, why):
    tpm = PaperTpm()
    assert refused(tpm.evidence(ak=public_area(tpm.key, attributes=attributes))) is Code.POLICY, why


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"scheme": 0x0010}, Code.POLICY),  # none: the caller would choose
        ({"hashed": 0x0004}, Code.POLICY),  # SHA-1
        ({"scheme": 0x001C}, Code.POLICY),  # ECSCHNORR
        ({"name_alg": 0x0004}, Code.UNSUPPORTED),
        ({"curve": 1}, Code.UNSUPPORTED),
        ({"curve": 4}, Code.MALFORMED),  # a point of P-256 is none of P-384
        ({"tail": b"\x00"}, Code.MALFORMED),
    ],
)
def test_a_public_area_of_another_form_is_refused(changes, code):
    tpm = PaperTpm()
    assert refused(tpm.evidence(ak=public_area(tpm.key, **changes))) is code


def test_keys_and_signatures_of_other_kinds_are_refused():
    one, other = PaperTpm(ec_key("ak")), PaperTpm(rsa_key("ak"))
    assert refused(one.evidence(ak=public_area(other.key))) is Code.SIGNATURE
    assert refused(other.evidence(ak=public_area(one.key))) is Code.SIGNATURE
    assert refused(one.evidence(ak=public_area(ec_key("another")))) is Code.SIGNATURE
    small = rsa.generate_private_key(65537, 1024)
    assert refused(PaperTpm(small).evidence()) is Code.UNSUPPORTED
    assert (
        refused(one.evidence(ak=b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"))
        is Code.MALFORMED
    )


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        (u16(0x16) + u16(0x0B) + sized(bytes(256)), Code.UNSUPPORTED),  # RSAPSS
        (u16(0x05) + u16(0x0B) + bytes(32), Code.UNSUPPORTED),  # HMAC
        (u16(0x10), Code.UNSUPPORTED),  # none
        (u16(0x18) + u16(0x04) + sized(b"\1") * 2, Code.UNSUPPORTED),  # SHA-1
        (u16(0x18) + u16(0x0B) + sized(b"\1"), Code.MALFORMED),
        (u16(0x18) + u16(0x0B) + sized(b"\1") * 2 + b"\0", Code.MALFORMED),
        (u16(0x18) + u16(0x0B) + sized(b"") * 2, Code.SIGNATURE),
        (u16(0x18) + u16(0x0B) + sized(b"\1") * 2, Code.SIGNATURE),
        (b"", Code.MALFORMED),
    ],
)
def test_signatures_of_another_form_are_refused(signature, code):
    assert refused(PaperTpm().evidence(signature=signature)) is code


def test_every_byte_of_quote_key_and_signature_counts():
    tpm = PaperTpm()
    good = tpm.evidence()
    for changed in flipped(good.content, range(len(good.content))):
        refused(Evidence(Kind.TPM, changed, good.endorsements))
    for name in ("signature", "pcrs"):
        content = good.endorsements[name]
        for changed in flipped(content, range(len(content))):
            refused(Evidence(Kind.TPM, good.content, {**good.endorsements, name: changed}))


# --- the log ---


def test_a_log_that_leads_to_the_program_is_told():
    events = (Event(12, b"\1" * 32, "shim"), Event(12, b"\2" * 32, "program"))
    claims = verify(of_log(*events).evidence(log=logged(*events)), NOW)
    assert claims.extra["event_log"] == tuple(event.to_dict() for event in events)


def test_a_log_that_does_not_lead_there_is_refused():
    first, second = Event(12, b"\1" * 32), Event(12, b"\2" * 32)
    tpm = of_log(first, second)
    for wrong in ((first,), (second, first), (first, second, second)):
        assert refused(tpm.evidence(log=logged(*wrong))) is Code.MEASUREMENT_MISMATCH
    assert refused(tpm.evidence(log=logged(first, second, Event(14, bytes(32))))) is Code.POLICY


# --- the endorsement key ---


def endorsed(ek: bytes, chain: bytes | None = None, **more: bytes) -> Evidence:
    return PaperTpm().evidence(ek=ek, ek_chain=chain, **more)


def test_an_endorsement_key_names_the_hardware_with_or_without_a_certificate():
    expected = hashlib.sha256(spki(EK)).hexdigest()
    maker = Maker()
    alone = verify(endorsed(ek_public(EK)), NOW)
    whole = verify(endorsed(maker.certify(EK).der, maker.chain), NOW)
    assert alone.hardware_id == whole.hardware_id == expected
    assert "ek_root" not in alone.extra
    assert whole.extra["ek_root"] == maker.root.fingerprint
    assert whole.hardware_model == "id:54455354 paper id:00010002"
    assert whole.not_before == NOW - timedelta(days=1)
    assert whole.not_after == NOW + timedelta(days=1)
    assert whole.software_rooted  # who trusts that root is for the appraisal to say


def test_a_certificate_without_its_issuer_has_no_root():
    claims = verify(endorsed(Maker().certify(EK).der), NOW)
    assert "ek_root" not in claims.extra
    assert claims.hardware_model is None
    other = verify(endorsed(Maker().certify(EK).der, Maker("another").chain), NOW)
    assert "ek_root" not in other.extra


def test_what_the_chain_does_not_hold_is_refused():
    maker, early, late = Maker(), NOW - timedelta(days=2), NOW + timedelta(days=2)
    good = maker.certify(EK).der
    assert refused(endorsed(good, maker.chain), early) is Code.NOT_YET
    assert refused(endorsed(good, maker.chain), late) is Code.EXPIRED
    assert refused(endorsed(maker.certify(EK, purpose="1.2.3.4").der, maker.chain)) is Code.CHAIN
    assert refused(endorsed(maker.certify(EK, bits=("digital_signature",)).der, maker.chain)) is Code.CHAIN
    # An authority of the same name, and another key: what anybody can write.
    impostor = Issued(ec_key("impostor", "secp384r1"), maker.middle.name, b"")
    forged = issue(EK, name_of("unknown"), impostor, authority=False, bits=("key_encipherment",))
    assert refused(endorsed(forged.der, maker.chain)) is Code.CHAIN


def test_a_revoked_endorsement_key_is_refused():
    maker = Maker()
    ek = maker.certify(EK, serial=77).der
    assert refused(endorsed(ek, maker.chain, crl=crl(maker.middle, (77,)))) is Code.REVOKED
    assert "ek_root" in verify(endorsed(ek, maker.chain, crl=crl(maker.middle, (78,))), NOW).extra


def test_endorsement_keys_of_other_templates_are_refused():
    large = rsa.generate_private_key(65537, 3072)
    assert refused(endorsed(Maker().certify(large).der)) is Code.UNSUPPORTED
    assert refused(endorsed(issue(ec_key("x", "secp384r1"), name_of("x")).der)) is Code.UNSUPPORTED
    public = bytearray(ek_public(EK))
    public[9] ^= 0x04  # attributes
    assert refused(endorsed(bytes(public))) is Code.UNSUPPORTED
    assert refused(endorsed(public_area(rsa_key("ak")))) is Code.UNSUPPORTED


# --- the recorded quote of swtpm ---


@needs_vectors
def test_the_recorded_quote_verifies():

    def read(name: str) -> bytes:
        return vector(f"tpm-swtpm/{name}")

    chain = read("issuercert.pem") + read("swtpm-localca-rootca-cert.pem")
    beside = {"signature": read("quote.sig"), "ak": read("ak.pub"), "pcrs": read("quote.pcrs")}
    beside |= {"ek": read("ek.der"), "ek-chain": chain}
    claims = verify(Evidence(Kind.TPM, read("quote.msg"), beside), NOW)
    assert claims.report_data.hex() == "0011223344556677"
    image = hashlib.sha256(bytes(32) + hashlib.sha256(read("image.bin")).digest()).hexdigest()
    assert claims.extra["pcr23"] == image
    assert "pcr23" not in claims.measurements
    root = certificate(read("swtpm-localca-rootca-cert.pem"))
    assert claims.extra["ek_root"] == root.fingerprint
    for changed in flipped(read("quote.msg"), range(len(read("quote.msg")))):
        refused(Evidence(Kind.TPM, changed, beside))


# --- anything else ---


@given(
    st.binary(max_size=300), st.sampled_from(["content", "signature", "ak", "pcrs", "log", "ek", "ek-chain"])
)
def test_no_bytes_crash_the_verifier(noise, where):
    good = PaperTpm().evidence()
    if where == "content":
        evidence = Evidence(Kind.TPM, noise, good.endorsements)
    else:
        evidence = Evidence(Kind.TPM, good.content, {**good.endorsements, where: noise})
    try:
        verify(evidence, NOW)
    except Refused as error:
        assert error.code is not Code.INTERNAL  # noqa: PT017 (it may also be accepted)
    else:
        assert where in {
            "ek-chain",
            "log",
        }  # without `ek` its chain is not read; an empty log explains nothing


@given(st.data())
def test_no_mutation_of_one_field_is_an_internal_error(data):
    good = WHOLE
    name = data.draw(st.sampled_from(["", *sorted(good.endorsements)]))
    content = bytearray(good.endorsements[name] if name else good.content)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1)) if content else 0
        if data.draw(st.booleans()):
            content[place : place + 1] = data.draw(st.binary(max_size=3))
        elif content:
            content[place] = data.draw(st.integers(0, 255))
    changed = {**good.endorsements, name: bytes(content)} if name else good.endorsements
    try:
        verify(Evidence(Kind.TPM, bytes(content) if not name else good.content, changed), NOW)
    except Refused as error:
        assert error.code is not Code.INTERNAL  # noqa: PT017 (it may also be accepted)


WHOLE = PaperTpm().evidence(ek=MAKER.certify(EK).der, ek_chain=MAKER.chain, log=logged())
