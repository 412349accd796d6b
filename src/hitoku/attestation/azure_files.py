# SPDX-License-Identifier: Apache-2.0
"""Azure's vTPM evidence in separate files: the firmware's report (HCL), the TPM's quote, its signature.

`hitoku.attestation.verify.azure` reads one JSON object, as collectors on Azure write it:
``{"platform": "az-snp" | "az-tdx", "evidence": {"version": 1, "tpm_quote": {"signature", "message", "pcrs"},
"hcl_report", "vcek" | "td_quote"}}``. Files of the same content are put into that form here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hitoku.attestation import quote
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Kind

__all__ = ["is_part", "kind_of", "td_quote", "wrap"]

_PLATFORMS: Final = {"az-snp": Kind.AZURE_SNP, "az-tdx": Kind.AZURE_TDX}
_HCL: Final = b"HCLA"
_QUOTE: Final = bytes.fromhex("ff5443478018")
_REPORT_TYPE: Final = 0x20 + 0x4A0 + 8
_REPORT_TYPES: Final = {2: Kind.AZURE_SNP, 4: Kind.AZURE_TDX}
_SIGNATURES: Final = {256, 384, 512}
_SHA256: Final = 32
_PCRS: Final = 24


def kind_of(data: Mapping[str, Any]) -> Kind | None:
    """The kind of a JSON object in that form, with or without its outer part; None where it is another."""
    evidence = data.get("evidence", data)
    if "platform" in data:
        return _PLATFORMS.get(str(data["platform"]))
    if not isinstance(evidence, dict) or not {"tpm_quote", "hcl_report"} <= evidence.keys():
        return None
    return Kind.AZURE_TDX if "td_quote" in evidence else Kind.AZURE_SNP


def td_quote(content: bytes) -> bytes | None:
    """Intel's quote in a JSON object in that form, or None where it has none that can be read."""
    try:
        data = json.loads(content)
        text = data.get("evidence", data)["td_quote"].rstrip("=").translate(str.maketrans("-_", "+/"))
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def is_part(content: bytes, others: Sequence[bytes]) -> bool:
    """Whether the file is a part of such evidence: a report, or a quote with a report beside it."""
    if content.startswith(_HCL):
        return True
    if _serialised(content) is not None:
        return True
    return content.startswith(_QUOTE) and any(other.startswith(_HCL) for other in others)


def wrap(content: bytes, others: Sequence[bytes]) -> tuple[Kind, bytes, list[bytes]]:
    """Kind, JSON, and the files that are no part of it.

    Raises:
        Refused: ``MALFORMED`` or ``MISSING_ENDORSEMENT``.
    """
    parts: dict[str, bytes] = {}
    pcrs: list[bytes] = []
    rest: list[bytes] = []
    for file in (content, *others):
        serialised = _serialised(file)
        found: dict[str, bytes] = {}
        if file.startswith(_HCL):
            found = {"hcl_report": file}
        elif file.startswith(_QUOTE):
            found = {"message": file}
        elif serialised is not None:
            found, pcrs = serialised[0], serialised[1]
        elif quote.is_quote(file):
            found = {"td_quote": file}
        elif len(file) in _SIGNATURES and not file.startswith(b"\x30\x82"):
            found = {"signature": file}
        else:
            rest.append(file)
        if found.keys() & parts.keys():
            raise Refused(Code.MALFORMED, f"two files hold the {min(found.keys() & parts.keys())}")
        parts |= found
    report = parts.get("hcl_report")
    if report is None:
        raise Refused(Code.MISSING_ENDORSEMENT, "the vTPM's quote needs Azure's report (HCL) beside it")
    kind = _REPORT_TYPES.get(int.from_bytes(report[_REPORT_TYPE : _REPORT_TYPE + 4], "little"))
    if kind is None:
        raise Refused(Code.UNSUPPORTED, "Azure's report is of neither SEV-SNP nor TDX")
    for name in ("message", "signature"):
        if name not in parts:
            raise Refused(
                Code.MISSING_ENDORSEMENT, f"the vTPM's quote is needed, too: its {name} is not there"
            )
    tpm = {"signature": parts["signature"].hex(), "message": parts["message"].hex()}
    evidence: dict[str, Any] = {"version": 1, "tpm_quote": tpm | {"pcrs": [pcr.hex() for pcr in pcrs]}}
    for name in ("hcl_report", "td_quote"):
        if name in parts:
            evidence[name] = base64.urlsafe_b64encode(parts[name]).rstrip(b"=").decode()
    return kind, json.dumps({"platform": _platform(kind), "evidence": evidence}).encode(), rest


def _platform(kind: Kind) -> str:
    return next(name for name, of in _PLATFORMS.items() if of is kind)


def _serialised(content: bytes) -> tuple[dict[str, bytes], list[bytes]] | None:
    """Signature, message and PCRs in one file.

    As JSON, or as collectors in Rust serialise them: each length and count of 8 bytes, little-endian.
    """
    if content.lstrip()[:1] == b"{":
        return _from_json(content)
    at, parts = 0, []
    for _ in range(2):
        size = int.from_bytes(content[at : at + 8], "little")
        part = content[at + 8 : at + 8 + size]
        if len(part) != size or not size:
            return None
        parts.append(part)
        at += 8 + size
    count, pcrs = int.from_bytes(content[at : at + 8], "little"), content[at + 8 :]
    if not parts[1].startswith(_QUOTE) or count > _PCRS or len(pcrs) != count * _SHA256:
        return None
    return (
        {"signature": parts[0], "message": parts[1]},
        [pcrs[i : i + _SHA256] for i in range(0, len(pcrs), _SHA256)],
    )


def _from_json(content: bytes) -> tuple[dict[str, bytes], list[bytes]] | None:
    try:
        data = json.loads(content)
        if not isinstance(data, dict) or data.keys() != {"signature", "message", "pcrs"}:
            return None
        parts = {name: bytes.fromhex(data[name]) for name in ("signature", "message")}
        return parts, [bytes.fromhex(pcr) for pcr in data["pcrs"]]
    except (ValueError, TypeError, RecursionError):
        return None
