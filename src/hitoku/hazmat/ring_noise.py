# SPDX-License-Identifier: Apache-2.0
"""How far a ciphertext of `hitoku.hazmat.ring` may be from what it stands for: bounds and estimates.

A ciphertext decrypts to a polynomial with integer coefficients. Its noise is what they differ by from the
encoded plaintext; all figures here are of coefficients, before any division by a scale. `worst` is a bound:
no choice of keys, errors or roundings exceeds it. `deviation` is the standard deviation that the usual
independence heuristic gives (A. Costache, N. P. Smart, "Which Ring Based Somewhat Homomorphic Encryption
Scheme is Best?", CT-RSA 2016); single coefficients exceed it, seven-fold once in 10^11.

Of BGV take the whole decrypted polynomial `f m + t e` for noise, with a message of size zero: what must stay
below half the modulus is the sum, and products multiply the sums.

Norms. N-term products of polynomials: `|a b| <= N |a| |b|`, deviation `sqrt(N) a b`. Errors are centred
binomials of 21 pairs of coins: at most 21, deviation sqrt(21/2). Secrets and masks are uniform over -1, 0, 1:
deviation sqrt(2/3). Digits of key switching and roundings are uniform between -q/2 and q/2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hitoku import _core
from hitoku.executors.local import cores
from hitoku.hazmat.ring_errors import RingError, ring_kernel
from hitoku.hazmat.ring_parameters import Parameters
from hitoku.hazmat.ring_values import Plaintexts

__all__ = [
    "NONE",
    "Size",
    "add",
    "budget_bits",
    "coefficients",
    "flood",
    "fresh",
    "multiply",
    "multiply_plain",
    "rescale",
    "slot_error",
    "square",
    "switch_key",
]

ERROR_WORST = 21.0
ERROR_DEVIATION = math.sqrt(21 / 2)
SECRET_DEVIATION = math.sqrt(2 / 3)


@dataclass(frozen=True)
class Size:
    """How large a polynomial's coefficients are: at most `worst`, typically `deviation`."""

    worst: float
    deviation: float


NONE = Size(0.0, 0.0)


def _factor(params: Parameters) -> float:
    """What errors and roundings are multiplied by."""
    return float(params.plain_modulus) if params.plain_modulus is not None else 1.0


def _times(size: Size, factor: float) -> Size:
    return Size(size.worst * factor, size.deviation * factor)


def add(*sizes: Size) -> Size:
    """Of a sum or difference of independent polynomials."""
    return Size(math.fsum(size.worst for size in sizes), math.hypot(*(size.deviation for size in sizes)))


def fresh(params: Parameters, *, public: bool) -> Size:
    """Of a new ciphertext, under the secret key or the public one: `e`, or `e u + e0 + e1 s`."""
    error = _times(Size(ERROR_WORST, ERROR_DEVIATION), _factor(params))
    if not public:
        return error
    n = params.degree
    return Size(error.worst * (2 * n + 1), error.deviation * math.sqrt(1 + 2 * n * SECRET_DEVIATION**2))


def multiply_plain(params: Parameters, noise: Size, plain: Size) -> Size:
    """Of a ciphertext times a plaintext whose coefficients have this size."""
    n = params.degree
    return Size(n * noise.worst * plain.worst, math.sqrt(n) * noise.deviation * plain.deviation)


def multiply(params: Parameters, x: Size, message_x: Size, y: Size, message_y: Size) -> Size:
    """Of a product: `m_x e_y + m_y e_x + e_x e_y`."""
    return add(
        multiply_plain(params, x, message_y),
        multiply_plain(params, y, message_x),
        multiply_plain(params, x, y),
    )


def square(params: Parameters, noise: Size, message: Size) -> Size:
    """Of a square: `2 m e + e^2`; in a square every product but few stands twice."""
    mixed = _times(multiply_plain(params, noise, message), 2.0)
    own = multiply_plain(params, noise, noise)
    return add(mixed, Size(own.worst, own.deviation * math.sqrt(2)))


def _rounding(params: Parameters, parts: int) -> Size:
    """What rounding each part to a multiple of the factor adds: `r_0 + r_1 s + r_2 s^2`."""
    n, half = params.degree, _factor(params) / 2
    worst, variance = 0.0, 0.0
    for part in range(parts):
        worst += float(n) ** part
        # The coefficients of s^2 are sums of N / 2 products, each standing twice; higher powers likewise.
        variance += math.factorial(part) * (n * SECRET_DEVIATION**2) ** part
    return Size(half * worst, half * math.sqrt(variance / 3))


def switch_key(params: Parameters, level: int) -> Size:
    """What relinearising or rotating adds at a level: digits times the key's errors over P, and rounding."""
    n, primes = params.degree, params.primes[:level]
    scale = _factor(params) / params.special
    key = Size(
        ERROR_WORST * n * math.fsum(q / 2 for q in primes) * scale,
        ERROR_DEVIATION * math.sqrt(n * math.fsum(q * q / 12 for q in primes)) * scale,
    )
    return add(key, _rounding(params, 2))


def rescale(params: Parameters, noise: Size, level: int, parts: int = 2) -> Size:
    """After division by the last of `level` primes. BGV's modulus switching is this, too."""
    return add(_times(noise, 1 / params.primes[level - 1]), _rounding(params, parts))


def flood(noise: Size, bits: float) -> Size:
    """With uniform noise of amplitude 2^bits added, and what the floods of the other parts become.

    Times s and s^2 those have a 24th and a 36th of its variance at most; eight deviations of that are in the
    worst case.
    """
    own, others = 2.0**bits / math.sqrt(3), math.sqrt(1 / 24 + 1 / 36)
    return add(noise, Size(2.0**bits + 8 * others * own, own * math.sqrt(1 + others**2)))


def budget_bits(params: Parameters, total: Size, level: int) -> float:
    """By how many bits message and noise together stay below half the modulus; negative: it may wrap."""
    modulus = math.fsum(math.log2(q) for q in params.primes[:level])
    return modulus - 1 - math.log2(max(total.worst, 1.0))


def slot_error(params: Parameters, noise: Size, scale: float) -> Size:
    """CKKS: of the real values in slots, whose roots of unity add up N coefficients."""
    n = params.degree
    return Size(n * noise.worst / scale, math.sqrt(n / 2) * noise.deviation / scale)


def coefficients(plaintexts: Plaintexts, *, threads: int | None = None) -> NDArray[np.float64]:
    """The integer coefficients of plaintexts between ``-Q/2`` and ``Q/2``, as float64[count, N].

    The difference of a decryption and what was encrypted is the noise, measured. Only a key's holder has it.
    """
    if type(plaintexts) is not Plaintexts:
        raise RingError("bad-operands", "this takes Plaintexts: decrypt ciphertexts first")
    with ring_kernel():
        return _core.ring_coefficients(plaintexts.params.kernel, plaintexts.residues, threads or cores())
