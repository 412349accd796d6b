# SPDX-License-Identifier: Apache-2.0
"""What an agreement may say of attestation, and who signs a change of it."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from pydantic import ValidationError
from tests.appraisals import KEYS, agreement_data
from tests.attestation_pki import NitroWorld

from hitoku.attestation.evidence import Kind
from hitoku.room.agreement import Agreement
from hitoku.room.attestation import AcceptedKind, Attestation, Authority
from hitoku.room.canonical import canonical
from hitoku.room.changes import changes, must_sign

KEY = KEYS["acme"].public_key()


def problem(**attestation: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Agreement.model_validate(agreement_data(**attestation))
    return str(caught.value)


def test_the_kinds_are_those_of_evidence_that_can_name_a_program():
    assert {str(k) for k in AcceptedKind} == {str(k) for k in Kind} - {"nvidia"}
    part = Attestation.model_validate({"accept": ["nitro", "tpm"]})
    assert [str(kind) in part.accept for kind in (Kind.NITRO, Kind.TPM, Kind.TDX)] == [True, True, False]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"accept": []}, "accept"),
        ({"accept": ["sgx2"]}, "accept"),
        ({"accept": ["nvidia"]}, "accept"),
        ({"accept": ["tpm", "tpm"]}, "two kinds of evidence are the same"),
        ({"signers": 3}, "3 signers are more than the 2 owners of tables"),
        ({"signers": 0}, "signers"),
        ({"signers": "2"}, "signers"),
        ({"software": 1}, "software"),
        ({"minutes": 0}, "minutes"),
        ({"minutes": 1441}, "minutes"),
        ({"hardware": ["ABC"]}, "hardware"),
        ({"hardware": ["ab", "ab"]}, "two hardware identities are the same"),
        ({"advisories": ["intel"]}, "advisories"),
        ({"advisories": ["INTEL-SA-00001"] * 2}, "two advisories are the same"),
        ({"crosstab": True}, "is for a room with private cross statistics"),
        ({"anything": 1}, "anything"),
        ({"authorities": [{"software": True}]}, "a certificate or a key"),
        ({"authorities": [{"key": KEY, "software": False}]}, "a dev key is never hardware"),
        ({"authorities": [{"key": KEY}]}, "software"),
        ({"authorities": [{"key": KEY, "software": True}] * 2}, "two authorities are the same"),
        (
            {"authorities": [{"key": "ed25519:" + "A" * 43 + "=", "software": True}]},
            "anybody can sign for it",
        ),
        ({"authorities": [{"certificate": "AAAA", "software": True}]}, "DER certificate"),
        ({"authorities": [{"certificate": "not base64!", "software": True}]}, "DER certificate"),
    ],
)
def test_what_is_refused(part, words):
    assert words in problem(**part)


@pytest.mark.parametrize("more", [{}, {"signers": 1}])
def test_a_room_without_tables_has_nobody_to_sign_for_programs(more):
    data = agreement_data(**more)
    Agreement.model_validate(data)
    data["tables"] = []
    with pytest.raises(ValidationError, match="nobody owns a table"):
        Agreement.model_validate(data)


def test_an_authority_is_one_der_certificate_of_a_ca_in_one_spelling():
    world = NitroWorld("authority")
    text = base64.b64encode(world.root.der).decode()
    made = Authority(certificate=text, software=False)
    assert made.fingerprint == hashlib.sha256(world.root.der).hexdigest()
    assert Authority(key=KEY, software=True).fingerprint is None
    longer = base64.b64encode(world.root.der + b"\0").decode()
    leaf = base64.b64encode(world.leaf.der).decode()
    for wrong in (longer, text + "\n", leaf, text[:-8]):
        with pytest.raises(ValidationError, match="DER certificate"):
            Authority(certificate=wrong, software=False)
    with pytest.raises(ValidationError, match="a certificate or a key"):
        Authority(certificate=text, key=KEY, software=True)


def test_crosstab_needs_crosstab_in_the_room():
    data = agreement_data(crosstab=True)
    data["protections"] = ["crosstab"]
    with pytest.raises(ValidationError, match="private cross statistics"):
        Agreement.model_validate(data)


def test_an_agreement_without_it_is_signed_as_before():
    data = agreement_data()
    del data["attestation"]
    agreement = Agreement.model_validate(data)
    assert agreement.attestation is None
    assert b"attestation" not in canonical(agreement)
    said = json.loads(canonical(Agreement.model_validate(agreement_data())))["attestation"]
    assert "signers" not in said


@pytest.mark.parametrize(
    "part",
    [
        {"accept": ["nitro"]},
        {"signers": 2},
        {"software": True},
        {"hardware": ["ab"]},
        {"advisories": ["INTEL-SA-00001"]},
        {"minutes": 5},
        {"authorities": [{"key": KEY, "software": True}]},
    ],
)
def test_every_change_of_it_is_signed_by_every_owner(part):
    old, new = Agreement.model_validate(agreement_data()), Agreement.model_validate(agreement_data(**part))
    (change,) = changes(old, new)
    assert (change.path, change.touches) == ("attestation", ("acme", "bank"))
    assert must_sign(old, new).current == {"acme", "bank"}
    without = agreement_data()
    del without["attestation"]
    assert must_sign(new, Agreement.model_validate(without)).current == {"acme", "bank"}
