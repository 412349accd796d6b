# SPDX-License-Identifier: Apache-2.0
"""A SELECT over one table alone: its owner groups and adds up by itself, and shares the groups.

Nothing is joined, so nothing of another owner decides which rows there are. What stays for the servers is
what must be decided before anything is opened: thresholds, HAVING, an order with a LIMIT. Figures are shared
as wide as their types allow, so that a manifest tells nothing of them; of the number of groups it tells the
next power of two, and at least 64.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from hitoku.protections.shares.planning import numbers
from hitoku.protections.shares.planning.groups import Groups, mean_of
from hitoku.protections.shares.planning.leaves import Bounds
from hitoku.protections.shares.planning.rationals import Quantity, Rational
from hitoku.protections.shares.planning.rows import Measured
from hitoku.protections.shares.program import Aggregate, AggregateKind, Column
from hitoku.questions.totals import total

__all__ = ["LocalGroups", "NotLocalError"]

_COUNTS: Final[Bounds] = (0, (1 << 32) - 1)
_ROWS: Final = 1 << 30


class NotLocalError(Exception):
    """Something that the owner's own GROUP BY does not say: rows are shared instead."""


class LocalGroups(Groups):
    """Groups that their owner makes."""

    @property
    def written(self) -> tuple[str, ...]:
        """The owner's GROUP BY."""
        return tuple(self.rows.written(group) for group in self.block.groups)

    def further(
        self,
        node: exp.Expr,  # noqa: ARG002
        *,
        opened: bool,  # noqa: ARG002
        ordered: bool = False,  # noqa: ARG002
    ) -> Column:
        """Not by the owner: its GROUP BY would have to be told that it follows from the groups."""
        raise NotLocalError

    def _ranked(self, _: exp.Expr) -> Column:
        raise NotLocalError

    def figure(self, node: exp.AggFunc) -> Quantity:
        """An aggregate, as the owner computes it."""
        self.layers.upper(node)
        distinct = isinstance(node.this, exp.Distinct)
        argument = node.this.expressions[0] if distinct else node.this
        match node:
            case exp.Count() if isinstance(argument, exp.Star):
                return self._count_rows()
            case exp.Count() if distinct:
                return self.units(argument)
            case exp.Count():
                return self._leaf("count", f"COUNT({total(argument)})", _COUNTS, 0, nullable=False)
            case exp.Sum():
                return self._added(argument, distinct=distinct)
            case exp.Avg() if not distinct:
                under = self._leaf("count", f"COUNT({total(argument)})", _COUNTS, 0, nullable=False)
                made = self.rows.measured(argument)
                low, high = made.fixed or made.widest
                most = mean_of(numbers.number(low, high, made.scale))
                return Rational(self._added(argument, distinct=False), under, most=most)
            case exp.Min() | exp.Max():
                return self._extreme(node, argument)
        raise NotLocalError

    def units(self, node: exp.Expr) -> Column:
        """How many distinct values of a column there are."""
        return self._leaf("count_distinct", f"COUNT(DISTINCT {total(node)})", _COUNTS, 0, nullable=False)

    def _count_rows(self) -> Column:
        made = self._leaf("count_rows", "COUNT(*)", _COUNTS, 0, nullable=False)
        if self._surely:
            self._positive.add(made.name)
        return made

    def _added(self, node: exp.Expr, *, distinct: bool) -> Column:
        made = self.rows.measured(node)
        low, high = made.fixed or made.widest
        bounds = (min(low * _ROWS, 0), max(high * _ROWS, 0))
        numbers.number(*bounds, made.scale)
        kind: AggregateKind = "sum_distinct" if distinct else "sum"
        sql = f"SUM({'DISTINCT ' if distinct else ''}{made.text})"
        return self._leaf(kind, sql, bounds, made.scale, nullable=made.nullable or not self.block.groups)

    def _extreme(self, node: exp.AggFunc, argument: exp.Expr) -> Column:
        if self.rows.described(argument).kind not in {"whole", "decimal", "double"}:
            raise NotLocalError
        made: Measured = self.rows.measured(argument)
        kind: AggregateKind = "min" if isinstance(node, exp.Min) else "max"
        sql = f"{kind.upper()}({made.text})"
        nullable = made.nullable or not self.block.groups
        return self._leaf(kind, sql, made.fixed or made.widest, made.scale, nullable=nullable)

    def _leaf(self, kind: AggregateKind, sql: str, bounds: Bounds, scale: int, *, nullable: bool) -> Column:
        """A figure's leaf, and the figure."""
        table = self.block.tables[0]
        leaf = self.rows.leaves.want(
            table, sql, "number", bounds, scale=scale, fixed=bounds, nullable=nullable, ring=True
        )
        for known in self.aggregates:
            if known.argument == leaf:
                return Column(known.name, known.type)
        name = f"a{len(self.aggregates) + 1}"
        self.aggregates.append(Aggregate(name, kind, leaf, leaf.type))
        return Column(name, leaf.type)
