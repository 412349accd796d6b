# SPDX-License-Identifier: Apache-2.0
"""Comparisons of shared values: with public ones, with each other, of quotients; the cheapest way of each."""

from __future__ import annotations

from typing import Any

from hitoku.protections.shares.operators import dividing
from hitoku.protections.shares.operators.kinds import BITS, fitting_ring, word_kind, wrapped
from hitoku.protections.shares.operators.values import (
    Evaluate,
    Rows,
    Value,
    both,
    nonnegative,
    with_ring,
    with_word,
)
from hitoku.protections.shares.program import Arith, Compare, Expr, Literal, Ratio, Type

__all__ = ["known", "true_bit"]

_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_OPPOSITE = {">=": "<", ">": "<=", "<>": "="}


def true_bit(rows: Rows, expr: Compare, evaluate: Evaluate) -> Any:
    """A bit: whether a comparison is true; 0 where it is NULL."""
    engine = rows.engine
    if isinstance(expr.left, Ratio) or isinstance(expr.right, Ratio):
        bit = _quotients(rows, expr, evaluate)
    else:
        bit = _compared(rows, expr.op, evaluate(rows, expr.left), evaluate(rows, expr.right))
    valid = known(rows, expr, evaluate)
    return bit if valid is None else engine.and_(bit, valid)


def known(rows: Rows, expr: Compare, evaluate: Evaluate) -> Any | None:
    """A bit: whether a comparison is not NULL; None where it never is."""
    key = ("known", expr)
    if key not in rows.memo:
        sides = [_side_known(rows, side, evaluate) for side in (expr.left, expr.right)]
        rows.memo[key] = both(rows.engine, *sides)
    return rows.memo[key]


def _side_known(rows: Rows, side: Expr, evaluate: Evaluate) -> Any | None:
    if isinstance(side, Ratio):
        return dividing.known(rows, side, evaluate)
    value = evaluate(rows, side)
    if value.public and value.number is None:
        return rows.engine.public("u8", 0, rows.count)
    return value.valid


def _compared(rows: Rows, op: str, left: Value, right: Value) -> Any:
    engine = rows.engine
    if left.type.kind == "code" and right.type.kind == "code" and not (left.public or right.public):
        _same_dictionary(left.type, right.type)
    if op in _OPPOSITE:
        return engine.xor_public(_compared(rows, _OPPOSITE[op], left, right), 1)
    if left.public and right.public:
        return engine.public("u8", int(_publicly(op, left, right)), rows.count)
    if right.public:
        return _with_public(rows, op, left, right)
    if left.public:
        turned = _TURNED[op]
        if turned in _OPPOSITE:
            return engine.xor_public(_with_public(rows, _OPPOSITE[turned], right, left), 1)
        return _with_public(rows, turned, right, left)
    if op == "<=":
        return engine.xor_public(_with_each_other(rows, "<", right, left), 1)
    return _with_each_other(rows, op, left, right)


def _same_dictionary(left: Type, right: Type) -> None:
    if left.dictionary != right.dictionary:
        raise ValueError("codes of two dictionaries cannot be compared")


def _publicly(op: str, left: Value, right: Value) -> bool:
    scale = max(left.type.scale, right.type.scale)
    a, b = (int((side.number or 0) * 10 ** (scale - side.type.scale)) for side in (left, right))
    return a < b or (op != "<" and a == b) if op != "=" else a == b


def _with_public(rows: Rows, op: str, value: Value, other: Value) -> Any:
    """``<``, ``<=`` or ``=`` with a public number."""
    engine, kind = rows.engine, value.type
    steps = kind.scale - other.type.scale
    number, rest = (other.number or 0) * 10 ** max(steps, 0), 0
    if steps < 0:
        number, rest = divmod(number, 10**-steps)
    if op == "=":
        if rest or not kind.low <= number <= kind.high:
            return engine.public("u8", 0, rows.count)
        word = with_word(rows, value).word
        return engine.equal(word, engine.public(word.kind, number - kind.low, rows.count), kind.bits)
    # All is brought to "below a whole number": v < n + r is v < n + 1 where 0 < r < 1, and so is v <= n + r.
    bound = number + int(op == "<=" or rest > 0)
    if bound <= kind.low or bound > kind.high:
        return engine.public("u8", int(bound > kind.high), rows.count)
    if value.word is None and _sign_fits(value.ring.kind, kind.low - bound, kind.high - bound):
        moved = engine.add_public(value.ring, wrapped(value.ring.kind, -bound))
        return engine.xor_public(nonnegative(engine, moved, kind.low - bound, kind.high - bound), 1)
    word = with_word(rows, value).word
    return engine.less(word, engine.public(word.kind, bound - kind.low, rows.count), kind.bits)


def _sign_fits(kind: str, low: int, high: int) -> bool:
    return max((-low - 1).bit_length(), high.bit_length()) + 1 <= BITS[kind]


def _with_each_other(rows: Rows, op: str, left: Value, right: Value) -> Any:
    """``<`` or ``=`` of two shared values."""
    engine, a, b = rows.engine, left.type, right.type
    scale = max(a.scale, b.scale)
    by_words = (
        a.low == b.low and a.scale == b.scale and left.word is not None and right.word is not None
    ) or a.kind in ("hash", "code", "boolean")
    if by_words:
        bits = max(a.bits, b.bits)
        words = [with_word(rows, side).word for side in (left, right)]
        mine, other = (
            word if word.kind == word_kind(bits) else engine.cast(word, word_kind(bits)) for word in words
        )
        return engine.equal(mine, other, bits) if op == "=" else engine.less(mine, other, bits)
    low_a, high_a = (bound * 10 ** (scale - a.scale) for bound in (a.low, a.high))
    low_b, high_b = (bound * 10 ** (scale - b.scale) for bound in (b.low, b.high))
    low, high = low_a - high_b, high_a - low_b
    if op == "=" and (low > 0 or high < 0):
        return engine.public("u8", 0, rows.count)
    kind = fitting_ring(max((-low).bit_length(), high.bit_length()) + 1, "r64")
    rings = []
    for side in (left, right):
        ring = with_ring(rows, side, kind).ring
        if side.type.scale != scale:
            ring = engine.mul_public(ring, wrapped(kind, 10 ** (scale - side.type.scale)))
        rings.append(ring)
    difference = engine.sub(*rings)
    if op == "<":
        return engine.xor_public(nonnegative(engine, difference, low, high), 1)
    bits = max((high - low).bit_length(), 1)
    word = engine.ring_to_words(difference, bits)
    return engine.equal(word, engine.public(word.kind, 0, rows.count), bits)


def _quotients(rows: Rows, expr: Compare, evaluate: Evaluate) -> Any:
    """Quotients by products: a / b < c is a < b c where b > 0, and turned round where b < 0. Exact.

    Where a divisor is 0 the bit means nothing; `known` is 0 there.
    """
    sides = [
        (side.over, side.under) if isinstance(side, Ratio) else (side, None)
        for side in (expr.left, expr.right)
    ]
    (over_a, under_a), (over_b, under_b) = sides
    left = over_a if under_b is None else _product(over_a, under_b)
    right = over_b if under_a is None else _product(over_b, under_a)
    # (a / b) 10**(sb - sa) against c: the divisor's scale was multiplied in with its value.
    bit = _compared(rows, expr.op, evaluate(rows, left), evaluate(rows, right))
    flipped = None
    for under in (under_a, under_b):
        if under is None or under.type.low >= 0:
            continue
        negative = _compared(rows, "<", evaluate(rows, under), evaluate(rows, Literal(0, under.type)))
        flipped = negative if flipped is None else rows.engine.xor(flipped, negative)
    if flipped is None:
        return bit
    other = _compared(rows, _TURNED[expr.op], evaluate(rows, left), evaluate(rows, right))
    return rows.engine.select(flipped, other, bit)


def _product(left: Expr, right: Expr) -> Expr:
    corners = [a * b for a in (left.type.low, left.type.high) for b in (right.type.low, right.type.high)]
    kind = Type(
        "number",
        min(corners),
        max(corners),
        left.type.scale + right.type.scale,
        left.type.nullable or right.type.nullable,
    )
    return Arith("*", left, right, kind)
