# SPDX-License-Identifier: Apache-2.0
"""`dev` evidence: in one form only, signed, and never more than software."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tests.attestation_pki import NOW
from tests.conftest import FakeClock

from hitoku.attestation.attest.dev import DevAttester
from hitoku.attestation.binding import Binding
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.verify import verify
from hitoku.attestation.verify.dev import DOMAIN
from hitoku.room.canonical import canonical_json

PROGRAM = "ab" * 48
BINDING = Binding(b"n" * 32, b"d" * 64)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def made(key: Ed25519PrivateKey = KEY) -> Evidence:
    clock = FakeClock()
    clock.time = NOW
    return DevAttester(key, PROGRAM, clock).attest(BINDING)


def signed(signer: Ed25519PrivateKey = KEY, /, **changes: object) -> Evidence:
    """A statement that was changed and signed again."""
    statement = json.loads(made().content)["statement"] | changes
    statement = {name: value for name, value in statement.items() if value is not ...}
    signature = base64.b64encode(signer.sign(DOMAIN + canonical_json(statement))).decode()
    return Evidence(Kind.DEV, canonical_json({"signature": signature, "statement": statement}))


def refused(evidence, now=NOW):
    with pytest.raises(Refused) as caught:
        verify(evidence, now)
    return caught.value.code


def test_claims_say_what_the_key_said_and_that_it_is_software():
    claims = verify(made(), NOW)
    assert claims.measurements == {"program": PROGRAM}
    assert claims.software_rooted
    assert claims.made_at == NOW
    assert claims.hardware_id == hashlib.sha256(str(claims.extra["key"]).encode()).hexdigest()
    assert claims.extra["key"] == DevAttester(KEY, PROGRAM).public_key
    BINDING.check(claims)
    assert claims.not_checked


def test_the_key_is_the_one_it_names():
    other = Ed25519PrivateKey.generate()
    assert refused(signed(other)) is Code.SIGNATURE
    assert refused(signed(KEY, key=DevAttester(other, PROGRAM).public_key)) is Code.SIGNATURE


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": 2}, Code.UNSUPPORTED),
        ({"version": True}, Code.UNSUPPORTED),
        ({"version": ...}, Code.MALFORMED),
        ({"more": 1}, Code.MALFORMED),
        ({"measurements": {}}, Code.MALFORMED),
        ({"measurements": {"program": PROGRAM, "pcr12": "00"}}, Code.MALFORMED),
        ({"measurements": {"program": PROGRAM.upper()}}, Code.MALFORMED),
        ({"report_data": "00" * 32}, Code.MALFORMED),
        ({"made_at": "2026-11-22"}, Code.MALFORMED),
        ({"made_at": "2026-11-22T1:00:00Z"}, Code.MALFORMED),
        ({"made_at": 5}, Code.MALFORMED),
        ({"key": "ed25519:AAAA"}, Code.MALFORMED),
        ({"made_at": (NOW + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")}, Code.NOT_YET),
    ],
)
def test_a_signed_statement_of_another_form_is_refused(changes, code):
    assert refused(signed(**changes)) is code


def test_another_spelling_of_the_same_statement_is_refused():
    content = made().content
    assert refused(Evidence(Kind.DEV, content + b"\n")) is Code.MALFORMED
    assert refused(Evidence(Kind.DEV, json.dumps(json.loads(content)).encode())) is Code.MALFORMED
    assert refused(Evidence(Kind.DEV, b"[]")) is Code.MALFORMED
    assert refused(Evidence(Kind.DEV, b"{" * 10_000)) is Code.MALFORMED


def test_every_byte_counts():
    content = made().content
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        refused(Evidence(Kind.DEV, bytes(changed)))


@given(st.binary(max_size=200))
def test_no_bytes_are_an_internal_error(noise):
    assert refused(Evidence(Kind.DEV, noise)) is not Code.INTERNAL
