# SPDX-License-Identifier: Apache-2.0
"""A linter for AWS KMS key policies: does every way to the key's plaintext lead through a measured enclave?

The commonest mistake is not in the statement for the enclave but beside it: a second one (the account's
root, an administrator, a role) that allows decryption without a condition; a condition that is met by what
is absent (``...IfExists``, ``ForAllValues``); PCRs of zeros, which every debugged enclave has; and
somebody who may replace the policy. What operators do with an absent key: AWS IAM User Guide, "Condition
operators" (negated ones match, ``IfExists`` matches, ``ForAllValues`` matches, all others do not). Keys:
AWS KMS Developer Guide, "Condition keys for AWS Nitro Enclaves" and "... for NitroTPM".

Only the key policy is read. What IAM policies of the account add is reached through a statement for its root,
which is found here; grants that exist already are not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from hitoku.attestation import kms_conditions as conditions
from hitoku.attestation.kms_statements import Statement, statements

__all__ = ["Finding", "lint"]

PLAINTEXT: Final = (
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
    "kms:GenerateDataKeyPairWithoutPlaintext",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:DeriveSharedSecret",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:CreateGrant",
)
"""Lead to plaintext, by themselves or (a grant, another key) in one more step. GenerateRandom is not of a
key."""

CONTROL: Final = ("kms:PutKeyPolicy", "kms:CreateGrant", "kms:ScheduleKeyDeletion", "kms:ReplicateKey")
"""Undo the policy: replace it, go round it, end the key, copy it under another policy."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        code: stable: ``ALLOW_WITHOUT_ATTESTATION``, ``NO_DENY``, ``UNRESTRICTED``, ``IF_EXISTS``,
            ``OPERATOR``, ``DEBUG``, ``VALUE``, ``WEAK``, ``ANYBODY``.
        statement: its Sid, or its place in the list; empty where it is about the whole policy.
        message: what is wrong and why.
        remedy: what to write instead.
    """

    code: str
    statement: str
    message: str
    remedy: str

    def to_dict(self) -> dict[str, str]:
        """JSON-ready form."""
        return {
            "code": self.code,
            "statement": self.statement,
            "message": self.message,
            "remedy": self.remedy,
        }


def lint(content: bytes) -> tuple[Finding, ...]:
    """All that is wrong with a key policy; empty where nothing is.

    Raises:
        InputError: not a key policy.
    """
    policy = statements(content)
    found: list[Finding] = []
    for statement in policy:
        if statement.allows:
            found += _allow(statement)
        else:
            found += _deny(statement)
    found += _no_deny(policy)
    found += _control(policy)
    return tuple(found)


def _allow(statement: Statement) -> Iterator[Finding]:
    actions = [a for a in PLAINTEXT if statement.covers(a)]
    if not actions:
        return
    verdict = conditions.identifies(statement.condition)
    for problem in verdict.problems:
        yield Finding(problem.code, statement.name, problem.message, problem.remedy)
    if not verdict.holds:
        yield Finding(
            "ALLOW_WITHOUT_ATTESTATION",
            statement.name,
            f"allows {_some(actions)} outside a measured enclave",
            "add the condition StringEqualsIgnoreCase kms:RecipientAttestation:ImageSha384 with the image's "
            "PCR0, or leave these actions out",
        )
    elif statement.anybody and not verdict.others:
        yield Finding(
            "ANYBODY",
            statement.name,
            "everybody who starts that image, in any account, may use the key",
            "name the role of the enclave's instance as the Principal",
        )


def _deny(statement: Statement) -> Iterator[Finding]:
    if not any(statement.covers(a) for a in PLAINTEXT):
        return
    for problem in conditions.excludes(statement.condition).problems:
        yield Finding(problem.code, statement.name, problem.message, problem.remedy)


def _no_deny(policy: tuple[Statement, ...]) -> Iterator[Finding]:
    """Without it, one more Allow (or an IAM policy, or a grant) opens the key again."""
    denials = [
        s
        for s in policy
        if not s.allows and s.everybody and s.whole and conditions.excludes(s.condition).holds
    ]
    used = [a for a in PLAINTEXT if a == "kms:Decrypt" or any(s.allows and s.covers(a) for s in policy)]
    open_ones = [a for a in used if not any(s.covers(a) for s in denials)]
    if open_ones:
        yield Finding(
            "NO_DENY",
            "",
            f"no statement denies {_some(open_ones)} to everybody whose request carries no attestation of "
            "the image",
            'add {"Effect": "Deny", "Principal": "*", "Action": ["kms:Decrypt", "kms:GenerateDataKey*", '
            '"kms:DeriveSharedSecret", "kms:ReEncrypt*", "kms:CreateGrant"], "Resource": "*", "Condition": '
            '{"StringNotEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": "<PCR0>"}}}: a negated '
            "operator also matches where there is no attestation",
        )


def _control(policy: tuple[Statement, ...]) -> Iterator[Finding]:
    for action in CONTROL:
        if any(not s.allows and s.everybody and s.whole and s.covers(action) for s in policy):
            continue
        for statement in policy:
            if not statement.allows or not statement.covers(action):
                continue
            if statement.named and conditions.restricts(statement.condition):
                continue
            yield Finding(
                "UNRESTRICTED",
                statement.name,
                f"{_CONTROL_WHY[action]} ({action}), and nothing restricts who and when",
                f"deny {action} to everybody (with ArnNotEquals aws:PrincipalArn for one break-glass role), "
                "or allow it to named roles under a condition only",
            )


_CONTROL_WHY: Final[Mapping[str, str]] = {
    "kms:PutKeyPolicy": "can replace this policy",
    "kms:CreateGrant": "can hand on the use of the key",
    "kms:ScheduleKeyDeletion": "can end the key",
    "kms:ReplicateKey": "can copy the key under another policy",
}


def _some(actions: list[str]) -> str:
    return ", ".join(actions[:4]) + (f" and {len(actions) - 4} more" if len(actions) > 4 else "")
