# SPDX-License-Identifier: Apache-2.0
"""Plaintexts and ciphertexts: batches of ring elements as numpy arrays of residues.

All arrays are ``uint64``, C-contiguous, read-only, in NTT form, and hold residues below their primes. The
level of an element is the number of primes it has left: ``params.primes[:level]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from hitoku import _core
from hitoku.executors.local import cores
from hitoku.hazmat.ring_checks import (
    Words,
    as_bytes,
    checked,
    checked_reals,
    checked_scale,
    frozen,
    kernel_of,
    rows_of,
)
from hitoku.hazmat.ring_errors import RingError, ring_kernel
from hitoku.hazmat.ring_parameters import Parameters

__all__ = [
    "Ciphertexts",
    "Plaintexts",
    "SeededCiphertexts",
    "concatenate",
    "decode",
    "encode",
    "expanded",
    "seeded_shape",
]


@dataclass(frozen=True, eq=False, repr=False)
class Batch:
    """What plaintexts and ciphertexts share: parameters and a scale (real value = integer / scale)."""

    params: Parameters

    def __reduce__(self) -> Any:
        raise TypeError(f"{type(self).__name__} are not pickled: use to_bytes and from_bytes")


@dataclass(frozen=True, eq=False, repr=False)
class Plaintexts(Batch):
    """Encoded vectors: ``residues`` uint64[count, level, N]."""

    residues: Words
    scale: float

    def __post_init__(self) -> None:
        words = checked(self.params, self.residues, "count, level, N", "residues")
        object.__setattr__(self, "residues", words)
        object.__setattr__(self, "scale", checked_scale(self.params, self.scale))

    @classmethod
    def trusted(cls, params: Parameters, residues: Words, scale: float) -> Self:
        """From what a kernel just made; nothing is checked."""
        made = object.__new__(cls)
        for name, value in (("params", params), ("residues", frozen(residues)), ("scale", float(scale))):
            object.__setattr__(made, name, value)
        return made

    @property
    def count(self) -> int:
        """How many vectors."""
        return int(self.residues.shape[0])

    @property
    def level(self) -> int:
        """How many primes are left."""
        return int(self.residues.shape[-2])

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: slice | NDArray[np.integer[Any]] | list[int]) -> Self:
        """Some rows: a slice shares memory, a list of indices copies."""
        chosen = self.residues[rows_of(rows, self.count)]
        return self.trusted(self.params, np.ascontiguousarray(chosen), self.scale)

    def to_bytes(self, *, threads: int | None = None) -> bytes:
        """Residues packed to their primes' widths, after a header that holds the parameters.

        Raises:
            RingError: there is no row.
        """
        name, scale = _KINDS[type(self)], self.scale
        with ring_kernel():
            return _core.ring_write(self.params.kernel, name, self.residues, scale, None, threads or cores())

    @classmethod
    def from_bytes(cls, params: Parameters, data: bytes, *, threads: int | None = None) -> Self:
        """What `to_bytes` gave. Everything is checked, sizes before memory is taken; any residues may come.

        Raises:
            RingError: the bytes are not such, or of other parameters.
        """
        residues, scale, _ = read(params, _KINDS[cls], data, threads)
        return cls.trusted(params, residues, scale)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(count={self.count}, level={self.level}, scale={self.scale:.10g})"


class Ciphertexts(Plaintexts):
    """Encrypted vectors: ``residues`` uint64[count, parts, level, N]; 2 parts, 3 after a product."""

    def __post_init__(self) -> None:
        words = checked(self.params, self.residues, "count, parts, level, N", "residues")
        object.__setattr__(self, "residues", words)
        object.__setattr__(self, "scale", checked_scale(self.params, self.scale))

    @property
    def parts(self) -> int:
        """Polynomials of each: 2, and more after products."""
        return int(self.residues.shape[1])

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(count={self.count}, parts={self.parts}, level={self.level}, "
            f"scale={self.scale:.10g})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class SeededCiphertexts(Batch):
    """Fresh ciphertexts at half the size: ``first`` uint64[count, level, N], the second part from `seed`.

    The seed is public. It belongs to this batch alone: ciphertexts cannot be taken out or put together before
    `expand`.
    """

    first: Words
    seed: bytes
    scale: float

    def __post_init__(self) -> None:
        words = checked(self.params, self.first, "count, level, N", "first parts")
        if not isinstance(self.seed, bytes) or len(self.seed) != 32:
            raise RingError("bad-seed")
        object.__setattr__(self, "first", words)
        object.__setattr__(self, "scale", checked_scale(self.params, self.scale))

    @classmethod
    def trusted(cls, params: Parameters, first: Words, seed: bytes, scale: float) -> Self:
        """From what a kernel just made; nothing is checked."""
        made = object.__new__(cls)
        fields = {"params": params, "first": frozen(first), "seed": seed, "scale": float(scale)}
        for name, value in fields.items():
            object.__setattr__(made, name, value)
        return made

    @property
    def count(self) -> int:
        """How many ciphertexts."""
        return int(self.first.shape[0])

    @property
    def level(self) -> int:
        """How many primes they have."""
        return int(self.first.shape[1])

    def __len__(self) -> int:
        return self.count

    def expand(self, *, threads: int | None = None) -> Ciphertexts:
        """The whole ciphertexts, two parts each."""
        with ring_kernel():
            words = _core.ring_expand(self.params.kernel, self.first, self.seed, threads or cores())
        return Ciphertexts.trusted(self.params, words, self.scale)

    def to_bytes(self, *, threads: int | None = None) -> bytes:
        """First parts packed to their primes' widths and the seed, after a header that holds the parameters.

        Raises:
            RingError: there is no row.
        """
        params, name = self.params.kernel, "seeded ciphertexts"
        with ring_kernel():
            return _core.ring_write(params, name, self.first, self.scale, self.seed, threads or cores())

    @classmethod
    def from_bytes(cls, params: Parameters, data: bytes, *, threads: int | None = None) -> Self:
        """What `to_bytes` gave. Everything is checked, sizes before memory is taken; any residues may come.

        Raises:
            RingError: the bytes are not such, or of other parameters.
        """
        first, scale, seed = read(params, "seeded ciphertexts", data, threads)
        return cls.trusted(params, first, seed or b"", scale)

    def __repr__(self) -> str:
        return f"SeededCiphertexts(count={self.count}, level={self.level}, scale={self.scale:.10g})"


_KINDS: Final[dict[type, str]] = {Plaintexts: "plaintexts", Ciphertexts: "ciphertexts"}


def read(
    params: Parameters, name: str, data: bytes, threads: int | None
) -> tuple[Words, float, bytes | None]:
    """Residues, scale and seed of bytes of this kind.

    Raises:
        RingError: the bytes are not such, or of other parameters.
    """
    with ring_kernel():
        return _core.ring_read(kernel_of(params), name, as_bytes(data), threads or cores())


def seeded_shape(params: Parameters, data: bytes | memoryview) -> tuple[int, int]:
    """Count and level of what `SeededCiphertexts.to_bytes` gave; residues are not looked at.

    Raises:
        RingError: the bytes are not such, or of other parameters.
    """
    with ring_kernel():
        return _core.ring_seeded_shape(kernel_of(params), _octets(data))


def expanded(params: Parameters, data: bytes | memoryview, *, threads: int | None = None) -> Ciphertexts:
    """The whole ciphertexts of what `SeededCiphertexts.to_bytes` gave.

    As ``SeededCiphertexts.from_bytes(params, data).expand()``, with less memory: the bytes may be a part of a
    longer message, and no array of first parts is made.

    Raises:
        RingError: the bytes are not such, or of other parameters.
    """
    with ring_kernel():
        words, scale = _core.ring_read_expanded(kernel_of(params), _octets(data), threads or cores())
    return Ciphertexts.trusted(params, words, scale)


def _octets(data: bytes | memoryview) -> NDArray[np.uint8]:
    """The bytes as an array that shares their memory."""
    if not isinstance(data, bytes | memoryview) or not memoryview(data).c_contiguous:
        raise RingError("bad-bytes")
    return np.frombuffer(data, np.uint8)


def concatenate(batches: list[Ciphertexts]) -> Ciphertexts:
    """Several batches as one, in order.

    Raises:
        RingError: there is none, or they differ in parameters, parts, level or scale.
    """
    if not batches:
        raise RingError("bad-shape", "there is nothing to concatenate")
    first = batches[0]
    for other in batches[1:]:
        if other.params != first.params:
            raise RingError("other-parameters", "ciphertexts of different parameters cannot be put together")
        if (other.parts, other.level, other.scale) != (first.parts, first.level, first.scale):
            raise RingError("bad-shape", f"{other!r} cannot be put together with {first!r}")
    words = np.concatenate([batch.residues for batch in batches])
    return Ciphertexts.trusted(first.params, words, first.scale)


def encode(
    params: Parameters,
    values: NDArray[np.float64],
    scale: float,
    level: int | None = None,
    *,
    threads: int | None = None,
) -> Plaintexts:
    """Reals to CKKS plaintexts: each row times `scale`, rounded to integer coefficients.

    Args:
        params: of the scheme ``ckks``.
        values: float64[count, slots], finite.
        scale: integers per unit; the rounding error of a slot is about ``sqrt(N / 12) / scale``.
        level: how many primes; all of them by default.
        threads: every core that the process may use by default.

    Raises:
        RingError: the shape, the level or the scale is wrong, or a value does not fit below half the modulus.
    """
    reals, scale, level = checked_reals(params, values, scale, level)
    with ring_kernel():
        words = _core.ring_encode(params.kernel, reals, scale, level, threads or cores())
    return Plaintexts.trusted(params, words, scale)


def decode(plaintexts: Plaintexts, *, threads: int | None = None) -> NDArray[np.float64]:
    """The reals of CKKS plaintexts: float64[count, slots].

    Raises:
        RingError: the parameters are not of the scheme ``ckks``.
    """
    params = plaintexts.params
    if params.scheme != "ckks" or type(plaintexts) is not Plaintexts:
        raise RingError("bad-scheme", "decode takes decrypted plaintexts of the scheme 'ckks'")
    with ring_kernel():
        return _core.ring_decode(params.kernel, plaintexts.residues, plaintexts.scale, threads or cores())
