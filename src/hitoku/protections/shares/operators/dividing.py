# SPDX-License-Identifier: Apache-2.0
"""Exact division under sharing: long division in base 4 or 16, whole part and fraction; and ROUND.

A fraction has as many bits as the nearest double needs: a quotient that is not 0 is at least 2**-b, where the
divisor has b bits, and a double has 53; with a bit more, and one that says whether something was cut, it
rounds as the exact quotient does. (Of divisors with more than 72 bits there may be fewer than that.)

A digit is how many of the multiples 1 x, 2 x, ... of the divisor are not above the remainder: all are
compared at once, so that a digit costs one conversion, one step from bits to the ring and one product. It is
meant for groups, which are few. Nothing is opened, and the number of digits follows from the types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hitoku.protections.shares.engine import Engine
from hitoku.protections.shares.operators.kinds import fitting_ring, ring_kind, word_kind, wrapped
from hitoku.protections.shares.operators.layout import whole_bits, whole_words
from hitoku.protections.shares.operators.values import (
    Evaluate,
    Rows,
    Value,
    both,
    constant,
    nonnegative,
    with_ring,
    zeroed,
)
from hitoku.protections.shares.program import Ratio, Round, Type

__all__ = ["Quotient", "known", "quotient", "rounded"]

_WORD = 64
_DOUBLE = 56
"""Bits behind the first one that a fraction has."""
_FEW = 256
"""Groups up to which digits have four bits: fewer rounds, more work."""


@dataclass(frozen=True)
class Quotient:
    """A ratio.

    Attributes:
        sign: a bit: it is below 0.
        whole: the whole part of its absolute value, once or twice ``u64``, the higher bits first.
        fraction: of the absolute value, in units of 2**-64 and 2**-128, cut; the last bit is 1 where it was.
        valid: a bit; None where it is never NULL.
        whole_bits: the whole part has so many, at most.
        places: so many bits of the fraction are computed; those behind are 0, but for the last.
    """

    sign: Any
    whole: tuple[Any, ...]
    fraction: tuple[Any, Any]
    valid: Any
    whole_bits: int
    places: int


@dataclass(frozen=True)
class _Absolute:
    """An absolute value in a ring, below 2**bits, and a bit that says that it was negative (None: never)."""

    ring: Any
    bits: int
    negative: Any


def known(rows: Rows, expr: Ratio, evaluate: Evaluate) -> Any | None:
    """A bit: whether a ratio is not NULL: no part is NULL, and the divisor is not 0."""
    key = ("known", expr)
    if key not in rows.memo:
        over, under = evaluate(rows, expr.over), evaluate(rows, expr.under)
        valid = both(rows.engine, _valid(rows, over), _valid(rows, under))
        rows.memo[key] = both(rows.engine, valid, _not_zero(rows, under))
    return rows.memo[key]


def _valid(rows: Rows, value: Value) -> Any | None:
    if value.public and value.number is None:
        return rows.engine.public("u8", 0, rows.count)
    return value.valid


def _not_zero(rows: Rows, value: Value) -> Any | None:
    engine, kind = rows.engine, value.type
    if value.public:
        return None if value.number else engine.public("u8", 0, rows.count)
    if kind.low > 0 or kind.high < 0:
        return None
    ring = with_ring(rows, value, value.ring.kind if value.ring is not None else ring_kind(kind)).ring
    bits = max((kind.high - kind.low).bit_length(), 1)
    word = engine.ring_to_words(ring, bits)
    return engine.xor_public(engine.equal(word, engine.public(word.kind, 0, rows.count), bits), 1)


def quotient(rows: Rows, expr: Ratio, evaluate: Evaluate) -> Quotient:
    """A ratio's sign, whole part and fraction; all 0 where it is NULL.

    Raises:
        ValueError: numerator or divisor is too wide.
    """
    engine = rows.engine
    steps = evaluate(rows, expr.over).type.scale - evaluate(rows, expr.under).type.scale
    over = _absolute(rows, evaluate(rows, expr.over), 10 ** max(-steps, 0))
    under = _absolute(rows, evaluate(rows, expr.under), 10 ** max(steps, 0))
    places = min(max(_WORD, -(-(under.bits + _DOUBLE) // 4) * 4), 2 * _WORD)
    digits, rest = _divide(rows, over, under, places)
    above, digits = digits[:-places], digits[-places:]
    whole = [_joined(engine, above, rows.count)]
    if whole_words(expr) == 2:
        whole.insert(0, _joined(engine, above[:-_WORD], rows.count))
    high, low = (_joined(engine, part, rows.count) for part in (digits[:_WORD], digits[_WORD:]))
    if _WORD < places < 2 * _WORD:
        low = engine.shift_left(low, 2 * _WORD - places)
    exact = engine.equal(rest, engine.public(rest.kind, 0, rows.count), under.bits)
    # Rounding to odd: a double of the cut value is then the double of the true one.
    sticky = engine.cast(engine.xor_public(exact, 1), "u64")
    low = engine.xor(low, sticky) if places < 2 * _WORD else engine.or_(low, sticky)
    valid = known(rows, expr, evaluate)
    sign = _sign(rows, over, under)
    return Quotient(
        zeroed(engine, sign, valid),
        tuple(zeroed(engine, word, valid) for word in whole),
        (zeroed(engine, high, valid), zeroed(engine, low, valid)),
        valid,
        whole_bits(expr),
        places,
    )


def _sign(rows: Rows, over: _Absolute, under: _Absolute) -> Any:
    signs = [side.negative for side in (over, under) if side.negative is not None]
    if not signs:
        return rows.engine.public("u8", 0, rows.count)
    return signs[0] if len(signs) == 1 else rows.engine.xor(*signs)


def rounded(rows: Rows, expr: Round, evaluate: Evaluate) -> Value:
    """ROUND of a number or a ratio, halves away from 0, exactly.

    Raises:
        ValueError: the type's scale is coarser than the digits, or a part is too wide.
    """
    engine, kind = rows.engine, expr.type
    steps = kind.scale - expr.digits
    if steps < 0:
        raise ValueError("a rounded value has more digits than its type")
    if isinstance(expr.value, Ratio):
        top, bottom = evaluate(rows, expr.value.over), evaluate(rows, expr.value.under)
        valid = known(rows, expr.value, evaluate)
    else:
        top = evaluate(rows, expr.value)
        bottom = constant(Type("number", 1, 1, 0, nullable=False), 1)
        valid = _valid(rows, top)
        if expr.digits >= top.type.scale:
            factor = 10 ** (kind.scale - top.type.scale)
            ring = with_ring(rows, top, ring_kind(kind)).ring
            return Value(kind, None, engine.mul_public(ring, wrapped(ring.kind, factor)), valid)
    # |a| 10**digits / |b| rounded is (2 |a| 10**digits + |b|) / (2 |b|), cut.
    lift = expr.digits + bottom.type.scale - top.type.scale
    over = _absolute(rows, top, 2 * 10 ** max(lift, 0), add=(bottom, 10 ** max(-lift, 0)))
    under = _absolute(rows, bottom, 2 * 10 ** max(-lift, 0))
    digits, _ = _divide(rows, over, under, 0)
    bits = len(digits)
    word = _joined(engine, digits, rows.count, word_kind(bits))
    ring_name = ring_kind(kind)
    ring = engine.words_to_ring(word, min(bits, int(ring_name[1:])), ring_name)
    ring = engine.mul_public(ring, wrapped(ring_name, 10**steps))
    negative = _sign(rows, over, under)
    ring = engine.select(negative, engine.neg(ring), ring)
    return Value(kind, None, zeroed(engine, ring, valid), valid)


def _absolute(rows: Rows, value: Value, factor: int, add: tuple[Value, int] | None = None) -> _Absolute:
    """``|value| * factor``, plus ``|other| * other factor`` where `add` gives them."""
    engine = rows.engine
    most = max(abs(value.type.low), abs(value.type.high))
    if value.public:
        most = abs(value.number or 0)
    total = most * factor
    other = None
    if add is not None:
        bound = add[0].type if not add[0].public else Type("number", add[0].number or 0, add[0].number or 0)
        total += max(abs(bound.low), abs(bound.high)) * add[1]
    bits = max(total.bit_length(), 1)
    kind = fitting_ring(max(bits, most.bit_length() + 1), "r64")
    ring = with_ring(rows, value, kind).ring
    low = (value.number or 0) if value.public else value.type.low
    high = (value.number or 0) if value.public else value.type.high
    negative = None
    if low < 0:
        positive = nonnegative(engine, ring, low, high)
        negative = engine.xor_public(positive, 1)
        ring = engine.select(positive, ring, engine.neg(ring))
    ring = engine.mul_public(ring, wrapped(kind, factor)) if factor != 1 else ring
    if add is not None:
        other = (
            with_ring(rows, Value(add[0].type, public=True, number=add[0].number), kind).ring
            if add[0].public
            else _absolute_in(rows, add[0], kind)
        )
        ring = engine.add(ring, engine.mul_public(other, wrapped(kind, add[1])))
    return _Absolute(ring, bits, negative)


def _absolute_in(rows: Rows, value: Value, kind: str) -> Any:
    ring = with_ring(rows, value, kind).ring
    if value.type.low >= 0:
        return ring
    positive = nonnegative(rows.engine, ring, value.type.low, value.type.high)
    return rows.engine.select(positive, ring, rows.engine.neg(ring))


def _divide(rows: Rows, over: _Absolute, under: _Absolute, fraction: int) -> tuple[list[Any], Any]:
    """Bits of ``over / under``, highest first, `fraction` of them behind the point; the remainder's words."""
    engine, count = rows.engine, rows.count
    width = 4 if count <= _FEW else 2
    whole = -(-over.bits // width) * width
    places = under.bits + width
    kind = fitting_ring(places + 1)
    divisor = _into(engine, under, kind)
    digits = _digits(engine, over, whole, width, kind, count)
    multiples = engine.concat([engine.mul_public(divisor, times) for times in range(1, 2**width)])
    bound = 2**places
    rest = None
    bits: list[Any] = []
    for step in range((whole + fraction) // width):
        lifted = digits[step] if step < len(digits) else None
        if rest is not None:
            moved = engine.mul_public(rest, 2**width)
            lifted = moved if lifted is None else engine.add(moved, lifted)
        many = 2**width - 1
        fits = nonnegative(engine, engine.sub(engine.tile(lifted, many), multiples), -bound, bound - 1)
        flags = [engine.slice(fits, at * count, (at + 1) * count) for at in range(many)]
        in_ring = engine.bit_to_ring(fits, kind)
        digit = engine.slice(in_ring, 0, count)
        for at in range(1, many):
            digit = engine.add(digit, engine.slice(in_ring, at * count, (at + 1) * count))
        rest = engine.sub(lifted, engine.mul(digit, divisor))
        bits += [_parity(engine, flags[2**place - 1 :: 2**place]) for place in range(width - 1, -1, -1)]
    return bits, engine.ring_to_words(rest, under.bits)


def _parity(engine: Engine, flags: list[Any]) -> Any:
    """A binary place of a count whose flags are 1...10...0: how often 2**place fits, modulo 2."""
    found = flags[0]
    for flag in flags[1:]:
        found = engine.xor(found, flag)
    return found


def _into(engine: Engine, value: _Absolute, kind: str) -> Any:
    if int(kind[1:]) <= int(value.ring.kind[1:]):
        return value.ring if value.ring.kind == kind else engine.cast(value.ring, kind)
    return engine.words_to_ring(engine.ring_to_words(value.ring, value.bits), value.bits, kind)


def _digits(engine: Engine, over: _Absolute, whole: int, width: int, kind: str, count: int) -> list[Any]:
    """The numerator's digits, highest first, as ring elements; all converted at once."""
    word = engine.ring_to_words(over.ring, over.bits)
    parts = []
    for place in range(whole - width, -1, -width):
        part = engine.shift_right(word, place) if place else word
        parts.append(engine.and_public(engine.cast(part, "u8"), 2**width - 1))
    ring = engine.words_to_ring(engine.concat(parts), width, kind)
    return [engine.slice(ring, at * count, (at + 1) * count) for at in range(len(parts))]


def _joined(engine: Engine, bits: list[Any], count: int, kind: str = "u64") -> Any:
    """Bits, highest first, as words; what is above the word is cut."""
    bits = bits[-int(kind[1:]) :]
    joined = engine.public(kind, 0, count)
    for at, bit in enumerate(reversed(bits)):
        wide = bit if kind == "u8" else engine.cast(bit, kind)
        joined = engine.xor(joined, engine.shift_left(wide, at) if at else wide)
    return joined
