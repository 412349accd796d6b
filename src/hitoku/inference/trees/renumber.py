# SPDX-License-Identifier: Apache-2.0
"""Brings the nodes of an imported tree to one order: the root first, no node that the root does not reach."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitoku.inference.errors import ModelError
from hitoku.inference.trees.forest import Tree

__all__ = ["renumbered"]


def renumbered(
    *,
    feature: NDArray[Any],
    threshold: NDArray[Any],
    left: NDArray[Any],
    right: NDArray[Any],
    value: NDArray[Any],
    missing_right: NDArray[Any] | None = None,
    chosen: NDArray[Any] | None = None,
    sets: tuple[frozenset[float], ...] = (),
    where: str,
) -> Tree:
    """The tree below node 0, nodes in the order of their old numbers; pruned nodes are left out.

    Raises:
        ModelError: children that are not there, or a node with two parents.
    """
    nodes = len(feature)
    kept: set[int] = set()
    open_ = [0]
    while open_:
        node = open_.pop()
        if not 0 <= node < nodes or node in kept:
            raise ModelError("FORMAT", "is not one tree", where=where)
        kept.add(node)
        if feature[node] >= 0:
            open_ += [int(left[node]), int(right[node])]
    order = np.asarray(sorted(kept))
    new = np.full(nodes + 1, -1)
    new[order] = np.arange(len(order))
    inner = feature[order] >= 0
    return Tree.of(
        feature=feature[order],
        threshold=np.where(inner, threshold[order], 0.0),
        left=np.where(inner, new[left[order]], -1),
        right=np.where(inner, new[right[order]], -1),
        value=value[order],
        missing_right=None if missing_right is None else missing_right[order],
        chosen=None if chosen is None else chosen[order],
        sets=sets,
    )
