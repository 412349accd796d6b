# SPDX-License-Identifier: Apache-2.0
"""Exported models load in XGBoost and in hitoku, and score the same; joint training against XGBoost's."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.unit.learning.boosting.banks import grown, plan_of, rows_of, spread

from hitoku.errors import InputError
from hitoku.hazmat.histograms import bin_features
from hitoku.learning.base import Rows
from hitoku.learning.boosting import BoostingTrainer
from hitoku.learning.boosting.kind import BoostedTrees
from hitoku.learning.boosting.trees import children_of
from hitoku.learning.models import LearnedModel, read_model, score
from hitoku.learning.plan import Weighting
from hitoku.learning.xgboost_file import export_xgboost

xgboost = pytest.importorskip("xgboost")
metrics = pytest.importorskip("sklearn.metrics")

ROWS = rows_of(3_000)


def margins(file: bytes, rows: NDArray[np.float32], names: tuple[str, ...]) -> NDArray[np.float32]:
    booster = xgboost.Booster()
    booster.load_model(bytearray(file))
    made: NDArray[np.float32] = booster.predict(
        xgboost.DMatrix(rows, feature_names=list(names), nthread=1), output_margin=True
    )
    return made


@pytest.mark.parametrize("positive", [1.0, 20.0], ids=["plain", "weighted"])
def test_xgboost_scores_the_same(positive: float) -> None:
    plan = plan_of(trees=12, depth=5, bins=32, weights=Weighting(positive=positive))
    model = read_model(grown(plan, spread(ROWS)).model())
    theirs = margins(export_xgboost(model), ROWS.features, model.features)
    mine = model.content.margins(ROWS.features)
    assert np.abs(mine).max() > 1
    assert np.abs(theirs - mine).max() < 2e-5


def test_a_model_without_trees_and_one_with_single_leaves_load() -> None:
    plan = plan_of(trees=2, depth=3, child_weight=1e6)
    single = read_model(grown(plan, spread(ROWS)).model())
    assert [len(tree.feature) for tree in single.content.trees] == [1, 1]
    empty = LearnedModel("boosting", "m", "0" * 64, single.features, BoostedTrees(-3.0, ()))
    for model in (single, empty):
        theirs = margins(export_xgboost(model), ROWS.features[:9], model.features)
        assert np.abs(theirs - model.content.margins(ROWS.features[:9])).max() < 2e-6


def test_values_on_a_threshold_go_the_same_way() -> None:
    model = read_model(grown(plan_of(trees=3, depth=3, bins=16), spread(ROWS)).model())
    thresholds = np.concatenate([t.threshold[t.feature >= 0] for t in model.content.trees])
    rows = np.repeat(thresholds[:, None], len(model.features), axis=1)
    theirs = margins(export_xgboost(model), rows, model.features)
    assert np.abs(theirs - model.content.margins(rows)).max() < 1e-5


def test_hitokus_own_importer_reads_it() -> None:
    trees = pytest.importorskip("hitoku.inference.trees.xgboost_model")
    model = read_model(grown(plan_of(trees=4, depth=3, bins=16), spread(ROWS)).model())
    forest = trees.from_json(json.loads(export_xgboost(model)))
    rows = ROWS.features[:200]
    made = np.full(len(rows), float(forest.base[0]))
    for tree in forest.trees:
        for row, values in enumerate(rows):
            node = 0
            while tree.feature[node] >= 0:
                value = values[tree.feature[node]]
                right = tree.missing_right[node] if np.isnan(value) else value > tree.threshold[node]
                node = int(tree.right[node] if right else tree.left[node])
            made[row] += tree.value[node, 0]
    assert [column.name for column in forest.columns] == list(model.features)
    assert np.abs(made - model.content.margins(rows)).max() < 1e-5


def test_what_tells_of_the_rows_is_nothing() -> None:
    model = read_model(grown(plan_of(trees=2, depth=3), spread(ROWS)).model())
    for tree in json.loads(export_xgboost(model))["learner"]["gradient_booster"]["model"]["trees"]:
        for name in ("sum_hessian", "base_weights", "loss_changes"):
            assert set(tree[name]) == {0.0}


def test_other_kinds_are_refused() -> None:
    with pytest.raises(InputError, match="not made of trees"):
        export_xgboost(LearnedModel("linear", "m", "0" * 64, ("x",), object()))


def theirs(trainer: BoostingTrainer, rows: Rows, settings: dict[str, Any], trees: int) -> tuple[Any, Any]:
    """XGBoost trained on the bins' numbers: its booster and its scores of all rows."""
    bins = trainer._shape.bins
    numbers = bin_features(rows.features, trainer._edges or [], bins + 1).astype(np.float32)
    numbers[numbers == bins] = np.nan
    training = rows.part == 0
    booster = xgboost.train(
        {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "max_bin": 256,
            "base_score": float(1 / (1 + np.exp(-trainer._base))),
            "nthread": 1,
            **settings,
        },
        xgboost.DMatrix(numbers[training], rows.label[training]),
        trees,
    )
    return booster, booster.predict(xgboost.DMatrix(numbers))


def alike(trainer: BoostingTrainer, booster: Any) -> tuple[int, int]:
    """How many splits both have at the same place, and how many we have."""
    same = total = 0
    others = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]["model"]["trees"]
    for mine, other in zip(trainer._trees, others, strict=True):
        left, right = children_of(mine.feature)
        total += int((mine.feature >= 0).sum())
        todo = [(0, 0)]
        while todo:
            a, b = todo.pop()
            if mine.feature[a] < 0 or other["left_children"][b] < 0:
                continue
            # Bin k goes left here if k <= bin, there if k < condition.
            if mine.feature[a] == other["split_indices"][b] and (
                mine.bin[a] < other["split_conditions"][b] <= mine.bin[a] + 1
            ):
                same += 1
                todo += [(left[a], other["left_children"][b]), (right[a], other["right_children"][b])]
    return same, total


def imbalanced(rows: int, seed: int) -> Rows:
    """About 3 % positives, features that work together, some values missing; half of the rows to test."""
    made = np.random.default_rng(seed)
    x = made.normal(size=(rows, 10)).astype(np.float32)
    x[:, 5] = np.where(made.random(rows) < 0.8, 0, np.abs(x[:, 5]))
    z = 2 * x[:, 0] + x[:, 1] * x[:, 2] + 2 * np.maximum(x[:, 3], 0) - 1.5 * np.abs(x[:, 4])
    z += 2 * (x[:, 5] > 1) - 5
    y = (made.random(rows) < 1 / (1 + np.exp(-2.5 * z))).astype(np.uint8)
    x[made.random(x.shape) < 0.03] = np.nan
    return Rows(x, y, made.choice([0, 2], size=rows).astype(np.uint8))


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in range(1, 5))])
def test_joint_training_equals_xgboost_on_the_same_bins(seed: int) -> None:
    rows = imbalanced(40_000, seed)
    plan = plan_of(10, trees=25, depth=4, bins=64, child_weight=5.0)
    trainer = grown(plan, spread(rows))
    booster, scores = theirs(trainer, rows, {"max_depth": 4, "eta": 0.1, "min_child_weight": 5.0}, 25)
    test = rows.part == 2
    mine = score(read_model(trainer.model()), rows.features)
    precision = [metrics.average_precision_score(rows.label[test], s[test]) for s in (mine, scores)]
    same, total = alike(trainer, booster)
    assert precision[0] > 0.5
    assert abs(precision[0] - precision[1]) < 0.001
    # What differs are ties, of which the two take different ones, and what grows below.
    assert same / total > 0.9


@pytest.mark.parametrize("l2", [0.0, 5.0])
@pytest.mark.parametrize("gain", [0.0, 2.0])
@pytest.mark.parametrize("step", [0.0, 0.7])
def test_settings_mean_what_they_mean_to_xgboost(l2: float, gain: float, step: float) -> None:
    rows = imbalanced(8_000, 7)
    model: dict[str, Any] = {
        "depth": 3,
        "rate": 0.3,
        "child_weight": 3.0,
        "l2": l2,
        "gain": gain,
        "step": step,
    }
    plan = plan_of(10, trees=3, bins=32, weights=Weighting(positive=4.0), **model)
    trainer = grown(plan, spread(rows))
    settings = {"max_depth": 3, "eta": 0.3, "min_child_weight": 3.0, "lambda": l2, "gamma": gain}
    settings["max_delta_step"] = step
    booster, scores = theirs(trainer, rows, {**settings, "scale_pos_weight": 4.0}, 3)
    same, total = alike(trainer, booster)
    # One may be a tie of two splits that part the rows alike.
    assert same >= total - 1
    mine = score(read_model(trainer.model()), rows.features)
    assert np.abs(mine - scores).max() < 1e-6
