# SPDX-License-Identifier: Apache-2.0
"""Expressions of groups: grouping values, figures, and what is computed of them before anything is opened."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sqlglot import exp, parse_one

from hitoku.protections.shares.planning import numbers
from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.protections.shares.planning.compiler import Compiler
from hitoku.protections.shares.planning.joins import Joined
from hitoku.protections.shares.planning.rationals import Quantity, Rational, divided, ratio
from hitoku.protections.shares.planning.rows import Rows, tables_of
from hitoku.protections.shares.planning.sqltypes import SqlType
from hitoku.protections.shares.program import (
    Aggregate,
    AggregateKind,
    Column,
    Expr,
    Literal,
    Round,
    Type,
)
from hitoku.questions.form import Block, Family, Ref, column_node
from hitoku.questions.layers import Layers
from hitoku.questions.nodes import describe
from hitoku.questions.render import sql_of
from hitoku.questions.totals import aggregate_text, key_text, total

__all__ = ["Groups", "mean_of"]

_TEXTS: Final = {"text", "double"}


class Groups(Compiler):
    """Expressions over the groups of one SELECT.

    Attributes:
        layers: how the receivers' SQL names what is grouped and aggregated.
        keys: the grouping expressions over rows, by name; besides the question's own, those that follow from
            them and are needed themselves (``h1``...).
        aggregates: the figures.
        labelled: by a grouping value's name, the texts that its numbers stand for.
    """

    def __init__(self, rows: Rows, block: Block, made: Joined, *, surely: bool) -> None:
        super().__init__(rows.describer)
        self.rows = rows
        self.block = block
        self.layers = Layers(block.groups)
        self.keys: dict[str, Expr] = {}
        self.aggregates: list[Aggregate] = []
        self.labelled: dict[str, tuple[str, ...]] = {}
        self._joined = made
        self._one = not block.groups
        self._surely = surely or bool(block.groups)
        self._places = {group.text: n for n, group in enumerate(block.groups, 1)}
        self._positive: set[str] = set()
        self._further: dict[tuple[str, bool], str] = {}

    # --- grouping values ---

    def group(self, place: int, *, opened: bool, ordered: bool) -> None:
        """Take up the grouping value at a place, from 1."""
        group, name = self.block.groups[place - 1], f"g{place}"
        if len(tables_of(group.node)) == 1:
            self.keys[name] = self.rows.key(group, opened=opened, ordered=ordered)
        elif group.family is Family.STRING:
            self.keys[name], self.labelled[name] = self.rows.labels(group.node)
        else:
            self.keys[name] = self.rows.number(group.node)

    def further(self, node: exp.Expr, *, opened: bool, ordered: bool = False) -> Column:
        """What follows from the grouping values alone, as one more of them: it divides no group."""
        node = self._canonical(node)
        place = (sql_of(node), opened)
        if place not in self._further:
            name = f"h{len(self._further) + 1}"
            if len(tables_of(node)) == 1:
                self.keys[name] = self.rows.distinct(node, total(node), opened=opened, ordered=ordered)
            elif self.rows.described(node).kind == "text":
                self.keys[name], self.labelled[name] = self.rows.labels(node)
            else:
                self.keys[name] = self.rows.number(node)
            self._further[place] = name
        name = self._further[place]
        return Column(name, self.keys[name].type)

    def column(self, name: str) -> Column:
        """A grouping value."""
        return Column(name, self.keys[name].type)

    def name_of(self, node: exp.Expr) -> str | None:
        """The grouping value that a node is; None where it is none."""
        place = self._places.get(sql_of(node))
        return None if place is None else f"g{place}"

    def _canonical(self, node: exp.Expr) -> exp.Expr:
        """A node of rows, its floating-point grouping values as the group has them."""
        written = {
            group.text: key_text(group)
            for group in self.block.groups
            if group.family is Family.NUMBER and self.rows.described(group.node).kind == "double"
        }
        if not written:
            return node

        def replaced(part: exp.Expr) -> exp.Expr:
            text = None if isinstance(part, (exp.Identifier, exp.Literal)) else written.get(sql_of(part))
            return part if text is None else exp.Paren(this=parse_one(text, dialect="duckdb"))

        return node.copy().transform(replaced)

    # --- for the compiler ---

    def whole(self, node: exp.Expr, *, summed: bool) -> Quantity | None:  # noqa: ARG002
        """A figure, a grouping value, or what follows from grouping values as texts."""
        if isinstance(node, (exp.Stddev, exp.StddevSamp)):
            raise Cannot(
                "the question computes with a standard deviation",
                "use VARIANCE, or select it as an output of its own",
            )
        if isinstance(node, exp.AggFunc):
            return self.figure(node)
        name = self.name_of(node)
        if name is not None:
            if self.type_of(name).kind not in _TEXTS and name not in self.labelled:
                return self.column(name)
            raise Cannot("a text is used where a number, date or boolean is needed")
        if any(True for _ in node.find_all(exp.AggFunc)):
            return None
        return self.further(node, opened=False)

    def described(self, node: exp.Expr) -> SqlType:
        """The engine's type of an expression of groups."""
        return self.described_above(self.layers.upper(node))

    def described_above(self, node: exp.Expr) -> SqlType:
        """The engine's type of an expression over the layers' columns."""
        names = {column.name for column in node.find_all(exp.Column) if not column.table}
        return self.describer.of_groups(total(node), {n: self.type_of(n).name for n in sorted(names)})

    def type_of(self, name: str) -> SqlType:
        """The engine's type of one of the layers' columns."""
        if name.startswith("g"):
            group = self.block.groups[int(name[1:]) - 1]
            return self.describer.of_rows(key_text(group), tables_of(group.node))
        node = list(self.layers.aggregates.values())[int(name[1:]) - 1]
        return self.describer.of_rows(aggregate_text(node), tables_of(node) or self.block.tables)

    def hashed(self, _: exp.Expr) -> Expr:
        """Texts of groups are compared by what follows from their rows."""
        raise Cannot(
            "texts are compared beside statistics in one expression",
            "compare texts in WHERE, or in a condition of their own",
        )

    def value(self, node: exp.Expr, *, summed: bool = False) -> Quantity:
        """As of any level; a quotient is finite where its divisor is a count of something that is there."""
        inner = node.unnest()
        if isinstance(inner, exp.Div):
            left, right = (self.value(part, summed=True) for part in (inner.this, inner.expression))
            made = divided(left, right)
            if isinstance(right, Column) and right.name in self._positive:
                return replace(made, infinite=False)
            return made
        return super().value(node, summed=summed)

    def sorted_by(self, node: exp.Expr) -> Expr:
        """A key of an order: a number, or the place of a text among those of its column."""
        kind = self.described(node).kind
        aggregated = any(True for _ in node.find_all(exp.AggFunc))
        name = self.name_of(node)
        if kind in _TEXTS and not aggregated:
            if name is not None and name in self.labelled:
                return self.column(name)
            if name is not None and kind == "text" and self.keys[name].type.kind == "code":
                return self.column(name)
            return self._ranked(node)
        if kind == "text":
            return self.labels(node)[0]
        made = self.value(node)
        if isinstance(made, Rational):
            if made.infinite:
                raise Cannot(
                    "the answer is ordered by a quotient whose divisor may be 0", "order by its parts instead"
                )
            return ratio(made)
        return made

    def _ranked(self, node: exp.Expr) -> Column:
        node = self._canonical(node)
        if len(tables_of(node)) != 1:
            made, texts = self.rows.labels(node)
            return self._add(f"rank {sql_of(node)}", made, texts)
        return self._add(f"rank {sql_of(node)}", self.rows.rank(node, total(node)), None)

    def _add(self, text: str, made: Expr, texts: tuple[str, ...] | None) -> Column:
        place = (text, False)
        if place not in self._further:
            name = f"h{len(self._further) + 1}"
            self.keys[name] = made
            if texts is not None:
                self.labelled[name] = texts
            self._further[place] = name
        name = self._further[place]
        return Column(name, self.keys[name].type)

    # --- figures ---

    def figure(self, node: exp.AggFunc) -> Quantity:
        """An aggregate."""
        self.layers.upper(node)
        distinct = isinstance(node.this, exp.Distinct)
        argument = node.this.expressions[0] if distinct else node.this
        match node:
            case exp.Count() if isinstance(argument, exp.Star):
                return self._count_rows()
            case exp.Count() if distinct:
                return self.units(argument)
            case exp.Count():
                return self._count(argument)
            case exp.Sum():
                return self._sum(argument, "sum_distinct" if distinct else "sum")
            case exp.Avg() if not distinct:
                over = self._sum(argument, "sum")
                value = self.rows.number(argument, summed=True)
                under = self._counted(value) if value.type.nullable else self._count_rows()
                return Rational(over, under, most=mean_of(value.type))
            case exp.Min() | exp.Max():
                value = self._ordered(argument)
                kind: AggregateKind = "min" if isinstance(node, exp.Min) else "max"
                return self._aggregate(kind, value, replace(value.type, nullable=self._nullable(value)))
            case exp.Median():
                return self._median(argument, node.sql(dialect="duckdb"))
            case exp.Variance() | exp.Stddev() | exp.StddevSamp():
                return self._variance(argument)
        raise Cannot(f"{describe(node)} cannot be computed on shares", "ask for COUNT, SUM or AVG")

    def units(self, node: exp.Expr) -> Column:
        """How many distinct values of a column there are; plainly counted where no row has another's."""
        alone = False
        if isinstance(node, exp.Column):
            ref = Ref(node.table, node.name)
            same = {r for r, root in self._joined.same.items() if root == self._joined.same.get(ref)} | {ref}
            alone = self._joined.unique and any(self._unique(r) for r in same)
            node = column_node(self._joined.same.get(ref, ref))
        # Wanted either way, so that the owners are asked for the same whatever they then say of keys.
        value = self.rows.distinct(node, total(node))
        if alone:
            joined = isinstance(node, exp.Column) and Ref(node.table, node.name) in self._joined.same
            return self._count_rows() if joined or not value.type.nullable else self._counted(value)
        return self._aggregate("count_distinct", value, numbers.number(0, self._joined.rows, nullable=False))

    def _unique(self, ref: Ref) -> bool:
        if ref.table != self._joined.start:
            return False
        declared = self.rows.leaves.declared(ref.table)
        return ref in self._joined.single or (
            declared is not None and any(key == (ref.column,) for key in declared.unique)
        )

    def _count(self, node: exp.Expr) -> Column:
        if isinstance(node, exp.Column):
            ref = Ref(node.table, node.name)
            if ref in self._joined.same or self.rows.filled(node):
                return self._count_rows()
            return self._counted(self.rows.presence(node))
        return self._counted(self.rows.number(node))

    def _count_rows(self) -> Column:
        made = self._aggregate("count_rows", None, numbers.number(0, self._joined.rows, nullable=False))
        if self._surely:
            self._positive.add(made.name)
        return made

    def _counted(self, value: Expr) -> Column:
        return self._aggregate("count", value, numbers.number(0, self._joined.rows, nullable=False))

    def _sum(self, node: exp.Expr, kind: AggregateKind) -> Column:
        value = self.rows.number(node, summed=True)
        if kind == "sum_distinct":
            self.rows.number(node)  # its words, too, to find equal ones
        if value.type.kind != "number":
            raise Cannot("something that is no number is added up")
        rows = self._joined.rows
        low, high = min(value.type.low * rows, 0), max(value.type.high * rows, 0)
        return self._aggregate(
            kind, value, numbers.number(low, high, value.type.scale, nullable=self._nullable(value))
        )

    def _ordered(self, node: exp.Expr) -> Expr:
        """What has a least value; of texts codes that rise with them."""
        if self.rows.described(node).kind == "text":
            return self.rows.distinct(node, total(node), opened=True, ordered=True)
        return self.rows.number(node)

    def _median(self, node: exp.Expr, text: str) -> Expr:
        """The middle value, or half-way between two; of decimals what is behind their scale is cut off."""
        value = self.rows.number(node)
        if value.type.kind != "number":
            raise Cannot("MEDIAN of what is no number cannot be computed on shares")
        low, high, scale = value.type.low * 10, value.type.high * 10, value.type.scale + 1
        kind = numbers.number(low, high, scale, nullable=self._nullable(value))
        made = self._aggregate("median", value, kind)
        place = list(self.layers.aggregates).index(text) + 1
        if self.type_of(f"a{place}").kind != "decimal":
            return made
        unit = Literal(1, numbers.number(1, 1, scale, nullable=False))
        below = numbers.compare("<", made, numbers.literal(0))
        nearer = numbers.case([(below, numbers.arith("+", made, unit))], numbers.arith("-", made, unit))
        cut = numbers.number(value.type.low - 1, value.type.high + 1, scale - 1, nullable=kind.nullable)
        return Round(nearer, scale - 1, cut)

    def _variance(self, node: exp.Expr) -> Rational:
        """(n S2 - S1 S1) / (n (n - 1)); of one value NULL."""
        once = self._sum(node, "sum")
        value = self.rows.number(node, summed=True)
        squares = self._squares(value)
        count = self._counted(value) if value.type.nullable else self._count_rows()
        over = numbers.arith("-", numbers.arith("*", count, squares), numbers.arith("*", once, once))
        # Never negative, though the bounds of its parts allow it, and largest of two values far apart.
        most = -(-((value.type.high - value.type.low) ** 2) // (2 * 100**value.type.scale))
        under = numbers.arith("*", count, numbers.arith("-", count, numbers.literal(1)))
        return Rational(over, under, most=most)

    def _squares(self, value: Expr) -> Column:
        most = max(abs(value.type.low), abs(value.type.high)) ** 2 * self._joined.rows
        made = numbers.number(0, most, 2 * value.type.scale, nullable=self._nullable(value))
        return self._aggregate("sum_squares", value, made)

    def _nullable(self, value: Expr) -> bool:
        return value.type.nullable or self._one

    def _aggregate(self, kind: AggregateKind, argument: Expr | None, made: Type) -> Column:
        for known in self.aggregates:
            if (known.kind, known.argument) == (kind, argument):
                return Column(known.name, known.type)
        name = f"a{len(self.aggregates) + 1}"
        self.aggregates.append(Aggregate(name, kind, argument, made))
        return Column(name, made)


def mean_of(kind: Type) -> int:
    """No mean of such numbers is larger."""
    unit: int = 10**kind.scale
    return -(-max(abs(kind.low), abs(kind.high)) // unit)
