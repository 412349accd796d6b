# SPDX-License-Identifier: Apache-2.0
"""A table of an agreement: its columns, what protects them, and the rule that questions on it stand under."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from hitoku import limits
from hitoku.room.naming import AgreementPart, Name, says_nothing
from hitoku.room.rules import (
    AccessBudget,
    AggregateFunction,
    AggregationRule,
    ColumnName,
    CustomRule,
    ListRule,
    Rule,
)

__all__ = ["Column", "ColumnProtection", "ColumnType", "Table"]

_HEADER = re.compile(r"[a-z0-9_](([a-z0-9_ ]+-)*([a-z0-9_ ]+))?")


class ColumnProtection(StrEnum):
    """What a column is where it leaves its owner's node."""

    FINGERPRINT = "fingerprint"
    SEALED = "sealed"
    CLEARTEXT = "cleartext"


class ColumnType(StrEnum):
    """The type of a column's values before protection."""

    STRING = "string"
    SMALLINT = "smallint"
    INT = "int"
    BIGINT = "bigint"
    BOOLEAN = "boolean"
    DATE = "date"
    DECIMAL = "decimal"
    FLOAT = "float"
    DOUBLE = "double"
    TIMESTAMP = "timestamp"

    @property
    def equivalence_class(self) -> str | None:
        """The class within which fingerprints can be equal (AWS C3R); None where it has none."""
        return {
            ColumnType.STRING: "STRING",
            ColumnType.SMALLINT: "BIGINT",
            ColumnType.INT: "BIGINT",
            ColumnType.BIGINT: "BIGINT",
            ColumnType.BOOLEAN: "BOOLEAN",
            ColumnType.DATE: "DATE",
        }.get(self)

    @property
    def is_number(self) -> bool:
        """Whether SUM and AVG make sense."""
        return self in {
            ColumnType.SMALLINT,
            ColumnType.INT,
            ColumnType.BIGINT,
            ColumnType.DECIMAL,
            ColumnType.FLOAT,
            ColumnType.DOUBLE,
        }


class Column(AgreementPart):
    """One contributed column, named by its target header."""

    name: ColumnName
    type: ColumnType
    protection: ColumnProtection
    nullable: bool = True
    precision: Annotated[int, Field(ge=1, le=38)] | None = None
    scale: Annotated[int, Field(ge=0, le=38)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not _HEADER.fullmatch(self.name):
            raise ValueError(f"column {self.name!r}: not a valid target header")
        if self.protection is ColumnProtection.FINGERPRINT and self.type.equivalence_class is None:
            raise ValueError(f"column {self.name!r}: a {self.type} cannot be a fingerprint column")
        decimal = self.type is ColumnType.DECIMAL
        if decimal != (self.precision is not None) or decimal != (self.scale is not None):
            raise ValueError(f"column {self.name!r}: precision and scale belong to decimals, both")
        if self.precision is not None and self.scale is not None and self.scale > self.precision:
            raise ValueError(f"column {self.name!r}: scale is larger than precision")
        # Any two cleartext decimals, and any whole number, have a common type that no value overflows:
        # whether a comparison fails would tell of the values.
        sides = ((self.precision or 0) - (self.scale or 0), self.scale or 0)
        if self.protection is ColumnProtection.CLEARTEXT and max(sides) > limits.MAX_DECIMAL_SIDE:
            raise ValueError(
                f"column {self.name!r}: a cleartext decimal has at most {limits.MAX_DECIMAL_SIDE} digits "
                "before and after the point each"
            )
        return self


class Table(AgreementPart):
    """One contributed table and the rule for questions on it. No rule: no question."""

    name: Name
    owner: Name
    columns: tuple[Column, ...] = Field(min_length=1, max_length=limits.MAX_TABLE_COLUMNS)
    rule: Rule | None = None
    access_budgets: Annotated[tuple[AccessBudget, ...], Field(max_length=4, exclude_if=says_nothing)] = ()
    """How many questions of this table its owner allows in a calendar window."""

    def column(self, name: str) -> Column | None:
        """The column of that name, if there is one."""
        return next((c for c in self.columns if c.name == name), None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [c.name for c in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name!r}: two columns have one name")
        kinds = [budget.type for budget in self.access_budgets]
        if len(set(kinds)) != len(kinds):
            raise ValueError(f"table {self.name!r}: two access budgets are of one window")
        if isinstance(self.rule, CustomRule):
            self._check_custom(self.rule)
        elif self.rule is not None:
            self._check_rule(self.rule)
        return self

    def _check_custom(self, rule: CustomRule) -> None:
        controls, privacy = rule.comparison_controls, rule.differential_privacy
        identities = tuple(n for t in rule.aggregation_thresholds for n in t.identity_columns)
        fields: dict[str, tuple[str, ...]] = {
            "disallowedOutputColumns": rule.disallowed_output_columns,
            "overlapColumns": rule.overlap_columns,
            "aggregationThresholds": (
                *identities,
                *(
                    o.output_column_name
                    for t in rule.aggregation_thresholds
                    for o in t.output_column_thresholds
                ),
            ),
        }
        if controls is not None:
            fields["comparisonControls"] = (
                *controls.allowed_literal_comparison_columns,
                *controls.allowed_column_comparison_columns,
            )
        if privacy is not None:
            fields["differentialPrivacy"] = (
                privacy.column,
                *(b.column_name for b in privacy.bounds),
                *(p.column_name for p in privacy.public_values),
            )
        for field, names in fields.items():
            missing = [n for n in names if self.column(n) is None]
            if missing:
                raise ValueError(f"table {self.name!r}: rule.{field} names unknown columns {missing}")
        for name in (*identities, *((privacy.column,) if privacy is not None else ())):
            column = self.column(name)
            if column is not None and column.protection is ColumnProtection.SEALED:
                raise ValueError(f"table {self.name!r}: sealed column {name!r} cannot be counted")
        for name in identities:
            # Whoever compares it with a literal asks about the person that the literal names.
            if controls is not None and name in controls.allowed_literal_comparison_columns:
                raise ValueError(
                    f"table {self.name!r}: the identity column {name!r} cannot be compared with literals"
                )
        for name in rule.overlap_columns:
            column = self.column(name)
            if column is not None and (
                column.protection is not ColumnProtection.CLEARTEXT
                or column.type in {ColumnType.FLOAT, ColumnType.DOUBLE}
            ):
                raise ValueError(
                    f"table {self.name!r}: overlapColumns need cleartext that is compared exactly, "
                    f"{name!r} is {column.protection} {column.type}"
                )
        if privacy is not None:
            for bound in privacy.bounds:
                column = self.column(bound.column_name)
                if column is not None and (
                    column.protection is not ColumnProtection.CLEARTEXT or not column.type.is_number
                ):
                    raise ValueError(
                        f"table {self.name!r}: bounds need a cleartext number, {column.name!r} is "
                        f"{column.protection} {column.type}"
                    )
            for public in privacy.public_values:
                column = self.column(public.column_name)
                if column is not None and (
                    column.protection is not ColumnProtection.CLEARTEXT
                    or column.type is not ColumnType.STRING
                ):
                    raise ValueError(
                        f"table {self.name!r}: publicValues need a cleartext string, {column.name!r} is "
                        f"{column.protection} {column.type}"
                    )

    def _check_rule(self, rule: AggregationRule | ListRule) -> None:
        def known(field: str, names: tuple[str, ...]) -> None:
            missing = [n for n in names if self.column(n) is None]
            if missing:
                raise ValueError(f"table {self.name!r}: rule.{field} names unknown columns {missing}")

        known("joinColumns", rule.join_columns)
        if isinstance(rule, ListRule):
            known("listColumns", rule.list_columns)
            return
        known("dimensionColumns", rule.dimension_columns)
        known("outputConstraints", tuple(c.column_name for c in rule.output_constraints))
        for aggregate in rule.aggregate_columns:
            known("aggregateColumns", aggregate.column_names)
            for name in aggregate.column_names:
                self._check_aggregate(name, aggregate.function)
        for name in rule.dimension_columns:
            column = self.column(name)
            if column is not None and column.protection is not ColumnProtection.CLEARTEXT:
                raise ValueError(f"table {self.name!r}: dimension column {name!r} must be cleartext")
        for name in (*rule.join_columns, *(c.column_name for c in rule.output_constraints)):
            column = self.column(name)
            if column is not None and column.protection is ColumnProtection.SEALED:
                raise ValueError(
                    f"table {self.name!r}: sealed column {name!r} can neither join nor be counted"
                )

    def _check_aggregate(self, name: str, function: AggregateFunction) -> None:
        column = self.column(name)
        if column is None:
            return
        counting = function in {AggregateFunction.COUNT, AggregateFunction.COUNT_DISTINCT}
        if not counting and (
            column.protection is not ColumnProtection.CLEARTEXT or not column.type.is_number
        ):
            raise ValueError(
                f"table {self.name!r}: {function} needs a cleartext number, {name!r} is "
                f"{column.protection} {column.type}"
            )
        if function is AggregateFunction.COUNT_DISTINCT and column.protection is ColumnProtection.SEALED:
            raise ValueError(f"table {self.name!r}: sealed column {name!r} has no distinct count")
