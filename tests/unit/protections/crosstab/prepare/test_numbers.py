# SPDX-License-Identifier: Apache-2.0
"""Whole units of numbers: exact, rounded half to even, held within 2^62."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hitoku.protections.crosstab.prepare.merge import by_id, merged
from hitoku.protections.crosstab.prepare.numbers import MOST, units
from hitoku.room.crosstab import Merge


def exact(value, decimals):
    """The definition: Python's rounding of a fraction is half to even."""
    if value is None:
        return 0
    if isinstance(value, float) and (math.isnan(value) or math.isinf(value)):
        return MOST if math.isnan(value) or value > 0 else -MOST
    return max(-MOST, min(MOST, round(Fraction(value) * 10**decimals)))


NEAR_TIES = st.builds(
    lambda n, d, steps: float(
        np.nextafter((2 * n + 1) / (2 * 10**d), steps * math.inf) if steps else (2 * n + 1) / (2 * 10**d)
    ),
    st.integers(-(10**9), 10**9),
    st.integers(0, 6),
    st.integers(-1, 1),
)
FLOATS = st.one_of(
    st.floats(),
    NEAR_TIES,
    st.floats(-1e20, 1e20),
    st.builds(lambda m, e: m * 2.0**e, st.integers(-(2**53), 2**53), st.integers(-30, 12)),
)


@settings(max_examples=500, deadline=None)
@given(values=st.lists(st.none() | FLOATS, min_size=1, max_size=8), decimals=st.integers(0, 6))
@example(values=[1.115, 0.125, -0.5, 0.5, 1.5, 2.5, -1e-300], decimals=2)
@example(values=[2.0**52 + 0.5, 2.0**53 + 2, float(2**62), -float(2**62), 2.0**54 / 10], decimals=1)
def test_floats_are_rounded_by_their_exact_value(values, decimals):
    made, there = units(pa.array(values, pa.float64()), decimals)
    assert made.tolist() == [exact(value, decimals) for value in values]
    assert there.tolist() == [value is not None for value in values]


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.none() | st.floats(width=32), max_size=8), decimals=st.integers(0, 6))
def test_single_floats_are_those_doubles(values, decimals):
    made, _ = units(pa.array(values, pa.float32()), decimals)
    assert made.tolist() == [exact(value, decimals) for value in values]


@settings(max_examples=200, deadline=None)
@given(data=st.data(), decimals=st.integers(0, 6))
@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.uint32(), pa.uint64()])
def test_whole_numbers(kind, data, decimals):
    low, high = (
        (0, 2**kind.bit_width - 1)
        if str(kind)[0] == "u"
        else (-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)
    )
    values = data.draw(st.lists(st.none() | st.integers(low, high), max_size=8))
    made, _ = units(pa.array(values, kind), decimals)
    assert made.tolist() == [exact(value, decimals) for value in values]


@settings(max_examples=300, deadline=None)
@given(
    data=st.data(),
    decimals=st.integers(0, 6),
    sides=st.sampled_from([(3, 2), (10, 0), (19, 19), (38, 19), (38, 0), (5, 5)]),
    cut=st.integers(0, 2),
)
def test_decimals(data, decimals, sides, cut):
    precision, scale = sides
    whole = st.integers(-(10**precision) + 1, 10**precision - 1)
    ties = st.builds(lambda n: n * 10 ** max(0, scale - decimals) // 2 % 10**precision, st.integers(0, 10**6))
    numbers = data.draw(st.lists(st.none() | whole | ties, max_size=8))
    values = [None if n is None else Decimal(f"{n}e-{scale}") for n in numbers]
    made, there = units(pa.array(values, pa.decimal128(precision, scale))[cut:], decimals)
    assert made.tolist() == [exact(value, decimals) for value in values[cut:]]
    assert there.tolist() == [value is not None for value in values[cut:]]


ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.none() | st.integers(-MOST, MOST) | st.integers(-5, 5)), max_size=20
)


@settings(max_examples=300, deadline=None)
@given(
    rows=ROWS,
    merge=st.sampled_from(list(Merge)),
    bounds=st.sampled_from([(0, 3), (-4, -2), (-(10**18), 10**18), (2, 9)]),
)
def test_rows_of_a_person_are_merged_exactly_and_then_clamped(rows, merge, bounds):
    ids = np.zeros((len(rows), 32), np.uint8)
    ids[:, 31] = [person for person, _ in rows]
    values = np.array([value or 0 for _, value in rows], np.int64)
    there = np.array([value is not None for _, value in rows], np.bool_)
    order, starts = by_id(ids)
    made = merged(values, there, order, starts, merge, bounds)
    hows: dict[Merge, Any] = {Merge.SUM: sum, Merge.MAX: max, Merge.MIN: min}
    how = hows[merge]
    expected = []
    for person in sorted({person for person, _ in rows}):
        own = [value for who, value in rows if who == person and value is not None]
        expected.append(max(bounds[0], min(bounds[1], how(own) if own else 0)))
    assert made.tolist() == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), max_size=25))
def test_ids_that_begin_alike_are_told_apart(rows):
    ids = np.zeros((len(rows), 32), np.uint8)
    for row, (first, middle, last) in enumerate(rows):
        ids[row, 0], ids[row, 12], ids[row, 31] = first, middle, last
    order, starts = by_id(ids)
    assert [rows[place] for place in order] == sorted(rows)
    assert [rows[order[place]] for place in starts] == sorted(set(rows))
