# SPDX-License-Identifier: Apache-2.0
"""Bins: edges near the wanted ranks, the same from sums as from all rows, nothing finer than needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.learning.boosting.bins import MOST_PASSES, EdgeSearch, count_cells, first_spans
from hitoku.learning.boosting.keys import LARGEST, cleaned, keys_of, values_of
from hitoku.learning.plan import Feature

FINITE = hnp.arrays(
    np.float32,
    st.integers(1, 60),
    elements=st.floats(-(2.0**127), 2.0**127, width=32, allow_nan=False, allow_infinity=False),
)


def searched(
    parts: Sequence[NDArray[np.float32]], inputs: Sequence[Feature], bins: int
) -> tuple[EdgeSearch, list[tuple[dict[str, Any], NDArray[np.int64]]]]:
    """A search over banks' parts, with every sum that it saw."""
    search, seen = EdgeSearch(inputs, bins), []
    while search.spans is not None:
        spans = search.spans
        counts = sum(
            count_cells(part, np.ones(len(part), np.bool_), spans, inputs, search.cells) for part in parts
        )
        seen.append((spans, np.asarray(counts)))
        search.learn(np.asarray(counts))
    return search, seen


def column(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(values, np.float32).reshape(-1, 1)


ONE = (Feature(name="x"),)


@given(FINITE)
def test_keys_keep_the_order_and_give_the_values_back(values: NDArray[np.float32]) -> None:
    keys = keys_of(values)
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(keys[order].astype(np.int64)) >= 0)
    assert np.array_equal(np.diff(values[order]) > 0, np.diff(keys[order].astype(np.int64)) > 0)
    assert np.array_equal(values_of(keys), values)


def test_both_zeros_have_one_key() -> None:
    assert len(set(keys_of(np.asarray([0.0, -0.0], np.float32)).tolist())) == 1


def test_infinite_values_become_missing() -> None:
    values = np.asarray([[np.inf, -np.inf, LARGEST, 1.0, np.nan]], np.float32)
    assert np.isnan(cleaned(values)).tolist() == [[True, True, True, False, True]]


@pytest.mark.parametrize("bins", [2, 16, 64, 255])
@pytest.mark.parametrize("shape", ["normal", "lognormal", "uniform", "narrow"])
def test_no_edge_is_far_from_its_rank(bins: int, shape: str) -> None:
    made = np.random.default_rng(3)
    values = {
        "normal": made.normal(size=20_000),
        "lognormal": np.exp(3 * made.normal(size=20_000)),
        "uniform": made.random(20_000),
        "narrow": 1e6 + made.random(20_000) * 100,
    }[shape].astype(np.float32)
    search, _ = searched([column(values)], ONE, bins)
    edges = search.edges()[0]
    sorted_values = np.sort(values)
    rank = np.searchsorted(sorted_values, edges) / len(values)
    # One number alone may hold more rows than the tolerance: float32 near 1e6 has steps of 1/16.
    heaviest = np.unique(values, return_counts=True)[1].max() / len(values)
    wanted = np.arange(1, bins) / bins
    assert len(edges) == bins - 1
    assert np.abs(rank - wanted).max() <= max(1 / (32 * bins), 2.5 / len(values)) + heaviest


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(2, 40), st.integers(1, 300))
def test_banks_find_the_edges_of_the_pooled_rows(seed: int, bins: int, rows: int) -> None:
    made = np.random.default_rng(seed)
    values = np.round(made.normal(size=(rows, 3)) * 10.0 ** made.integers(-2, 4, 3), 1).astype(np.float32)
    values[made.random(values.shape) < 0.1] = np.nan
    inputs = tuple(Feature(name=str(i)) for i in range(3))
    who = made.integers(0, 5, rows)
    joint, _ = searched([values[who == bank] for bank in range(5)], inputs, bins)
    pooled, _ = searched([values], inputs, bins)
    for mine, theirs in zip(joint.edges(), pooled.edges(), strict=True):
        assert np.array_equal(mine, theirs)
        assert np.all(np.diff(mine) > 0)
        assert len(mine) <= bins - 1
        assert np.isfinite(mine).all()


def test_a_frequent_number_has_a_bin_of_its_own_and_the_others_share_the_rest() -> None:
    made = np.random.default_rng(0)
    values = np.concatenate([np.zeros(9_000), made.random(1_000) + 0.5]).astype(np.float32)
    edges = searched([column(values)], ONE, 16)[0].edges()[0]
    counts = np.diff(np.searchsorted(np.sort(values), edges))
    assert 0 < edges[0] < 0.5
    assert len(edges) == 15
    assert counts.max() < 90


def test_few_numbers_are_told_apart() -> None:
    values = np.repeat(np.arange(10), 500)
    edges = searched([column(values)], ONE, 32)[0].edges()[0]
    assert np.array_equal(np.searchsorted(edges, np.arange(10), side="right"), np.arange(10))


def test_one_number_alone_needs_no_edge() -> None:
    assert len(searched([column(np.full(100, 3.5))], ONE, 8)[0].edges()[0]) == 0


def test_a_feature_without_values_has_no_edge() -> None:
    assert len(searched([column(np.full(100, np.nan))], ONE, 8)[0].edges()[0]) == 0


def test_only_cells_of_many_rows_are_divided_and_the_extremes_stay_coarse() -> None:
    values = column(np.random.default_rng(5).normal(size=5_000))
    low, high = keys_of(np.asarray([values.min(), values.max()], np.float32)).astype(np.int64)
    _, seen = searched([values], ONE, 32)
    keys = np.sort(keys_of(values[:, 0])).astype(np.int64)
    assert 2 <= len(seen) <= MOST_PASSES
    for spans, _ in seen[1:]:
        width = spans["shift"].astype(np.int64) + spans["bits"]
        for begin, end in zip(spans["start"], spans["start"] + (1 << width), strict=True):
            inside = np.searchsorted(keys, end) - np.searchsorted(keys, begin)
            least = 5_000 / (32 * 16)
            assert inside > least
            assert not begin <= low < end
            assert not begin <= high < end


@pytest.mark.parametrize("shape", ["crowded", "ties"])
def test_cells_are_divided_no_further_than_leaves_rows_together(shape: str) -> None:
    made = np.random.default_rng(5)
    values = 100 + 10 * made.random(5_000) if shape == "crowded" else np.round(made.normal(size=5_000), 1)
    _, seen = searched([column(values)], ONE, 32)
    keys = np.sort(keys_of(np.asarray(values, np.float32))).astype(np.int64)
    for spans, _ in seen[1:]:
        size = 1 << (spans["shift"].astype(np.int64) + spans["bits"])
        rows = np.searchsorted(keys, spans["start"] + size) - np.searchsorted(keys, spans["start"])
        assert np.all(rows / (1 << spans["bits"].astype(np.int64)) >= 5_000 / (32 * 16) / 4)


def test_limits_make_the_first_grid_finer() -> None:
    bounded = (Feature(name="x", low=100.0, high=110.0),)
    assert int(first_spans(bounded)["shift"][0]) < int(first_spans(ONE)["shift"][0])
    values = column(np.random.default_rng(1).normal(105, 50, size=4_000))
    edges = searched([values], bounded, 16)[0].edges()[0]
    assert len(edges) > 0
    assert edges.min() >= 100
    assert edges.max() <= 110


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("feature", np.asarray([1, 0], np.int32)),
        ("feature", np.asarray([0, 2], np.int32)),
        ("feature", np.asarray([0], np.int32)),
        ("feature", np.asarray([0, 1], np.int64)),
        ("start", np.asarray([-1, 0], np.int64)),
        ("start", np.asarray([1 << 31, 1 << 32], np.int64)),
        ("shift", np.asarray([20, 29], np.uint8)),
        ("shift", np.asarray([255, 20], np.uint8)),
        ("bits", np.asarray([4, 5], np.uint8)),
        ("bits", np.asarray([40, 4], np.uint8)),
        ("bits", None),
    ],
    ids=[
        "disorder",
        "no-such-feature",
        "short",
        "type",
        "below",
        "above",
        "wide",
        "wider",
        "length",
        "many",
        "absent",
    ],
)
def test_spans_that_are_not_sound_are_refused(name: str, value: NDArray[Any] | None) -> None:
    spans: dict[str, NDArray[Any]] = {
        "feature": np.asarray([0, 1], np.int32),
        "start": np.asarray([0, 0], np.int64),
        "shift": np.asarray([20, 20], np.uint8),
        "bits": np.asarray([4, 4], np.uint8),
    }
    inputs = (Feature(name="a"), Feature(name="b"))
    rows, features = np.ones(1, np.bool_), np.ones((1, 2), np.float32)
    assert len(count_cells(features, rows, spans, inputs, 32)) == 32
    changed = {key: kept for key, kept in spans.items() if key != name}
    if value is not None:
        changed[name] = value
    with pytest.raises(InputError):
        count_cells(features, rows, changed, inputs, 32)


def test_spans_over_one_another_are_refused() -> None:
    spans: dict[str, NDArray[Any]] = {
        "feature": np.zeros(2, np.int32),
        "start": np.asarray([0, 1], np.int64),
        "shift": np.zeros(2, np.uint8),
        "bits": np.asarray([1, 1], np.uint8),
    }
    with pytest.raises(InputError, match="over another"):
        count_cells(np.ones((1, 1), np.float32), np.ones(1, np.bool_), spans, ONE, 4)


def test_the_end_of_the_keys_is_counted() -> None:
    spans: dict[str, NDArray[Any]] = {
        "feature": np.zeros(1, np.int32),
        "start": np.asarray([0], np.int64),
        "shift": np.asarray([31], np.uint8),
        "bits": np.asarray([1], np.uint8),
    }
    values = column(np.asarray([-1.0, 0.0, 3.4e38, 3.4028233e38]))
    assert count_cells(values, np.ones(4, np.bool_), spans, ONE, 2).tolist() == [1, 3]
