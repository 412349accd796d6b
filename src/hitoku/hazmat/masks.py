# SPDX-License-Identifier: Apache-2.0
"""Masks that cancel in a sum: X25519 keys, AES-256 streams, Shamir shares. Unaudited.

A low-level door that `hitoku.learning.aggregate.masks` stands on; the protocol and its argument are there
(K. Bonawitz et al., CCS 2017, sec. 4 and Fig. 4). What this layer gives, and on what it rests:

* `MaskKey`: a uniform scalar z from the operating system; the X25519 private key is HKDF-SHA256 of z
  (RFC 5869, RFC 7748). `agree` refuses peers' keys that lead to the all-zero secret (low order; RFC 7748,
  sec. 6.1, checked in constant time) and binds the secret to both public keys, sorted, and to `info`.
  Under the gap-Diffie-Hellman assumption on X25519 with HKDF as a random oracle, a `MaskSecret` looks uniform
  to everybody but the two.
* `mask`: adds or subtracts, modulo 2^64, the key stream of AES-256 in counter mode (NIST SP 800-38A, 6.5;
  first counter 0) under the key HKDF-Expand(secret, "hitoku/mask-stream/2" || context). A secret must meet a
  context for one vector only: two vectors under one stream differ by their plain difference. With AES-256 a
  pseudorandom permutation, a vector under at least one stream that the reader cannot make is uniform to him.
* `MaskKey.shares`, `MaskSeed.shares`: Shamir's t-of-n over the scalar field of ristretto255 (order l, about
  2^252): fewer than t shares are independent of the secret, which is why the secrets that are shared are
  uniform scalars and not keys' bytes. Scalars are computed with in constant time.

Secrets stay in Rust, are wiped when dropped, cannot be pickled, copied or printed. Shares are secrets in the
open: encrypt them before they leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku import _core
from hitoku.errors import InputError
from hitoku.executors.local import cores
from hitoku.hazmat.learning_faults import learning_kernel

__all__ = ["PUBLIC_BYTES", "SHARE_BYTES", "MaskKey", "MaskSecret", "MaskSeed", "mask", "mask_into"]

PUBLIC_BYTES: Final = 32
"""Bytes of a public key."""
SHARE_BYTES: Final = 33
"""Bytes of a share: its number from 1 (one byte), and a scalar (32 bytes, little-endian)."""


class MaskSecret:
    """What masks are derived from; opaque. `MaskKey.agree` and `MaskSeed.secret` make it."""

    __slots__ = ("_core",)

    def __init__(self, core: _core.LearningSecret) -> None:
        self._core = core

    def derive(self, info: bytes) -> bytes:
        """32 bytes for another use, for example the key of an AEAD; independent of every mask.

        HKDF-Expand(secret, "hitoku/mask-derived/1" || info).
        """
        with learning_kernel():
            return self._core.derive(info)

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be pickled or copied")


class _Shared:
    """A uniform scalar that can be shared."""

    __slots__ = ("_core",)

    def __init__(self) -> None:
        with learning_kernel():
            self._core = _core.LearningScalar.random()

    def shares(self, threshold: int, members: int) -> list[bytes]:
        """Shares number 1 to `members`, of SHARE_BYTES each: any `threshold` give it back, fewer say nothing.

        Fresh randomness on every call: shares of two calls do not mix.

        Raises:
            InputError: not 2 <= threshold <= members <= 255.
        """
        with learning_kernel():
            return self._core.shares(threshold, members)

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be pickled or copied")


def _combined(shares: Sequence[bytes], threshold: int) -> _core.LearningScalar:
    with learning_kernel():
        return _core.LearningScalar.combine([bytes(share) for share in shares], threshold)


class MaskKey(_Shared):
    """A member's key for one set of sums, from the operating system's randomness."""

    __slots__ = ()

    @classmethod
    def combine(cls, shares: Sequence[bytes], threshold: int) -> MaskKey:
        """The key that shares give back. Compare `public` with what its member had announced.

        Args:
            shares: at least `threshold`, from one call of `shares`; all are checked against one another.
            threshold: with which they were made.

        Raises:
            PeerError: a share is malformed or repeated, too few, or they do not belong together.
        """
        made = cls.__new__(cls)
        made._core = _combined(shares, threshold)
        return made

    @property
    def public(self) -> bytes:
        """The X25519 public key, 32 bytes."""
        return self._core.public()

    def agree(self, peer: bytes, info: bytes) -> MaskSecret:
        """The secret that this key and a peer's have in common, the same at both for the same `info`.

        HKDF-SHA256 with the X25519 result as input key and, as info, "hitoku/mask-secret/1", the two public
        keys in byte order, and `info`.

        Args:
            peer: the peer's public key, 32 bytes; that it is the peer's is for the caller to make sure.
            info: what the secret is bound to: plan, run, session, set; at most 65,536 bytes.

        Raises:
            PeerError: the key is not 32 bytes, or of low order.
        """
        with learning_kernel():
            return MaskSecret(self._core.agree(peer, info))


class MaskSeed(_Shared):
    """The seed of a member's own mask in one sum."""

    __slots__ = ()

    @classmethod
    def combine(cls, shares: Sequence[bytes], threshold: int) -> MaskSeed:
        """The seed that shares give back; arguments and errors are those of `MaskKey.combine`."""
        made = cls.__new__(cls)
        made._core = _combined(shares, threshold)
        return made

    def secret(self, info: bytes) -> MaskSecret:
        """The secret of this seed for `info`: HKDF-SHA256 of the scalar with "hitoku/mask-self/1" || info."""
        with learning_kernel():
            return MaskSecret(self._core.secret(info))

    def commitment(self) -> bytes:
        """32 bytes that tell nothing of the seed and by which a combined one is recognised."""
        with learning_kernel():
            return self._core.commitment()


def mask(
    values: NDArray[np.int64] | NDArray[np.uint64],
    terms: Sequence[tuple[MaskSecret, int]],
    context: bytes,
    *,
    threads: int | None = None,
) -> NDArray[np.uint64]:
    """Values plus the streams with sign 1, minus those with sign -1, modulo 2^64.

    The same with the signs turned takes masks off: `mask(total, [(secret, -1), ...], context)`.

    Args:
        values: int64 or uint64, one-dimensional; not changed.
        terms: secrets and their signs, 1 or -1.
        context: names the vector under these secrets, such as a session's number and the sum's index: never
            the same for two vectors. At most 65,536 bytes.
        threads: every core that the process may use by default.

    Raises:
        InputError: the values are not 64-bit integers in one dimension, or a sign is neither 1 nor -1.
    """
    array = np.ascontiguousarray(values)
    if array.dtype not in (np.dtype(np.int64), np.dtype(np.uint64)) or array.ndim != 1:
        raise InputError("masked values are int64 or uint64 in one dimension")
    pairs = [(secret._core, int(sign)) for secret, sign in terms]
    with learning_kernel():
        return _core.learning_mask(array.view(np.uint64), pairs, context, threads or cores())


def mask_into(
    values: NDArray[np.uint64],
    terms: Sequence[tuple[MaskSecret, int]],
    context: bytes,
    *,
    threads: int | None = None,
) -> None:
    """As `mask`, in place: for long vectors and many terms.

    Raises:
        InputError: the values are not writable, contiguous uint64 in one dimension, or a sign is wrong.
    """
    pairs = [(secret._core, int(sign)) for secret, sign in terms]
    with learning_kernel():
        _core.learning_mask_into(values, pairs, context, threads or cores())
