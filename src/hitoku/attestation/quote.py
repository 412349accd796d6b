# SPDX-License-Identifier: Apache-2.0
"""Intel quotes as bytes: TDX (versions 4 and 5) and SGX (version 3), signed with ECDSA P-256.

Layout: Intel's "TDX DCAP Quoting Library API", appendix A (versions 4 and 5), and "SGX ECDSA Quote
Library Reference", appendix A (version 3). Numbers are little-endian. A quote tells its own length; the
buffer that a platform hands out is longer, and what lies behind the quote is not signed: it is never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Kind

__all__ = ["Quote", "is_quote", "parse"]

_HEADER: Final = 48
_ECDSA_P256: Final = 2
_TEE: Final = {0x00: Kind.SGX, 0x81: Kind.TDX}
_INTEL_QE: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_TD_10: Final = (
    ("tee_tcb_svn", 16), ("mrseam", 48), ("mrsignerseam", 48), ("seam_attributes", 8), ("td_attributes", 8),
    ("xfam", 8), ("mrtd", 48), ("mrconfigid", 48), ("mrowner", 48), ("mrownerconfig", 48), ("rtmr0", 48),
    ("rtmr1", 48), ("rtmr2", 48), ("rtmr3", 48), ("report_data", 64),
)  # fmt: skip
_TD_15: Final = (*_TD_10, ("tee_tcb_svn2", 16), ("mrservicetd", 48))
_ENCLAVE: Final = (
    ("cpu_svn", 16), ("miscselect", 4), ("reserved1", 28), ("attributes", 16), ("mrenclave", 32),
    ("reserved2", 32), ("mrsigner", 32), ("reserved3", 96), ("isvprodid", 2), ("isvsvn", 2),
    ("reserved4", 60), ("report_data", 64),
)  # fmt: skip
_BODIES_V5: Final = {2: _TD_10, 3: _TD_15}
_QE_REPORT: Final = 384
_PCK_CHAIN: Final = 5
_QE_CERTIFICATION: Final = 6


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote's fields; nothing here is checked.

    Attributes:
        kind: `Kind.TDX` or `Kind.SGX`.
        version: 3 (SGX), 4 or 5 (TDX).
        fields: of the body by name, as bytes.
        content: the quote itself, without what lies behind it.
        chain: the PEM chain of the platform's certification key, leaf first; None where the quote names
            its platform in another way.
    """

    kind: Kind
    version: int
    fields: Mapping[str, bytes]
    content: bytes
    chain: bytes | None


def is_quote(content: bytes) -> bool:
    """Whether the bytes begin as a quote of Intel's quoting enclave does."""
    return (
        len(content) >= _HEADER
        and _number(content, 0, 2) in {3, 4, 5}
        and content[12:28] == _INTEL_QE
        and _number(content, 4, 4) in _TEE
    )


def parse(content: bytes) -> Quote:
    """Read a quote.

    Raises:
        Refused: ``MALFORMED``, or ``UNSUPPORTED`` for other versions, keys, quoting enclaves or bodies.
    """
    if len(content) < _HEADER:
        raise Refused(Code.MALFORMED, "the quote is shorter than its header")
    version, key_type = _number(content, 0, 2), _number(content, 2, 2)
    kind = _TEE.get(_number(content, 4, 4))
    if kind is None or (kind, version) not in {(Kind.SGX, 3), (Kind.TDX, 4), (Kind.TDX, 5)}:
        raise Refused(Code.UNSUPPORTED, "a quote of another version or kind than SGX 3 and TDX 4 and 5")
    if key_type != _ECDSA_P256 or content[12:28] != _INTEL_QE:
        raise Refused(Code.UNSUPPORTED, "a quote that Intel's quoting enclave did not sign with ECDSA P-256")
    layout, start = _body(content, kind, version)
    fields, at = {}, start
    for name, size in layout:
        fields[name] = content[at : at + size]
        at += size
    if len(content) < at + 4:
        raise Refused(Code.MALFORMED, "the quote ends inside its body")
    end = at + 4 + _number(content, at, 4)
    if end > len(content):
        raise Refused(Code.MALFORMED, "the quote is shorter than it says")
    return Quote(kind, version, fields, content[:end], _chain(_Bytes(content[at + 4 : end]), kind))


def _body(content: bytes, kind: Kind, version: int) -> tuple[tuple[tuple[str, int], ...], int]:
    if kind is Kind.SGX:
        return _ENCLAVE, _HEADER
    if version == 4:
        return _TD_10, _HEADER
    layout = _BODIES_V5.get(_number(content, _HEADER, 2))
    if layout is None:
        raise Refused(Code.UNSUPPORTED, "a version 5 quote with a body other than of TDX 1.0 or 1.5")
    if _number(content, _HEADER + 2, 4) != [*accumulate(size for _, size in layout)][-1]:
        raise Refused(Code.MALFORMED, "the quote's body has not the size of its type")
    return layout, _HEADER + 6


class _Bytes:
    """Bytes read from the front; reading past the end refuses."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._content):
            raise Refused(Code.MALFORMED, "the quote's signature data ends early")
        part, self._at = self._content[self._at : end], end
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def end(self) -> None:
        if self._at != len(self._content):
            raise Refused(Code.MALFORMED, "the quote's signature data is longer than what is in it")


def _chain(data: _Bytes, kind: Kind) -> bytes | None:
    """Walk the signature data: signature, attestation key, and how Intel vouches for that key."""
    data.take(64 + 64)
    outer = data
    if kind is Kind.TDX:
        if data.number(2) != _QE_CERTIFICATION:
            raise Refused(Code.UNSUPPORTED, "the quote's attestation key is certified in another way")
        data = _Bytes(data.take(data.number(4)))
        outer.end()
    data.take(_QE_REPORT + 64)
    data.take(data.number(2))
    how = data.number(2)
    chain = data.take(data.number(4))
    data.end()
    return chain if how == _PCK_CHAIN else None


def _number(content: bytes, start: int, size: int) -> int:
    if start + size > len(content):
        raise Refused(Code.MALFORMED, "the quote ends early")
    return int.from_bytes(content[start : start + size], "little")
