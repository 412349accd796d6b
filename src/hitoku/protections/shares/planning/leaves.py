# SPDX-License-Identifier: Apache-2.0
"""The columns that owners are asked to compute and share, collected while a question is compiled.

Compiling is done twice, by the same code: first with the widest bounds that types and the room allow, which
says what owners compute and whether the question can be answered at all; then with the bounds of the
manifests. A leaf is known by what it is, so both times the same names are given in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from typing import Literal as OneOf

from hitoku import limits
from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.protections.shares.program import Column, Type
from hitoku.protections.shares.wanted import Most, WantedKey, WantedLeaf

if TYPE_CHECKING:
    from hitoku.room.agreement import Table
    from hitoku.room.shares import Shares, SharesTable

__all__ = ["Bounds", "Collected", "Leaves"]

Kind = OneOf["number", "date", "boolean", "code", "hash"]
Bounds = tuple[int, int]

HASH: Final[Bounds] = (0, (1 << 64) - 1)
DATES: Final[Bounds] = (-719_162, 2_932_896)
"""0001-01-01 to 9999-12-31."""
_MOST: Final = 1 << limits.MAX_SHARES_VALUE_BITS
_OCCURRENCES: Final = 900
"""Leaves of keys' occurrences are numbered from here."""


@dataclass(slots=True)
class Collected:
    """What is asked of one table's owner, so far."""

    table: Table
    leaves: dict[object, WantedLeaf] = field(default_factory=dict)
    keys: dict[tuple[str, ...], WantedKey] = field(default_factory=dict)
    where: tuple[str, ...] = ()
    group: tuple[str, ...] | None = None
    steady: bool = False
    order: tuple[str, ...] = ()
    boundary: str | None = None


class Leaves:
    """Collects leaves, or finds those that were collected before.

    Args:
        tables: the question's tables.
        shares: what the room declares; None where it declares nothing.
        types: by name, what manifests say; None while leaves are collected.

    Attributes:
        tables: what was collected, by table.
        widest: by name, the widest types that leaves may have.
    """

    def __init__(
        self, tables: tuple[Table, ...], shares: Shares | None, types: Mapping[str, Type] | None = None
    ) -> None:
        self.tables = {table.name: Collected(table) for table in tables}
        self._shares = shares
        self._types = types
        self.widest: dict[str, Type] = {}

    def declared(self, table: str) -> SharesTable | None:
        """What the room declares of a table."""
        return None if self._shares is None else self._shares.table(table)

    def bounds(self, table: str, column: str) -> Bounds | None:
        """The bounds that the room declares of a column."""
        declared = self.declared(table)
        found = None if declared is None else declared.column(column)
        if found is None or found.lower is None or found.upper is None:
            return None
        return found.lower, found.upper

    def decimals(self, table: str, column: str) -> int | None:
        """The digits behind the point that the room declares of a floating-point column."""
        declared = self.declared(table)
        found = None if declared is None else declared.column(column)
        return None if found is None else found.decimals

    def want(
        self,
        table: str,
        sql: str,
        kind: Kind,
        widest: Bounds,
        *,
        scale: int = 0,
        fixed: Bounds | None = None,
        nullable: bool = True,
        word: bool = False,
        ring: bool = False,
        ordered: bool = False,
        column: str = "",
        ranked: bool = False,
        most: Most | None = None,
    ) -> Column:
        """A leaf: a new one, or the one that is it already, with what it is used for added.

        Args:
            table: whose.
            sql: what it is.
            kind: of its values.
            widest: bounds that hold for all values of its type.
            scale: of numbers.
            fixed: bounds that are public already; else the owner finds some.
            nullable: whether there may be NULLs.
            word: it is compared, sorted, grouped by.
            ring: it is added up.
            ordered: of codes, see `WantedLeaf`.
            column: the column that it is, where it is one; what errors call it.
            ranked: its values are ranks: from 1, how far is for the owner to find.
            most: of codes and ranks, see `WantedLeaf`.
        """
        collected = self.tables[table]
        steady = collected.steady or not column
        if steady and fixed is None and kind in {"number", "date"} and not ranked:
            fixed = max(widest[0], 1 - _MOST), min(widest[1], _MOST - 1)
        place = (sql, kind, scale, fixed)
        found = collected.leaves.get(place)
        if found is None:
            low, high = fixed or (1 if ranked else None, None)
            if len(collected.leaves) >= limits.MAX_SHARES_LEAVES - limits.MAX_TABLES_PER_QUESTION - 1:
                raise Cannot("the question needs too many columns of one table", "ask it in parts")
            name = f"{table}.{len(collected.leaves)}"
            found = WantedLeaf(
                name, sql, kind, scale, low=low, high=high, nullable=nullable, column=column, steady=steady,
                most=most if steady else None,
            )  # fmt: skip
        collected.leaves[place] = replace(
            found,
            word=found.word or word,
            ring=found.ring or ("auto" if ring else None),
            ordered=found.ordered or ordered,
        )
        if self._types is not None:
            return Column(found.name, self._types[found.name])
        low, high = fixed or widest
        dictionary = found.name if kind == "code" else None
        self.widest[found.name] = Type(kind, low, high, scale, nullable, dictionary)
        return Column(found.name, self.widest[found.name])

    def forget(self, table: str) -> None:
        """Begin anew with a table."""
        self.tables[table] = Collected(self.tables[table].table)

    def key(self, table: str, leaves: tuple[str, ...], columns: frozenset[str]) -> WantedKey:
        """A key by which the table's rows are found.

        Args:
            table: whose.
            leaves: names of leaves with words.
            columns: the columns that they are.
        """
        keys = self.tables[table].keys
        if leaves not in keys:
            declared = self.declared(table)
            most = None if declared is None else declared.repeats
            if declared is not None and any(columns.issuperset(key) for key in declared.unique):
                most = 1
            name = None if most == 1 else f"{table}.{_OCCURRENCES + len(keys)}"
            keys[leaves] = WantedKey(leaves, name, most)
        return keys[leaves]
