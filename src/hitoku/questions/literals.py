# SPDX-License-Identifier: Apache-2.0
"""Literals: the only values in a question. They are read, checked and written anew."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from sqlglot import exp

from hitoku.questions.form import Family, Value
from hitoku.questions.names import span_of
from hitoku.questions.refusals import refuse

__all__ = ["boolean", "literal", "matched", "null", "whole_number"]

_MAX_DIGITS: Final = 38
_MAX_EXPONENT: Final = 300
# With at most so many digits, a number and any column or sum it meets have a common DECIMAL type that no
# value overflows. A longer one would make the engine cast the column to a type that large values do not fit,
# and whether that fails would tell of the values; so it is written as a floating-point number instead.
_EXACT_DIGITS: Final = 18
_EXACT_SCALE: Final = 9
_LARGEST_WHOLE: Final = 2**63 - 1


def literal(node: exp.Literal, clause: str) -> Value:
    """A string or a number.

    Raises:
        Refusal: the number is larger than any column's.
    """
    if node.is_string:
        return Value(exp.Literal.string(node.name), Family.STRING, span=span_of(node))
    return Value(_number(node, clause), Family.NUMBER, span=span_of(node))


def _number(node: exp.Literal, clause: str) -> exp.Literal:
    try:
        number = Decimal(node.name)
    except InvalidOperation:
        raise refuse("LITERAL", clause=clause, node=node) from None
    parts = number.as_tuple()
    exponent = parts.exponent
    if not isinstance(exponent, int) or len(parts.digits) > _MAX_DIGITS or abs(exponent) > _MAX_EXPONENT:
        raise refuse("LITERAL", clause=clause, node=node)
    if "e" in node.name.lower():
        return exp.Literal(this=f"{number.normalize():E}".replace("E+", "E"), is_string=False)
    fraction = number.normalize().as_tuple()
    scale = -fraction.exponent if isinstance(fraction.exponent, int) else 0
    if scale > _EXACT_SCALE or (scale > 0 and len(fraction.digits) > _EXACT_DIGITS):
        return exp.Literal(this=f"{number.normalize():E}".replace("E+", "E"), is_string=False)
    if abs(number) > _LARGEST_WHOLE:
        return exp.Literal(this=f"{number.normalize():E}".replace("E+", "E"), is_string=False)
    plain = f"{number:f}"
    return exp.Literal(this=plain.rstrip("0").rstrip(".") if "." in plain else plain, is_string=False)


def boolean(node: exp.Boolean) -> Value:
    """TRUE or FALSE."""
    return Value(exp.Boolean(this=bool(node.this)), Family.BOOLEAN, span=span_of(node))


def null(node: exp.Null) -> Value:
    """NULL."""
    return Value(exp.Null(), Family.NULL, span=span_of(node))


def whole_number(node: exp.Expr | None) -> int | None:
    """The value of a whole-number literal, None for anything else."""
    if isinstance(node, exp.Literal) and not node.is_string and node.name.isascii() and node.name.isdigit():
        return int(node.name) if len(node.name) < 16 else None
    return None


def matched(value: Value, family: Family, clause: str) -> Value:
    """A string literal read as a date or timestamp where it is compared with one; else the value itself.

    Raises:
        Refusal: it is no such date. Found here, so that the engine has nothing to report about it.
    """
    if not isinstance(value.node, exp.Literal) or not value.node.is_string:
        return value
    if family not in {Family.DATE, Family.TIMESTAMP}:
        return value
    text = value.node.name.strip()
    try:
        when: date = date.fromisoformat(text) if family is Family.DATE else datetime.fromisoformat(text)
    except ValueError:
        raise refuse("NOT_A_DATE", clause=clause, span=value.span, family=family.value) from None
    if isinstance(when, datetime) and when.tzinfo is not None:
        raise refuse("NOT_A_DATE", clause=clause, span=value.span, family=family.value)
    kind = "DATE" if family is Family.DATE else "TIMESTAMP"
    text = when.isoformat(" ") if isinstance(when, datetime) else when.isoformat()
    node = exp.Cast(this=exp.Literal.string(text), to=exp.DataType.build(kind))
    return Value(node, family, span=value.span)
