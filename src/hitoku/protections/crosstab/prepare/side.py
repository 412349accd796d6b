# SPDX-License-Identifier: Apache-2.0
"""What one owner's table contributes to a run, in the room's terms. All of it is public and signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from hitoku.errors import InputError
from hitoku.room.crosstab import Crosstab, Merge, PersonIdentifier
from hitoku.room.rules import ColumnBounds, CustomRule

if TYPE_CHECKING:
    from hitoku.protections.crosstab.shape import ShapeSide
    from hitoku.questions.form import Value
    from hitoku.room.agreement import Column, Table

__all__ = ["Dimension", "Measure", "Side"]


@dataclass(frozen=True, slots=True)
class Dimension:
    """A grouping column.

    Attributes:
        column: its name in the room.
        domain: its public values, sorted; the place in it is the value's digit in the composite attribute.
        other: the one of them that stands for every value outside; None where such rows are left out.
    """

    column: str
    domain: tuple[str, ...]
    other: str | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """A column that is added up.

    Attributes:
        column: its name in the room.
        bounds: the clamp of a person's value, and the decimals that count.
        merge: how the values of several rows of a person become one, before the clamp.
    """

    column: str
    bounds: ColumnBounds
    merge: Merge = Merge.SUM


@dataclass(frozen=True, slots=True)
class Side:
    """One owner's side of a question.

    Attributes:
        table: the room's table.
        person: its column that holds the person: the source of the first kind where nothing else is mapped.
        identifiers: the room's kinds of identifiers, the first one first.
        calling_code: for phone numbers that are written without one.
        conditions: the question's conditions on this table alone; a row must fulfil all.
        dimensions: its grouping columns, in the order of GROUP BY.
        measures: its summed columns, in the order of the plan's figures.
    """

    table: Table
    person: str
    identifiers: tuple[PersonIdentifier, ...]
    calling_code: str | None = None
    conditions: tuple[Value, ...] = ()
    dimensions: tuple[Dimension, ...] = ()
    measures: tuple[Measure, ...] = ()

    @property
    def groups(self) -> int:
        """How many values the composite attribute has."""
        return prod(len(d.domain) for d in self.dimensions)

    @classmethod
    def of(cls, shape: ShapeSide, agreed: Crosstab) -> Side:
        """A side of a recognised question, under the room's agreement on private cross statistics.

        Raises:
            InputError: the agreement does not name the table.
        """
        settings = agreed.table(shape.table.name)
        if settings is None:
            raise InputError(f"table {shape.table.name} is not in the room's private cross statistics")
        other = {o.column_name: o.value for o in settings.other}
        merge = {d.column_name: d.merge for d in settings.duplicates}
        measures = []
        for figure in shape.sums:
            if figure.column is None or figure.bounds is None:
                raise AssertionError("a sum has a column and bounds")
            name = figure.column.column
            measures.append(Measure(name, figure.bounds, merge.get(name, Merge.SUM)))
        return cls(
            table=shape.table,
            person=shape.person,
            identifiers=agreed.identifiers,
            calling_code=agreed.calling_code,
            conditions=shape.conditions,
            dimensions=tuple(
                Dimension(column, tuple(sorted(values)), other.get(column))
                for _, column, values in shape.groups
            ),
            measures=tuple(measures),
        )

    @classmethod
    def whole(cls, table: Table, agreed: Crosstab) -> Side:
        """Every column of a table that private cross statistics can use: what its owner checks beforehand.

        Raises:
            InputError: the agreement does not name the table.
        """
        settings = agreed.table(table.name)
        rule = table.rule
        privacy = rule.differential_privacy if isinstance(rule, CustomRule) else None
        if settings is None or privacy is None:
            raise InputError(f"table {table.name} is not in the room's private cross statistics")
        other = {o.column_name: o.value for o in settings.other}
        merge = {d.column_name: d.merge for d in settings.duplicates}
        return cls(
            table=table,
            person=privacy.column,
            identifiers=agreed.identifiers,
            calling_code=agreed.calling_code,
            dimensions=tuple(
                Dimension(p.column_name, tuple(sorted(p.values)), other.get(p.column_name))
                for p in privacy.public_values
            ),
            measures=tuple(
                Measure(b.column_name, b, merge.get(b.column_name, Merge.SUM)) for b in privacy.bounds
            ),
        )

    def declared(self, name: str) -> Column:
        """The declaration of one of its columns.

        Raises:
            InputError: the room's table has no such column.
        """
        column = self.table.column(name)
        if column is None:
            raise InputError(f"table {self.table.name} has no column {name} in the room")
        return column

    def kinds(
        self, person: Mapping[str, Sequence[str]], columns: Mapping[str, str]
    ) -> tuple[tuple[PersonIdentifier, tuple[str, ...]], ...]:
        """The kinds of identifiers that the owner has, by priority, and the source's columns of each.

        Args:
            person: source columns by kind, as the owner's settings say. Where they say nothing, the column
                that holds the person is of the first kind.
            columns: source columns by room column.

        Raises:
            InputError: a kind is not the room's, or has no columns.
        """
        unknown = sorted(set(person) - {i.kind for i in self.identifiers})
        if unknown:
            raise InputError(
                f"table {self.table.name}: the room has no identifier {unknown[0]!r}; it has "
                f"{', '.join(i.kind for i in self.identifiers)}"
            )
        if not person:
            return ((self.identifiers[0], (columns.get(self.person, self.person),)),)
        empty = sorted(kind for kind, names in person.items() if not names)
        if empty:
            raise InputError(f"table {self.table.name}: identifier {empty[0]} has no columns")
        return tuple((i, tuple(person[i.kind])) for i in self.identifiers if i.kind in person)
