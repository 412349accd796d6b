# SPDX-License-Identifier: Apache-2.0
"""The rules of the tables in a question, asked one thing at a time. A Refusal names rule and owner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlglot import exp

from hitoku import limits
from hitoku.errors import Change, Refusal, Span
from hitoku.questions import custom
from hitoku.questions.changes import added, set_to
from hitoku.questions.form import Family, Ref, Use
from hitoku.questions.refusals import refuse
from hitoku.room.agreement import Agreement, Column, ColumnProtection, ColumnType, Table
from hitoku.room.rules import (
    AggregateFunction,
    AggregationRule,
    CustomRule,
    JoinOperator,
    ListRule,
    ScalarFunction,
)
from hitoku.room.templates import Template

__all__ = ["MAX_SUMMABLE_DIGITS", "Kind", "Rules", "lists"]

Kind = type[AggregationRule] | type[ListRule] | type[CustomRule]

_FAMILIES: Final = {
    ColumnType.STRING: Family.STRING,
    ColumnType.BOOLEAN: Family.BOOLEAN,
    ColumnType.DATE: Family.DATE,
    ColumnType.TIMESTAMP: Family.TIMESTAMP,
}
_WHOLE: Final = frozenset({ColumnType.SMALLINT, ColumnType.INT, ColumnType.BIGINT})
MAX_SUMMABLE_DIGITS: Final = 27  # leaves 11 digits of a 38-digit sum for the number of rows


class Rules:
    """What the owners of the tables allow this asker.

    `template` is the template of the room that the question was asked by, if it was.
    """

    def __init__(self, agreement: Agreement, asker: str, template: Template | None = None) -> None:
        self.agreement = agreement
        self.asker = asker
        self.template = template
        self._parts = 0

    def spend(self, parts: int, node: exp.Expr) -> None:
        """Count parts that stand for a name, so that names of names cannot grow without bound."""
        self._parts += parts
        if self._parts > limits.MAX_SQL_NODES:
            raise refuse("TOO_MANY_PARTS", clause="SQL", node=node, limit=str(limits.MAX_SQL_NODES))

    def table(self, name: str) -> Table:
        """A table that is known to be in the room."""
        table = self.agreement.table(name)
        if table is None:
            raise refuse("UNKNOWN_TABLE", clause="FROM", table=name)
        return table

    def column(self, ref: Ref) -> Column:
        """A column that is known to be in the room."""
        column = self.table(ref.table).column(ref.column)
        if column is None:
            raise refuse("UNKNOWN_COLUMN", column=ref.column)
        return column

    def family(self, ref: Ref) -> Family:
        """The type family of a column."""
        return _FAMILIES.get(self.column(ref).type, Family.NUMBER)

    def usable(self, node: exp.Expr, name: str) -> Table:
        """A table that may be asked at all."""
        table = self.agreement.table(name)
        if table is None:
            raise refuse("UNKNOWN_TABLE", clause="FROM", node=node, table=_clean(name))
        if table.rule is None:
            raise refuse(
                "NO_RULE",
                clause="FROM",
                node=node,
                rule=f"tables.{name}.rule",
                owner=table.owner,
                table=name,
            )
        if isinstance(table.rule, CustomRule):
            custom.allowed(self, table, table.rule, node)
        return table

    def kind(self, tables: Iterable[str]) -> Kind:
        """The one kind of rule that all tables of a question have."""
        found: dict[Kind, set[str]] = {}
        for name in tables:
            rule = self.table(name).rule
            found.setdefault(AggregationRule if rule is None else type(rule), set()).add(name)
        kinds = [kind for kind in (CustomRule, ListRule, AggregationRule) if kind in found]
        if len(kinds) > 1:
            first = min(found[kinds[0]])
            raise refuse(
                "RULE_KINDS_DIFFER",
                clause="FROM",
                rule=f"tables.{first}.rule",
                owner=self.table(first).owner,
                tables=", ".join(sorted(found[kinds[0]])),
                others=", ".join(sorted(name for kind in kinds[1:] for name in found[kind])),
            )
        return kinds[0] if kinds else AggregationRule

    def joinable(self, use: Use) -> None:
        """Refuse a column that its rule does not list for joins."""
        rule = self.table(use.ref.table).rule
        if isinstance(rule, CustomRule):
            column = self.column(use.ref)
            if column.protection is ColumnProtection.SEALED:
                raise custom.encrypted(self, use, column, "JOIN")
        elif rule is None or use.ref.column not in rule.join_columns:
            raise self._refusal("JOIN_COLUMN", use, "joinColumns", "JOIN", use.ref.column)

    def comparable(self, left: Use, right: Use) -> None:
        """Refuse a join of columns whose protected values are not equal where their values are."""
        a, b = self.column(left.ref), self.column(right.ref)
        sides = (("left", left), ("right", right))
        names = {side: f"{use.ref.table}.{use.ref.column}" for side, use in sides}
        if a.protection is not b.protection:
            raise self._unequal("JOIN_PROTECTIONS_DIFFER", left, right, names)
        if a.protection is ColumnProtection.CLEARTEXT:
            # Of mixed types, say BIGINT and DOUBLE, two values could equal one; counts of them would differ.
            same = a.type is b.type and (a.precision, a.scale) == (b.precision, b.scale)
            if not same and not {a.type, b.type} <= _WHOLE:
                raise self._unequal("JOIN_TYPES_DIFFER", left, right, names)
            return
        if a.type.equivalence_class != b.type.equivalence_class:
            raise self._unequal("JOIN_TYPES_DIFFER", left, right, names)
        if a.name != b.name and not self.agreement.settings.allow_joins_on_columns_with_different_names:
            raise refuse(
                "JOIN_NAMES_DIFFER",
                clause="JOIN",
                span=right.span or left.span,
                rule="settings.allow_joins_on_columns_with_different_names",
                change=set_to("settings.allow_joins_on_columns_with_different_names", True),
                params=names,
            )

    def _unequal(self, code: str, left: Use, right: Use, names: dict[str, str]) -> Refusal:
        use = right if self.table(left.ref.table).owner == self.asker else left
        what = "protection" if code == "JOIN_PROTECTIONS_DIFFER" else "type"
        rule = f"tables.{use.ref.table}.columns.{use.ref.column}.{what}"
        owner, span = self.table(use.ref.table).owner, right.span or left.span
        return refuse(code, clause="JOIN", span=span, rule=rule, owner=owner, params=names)

    def operator(self, tables: Iterable[str], operator: JoinOperator, node: exp.Expr) -> None:
        """Refuse AND or OR in a join condition where a rule does not list it."""
        for name in sorted(set(tables)):
            table = self.table(name)
            rule = table.rule
            if not (rule is None or isinstance(rule, CustomRule)) and (
                operator not in rule.allowed_join_operators
            ):
                raise refuse(
                    "JOIN_OPERATOR",
                    clause="JOIN",
                    node=node,
                    rule=f"tables.{name}.rule.allowedJoinOperators",
                    owner=table.owner,
                    operator=operator.value,
                    table=name,
                    change=added(f"tables.{name}.rule.allowedJoinOperators", operator.value),
                )

    def joined_with_asker(self, inner: Iterable[str], tables: Iterable[str]) -> None:
        """Refuse a table that must be inner-joined with one of the asker's and is not.

        Inner-joined tables are all connected, so it is enough that one of them is the asker's.
        """
        inside = frozenset(inner)
        owners = {self.table(name).owner for name in inside}
        for name in tables:
            table = self.table(name)
            if not isinstance(table.rule, AggregationRule) or table.rule.join_required is None:
                continue
            if name not in inside or self.asker not in owners:
                raise refuse(
                    "JOIN_REQUIRED",
                    clause="FROM",
                    rule=f"tables.{name}.rule.joinRequired",
                    owner=table.owner,
                    table=name,
                    asker=self.asker,
                    change=set_to(f"tables.{name}.rule.joinRequired", None),
                )

    def scalar(self, function: ScalarFunction, uses: Iterable[Use], node: exp.Expr, clause: str) -> None:
        """Refuse a scalar function that the rule of a table it is computed from does not list."""
        for name in sorted({use.ref.table for use in uses}):
            table = self.table(name)
            if isinstance(table.rule, CustomRule):
                continue
            listed = table.rule.scalar_functions if isinstance(table.rule, AggregationRule) else ()
            if function in listed or (function is ScalarFunction.CAST and ScalarFunction.CONVERT in listed):
                continue  # CONVERT is another word for CAST
            rule = f"tables.{name}.rule.scalarFunctions"
            raise refuse(
                "SCALAR_FUNCTION",
                clause=clause,
                node=node,
                rule=rule,
                owner=table.owner,
                change=added(rule, function.value),
                params={"function": function.value, "table": name},
            )

    def dimension(self, use: Use, clause: str, span: Span | None) -> None:
        """Refuse a column that may not be selected, grouped by or filtered by."""
        rule = self.table(use.ref.table).rule
        if isinstance(rule, CustomRule):
            return  # `verdict` knows where it goes
        listing = isinstance(rule, ListRule)
        allowed = rule.list_columns if isinstance(rule, ListRule) else rule.dimension_columns if rule else ()
        if use.ref.column in allowed:
            return
        entry = None if listing and self._fingerprint(use) else use.ref.column  # never shown, even if listed
        where = Use(use.ref, use.span or span)
        field = "listColumns" if listing else "dimensionColumns"
        raise self._refusal("LIST_COLUMN" if listing else "DIMENSION", where, field, clause, entry)

    def listable(self, use: Use, span: Span | None) -> None:
        """Refuse a column that a list may not show; a fingerprint never may, whatever the rule lists."""
        self.dimension(use, "SELECT", span)
        if self._fingerprint(use):
            path = f"tables.{use.ref.table}.columns.{use.ref.column}.protection"
            raise self._refusal(
                "LIST_FINGERPRINT", Use(use.ref, use.span or span), "listColumns", "SELECT", path=path
            )

    def _fingerprint(self, use: Use) -> bool:
        return self.column(use.ref).protection is ColumnProtection.FINGERPRINT

    def aggregated(self, use: Use, function: AggregateFunction, clause: str) -> None:
        """Refuse an aggregate that the column's rule does not list."""
        rule = self.table(use.ref.table).rule
        if isinstance(rule, CustomRule):
            custom.countable(self, use, function, clause)
        elif not isinstance(rule, AggregationRule) or not lists(rule, use.ref.column, function):
            entry = {"columnNames": [use.ref.column], "function": function.value}
            raise self._refusal("AGGREGATE", use, "aggregateColumns", clause, entry, function=function.value)
        column = self.column(use.ref)
        sums = function in {AggregateFunction.SUM, AggregateFunction.SUM_DISTINCT}
        if sums and column.precision is not None and column.precision > MAX_SUMMABLE_DIGITS:
            path = f"tables.{use.ref.table}.columns.{use.ref.column}.precision"
            change = set_to(path, MAX_SUMMABLE_DIGITS)
            raise self._refusal("SUM_OVERFLOW", use, "aggregateColumns", clause, change=change, path=path)

    def nulls_told(self, ref: Ref, proven: frozenset[Ref]) -> bool:
        """Whether a count of the column counts no NULL: encrypted NULLs look like values unless preserved."""
        column = self.column(ref)
        return (
            column.protection is ColumnProtection.CLEARTEXT
            or self.agreement.settings.preserve_nulls
            or not column.nullable
            or ref in proven
        )

    def row_count(self, tables: Iterable[str], proven: frozenset[Ref]) -> Ref | None:
        """A column whose COUNT is allowed and equals COUNT(*), because it is never NULL in these rows."""
        for name in sorted(tables):
            rule = self.table(name).rule
            if not isinstance(rule, AggregationRule):
                continue
            for column in self.table(name).columns:
                ref = Ref(name, column.name)
                filled = not column.nullable or ref in proven
                if filled and lists(rule, column.name, AggregateFunction.COUNT):
                    return ref
        return None

    def _refusal(
        self,
        code: str,
        use: Use,
        field: str,
        clause: str,
        entry: str | dict[str, str | list[str]] | None = None,
        change: Change | None = None,
        path: str | None = None,
        **params: str,
    ) -> Refusal:
        custom_rule = isinstance(self.table(use.ref.table).rule, CustomRule)
        rule = path if path and custom_rule else f"tables.{use.ref.table}.rule.{field}"
        return refuse(
            code,
            clause=clause,
            span=use.span,
            rule=rule,
            owner=self.table(use.ref.table).owner,
            table=use.ref.table,
            column=use.ref.column,
            params=params,
            change=change if entry is None else added(rule, entry),
        )


def lists(rule: AggregationRule, column: str, function: AggregateFunction) -> bool:
    """Whether a rule lists an aggregate of a column."""
    return any(a.function is function and column in a.column_names for a in rule.aggregate_columns)


def _clean(name: str) -> str:
    """A name of the asker's that no table has, short and printable."""
    return "".join(c if c.isprintable() else "?" for c in name[:63])
