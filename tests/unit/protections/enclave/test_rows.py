# SPDX-License-Identifier: Apache-2.0
"""Rows on their way: what goes in comes out, and what a worker would have to believe it does not take."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku import limits
from hitoku.errors import InputError, PeerError
from hitoku.protections.enclave.rows import TYPES, Rows, pieces, plain_type, read_rows, schema_of

PARCEL = "ab" * 16 + "/rows"
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(max_size=20),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "double": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "date": st.dates(date(1, 1, 1), date(9999, 12, 31)),
    "timestamp": st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),
    "decimal(12,2)": st.decimals(-(10**9), 10**9, places=2, allow_nan=False),
}


def arrow(kind: str) -> pa.DataType:
    return schema_of([("x", kind)]).field(0).type


@st.composite
def some_tables(draw: st.DrawFn) -> tuple[pa.Table, list[tuple[str, str]]]:
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4))
    count = draw(st.integers(0, 60))
    arrays, columns = [], []
    for place, kind in enumerate(kinds):
        values = draw(st.lists(st.none() | VALUES[kind], min_size=count, max_size=count))
        arrays.append(pa.array(values, arrow(kind)))
        columns.append((f"column {place}", kind))
    return pa.table(arrays, names=[name for name, _ in columns]), columns


def sent(table: pa.Table, columns: list[tuple[str, str]], size: int = 7) -> tuple[list[bytes], int]:
    made = list(pieces(table.to_batches(max_chunksize=size), columns, PARCEL, "t"))
    return [bytes(content) for content, _ in made], sum(count for _, count in made)


@given(some_tables())
@settings(max_examples=60)
def test_a_table_comes_out_as_it_went_in(made: tuple[pa.Table, list[tuple[str, str]]]) -> None:
    table, columns = made
    content, count = sent(table, columns)
    assert count == table.num_rows
    out = read_rows(iter(content), Rows(tuple(columns), count), PARCEL, "owner")
    assert out.to_pylist() == table.to_pylist()
    assert out.schema.names == table.schema.names


def test_slices_and_what_stands_behind_nulls_do_not_travel() -> None:
    hidden = pa.Array.from_buffers(
        pa.string(),
        3,
        [
            pa.py_buffer(b"\x05"),
            pa.py_buffer(b"\0\0\0\0\1\0\0\0\7\0\0\0\x08\0\0\0"),
            pa.py_buffer(b"asecretb"),
        ],
    )
    assert hidden.to_pylist() == ["a", None, "b"]
    content, count = sent(pa.table({"x": hidden}), [("x", "text")], 3)
    assert not any(b"secret" in piece for piece in content)
    out = read_rows(iter(content), Rows((("x", "text"),), count), PARCEL, "owner")
    assert out.to_pylist() == [{"x": "a"}, {"x": None}, {"x": "b"}]
    table = pa.table({"x": list("abcdefgh")}).slice(2, 3)
    content, count = sent(table, [("x", "text")])
    assert not any(b"abcdefgh" in piece for piece in content)
    assert read_rows(iter(content), Rows((("x", "text"),), 3), PARCEL, "owner").equals(table)


def test_long_texts_are_cut_into_batches_and_too_long_ones_refused() -> None:
    long = "x" * (limits.MAX_PARCEL_BINARY_BYTES // 3)
    table = pa.table({"x": [long] * 8})
    content, count = sent(table, [("x", "text")], 8)
    assert count == 8
    assert len(content) > 3
    assert read_rows(iter(content), Rows((("x", "text"),), 8), PARCEL, "owner").equals(table)
    with pytest.raises(InputError, match="longer than") as caught:
        sent(pa.table({"x": ["y" * (limits.MAX_PARCEL_BINARY_BYTES + 1)]}), [("x", "text")])
    assert "yy" not in str(caught.value)


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array(["a"]).dictionary_encode(), "text"),
        (pa.array(["a"], pa.large_string()), "text"),
        (pa.array([time(1, 2)]), "text"),
        (pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("ns", "Asia/Tokyo")), "timestamp-utc"),
        (pa.array([datetime(2024, 1, 1)], pa.timestamp("s")), "timestamp"),
        (pa.array([date(2024, 1, 1)], pa.date64()), "date"),
        (pa.array([Decimal("1.25")], pa.decimal128(5, 2)), "decimal(5,2)"),
        (pa.array([Decimal("1.25")], pa.decimal256(50, 2)), "text"),
    ],
)
def test_types_that_do_not_travel_become_ones_that_do(array: pa.Array, kind: str) -> None:
    assert plain_type(array.type) == kind
    values = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
    content, count = sent(pa.table({"x": values}), [("x", kind)])
    out = read_rows(iter(content), Rows((("x", kind),), count), PARCEL, "owner")
    assert out.num_rows == 1
    assert out.column(0).null_count == 0


def test_a_value_that_does_not_fit_is_not_quoted() -> None:
    with pytest.raises(InputError) as caught:
        sent(pa.table({"x": ["not a number"]}), [("x", "int32")])
    assert "not a" not in str(caught.value).removeprefix("table t")


@pytest.mark.parametrize("kind", ["list", "decimal(39,1)", "decimal(5,6)", "decimal(05,1)", "Int32", ""])
def test_a_type_that_is_not_known_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="no type"):
        schema_of([("x", kind)])
    with pytest.raises(PeerError):
        read_rows(iter([]), Rows((("x", kind),), 0), PARCEL, "owner")


def test_every_type_has_its_name() -> None:
    assert all(plain_type(kind) == name for name, kind in TYPES.items())


@pytest.mark.parametrize("seed", range(60))
def test_bytes_that_were_changed_are_refused_or_read_as_another_table_of_that_form(seed: int) -> None:
    """An owner seals what it likes: the reader must stay within its bounds, whatever comes."""
    draw = random.Random(seed)
    columns = [("a", "text"), ("b", "int32"), ("c", "bool")]
    table = pa.table(
        {
            "a": [draw.choice(["x", None, "long text"]) for _ in range(50)],
            "b": pa.array([draw.randrange(1000) for _ in range(50)], pa.int32()),
            "c": [draw.choice([True, False, None]) for _ in range(50)],
        }
    )
    content, count = sent(table, columns, 20)
    whole = bytearray(b"".join(content))
    for _ in range(draw.randrange(1, 6)):
        whole[draw.randrange(len(whole))] = draw.randrange(256)
    try:
        out = read_rows(iter([bytes(whole)]), Rows(tuple(columns), count), PARCEL, "owner")
    except PeerError:
        return
    out.validate(full=True)
    assert out.num_rows == count


def test_another_number_of_rows_or_another_parcel_is_refused() -> None:
    content, count = sent(pa.table({"x": ["a"] * 30}), [("x", "text")])
    for rows, parcel in ((count - 1, PARCEL), (count + 1, PARCEL), (count, "cd" * 16 + "/rows")):
        with pytest.raises(PeerError):
            read_rows(iter(content), Rows((("x", "text"),), rows), parcel, "owner")
