# SPDX-License-Identifier: Apache-2.0
"""Appraisal: does evidence pass what always holds and this member's policy? The result is signed.

Each owner's broker and each node that attests mutually appraises by itself, under the room's agreement,
its own registry and its own policy; there is no central decision. An owner of a table appraises by
statements that it signed itself, however few the room asks for. See `hitoku.attestation.judge` for what
always holds, `hitoku.attestation.policy` for what a member may add, `hitoku.attestation.ear` for the
result.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hitoku import limits
from hitoku.attestation.binding import Binding
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.ear import PROFILE, ear_id, sign_ear, status
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.judge import Judged, agreed, judge
from hitoku.attestation.policy import Facts, Policy
from hitoku.attestation.reference import Purpose, ReferenceValue, Registry
from hitoku.ports import KeyStore
from hitoku.room.agreement import Agreement, Room
from hitoku.room.attestation import Attestation
from hitoku.room.canonical import agreement_hash, canonical_json, digest
from hitoku.room.keys import valid_signature

__all__ = ["Appraisal", "appraise", "facts"]

_ENCRYPTED: Final = frozenset({Kind.NITRO, Kind.SEV_SNP, Kind.TDX, Kind.SGX, Kind.AZURE_SNP, Kind.AZURE_TDX})
"""Their memory is out of reach of the machine's operator (Nitro: separated, in the vendor's own hands)."""


@dataclass(frozen=True, slots=True)
class Appraisal:
    """Evidence that was accepted.

    Attributes:
        claims: what it says.
        program: SHA-384 of the program's manifest, hexadecimal.
        reference: the reference value that it fits.
        ear: the signed result, a JWT.
        ear_id: its name in ledgers: ``sha256:...``.
        software_rooted: no hardware vouches for it; whatever comes of it must say so.
        made: when.
        until: when it must be made anew.
    """

    claims: Claims
    program: str
    reference: ReferenceValue
    ear: str
    ear_id: str
    software_rooted: bool
    made: datetime
    until: datetime

    def holds(self, now: datetime) -> bool:
        """Whether it still holds."""
        return self.made <= now + timedelta(seconds=limits.CLOCK_SKEW_SECONDS) and now < self.until


def appraise(
    evidence: Evidence,
    binding: Binding,
    *,
    now: datetime,
    room: Room,
    registry: Registry,
    policy: Policy,
    keys: KeyStore,
    activated: bool = False,
    purpose: Purpose = "enclave",
) -> Appraisal:
    """Appraise evidence, and sign the result.

    Args:
        evidence: from anybody.
        binding: what it must be bound to.
        now: the time, with its zone.
        room: in force, as this member knows it (`MemberDirectory.room`).
        registry: this member's reference values of the room.
        policy: this member's.
        keys: this member's; they sign the result.
        activated: of a TPM, a credential for this very endorsement and attestation key was activated, or what
            the result is used for can only be read by who activates one.
        purpose: what the program is about to be trusted as.

    Raises:
        Refused: with its code.
    """
    agreement = room.agreement
    judged = judge(
        evidence,
        binding,
        now=now,
        agreement=agreement,
        registry=registry,
        activated=activated,
        purpose=purpose,
    )
    me = _me(agreement, keys)
    if me in agreement.owners() - judged.reference.signers(agreement):
        # Where `signers` is less than all, the others decide for their own data only.
        raise Refused(
            Code.REFERENCE,
            f"{me!r} owns a table and has not signed for program {judged.reference.version!r} itself: look "
            "at it, then `hitoku attest reference sign`",
        )
    policy.check(facts(judged, agreement))
    made = now.astimezone(UTC)
    until = _until(judged, agreed(agreement), made)
    if until <= made:
        raise Refused(Code.EXPIRED, "what the evidence rests on ends now")
    ear = sign_ear(
        _result(evidence, binding, judged, agreement, registry, policy, me, made, until, activated), keys
    )
    return Appraisal(
        claims=judged.claims,
        program=judged.reference.program,
        reference=judged.reference,
        ear=ear,
        ear_id=ear_id(ear),
        software_rooted=judged.claims.software_rooted,
        made=made,
        until=until,
    )


def facts(judged: Judged, agreement: Agreement) -> Facts:
    """What a policy can speak of: the claims, the reference value, the room."""
    reference = judged.reference
    signers = reference.signers(agreement)
    found: dict[str, str | int | bool] = dict(judged.claims.flat())
    found |= {f"extra.{name}": found.pop(name) for name in list(found) if _reserved(name)}
    found |= {
        "program": reference.program,
        "purpose": reference.purpose,
        "reference.version": reference.version,
        "reference.serial": reference.serial,
        "reference.signers": len(signers),
        "room.id": str(agreement.id),
        "room.version": agreement.version,
    }
    found |= {f"reference.signed_by.{m.name}": m.name in signers for m in agreement.members}
    found |= {
        f"reference.source.{name}": value
        for name, value in reference.source.model_dump(exclude_none=True).items()
    }
    return found


def _reserved(name: str) -> bool:
    """Names that evidence must not fill: a claim called so would stand for what the appraisal found."""
    return name in {"program", "purpose"} or name.startswith(("reference.", "room.", "extra."))


def _until(judged: Judged, part: Attestation, made: datetime) -> datetime:
    ends = [
        made + timedelta(minutes=part.minutes),
        datetime.fromisoformat(judged.reference.not_after),
        *([judged.claims.not_after] if judged.claims.not_after is not None else []),
    ]
    return min(ends).astimezone(UTC)


def _vector(judged: Judged, part: Attestation) -> dict[str, int]:
    """AR4SI's trustworthiness claims (draft-ietf-rats-ar4si-10, section 2.3.4); what is not asserted is 0."""
    claims = judged.claims
    software, sealed = claims.software_rooted, claims.kind in _ENCRYPTED
    return {
        # Only where the room expects to recognise the instance.
        "instance-identity": 2 if part.hardware else 0,
        "configuration": 36 if software else 2,
        # The launcher or image measures all that is loaded; without hardware below it, nothing vouches for
        # that.
        "executables": 33 if software else 2,
        "file-system": 0,
        "hardware": 97 if software else 32 if claims.advisories else 2,
        "runtime-opaque": 96 if software else 2 if sealed else 0,
        "storage-opaque": 0,
        "sourced-data": 0,
    }


def _me(agreement: Agreement, keys: KeyStore) -> str:
    """Whose keys these are: the member whose key in the room verifies what they sign."""
    message = b"hitoku/ear-issuer/1\n" + agreement_hash(agreement).encode()
    signature = base64.b64encode(keys.sign(message)).decode()
    for member in agreement.members:
        if valid_signature(member.key, message, signature):
            return member.name
    raise Refused(Code.INTERNAL, "the key that would sign the result is no member's of the room")


def _result(
    evidence: Evidence,
    binding: Binding,
    judged: Judged,
    agreement: Agreement,
    registry: Registry,
    policy: Policy,
    me: str,
    made: datetime,
    until: datetime,
    activated: bool,
) -> dict[str, Any]:
    from hitoku._core import __version__

    claims, reference = judged.claims, judged.reference
    vector = _vector(judged, agreed(agreement))
    return {
        "eat_profile": PROFILE,
        "iss": me,
        "iat": int(made.timestamp()),
        "exp": int(until.timestamp()),
        "ear.verifier-id": {"developer": "hitoku", "build": f"hitoku {__version__}"},
        "submods": {
            str(claims.kind): {
                "ear.status": status(vector),
                "ear.trustworthiness-vector": vector,
                "ear.appraisal-policy-id": policy.digest,
                "eat_nonce": binding.nonce.hex(),
                "hitoku": {
                    "room": agreement_hash(agreement),
                    "program": reference.program,
                    "version": reference.version,
                    "purpose": reference.purpose,
                    "reference": digest("hitoku/reference-message/1", reference.message()),
                    "registry": {"serial": registry.serial, "digest": registry.digest},
                    "evidence": digest("hitoku/evidence/1", canonical_json(evidence.to_dict())),
                    "binding": hashlib.sha256(binding.digest).hexdigest(),
                    "software_rooted": claims.software_rooted,
                    "activated": activated,
                    "hardware_id": claims.hardware_id or "",
                    "not_checked": list(claims.not_checked),
                },
            }
        },
    }
