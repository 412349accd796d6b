# SPDX-License-Identifier: Apache-2.0
"""Window functions: over the groups that are released, never over rows.

A window function sees the grouped and aggregated values of other groups of the answer. That is nothing new to
whoever gets the answer, as long as it sees released groups only; `hitoku.questions.running` computes it after
the thresholds and HAVING, so a withheld group has no rank, is in no total, and leaves no gap.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from sqlglot import exp

from hitoku.questions.form import Family, Value
from hitoku.questions.literals import whole_number
from hitoku.questions.names import span_of
from hitoku.questions.nodes import call, describe, only
from hitoku.questions.refusals import refuse

__all__ = ["ORDERED", "windowed"]

_PLACES: Final = {"SELECT", "ORDER BY"}
_RANKS: Final[dict[type[exp.Expr], str]] = {
    exp.RowNumber: "ROW_NUMBER",
    exp.Rank: "RANK",
    exp.DenseRank: "DENSE_RANK",
    exp.PercentRank: "PERCENT_RANK",
    exp.CumeDist: "CUME_DIST",
}
_TOTALS: Final[dict[type[exp.Expr], str]] = {
    exp.Sum: "SUM",
    exp.Avg: "AVG",
    exp.Min: "MIN",
    exp.Max: "MAX",
    exp.Count: "COUNT",
}
_OTHERS: Final[dict[type[exp.Expr], str]] = {exp.Lag: "LAG", exp.Lead: "LEAD"}
_MAX_STEP: Final = 1000
ORDERED: Final = frozenset({"ROW_NUMBER", "NTILE", "LAG", "LEAD"})
"""Functions whose result depends on the order among equals, which must not be the engine's mood."""


def windowed(node: exp.Window, clause: str, build: Callable[[exp.Expr], Value]) -> Value:
    """A window function, rebuilt.

    Args:
        node: the asked one.
        clause: where it stands.
        build: checks one of its parts; encrypted columns are refused there.

    Raises:
        Refusal: the function, its frame or its place is not allowed.
    """
    if clause not in _PLACES:
        raise refuse("WINDOW_PLACE", clause=clause, node=node, what=describe(node.this))
    only(node, "this", "partition_by", "order", "spec", "over", clause=clause)
    parts: list[Value] = []

    def part(asked: exp.Expr) -> Value:
        value = build(asked)
        if value.window:
            raise refuse("WINDOW_PLACE", clause=clause, node=asked, what=describe(node.this))
        parts.append(value)
        return value

    function, family = _function(node.this, clause, part)
    partition = [part(asked).node for asked in node.args.get("partition_by") or ()]
    order = _order(node.args.get("order"), clause, part)
    made = exp.Window(
        this=function,
        partition_by=partition or None,
        order=order,
        spec=_frame(node.args.get("spec"), clause, order),
        over="OVER",
    )
    return Value(
        made,
        family,
        tuple(use for value in parts for use in value.uses),
        tuple(use for value in parts for use in value.inside),
        None,
        any(value.aggregate for value in parts),
        True,
        span_of(node),
    )


def _function(node: exp.Expr, clause: str, part: Callable[[exp.Expr], Value]) -> tuple[exp.Expr, Family]:
    """The function's call, and the family of its result."""
    kind = type(node)
    if kind in _RANKS:
        only(node, clause=clause)
        return call(_RANKS[kind]), Family.NUMBER
    if kind is exp.Ntile:
        only(node, "this", clause=clause)
        return call("NTILE", _step(node.this, node, clause, 1)), Family.NUMBER
    if kind in _OTHERS:
        only(node, "this", "offset", clause=clause)
        step = node.args.get("offset")
        more = [] if step is None else [_step(step, node, clause, 0)]
        value = part(node.this)
        return call(_OTHERS[kind], value.node, *more), value.family
    if kind not in _TOTALS:
        raise refuse("WINDOW_FUNCTION", clause=clause, node=node, what=describe(node))
    name = _TOTALS[kind]
    only(node, "this", "big_int", clause=clause)
    if kind is exp.Count and (node.this is None or isinstance(node.this, exp.Star)):
        return call(name, exp.Star()), Family.NUMBER
    if isinstance(node.this, exp.Distinct) or node.this is None:
        raise refuse("WINDOW_FUNCTION", clause=clause, node=node, what=f"{name}(DISTINCT)")
    value = part(node.this)
    if name in {"SUM", "AVG"} and value.family is not Family.NUMBER:
        raise refuse("NOT_A_NUMBER", clause=clause, node=node, family=value.family.value)
    return call(name, value.node), Family.NUMBER if name in {"SUM", "AVG", "COUNT"} else value.family


def _step(node: exp.Expr, function: exp.Expr, clause: str, least: int) -> exp.Literal:
    number = whole_number(node)
    if number is None or not least <= number <= _MAX_STEP:
        raise refuse("ARGUMENT_LITERAL", clause=clause, node=node, what=describe(function))
    return exp.Literal(this=str(number), is_string=False)


def _order(order: exp.Expr | None, clause: str, part: Callable[[exp.Expr], Value]) -> exp.Order | None:
    if order is None:
        return None
    only(order, "expressions", clause=clause)
    keys: list[exp.Expr] = []
    for key in order.expressions:
        if not isinstance(key, exp.Ordered):
            raise refuse("EXPRESSION_NOT_ALLOWED", clause=clause, node=key, what="ORDER BY")
        only(key, "this", "desc", "nulls_first", clause=clause)
        descending, first = bool(key.args.get("desc")), bool(key.args.get("nulls_first"))
        keys.append(exp.Ordered(this=part(key.this).node, desc=descending, nulls_first=first))
    return exp.Order(expressions=keys)


def _frame(spec: exp.Expr | None, clause: str, order: exp.Order | None) -> exp.WindowSpec | None:
    """ROWS with whole numbers, UNBOUNDED or CURRENT ROW, in a window that is ordered."""
    if spec is None:
        return None
    only(spec, "kind", "start", "start_side", "end", "end_side", clause=clause)
    made: dict[str, object] = {"kind": "ROWS"}
    places: list[float] = []
    for edge in ("start", "end"):
        asked = spec.args.get(edge)
        if asked is None and edge == "end":
            continue
        number = whole_number(asked) if isinstance(asked, exp.Expr) else None
        word = asked.upper() if isinstance(asked, str) else ""
        side = str(spec.args.get(f"{edge}_side") or "").upper()
        bounded = word == "UNBOUNDED" or (number is not None and number <= _MAX_STEP)
        if word == "CURRENT ROW" and not side:
            made[edge] = word
            places.append(0)
        elif bounded and side in {"PRECEDING", "FOLLOWING"}:
            made[edge] = word or exp.Literal(this=str(number), is_string=False)
            made[f"{edge}_side"] = side
            places.append((inf if number is None else number) * (-1 if side == "PRECEDING" else 1))
        else:
            raise refuse("WINDOW_FRAME", clause=clause, node=spec)
    backwards = places[0] == inf or places[-1] == -inf or places[0] > places[-1]
    if len(places) == 1:  # from there to the current row
        backwards = places[0] > 0
    if str(spec.args.get("kind")).upper() != "ROWS" or order is None or backwards:
        raise refuse("WINDOW_FRAME", clause=clause, node=spec)
    return exp.WindowSpec(**made)
