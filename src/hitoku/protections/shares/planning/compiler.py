# SPDX-License-Identifier: Apache-2.0
"""Checked trees become expressions of programs, with the engine's types and SQL's logic of NULLs.

What can be taken as a whole (a leaf of one table, a figure of a group) is said by a subclass; here is what is
taken apart: logic, comparisons, arithmetic, CASE, COALESCE, IN, IS, ROUND, ABS.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from sqlglot import exp

from hitoku.protections.shares.planning import numbers
from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.protections.shares.planning.rationals import (
    Quantity,
    Rational,
    added,
    compared,
    divided,
    multiplied,
    ratio,
)
from hitoku.protections.shares.planning.sqltypes import Describer, SqlType
from hitoku.protections.shares.program import Expr, Literal, Round, Type
from hitoku.questions.nodes import describe
from hitoku.questions.totals import total

__all__ = ["Compiler", "function", "literal_of"]

_EPOCH: Final = date(1970, 1, 1)
_MOMENT: Final = datetime(1970, 1, 1)
_COMPARED: Final[dict[type[exp.Expr], str]] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}


def function(node: exp.Expr) -> str:
    """The name of a function that the checker wrote; empty for anything else."""
    return str(node.this).upper() if isinstance(node, exp.Anonymous) else ""


def literal_of(value: Any) -> Literal | None:
    """A value of the engine's as a public one; None for a text."""
    if value is None:
        return Literal(None, numbers.number(0, 0))
    if isinstance(value, bool):
        return numbers.TRUE if value else numbers.FALSE
    if isinstance(value, datetime):
        micros = (value - _MOMENT) // (datetime.resolution)
        return numbers.literal(micros)
    if isinstance(value, date):
        days = (value - _EPOCH).days
        return Literal(days, Type("date", days, days, nullable=False))
    if isinstance(value, float):
        value = Decimal(repr(value))
        if not value.is_finite():
            raise Cannot("the question has a constant that is no number")
    if isinstance(value, int):
        return numbers.literal(value)
    if isinstance(value, Decimal):
        exponent = value.normalize().as_tuple().exponent
        scale = max(-exponent, 0) if isinstance(exponent, int) else 0
        if scale > 30:
            raise Cannot("the question has a constant with more than 30 digits behind the point")
        return numbers.literal(int(value.scaleb(scale)), scale)
    return None


class Compiler:
    """Compiles expressions over one level: of rows, or of groups."""

    def __init__(self, describer: Describer) -> None:
        self.describer = describer

    # --- what a level says of itself ---

    def whole(self, node: exp.Expr, *, summed: bool) -> Quantity | None:
        """A node that is taken as a whole, or None where it must be taken apart."""
        raise NotImplementedError

    def described(self, node: exp.Expr) -> SqlType:
        """The engine's type of a node."""
        raise NotImplementedError

    def hashed(self, node: exp.Expr) -> Expr:
        """A text as a hash, to be found equal to another one's."""
        raise NotImplementedError

    # --- values ---

    def value(self, node: exp.Expr, *, summed: bool = False) -> Quantity:
        """Any node but a text's.

        Args:
            node: the node.
            summed: whether it will be computed with, not compared.

        Raises:
            Cannot: it cannot be computed on shares.
        """
        node = node.unnest()
        if not any(isinstance(part, (exp.Column, exp.AggFunc)) for part in node.walk()):
            found = literal_of(self.describer.constant(total(node)))
            if found is None:
                raise Cannot("the question computes with a text where rows of several tables meet")
            return found
        taken = self.whole(node, summed=summed)
        if taken is not None:
            return taken
        match node:
            case exp.And():
                return numbers.both(self.condition(node.this), self.condition(node.expression))
            case exp.Or():
                return numbers.either(self.condition(node.this), self.condition(node.expression))
            case exp.Not():
                return numbers.not_(self.condition(node.this))
            case exp.EQ() | exp.NEQ() | exp.LT() | exp.LTE() | exp.GT() | exp.GTE():
                return self.comparison(_COMPARED[type(node)], node.this, node.expression)
            case exp.In():
                return numbers.either(*(self.comparison("=", node.this, c) for c in node.expressions))
            case exp.Is():
                return self._is(node)
            case exp.Case():
                return self._case(node, summed=summed)
            case exp.Neg() | exp.Add() | exp.Sub() | exp.Mul():
                return self._fit(self._computed(node), node)
            case exp.Div():
                return divided(self.value(node.this, summed=True), self.value(node.expression, summed=True))
            case exp.TryCast():
                return self._cast(node, summed=summed)
        match function(node):
            case "COALESCE":
                return self._coalesced(node, summed=summed)
            case "ABS":
                return numbers.absolute(self.number(node.expressions[0], summed=True))
            case "ROUND":
                return self._rounded(node)
        raise Cannot(
            f"{describe(node)} of values that no one owner has cannot be computed on shares",
            "use it on columns of one table, or on outputs that are selected as they are",
        )

    def number(self, node: exp.Expr, *, summed: bool = False) -> Expr:
        """A value that is no quotient."""
        made = self.value(node, summed=summed)
        if isinstance(made, Rational):
            raise Cannot(
                "the question computes with a quotient in a way that shares cannot",
                "round it first, or select its parts as outputs of their own",
            )
        return made

    def condition(self, node: exp.Expr) -> Expr:
        """A boolean."""
        made = self.number(node)
        if isinstance(made, Literal) and made.value is None:
            return Literal(None, numbers.BOOLEAN)
        return made

    def comparison(self, op: str, left: exp.Expr, right: exp.Expr) -> Expr:
        """A comparison of two nodes, of texts for equality alone."""
        if "text" in (self.described(left).kind, self.described(right).kind):
            if op not in {"=", "<>"}:
                raise Cannot(
                    "texts of different owners can be compared for equality only",
                    "compare each with a literal",
                )
            return numbers.compare(op, self.hashed(left), self.hashed(right))
        return compared(op, self.value(left), self.value(right))

    def labels(self, node: exp.Expr) -> tuple[Expr, tuple[str, ...]]:
        """A text that is one of the question's own literals, as its place among these, sorted by bytes."""
        found: set[str] = set()
        self._results(node, lambda part: found.add(part.name))
        texts = tuple(sorted(found, key=lambda text: text.encode()))
        return self._labelled(node, texts), texts

    def _results(self, node: exp.Expr, seen: Callable[[exp.Literal], None]) -> None:
        node = node.unnest()
        if isinstance(node, exp.Case):
            for branch in node.args["ifs"]:
                self._results(branch.args["true"], seen)
            if node.args.get("default") is not None:
                self._results(node.args["default"], seen)
        elif function(node) == "COALESCE":
            for part in node.expressions:
                self._results(part, seen)
        elif isinstance(node, exp.Literal) and node.is_string:
            seen(node)
        elif not isinstance(node, exp.Null):
            raise Cannot(
                "a text is made of values that no one owner has",
                "make it of columns of one table, or of literals by CASE",
            )

    def _labelled(self, node: exp.Expr, texts: tuple[str, ...]) -> Expr:
        node = node.unnest()
        kind = numbers.number(0, max(len(texts) - 1, 0))
        if isinstance(node, exp.Case):
            default = node.args.get("default")
            last: Expr = Literal(None, kind) if default is None else self._labelled(default, texts)
            whens = [
                (self._when(node, branch), self._labelled(branch.args["true"], texts))
                for branch in node.args["ifs"]
            ]
            return numbers.case(whens, last)
        if isinstance(node, exp.Literal):
            return numbers.literal(texts.index(node.name))
        if isinstance(node, exp.Null):
            return Literal(None, kind)
        return numbers.coalesce([self._labelled(part, texts) for part in node.expressions])

    # --- parts ---

    def _is(self, node: exp.Is) -> Expr:
        if isinstance(node.expression, exp.Null):
            if self.described(node.this).kind == "text":
                return numbers.is_null(self.hashed(node.this))
            made = self.value(node.this)
            if isinstance(made, Rational):
                if made.infinite:
                    return numbers.either(numbers.is_null(made.over), numbers.is_null(made.under))
                return numbers.is_null(made.over)
            return numbers.is_null(made)
        truth = self.condition(node.this)
        wanted = truth if bool(node.expression.this) else numbers.not_(truth)
        return numbers.both(numbers.not_(numbers.is_null(truth)), wanted)

    def _when(self, node: exp.Case, branch: exp.Expr) -> Expr:
        if node.this is None:
            return self.condition(branch.this)
        return self.comparison("=", node.this, branch.this)

    def _case(self, node: exp.Case, *, summed: bool) -> Quantity:
        default = node.args.get("default")
        values = [self.value(branch.args["true"], summed=summed) for branch in node.args["ifs"]]
        last: Quantity = Literal(None, numbers.number(0, 0))
        if default is not None:
            last = self.value(default, summed=summed)
        whens = [self._when(node, branch) for branch in node.args["ifs"]]

        def made(pick: Callable[[Quantity], Expr]) -> Expr:
            return numbers.case([(c, pick(v)) for c, v in zip(whens, values, strict=True)], pick(last))

        if not any(isinstance(v, Rational) for v in (*values, last)):
            return made(lambda v: v.over if isinstance(v, Rational) else v)
        one = numbers.literal(1)
        return Rational(
            made(lambda v: v.over if isinstance(v, Rational) else v),
            made(lambda v: v.under if isinstance(v, Rational) else one),
            infinite=any(isinstance(v, Rational) and v.infinite for v in (*values, last)),
        )

    def _coalesced(self, node: exp.Expr, *, summed: bool) -> Quantity:
        parts = [self.value(part, summed=summed) for part in node.expressions]
        if not any(isinstance(part, Rational) for part in parts):
            return numbers.coalesce([part for part in parts if not isinstance(part, Rational)])
        last = parts[-1]
        for part in reversed(parts[:-1]):
            over, under = (
                (part.over, part.under) if isinstance(part, Rational) else (part, numbers.literal(1))
            )
            last_over, last_under = (
                (last.over, last.under) if isinstance(last, Rational) else (last, numbers.literal(1))
            )
            if isinstance(part, Rational) and part.infinite:
                raise Cannot("COALESCE of a quotient whose divisor may be 0 cannot be computed on shares")
            there = numbers.not_(numbers.is_null(over))
            last = Rational(
                numbers.case([(there, over)], last_over), numbers.case([(there, under)], last_under)
            )
        return last

    def _computed(self, node: exp.Expr) -> Quantity:
        left = self.value(node.this, summed=True)
        if isinstance(node, exp.Neg):
            return added("-", numbers.literal(0), left)
        right = self.value(node.expression, summed=True)
        if isinstance(node, exp.Mul):
            return multiplied(left, right)
        return added("+" if isinstance(node, exp.Add) else "-", left, right)

    def _fit(self, made: Quantity, node: exp.Expr) -> Quantity:
        """NULL where the engine's own type of the result would not hold it; its units."""
        if isinstance(made, Rational) or made.type.kind != "number":
            return made
        kind = self.described(node)
        if not kind.exact or kind.low is None or kind.high is None:
            return made
        if made.type.scale > kind.scale:
            raise Cannot("a number of the question has more digits behind the point than the engine keeps")
        return numbers.within(numbers.scaled(made, kind.scale), kind.low, kind.high)

    def _cast(self, node: exp.TryCast, *, summed: bool) -> Quantity:
        made = self.value(node.this, summed=summed)
        source, kind = self.described(node.this), self.described(node)
        if kind.kind == "double" and (source.exact or source.kind == "double"):
            return made
        if isinstance(made, Rational) or not (source.exact and kind.exact) or kind.low is None:
            raise Cannot(
                f"CAST to {kind.name} of values that no one owner has cannot be computed on shares",
                "cast columns of one table, or outputs that are selected as they are",
            )
        if made.type.scale > kind.scale:
            made = self._round(made, kind.scale)
        return numbers.within(numbers.scaled(made, kind.scale), kind.low, kind.high or 0)

    def _rounded(self, node: exp.Expr) -> Expr:
        digits = int(node.expressions[1].name) if len(node.expressions) > 1 else 0
        made = self.value(node.expressions[0], summed=True)
        return self._round(made, digits)

    def _round(self, made: Quantity, digits: int) -> Expr:
        if isinstance(made, Rational):
            if made.infinite:
                raise Cannot(
                    "ROUND of a quotient whose divisor may be 0 cannot be computed on shares",
                    "select the quotient's parts as outputs of their own",
                )
            division = ratio(made)
            # At least 1 stands under it (or nothing at all), in units of its own scale.
            unit = 10 ** max(division.under.type.scale - made.under.type.scale, 0)
            most = max(abs(division.over.type.low), abs(division.over.type.high)) // max(unit, 1) + 1
            kind = numbers.number(-most * 10**digits, most * 10**digits, digits)
            return Round(division, digits, kind)
        if made.type.scale <= digits:
            return made
        if isinstance(made, Literal):
            raise Cannot("ROUND of a constant that stands beside values of several tables")
        by = 10 ** (made.type.scale - digits)
        low, high = -(-made.type.low // by) - 1, made.type.high // by + 1
        return Round(made, digits, numbers.number(low, high, digits, nullable=made.type.nullable))
