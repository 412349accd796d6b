# SPDX-License-Identifier: Apache-2.0
"""The thresholds that rules put on every row of an answer: of what column, how many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hitoku.room.agreement import Table
from hitoku.room.rules import AggregationRule, CustomRule

if TYPE_CHECKING:
    from hitoku.questions.rules import Rules

__all__ = ["Unit", "thresholds"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A threshold of one table: so many distinct values of a column; `field` is the rule's that says so."""

    table: Table
    column: str
    minimum: int
    field: str


def thresholds(rules: Rules, tables: Iterable[str]) -> list[Unit]:
    """The thresholds of all tables; of several on one column the strictest.

    Of a custom rule it is the general minimum; `verdict.minimum` knows the outputs' own.
    """
    found: list[Unit] = []
    for name in sorted(tables):
        table = rules.table(name)
        strictest: dict[str, Unit] = {}
        if isinstance(table.rule, AggregationRule):
            for constraint in table.rule.output_constraints:
                before = strictest.get(constraint.column_name)
                if before is None or constraint.minimum > before.minimum:
                    unit = Unit(table, constraint.column_name, constraint.minimum, "outputConstraints")
                    strictest[constraint.column_name] = unit
        elif isinstance(table.rule, CustomRule):
            for threshold in table.rule.aggregation_thresholds:
                column, minimum = threshold.identity_columns[0], threshold.minimum_identity_count
                strictest[column] = Unit(table, column, minimum, "aggregationThresholds")
        found.extend(strictest[column] for column in sorted(strictest))
    return found
