# SPDX-License-Identifier: Apache-2.0
"""Between which bounds an expression of one table lies, and whether it can be NULL, whatever the rows are.

Owners tell servers how wide a column is. For an expression that the asker writes, the true width would tell
of single rows (``CASE WHEN id = 7 THEN salary END`` is as wide as one salary), so it follows from the
expression alone.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Final

from sqlglot import exp

__all__ = ["Interval", "interval", "never_null", "within_calendar"]

Interval = tuple[Fraction, Fraction]

_PARTS: Final[dict[str, tuple[int, int]]] = {
    "YEAR": (0, 9999),
    "QUARTER": (1, 4),
    "MONTH": (1, 12),
    "WEEK": (1, 53),
    "DAY": (1, 31),
    "DAYOFYEAR": (1, 366),
    "HOUR": (0, 23),
    "MINUTE": (0, 59),
    "SECOND": (0, 59),
}
_YEARS: Final = (Fraction(-6_000_000), Fraction(6_000_000))
"""All that the engine's dates and timestamps have."""
_SURE: Final = (
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE),
    *(exp.In, exp.Is, exp.Like, exp.Between, exp.Paren, exp.Literal, exp.Boolean, exp.Identifier),
)


def interval(node: exp.Expr, column: Callable[[exp.Column], Interval | None]) -> Interval | None:
    """The bounds of a number; None where none follow but those of its type.

    Args:
        node: an expression of rows.
        column: the bounds of a column of numbers.
    """
    match node:
        case exp.Paren():
            return interval(node.this, column)
        case exp.Column():
            return column(node)
        case exp.Null():
            return Fraction(0), Fraction(0)
        case exp.Literal():
            return None if node.is_string else (Fraction(str(node.this)),) * 2
        case exp.Neg():
            found = interval(node.this, column)
            return None if found is None else (-found[1], -found[0])
        case exp.Add() | exp.Sub() | exp.Mul():
            return _computed(node, interval(node.this, column), interval(node.expression, column))
        case exp.Case() if node.this is None:
            parts = [branch.args["true"] for branch in node.args["ifs"]]
            default = node.args.get("default")
            return _around(
                [interval(part, column) for part in (*parts, *([] if default is None else [default]))]
            )
        case exp.Extract():
            if node.name.upper() == "YEAR" and not within_calendar(node.expression):
                return _YEARS
            found_part = _PARTS.get(node.name.upper())
            return None if found_part is None else (Fraction(found_part[0]), Fraction(found_part[1]))
        case exp.Anonymous() if str(node.this).upper() == "COALESCE":
            return _around([interval(part, column) for part in node.expressions])
        case exp.Anonymous() if str(node.this).upper() == "ABS":
            found = interval(node.expressions[0], column)
            if found is None:
                return None
            return (Fraction(0) if found[0] <= 0 <= found[1] else min(map(abs, found))), max(map(abs, found))
    return None


def within_calendar(node: exp.Expr) -> bool:
    """Whether a date is one of a column or one that is written down, which lie between the years 1 and 9999.

    What is computed, or read from a text, may lie anywhere, and only in some row: an error would tell of it.
    """
    match node:
        case exp.Case():
            parts = [branch.args["true"] for branch in node.args["ifs"]]
            default = node.args.get("default")
            return all(map(within_calendar, (*parts, *([] if default is None else [default]))))
        case exp.Anonymous() if str(node.this).upper() == "COALESCE":
            return all(map(within_calendar, node.expressions))
        case exp.TryCast():
            return False
        case exp.Cast():
            return isinstance(node.this, exp.Literal)
        case exp.Paren():
            return within_calendar(node.this)
    return isinstance(node, (exp.Column, exp.Null))


def _computed(node: exp.Expr, left: Interval | None, right: Interval | None) -> Interval | None:
    if left is None or right is None:
        return None
    if isinstance(node, exp.Add):
        return left[0] + right[0], left[1] + right[1]
    if isinstance(node, exp.Sub):
        return left[0] - right[1], left[1] - right[0]
    corners = [a * b for a in left for b in right]
    return min(corners), max(corners)


def _around(parts: list[Interval | None]) -> Interval | None:
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def never_null(node: exp.Expr, column: Callable[[exp.Column], bool]) -> bool:
    """Whether an expression has a value in every row.

    Args:
        node: an expression of rows.
        column: whether a column has.
    """
    match node:
        case exp.Column():
            return column(node)
        case exp.Neg() | exp.Cast() if not isinstance(node, exp.TryCast):
            return isinstance(node.this, exp.Literal)
        case exp.Case():
            parts = [part for branch in node.args["ifs"] for part in (branch.this, branch.args["true"])]
            default = node.args.get("default")
            return (
                node.this is None
                and default is not None
                and all(never_null(part, column) for part in (*parts, default))
            )
    if not isinstance(node, _SURE) or (isinstance(node, exp.In) and set(node.args) - {"this", "expressions"}):
        return False
    return isinstance(node, exp.Is) or all(
        never_null(part, column) for part in node.iter_expressions() if isinstance(part, exp.Expr)
    )
