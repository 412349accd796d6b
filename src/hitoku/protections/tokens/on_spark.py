# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - this file writes SQL from checked names and trees; literals go as parameters
"""Questions on tokens whose rows Spark joins and groups; all that comes after is the embedded engine's.

A question runs in layers (`hitoku.questions.running`). The lowest one reads rows: it joins, filters, groups
and counts, and is nearly all of the work. Spark computes that layer, one small table a branch, and the engine
runs the rest over it unchanged: thresholds, HAVING, window functions, set operations, order, limits. So there
is one implementation of what decides over disclosure.

Only what gives the same on both is handed over; all else is refused by name, before anything is read. Not
handed over: functions and arithmetic on rows, floating-point numbers and timestamps other than counted, LIKE
with a backslash, lists of rows, noise, secondary suppression.

Two figures are made otherwise. An average is the exact sum over the count, divided once in double precision:
it may differ from the engine's own in the last of 53 bits. The number of units behind all withheld groups is
told from 127 bits set by a hash, which is another one here: both are lower bounds, not always the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlglot import exp

from hitoku.disclosure.margins import protected
from hitoku.engine.spark import SparkEngine, Statement
from hitoku.engine.tables import EngineColumn, EngineTable, TableFile
from hitoku.errors import Refusal
from hitoku.questions.form import MIXED, Block, Ref
from hitoku.questions.names import quoted
from hitoku.questions.render import rows_text
from hitoku.questions.run import execution_sql
from hitoku.questions.running import summarised
from hitoku.questions.totals import rounded
from hitoku.room.agreement import Column, ColumnProtection, ColumnType

if TYPE_CHECKING:
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.questions.layers import Layers
    from hitoku.questions.question import Question, UnitConstraint

__all__ = ["OnSpark"]

_WHOLE: Final = frozenset({ColumnType.SMALLINT, ColumnType.INT, ColumnType.BIGINT})
_INEXACT: Final = frozenset({ColumnType.FLOAT, ColumnType.DOUBLE, ColumnType.TIMESTAMP})
_COMPARED: Final = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_JOINED: Final = (exp.And, exp.Or, exp.Not, exp.Paren, *_COMPARED)
_SUM_DIGITS: Final = 28
# The engine's 127 bits of units, in three numbers of 64 bits with a sign.
_BITS: Final = ((0, 43), (43, 86), (86, 127))


@dataclass(slots=True)
class _Layer:
    """One branch's groups: what Spark runs, and how the engine reads it."""

    statement: Statement
    reads: list[tuple[str, str]] = field(default_factory=list)
    """Name and SQL type of each column that Spark gives."""


class OnSpark:
    """A question, split: statements for Spark, and the engine's text over what they give.

    Args:
        question: a checked question.
        plan: its plan.

    Raises:
        Refusal: ``NOT_ON_SPARK``, with the name of what Spark would not do the same way.
        DisclosureError: the plan does not fit the question.
    """

    def __init__(self, question: Question, plan: DisclosurePlan) -> None:
        if question.privacy is not None:
            raise _refusal("noise for tables with differentialPrivacy")
        if any(block.listing for block in question.form.blocks):
            raise _refusal("lists of rows")
        if protected(question, plan):
            raise _refusal("totals beside their parts, which need secondary suppression")
        self._question = question
        self._plan = plan
        self._columns = {
            Ref(table.name, column.name): column for table in question.sources for column in table.columns
        }
        minima = {threshold.alias: threshold.minimum for threshold in plan.thresholds}
        self._constraints = [replace(c, minimum=minima.get(c.alias, c.minimum)) for c in question.constraints]
        self._totals = summarised(question.form) if plan.summary and self._constraints else ()
        self._layers: dict[int, _Layer] = {}
        self._used: set[Ref] = set()
        self.sql = execution_sql(question, plan, groups=self._groups)
        """What the engine runs over the tables of `computed`."""

    @contextmanager
    def computed(
        self, engine: SparkEngine, tables: Sequence[EngineTable]
    ) -> Iterator[tuple[EngineTable, ...]]:
        """The groups of each branch, computed by Spark, as tables for the engine; gone with the context.

        Raises:
            InputError: a table's file cannot be used.
            LimitError: there are more groups than a result may have rows.
            EngineError: Spark failed, or the question was cancelled.
        """
        from pyarrow import parquet

        numbers = sorted(self._layers)
        needed = [_narrowed(table, self._used) for table in tables]
        results = engine.run(needed, [self._layers[n].statement for n in numbers])
        with tempfile.TemporaryDirectory(prefix="hitoku-groups-") as folder:
            made = []
            for n, result in zip(numbers, results, strict=True):
                path = Path(folder) / f"groups{n}.parquet"
                parquet.write_table(result, path)
                columns = [EngineColumn(name, kind, False) for name, kind in self._layers[n].reads]
                made.append(EngineTable(_table(n), TableFile(path, "parquet"), tuple(columns)))
            yield tuple(made)

    def _groups(self, number: int, split: Layers) -> str:
        """The engine's text for a branch's groups; notes what Spark computes for it."""
        block = self._question.form.blocks[number - 1]
        writer = _Writer(self._columns, self._used)
        columns = _Columns(writer)
        for n, group in enumerate(block.groups, 1):
            if group.plain is None:
                raise _refusal(f"GROUP BY {_described(group.node)}", "GROUP BY")
            columns.key(f"g{n}", group.plain)
        for n, node in enumerate(split.aggregates.values(), 1):
            columns.aggregate(f"a{n}", node, self._plan.round_counts)
        for constraint in self._constraints:
            columns.units(constraint, block)
        for place in self._totals:
            columns.aggregate(f"q{place}", block.items[place].value.node)
        rows = rows_text(block, writer.condition, _quoted)
        text = f"SELECT {', '.join(columns.computed)} {rows}"
        if block.groups:
            text += " GROUP BY " + ", ".join(str(n) for n in range(1, len(block.groups) + 1))
        self._layers[number] = _Layer(Statement(text, writer.parameters), columns.reads)
        return f"SELECT {', '.join(columns.read)} FROM {quoted(_table(number))}"


class _Columns:
    """The columns of a layer of groups: how Spark computes each, and how the engine reads it."""

    def __init__(self, writer: _Writer) -> None:
        self._writer = writer
        self.computed: list[str] = []
        self.reads: list[tuple[str, str]] = []
        self.read: list[str] = []

    def key(self, name: str, ref: Ref) -> None:
        """A grouping column."""
        column = self._writer.exact(ref, "GROUP BY")
        self._add(name, self._writer.column(ref), _engine_type(column))
        self.read.append(name)

    def aggregate(self, name: str, node: exp.Expr, multiple: int = 1) -> None:
        """COUNT, SUM, AVG, MIN or MAX of a column."""
        if isinstance(node, exp.Count):
            self._add(name, self._count(node), "BIGINT")
            self.read.append(f"{rounded(name, multiple)} AS {name}")
            return
        distinct = "DISTINCT " if isinstance(node.this, exp.Distinct) else ""
        inner = node.this.expressions[0] if distinct else node.this
        if not isinstance(node, (exp.Sum, exp.Avg, exp.Min, exp.Max)) or not isinstance(inner, exp.Column):
            raise _refusal(_described(node), "SELECT")
        ref = Ref(inner.table, inner.name)
        column = self._writer.exact(ref, "SELECT")
        text = self._writer.column(ref)
        if isinstance(node, (exp.Min, exp.Max)):
            self._add(name, f"{node.key.upper()}({text})", _engine_type(column))
            self.read.append(name)
            return
        scale = self._scale(column, node)
        if isinstance(node, exp.Sum):
            self._add(
                name, _cast(f"SUM({distinct}{_cast(text, _SUM_DIGITS, scale)})", 38, scale), _decimal(scale)
            )
            kind = "HUGEINT" if column.type in _WHOLE else _decimal(scale)
            self.read.append(f"{name}::{kind} AS {name}")
            return
        # Whole units of the last digit: the sum is exact, and divided once.
        unscaled = _cast(f"{text} * CAST({10**scale} AS DECIMAL({scale + 1},0))", _SUM_DIGITS, 0)
        self._add(f"{name}_s", _cast(f"SUM({distinct}{unscaled})", 38, 0), _decimal(0))
        self._add(f"{name}_n", f"COUNT({distinct}{text})", "BIGINT")
        of = f"{name}_n * {10**scale}" if scale else f"{name}_n"
        self.read.append(f"CASE WHEN {name}_n > 0 THEN {name}_s::HUGEINT::DOUBLE / ({of}) END AS {name}")

    def units(self, c: UnitConstraint, block: Block) -> None:
        """A threshold's two columns: how many units a group rests on, and their set as 127 bits."""
        if c.table not in block.all_tables:
            self.read += [f"{c.minimum} AS {c.alias}", f"0::UHUGEINT AS {c.alias}_m"]
            return
        unit = self._writer.column(Ref(c.table, c.column))
        self._add(c.alias, f"COUNT(DISTINCT {unit})", "BIGINT")
        self.read.append(c.alias)
        bit = f"CAST(PMOD(XXHASH64({unit}), 127) AS INT)"
        parts = []
        for n, (low, high) in enumerate(_BITS):
            inside = f"{unit} IS NOT NULL AND {bit} >= {low} AND {bit} < {high}"
            shifted = f"SHIFTLEFT(CAST(1 AS BIGINT), {bit} - {low})"
            self._add(f"{c.alias}_m{n}", f"BIT_OR(CASE WHEN {inside} THEN {shifted} END)", "BIGINT")
            parts.append(f"(COALESCE({c.alias}_m{n}, 0)::UHUGEINT << {low}::UHUGEINT)")
        self.read.append(f"{' | '.join(parts)} AS {c.alias}_m")

    def _count(self, node: exp.Count) -> str:
        inner = node.this
        if isinstance(inner, exp.Star):
            return "COUNT(*)"
        if isinstance(inner, exp.Column):
            return f"COUNT({self._writer.column(Ref(inner.table, inner.name))})"
        if isinstance(inner, exp.Distinct) and len(inner.expressions) == 1:
            (only,) = inner.expressions
            if isinstance(only, exp.Column):
                ref = Ref(only.table, only.name)
                self._writer.exact(ref, "SELECT")
                return f"COUNT(DISTINCT {self._writer.column(ref)})"
        raise _refusal(_described(node), "SELECT")

    def _scale(self, column: Column, node: exp.Expr) -> int:
        """The digits behind the point of a column that is summed exactly."""
        if column.type in _WHOLE:
            return 0
        if column.type is ColumnType.DECIMAL and column.precision is not None and column.scale is not None:
            digits = column.precision + (column.scale if isinstance(node, exp.Avg) else 0)
            if digits <= _SUM_DIGITS:
                return column.scale
            raise _refusal(f"{node.key.upper()} of a DECIMAL with so many digits", "SELECT")
        raise _refusal(_described(node), "SELECT")

    def _add(self, name: str, text: str, kind: str) -> None:
        self.computed.append(f"{text} AS {name}")
        self.reads.append((name, kind))


class _Writer:
    """Conditions in Spark's dialect; strings of the question become parameters."""

    def __init__(self, columns: dict[Ref, Column], used: set[Ref]) -> None:
        self._columns = columns
        self._used = used
        self.parameters: dict[str, str] = {}

    def column(self, ref: Ref) -> str:
        """A column of a table; notes that it is read."""
        self._used.add(ref)
        return f"{_quoted(ref.table)}.{_quoted(ref.column)}"

    def exact(self, ref: Ref, clause: str) -> Column:
        """The column, if equal values are equal on both engines."""
        column = self._columns[ref]
        if column.protection is ColumnProtection.CLEARTEXT and column.type in _INEXACT:
            raise _refusal(
                f"{column.type.value} columns ({ref.table}.{ref.column}), other than COUNT of one", clause
            )
        return column

    def condition(self, node: exp.Expr) -> str:
        """A condition of WHERE or a join."""
        clause = "WHERE"
        if node.meta.get(MIXED):
            raise _refusal(f"comparisons of numbers without a common exact type: {_described(node)}", clause)
        match node:
            case exp.Column():
                ref = Ref(node.table, node.name)
                self.exact(ref, clause)
                return self.column(ref)
            case exp.Literal() if node.is_string:
                return self._parameter(node.name)
            case exp.Literal() if "e" not in node.name.lower():
                return str(node.name)
            case exp.Boolean():
                return "TRUE" if node.this else "FALSE"
            case exp.Null():
                return "NULL"
            case exp.Neg() if isinstance(node.this, exp.Literal) and not node.this.is_string:
                return f"-{self.condition(node.this)}"
            case exp.Cast() if isinstance(node.this, exp.Literal) and node.to.sql() == "DATE":
                return f"CAST({self._parameter(node.this.name)} AS DATE)"
            case exp.Paren():
                return f"({self.condition(node.this)})"
            case exp.Not():
                return f"(NOT {self.condition(node.this)})"
            case exp.And() | exp.Or():
                word = "AND" if isinstance(node, exp.And) else "OR"
                return f"({self.condition(node.left)} {word} {self.condition(node.right)})"
            case exp.Is() if isinstance(node.expression, (exp.Null, exp.Boolean)):
                return f"({self.condition(node.this)} IS {self.condition(node.expression)})"
            case exp.In() if node.expressions and not set(_set(node)) - {"this", "expressions"}:
                inside = ", ".join(self.condition(part) for part in node.expressions)
                return f"({self.condition(node.this)} IN ({inside}))"
            case exp.Like() if isinstance(node.expression, exp.Literal) and "\\" not in node.expression.name:
                return f"({self.condition(node.this)} LIKE {self._parameter(node.expression.name)})"
        for kind, sign in _SIGNS.items():
            if type(node) is kind:
                return f"({self.condition(node.left)} {sign} {self.condition(node.right)})"
        raise _refusal(_described(node), clause)

    def _parameter(self, value: str) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"


_SIGNS: Final[dict[type[exp.Binary], str]] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}
_ENGINE_TYPES: Final = {
    ColumnType.STRING: "VARCHAR",
    ColumnType.SMALLINT: "SMALLINT",
    ColumnType.INT: "INTEGER",
    ColumnType.BIGINT: "BIGINT",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.DATE: "DATE",
}


def _engine_type(column: Column) -> str:
    if column.protection is not ColumnProtection.CLEARTEXT:
        return "VARCHAR"
    if column.type is ColumnType.DECIMAL:
        return f"DECIMAL({column.precision},{column.scale})"
    return _ENGINE_TYPES[column.type]


def _narrowed(table: EngineTable, used: set[Ref]) -> EngineTable:
    """A table with the columns that are read."""
    columns = tuple(column for column in table.columns if Ref(table.name, column.name) in used)
    return replace(table, columns=columns)


def _set(node: exp.Expr) -> Iterator[str]:
    """The arguments that a node has."""
    return (key for key, value in node.args.items() if value not in (None, [], False))


def _cast(text: str, digits: int, scale: int) -> str:
    return f"CAST({text} AS DECIMAL({digits},{scale}))"


def _decimal(scale: int) -> str:
    return f"DECIMAL(38,{scale})"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _table(number: int) -> str:
    return f"_hitoku_spark{number}"


def _described(node: exp.Expr) -> str:
    """What a node is, without its literals."""
    if isinstance(node, exp.Anonymous):
        return f"the function {str(node.this).upper()}"
    return (
        f"the function {node.sql_name()}"
        if isinstance(node, exp.Func)
        else f"the expression {node.key.upper()}"
    )


def _refusal(what: Any, clause: str | None = None) -> Refusal:
    return Refusal(
        "NOT_ON_SPARK",
        f"this room's host runs questions on Spark, which does not run {what}",
        clause=clause,
        remedy="ask without it, or ask the host to run without `[spark]` in its node.toml",
        params={"what": str(what)},
    )
