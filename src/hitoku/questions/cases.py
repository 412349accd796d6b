# SPDX-License-Identifier: Apache-2.0
"""CASE: a function of the columns in it and of nothing else, so each column obeys its rule as in WHERE.

It needs no entry in scalarFunctions: it says no more than filters on the same columns would.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from hitoku.questions import literals
from hitoku.questions.form import Family, Value
from hitoku.questions.names import span_of
from hitoku.questions.nodes import only
from hitoku.questions.refusals import refuse

__all__ = ["alike", "cased", "combined"]


def cased(
    node: exp.Case,
    clause: str,
    operand: Callable[[exp.Expr], Value],
    condition: Callable[[exp.Expr], Value],
) -> Value:
    """CASE WHEN condition THEN value, or CASE value WHEN value THEN value; rebuilt.

    Args:
        node: the asked one.
        clause: where it stands.
        operand: checks a readable value.
        condition: checks a condition.

    Raises:
        Refusal: a part is not allowed, or types are mixed.
    """
    only(node, "this", "ifs", "default", clause=clause)
    subject = None if node.this is None else operand(node.this)
    parts: list[Value] = [] if subject is None else [subject]
    results: list[Value] = []
    ifs: list[exp.Expr] = []
    for branch in node.args["ifs"]:
        only(branch, "this", "true", clause=clause)
        if subject is None:
            when = condition(branch.this)
        else:
            when = literals.matched(operand(branch.this), subject.family, clause)
            alike(subject, when, branch, clause)
        results.append(operand(branch.args["true"]))
        parts += [when, results[-1]]
        ifs.append(exp.If(this=when.node, true=results[-1].node))
    default = node.args.get("default")
    last = None if default is None else operand(default)
    if last is not None:
        results.append(last)
        parts.append(last)
    typed = [result for result in results if result.family is not Family.NULL]
    for result in typed[1:]:
        alike(typed[0], result, node, clause)
    made = exp.Case(
        this=None if subject is None else subject.node, ifs=ifs, default=None if last is None else last.node
    )
    return combined(made, typed[0].family if typed else Family.NULL, node, *parts)


def alike(a: Value, b: Value, node: exp.Expr, clause: str) -> None:
    """Refuse two values of different types.

    Raises:
        Refusal: they differ.
    """
    if Family.NULL not in {a.family, b.family} and a.family is not b.family:
        raise refuse("TYPES_DIFFER", clause=clause, node=node, left=a.family.value, right=b.family.value)


def combined(node: exp.Expr, family: Family, asked: exp.Expr, *parts: Value) -> Value:
    """A rebuilt expression that reads what its parts read."""
    return Value(
        node,
        family,
        tuple(use for part in parts for use in part.uses),
        tuple(use for part in parts for use in part.inside),
        None,
        any(part.aggregate for part in parts),
        any(part.window for part in parts),
        span_of(asked),
    )
