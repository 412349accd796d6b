# SPDX-License-Identifier: Apache-2.0
"""Expressions as SQL that fails on no value, for the text that runs."""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from hitoku.questions.render import sql_of
from hitoku.questions.windows import ORDERED

__all__ = ["total", "window_text"]

_BOOLEAN: Final = (
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE),
    *(exp.In, exp.Is, exp.Like, exp.Paren),
)
_SAFE: Final = (exp.Column, exp.Literal, exp.Boolean, exp.Null, exp.AggFunc)


def total(node: exp.Expr) -> str:
    """A node as SQL that fails on no value: whatever could is NULL there."""
    return sql_of(_tried(node.copy()))


def _tried(node: exp.Expr) -> exp.Expr:
    if isinstance(node, _SAFE) or (isinstance(node, exp.TryCast) and isinstance(node.this, _SAFE)):
        return node
    if isinstance(node, _BOOLEAN):
        for key, part in list(node.args.items()):
            if isinstance(part, exp.Expr):
                node.set(key, _tried(part))
            elif isinstance(part, list):
                node.set(key, [_tried(p) if isinstance(p, exp.Expr) else p for p in part])
        return node
    if not any(True for _ in node.find_all(exp.Column)):
        return node
    return exp.Anonymous(this="TRY", expressions=[node])


def window_text(window: exp.Window, groups: int) -> str:
    """A window function over the groups with equal ``_hitoku_k``: released ones never meet withheld ones.

    Its arguments are NULL outside the released groups, and sums of anything but plain aggregates are taken as
    DOUBLE, so that no overflow can fail. Where the order among equals matters it is that of the dimensions.
    """
    function = window.this
    name = str(function.this)
    arguments = [_argument(name, part) for part in function.expressions]
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
