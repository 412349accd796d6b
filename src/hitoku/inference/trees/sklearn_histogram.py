# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's histogram gradient boosting: float64 thresholds, missing directions, category bitmaps."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hitoku.inference.errors import ModelError
from hitoku.inference.trees.forest import Forest, Tree
from hitoku.inference.trees.reading import Column
from hitoku.inference.trees.renumber import renumbered

__all__ = ["from_histogram"]

_REGRESSION_STEPS: Final[dict[str, tuple[str, ...]]] = {
    "squared_error": (),
    "absolute_error": (),
    "quantile": (),
    "poisson": ("exp",),
    "gamma": ("exp",),
}


def from_histogram(estimator: Any, names: list[str]) -> Forest:
    """A HistGradientBoostingClassifier or -Regressor.

    Raises:
        ModelError: categories that are not numbers, or a loss that is not read here.
    """
    name = type(estimator).__name__
    base = np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(-1)
    outputs = len(base)
    order, columns = _columns(estimator, names)
    trees = [
        _tree(one, order, columns, at, outputs, where=f"tree {number * outputs + at}")
        for number, group in enumerate(estimator._predictors)
        for at, one in enumerate(group)
    ]
    if name.endswith("Classifier"):
        post: tuple[str, ...] = ("sigmoid", "complement") if outputs == 1 else ("softmax",)
        labels = tuple(str(c) for c in estimator.classes_)
    else:
        loss = str(estimator.loss)
        if loss not in _REGRESSION_STEPS:
            known = ", ".join(_REGRESSION_STEPS)
            raise ModelError(
                "OPERATOR", "is not read here", where=f'loss "{loss}"', remedy=f"known are {known}"
            )
        post, labels = _REGRESSION_STEPS[loss], ()
    return Forest(
        trees=tuple(trees),
        columns=columns,
        base=base,
        post=post,
        precision="float64",
        infinite=True,
        source=f"scikit-learn {name}",
        labels=labels,
    )


def _columns(estimator: Any, names: list[str]) -> tuple[list[int], tuple[Column, ...]]:
    """For each of the trees' features the input's column, and how each column of the input is read.

    The estimator's encoder puts categorical columns first and turns their values into codes.
    """
    chosen = getattr(estimator, "is_categorical_", None)
    if chosen is None:
        return list(range(len(names))), tuple(Column(n, missing="nan") for n in names)
    # `is_categorical_` is in the order of the encoder's output.
    encoder = estimator._preprocessor
    _, coder, of_categories = encoder.transformers_[0]
    places = np.arange(len(names))
    first = [int(i) for i in places[of_categories]]
    order = first + [int(i) for i in places if i not in first]
    columns = [Column(n, missing="nan") for n in names]
    for place, values in zip(first, coder.categories_, strict=True):
        columns[place] = Column(
            names[place], missing="nan", categories=_values(values, names[place]), unknown="missing"
        )
    return order, tuple(columns)


def _values(values: Any, name: str) -> tuple[float, ...]:
    """Category values by code; the code of a missing value has none."""
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError(
            "OPERATOR",
            "has categories that are not numbers",
            where=f'feature "{name}"',
            remedy="encode its categories as numbers before training",
        ) from error
    return tuple(float(v) for v in numbers if not np.isnan(v))


def _tree(
    tree: Any, order: list[int], columns: tuple[Column, ...], output: int, outputs: int, *, where: str
) -> Tree:
    nodes = tree.nodes
    leaf = nodes["is_leaf"].astype(bool)
    feature = np.asarray(order)[np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64)]
    categorical = nodes["is_categorical"].astype(bool) & ~leaf
    left, right = (nodes[side].astype(np.int64) for side in ("left", "right"))
    missing_right = ~nodes["missing_go_to_left"].astype(bool)
    sets: list[frozenset[float]] = []
    chosen = np.full(len(nodes), -1)
    for node in np.flatnonzero(categorical):
        words = np.asarray(tree.raw_left_cat_bitsets[nodes["bitset_idx"][node]], dtype=np.uint32)
        codes = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
        known = columns[feature[node]].categories or ()
        chosen[node] = len(sets)
        sets.append(frozenset(known[c] for c in codes if c < len(known)))
    value = np.zeros((len(nodes), outputs))
    value[:, output] = nodes["value"]
    return renumbered(
        feature=np.where(leaf, -1, feature),
        threshold=nodes["num_threshold"].astype(np.float64),
        # Sets go left there and right here: children change places, and so does where missing values go.
        left=np.where(categorical, right, left),
        right=np.where(categorical, left, right),
        value=value,
        missing_right=np.where(categorical, ~missing_right, missing_right),
        chosen=chosen,
        sets=tuple(sets),
        where=where,
    )
