# SPDX-License-Identifier: Apache-2.0
"""Sets of values of one column, as a condition's text tells them: some values, or an interval.

Equal sets have one form, so that boxes of questions can be compared by their texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from itertools import pairwise
from typing import Any, Final

from sqlglot import exp

from hitoku.errors import InputError
from hitoku.questions.form import Family
from hitoku.room.agreement import Column, ColumnType

__all__ = ["Point", "Range", "range_of", "settled"]

Point = Decimal | str | bool | date | datetime

_WHOLE: Final = frozenset({ColumnType.SMALLINT, ColumnType.INT, ColumnType.BIGINT})
_EXACT: Final = Context(prec=80)  # a literal has at most 38 digits
_OPERATORS: Final = (exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE)


@dataclass(frozen=True, slots=True)
class Range:
    """What a box lets through of one column: some values, or an interval; NULL never.

    Attributes:
        family: the column's type.
        values: the values, sorted; None where it is an interval.
        low: the lower end; None where there is none.
        high: the upper end; None where there is none.
        low_open: whether the lower end itself is left out.
        high_open: whether the upper end itself is left out.
    """

    family: Family
    values: tuple[Point, ...] | None = None
    low: Point | None = None
    high: Point | None = None
    low_open: bool = False
    high_open: bool = False

    @property
    def empty(self) -> bool:
        """Whether no value is in it, as far as its ends tell."""
        if self.values is not None:
            return not self.values
        if self.low is None or self.high is None:
            return False
        return _less(self.high, self.low) or (self.low == self.high and (self.low_open or self.high_open))

    def holds(self, point: Point) -> bool:
        """Whether a value is in it."""
        if self.values is not None:
            return point in self.values
        above = self.low is None or _less(self.low, point) or (point == self.low and not self.low_open)
        below = self.high is None or _less(point, self.high) or (point == self.high and not self.high_open)
        return above and below

    def met(self, other: Range) -> Range:
        """What is in both."""
        if self.values is not None or other.values is not None:
            first, second = (self, other) if self.values is not None else (other, self)
            return Range(self.family, tuple(v for v in first.values or () if second.holds(v)))
        low, low_open = _tighter((self.low, self.low_open), (other.low, other.low_open), upper=False)
        high, high_open = _tighter((self.high, self.high_open), (other.high, other.high_open), upper=True)
        return Range(self.family, None, low, high, low_open, high_open)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; equal ranges have equal data."""
        data: dict[str, Any] = {"family": self.family.value}
        if self.values is not None:
            return data | {"values": [_text(value) for value in self.values]}
        if self.low is not None:
            data |= {"low": _text(self.low), "low_open": self.low_open}
        if self.high is not None:
            data |= {"high": _text(self.high), "high_open": self.high_open}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Range:
        """What `to_json` wrote.

        Raises:
            InputError: it is something else.
        """
        try:
            family = Family(data["family"])
            read = _READERS[family]
            if "values" in data:
                return cls(family, tuple(read(text) for text in data["values"]))
            low, high = data.get("low"), data.get("high")
            return cls(
                family,
                None,
                None if low is None else read(low),
                None if high is None else read(high),
                bool(data.get("low_open", False)),
                bool(data.get("high_open", False)),
            )
        except (KeyError, ValueError, TypeError, ArithmeticError):
            raise InputError("this is no range of a box") from None


def range_of(node: exp.Expr, column: Column | None) -> Range | None:
    """The values that one condition lets through; None where it is in another form."""
    if column is None:
        return None
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.In) and isinstance(node.this, exp.Column):
        points = [_point(choice, column) for choice in node.expressions]
        known = [point for point in points if point is not None]
        return None if len(known) < len(points) else Range(_family(column), _ordered(known))
    if not isinstance(node, _OPERATORS) or not isinstance(node.this, exp.Column):
        return None
    point = _point(node.expression, column)
    if point is None:
        return None
    family = _family(column)
    match node:
        case exp.EQ():
            return Range(family, (point,))
        case exp.GT() | exp.GTE():
            return Range(family, None, low=point, low_open=isinstance(node, exp.GT))
        case _:
            return Range(family, None, high=point, high_open=isinstance(node, exp.LT))


def _point(node: exp.Expr, column: Column) -> Point | None:
    """A literal as a value of the column's type; None for anything else."""
    sign = 1
    while isinstance(node, (exp.Paren, exp.Neg)):
        sign, node = (-sign if isinstance(node, exp.Neg) else sign), node.this
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal) and node.this.is_string:
        text = node.this.name
        try:
            if column.type is ColumnType.DATE:
                return date.fromisoformat(text)
            return datetime.fromisoformat(text) if column.type is ColumnType.TIMESTAMP else None
        except ValueError:
            return None
    if isinstance(node, exp.Boolean):
        return bool(node.this) if column.type is ColumnType.BOOLEAN else None
    if not isinstance(node, exp.Literal):
        return None
    if node.is_string:
        return node.name if column.type is ColumnType.STRING else None
    # A literal with an exponent is a floating-point number to the engine: it compares by rounding.
    if not column.type.is_number or "E" in node.name.upper():
        return None
    number = Decimal(node.name)
    return number if sign > 0 else number.copy_negate()


def _family(column: Column) -> Family:
    match column.type:
        case ColumnType.STRING:
            return Family.STRING
        case ColumnType.BOOLEAN:
            return Family.BOOLEAN
        case ColumnType.DATE:
            return Family.DATE
        case ColumnType.TIMESTAMP:
            return Family.TIMESTAMP
        case _:
            return Family.NUMBER


def settled(found: Range, column: Column | None) -> Range:
    """One form for one set: of whole numbers and days, intervals are closed and runs of values intervals."""
    discrete = column is not None and (column.type in _WHOLE or column.type is ColumnType.DATE)
    if found.values is not None:
        values = found.values
        if discrete and found.family is Family.NUMBER:
            values = tuple(v for v in values if isinstance(v, Decimal) and v == v.to_integral_value())
        if discrete and len(values) > 1 and all(_next(a) == b for a, b in pairwise(values)):
            return Range(found.family, None, values[0], values[-1])
        return Range(found.family, values)
    low, high = found.low, found.high
    low_open, high_open = found.low_open, found.high_open
    if discrete:
        low, low_open = _closed(low, low_open, up=True), False
        high, high_open = _closed(high, high_open, up=False), False
    if low is not None and low == high and not (low_open or high_open):
        return Range(found.family, (low,))
    return Range(found.family, None, low, high, low_open, high_open)


def _closed(end: Point | None, is_open: bool, *, up: bool) -> Point | None:
    step = 1 if up else -1
    if isinstance(end, Decimal):
        whole = end.to_integral_value("ROUND_CEILING" if up else "ROUND_FLOOR")
        return _EXACT.add(whole, Decimal(step)) if is_open and whole == end else whole
    if isinstance(end, date) and not isinstance(end, datetime) and is_open:
        try:
            return end + timedelta(days=step)
        except OverflowError:
            return end
    return end


def _next(point: Point) -> Point | None:
    if isinstance(point, Decimal):
        return _EXACT.add(point, Decimal(1))
    if isinstance(point, date) and not isinstance(point, datetime) and point < date.max:
        return point + timedelta(days=1)
    return None


def _less(one: Point, other: Point) -> bool:
    # Within one column all points are of one type.
    return bool(one < other)  # type: ignore[operator]


def _ordered(points: list[Point]) -> tuple[Point, ...]:
    return tuple(sorted(set(points), key=lambda point: point))


End = tuple[Point | None, bool]


def _tighter(one: End, other: End, *, upper: bool) -> End:
    if one[0] is None or other[0] is None:
        return other if one[0] is None else one
    if one[0] == other[0]:
        return one[0], one[1] or other[1]
    return one if _less(one[0], other[0]) is upper else other


def _text(point: Point) -> str:
    if isinstance(point, bool):
        return "true" if point else "false"
    if isinstance(point, Decimal):
        text = f"{point:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return point.isoformat() if isinstance(point, date) else point


_READERS: Final[Mapping[Family, Callable[[str], Point]]] = {
    Family.NUMBER: Decimal,
    Family.STRING: str,
    Family.BOOLEAN: lambda text: text == "true",
    Family.DATE: date.fromisoformat,
    Family.TIMESTAMP: datetime.fromisoformat,
}
