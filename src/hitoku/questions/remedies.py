# SPDX-License-Identifier: Apache-2.0
"""Refusals that several places raise, with the change of a rule that would allow what was asked."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from hitoku.errors import Change, Refusal
from hitoku.questions.changes import added, set_to
from hitoku.questions.form import Ref
from hitoku.questions.refusals import refuse
from hitoku.questions.rules import Rules, lists
from hitoku.room.rules import AggregateFunction, AggregationRule

__all__ = ["no_row_count", "no_statistics"]


def no_row_count(
    rules: Rules, tables: Sequence[str], proven: frozenset[Ref], node: exp.Expr, clause: str
) -> Refusal:
    """COUNT(*) where no rule allows it. A listed COUNT of a column that may be NULL is nearly one."""
    name = tables[0]
    change: Change | None = None
    for table in sorted(tables):
        rule = rules.table(table).rule
        if not isinstance(rule, AggregationRule):
            continue
        for column in rules.table(table).columns:
            if lists(rule, column.name, AggregateFunction.COUNT):
                name, change = table, set_to(f"tables.{table}.columns.{column.name}.nullable", False)
            elif change is None and (not column.nullable or Ref(table, column.name) in proven):
                function = AggregateFunction.COUNT.value
                entry: dict[str, str | list[str]] = {"columnNames": [column.name], "function": function}
                name, change = table, added(f"tables.{table}.rule.aggregateColumns", entry)
    return refuse(
        "COUNT_ROWS",
        clause=clause,
        node=node,
        rule=f"tables.{name}.rule.aggregateColumns",
        owner=rules.table(name).owner,
        change=change,
    )


def no_statistics(
    rules: Rules, tables: Sequence[str], clause: str, node: exp.Expr | None, what: str
) -> Refusal:
    """An aggregate or group where the tables' rules list rows."""
    name = next((t for t in tables if rules.table(t).owner != rules.asker), tables[0])
    owner = rules.table(name).owner
    return refuse(
        "LIST_AGGREGATE", clause=clause, node=node, rule=f"tables.{name}.rule", owner=owner, what=what
    )
