# SPDX-License-Identifier: Apache-2.0
"""Aggregates beyond counts, sums and means of one column, which custom rules may allow.

They are least and largest values, medians, variances, and any aggregate of an expression. Aggregation rules
list functions of columns and know none of these; noise needs a bound on what a unit adds, which an expression
does not have. A custom rule with a threshold must say ANY_EXPRESSION (`custom.columns_only`), one without
counts nothing anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlglot import exp

from hitoku.questions.custom import columns_only, has_noise
from hitoku.questions.form import Family, Ref, Value
from hitoku.questions.names import span_of
from hitoku.questions.nodes import describe, only
from hitoku.questions.refusals import refuse
from hitoku.questions.rules import MAX_SUMMABLE_DIGITS, Rules
from hitoku.room.agreement import Column, ColumnType
from hitoku.room.rules import CustomRule

__all__ = ["SINGLE", "SPREAD", "free", "freely"]

SINGLE: Final = (exp.Min, exp.Max, exp.Median)
"""Their result is the value of a row, or lies between two."""
SPREAD: Final = (exp.Variance, exp.Stddev, exp.StddevSamp)
_KINDS: Final = (exp.Count, exp.Sum, exp.Avg, *SINGLE, *SPREAD)
_ORDERED: Final = frozenset({Family.NUMBER, Family.DATE, Family.TIMESTAMP, Family.STRING})
_WHOLE: Final = {ColumnType.SMALLINT: 5, ColumnType.INT: 10, ColumnType.BIGINT: 19}


def free(rules: Rules, tables: tuple[str, ...]) -> bool:
    """Whether all tables have custom rules without noise: others know nothing of such aggregates."""
    return rules.kind(tables) is CustomRule and not any(has_noise(rules.table(name)) for name in tables)


def freely(
    rules: Rules,
    tables: tuple[str, ...],
    node: exp.AggFunc,
    clause: str,
    operand: Callable[[exp.Expr], Value],
) -> Value:
    """The aggregate.

    Args:
        rules: the rules; `free` for the tables.
        tables: those of the rows.
        node: COUNT, SUM, AVG of an expression, or MIN, MAX, MEDIAN, VARIANCE, VAR_SAMP, STDDEV, STDDEV_SAMP.
        clause: where it stands.
        operand: checks and rebuilds its argument, which must be readable.

    Raises:
        Refusal: another aggregate, a rule that allows columns only, or an argument of a wrong type.
    """
    what = describe(node)
    if not isinstance(node, _KINDS):
        raise refuse("AGGREGATE_KIND", clause=clause, node=node, what=what)
    argument = node.this
    if not isinstance(argument, exp.Expr) or isinstance(argument, (exp.Distinct, exp.Star)):
        raise refuse("AGGREGATE_ARGUMENT", clause=clause, node=node, what=what)
    only(node, "this", "big_int", clause=clause)
    columns_only(rules, tables, node, clause, what)
    value = operand(argument)
    if value.aggregate or value.window:
        raise refuse("AGGREGATE_TWICE", clause=clause, node=node, what=what)
    if not value.uses:
        raise refuse("AGGREGATE_ARGUMENT", clause=clause, node=node, what=what)
    numbers = not isinstance(node, (exp.Count, exp.Min, exp.Max))
    if numbers and value.family is not Family.NUMBER:
        raise refuse("NOT_A_NUMBER", clause=clause, node=argument, family=value.family.value)
    if isinstance(node, (exp.Min, exp.Max)) and value.family not in _ORDERED:
        raise refuse("AGGREGATE_ARGUMENT", clause=clause, node=node, what=what)
    inner = value.node
    if isinstance(node, (exp.Sum, exp.Avg)) and _digits(inner, rules) > MAX_SUMMABLE_DIGITS:
        # A sum of decimals of 38 digits can overflow, and an error would tell.
        inner = exp.TryCast(this=inner, to=exp.DataType.build("DOUBLE"))
    result = value.family if isinstance(node, (exp.Min, exp.Max)) else Family.NUMBER
    return Value(type(node)(this=inner), result, (), value.uses, aggregate=True, span=span_of(node))


def _digits(node: exp.Expr, rules: Rules) -> int:
    """Digits of the decimal that the engine computes, at most; 0 of what is floating-point."""
    whole, scale = _sides(node, rules)
    return 0 if scale < 0 else whole + scale


def _sides(node: exp.Expr, rules: Rules) -> tuple[int, int]:
    """Digits before and after the point; (0, -1) of what is floating-point."""
    node = node.unnest()
    if isinstance(node, exp.Column):
        return _declared(rules.column(Ref(node.table, node.name)))
    if isinstance(node, exp.Literal) and not node.is_string:
        before, _, after = str(node.this).partition(".")
        return len(before), len(after)
    if isinstance(node, exp.Null):
        return 0, 0
    if isinstance(node, exp.Neg):
        return _sides(node.this, rules)
    if isinstance(node, exp.Div):
        return 0, -1
    if isinstance(node, exp.Case):
        return _widest([branch.args["true"] for branch in node.args["ifs"]], node.args.get("default"), rules)
    if isinstance(node, exp.Coalesce):
        return _widest(node.expressions, node.this, rules)
    if isinstance(node, (exp.Add, exp.Sub, exp.Mul)):
        (a, s), (b, t) = _sides(node.this, rules), _sides(node.expression, rules)
        if s < 0 or t < 0:
            return 0, -1
        return (a + b, s + t) if isinstance(node, exp.Mul) else (max(a, b) + 1, max(s, t))
    return MAX_SUMMABLE_DIGITS, 1


def _widest(parts: list[exp.Expr], default: exp.Expr | None, rules: Rules) -> tuple[int, int]:
    sides = [_sides(part, rules) for part in (*parts, *(() if default is None else (default,)))]
    if any(scale < 0 for _, scale in sides):
        return 0, -1
    return max(whole for whole, _ in sides), max(scale for _, scale in sides)


def _declared(column: Column) -> tuple[int, int]:
    if column.type in _WHOLE:
        return _WHOLE[column.type], 0
    if column.type is ColumnType.DECIMAL and column.precision is not None and column.scale is not None:
        return column.precision - column.scale, column.scale
    return 0, -1
