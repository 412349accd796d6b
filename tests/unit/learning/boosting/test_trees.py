# SPDX-License-Identifier: Apache-2.0
"""Trees as arrays: what is one, what is refused, and that sending changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.learning.boosting.draft import Draft
from hitoku.learning.boosting.trees import Tree, check_shape, children_of, packed, unpacked


def grown(seed: int, features: int = 4, bins: int = 8, levels: int = 5) -> Tree:
    made, draft = np.random.default_rng(seed), Draft(features, bins)
    for _ in range(levels):
        node = np.flatnonzero(made.random(draft.count - draft.level) < 0.7) + draft.level
        count = len(node)
        draft.split(
            draft.splits_in(
                {
                    "node": node.astype(np.int32),
                    "feature": made.integers(0, features, count).astype(np.int32),
                    "bin": made.integers(0, bins, count).astype(np.uint8),
                    "missing_left": made.integers(0, 2, count).astype(np.uint8),
                }
            )
        )
    return draft.finished(made.normal(size=draft.count).astype(np.float32))


@given(st.integers(0, 1 << 30))
def test_a_grown_tree_is_a_tree(seed: int) -> None:
    tree = grown(seed)
    check_shape(tree.feature, 4)
    left, right = children_of(tree.feature)
    children = np.concatenate([left[left >= 0], right[right >= 0]])
    assert sorted(children.tolist()) == list(range(1, len(tree)))
    assert np.all((left < 0) | (left > np.arange(len(tree))))


@given(st.lists(st.integers(-1, 1), min_size=1, max_size=15))
def test_a_list_of_features_is_a_tree_exactly_if_every_node_has_one_parent_before_it(
    given_: list[int],
) -> None:
    feature = np.asarray(given_, np.int32)
    left, right = children_of(feature)
    children = [int(c) for c in np.concatenate([left, right]) if c >= 0]
    whole = sorted(children) == list(range(1, len(feature)))
    before = all(left[k] < 0 or left[k] > k for k in range(len(feature)))
    if whole and before:
        check_shape(feature, 2)
    else:
        with pytest.raises(InputError):
            check_shape(feature, 2)


def test_a_tree_that_is_too_deep_is_refused() -> None:
    # Each level splits its first node only.
    feature = np.asarray([0] + [0, -1] * 10 + [-1, -1], np.int32)
    with pytest.raises(InputError, match="deeper"):
        check_shape(feature, 1)
    check_shape(np.asarray([0] + [0, -1] * 9 + [-1, -1], np.int32), 1)


@given(st.lists(st.integers(0, 1 << 30), max_size=5))
def test_packing_loses_nothing(seeds: list[int]) -> None:
    trees = [grown(seed) for seed in seeds]
    back = unpacked(packed(trees), 4, 8)
    assert len(back) == len(trees)
    assert all(mine.same(theirs) for mine, theirs in zip(back, trees, strict=True))


def test_every_part_counts_for_sameness() -> None:
    tree = grown(1)
    for name in ("feature", "bin", "missing_left", "value"):
        parts = {key: getattr(tree, key).copy() for key in ("feature", "bin", "missing_left", "value")}
        parts[name][0] = not parts[name][0]
        assert not tree.same(Tree(**parts))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("starts", np.asarray([1, 3], np.int64)),
        ("starts", np.asarray([0, 4], np.int64)),
        ("starts", np.asarray([0, 0, 3], np.int64)),
        ("starts", np.zeros(0, np.int64)),
        ("starts", np.asarray([0, 1 << 60], np.int64)),
        ("feature", np.asarray([4, -1, -1], np.int32)),
        ("feature", np.asarray([0, 0, -1], np.int32)),
        ("feature", np.asarray([-2, -1, -1], np.int32)),
        ("bin", np.asarray([8, 0, 0], np.uint8)),
        ("bin", np.asarray([[0, 0, 0]], np.uint8)),
        ("missing_left", np.asarray([2, 0, 0], np.uint8)),
        ("value", np.asarray([0, np.nan, 0], np.float32)),
        ("value", np.asarray([0, 1, 0], np.float64)),
        ("value", None),
    ],
    ids=[
        "begin",
        "end",
        "empty",
        "none",
        "huge",
        "no-such-feature",
        "no-tree",
        "negative",
        "no-such-bin",
        "shape",
        "direction",
        "nan",
        "type",
        "absent",
    ],
)
def test_arrays_that_are_no_trees_are_refused(name: str, value: NDArray[Any] | None) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "starts": np.asarray([0, 3], np.int64),
        "feature": np.asarray([0, -1, -1], np.int32),
        "bin": np.zeros(3, np.uint8),
        "missing_left": np.zeros(3, np.uint8),
        "value": np.asarray([0, 1, 2], np.float32),
    }
    assert len(unpacked(arrays, 4, 8)) == 1
    changed = {key: kept for key, kept in arrays.items() if key != name}
    if value is not None:
        changed[name] = value
    with pytest.raises(InputError):
        unpacked(changed, 4, 8)


def test_thresholds_are_edges_and_beyond_the_last_one_every_value_goes_left() -> None:
    tree = Tree(
        np.asarray([0, -1, -1], np.int32),
        np.asarray([1, 0, 0], np.uint8),
        np.zeros(3, np.bool_),
        np.zeros(3, np.float32),
    )
    assert tree.thresholds([np.asarray([1.5, 2.5], np.float32)]).tolist() == [2.5, 0.0, 0.0]
    assert tree.thresholds([np.asarray([1.5], np.float32)])[0] == np.finfo(np.float32).max
