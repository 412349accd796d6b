# SPDX-License-Identifier: Apache-2.0
"""Figures without GROUP BY: one group, which is there even where no row is.

Sums are of values brought to 0 where a row is not valid: no sort. Distinct values and the like sort as in
`groups`, with the argument alone as key. Who learns what: nobody anything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hitoku.protections.shares.operators.expressions import evaluate
from hitoku.protections.shares.operators.groups import (
    RANKED,
    figure,
    plan_figures,
    ranked_by_argument,
    ranked_pass,
)
from hitoku.protections.shares.operators.kinds import BITS
from hitoku.protections.shares.operators.values import Rows, Value, both, zeroed
from hitoku.protections.shares.program import Aggregate, Branch, Expr

__all__ = ["one_group"]


def one_group(branch: Branch, rows: Rows) -> Rows:
    """The one group: columns ``a1``..."""
    engine = rows.engine
    plain = [one for one in branch.aggregates if one.kind not in RANKED]
    columns = _plain(rows, plain)
    alone = replace(branch, most_groups=1, groups=())
    for argument, aggregates in ranked_by_argument(branch).items():
        found = ranked_pass(alone, rows, [], argument, aggregates, [])
        for one in aggregates:
            columns[one.name] = _of_none(found, one, found.columns[one.name])
    return Rows(engine, 1, engine.public("u8", 1, 1), columns)


def _plain(rows: Rows, plain: list[Aggregate]) -> dict[str, Value]:
    engine = rows.engine
    figures = plan_figures(rows, plain)
    counting = any(one.kind != "sum" or not _certain(rows, one, figures.bits) for one in plain)
    widest = max((key[1] for key in figures.rings), key=lambda kind: BITS[kind], default="r32")
    present: Any = engine.bit_to_ring(rows.valid, widest) if plain else None

    def there(kind: str) -> Any:
        return present if kind == widest else engine.cast(present, kind)

    sums: dict[Any, Any] = {}
    for key, ring in figures.rings.items():
        sums[key] = engine.sum(engine.mul(there(ring.kind), ring))
    for argument, bit in figures.bits.items():
        sums[argument] = engine.sum(engine.bit_to_ring(engine.and_(bit, rows.valid), "r32"))
    everything = engine.sum(there("r32")) if plain and counting else None
    return {one.name: figure(engine, one, sums, everything, never_empty=False) for one in plain}


def _certain(rows: Rows, one: Aggregate, bits: dict[Expr, Any]) -> bool:
    """Whether a sum's own validity bits tell that it is of nothing, so that rows need not be counted."""
    return (
        one.argument is not None and evaluate(rows, one.argument).valid is not None and one.argument in bits
    )


def _of_none(found: Rows, one: Aggregate, value: Value) -> Value:
    """The figure of a group that may be of no rows: a count is 0, all else NULL."""
    engine, there = found.engine, found.valid
    word = None if value.word is None else zeroed(engine, value.word, there)
    ring = None if value.ring is None else zeroed(engine, value.ring, there)
    valid = None if one.kind == "count_distinct" else both(engine, value.valid, there)
    return Value(value.type, word, ring, valid)
