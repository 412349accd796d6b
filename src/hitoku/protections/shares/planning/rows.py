# SPDX-License-Identifier: Apache-2.0
"""Expressions of rows: what reads one table only is its owner's to compute; the rest is computed on shares.

Of a table that is joined by LEFT JOIN, the owner computes an expression of rows that it has; where no row was
found, its value is that of an expression of NULLs, which follows from the question alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, Literal

from sqlglot import exp

from hitoku.protections.shares.planning import numbers
from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.protections.shares.planning.compiler import Compiler, literal_of
from hitoku.protections.shares.planning.intervals import Interval, interval, never_null, within_calendar
from hitoku.protections.shares.planning.leaves import DATES, HASH, Bounds, Leaves
from hitoku.protections.shares.planning.sqltypes import Describer, SqlType
from hitoku.protections.shares.planning.texts import most_of
from hitoku.protections.shares.program import Column, Expr
from hitoku.questions.form import Block, Value
from hitoku.questions.totals import key_text, total
from hitoku.room.agreement import Column as RoomColumn
from hitoku.room.agreement import ColumnType

__all__ = ["Measured", "Rows", "tables_of"]

_MICROS: Final[Bounds] = (-(1 << 62), 1 << 62)
_ALL_MICROS: Final[Bounds] = (-(1 << 63), (1 << 63) - 1)
_ALL_DAYS: Final[Bounds] = (-(1 << 31), (1 << 31) - 1)
"""Of what the asker wrote: no value that the engine has may be an error, for that would tell of its row."""
_RANKS: Final[Bounds] = (1, 1 << 32)
_DIGITS: Final = 27
"""Digits of a floating-point column with declared decimals: sums of 2**30 of them have 120 bits."""
_WHOLE: Final = {ColumnType.SMALLINT: 16, ColumnType.INT: 32, ColumnType.BIGINT: 64}


@dataclass(frozen=True, slots=True)
class Measured:
    """A number as its owner writes it.

    Attributes:
        text: the SQL.
        scale: its units are ``10 ** -scale``.
        widest: bounds that hold for all values of its type.
        fixed: bounds that the room declares.
        nullable: whether there may be NULLs.
    """

    text: str
    scale: int
    widest: Bounds
    fixed: Bounds | None
    nullable: bool


def tables_of(node: exp.Expr) -> tuple[str, ...]:
    """The tables that an expression reads, sorted."""
    return tuple(sorted({column.table for column in node.find_all(exp.Column)}))


class Rows(Compiler):
    """Expressions over the joined rows of one SELECT."""

    def __init__(self, describer: Describer, leaves: Leaves, block: Block) -> None:
        super().__init__(describer)
        self.leaves = leaves
        self._lefts = {left.table for left in block.lefts}

    # --- for the compiler ---

    def whole(self, node: exp.Expr, *, summed: bool) -> Expr | None:
        """An expression of one table: a leaf."""
        tables = tables_of(node)
        return None if len(tables) > 1 else self.single(node, summed=summed)

    def described(self, node: exp.Expr) -> SqlType:
        """The engine's type of an expression of rows."""
        return self.describer.of_rows(total(node), tables_of(node))

    def hashed(self, node: exp.Expr) -> Expr:
        """A text of one table as its hash."""
        table = self._only(node)
        if self.described(node).kind != "text":
            raise Cannot("a text is compared with what is none")
        return self._found(
            node, table, self.leaves.want(table, total(node), "hash", HASH, fixed=HASH, word=True)
        )

    # --- leaves ---

    def single(self, node: exp.Expr, *, summed: bool = False, text: str | None = None) -> Expr:
        """A number, date or boolean that one table's owner computes.

        Args:
            node: an expression of one table.
            summed: whether it is added up, or compared.
            text: how it is written, where not as it stands.
        """
        table = self._only(node)
        if text is None and self._only_made_double(node):
            return self.single(node.this.unnest(), summed=summed)
        text = text or total(node)
        kind = self.describer.of_rows(text, [table])
        column = self._plain(node)
        if kind.kind == "boolean":
            said = self._said(column) or {"nullable": not never_null(node, self._full)}
            made = self.leaves.want(table, text, "boolean", (0, 1), word=True, **said)
        elif kind.kind == "date":
            fixed = None if column is None else self.leaves.bounds(table, column.name)
            widest = DATES if within_calendar(node) else _ALL_DAYS
            made = self.leaves.want(table, text, "date", widest, fixed=fixed, word=True, **self._said(column))
        elif kind.kind == "timestamp":
            widest = _ALL_MICROS if column is None else _MICROS
            made = self.leaves.want(table, text, "number", widest, word=True, **self._said(column))
        else:
            made = self._number(table, node, text, kind, summed=summed)
        return self._found(node, table, made)

    def key(self, group: Value, *, opened: bool, ordered: bool) -> Expr:
        """A grouping value of one table; texts as codes where they are opened, and else as ranks."""
        return self.distinct(group.node, self.written(group), opened=opened, ordered=ordered)

    def written(self, group: Value) -> str:
        """A grouping value as its owner writes it; equal values have one spelling, as by `key_text`."""
        text = total(group.node)
        exact = self.describer.of_rows(text, [self._only(group.node)]).exact
        return text if exact else key_text(group)

    def distinct(self, node: exp.Expr, text: str, *, opened: bool = False, ordered: bool = False) -> Expr:
        """An expression of one table of which only equality counts, and perhaps the order."""
        table = self._only(node)
        kind = self.describer.of_rows(text, [table])
        column = self._plain(node)
        if kind.kind in {"whole", "decimal", "date", "boolean", "timestamp"}:
            return self.single(node, text=text)
        if opened and kind.kind == "double":
            # The shortest text that is read back as the same number.
            text = f"CAST({text} AS VARCHAR)"
        if opened:
            codes = (0, (1 << 22) - 1)
            said = self._said(column)
            most = most_of(node)
            made = self.leaves.want(table, text, "code", codes, word=True, ordered=ordered, most=most, **said)
        else:
            made = self._rank(table, node, text, column)
        return self._found(node, table, made)

    def rank(self, node: exp.Expr, text: str) -> Expr:
        """The place of a value among all values of its column."""
        table = self._only(node)
        return self._found(node, table, self._rank(table, node, text, self._plain(node)))

    def presence(self, node: exp.Expr) -> Expr:
        """True where a column is not NULL, else NULL: what is counted."""
        table = self._only(node)
        sql = f"CASE WHEN {total(node)} IS NOT NULL THEN TRUE END"
        said = self._said(self._plain(node))
        made = self.leaves.want(table, sql, "boolean", (0, 1), word=True, **said)
        return self._nulls(table, made)

    def whole_number(self, table: str, sql: str, bounds: Bounds, *, summed: bool) -> Column:
        """A whole number between public bounds that a table's owner computes; NULL where it has no row."""
        made = self.leaves.want(table, sql, "number", bounds, fixed=bounds, word=not summed, ring=summed)
        return self._nulls(table, made)

    def filled(self, node: exp.Expr) -> bool:
        """Whether a column is declared to have no NULL, and no join makes one."""
        column = self._plain(node)
        return column is not None and not column.nullable and self._only(node) not in self._lefts

    # --- parts ---

    def _only(self, node: exp.Expr) -> str:
        tables = tables_of(node)
        if len(tables) != 1:
            raise Cannot(
                "a text, or a floating-point number, is made of the columns of several tables",
                "make it of one table's columns",
            )
        return tables[0]

    def _only_made_double(self, node: exp.Expr) -> bool:
        """Whether an exact number is only made a floating-point one: it stays exact here."""
        if not isinstance(node, exp.TryCast) or self.described(node).kind != "double":
            return False
        return self.described(node.this).exact

    def _plain(self, node: exp.Expr) -> RoomColumn | None:
        if not isinstance(node, exp.Column):
            return None
        columns = self.leaves.tables[node.table].table.columns
        return next(column for column in columns if column.name == node.name)

    def _said(self, column: RoomColumn | None) -> dict[str, Any]:
        """What the room says of a column, for its leaf."""
        return {} if column is None else {"nullable": column.nullable, "column": column.name}

    def _rank(self, table: str, node: exp.Expr, text: str, column: RoomColumn | None) -> Column:
        sql = f"CASE WHEN {text} IS NOT NULL THEN DENSE_RANK() OVER (ORDER BY {text}) END"
        return self.leaves.want(
            table, sql, "number", _RANKS, word=True, ranked=True, most=most_of(node), **self._said(column)
        )

    def _number(self, table: str, node: exp.Expr, text: str, kind: SqlType, *, summed: bool) -> Column:
        made = self._measured(table, node, text, kind)
        column = self._plain(node)
        return self.leaves.want(
            table,
            made.text,
            "number",
            made.widest,
            scale=made.scale,
            fixed=made.fixed,
            word=not summed,
            ring=summed,
            **(self._said(column) or {"nullable": made.nullable}),
        )

    def measured(self, node: exp.Expr) -> Measured:
        """An exact number of one table: how it is written, and between which bounds it lies."""
        table = self._only(node)
        if self._only_made_double(node):
            return self.measured(node.this.unnest())
        text = total(node)
        return self._measured(table, node, text, self.describer.of_rows(text, [table]))

    def _measured(self, table: str, node: exp.Expr, text: str, kind: SqlType) -> Measured:
        column = self._plain(node)
        bounds = None if column is None else self.leaves.bounds(table, column.name)
        scale, widest = kind.scale, (kind.low or 0, kind.high or 0)
        if kind.kind == "double":
            decimals = None if column is None else self.leaves.decimals(table, column.name)
            if column is None or decimals is None:
                what = f"column {column.name!r} of {table}" if column is not None else "an expression"
                raise Cannot(
                    f"{what} has floating-point numbers, which cannot be added up or compared on shares",
                    "declare `decimals` of the column under `shares.tables` in the room",
                )
            text, scale = f"CAST({text} AS DECIMAL({_DIGITS},{decimals}))", decimals
            widest = (-(10**_DIGITS) + 1, 10**_DIGITS - 1)
        elif kind.kind not in {"whole", "decimal"}:
            raise Cannot("a text is used where a number, date or boolean is needed")
        if column is not None and column.type in _WHOLE and kind.kind == "whole":
            half = 1 << (_WHOLE[column.type] - 1)
            widest = (max(widest[0], -half), min(widest[1], half - 1))
        fixed = None if bounds is None else (bounds[0] * 10**scale, bounds[1] * 10**scale)
        if column is None:
            widest = _within(interval(node, self._bounded), scale, widest)
            return Measured(text, scale, widest, None, not never_null(node, self._full))
        return Measured(text, scale, widest, fixed, column.nullable)

    def _full(self, node: exp.Column) -> bool:
        """Whether a column has no NULLs by the room."""
        column = self._plain(node)
        return column is not None and not column.nullable

    def _bounded(self, node: exp.Column) -> Interval | None:
        """The bounds of a column of exact numbers: as the room declares, or of its type."""
        bounds, kind = self.leaves.bounds(node.table, node.name), self.describer.column(node.table, node.name)
        if not kind.exact or kind.low is None or kind.high is None:
            return None
        if bounds is not None:
            return Fraction(bounds[0]), Fraction(bounds[1])
        return Fraction(kind.low, 10**kind.scale), Fraction(kind.high, 10**kind.scale)

    def _nulls(self, table: str, leaf: Column) -> Column:
        """A leaf of a table that may have no row."""
        return leaf if table not in self._lefts else replace(leaf, type=replace(leaf.type, nullable=True))

    def _found(self, node: exp.Expr, table: str, leaf: Column) -> Expr:
        """A leaf's value where its table has a row, and of NULLs where a left join found none."""
        if table not in self._lefts:
            return leaf
        leaf = self._nulls(table, leaf)
        missing = self.describer.of_nothing(total(node), table)
        if missing is None:
            return leaf
        value = literal_of(missing) if leaf.type.kind in {"number", "date", "boolean"} else None
        if value is None or leaf.type.kind != value.type.kind:
            raise Cannot(
                f"an expression of {table}, which is joined by LEFT JOIN, makes a text of NULL",
                "group by the column itself",
            )
        row = self.leaves.want(table, "TRUE", "boolean", (0, 1), nullable=False, word=True)
        there = numbers.not_(numbers.is_null(self._nulls(table, row)))
        return numbers.case([(there, leaf)], value)

    def comparable_key(self, node: exp.Column, kind: SqlType, scale: int, fixed: Bounds | None) -> Column:
        """A join column as all columns that it may be equal to are shared: the same kind and width."""
        table = node.table
        text = total(node)
        said = self._said(self._plain(node))
        if kind.kind == "text":
            return self.leaves.want(table, text, "hash", HASH, fixed=HASH, word=True, **said)
        if kind.kind == "boolean":
            return self.leaves.want(table, text, "boolean", (0, 1), fixed=(0, 1), word=True, **said)
        name: Literal["date", "number"] = "date" if kind.kind == "date" else "number"
        if fixed is None:
            raise AssertionError("keys have bounds")
        return self.leaves.want(table, text, name, fixed, scale=scale, fixed=fixed, word=True, **said)


def _within(found: Interval | None, scale: int, widest: Bounds) -> Bounds:
    """Bounds in units of a scale, inside those of a type: what is beyond these is NULL."""
    if found is None:
        return widest
    low, high = math.floor(found[0] * 10**scale), math.ceil(found[1] * 10**scale)
    return widest if low > widest[1] or high < widest[0] else (max(low, widest[0]), min(high, widest[1]))
