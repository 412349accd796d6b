# SPDX-License-Identifier: Apache-2.0
"""Why evidence is refused: stable codes, and the one exception that carries them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from hitoku.errors import HitokuError

__all__ = ["Code", "Refused"]


class Code(StrEnum):
    """Stable codes of refusals; scripts and ledgers rely on them."""

    MALFORMED = "MALFORMED"
    """The bytes are no evidence of the kind: form, length, trailing bytes, a field out of range."""
    UNSUPPORTED = "UNSUPPORTED"
    """A kind, version or algorithm that is not verified here."""
    MISSING_ENDORSEMENT = "MISSING_ENDORSEMENT"
    """A certificate, collateral or key that the check needs is not there."""
    UNTRUSTED_ROOT = "UNTRUSTED_ROOT"
    """The chain does not end in a pinned root."""
    CHAIN = "CHAIN"
    """A certificate of the chain does not hold: issuer, signature, constraints, key usage."""
    SIGNATURE = "SIGNATURE"
    """The evidence's own signature is wrong."""
    EXPIRED = "EXPIRED"
    """A certificate, collateral, revocation list or the evidence is past its time."""
    NOT_YET = "NOT_YET"
    """A certificate, collateral or the evidence is of the future."""
    REVOKED = "REVOKED"
    """A certificate, key, TCB or reference value was revoked."""
    DEBUG = "DEBUG"
    """What runs can be looked into."""
    TCB = "TCB"
    """Firmware or microcode is below what is asked, or has open advisories."""
    HARDWARE_MISMATCH = "HARDWARE_MISMATCH"
    """The endorsement is of another chip, product or security version than the evidence."""
    HARDWARE_NOT_ALLOWED = "HARDWARE_NOT_ALLOWED"
    """The hardware's identity is not on the allow-list."""
    NONCE_MISMATCH = "NONCE_MISMATCH"
    """The evidence answers another challenge, or none."""
    NONCE_USED = "NONCE_USED"
    """The challenge was answered before."""
    CHALLENGE_EXPIRED = "CHALLENGE_EXPIRED"
    """The challenge is too old, or unknown."""
    BINDING = "BINDING"
    """The evidence is bound to another key, room, run, role or broker."""
    MEASUREMENT_MISMATCH = "MEASUREMENT_MISMATCH"
    """What runs is not a program that the members signed for."""
    SOFTWARE_ROOTED = "SOFTWARE_ROOTED"
    """No hardware vouches for it, and the room does not allow that."""
    POLICY = "POLICY"
    """A policy does not allow it; the default is to refuse."""
    REFERENCE = "REFERENCE"
    """Reference values lack signatures, are rolled back, or do not hold."""
    EXPECTATION = "EXPECTATION"
    """A claim is not what the caller said that it must be."""
    TOMBSTONED = "TOMBSTONED"
    """The key is deleted; it is never released again."""
    KEY_REVOKED = "KEY_REVOKED"
    """The key's job was ended."""
    ALREADY_RELEASED = "ALREADY_RELEASED"
    """The key was released to as many workers as the run has."""
    NO_SUCH_KEY = "NO_SUCH_KEY"
    """No such key is held for that run and host."""
    HANDSHAKE = "HANDSHAKE"
    """A message of the mutual attestation is out of order, reflected, replayed or of another session."""
    INTERNAL = "INTERNAL"
    """The verifier itself failed; that refuses too."""


class Refused(HitokuError):
    """Evidence, or what rests on it, is refused.

    Attributes:
        code: why, stable.
        detail: one sentence: what, where, what to do. Never a key or a value of a table.
    """

    exit_code = 3

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail

    def to_dict(self) -> dict[str, Any]:
        """The refusal as JSON-ready data."""
        return {"error": "Refused", "code": str(self.code), "message": self.detail}
