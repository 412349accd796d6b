# SPDX-License-Identifier: Apache-2.0
"""Whole numbers of 128 bits in numpy are Python's."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.protections.shares.manifest import least_kind
from hitoku.protections.shares.upload.columns import random_order
from hitoku.protections.shares.upload.whole import Whole

NUMBERS = st.lists(
    st.integers(-(2**126) + 1, 2**126 - 1) | st.integers(-(2**63), 2**63) | st.integers(-3, 3), max_size=8
)
MASK = 2**64 - 1


def whole(numbers: list[int]) -> Whole:
    low = np.array([n & MASK for n in numbers], np.uint64)
    return Whole.pairs(low, np.array([n >> 64 for n in numbers], np.int64))


@settings(deadline=None)
@given(NUMBERS, st.integers(-(2**130), 2**130) | st.integers(-3, 3))
def test_comparing(numbers: list[int], bound: int) -> None:
    made = whole(numbers)
    assert made.below(bound).tolist() == [n < bound for n in numbers]
    assert made.bounds() == ((min(numbers), max(numbers)) if numbers else None)
    there = np.array([n % 2 == 0 for n in numbers], np.bool_)
    even = [n for n in numbers if n % 2 == 0]
    assert made.bounds(there) == ((min(even), max(even)) if even else None)


@settings(deadline=None)
@given(NUMBERS)
def test_words_and_rings(numbers: list[int]) -> None:
    made, least = whole(numbers), min(numbers, default=0)
    kind = least_kind(max((max(numbers, default=0) - least).bit_length(), 1))
    words = made.words(least, kind)
    found = words.tolist() if words.ndim == 1 else [low | high << 64 for low, high in words.tolist()]
    assert found == [n - least for n in numbers]
    wide = [low | high << 64 for low, high in made.ring("r128").tolist()]
    assert wide == [n % 2**128 for n in numbers]
    assert made.ring("r64").tolist() == [n % 2**64 for n in numbers]


def test_random_orders_are_permutations_and_all_come() -> None:
    assert sorted(random_order(1000).tolist()) == list(range(1000))
    seen = {tuple(random_order(3).tolist()) for _ in range(200)}
    # One is missing with probability below 1e-15.
    assert len(seen) == 6
    assert random_order(0).tolist() == []
