# SPDX-License-Identifier: Apache-2.0
"""An answer sealed for one receiver: padded, then HPKE for the receiver's one-time key.

HPKE (RFC 9180, base mode, X25519, HKDF-SHA256, AES-256-GCM) with run, room and receiver in its info. Base
mode says nothing of who sealed; what is inside does (`proof`). The length of a sealed answer would tell how
many rows there are, so it is padded: 4 KiB at least, then so that only about log2(log2(length)) bits of the
length are left (Padmé: Nikitin et al. 2019, "Reducing Metadata Leakage from Encrypted Files and Communication
with PURBs", section 4; at most 12 % longer).
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from hitoku import limits
from hitoku.attestation.binding import bound
from hitoku.errors import LimitError, PeerError

__all__ = ["open_answer", "padded_length", "seal_answer"]

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_LENGTH: Final = 8
_LEAST: Final = 4096


def padded_length(size: int) -> int:
    """How long content of `size` bytes is made."""
    if size <= _LEAST:
        return _LEAST
    exponent = size.bit_length() - 1
    free = exponent - exponent.bit_length()
    mask = (1 << free) - 1
    return (size + mask) & ~mask


def _info(room: str, run: str, receiver: str) -> bytes:
    return bound("hitoku/sealed-answer/1", [room.encode(), run.encode(), receiver.encode()])


def seal_answer(content: bytes, key: bytes, *, room: str, run: str, receiver: str) -> bytes:
    """Seal content for a receiver.

    Args:
        content: what it gets.
        key: its one-time X25519 key, 32 bytes.
        room: the agreement's hash.
        run: the run.
        receiver: its name.

    Raises:
        LimitError: it is too large.
        PeerError: the key is none.
    """
    plain = len(content).to_bytes(_LENGTH, "big") + content
    plain += bytes(padded_length(len(plain)) - len(plain))
    if len(plain) > limits.MAX_SEALED_ANSWER_BYTES:
        raise LimitError(
            "the answer is larger than a sealed one may be; group by fewer columns, or use LIMIT"
        )
    try:
        return _SUITE.encrypt(plain, X25519PublicKey.from_public_bytes(key), _info(room, run, receiver))
    except ValueError:  # a point of small order
        raise PeerError(f"{receiver!r} gave a sealing key that is none") from None


def open_answer(
    sealed: bytes, key: X25519PrivateKey, *, room: str, run: str, receiver: str, sender: str
) -> bytes:
    """What was sealed for this receiver.

    Raises:
        PeerError: it was altered, or sealed for another key, run, room or receiver.
    """
    try:
        plain = _SUITE.decrypt(sealed, key, _info(room, run, receiver))
        length = int.from_bytes(plain[:_LENGTH], "big")
        if length > len(plain) - _LENGTH or len(plain) != padded_length(_LENGTH + length):
            raise ValueError
        if any(plain[_LENGTH + length :]):
            raise ValueError
    except (InvalidTag, ValueError):
        raise PeerError(
            f"{sender!r} sent a sealed answer that does not open: it was altered, or is of another run"
        ) from None
    return plain[_LENGTH : _LENGTH + length]
