# SPDX-License-Identifier: Apache-2.0
"""What a table's owner allows to be asked of it. Field names and meanings are AWS Clean Rooms'.

A table without a rule cannot be asked at all. Where a question touches several tables, all their
rules apply and the strictest wins.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from hitoku import limits

__all__ = [
    "ANY_QUERY",
    "AccessBudget",
    "AccessBudgetType",
    "AdditionalAnalyses",
    "AggregateColumn",
    "AggregateExpressions",
    "AggregateFunction",
    "AggregationRule",
    "AggregationThreshold",
    "ColumnBounds",
    "ColumnName",
    "ComparisonControls",
    "CustomRule",
    "DifferentialPrivacy",
    "JoinOperator",
    "ListRule",
    "OutputColumnThreshold",
    "OutputConstraint",
    "PrivacyColumn",
    "PublicValues",
    "Rule",
    "ScalarFunction",
]

ANY_QUERY: Final = "ANY_QUERY"
"""What `CustomRule.allowed_analyses` says where any question of the named members may be asked."""


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


class AdditionalAnalyses(StrEnum):
    """Whether the answer may, must or must not go on into a further analysis (inference, learning)."""

    ALLOWED = "ALLOWED"
    REQUIRED = "REQUIRED"
    NOT_ALLOWED = "NOT_ALLOWED"


class AggregateExpressions(StrEnum):
    """What may stand inside an aggregate under an aggregation threshold."""

    COLUMNS_ONLY = "COLUMNS_ONLY"
    ANY_EXPRESSION = "ANY_EXPRESSION"


class OutputColumnThreshold(_Part):
    """A threshold of its own for one output column: 0 exempts it."""

    output_column_name: ColumnName
    minimum_identity_count: int = Field(ge=0, le=limits.MAX_THRESHOLD, strict=True)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.minimum_identity_count == 1:
            raise ValueError("minimumIdentityCount is 0, or 2 and more: one person is no crowd")
        return self


class AggregationThreshold(_Part):
    """Every output group must rest on so many distinct identities."""

    identity_columns: tuple[ColumnName, ...] = Field(min_length=1, max_length=1)
    minimum_identity_count: int = Field(ge=limits.MIN_THRESHOLD, le=limits.MAX_THRESHOLD, strict=True)
    type: Literal["COUNT_DISTINCT"] = "COUNT_DISTINCT"
    output_column_thresholds: tuple[OutputColumnThreshold, ...] = ()
    allowed_aggregate_expression_type: AggregateExpressions = AggregateExpressions.COLUMNS_ONLY

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [t.output_column_name for t in self.output_column_thresholds]
        if len(set(names)) != len(names):
            raise ValueError("outputColumnThresholds names a column twice")
        return self


class ComparisonControls(_Part):
    """Which columns may be compared with literals, and which with other columns; all others may not."""

    allowed_literal_comparison_columns: tuple[ColumnName, ...]
    allowed_column_comparison_columns: tuple[ColumnName, ...]


class PrivacyColumn(_Part):
    """The column whose values are the units of privacy: one value, one person."""

    name: ColumnName


class ColumnBounds(_Part):
    """What one row may count in a SUM or AVG of a column: values are clamped to ``lower..upper``.

    Sums are exact integers in units of ``10 ** -decimals`` (Casacuberta et al. 2022: floating-point sums have
    a larger sensitivity than they seem to).
    """

    column_name: ColumnName
    lower: int = Field(ge=-limits.MAX_CLAMP, le=limits.MAX_CLAMP, strict=True)
    upper: int = Field(ge=-limits.MAX_CLAMP, le=limits.MAX_CLAMP, strict=True)
    decimals: int = Field(default=0, ge=0, le=6, strict=True)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.lower >= self.upper:
            raise ValueError("bounds: lower must be less than upper")
        return self


class PublicValues(_Part):
    """All values that a grouping column can have, if they are no secret: groups of them need no threshold."""

    column_name: ColumnName
    values: tuple[Annotated[str, Field(max_length=limits.MAX_HEADER_CHARS)], ...] = Field(
        min_length=1, max_length=limits.MAX_PUBLIC_VALUES
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.values)) != len(self.values):
            raise ValueError("publicValues lists a value twice")
        return self


class DifferentialPrivacy(_Part):
    """Answers carry noise that hides one unit. `columns` is AWS's; the bounds are hitoku's own.

    Attributes:
        columns: the unit's column, one.
        unit: the account it is charged to, one name for all tables of the same people; the column's name
            where None.
        max_rows_per_group: so many rows of one unit count in one group at most.
        max_groups: one unit counts in so many groups at most.
        bounds: clamps; a column without one can be counted, not summed.
        public_values: domains of grouping columns that are no secret.
    """

    columns: tuple[PrivacyColumn, ...] = Field(min_length=1, max_length=1)
    unit: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")] | None = None
    max_rows_per_group: int = Field(default=1, ge=1, le=limits.MAX_ROWS_PER_GROUP, strict=True)
    max_groups: int = Field(default=1, ge=1, le=limits.MAX_GROUPS_PER_UNIT, strict=True)
    bounds: tuple[ColumnBounds, ...] = ()
    public_values: tuple[PublicValues, ...] = ()

    @property
    def column(self) -> str:
        """The unit's column."""
        return self.columns[0].name

    @property
    def account(self) -> str:
        """The unit's name."""
        return self.unit or self.column

    @model_validator(mode="after")
    def _check(self) -> Self:
        for what, names in (
            ("bounds", [b.column_name for b in self.bounds]),
            ("publicValues", [p.column_name for p in self.public_values]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"{what} names a column twice")
        return self


Analysis = Annotated[str, Field(pattern=r"^(ANY_QUERY|sha256:[0-9a-f]{64})$")]


class CustomRule(_Part):
    """Approved analyses, or any question of named members, within controls. Field names are AWS's.

    Attributes:
        allowed_analyses: hashes of approved templates (`hitoku.questions.templates`), or `ANY_QUERY`.
        allowed_analysis_providers: the members whose questions `ANY_QUERY` means.
        additional_analyses: whether answers may go on into inference or learning; NOT_ALLOWED where None.
        disallowed_output_columns: columns that come out inside aggregates only.
        differential_privacy: noise and budgets.
        aggregation_thresholds: at most one; not together with `differential_privacy`.
        comparison_controls: not together with `differential_privacy`.
        allowed_result_receivers: who may receive answers; every receiver of the room where None.
        overlap_columns: hitoku's own, with thresholds: what two questions ask of these columns must be
            equal or disjoint. Decided on the questions' text, never on rows.
    """

    type: Literal["custom"] = "custom"
    allowed_analyses: tuple[Analysis, ...] = Field(min_length=1)
    allowed_analysis_providers: tuple[str, ...] = ()
    additional_analyses: AdditionalAnalyses | None = None
    disallowed_output_columns: tuple[ColumnName, ...] = ()
    differential_privacy: DifferentialPrivacy | None = None
    aggregation_thresholds: tuple[AggregationThreshold, ...] = Field(default=(), max_length=1)
    comparison_controls: ComparisonControls | None = None
    allowed_result_receivers: tuple[str, ...] | None = None
    overlap_columns: tuple[ColumnName, ...] = ()

    @property
    def any_query(self) -> bool:
        """Whether any question of the named members is allowed, not templates alone."""
        return ANY_QUERY in self.allowed_analyses

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.any_query and not self.allowed_analysis_providers:
            raise ValueError("ANY_QUERY needs allowedAnalysisProviders: whose questions?")
        if self.any_query and len(self.allowed_analyses) > 1:
            raise ValueError("ANY_QUERY allows every template already: list it alone")
        if self.differential_privacy and (self.aggregation_thresholds or self.comparison_controls):
            raise ValueError(
                "differentialPrivacy goes with neither aggregationThresholds nor comparisonControls: "
                "an exact threshold would tell what the noise hides"
            )
        if self.overlap_columns and not self.aggregation_thresholds:
            raise ValueError("overlapColumns needs aggregationThresholds: with noise nothing is gained by it")
        return self


class AccessBudgetType(StrEnum):
    """The window that an access budget counts questions in. Weeks begin on Monday; all times are UTC."""

    CALENDAR_DAY = "CALENDAR_DAY"
    CALENDAR_WEEK = "CALENDAR_WEEK"
    CALENDAR_MONTH = "CALENDAR_MONTH"
    LIFETIME = "LIFETIME"


class AccessBudget(_Part):
    """So many questions of a table in one window."""

    type: AccessBudgetType
    budget: int = Field(ge=0, le=limits.MAX_ACCESS_BUDGET, strict=True)


Rule = Annotated[AggregationRule | ListRule | CustomRule, Field(discriminator="type")]
