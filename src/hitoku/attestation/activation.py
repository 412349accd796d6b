# SPDX-License-Identifier: Apache-2.0
"""Credentials within a handshake: a secret that only the TPM of the evidence can recover.

Evidence of a TPM is signed by an attestation key. That this key is in the same TPM as the endorsement key
beside it, which has a certificate, is proven by TPM2_ActivateCredential alone (TPM 2.0 part 1, section 24).
"""

from __future__ import annotations

from hitoku.attestation.evidence import Evidence, Kind

__all__ = ["challenge", "possible"]


def possible(evidence: Evidence) -> bool:
    """Whether a credential can be made for what made that evidence."""
    return evidence.kind is Kind.TPM and "ek" in evidence.endorsements


def challenge(evidence: Evidence) -> tuple[bytes, bytes]:
    """A credential, and the secret that is in it; both empty where none can be made.

    Raises:
        Refused: the endorsement key or the attestation key cannot be read.
    """
    if not possible(evidence):
        return b"", b""
    from hitoku.attestation import credential

    return credential.challenge(evidence.endorsements)
