# SPDX-License-Identifier: Apache-2.0
"""Custom rules: which questions may be asked of a table at all, and in which mode its answers leave.

What a question then reveals of each column is `hitoku.questions.verdict`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from hitoku.errors import Refusal
from hitoku.questions.changes import added, set_to
from hitoku.questions.form import Use
from hitoku.questions.refusals import refuse
from hitoku.questions.templates import some_of, template_hash
from hitoku.room.agreement import Agreement, Column, ColumnProtection, Room, Table
from hitoku.room.rules import AdditionalAnalyses, AggregateExpressions, AggregateFunction, CustomRule

if TYPE_CHECKING:
    from sqlglot import exp

    from hitoku.questions.question import Question
    from hitoku.questions.rules import Rules

__all__ = [
    "allowed",
    "any_expression",
    "columns_only",
    "countable",
    "encrypted",
    "has_noise",
    "has_threshold",
    "may_go_on",
    "one_mode",
    "statistics_only",
]

_SUMS: Final = {AggregateFunction.SUM, AggregateFunction.SUM_DISTINCT, AggregateFunction.AVG}


def has_threshold(table: Table) -> bool:
    """Whether the table's rule is a custom one with aggregationThresholds."""
    return isinstance(table.rule, CustomRule) and bool(table.rule.aggregation_thresholds)


def has_noise(table: Table) -> bool:
    """Whether the table's rule is a custom one with differentialPrivacy."""
    return isinstance(table.rule, CustomRule) and table.rule.differential_privacy is not None


def any_expression(table: Table) -> bool:
    """Whether the thresholds of the table's custom rule let any expression stand inside an aggregate."""
    return isinstance(table.rule, CustomRule) and all(
        threshold.allowed_aggregate_expression_type is AggregateExpressions.ANY_EXPRESSION
        for threshold in table.rule.aggregation_thresholds
    )


def may_go_on(question: Question, room: Room) -> bool:
    """Whether the answer may go on into a further analysis (inference, learning).

    Every table of the question must say so by additionalAnalyses; a table whose rule has no such field, or
    leaves it out, does not.
    """
    for name in question.tables:
        table = room.agreement.table(name)
        rule = None if table is None else table.rule
        if not isinstance(rule, CustomRule):
            return False
        if rule.additional_analyses not in {AdditionalAnalyses.ALLOWED, AdditionalAnalyses.REQUIRED}:
            return False
    return True


# --- may it be asked? ---


def allowed(rules: Rules, table: Table, rule: CustomRule, node: exp.Expr) -> None:
    """Refuse a question that a custom rule does not approve, whatever it asks.

    Raises:
        Refusal: asker or template is not approved, or the answer must go on into a further analysis.
    """
    path = f"tables.{table.name}.rule"
    if rule.any_query:
        if rules.asker not in rule.allowed_analysis_providers:
            where = f"{path}.allowedAnalysisProviders"
            raise refuse(
                "ANALYSIS_NOT_ALLOWED",
                clause="FROM",
                node=node,
                rule=where,
                owner=table.owner,
                table=table.name,
                asker=rules.asker,
                change=added(where, rules.asker),
            )
    else:
        _by_template(rules, table, rule, node)
    if rule.additional_analyses is AdditionalAnalyses.REQUIRED:
        where = f"{path}.additionalAnalyses"
        raise refuse(
            "ADDITIONAL_ANALYSIS_REQUIRED",
            clause="FROM",
            node=node,
            rule=where,
            owner=table.owner,
            table=table.name,
            change=set_to(where, AdditionalAnalyses.ALLOWED.value),
        )


def _by_template(rules: Rules, table: Table, rule: CustomRule, node: exp.Expr) -> None:
    where = f"tables.{table.name}.rule.allowedAnalyses"
    template = rules.template
    if template is not None:
        made = template_hash(template)
        if made not in rule.allowed_analyses:
            raise refuse(
                "TEMPLATE_NOT_ALLOWED",
                clause="FROM",
                node=node,
                rule=where,
                owner=table.owner,
                table=table.name,
                template=template.name,
                change=added(where, made),
            )
        return
    approved = _approved(rules.agreement, rule)
    # A hash may be approved before the template is in the room; until then nothing can be asked.
    raise refuse(
        "TEMPLATE_REQUIRED" if approved else "TEMPLATE_MISSING",
        clause="FROM",
        node=node,
        rule=where,
        owner=table.owner,
        table=table.name,
        templates=some_of(approved),
    )


def _approved(agreement: Agreement, rule: CustomRule) -> list[str]:
    found: list[str] = []
    for template in agreement.templates:
        try:
            if template_hash(template) in rule.allowed_analyses:
                found.append(template.name)
        except Refusal:
            continue  # a template that is no question is approved by nobody
    return found


# --- columns ---


def countable(rules: Rules, use: Use, function: AggregateFunction, clause: str) -> None:
    """Refuse an aggregate that the column's protection or type cannot have.

    Raises:
        Refusal: a sum of what is encrypted or no number, or a distinct count of what is sealed.
    """
    column = rules.column(use.ref)
    sealed = column.protection is ColumnProtection.SEALED
    if function in _SUMS and column.protection is not ColumnProtection.CLEARTEXT:
        raise encrypted(rules, use, column, clause)
    if function is AggregateFunction.COUNT_DISTINCT and sealed:
        raise encrypted(rules, use, column, clause)
    if function in _SUMS and not column.type.is_number:
        family = rules.family(use.ref).value
        raise refuse("NOT_A_NUMBER", clause=clause, span=use.span, family=family)


def encrypted(rules: Rules, use: Use, column: Column, clause: str) -> Refusal:
    """The Refusal of a use of an encrypted column that would need its content."""
    return refuse(
        "ENCRYPTED_COLUMN",
        clause=clause,
        span=use.span,
        rule=f"tables.{use.ref.table}.columns.{use.ref.column}.protection",
        owner=rules.table(use.ref.table).owner,
        table=use.ref.table,
        column=use.ref.column,
        protection=column.protection.value,
    )


def columns_only(rules: Rules, tables: Iterable[str], node: exp.Expr, clause: str, what: str) -> None:
    """Refuse an aggregate that is more than a count, sum or mean of one column, where a rule says so.

    Of an expression, ``SUM(CASE WHEN job = 'mayor' THEN pay END)``, a threshold counts all of the group and
    not the row that it singles out; and the least value of a group is one row's. So the owner of every table
    with a threshold must have allowed it (``allowedAggregateExpressionType: ANY_EXPRESSION``).

    Raises:
        Refusal: ``COLUMNS_ONLY``.
    """
    for name in sorted(tables):
        table = rules.table(name)
        if has_threshold(table) and not any_expression(table):
            raise refuse(
                "COLUMNS_ONLY",
                clause=clause,
                node=node,
                rule=f"tables.{name}.rule.aggregationThresholds",
                owner=table.owner,
                table=name,
                what=what,
            )


# --- modes ---


def one_mode(rules: Rules, tables: Iterable[str]) -> None:
    """Refuse a question on tables with noise and tables with exact thresholds together.

    An exact threshold tells what noise hides: whether a group has one person more or less.
    """
    inside = [rules.table(name) for name in sorted(tables)]
    noised = [table for table in inside if has_noise(table)]
    exact = [table for table in inside if has_threshold(table)]
    if noised and exact:
        table = noised[0]
        raise refuse(
            "RULE_MODES_DIFFER",
            clause="FROM",
            rule=f"tables.{table.name}.rule.differentialPrivacy",
            owner=table.owner,
            tables=", ".join(t.name for t in noised),
            others=", ".join(t.name for t in exact),
        )


def statistics_only(rules: Rules, tables: Iterable[str], *, grouped: bool, node: exp.Expr) -> None:
    """Refuse rows, where a rule of the tables lets statistics leave only.

    Args:
        rules: the rules.
        tables: the tables of a SELECT that computes no aggregate.
        grouped: whether it has groups; a threshold can then be counted, noise still has nothing to act on.
        node: the SELECT.
    """
    for name in sorted(tables):
        table = rules.table(name)
        if has_noise(table):
            raise refuse(
                "PRIVACY_ROWS",
                clause="SELECT",
                node=node,
                rule=f"tables.{name}.rule.differentialPrivacy",
                owner=table.owner,
                table=name,
            )
        if has_threshold(table) and not grouped:
            raise refuse(
                "THRESHOLD_ROWS",
                clause="SELECT",
                node=node,
                rule=f"tables.{name}.rule.aggregationThresholds",
                owner=table.owner,
                table=name,
            )
