# SPDX-License-Identifier: Apache-2.0
"""What three servers compute for one question, as data: public, equal at all of them, named by its hash.

A program has no values of rows. Everything in it follows from the question, its plan, the agreement and the
owners' manifests (sizes and widths, rounded up), so each server makes it for itself, and the three compare
hashes before any of them sends anything else.

Values are whole numbers. A number of a scale s counts units of ``10 ** -s``; a date is days since 1970-01-01;
a boolean is 0 or 1; a code is the place of a text in its owner's dictionary; a hash is 64 bits. The *word* of
a value is ``value - type.low``, below ``2 ** type.bits``: words are shared bitwise, compared and sorted. A
NULL has the value `type.low` (word 0) or the ring element 0, and its validity bit is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal as OneOf

__all__ = [
    "Aggregate",
    "AggregateKind",
    "Arith",
    "Branch",
    "Case",
    "Coalesce",
    "Column",
    "Compare",
    "Dictionary",
    "Expr",
    "IsNull",
    "Leaf",
    "Literal",
    "Logic",
    "Lookup",
    "Noising",
    "Not",
    "Opened",
    "Program",
    "Ratio",
    "Round",
    "SortKey",
    "Type",
    "Upload",
    "noised_type",
]

AggregateKind = OneOf[
    "count_rows",
    "count",
    "sum",
    "count_distinct",
    "sum_distinct",
    "sum_squares",
    "min",
    "max",
    "median",
]


@dataclass(frozen=True, slots=True)
class Type:
    """What a value is, and between which whole numbers it lies (both included).

    Attributes:
        kind: number, date, boolean, code (of a text in a dictionary), hash.
        low: the least whole number; 0 of codes, hashes and booleans.
        high: the largest.
        scale: of numbers: units of ``10 ** -scale``.
        nullable: whether there may be NULLs; there is a validity bit then.
        dictionary: of codes: the name of the dictionary.
    """

    kind: OneOf["number", "date", "boolean", "code", "hash"]
    low: int
    high: int
    scale: int = 0
    nullable: bool = True
    dictionary: str | None = None

    @property
    def bits(self) -> int:
        """Bits of a word; at least 1."""
        return max((self.high - self.low).bit_length(), 1)


# --- expressions, of rows or of groups ---


@dataclass(frozen=True, slots=True)
class Column:
    """A column by name: of rows a leaf's (``table.n``), of groups ``g1``... and ``a1``..."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Literal:
    """A public value; None is NULL."""

    value: int | None
    type: Type


@dataclass(frozen=True, slots=True)
class Arith:
    """A sum, difference or product; both sides have been brought to scales that fit."""

    op: OneOf["+", "-", "*"]
    left: Expr
    right: Expr
    type: Type


@dataclass(frozen=True, slots=True)
class Ratio:
    """A quotient, of groups only: a double. NULL where the divisor is 0. ``type`` bounds the numerator.

    Where `most` is not None no quotient is larger, though the bounds of its parts would allow it: a mean lies
    between its values.
    """

    over: Expr
    under: Expr
    type: Type
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """ROUND of a number or a ratio to so many digits, halves away from zero; of groups only."""

    value: Expr
    digits: int
    type: Type


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison of two values of one kind; NULL where one of them is."""

    op: OneOf["=", "<>", "<", "<=", ">", ">="]
    left: Expr
    right: Expr
    type: Type


@dataclass(frozen=True, slots=True)
class Logic:
    """AND or OR, of three-valued logic."""

    op: OneOf["and", "or"]
    parts: tuple[Expr, ...]
    type: Type


@dataclass(frozen=True, slots=True)
class Not:
    """NOT."""

    value: Expr
    type: Type


@dataclass(frozen=True, slots=True)
class IsNull:
    """Whether a value is NULL; never NULL itself."""

    value: Expr
    type: Type


@dataclass(frozen=True, slots=True)
class Case:
    """The value of the first condition that is true, or else `otherwise`."""

    whens: tuple[tuple[Expr, Expr], ...]
    otherwise: Expr
    type: Type


@dataclass(frozen=True, slots=True)
class Coalesce:
    """The first value that is not NULL."""

    parts: tuple[Expr, ...]
    type: Type


Expr = Column | Literal | Arith | Ratio | Round | Compare | Logic | Not | IsNull | Case | Coalesce


# --- what owners upload ---


@dataclass(frozen=True, slots=True)
class Leaf:
    """A column that an owner computes of its own table alone, and shares.

    Attributes:
        name: ``table.n``.
        sql: what it is, over the owner's plain table, in DuckDB's words; from checked trees only.
        type: what its values are; of codes the dictionary has the leaf's name.
        ring: the ring that its values are shared in for sums; None where it is not summed.
        word: whether its words are shared, for comparing, sorting and grouping.
    """

    name: str
    sql: str
    type: Type
    ring: OneOf["r64", "r128"] | None = None
    word: bool = False


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Texts that codes stand for, shared as well: `size` entries of `words` times 8 bytes, zero-padded UTF-8.

    Attributes:
        name: of the leaf that has the codes.
        size: entries, padded.
        words: 64-bit words an entry.
    """

    name: str
    size: int
    words: int


@dataclass(frozen=True, slots=True)
class Upload:
    """One table as its owner shares it for this question.

    Attributes:
        table: its name.
        owner: whose it is.
        rows: how many, padded; rows of padding are not valid.
        leaves: its columns, in order. There is always a validity bit of the row beside them: rows of padding,
            and rows that the owner's own conditions leave out, have 0.
        dictionaries: of the leaves that have codes.
        where: the owner's own conditions, DuckDB's words; rows that fail are shared as not valid.
        group: where the owner aggregates by itself first: the grouping expressions' words; else None.
    """

    table: str
    owner: str
    rows: int
    leaves: tuple[Leaf, ...]
    dictionaries: tuple[Dictionary, ...] = ()
    where: tuple[str, ...] = ()
    group: tuple[str, ...] | None = None

    def leaf(self, name: str) -> Leaf:
        """The leaf of that name."""
        return next(leaf for leaf in self.leaves if leaf.name == name)


# --- what servers do ---


@dataclass(frozen=True, slots=True)
class Lookup:
    """Join a base table to the rows so far: each row finds the table's rows with its key.

    Attributes:
        table: whose leaves are added.
        kind: inner drops rows that find nothing; left keeps them once, with NULLs.
        keys: pairs of an expression over the rows so far and a leaf (by name) of the table, equal in kind and
            width; a NULL matches nothing. Their words stand beside each other in one key.
        copies: at most so many rows of the table have one key; the rows so far are repeated so often.
        occurrence: where `copies` > 1, the leaf with a row's place (from 0) among those with its key.
        sorted_by_owner: the table's rows come in the order of the key's words (then the occurrence's),
            rows that are not valid, or have a NULL in the key, last: the table is not sorted again.
    """

    table: str
    kind: OneOf["inner", "left"]
    keys: tuple[tuple[Expr, str], ...]
    copies: int = 1
    occurrence: str | None = None
    sorted_by_owner: bool = False


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One figure of a group, over rows where `argument` is not NULL.

    Attributes:
        name: ``a1``... or ``u1``... (units that thresholds count).
        kind: what.
        argument: over rows; None of count_rows.
        type: of the figure, with bounds that no number of rows exceeds. A median's scale is its argument's
            plus 1: it is five times the sum of the two middle values, exactly.
    """

    name: str
    kind: AggregateKind
    argument: Expr | None
    type: Type


@dataclass(frozen=True, slots=True)
class SortKey:
    """A key of ORDER BY over what is opened or computed of groups."""

    value: Expr
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A column that the receivers get, of every row that passes.

    Attributes:
        name: ``o1``... an output computed inside, or ``g1``, ``a1``: a grouping value or figure that is an
            output itself, from which receivers compute other outputs.
        value: over groups.
    """

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Noising:
    """Contributions are bounded, and figures get noise, before anything of groups is opened.

    Attributes:
        unit: the unit of privacy in every row; rows where it is NULL do not count.
        max_rows: so many rows of a unit count in one group.
        max_groups: so many groups of a unit count.
        scales: for each aggregate, in order: sigma of the noise that any two servers add.
        units: the aggregate that counts units; None where none does.
        least_units: groups of fewer units are left out before noise, where groups are not public.
        domain: where groups are public: for each grouping value, how many there are. Its values are then
            numbers from 0, rows with NULL do not count, and all combinations come out.
    """

    unit: Expr
    max_rows: int
    max_groups: int
    scales: tuple[int, ...]
    units: str | None
    least_units: int = 0
    domain: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """One SELECT of the question.

    Attributes:
        start: the table that rows begin as.
        lookups: joined to it, in order.
        where: conditions on rows that take more than one table; all must be true.
        groups: grouping expressions over rows: ``g1``...
        aggregates: figures of groups. Where the owner aggregated by itself they are columns of the upload
            already: `ready`.
        ready: the start's rows are groups, and the leaves are g1..., then the aggregates in order.
        most_groups: there are no more groups (public).
        thresholds: pairs of an aggregate's name and the least number of units; all must hold.
        having: conditions on groups; all must be true.
        opened: what receivers get of groups that pass thresholds and HAVING.
        order: by which rows are opened in order, where a LIMIT, or the order itself, must be found inside.
        offset: so many rows are left out first.
        limit: so many rows are opened; None: all that pass.
        one_group: there is no GROUP BY: exactly one group, also of no rows.
        sorted_by_owner: the start's rows come with those of a group side by side, rows of padding last.
        boundary: then: the leaf (a boolean with words, never NULL) that is 1 in the last row of each group
            and 0 in rows of padding.
        noising: then: figures get noise; thresholds are compared with noised ones, and there is no HAVING.
            Aggregates are `count_rows`, `count`, `count_distinct` and `sum`; their types are those of exact
            figures, and what is opened has `noised_type` of them.
    """

    start: str
    lookups: tuple[Lookup, ...]
    where: tuple[Expr, ...]
    groups: tuple[tuple[str, Expr], ...]
    aggregates: tuple[Aggregate, ...]
    most_groups: int
    thresholds: tuple[tuple[str, int], ...] = ()
    having: tuple[Expr, ...] = ()
    opened: tuple[Opened, ...] = ()
    order: tuple[SortKey, ...] = ()
    offset: int = 0
    limit: int | None = None
    ready: bool = False
    one_group: bool = False
    sorted_by_owner: bool = False
    boundary: str | None = None
    noising: Noising | None = None


def noised_type(kind: Type, scale: int) -> Type:
    """The type of a figure with noise: 52 standard deviations to either side; 10^-590 of draws are beyond.

    Such a draw would wrap, which tells no more than the draw itself: it is computed from the noised figure.
    """
    return replace(kind, low=kind.low - 64 * scale, high=kind.high + 64 * scale, nullable=False)


@dataclass(frozen=True, slots=True)
class Program:
    """All of it.

    Attributes:
        uploads: by table, sorted by name.
        branches: one for each SELECT of the question; their opened rows are put together by receivers.
    """

    uploads: tuple[Upload, ...]
    branches: tuple[Branch, ...]
    form: str = field(default="hitoku/shares-program/1")

    def upload(self, table: str) -> Upload:
        """The upload of a table."""
        return next(upload for upload in self.uploads if upload.table == table)
