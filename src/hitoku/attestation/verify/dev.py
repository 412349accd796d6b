# SPDX-License-Identifier: Apache-2.0
"""`dev` evidence: what a key on disk says of a program. It shows how things go and proves nothing.

Content: the RFC 8785 form of ``{"signature": base64, "statement": {...}}``; the Ed25519 signature is over the
domain ``hitoku/dev-evidence/1``, a line feed, and the RFC 8785 form of the statement ``{"key", "made_at",
"measurements": {"program"}, "report_data", "version": 1}``. Always software-rooted: whoever has the key can
say anything, and what is measured is what the attester was told.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hitoku import limits
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.tpm2.pcrs import json_of
from hitoku.errors import RoomError
from hitoku.room.canonical import canonical_json
from hitoku.room.keys import valid_signature

__all__ = ["DOMAIN", "TIME", "verify"]

DOMAIN: Final = b"hitoku/dev-evidence/1\n"
TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_MOST: Final = 8_192
_KEY: Final = re.compile(r"ed25519:[A-Za-z0-9+/]{43}=")
_PROGRAM: Final = re.compile(r"[0-9a-f]{96}")
_REPORT_DATA: Final = re.compile(r"[0-9a-f]{128}")
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9+/]{86}==")


def verify(evidence: Evidence, now: datetime) -> Claims:
    """Check form and signature, and that it is not of the future; age and key are the appraisal's.

    Raises:
        Refused: ``MALFORMED``, ``UNSUPPORTED``, ``SIGNATURE`` or ``NOT_YET``.
    """
    if len(evidence.content) > _MOST:
        raise Refused(Code.MALFORMED, f"dev evidence has at most {_MOST} bytes")
    data = json_of(evidence.content, "dev evidence")
    if not isinstance(data, dict) or data.keys() != {"signature", "statement"}:
        raise Refused(Code.MALFORMED, "dev evidence is an object of `signature` and `statement`")
    statement = data["statement"]
    names = {"key", "made_at", "measurements", "report_data", "version"}
    if not isinstance(statement, dict) or statement.keys() != names:
        raise Refused(Code.MALFORMED, f"the statement is an object of {', '.join(sorted(names))}")
    if statement["version"] != 1 or statement["version"] is True:
        raise Refused(Code.UNSUPPORTED, "dev evidence is not of version 1")
    measurements = statement["measurements"]
    if not isinstance(measurements, dict) or measurements.keys() != {"program"}:
        raise Refused(Code.MALFORMED, "the statement measures `program` alone")
    program = _text(measurements["program"], _PROGRAM, "program")
    key = _text(statement["key"], _KEY, "key")
    report_data = bytes.fromhex(_text(statement["report_data"], _REPORT_DATA, "report_data"))
    made_at = _time(statement["made_at"])
    signature = _text(data["signature"], _SIGNATURE, "signature")
    try:
        if canonical_json(data) != evidence.content:
            raise Refused(Code.MALFORMED, "dev evidence is not in its canonical form")
        message = DOMAIN + canonical_json(statement)
    except RoomError:
        raise Refused(Code.MALFORMED, "dev evidence has no canonical form") from None
    if not valid_signature(key, message, signature):
        raise Refused(Code.SIGNATURE, "the statement is not signed by the key that it names")
    if made_at > now + timedelta(seconds=limits.CLOCK_SKEW_SECONDS):
        raise Refused(Code.NOT_YET, "the statement is of the future")
    return Claims(
        kind=Kind.DEV,
        measurements={"program": program},
        report_data=report_data,
        software_rooted=True,
        hardware_id=hashlib.sha256(key.encode()).hexdigest(),
        made_at=made_at,
        extra={"key": key},
        not_checked=("anything: whoever has the key can say what he likes",),
    )


def _text(value: Any, pattern: re.Pattern[str], name: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Refused(Code.MALFORMED, f"`{name}` is not in its form")
    return value


def _time(value: Any) -> datetime:
    try:
        made = datetime.strptime(value, TIME).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        raise Refused(Code.MALFORMED, "`made_at` is not in its form") from None
    if made.strftime(TIME) != value:
        raise Refused(Code.MALFORMED, "`made_at` is not in its form")
    return made
