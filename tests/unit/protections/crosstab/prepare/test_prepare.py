# SPDX-License-Identifier: Apache-2.0
"""From a table to one row a person, against the same in plain Python, written from the specification."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.errors import InputError
from hitoku.protections.crosstab.prepare import Dimension, Measure, Side, prepare, survey
from hitoku.protections.crosstab.prepare.columns import sql_type
from hitoku.protections.crosstab.prepare.spool import FOLDER
from hitoku.protections.tokens import views
from hitoku.questions.form import Family, Ref, Use, Value
from hitoku.room.agreement import Column, Table
from hitoku.room.crosstab import Merge, PersonIdentifier
from hitoku.room.rules import ColumnBounds
from hitoku.sources import open_source
from hitoku.sources.table import TableSource

SALT = bytes(range(32))
DOMAIN = ("north", "other", "south")
TABLE = Table(
    name="people",
    owner="airline",
    columns=(
        Column(name="person", type="string", protection="cleartext"),
        Column(name="area", type="string", protection="cleartext"),
        Column(name="band", type="string", protection="cleartext"),
        Column(name="stay", type="int", protection="cleartext"),
        Column(name="paid", type="decimal", precision=12, scale=4, protection="cleartext"),
        Column(name="weight", type="double", protection="cleartext"),
        Column(name="day", type="date", protection="cleartext"),
    ),
)


def side(**changes):
    given = {
        "table": TABLE,
        "person": "person",
        "identifiers": (PersonIdentifier(kind="mail"),),
        "dimensions": (Dimension("area", DOMAIN, "other"), Dimension("band", ("a", "b", "日"))),
        "measures": (
            Measure("stay", ColumnBounds(column_name="stay", lower=0, upper=5)),
            Measure("paid", ColumnBounds(column_name="paid", lower=-2, upper=10, decimals=2), Merge.MAX),
            Measure("weight", ColumnBounds(column_name="weight", lower=1, upper=3, decimals=1), Merge.MIN),
        ),
    }
    return Side(**{**given, **changes})


def condition(sql, *columns):
    node = sqlglot.parse_one(sql, dialect="duckdb")
    return Value(node, Family.BOOLEAN, tuple(Use(Ref("people", name)) for name in columns))


def identifier(text):
    made = unicodedata.normalize("NFKC", text or "").strip().casefold()
    return None if not made or "\x1f" in made else made


def reference(rows, keeps=lambda row: True):
    """The specification, row by row."""
    people: dict[bytes, list[tuple[int, int, dict[str, Any]]]] = {}
    for row in rows:
        who = identifier(row["person"])
        if who is None or not keeps(row) or row["band"] not in ("a", "b", "日"):
            continue
        area = row["area"] if row["area"] in DOMAIN else "other"
        key = hmac.new(SALT, b"mail\0" + who.encode(), hashlib.sha256).digest()
        people.setdefault(key, []).append((DOMAIN.index(area), ("a", "b", "日").index(row["band"]), row))
    made = []
    for key in sorted(people):
        own = people[key]

        def merged(column, decimals, how, low, high, own=own):
            values = [round(Fraction(r[column]) * 10**decimals) for _, _, r in own if r[column] is not None]
            scale = 10**decimals
            return max(low * scale, min(high * scale, how(values) if values else 0))

        group = min(a for a, _, _ in own) * 3 + min(b for _, b, _ in own)
        made.append(
            (
                key,
                group,
                merged("stay", 0, sum, 0, 5),
                merged("paid", 2, max, -2, 10),
                merged("weight", 1, min, 1, 3),
            )
        )
    return made


def rows_of(prepared):
    return list(
        zip(
            prepared.ids.to_pylist(),
            prepared.groups.to_pylist(),
            *(column.to_pylist() for column in prepared.values),
            strict=True,
        )
    )


SCHEMA = pa.schema(
    [
        ("person", pa.string()),
        ("area", pa.string()),
        ("band", pa.string()),
        ("stay", pa.int32()),
        ("paid", pa.decimal128(12, 4)),
        ("weight", pa.float64()),
    ]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "person": st.none()
            | st.sampled_from(["a@x", " A@X", "Ａ＠ｘ", "b", "ß", "SS", "", "  ", "c\x1fd", "é", "e\u0301"]),
            "area": st.none() | st.sampled_from(["north", "south", "other", "North", ""]),
            "band": st.none() | st.sampled_from(["a", "b", "日", "c"]),
            "stay": st.none() | st.integers(-3, 9),
            "paid": st.none() | st.integers(-50_000, 200_000).map(lambda n: Decimal(n).scaleb(-4)),
            "weight": st.none() | st.floats(-1, 5) | st.sampled_from([1.25, 1.35, 2.45]),
        }
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(rows=ROWS)
def test_prepared_is_what_the_specification_says(rows):
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    made = prepare(side(), TableSource(table), SALT)
    assert rows_of(made) == reference(rows)
    made.check(9, ((0, 5), (-200, 1_000), (10, 30)))
    again = prepare(side(), TableSource(pa.Table.from_pylist(rows[::-1], schema=SCHEMA)), SALT)
    assert again.digest == made.digest
    seen = survey(side(), TableSource(table))
    usable = [row for row in rows if identifier(row["person"]) is not None]
    assert (seen.rows, seen.unusable) == (len(rows), len(rows) - len(usable))
    assert seen.people == len({identifier(row["person"]) for row in usable})
    assert seen.duplicates == len(usable) - seen.people
    assert seen.outside["area"] == sum(row["area"] not in DOMAIN for row in usable)
    assert seen.missing["paid"] == sum(row["paid"] is None for row in usable)


@settings(max_examples=12, deadline=None)
@given(rows=ROWS)
def test_conditions_keep_the_rows_that_sql_keeps(rows):
    where = (condition('"people"."stay" >= 2 OR "people"."area" IS NULL', "stay", "area"),)
    made = prepare(side(conditions=where), TableSource(pa.Table.from_pylist(rows, schema=SCHEMA)), SALT)
    assert rows_of(made) == reference(
        rows, lambda row: row["area"] is None or (row["stay"] is not None and row["stay"] >= 2)
    )


def test_a_csv_file_gives_what_parquet_gives(tmp_path):
    rows = [
        {
            "person": f"p{i % 700}@x",
            "area": ["north", "south", "west"][i % 3],
            "band": "ab"[i % 2],
            "stay": i % 7,
        }
        | {"paid": Decimal(i).scaleb(-2).quantize(Decimal("0.0001")), "weight": i / 8}
        for i in range(1_000)
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    pa.csv.write_csv(table, tmp_path / "t.csv")
    where = (condition('"people"."weight" > 20 AND "people"."paid" < 9.5', "weight", "paid"),)
    for conditions in ((), where):
        made = [
            prepare(side(conditions=conditions), open_source(tmp_path / f"t.{kind}"), SALT, folder=tmp_path)
            for kind in ("parquet", "csv")
        ]
        assert made[0].digest == made[1].digest
        assert len(made[0]) > 100
    assert not list(tmp_path.glob(FOLDER + "*"))


def test_what_is_not_of_the_declared_type_counts_as_nothing(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        'Person,area,band,stay,paid,weight\np1,north,a,2,1,2\np2,north,a,many,x,\np3,"north",b,9,1.005,nan\n'
    )
    made = {row[0]: row[1:] for row in rows_of(prepare(side(), open_source(path), SALT))}
    ids = [hmac.new(SALT, b"mail\0" + p, hashlib.sha256).digest() for p in (b"p1", b"p2", b"p3")]
    assert made[ids[0]] == (0, 2, 100, 20)
    assert made[ids[1]] == (0, 0, 0, 10)
    assert made[ids[2]] == (1, 5, 100, 30)  # 1.005 is a tie of decimals: to even


def test_columns_and_identifiers_are_mapped():
    table = pa.table(
        {
            "Family": ["Sato", "sato", None],
            "given": ["Ai", "AI ", "X"],
            "no": [7, 8, 9],
            "where": ["north"] * 3,
        }
    )
    kinds = (PersonIdentifier(kind="name"), PersonIdentifier(kind="number", normalise=()))
    small = side(identifiers=kinds, dimensions=(Dimension("area", DOMAIN),), measures=())
    made = prepare(
        small,
        TableSource(table),
        SALT,
        columns={"area": "where"},
        person={"number": ("no",), "name": ("family", "given")},
    )
    expected = [
        hmac.new(SALT, text, hashlib.sha256).digest() for text in (b"name\0sato\x1fai", b"number\x009")
    ]
    assert made.ids.to_pylist() == sorted(expected)


def test_dates_identify_and_ids_of_other_kinds_never_match():
    import datetime

    table = pa.table({"person": ["1990-01-02"], "born": [datetime.date(1990, 1, 2)]})
    empty = {"dimensions": (), "measures": ()}
    one = PersonIdentifier(kind="x", normalise=())
    two = PersonIdentifier(kind="y", normalise=())
    text = prepare(side(identifiers=(one,), **empty), TableSource(table), SALT)
    date = prepare(side(identifiers=(one,), **empty), TableSource(table), SALT, person={"x": ["born"]})
    other = prepare(side(identifiers=(two,), **empty), TableSource(table), SALT)
    salted = prepare(side(identifiers=(one,), **empty), TableSource(table), SALT[::-1])
    assert text.ids == date.ids
    assert len({tuple(p.ids.to_pylist()) for p in (text, other, salted)}) == 3
    assert text.groups.to_pylist() == [0]


@pytest.mark.parametrize(
    ("columns", "person", "words"),
    [
        ({"stay": "nope"}, {}, "table people: its source has no column nope"),
        ({"nope": "stay"}, {}, "the room's table has no column nope"),
        ({}, {"phone": ["person"]}, "the room has no identifier 'phone'; it has mail"),
        ({}, {"mail": []}, "identifier mail has no columns"),
        ({}, {"mail": ["weight"]}, "column weight is double; text, whole numbers or dates"),
        ({"area": "twice"}, {}, "more than one column twice"),
    ],
)
def test_errors_name_the_table_and_the_column(columns, person, words):
    table = pa.Table.from_pylist([], schema=SCHEMA)
    table = table.append_column(" Twice", pa.array([], pa.string())).append_column(
        "TWICE", pa.array([], pa.string())
    )
    with pytest.raises(InputError, match=words):
        prepare(side(), TableSource(table), SALT, columns=columns, person=person)


def test_a_salt_of_another_size_is_refused():
    with pytest.raises(InputError, match="32 bytes"):
        prepare(side(), TableSource(pa.Table.from_pylist([], schema=SCHEMA)), SALT[:31])


def test_types_are_those_of_tokens():
    for column in TABLE.columns:
        assert sql_type(column) == views._column(column).sql_type
