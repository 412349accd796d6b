# SPDX-License-Identifier: Apache-2.0
"""What a table's owner allows to be asked of it. Field names and meanings are AWS Clean Rooms'.

A table without a rule cannot be asked at all. Where a question touches several tables, all their
rules apply and the strictest wins.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from hitoku import limits

__all__ = [
    "AggregateColumn",
    "AggregateFunction",
    "AggregationRule",
    "JoinOperator",
    "ListRule",
    "OutputConstraint",
    "Rule",
    "ScalarFunction",
]


class AggregateFunction(StrEnum):
    """The aggregates that an aggregation rule may allow."""

    COUNT = "COUNT"
    COUNT_DISTINCT = "COUNT_DISTINCT"
    SUM = "SUM"
    SUM_DISTINCT = "SUM_DISTINCT"
    AVG = "AVG"


class JoinOperator(StrEnum):
    """How several join conditions may be combined; `AND` and `OR` are refused unless listed."""

    AND = "AND"
    OR = "OR"


class ScalarFunction(StrEnum):
    """The scalar functions that an aggregation rule may allow on dimension columns (AWS's list)."""

    ABS = "ABS"
    CAST = "CAST"
    CEILING = "CEILING"
    COALESCE = "COALESCE"
    CONVERT = "CONVERT"
    CURRENT_DATE = "CURRENT_DATE"
    DATEADD = "DATEADD"
    EXTRACT = "EXTRACT"
    FLOOR = "FLOOR"
    GETDATE = "GETDATE"
    LN = "LN"
    LOG = "LOG"
    LOWER = "LOWER"
    ROUND = "ROUND"
    RTRIM = "RTRIM"
    SQRT = "SQRT"
    SUBSTRING = "SUBSTRING"
    TO_CHAR = "TO_CHAR"
    TO_DATE = "TO_DATE"
    TO_NUMBER = "TO_NUMBER"
    TO_TIMESTAMP = "TO_TIMESTAMP"
    TRIM = "TRIM"
    TRUNC = "TRUNC"
    UPPER = "UPPER"


def _folded(name: str) -> str:
    return name.strip().lower()


ColumnName = Annotated[str, Field(min_length=1, max_length=limits.MAX_HEADER_CHARS), AfterValidator(_folded)]
"""A column's name as its target header: trimmed and lower-cased."""


class _Part(BaseModel):
    # AWS writes camelCase; Python reads snake_case; both are accepted, camelCase is canonical.
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


class AggregateColumn(_Part):
    """Columns and one aggregate that may be computed of them."""

    column_names: tuple[ColumnName, ...] = Field(min_length=1)
    function: AggregateFunction


class OutputConstraint(_Part):
    """Every output row must rest on at least `minimum` distinct values of `column_name`."""

    column_name: ColumnName
    minimum: int = Field(ge=limits.MIN_THRESHOLD, le=limits.MAX_THRESHOLD, strict=True)
    type: Literal["COUNT_DISTINCT"] = "COUNT_DISTINCT"


class AggregationRule(_Part):
    """Statistics only: aggregates of the listed columns, grouped by the listed dimensions."""

    type: Literal["aggregation"] = "aggregation"
    aggregate_columns: tuple[AggregateColumn, ...] = Field(min_length=1)
    join_columns: tuple[ColumnName, ...] = ()
    join_required: Literal["QUERY_RUNNER"] | None = None
    allowed_join_operators: tuple[JoinOperator, ...] = ()
    dimension_columns: tuple[ColumnName, ...] = ()
    scalar_functions: tuple[ScalarFunction, ...] = ()
    output_constraints: tuple[OutputConstraint, ...] = Field(min_length=1)


class ListRule(_Part):
    """The rows that both sides have: the listed columns of matched rows only."""

    type: Literal["list"] = "list"
    join_columns: tuple[ColumnName, ...] = Field(min_length=1)
    list_columns: tuple[ColumnName, ...] = Field(min_length=1)
    allowed_join_operators: tuple[JoinOperator, ...] = ()


Rule = Annotated[AggregationRule | ListRule, Field(discriminator="type")]
