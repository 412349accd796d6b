# SPDX-License-Identifier: Apache-2.0
"""Expressions: every node type that may stand in one, and how it is rebuilt. All others are refused.

The methods return new nodes only. Encrypted columns pass through as bare columns; every operator and
function refuses them, so they can end only where `hitoku.questions.rules` allows a bare one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from sqlglot import exp

from hitoku.questions import literals
from hitoku.questions.arguments import Arguments
from hitoku.questions.cases import alike, cased, combined
from hitoku.questions.form import MIXED, Family, Use, Value
from hitoku.questions.nodes import call, describe, only, operands
from hitoku.questions.refusals import refuse
from hitoku.questions.scalars import scalar_of
from hitoku.questions.windows import windowed
from hitoku.room.agreement import ColumnProtection
from hitoku.room.rules import ScalarFunction

__all__ = ["Expressions", "Names", "comparable"]


class Names(Protocol):
    """Where an expression stands: which names it can see."""

    def column(self, node: exp.Column, clause: str) -> Value:
        """The value a column name stands for; a Refusal where there is none or several."""
        ...

    def protection(self, use: Use) -> ColumnProtection:
        """What the column is where it leaves its owner's node."""
        ...

    def owner(self, use: Use) -> str:
        """Whose column it is."""
        ...

    def allows(self, function: ScalarFunction, value: Value, node: exp.Expr, clause: str) -> None:
        """Refuse a scalar function that a rule of a table in `value` does not list."""
        ...

    def aggregate(
        self,
        node: exp.AggFunc,
        clause: str,
        build: Callable[[exp.Expr], Value],
        operand: Callable[[exp.Expr], Value],
    ) -> Value:
        """An aggregate that the rules allow; a Refusal for any other and where none may stand.

        `build` checks and rebuilds an argument, `operand` one that must be readable, too.
        """
        ...


_FLIPPED: Final[dict[type[exp.Binary], type[exp.Binary]]] = {
    exp.EQ: exp.EQ,
    exp.NEQ: exp.NEQ,
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
}
_ARITHMETIC: Final = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)


class Expressions:
    """Rebuilds expressions of one clause after another, seeing the names of one scope."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def value(self, node: exp.Expr, clause: str) -> Value:
        """Check one expression and rebuild it.

        Raises:
            Refusal: some part of it is not on the list, or mixes types.
        """
        match node:
            case exp.Paren():
                only(node, "this", clause=clause)
                return self.value(node.this, clause)
            case exp.Column():
                return self._names.column(node, clause)
            case exp.Literal():
                return literals.literal(node, clause)
            case exp.Boolean():
                return literals.boolean(node)
            case exp.Null():
                return literals.null(node)
            case exp.And() | exp.Or():
                return self._connected(node, clause)
            case exp.Not():
                only(node, "this", clause=clause)
                inner = self._boolean(node.this, clause)
                return combined(exp.Not(this=_bracketed(inner.node)), Family.BOOLEAN, node, inner)
            case exp.EQ() | exp.NEQ() | exp.GT() | exp.GTE() | exp.LT() | exp.LTE():
                return self._compared(node, clause)
            case exp.Between():
                return self._between(node, clause)
            case exp.In():
                return self._in(node, clause)
            case exp.Is():
                return self._is(node, clause)
            case exp.Like():
                return self._like(node, clause)
            case exp.Neg() | exp.Add() | exp.Sub() | exp.Mul() | exp.Div() | exp.Mod():
                return self._computed(node, clause)
            case exp.Select() | exp.SetOperation() | exp.Subquery() | exp.Exists():
                raise refuse("SUBQUERY", clause=clause, node=node)
            case exp.Star() | exp.Columns():
                raise refuse("STAR", clause=clause, node=node)
            case exp.Window():
                return windowed(node, clause, lambda part: self.operand(part, clause))
            case exp.Case():
                return cased(
                    node,
                    clause,
                    lambda part: self.operand(part, clause),
                    lambda part: self._boolean(part, clause),
                )
            case exp.IgnoreNulls() if isinstance(node.this, exp.AnyValue):
                raise refuse("AGGREGATE_KIND", clause=clause, node=node, what=describe(node.this))
            case exp.Filter() | exp.WithinGroup() | exp.IgnoreNulls() | exp.RespectNulls():
                raise refuse("AGGREGATE_MODIFIED", clause=clause, node=node, what=describe(node))
            case exp.AggFunc():
                return self._names.aggregate(
                    node,
                    clause,
                    lambda part: self.value(part, clause),
                    lambda part: self.operand(part, clause),
                )
        scalar = scalar_of(node)
        if scalar is not None:
            arguments = Arguments(node, clause, lambda part: self.operand(part, clause))
            function, result = scalar(arguments)
            self._names.allows(function, result, node, clause)
            return result
        if isinstance(node, exp.Func):
            raise refuse("FUNCTION_NOT_ALLOWED", clause=clause, node=node, what=describe(node))
        raise refuse("EXPRESSION_NOT_ALLOWED", clause=clause, node=node, what=describe(node))

    def operand(self, node: exp.Expr, clause: str) -> Value:
        """An expression that is computed with: encrypted columns cannot be."""
        value = self.value(node, clause)
        self.readable(value, clause)
        return value

    def readable(self, value: Value, clause: str) -> None:
        """Refuse an encrypted column where its content would be needed."""
        for use in value.uses:
            protection = self._names.protection(use)
            if protection is not ColumnProtection.CLEARTEXT:
                raise refuse(
                    "ENCRYPTED_COLUMN",
                    clause=clause,
                    span=use.span or value.span,
                    rule=f"tables.{use.ref.table}.columns.{use.ref.column}.protection",
                    owner=self._names.owner(use),
                    table=use.ref.table,
                    column=use.ref.column,
                    protection=protection.value,
                )

    def condition(self, node: exp.Expr, clause: str) -> tuple[Value, ...]:
        """The conditions that must all hold, each once, in an order that does not depend on the asker's."""
        found = {v.text: v for part in operands(node, exp.And) for v in self._flat(part, clause)}
        return tuple(found[text] for text in sorted(found))

    def _flat(self, node: exp.Expr, clause: str) -> list[Value]:
        value = self._boolean(node, clause)
        if not isinstance(value.node, exp.And):
            return [replace(value, node=value.node.unnest())]
        parts = list(operands(value.node, exp.And))
        return [replace(value, node=part.unnest(), plain=None) for part in parts]

    def _boolean(self, node: exp.Expr, clause: str) -> Value:
        value = self.operand(node, clause)
        if value.family not in {Family.BOOLEAN, Family.NULL}:
            raise refuse("NOT_A_CONDITION", clause=clause, node=node, family=value.family.value)
        return value

    def _connected(self, node: exp.And | exp.Or, clause: str) -> Value:
        kind = exp.And if isinstance(node, exp.And) else exp.Or
        parts = [self._boolean(part, clause) for part in operands(node, kind)]
        return combined(_chained(kind, parts), Family.BOOLEAN, node, *parts)

    def _compared(self, node: exp.Binary, clause: str) -> Value:
        only(node, "this", "expression", clause=clause)
        left, right = self.pair(node.this, node.expression, node, clause)
        kind = type(node)
        symmetric = kind in {exp.EQ, exp.NEQ} and right.constant == left.constant
        if (left.constant and not right.constant) or (symmetric and right.text < left.text):
            left, right, kind = right, left, _FLIPPED[kind]
        made = kind(this=_bracketed(left.node), expression=_bracketed(right.node))
        _mark_mixed(made, left, right)
        return combined(made, Family.BOOLEAN, node, left, right)

    def pair(self, left: exp.Expr, right: exp.Expr, node: exp.Expr, clause: str) -> tuple[Value, Value]:
        """Two readable operands of one family; a string literal beside a date is read as a date."""
        a, b = self.operand(left, clause), self.operand(right, clause)
        a, b = literals.matched(a, b.family, clause), literals.matched(b, a.family, clause)
        alike(a, b, node, clause)
        return a, b

    def _between(self, node: exp.Between, clause: str) -> Value:
        only(node, "this", "low", "high", clause=clause)
        low = exp.GTE(this=node.this, expression=node.args["low"])
        high = exp.LTE(this=node.this, expression=node.args["high"])
        parts = [self._compared(low, clause), self._compared(high, clause)]
        return combined(_chained(exp.And, parts), Family.BOOLEAN, node, *parts)

    def _in(self, node: exp.In, clause: str) -> Value:
        if node.args.get("query") is not None:
            raise refuse("SUBQUERY", clause=clause, node=node)
        only(node, "this", "expressions", clause=clause)
        choices = [self.pair(node.this, choice, node, clause) for choice in node.expressions]
        if not choices:
            raise refuse("EXPRESSION_NOT_ALLOWED", clause=clause, node=node, what="IN ()")
        what = choices[0][0]
        unique = {choice.text: choice for _, choice in choices}
        made = exp.In(this=_bracketed(what.node), expressions=[unique[text].node for text in sorted(unique)])
        _mark_mixed(made, what, *unique.values())
        return combined(made, Family.BOOLEAN, node, what, *unique.values())

    def _is(self, node: exp.Is, clause: str) -> Value:
        only(node, "this", "expression", clause=clause)
        value = self.operand(node.this, clause)
        if isinstance(node.expression, exp.Null):
            made: exp.Expr = exp.Is(this=_bracketed(value.node), expression=exp.Null())
        elif isinstance(node.expression, exp.Boolean) and value.family is Family.BOOLEAN:
            truth = exp.Boolean(this=bool(node.expression.this))
            made = exp.Is(this=_bracketed(value.node), expression=truth)
        else:
            raise refuse("EXPRESSION_NOT_ALLOWED", clause=clause, node=node, what="IS")
        return combined(made, Family.BOOLEAN, node, value)

    def _like(self, node: exp.Like, clause: str) -> Value:
        only(node, "this", "expression", "negate", clause=clause)
        value, pattern = self.operand(node.this, clause), self.operand(node.expression, clause)
        if value.family is not Family.STRING or not isinstance(pattern.node, exp.Literal):
            raise refuse("LIKE_FORM", clause=clause, node=node)
        if not pattern.node.is_string:
            raise refuse("LIKE_FORM", clause=clause, node=node)
        made: exp.Expr = exp.Like(this=value.node, expression=pattern.node)
        if node.args.get("negate"):
            made = exp.Not(this=_bracketed(made))
        return combined(made, Family.BOOLEAN, node, value)

    def _computed(self, node: exp.Expr, clause: str) -> Value:
        parts = [node.this] if isinstance(node, exp.Neg) else [node.this, node.expression]
        values = [self.operand(part, clause) for part in parts]
        for value, part in zip(values, parts, strict=True):
            if value.family not in {Family.NUMBER, Family.NULL}:
                raise refuse("NOT_A_NUMBER", clause=clause, node=part, family=value.family.value)
        nodes = [_bracketed(value.node) for value in values]
        if isinstance(node, exp.Neg):
            made: exp.Expr = exp.Neg(this=nodes[0])
        elif isinstance(node, exp.Mod):
            made = call("MOD", *(value.node for value in values))
        else:
            kind = next(k for k in _ARITHMETIC if isinstance(node, k))
            made = kind(this=nodes[0], expression=nodes[1])
        return combined(made, Family.NUMBER, node, *values)


def _mark_mixed(comparison: exp.Expr, *values: Value) -> None:
    """Note a comparison of numbers that are not all columns, short literals or counts."""
    if any(v.family is Family.NUMBER for v in values) and not all(comparable(v.node) for v in values):
        comparison.meta[MIXED] = True


def comparable(node: exp.Expr) -> bool:
    """Whether a number has a common type with every column, literal and count that holds both."""
    node = node.unnest()
    if isinstance(node, exp.Neg):
        node = node.this.unnest()
    return isinstance(node, (exp.Column, exp.Literal, exp.Null, exp.Count))


def _chained(kind: type[exp.Connector], parts: Sequence[Value]) -> exp.Expr:
    """Operands of AND (or OR), each once, in an order that does not depend on the asker's."""
    flat = [inner.unnest() for part in parts for inner in operands(part.node, kind)]
    unique = {node.sql(dialect="duckdb"): node for node in flat}
    ordered = [_bracketed(unique[text]) for text in sorted(unique)]
    joined = ordered[0]
    for node in ordered[1:]:
        joined = kind(this=joined, expression=node)
    return joined


def _bracketed(node: exp.Expr) -> exp.Expr:
    """A node as an operand: operators are put in brackets, so that rendering keeps the tree's shape."""
    operator = isinstance(node, (exp.Binary, exp.Unary, exp.In, exp.Is, exp.Like, exp.Between))
    return exp.Paren(this=node) if operator and not isinstance(node, exp.Paren) else node
