# SPDX-License-Identifier: Apache-2.0
"""Binning, growing and scoring against plain numpy, which says in few lines what they mean."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.errors import InputError
from hitoku.hazmat.histograms import MAX_NODES, ROOT, Forest, Grower, bin_features


class Reference:
    """What a `Grower` is, in numpy."""

    def __init__(self, bins, count):
        self.bins, self.count = bins, count

    def reset(self, gradients, hessians, sampled):
        self.pairs = np.stack([gradients, hessians], axis=1)
        self.sampled = np.ones(len(self.bins), dtype=bool) if sampled is None else sampled
        self.node = np.zeros(len(self.bins), dtype=np.int32)

    def histogram(self, node):
        rows = self.sampled & (self.node == node)
        out = np.zeros((self.bins.shape[1], self.count, 2), dtype=np.int64)
        for feature in range(self.bins.shape[1]):
            np.add.at(out[feature], self.bins[rows, feature], self.pairs[rows])
        return out

    def split(self, node, feature, threshold, missing_left, left, right):
        column = self.bins[:, feature]
        goes_left = np.where(column == self.count - 1, missing_left, column <= threshold)
        self.node = np.where(self.node == node, np.where(goes_left, left, right), self.node).astype(np.int32)


def random_world(generator, rows, features, count):
    bins = generator.integers(0, count, (rows, features)).astype(np.uint8)
    gradients = generator.integers(-(2**40), 2**40, rows)
    hessians = generator.integers(0, 2**24, rows)
    return bins, gradients, hessians


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.sampled_from([0, 1, 2, 50, 700]),
    features=st.sampled_from([1, 3, 4, 5, 16, 17, 37]),
    count=st.sampled_from([2, 3, 16, 17, 64, 65, 200, 256]),
    fraction=st.sampled_from([None, 0.0, 0.5]),
    threads=st.sampled_from([1, 2]),
)
def test_a_tree_grows_as_in_numpy(seed, rows, features, count, fraction, threads):
    generator = np.random.default_rng(seed)
    bins, gradients, hessians = random_world(generator, rows, features, count)
    grower, reference = Grower(bins, count, threads=threads), Reference(bins, count)
    for _ in range(2):
        sampled = None if fraction is None else generator.random(rows) < fraction
        grower.reset(gradients, hessians, sampled)
        reference.reset(gradients, hessians, sampled)
        level, following = [ROOT], 1
        for _ in range(4):
            chosen = [node for node in level if generator.random() < 0.8]
            if not chosen:
                break
            parents = {node: reference.histogram(node) for node in chosen}
            shape = len(chosen)
            left = following + 2 * generator.permutation(shape).astype(np.int32)
            following += 2 * shape
            splits: tuple[Any, ...] = (
                chosen,
                generator.integers(0, features, shape),
                generator.integers(0, count - 1, shape),
                generator.random(shape) < 0.5,
                left,
                left + 1,
            )
            grower.split(*splits)
            for one in zip(*splits, strict=True):
                reference.split(*one)
            level = [*left, *(left + 1)]
            made = grower.histograms(level)
            assert made.shape == (2 * shape, features, count, 2)
            assert made.dtype == np.int64
            for node, histogram in zip(level, made, strict=True):
                assert np.array_equal(histogram, reference.histogram(node))
            for place, node in enumerate(chosen):
                assert np.array_equal(made[place] + made[shape + place], parents[node])
            counted = [np.sum(reference.sampled & (reference.node == node)) for node in level]
            assert grower.counts(level).tolist() == counted
        assert np.array_equal(grower.nodes(), reference.node)
        values = generator.normal(size=following)
        margins = generator.normal(size=rows)
        expected = margins + values[reference.node]
        grower.add_leaves(margins, values)
        assert np.array_equal(margins, expected)


def test_histograms_of_many_rows_on_many_threads_are_exact():
    generator = np.random.default_rng(3)
    bins, gradients, hessians = random_world(generator, 60_000, 20, 64)
    reference = Reference(bins, 64)
    growers = [Grower(bins, 64, threads=threads) for threads in (1, 2, 3)]

    def work(grower):
        grower.reset(gradients, hessians)
        whole = grower.histograms([ROOT])
        grower.split([ROOT], [19], [40], [True], [1], [2])
        return whole, grower.histograms([2, 1, 2]), grower.nodes()

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(work, growers))
    reference.reset(gradients, hessians, None)
    whole = reference.histogram(ROOT)
    reference.split(ROOT, 19, 40, True, 1, 2)
    both = [reference.histogram(node) for node in (2, 1, 2)]
    for made, children, nodes in results:
        assert np.array_equal(made[0], whole)
        assert np.array_equal(children, both)
        assert np.array_equal(nodes, reference.node)
    assert growers[0].histograms([]).shape == (0, 20, 64, 2)


@settings(max_examples=60, deadline=None)
@given(
    edges=st.lists(st.lists(st.floats(width=32, allow_nan=False), max_size=6), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
    threads=st.sampled_from([1, 2]),
)
def test_bins_are_those_of_searchsorted_and_say_what_is_below_an_edge(edges, seed, threads):
    generator = np.random.default_rng(seed)
    lists = [np.unique(np.array(one, dtype=np.float32)) for one in edges]
    pool = np.concatenate([*lists, np.array([0, -0.0, np.nan, np.inf, -np.inf, 1], dtype=np.float32)])
    features = generator.choice(pool, (50, len(lists))).astype(np.float32)
    bins = bin_features(features, lists, 9, threads=threads)
    assert bins.shape == features.shape
    assert bins.dtype == np.uint8
    for column, edge in enumerate(lists):
        values = features[:, column]
        expected = np.where(np.isnan(values), 8, np.searchsorted(edge, values, side="right"))
        assert np.array_equal(bins[:, column], expected)
        for k, e in enumerate(edge):
            left = ~np.isnan(values) & (bins[:, column] <= k)
            assert np.array_equal(left, values < e)


def grown(generator, bins, count, edges, margins, trees):
    """Random trees on a `Grower`, their leaves added to the margins, and as arrays for a `Forest`."""
    grower = Grower(bins, count)
    starts, nodes = [0], []
    for _ in range(trees):
        grower.reset(np.zeros(len(bins), dtype=np.int64), np.zeros(len(bins), dtype=np.int64))
        tree = [[0, 0.0, False, -1, -1, float(generator.normal())]]
        for node in range(15):
            if node >= len(tree) or generator.random() < 0.2:
                continue
            feature = int(generator.integers(bins.shape[1]))
            k = int(generator.integers(len(edges[feature])))
            missing_left = bool(generator.random() < 0.5)
            children = [len(tree), len(tree) + 1]
            grower.split([node], [feature], [k], [missing_left], children[:1], children[1:])
            tree[node][:5] = [feature, float(edges[feature][k]), missing_left, *children]
            tree += [[0, 0.0, False, -1, -1, float(generator.normal())] for _ in range(2)]
        grower.add_leaves(margins, np.array([node[5] for node in tree]))
        nodes += tree
        starts.append(len(nodes))
    columns = list(zip(*nodes, strict=True))
    kinds = [np.int32, np.float32, np.bool_, np.int32, np.int32, np.float64]
    return np.array(starts), [np.array(one, dtype=kind) for one, kind in zip(columns, kinds, strict=True)]


@pytest.mark.parametrize("seed", range(4))
def test_scores_on_values_are_bit_for_bit_those_of_the_grown_leaves(seed):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(3_001, 7)).round(1).astype(np.float32)
    features[generator.random(features.shape) < 0.2] = np.nan
    edges = [np.unique(generator.normal(size=12).round(1)).astype(np.float32) for _ in range(7)]
    bins = bin_features(features, edges, 16)
    margins = np.full(3_001, 0.3)
    starts, lists = grown(generator, bins, 16, edges, margins, 20)
    forest = Forest(starts, *lists)
    for threads in (1, 2):
        assert np.array_equal(forest.predict(features, 0.3, threads=threads), margins)
    assert np.array_equal(forest.predict(features[:5], 0.3), margins[:5])
    wider = np.hstack([features, features])
    assert np.array_equal(forest.predict(wider, 0.3), margins)


def test_scores_are_those_of_xgboost(tmp_path):
    xgboost = pytest.importorskip("xgboost")
    generator = np.random.default_rng(5)
    features = generator.normal(size=(4_000, 6)).astype(np.float32)
    features[generator.random(features.shape) < 0.1] = np.nan
    label = (np.nan_to_num(features[:, 0]) + generator.normal(size=4_000) > 0).astype(int)
    options = {"objective": "binary:logistic", "max_depth": 5, "base_score": 0.5, "nthread": 1}
    booster = xgboost.train(options, xgboost.DMatrix(features, label), 10)
    booster.save_model(tmp_path / "model.json")
    trees = json.loads((tmp_path / "model.json").read_text())["learner"]["gradient_booster"]["model"]["trees"]
    starts: list[int] = [0]
    lists: list[list[float]] = [[] for _ in range(6)]
    for tree in trees:
        leaf = np.array(tree["left_children"]) == -1
        for place, name in enumerate(
            ["split_indices", "split_conditions", "default_left", "left_children", "right_children"]
        ):
            lists[place] += tree[name]
        lists[5] += np.where(leaf, tree["split_conditions"], 0.0).tolist()
        starts.append(len(lists[0]))
    expected = booster.predict(xgboost.DMatrix(features), output_margin=True)
    made = Forest(np.array(starts), *[np.array(one) for one in lists]).predict(features)
    assert np.allclose(made, expected, atol=1e-5)


def test_what_cannot_be_binned_is_refused():
    features = np.zeros((4, 2), dtype=np.float32)
    one = np.array([1.0, 2.0], dtype=np.float32)
    for edges, bins in [
        ([one], 8),
        ([one, one, one], 8),
        ([one, one], 3),
        ([one, one[::-1]], 8),
        ([one, np.array([np.nan], dtype=np.float32)], 8),
        ([one, np.array([1.0, 1.0], dtype=np.float32)], 8),
        ([one, one], 257),
        ([one, one], 1),
        ([], 8),
    ]:
        with pytest.raises(InputError):
            bin_features(features, edges, bins)


def test_what_cannot_be_grown_is_refused():
    zeros = np.zeros(4, dtype=np.int64)
    for bins, count in [
        (np.zeros((4, 0), dtype=np.uint8), 4),
        (np.full((4, 2), 4, dtype=np.uint8), 4),
        (np.zeros((4, 2), dtype=np.uint8), 257),
        (np.zeros((4, 2), dtype=np.uint8), 1),
    ]:
        with pytest.raises(InputError):
            Grower(bins, count)
    grower = Grower(np.zeros((4, 2), dtype=np.uint8), 4)
    with pytest.raises(InputError, match="node"):
        grower.histograms([ROOT])
    with pytest.raises(InputError, match="length"):
        grower.reset(zeros, zeros[:3])
    with pytest.raises(InputError, match="length"):
        grower.reset(zeros, zeros, np.ones(3, dtype=bool))
    for value in (2**61, -(2**61), -(2**63)):
        with pytest.raises(InputError, match="overflow"):
            grower.reset(np.array([0, value, 0, 0]), zeros)
        with pytest.raises(InputError, match="overflow"):
            grower.reset(zeros, np.array([0, value, 0, 0]))


def test_the_largest_sums_are_exact():
    most = (2**63 - 1) // 4
    grower = Grower(np.zeros((4, 1), dtype=np.uint8), 2)
    grower.reset(np.full(4, most), np.full(4, -most))
    assert grower.histograms([ROOT])[0, 0].tolist() == [[4 * most, -4 * most], [0, 0]]


@pytest.mark.parametrize(
    "split",
    [
        ([1], [0], [0], [True], [3], [4]),
        ([-1], [0], [0], [True], [3], [4]),
        ([0], [2], [0], [True], [3], [4]),
        ([0], [-1], [0], [True], [3], [4]),
        ([0], [0], [3], [True], [3], [4]),
        ([0], [0], [0], [True], [3], [3]),
        ([0], [0], [0], [True], [0], [3]),
        ([0], [0], [0], [True], [MAX_NODES], [3]),
        ([0, 0], [0, 0], [0, 0], [True, True], [3, 5], [4, 6]),
        ([0], [0], [0], [True], [3], [4, 5]),
    ],
    ids=["no-node", "negative", "feature", "less", "missing", "twins", "root", "large", "twice", "lengths"],
)
def test_wrong_splits_are_refused_and_split_nothing(split):
    grower = Grower(np.arange(8, dtype=np.uint8).reshape(4, 2) % 4, 4)
    zeros = np.zeros(4, dtype=np.int64)
    grower.reset(zeros, zeros)
    with pytest.raises(InputError):
        grower.split(*split)
    assert not grower.nodes().any()
    assert grower.counts([ROOT]).tolist() == [4]
    grower.split([0], [0], [1], [False], [1], [2])
    with pytest.raises(InputError, match="node"):
        grower.histograms([ROOT])


def test_leaves_are_added_to_whole_float64_margins_or_not_at_all():
    grower = Grower(np.zeros((4, 1), dtype=np.uint8), 4)
    zeros = np.zeros(4, dtype=np.int64)
    grower.reset(zeros, zeros)
    frozen = np.zeros(4)
    frozen.flags.writeable = False
    arrays: list[Any] = [np.zeros(3), np.zeros(4, dtype=np.float32), np.zeros(8)[::2], frozen]
    for margins in arrays:
        with pytest.raises(InputError):
            grower.add_leaves(margins, np.ones(1))
        assert not margins.any()
    with pytest.raises(InputError, match="no value"):
        grower.add_leaves(np.zeros(4), np.ones(0))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, [0, 2]),
        (0, [1, 3]),
        (0, [0, 0, 3]),
        (1, [-1, 0, 0]),
        (4, [0, -1, -1]),
        (4, [3, -1, -1]),
        (5, [1, -1, -1]),
    ],
    ids=["short", "late", "empty-tree", "feature", "loop", "outside", "one-child"],
)
def test_what_is_no_forest_is_refused(place, value):
    lists = [[0, 3], [0, 0, 0], [0.5, 0, 0], [True] * 3, [1, -1, -1], [2, -1, -1], [0.0, 1.0, 2.0]]
    assert Forest(*map(np.array, lists)).predict(np.ones((2, 1), dtype=np.float32)).tolist() == [2.0, 2.0]
    with pytest.raises(InputError):
        Forest(*map(np.array, [*lists[:place], value, *lists[place + 1 :]]))


def test_rows_without_the_feature_of_a_split_are_refused():
    lists = [[0, 3], [4, 0, 0], [0.5, 0, 0], [True] * 3, [1, -1, -1], [2, -1, -1], [0.0, 1.0, 2.0]]
    with pytest.raises(InputError, match="feature"):
        Forest(*map(np.array, lists)).predict(np.ones((2, 4), dtype=np.float32))


def test_values_that_do_not_fit_are_refused_and_others_may_come_in_any_type():
    grower = Grower(np.array([[0, 1], [2, 3]]), 4)
    zeros = np.zeros(2, dtype=np.int64)
    with pytest.raises(InputError, match="fit uint8"):
        Grower(np.array([[256, 0]]), 4)
    with pytest.raises(InputError, match="2 dimension"):
        Grower(np.zeros(4, dtype=np.uint8), 4)
    wrongs: list[Any] = [np.array([0.5, 1.0]), [2**70, 0], ["a", "b"], np.zeros((2, 1))]
    for wrong in wrongs:
        with pytest.raises(InputError):
            grower.reset(wrong, zeros)
    grower.reset(np.array([3.0, 4.0]), zeros.astype(np.uint8))
    assert grower.histograms([ROOT])[0, 0, :, 0].tolist() == [3, 0, 4, 0]
    for place in (256, 2**32):
        with pytest.raises(InputError, match="fit"):
            grower.split([0], [0], np.array([place]), [True], [1], [2])
        with pytest.raises(InputError, match="fit"):
            grower.split(np.array([2**32]), [0], [1], [True], [1], [2])
    with pytest.raises(InputError):
        bin_features(np.array([["a"]]), [np.array([1.0])], 8)
    assert bin_features(np.array([[np.nan], [0.5]]), [np.array([0.5])], 8).tolist() == [[7], [1]]
