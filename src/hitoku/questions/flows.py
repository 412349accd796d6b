# SPDX-License-Identifier: Apache-2.0
"""Where each column of a checked expression goes, and what it is compared with. One pass over the tree.

The tree is the normal form's: rebuilt by the checker, its leaves columns of tables and literals. Here nothing
is decided; `hitoku.questions.derive` says what each output reveals, `hitoku.questions.verdict` what may.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlglot import exp

from hitoku.questions.form import Ref, Value
from hitoku.questions.freely import SINGLE
from hitoku.room.rules import AggregateFunction

__all__ = ["By", "Comparison", "Flow", "Flows", "Level"]


class Level(StrEnum):
    """How much of a column's values comes through; the names are SCQL's, as far as it has them.

    Attributes:
        PLAIN: the value of a single row, or a function of it.
        AFTER_JOIN: the same of matched rows only; of a join's columns, which rows match.
        AFTER_GROUP_BY: which values occur, each once, as a group.
        ONE_OF_GROUP: the value of a row of a group: the least, the largest, the one in the middle.
        AFTER_AGGREGATE: a count, sum or average of a group.
        AFTER_COMPARE: how values compare with others or with literals.
        NEVER: nothing.
    """

    PLAIN = "plain"
    AFTER_JOIN = "after_join"
    AFTER_GROUP_BY = "after_group_by"
    ONE_OF_GROUP = "one_of_group"
    AFTER_AGGREGATE = "after_aggregate"
    AFTER_COMPARE = "after_compare"
    NEVER = "never"


class By(StrEnum):
    """The part of the question through which it comes."""

    SELECT = "SELECT"
    OVER = "OVER"
    JOIN = "JOIN"
    WHERE = "WHERE"
    GROUP_BY = "GROUP BY"
    HAVING = "HAVING"
    ORDER_BY = "ORDER BY"
    LIMIT = "LIMIT"
    DISTINCT = "DISTINCT"
    SET = "set operation"
    THRESHOLD = "threshold"


@dataclass(frozen=True, slots=True)
class Flow:
    """One column on its way into the answer.

    Attributes:
        ref: the column.
        level: what comes through.
        by: the part of the question.
        function: the aggregate, where it is inside one.
        bare: whether the whole expression is the column and nothing else.
        value: the expression; knows where it stands in the asked SQL.
    """

    ref: Ref
    level: Level
    by: By
    function: AggregateFunction | None
    bare: bool
    value: Value = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Columns that one expression compares.

    Attributes:
        refs: the columns, sorted.
        literal: with a literal: a literal anywhere in the comparison makes it one.
        column: with another column, another row, or an aggregate.
        by: the part of the question.
        value: the expression it stands in.
    """

    refs: tuple[Ref, ...]
    literal: bool
    column: bool
    by: By
    value: Value = field(repr=False, compare=False)


_COMPARED: Final = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Like, exp.Is)
_LITERAL: Final = (exp.Literal, exp.Boolean, exp.Null, exp.Interval)
_FORMATTED: Final = {"STRFTIME", "TRY_STRPTIME"}
_FUNCTIONS: Final[dict[tuple[type[exp.Expr], bool], AggregateFunction]] = {
    (exp.Count, False): AggregateFunction.COUNT,
    (exp.Count, True): AggregateFunction.COUNT_DISTINCT,
    (exp.Sum, False): AggregateFunction.SUM,
    (exp.Sum, True): AggregateFunction.SUM_DISTINCT,
    (exp.Avg, False): AggregateFunction.AVG,
}


class Flows:
    """Gathers flows and comparisons of one value after another.

    Args:
        compare: whether comparisons are gathered; only custom rules ask for them.
    """

    def __init__(self, *, compare: bool) -> None:
        self._compare = compare
        self.flows: list[Flow] = []
        self.comparisons: list[Comparison] = []
        self.rows_counted: list[Value] = []
        """Values that hold a COUNT(*), which reads no column."""
        self._value: Value | None = None
        self._by = By.SELECT
        self._level = Level.PLAIN

    def take(self, value: Value, by: By, level: Level, *, condition: bool = False, key: bool = False) -> None:
        """Follow the columns of a value.

        Args:
            value: a checked expression.
            by: the part of the question it stands in.
            level: what comes through of a column that stands there as it is.
            condition: it is true or false of a row or group.
            key: rows or groups are compared by it (GROUP BY, ORDER BY).
        """
        self._value, self._by, self._level = value, by, level
        if condition:
            self._condition(value.node)
            return
        if key:
            self._key(value.node, rows=by is By.GROUP_BY)
        self._visit(value.node, compared=False)

    # --- the walk ---

    def _flow(self, node: exp.Column, level: Level, function: AggregateFunction | None = None) -> None:
        if self._value is not None:
            bare = node is self._value.node
            ref = Ref(node.table, node.name)
            self.flows.append(Flow(ref, level, self._by, function, bare, self._value))

    def _visit(self, node: exp.Expr, *, compared: bool) -> None:
        if isinstance(node, exp.Column):
            self._flow(node, Level.AFTER_COMPARE if compared else self._level)
        elif isinstance(node, exp.AggFunc):
            self._aggregate(node)
        elif isinstance(node, exp.Window):
            self._window(node)
        elif isinstance(node, _COMPARED):
            self._compared(node)
        elif isinstance(node, exp.Case):
            self._case(node, compared=compared)
        elif isinstance(node, (exp.And, exp.Or, exp.Not)):
            self._condition(node)
        else:
            for child in _parts(node):
                self._visit(child, compared=compared)

    def _condition(self, node: exp.Expr) -> None:
        """Something true or false: a bare column or function here is compared with TRUE."""
        if isinstance(node, (exp.And, exp.Or, exp.Not, exp.Paren)):
            for child in node.iter_expressions():
                self._condition(child)
        elif isinstance(node, _COMPARED):
            self._compared(node)
        else:
            self._note(node, literal=True, column=False)
            self._visit(node, compared=True)

    def _compared(self, node: exp.Expr) -> None:
        if self._compare:
            literal, others = _has_literal(node), _has_aggregate(node)
            self._note(node, literal=literal, column=others or not literal)
        for child in _parts(node):
            self._visit(child, compared=True)

    def _case(self, node: exp.Case, *, compared: bool) -> None:
        subject, default = node.args.get("this"), node.args.get("default")
        if subject is not None:
            self._visit(subject, compared=True)
        for branch in node.args["ifs"]:
            if subject is None:
                self._condition(branch.this)
            else:
                both = (subject, branch.this)
                literal = any(_has_literal(side) for side in both)
                others = any(_has_aggregate(side) for side in both)
                self._note(*both, literal=literal, column=others or not literal)
                self._visit(branch.this, compared=True)
            self._visit(branch.args["true"], compared=compared)
        if default is not None:
            self._visit(default, compared=compared)

    def _aggregate(self, node: exp.AggFunc) -> None:
        distinct = isinstance(node.this, exp.Distinct)
        function = _FUNCTIONS.get((type(node), distinct))
        columns = list(node.find_all(exp.Column))
        if not columns and self._value is not None:
            self.rows_counted.append(self._value)
        # The least value of a group is the value of one of its rows.
        level = Level.ONE_OF_GROUP if isinstance(node, SINGLE) else Level.AFTER_AGGREGATE
        if distinct or not isinstance(node.this, exp.Expr) or isinstance(node.this, (exp.Column, exp.Star)):
            for column in columns:
                self._flow(column, level, function)
            return
        before, self._level = self._level, level
        self._visit(node.this, compared=False)
        self._level = before

    def _window(self, node: exp.Window) -> None:
        by, self._by = self._by, By.OVER if self._by is By.SELECT else self._by
        self._visit(node.this, compared=False)
        order = node.args.get("order")
        keys = [*(node.args.get("partition_by") or ())]
        keys += [key.this for key in (order.expressions if order is not None else ())]
        for key in keys:
            self._key(key, rows=True)
            self._visit(key, compared=False)
        self._by = by

    def _key(self, node: exp.Expr, *, rows: bool) -> None:
        # A literal in a key, FLOOR(age / 30), draws a line through the values as a comparison with it does.
        literal = self._compare and _has_literal(node)
        if literal or rows:
            self._note(node, literal=literal, column=rows)

    def _note(self, *nodes: exp.Expr, literal: bool, column: bool) -> None:
        if not self._compare:
            return
        refs = sorted({Ref(c.table, c.name) for node in nodes for c in _columns(node)})
        if refs and self._value is not None:
            several = column or len(refs) > 1
            self.comparisons.append(Comparison(tuple(refs), literal, several, self._by, self._value))


def _parts(node: exp.Expr) -> Iterator[exp.Expr]:
    """What a node computes with: its parts without types, and without the formats of dates."""
    if isinstance(node, exp.Anonymous) and str(node.this).upper() in _FORMATTED:
        yield node.expressions[0]
        return
    for child in node.iter_expressions():
        if not isinstance(child, (exp.DataType, exp.Identifier, exp.Var)):
            yield child


def _own(node: exp.Expr) -> Iterator[exp.Expr]:
    """A node and all that is in it, aggregates left out."""
    stack = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, exp.AggFunc):
            continue
        yield top
        if isinstance(top, exp.Case):
            stack.extend(_case_parts(top))
        elif not isinstance(top, exp.Column):
            stack.extend(_parts(top))


def _case_parts(node: exp.Case) -> Iterator[exp.Expr]:
    """The parts of a CASE; a result that reads nothing is a label, and nothing is compared with it."""
    results = [branch.args["true"] for branch in node.args["ifs"]] + [node.args.get("default")]
    if node.args.get("this") is not None:
        yield node.args["this"]
    yield from (branch.this for branch in node.args["ifs"])
    for result in results:
        if result is not None and any(True for _ in _columns(result)):
            yield result


def _columns(node: exp.Expr) -> Iterator[exp.Column]:
    return (part for part in _own(node) if isinstance(part, exp.Column))


def _has_literal(node: exp.Expr) -> bool:
    return any(isinstance(part, _LITERAL) or _narrows(part) for part in _own(node))


def _narrows(node: exp.Expr) -> bool:
    """A cast to a number or truth value: what does not fit is NULL, a line drawn without a literal."""
    if not isinstance(node, exp.Cast):
        return False
    return node.to.this in exp.DataType.NUMERIC_TYPES or node.to.this is exp.DType.BOOLEAN


def _has_aggregate(node: exp.Expr) -> bool:
    return any(True for _ in node.find_all(exp.AggFunc))
