# SPDX-License-Identifier: Apache-2.0
"""XGBoost models decide here as they do there, on inputs at thresholds and with missing values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.inference.trees.forests import CATEGORICAL, FEATURES, data, same_leaves

from hitoku.inference.errors import ModelError
from hitoku.inference.trees import load
from hitoku.inference.trees.forest import Forest
from hitoku.inference.trees.xgboost_model import from_booster, from_json

xgboost = pytest.importorskip("xgboost")

KINDS = ["c" if i == CATEGORICAL else "q" for i in range(FEATURES)]
DATA = data()
TARGETS = {
    "binary": DATA.two,
    "multi": DATA.three,
    "count": np.abs(DATA.y),
    "gamma": np.abs(DATA.y) + 0.1,
}


def matrix(x: Any, y: Any = None, *, categorical: bool = True) -> Any:
    kinds = KINDS if categorical else None
    return xgboost.DMatrix(x, y, feature_types=kinds, enable_categorical=True, nthread=1)


def trained(objective: str, y: Any, rounds: int = 8, **settings: Any) -> Any:
    settings = {"objective": objective, "max_depth": 4, "nthread": 1, "max_cat_to_onehot": 1, **settings}
    return xgboost.train(settings, matrix(DATA.x, y), rounds)


def agrees(booster: Any, forest: Forest, x: Any) -> None:
    """Leaves exactly; raw scores and predictions up to XGBoost's float32 sums."""
    given = matrix(x)
    assert same_leaves(forest.leaves(x), booster.predict(given, pred_leaf=True).reshape(len(x), -1))
    raw = booster.predict(given, output_margin=True).reshape(len(x), -1)
    np.testing.assert_allclose(forest.scores(x), raw, rtol=0, atol=2e-6 * max(1.0, np.abs(raw).max()))
    made = booster.predict(given).reshape(len(x), -1)
    np.testing.assert_allclose(forest.predictions(x)[:, : made.shape[1]], made, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("objective", "target", "settings"),
    [
        ("binary:logistic", DATA.two, {}),
        ("binary:logitraw", DATA.two, {}),
        ("binary:hinge", DATA.two, {}),
        ("reg:logistic", DATA.two, {}),
        ("reg:squarederror", DATA.y, {}),
        ("reg:absoluteerror", DATA.y, {}),
        ("reg:gamma", np.abs(DATA.y) + 0.1, {}),
        ("reg:tweedie", np.abs(DATA.y), {}),
        ("count:poisson", np.abs(DATA.y), {}),
        ("multi:softprob", DATA.three, {"num_class": 3}),
        ("multi:softmax", DATA.three, {"num_class": 3}),
        ("multi:softprob", DATA.three, {"num_class": 3, "num_parallel_tree": 3, "subsample": 0.6}),
        ("binary:logistic", DATA.two, {"booster": "dart", "rate_drop": 0.5, "seed": 3}),
        ("binary:logistic", DATA.two, {"base_score": 0.2}),
        ("binary:logistic", DATA.two, {"grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0}),
        ("binary:logistic", DATA.two, {"gamma": 2.0}),
    ],
)
def test_decides_as_xgboost_does(objective: str, target: Any, settings: dict[str, Any]) -> None:
    booster = trained(objective, target, **settings)
    agrees(booster, from_booster(booster), DATA.fresh)


def test_weights_of_dropped_trees_count() -> None:
    booster = trained("binary:logistic", DATA.two, booster="dart", rate_drop=0.5, seed=3)
    weights = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["weight_drop"]
    assert min(weights) < 1.0


def test_thresholds_themselves_go_right() -> None:
    booster = trained("reg:squarederror", DATA.y)
    forest = from_booster(booster)
    trees = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    rows = []
    for tree in trees:
        for feature, kind, at in zip(
            tree["split_indices"], tree["split_type"], tree["split_conditions"], strict=True
        ):
            if kind == 0:
                row = np.zeros((3, FEATURES))
                single = np.float32(at)
                row[:, feature] = [single, np.nextafter(single, np.float32(-9e9)), float(single) + 1e-12]
                rows.append(row)
    agrees(booster, forest, np.concatenate(rows))


def test_categories_that_are_unknown_negative_or_no_whole_numbers() -> None:
    booster = trained("reg:squarederror", DATA.y)
    x = np.repeat(DATA.fresh[:1], 9, axis=0)
    x[:, CATEGORICAL] = [-1.0, -0.5, 0.5, 2.7, 8.0, 9.0, 100.0, 3e6, np.nan]
    agrees(booster, from_booster(booster), x)


def test_a_number_that_stands_for_missing() -> None:
    x = np.where(np.isnan(DATA.x), -999.0, DATA.x)
    model = xgboost.XGBClassifier(n_estimators=5, max_depth=3, missing=-999.0, n_jobs=1).fit(x, DATA.two)
    fresh = np.where(np.isnan(DATA.fresh), -999.0, DATA.fresh)
    fresh[0, 0] = np.nan
    forest = load(model)
    np.testing.assert_allclose(
        forest.scores(fresh)[:, 0], model.predict(fresh, output_margin=True), atol=1e-6
    )
    assert forest.labels == ("0", "1")


def test_early_stopping_takes_the_best_iteration_as_the_estimator_does() -> None:
    model = xgboost.XGBClassifier(
        n_estimators=60, max_depth=4, learning_rate=1.0, early_stopping_rounds=3, n_jobs=1
    )
    half = len(DATA.x) // 2
    model.fit(DATA.x[:half], DATA.three[:half], eval_set=[(DATA.x[half:], DATA.three[half:])], verbose=False)
    forest = load(model)
    assert len(forest.trees) == 3 * (model.best_iteration + 1) < len(load(model.get_booster()).trees)
    np.testing.assert_allclose(forest.predictions(DATA.fresh), model.predict_proba(DATA.fresh), atol=1e-6)


def test_files(tmp_path: Path) -> None:
    booster = trained("binary:logistic", DATA.two)
    for name in ("model.json", "model.ubj"):
        booster.save_model(tmp_path / name)
        agrees(booster, load(tmp_path / name), DATA.fresh)


@pytest.mark.parametrize(
    ("settings", "target", "code", "words"),
    [
        ({"booster": "gblinear", "objective": "reg:squarederror"}, DATA.y, "OPERATOR", "gblinear"),
        ({"objective": "survival:cox"}, np.abs(DATA.y), "OPERATOR", "survival:cox"),
        (
            {"objective": "reg:squarederror", "multi_strategy": "multi_output_tree"},
            np.stack([DATA.y, DATA.y], axis=1),
            "OPERATOR",
            "several outputs",
        ),
    ],
)
def test_what_is_not_computed_is_refused(
    settings: dict[str, Any], target: Any, code: str, words: str
) -> None:
    x = np.nan_to_num(DATA.x)
    booster = xgboost.train({"nthread": 1, **settings}, matrix(x, target, categorical=False), 2)
    with pytest.raises(ModelError, match=words) as caught:
        from_booster(booster)
    assert caught.value.code == code
    assert caught.value.remedy


def test_an_untrained_estimator() -> None:
    with pytest.raises(ModelError, match="not trained"):
        load(xgboost.XGBRegressor())


def test_damaged_models_are_refused() -> None:
    model = json.loads(trained("binary:logistic", DATA.two, rounds=1).save_raw("json"))
    tree = model["learner"]["gradient_booster"]["model"]["trees"][0]
    for name, value in (
        ("left_children", [0] * len(tree["left_children"])),
        ("right_children", tree["left_children"]),
        ("left_children", [10**6] * len(tree["left_children"])),
        ("split_conditions", [float("nan")] * len(tree["split_conditions"])),
        ("split_indices", [99] * len(tree["split_indices"])),
        ("split_indices", tree["split_indices"][:1]),
    ):
        broken = json.loads(json.dumps(model))
        broken["learner"]["gradient_booster"]["model"]["trees"][0][name] = value
        with pytest.raises(ModelError):
            from_json(broken)
    with pytest.raises(ModelError, match="no XGBoost model"):
        from_json({"learner": {}})
