# SPDX-License-Identifier: Apache-2.0
"""What a file is, told from its bytes: evidence of which kind, and which endorsement is which.

For people and scripts who hold files (`hitoku attest verify`). Nothing here is a check: a file that is taken
for the wrong kind is refused by that kind's verifier. What is no evidence, or none that is verified here, is
refused with a sentence that says what it is.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from hitoku import limits
from hitoku.attestation import azure_files, intel_files, quote, spdm
from hitoku.attestation.certificates import certificates
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.endorsements import holds_certificates, sort
from hitoku.attestation.evidence import Evidence, Kind

__all__ = ["recognise"]

_SNP_SIZES: Final = range(0x2A0, 0x4A0 + 0x100)
_ES384_HEADER: Final = bytes.fromhex("44a1013822")
_HEX: Final = re.compile(rb"\s*(?:0[xX])?((?:[0-9a-fA-F]{2}\s*){32,})")
_BASE64: Final = re.compile(rb"\s*((?:[A-Za-z0-9+/_-]\s*){64,}(?:=\s*){0,2})")
_JWT: Final = re.compile(rb"\s*[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\s*")
_TOKENS: Final = {"eat_profile", "submods", "ear.status", "eat_nonce"}
_INTELS: Final = {Kind.TDX, Kind.SGX, Kind.AZURE_TDX}
_COLLATERAL: Final = {"tcb_info", "tcbInfo", "enclaveIdentity", "qe_identity"}


def recognise(content: bytes, endorsements: Sequence[bytes] = ()) -> Evidence:
    """Evidence of the kind that the bytes show, with the endorsements under their names.

    Taken are the platforms' own bytes, their hexadecimal or base64 text, a certificate that carries a Nitro
    document, the JSON of Azure's and NVIDIA's tools, and hitoku's own JSON. Endorsements in any order; what
    evidence of that kind has no use for is left out.

    Args:
        content: of the file.
        endorsements: of the files beside it.

    Raises:
        Refused: ``UNSUPPORTED`` for what is no evidence or of no kind that is verified here, ``MALFORMED``.
    """
    for part in (content, *endorsements):
        if len(part) > limits.MAX_EVIDENCE_BYTES:
            raise Refused(Code.MALFORMED, f"a file is larger than {limits.MAX_EVIDENCE_BYTES} bytes")
    if not content.strip():
        raise Refused(Code.MALFORMED, "the file is empty")
    return (
        _binary(content, endorsements) or _certificate(content, endorsements) or _text(content, endorsements)
    )


def _binary(content: bytes, endorsements: Sequence[bytes]) -> Evidence | None:
    if quote.is_quote(content):
        kind = Kind.TDX if content[4] else Kind.SGX
        return _evidence(kind, content, endorsements)
    if spdm.is_measured(content):
        return _evidence(Kind.NVIDIA, content, endorsements)
    if azure_files.is_part(content, endorsements):
        kind, whole, rest = azure_files.wrap(content, endorsements)
        return _evidence(kind, whole, rest)
    if content[:6] == bytes.fromhex("ff5443478018"):
        return _evidence(Kind.TPM, content, endorsements)
    if _is_report(content):
        return _evidence(Kind.SEV_SNP, content, endorsements)
    if content[:1] in {b"\x84", b"\xd2", b"\xd9"}:
        return _cbor(content, endorsements)
    return None


def _is_report(content: bytes) -> bool:
    """A report of SEV-SNP: its version, its algorithm, and about its length."""
    return (
        len(content) in _SNP_SIZES
        and 1 <= int.from_bytes(content[:4], "little") < 16
        and int.from_bytes(content[0x34:0x38], "little") == 1
    )


def _cbor(content: bytes, endorsements: Sequence[bytes]) -> Evidence:
    body = content.removeprefix(b"\xd2").removeprefix(b"\x84")
    if body.startswith(_ES384_HEADER) or b"\x69module_id" in content or b"\x68cabundle" in content:
        return _evidence(Kind.NITRO, content, endorsements)
    if content[:3] in {bytes.fromhex("d901f5"), bytes.fromhex("d901f6")}:
        raise _unsupported("a CoRIM, which holds reference values or endorsements and is no evidence")
    if content[:3] == bytes.fromhex("d9018f"):
        raise _unsupported("a token of Arm CCA")
    raise _unsupported("a CBOR or COSE message of another kind, such as a PSA token")


def _certificate(content: bytes, endorsements: Sequence[bytes]) -> Evidence | None:
    """A certificate that carries a Nitro document, which must then be bound to the certificate's key."""
    if not holds_certificates(content):
        return None
    from hitoku.attestation.verify.nitro import document_in_certificate

    carrier = certificates(content)[0]
    document = document_in_certificate(carrier)
    if document is None:
        raise _unsupported("a certificate without a document in it: an endorsement, not evidence")
    found = _evidence(Kind.NITRO, document, endorsements)
    return Evidence(found.kind, document, {**found.endorsements, "certificate": carrier.der})


def _text(content: bytes, endorsements: Sequence[bytes]) -> Evidence:
    stripped = content.strip()
    if stripped[:1] in {b"{", b"["}:
        return _json(stripped, endorsements)
    if _JWT.fullmatch(stripped):
        raise _unsupported("a signed token (JWT): another verifier's result, which is no evidence")
    if stripped[:1] == b"<":
        raise _unsupported("XML, such as a reference manifest")
    if stripped.startswith(b"-----BEGIN "):
        raise _unsupported("a PEM file without a certificate: an endorsement or a key, not evidence")
    decoded = _decoded(content)
    found = None if decoded is None else _binary(decoded, endorsements) or _certificate(decoded, endorsements)
    if found is None:
        raise _unsupported("bytes of no kind that is known")
    return found


def _decoded(content: bytes) -> bytes | None:
    """What hexadecimal or base64 text stands for."""
    match = _HEX.fullmatch(content)
    if match:
        return bytes.fromhex(b"".join(match[1].split()).decode())
    match = _BASE64.fullmatch(content)
    if match is None:
        return None
    try:
        text = b"".join(match[1].split()).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None


def _json(content: bytes, endorsements: Sequence[bytes]) -> Evidence:
    try:
        data: Any = json.loads(content)
    except (ValueError, RecursionError):
        raise Refused(Code.MALFORMED, "the file looks like JSON but cannot be read") from None
    if isinstance(data, dict) and "cmw" in data:
        found = Evidence.from_dict(data)
        beside = _beside(found.kind, found.content, endorsements, found.endorsements)
        return Evidence(found.kind, found.content, {**found.endorsements, **beside})
    gpus = _gpus(data)
    if gpus is not None:
        return _evidence(Kind.NVIDIA, json.dumps(gpus).encode(), endorsements)
    if isinstance(data, list):
        raise _unsupported("a JSON array of another kind, such as a detached token of NVIDIA's service")
    if data.keys() == {"signature", "statement"}:
        return _evidence(Kind.DEV, content, endorsements)
    if azure_files.is_part(content, endorsements):
        kind, whole, rest = azure_files.wrap(content, endorsements)
        return _evidence(kind, whole, rest)
    azure = azure_files.kind_of(data)
    if azure is not None:
        return _evidence(azure, content, endorsements)
    if "platform" in data:
        raise _unsupported("evidence of another platform than az-snp and az-tdx in this wrapper")
    if data.keys() & _TOKENS:
        raise _unsupported("a token or an attestation result: another verifier's word, which is no evidence")
    if data.keys() & _COLLATERAL:
        raise _unsupported("Intel's collateral: an endorsement, not evidence")
    if "kty" in data or "keys" in data:
        raise _unsupported("a key, which is no evidence")
    raise _unsupported("JSON of no kind that is known")


def _gpus(data: object) -> list[Any] | None:
    """NVIDIA's forms: an array of devices, one device, or a request to NVIDIA's service."""
    if isinstance(data, dict) and isinstance(data.get("evidence_list"), list):
        nonce = {"nonce": data["nonce"]} if "nonce" in data else {}
        data = [{**nonce, **one} if isinstance(one, dict) else one for one in data["evidence_list"]]
    elif isinstance(data, dict):
        data = [data]
    if not isinstance(data, list) or not data:
        return None
    return (
        data
        if all(isinstance(one, dict) and {"evidence", "certificate"} <= one.keys() for one in data)
        else None
    )


def _evidence(kind: Kind, content: bytes, endorsements: Sequence[bytes]) -> Evidence:
    return Evidence(kind, content, _beside(kind, content, endorsements))


def _beside(
    kind: Kind, content: bytes, files: Sequence[bytes], known: Mapping[str, bytes] = MappingProxyType({})
) -> dict[str, bytes]:
    """Endorsements by their names; Intel's collateral also from its pieces, where it is not there whole."""
    found = sort(kind, files)
    if kind not in _INTELS or "collateral" in {*found, *known}:
        return found
    of = azure_files.td_quote(content) if kind is Kind.AZURE_TDX else content
    whole = None if of is None else intel_files.collateral(of, files)
    return found if whole is None else {**found, "collateral": whole}


def _unsupported(what: str) -> Refused:
    return Refused(Code.UNSUPPORTED, f"the file is {what}")
