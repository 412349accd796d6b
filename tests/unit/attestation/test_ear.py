# SPDX-License-Identifier: Apache-2.0
"""Results as JWTs: what another member's node reads, and what it refuses."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from tests.appraisals import KEYS, ROOM
from tests.attestation_pki import NOW

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.ear import PROFILE, ear_id, sign_ear, status, verify_ear
from hitoku.room.canonical import canonical_json

AT = int(NOW.timestamp())
VECTOR = {"executables": 2, "hardware": 2}


def claims(**changes: Any) -> dict[str, Any]:
    return {
        "eat_profile": PROFILE,
        "iss": "acme",
        "iat": AT,
        "exp": AT + 60,
        "ear.verifier-id": {"developer": "hitoku", "build": "hitoku 0"},
        "submods": {"tpm": {"ear.status": "affirming", "ear.trustworthiness-vector": VECTOR}},
    } | changes


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def jwt(header: object, body: bytes | dict[str, Any], signer: str = "acme") -> str:
    head = encode(header if isinstance(header, bytes) else canonical_json(header))  # type: ignore[arg-type]
    text = encode(body if isinstance(body, bytes) else canonical_json(body))
    return f"{head}.{text}.{encode(KEYS[signer].sign(f'{head}.{text}'.encode()))}"


HEADER = {"alg": "EdDSA", "typ": "JWT"}


def code(ear: str, now=NOW) -> Code:
    with pytest.raises(Refused) as caught:
        verify_ear(ear, ROOM.agreement, now)
    return caught.value.code


def test_a_result_is_read_back():
    made = sign_ear(claims(), KEYS["acme"])
    assert made == jwt(HEADER, claims())
    assert verify_ear(made, ROOM.agreement, NOW) == claims()
    assert json.loads(base64.urlsafe_b64decode(made.split(".")[0] + "==")) == HEADER
    assert ear_id(made) == "sha256:" + hashlib.sha256(b"hitoku/ear/1\n" + made.encode()).hexdigest()


def test_every_character_matters():
    made = sign_ear(claims(), KEYS["acme"])
    for place in range(len(made)):
        other = "B" if made[place] != "B" else "C"
        with pytest.raises(Refused):
            verify_ear(made[:place] + other + made[place + 1 :], ROOM.agreement, NOW)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "JWT"},
        {"alg": "HS256", "typ": "JWT"},
        {"alg": "ES256", "typ": "JWT"},
        {"alg": "EdDSA"},
        HEADER | {"kid": "acme"},
        HEADER | {"jwk": {}},
        HEADER | {"crit": ["exp"]},
        b'{"typ":"JWT","alg":"EdDSA"}',
        b"",
    ],
)
def test_no_other_header_is_read(header):
    assert code(jwt(header, claims())) is Code.MALFORMED


@pytest.mark.parametrize(
    "changes",
    [
        {"eat_profile": "tag:ietf.org,2026:rats/ear#04"},
        {"iat": str(AT)},
        {"iat": True},
        {"exp": None},
        {"submods": {}},
        {"submods": []},
        {"submods": {"tpm": {}}},
        {"submods": {"tpm": {"ear.status": "affirming", "ear.trustworthiness-vector": {"hardware": 97}}}},
        {"submods": {"tpm": {"ear.status": "none", "ear.trustworthiness-vector": {"hardware": "2"}}}},
        {"ear.verifier-id": {}},
    ],
)
def test_claims_that_are_not_of_the_profile(changes):
    assert code(jwt(HEADER, claims(**changes))) is Code.MALFORMED


@pytest.mark.parametrize("left_out", sorted(claims()))
def test_no_claim_may_be_left_out(left_out):
    given = {name: value for name, value in claims().items() if name != left_out}
    assert code(jwt(HEADER, given)) is Code.MALFORMED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b",
        "a.b.c.d",
        "....",
        "x" * 70_000,
        jwt(HEADER, b"[]"),
        jwt(HEADER, b"{"),
        jwt(HEADER, json.dumps(claims()).encode()),  # not canonical
        jwt(HEADER, canonical_json(claims()) + b" "),
        jwt(HEADER, claims()) + "=",
        jwt(HEADER, claims()) + "\n",
        jwt(HEADER, b'{"iat":1e999}'),
        jwt(HEADER, b"[" * 40_000),
    ],
)
def test_what_is_no_result(text):
    assert code(text) is Code.MALFORMED


def test_it_is_signed_by_the_member_it_names():
    assert code(jwt(HEADER, claims(), signer="bank")) is Code.SIGNATURE
    assert code(jwt(HEADER, claims(iss="stranger"), signer="stranger")) is Code.SIGNATURE
    assert code(jwt(HEADER, claims(iss=["acme"]))) is Code.SIGNATURE
    assert verify_ear(jwt(HEADER, claims(iss="bank"), signer="bank"), ROOM.agreement, NOW)["iss"] == "bank"


def test_its_time():
    made = jwt(HEADER, claims())
    verify_ear(made, ROOM.agreement, NOW + timedelta(seconds=60))
    assert code(made, NOW + timedelta(seconds=61)) is Code.EXPIRED
    verify_ear(made, ROOM.agreement, NOW - timedelta(seconds=60))
    assert code(made, NOW - timedelta(seconds=61)) is Code.NOT_YET


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], "none"),
        ([0, 1, -1], "none"),
        ([2], "affirming"),
        ([31, 0], "affirming"),
        ([-2, -32], "affirming"),
        ([32, 2], "warning"),
        ([95], "warning"),
        ([-33], "warning"),
        ([-96], "warning"),
        ([96], "contraindicated"),
        ([127, 2, 0], "contraindicated"),
        ([-97], "contraindicated"),
        ([-128], "contraindicated"),
    ],
)
def test_the_status_is_the_worst_tier(values, expected):
    assert status({str(place): value for place, value in enumerate(values)}) == expected
