# SPDX-License-Identifier: Apache-2.0
"""Read a fitted scikit-learn estimator, or a pipeline of one behind scalers, from its public attributes.

An estimator is an object of the caller's own process: it is trusted as far as that, and nothing here loads
one from a file. Whether it is fitted, and whether its numbers fit each other, is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from hitoku.inference.arrays import Floats
from hitoku.inference.errors import ModelError
from hitoku.inference.network import Activation, Dense, Layer, Network, Scale

__all__ = ["load"]

_READ: Final = (
    "LinearRegression, Ridge, Lasso, ElasticNet, LogisticRegression, RidgeClassifier, SGDClassifier, "
    "SGDRegressor, Perceptron, LinearSVC, LinearSVR, MLPClassifier, MLPRegressor, forests and boosted trees, "
    "and pipelines of these behind StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler or PCA"
)


def load(model: Any) -> Network:
    """The network that computes the estimator's decision function, probabilities (`Network.post`) or values.

    Raises:
        ModelError: not fitted, or an estimator or option that is not read here.
    """
    steps = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    steps = [step for step in steps if step is not None and step != "passthrough"]
    if not steps:
        raise ModelError("FORMAT", "has no steps", where="Pipeline")
    layers: list[Layer] = []
    for step in steps[:-1]:
        layers += _scaler(step)
    final = steps[-1]
    found, post, names = _estimator(final)
    size = _features(steps[0], [*layers, *found])
    return Network(_name(final), (size,), tuple(layers + found), names, post)


def _name(model: Any) -> str:
    return type(model).__name__


def _refused(model: Any, message: str, remedy: str | None = None) -> ModelError:
    return ModelError("OPERATOR", message, where=_name(model), remedy=remedy)


def _numbers(model: Any, attribute: str) -> Floats:
    """A fitted attribute as an array."""
    value = getattr(model, attribute, None)
    if value is None:
        raise ModelError(
            "NOT_FITTED", f"has no {attribute}", where=_name(model), remedy="call fit before it is loaded"
        )
    if hasattr(value, "toarray"):
        value = value.toarray()
    return np.asarray(value, dtype=np.float64)


def _features(first: Any, layers: list[Layer]) -> int:
    told = getattr(first, "n_features_in_", None)
    if told is not None:
        return int(told)
    return next(int(layer.weights.shape[1]) for layer in layers if isinstance(layer, Dense))


def _scaler(step: Any) -> list[Layer]:
    name = _name(step)
    match name:
        case "StandardScaler":
            size = int(getattr(step, "n_features_in_", 0)) or len(_numbers(step, "n_samples_seen_").ravel())
            mean = _numbers(step, "mean_") if step.with_mean else np.zeros(size)
            scale = _numbers(step, "scale_") if step.with_std else np.ones(size)
            return [Scale(1 / scale, -mean / scale, name)]
        case "MinMaxScaler":
            if step.clip:
                raise _refused(step, "cuts values off", "use MinMaxScaler(clip=False)")
            return [Scale(_numbers(step, "scale_"), _numbers(step, "min_"), name)]
        case "MaxAbsScaler":
            scale = _numbers(step, "scale_")
            return [Scale(1 / scale, np.zeros_like(scale), name)]
        case "RobustScaler":
            size = int(step.n_features_in_) if hasattr(step, "n_features_in_") else 0
            middle = _numbers(step, "center_") if step.with_centering else np.zeros(size)
            scale = _numbers(step, "scale_") if step.with_scaling else np.ones(size)
            return [Scale(1 / scale, -middle / scale, name)]
        case "PCA" | "TruncatedSVD":
            rows = _numbers(step, "components_")
            mean = np.zeros(rows.shape[1]) if name == "TruncatedSVD" else _numbers(step, "mean_")
            if getattr(step, "whiten", False):
                spread = np.sqrt(_numbers(step, "explained_variance_"))
                rows = rows / np.maximum(spread, np.finfo(spread.dtype).eps)[:, None]
            return [Dense(rows, -rows @ mean, name)]
    raise _refused(step, "is no step that can stand before a model here", f"read are {_READ}")


def _linear(model: Any) -> Dense:
    weights = np.atleast_2d(_numbers(model, "coef_"))
    bias = np.broadcast_to(_numbers(model, "intercept_").ravel(), weights.shape[:1])
    return Dense(weights, bias, _name(model))


def _classes(model: Any) -> tuple[str, ...]:
    labels = getattr(model, "classes_", ())
    if isinstance(labels, list):
        raise _refused(model, "predicts several labels at once", "train one model for each label")
    return tuple(map(str, np.asarray(labels).tolist()))


_Found = tuple[list[Layer], tuple[str, ...], tuple[str, ...]]


def _regressor(model: Any) -> _Found:
    return [_linear(model)], (), ()


def _scored(model: Any) -> _Found:
    """A classifier whose answer is its decision function."""
    return [_linear(model)], (), _classes(model)


def _logistic(model: Any) -> _Found:
    names = _classes(model)
    if len(names) == 2:
        return [_linear(model)], ("sigmoid", "complement"), names
    one_by_one = getattr(model, "multi_class", "auto") == "ovr" or getattr(model, "solver", "") == "liblinear"
    return [_linear(model)], ("sigmoid", "share") if one_by_one else ("softmax",), names


def _sgd(model: Any) -> _Found:
    names = _classes(model)
    if model.loss != "log_loss":
        return _scored(model)
    return [_linear(model)], ("sigmoid", "complement") if len(names) == 2 else ("sigmoid", "share"), names


_ACTIVATIONS: Final = {"relu": "relu", "tanh": "tanh", "logistic": "sigmoid"}


def _perceptron(model: Any) -> _Found:
    matrices, biases = getattr(model, "coefs_", None), getattr(model, "intercepts_", None)
    if matrices is None or biases is None:
        raise ModelError(
            "NOT_FITTED", "has no coefs_", where=_name(model), remedy="call fit before it is loaded"
        )
    layers: list[Layer] = []
    for place, (matrix, bias) in enumerate(zip(matrices, biases, strict=True)):
        layers.append(Dense(np.asarray(matrix).T, bias, f"{_name(model)}/{place}"))
        if place + 1 < len(matrices) and model.activation != "identity":
            layers.append(Activation(_ACTIVATIONS[model.activation], name=f"{_name(model)}/{place}"))
    end = model.out_activation_
    if _name(model) == "MLPRegressor":
        if end not in ("identity", "exp"):
            raise _refused(model, f"ends in {end}")
        return layers, ("exp",) if end == "exp" else (), ()
    if end == "logistic" and model.n_outputs_ > 1:
        return layers, ("sigmoid",), _classes(model)
    return layers, ("softmax",) if end == "softmax" else ("sigmoid", "complement"), _classes(model)


_KINDS: Final[dict[str, Callable[[Any], _Found]]] = {
    **dict.fromkeys(("LogisticRegression", "LogisticRegressionCV"), _logistic),
    **dict.fromkeys(("MLPClassifier", "MLPRegressor"), _perceptron),
    **dict.fromkeys(("LinearSVC", "PassiveAggressiveClassifier", "Perceptron"), _scored),
    **dict.fromkeys(("RidgeClassifier", "RidgeClassifierCV"), _scored),
    **dict.fromkeys(("ElasticNet", "ElasticNetCV", "Lars", "Lasso", "LassoCV", "LassoLars"), _regressor),
    **dict.fromkeys(("LinearRegression", "LinearSVR", "Ridge", "RidgeCV", "SGDRegressor"), _regressor),
    **dict.fromkeys(("ARDRegression", "BayesianRidge", "HuberRegressor", "TheilSenRegressor"), _regressor),
    "SGDClassifier": _sgd,
}


def _estimator(model: Any) -> _Found:
    read = _KINDS.get(_name(model))
    if read is None:
        raise _refused(model, "is an estimator that is not read here", f"read are {_READ}")
    return read(model)
