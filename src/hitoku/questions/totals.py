# SPDX-License-Identifier: Apache-2.0
"""Expressions as SQL that fails on no value, for the text that runs.

Whether a question fails would tell of rows that nobody may see, those of withheld groups too. What can fail
on some value: functions and arithmetic, of columns or of constants alone: they stand in TRY. And conversions
that the engine makes by itself, where numbers of two types meet: a decimal with many digits behind the point
has no room for large numbers before it. Columns and literals are bounded so that they always have a common
type (`hitoku.limits.MAX_DECIMAL_SIDE`, `hitoku.questions.literals`); numbers of any other origin are compared
as DOUBLE, which every number has. TRY around the comparison would do, too, but takes long where it fails, and
time tells.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlglot import exp

from hitoku.questions.form import MIXED, Family, Ref, Value
from hitoku.questions.freely import SPREAD
from hitoku.questions.render import sql_of
from hitoku.questions.windows import ORDERED

__all__ = ["aggregate_text", "as_double", "key_text", "number_text", "rounded", "total", "window_text"]

_BOOLEAN: Final = (
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE),
    *(exp.In, exp.Is, exp.Like, exp.Paren),
)
_NAMES: Final[dict[type[exp.Expr], str]] = {
    exp.Variance: "VAR_SAMP",
    exp.Stddev: "STDDEV_SAMP",
    exp.StddevSamp: "STDDEV_SAMP",
}
_SAFE: Final = (exp.Column, exp.Literal, exp.Boolean, exp.Null, exp.AggFunc)


def total(node: exp.Expr) -> str:
    """A node as SQL that fails on no value: whatever could is NULL there."""
    return sql_of(_tried(node.copy()))


def _tried(node: exp.Expr) -> exp.Expr:
    if isinstance(node, _SAFE) or (isinstance(node, exp.TryCast) and isinstance(node.this, _SAFE)):
        return node
    if isinstance(node, _BOOLEAN):
        made = _double if node.meta.get(MIXED) else _tried
        for key, part in list(node.args.items()):
            if isinstance(part, exp.Expr):
                node.set(key, made(part))
            elif isinstance(part, list):
                node.set(key, [made(p) if isinstance(p, exp.Expr) else p for p in part])
        return node
    inner = node.this
    if isinstance(node, (exp.Neg, exp.Cast)) and isinstance(inner, exp.Literal):
        return node  # a negative number, or a date that was read before
    return exp.Anonymous(this="TRY", expressions=[node])


def _double(node: exp.Expr) -> exp.Expr:
    return exp.TryCast(this=_tried(node), to=exp.DataType.build("DOUBLE"))


def as_double(text: str) -> str:
    """A number as DOUBLE; NULL where it has none."""
    return f"TRY_CAST({text} AS DOUBLE)"


def key_text(group: Value) -> str:
    """A grouping value as SQL, one spelling for equal values.

    0.0 and -0.0 are one group, and so are all NaN. Which of them is the group's value would be the first
    row's to say, and so one row's sign would be told.
    """
    text = total(group.node)
    if group.family is not Family.NUMBER:
        return text
    return f"CASE WHEN {text} = 0 OR ISNAN({as_double(text)}) THEN ABS({text}) ELSE {text} END"


def aggregate_text(node: exp.Expr, inexact: Collection[Ref] = (), multiple: int = 1) -> str:
    """An aggregate of rows: counts rounded, sums of floating-point numbers in the order of their values.

    Such a sum depends on the order of the rows in its last digits; in the engine's order these would be noise
    that differs from run to run, and a little of the order in which the owner's file has its rows.
    """
    if not isinstance(node.this, (exp.Column, exp.Distinct, exp.Star)) or isinstance(node, SPREAD):
        text = _free_text(node)
        return rounded(text, multiple) if isinstance(node, exp.Count) else text
    if isinstance(node, exp.Count):
        return rounded(sql_of(node), multiple)
    columns = [node.this, *node.this.expressions] if isinstance(node.this, exp.Distinct) else [node.this]
    if not any(isinstance(c, exp.Column) and Ref(c.table, c.name) in inexact for c in columns):
        return sql_of(node)
    column = sql_of(columns[-1])
    return f"{node.key.upper()}({sql_of(node.this)} ORDER BY {column})"


def _free_text(node: exp.Expr) -> str:
    """An aggregate of an expression, which fails on no value; what may be floating-point in order."""
    argument = total(node.this)
    ordered = isinstance(node, (exp.Sum, exp.Avg, *SPREAD))
    return (
        f"{_NAMES.get(type(node), node.key.upper())}({argument}{f' ORDER BY {argument}' if ordered else ''})"
    )


def rounded(count: str, multiple: int) -> str:
    """A count as SQL, to the nearest multiple, halves up; always the same of the same."""
    return count if multiple == 1 else f"(({count} + {multiple // 2}) // {multiple} * {multiple})"


def number_text(names: Sequence[str], inside: str | None = None, *, dense: bool = False) -> str:
    """The number of a group among those of its branch, from 1, in the order of its keys.

    Args:
        names: its keys.
        inside: only rows that are equal in this are counted together.
        dense: whether rows with the same keys have the same number.
    """
    order = ", ".join(f"{name} NULLS LAST" for name in names)
    part = "" if inside is None else f"PARTITION BY {inside} "
    return f"{'DENSE_RANK' if dense else 'ROW_NUMBER'}() OVER ({part}ORDER BY {order})"


def window_text(window: exp.Window, groups: int) -> str:
    """A window function over the groups with equal ``_hitoku_k``: released ones never meet withheld ones.

    Its arguments are NULL outside the released groups, and sums of anything but plain aggregates are taken as
    DOUBLE, so that no overflow can fail. Where the order among equals matters it is that of the dimensions,
    and sums go by the order of their values: the engine's own order would show in the last digits.
    """
    function = window.this
    name = str(function.this)
    arguments = [_argument(name, part) for part in function.expressions]
    if name in {"SUM", "AVG"} and window.args.get("spec") is None:
        arguments[0] += f" ORDER BY {arguments[0]}"
    text = f"{name}({', '.join(arguments)}) OVER (PARTITION BY "
    text += ", ".join(["_hitoku_k", *(total(part) for part in window.args.get("partition_by") or ())])
    order = window.args.get("order")
    keys = [
        f"{total(key.this)}{' DESC' if key.args.get('desc') else ''} "
        f"NULLS {'FIRST' if key.args.get('nulls_first') else 'LAST'}"
        for key in (order.expressions if order is not None else ())
    ]
    spec = window.args.get("spec")
    if name in ORDERED or spec is not None:
        keys += [f"g{n} NULLS LAST" for n in range(1, groups + 1)]
    if keys:
        text += f" ORDER BY {', '.join(keys)}"
    return text + (f" {sql_of(spec)})" if spec is not None else ")")


def _argument(name: str, part: exp.Expr) -> str:
    if isinstance(part, (exp.Star, exp.Literal)):
        return sql_of(part)
    text = total(part)
    aggregate = isinstance(part, exp.Column) and part.name.startswith("a")
    if name in {"SUM", "AVG"} and not aggregate:
        text = f"TRY_CAST({text} AS DOUBLE)"
    return f"CASE WHEN _hitoku_k THEN {text} END"
