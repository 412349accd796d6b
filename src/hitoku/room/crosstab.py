# SPDX-License-Identifier: Apache-2.0
"""What members agree on for private cross statistics: how people are recognised, and what is made of rows.

Two owners compute without showing each other a row, so both must have agreed before what one person's
identifier looks like and how several rows of a person become one. All of it is public and signed. The domains
of dimensions are the rules' ``publicValues``, the bounds of values the rules' ``bounds``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from hitoku import limits
from hitoku.room.naming import AgreementPart
from hitoku.room.rules import ColumnName

__all__ = ["Crosstab", "CrosstabTable", "Duplicates", "Merge", "Normalise", "Other", "PersonIdentifier"]


class Normalise(StrEnum):
    """A step by which spellings of one identifier become one text; the steps run in the order given."""

    TRIM = "trim"
    NFKC = "nfkc"
    CASEFOLD = "casefold"
    DIGITS = "digits"
    ALNUM = "alnum"
    E164 = "e164"


class Merge(StrEnum):
    """What several rows of one person become."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


class PersonIdentifier(AgreementPart):
    """A kind of identifier, e.g. a phone number; its name is part of what is hashed.

    Attributes:
        kind: its name.
        normalise: the steps.
    """

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    normalise: Annotated[tuple[Normalise, ...], Field(max_length=8)] = (
        Normalise.NFKC,
        Normalise.TRIM,
        Normalise.CASEFOLD,
    )


class Other(AgreementPart):
    """Values of a dimension outside its public values count as `value`, which is one of these."""

    column_name: ColumnName
    value: Annotated[str, Field(max_length=limits.MAX_HEADER_CHARS)]


class Duplicates(AgreementPart):
    """How the values of several rows of a person become one, before it is clamped."""

    column_name: ColumnName
    merge: Merge


class CrosstabTable(AgreementPart):
    """One table in private cross statistics.

    Attributes:
        table: its name.
        other: where rows outside a dimension's public values go; without it such rows are left out.
        duplicates: how values of one person's rows are merged; the sum where nothing is said. Of a dimension
            the smallest value is taken.
    """

    table: Annotated[str, Field(max_length=limits.MAX_NAME_CHARS)]
    other: Annotated[tuple[Other, ...], Field(max_length=limits.MAX_TABLE_COLUMNS)] = ()
    duplicates: Annotated[tuple[Duplicates, ...], Field(max_length=limits.MAX_TABLE_COLUMNS)] = ()


class Crosstab(AgreementPart):
    """Private cross statistics in a room.

    Attributes:
        identifiers: the kinds of identifiers, the first one first: of each person one is used, the first that
            its owner has. Two owners that use different kinds for one person do not find each other's.
        calling_code: the country's calling code for phone numbers written without one, e.g. ``81``.
        tables: the tables that may be computed so.
    """

    identifiers: Annotated[tuple[PersonIdentifier, ...], Field(min_length=1, max_length=8)]
    calling_code: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")] | None = None
    tables: Annotated[tuple[CrosstabTable, ...], Field(min_length=2, max_length=limits.MAX_TABLES)]

    def table(self, name: str) -> CrosstabTable | None:
        """What is agreed on for a table, if it is in."""
        return next((t for t in self.tables if t.table == name), None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for what, names in (
            ("identifiers", [i.kind for i in self.identifiers]),
            ("tables", [t.table for t in self.tables]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"crosstab: two {what} are the same")
        if self.calling_code is None and any(Normalise.E164 in i.normalise for i in self.identifiers):
            raise ValueError("crosstab: the step e164 needs calling_code")
        return self
