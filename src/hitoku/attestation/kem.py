# SPDX-License-Identifier: Apache-2.0
"""One side's fresh key of a handshake, and secrets sealed for the other's: X25519 and ML-KEM-768 together.

HPKE (RFC 9180) in base mode, with the hybrid KEM of draft-ietf-hpke-pq: what is sealed stays closed as long
as one of the two is not broken.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from hitoku.attestation.codes import Code, Refused
from hitoku.errors import InputError

__all__ = ["PUBLIC_BYTES", "SEALED_BYTES", "SECRET_BYTES", "KemKey", "seal_for"]

_MLKEM: Final = 1184
PUBLIC_BYTES: Final = _MLKEM + 32
"""ML-KEM-768's public key, then X25519's."""
SECRET_BYTES: Final = 32
SEALED_BYTES: Final = 1088 + 32 + SECRET_BYTES + 16
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class KemKey:
    """A key pair that lives as long as one handshake.

    Raises:
        InputError: this build of OpenSSL has no ML-KEM.
    """

    def __init__(self) -> None:
        try:
            mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
        except UnsupportedAlgorithm:
            raise InputError(
                "mutual attestation needs ML-KEM-768, which this build of `cryptography` lacks: "
                "install its wheel from PyPI"
            ) from None
        self.public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        self._key = MLKEM768X25519PrivateKey(mlkem, x25519)

    def __repr__(self) -> str:
        return "KemKey()"

    def open(self, sealed: bytes, said: bytes) -> bytes:
        """The 32 bytes that were sealed for this key.

        Args:
            sealed: what `seal_for` made.
            said: the hash of all that was said before.

        Raises:
            Refused: ``HANDSHAKE``, it was sealed for another key, or after something else was said.
        """
        try:
            secret = _SUITE.decrypt(sealed, self._key, info=said)
        except (InvalidTag, ValueError):
            secret = b""
        if len(secret) != SECRET_BYTES:
            raise Refused(Code.HANDSHAKE, "what was sealed for this session's key does not open")
        return secret


def seal_for(public: bytes, said: bytes) -> tuple[bytes, bytes]:
    """A fresh secret of 32 bytes, and the same sealed for the other side's key.

    Raises:
        Refused: ``MALFORMED``, that is no key.
    """
    secret = os.urandom(SECRET_BYTES)
    try:
        key = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:_MLKEM]),
            X25519PublicKey.from_public_bytes(public[_MLKEM:]),
        )
        return secret, _SUITE.encrypt(secret, key, info=said)
    except ValueError:
        raise Refused(Code.MALFORMED, "the other side's key is no key") from None
