# SPDX-License-Identifier: Apache-2.0
"""The scalar functions that can be asked for, by AWS's names, and how each is written for the engine.

A function is here only if it is deterministic and reads nothing but its arguments. Whether a question
may use it is the rules' business (`scalarFunctions`). What can fail on some value is wrapped in TRY when
the question is rendered, so that an error never tells anything about a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlglot import exp

from hitoku.questions import dates
from hitoku.questions.arguments import Arguments, Built
from hitoku.questions.form import Family
from hitoku.questions.literals import matched, whole_number
from hitoku.questions.nodes import call, describe, only
from hitoku.questions.refusals import refuse
from hitoku.room.rules import ScalarFunction

__all__ = ["scalar_of"]

_CASTS: Final[dict[exp.DType, tuple[str, Family]]] = {
    exp.DType.BOOLEAN: ("BOOLEAN", Family.BOOLEAN),
    exp.DType.SMALLINT: ("SMALLINT", Family.NUMBER),
    exp.DType.INT: ("INTEGER", Family.NUMBER),
    exp.DType.BIGINT: ("BIGINT", Family.NUMBER),
    exp.DType.FLOAT: ("REAL", Family.NUMBER),
    exp.DType.DOUBLE: ("DOUBLE", Family.NUMBER),
    exp.DType.DECIMAL: ("DECIMAL", Family.NUMBER),
    exp.DType.DATE: ("DATE", Family.DATE),
    exp.DType.TIMESTAMP: ("TIMESTAMP", Family.TIMESTAMP),
    exp.DType.TIMESTAMPNTZ: ("TIMESTAMP", Family.TIMESTAMP),
    exp.DType.TEXT: ("VARCHAR", Family.STRING),
    exp.DType.VARCHAR: ("VARCHAR", Family.STRING),
}
_PARTS: Final = {
    "YEAR",
    "QUARTER",
    "MONTH",
    "WEEK",
    "DAY",
    "HOUR",
    "MINUTE",
    "SECOND",
    "DAYOFWEEK",
    "DOW",
    "DOY",
}


def _numeric(name: str, function: ScalarFunction) -> Callable[[Arguments], Built]:
    def build(given: Arguments) -> Built:
        only(given.node, "this", clause=given.clause)
        value = given.of("this", Family.NUMBER)
        return function, given.result(call(name, value.node), Family.NUMBER, value)

    return build


def _textual(name: str, function: ScalarFunction) -> Callable[[Arguments], Built]:
    def build(given: Arguments) -> Built:
        only(given.node, "this", clause=given.clause)
        value = given.of("this", Family.STRING)
        return function, given.result(call(name, value.node), Family.STRING, value)

    return build


def _rounded(name: str, function: ScalarFunction) -> Callable[[Arguments], Built]:
    def build(given: Arguments) -> Built:
        only(given.node, "this", "decimals", clause=given.clause)
        value = given.of("this", Family.NUMBER)
        digits = given.number("decimals", 18)
        nodes = [value.node] if digits is None else [value.node, digits]
        return function, given.result(call(name, *nodes), Family.NUMBER, value)

    return build


def _logarithm(given: Arguments) -> Built:
    only(given.node, "this", "expression", clause=given.clause)
    if given.node.args.get("expression") is None:
        value = given.of("this", Family.NUMBER)
    elif whole_number(given.node.args.get("this")) == 10:
        value = given.of("expression", Family.NUMBER)
    else:
        raise refuse("ARGUMENT_LITERAL", clause=given.clause, node=given.node, what="LOG()")
    return ScalarFunction.LOG, given.result(call("LOG10", value.node), Family.NUMBER, value)


def _trimmed(given: Arguments) -> Built:
    only(given.node, "this", "position", clause=given.clause)
    value = given.of("this", Family.STRING)
    position = str(given.node.args.get("position") or "BOTH").upper()
    names = {"BOTH": ("TRIM", ScalarFunction.TRIM), "TRAILING": ("RTRIM", ScalarFunction.RTRIM)}
    if position not in names:
        raise refuse("FUNCTION_NOT_ALLOWED", clause=given.clause, node=given.node, what="LTRIM()")
    name, function = names[position]
    return function, given.result(call(name, value.node), Family.STRING, value)


def _substring(given: Arguments) -> Built:
    only(given.node, "this", "start", "length", clause=given.clause)
    value = given.of("this", Family.STRING)
    start, length = given.number("start", 1_000_000), given.number("length", 1_000_000)
    if start is None:
        raise refuse("ARGUMENT_LITERAL", clause=given.clause, node=given.node, what="SUBSTRING()")
    nodes = [value.node, start] if length is None else [value.node, start, length]
    return ScalarFunction.SUBSTRING, given.result(call("SUBSTRING", *nodes), Family.STRING, value)


def _coalesced(given: Arguments) -> Built:
    only(given.node, "this", "expressions", clause=given.clause)
    values = [given.build(given.node.this), *map(given.build, given.node.expressions)]
    families = {value.family for value in values} - {Family.NULL}
    if len(families) > 1:
        names = sorted(family.value for family in families)
        raise refuse("TYPES_DIFFER", clause=given.clause, node=given.node, left=names[0], right=names[1])
    family = families.pop() if families else Family.NULL
    node = call("COALESCE", *(value.node for value in values))
    return ScalarFunction.COALESCE, given.result(node, family, *values)


def _cast(given: Arguments) -> Built:
    only(given.node, "this", "to", "safe", clause=given.clause)
    asked = given.node.args["to"]
    if dates.is_read(given.node.this) and isinstance(asked, exp.DataType) and asked.this is exp.DType.DATE:
        return dates.read(given, given.node.this)
    found = _CASTS.get(asked.this) if isinstance(asked, exp.DataType) else None
    if found is None or (asked.expressions and asked.this is not exp.DType.DECIMAL):
        raise refuse("CAST_TYPE", clause=given.clause, node=given.node)
    name, family = found
    value = given.build(given.node.this)
    if value.family is Family.STRING and value.constant and family in {Family.DATE, Family.TIMESTAMP}:
        return ScalarFunction.CAST, matched(value, family, given.clause)
    if asked.this is exp.DType.DECIMAL and asked.expressions:
        sizes = [whole_number(size.this) for size in asked.expressions]
        if len(sizes) != 2 or sizes[0] is None or sizes[1] is None or not sizes[1] <= sizes[0] <= 38:
            raise refuse("CAST_TYPE", clause=given.clause, node=given.node)
        name = f"DECIMAL({sizes[0]}, {sizes[1]})"
    node = exp.TryCast(this=value.node, to=exp.DataType.build(name, dialect="duckdb"))
    return ScalarFunction.CAST, given.result(node, family, value)


def _extracted(given: Arguments) -> Built:
    only(given.node, "this", "expression", clause=given.clause)
    part = given.node.this.name.upper()
    if part not in _PARTS:
        raise refuse("ARGUMENT_LITERAL", clause=given.clause, node=given.node, what="EXTRACT()")
    value = given.of("expression", Family.DATE, Family.TIMESTAMP)
    node = exp.Extract(this=exp.Var(this=part), expression=value.node)
    return ScalarFunction.EXTRACT, given.result(node, Family.NUMBER, value)


def _part(part: str) -> Callable[[Arguments], Built]:
    def build(given: Arguments) -> Built:
        only(given.node, "this", clause=given.clause)
        value = given.of("this", Family.DATE, Family.TIMESTAMP)
        node = exp.Extract(this=exp.Var(this=part), expression=value.node)
        return ScalarFunction.EXTRACT, given.result(node, Family.NUMBER, value)

    return build


def _clock(given: Arguments) -> Built:
    raise refuse("NOT_REPEATABLE", clause=given.clause, node=given.node, what=describe(given.node))


_SCALARS: Final[dict[type[exp.Expr], Callable[[Arguments], Built]]] = {
    exp.Abs: _numeric("ABS", ScalarFunction.ABS),
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Ceil: _numeric("CEIL", ScalarFunction.CEILING),
    exp.Coalesce: _coalesced,
    exp.CurrentDate: _clock,
    exp.CurrentTimestamp: _clock,
    exp.Extract: _extracted,
    exp.Year: _part("YEAR"),
    exp.Month: _part("MONTH"),
    exp.DateAdd: dates.moved_by_interval,
    exp.Day: _part("DAY"),
    exp.Floor: _numeric("FLOOR", ScalarFunction.FLOOR),
    exp.Ln: _numeric("LN", ScalarFunction.LN),
    exp.Log: _logarithm,
    exp.Lower: _textual("LOWER", ScalarFunction.LOWER),
    exp.Round: _rounded("ROUND", ScalarFunction.ROUND),
    exp.Sqrt: _numeric("SQRT", ScalarFunction.SQRT),
    exp.Substring: _substring,
    exp.TimeToStr: dates.shown,
    exp.ToChar: dates.shown,
    exp.ToNumber: dates.told_otherwise("TO_NUMBER()", "CAST(column AS DECIMAL(18, 2))"),
    exp.Trim: _trimmed,
    exp.Trunc: _rounded("TRUNC", ScalarFunction.TRUNC),
    exp.UnixToTime: dates.told_otherwise("TO_TIMESTAMP()", "CAST(column AS TIMESTAMP)"),
    exp.Upper: _textual("UPPER", ScalarFunction.UPPER),
}
_NAMED: Final[dict[str, Callable[[Arguments], Built]]] = {
    "DATEADD": dates.moved,
    "GETDATE": _clock,
    "SYSDATE": _clock,
    "TO_DATE": dates.read_named,
    "TO_NUMBER": dates.told_otherwise("TO_NUMBER()", "CAST(column AS DECIMAL(18, 2))"),
}


def scalar_of(node: exp.Expr) -> Callable[[Arguments], Built] | None:
    """What checks and rebuilds a scalar function; None for what is none or not on the list."""
    if isinstance(node, exp.Anonymous):
        return _NAMED.get(str(node.this).upper())
    return _SCALARS.get(type(node))
