# SPDX-License-Identifier: Apache-2.0
"""Nitro's documents: the vendors' own, and ones of every other content under a hierarchy of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pytest
from cryptography import x509 as reference
from cryptography.hazmat.primitives.asymmetric import ec
from tests.attestation_pki import (
    AMAZON,
    NOW,
    NitroWorld,
    ec_key,
    issue,
    name_of,
    needs_vectors,
    pem,
    spki,
    vector,
)

from hitoku.attestation.binding import Binding
from hitoku.attestation.certificates import certificate
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.verify import nitro, verify

WORLD = NitroWorld()


def check(content: bytes, now: datetime = NOW, **endorsements: bytes) -> Claims:
    """Through the front door, with our root taken for AWS's."""
    with WORLD.trusted():
        return verify(Evidence(Kind.NITRO, content, endorsements), now)


def refused(content: bytes, now: datetime = NOW, **endorsements: bytes) -> tuple[Code, str]:
    with pytest.raises(Refused) as caught:
        check(content, now, **endorsements)
    return caught.value.code, caught.value.detail


# --- the vendors' ---


@needs_vectors
@pytest.mark.parametrize(
    ("name", "start", "end", "pcr0", "instance"),
    [
        (
            "evervault-valid-doc",
            "2022-10-13T08:57:59",
            "2022-10-13T11:58:02",
            "f4d48b81",
            "i-020b6af9246d90e92",
        ),
        ("veracruz-doc", "2022-11-09T22:51:57", "2022-11-10T01:52:00", "22f9e1c9", "i-04fd167167daacf3b"),
    ],
)
def test_real_documents_hold_inside_their_window(
    name: str, start: str, end: str, pcr0: str, instance: str
) -> None:
    window = tuple(datetime.fromisoformat(t).replace(tzinfo=UTC) for t in (start, end))
    evidence = Evidence(Kind.NITRO, vector(f"nitro/{name}.cbor"))
    for now in window:
        claims = verify(evidence, now)
        assert (claims.not_before, claims.not_after) == window
        assert claims.measurements["pcr0"].startswith(pcr0)
        assert len(claims.measurements) == 16
        assert claims.hardware_id == instance
        assert not claims.software_rooted
    for now, code in (
        (window[0] - timedelta(seconds=1), Code.NOT_YET),
        (window[1] + timedelta(seconds=1), Code.EXPIRED),
    ):
        with pytest.raises(Refused) as caught:
            verify(evidence, now)
        assert caught.value.code is code


@needs_vectors
def test_real_documents_carry_what_they_carry() -> None:
    claims = verify(Evidence(Kind.NITRO, vector("nitro/evervault-valid-doc.cbor")), at("2022-10-13T09:00:00"))
    assert claims.nonce is not None
    assert len(claims.nonce) == 256
    assert claims.report_data == b""
    assert claims.public_key is None
    assert claims.made_at == datetime(2022, 10, 13, 8, 58, 2, 136000, tzinfo=UTC)
    claims = verify(Evidence(Kind.NITRO, vector("nitro/veracruz-doc.cbor")), at("2022-11-09T23:00:00"))
    assert claims.nonce is not None
    assert (len(claims.nonce), len(claims.report_data)) == (32, 32)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@needs_vectors
@pytest.mark.parametrize(
    ("name", "now", "code"),
    [
        ("evervault-debug-mode-doc", "2022-10-12T14:00:00", Code.DEBUG),
        ("evervault-debug-mode-doc", "2022-10-12T17:00:00", Code.EXPIRED),
        ("veracruz-doc-bad-sig", "2022-11-09T23:00:00", Code.SIGNATURE),
        ("veracruz-doc", "2026-11-22T00:00:00", Code.EXPIRED),
    ],
)
def test_real_documents_that_must_be_refused(name: str, now: str, code: Code) -> None:
    with pytest.raises(Refused) as caught:
        verify(Evidence(Kind.NITRO, vector(f"nitro/{name}.cbor")), at(now))
    assert caught.value.code is code


# --- ours ---


def test_claims() -> None:
    claims = check(WORLD.document(public_key=b"key", user_data=b"u" * 64, nonce=b"n" * 32))
    assert claims.kind is Kind.NITRO
    assert claims.measurements["pcr0"] == "01" * 48
    assert claims.measurements["pcr2"] == "03" * 48
    assert (claims.report_data, claims.nonce, claims.public_key) == (b"u" * 64, b"n" * 32, b"key")
    assert claims.hardware_model == "AWS Nitro Enclave"
    assert claims.hardware_id == "i-0123456789abcdef0"
    assert claims.made_at == NOW
    assert claims.extra["module_id"] == "i-0123456789abcdef0-enc0123456789abcdef"
    assert claims.tcb_status is None
    assert len(claims.not_checked) == 1
    assert (claims.not_before, claims.not_after) == (NOW - timedelta(hours=1), NOW + timedelta(hours=2))


def test_it_answers_the_binding() -> None:
    binding = Binding(b"n" * 32, b"d" * 64)
    binding.check(check(WORLD.document(nonce=binding.nonce, user_data=binding.report_data(Kind.NITRO))))


@pytest.mark.parametrize("absent", [None, ...])
def test_null_and_absence_are_the_same(absent: object) -> None:
    claims = check(WORLD.document(public_key=absent, user_data=absent, nonce=absent))
    assert (claims.public_key, claims.report_data, claims.nonce) == (None, b"", None)


def test_the_tag_may_stand_and_no_other() -> None:
    document = WORLD.document()
    assert check(b"\xd2" + document)
    assert refused(b"\xd1" + document)[0] is Code.MALFORMED
    assert refused(b"\xd2\xd2" + document)[0] is Code.MALFORMED


@pytest.mark.parametrize(
    "changes",
    [
        {"module_id": ""},
        {"module_id": "i" * 257},
        {"module_id": b"i-0"},
        {"module_id": None},
        {"digest": "SHA256"},
        {"digest": None},
        {"timestamp": 0},
        {"timestamp": -1},
        {"timestamp": True},
        {"timestamp": 1 << 47},
        {"timestamp": None},
        {"timestamp": "now"},
        {"pcrs": {}},
        {"pcrs": {i: bytes(48) for i in range(33)}},
        {"pcrs": {0: b"1" * 47}},
        {"pcrs": {0: "1" * 48}},
        {"pcrs": {32: b"1" * 48}},
        {"pcrs": {-1: b"1" * 48}},
        {"pcrs": {"0": b"1" * 48}},
        {"pcrs": [b"1" * 48]},
        {"pcrs": None},
        {"certificate": b""},
        {"certificate": b"\x30" * 1025},
        {"certificate": None},
        {"cabundle": []},
        {"cabundle": None},
        {"cabundle": [b"\x30"] * 16},
        {"cabundle": [b""]},
        {"cabundle": ["text"]},
        {"cabundle": [b"\x30" * 1025]},
        {"public_key": b""},
        {"public_key": b"k" * 1025},
        {"public_key": "text"},
        {"user_data": b"u" * 1025},
        {"user_data": 5},
        {"nonce": b"n" * 1025},
        {"nonce": []},
        {"more": 1},
        *({name: ...} for name in ("module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle")),
    ],
    ids=str,
)
def test_fields_out_of_their_form_are_malformed(changes: dict[str, Any]) -> None:
    assert refused(WORLD.document(**changes))[0] is Code.MALFORMED


def test_fields_at_their_bounds_are_taken() -> None:
    claims = check(WORLD.document(public_key=b"k" * 1024, user_data=b"u" * 1024, nonce=b"n" * 1024))
    assert len(claims.report_data) == 1024
    assert check(WORLD.document(user_data=b"", nonce=b"")).nonce == b""
    sizes = {i: b"\x01" * (32, 48, 64)[i % 3] for i in range(32)}
    claims = check(WORLD.document(pcrs=dict(reversed(sizes.items()))))
    assert list(claims.measurements) == [f"pcr{i}" for i in range(32)]


@pytest.mark.parametrize(
    "change",
    [
        lambda p, u, b, s: [p, u, b],
        lambda p, u, b, s: [p, u, b, s, s],
        lambda p, u, b, s: {0: p, 1: u, 2: b, 3: s},
        lambda p, u, b, s: [p.hex(), u, b, s],
        lambda p, u, b, s: [p, u, cbor2.loads(b), s],
        lambda p, u, b, s: [p, u, b, [s]],
        lambda p, u, b, s: [p, {1: -35}, b, s],
        lambda p, u, b, s: [p, None, b, s],
        lambda p, u, b, s: [p, [], b, s],
        lambda p, u, b, s: [b"", u, b, s],
        lambda p, u, b, s: [cbor2.dumps({1: -7}), u, b, s],
        lambda p, u, b, s: [cbor2.dumps({1: -36}), u, b, s],
        lambda p, u, b, s: [cbor2.dumps({1: None}), u, b, s],
        lambda p, u, b, s: [cbor2.dumps({1: -35, 4: b"kid"}), u, b, s],
        lambda p, u, b, s: [cbor2.dumps({}), u, b, s],
        lambda p, u, b, s: [p + b"\x00", u, b, s],
        lambda p, u, b, s: [p, u, b"", s],
        lambda p, u, b, s: [p, u, cbor2.dumps([1]), s],
        lambda p, u, b, s: [p, u, b + b"\x00", s],
        lambda p, u, b, s: [p, u, cbor2.dumps(b"x" * 16384), s],
        lambda p, u, b, s: [p, u, b, s[:-1]],
        lambda p, u, b, s: [p, u, b, s + b"\x00" * 36],
        lambda p, u, b, s: [p, u, b, s[:48]],
        lambda p, u, b, s: [p, u, b, b""],
    ],
)
def test_envelopes_in_another_form_are_malformed(change: Callable[..., object]) -> None:
    assert refused(cbor2.dumps(change(*cbor2.loads(WORLD.document()))))[0] is Code.MALFORMED


def test_bytes_behind_it_and_large_ones_are_malformed() -> None:
    assert refused(WORLD.document() + b"\x00")[0] is Code.MALFORMED
    assert refused(b"")[0] is Code.MALFORMED
    assert "longer than" in refused(b"\x84" * 20000)[1]


def test_a_document_of_nitrotpm_is_unsupported() -> None:
    assert refused(WORLD.document(nitrotpm_pcrs={4: b"1" * 48}))[0] is Code.UNSUPPORTED


def test_the_signature_is_the_leafs_over_all_of_it() -> None:
    assert refused(WORLD.document(key=ec_key("other")))[0] is Code.SIGNATURE
    protected, unprotected, payload, signature = cbor2.loads(WORLD.document())
    other = cbor2.loads(WORLD.document(user_data=b"atad"))[2]
    assert refused(cbor2.dumps([protected, unprotected, other, signature]))[0] is Code.SIGNATURE
    assert check(cbor2.dumps([protected, unprotected, payload, signature]))


@pytest.mark.parametrize("register", [0, 1, 2])
def test_debug_mode_shows_in_a_zero_register(register: int) -> None:
    pcrs = WORLD.fields()["pcrs"]
    code, why = refused(WORLD.document(pcrs=pcrs | {register: bytes(48)}))
    assert code is Code.DEBUG
    assert f"PCR{register}" in why
    absent = {i: v for i, v in pcrs.items() if i != register}
    assert refused(WORLD.document(pcrs=absent))[0] is Code.MALFORMED


def test_a_document_of_the_future_is_refused() -> None:
    ahead = int((NOW + timedelta(minutes=5)).timestamp() * 1000)
    assert check(WORLD.document(timestamp=ahead))
    assert refused(WORLD.document(timestamp=ahead + 1))[0] is Code.NOT_YET


def test_the_instance_is_named_where_both_statements_agree() -> None:
    other = "i-0123456789abcdef1-enc0123456789abcdef"
    assert check(WORLD.document(module_id=other)).hardware_id is None
    assert check(WORLD.document(module_id="enclave")).hardware_id is None
    pcrs = {i: v for i, v in WORLD.fields()["pcrs"].items() if i != 4}
    assert check(WORLD.document(pcrs=pcrs)).hardware_id is None


# --- chains ---


def test_the_chain_is_checked() -> None:
    bundle = WORLD.fields()["cabundle"]
    assert refused(WORLD.document(cabundle=bundle[1:]))[0] is Code.UNTRUSTED_ROOT
    assert refused(WORLD.document(cabundle=[bundle[0], *bundle[:0:-1]]))[0] is Code.CHAIN
    assert refused(WORLD.document(cabundle=bundle[:-1]))[0] is Code.CHAIN
    assert refused(WORLD.document(certificate=bundle[-1]))[0] is Code.CHAIN
    assert refused(WORLD.document(certificate=bundle[0], cabundle=bundle[:1]))[0] is Code.CHAIN


@pytest.mark.parametrize(
    "changes",
    [
        {"constraints": False},
        {"bits": ()},
        {"bits": ("key_agreement",)},
        {"authority": True, "bits": ("digital_signature",)},
    ],
)
def test_the_leaf_says_that_it_only_signs(changes: dict[str, Any]) -> None:
    leaf = issue(WORLD.leaf.key, WORLD.leaf.name, WORLD.middle[-1], **({"authority": False} | changes))
    assert refused(WORLD.document(certificate=leaf.der))[0] is Code.CHAIN


def test_the_leafs_key_is_on_p384() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = issue(key, WORLD.leaf.name, WORLD.middle[-1], authority=False)
    assert refused(WORLD.document(certificate=leaf.der)) == (
        Code.CHAIN,
        "the document's certificate has no P-384 key",
    )


def test_a_broken_certificate_is_malformed() -> None:
    assert refused(WORLD.document(certificate=WORLD.leaf.der + b"\x00"))[0] is Code.MALFORMED


def test_other_roots_only_where_the_caller_names_them() -> None:
    evidence = WORLD.evidence()
    assert nitro.verify_against(evidence, NOW, WORLD.pins)
    with pytest.raises(Refused) as caught:
        nitro.verify(evidence, NOW)
    assert caught.value.code is Code.UNTRUSTED_ROOT


# --- certificates that carry documents ---


def carrier(*names: str, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    extension = reference.SubjectAlternativeName([reference.DNSName(n) for n in names])
    return issue(
        key or ec_key("tls"), name_of("enclave", **AMAZON), authority=False, extensions=((extension, False),)
    ).der


def test_a_document_inside_a_certificate_is_found() -> None:
    document = WORLD.document(user_data=spki(ec_key("tls")))
    der = carrier("enclave.example.org", f"{document.hex()}.enclave.example.org")
    assert nitro.document_in_certificate(certificate(der)) == document
    assert nitro.document_in_certificate(certificate(carrier(document.hex().upper()))) == document
    assert check(document, certificate=der).report_data == spki(ec_key("tls"))
    assert check(document, certificate=pem(der))


def test_a_certificate_without_a_document_has_none() -> None:
    for names in (("example.org",), ("ab" * 511 + ".example.org",), ("abc" + "0z" * 600 + ".example.org",)):
        assert nitro.document_in_certificate(certificate(carrier(*names))) is None
    assert nitro.document_in_certificate(certificate(WORLD.leaf.der)) is None
    ip = reference.SubjectAlternativeName([reference.UniformResourceIdentifier("https://" + "ab" * 600)])
    other = issue(ec_key("tls"), name_of("e"), authority=False, extensions=((ip, False),))
    assert nitro.document_in_certificate(certificate(other.der)) is None


def test_the_document_is_bound_to_the_certificate_that_carries_it() -> None:
    bound = WORLD.document(public_key=spki(ec_key("tls")))
    assert check(bound, certificate=carrier("a"))
    assert refused(bound, certificate=carrier("a", key=ec_key("thief")))[0] is Code.BINDING
    assert refused(WORLD.document(), certificate=carrier("a"))[0] is Code.BINDING
    assert refused(bound, certificate=b"text")[0] is Code.MALFORMED


def test_pcr4_is_of_the_instance() -> None:
    """The formula, by hand."""
    instance = WORLD.fields()["pcrs"][4]
    assert instance == hashlib.sha384(bytes(48) + b"i-0123456789abcdef0").digest()
