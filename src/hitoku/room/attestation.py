# SPDX-License-Identifier: Apache-2.0
"""What members agree on for attestation: which evidence counts, who signs for programs, who is trusted.

Evidence shows what program runs where. Each owner's key broker, and each node that attests mutually,
decides by itself; all of them decide by this part of the agreement, which every owner of a table has
signed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from hitoku import limits
from hitoku.room.naming import AgreementPart

__all__ = ["AcceptedKind", "Attestation", "Authority"]


class AcceptedKind(StrEnum):
    """Kinds of evidence that can name a program; each is equal to the `Kind` of that name.

    NVIDIA's is not among them: it tells which GPU there is, not what program uses it.
    """

    NITRO = "nitro"
    SEV_SNP = "sev-snp"
    TDX = "tdx"
    SGX = "sgx"
    TPM = "tpm"
    AZURE_SNP = "azure-snp"
    AZURE_TDX = "azure-tdx"
    DEV = "dev"


def _certificate(value: str) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        raw = base64.b64decode(value, validate=True)
        certificate = x509.load_der_x509_certificate(raw)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        same = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode() == value
    except (binascii.Error, ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        raise ValueError(
            "an authority is the base64 of a DER certificate of a certificate authority"
        ) from None
    if not same or not constraints.ca:
        raise ValueError("an authority is the base64 of a DER certificate of a certificate authority")
    return value


class Authority(AgreementPart):
    """Whose word is taken: the root CA of TPM endorsement keys, or a developer's key of `dev` evidence.

    Attributes:
        certificate: base64 of the CA's DER certificate.
        key: instead, the Ed25519 key that signs `dev` evidence.
        software: no hardware stands behind it (swtpm's own CA, every `dev` key). Said in every case, so that
            nobody takes a software TPM for hardware by leaving a word out.
    """

    certificate: (
        Annotated[str, Field(max_length=limits.MAX_AUTHORITY_CHARS), AfterValidator(_certificate)] | None
    ) = None
    key: Annotated[str, Field(pattern=r"^ed25519:[A-Za-z0-9+/]{43}=$")] | None = None
    software: Annotated[bool, Field(strict=True)]

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of the DER certificate as hexadecimal; None for a key."""
        if self.certificate is None:
            return None
        return hashlib.sha256(base64.b64decode(self.certificate)).hexdigest()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.certificate is None) == (self.key is None):
            raise ValueError("an authority is a certificate or a key, one of them")
        if self.key is not None and not self.software:
            raise ValueError("a dev key is never hardware: its authority needs `software: true`")
        return self


class Attestation(AgreementPart):
    """Attestation in a room.

    Attributes:
        accept: the kinds of evidence that count; no other is even read.
        signers: how many owners of tables must have signed a program's reference values; no other member's
            signature counts, and whoever owns a table gives its keys only to what it signed itself. Where
            nothing is said, every owner must have.
        software: evidence that no hardware vouches for is accepted, and all that comes of it says so. It
            shows how things go and protects nothing: who runs the machine can make such evidence of
            anything.
        authorities: where some are certificates, a TPM must prove that its endorsement key is certified by
            one of them; where some are keys, `dev` evidence must be signed by one of them. Without them a
            TPM and `dev` evidence are software, of anybody's.
        hardware: identities of the only pieces of hardware that may be used (chip id, PPID, parent instance,
            endorsement key); empty where any may.
        advisories: open security advisories that are accepted, as the vendor numbers them.
        crosstab: private cross statistics need mutual attestation of both nodes.
        minutes: how long an appraisal holds.
    """

    accept: Annotated[tuple[AcceptedKind, ...], Field(min_length=1, max_length=len(AcceptedKind))]
    signers: Annotated[int, Field(ge=1, le=limits.MAX_MEMBERS, strict=True)] | None = None
    software: Annotated[bool, Field(strict=True)] = False
    authorities: Annotated[tuple[Authority, ...], Field(max_length=limits.MAX_AUTHORITIES)] = ()
    hardware: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[0-9a-z][0-9a-z._:-]{0,191}$")], ...],
        Field(max_length=limits.MAX_HARDWARE_IDS),
    ] = ()
    advisories: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{2,63}$")], ...],
        Field(max_length=limits.MAX_ADVISORIES),
    ] = ()
    crosstab: Annotated[bool, Field(strict=True)] = False
    minutes: Annotated[int, Field(ge=1, le=24 * 60, strict=True)] = 60

    @model_validator(mode="after")
    def _check(self) -> Self:
        for what, names in (
            ("kinds of evidence", list(self.accept)),
            ("authorities", [a.certificate or a.key for a in self.authorities]),
            ("hardware identities", list(self.hardware)),
            ("advisories", list(self.advisories)),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"attestation: two {what} are the same")
        return self
