# SPDX-License-Identifier: Apache-2.0
"""Pieces of Intel's collateral, read from files: documents, certificates, revocation lists, signatures.

`hitoku.attestation.intel_files` puts together what is read here. Nothing is checked. The bytes of a document
are kept as they came, since they are what Intel signed: JSON that is written anew would not hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from hitoku.attestation.certificates import (
    Certificate,
    RevocationList,
    certificates,
    revocation_list,
    revocation_list_der,
)
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.endorsements import holds_certificates, holds_revocation_list

__all__ = ["IDENTITY", "TCB_INFO", "Document", "Pieces", "read"]

TCB_INFO, IDENTITY = "tcb_info", "qe_identity"
"""Documents' names in `QuoteCollateralV3`."""
_WRAPPED: Final = {"tcbInfo": TCB_INFO, "enclaveIdentity": IDENTITY}
_BARE: Final = {TCB_INFO: {"fmspc", "tcbLevels"}, IDENTITY: {"mrsigner", "isvprodid", "tcbLevels"}}
_SIGNATURE: Final = 64
_HEX: Final = re.compile(rb"(?:[0-9a-fA-F]{2})+")
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_MOST_MEMBERS: Final = 64


@dataclass
class Document:
    """A TCB info or an identity.

    Attributes:
        fields: as JSON has them.
        texts: what may have been signed: the exact bytes, of a file of its own with and without white space.
        signatures: r then s, that came with it.
    """

    fields: dict[str, Any]
    texts: tuple[bytes, ...]
    signatures: list[bytes] = field(default_factory=list)


@dataclass
class Pieces:
    """What the files hold, each once; documents by their text."""

    documents: dict[str, dict[bytes, Document]] = field(
        default_factory=lambda: {n: {} for n in (TCB_INFO, IDENTITY)}
    )
    certificates: dict[bytes, Certificate] = field(default_factory=dict)
    lists: dict[bytes, RevocationList] = field(default_factory=dict)
    signatures: list[bytes] = field(default_factory=list)


def read(files: Sequence[bytes]) -> Pieces:
    """The pieces in these files; what is none is passed over.

    Raises:
        Refused: ``MALFORMED`` or ``UNSUPPORTED`` where a piece cannot be read.
    """
    pieces = Pieces()
    for file in files:
        _read(file, pieces)
    return pieces


def _read(file: bytes, pieces: Pieces) -> None:
    if b"-----BEGIN%20" in file[:4096]:  # a chain as the service's headers carry it
        file = unquote_to_bytes(file)
    plain = b"".join(file.split()).strip(b'"')
    if _HEX.fullmatch(plain):
        file = bytes.fromhex(plain.decode())
    if holds_certificates(file):
        pieces.certificates |= {one.der: one for one in certificates(file)}
    elif holds_revocation_list(file):
        content = revocation_list_der(file)
        pieces.lists[content] = revocation_list(content)
    elif len(file) == _SIGNATURE:
        pieces.signatures.append(file)
    elif file.lstrip()[:1] == b"{":
        _read_json(file, pieces)


def _read_json(file: bytes, pieces: Pieces) -> None:
    try:
        members = _members(file.decode())
        if members is None:
            return
        for outer, name in _WRAPPED.items():
            if outer in members:
                signature = json.loads(members.get("signature", '""'))
                signed = [bytes.fromhex(signature)] if signature else []
                _keep(pieces, name, members[outer], (members[outer].encode(),), signed)
                return
        for name, least in _BARE.items():
            if least <= members.keys():
                _keep(pieces, name, file.decode(), (file, file.strip()), [])
    except (ValueError, TypeError, RecursionError):
        raise Refused(Code.MALFORMED, "a file of Intel's collateral cannot be read as JSON") from None


def _keep(pieces: Pieces, name: str, text: str, texts: tuple[bytes, ...], signed: list[bytes]) -> None:
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise ValueError
    kept = pieces.documents[name].setdefault(texts[-1], Document(fields, texts))
    kept.signatures += [one for one in signed if len(one) == _SIGNATURE and one not in kept.signatures]


def _members(text: str) -> dict[str, str] | None:
    """The exact text of each member of a JSON object; None where it has a name twice, or too many names."""
    decoder, found = json.JSONDecoder(), dict[str, str]()
    at = _after_space(text, 0) + 1
    while len(found) < _MOST_MEMBERS:
        at = _after_space(text, at)
        if text[at : at + 1] == "}" and not found:
            break
        name, at = decoder.raw_decode(text, at)
        at = _after_space(text, at)
        if not isinstance(name, str) or text[at : at + 1] != ":":
            raise ValueError
        start = _after_space(text, at + 1)
        _, end = decoder.raw_decode(text, start)
        if name in found:
            return None
        found[name] = text[start:end]
        at = _after_space(text, end)
        if text[at : at + 1] == "}":
            break
        if text[at : at + 1] != ",":
            raise ValueError
        at += 1
    return found if _after_space(text, at + 1) == len(text) else None


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()
