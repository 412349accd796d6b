# SPDX-License-Identifier: Apache-2.0
"""Expressions of the program over shared columns: numbers, and the logic of NULLs.

A condition has two bits: whether it is true, and whether it is false; neither where it is NULL. A filter
needs the first alone, so the second is computed only where a NOT or a result asks for it.
"""

from __future__ import annotations

from typing import Any

from hitoku.protections.shares.operators import comparing, dividing
from hitoku.protections.shares.operators.kinds import RINGS, ring_kind, wrapped
from hitoku.protections.shares.operators.values import (
    Rows,
    Value,
    both,
    constant,
    with_ring,
    with_type,
    with_word,
    zeroed,
)
from hitoku.protections.shares.program import (
    Arith,
    Case,
    Coalesce,
    Column,
    Compare,
    Expr,
    IsNull,
    Literal,
    Logic,
    Not,
    Ratio,
    Round,
    Type,
)

__all__ = ["column_names", "evaluate", "false_bit", "true_bit", "word_of"]


def column_names(expr: Expr) -> set[str]:
    """Names of the columns that an expression reads."""
    match expr:
        case Column():
            return {expr.name}
        case Literal():
            return set()
        case Arith() | Compare():
            parts: tuple[Expr, ...] = (expr.left, expr.right)
        case Ratio():
            parts = (expr.over, expr.under)
        case Round() | Not() | IsNull():
            parts = (expr.value,)
        case Logic() | Coalesce():
            parts = expr.parts
        case Case():
            parts = (*(part for when in expr.whens for part in when), expr.otherwise)
    return set[str]().union(*(column_names(part) for part in parts))


def evaluate(rows: Rows, expr: Expr, form: str | None = None) -> Value:
    """An expression's values.

    Args:
        rows: what it is computed over.
        expr: what; not a `Ratio`, which has a form of its own (`dividing.quotient`).
        form: ``word``, or a ring, that the values must have; None: whichever is cheapest. Words are relative
            to the bounds of the result's type, which may be wider than the expression's; see `word_of`.

    Raises:
        ValueError: the program is not one that planners make.
    """
    key = (expr, form)
    if key not in rows.memo:
        value = _evaluate(rows, expr, form)
        if form in RINGS:
            value = with_ring(rows, value, str(form))
        elif form == "word":
            value = with_word(rows, value)
        rows.memo[key] = value
    found: Value = rows.memo[key]
    return found


def word_of(rows: Rows, expr: Expr, kind: Type) -> Value:
    """An expression's values as words of a type that holds them."""
    return with_type(rows, evaluate(rows, expr), kind)


def _evaluate(rows: Rows, expr: Expr, form: str | None) -> Value:
    match expr:
        case Column():
            return rows.columns[expr.name]
        case Literal():
            return constant(expr.type, expr.value)
        case Arith():
            return _arith(rows, expr, form)
        case Case():
            return _case(rows, expr, form)
        case Coalesce():
            return _coalesce(rows, expr, form)
        case Round():
            return dividing.rounded(rows, expr, evaluate)
        case Ratio():
            raise ValueError("a quotient is not a whole number")
        case _:
            return _boolean(rows, expr)


def _scaled(rows: Rows, expr: Expr, scale: int, kind: str) -> Value:
    """Ring elements in units of a finer scale."""
    value = evaluate(rows, expr)
    steps = scale - value.type.scale
    if steps < 0:
        raise ValueError("a scale is too coarse for its parts")
    if value.public:
        number = None if value.number is None else value.number * 10**steps
        return constant(Type("number", value.type.low, value.type.high, scale), number)
    value = evaluate(rows, expr, kind)
    if not steps:
        return value
    ring = rows.engine.mul_public(value.ring, wrapped(kind, 10**steps))
    return Value(value.type, None, ring, value.valid)


def _arith(rows: Rows, expr: Arith, form: str | None) -> Value:
    engine = rows.engine
    kind = form if form in RINGS else ring_kind(expr.type)
    if expr.op == "*":
        left, right = (evaluate(rows, side) for side in (expr.left, expr.right))
        steps = expr.type.scale - left.type.scale - right.type.scale
        left, right = (
            side if side.public else evaluate(rows, of, kind)
            for side, of in ((left, expr.left), (right, expr.right))
        )
    else:
        left, right = (_scaled(rows, side, expr.type.scale, kind) for side in (expr.left, expr.right))
        steps = 0
    if steps < 0:
        raise ValueError("a product's scale is too coarse")
    if any(side.public and side.number is None for side in (left, right)):
        return constant(expr.type, None)
    if left.public and right.public:
        a, b = left.number or 0, right.number or 0
        number = a * b * 10**steps if expr.op == "*" else a + b if expr.op == "+" else a - b
        return constant(expr.type, number)
    ring = _combined(rows, expr.op, left, right, kind)
    if steps:
        ring = engine.mul_public(ring, wrapped(kind, 10**steps))
    valid = both(engine, left.valid, right.valid)
    # A product with a NULL is 0 by itself.
    return Value(expr.type, None, ring if expr.op == "*" else zeroed(engine, ring, valid), valid)


def _combined(rows: Rows, op: str, left: Value, right: Value, kind: str) -> Any:
    engine = rows.engine
    if op == "*":
        if left.public or right.public:
            side, number = (right.ring, left.number) if left.public else (left.ring, right.number)
            return engine.mul_public(side, wrapped(kind, number or 0))
        return engine.mul(left.ring, right.ring)
    if right.public:
        return engine.add_public(
            left.ring, wrapped(kind, (right.number or 0) if op == "+" else -(right.number or 0))
        )
    if left.public:
        side = right.ring if op == "+" else engine.neg(right.ring)
        return engine.add_public(side, wrapped(kind, left.number or 0))
    return engine.add(left.ring, right.ring) if op == "+" else engine.sub(left.ring, right.ring)


# --- choices ---


def _choice_form(expr: Case | Coalesce, form: str | None) -> str:
    if form is not None:
        return form
    return ring_kind(expr.type) if expr.type.kind == "number" else "word"


def _part(rows: Rows, part: Expr, kind: Type, form: str) -> Value:
    """A part of a choice in the choice's type; public ones stay public."""
    if form in RINGS:
        value = _scaled(rows, part, kind.scale, form) if kind.kind == "number" else evaluate(rows, part, form)
        return Value(kind, None, value.ring, value.valid, value.public, value.number)
    value = evaluate(rows, part)
    if value.public:
        number = value.number
        return constant(kind, None if number is None else number * 10 ** (kind.scale - value.type.scale))
    return with_type(rows, value, kind)


def _chosen(rows: Rows, bit: Any, kind: Type, form: str, first: Value, other: Value) -> Value:
    """`first` where the bit is 1, else `other`."""
    engine = rows.engine
    nullable = any(side.valid is not None or (side.public and side.number is None) for side in (first, other))
    if form in RINGS and first.public and other.public:
        a, b = first.number or 0, other.number or 0
        ring = engine.mul_public(engine.bit_to_ring(bit, form), wrapped(form, a - b))
        made = Value(kind, None, engine.add_public(ring, wrapped(form, b)) if b else ring)
    else:
        sides = [
            with_ring(rows, side, form) if form in RINGS else with_word(rows, side) for side in (first, other)
        ]
        if form in RINGS:
            made = Value(kind, None, engine.select(bit, sides[0].ring, sides[1].ring))
        else:
            made = Value(kind, engine.select(bit, sides[0].word, sides[1].word))
    if not nullable:
        return made
    valid = engine.select(bit, _valid(rows, first), _valid(rows, other))
    return Value(kind, made.word, made.ring, valid)


def _valid(rows: Rows, value: Value) -> Any:
    if value.valid is not None:
        return value.valid
    return rows.engine.public("u8", 0 if value.public and value.number is None else 1, rows.count)


def _case(rows: Rows, expr: Case, form: str | None) -> Value:
    form = _choice_form(expr, form)
    found = _part(rows, expr.otherwise, expr.type, form)
    for condition, part in reversed(expr.whens):
        bit = true_bit(rows, condition)
        found = _chosen(rows, bit, expr.type, form, _part(rows, part, expr.type, form), found)
    return found


def _coalesce(rows: Rows, expr: Coalesce, form: str | None) -> Value:
    form = _choice_form(expr, form)
    found = _part(rows, expr.parts[-1], expr.type, form)
    for part in reversed(expr.parts[:-1]):
        value = _part(rows, part, expr.type, form)
        if value.valid is None and not (value.public and value.number is None):
            found = value
        elif value.valid is not None:
            found = _chosen(rows, value.valid, expr.type, form, value, found)
    return found


# --- conditions ---


def _boolean(rows: Rows, expr: Expr) -> Value:
    truth = true_bit(rows, expr)
    if not expr.type.nullable:
        return Value(expr.type, truth)
    match expr:
        case Compare():
            return Value(expr.type, truth, None, comparing.known(rows, expr, evaluate))
        case IsNull():
            return Value(expr.type, truth)
        case _:
            return Value(expr.type, truth, None, rows.engine.xor(truth, false_bit(rows, expr)))


def _not(rows: Rows, bit: Any) -> Any:
    return rows.engine.xor_public(bit, 1)


def _all(rows: Rows, bits: list[Any]) -> Any:
    while len(bits) > 1:
        bits = [
            rows.engine.and_(*bits[at : at + 2]) if at + 1 < len(bits) else bits[at]
            for at in range(0, len(bits), 2)
        ]
    return bits[0]


def true_bit(rows: Rows, expr: Expr) -> Any:
    """A bit: whether a condition is true; 0 where it is NULL."""
    return _condition(rows, expr, True)


def false_bit(rows: Rows, expr: Expr) -> Any:
    """A bit: whether a condition is false; 0 where it is NULL."""
    return _condition(rows, expr, False)


def _condition(rows: Rows, expr: Expr, wanted: bool) -> Any:
    key = (expr, wanted)
    if key not in rows.memo:
        rows.memo[key] = _find_condition(rows, expr, wanted)
    return rows.memo[key]


def _find_condition(rows: Rows, expr: Expr, wanted: bool) -> Any:
    engine = rows.engine
    match expr:
        case Not():
            return _condition(rows, expr.value, not wanted)
        case Logic():
            bits = [_condition(rows, part, wanted) for part in expr.parts]
            if (expr.op == "and") == wanted:
                return _all(rows, bits)
            return _not(rows, _all(rows, [_not(rows, bit) for bit in bits]))
        case IsNull():
            valid = _validity(rows, expr.value)
            return valid if not wanted else _not(rows, valid)
        case Compare():
            if wanted:
                return comparing.true_bit(rows, expr, evaluate)
            known = comparing.known(rows, expr, evaluate)
            truth = _condition(rows, expr, True)
            return _not(rows, truth) if known is None else engine.xor(known, truth)
        case _:
            value = evaluate(rows, expr, "word")
            if value.type.kind != "boolean":
                raise ValueError("a condition is not boolean")
            if wanted:
                return value.word
            return _not(rows, value.word) if value.valid is None else engine.xor(value.valid, value.word)


def _validity(rows: Rows, expr: Expr) -> Any:
    if isinstance(expr, Ratio):
        found = dividing.known(rows, expr, evaluate)
        return found if found is not None else rows.engine.public("u8", 1, rows.count)
    return _valid(rows, evaluate(rows, expr))
