# SPDX-License-Identifier: Apache-2.0
"""Key policies that leave a way to the plaintext outside the enclave, and the one that does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from hitoku import limits
from hitoku.attestation.lint_kms import lint
from hitoku.errors import InputError

PCR0 = "ab12" * 24
IMAGE = "kms:RecipientAttestation:ImageSha384"
ROLE = "arn:aws:iam::111122223333:role/enclave"
ADMIN = "arn:aws:iam::111122223333:role/admin"
ROOT = "arn:aws:iam::111122223333:root"

GOOD: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Enclave",
            "Effect": "Allow",
            "Principal": {"AWS": ROLE},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": "*",
            "Condition": {"StringEqualsIgnoreCase": {IMAGE: PCR0}},
        },
        {
            "Sid": "NobodyElse",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*", "kms:DeriveSharedSecret", "kms:ReEncrypt*"],
            "Resource": "*",
            "Condition": {"StringNotEqualsIgnoreCase": {IMAGE: PCR0}},
        },
        {
            "Sid": "Administration",
            "Effect": "Allow",
            "Principal": {"AWS": ADMIN},
            "Action": ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:EnableKeyRotation", "kms:GenerateRandom"],
            "Resource": "*",
        },
        {
            "Sid": "NobodyChangesIt",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": ["kms:PutKeyPolicy", "kms:CreateGrant", "kms:ScheduleKeyDeletion", "kms:ReplicateKey"],
            "Resource": "*",
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/break-glass"}},
        },
    ],
}
ENCLAVE, DENY, ADMINISTRATION, CONTROL = range(4)


def codes(policy: Any) -> list[tuple[str, str]]:
    return [(f.code, f.statement) for f in lint(json.dumps(policy).encode())]


def changed(change: Callable[[list[dict[str, Any]]], None]) -> dict[str, Any]:
    policy = deepcopy(GOOD)
    change(policy["Statement"])
    return policy


def test_a_policy_that_holds():
    assert codes(GOOD) == []


@pytest.mark.parametrize("missing", [DENY, CONTROL])
def test_a_policy_without_one_of_its_denials(missing):
    def without(statements):
        del statements[missing]

    found = codes(changed(without))
    # Without the second nothing yet lets anybody change the policy.
    assert found == ([("NO_DENY", "")] if missing == DENY else [])


# What users ran into: aws-nitro-enclaves-sdk-c #100 and #157.


@pytest.mark.parametrize(
    "statement",
    [
        {"Sid": "Root", "Principal": {"AWS": ROOT}, "Action": "kms:*"},
        {"Sid": "Root", "Principal": {"AWS": "111122223333"}, "Action": ["kms:*"]},
        {"Sid": "Root", "Principal": {"AWS": ADMIN}, "Action": "*"},
        {"Sid": "Root", "Principal": {"AWS": ADMIN}, "Action": "kms:Dec*"},
        {"Sid": "Root", "Principal": {"AWS": ADMIN}, "Action": "KMS:decrypt"},
        {"Sid": "Root", "Principal": {"AWS": ADMIN}, "Action": "kms:D?crypt"},
        {"Sid": "Root", "Principal": {"AWS": ADMIN}, "Action": "kms:GenerateDataKeyPair"},
        {"Sid": "Root", "Principal": {"AWS": ADMIN}, "Action": "kms:GenerateDataKeyWithoutPlaintext"},
        {"Sid": "Root", "Principal": {"AWS": ADMIN}, "Action": "kms:DeriveSharedSecret"},
        {"Sid": "Root", "Principal": {"AWS": ADMIN}, "Action": "kms:ReEncryptFrom"},
        {"Sid": "Root", "Principal": {"AWS": ADMIN}, "Action": "kms:ReEncrypt*"},
        {"Sid": "Root", "Principal": {"AWS": ADMIN}, "Action": "kms:CreateGrant"},
        {"Sid": "Root", "Principal": {"AWS": ADMIN}, "NotAction": "kms:PutKeyPolicy"},
        {"Sid": "Root", "Principal": {"AWS": ADMIN}, "NotAction": ["kms:Decrypt"]},
        {"Sid": "Root", "NotPrincipal": {"AWS": ADMIN}, "Action": "kms:Decrypt"},
        {"Sid": "Root", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "kms:Decrypt"},
        {
            "Sid": "Root",
            "Principal": {"AWS": ADMIN},
            "Action": "kms:Decrypt",
            "Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}},
        },
        {
            "Sid": "Root",
            "Principal": {"AWS": ADMIN},
            "Action": "kms:Decrypt",
            "Condition": {"Null": {IMAGE: "false"}},
        },
    ],
)
def test_another_statement_that_allows_it_without_attestation(statement):
    policy = changed(lambda s: s.append({"Effect": "Allow", "Resource": "*"} | statement))
    assert ("ALLOW_WITHOUT_ATTESTATION", "Root") in codes(policy)


def test_what_leads_to_no_plaintext_needs_no_attestation():
    for action in ("kms:GenerateRandom", "kms:Encrypt", "kms:Describe*", "kms:Sign", "kms:GetPublicKey"):
        policy = changed(lambda s, action=action: s[ADMINISTRATION].update(Action=action))  # type: ignore[misc]
        assert codes(policy) == [], action
    names = [
        "kms:Decrypt",
        "kms:GenerateDataKey*",
        "kms:DeriveSharedSecret",
        "kms:ReEncrypt*",
        "kms:CreateGrant",
    ]
    rest = {"Effect": "Allow", "Principal": {"AWS": ADMIN}, "Resource": "*"}
    controls = ["kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:ReplicateKey"]
    assert codes(changed(lambda s: s.append(rest | {"NotAction": [*names, *controls]}))) == []


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"StringEqualsIgnoreCase": {IMAGE: PCR0}}, []),
        ({"StringEqualsIgnoreCase": {IMAGE.lower(): [PCR0, "cd" * 48]}}, []),
        ({"StringEqualsIgnoreCase": {IMAGE: PCR0.upper()}}, []),
        ({"StringEquals": {IMAGE: PCR0}}, []),
        ({"ForAnyValue:StringEqualsIgnoreCase": {IMAGE: PCR0}}, []),
        ({"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": PCR0}}, []),
        ({"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR8": PCR0}}, []),
        ({"StringEqualsIgnoreCase": {f"kms:RecipientAttestation:PCR{n}": PCR0 for n in (1, 2)}}, []),
        ({"StringEqualsIgnoreCase": {"kms:RecipientAttestation:NitroTPMPCR4": PCR0}}, []),
        (
            {"StringEqualsIgnoreCase": {IMAGE: PCR0}, "StringEquals": {"aws:PrincipalOrgID": "o-1"}},
            [],
        ),
        ({"StringEquals": {IMAGE: PCR0.upper()}}, ["OPERATOR", "ALLOW_WITHOUT_ATTESTATION"]),
        ({"StringEqualsIgnoreCaseIfExists": {IMAGE: PCR0}}, ["IF_EXISTS", "ALLOW_WITHOUT_ATTESTATION"]),
        ({"StringEqualsIfExists": {IMAGE: PCR0}}, ["IF_EXISTS", "ALLOW_WITHOUT_ATTESTATION"]),
        ({"ForAllValues:StringEquals": {IMAGE: PCR0}}, ["IF_EXISTS", "ALLOW_WITHOUT_ATTESTATION"]),
        (
            {"ForAnyValue:StringEqualsIfExists": {IMAGE: PCR0}},
            ["IF_EXISTS", "ALLOW_WITHOUT_ATTESTATION"],
        ),
        ({"StringLike": {IMAGE: "*"}}, ["OPERATOR", "ALLOW_WITHOUT_ATTESTATION"]),
        ({"StringNotEquals": {IMAGE: PCR0}}, ["OPERATOR", "ALLOW_WITHOUT_ATTESTATION"]),
        ({"Bool": {IMAGE: True}}, ["OPERATOR", "ALLOW_WITHOUT_ATTESTATION"]),
        ({"Null": {IMAGE: "true"}}, ["OPERATOR", "ALLOW_WITHOUT_ATTESTATION"]),
        ({"StringEqualsIgnoreCase": {IMAGE: "0" * 96}}, ["DEBUG", "ALLOW_WITHOUT_ATTESTATION"]),
        ({"StringEqualsIgnoreCase": {IMAGE: [PCR0, "0" * 96]}}, ["DEBUG", "ALLOW_WITHOUT_ATTESTATION"]),
        ({"StringEqualsIgnoreCase": {IMAGE: PCR0[:-2]}}, ["VALUE", "ALLOW_WITHOUT_ATTESTATION"]),
        ({"StringEqualsIgnoreCase": {IMAGE: "*"}}, ["VALUE", "ALLOW_WITHOUT_ATTESTATION"]),
        (
            {"StringEqualsIgnoreCase": {IMAGE: "${aws:PrincipalTag/image}"}},
            ["VALUE", "ALLOW_WITHOUT_ATTESTATION"],
        ),
        (
            {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR1": PCR0}},
            ["WEAK", "ALLOW_WITHOUT_ATTESTATION"],
        ),
        (
            {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR3": PCR0}},
            ["WEAK", "ALLOW_WITHOUT_ATTESTATION"],
        ),
        (
            {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:NitroTPMPCR7": PCR0}},
            ["WEAK", "ALLOW_WITHOUT_ATTESTATION"],
        ),
        (
            {"StringEqualsIgnoreCase": {f"kms:RecipientAttestation:NitroTPMPCR{n}": PCR0 for n in (7, 12)}},
            ["WEAK", "ALLOW_WITHOUT_ATTESTATION"],
        ),
        # A second, loose condition takes nothing from the first, but it is not what somebody meant.
        (
            {
                "StringEqualsIgnoreCase": {IMAGE: PCR0},
                "StringEqualsIfExists": {"kms:RecipientAttestation:PCR3": PCR0},
            },
            ["IF_EXISTS"],
        ),
        (
            {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha256": PCR0}},
            ["ALLOW_WITHOUT_ATTESTATION"],
        ),
    ],
)
def test_conditions_of_an_allow(condition, expected):
    policy = changed(lambda s: s[ENCLAVE].update(Condition=condition))
    assert codes(policy) == [(code, "Enclave") for code in expected]


def deny(**changes: Any) -> list[str]:
    return [code for code, _ in codes(changed(lambda s: s[DENY].update(changes)))]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"StringNotEquals": {IMAGE: PCR0}}, []),
        ({"StringNotEqualsIgnoreCaseIfExists": {IMAGE: PCR0}}, []),  # what is absent is denied, too
        ({"ForAllValues:StringNotEqualsIgnoreCase": {IMAGE: PCR0}}, []),
        ({"Null": {IMAGE: "true"}}, []),
        ({"Null": {IMAGE: True}}, []),
        ({}, []),
        ({"Null": {IMAGE: "false"}}, ["OPERATOR", "NO_DENY"]),
        ({"StringEqualsIgnoreCase": {IMAGE: PCR0}}, ["OPERATOR", "NO_DENY"]),
        ({"ForAnyValue:StringNotEqualsIgnoreCase": {IMAGE: PCR0}}, ["OPERATOR", "NO_DENY"]),
        ({"StringNotEqualsIgnoreCase": {IMAGE: "0" * 96}}, ["DEBUG", "NO_DENY"]),
        ({"StringNotEqualsIgnoreCase": {IMAGE: "ab"}}, ["VALUE", "NO_DENY"]),
        (
            {
                "StringNotEqualsIgnoreCase": {IMAGE: PCR0},
                "ArnNotEquals": {"aws:PrincipalArn": ADMIN},
            },
            ["NO_DENY"],
        ),
        ({"Bool": {"aws:SecureTransport": "false"}}, ["NO_DENY"]),
    ],
)
def test_conditions_of_a_denial(condition, expected):
    assert deny(Condition=condition) == expected


def test_a_denial_is_for_everybody_and_of_all_that_is_allowed():
    assert deny(Principal={"AWS": ADMIN}) == ["NO_DENY"]
    assert deny(Principal={"AWS": ["*"]}) == []
    assert deny(Resource="arn:aws:kms:us-east-1:111122223333:key/1") == ["NO_DENY"]
    assert deny(Action="kms:Decrypt") == ["NO_DENY"]  # GenerateDataKey is allowed above
    assert deny(Action="kms:GenerateDataKey") == ["NO_DENY"]
    assert deny(Action=["kms:Decrypt", "kms:GenerateDataKey"]) == []
    assert deny(Action="kms:*") == []
    policy = deepcopy(GOOD)
    statement = policy["Statement"][DENY]
    statement["NotPrincipal"] = statement.pop("Principal")
    assert [code for code, _ in codes(policy)] == ["NO_DENY"]
    policy = deepcopy(GOOD)
    statement = policy["Statement"][DENY]
    del statement["Action"]
    statement["NotAction"] = "kms:Encrypt"
    assert codes(policy) == []
    statement["NotAction"] = ["kms:Encrypt", "kms:D*"]
    assert [code for code, _ in codes(policy)] == ["NO_DENY"]


def test_who_may_undo_the_policy():
    def admin(action: Any, **more: Any) -> list[str]:
        def edit(statements):
            del statements[CONTROL]
            statements[ADMINISTRATION].update(Action=action, **more)

        return [f.code for f in lint(json.dumps(changed(edit)).encode()) if f.code == "UNRESTRICTED"]

    mfa = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    for action in ("kms:PutKeyPolicy", "kms:CreateGrant", "kms:ScheduleKeyDeletion", "kms:ReplicateKey"):
        assert admin(action) == ["UNRESTRICTED"]
        assert admin(action.lower()) == ["UNRESTRICTED"]
        assert admin(action, Condition=mfa) == []
        assert admin(action, Condition=mfa, Principal={"AWS": ROOT}) == ["UNRESTRICTED"]
        assert admin(action, Condition=mfa, Principal="*") == ["UNRESTRICTED"]
        assert admin(action, Condition={"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}}) == [
            "UNRESTRICTED"
        ]
        assert admin(action, Condition={"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}) == ["UNRESTRICTED"]
        assert admin(action, Condition={"Null": {"aws:PrincipalOrgID": "true"}}) == ["UNRESTRICTED"]
    assert admin("kms:*") == ["UNRESTRICTED"] * 4
    assert admin("kms:Put*") == ["UNRESTRICTED"]
    assert admin("kms:DescribeKey") == []


def test_a_key_for_everybody_who_runs_the_image():
    assert codes(changed(lambda s: s[ENCLAVE].update(Principal="*"))) == [("ANYBODY", "Enclave")]
    assert codes(changed(lambda s: s[ENCLAVE].update(Principal={"AWS": "*"}))) == [("ANYBODY", "Enclave")]
    org = {"StringEqualsIgnoreCase": {IMAGE: PCR0}, "StringEquals": {"aws:PrincipalOrgID": "o-1"}}
    assert codes(changed(lambda s: s[ENCLAVE].update(Principal="*", Condition=org))) == []


def test_one_statement_alone_and_without_a_name():
    policy = {
        "Statement": {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
    }
    found = codes(policy)
    assert found[0] == ("ALLOW_WITHOUT_ATTESTATION", "#0")
    assert ("NO_DENY", "") in found
    assert found.count(("UNRESTRICTED", "#0")) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"Effect": "allow"},
        {"Effect": None},
        {"Action": []},
        {"Action": ""},
        {"Action": [1]},
        {"NotAction": "kms:*"},
        {"NotPrincipal": "*"},
        {"Principal": {}},
        {"Principal": None},
        {"Resource": 3},
        {"NotResource": "*"},
        {"Condition": []},
        {"Condition": {"StringEquals": "x"}},
        {"Condition": {"StringEquals": {IMAGE: {}}}},
        {"Sid": 7},
        {"Unknown": 1},
    ],
)
def test_what_is_no_policy_is_not_passed(change):
    with pytest.raises(InputError):
        lint(json.dumps(changed(lambda s: s[ENCLAVE].update(change))).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"Statement": []}',
        b'{"Statement": "x"}',
        b'{"Statement": [1]}',
        b'{"Statement": [], "Statement": []}',
        b"[" * 50_000,
        b"\xff",
        b" " * (limits.MAX_POLICY_BYTES + 1),
    ],
)
def test_what_is_no_json_of_a_policy(content):
    with pytest.raises(InputError):
        lint(content)


def test_every_finding_says_what_to_do():
    policy = {
        "Statement": {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
    }
    for finding in lint(json.dumps(policy).encode()):
        data = finding.to_dict()
        assert set(data) == {"code", "statement", "message", "remedy"}
        assert data["message"]
        assert data["remedy"]


def test_a_name_that_is_there_twice_is_not_passed():
    text = json.dumps(GOOD).replace('"Sid": "Enclave"', '"Effect": "Deny", "Sid": "Enclave"')
    with pytest.raises(InputError, match="twice"):
        lint(text.encode())


def test_a_denial_to_undo_the_policy_holds_whoever_is_allowed_to():
    def edit(statements):
        statements[ADMINISTRATION]["Action"] = ["kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"]

    assert codes(changed(edit)) == []


def test_a_finding_names_what_it_is_about():
    policy = {"Statement": {"Effect": "Allow", "Principal": {"AWS": ADMIN}, "Action": "kms:Decrypt"}}
    messages = [f.message for f in lint(json.dumps(policy).encode())]
    assert messages[0] == "allows kms:Decrypt outside a measured enclave"
    policy["Statement"]["Action"] = "kms:*"
    assert "and 5 more outside" in lint(json.dumps(policy).encode())[0].message
