# SPDX-License-Identifier: Apache-2.0
"""What evidence holds, field by field, with nothing verified: for people who look into a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from hitoku.attestation import quote, spdm
from hitoku.attestation.evidence import Evidence, Kind

__all__ = ["explain"]

_HIDDEN: Final = {"signed", "bundle", "certificate", "raw"}
"""Long, and of no use to people."""


def explain(evidence: Evidence) -> dict[str, Any]:
    """Kind, fields by name (bytes as hexadecimal), and the names of the endorsements beside it.

    Nothing is verified: the fields are what the sender wrote.

    Raises:
        Refused: ``MALFORMED`` or ``UNSUPPORTED`` where the bytes cannot be read.
    """
    return {
        "kind": str(evidence.kind),
        "bytes": len(evidence.content),
        "fields": _READERS[evidence.kind](evidence.content),
        "endorsements": sorted(evidence.endorsements),
    }


def _plain(value: Any) -> Any:
    """JSON-ready data of any field."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, int) and value >> 64:
        return f"{value:x}"
    return value if isinstance(value, str | int | None) else str(value)


def _fields(record: Any) -> dict[str, Any]:
    return {
        field.name: _plain(getattr(record, field.name))
        for field in fields(record)
        if field.name not in _HIDDEN
    }


def _nitro(content: bytes) -> dict[str, Any]:
    from hitoku.attestation.verify.nitro import parse

    return _fields(parse(content))


def _snp(content: bytes) -> dict[str, Any]:
    from hitoku.attestation.verify.snp_report import parse

    return _fields(parse(content))


def _intel(content: bytes) -> dict[str, Any]:
    read = quote.parse(content)
    return {"version": read.version, **_plain(read.fields), "own_chain": read.chain is not None}


def _tpm(content: bytes) -> dict[str, Any]:
    from hitoku.attestation.tpm2.structures import Attest

    return _fields(Attest.parse(content))


def _nvidia(content: bytes) -> dict[str, Any]:
    if content[:1] == b"[":
        return _json(content)
    return _fields(spdm.parse(content))


def _json(content: bytes) -> dict[str, Any]:
    data = json.loads(content)
    return data if isinstance(data, dict) else {str(i): one for i, one in enumerate(data)}


_READERS: Final[Mapping[Kind, Callable[[bytes], dict[str, Any]]]] = {
    Kind.NITRO: _nitro,
    Kind.SEV_SNP: _snp,
    Kind.TDX: _intel,
    Kind.SGX: _intel,
    Kind.TPM: _tpm,
    Kind.AZURE_SNP: _json,
    Kind.AZURE_TDX: _json,
    Kind.NVIDIA: _nvidia,
    Kind.DEV: _json,
}
