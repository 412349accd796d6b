# SPDX-License-Identifier: Apache-2.0
"""A second implementation of `hitoku.hazmat.masks`, from its words, on Python integers and `cryptography`.

Slow and not constant-time: tests compare with it bit for bit.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from numpy.typing import NDArray

from hitoku.errors import PeerError

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of ristretto255's group."""


def extract_expand(secret: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, None, info).derive(secret)


def expand(secret: bytes, info: bytes) -> bytes:
    return HKDFExpand(hashes.SHA256(), 32, info).derive(secret)


class MaskSecret:
    def __init__(self, value: bytes) -> None:
        self.value = value

    def derive(self, info: bytes) -> bytes:
        return expand(self.value, b"hitoku/mask-derived/1" + info)


class _Shared:
    def __init__(self, scalar: int | None = None) -> None:
        self.scalar = secrets.randbelow(ORDER) if scalar is None else scalar

    def shares(self, threshold: int, members: int) -> list[bytes]:
        coefficients = [self.scalar] + [secrets.randbelow(ORDER) for _ in range(threshold - 1)]
        made = []
        for x in range(1, members + 1):
            y = sum(c * pow(x, k, ORDER) for k, c in enumerate(coefficients)) % ORDER
            made.append(bytes([x]) + y.to_bytes(32, "little"))
        return made

    @classmethod
    def combine(cls, shares: Sequence[bytes], threshold: int) -> Any:
        points = [(share[0], int.from_bytes(share[1:], "little")) for share in shares]
        if len(points) < threshold:
            raise PeerError("few shares")
        used = points[:threshold]
        for x, y in points[threshold:]:
            if interpolate(used, x) != y:
                raise PeerError("uneven shares")
        return cls(interpolate(used, 0))


def interpolate(points: Sequence[tuple[int, int]], at: int) -> int:
    """The polynomial through the points, at another place."""
    total = 0
    for x, y in points:
        above, below = 1, 1
        for other, _ in points:
            if other != x:
                above = above * (at - other) % ORDER
                below = below * (x - other) % ORDER
        total += y * above * pow(below, -1, ORDER)
    return total % ORDER


class MaskKey(_Shared):
    @property
    def _private(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(
            extract_expand(self.scalar.to_bytes(32, "little"), b"hitoku/mask-key/1")
        )

    @property
    def public(self) -> bytes:
        return self._private.public_key().public_bytes_raw()

    def agree(self, peer: bytes, info: bytes) -> MaskSecret:
        shared = self._private.exchange(X25519PublicKey.from_public_bytes(peer))
        both = b"".join(sorted([self.public, peer]))
        return MaskSecret(extract_expand(shared, b"hitoku/mask-secret/1" + both + info))


class MaskSeed(_Shared):
    def secret(self, info: bytes) -> MaskSecret:
        return MaskSecret(extract_expand(self.scalar.to_bytes(32, "little"), b"hitoku/mask-self/1" + info))

    def commitment(self) -> bytes:
        return extract_expand(self.scalar.to_bytes(32, "little"), b"hitoku/mask-commitment/1")


def stream(secret: MaskSecret, context: bytes, length: int) -> NDArray[np.uint64]:
    key = expand(secret.value, b"hitoku/mask-stream/2" + context)
    cipher = Cipher(AES256(key), CTR(bytes(16))).encryptor()
    return np.frombuffer(cipher.update(bytes(8 * length)), "<u8")


def mask(
    values: NDArray[Any],
    terms: Sequence[tuple[MaskSecret, int]],
    context: bytes,
    *,
    threads: int | None = None,
) -> NDArray[np.uint64]:
    made = values.view(np.uint64).copy()
    mask_into(made, terms, context, threads=threads)
    return made


def mask_into(
    values: NDArray[np.uint64],
    terms: Sequence[tuple[MaskSecret, int]],
    context: bytes,
    *,
    threads: int | None = None,
) -> None:
    for secret, sign in terms:
        if sign > 0:
            values += stream(secret, context, len(values))
        else:
            values -= stream(secret, context, len(values))


def hkdf_by_hand(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, no salt, 32 bytes: what the library's HKDF must equal."""
    pseudorandom = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(pseudorandom, info + b"\x01", hashlib.sha256).digest()
