# SPDX-License-Identifier: Apache-2.0
"""Estimators of scikit-learn compute here what they compute there."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    Perceptron,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC, LinearSVR

from hitoku.inference.errors import ModelError
from hitoku.inference.importing import load
from hitoku.inference.network import Network

CANCER, IRIS, DIABETES = load_breast_cancer(), load_iris(), load_diabetes()
HIDDEN = {"hidden_layer_sizes": (7, 4), "random_state": 1, "max_iter": 30}


def fitted(model: Any, table: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged: its numbers serve all the same
        return model.fit(table.data, table.target)


def loaded(model: Any) -> Network:
    network = load(model)
    assert isinstance(network, Network)
    return network


PROBABILITIES = [
    (LogisticRegression(), CANCER),
    (LogisticRegression(), IRIS),
    (LogisticRegression(solver="liblinear"), CANCER),
    (SGDClassifier(loss="log_loss", random_state=1), CANCER),
    (SGDClassifier(loss="log_loss", random_state=1), IRIS),
    (MLPClassifier(**HIDDEN), CANCER),
    (MLPClassifier(activation="tanh", **HIDDEN), IRIS),
    (MLPClassifier(activation="logistic", **HIDDEN), CANCER),
    (MLPClassifier(activation="identity", **HIDDEN), IRIS),
]


@pytest.mark.parametrize(("model", "table"), PROBABILITIES, ids=lambda value: type(value).__name__)
def test_probabilities(model: Any, table: Any) -> None:
    pipeline = fitted(make_pipeline(StandardScaler(), model), table)
    network = loaded(pipeline)
    assert network.output_names == tuple(map(str, pipeline.classes_))
    assert np.allclose(network.predict(table.data), pipeline.predict_proba(table.data), atol=1e-12)


@pytest.mark.parametrize("model", [LinearSVC(), Perceptron(), RidgeClassifier(), SGDClassifier()])
@pytest.mark.parametrize("table", [CANCER, IRIS], ids=["two", "three"])
def test_decision_functions(model: Any, table: Any) -> None:
    fitted(model, table)
    found = loaded(model).run(table.data)
    assert np.allclose(found, model.decision_function(table.data).reshape(found.shape))


REGRESSORS = [LinearRegression(), Ridge(), ElasticNet(), SGDRegressor(), LinearSVR(), MLPRegressor(**HIDDEN)]


@pytest.mark.parametrize("model", REGRESSORS)
def test_regressors(model: Any) -> None:
    fitted(model, DIABETES)
    assert np.allclose(loaded(model).predict(DIABETES.data)[:, 0], model.predict(DIABETES.data))


SCALERS = [
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    MinMaxScaler((-1, 2)),
    MaxAbsScaler(),
    RobustScaler(with_centering=False),
    RobustScaler(with_scaling=False),
    PCA(4),
    PCA(4, whiten=True),
    TruncatedSVD(3),
]


@pytest.mark.parametrize("scaler", SCALERS)
def test_scalers(scaler: Any) -> None:
    model = fitted(make_pipeline(scaler, "passthrough", Ridge()), CANCER)
    assert np.allclose(loaded(model).run(CANCER.data)[:, 0], model.predict(CANCER.data))


@pytest.mark.parametrize(
    "model", [LinearRegression(), LogisticRegression(), MLPClassifier(), StandardScaler()]
)
def test_not_fitted(model: Any) -> None:
    with pytest.raises(ModelError, match="call fit") as error:
        load(model if hasattr(model, "predict") else make_pipeline(model, Ridge()))
    assert error.value.code == "NOT_FITTED"


def test_what_is_not_read_is_named() -> None:
    for model in (SVC(), KNeighborsClassifier()):
        with pytest.raises(ModelError, match=f"{type(model).__name__}: is an estimator that is not read"):
            load(fitted(model, IRIS))
    with pytest.raises(ModelError, match="Normalizer: is no step that can stand before a model"):
        load(fitted(make_pipeline(Normalizer(), Ridge()), DIABETES))
    with pytest.raises(ModelError, match="cuts values off"):
        load(fitted(make_pipeline(MinMaxScaler(clip=True), Ridge()), DIABETES))
    with pytest.raises(ModelError, match="export it to an ONNX file"):
        load(object())
    with pytest.raises(ModelError, match="takes no output"):
        load(fitted(Ridge(), DIABETES), output="y")
