# SPDX-License-Identifier: Apache-2.0
"""Joins as lookups: which table rows begin as, and by which keys the others are found, in which order.

Columns that inner joins equate form a class: in every joined row they hold one value. A table is found by all
its columns whose class has a column among the tables so far, which says all conditions between them at once.
Rows begin as the table whose order of lookups costs least: each lookup repeats the rows so far as often as
the found table repeats a key, so it is mostly the table that is never unique. Left joins come last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from sqlglot import exp

from hitoku.protections.shares.planning import numbers
from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.protections.shares.planning.leaves import DATES, Bounds
from hitoku.protections.shares.planning.rows import Rows
from hitoku.protections.shares.planning.sqltypes import SqlType
from hitoku.protections.shares.program import Column, Expr, Lookup
from hitoku.questions.form import Block, Ref, Value, column_node

__all__ = ["Joined", "KeySize", "joined"]

_FEW_CLASSES: Final = 3
"""Of tables with more classes of join columns, keys are single columns or all of them."""


@dataclass(frozen=True, slots=True)
class KeySize:
    """How often a key stands in its table, and the leaf that tells its rows apart."""

    copies: int
    occurrence: str | None


@dataclass(frozen=True, slots=True)
class Joined:
    """The joins of one SELECT.

    Attributes:
        start: the table that rows begin as.
        lookups: the others.
        where: conditions that no lookup says.
        rows: how many rows there are at the end.
        unique: whether no lookup repeats a row.
        same: for each column that inner joins equate, the one that stands for all.
        single: join columns of the start whose values stand in one row each, as its manifest says.
    """

    start: str
    lookups: tuple[Lookup, ...]
    where: tuple[Expr, ...]
    rows: int
    unique: bool
    same: Mapping[Ref, Ref]
    single: frozenset[Ref] = frozenset()


class _Keys:
    """The leaves of join columns, one kind and width for all that may be equal."""

    def __init__(self, rows: Rows, block: Block) -> None:
        self._rows = rows
        self._typed = _classes([*block.on, *(c for left in block.lefts for c in left.on)])
        self._types: dict[Ref, tuple[SqlType, int, Bounds | None]] = {}

    def leaf(self, ref: Ref) -> Column:
        """The leaf of a join column."""
        root = self._typed.get(ref, ref)
        if root not in self._types:
            self._types[root] = self._type([r for r in (*self._typed, ref) if self._typed.get(r, r) == root])
        return self._rows.comparable_key(column_node(ref), *self._types[root])

    def _type(self, refs: list[Ref]) -> tuple[SqlType, int, Bounds | None]:
        refs = sorted(set(refs))
        kinds = {ref: self._rows.describer.column(ref.table, ref.column) for ref in refs}
        first = kinds[refs[0]]
        if first.kind in {"text", "boolean"}:
            return first, 0, None
        if first.kind not in {"whole", "decimal", "date", "timestamp"}:
            raise Cannot(
                f"tables are joined by column {refs[0].column!r}, which has floating-point numbers",
                "join by columns of whole numbers, decimals, dates or texts",
            )
        scale = max(kind.scale for kind in kinds.values())
        found: list[Bounds] = []
        for ref, kind in kinds.items():
            bounds = self._rows.leaves.bounds(ref.table, ref.column)
            unit = 10**scale
            if bounds is not None:
                found.append((bounds[0] * unit, bounds[1] * unit))
            elif kind.kind == "date":
                found.append(DATES)
            elif kind.low is not None and kind.high is not None:
                found.append((kind.low * 10 ** (scale - kind.scale), kind.high * 10 ** (scale - kind.scale)))
            else:
                found.append((-(1 << 62), 1 << 62))
        low, high = min(b[0] for b in found), max(b[1] for b in found)
        return first, scale, (low, high)


def joined(
    rows: Rows, block: Block, sizes: Mapping[str, int], keys: Mapping[tuple[str, ...], KeySize] | None
) -> Joined:
    """How the tables of a SELECT are joined.

    Args:
        rows: compiles expressions of its rows.
        block: the SELECT.
        sizes: how many rows each table has, padded.
        keys: by the names of their leaves, what manifests say; None where they are not known yet.

    Raises:
        Cannot: a condition is no equality.
    """
    for condition in (*block.on, *(c for left in block.lefts for c in left.on)):
        if not isinstance(condition.node, exp.EQ):
            raise Cannot(
                "tables are joined by conditions with OR",
                "ask for each condition in a question of its own",
            )
    same = _classes(block.on)
    wanted = _Keys(rows, block)
    columns: dict[str, dict[Ref, list[Ref]]] = {table: {} for table in block.tables}
    for ref in sorted(same):
        columns[ref.table].setdefault(same[ref], []).append(ref)
    candidates = {
        table: _candidates(rows, wanted, classes, table)
        for table, classes in columns.items()
        if len(block.tables) > 1
    }
    lefts = [_left(rows, wanted, block, n) for n in range(len(block.lefts))]
    known = keys or {}
    orders = [
        found
        for start in block.tables
        if (found := _order(start, block, columns, candidates, sizes, known)) is not None
    ]
    _, final, start, steps = min(orders)
    lookups: list[Lookup] = []
    where: list[Expr] = []
    placed = [start]
    unique = True
    for table, key in steps:
        pairs = _pairs(table, columns, placed)
        said = [(ref, other) for ref, other in pairs if wanted.leaf(ref).name in key]
        where += [
            numbers.compare("=", wanted.leaf(other), wanted.leaf(ref))
            for ref, other in pairs
            if (ref, other) not in said
        ]
        size = known.get(key, KeySize(1, None))
        unique = unique and size.copies == 1
        lookups.append(
            Lookup(
                table,
                "inner",
                tuple((wanted.leaf(other), wanted.leaf(ref).name) for ref, other in said),
                size.copies,
                size.occurrence if size.copies > 1 else None,
            )
        )
        placed.append(table)
    for table, pairs_of, key in lefts:
        size = known.get(key, KeySize(1, None))
        unique = unique and size.copies == 1
        final *= size.copies
        lookups.append(
            Lookup(table, "left", pairs_of, size.copies, size.occurrence if size.copies > 1 else None)
        )
    single = frozenset(
        refs[0]
        for refs in columns[start].values()
        if len(refs) == 1 and known.get((wanted.leaf(refs[0]).name,), KeySize(2, None)).copies == 1
    )
    return Joined(start, tuple(lookups), tuple(where), final, unique, same, single)


def _classes(conditions: list[Value] | tuple[Value, ...]) -> dict[Ref, Ref]:
    """One column for all that equalities equate."""
    same: dict[Ref, Ref] = {}

    def root(ref: Ref) -> Ref:
        while same.get(ref, ref) != ref:
            ref = same[ref]
        return ref

    for condition in conditions:
        if isinstance(condition.node, exp.EQ):
            first, *others = sorted({root(use.ref) for use in condition.uses})
            for other in others:
                same[other] = first
            same.setdefault(first, first)
    return {ref: root(ref) for ref in same}


def _candidates(
    rows: Rows, wanted: _Keys, classes: Mapping[Ref, list[Ref]], table: str
) -> tuple[tuple[frozenset[Ref], tuple[str, ...]], ...]:
    """The keys by which a table may be found: some of its classes, and the leaves of their columns."""
    roots = sorted(classes)
    sizes = range(1, len(roots) + 1) if len(roots) <= _FEW_CLASSES else (1, len(roots))
    made = []
    for size in sizes:
        for chosen in combinations(roots, size):
            refs = [ref for root in chosen for ref in classes[root]]
            made.append((frozenset(chosen), _key(rows, wanted, table, refs)))
    return tuple(made)


def _key(rows: Rows, wanted: _Keys, table: str, refs: list[Ref]) -> tuple[str, ...]:
    leaves = tuple(wanted.leaf(ref).name for ref in refs)
    return rows.leaves.key(table, leaves, frozenset(ref.column for ref in refs)).leaves


def _left(
    rows: Rows, wanted: _Keys, block: Block, place: int
) -> tuple[str, tuple[tuple[Expr, str], ...], tuple[str, ...]]:
    """The table of a left join, its pairs of keys, and the names of its own."""
    left = block.lefts[place]
    pairs: dict[Ref, Ref] = {}
    more: list[tuple[Ref, Ref]] = []
    for condition in left.on:
        own, other = sorted((use.ref for use in condition.uses), key=lambda ref: ref.table != left.table)
        if own.table != left.table or other.table not in block.tables:
            raise Cannot("a table is joined by LEFT JOIN to one that is itself joined by LEFT JOIN")
        if own in pairs:
            more.append((own, other))
        pairs.setdefault(own, other)
    if more:
        raise Cannot("a LEFT JOIN equates one column with several others", "join by each column once")
    key = _key(rows, wanted, left.table, list(pairs))
    return left.table, tuple((wanted.leaf(b), wanted.leaf(a).name) for a, b in pairs.items()), key


def _pairs(
    table: str, columns: Mapping[str, Mapping[Ref, list[Ref]]], placed: list[str]
) -> list[tuple[Ref, Ref]]:
    """A table's join columns, each with an equal one of the tables so far."""
    made: list[tuple[Ref, Ref]] = []
    for root, refs in sorted(columns[table].items()):
        other = next((columns[p][root][0] for p in placed if root in columns[p]), None)
        if other is not None:
            made += [(ref, other) for ref in refs]
    return made


def _order(
    start: str,
    block: Block,
    columns: Mapping[str, Mapping[Ref, list[Ref]]],
    candidates: Mapping[str, tuple[tuple[frozenset[Ref], tuple[str, ...]], ...]],
    sizes: Mapping[str, int],
    known: Mapping[tuple[str, ...], KeySize],
) -> tuple[int, int, str, tuple[tuple[str, tuple[str, ...]], ...]] | None:
    """The lookups from one start: what they cost in sorted rows, the rows at the end, and the keys."""
    placed, cost, rows = [start], 0, sizes[start]
    steps: list[tuple[str, tuple[str, ...]]] = []
    waiting = sorted(set(block.tables) - {start})
    while waiting:
        choices = []
        for table in waiting:
            roots = {root for p in placed for root in columns[p]} & set(columns[table])
            for chosen, key in candidates[table]:
                if chosen <= roots:
                    copies = known.get(key, KeySize(1, None)).copies
                    choices.append((copies, -len(chosen), sizes[table], table, key))
        if not choices:
            return None
        copies, _, size, table, key = min(choices)
        rows *= copies
        cost += rows + size
        steps.append((table, key))
        placed.append(table)
        waiting.remove(table)
    return cost, rows, start, tuple(steps)
