# SPDX-License-Identifier: Apache-2.0
"""Tables of an agreement: columns against their protection, rules against columns."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hitoku import limits
from hitoku.room.table import Column, ColumnProtection, ColumnType, Table

CLEAR = [
    {"name": "region", "type": "string", "protection": "cleartext"},
    {"name": "spend", "type": "decimal", "precision": 12, "scale": 2, "protection": "cleartext"},
    {"name": "phone", "type": "string", "protection": "fingerprint"},
    {"name": "name_sealed", "type": "string", "protection": "sealed"},
]


def rule(**changes: Any) -> dict[str, Any]:
    return {
        "type": "aggregation",
        "aggregate_columns": [{"column_names": ["spend"], "function": "SUM"}],
        "join_columns": ["phone"],
        "dimension_columns": ["region"],
        "output_constraints": [{"column_name": "phone", "minimum": 5, "type": "COUNT_DISTINCT"}],
    } | changes


def table(**changes: Any) -> Table:
    return Table.model_validate({"name": "customers", "owner": "shop", "columns": CLEAR} | changes)


def refused(words: str, **changes: Any) -> None:
    with pytest.raises(ValidationError, match=words):
        table(**changes)


def test_a_table_and_its_columns() -> None:
    made = table(rule=rule())
    spend = made.column("spend")
    assert spend is not None
    assert (spend.precision, spend.scale, spend.nullable) == (12, 2, True)
    assert made.column("nothing") is None


@pytest.mark.parametrize("kind", list(ColumnType))
def test_types_that_can_be_fingerprints_have_a_class(kind: ColumnType) -> None:
    decimal = {"precision": 4, "scale": 1} if kind is ColumnType.DECIMAL else {}
    column = {"name": "a", "type": kind, "protection": "fingerprint", **decimal}
    if kind.equivalence_class is None:
        with pytest.raises(ValidationError, match="cannot be a fingerprint"):
            Column.model_validate(column)
    else:
        assert Column.model_validate(column).protection is ColumnProtection.FINGERPRINT


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"precision": 4}, "belong to decimals"),
        ({"type": "decimal"}, "belong to decimals"),
        ({"type": "decimal", "precision": 4}, "belong to decimals"),
        ({"type": "decimal", "precision": 4, "scale": 5}, "scale is larger"),
        ({"type": "decimal", "precision": 38, "scale": 1}, "digits before and after"),
        ({"type": "decimal", "precision": 39, "scale": 1}, "less than or equal to 38"),
        ({"name": "a;b"}, "valid target header|should match|pattern"),
        ({"other": 1}, "Extra inputs"),
    ],
)
def test_columns_that_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Column.model_validate({"name": "a", "type": "int", "protection": "cleartext"} | changes)


def test_wide_decimals_may_be_sealed() -> None:
    wide = {"name": "a", "type": "decimal", "precision": 38, "scale": 0}
    assert Column.model_validate(wide | {"protection": "sealed"}).precision == 38
    assert limits.MAX_DECIMAL_SIDE < 38


def test_tables_that_are_refused() -> None:
    refused("two columns have one name", columns=[*CLEAR, CLEAR[0]])
    refused("at least 1", columns=[])
    refused("names unknown columns", rule=rule(join_columns=["nobody"]))
    refused("names unknown columns", rule=rule(dimension_columns=["nobody"]))
    refused("must be cleartext", rule=rule(dimension_columns=["phone"]))
    refused("can neither join nor be counted", rule=rule(join_columns=["name_sealed"]))
    refused("needs a cleartext number", rule=rule(
        aggregate_columns=[{"column_names": ["region"], "function": "SUM"}]))  # fmt: skip
    refused("has no distinct count", rule=rule(
        aggregate_columns=[{"column_names": ["name_sealed"], "function": "COUNT_DISTINCT"}]))  # fmt: skip
    refused("names unknown columns", rule={
        "type": "list", "join_columns": ["phone"], "list_columns": ["nobody"]})  # fmt: skip
