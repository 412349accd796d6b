# SPDX-License-Identifier: Apache-2.0
"""Keys of the ring. The secret key decrypts and makes all others; the others are public."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitoku import _core
from hitoku.executors.local import cores
from hitoku.hazmat.ring_checks import as_bytes, checked_reals, checked_steps, kernel_of
from hitoku.hazmat.ring_errors import RingError, ring_kernel
from hitoku.hazmat.ring_parameters import Parameters
from hitoku.hazmat.ring_values import (
    Ciphertexts,
    Plaintexts,
    SeededCiphertexts,
)

__all__ = ["PublicKey", "RelinearisationKey", "RotationKeys", "SecretKey"]


class Key:
    """What all keys share: parameters, no contents in `repr`, no pickling."""

    __slots__ = ("kernel", "params")
    params: Parameters
    kernel: Any

    def __init__(self, params: Parameters, kernel: Any) -> None:
        self.params, self.kernel = params, kernel

    def __reduce__(self) -> Any:
        raise TypeError(f"a {type(self).__name__} is not pickled or copied: use to_bytes and from_bytes")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(degree={self.params.degree}, levels={self.params.levels})"

    def _fits(self, params: Parameters) -> None:
        if params != self.params:
            raise RingError("other-parameters")


def plain(key: Key, plaintexts: Plaintexts) -> Plaintexts:
    """The plaintexts, if they can be encrypted under `key`."""
    if type(plaintexts) is not Plaintexts:
        raise RingError("bad-plaintexts", "only Plaintexts are encrypted: encode the values first")
    key._fits(plaintexts.params)
    return plaintexts


class PublicKey(Key):
    """Encrypts; for everybody."""

    __slots__ = ()
    kernel: _core.RingPublicKey

    def encrypt(self, plaintexts: Plaintexts, *, threads: int | None = None) -> Ciphertexts:
        """Plaintexts under the key, two parts each.

        Raises:
            RingError: the plaintexts are of other parameters.
        """
        plaintexts = plain(self, plaintexts)
        with ring_kernel():
            words = self.kernel.encrypt(plaintexts.residues, threads or cores())
        return Ciphertexts.trusted(self.params, words, plaintexts.scale)

    def to_bytes(self) -> bytes:
        """Half of the key, the seed of the other half, after a header that holds the parameters."""
        with ring_kernel():
            return _core.ring_write_public(self.kernel)

    @classmethod
    def from_bytes(cls, params: Parameters, data: bytes) -> PublicKey:
        """What `to_bytes` gave. Everything is checked, sizes before memory is taken.

        Raises:
            RingError: the bytes are not such, or of other parameters.
        """
        with ring_kernel():
            return cls(params, _core.ring_read_public(kernel_of(params), as_bytes(data)))


class RelinearisationKey(Key):
    """Brings products back to two parts; for who computes."""

    __slots__ = ()
    kernel: _core.RingRelinearisationKey

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.kernel.nbytes

    def to_bytes(self, *, threads: int | None = None) -> bytes:
        """Half of the key, the seed of the other half, after a header that holds the parameters."""
        with ring_kernel():
            return _core.ring_write_relinearisation(self.kernel, threads or cores())

    @classmethod
    def from_bytes(cls, params: Parameters, data: bytes, *, threads: int | None = None) -> RelinearisationKey:
        """What `to_bytes` gave. Everything is checked, sizes before memory is taken.

        Raises:
            RingError: the bytes are not such, or of other parameters.
        """
        kernel, workers = kernel_of(params), threads or cores()
        with ring_kernel():
            return cls(params, _core.ring_read_relinearisation(kernel, as_bytes(data), workers))


class RotationKeys(Key):
    """Rotate the slots by certain steps; for who computes."""

    __slots__ = ()
    kernel: _core.RingRotationKeys

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps to the left that there are keys for."""
        return tuple(self.kernel.steps)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.kernel.nbytes

    def to_bytes(self, *, threads: int | None = None) -> bytes:
        """Half of each key, the seeds of the other halves, after a header that holds the parameters."""
        with ring_kernel():
            return _core.ring_write_rotations(self.params.kernel, self.kernel, threads or cores())

    @classmethod
    def from_bytes(cls, params: Parameters, data: bytes, *, threads: int | None = None) -> RotationKeys:
        """What `to_bytes` gave. Everything is checked, sizes before memory is taken.

        Raises:
            RingError: the bytes are not such, or of other parameters.
        """
        kernel, workers = kernel_of(params), threads or cores()
        with ring_kernel():
            return cls(params, _core.ring_read_rotations(kernel, as_bytes(data), workers))

    def __repr__(self) -> str:
        return f"RotationKeys(degree={self.params.degree}, steps={len(self.steps)})"


class SecretKey(Key):
    """Decrypts, and makes all other keys. It stays with its owner.

    Its memory is wiped by `erase` and when the object goes. It cannot be pickled or copied, and `repr` shows
    its parameters alone.
    """

    __slots__ = ()
    kernel: _core.RingSecretKey

    @classmethod
    def generate(cls, params: Parameters) -> SecretKey:
        """A new key from the operating system's randomness."""
        if not isinstance(params, Parameters):
            raise RingError("bad-parameters", "params must be hitoku.hazmat.ring.Parameters")
        with ring_kernel():
            return cls(params, _core.RingSecretKey.generate(params.kernel))

    def to_bytes(self) -> bytes:
        """The key itself, for its owner to keep: whoever reads it decrypts everything.

        These bytes are Python's: they cannot be wiped.
        """
        with ring_kernel():
            return _core.ring_write_secret(self.kernel)

    @classmethod
    def from_bytes(cls, params: Parameters, data: bytes) -> SecretKey:
        """The key that `to_bytes` gave.

        Raises:
            RingError: the bytes are of something else, or of other parameters.
            SecretError: they are damaged.
        """
        with ring_kernel():
            return cls(params, _core.ring_read_secret(kernel_of(params), as_bytes(data)))

    def erase(self) -> None:
        """Wipes the key; every later use is refused."""
        self.kernel.erase()

    def public_key(self) -> PublicKey:
        """A public key of this one; each call makes another."""
        with ring_kernel():
            return PublicKey(self.params, self.kernel.public_key())

    def relinearisation_key(self, *, threads: int | None = None) -> RelinearisationKey:
        """The key that products need."""
        with ring_kernel():
            return RelinearisationKey(self.params, self.kernel.relinearisation_key(threads or cores()))

    def rotation_keys(self, steps: Iterable[int], *, threads: int | None = None) -> RotationKeys:
        """Keys that rotate by these steps (to the left; negative: to the right) and no others.

        Each has ``16 * levels * (levels + 1) * N`` bytes in memory.
        """
        with ring_kernel():
            made = self.kernel.rotation_keys(checked_steps(steps), threads or cores())
            return RotationKeys(self.params, made)

    def encrypt(self, plaintexts: Plaintexts, *, threads: int | None = None) -> SeededCiphertexts:
        """Plaintexts under the key, at half the size of what the public key makes, and with less noise.

        Raises:
            RingError: the plaintexts are of other parameters.
        """
        plaintexts = plain(self, plaintexts)
        with ring_kernel():
            first, seed = self.kernel.encrypt(plaintexts.residues, threads or cores())
        return SeededCiphertexts.trusted(self.params, first, seed, plaintexts.scale)

    def encrypt_reals(
        self,
        values: NDArray[np.float64],
        scale: float,
        level: int | None = None,
        *,
        threads: int | None = None,
    ) -> SeededCiphertexts:
        """CKKS: `encode` and `encrypt` in one pass, faster and without the plaintexts in memory.

        Raises:
            RingError: as `encode`.
        """
        reals, scale, level = checked_reals(self.params, values, scale, level)
        with ring_kernel():
            first, seed = self.kernel.encrypt_reals(reals, scale, level, threads or cores())
        return SeededCiphertexts.trusted(self.params, first, seed, scale)

    def decrypt(self, ciphertexts: Ciphertexts, *, threads: int | None = None) -> Plaintexts:
        """The plaintexts with their noise.

        Of CKKS that noise tells something of the key: show decryptions to nobody who does not hold it.

        Raises:
            RingError: the ciphertexts are of other parameters.
        """
        if not isinstance(ciphertexts, Ciphertexts):
            raise RingError("bad-ciphertexts", "only Ciphertexts are decrypted: expand seeded ones first")
        self._fits(ciphertexts.params)
        with ring_kernel():
            words = self.kernel.decrypt(ciphertexts.residues, threads or cores())
        return Plaintexts.trusted(self.params, words, ciphertexts.scale)

    def __repr__(self) -> str:
        return f"SecretKey(secret, degree={self.params.degree}, levels={self.params.levels})"
