# SPDX-License-Identifier: Apache-2.0
"""Evidence: what an attester sends, with the endorsements that its check needs.

On the wire it is a CMW, the conceptual message wrapper of draft-ietf-rats-msg-wrap in its JSON array form:
``[media type, base64url of the bytes]``, beside the endorsements by name.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from hitoku import limits
from hitoku.attestation.codes import Code, Refused

__all__ = ["Evidence", "Kind"]

_MEDIA: Final = "application/vnd.hitoku.evidence."
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Kind(StrEnum):
    """Kinds of evidence; each has its verifier."""

    NITRO = "nitro"
    SEV_SNP = "sev-snp"
    TDX = "tdx"
    SGX = "sgx"
    TPM = "tpm"
    AZURE_SNP = "azure-snp"
    AZURE_TDX = "azure-tdx"
    NVIDIA = "nvidia"
    DEV = "dev"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence of one kind.

    Attributes:
        kind: which verifier reads it.
        content: the bytes as the platform made them.
        endorsements: what the check needs beside it, by name (``vcek``, ``chain``, ``collateral``, ``crl``,
            ``signature``, ``ak``, ``ek``, ``pcrs``, ``log`` ...), as each verifier's page says.
    """

    kind: Kind
    content: bytes
    endorsements: Mapping[str, bytes] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "cmw": [_MEDIA + self.kind, _base64url(self.content)],
            "endorsements": {n: _base64url(c) for n, c in sorted(self.endorsements.items())},
        }

    @classmethod
    def from_dict(cls, data: object) -> Evidence:
        """Read what `to_dict` made, from anybody.

        Raises:
            Refused: ``MALFORMED`` or ``UNSUPPORTED``.
        """
        if not isinstance(data, dict) or set(data) != {"cmw", "endorsements"}:
            raise Refused(Code.MALFORMED, "evidence is an object of `cmw` and `endorsements`")
        cmw, endorsements = data["cmw"], data["endorsements"]
        if not isinstance(cmw, list) or len(cmw) != 2 or not isinstance(cmw[0], str):
            raise Refused(Code.MALFORMED, "`cmw` is an array of a media type and the bytes")
        try:
            kind = Kind(cmw[0].removeprefix(_MEDIA))
        except ValueError:
            raise Refused(Code.UNSUPPORTED, "evidence of a kind that is not known here") from None
        if not cmw[0].startswith(_MEDIA):
            raise Refused(Code.UNSUPPORTED, "evidence of a kind that is not known here")
        if not isinstance(endorsements, dict) or len(endorsements) > limits.MAX_ENDORSEMENTS:
            raise Refused(Code.MALFORMED, "`endorsements` are an object, and few")
        named = {}
        for name, content in endorsements.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise Refused(Code.MALFORMED, "an endorsement's name is not valid")
            named[name] = _bytes(content)
        return cls(kind, _bytes(cmw[1]), named)


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(value: object) -> bytes:
    most = limits.MAX_EVIDENCE_BYTES
    if not isinstance(value, str) or len(value) > most * 4 // 3 + 4:
        raise Refused(Code.MALFORMED, f"bytes are base64url text of at most {most} bytes")
    try:
        raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Refused(Code.MALFORMED, "bytes are base64url text") from None
    if _base64url(raw) != value:
        raise Refused(Code.MALFORMED, "bytes are base64url text without padding, in one spelling")
    return raw
