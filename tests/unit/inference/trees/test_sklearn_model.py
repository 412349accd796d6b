# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's trees decide here as they do there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.unit.inference.trees.forests import CATEGORICAL, data

from hitoku.inference.errors import ModelError
from hitoku.inference.trees import load

ensemble = pytest.importorskip("sklearn.ensemble")
tree = pytest.importorskip("sklearn.tree")
threadpoolctl = pytest.importorskip("threadpoolctl")

DATA = data()
CLEAN, CLEAN_FRESH = np.nan_to_num(DATA.x), np.nan_to_num(DATA.fresh)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other by spinning are slow on a busy machine."""
    with threadpoolctl.threadpool_limits(1):
        yield


def predicted(model: Any, x: Any) -> Any:
    return model.predict_proba(x) if hasattr(model, "predict_proba") else model.predict(x)[:, None]


@pytest.mark.parametrize("target", [DATA.two, DATA.three])
@pytest.mark.parametrize(
    "model",
    [
        tree.DecisionTreeClassifier(max_depth=5, random_state=0),
        tree.ExtraTreeClassifier(max_depth=5, random_state=0),
        ensemble.RandomForestClassifier(8, max_depth=5, random_state=0),
        ensemble.ExtraTreesClassifier(8, max_depth=5, random_state=0),
    ],
)
def test_classifiers_that_average(model: Any, target: Any) -> None:
    model.fit(DATA.x, target)
    forest = load(model)
    np.testing.assert_allclose(forest.predictions(DATA.fresh), model.predict_proba(DATA.fresh), atol=1e-12)
    leaves = model.apply(DATA.fresh).reshape(len(DATA.fresh), -1)
    np.testing.assert_array_equal(forest.leaves(DATA.fresh), leaves)
    assert forest.outputs == (1 if target is DATA.two else 3)


@pytest.mark.parametrize(
    "model",
    [
        tree.DecisionTreeRegressor(max_depth=5, random_state=0),
        ensemble.RandomForestRegressor(8, max_depth=5, random_state=0),
        ensemble.ExtraTreesRegressor(8, max_depth=5, random_state=0),
    ],
)
def test_regressors_that_average(model: Any) -> None:
    model.fit(DATA.x, DATA.y)
    forest = load(model)
    np.testing.assert_allclose(forest.predictions(DATA.fresh)[:, 0], model.predict(DATA.fresh), atol=1e-12)


def test_inputs_are_rounded_to_float32_and_thresholds_go_left() -> None:
    model = ensemble.RandomForestRegressor(4, max_depth=6, random_state=1).fit(CLEAN, DATA.y)
    forest, rows = load(model), []
    for one in model.estimators_:
        for feature, at in zip(one.tree_.feature, one.tree_.threshold, strict=True):
            if feature >= 0:
                row = np.zeros((4, forest.features))
                single = np.float32(at)
                row[:, feature] = [at, np.nextafter(at, 9), single, np.nextafter(single, np.float32(9))]
                rows.append(row)
    x = np.concatenate(rows)
    np.testing.assert_array_equal(forest.leaves(x), model.apply(x))


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (ensemble.GradientBoostingClassifier(n_estimators=6, random_state=0), DATA.two),
        (ensemble.GradientBoostingClassifier(n_estimators=6, random_state=0), DATA.three),
        (ensemble.GradientBoostingClassifier(n_estimators=6, init="zero"), DATA.three),
        (ensemble.GradientBoostingRegressor(n_estimators=6, random_state=0), DATA.y),
        (ensemble.GradientBoostingRegressor(n_estimators=6, loss="huber"), DATA.y),
    ],
)
def test_gradient_boosting(model: Any, target: Any) -> None:
    model.fit(CLEAN, target)
    forest = load(model)
    np.testing.assert_allclose(
        forest.predictions(CLEAN_FRESH), predicted(model, CLEAN_FRESH), rtol=1e-12, atol=1e-12
    )
    with pytest.raises(ModelError, match="missing values"):
        forest.scores(DATA.fresh)


@pytest.mark.parametrize("categorical", [None, [CATEGORICAL], [CATEGORICAL, 5]])
@pytest.mark.parametrize(
    ("model", "target"),
    [
        (ensemble.HistGradientBoostingClassifier(max_iter=8, max_leaf_nodes=12), DATA.two),
        (ensemble.HistGradientBoostingClassifier(max_iter=6, max_leaf_nodes=12), DATA.three),
        (ensemble.HistGradientBoostingRegressor(max_iter=8, max_leaf_nodes=12), DATA.y),
        (ensemble.HistGradientBoostingRegressor(max_iter=8, loss="poisson"), np.abs(DATA.y)),
    ],
)
def test_histogram_boosting(model: Any, target: Any, categorical: list[int] | None) -> None:
    x, fresh = DATA.x.copy(), DATA.fresh.copy()
    # Another categorical column, with values that are no codes.
    x[:, 5], fresh[:, 5] = np.round(x[:, 5]) * 1.5, np.round(fresh[:, 5]) * 1.5
    if categorical is not None:
        fresh[:40, CATEGORICAL] = np.resize([-1.0, 77.0, 2.5, np.nan], 40)
    else:
        fresh[:20, 0], fresh[20:40, 0] = np.inf, -np.inf
    model.set_params(categorical_features=categorical).fit(x, target)
    forest = load(model)
    np.testing.assert_allclose(forest.predictions(fresh), predicted(model, fresh), rtol=1e-12, atol=1e-12)


def test_names_of_features() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(CLEAN, columns=list("abcdef"))
    for model in (
        ensemble.RandomForestClassifier(2, max_depth=2),
        ensemble.GradientBoostingClassifier(n_estimators=2),
    ):
        forest = load(model.fit(frame, DATA.two))
        assert [c.name for c in forest.columns] == list("abcdef")


@pytest.mark.parametrize(
    ("model", "target", "words"),
    [
        (ensemble.RandomForestRegressor(2), np.stack([DATA.y, DATA.y], axis=1), "several targets"),
        (ensemble.IsolationForest(n_estimators=2), None, "IsolationForest"),
        (
            ensemble.GradientBoostingRegressor(n_estimators=2, init=tree.DecisionTreeRegressor(max_depth=2)),
            DATA.y,
            "another estimator",
        ),
        (ensemble.GradientBoostingClassifier(n_estimators=2, loss="exponential"), DATA.two, "loss"),
    ],
)
def test_what_is_not_computed_is_refused(model: Any, target: Any, words: str) -> None:
    model.fit(CLEAN, target)
    with pytest.raises(ModelError, match=words) as caught:
        load(model)
    assert caught.value.code == "OPERATOR"
    assert caught.value.remedy


def test_categories_that_are_words_are_refused() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": CLEAN[:, 0], "b": np.where(CLEAN[:, 3] > 4, "high", "low")})
    frame["b"] = frame["b"].astype("category")
    model = ensemble.HistGradientBoostingRegressor(max_iter=2).fit(frame, DATA.y)
    with pytest.raises(ModelError, match="not numbers"):
        load(model)


def test_an_untrained_estimator() -> None:
    with pytest.raises(ModelError, match="not trained"):
        load(ensemble.RandomForestClassifier())
