# SPDX-License-Identifier: Apache-2.0
"""Fixed point, its bound, and which rows count for which set of members."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.learning.rounds_world import MEMBERS, make_plan

from hitoku.errors import InputError
from hitoku.learning.averaging import RANGE, FreshRows, averaged, summed
from hitoku.learning.plan import Linear


@given(st.integers(1, 1 << 28), st.floats(1e-3, 1e6))
def test_all_members_at_the_bound_do_not_overflow(rows, row):
    plan = make_plan(Linear(), rows=rows)
    try:
        scale = summed(plan, row)
    except InputError:
        return
    assert len(MEMBERS) * scale.bound < 1 << 62
    most = scale.encode(np.array([np.inf, -np.inf, rows * row, -rows * row, np.nan]))
    assert np.abs(most).max() <= scale.bound


@given(
    st.lists(st.lists(st.floats(-200, 200), min_size=3, max_size=3), min_size=1, max_size=5),
    st.integers(1, 999),
)
@settings(max_examples=50)
def test_the_average_is_that_of_all_rows(weights, rows):
    scale = averaged(make_plan(Linear(), rows=1000))
    made = [np.array(one) for one in weights]
    total = np.sum([scale.encode(np.append(one * rows, rows)) for one in made], axis=0)
    sums, cut = scale.decode(total)
    assert cut == 0
    assert sums[-1] == rows * len(made)
    assert np.abs(sums[:-1] / sums[-1] - np.mean(made, axis=0)).max() < 2.0**-12


def test_what_is_too_large_is_cut_and_counted():
    scale = averaged(make_plan(Linear(), rows=10))
    sums, cut = scale.decode(scale.encode(np.array([11 * RANGE, 1.0, -np.inf, np.nan])))
    assert cut == 3
    assert sums.tolist() == [10 * RANGE, 1.0, -10 * RANGE, 0.0]


def test_a_plan_of_too_many_rows_has_no_averages():
    plan = make_plan(Linear(), rows=1 << 28)
    members = tuple(f"bank{k:02}" for k in range(50))
    with pytest.raises(InputError, match="too coarse"):
        summed(plan.model_copy(update={"members": members}), 1e9)


def test_another_set_gets_rows_drawn_anew_and_keeps_them():
    fresh = FreshRows(1000)
    assert fresh.of(("a", "b", "c")) is None
    other = fresh.of(("a", "b"))
    assert other is not None
    assert len(other) == 800 == len(set(other.tolist()))
    assert fresh.of(("a", "b")) is other
    again = fresh.of(("a", "c"))
    assert again is not None
    assert again.tolist() != other.tolist()
    assert fresh.of(("a", "b", "c")) is None


def test_many_sets_never_make_another_set_the_first():
    fresh = FreshRows(100)
    assert fresh.of(("first",)) is None
    for k in range(200):
        assert fresh.of((f"set{k}",)) is not None
    assert fresh.of(("first",)) is None
    assert fresh.of(("set0",)) is not None


def test_the_first_set_is_remembered_over_restarts(tmp_path):
    path = tmp_path / "first.json"
    assert FreshRows(100, path).of(("a", "b", "c")) is None
    again = FreshRows(100, path)
    assert again.of(("a", "b")) is not None
    assert again.of(("a", "b", "c")) is None
    for content in (b"{", b"{}", b"[1]"):
        path.write_bytes(content)
        with pytest.raises(InputError):
            FreshRows(100, path)
