# SPDX-License-Identifier: Apache-2.0
"""Which endorsement is which: files beside evidence, told from their bytes and named as the verifiers ask.

Nothing is checked here; verifiers trust no name. What evidence of a kind has no use for is left out.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from hitoku.attestation.certificates import Certificate, certificates
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Kind

__all__ = ["holds_certificates", "holds_revocation_list", "pem", "sort"]

_CLOUD: Final = "1.3.6.1.4.1.3704.1.5"
"""Of AMD: whose loaded key (VLEK) a certificate is of; chips' keys (VCEK) lack it."""
_TPM_SIGNATURES: Final = {0x0014, 0x0018}
_TPM_KEYS: Final = {0x0001, 0x0023}
_SHA256: Final = 0x000B
_DECRYPT: Final = 1 << 17
_LISTS_OF_CERTIFICATES: Final = {"chain", "ek-chain"}

_Named = Iterator[tuple[str, bytes]]


def sort(kind: Kind, files: Sequence[bytes]) -> dict[str, bytes]:
    """Endorsements by the names that the verifier of that kind knows.

    Args:
        kind: of the evidence.
        files: contents, in any order.

    Raises:
        Refused: ``MALFORMED`` where two files are the same endorsement, or a certificate cannot be read.
    """
    found: dict[str, bytes] = {}
    for file in files:
        for name, content in _SORTERS[kind](file):
            if name in _LISTS_OF_CERTIFICATES:
                content = found.get(name, b"") + content
            elif found.get(name, content) != content:
                raise Refused(Code.MALFORMED, f"two files are both the endorsement `{name}`")
            found[name] = content
    return found


def _nothing(_: bytes) -> _Named:
    return iter(())


def _of_nitro(file: bytes) -> _Named:
    for one in _certificates(file)[:1]:
        if not one.authority:
            yield "certificate", one.der


def _of_amd(file: bytes) -> _Named:
    if holds_revocation_list(file):
        yield "crl", file
    links = _certificates(file)
    for one in links:
        if not one.authority:
            yield ("vlek" if _CLOUD in one.extensions else "vcek"), one.der
    authorities = [one for one in links if one.authority]
    if authorities:
        yield "chain", pem(authorities)


def _of_intel(file: bytes) -> _Named:
    data = _json(file)
    if isinstance(data, dict) and {"tcb_info", "qe_identity"} <= data.keys():
        yield "collateral", file


def _of_nvidia(file: bytes) -> _Named:
    links = _certificates(file)
    if links:
        yield "chain", pem(links)


def _of_tpm(file: bytes) -> _Named:
    """Forms as the TPM and tpm2-tools write them; what `hitoku.attestation.verify.tpm` reads."""
    size, first, second, attributes = struct.unpack(">HHHI", file[:10].ljust(10, b"\0"))
    if size in _TPM_SIGNATURES and first == _SHA256:
        yield "signature", file
    elif b"-----BEGIN PUBLIC KEY-----" in file[:4096]:
        yield "ak", file
    elif size == len(file) - 2 and first in _TPM_KEYS and second == _SHA256:
        yield ("ek" if attributes & _DECRYPT else "ak"), file
    elif file.startswith(_PCR_FILE):
        yield "pcrs", _pcrs(file)
    elif holds_revocation_list(file):
        yield "crl", file
    data = _json(file)
    if isinstance(data, dict) and data and all(name.isdecimal() for name in data):
        yield "pcrs", file
    elif isinstance(data, list):
        yield "log", file
    links = _certificates(file)
    for one in links:
        if not one.authority:
            yield "ek", one.der
    authorities = [one for one in links if one.authority]
    if authorities:
        yield "ek-chain", pem(authorities)


_SORTERS: Final[Mapping[Kind, Callable[[bytes], _Named]]] = {
    Kind.NITRO: _of_nitro,
    Kind.SEV_SNP: _of_amd,
    Kind.TDX: _of_intel,
    Kind.SGX: _of_intel,
    Kind.TPM: _of_tpm,
    Kind.AZURE_SNP: _of_amd,
    Kind.AZURE_TDX: _of_intel,
    Kind.NVIDIA: _of_nvidia,
    Kind.DEV: _nothing,
}


# --- forms ---


def holds_certificates(file: bytes) -> bool:
    """Whether the file seems to hold certificates: PEM, or DER with a version first (lists have none)."""
    if re.match(rb"\x30\x82..\x30\x82..\xa0\x03\x02\x01", file, re.DOTALL):
        return True
    return b"-----BEGIN CERTIFICATE-----" in file[:4096] and file.lstrip()[:1] not in {b"{", b"["}


def _certificates(file: bytes) -> tuple[Certificate, ...]:
    return certificates(file) if holds_certificates(file) else ()


def holds_revocation_list(file: bytes) -> bool:
    """Whether the file seems to be a revocation list, PEM or DER."""
    if b"-----BEGIN X509 CRL-----" in file[:4096]:
        return True
    # DER: a sequence with a UTCTime near its start, and no certificate
    return file[:2] in {b"\x30\x81", b"\x30\x82"} and b"\x17\x0d" in file[:1024] and not _certificates(file)


def pem(links: Sequence[Certificate]) -> bytes:
    """Certificates as a PEM bundle, in their order."""
    blocks = []
    for one in links:
        body = base64.encodebytes(one.der)
        blocks.append(b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n")
    return b"".join(blocks)


def _json(file: bytes) -> Any:
    if file.strip()[:1] not in {b"{", b"["}:
        return None
    try:
        return json.loads(file)
    except (ValueError, RecursionError):
        return None


# --- values of PCRs as tpm2-tools write them (`tpm2_quote --pcr`) ---

_PCR_FILE: Final = bytes.fromhex("01000000 0b00 03")
"""One bank, SHA-256, three bytes of selection; little-endian, as that program's memory has them."""
_SELECTION, _LISTS, _LIST, _DIGEST = 4, 132, 532, 66


def _pcrs(file: bytes) -> bytes:
    """TPML_PCR_SELECTION, a count, and so many TPML_DIGEST of eight places, as JSON by PCR."""
    selected = [8 * i + bit for i in range(3) for bit in range(8) if file[_SELECTION + 3 + i] >> bit & 1]
    lists = int.from_bytes(file[_LISTS : _LISTS + 4], "little")
    digests = []
    for start in range(_LISTS + 4, len(file), _LIST)[:lists]:
        count = int.from_bytes(file[start : start + 4], "little")
        for place in range(count if count <= 8 else 0):
            at = start + 4 + place * _DIGEST
            digests.append(file[at + 2 : at + 2 + int.from_bytes(file[at : at + 2], "little")])
    if len(file) != _LISTS + 4 + lists * _LIST or len(digests) != len(selected):
        raise Refused(Code.MALFORMED, "the file of PCR values is not in the form of tpm2-tools")
    return json.dumps({str(pcr): value.hex() for pcr, value in zip(selected, digests, strict=True)}).encode()
