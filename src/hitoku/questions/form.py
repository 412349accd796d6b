# SPDX-License-Identifier: Apache-2.0
"""The normal form of a question: what the checker builds, and all that is ever rendered and run.

A form is rebuilt node by node by the checker; no node of the asker's tree is taken over, so what was not
checked is not there. Common table expressions and subqueries are gone: row-level ones are folded into the
block that aggregates or lists them, and a query over one aggregated result is folded into that result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from sqlglot import exp

from hitoku.errors import Span

__all__ = [
    "MIXED",
    "Block",
    "Combined",
    "Family",
    "Form",
    "Item",
    "Left",
    "Order",
    "Ref",
    "Tree",
    "Use",
    "Value",
    "column_node",
]


MIXED: Final = "hitoku_mixed"
"""In a comparison's `meta`: its numbers may have no type that holds both (see `hitoku.questions.totals`)."""


class Family(StrEnum):
    """Types between which hitoku compares and computes; nothing is converted between families unasked."""

    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    NULL = "null"


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """One column of one table of the room. A table stands at most once in a block, so this is enough."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Use:
    """A column used at a place of the asked SQL."""

    ref: Ref
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Value:
    """A checked expression.

    Attributes:
        node: the rebuilt expression; its leaves are columns of tables and literals.
        family: its type.
        uses: the columns read outside aggregates.
        inside: the columns read inside aggregates.
        plain: the column, if the expression is one column and nothing else.
        aggregate: whether it contains an aggregate.
        window: whether it contains a window function.
        span: where it stands.
    """

    node: exp.Expr
    family: Family
    uses: tuple[Use, ...] = ()
    inside: tuple[Use, ...] = ()
    plain: Ref | None = None
    aggregate: bool = False
    window: bool = False
    span: Span | None = field(default=None, compare=False)
    _text: str | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def constant(self) -> bool:
        """Whether no column is read at all."""
        return not (self.uses or self.aggregate or self.window)

    @property
    def text(self) -> str:
        """The expression as SQL; equal expressions have equal texts. Written once: nodes are not changed."""
        if self._text is None:
            object.__setattr__(self, "_text", self.node.sql(dialect="duckdb"))
        return self._text or ""


@dataclass(frozen=True, slots=True)
class Item:
    """One output column."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Order:
    """One key of ORDER BY."""

    value: Value
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Left:
    """A table that may be missing: LEFT JOIN `table` ON all of `on`."""

    table: str
    on: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One SELECT over base tables.

    Attributes:
        tables: tables joined by inner joins, in an order in which each is connected to those before it.
        on: conditions of the inner joins; all must hold.
        lefts: tables joined by left joins, after the inner ones.
        where: conditions on rows; all must hold.
        groups: the grouping expressions.
        items: the output columns.
        having: conditions on groups; all must hold.
        listing: a list rule's question: distinct rows instead of groups.
        grouped: whether GROUP BY was written (no rows, no groups) or all rows are one group.
    """

    tables: tuple[str, ...]
    on: tuple[Value, ...]
    lefts: tuple[Left, ...]
    where: tuple[Value, ...]
    groups: tuple[Value, ...]
    items: tuple[Item, ...]
    having: tuple[Value, ...]
    listing: bool = False

    @property
    def all_tables(self) -> tuple[str, ...]:
        """Every table in the block."""
        return (*self.tables, *(left.table for left in self.lefts))


@dataclass(frozen=True, slots=True)
class Combined:
    """A set operation. EXCEPT takes all further parts from the first."""

    kind: Literal["UNION ALL", "UNION", "INTERSECT", "EXCEPT"]
    parts: tuple[Tree, ...]


Tree = int | Combined
"""A block by its place in `Form.blocks`, or a set operation of such."""


@dataclass(frozen=True, slots=True)
class Form:
    """A whole question: blocks, how set operations combine them, ordered and limited together."""

    blocks: tuple[Block, ...]
    tree: Tree = 0
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0


def column_node(ref: Ref) -> exp.Column:
    """The node that reads a column of a table."""
    return exp.Column(
        this=exp.Identifier(this=ref.column, quoted=True), table=exp.Identifier(this=ref.table, quoted=True)
    )
