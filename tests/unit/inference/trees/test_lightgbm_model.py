# SPDX-License-Identifier: Apache-2.0
"""LightGBM models decide here as they do there, whatever counts as missing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.inference.trees.forests import CATEGORICAL, data, same_leaves

from hitoku.inference.errors import ModelError
from hitoku.inference.trees import load
from hitoku.inference.trees.lightgbm_model import from_booster, from_text

lightgbm = pytest.importorskip("lightgbm")

DATA = data()


def trained(objective: str, y: Any, rounds: int = 8, **settings: Any) -> Any:
    settings = {
        "objective": objective,
        "num_threads": 1,
        "verbose": -1,
        "min_data_in_leaf": 5,
        "max_depth": 5,
        "min_data_per_group": 1,
        **settings,
    }
    return lightgbm.train(settings, lightgbm.Dataset(DATA.x, y, categorical_feature=[CATEGORICAL]), rounds)


def awkward() -> Any:
    """Zeros, all but zeros, infinities and odd categories among the samples."""
    x = DATA.fresh.copy()
    x[100:200, 0] = 0.0
    x[200:300, 0] = [1e-36, -1e-36] * 50
    x[400:410, 1], x[410:420, 1] = np.inf, -np.inf
    x[:60, CATEGORICAL] = np.resize([-1.0, -0.5, 0.5, 2.7, 100.0, 15.0], 60)
    return x


@pytest.mark.parametrize(
    ("objective", "target", "settings"),
    [
        ("binary", DATA.two, {}),
        ("binary", DATA.two, {"zero_as_missing": True}),
        ("binary", DATA.two, {"use_missing": False}),
        ("binary", DATA.two, {"sigmoid": 2.0}),
        ("binary", DATA.two, {"boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1}),
        ("regression", DATA.y, {}),
        ("regression", DATA.y, {"boosting": "dart", "drop_rate": 0.5}),
        ("regression", DATA.y, {"max_depth": -1, "num_leaves": 40}),
        ("poisson", np.abs(DATA.y), {}),
        ("multiclass", DATA.three, {"num_class": 3}),
        ("multiclassova", DATA.three, {"num_class": 3}),
        ("regression", np.zeros(len(DATA.y)), {}),
    ],
)
def test_decides_as_lightgbm_does(objective: str, target: Any, settings: dict[str, Any]) -> None:
    booster, x = trained(objective, target, **settings), awkward()
    forest = from_booster(booster)
    assert same_leaves(forest.leaves(x), booster.predict(x, pred_leaf=True).reshape(len(x), -1))
    made = booster.predict(x).reshape(len(x), -1)
    np.testing.assert_allclose(forest.predictions(x)[:, : made.shape[1]], made, rtol=1e-12, atol=1e-12)
    if "boosting" not in settings and "sigmoid" not in settings:
        raw = booster.predict(x, raw_score=True).reshape(len(x), -1)
        np.testing.assert_allclose(forest.scores(x), raw, rtol=1e-12, atol=1e-12)


def test_thresholds_themselves_go_left() -> None:
    booster = trained("regression", DATA.y)
    forest = from_booster(booster)
    rows = []
    for tree in forest.trees:
        for node in np.flatnonzero((tree.feature >= 0) & (tree.chosen < 0)):
            row = np.zeros((2, forest.features))
            at = tree.threshold[node]
            row[:, tree.feature[node]] = [at, np.nextafter(at, np.inf)]
            rows.append(row)
    x = np.concatenate(rows)
    assert same_leaves(forest.leaves(x), booster.predict(x, pred_leaf=True))


def test_estimators_and_files(tmp_path: Path) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=6, num_leaves=7, verbose=-1, n_jobs=1)
    model.fit(np.nan_to_num(DATA.x), DATA.three)
    forest = load(model)
    x = np.nan_to_num(DATA.fresh)
    np.testing.assert_allclose(forest.predictions(x), model.booster_.predict(x), atol=1e-12)
    assert forest.labels == ("0", "1", "2")
    model.booster_.save_model(tmp_path / "model.txt")
    np.testing.assert_array_equal(load(tmp_path / "model.txt").scores(x), forest.scores(x))


def test_the_best_iteration_counts_as_for_the_booster() -> None:
    half = len(DATA.x) // 2
    train = lightgbm.Dataset(DATA.x[:half], DATA.two[:half])
    valid = lightgbm.Dataset(DATA.x[half:], DATA.two[half:], reference=train)
    settings = {"objective": "binary", "learning_rate": 1.0, "verbose": -1, "num_threads": 1}
    stop = lightgbm.early_stopping(3, verbose=False)
    booster = lightgbm.train(settings, train, 60, valid_sets=[valid], callbacks=[stop])
    forest = from_booster(booster)
    assert len(forest.trees) == booster.best_iteration < 60
    np.testing.assert_allclose(
        forest.scores(DATA.fresh)[:, 0], booster.predict(DATA.fresh, raw_score=True), atol=1e-12
    )


@pytest.mark.parametrize(
    ("objective", "settings", "words"),
    [
        ("regression", {"linear_tree": True}, "linear leaves"),
        ("regression", {"reg_sqrt": True}, "squares its scores"),
        ("cross_entropy_lambda", {}, "cross_entropy_lambda"),
    ],
)
def test_what_is_not_computed_is_refused(objective: str, settings: dict[str, Any], words: str) -> None:
    booster = trained(objective, np.abs(DATA.y) / 10, **settings)
    with pytest.raises(ModelError, match=words) as caught:
        from_booster(booster)
    assert caught.value.code == "OPERATOR"
    assert caught.value.remedy


def test_an_untrained_estimator() -> None:
    with pytest.raises(ModelError, match="not trained"):
        load(lightgbm.LGBMRegressor())


def test_damaged_models_are_refused() -> None:
    text = trained("binary", DATA.two, rounds=2).model_to_string()
    for old, new in (
        (r"left_child=", "left_child=0 "),
        (r"left_child=-?\d+", "left_child=99"),
        (r"leaf_value=", "leaf_value=1 "),
        (r"leaf_value=\S+", "leaf_value=nan"),
        (r"split_feature=", "split_feature=77 "),
        (r"split_feature=\d+", "split_feature=77"),
        (r"num_tree_per_iteration=1", "num_tree_per_iteration=0"),
        (r"max_feature_idx=5", "max_feature_idx=x"),
        (r"threshold=", "threshold=zero "),
    ):
        broken, times = re.subn(old, new, text, count=1)
        assert times == 1
        with pytest.raises(ModelError):
            from_text(broken)
    with pytest.raises(ModelError, match="no LightGBM model"):
        from_text("tree\nversion=v4\n")
