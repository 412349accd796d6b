# SPDX-License-Identifier: Apache-2.0
"""Azure's confidential virtual machines: a vTPM's quote, whose key the hardware vouches for.

Content: the JSON that collectors on Azure write, ``{"platform": "az-snp" | "az-tdx", "evidence": {"version":
1, "tpm_quote": {"signature": hex, "message": hex, "pcrs": [hex, ...]}, "hcl_report": base64url, "vcek" |
"td_quote": base64url}}``, or its inner object alone. Endorsements: of SEV-SNP ``vcek`` (unless it is inside),
``chain``, ``crl``; of TDX ``collateral``.

The guest does not talk to the hardware. Firmware below it, the paravisor (HCL), owns the vTPM and gets a
hardware report over the hash of its "runtime data", a JSON text with the vTPM's attestation key HCLAkPub. So:

1. the hardware's report is checked as any other (`sev_snp`, `tdx`), its debug and TCB too;
2. it was asked for by the paravisor, not by the guest above it: of SEV-SNP by privilege level 0 (VMPL). A
   guest that could get a report of its own could vouch for any key;
3. the SHA-256 of the runtime data is the first half of the report's report_data;
4. HCLAkPub signed the quote: who puts another machine's quote, or a key of his own, beside genuine evidence
   fails here or at 3 (key substitution);
5. the quote as any TPM's (`hitoku.attestation.verify.tpm`).

Measurements are the hardware's, which name the paravisor and are the same for all guests, and the vTPM's
PCRs, which name what the guest booted and runs. The claims' `report_data` is the quote's extraData: the guest
cannot write the hardware's. Layout of the report: Microsoft, "Guest attestation for confidential VMs design
detail", and the structures of azure-cvm-tooling.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.tpm2 import wire
from hitoku.attestation.tpm2.pcrs import json_of
from hitoku.attestation.tpm2.structures import Signature
from hitoku.attestation.verify import sev_snp, tdx
from hitoku.attestation.verify.tpm import claims_of_pcrs, quoted

__all__ = ["Report", "parse", "verify"]

_PLATFORMS: Final = {Kind.AZURE_SNP: "az-snp", Kind.AZURE_TDX: "az-tdx"}
_OWN: Final = {Kind.AZURE_SNP: "vcek", Kind.AZURE_TDX: "td_quote"}
_TYPES: Final = {Kind.AZURE_SNP: 2, Kind.AZURE_TDX: 4}
_HEADER, _REPORT, _RUNTIME = 0x20, 0x4A0, 20
_VMPL: Final = 0x30
_SHA256: Final = 1
_MOST_PCRS: Final = 24
_HEX: Final = re.compile(r"([0-9a-f]{2})*")
_FACTS: Final = {
    "secure-boot": "secure_boot",
    "tpm-enabled": "tpm_enabled",
    "console-enabled": "console_enabled",
}


@dataclass(frozen=True, slots=True)
class Report:
    """Azure's report (HCL report), read but not yet checked.

    Attributes:
        type: 2 where the hardware is SEV-SNP, 4 where it is TDX.
        hardware: the hardware's report: of SEV-SNP whole, of TDX without a signature (the quote has it).
        runtime: the bytes whose hash the hardware's report has.
        key: HCLAkPub, the vTPM's attestation key.
        facts: what the paravisor says of the guest's configuration.
    """

    type: int
    hardware: bytes
    runtime: bytes
    key: rsa.RSAPublicKey
    facts: Mapping[str, bool]


def parse(content: bytes) -> Report:
    """Read Azure's report.

    Raises:
        Refused: ``MALFORMED``, or ``UNSUPPORTED`` for a hash other than SHA-256.
    """
    if content[:4] != b"HCLA" or len(content) < _HEADER + _REPORT + _RUNTIME:
        raise Refused(Code.MALFORMED, "Azure's report does not begin with HCLA, or is too short")
    start = _HEADER + _REPORT
    fields = [int.from_bytes(content[at : at + 4], "little") for at in range(start, start + _RUNTIME, 4)]
    _, _, kind, hashed, size = fields
    if hashed != _SHA256:
        raise Refused(Code.UNSUPPORTED, "Azure's report is not bound to its runtime data with SHA-256")
    runtime = content[start + _RUNTIME : start + _RUNTIME + size]
    if len(runtime) != size:
        raise Refused(Code.MALFORMED, "Azure's runtime data end too early")
    data = json_of(runtime, "Azure's runtime data")
    keys = data.get("keys") if isinstance(data, dict) else None
    if not isinstance(keys, list):
        raise Refused(Code.MALFORMED, "Azure's runtime data have no keys")
    ours = [key for key in keys if isinstance(key, dict) and key.get("kid") == "HCLAkPub"]
    if len(ours) != 1:
        raise Refused(Code.MALFORMED, "Azure's runtime data have not one key HCLAkPub")
    said = data.get("vm-configuration")
    said = said if isinstance(said, dict) else {}
    facts = {ours: said[name] for name, ours in _FACTS.items() if isinstance(said.get(name), bool)}
    return Report(kind, content[_HEADER:start], runtime, _key(ours[0]), facts)


def verify(evidence: Evidence, now: datetime) -> Claims:
    """Check the hardware's word for the vTPM, and the vTPM's quote.

    Raises:
        Refused: with its code; ``BINDING`` where the parts are not of one machine.
    """
    parts = _parts(evidence)
    report = parse(_base64(parts.get("hcl_report"), "hcl_report"))
    if report.type != _TYPES[evidence.kind]:
        raise Refused(Code.MALFORMED, "Azure's report is of other hardware than the evidence says")
    if evidence.kind is Kind.AZURE_SNP:
        hardware = sev_snp.verify(_snp(evidence, parts, report), now)
    else:
        hardware = tdx.verify(_tdx(evidence, parts), now)
    if not hmac.compare_digest(hardware.report_data[:32], hashlib.sha256(report.runtime).digest()):
        raise Refused(Code.BINDING, "the hardware does not vouch for these runtime data and the key in them")
    message, signature = _quote(parts)
    _same_key(report.key, signature, message)
    attest = quoted(message, report.key, Signature(wire.RSASSA, rsa=signature))
    measurements, extra = claims_of_pcrs(attest, _pcrs(parts))
    return replace(
        hardware,
        kind=evidence.kind,
        measurements={**hardware.measurements, **measurements},
        report_data=attest.extra_data,
        extra={**hardware.extra, **extra, **report.facts},
    )


# --- the JSON around it ---


def _parts(evidence: Evidence) -> dict[str, Any]:
    """The inner object."""
    data = json_of(evidence.content, "Azure's evidence")
    if isinstance(data, dict) and "evidence" in data:
        if data.keys() != {"platform", "evidence"} or data["platform"] != _PLATFORMS[evidence.kind]:
            raise Refused(Code.MALFORMED, "the evidence is of another platform than it is taken for")
        data = data["evidence"]
    known = {"version", "tpm_quote", "hcl_report", _OWN[evidence.kind]}
    if not isinstance(data, dict) or not data.keys() <= known:
        raise Refused(Code.MALFORMED, "Azure's evidence has a field that does not belong to it")
    if data.get("version") != 1 or data["version"] is True:
        raise Refused(Code.UNSUPPORTED, "Azure's evidence is not of version 1")
    return data


def _snp(evidence: Evidence, parts: Mapping[str, Any], report: Report) -> Evidence:
    if int.from_bytes(report.hardware[_VMPL : _VMPL + 4], "little"):
        raise Refused(Code.BINDING, "the hardware's report was not asked for by the paravisor (VMPL 0)")
    beside = {n: c for n, c in evidence.endorsements.items() if n in {"vcek", "vlek", "chain", "crl"}}
    if "vcek" in parts and not {"vcek", "vlek"} & beside.keys():
        beside["vcek"] = _base64(parts["vcek"], "vcek")
    return Evidence(Kind.SEV_SNP, report.hardware, beside)


def _tdx(evidence: Evidence, parts: Mapping[str, Any]) -> Evidence:
    beside = {n: c for n, c in evidence.endorsements.items() if n == "collateral"}
    return Evidence(Kind.TDX, _base64(parts.get("td_quote"), "td_quote"), beside)


def _quote(parts: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The quote and its signature: RSASSA's bytes, bare."""
    quote = parts.get("tpm_quote")
    if not isinstance(quote, dict) or quote.keys() != {"signature", "message", "pcrs"}:
        raise Refused(Code.MALFORMED, "`tpm_quote` is an object of `signature`, `message` and `pcrs`")
    return _hex(quote["message"], "message"), _hex(quote["signature"], "signature")


def _pcrs(parts: Mapping[str, Any]) -> dict[int, bytes]:
    """Values by number; a list has them from 0 on."""
    values = parts["tpm_quote"]["pcrs"]
    if not isinstance(values, list) or len(values) > _MOST_PCRS:
        raise Refused(Code.MALFORMED, f"`pcrs` is an array of at most {_MOST_PCRS} values")
    return {number: _hex(value, "pcrs") for number, value in enumerate(values)}


def _same_key(key: rsa.RSAPublicKey, signature: bytes, message: bytes) -> None:
    """Refuse a signature of another key than HCLAkPub, and one of HCLAkPub of another message.

    An RSA signature by another key opens to no padded hash, so the two can be told apart.
    """
    try:
        hashed = key.recover_data_from_signature(signature, padding.PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        raise Refused(
            Code.BINDING, "the quote is signed by another key than the one that the hardware vouches for"
        ) from None
    if hashed != hashlib.sha256(message).digest():
        raise Refused(Code.SIGNATURE, "the vTPM signed another quote")


def _key(jwk: Mapping[str, Any]) -> rsa.RSAPublicKey:
    if jwk.get("kty") != "RSA":
        raise Refused(Code.UNSUPPORTED, "HCLAkPub is no RSA key")
    modulus, exponent = (int.from_bytes(_base64(jwk.get(name), "HCLAkPub")) for name in ("n", "e"))
    if not 2048 <= modulus.bit_length() <= 4096 or exponent != 65537:
        raise Refused(Code.UNSUPPORTED, "HCLAkPub has 2048 to 4096 bits, and the exponent 65537")
    try:
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError:
        raise Refused(Code.MALFORMED, "HCLAkPub is no key") from None


def _hex(value: object, what: str) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise Refused(Code.MALFORMED, f"`{what}` is not lower-case hexadecimal")
    return bytes.fromhex(value)


def _base64(value: object, what: str) -> bytes:
    """Base64, of either alphabet, with or without padding: collectors write all of these."""
    if value is None:
        raise Refused(Code.MISSING_ENDORSEMENT, f"Azure's evidence has no `{what}`")
    if not isinstance(value, str):
        raise Refused(Code.MALFORMED, f"`{what}` is not base64 text")
    plain = value.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(Code.MALFORMED, f"`{what}` is not base64 text") from None
