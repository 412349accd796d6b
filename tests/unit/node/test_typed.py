# SPDX-License-Identifier: Apache-2.0
"""A table whose values are not of the types that the room declares is found out before a question."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hitoku.errors import InputError
from hitoku.node.typed import check_types
from hitoku.room.agreement import Table
from hitoku.sources.uri import open_uri

COLUMNS = [
    {"name": "id", "type": "string", "protection": "fingerprint", "nullable": False},
    {"name": "nights", "type": "bigint", "protection": "cleartext"},
    {"name": "paid", "type": "decimal", "precision": 6, "scale": 2, "protection": "cleartext"},
    {"name": "since", "type": "date", "protection": "sealed"},
    {"name": "member", "type": "boolean", "protection": "cleartext"},
]
TABLE = Table.model_validate({"name": "guests", "owner": "aoi", "columns": COLUMNS})
FINE = ("a,1,2.50,2026-01-31,true", "b,,,,", "c,-7,0.1,1999-12-01,FALSE")


def checked(place, *lines, columns=None):
    path = place / "guests.csv"
    path.write_text("\n".join(["id,nights,paid,since,member", *lines]) + "\n", "utf-8")
    return check_types(TABLE, open_uri("guests.csv", place), columns or {}, place)


def test_a_table_of_the_declared_types_is_counted(tmp_path):
    assert checked(tmp_path, *FINE) == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("d,PLANTED,1.00,2026-01-31,true", "column nights: no bigint"),
        ("d,99999999999999999999,1.00,2026-01-31,true", "column nights: no bigint"),
        ("d,1,PLANTED,2026-01-31,true", r"column paid: no decimal\(6,2\)"),
        ("d,1,123456.00,2026-01-31,true", r"column paid: no decimal\(6,2\)"),
        ("d,1,1.00,2026-02-31,true", "column since: no date"),
        ("d,1,1.00,2026-01-31,PLANTED", "column member: no boolean"),
        (",1,1.00,2026-01-31,true", "column id: no value, though the room says there always is one"),
    ],
)
def test_another_value_is_told_by_its_row_and_not_quoted(tmp_path, line, said):
    with pytest.raises(InputError, match=rf"table guests: {said} in 1 row, first in row 4;") as caught:
        checked(tmp_path, *FINE, line)
    assert "PLANTED" not in str(caught.value)


def test_all_columns_and_all_rows_are_told_of(tmp_path):
    lines = [*FINE * 20_000, "d,x,1.00,2026-01-31,true", *FINE, "d,y,1.00,no,true"]
    with pytest.raises(InputError) as caught:
        checked(tmp_path, *lines)
    assert "column nights: no bigint in 2 rows, first in row 60,001;" in str(caught.value)
    assert "column since: no date in 1 row, first in row 60,005;" in str(caught.value)


def test_columns_under_other_names_and_of_other_types(tmp_path):
    rows = {
        "key": ["a", "b"],
        "n": [1, None],
        "sum": [1.5, 2.0],
        "day": ["2026-01-31", None],
        "m": [True, False],
    }
    pq.write_table(pa.table(rows), tmp_path / "guests.parquet")
    names = {"id": "key", "nights": "n", "paid": "sum", "since": "day", "member": "m"}
    source = open_uri("guests.parquet", tmp_path)
    assert check_types(TABLE, source, names, tmp_path) == 2
    with pytest.raises(InputError, match="column nights: no bigint in 2 rows, first in row 1;"):
        check_types(TABLE, source, names | {"nights": "key"}, tmp_path)
    with pytest.raises(InputError, match="has no column"):
        check_types(TABLE, source, names | {"nights": "gone"}, tmp_path)


def test_a_row_that_cannot_be_read_is_told_by_its_number(tmp_path):
    with pytest.raises(InputError, match="row 4"):
        checked(tmp_path, *FINE, "d,1")
