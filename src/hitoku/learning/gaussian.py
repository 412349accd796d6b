# SPDX-License-Identifier: Apache-2.0
"""Draws of the discrete Gaussian, exact, and many at a time.

``N_Z(0, s^2)`` has a probability proportional to ``exp(-x^2 / (2 s^2))`` at each whole number x. The
algorithm is that of Canonne, Kamath and Steinke 2020 (arXiv 2004.00010): algorithm 3, over the discrete
Laplace draws of algorithm 2, for whole s. All of it comes down to coins that show heads with probability
``exp(-a / b)`` for whole a and b, and to uniform whole numbers; both are drawn for whole arrays here.

Why the coins are exact. A coin compares a real number u, uniform in [0, 1), with ``p = exp(-a / b)``. The
first 53 bits of u and a double near p decide nearly always: the doubles' errors are below 2^-38 (see
`_coins`), so a coin is decided by them only if the two lie further apart than 2^-36. Else (once in 2^34
coins) u gets more bits and p more digits, as decimals, until they differ by more than the error. So no coin
depends on how a double was rounded. Randomness is the operating system's.

How long a draw takes depends on its value (Jin et al. 2021, arXiv 2112.05307); here only sums over arrays of
thousands of draws can be timed.
"""

from __future__ import annotations

import os
from decimal import Context, Decimal, localcontext
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_SCALE", "draw"]

MAX_SCALE: Final = 1 << 44
_WIDE: Final = 48
"""Draws of more than so many scales are judged by decimals alone."""
_NEAR: Final = 2.0**-36
_CHUNK: Final = 1 << 16


def draw(scale: int, length: int) -> NDArray[np.int64]:
    """Independent draws of ``N_Z(0, scale^2)``.

    Args:
        scale: a whole number from 1 to `MAX_SCALE`.
        length: how many.
    """
    if not 1 <= scale <= MAX_SCALE:
        raise ValueError("the scale of a discrete Gaussian is out of range")
    made = np.empty(length, np.int64)
    at = 0
    while at < length:
        # 1.45 candidates a draw, a little more at small scales.
        some = _accepted(scale, min(_CHUNK, (length - at) * 3 // 2 + 16))
        taken = min(len(some), length - at)
        made[at : at + taken] = some[:taken]
        at += taken
    return made


def _accepted(scale: int, count: int) -> NDArray[np.int64]:
    t = scale + 1
    candidates = _laplace(t, count)
    size = np.abs(candidates)
    # exp(-(|y| - s^2/t)^2 / (2 s^2)) with s^2/t = s - s/t, so that no product leaves the doubles' whole
    # numbers.
    delta = ((size - scale).astype(np.float64) + scale / t) / scale
    keep = _coins(delta * delta / 2, near=_NEAR, sure=size <= _WIDE * scale, exact=(size, scale))
    return np.asarray(candidates[keep])


def _laplace(t: int, count: int) -> NDArray[np.int64]:
    """Draws with probability proportional to ``exp(-|y| / t)``; about so many."""
    units = _below(t, count)
    units = units[_coins(units / t, exact=(units, t))]
    whole = np.zeros(len(units), np.int64)
    going = np.arange(len(units))
    while len(going):
        going = going[_coins(np.ones(len(going)), exact=(np.ones(len(going), np.int64), 1))]
        whole[going] += 1
    values = units + t * whole
    negative = np.frombuffer(os.urandom(len(values)), np.uint8) & 1 == 1
    kept = ~(negative & (values == 0))
    return np.asarray(np.where(negative, -values, values)[kept])


def _below(t: int, count: int) -> NDArray[np.int64]:
    """Uniform whole numbers from 0 to t - 1."""
    bits = np.frombuffer(os.urandom(8 * count), np.uint64) >> np.uint64(1)
    return (bits[bits < np.uint64((1 << 63) // t * t)] % np.uint64(t)).astype(np.int64)


def _coins(
    exponent: NDArray[np.float64],
    *,
    exact: tuple[NDArray[np.int64], int],
    near: float = _NEAR,
    sure: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Heads with probability exp(-exponent).

    The doubles' error: exponents of `_laplace` are single quotients below 1, with an error below 2^-53.
    Those of `_accepted` are half the square of a delta below 49 with an error below 2^-45 (three roundings
    of numbers below 49), so their own is below 49 * 2^-45 + 2^-42 < 2^-39; exp is at most 1 and its slope
    too, and numpy's is good to 4 units in the last place, so p's error is below 2^-38. u's first 53 bits
    are off by 2^-53.

    Args:
        exponent: as doubles.
        exact: what the exponents are made from: (a, b) for a / b, or (size, scale) with `sure`.
        near: coins whose u is so near to p are judged by decimals.
        sure: whose exponents are as exact as said above; the others are judged by decimals. None: all.
    """
    count = len(exponent)
    first = np.frombuffer(os.urandom(8 * count), np.uint64) >> np.uint64(11)
    apart = first * 2.0**-53 - np.exp(-exponent)
    heads = apart < 0
    unsure = np.abs(apart) < near if sure is None else (np.abs(apart) < near) | ~sure
    for place in np.flatnonzero(unsure):
        heads[place] = _exact_coin(int(first[place]), int(exact[0][place]), exact[1], sure is not None)
    return heads


def _exact_coin(first: int, a: int, b: int, accepting: bool) -> bool:
    """The same coin, with as many digits as it takes."""
    bits, known, digits = first, 53, 60
    while True:
        with localcontext(Context(prec=digits + 40)):
            if accepting:  # a is the size of a candidate, b the scale
                t = Decimal(b + 1)
                exponent = (Decimal(a) - Decimal(b) * b / t) ** 2 / (2 * Decimal(b) * b)
            else:
                exponent = Decimal(a) / b
            p = (-exponent).exp()
            while known < 4 * digits:
                bits, known = (bits << 64) | int.from_bytes(os.urandom(8), "big"), known + 64
            u = Decimal(bits) / (1 << known)
            # 10^-digits covers the rounding of a number below 1 in digits + 40 digits, and u's unknown bits.
            if abs(u - p) > Decimal(10) ** -digits:
                return u < p
        digits *= 2
