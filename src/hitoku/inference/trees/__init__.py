# SPDX-License-Identifier: Apache-2.0
"""Predictions of tree models on encrypted inputs: XGBoost, LightGBM, scikit-learn's trees."""

from hitoku.inference.trees.branches import shapes
from hitoku.inference.trees.forest import Forest, Tree
from hitoku.inference.trees.grid import bins_of, snapped
from hitoku.inference.trees.load import is_trees, load
from hitoku.inference.trees.reading import Column

__all__ = ["Column", "Forest", "Tree", "bins_of", "is_trees", "load", "shapes", "snapped"]
