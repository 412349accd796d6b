# SPDX-License-Identifier: Apache-2.0
"""What must hold of a whole block: join duties, thresholds that count people, lists of the overlap only."""

from __future__ import annotations

from hitoku import limits
from hitoku.questions import custom
from hitoku.questions.blocks import Select
from hitoku.questions.changes import set_to
from hitoku.questions.expressions import Expressions
from hitoku.questions.form import Block, Ref, Value
from hitoku.questions.refusals import refuse
from hitoku.questions.remedies import no_statistics
from hitoku.questions.rows import Rows, connected
from hitoku.questions.rules import Rules
from hitoku.questions.thresholds import thresholds
from hitoku.room import rules as room_rules

__all__ = ["completed"]


def completed(made: Select, rules: Rules) -> Block:
    """The SELECT as a block of the answer, once every duty that its tables' rules set is met.

    Raises:
        Refusal: some duty is not met.
    """
    rows = _rows(made)
    if len(rows.all_tables) > limits.MAX_TABLES_PER_QUESTION:
        raise refuse("TOO_MANY_TABLES", clause="FROM", limit=str(limits.MAX_TABLES_PER_QUESTION))
    kind = rules.kind(rows.all_tables)
    if kind is room_rules.ListRule:
        return _listed(made, rows, rules)
    if kind is room_rules.CustomRule:
        return _custom(made, rows, rules)
    block = made.block
    if block is None:
        for item in made.items:
            made.expressions.readable(item.value, "SELECT")
    if block is None or not any(item.value.aggregate for item in block.items):
        first = rules.table(rows.tables[0])
        raise refuse(
            "NO_AGGREGATE",
            clause="SELECT",
            node=made.written,
            rule=f"tables.{first.name}.rule.aggregateColumns",
            owner=first.owner,
        )
    rules.joined_with_asker(rows.tables, rows.all_tables)
    _units_are_counted(rows, rules)
    return block


def _custom(made: Select, rows: Rows, rules: Rules) -> Block:
    """Groups, or rows where no table's rule lets statistics leave only."""
    block = made.block
    custom.one_mode(rules, rows.all_tables)
    if block is None or not any(item.value.aggregate for item in block.items):
        custom.statistics_only(rules, rows.all_tables, grouped=block is not None, node=made.written)
    if block is not None:
        _units_are_counted(rows, rules)
        return block
    return _distinct_rows(made, rows, rules)


def _rows(made: Select) -> Rows:
    block = made.block
    if block is None:
        return connected(made.scope.rows)
    return Rows(block.tables, block.on, block.lefts, block.where)


def _units_are_counted(rows: Rows, rules: Rules) -> None:
    """A threshold that counted NULLs as people would pass on rows of nobody."""
    for unit in thresholds(rules, rows.all_tables):
        ref = Ref(unit.table.name, unit.column)
        if not rules.nulls_told(ref, rows.proven):
            raise refuse(
                "UNIT_NULLS_COUNTED",
                clause="FROM",
                rule=f"tables.{ref.table}.rule.{unit.field}",
                owner=unit.table.owner,
                table=ref.table,
                column=ref.column,
                change=set_to(f"tables.{ref.table}.columns.{ref.column}.nullable", False),
            )


def _listed(made: Select, rows: Rows, rules: Rules) -> Block:
    if made.written.args.get("group") is not None:
        raise no_statistics(rules, rows.tables, "GROUP BY", made.written.args["group"], "GROUP BY")
    if rows.lefts:
        table = rules.table(rows.lefts[0].table)
        raise refuse(
            "LIST_OUTER_JOIN",
            clause="JOIN",
            rule=f"tables.{table.name}.rule",
            owner=table.owner,
            table=table.name,
        )
    owners = {rules.table(name).owner for name in rows.tables}
    if len(rows.tables) < 2 or rules.asker not in owners:
        name = next((n for n in rows.tables if rules.table(n).owner != rules.asker), rows.tables[0])
        raise refuse(
            "LIST_NEEDS_JOIN",
            clause="FROM",
            rule=f"tables.{name}.rule",
            owner=rules.table(name).owner,
            table=name,
            asker=rules.asker,
        )
    return _distinct_rows(made, rows, rules)


def _distinct_rows(made: Select, rows: Rows, rules: Rules) -> Block:
    """Each row once, and no fingerprint in it."""
    if not made.distinct:
        name = next((n for n in rows.tables if rules.table(n).owner != rules.asker), rows.tables[0])
        raise refuse(
            "LIST_NEEDS_DISTINCT",
            clause="SELECT",
            node=made.written,
            rule=f"tables.{name}.rule",
            owner=rules.table(name).owner,
        )
    for item in made.items:
        _list_item(item.value, rules, made.expressions)
    return Block(rows.tables, rows.on, rows.lefts, rows.where, (), made.items, (), listing=True)


def _list_item(value: Value, rules: Rules, expressions: Expressions) -> None:
    for use in value.uses:
        rules.listable(use, value.span)
    if value.plain is None:
        expressions.readable(value, "SELECT")
