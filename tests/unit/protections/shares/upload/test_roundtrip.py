# SPDX-License-Identifier: Apache-2.0
"""Every type goes from an owner's columns through three servers' shares to a receiver, exactly."""

from __future__ import annotations

import dataclasses
import datetime as dt
import tracemalloc
from collections import Counter
from decimal import Decimal
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.protections.shares.sharing_world import (
    SEEDS,
    Upload,
    layout,
    opened,
    put_together,
    reshared,
    split,
    table_of,
    uploaded,
)

from hitoku.errors import PeerError
from hitoku.ports import NoProgress
from hitoku.protections.shares.manifest import LeafFacts, upload_of
from hitoku.protections.shares.upload.evaluate import ROW
from hitoku.protections.shares.upload.make import Sharing
from hitoku.protections.shares.wanted import WantedKey, WantedLeaf

HERE = Path(gettempdir())
MOST = 2**126 - 1


def cell(facts: LeafFacts, word: int, there: bool) -> int | None:
    return word + int(facts.low) if there else None


def returned(made: Upload) -> list[tuple[Any, ...]]:
    """The valid rows as a receiver gets them, by words alone."""
    three = made.loaded(HERE)
    (table,) = {made.manifest.table}
    rows = opened([one.rows[table] for one in three])
    kept = [place for place, bit in enumerate(rows) if bit]
    assert set(rows) <= {0, 1}
    columns = []
    for facts in made.manifest.leaves:
        words = opened([one.words[facts.name] for one in three])
        bits = opened([one.valid[facts.name] for one in three]) if facts.nullable else [1] * len(words)
        assert all(not word for word, bit in zip(words, bits, strict=True) if not bit)
        assert all(not word for word, bit in zip(words, rows, strict=True) if not bit)
        kind = facts.type
        if facts.kind == "code":
            texts = [
                opened([one.dictionaries[facts.name][w] for one in three]) for w in range(facts.words or 0)
            ]
            vectors = [reshared("u64", [text[words[r]] * bits[r] for r in kept]) for text in texts]
            columns.append((layout("o1", kind, "text", len(texts)), vectors, bits))
        else:
            one = layout("o1", kind)
            columns.append((one, [reshared(one.kinds[0], [words[r] for r in kept])], bits))
    branch = []
    for place, (one, vectors, bits) in enumerate(columns):
        if one.nullable:
            vectors = [*vectors, reshared("u8", [bits[r] for r in kept])]
        named = layout(f"o{place + 1}", one.type, one.form, len(one.kinds))
        branch.append((named, vectors))
    table_back = put_together([(len(kept), branch)]).branches[0]
    return list(zip(*(table_back.column(n).to_pylist() for n in range(table_back.num_columns)), strict=True))


def check(leaf: WantedLeaf, values: list[Any], kind: pa.DataType, plain: Any = lambda v: v) -> Upload:
    made = uploaded(table_of(leaf), [pa.array(values, kind)])
    expected = Counter((None if v is None else plain(v),) for v in values)
    assert Counter(returned(made)) == expected
    return made


def rows_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | values, max_size=12)


LEAF: dict[str, Any] = {"name": "trips.0", "sql": "x", "word": True}


@settings(deadline=None, max_examples=25)
@given(rows_of(st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers(values: list[int | None]) -> None:
    check(WantedLeaf(kind="number", **LEAF), values, pa.int64())


@settings(deadline=None, max_examples=15)
@given(rows_of(st.integers(0, 2**64 - 1)))
def test_unsigned_numbers(values: list[int | None]) -> None:
    check(WantedLeaf(kind="number", **LEAF), values, pa.uint64())


@settings(deadline=None, max_examples=25)
@given(rows_of(st.integers(-(2**125), 2**125 - 1)))
def test_wide_numbers(values: list[int | None]) -> None:
    made = [None if v is None else Decimal(v) for v in values]
    check(WantedLeaf(kind="number", **LEAF), made, pa.decimal128(38, 0))


@settings(deadline=None, max_examples=25)
@given(rows_of(st.decimals(-(10**9), 10**9, places=3)))
def test_decimals(values: list[Decimal | None]) -> None:
    check(WantedLeaf(kind="number", scale=3, **LEAF), values, pa.decimal128(18, 3))


@settings(deadline=None, max_examples=15)
@given(rows_of(st.integers(-(10**6), 10**6)))
def test_numbers_in_finer_units(values: list[int | None]) -> None:
    check(WantedLeaf(kind="number", scale=2, **LEAF), values, pa.int32(), Decimal)
    made = [None if v is None else Decimal(v) / 10 for v in values]
    check(WantedLeaf(kind="number", scale=2, **LEAF), made, pa.decimal128(12, 1))


@settings(deadline=None, max_examples=15)
@given(rows_of(st.dates()))
def test_dates(values: list[dt.date | None]) -> None:
    check(WantedLeaf(kind="date", **LEAF), values, pa.date32())


@settings(deadline=None, max_examples=15)
@given(rows_of(st.booleans()))
def test_booleans(values: list[bool | None]) -> None:
    check(WantedLeaf(kind="boolean", **LEAF), values, pa.bool_())


@settings(deadline=None, max_examples=15)
@given(rows_of(st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))))
def test_timestamps_count_microseconds(values: list[dt.datetime | None]) -> None:
    def micros(value: dt.datetime) -> int:
        return (value - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)

    check(WantedLeaf(kind="number", **LEAF), values, pa.timestamp("us"), micros)


@settings(deadline=None, max_examples=30)
@given(rows_of(st.text(max_size=12).filter(lambda text: not text.endswith("\0"))))
def test_texts(values: list[str | None]) -> None:
    check(WantedLeaf(kind="code", **LEAF), values, pa.string())
    check(WantedLeaf(kind="code", ordered=True, **LEAF), values, pa.large_string())


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.tuples(st.none() | st.integers(-9, 9), st.none() | st.text("ab", max_size=3)), max_size=40)
)
def test_rows_stay_together_and_keys_are_counted(rows: list[tuple[int | None, str | None]]) -> None:
    leaves = (
        WantedLeaf("trips.0", "a", "number", word=True),
        WantedLeaf("trips.1", "b", "code", word=True),
    )
    key = WantedKey(("trips.0", "trips.1"), "trips.2")
    made = uploaded(
        table_of(*leaves, keys=(key,)),
        [pa.array([a for a, _ in rows], pa.int64()), pa.array([b for _, b in rows], pa.string())],
    )
    back = returned(made)
    assert Counter(row[:2] for row in back) == Counter(rows)
    whole = Counter(row for row in rows if None not in row)
    most = max(whole.values(), default=1)
    copies = made.manifest.keys[0].copies
    assert copies == (1 if most == 1 else max(4, 1 << (most - 1).bit_length()))
    if copies > 1:
        places = Counter((row[:2], row[2]) for row in back if None not in row[:2])
        assert places == Counter((row, n) for row, count in whole.items() for n in range(count))


@pytest.mark.parametrize("ring", ["r64", "r128", "auto"])
def test_ring_elements_are_twos_complement(ring: Any) -> None:
    values = [None, 0, 1, -1, 2**62, -(2**62), 5]
    leaf = WantedLeaf("trips.0", "x", "number", ring=ring)
    made = uploaded(table_of(leaf), [pa.array(values, pa.int64())])
    kind = made.manifest.leaves[0].ring
    assert kind == ("r128" if ring == "auto" else ring)
    three = made.loaded(HERE)
    bits = 64 if kind == "r64" else 128
    found = opened([one.ring["trips.0"] for one in three])
    signed = [n - 2**bits if n >= 2 ** (bits - 1) else n for n in found]
    assert Counter(n for n in signed if n) == Counter(n for n in values if n)
    assert len(signed) == made.manifest.rows


def test_extremes_of_126_bits() -> None:
    values = [Decimal(MOST), Decimal(1), None]
    check(WantedLeaf(kind="number", **LEAF), values, pa.decimal128(38, 0))
    check(WantedLeaf(kind="number", **LEAF), [Decimal(-MOST)], pa.decimal128(38, 0))


@pytest.mark.parametrize("count", [0, 1, 2, 33])
def test_padding_is_not_valid(count: int) -> None:
    made = check(WantedLeaf(kind="number", **LEAF), list(range(count)), pa.int64())
    assert made.manifest.rows == {0: 1, 1: 1, 2: 2, 33: 34}[count]


def test_declared_rows_hide_how_many_there_are() -> None:
    leaf = WantedLeaf(kind="number", **LEAF, low=0, high=1000)
    sizes = set()
    for count in (0, 1, 99, 100):
        made = uploaded(table_of(leaf, rows=100), [pa.array(range(count), pa.int64())])
        sizes.add((made.manifest.rows, made.manifest.size, made.manifest.leaves))
        assert len(returned(made)) == count
    assert len(sizes) == 1


def test_codes_and_rows_are_in_no_order_that_tells() -> None:
    values = [f"t{n:03d}" for n in range(256)]
    leaf = WantedLeaf(kind="code", **LEAF)
    seen = set()
    for _ in range(2):
        made = uploaded(table_of(leaf), [pa.array(values, pa.string())])
        three = made.loaded(HERE)
        codes = tuple(opened([one.words["trips.0"] for one in three]))
        assert sorted(codes) == list(range(256))
        entries = tuple(opened([one.dictionaries["trips.0"][0] for one in three]))
        seen |= {codes, entries}
        assert list(entries) != sorted(entries)
    assert len(seen) == 4


def test_ordered_codes_compare_as_texts() -> None:
    values = ["b", "", "ä", "a", "ab", "Z"]
    leaf = WantedLeaf(kind="code", ordered=True, **LEAF)
    made = uploaded(table_of(leaf), [pa.array(values, pa.string())])
    three = made.loaded(HERE)
    entries = opened([one.dictionaries["trips.0"][0] for one in three])[: len(values)]
    texts = [entry.to_bytes(8, "big").rstrip(b"\0").decode() for entry in entries]
    assert texts == sorted(values, key=str.encode)


def test_agreed_order_is_by_words_with_nulls_and_then_padding_last() -> None:
    values = [3, None, -5, 3, 900, None, 0]
    leaf = WantedLeaf(kind="number", **LEAF)
    asked = table_of(leaf, order=("trips.0",), boundary="trips.1", rows=10)
    made = uploaded(asked, [pa.array(values, pa.int64())])
    three = made.loaded(HERE)
    words = opened([one.words["trips.0"] for one in three])
    low = int(made.manifest.leaves[0].low)
    assert [word + low for word in words[:5]] == [-5, 0, 3, 3, 900]
    assert opened([one.valid["trips.0"] for one in three]) == [1] * 5 + [0] * 5
    assert opened([one.rows["trips"] for one in three]) == [1] * 7 + [0] * 3
    assert opened([one.words["trips.1"] for one in three]) == [1, 1, 0, 1, 1, 0, 1, 0, 0, 0]
    leaves = upload_of(asked, made.manifest).leaves
    assert [(one.name, one.type.kind) for one in leaves] == [("trips.0", "number"), ("trips.1", "boolean")]
    with pytest.raises(PeerError, match="something else"):
        upload_of(dataclasses.replace(asked, boundary=None), made.manifest)
    with pytest.raises(PeerError, match="something else"):
        upload_of(dataclasses.replace(asked, boundary="trips.2"), made.manifest)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.none() | st.integers(0, 3), st.none() | st.integers(0, 2**80)), max_size=30))
def test_rows_in_the_order_of_a_key_have_rising_places(rows: list[tuple[int | None, int | None]]) -> None:
    leaves = (
        WantedLeaf("trips.0", "a", "number", word=True),
        WantedLeaf("trips.1", "b", "number", word=True),
    )
    key = ("trips.0", "trips.1")
    asked = table_of(*leaves, keys=(WantedKey(key, "trips.3"),), order=key, boundary="trips.2")
    wide = [None if b is None else Decimal(b) for _, b in rows]
    made = uploaded(asked, [pa.array([a for a, _ in rows], pa.int64()), pa.array(wide, pa.decimal128(38, 0))])
    three = made.loaded(HERE)
    count = len(rows)
    found = []
    for name in key:
        words = opened([one.words[name] for one in three])[:count]
        facts = made.manifest.facts(name)
        bits = opened([one.valid[name] for one in three]) if facts.nullable else [1] * count
        found.append([w + int(facts.low) if b else None for w, b in zip(words, bits, strict=False)])
    shared = list(zip(*found, strict=True))
    whole = [row for row in rows if None not in row]
    assert shared[: len(whole)] == sorted(whole)
    assert Counter(shared[len(whole) :]) == Counter(row for row in rows if None in row)
    ends = opened([one.words["trips.2"] for one in three])
    assert ends[count:] == [0] * (made.manifest.rows - count)
    assert sum(ends) == len(set(rows))
    assert all(bool(end) == (row != after) for end, row, after in zip(ends, shared, shared[1:], strict=False))
    if made.manifest.keys[0].copies > 1:
        places = opened([one.words["trips.3"] for one in three])
        assert places[: len(whole)] == [shared[:n].count(row) for n, row in enumerate(shared[: len(whole)])]


def peak(leaves: int, rows: int) -> int:
    """Bytes that sharing so many columns takes at most, besides the engine's result."""
    numbers = pa.array(np.arange(rows, dtype=np.int64) % 1000 - 7)
    columns = {str(n): numbers for n in range(leaves)} | {ROW: pa.array(np.arange(rows, dtype=np.uint32))}
    asked = table_of(*(WantedLeaf(f"trips.{n}", "x", "number", word=True, ring="r64") for n in range(leaves)))
    sharing = Sharing(asked, pa.table(columns), rows, SEEDS, split, NoProgress())
    tracemalloc.start()
    try:
        assert sum(len(share) for share in sharing.explicit()) > rows * leaves * 10
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_that_of_a_column_however_many_there_are() -> None:
    rows = 1_000_000
    few, many = peak(2, rows), peak(8, rows)
    assert many < few * 1.1
    assert many < 100 * rows
