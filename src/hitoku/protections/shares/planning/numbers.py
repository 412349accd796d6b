# SPDX-License-Identifier: Apache-2.0
"""Expressions of whole numbers with bounds that always hold: interval arithmetic while they are built.

A number of scale s counts units of ``10 ** -s``. Bounds are computed exactly; what could need more than
`limits.MAX_SHARES_VALUE_BITS` bits is refused before there is any data.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hitoku import limits
from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.protections.shares.program import (
    Arith,
    Case,
    Coalesce,
    Compare,
    Expr,
    IsNull,
    Literal,
    Logic,
    Not,
    Type,
)

__all__ = [
    "BOOLEAN",
    "FALSE",
    "TRUE",
    "absolute",
    "aligned",
    "arith",
    "both",
    "case",
    "coalesce",
    "compare",
    "either",
    "is_null",
    "literal",
    "negated",
    "not_",
    "number",
    "scaled",
    "within",
]

MOST: Final = 1 << limits.MAX_SHARES_VALUE_BITS
BOOLEAN: Final = Type("boolean", 0, 1, 0, nullable=True)
_SURE: Final = Type("boolean", 0, 1, 0, nullable=False)
TRUE: Final = Literal(1, _SURE)
FALSE: Final = Literal(0, _SURE)


def number(low: int, high: int, scale: int = 0, *, nullable: bool = True) -> Type:
    """The type of numbers between two.

    Raises:
        Cannot: they are too large.
    """
    if max(abs(low), abs(high)) >= MOST or high - low >= MOST:
        raise Cannot(
            f"a number of the question could need more than {limits.MAX_SHARES_VALUE_BITS} bits",
            "declare `lower` and `upper` of its columns under `shares.tables` in the room, or ask for its "
            "parts one by one",
        )
    return Type("number", low, high, scale, nullable)


def literal(value: int, scale: int = 0) -> Literal:
    """A public number; trailing zeros behind the point are dropped."""
    while scale > 0 and value % 10 == 0:
        value, scale = value // 10, scale - 1
    return Literal(value, number(value, value, scale, nullable=False))


def scaled(value: Expr, scale: int) -> Expr:
    """The same number in smaller units."""
    by = scale - value.type.scale
    if by == 0:
        return value
    factor = 10**by
    low, high = value.type.low * factor, value.type.high * factor
    kind = number(low, high, scale, nullable=value.type.nullable)
    if isinstance(value, Literal):
        return Literal(None if value.value is None else value.value * factor, kind)
    return Arith("*", value, Literal(factor, number(factor, factor, by, nullable=False)), kind)


def aligned(*values: Expr) -> list[Expr]:
    """The same values in the same units; other kinds than numbers as they are."""
    scale = max(value.type.scale for value in values)
    return [scaled(value, scale) if value.type.kind == "number" else value for value in values]


def arith(op: str, left: Expr, right: Expr) -> Expr:
    """A sum, difference or product."""
    if isinstance(left, Literal) and left.value is None:
        return left
    if isinstance(right, Literal) and right.value is None:
        return right
    if op != "*":
        left, right = aligned(left, right)
    a, b = left.type, right.type
    nullable = a.nullable or b.nullable
    if op == "+":
        kind = number(a.low + b.low, a.high + b.high, a.scale, nullable=nullable)
    elif op == "-":
        kind = number(a.low - b.high, a.high - b.low, a.scale, nullable=nullable)
    else:
        ends = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
        kind = number(min(ends), max(ends), a.scale + b.scale, nullable=nullable)
    if isinstance(left, Literal) and isinstance(right, Literal):
        return Literal(kind.low, kind)
    one = next((s for s, o in ((left, right), (right, left)) if o == literal(1)), None)
    if op == "*" and one is not None:
        return one
    return Arith("+" if op == "+" else "-" if op == "-" else "*", left, right, kind)


def negated(value: Expr) -> Expr:
    """Minus a number."""
    return arith("-", Literal(0, number(0, 0, value.type.scale, nullable=False)), value)


def absolute(value: Expr) -> Expr:
    """A number without its sign."""
    if value.type.low >= 0:
        return value
    if value.type.high <= 0:
        return negated(value)
    minus = negated(value)
    most = max(value.type.high, -value.type.low)
    kind = number(0, most, value.type.scale, nullable=value.type.nullable)
    return Case(((compare("<", value, literal(0)), minus),), value, kind)


def compare(op: str, left: Expr, right: Expr) -> Expr:
    """A comparison of two values of one kind."""
    left, right = aligned(left, right)
    if any(isinstance(side, Literal) and side.value is None for side in (left, right)):
        return Literal(None, BOOLEAN)
    kind = replace(BOOLEAN, nullable=left.type.nullable or right.type.nullable)
    for known in ("=", "<>", "<", "<=", ">", ">="):
        if op == known:
            return Compare(known, left, right, kind)
    raise AssertionError("no comparison")


def both(*parts: Expr) -> Expr:
    """AND."""
    return _logic("and", [p for p in parts if p != TRUE], TRUE)


def either(*parts: Expr) -> Expr:
    """OR."""
    return _logic("or", [p for p in parts if p != FALSE], FALSE)


def _logic(op: str, parts: list[Expr], nothing: Literal) -> Expr:
    if not parts:
        return nothing
    if len(parts) == 1:
        return parts[0]
    kind = replace(BOOLEAN, nullable=any(part.type.nullable for part in parts))
    return Logic("and" if op == "and" else "or", tuple(parts), kind)


def not_(value: Expr) -> Expr:
    """NOT."""
    if isinstance(value, Literal):
        return Literal(None if value.value is None else 1 - value.value, value.type)
    return Not(value, value.type)


def is_null(value: Expr) -> Expr:
    """Whether a value is NULL."""
    if isinstance(value, Literal):
        return TRUE if value.value is None else FALSE
    return IsNull(value, _SURE) if value.type.nullable else FALSE


def _common(values: list[Expr]) -> tuple[list[Expr], Type]:
    """Values of one kind in the same units, and the type that holds them all; NULL literals fit any."""
    typed = [v for v in values if not (isinstance(v, Literal) and v.value is None)]
    if not typed:
        return values, values[0].type
    typed = aligned(*typed)
    first = typed[0].type
    low, high = min(v.type.low for v in typed), max(v.type.high for v in typed)
    nullable = len(typed) < len(values) or any(v.type.nullable for v in typed)
    kind = replace(first, low=low, high=high, nullable=nullable)
    rest = iter(typed)
    made = [
        Literal(None, replace(kind, nullable=True))
        if isinstance(v, Literal) and v.value is None
        else next(rest)
        for v in values
    ]
    return made, kind


def case(whens: list[tuple[Expr, Expr]], otherwise: Expr) -> Expr:
    """The value of the first condition that is true."""
    kept = [(c, v) for c, v in whens if c != FALSE and not (isinstance(c, Literal) and c.value is None)]
    for place, (condition, value) in enumerate(kept):
        if condition == TRUE:
            kept, otherwise = kept[:place], value
            break
    if not kept:
        return otherwise
    values, kind = _common([*(value for _, value in kept), otherwise])
    made = tuple((c, v) for (c, _), v in zip(kept, values[:-1], strict=True))
    return Case(made, values[-1], kind)


def coalesce(parts: list[Expr]) -> Expr:
    """The first value that is not NULL."""
    kept: list[Expr] = []
    for part in parts:
        if isinstance(part, Literal) and part.value is None:
            continue
        kept.append(part)
        if not part.type.nullable:
            break
    if not kept:
        return parts[0]
    if len(kept) == 1:
        return kept[0]
    values, kind = _common(kept)
    return Coalesce(tuple(values), replace(kind, nullable=values[-1].type.nullable))


def within(value: Expr, low: int, high: int) -> Expr:
    """A number where it lies between two, else NULL: what the engine's own type of it would not hold."""
    kind = value.type
    if low <= kind.low and kind.high <= high:
        return value
    least, most = (Literal(end, number(end, end, kind.scale, nullable=False)) for end in (low, high))
    tests = []
    if kind.low < low:
        tests.append(compare(">=", value, least))
    if kind.high > high:
        tests.append(compare("<=", value, most))
    made = number(max(low, kind.low), min(high, kind.high), kind.scale, nullable=True)
    return Case(((both(*tests), value),), Literal(None, made), made)
