# SPDX-License-Identifier: Apache-2.0
"""How much noise a cross table gets, and its draws: exact, in whole numbers, from the system's randomness.

The mechanism. A figure gets discrete Laplace noise, ``P[z] = (1 - q) / (1 + q) * q^|z|`` with ``q =
exp(-epsilon)`` (for sums of values up to C in absolute value ``q = exp(-epsilon / C)``), which is
epsilon-differentially private for one person more or less (Ghosh, Roughgarden, Sundararajan 2009; sampled
as in Canonne, Kamath, Steinke 2020, arXiv 2004.00010, section 5.2). It is conditioned on a window
``[-bound, bound]``, by drawing again: dummies and discrete logarithms have to be finite in number. Shifting
a conditioned law by one person leaves some outcomes uncovered, which is what delta pays for:

- Counts. With ``bound = m = ceil(ln(2 / (delta0 (1 + q))) / epsilon)`` the uncovered outcome is one end of
  the window, of probability ``(1 - q) q^m / (1 + q - 2 q^(m + 1))``. As ``q^m <= delta0 (1 + q) / 2`` and
  ``1 - q < 1``, that is below delta0 (below epsilon * delta0, indeed). All other outcomes keep the ratio q
  exactly, for both windows have the same normalisation. The test enumerates it with rational bounds.
- Sums. With ``offset = ceil(C / epsilon * ln(2 K / delta0))`` at most C outcomes are uncovered, of
  probability below ``(exp(epsilon) - 1) * delta0 / K`` together.

Noise of a plan's ``users_noise = u`` has ``epsilon = 7 / (5 u)``: its standard deviation is then at least u
persons' largest contributions (``sqrt(2) * 5 / 7 = 1.0102`` times u, less the lattice's 0.2 % at u = 10).

Both members must come to the same bounds: logarithms are taken in decimal arithmetic of 60 digits, which
rounds alike on every machine, not in floating point.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from typing import Any, Final

from hitoku.errors import LimitError

__all__ = ["MAX_BOUND", "count_bound", "draw", "epsilon_of", "sum_offset"]

_CONTEXT: Final = Context(prec=60)
MAX_BOUND: Final = 2**61
"""No window reaches beyond this: its draws and sums of two are 64-bit numbers with room to spare."""


def epsilon_of(users_noise: int) -> Fraction:
    """What one figure costs: ``7 / (5 u)``."""
    return Fraction(7, 5 * users_noise)


def count_bound(epsilon: Fraction, delta0: Fraction) -> int:
    """m: noise of counts and sizes is conditioned on ``[-m, m]``; a cell has ``2 m`` dummies."""
    c = _CONTEXT
    q = c.exp(-_decimal(epsilon))
    logarithm = c.ln(c.divide(Decimal(2), c.multiply(_decimal(delta0), c.add(Decimal(1), q))))
    return _ceiling(c.divide(logarithm, _decimal(epsilon)))


def sum_offset(epsilon: Fraction, largest: int, cells: int, delta0: Fraction) -> int:
    """The window of a sum's noise, where a value is at most `largest` in absolute value."""
    c = _CONTEXT
    logarithm = c.ln(_decimal(Fraction(2 * cells) / delta0))
    return _ceiling(c.multiply(_decimal(largest / epsilon), logarithm))


def _decimal(number: Fraction) -> Decimal:
    return _CONTEXT.divide(Decimal(number.numerator), Decimal(number.denominator))


def _ceiling(number: Decimal) -> int:
    # A little up first: the last digits of 60 are not to be trusted, and more is never less private.
    slightly = _CONTEXT.multiply(number, Decimal(1) + Decimal(10) ** -50)
    bound = int(slightly.to_integral_value(rounding=ROUND_CEILING))
    if bound > MAX_BOUND:
        raise LimitError(
            f"the noise would need a window of {bound:,} to either side; the limit is {MAX_BOUND:,}: "
            "lower the bounds of the values, or ask for less noise"
        )
    return max(1, bound)


def draw(scale: Fraction, bound: int, count: int) -> list[int]:
    """So many fresh draws of the discrete Laplace law of that scale, conditioned on ``[-bound, bound]``.

    Args:
        scale: ``1 / epsilon`` times the largest contribution of a person.
        bound: the window.
        count: how many.
    """
    if not 0 <= bound <= MAX_BOUND:
        raise LimitError("the window of the noise is too wide")
    mechanism = _mechanism(scale)
    drawn: list[int] = []
    while len(drawn) < count:
        drawn += [z for z in mechanism([0] * (count - len(drawn))) if -bound <= z <= bound]
    return drawn


def _float(scale: Fraction) -> float:
    """The scale as opendp takes it, never less noise than was charged for."""
    number = float(scale)
    return math.nextafter(number, math.inf) if Fraction(number) < scale else number


def _mechanism(scale: Fraction) -> Any:
    """The sampler of opendp, exact for the rational number that its scale, a float, is."""
    import opendp.prelude as dp

    # Opens the mechanisms of opendp that nobody outside it has vetted yet; Laplace is one.
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
    return space >> dp.m.then_laplace(scale=_float(scale))
