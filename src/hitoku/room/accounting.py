# SPDX-License-Identifier: Apache-2.0
"""What noise costs, in whole numbers: zero-concentrated privacy (zCDP) inside, epsilon and delta outside.

Costs are integers, rounded up, so that sums are exact and no order of additions can drift: `rho` in units of
10^-12, `delta` in units of 10^-18.

The argument:

- A mechanism with `rho` is rho-zCDP (Bun and Steinke 2016, arXiv 1605.02065, definition 1.1). Costs
  add, also where each question is chosen after the answers before it (lemma 1.7). That costs are chosen on
  the way too, under a fixed limit on their sum, changes nothing: a privacy filter (Feldman and Zrnic 2021,
  arXiv 2008.11193; with failures: Whitehouse, Ramdas, Rogers and Wu 2023, arXiv 2203.05481).
- A mechanism that fails with probability at most `delta` (a noisy threshold that a single unit can pass) is
  delta-approximate rho-zCDP, and there both numbers add (Bun and Steinke, definition 8.1 and lemma 8.2).
- rho-zCDP is (alpha, alpha rho)-Renyi private for every alpha > 1, so it is (epsilon, delta)-private with

      epsilon = alpha rho + ln(1 - 1/alpha) + (ln(1/delta) - ln(alpha)) / (alpha - 1)

  (Canonne, Kamath and Steinke 2020, arXiv 2004.00010, proposition 12). It holds for every alpha, so an
  inexact minimum costs a little and can never claim too much. The minimum is where
  rho (alpha - 1)^2 = ln(1/delta) - ln(alpha): the left side grows, the right side falls.
- The failures' delta and the conversion's delta add. An account gives half of its delta to each: it is two
  caps, and a charge is admitted if and only if both sums stay within them.

All of it is computed with 40 decimal digits and rounded against the asker: every machine gets the same
figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hitoku.room.agreement import Budget

__all__ = [
    "DELTA_UNITS",
    "RHO_UNITS",
    "Caps",
    "Charge",
    "Remaining",
    "admits",
    "caps",
    "conversion_delta",
    "decimal_of",
    "epsilon_of",
    "remaining",
]

RHO_UNITS: Final = 10**12
DELTA_UNITS: Final = 10**18
_DIGITS: Final = Context(prec=40)
# Of the result, after 40 digits inside: what is rounded away is far above what was lost on the way.
_STEP: Final = Decimal("1e-9")
_HALVINGS: Final = 110


@dataclass(frozen=True, slots=True, order=True)
class Charge:
    """What one question costs one account.

    Attributes:
        owner: whose account.
        unit: of which unit of privacy.
        rho: zCDP's rho, in units of 10^-12, rounded up.
        delta: the delta of truncated mechanisms (noisy thresholds), in units of 10^-18, rounded up.
    """

    owner: str
    unit: str
    rho: int
    delta: int


@dataclass(frozen=True, slots=True)
class Caps:
    """What an account admits in all: `rho` in units of 10^-12, `delta` in units of 10^-18."""

    rho: int
    delta: int


@dataclass(frozen=True, slots=True)
class Remaining:
    """How an account stands.

    Attributes:
        caps: what it admits in all.
        rho: what it still admits, in units of 10^-12; 0 where a later agreement lowered it below its charges.
        delta: the same for thresholds' delta, in units of 10^-18.
        epsilon_spent: the epsilon of all charges together.
    """

    caps: Caps
    rho: int
    delta: int
    epsilon_spent: Decimal

    def questions(self, charge: Charge) -> int | None:
        """How many questions of this cost it still admits; None where they cost nothing."""
        shares = [
            left // cost for left, cost in ((self.rho, charge.rho), (self.delta, charge.delta)) if cost > 0
        ]
        return min(shares) if shares else None


def conversion_delta(delta: str) -> int:
    """Half of an account's delta, in units of 10^-18: the conversion's share, and the thresholds'."""
    return int(Decimal(delta) * DELTA_UNITS) // 2


def decimal_of(amount: int, units: int) -> str:
    """An amount in small units as a plain decimal: ``decimal_of(5 * 10**9, RHO_UNITS) == "0.005"``."""
    value = Decimal(amount).scaleb(-(len(str(units)) - 1), _DIGITS)
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(maxsize=1024)
def epsilon_of(rho: int, delta: int) -> Decimal:
    """The epsilon of `rho` at the conversion's `delta`, rounded up to 10^-9.

    Args:
        rho: in units of 10^-12, at least 0.
        delta: in units of 10^-18, between 0 and 1 exclusive.
    """
    if rho < 0 or not 0 < delta < DELTA_UNITS:
        raise ValueError("rho is negative, or delta is not between 0 and 1")
    if rho == 0:
        return Decimal(0)
    with localcontext(_DIGITS):
        cost, log = _inside(rho, delta)
        # alpha = 1 + t; at t = sqrt(log / cost) the left side has passed the right one.
        low, high = Decimal(0), (log / cost).sqrt()
        for _ in range(_HALVINGS):
            t = (low + high) / 2
            if cost * t * t < log - (1 + t).ln():
                low = t
            else:
                high = t
        return max(Decimal(0), _epsilon(cost, log, high)).quantize(_STEP, ROUND_CEILING)


def caps(budget: Budget) -> Caps:
    """What an account admits in all: the largest rho within its epsilon, and half of its delta."""
    half = conversion_delta(budget.delta)
    return Caps(_largest_rho(Decimal(budget.epsilon), half), half)


def admits(budget: Budget, rho: int, delta: int) -> bool:
    """Whether an account admits charges of these sums."""
    most = caps(budget)
    return rho <= most.rho and delta <= most.delta


def remaining(budget: Budget, rho: int, delta: int) -> Remaining:
    """How an account stands after charges of these sums."""
    most = caps(budget)
    return Remaining(
        caps=most,
        rho=max(0, most.rho - rho),
        delta=max(0, most.delta - delta),
        epsilon_spent=epsilon_of(rho, most.delta),
    )


def _inside(rho: int, delta: int) -> tuple[Decimal, Decimal]:
    return Decimal(rho) / RHO_UNITS, (Decimal(DELTA_UNITS) / delta).ln()


def _epsilon(cost: Decimal, log: Decimal, t: Decimal) -> Decimal:
    alpha = 1 + t
    return alpha * cost + (t / alpha).ln() + (log - alpha.ln()) / t


@lru_cache(maxsize=256)
def _largest_rho(epsilon: Decimal, delta: int) -> int:
    """The largest rho whose epsilon, as `epsilon_of` rounds it, is at most `epsilon`."""
    with localcontext(_DIGITS):
        log = (Decimal(DELTA_UNITS) / delta).ln()
        # At the best alpha of a rho, rho = (log - ln alpha) / t^2: epsilon falls as t grows.
        low, high = Decimal("1e-6"), Decimal(DELTA_UNITS) / delta
        for _ in range(_HALVINGS):
            t = (low * high).sqrt()
            cost = _rho_at(log, t)
            if cost > 0 and _epsilon(cost, log, t) > epsilon:
                low = t
            else:
                high = t
        largest = int((_rho_at(log, high) * RHO_UNITS).to_integral_value(ROUND_FLOOR))
    while epsilon_of(largest, delta) > epsilon:
        largest -= 1
    while epsilon_of(largest + 1, delta) <= epsilon:
        largest += 1
    return largest


def _rho_at(log: Decimal, t: Decimal) -> Decimal:
    """The rho whose best alpha is 1 + t."""
    return (log - (1 + t).ln()) / (t * t)
