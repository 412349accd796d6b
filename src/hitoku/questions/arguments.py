# SPDX-License-Identifier: Apache-2.0
"""The arguments of a scalar function, checked as it asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from hitoku.questions.form import Family, Value
from hitoku.questions.literals import whole_number
from hitoku.questions.names import span_of
from hitoku.questions.nodes import describe
from hitoku.questions.refusals import refuse
from hitoku.room.rules import ScalarFunction

__all__ = ["Arguments", "Built"]


@dataclass(frozen=True, slots=True)
class Arguments:
    """A function's node, where it stands, and how to check an argument of it."""

    node: exp.Expr
    clause: str
    build: Callable[[exp.Expr], Value]

    def of(self, part: str, *families: Family) -> Value:
        """One argument, of one of the families (or NULL)."""
        asked = self.node.args[part]
        value = self.build(asked)
        if value.family not in {*families, Family.NULL}:
            raise refuse(
                "ARGUMENT_TYPE",
                clause=self.clause,
                node=asked,
                what=describe(self.node),
                family=value.family.value,
            )
        return value

    def number(self, part: str, largest: int) -> exp.Literal | None:
        """An optional argument that must be a small whole-number literal."""
        asked = self.node.args.get(part)
        if asked is None:
            return None
        whole = whole_number(asked)
        if whole is None or whole > largest:
            raise refuse("ARGUMENT_LITERAL", clause=self.clause, node=asked, what=describe(self.node))
        return exp.Literal(this=str(whole), is_string=False)

    def result(self, node: exp.Expr, family: Family, *values: Value) -> Value:
        """The rebuilt call."""
        return Value(
            node,
            family,
            tuple(use for value in values for use in value.uses),
            tuple(use for value in values for use in value.inside),
            None,
            any(value.aggregate for value in values),
            any(value.window for value in values),
            span_of(self.node),
        )


Built = tuple[ScalarFunction, Value]
"""Which function of the rules' list it is, and the rebuilt call."""
