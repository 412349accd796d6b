# SPDX-License-Identifier: Apache-2.0
"""Dates moved, shown as text and read from text: DATEADD, TO_CHAR, TO_DATE, with literal formats of a list.

Formats differ between engines, so only those are on the list that mean the same in all; what does not fit a
format is NULL. TO_NUMBER and TO_TIMESTAMP are refused by name: a cast says the same in one way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from sqlglot import exp

from hitoku.questions.arguments import Arguments, Built
from hitoku.questions.form import Family, Value
from hitoku.questions.nodes import call, only
from hitoku.questions.refusals import refuse
from hitoku.room.rules import ScalarFunction

__all__ = ["is_read", "moved", "moved_by_interval", "read", "read_named", "shown", "told_otherwise"]

_SHOWN: Final = {
    "YYYY": "%Y",
    "YYYY-MM": "%Y-%m",
    "YYYYMM": "%Y%m",
    "YYYY-MM-DD": "%Y-%m-%d",
    "YYYYMMDD": "%Y%m%d",
    "DD.MM.YYYY": "%d.%m.%Y",
    "DD/MM/YYYY": "%d/%m/%Y",
    "MM/DD/YYYY": "%m/%d/%Y",
    "MM": "%m",
    "DD": "%d",
    "HH24": "%H",
    "HH24:MI": "%H:%M",
    "YYYY-MM-DD HH24:MI:SS": "%Y-%m-%d %H:%M:%S",
}
_DAYS: Final = ("YYYY-MM-DD", "YYYYMMDD", "DD.MM.YYYY", "DD/MM/YYYY", "MM/DD/YYYY")
_READ: Final = {name: _SHOWN[name] for name in _DAYS}
_UNITS: Final = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")
_COUNT: Final = re.compile(r"-?[0-9]{1,6}", re.ASCII)


def _format(given: Arguments, node: exp.Expr | None, what: str, known: dict[str, str]) -> exp.Literal:
    """A literal format of the list, by its SQL name or as DuckDB writes it."""
    if isinstance(node, exp.Literal) and node.is_string:
        form = known.get(node.name.upper(), node.name if node.name in known.values() else None)
        if form is not None:
            return exp.Literal.string(form)
    raise refuse("FORMAT", clause=given.clause, node=node, what=what, formats=", ".join(sorted(known)))


def shown(given: Arguments) -> Built:
    """TO_CHAR(date, format); DuckDB's name is STRFTIME."""
    only(given.node, "this", "format", clause=given.clause)
    value = given.of("this", Family.DATE, Family.TIMESTAMP)
    form = _format(given, given.node.args.get("format"), "TO_CHAR()", _SHOWN)
    node = call("STRFTIME", value.node, form)
    return ScalarFunction.TO_CHAR, given.result(node, Family.STRING, value)


def is_read(node: exp.Expr) -> bool:
    """Whether it is what TO_DATE is written as in the normal form: a cast of this to DATE."""
    return isinstance(node, exp.Anonymous) and str(node.this).upper() == "TRY_STRPTIME"


def read_named(given: Arguments) -> Built:
    """TO_DATE(text, format)."""
    return read(given, given.node)


def read(given: Arguments, node: exp.Expr) -> Built:
    """TO_DATE(text, format) of a node with these two arguments; NULL where the text is no such date."""
    if len(node.expressions) != 2:
        raise refuse("ARGUMENT_LITERAL", clause=given.clause, node=given.node, what="TO_DATE()")
    value = _typed(given, node.expressions[0], "TO_DATE()", Family.STRING)
    form = _format(given, node.expressions[1], "TO_DATE()", _READ)
    made = exp.TryCast(this=call("TRY_STRPTIME", value.node, form), to=exp.DataType.build("DATE"))
    return ScalarFunction.TO_DATE, given.result(made, Family.DATE, value)


def moved(given: Arguments) -> Built:
    """DATEADD(part, count, date); the result is a timestamp."""
    parts = given.node.expressions
    if len(parts) != 3:
        raise refuse("ARGUMENT_LITERAL", clause=given.clause, node=given.node, what="DATEADD()")
    # Without quotes the part would read as a column, and DuckDB's parser would see one that is not checked.
    unit = parts[0].name if isinstance(parts[0], exp.Literal) else ""
    count = parts[1].this if isinstance(parts[1], exp.Neg) else parts[1]
    sign = "-" if isinstance(parts[1], exp.Neg) else ""
    number = sign + count.name if isinstance(count, exp.Literal) and not count.is_string else ""
    value = _typed(given, parts[2], "DATEADD()", Family.DATE, Family.TIMESTAMP)
    return _moved(given, value, unit, number)


def moved_by_interval(given: Arguments) -> Built:
    """DATE_ADD(date, INTERVAL 'count' part): DuckDB's form of it."""
    only(given.node, "this", "expression", clause=given.clause)
    step = given.node.args["expression"]
    if not isinstance(step, exp.Interval) or not isinstance(step.this, exp.Literal):
        raise refuse("ARGUMENT_LITERAL", clause=given.clause, node=given.node, what="DATEADD()")
    unit = step.args.get("unit")
    value = given.of("this", Family.DATE, Family.TIMESTAMP)
    return _moved(given, value, unit.name if isinstance(unit, exp.Var) else "", step.this.name)


def _moved(given: Arguments, value: Value, unit: str, number: str) -> Built:
    unit = unit.upper().removesuffix("S")
    if unit not in _UNITS or not _COUNT.fullmatch(number):
        raise refuse("ARGUMENT_LITERAL", clause=given.clause, node=given.node, what="DATEADD()")
    step = exp.Interval(this=exp.Literal.string(str(int(number))), unit=exp.Var(this=unit))
    return ScalarFunction.DATEADD, given.result(call("DATE_ADD", value.node, step), Family.TIMESTAMP, value)


def _typed(given: Arguments, node: exp.Expr, what: str, *families: Family) -> Value:
    value = given.build(node)
    if value.family not in {*families, Family.NULL}:
        raise refuse("ARGUMENT_TYPE", clause=given.clause, node=node, what=what, family=value.family.value)
    return value


def told_otherwise(what: str, instead: str) -> Callable[[Arguments], Built]:
    """Refuse a function whose formats mean something else in every engine, and say how to write it."""

    def build(given: Arguments) -> Built:
        raise refuse("FUNCTION_OTHERWISE", clause=given.clause, node=given.node, what=what, instead=instead)

    return build
