# SPDX-License-Identifier: Apache-2.0
"""How many units a group rests on: the hidden columns that thresholds read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from hitoku.questions.form import Block, Ref
from hitoku.questions.names import quoted

if TYPE_CHECKING:
    from hitoku.questions.question import UnitConstraint

__all__ = ["counted_units", "passing", "unit_count", "unit_masks"]


def unit_count(table: str, column: str) -> str:
    """How many distinct units an output row rests on."""
    return f"COUNT(DISTINCT {quoted(table)}.{quoted(column)})"


def passing(constraints: Sequence[UnitConstraint]) -> str:
    """The condition that a group passes every threshold."""
    return " AND ".join(f"{c.alias} >= {c.minimum}" for c in constraints) or "TRUE"


def counted_units(block: Block, constraints: Sequence[UnitConstraint]) -> list[str]:
    """One column a constraint, under its alias. Where its table is not in the block, its minimum."""
    same = _representatives(block)
    columns: list[str] = []
    for c in constraints:
        ref = same.get(Ref(c.table, c.column), Ref(c.table, c.column))
        count = unit_count(ref.table, ref.column) if c.table in block.all_tables else str(c.minimum)
        columns.append(f"{count} AS {c.alias}")
    return columns


def unit_masks(block: Block, constraints: Sequence[UnitConstraint]) -> list[str]:
    """One column a constraint: the set of a group's units, as 127 bits."""
    same = _representatives(block)
    columns: list[str] = []
    for c in constraints:
        ref = same.get(Ref(c.table, c.column), Ref(c.table, c.column))
        unit = f"{quoted(ref.table)}.{quoted(ref.column)}"
        bits = f"BIT_OR(1::UHUGEINT << (HASH({unit}) % 127)::UHUGEINT) FILTER (WHERE {unit} IS NOT NULL)"
        columns.append(f"{bits if c.table in block.all_tables else '0::UHUGEINT'} AS {c.alias}_m")
    return columns


def _representatives(block: Block) -> dict[Ref, Ref]:
    """One column for all that inner joins equate: they hold the same values in every row; one count serves.

    Only conditions that are an equality and nothing else equate; under OR either side may differ.
    """
    same: dict[Ref, Ref] = {}

    def root(ref: Ref) -> Ref:
        while same.get(ref, ref) != ref:
            ref = same[ref]
        return ref

    for condition in block.on:
        if isinstance(condition.node, exp.EQ):
            first, *others = sorted(root(use.ref) for use in condition.uses)
            for other in others:
                same[other] = first
    return {ref: root(ref) for ref in same}
