# SPDX-License-Identifier: Apache-2.0
"""Content sealed for one receiver: padded, then HPKE for the receiver's one-time key.

HPKE (RFC 9180, base mode, X25519, HKDF-SHA256, AES-256-GCM). Base mode says nothing of who sealed; what is
inside or beside does. The length of what is sealed would tell how many rows there are, so it is padded: 4
KiB at least, then so that only about log2(log2(length)) bits of the length are left (Padmé: Nikitin et al.
2019, "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", section 4; at most 12 %
longer).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.hpke import Suite

__all__ = ["NotOpened", "open_padded", "padded_length", "seal_padded"]

_LENGTH: Final = 8
_LEAST: Final = 4096


class NotOpened(ValueError):
    """It was altered, or sealed for another key or for something else."""


def padded_length(size: int) -> int:
    """How long content of `size` bytes is made."""
    if size <= _LEAST:
        return _LEAST
    exponent = size.bit_length() - 1
    free = exponent - exponent.bit_length()
    mask = (1 << free) - 1
    return (size + mask) & ~mask


def seal_padded(content: bytes, key: bytes, info: bytes) -> bytes:
    """Seal content.

    Args:
        content: what the receiver gets.
        key: its one-time X25519 key, 32 bytes.
        info: what it is sealed for; opening needs the same.

    Raises:
        ValueError: the key is none.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    plain = len(content).to_bytes(_LENGTH, "big") + content
    plain += bytes(padded_length(len(plain)) - len(plain))
    return _suite().encrypt(plain, X25519PublicKey.from_public_bytes(key), info)


def open_padded(sealed: bytes, key: X25519PrivateKey, info: bytes) -> bytes:
    """What was sealed for this key and `info`.

    Raises:
        NotOpened: it does not open.
    """
    from cryptography.exceptions import InvalidTag

    try:
        plain = _suite().decrypt(sealed, key, info)
    except (InvalidTag, ValueError):
        raise NotOpened from None
    length = int.from_bytes(plain[:_LENGTH], "big")
    if length > len(plain) - _LENGTH or len(plain) != padded_length(_LENGTH + length):
        raise NotOpened
    if any(plain[_LENGTH + length :]):
        raise NotOpened
    return plain[_LENGTH : _LENGTH + length]


def _suite() -> Suite:
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
