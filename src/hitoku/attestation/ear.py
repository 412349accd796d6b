# SPDX-License-Identifier: Apache-2.0
"""Results of appraisals as EAR: an EAT attestation result, a JWT that the appraising member signs (EdDSA).

Claim names are those of draft-ietf-rats-ear up to -02, which Veraison and Trustee use, under the profile
that goes with them; -03 writes them with underscores. The trustworthiness vector is AR4SI's
(draft-ietf-rats-ar4si-10, section 2.3). What hardware does not vouch for says so in every result:
``hardware`` is 97, "not recognised, but it should be", and the status is ``contraindicated``, although the
room's agreement lets it pass.

A signing input of a JWT begins with ``eyJ`` (``{"`` in base64url) and everything else that a member signs
with ``hitoku/``, so no signature can be taken for one of another kind (RFC 7515; `hitoku.room.signing`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from hitoku import limits
from hitoku.attestation.codes import Code, Refused
from hitoku.errors import RoomError
from hitoku.ports import KeyStore
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import canonical_json, digest
from hitoku.room.keys import valid_signature

__all__ = ["PROFILE", "ear_id", "issued_at", "sign_ear", "status", "verify_ear"]

PROFILE: Final = "tag:github.com,2023:veraison/ear"
_HEADER: Final = {"alg": "EdDSA", "typ": "JWT"}
_TIERS: Final = ("none", "affirming", "warning", "contraindicated")


def _tier(value: int) -> int:
    """The place of a value's trustworthiness tier, worst last (AR4SI, section 2.3.2)."""
    if -1 <= value <= 1:
        return 0
    size = value if value > 0 else -value - 1
    return 1 if size <= 31 else 2 if size <= 95 else 3


def status(vector: Mapping[str, int]) -> str:
    """The status that a vector allows: its worst tier."""
    return _TIERS[max((_tier(v) for v in vector.values()), default=0)]


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _encode(raw) != text:
        raise ValueError
    return raw


def sign_ear(claims: Mapping[str, Any], keys: KeyStore) -> str:
    """The result as a compact JWT.

    Args:
        claims: the claims set, JSON-ready.
        keys: of the member that appraised.
    """
    head = _encode(canonical_json(_HEADER))
    body = _encode(canonical_json(claims))
    signature = keys.sign(f"{head}.{body}".encode())
    return f"{head}.{body}.{_encode(signature)}"


def ear_id(ear: str) -> str:
    """What ledgers and release messages call a result: ``sha256:...`` of its text."""
    return digest("hitoku/ear/1", ear.encode())


def issued_at(ear: str) -> datetime:
    """When a result says that it was made; nothing else of it is looked at.

    Whoever relies on what was accepted then checks the result as of then (`verify_ear`): it holds for a while
    only, and is needed longer.

    Raises:
        Refused: ``MALFORMED``.
    """
    try:
        body = ear.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return datetime.fromtimestamp(claims["iat"], UTC)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, OSError, RecursionError):
        raise Refused(Code.MALFORMED, "the appraisal is no EAR") from None


def verify_ear(ear: str, agreement: Agreement, now: datetime) -> dict[str, Any]:
    """Check a result that another member made.

    Its signature by the member that it names, its form, its time. Not whether one agrees with it: every owner
    appraises by itself, results are for audit.

    Returns:
        The claims set.

    Raises:
        Refused: ``MALFORMED``, ``SIGNATURE``, ``NOT_YET`` or ``EXPIRED``.
    """
    parts = ear.split(".") if len(ear) <= limits.MAX_EAR_CHARS else []
    if len(parts) != 3:
        raise Refused(Code.MALFORMED, "a result is a compact JWT")
    try:
        header, body, signature = (_decode(part) for part in parts)
        # Compared as bytes: no algorithm or key of the token's own choice is ever looked at.
        if header != canonical_json(_HEADER):
            raise ValueError
        claims = json.loads(body)
        if not isinstance(claims, dict) or canonical_json(claims) != body:
            raise ValueError
        member = claims["iss"]
        issued, ends = claims["iat"], claims["exp"]
        vectors = [
            (sub["ear.status"], sub["ear.trustworthiness-vector"]) for sub in claims["submods"].values()
        ]
        if claims["eat_profile"] != PROFILE or "build" not in claims["ear.verifier-id"]:
            raise ValueError
        if type(issued) is not int or type(ends) is not int:
            raise ValueError
        if not vectors or any(said != status(vector) for said, vector in vectors):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RoomError, RecursionError):
        raise Refused(Code.MALFORMED, "not a result of the profile that hitoku writes") from None
    who = agreement.member(member) if isinstance(member, str) else None
    if who is None or not valid_signature(
        who.key, f"{parts[0]}.{parts[1]}".encode(), base64.b64encode(signature).decode()
    ):
        raise Refused(Code.SIGNATURE, "the result is not signed by the member of the room that it names")
    seconds = now.astimezone(UTC).timestamp()
    if issued > seconds + limits.CLOCK_SKEW_SECONDS:
        raise Refused(Code.NOT_YET, "the result is of the future")
    if ends < seconds:
        raise Refused(Code.EXPIRED, "the result does not hold any more")
    return claims
