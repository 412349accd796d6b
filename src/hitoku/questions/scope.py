# SPDX-License-Identifier: Apache-2.0
"""One SELECT's FROM: which names its clauses can see and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

from sqlglot import exp

from hitoku.errors import Change
from hitoku.questions.changes import renamed, set_to, written
from hitoku.questions.form import Family, Left, Ref, Use, Value, column_node
from hitoku.questions.freely import free, freely
from hitoku.questions.joins import join_conditions, join_side
from hitoku.questions.literals import whole_number
from hitoku.questions.names import fold, identifier, quoted, span_of
from hitoku.questions.nodes import describe, only
from hitoku.questions.refusals import refuse
from hitoku.questions.remedies import no_row_count, no_statistics
from hitoku.questions.rows import Relation, Rows, connected, merged
from hitoku.questions.rules import Rules
from hitoku.room.agreement import ColumnProtection
from hitoku.room.rules import AggregateFunction, CustomRule, ListRule, ScalarFunction

__all__ = ["Scope"]

_AGGREGATES: Final = {
    (exp.Count, False): AggregateFunction.COUNT,
    (exp.Count, True): AggregateFunction.COUNT_DISTINCT,
    (exp.Sum, False): AggregateFunction.SUM,
    (exp.Sum, True): AggregateFunction.SUM_DISTINCT,
    (exp.Avg, False): AggregateFunction.AVG,
}
_MAY_AGGREGATE: Final = {"SELECT", "HAVING", "ORDER BY"}
# A misspelt column: how alike (difflib's ratio), and what is not compared at all.
_NEAR: Final = 0.8
_LONGEST: Final = 64
_MOST: Final = 200

Nested = Callable[[exp.Query], Relation]


class Scope:
    """The names and rows of one SELECT. Implements `expressions.Names`."""

    def __init__(self, rules: Rules, ctes: Mapping[str, exp.Query], nested: Nested) -> None:
        self._rules = rules
        self._ctes = ctes
        self._nested = nested
        self._relations: dict[str, Relation] = {}
        self._using: set[str] = set()
        self.rows = Rows()
        self.aggregated: Relation | None = None

    def open(self, select: exp.Select) -> None:
        """Read FROM and the joins.

        Raises:
            Refusal: a source or a join is not allowed.
        """
        source = select.args.get("from_")
        if source is None:
            raise refuse("NO_TABLE", clause="FROM")
        only(source, "this", clause="FROM")
        first = self._source(source.this)
        self.rows, self.aggregated = first.rows, first if first.block else None
        for join in select.args.get("joins") or ():
            self._join(join)
        if self.aggregated is None:
            self.rows = connected(self.rows)

    def filtered(self, where: tuple[Value, ...]) -> None:
        """Keep only the rows for which all of `where` holds."""
        rows = self.rows
        self.rows = connected(Rows(rows.tables, rows.on, rows.lefts, (*rows.where, *where)))

    def names(self) -> frozenset[str]:
        """Every column name that can be used without a qualifier."""
        return frozenset(name for relation in self._relations.values() for name in relation.columns)

    # --- sources ---

    def _source(self, node: exp.Expr) -> Relation:
        if isinstance(node, exp.Table):
            if not isinstance(node.this, exp.Identifier):
                raise refuse("TABLE_FUNCTION", clause="FROM", node=node, what=describe(node.this))
            only(node, "this", "alias", clause="FROM")
            name = identifier(node.this)
            relation = self._nested(self._ctes[name]) if name in self._ctes else self._table(node, name)
        elif isinstance(node, exp.Subquery):
            only(node, "this", "alias", clause="FROM")
            if not isinstance(node.this, exp.Query):
                raise refuse("TABLE_FUNCTION", clause="FROM", node=node, what=describe(node.this))
            relation, name = self._nested(node.this), ""
        else:
            raise refuse("TABLE_FUNCTION", clause="FROM", node=node, what=describe(node))
        alias = node.args.get("alias")
        if alias is not None:
            only(alias, "this", clause="FROM")
            name = identifier(alias.this)
        if name in self._relations:
            raise refuse("DUPLICATE_NAME", clause="FROM", node=node, name=name)
        self._relations[name or f" {len(self._relations)}"] = relation
        return relation

    def _table(self, node: exp.Table, name: str) -> Relation:
        table = self._rules.usable(node, name)
        columns: dict[str, Value] = {}
        for column in table.columns:
            ref = Ref(name, column.name)
            columns[column.name] = Value(column_node(ref), self._rules.family(ref), (Use(ref),), plain=ref)
        return Relation(columns, Rows((name,)))

    def _join(self, join: exp.Join) -> None:
        left = join_side(join)
        before = set(self._relations)
        relation = self._source(join.this)
        if relation.block is not None or self.aggregated is not None:
            raise refuse("AGGREGATES_JOINED", clause="JOIN", node=join.this)
        new = next(name for name in self._relations if name not in before)
        condition = self._condition(join, new, before)
        rows = merged(self.rows, relation.rows, join.this)
        made = join_conditions(condition, self._rules, lambda column: self.column(column, "JOIN"))
        core, added = set(self.rows.tables), set(relation.rows.tables)
        for value in made:
            tables = {use.ref.table for use in value.uses}
            if not tables <= core | added:
                raise refuse("OUTER_THEN_INNER", clause="JOIN", span=value.span)
            if not (tables & core and tables & added):
                raise refuse("JOIN_CONDITION", clause="JOIN", span=value.span)
        if not left:
            self.rows = Rows(rows.tables, (*rows.on, *made), rows.lefts, rows.where)
            return
        if not relation.rows.single:
            raise refuse("LEFT_JOIN_SOURCE", clause="JOIN", node=join.this)
        kept = self.rows
        table = relation.rows.tables[0]
        self.rows = Rows(kept.tables, kept.on, (*kept.lefts, Left(table, made)), kept.where)

    def _condition(self, join: exp.Join, new: str, before: set[str]) -> exp.Expr:
        if join.args.get("on") is not None:
            condition: exp.Expr = join.args["on"]
            return condition
        parts: list[exp.Expr] = []
        for name in join.args["using"]:
            owners = [alias for alias in before if fold(name.name) in self._relations[alias].columns]
            if len(owners) != 1:
                raise refuse("AMBIGUOUS_COLUMN", clause="JOIN", node=name, column=fold(name.name)[:63])
            self._using.add(fold(name.name))
            sides = [
                exp.Column(this=name.copy(), table=exp.to_identifier(alias)) for alias in (owners[0], new)
            ]
            parts.append(exp.EQ(this=sides[0], expression=sides[1]))
        condition = parts[0]
        for part in parts[1:]:
            condition = exp.And(this=condition, expression=part)
        return condition

    # --- expressions.Names ---

    def column(self, node: exp.Column, clause: str) -> Value:
        """The value a column name stands for."""
        if not isinstance(node.this, exp.Identifier):
            raise refuse("STAR", clause=clause, node=node)
        only(node, "this", "table", clause=clause)
        name = identifier(node.this)
        qualifier = node.args.get("table")
        if qualifier is not None:
            relation = self._relations.get(identifier(qualifier))
            if relation is None:
                name = identifier(qualifier)
                known = [alias for alias, r in self._relations.items() if r.rows.tables == (name,)]
                change = renamed(qualifier, known[0]) if len(known) == 1 else None
                raise refuse("UNKNOWN_NAME", clause=clause, node=qualifier, change=change, name=_shown(name))
            there = [relation]
        else:
            there = list(self._relations.values())
        owners = [r for r in there if name in r.columns]
        if not owners:
            if qualifier is None and name in self._relations:
                raise refuse("WHOLE_ROW", clause=clause, node=node, name=_shown(name))
            change = _near(node.this, {column for relation in there for column in relation.columns})
            raise refuse("UNKNOWN_COLUMN", clause=clause, node=node, change=change, column=_shown(name))
        if len(owners) > 1 and name not in self._using:
            raise refuse(
                "AMBIGUOUS_COLUMN",
                clause=clause,
                node=node,
                change=self._qualified(node),
                column=_shown(name),
            )
        return self._placed(owners[0].columns[name], node)

    def _qualified(self, node: exp.Column) -> Change | None:
        """A column of several tables as the first one's."""
        span, name = span_of(node), identifier(node.this)
        first = next(alias for alias, r in self._relations.items() if name in r.columns)
        if span is None or first.startswith(" "):
            return None
        return written((span.start, span.start, f"{quoted(first)}."))

    def _placed(self, value: Value, node: exp.Column) -> Value:
        span = span_of(node)
        self._rules.spend(sum(1 for _ in value.node.walk()), node)
        uses = tuple(Use(use.ref, span) for use in value.uses)
        return replace(value, node=value.node.copy(), uses=uses, span=span)

    def protection(self, use: Use) -> ColumnProtection:
        """What the column is where it leaves its owner's node."""
        return self._rules.column(use.ref).protection

    def owner(self, use: Use) -> str:
        """Whose column it is."""
        return self._rules.table(use.ref.table).owner

    def allows(self, function: ScalarFunction, value: Value, node: exp.Expr, clause: str) -> None:
        """Refuse a scalar function that a rule does not list for the columns in `value`."""
        self._rules.scalar(function, (*value.uses, *value.inside), node, clause)

    def aggregate(
        self,
        node: exp.AggFunc,
        clause: str,
        build: Callable[[exp.Expr], Value],
        operand: Callable[[exp.Expr], Value],
    ) -> Value:
        """COUNT, SUM or AVG of one column, as far as its rule lists it; custom rules may allow more."""
        kind = next((k for k, _ in _AGGREGATES if type(node) is k), None)
        wide = kind is None or not _of_column(node)
        freed = wide and clause in _MAY_AGGREGATE and free(self._rules, self.rows.all_tables)
        if kind is None and not freed:
            raise refuse("AGGREGATE_KIND", clause=clause, node=node, what=describe(node))
        if clause not in _MAY_AGGREGATE:
            raise refuse("AGGREGATE_PLACE", clause=clause, node=node, what=describe(node))
        if self._rules.kind(self.rows.all_tables) is ListRule:
            raise no_statistics(self._rules, self.rows.all_tables, clause, node, describe(node))
        only(node, "this", "big_int", clause=clause)
        if self.aggregated is not None:
            raise refuse("AGGREGATE_TWICE", clause=clause, node=node, what=describe(node))
        self._rules.joined_with_asker(self.rows.tables, self.rows.all_tables)
        if freed:
            return freely(self._rules, self.rows.all_tables, node, clause, operand)
        argument = node.this
        distinct = isinstance(argument, exp.Distinct)
        if distinct:
            only(argument, "expressions", clause=clause)
            argument = argument.expressions[0] if len(argument.expressions) == 1 else None
        rows = (argument is None and kind is exp.Count and not distinct) or isinstance(argument, exp.Star)
        if kind is exp.Count and not distinct and (rows or whole_number(argument) is not None):
            return self._row_count(node, clause)
        if not isinstance(argument, (exp.Column, exp.Paren)):
            raise refuse("AGGREGATE_ARGUMENT", clause=clause, node=node, what=describe(node))
        value = build(argument)
        function = _AGGREGATES.get((type(node), distinct))
        if value.plain is None or function is None:
            raise refuse("AGGREGATE_ARGUMENT", clause=clause, node=node, what=describe(node))
        return self._counted(node, value, value.plain, function, clause)

    def _counted(
        self, node: exp.AggFunc, value: Value, ref: Ref, function: AggregateFunction, clause: str
    ) -> Value:
        use = Use(ref, value.span)
        self._rules.aggregated(use, function, clause)
        if not self._rules.nulls_told(ref, self.rows.proven):
            raise refuse(
                "NULLS_COUNTED",
                clause=clause,
                node=node,
                rule=f"tables.{ref.table}.columns.{ref.column}.nullable",
                owner=self._rules.table(ref.table).owner,
                table=ref.table,
                column=ref.column,
                change=set_to(f"tables.{ref.table}.columns.{ref.column}.nullable", False),
            )
        inner = value.node
        if function in {AggregateFunction.COUNT_DISTINCT, AggregateFunction.SUM_DISTINCT}:
            inner = exp.Distinct(expressions=[inner])
        return Value(type(node)(this=inner), Family.NUMBER, (), (use,), aggregate=True, span=span_of(node))

    def _row_count(self, node: exp.AggFunc, clause: str) -> Value:
        tables = self.rows.tables
        made = exp.Count(this=exp.Star())
        if self._rules.kind(self.rows.all_tables) is CustomRule:
            return Value(made, Family.NUMBER, (), (), aggregate=True, span=span_of(node))
        ref = self._rules.row_count(tables, self.rows.proven)
        if ref is None:
            raise no_row_count(self._rules, tables, self.rows.proven, node, clause)
        return Value(made, Family.NUMBER, (), (Use(ref),), aggregate=True, span=span_of(node))


def _of_column(node: exp.AggFunc) -> bool:
    """Whether an aggregate is of rows, a whole number, or one column, distinct or not."""
    argument = node.this
    if isinstance(argument, exp.Distinct):
        return True
    argument = argument.unnest() if isinstance(argument, exp.Paren) else argument
    return argument is None or isinstance(argument, (exp.Column, exp.Star, exp.Literal))


def _shown(name: str) -> str:
    """A name of the asker's as it may stand in a sentence."""
    return "".join(c if c.isprintable() else "?" for c in name[:63])


def _near(node: exp.Identifier, columns: Collection[str]) -> Change | None:
    """A name written almost like one column's as that column's; None where none or several are near."""
    name = identifier(node)
    if len(name) > _LONGEST or len(columns) > _MOST:
        return None  # comparing takes the product of all lengths
    near = get_close_matches(name, sorted(columns), n=2, cutoff=_NEAR)
    return renamed(node, near[0]) if len(near) == 1 else None
