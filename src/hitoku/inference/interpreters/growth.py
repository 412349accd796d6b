# SPDX-License-Identifier: Apache-2.0
"""What each primitive of the scheme adds to the error of a ciphertext: the noise model's constants.

**The measure.** A ciphertext (c0, c1, ...) decrypts to the polynomial c0 + c1 s + ... = m + e. Errors are
followed in the canonical embedding, slot by slot, in units of the integers (divide by the scale for
reals): a polynomial whose N coefficients are independent with variance V has a value of mean square N V
in every slot, nearly a circular complex Gaussian. Sums of errors add, products of polynomials multiply
there, and neither costs a factor N as the coefficient norm does (A. Costache, N. P. Smart, "Which Ring
Based Somewhat Homomorphic Encryption Scheme is Best?", ePrint 2015/889, section 3; for CKKS: A. Costache,
B. R. Curtis, E. Hales, S. Murphy, T. Ogilvie, R. Player, "On the precision loss in approximate homomorphic
encryption", ePrint 2022/162). A score is the real part of its slot: half the mean square. (An encoding's
rounding is real in every slot, as the values are; it counts twice, so that half of it is right.)

**Two figures.** `typical` is the root mean square, all errors taken as independent. `worst` is a bound:
each primitive's own error with the tail below, then the triangle inequality, nothing taken as
independent of anything. For a circular Gaussian Pr[|z| > t rms] = exp(-t^2); with t = 7.2 that is
2^-74, and 2^-40 over 2^34 slots. For a product of two such, Pr[|z w| > u rms rms] = 2 u K_1(2 u), below
2^-73 at u = 27. Every constant here is compared with measured errors in tests/unit/inference/interpreters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from hitoku.inference.interpreters.ring import ERROR_VARIANCE, SECRET_VARIANCE

__all__ = [
    "FLOAT_ERROR",
    "TAIL",
    "TAIL_OF_PRODUCT",
    "Error",
    "constant",
    "division",
    "encoding",
    "flood",
    "inner_product",
    "key_switch",
    "public_key",
    "relinearisation",
    "symmetric",
]

TAIL: Final = 7.2
TAIL_OF_PRODUCT: Final = 27.0
# float64's rounding in the special Fourier transform of an encoding, relative to the largest slot.
FLOAT_ERROR: Final = 2.0**-50

_ROUNDING: Final = 1 / 12
_OTHER_PARTS: Final = 1 + 1 / 24 + 1 / 36


@dataclass(frozen=True, slots=True)
class Error:
    """The error that one primitive adds in a slot, in units of the integers.

    Attributes:
        square: the mean square of its magnitude; twice the mean square of its real part.
        worst: a bound of its magnitude that fails with a probability below 2^-70.
    """

    square: float
    worst: float

    def __add__(self, other: Error) -> Error:
        return Error(self.square + other.square, self.worst + other.worst)


def _gaussian(square: float) -> Error:
    return Error(square, TAIL * math.sqrt(square))


def _product(square: float) -> Error:
    return Error(square, TAIL_OF_PRODUCT * math.sqrt(square))


def encoding(degree: int) -> Error:
    """Rounding a plaintext's coefficients to integers: uniform in [-1/2, 1/2]."""
    return _gaussian(2 * degree * _ROUNDING)


def constant() -> Error:
    """Rounding a number that is the same in all slots: a constant polynomial, off by 1/2 at most."""
    return Error(2 * _ROUNDING, 0.5)


def symmetric(degree: int) -> Error:
    """A fresh encryption under the secret key: one error polynomial."""
    return _gaussian(degree * ERROR_VARIANCE)


def public_key(degree: int) -> Error:
    """A fresh encryption under the public key: e0 + u e + e1 s, with u and s uniform ternary."""
    one = degree * ERROR_VARIANCE
    masked = 2 * degree * SECRET_VARIANCE * one
    return _gaussian(one) + _product(masked)


def division(degree: int, parts: int = 2) -> Error:
    """Dividing by a prime and rounding each part: sum of t_k s^k, each t_k uniform in [-1/2, 1/2]."""
    rounding, secret = degree * _ROUNDING, degree * SECRET_VARIANCE
    error = _gaussian(rounding)
    for power in range(1, parts):
        # The mean of |s|^2k of a circular Gaussian is k! times its mean square to the k.
        square = rounding * secret**power
        worst = TAIL_OF_PRODUCT * TAIL ** (power - 1) * math.sqrt(square)
        error += Error(math.factorial(power) * square, worst)
    return error


def inner_product(degree: int, primes: tuple[int, ...], special: int) -> Error:
    """A key switch before its division: the sum of digit x error over P.

    Digits are centred residues, uniform in [-q/2, q/2]; one for each data prime that is left.
    """
    digits = sum(float(q) ** 2 for q in primes) * _ROUNDING * degree
    return _product(digits * degree * ERROR_VARIANCE / float(special) ** 2)


def key_switch(degree: int, primes: tuple[int, ...], special: int) -> Error:
    """Switching one part to the secret key: the inner product, and rounding when it is divided by P."""
    return inner_product(degree, primes, special) + division(degree)


def relinearisation(degree: int, primes: tuple[int, ...], special: int, extra: int) -> Error:
    """Bringing 2 + extra parts to 2 with the one key for s^2, from the top (`rust/src/ring/evaluate.rs`).

    The switch of the part that goes with s^k leaves its error times s^(k - 2).
    """
    one = key_switch(degree, primes, special)
    secret = degree * SECRET_VARIANCE
    total = Error(0.0, 0.0)
    for power in range(extra):
        largest = (TAIL * math.sqrt(secret)) ** power
        total += Error(math.factorial(power) * secret**power * one.square, largest * one.worst)
    return total


def flood(degree: int, bits: float) -> Error:
    """Noise uniform in [-2^bits, 2^bits) on each coefficient, and the narrower floods of the other parts.

    Theirs have a 24th and a 36th of its variance after s and s^2 at most (`ring/release.rs`).
    """
    return _gaussian(degree * 4.0**bits / 3 * _OTHER_PARTS)
