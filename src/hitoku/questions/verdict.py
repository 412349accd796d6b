# SPDX-License-Identifier: Apache-2.0
"""The verdict of the derivation: whatever reaches the answer in a way that no rule grants is refused.

For aggregation and list rules it is a second line of defence: the checker has refused all of it before, and
here nothing is left to refuse unless the checker is wrong. For custom rules it *is* the check of
disallowedOutputColumns, comparisonControls and the identity column. What each rule grants:

- aggregation: joinColumns AFTER_JOIN in joins; dimensionColumns AFTER_GROUP_BY and AFTER_COMPARE; the listed
  functions of aggregateColumns AFTER_AGGREGATE; COUNT(*) where it equals a listed COUNT.
- list: joinColumns AFTER_JOIN in joins; listColumns AFTER_JOIN and AFTER_COMPARE, no fingerprint.
- custom: every column AFTER_AGGREGATE; others as the comparison controls say; to be seen outside aggregates,
  a column that is neither disallowed nor a fingerprint; PLAIN or AFTER_JOIN only without threshold and noise.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Final

from sqlglot import exp

from hitoku.errors import Refusal, Span
from hitoku.questions.changes import added
from hitoku.questions.custom import any_expression, has_noise, has_threshold
from hitoku.questions.derive import Derivation, DerivedBlock
from hitoku.questions.flows import By, Comparison, Flow, Level
from hitoku.questions.form import Ref, Value
from hitoku.questions.refusals import refuse
from hitoku.questions.rules import Rules, lists
from hitoku.questions.thresholds import Unit
from hitoku.room.agreement import ColumnProtection
from hitoku.room.rules import AggregateFunction, AggregationRule, CustomRule, ListRule

__all__ = ["judge", "minimum"]

_CLAUSES: Final = {By.OVER: "SELECT"}
_SHOWN: Final = frozenset({By.SELECT, By.OVER, By.GROUP_BY, By.ORDER_BY})
_COUNTS: Final = frozenset({AggregateFunction.COUNT, AggregateFunction.COUNT_DISTINCT})


def judge(derivation: Derivation, rules: Rules) -> None:
    """Refuse what the derivation shows and no rule grants.

    Raises:
        Refusal: a column reaches the answer, or is compared, in a way that its table's rule does not grant.
    """
    for block in derivation.blocks:
        for flow in chain(block.rows, block.groups, *block.items):
            _granted(flow, rules)
        for comparison in block.comparisons:
            _comparable(comparison, rules)
        if block.counts_rows:
            _rows_counted(block, rules)
    for flow in derivation.order:
        _granted(flow, rules)
    for comparison in derivation.comparisons:
        _comparable(comparison, rules)


def minimum(unit: Unit, derivation: Derivation) -> int:
    """How many units each row must rest on; outputColumnThresholds of a custom rule can change the minimum.

    It is the largest over the table's columns that the answer shows: in an output, in or outside aggregates,
    as a group or a sort key. How often or how many distinct of the identity column itself shows nothing that
    the threshold does not count anyway. Where all shown columns are exempt, or none is shown, the general one
    holds: stricter than AWS, whose exempt column lets a row of one person out.
    """
    rule = unit.table.rule
    if not isinstance(rule, CustomRule):
        return unit.minimum
    own = {
        override.output_column_name: override.minimum_identity_count
        for threshold in rule.aggregation_thresholds
        for override in threshold.output_column_thresholds
    }
    if not own:
        return unit.minimum
    flows = chain(derivation.order, *(chain(block.groups, *block.items) for block in derivation.blocks))
    shown = {
        flow.ref.column
        for flow in flows
        if flow.ref.table == unit.table.name
        and flow.by is not By.HAVING
        and not (flow.ref.column == unit.column and flow.function in _COUNTS)
    }
    return max((own.get(column, unit.minimum) for column in shown), default=0) or unit.minimum


# --- flows ---


def _granted(flow: Flow, rules: Rules) -> None:
    rule = rules.table(flow.ref.table).rule
    if isinstance(rule, CustomRule):
        _custom(flow, rule, rules)
        return
    column, granted = flow.ref.column, False
    if isinstance(rule, AggregationRule):
        if flow.level is Level.AFTER_AGGREGATE:
            granted = flow.function is not None and lists(rule, column, flow.function)
        elif flow.by is By.JOIN:
            granted = column in rule.join_columns
        else:
            grouped = flow.level in {Level.AFTER_GROUP_BY, Level.AFTER_COMPARE}
            granted = grouped and column in rule.dimension_columns and _readable(flow, rules)
    elif isinstance(rule, ListRule):
        if flow.by is By.JOIN:
            granted = flow.level is Level.AFTER_JOIN and column in rule.join_columns
        else:
            matched = flow.level in {Level.AFTER_JOIN, Level.AFTER_COMPARE}
            granted = matched and column in rule.list_columns and _readable(flow, rules)
    if not granted:
        raise _ungranted(flow, rules)


def _custom(flow: Flow, rule: CustomRule, rules: Rules) -> None:
    table = rules.table(flow.ref.table)
    if flow.level is Level.AFTER_AGGREGATE:
        return
    if flow.by in _SHOWN and flow.ref.column in rule.disallowed_output_columns:
        raise refuse(
            "OUTPUT_COLUMN_DISALLOWED",
            clause=_CLAUSES.get(flow.by, flow.by.value),
            span=_place(flow.value, (flow.ref,)),
            rule=f"tables.{table.name}.rule.disallowedOutputColumns",
            owner=table.owner,
            table=table.name,
            column=flow.ref.column,
        )
    if flow.by is By.JOIN:
        granted = rules.column(flow.ref).protection is not ColumnProtection.SEALED
    else:
        rows = flow.by in _SHOWN and flow.level in {Level.PLAIN, Level.AFTER_JOIN}
        rows = rows or (flow.level is Level.ONE_OF_GROUP and not any_expression(table))
        granted = _readable(flow, rules) and not (rows and (has_threshold(table) or has_noise(table)))
    if not granted:
        raise _ungranted(flow, rules)


def _readable(flow: Flow, rules: Rules) -> bool:
    """Cleartext; or a sealed column, as it is, in a list."""
    protection = rules.column(flow.ref).protection
    if protection is ColumnProtection.CLEARTEXT:
        return True
    listed = flow.by in {By.SELECT, By.ORDER_BY} and flow.level in {Level.PLAIN, Level.AFTER_JOIN}
    return protection is ColumnProtection.SEALED and flow.bare and listed


def _rows_counted(block: DerivedBlock, rules: Rules) -> None:
    """COUNT(*) reads no column; an aggregation rule grants it as a listed COUNT of a column without NULLs."""
    tables = block.block.all_tables
    if all(isinstance(rules.table(name).rule, CustomRule) for name in tables):
        return
    matched = {
        use.ref
        for condition in (*block.block.on, *(c for left in block.block.lefts for c in left.on))
        if isinstance(condition.node, exp.EQ)
        for use in condition.uses
    }
    for name in block.block.tables:
        table = rules.table(name)
        for column in table.columns:
            filled = not column.nullable or Ref(name, column.name) in matched
            listed = isinstance(table.rule, AggregationRule) and lists(
                table.rule, column.name, AggregateFunction.COUNT
            )
            if filled and listed:
                return
    table = rules.table(block.block.tables[0])
    raise refuse(
        "NOT_GRANTED",
        clause="SELECT",
        rule=f"tables.{table.name}.rule",
        owner=table.owner,
        table=table.name,
        column="*",
        level=Level.AFTER_AGGREGATE.value,
    )


def _ungranted(flow: Flow, rules: Rules) -> Refusal:
    table = rules.table(flow.ref.table)
    return refuse(
        "NOT_GRANTED",
        clause=_CLAUSES.get(flow.by, flow.by.value),
        span=_place(flow.value, (flow.ref,)),
        rule=f"tables.{table.name}.rule",
        owner=table.owner,
        table=table.name,
        column=flow.ref.column,
        level=flow.level.value,
    )


# --- comparisons ---


def _comparable(comparison: Comparison, rules: Rules) -> None:
    for ref in comparison.refs:
        table = rules.table(ref.table)
        if not isinstance(table.rule, CustomRule):
            continue
        identities = {name for t in table.rule.aggregation_thresholds for name in t.identity_columns}
        if comparison.literal and ref.column in identities:
            raise _refusal("IDENTITY_COMPARED", comparison, ref, rules)
        controls = table.rule.comparison_controls
        if controls is None:
            continue
        if comparison.literal and ref.column not in controls.allowed_literal_comparison_columns:
            raise _refusal("LITERAL_COMPARISON", comparison, ref, rules)
        if comparison.column and ref.column not in controls.allowed_column_comparison_columns:
            raise _refusal("COLUMN_COMPARISON", comparison, ref, rules)


_FIELDS: Final = {
    "IDENTITY_COMPARED": "aggregationThresholds",
    "LITERAL_COMPARISON": "comparisonControls.allowedLiteralComparisonColumns",
    "COLUMN_COMPARISON": "comparisonControls.allowedColumnComparisonColumns",
}


def _refusal(code: str, comparison: Comparison, ref: Ref, rules: Rules) -> Refusal:
    rule = f"tables.{ref.table}.rule.{_FIELDS[code]}"
    return refuse(
        code,
        clause=_CLAUSES.get(comparison.by, comparison.by.value),
        span=_place(comparison.value, comparison.refs, ref),
        rule=rule,
        owner=rules.table(ref.table).owner,
        change=None if code == "IDENTITY_COMPARED" else added(rule, ref.column),
        table=ref.table,
        column=ref.column,
    )


def _place(value: Value, refs: Iterable[Ref], first: Ref | None = None) -> Span | None:
    """Where one of the columns stands in the asked SQL."""
    wanted = set(refs) if first is None else {first}
    uses = (use for use in (*value.uses, *value.inside) if use.ref in wanted)
    return next((use.span for use in uses if use.span is not None), value.span)
