# SPDX-License-Identifier: Apache-2.0
"""What members agree on for secret-shared tables: which three compute, and what is public of the tables.

Each of the three servers sees shares that tell nothing, as long as no two of them put theirs together: so
they are three members, and who agrees on them says whom it trusts not to be one with another. Sizes and
bounds that are declared here are public and signed; what is not declared is rounded up when a question is
asked.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from hitoku import limits
from hitoku.room.rules import ColumnName

__all__ = ["SERVERS", "Shares", "SharesColumn", "SharesTable"]

SERVERS: Final = 3
_EPOCH: Final = date(1970, 1, 1)


def _empty(value: object) -> bool:
    return value is None or value == ()


def _days(value: object) -> object:
    """A date, as YAML reads it or as text, is the number of days since 1970-01-01."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            return value
    return (value - _EPOCH).days if type(value) is date else value


Bound = Annotated[int, BeforeValidator(_days), Field(strict=True, ge=-(2**53) + 1, le=2**53 - 1)]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


class SharesColumn(_Part):
    """What is public of a column's values.

    Attributes:
        column_name: the column.
        lower: no value is below it: of a number the number itself, of a date days since 1970-01-01 (a date
            can be written as one).
        upper: no value is above it.
        decimals: of floating-point columns: values are rounded to so many digits behind the point, and are
            exact from there on.
    """

    column_name: ColumnName
    lower: Annotated[Bound | None, Field(exclude_if=_empty)] = None
    upper: Annotated[Bound | None, Field(exclude_if=_empty)] = None
    decimals: Annotated[int | None, Field(ge=0, le=12, strict=True, exclude_if=_empty)] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.lower is None) != (self.upper is None):
            raise ValueError(f"shares: column {self.column_name!r}: lower and upper are given together")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"shares: column {self.column_name!r}: lower is above upper")
        return self


class SharesTable(_Part):
    """What is public of a table.

    Attributes:
        table: its name.
        rows: so many rows are shared, padded; what it has is rounded up where nothing is said.
        columns: of its columns.
        unique: each a list of columns of which no two rows have the same values; the owner checks it.
        repeats: no values of columns that rows are joined by are in more rows than this.
    """

    table: Annotated[str, Field(max_length=limits.MAX_NAME_CHARS)]
    rows: Annotated[int | None, Field(ge=1, le=limits.MAX_SHARES_ROWS, strict=True, exclude_if=_empty)] = None
    columns: Annotated[
        tuple[SharesColumn, ...], Field(max_length=limits.MAX_TABLE_COLUMNS, exclude_if=_empty)
    ] = ()
    unique: Annotated[
        tuple[Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=16)], ...],
        Field(max_length=16, exclude_if=_empty),
    ] = ()
    repeats: Annotated[int | None, Field(ge=1, le=1024, strict=True, exclude_if=_empty)] = None

    def column(self, name: str) -> SharesColumn | None:
        """What is public of a column, if anything is said."""
        return next((c for c in self.columns if c.column_name == name), None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [c.column_name for c in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"shares: table {self.table!r}: two columns are the same")
        for key in self.unique:
            if len(set(key)) != len(key):
                raise ValueError(f"shares: table {self.table!r}: unique names a column twice")
        return self


class Shares(_Part):
    """Secret-shared tables in a room.

    Attributes:
        servers: the three members that compute; the first one leads runs. Any two of them together could read
            what is shared.
        tables: what is public of tables; of others nothing is declared.
    """

    servers: Annotated[
        tuple[Annotated[str, Field(max_length=limits.MAX_NAME_CHARS)], ...],
        Field(min_length=SERVERS, max_length=SERVERS),
    ]
    tables: Annotated[tuple[SharesTable, ...], Field(max_length=limits.MAX_TABLES, exclude_if=_empty)] = ()

    def table(self, name: str) -> SharesTable | None:
        """What is public of a table, if anything is said."""
        return next((t for t in self.tables if t.table == name), None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.servers)) != SERVERS:
            raise ValueError("shares: the three servers are three different members")
        names = [t.table for t in self.tables]
        if len(set(names)) != len(names):
            raise ValueError("shares: two tables are the same")
        return self
