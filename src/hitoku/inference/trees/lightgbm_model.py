# SPDX-License-Identifier: Apache-2.0
"""LightGBM models: boosters, its estimators, and text files, for which lightgbm itself is not needed.

LightGBM compares float64: left iff x <= t. What counts as missing stands in every node: nothing (NaN is read
as 0), NaN, or zero and NaN. Categories are sets that go left; everything else goes right.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hitoku.inference.errors import ModelError
from hitoku.inference.trees.forest import Forest, Tree
from hitoku.inference.trees.reading import Column
from hitoku.inference.trees.renumber import renumbered

__all__ = ["from_booster", "from_estimator", "from_text"]

_LAST_STEPS: Final[dict[str, tuple[str, ...]]] = {
    "binary": ("sigmoid",),
    "multiclass": ("softmax",),
    "multiclassova": ("sigmoid",),
    "cross_entropy": ("sigmoid",),
    "regression": (),
    "regression_l1": (),
    "huber": (),
    "fair": (),
    "quantile": (),
    "mape": (),
    "lambdarank": (),
    "rank_xendcg": (),
    "poisson": ("exp",),
    "gamma": ("exp",),
    "tweedie": ("exp",),
}
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING: Final = {0: "as_zero", 1: "zero", 2: "nan"}
_MAX_SET_WORDS: Final = 1 << 16


def from_estimator(estimator: Any) -> Forest:
    """An LGBMClassifier, LGBMRegressor or LGBMRanker; up to its best iteration, as its own `predict` does.

    Raises:
        ModelError: it was not trained.
    """
    try:
        booster = estimator.booster_
    except Exception as error:
        raise ModelError(
            "NOT_FITTED", "was not trained", where=type(estimator).__name__, remedy="call fit first"
        ) from error
    return from_booster(booster, labels=tuple(str(c) for c in getattr(estimator, "classes_", ())))


def from_booster(booster: Any, *, labels: tuple[str, ...] = ()) -> Forest:
    """A Booster; up to its best iteration if it has one, as its own `predict` does."""
    return from_text(booster.model_to_string(), labels=labels)


def from_text(text: str, *, labels: tuple[str, ...] = ()) -> Forest:
    """The model as `Booster.save_model("model.txt")` writes it.

    Raises:
        ModelError: it is no such model, or of a kind that is not read here (linear trees, objectives whose
            last step is not known).
    """
    try:
        return _read(text, labels)
    except (KeyError, IndexError, ValueError, OverflowError) as error:
        raise ModelError(
            "FORMAT",
            "is no LightGBM model in text form",
            where="model",
            remedy="save it with save_model('model.txt')",
        ) from error


def _read(text: str, labels: tuple[str, ...]) -> Forest:
    blocks = text.split("end of trees")[0].split("\nTree=")
    head, sections = _fields(blocks[0]), [_fields(block) for block in blocks[1:]]
    if "max_feature_idx" not in head or "tree" not in head:
        raise ValueError
    features = int(head["max_feature_idx"]) + 1
    outputs = int(head["num_tree_per_iteration"])
    if features < 1 or outputs < 1 or len(sections) % outputs:
        raise ValueError
    names = head.get("feature_names", "").split(" ")
    if len(names) != features:
        names = [f"Column_{i}" for i in range(features)]
    post, factor = _objective(head.get("objective", "regression"))
    if "average_output" in head:
        factor /= max(len(sections) // outputs, 1)
    columns = _columns(names, sections)
    trees = tuple(
        _tree(section, at % outputs, outputs, factor, where=f"tree {at}")
        for at, section in enumerate(sections)
    )
    return Forest(
        trees=trees,
        columns=columns,
        base=np.zeros(outputs),
        post=post,
        precision="float64",
        infinite=True,
        source=f"LightGBM {head.get('objective', '').split(' ')[0]}",
        labels=labels,
    )


def _fields(block: str) -> dict[str, str]:
    found = {}
    for line in block.splitlines():
        name, _, value = line.partition("=")
        found[name.strip()] = value.strip()
    return found


def _objective(text: str) -> tuple[tuple[str, ...], float]:
    """The last steps, and what leaves are multiplied by so that the plain logistic function follows."""
    name, *settings = text.split(" ")
    where = f'objective "{name}"'
    if name not in _LAST_STEPS:
        raise ModelError(
            "OPERATOR", "is not read here", where=where, remedy=f"known are {', '.join(_LAST_STEPS)}"
        )
    factor = 1.0
    for setting in settings:
        if setting == "sqrt":
            raise ModelError("OPERATOR", "squares its scores", where=where, remedy="train without reg_sqrt")
        if setting.startswith("sigmoid:"):
            factor = float(setting.partition(":")[2])
    return _LAST_STEPS[name], factor


def _numbers(section: dict[str, str], name: str, kind: Any) -> Any:
    return np.asarray(section.get(name, "").split(), dtype=kind)


def _columns(names: list[str], sections: list[dict[str, str]]) -> tuple[Column, ...]:
    """What the trees' nodes say about each feature: they must agree, since a client encodes it once."""
    missing: dict[int, str] = {}
    categories: dict[int, set[float]] = {}
    for section in sections:
        kinds, asked = (
            _numbers(section, "decision_type", np.int64),
            _numbers(section, "split_feature", np.int64),
        )
        sets = iter(_sets(section))
        for kind, feature in zip(kinds.tolist(), asked.tolist(), strict=True):
            if kind & _CATEGORICAL:
                categories.setdefault(feature, set()).update(next(sets))
                found = "category"
            else:
                found = _MISSING[kind >> 2 & 3]
            if missing.setdefault(feature, found) != found:
                raise ModelError(
                    "OPERATOR",
                    "is read in two ways by different trees (missing values, or categories)",
                    where=f'feature "{names[feature]}"',
                    remedy="train all trees on one data set with the same missing values",
                )
    return tuple(
        Column(name, missing="as_zero", categories=tuple(sorted(categories[at])), reading="cast")
        if at in categories
        else Column(name, missing=missing.get(at, "as_zero"))  # type: ignore[arg-type]
        for at, name in enumerate(names)
    )


def _sets(section: dict[str, str]) -> list[frozenset[float]]:
    """The categories that go left, one set a categorical node, in the order of `threshold`'s numbers."""
    if int(section.get("num_cat", "0")) == 0:
        return []
    bounds, words = (
        _numbers(section, "cat_boundaries", np.int64),
        _numbers(section, "cat_threshold", np.uint32),
    )
    if len(words) > _MAX_SET_WORDS:
        raise ModelError("TOO_LARGE", "has too many categories", where="model")
    kinds = _numbers(section, "decision_type", np.int64)
    places = _numbers(section, "threshold", np.float64)[kinds & _CATEGORICAL == 1].astype(np.int64)
    found = []
    for place in places:
        bits = np.unpackbits(words[bounds[place] : bounds[place + 1]].view(np.uint8), bitorder="little")
        found.append(frozenset(float(c) for c in np.flatnonzero(bits)))
    return found


def _tree(section: dict[str, str], output: int, outputs: int, factor: float, *, where: str) -> Tree:
    if section.get("is_linear", "0") != "0":
        raise ModelError("OPERATOR", "has linear leaves", where=where, remedy="train without linear_tree")
    leaves = _numbers(section, "leaf_value", np.float64) * factor
    if len(leaves) != int(section["num_leaves"]):
        raise ValueError
    asked = _numbers(section, "split_feature", np.int64)
    inner, nodes = len(asked), len(asked) + len(leaves)
    kinds = _numbers(section, "decision_type", np.int64)
    categorical = kinds & _CATEGORICAL == 1
    chosen = np.where(categorical, np.cumsum(categorical) - 1, -1)
    left, right = (
        _children(_numbers(section, f"{side}_child", np.int64), inner) for side in ("left", "right")
    )
    # Sets go left at LightGBM and right here: children change places; no missing bit is asked there.
    left, right = np.where(categorical, right, left), np.where(categorical, left, right)
    value = np.zeros((nodes, outputs))
    value[inner:, output] = leaves
    none = np.full(len(leaves), -1)
    return renumbered(
        feature=np.concatenate([asked, none]),
        threshold=np.concatenate(
            [np.where(categorical, 0.0, _numbers(section, "threshold", np.float64)), np.zeros(len(leaves))]
        ),
        left=np.concatenate([left, none]),
        right=np.concatenate([right, none]),
        value=value,
        missing_right=np.concatenate([~categorical & (kinds & _DEFAULT_LEFT == 0), none > 0]),
        chosen=np.concatenate([chosen, none]),
        sets=tuple(_sets(section)),
        where=where,
    )


def _children(numbers: Any, inner: int) -> Any:
    """Leaves are written as -1 - leaf; here they follow the inner nodes."""
    return np.where(numbers < 0, inner - 1 - numbers, numbers)
