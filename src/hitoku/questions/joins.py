# SPDX-License-Identifier: Apache-2.0
"""Join conditions: equalities of join columns of two tables; AND and OR only where the rules list them."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from hitoku.questions.form import Family, Use, Value
from hitoku.questions.names import span_of
from hitoku.questions.nodes import only, operands
from hitoku.questions.refusals import refuse
from hitoku.questions.rules import Rules
from hitoku.room.rules import JoinOperator

__all__ = ["join_conditions", "join_side"]


def join_side(join: exp.Join) -> bool:
    """Whether a join is a left join; inner otherwise.

    Raises:
        Refusal: any other join.
    """
    if join.args.get("method"):
        raise refuse("JOIN_KIND", clause="JOIN", node=join.this, kind=str(join.args["method"]).upper())
    only(join, "this", "side", "kind", "on", "using", clause="JOIN")
    side, kind = join.side.upper(), join.kind.upper()
    if (side, kind) not in {("", ""), ("", "INNER"), ("LEFT", ""), ("LEFT", "OUTER")}:
        if kind == "CROSS":
            raise refuse("CROSS_JOIN", clause="JOIN", node=join.this, table=join.alias_or_name)
        raise refuse("JOIN_KIND", clause="JOIN", node=join.this, kind=f"{side} {kind}".strip())
    if join.args.get("on") is None and not join.args.get("using"):
        raise refuse("CROSS_JOIN", clause="JOIN", node=join.this, table=join.alias_or_name)
    return side == "LEFT"


def join_conditions(
    condition: exp.Expr, rules: Rules, resolve: Callable[[exp.Column], Value]
) -> tuple[Value, ...]:
    """The conditions of one join, each an equality or an OR of equalities.

    Raises:
        Refusal: some part is anything else, or a rule does not allow it.
    """
    made: list[Value] = []
    conjuncts = list(operands(condition, exp.And))
    nested = False
    for conjunct in conjuncts:
        choices = list(operands(conjunct, exp.Or))
        equalities: list[Value] = []
        for choice in choices:
            parts = [_equality(part, rules, resolve) for part in operands(choice, exp.And)]
            nested = nested or len(parts) > 1
            equalities.append(_joined(exp.And, parts))
        made.append(_joined(exp.Or, equalities))
        if len(choices) > 1:
            rules.operator(_tables(equalities), JoinOperator.OR, conjunct)
    if len(conjuncts) > 1 or nested:
        rules.operator(_tables(made), JoinOperator.AND, condition)
    return tuple(made)


def _equality(node: exp.Expr, rules: Rules, resolve: Callable[[exp.Column], Value]) -> Value:
    while isinstance(node, exp.Paren):
        node = node.this
    if not isinstance(node, exp.EQ):
        raise refuse("JOIN_CONDITION", clause="JOIN", node=node)
    uses: list[Use] = []
    values: list[Value] = []
    for side in (node.this, node.expression):
        while isinstance(side, exp.Paren):
            side = side.this
        if not isinstance(side, exp.Column):
            raise refuse("JOIN_CONDITION", clause="JOIN", node=node)
        value = resolve(side)
        if value.plain is None:
            raise refuse("JOIN_CONDITION", clause="JOIN", node=node)
        use = Use(value.plain, span_of(side))
        rules.joinable(use)
        uses.append(use)
        values.append(value)
    if uses[0].ref.table == uses[1].ref.table:
        raise refuse("JOIN_CONDITION", clause="JOIN", node=node)
    rules.comparable(uses[0], uses[1])
    first, second = sorted(values, key=lambda value: value.text)
    made = exp.EQ(this=first.node.copy(), expression=second.node.copy())
    return Value(made, Family.BOOLEAN, tuple(uses), span=span_of(node))


def _joined(kind: type[exp.Connector], parts: list[Value]) -> Value:
    unique = {part.text: part for part in parts}
    ordered = [unique[text] for text in sorted(unique)]
    node = ordered[0].node
    for part in ordered[1:]:
        right = exp.Paren(this=part.node) if isinstance(part.node, exp.Connector) else part.node
        left = (
            exp.Paren(this=node) if isinstance(node, exp.Connector) and not isinstance(node, kind) else node
        )
        node = kind(this=left, expression=right)
    return Value(
        node, Family.BOOLEAN, tuple(use for part in ordered for use in part.uses), span=parts[0].span
    )


def _tables(values: list[Value]) -> set[str]:
    return {use.ref.table for value in values for use in value.uses}
