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
from hitoku.hazmat.ring_errors import RingError, ring_kernel
from hitoku.hazmat.ring_parameters import Parameters

__all__ = ["Ciphertexts", "Plaintexts", "SeededCiphertexts", "Words", "concatenate", "decode", "encode"]

_WANTED: Final = "the {what} must be a numpy array of uint64, C-contiguous, of shape [{axes}]"
Words = NDArray[np.uint64]


def checked(params: Parameters, words: Any, axes: str, what: str) -> Words:
    """A foreign array, refused unless it can be one of `params`; returned as a read-only view.

    Raises:
        RingError: its type, shape or a residue is wrong; the message says which is expected.
    """
    names = axes.split(", ")
    wanted = _WANTED.format(what=what, axes=axes)
    if not isinstance(params, Parameters):
        raise RingError("bad-parameters", "params must be hitoku.hazmat.ring.Parameters")
    if not isinstance(words, np.ndarray) or words.dtype != np.uint64 or not words.flags.c_contiguous:
        raise RingError("bad-array", wanted)
    if words.ndim != len(names):
        raise RingError("bad-shape", f"{wanted}; this one has {words.ndim} axes")
    level, degree = words.shape[-2:]
    if degree != params.degree:
        raise RingError("bad-shape", f"{wanted}; its last axis is {degree} and the degree is {params.degree}")
    if not 1 <= level <= params.levels:
        raise RingError("bad-shape", f"{wanted}; its level is {level} and there are {params.levels} primes")
    if "parts" in names and not 2 <= words.shape[1] <= 3:
        raise RingError("bad-parts", f"{wanted}; it has {words.shape[1]} parts and a ciphertext has 2 or 3")
    with ring_kernel():
        _core.ring_check(params.kernel, words, cores())
    return frozen(words)


def frozen(words: Words) -> Words:
    """A view that cannot be written, so that what was checked stays checked (unless its base is)."""
    view = words.view()
    view.flags.writeable = False
    return view


def checked_scale(params: Parameters, scale: float) -> float:
    """The scale as a float.

    Raises:
        RingError: it is not finite and positive; of BGV: not a whole number below the plain modulus.
    """
    try:
        number = float(scale)
    except (TypeError, ValueError, OverflowError):
        raise RingError("bad-scale", "a scale must be a number") from None
    if not (np.isfinite(number) and number > 0):
        raise RingError("bad-scale")
    if params.plain_modulus is not None and not (number.is_integer() and number < params.plain_modulus):
        raise RingError("bad-scale", "a scale of BGV is a whole number from 1 to the plain modulus less 1")
    return number


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
    """Encrypted vectors: ``residues`` uint64[count, parts, level, N]; 2 parts, or 3 after a product."""

    def __post_init__(self) -> None:
        words = checked(self.params, self.residues, "count, parts, level, N", "residues")
        object.__setattr__(self, "residues", words)
        object.__setattr__(self, "scale", checked_scale(self.params, self.scale))

    @property
    def parts(self) -> int:
        """Polynomials of each: 2, or 3 after a product."""
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


def kernel_of(params: Parameters) -> _core.RingParams:
    """The kernel's side of parameters."""
    if not isinstance(params, Parameters):
        raise RingError("bad-parameters", "params must be hitoku.hazmat.ring.Parameters")
    return params.kernel


def as_bytes(data: bytes) -> bytes:
    """The bytes, if they are such."""
    if not isinstance(data, bytes):
        raise RingError("bad-bytes")
    return data


def rows_of(rows: Any, count: int) -> Any:
    """An index of rows that keeps the axis.

    Raises:
        RingError: it is neither a slice nor a list of row numbers that there are.
    """
    if isinstance(rows, slice):
        return rows
    index = np.asarray(rows)
    if index.ndim != 1 or (index.size and not np.issubdtype(index.dtype, np.integer)):
        raise RingError("bad-rows", "rows are chosen by a slice or a one-dimensional list of row numbers")
    if index.size and not (-count <= index.min() and index.max() < count):
        raise RingError("bad-rows", f"a row number is not below the {count} rows that there are")
    return index.astype(np.intp)


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
    if params.scheme != "ckks":
        raise RingError("bad-scheme", "encode takes parameters of the scheme 'ckks'")
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] != params.slots:
        raise RingError(
            "bad-shape", f"values must have the shape [count, {params.slots}], not {list(array.shape)}"
        )
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise RingError("bad-array", f"values must be real numbers, not {array.dtype}")
    level = checked_level(params, params.levels if level is None else level)
    scale = checked_scale(params, scale)
    reals = np.ascontiguousarray(array, dtype=np.float64)
    with ring_kernel():
        words = _core.ring_encode(params.kernel, reals, scale, level, threads or cores())
    return Plaintexts.trusted(params, words, scale)


def checked_level(params: Parameters, level: int) -> int:
    """The level.

    Raises:
        RingError: it is not a whole number of the primes that there are.
    """
    if not isinstance(level, int | np.integer) or isinstance(level, bool):
        raise RingError("bad-level", "a level is a whole number of primes")
    if not 1 <= level <= params.levels:
        raise RingError("bad-level", f"the level must be 1 to {params.levels}, not {level}")
    return int(level)


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
