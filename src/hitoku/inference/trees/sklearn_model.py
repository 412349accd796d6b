# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's trees: decision trees, random forests, extra trees, gradient boosting, histogram boosting.

Plain trees round inputs to float32 and go left iff x <= t; histogram boosting compares float64 and keeps
categories as bitmaps over codes that its own encoder makes of a column's values.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hitoku.inference.errors import ModelError
from hitoku.inference.trees.forest import Forest, Tree
from hitoku.inference.trees.reading import Column, below_single
from hitoku.inference.trees.renumber import renumbered
from hitoku.inference.trees.sklearn_histogram import from_histogram

__all__ = ["from_estimator", "names_of"]

_TREES: Final = ("DecisionTree", "ExtraTree")
_AVERAGES: Final = ("RandomForest", "ExtraTrees")


def from_estimator(estimator: Any) -> Forest:
    """A fitted scikit-learn estimator made of trees.

    Classifiers that average probabilities give one output for two classes (the second's probability).

    Raises:
        ModelError: a kind of estimator that is not read here, one that was not trained, or several targets.
    """
    name = type(estimator).__name__
    kind = name.removesuffix("Classifier").removesuffix("Regressor")
    if not hasattr(estimator, "n_features_in_") or not _fitted(estimator):
        raise ModelError("NOT_FITTED", "was not trained", where=name, remedy="call fit first")
    if kind == "HistGradientBoosting":
        return from_histogram(estimator, names_of(estimator))
    if kind in _TREES:
        return _averaged(estimator, [estimator])
    if kind in _AVERAGES:
        return _averaged(estimator, list(estimator.estimators_))
    if kind == "GradientBoosting":
        return _boosted(estimator)
    known = ", ".join([*_TREES, *_AVERAGES, "GradientBoosting", "HistGradientBoosting"])
    raise ModelError("OPERATOR", "is not read here", where=name, remedy=f"known are {known}")


def names_of(estimator: Any) -> list[str]:
    """The features' names, as it was trained with or numbered."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        return [str(n) for n in names]
    return [f"x{i}" for i in range(int(estimator.n_features_in_))]


def _fitted(estimator: Any) -> bool:
    return any(hasattr(estimator, name) for name in ("tree_", "estimators_", "_predictors"))


def _averaged(estimator: Any, members: list[Any]) -> Forest:
    name = type(estimator).__name__
    if int(getattr(estimator, "n_outputs_", 1)) > 1:
        raise ModelError(
            "OPERATOR", "predicts several targets", where=name, remedy="train one model a target"
        )
    classifier = name.endswith("Classifier")
    classes = len(estimator.classes_) if classifier else 1
    outputs = 1 if classes <= 2 else classes
    trees = []
    for number, member in enumerate(members):
        value = member.tree_.value[:, 0, :].astype(np.float64)
        if classifier:
            value = value / value.sum(axis=1, keepdims=True)
            if outputs == 1:
                # With a single class its probability is 1 whatever is asked.
                value = value[:, -1:]
        trees.append(_tree(member.tree_, value / len(members), where=f"tree {number}"))
    post: tuple[str, ...] = ()
    if classifier and classes == 2:
        post = ("complement",)
    return Forest(
        trees=tuple(trees),
        columns=_columns(estimator, members[0]),
        base=np.zeros(outputs),
        post=post,
        precision="float32",
        source=f"scikit-learn {name}",
        labels=tuple(str(c) for c in estimator.classes_) if classifier else (),
    )


def _boosted(estimator: Any) -> Forest:
    name = type(estimator).__name__
    members = estimator.estimators_
    outputs = int(members.shape[1])
    classifier = name.endswith("Classifier")
    start = getattr(estimator, "init_", "zero")
    if type(start).__name__ not in ("DummyClassifier", "DummyRegressor", "str"):
        raise ModelError(
            "OPERATOR",
            "starts from another estimator's predictions",
            where=f"{name}, init={type(start).__name__}",
            remedy="train with init=None or init='zero'",
        )
    trees, rate = [], float(estimator.learning_rate)
    for number, member in enumerate(members.ravel()):
        value = np.zeros((member.tree_.node_count, outputs))
        value[:, number % outputs] = member.tree_.value[:, 0, 0] * rate
        trees.append(_tree(member.tree_, value, where=f"tree {number}"))
    columns = tuple(Column(n) for n in names_of(estimator))
    without = Forest(tuple(trees), columns, np.zeros(outputs), precision="float32")
    # The constant that boosting starts from: what one sample's score has beyond its leaves.
    sample = np.zeros((1, without.features))
    names = getattr(estimator, "feature_names_in_", None)
    given = sample if names is None else _framed(sample, names)
    whole = estimator.decision_function(given) if classifier else estimator.predict(given)
    base = np.asarray(whole, dtype=np.float64).reshape(-1) - without.scores(sample)[0]
    steps: tuple[str, ...] = ()
    if classifier:
        if getattr(estimator, "loss", "log_loss") != "log_loss":
            raise ModelError(
                "OPERATOR", "is not read here", where=f"{name}, loss", remedy="train with log_loss"
            )
        steps = ("sigmoid", "complement") if outputs == 1 else ("softmax",)
    return Forest(
        trees=tuple(trees),
        columns=columns,
        base=base,
        post=steps,
        precision="float32",
        source=f"scikit-learn {name}",
        labels=tuple(str(c) for c in estimator.classes_) if classifier else (),
    )


def _framed(sample: Any, names: Any) -> Any:
    import pandas as pd

    return pd.DataFrame(sample, columns=names)


def _columns(estimator: Any, member: Any) -> tuple[Column, ...]:
    """Trees that can be trained with missing values predict with them, too, whatever they were trained on."""
    takes = getattr(member, "_support_missing_values", None)
    sample = np.zeros((1, int(estimator.n_features_in_)), dtype=np.float32)
    missing = takes is not None and bool(takes(sample))
    return tuple(Column(n, missing="nan" if missing else "refused") for n in names_of(estimator))


def _tree(tree: Any, value: Any, *, where: str) -> Tree:
    left = np.asarray(tree.children_left, dtype=np.int64)
    missing_left = np.asarray(getattr(tree, "missing_go_to_left", np.zeros(len(left))), dtype=np.bool_)
    return renumbered(
        feature=np.where(left < 0, -1, np.asarray(tree.feature, dtype=np.int64)),
        threshold=below_single(np.asarray(tree.threshold, dtype=np.float64)),
        left=left,
        right=np.asarray(tree.children_right, dtype=np.int64),
        value=value,
        missing_right=~missing_left,
        where=where,
    )
