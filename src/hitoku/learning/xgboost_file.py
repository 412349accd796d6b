# SPDX-License-Identifier: Apache-2.0
"""Boosted models as XGBoost's JSON, for its own tools and for predictions on encrypted inputs.

The file loads in XGBoost 3 and scores as `hitoku.learning.models.score` does, within float32's rounding (a
sum over trees is float32 there, float64 here; infinite inputs are missing values here, not allowed there).
What XGBoost writes about the growing of trees (sums of hessians, weights of inner nodes, gains) is zero here:
of shared trees' data, sums of hessians are what reconstruction attacks use most.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from hitoku.errors import InputError
from hitoku.learning.boosting.fixed_point import sigmoid
from hitoku.learning.boosting.kind import BoostedTrees, ValueTree
from hitoku.learning.boosting.trees import children_of
from hitoku.learning.models import LearnedModel

__all__ = ["export_xgboost"]

_NO_PARENT: Final = (1 << 31) - 1
_VERSION: Final = (3, 0, 0)


def export_xgboost(model: LearnedModel) -> bytes:
    """The model as the JSON file of an XGBoost Booster.

    Raises:
        InputError: the model has no trees, so XGBoost has no form for it.
    """
    content = model.content
    if not isinstance(content, BoostedTrees):
        raise InputError(f"a model of kind {model.kind} is not made of trees: XGBoost has no form for it")
    # Without any tree XGBoost gives the base as it is written, not its logit: one tree that adds nothing.
    trees = content.trees or (_nothing(),)
    count, features = len(trees), len(model.features)
    base = np.float32(sigmoid(np.asarray([content.base]))[0])
    booster = {
        "name": "gbtree",
        "model": {
            "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
            "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(count)},
            "iteration_indptr": list(range(count + 1)),
            "tree_info": [0] * count,
            "trees": [_tree(tree, number, features) for number, tree in enumerate(trees)],
        },
    }
    learner = {
        "attributes": {},
        "feature_names": list(model.features),
        "feature_types": ["float"] * features,
        "gradient_booster": booster,
        "learner_model_param": {
            "base_score": f"[{float(base)!r}]",
            "boost_from_average": "1",
            "num_class": "0",
            "num_feature": str(features),
            "num_target": "1",
        },
        "objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}},
    }
    data = {"learner": learner, "version": list(_VERSION)}
    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()


def _nothing() -> ValueTree:
    zero = np.zeros(1, np.float32)
    return ValueTree(np.full(1, -1, np.int32), zero, np.zeros(1, np.bool_), zero)


def _tree(tree: ValueTree, number: int, features: int) -> dict[str, Any]:
    nodes, leaf = len(tree.feature), tree.feature < 0
    left, right = children_of(tree.feature)
    parents = np.full(nodes, _NO_PARENT)
    split = np.flatnonzero(~leaf)
    parents[left[split]], parents[right[split]] = split, split
    nothing = [0.0] * nodes
    return {
        "id": number,
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(features),
            "num_nodes": str(nodes),
            "size_leaf_vector": "1",
        },
        "left_children": left.tolist(),
        "right_children": right.tolist(),
        "parents": parents.tolist(),
        "split_indices": np.maximum(tree.feature, 0).tolist(),
        "split_conditions": np.where(leaf, tree.value, tree.threshold).astype(np.float64).tolist(),
        "split_type": [0] * nodes,
        "default_left": tree.missing_left.astype(np.int64).tolist(),
        "base_weights": nothing,
        "sum_hessian": nothing,
        "loss_changes": nothing,
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
    }
