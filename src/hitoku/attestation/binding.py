# SPDX-License-Identifier: Apache-2.0
"""What evidence is bound to, as bytes that fit each platform's field.

Every part is preceded by its length, so that no two lists of parts give the same bytes; the domain keeps
kinds of bindings apart.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Kind

__all__ = ["Binding", "bound"]


@dataclass(frozen=True, slots=True)
class Binding:
    """What fresh evidence must be bound to.

    Attributes:
        nonce: the challenge's 32 bytes.
        digest: 64 bytes: `bound` over all that the evidence speaks for, the nonce among it.
    """

    nonce: bytes
    digest: bytes

    def report_data(self, kind: Kind) -> bytes:
        """The bytes in the field that the attester fills: 64, or their SHA-256 where a field is shorter."""
        if kind in {Kind.TPM, Kind.AZURE_SNP, Kind.AZURE_TDX, Kind.NVIDIA}:
            return hashlib.sha256(self.digest).digest()
        return self.digest

    def check(self, claims: Claims) -> None:
        """Compare in constant time.

        Raises:
            Refused: ``NONCE_MISMATCH`` or ``BINDING``.
        """
        if claims.nonce is not None and not hmac.compare_digest(claims.nonce, self.nonce):
            raise Refused(Code.NONCE_MISMATCH, "the evidence answers another challenge")
        if claims.kind is Kind.NITRO and claims.nonce is None:
            raise Refused(Code.NONCE_MISMATCH, "the evidence has no nonce")
        if not hmac.compare_digest(claims.report_data, self.report_data(claims.kind)):
            raise Refused(
                Code.BINDING, "the evidence is bound to another challenge, key, room, run, role or broker"
            )


def bound(domain: str, parts: Iterable[bytes]) -> bytes:
    """SHA-512 over a domain and parts, each preceded by its length as 8 bytes, big-endian. 64 bytes."""
    content = hashlib.sha512()
    for part in (domain.encode(), *parts):
        content.update(len(part).to_bytes(8, "big"))
        content.update(part)
    return content.digest()
