# SPDX-License-Identifier: Apache-2.0
"""What sizes and widths are rounded up to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitoku.protections.shares.sizes import (
    least_kind,
    padded_copies,
    padded_entries,
    padded_groups,
    padded_rows,
    padded_words,
    power_of_two,
    rounded_bounds,
    width_of,
)

ANY = st.integers(-(2**126) + 1, 2**126 - 1) | st.integers(-(2**49), 2**49) | st.integers(-99, 99)


@given(ANY, ANY)
def test_bounds_are_rounded_outward_and_not_far(one: int, two: int) -> None:
    low, high = sorted([one, two])
    below, above = rounded_bounds(low, high)
    assert -(2**126) < below <= low <= high <= above < 2**126
    if low >= -(2**63) and high < 2**63:
        assert below >= -(2**63)
        assert above < 2**63
    assert above - below <= max(15 if low // 16 == high // 16 else 255, 64 * (high - low))
    if abs(low) < 2**50 and abs(high) < 2**50:
        assert (above - below).bit_length() % 4 == 0
        # What is told of the low end is where it is, to a sixteenth of the width.
        assert below % max(above - below + 1 >> 4, 16) == 0


@given(st.integers(0, 2**30))
def test_rows_are_padded_by_a_sixteenth_at_most(count: int) -> None:
    padded = padded_rows(count)
    assert max(count, 1) <= padded <= max(count, 1) * 17 / 16
    assert padded_rows(padded) == padded


def test_few_numbers_of_rows_are_told() -> None:
    assert len({padded_rows(count) for count in range(2**14)}) < 200


@pytest.mark.parametrize(
    ("bits", "kind"), [(1, "u8"), (8, "u8"), (9, "u16"), (33, "u64"), (65, "u128"), (127, "u128")]
)
def test_the_least_kind_of_words(bits: int, kind: str) -> None:
    assert least_kind(bits) == kind
    assert 8 * width_of(kind) >= bits


@given(st.integers(0, 2**40))
def test_powers_of_two(count: int) -> None:
    power = power_of_two(count)
    assert power >= count
    assert power.bit_count() == 1
    assert power == 1 or power // 2 < count


@given(st.integers(0, 2**20))
def test_what_is_told_of_few_is_the_same(count: int) -> None:
    assert padded_groups(count) == max(64, power_of_two(count))
    assert padded_entries(count) == max(16, power_of_two(count))
    assert padded_copies(count) == (1 if count <= 1 else max(4, power_of_two(count)))
    assert 8 * padded_words(count) >= max(16, count)
    assert padded_words(count) <= max(2, count // 4)
