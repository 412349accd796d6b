# SPDX-License-Identifier: Apache-2.0
"""FROM and JOIN: which rows a question is about, as base tables, join conditions and filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from hitoku.questions.form import Block, Left, Ref, Value
from hitoku.questions.refusals import refuse

__all__ = ["Relation", "Rows", "connected", "merged"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Joined base tables: inner joins `tables` on all of `on`, then `lefts`, filtered by all of `where`."""

    tables: tuple[str, ...] = ()
    on: tuple[Value, ...] = ()
    lefts: tuple[Left, ...] = ()
    where: tuple[Value, ...] = ()

    @property
    def all_tables(self) -> tuple[str, ...]:
        """Every table, the left-joined ones too."""
        return (*self.tables, *(left.table for left in self.lefts))

    @property
    def single(self) -> bool:
        """Whether it is one table as it stands."""
        return len(self.tables) == 1 and not (self.lefts or self.where)

    @property
    def proven(self) -> frozenset[Ref]:
        """Columns that are not NULL wherever they are counted, because an equality with them held."""
        found: set[Ref] = set()
        for condition in self.on:
            found |= {use.ref for use in condition.uses if isinstance(condition.node, exp.EQ)}
        for left in self.lefts:
            for condition in left.on:
                if isinstance(condition.node, exp.EQ):
                    found |= {use.ref for use in condition.uses if use.ref.table == left.table}
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Relation:
    """What a name in FROM stands for.

    Attributes:
        columns: its columns by folded name.
        rows: its rows, where they are rows of base tables.
        block: the aggregated result, where it is one.
    """

    columns: Mapping[str, Value]
    rows: Rows
    block: Block | None = None


def merged(left: Rows, right: Rows, node: exp.Expr) -> Rows:
    """The rows of both; a table that is in both is a self-join.

    Raises:
        Refusal: a table stands twice.
    """
    both = set(left.all_tables) & set(right.all_tables)
    if both:
        raise refuse("SELF_JOIN", clause="JOIN", node=node, table=min(both))
    return Rows(
        (*left.tables, *right.tables),
        (*left.on, *right.on),
        (*left.lefts, *right.lefts),
        (*left.where, *right.where),
    )


def connected(rows: Rows) -> Rows:
    """The same rows in an order that depends on the tables and conditions only, not on the asker's order.

    Raises:
        Refusal: some table is connected to the others by no condition.
    """
    conditions = _unique(rows.on)
    waiting = sorted(rows.tables)
    placed = [waiting.pop(0)]
    while waiting:
        chosen = next((t for t in waiting if _connects(t, placed, conditions)), None)
        if chosen is None:
            raise refuse("CROSS_JOIN", clause="JOIN", table=waiting[0])
        waiting.remove(chosen)
        placed.append(chosen)
    lefts = tuple(
        sorted((replace(left, on=_unique(left.on)) for left in rows.lefts), key=lambda le: le.table)
    )
    return Rows(tuple(placed), conditions, lefts, _unique(rows.where))


def _connects(table: str, placed: Iterable[str], conditions: Iterable[Value]) -> bool:
    known = {table, *placed}
    for condition in conditions:
        tables = {use.ref.table for use in condition.uses}
        if table in tables and tables <= known:
            return True
    return False


def _unique(values: Iterable[Value]) -> tuple[Value, ...]:
    found = {value.text: value for value in values}
    return tuple(found[text] for text in sorted(found))
