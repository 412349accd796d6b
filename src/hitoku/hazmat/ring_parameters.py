# SPDX-License-Identifier: Apache-2.0
"""Parameters of the ring, refused below 128 bits of security, and primes to make them of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from hitoku import _core
from hitoku.hazmat.ring_errors import ParameterError

__all__ = ["MAX_BITS", "Parameters", "backend", "find_primes", "nearest_primes"]

MAX_BITS: Final[dict[int, int]] = dict(_core.ring_security())
"""For each degree the most bits that all primes together may have: the HomomorphicEncryption.org
standard's table for 128 bits (classical), ternary secret."""

_PRIME_BITS: Final = 50


@dataclass(frozen=True)
class Parameters:
    """A ring Z[X]/(X^degree + 1), the primes of its residues, and the scheme over it.

    Args:
        degree: N; 1024, 2048, ... 32768.
        primes: distinct primes below 2^50 that are 1 modulo 2N, see `find_primes`. A ciphertext starts with
            up to all of them and loses the last one with every `rescale`.
        special: one more such prime, used inside key switching only; about as large as the largest of
            `primes`, since what key switching adds to the noise is divided by it. 0: none, then there are no
            keys for products and rotations, and its bits are left to `primes`.
        scheme: ``ckks`` (approximate reals) or ``bgv`` (exact integers).
        plain_modulus: of BGV, a prime that is 1 modulo 2N and below all primes; None for CKKS.

    Raises:
        ParameterError: they are no such ring, or give less than 128 bits of security.
    """

    degree: int
    primes: tuple[int, ...]
    special: int
    scheme: str = "ckks"
    plain_modulus: int | None = None
    kernel: _core.RingParams = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "primes", tuple(self.primes))
        numbers = [self.degree, *self.primes, self.special]
        if any(not isinstance(number, int) or isinstance(number, bool) for number in numbers):
            raise ParameterError("degree, primes and special prime must be whole numbers (int)")
        if self.scheme not in ("ckks", "bgv"):
            raise ParameterError(f"the scheme must be 'ckks' or 'bgv', not {self.scheme!r}")
        if (self.plain_modulus is not None) != (self.scheme == "bgv"):
            raise ParameterError("a plain_modulus goes with the scheme 'bgv', and with it alone")
        kernel = _kernel(self.degree, self.primes, self.special, self.plain_modulus)
        object.__setattr__(self, "kernel", kernel)

    @property
    def levels(self) -> int:
        """How many data primes there are: the level of a new ciphertext, at most."""
        return len(self.primes)

    @property
    def slots(self) -> int:
        """Values in one ciphertext: N/2 reals (CKKS), or N integers (BGV)."""
        return self.degree // 2 if self.scheme == "ckks" else self.degree

    @property
    def bits(self) -> int:
        """Bits of the product of all primes with the special one; at most ``MAX_BITS[degree]``."""
        return self.kernel.bits

    @property
    def security(self) -> int:
        """Bits of security by the standard's table; what has fewer than 128 cannot be made."""
        return 128

    def to_bytes(self) -> bytes:
        """The parameters in their one form, about a hundred bytes; keys and ciphertexts begin with it."""
        return _core.ring_write_parameters(self.kernel)

    @classmethod
    def from_bytes(cls, data: bytes) -> Parameters:
        """What `to_bytes` gave; security is checked as ever.

        Raises:
            ParameterError: the bytes are not such, or of parameters that cannot be used.
        """
        if not isinstance(data, bytes):
            raise ParameterError("parameters are read from bytes")
        try:
            degree, primes, special, plain = _core.ring_read_parameters(data)
        except _core.RingFault as error:
            raise ParameterError(f"these are not the bytes of usable parameters ({error.args[0]})") from None
        return cls(degree, tuple(primes), special, "ckks" if plain is None else "bgv", plain)

    def __reduce__(self) -> tuple[Any, ...]:
        return Parameters, (self.degree, self.primes, self.special, self.scheme, self.plain_modulus)


@lru_cache(maxsize=32)
def _kernel(degree: int, primes: tuple[int, ...], special: int, plain: int | None) -> _core.RingParams:
    """The kernel's tables; equal parameters share them."""
    try:
        return _core.RingParams(degree, list(primes), special, plain)
    except OverflowError:
        raise ParameterError("the degree and all primes must be positive and below 2^50") from None
    except _core.RingFault as error:
        code, place = error.args
    names = [*(f"primes[{index}]" for index in range(len(primes))), "special"]
    degrees = ", ".join(map(str, MAX_BITS))
    if code == "bad-degree":
        raise ParameterError(f"the degree must be one of {degrees}, not {degree}")
    if code == "bad-prime-count":
        raise ParameterError(f"there must be 1 to 60 primes, not {len(primes)}")
    if code == "bad-prime":
        raise ParameterError(
            f"{names[place]} is not a prime below 2^{_PRIME_BITS} that is 1 modulo {2 * degree}: take it "
            f"from find_primes({degree}, ...)"
        )
    if code == "repeated-prime":
        raise ParameterError(f"{names[place]} repeats an earlier prime: all primes must be distinct")
    if code == "insecure":
        larger = next((n for n, most in MAX_BITS.items() if most >= place), None)
        instead = f", or degree {larger}" if larger else ""
        raise ParameterError(
            f"the primes with the special prime have {place} bits together; at degree {degree} at most "
            f"{MAX_BITS[degree]} bits keep 128 bits of security: take fewer or smaller primes{instead}"
        )
    if code == "bad-plain-modulus":
        raise ParameterError(
            f"the plain_modulus must be a prime that is 1 modulo {2 * degree} and below all other primes"
        )
    raise ParameterError(f"the kernel refuses these parameters ({code})")


def find_primes(degree: int, bits: Sequence[int], *, avoid: Sequence[int] = ()) -> tuple[int, ...]:
    """Distinct primes that are 1 modulo 2N, one for each entry of `bits`, the largest of that many bits.

    Args:
        degree: N.
        bits: the size of each; ``[40, 30, 30, 41]`` gives three data primes and a special prime.
        avoid: primes that are taken already.

    Raises:
        ParameterError: there are not so many.
    """
    if degree not in MAX_BITS:
        raise ParameterError(f"the degree must be one of {', '.join(map(str, MAX_BITS))}, not {degree}")
    found: dict[int, list[int]] = {}
    for size in set(bits):
        count = sum(1 for other in bits if other == size)
        fits = isinstance(size, int) and 2 <= size <= _PRIME_BITS
        primes = _core.ring_primes(size, degree, count, list(avoid)) if fits else []
        if len(primes) < count:
            raise ParameterError(
                f"there are only {len(primes)} primes of {size} bits that are 1 modulo {2 * degree}, not "
                f"{count}: take another size (at most {_PRIME_BITS})"
            )
        found[size] = primes
    return tuple(found[size].pop(0) for size in bits)


def nearest_primes(degree: int, target: int, count: int, *, avoid: Sequence[int] = ()) -> tuple[int, ...]:
    """The `count` primes nearest to `target` that are 1 modulo 2N: for scales that rescaling keeps.

    Raises:
        ParameterError: there are not so many below 2^50.
    """
    if degree not in MAX_BITS:
        raise ParameterError(f"the degree must be one of {', '.join(map(str, MAX_BITS))}, not {degree}")
    if not (1 <= target < 1 << _PRIME_BITS and 0 <= count <= 1_000):
        raise ParameterError(f"the target must be 1 to 2^{_PRIME_BITS} - 1, and at most 1,000 primes wanted")
    primes = _core.ring_nearest_primes(target, degree, count, list(avoid))
    if len(primes) < count:
        raise ParameterError(f"there are only {len(primes)} such primes")
    return tuple(primes)


def backend() -> str:
    """Which kernels this processor runs: ``avx512ifma``, ``avx2`` or ``scalar``. Results are the same."""
    return _core.ring_backend()
