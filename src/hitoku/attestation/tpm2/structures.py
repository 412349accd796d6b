# SPDX-License-Identifier: Apache-2.0
"""The TPM structures that attestation reads: public areas, attestations, signatures, selections of PCRs.

Layouts: TCG TPM 2.0 Library, part 2: TPMT_PUBLIC 12.2.4, TPMS_ATTEST 10.12.8, TPMT_SIGNATURE 11.3.4,
TPML_PCR_SELECTION 10.9.7. Only what a quote can hold is read; anything else is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.tpm2.wire import (
    ALG_NULL,
    ECC,
    ECDSA,
    RSA,
    RSASSA,
    SHA256,
    Reader,
    sized,
    u8,
    u16,
    u32,
)

__all__ = [
    "DECRYPT",
    "FIXED_TPM",
    "RESTRICTED",
    "SENSITIVE_DATA_ORIGIN",
    "SIGN",
    "Attest",
    "Public",
    "Signature",
    "pcr_digest",
    "selection",
]

FIXED_TPM: Final = 1 << 1
SENSITIVE_DATA_ORIGIN: Final = 1 << 5
RESTRICTED: Final = 1 << 16
DECRYPT: Final = 1 << 17
SIGN: Final = 1 << 18

_MAGIC: Final = 0xFF544347
_QUOTE: Final = 0x8018
_LARGEST_KEY: Final = 512
"""Bytes of the largest number in a key or a signature: RSA 4096."""
_SCHEMES_WITH_HASH: Final = {0x0014, 0x0016, 0x0017, 0x0018, 0x0019, 0x001B, 0x001C, 0x001D}
_ECDAA: Final = 0x001A


@dataclass(frozen=True, slots=True)
class Public:
    """A key's public area (TPMT_PUBLIC).

    Attributes:
        raw: its bytes; the name is their hash.
        type: ``RSA`` or ``ECC``.
        attributes: TPMA_OBJECT.
        policy: authPolicy.
        scheme: of signing, and
        scheme_hash: its hash; None for both where there is none.
        curve: TPM_ECC_CURVE, 0 for RSA.
        modulus: of RSA, else 0.
        exponent: of RSA, else 0.
        x: of ECC, else 0.
        y: of ECC, else 0.
        bits: of the key.
    """

    raw: bytes
    type: int
    attributes: int
    policy: bytes
    scheme: int | None
    scheme_hash: int | None
    curve: int
    modulus: int
    exponent: int
    x: int
    y: int
    bits: int

    @property
    def name(self) -> bytes:
        """The name: the name algorithm and the hash of the public area. 34 bytes."""
        return u16(SHA256) + hashlib.sha256(self.raw).digest()

    def require_attestation_key(self) -> None:
        """Demand what makes a key's signature a TPM's word (TPM 2.0 Library, part 1, "Object attributes").

        It never leaves its TPM (fixedTPM), was made there (sensitiveDataOrigin), signs nothing from outside
        that looks like a quote (restricted), and does nothing but sign, with SHA-256.

        Raises:
            Refused: ``POLICY``.
        """
        needed = FIXED_TPM | SENSITIVE_DATA_ORIGIN | RESTRICTED | SIGN
        if self.attributes & needed != needed or self.attributes & DECRYPT:
            raise Refused(
                Code.POLICY,
                "the key that signed is no attestation key: fixedTPM, restricted, sign, not decrypt",
            )
        if (self.type, self.scheme, self.scheme_hash) not in {(RSA, RSASSA, SHA256), (ECC, ECDSA, SHA256)}:
            raise Refused(Code.POLICY, "an attestation key signs with RSASSA or ECDSA, and SHA-256")

    @classmethod
    def parse(cls, content: bytes) -> Public:
        """Read a TPM2B_PUBLIC.

        Raises:
            Refused: ``MALFORMED``, or ``UNSUPPORTED`` for a type or a name algorithm that is not read here.
        """
        whole = Reader(content, "TPM2B_PUBLIC")
        raw = whole.sized(len(content))
        whole.end()
        area = Reader(raw, "TPMT_PUBLIC")
        kind = area.u16()
        if kind not in (RSA, ECC) or area.u16() != SHA256:
            raise Refused(Code.UNSUPPORTED, "a TPM key is RSA or ECC, its name made with SHA-256")
        attributes, policy = area.u32(), area.sized(64)
        if area.u16() != ALG_NULL:  # the symmetric cipher of a storage key: its key size and mode
            area.take(4)
        scheme, scheme_hash = _scheme(area)
        modulus = exponent = x = y = curve = 0
        if kind == RSA:
            bits, exponent = area.u16(), area.u32() or 65537
            modulus = int.from_bytes(area.sized(_LARGEST_KEY))
        else:
            curve = area.u16()
            _scheme(area)  # the key derivation
            bits = {3: 256, 4: 384}.get(curve, 0)
            x, y = int.from_bytes(area.sized(66)), int.from_bytes(area.sized(66))
        area.end()
        return cls(raw, kind, attributes, policy, scheme, scheme_hash, curve, modulus, exponent, x, y, bits)


def _scheme(area: Reader) -> tuple[int | None, int | None]:
    """A scheme and its hash (TPMT_RSA_SCHEME, TPMT_ECC_SCHEME, TPMT_KDF_SCHEME), or None for both."""
    scheme = area.u16()
    if scheme == ALG_NULL:
        return None, None
    if scheme == _ECDAA:
        hashed = area.u16()
        area.u16()
        return scheme, hashed
    if scheme in _SCHEMES_WITH_HASH or 0x0007 <= scheme <= 0x0008 or 0x0020 <= scheme <= 0x0022:
        return scheme, area.u16()
    return scheme, None


@dataclass(frozen=True, slots=True)
class Attest:
    """A quote (TPMS_ATTEST of type TPM_ST_ATTEST_QUOTE).

    Attributes:
        qualified_signer: the qualified name of the key that signed.
        extra_data: what the caller gave.
        clock: milliseconds that the TPM has counted.
        reset_count: how often the TPM was reset, and
        restart_count: resumed since.
        safe: no greater clock was ever reported.
        firmware: version.
        bank: the hash of the quoted PCRs.
        pcrs: which, ascending.
        digest: over their values.
    """

    qualified_signer: bytes
    extra_data: bytes
    clock: int
    reset_count: int
    restart_count: int
    safe: bool
    firmware: int
    bank: int
    pcrs: tuple[int, ...]
    digest: bytes

    @classmethod
    def parse(cls, content: bytes) -> Attest:
        """Read a TPMS_ATTEST.

        The magic number is what a TPM puts before all that it makes up itself: a restricted key signs nothing
        from outside that starts with it.

        Raises:
            Refused: ``MALFORMED``, or ``UNSUPPORTED`` for anything but a quote of one bank.
        """
        attest = Reader(content, "TPMS_ATTEST")
        if attest.u32() != _MAGIC:
            raise attest.refused("it does not start with TPM_GENERATED_VALUE")
        if attest.u16() != _QUOTE:
            raise Refused(Code.UNSUPPORTED, "an attestation by a TPM that is no quote")
        signer, extra = attest.sized(66), attest.sized(64)
        clock, resets, restarts, safe = attest.u64(), attest.u32(), attest.u32(), attest.u8()
        if safe > 1:
            raise attest.refused("`safe` is neither yes nor no")
        firmware = attest.u64()
        if attest.u32() != 1:
            raise Refused(Code.UNSUPPORTED, "a quote has PCRs of one bank")
        bank, bitmap = attest.u16(), attest.take(_octets(attest))
        pcrs = tuple(n for n in range(len(bitmap) * 8) if bitmap[n // 8] >> (n % 8) & 1)
        digest = attest.sized(64)
        attest.end()
        return cls(signer, extra, clock, resets, restarts, bool(safe), firmware, bank, pcrs, digest)


def _octets(attest: Reader) -> int:
    octets = attest.u8()
    if octets != 3:  # 24 PCRs, as the PC Client profile says
        raise attest.refused("a selection of PCRs has three bytes")
    return octets


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature with SHA-256 (TPMT_SIGNATURE): RSASSA's bytes, or ECDSA's two numbers."""

    scheme: int
    rsa: bytes = b""
    r: int = 0
    s: int = 0

    @classmethod
    def parse(cls, content: bytes) -> Signature:
        """Read a TPMT_SIGNATURE.

        Raises:
            Refused: ``MALFORMED``, or ``UNSUPPORTED`` for another scheme or hash.
        """
        signature = Reader(content, "TPMT_SIGNATURE")
        scheme = signature.u16()
        if scheme not in (RSASSA, ECDSA) or signature.u16() != SHA256:
            raise Refused(Code.UNSUPPORTED, "a TPM signs with RSASSA or ECDSA, and SHA-256")
        if scheme == RSASSA:
            made = cls(scheme, rsa=signature.sized(_LARGEST_KEY))
        else:
            made = cls(scheme, r=int.from_bytes(signature.sized(66)), s=int.from_bytes(signature.sized(66)))
        signature.end()
        return made


def selection(pcrs: Iterable[int]) -> bytes:
    """TPML_PCR_SELECTION of PCRs of the SHA-256 bank."""
    bits = sum(1 << number for number in set(pcrs))
    return u32(1) + u16(SHA256) + u8(3) + bits.to_bytes(3, "little")


def pcr_digest(values: Mapping[int, bytes]) -> bytes:
    """What a quote says of these PCRs: the hash of their values in ascending order."""
    return hashlib.sha256(b"".join(values[number] for number in sorted(values))).digest()


EK_TEMPLATE: Final = (
    u16(RSA)
    + u16(SHA256)
    + u32(0x000300B2)
    + sized(bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"))
    + u16(0x0006)  # AES
    + u16(128)
    + u16(0x0043)  # CFB
    + u16(ALG_NULL)
    + u16(2048)
    + u32(0)
    + sized(bytes(256))
)
"""Template L-1 of the TCG EK Credential Profile (B.3.3): the key that makers certify."""


def ak_template(unique: bytes) -> bytes:
    """A restricted signing key, ECDSA on P-256 with SHA-256.

    Args:
        unique: 32 bytes; another value gives another key, so that no two attesters share one.
    """
    fixed = FIXED_TPM | 1 << 4 | SENSITIVE_DATA_ORIGIN | 1 << 6  # and fixedParent, userWithAuth
    return (
        u16(ECC)
        + u16(SHA256)
        + u32(fixed | RESTRICTED | SIGN)
        + sized(b"")
        + u16(ALG_NULL)
        + u16(ECDSA)
        + u16(SHA256)
        + u16(3)  # P-256
        + u16(ALG_NULL)
        + sized(unique)
        + sized(b"")
    )
