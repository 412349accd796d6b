# SPDX-License-Identifier: Apache-2.0
"""What an owner is asked to compute of one table and share: the static half of a program's `Upload`.

It follows from the question, its plan and the agreement alone. Sizes and widths are what the owner finds, and
says in its manifest (`hitoku.protections.shares.manifest`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Literal as OneOf

if TYPE_CHECKING:
    from hitoku.room.agreement import Column

__all__ = ["Most", "WantedKey", "WantedLeaf", "WantedTable"]


@dataclass(frozen=True, slots=True)
class Most:
    """What is told of a leaf's values instead of what they are: aggregates over all rows of the table.

    Attributes:
        entries: SQL: no more different values there are.
        longest: SQL: no value has more bytes as a text.
    """

    entries: str
    longest: str


@dataclass(frozen=True, slots=True)
class WantedLeaf:
    """One column that an owner computes and shares.

    Attributes:
        name: ``table.n``.
        sql: what it is, over the view of the plain table (columns by their names in the room), DuckDB's
            words. Of a code or a hash a text (hashes of other values are of their VARCHAR: both sides of a
            join must be brought to one type first). Of a number a whole number, a DECIMAL or a TIMESTAMP,
            which counts microseconds since 1970.
        kind: number, date, boolean, code, hash.
        scale: of numbers: units of ``10 ** -scale``.
        word: whether words are shared, to compare, sort and group by.
        ring: whether ring elements are shared, to add up; ``auto``: r64 where sums of 2**30 values fit, else
            r128.
        low: the least value that the room declares, in units; None where it declares none.
        high: the largest.
        nullable: whether NULLs are allowed; if not, a NULL is an error. Where there are none, no validity bit
            is shared.
        ordered: of codes: they rise with the texts (by bytes), so that they can be compared; else their order
            is random.
        column: what errors call it; the leaf's name where empty.
        steady: what the manifest says of it must not depend on rows: bounds are declared, and wherever NULLs
            are allowed a validity bit is shared. So it is of whatever the asker wrote, and of all leaves of a
            table that its owner groups; the others are plain columns, told of as a whole.
        most: of steady codes and ranks: how many there are and how long, by what does not depend on what the
            asker wrote; else it is what the owner finds.
    """

    name: str
    sql: str
    kind: OneOf["number", "date", "boolean", "code", "hash"]
    scale: int = 0
    word: bool = False
    ring: OneOf["r64", "r128", "auto"] | None = None
    low: int | None = None
    high: int | None = None
    nullable: bool = True
    ordered: bool = False
    column: str = ""
    steady: bool = False
    most: Most | None = None


@dataclass(frozen=True, slots=True)
class WantedKey:
    """Leaves (with words) by which other tables' rows find this table's rows.

    Attributes:
        leaves: their names.
        occurrence: the name of a leaf that is added where some key is in more than one row: the row's place,
            from 0, among those with its key; a number with words. None where it is never needed.
        most: no more rows have one key, as the room declares (1: it is unique); it is checked, and what the
            manifest says. None: the true number, rounded up (`sizes.padded_copies`).
    """

    leaves: tuple[str, ...]
    occurrence: str | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class WantedTable:
    """All that an owner is asked to share of one table.

    Attributes:
        table: its name.
        owner: whose it is.
        columns: the room's columns that the SQL reads.
        leaves: what is shared, in order.
        where: the owner's own conditions; rows that fail are not among the valid rows.
        group: where the owner aggregates by itself first: the grouping expressions' words; else None.
        keys: of which the manifest tells how many rows have the same.
        rows: the padded number of rows that the room declares; None: the true number, rounded up.
        order: leaves with words by which the rows are put in order: by their words, the first leaf's before
            the second's, rows with a NULL in one of them last, then padding. Rows that are equal in all of
            them are side by side, by their places (`WantedKey.occurrence`) where the order is that of a key.
            Where empty, the order is random.
        boundary: with an order: the name of a leaf that is added, a boolean with words: true in the last row
            of those that are equal in the order.
        groups: with `group`: SQL, an aggregate over all rows of the table: no more groups there are, whatever
            the conditions.
    """

    table: str
    owner: str
    columns: tuple[Column, ...]
    leaves: tuple[WantedLeaf, ...]
    where: tuple[str, ...] = ()
    group: tuple[str, ...] | None = None
    keys: tuple[WantedKey, ...] = ()
    rows: int | None = None
    order: tuple[str, ...] = ()
    boundary: str | None = None
    groups: str | None = None
