# SPDX-License-Identifier: Apache-2.0
"""Quotients of whole numbers, of groups: kept as two numbers until something has to be divided.

So means, shares and sums of them are compared exactly, by products alone; a division is made only of what is
opened. The divisor of a `Rational` is never negative. Where it is 0 the value is NULL if `zero` says so (a
mean of nothing); otherwise it is what the engine makes of it: infinite, or not a number.
"""

from __future__ import annotations

from dataclasses import dataclass

from hitoku.protections.shares.planning import numbers
from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.protections.shares.program import Expr, Literal, Ratio

__all__ = ["Quantity", "Rational", "added", "compared", "divided", "multiplied", "ratio", "sign_of_infinite"]


@dataclass(frozen=True, slots=True)
class Rational:
    """`over` divided by `under`.

    Attributes:
        over: the numerator.
        under: the divisor, never negative.
        infinite: whether a divisor of 0 makes an infinite value, not NULL.
        most: no quotient is larger, as the bounds of its parts do not say; None where they say enough.
    """

    over: Expr
    under: Expr
    infinite: bool = False
    most: int | None = None


Quantity = Expr | Rational

_ONE = numbers.literal(1)


def _parts(value: Quantity) -> tuple[Expr, Expr]:
    return (value.over, value.under) if isinstance(value, Rational) else (value, _ONE)


def _finite(*values: Quantity) -> None:
    if any(isinstance(v, Rational) and v.infinite for v in values):
        raise Cannot(
            "the question computes with a quotient whose divisor may be 0",
            "select the quotient's parts as outputs of their own; the rest is then computed from them",
        )


def divided(left: Quantity, right: Quantity) -> Rational:
    """A quotient."""
    _finite(left, right)
    a, b = _parts(left)
    c, d = _parts(right)
    over, under = numbers.arith("*", a, d), numbers.arith("*", b, c)
    if under.type.low < 0:
        minus = numbers.negated(over)
        over = numbers.case([(numbers.compare("<", under, numbers.literal(0)), minus)], over)
        under = numbers.absolute(under)
    # Where d is 0, c / d is NULL and c with it, so that the quotient is NULL by its divisor.
    zero = c.type.low <= 0 <= c.type.high
    return Rational(over, under, infinite=zero)


def multiplied(left: Quantity, right: Quantity) -> Quantity:
    """A product."""
    _finite(left, right)
    a, b = _parts(left)
    c, d = _parts(right)
    over, under = numbers.arith("*", a, c), numbers.arith("*", b, d)
    return over if under == _ONE else Rational(over, under)


def added(op: str, left: Quantity, right: Quantity) -> Quantity:
    """A sum or difference."""
    _finite(left, right)
    a, b = _parts(left)
    c, d = _parts(right)
    if b == d:
        over = numbers.arith(op, a, c)
        return over if b == _ONE else Rational(over, b)
    over = numbers.arith(op, numbers.arith("*", a, d), numbers.arith("*", c, b))
    return Rational(over, numbers.arith("*", b, d))


def compared(op: str, left: Quantity, right: Quantity) -> Expr:
    """A comparison, exactly; as the engine does, what is not a number is larger than all numbers."""
    if not isinstance(left, Rational) and not isinstance(right, Rational):
        return numbers.compare(op, left, right)
    if isinstance(left, Rational) and isinstance(right, Rational):
        _finite(left, right)
    a, b = _parts(left)
    c, d = _parts(right)
    made = numbers.compare(op, numbers.arith("*", a, d), numbers.arith("*", c, b))
    special = next((v for v in (left, right) if isinstance(v, Rational) and v.infinite), None)
    if special is None:
        return made
    # 0 / 0: not a number. Of a / 0 the sign of a decides, and the products above compare just that.
    zeros = numbers.both(
        numbers.compare("=", special.over, numbers.literal(0)),
        numbers.compare("=", special.under, numbers.literal(0)),
    )
    larger = op in {">", ">=", "<>"} if special is left else op in {"<", "<=", "<>"}
    other = right if special is left else left
    outcome: Expr = numbers.TRUE if larger else numbers.FALSE
    known = numbers.is_null(_parts(other)[0])
    outcome = numbers.case([(known, Literal(None, numbers.BOOLEAN))], outcome)
    return numbers.case([(zeros, outcome)], made)


def ratio(value: Rational) -> Ratio:
    """The division itself: both parts in the same units, so that the units cancel."""
    over, under = numbers.aligned(value.over, value.under)
    return Ratio(over, under, over.type, value.most)


def sign_of_infinite(value: Rational) -> Expr:
    """Where the divisor is 0: -1, 1 or 0 for what is infinite or not a number; NULL elsewhere."""
    zero = numbers.compare("=", value.under, numbers.literal(0))
    minus, none, plus = (numbers.literal(n) for n in (-1, 0, 1))
    low = numbers.compare("<", value.over, none)
    high = numbers.compare(">", value.over, none)
    missing = numbers.is_null(value.over)
    nothing = Literal(None, numbers.number(-1, 1))
    sign = numbers.case([(missing, nothing), (low, minus), (high, plus)], none)
    return numbers.case([(zero, sign)], nothing)
