# SPDX-License-Identifier: Apache-2.0
"""XGBoost models: boosters, its estimators, and JSON files, for which xgboost itself is not needed.

XGBoost compares float32: left iff x < t. It keeps a base score on the target's own scale (a probability for
logistic objectives), weights of dropped trees apart from them, and categories as sets that go right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from hitoku.inference.errors import ModelError
from hitoku.inference.trees.forest import Forest, Tree
from hitoku.inference.trees.reading import Column
from hitoku.inference.trees.renumber import renumbered

__all__ = ["from_booster", "from_estimator", "from_json"]

_LAST_STEPS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "binary:logistic": ("logit", ("sigmoid",)),
    "binary:logitraw": ("identity", ()),
    "reg:logistic": ("logit", ("sigmoid",)),
    "multi:softprob": ("identity", ("softmax",)),
    "multi:softmax": ("identity", ("softmax", "argmax")),
    "reg:squarederror": ("identity", ()),
    "reg:linear": ("identity", ()),
    "reg:squaredlogerror": ("identity", ()),
    "reg:absoluteerror": ("identity", ()),
    "reg:pseudohubererror": ("identity", ()),
    "reg:quantileerror": ("identity", ()),
    "rank:pairwise": ("identity", ()),
    "rank:ndcg": ("identity", ()),
    "rank:map": ("identity", ()),
    "binary:hinge": ("identity", ("argmax",)),
    "count:poisson": ("log", ("exp",)),
    "reg:gamma": ("log", ("exp",)),
    "reg:tweedie": ("log", ("exp",)),
}
"""How the objective's base score becomes a raw score, and what follows the raw scores."""

_TO_RAW: Final[dict[str, Callable[[Any], Any]]] = {
    "identity": lambda p: p,
    "logit": lambda p: -np.log(1.0 / p - 1.0),
    "log": np.log,
}


def from_estimator(estimator: Any) -> Forest:
    """An XGBClassifier, XGBRegressor, XGBRanker or random-forest estimator.

    Its `missing` value is kept, and after early stopping only the trees up to the best iteration, as its own
    `predict` does.

    Raises:
        ModelError: it was not trained, or it is of a kind that has no trees.
    """
    try:
        booster = estimator.get_booster()
    except Exception as error:
        raise ModelError(
            "NOT_FITTED", "was not trained", where=type(estimator).__name__, remedy="call fit first"
        ) from error
    best = getattr(estimator, "best_iteration", None) if estimator.early_stopping_rounds else None
    missing = getattr(estimator, "missing", np.nan)
    marker = None if missing is None or np.isnan(missing) else float(missing)
    labels = tuple(str(c) for c in getattr(estimator, "classes_", ()))
    iterations = None if best is None else int(best) + 1
    return from_booster(booster, iterations=iterations, marker=marker, labels=labels)


def from_booster(
    booster: Any, *, iterations: int | None = None, marker: float | None = None, labels: tuple[str, ...] = ()
) -> Forest:
    """A Booster; all its trees, as its own `predict` does, or those of the first `iterations`."""
    data = bytes(booster.save_raw("json"))
    return from_json(json.loads(data), iterations=iterations, marker=marker, labels=labels)


def from_json(
    model: Mapping[str, Any],
    *,
    iterations: int | None = None,
    marker: float | None = None,
    labels: tuple[str, ...] = (),
) -> Forest:
    """The model as `Booster.save_model("model.json")` writes it.

    Args:
        model: the parsed file.
        iterations: how many boosting rounds count; None: all. For a model of early stopping the file's
            attribute ``best_iteration`` plus one is what XGBoost's estimators take.
        marker: a number that stands for a missing value beside NaN.
        labels: the classes' names.

    Raises:
        ModelError: it is no such model, or of a kind that is not read here (linear boosters, trees with
            several outputs, objectives whose base score is not known).
    """
    try:
        return _read(model, iterations, marker, labels)
    except (KeyError, TypeError, IndexError, ValueError, OverflowError) as error:
        raise ModelError(
            "FORMAT",
            "is no XGBoost model in JSON",
            where="model",
            remedy="save it with save_model('model.json')",
        ) from error


def _read(
    model: Mapping[str, Any], iterations: int | None, marker: float | None, labels: tuple[str, ...]
) -> Forest:
    learner = model["learner"]
    booster = learner["gradient_booster"]
    drops = None
    if booster["name"] == "dart":
        drops = [float(w) for w in booster["weight_drop"]]
        booster = booster["gbtree"]
    if booster["name"] != "gbtree":
        raise ModelError(
            "OPERATOR",
            "has no trees",
            where=f'booster "{booster["name"]}"',
            remedy="train with gbtree or dart",
        )
    settings, objective = learner["learner_model_param"], str(learner["objective"]["name"])
    if objective not in _LAST_STEPS:
        known = ", ".join(_LAST_STEPS)
        raise ModelError(
            "OPERATOR", "is not read here", where=f'objective "{objective}"', remedy=f"known are {known}"
        )
    outputs = max(int(settings["num_class"]), int(settings.get("num_target", 1)), 1)
    features = int(settings["num_feature"])
    trees, kinds = booster["model"]["trees"], booster["model"]["tree_info"]
    count = len(trees) if iterations is None else _trees_of(booster["model"], iterations, outputs)
    columns = _columns(learner, features, trees[:count], marker)
    weights = [1.0] * len(trees) if drops is None else drops
    to_raw, post = _LAST_STEPS[objective]
    return Forest(
        trees=tuple(_tree(trees[at], weights[at], int(kinds[at]), outputs, number=at) for at in range(count)),
        columns=columns,
        base=_base(settings["base_score"], to_raw, outputs),
        post=post,
        precision="float32",
        source=f"XGBoost {objective}",
        labels=labels,
    )


def _base(text: Any, to_raw: str, outputs: int) -> Any:
    """One base score, or one an output, as raw scores; XGBoost computes them in float32."""
    shown = str(text).strip("[]").split(",")
    scores = np.asarray([np.float32(s) for s in shown], dtype=np.float32)
    with np.errstate(divide="ignore"):
        raw = _TO_RAW[to_raw](scores).astype(np.float64)
    return np.broadcast_to(raw, (outputs,)).copy()


def _trees_of(model: Mapping[str, Any], iterations: int, outputs: int) -> int:
    steps = model.get("iteration_indptr")
    if steps is None:
        parallel = int(model["gbtree_model_param"].get("num_parallel_tree", 1))
        steps = range(0, len(model["trees"]) + 1, outputs * max(parallel, 1))
    return int(steps[iterations])


def _columns(
    learner: Mapping[str, Any], features: int, trees: Any, marker: float | None
) -> tuple[Column, ...]:
    names = learner.get("feature_names") or [f"f{i}" for i in range(features)]
    asked: dict[int, set[float]] = {}
    for tree in trees:
        for node, chosen in _sets(tree).items():
            asked.setdefault(int(tree["split_indices"][node]), set()).update(chosen)
    kinds = learner.get("feature_types") or []
    for at, kind in enumerate(kinds):
        if kind == "c":
            asked.setdefault(at, set())
    return tuple(
        Column(
            name=str(names[at]),
            missing="nan",
            categories=tuple(sorted(asked[at])) if at in asked else None,
            reading="natural" if at in asked else "exact",
            marker=marker,
        )
        for at in range(features)
    )


def _sets(tree: Mapping[str, Any]) -> dict[int, frozenset[float]]:
    """The categories that go right, by node."""
    values = tree.get("categories") or []
    parts = zip(
        tree.get("categories_nodes") or [],
        tree.get("categories_segments") or [],
        tree.get("categories_sizes") or [],
        strict=True,
    )
    return {int(n): frozenset(float(v) for v in values[start : start + size]) for n, start, size in parts}


def _tree(tree: Mapping[str, Any], weight: float, output: int, outputs: int, *, number: int) -> Tree:
    where = f"tree {number}"
    if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
        raise ModelError(
            "OPERATOR",
            "has leaves with several outputs",
            where=where,
            remedy="train with one_output_per_tree",
        )
    conditions = np.asarray(tree["split_conditions"], dtype=np.float32)
    left = np.asarray(tree["left_children"], dtype=np.int64)
    sets = _sets(tree)
    chosen = np.full(len(left), -1)
    for place, node in enumerate(sets):
        chosen[node] = place
    leaf = left < 0
    value = np.zeros((len(left), outputs))
    # XGBoost multiplies weights of dropped trees in float32, too.
    value[leaf, output] = conditions[leaf] * np.float32(weight)
    return renumbered(
        feature=np.where(leaf, -1, np.asarray(tree["split_indices"], dtype=np.int64)),
        # x < t and x > (the float32 below t) are opposites for every float32 x.
        threshold=np.nextafter(conditions, np.float32(-np.inf)).astype(np.float64),
        left=left,
        right=np.asarray(tree["right_children"], dtype=np.int64),
        value=value,
        missing_right=np.asarray(tree["default_left"], dtype=np.int64) == 0,
        chosen=chosen,
        sets=tuple(sets.values()),
        where=where,
    )
