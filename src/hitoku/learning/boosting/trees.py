# SPDX-License-Identifier: Apache-2.0
"""Trees as arrays: on bins while they grow, on values where they score; checked where they come from others.

A tree's nodes are numbered level by level: node 0 is the root, and the k-th node that is split (k from 0) has
the children 2k + 1 and 2k + 2. So children need not be written down, and a list of features in which leaves
are -1 either is a tree or is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.hazmat.histograms import Forest
from hitoku.learning.base import Arrays
from hitoku.learning.boosting.keys import LARGEST

__all__ = ["MOST_NODES", "MOST_TREES", "Tree", "check_shape", "children_of", "forest", "packed", "unpacked"]

MOST_TREES: Final = 2_000
MOST_DEPTH: Final = 10
MOST_NODES: Final = (1 << (MOST_DEPTH + 1)) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """One tree on bins; all arrays have shape (nodes,).

    Attributes:
        feature: int32, -1 at a leaf.
        bin: uint8: rows of this bin and those below go left; 0 at a leaf.
        missing_left: bool.
        value: float32, what a leaf adds to the margin; 0 at a split.
    """

    feature: NDArray[np.int32]
    bin: NDArray[np.uint8]
    missing_left: NDArray[np.bool_]
    value: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.feature)

    def same(self, other: Tree) -> bool:
        """Whether it is the same tree, bit for bit."""
        return (
            np.array_equal(self.feature, other.feature)
            and np.array_equal(self.bin, other.bin)
            and np.array_equal(self.missing_left, other.missing_left)
            and self.value.tobytes() == other.value.tobytes()
        )

    def thresholds(self, edges: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """What a value must be below to go left, float32, shape (nodes,); 0 at a leaf."""
        made = np.zeros(len(self), np.float32)
        for node in np.flatnonzero(self.feature >= 0):
            of, at = edges[self.feature[node]], self.bin[node]
            made[node] = of[at] if at < len(of) else LARGEST
        return made


def children_of(feature: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The left and the right child of each node, -1 at a leaf."""
    split = feature >= 0
    left = np.where(split, 2 * np.cumsum(split) - 1, -1).astype(np.int32)
    return left, np.where(split, left + 1, -1).astype(np.int32)


def check_shape(feature: NDArray[np.int32], features: int) -> None:
    """Check that the list is a tree of at most `MOST_DEPTH` levels that splits by features that are there.

    Raises:
        InputError: it is not.
    """
    nodes, split = len(feature), np.flatnonzero(feature >= 0)
    if nodes > MOST_NODES or nodes != 2 * len(split) + 1:
        raise InputError("a tree's list of features is no tree: wrong number of nodes")
    if len(feature) and (int(feature.min()) < -1 or int(feature.max()) >= features):
        raise InputError("a tree splits by a feature that the model does not have")
    # The k-th split's children are 2k + 1 and 2k + 2: a tree exactly if they come after their parent.
    if np.any(split > 2 * np.arange(len(split))):
        raise InputError("a tree's list of features is no tree: a node comes before its parent")
    depth = np.zeros(nodes, np.int64)
    for k, node in enumerate(split):
        depth[2 * k + 1 : 2 * k + 3] = depth[node] + 1
    if int(depth.max()) > MOST_DEPTH:
        raise InputError(f"a tree is deeper than {MOST_DEPTH} levels")


def forest(
    parts: Sequence[tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]],
) -> Forest:
    """The kernel's form of trees given as (feature, threshold, missing_left, value)."""
    starts = np.cumsum([0] + [len(part[0]) for part in parts]).astype(np.int64)
    pairs = [children_of(part[0]) for part in parts]

    return Forest(
        starts,
        _joined([np.maximum(part[0], 0) for part in parts], np.int32),
        _joined([part[1] for part in parts], np.float32),
        _joined([part[2] for part in parts], np.bool_),
        _joined([left for left, _ in pairs], np.int32),
        _joined([right for _, right in pairs], np.int32),
        _joined([part[3] for part in parts], np.float64),
    )


def packed(trees: Sequence[Tree]) -> dict[str, NDArray[Any]]:
    """Trees as arrays to send."""
    return {
        "starts": np.cumsum([0] + [len(tree) for tree in trees]).astype(np.int64),
        "feature": _joined([tree.feature for tree in trees], np.int32),
        "bin": _joined([tree.bin for tree in trees], np.uint8),
        "missing_left": _joined([tree.missing_left for tree in trees], np.uint8),
        "value": _joined([tree.value for tree in trees], np.float32),
    }


def unpacked(arrays: Arrays, features: int, bins: int) -> list[Tree]:
    """Trees from arrays that nobody vouches for.

    Args:
        arrays: as `packed` makes them; others beside them are not looked at.
        features: how many there are.
        bins: of values, without the one of missing values.

    Raises:
        InputError: they are not trees on such bins.
    """
    starts = _array(arrays, "starts", np.int64)
    if not 1 <= len(starts) <= MOST_TREES + 1 or starts[0] != 0:
        raise InputError(f"trees: at most {MOST_TREES}, the first at 0")
    sizes = np.diff(starts)
    nodes = int(starts[-1])
    if np.any(sizes < 1) or np.any(sizes > MOST_NODES) or nodes > MOST_TREES * MOST_NODES:
        raise InputError(f"trees: each has 1 to {MOST_NODES} nodes")
    feature, at = _array(arrays, "feature", np.int32), _array(arrays, "bin", np.uint8)
    missing, value = _array(arrays, "missing_left", np.uint8), _array(arrays, "value", np.float32)
    if {len(feature), len(at), len(missing), len(value)} != {nodes}:
        raise InputError("trees: their arrays have different lengths")
    if np.any(at >= bins) or np.any(missing > 1) or not np.isfinite(value).all():
        raise InputError("trees: a bin that is not there, or a leaf that is not a finite number")
    made = []
    for begin, end in pairwise(starts):
        check_shape(feature[begin:end], features)
        made.append(
            Tree(
                feature[begin:end].copy(),
                at[begin:end].copy(),
                missing[begin:end].astype(np.bool_),
                value[begin:end].copy(),
            )
        )
    return made


def _joined(arrays: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate(arrays).astype(kind) if arrays else np.zeros(0, kind)


def _array(arrays: Arrays, name: str, kind: type) -> NDArray[Any]:
    made = arrays.get(name)
    if made is None or made.ndim != 1 or made.dtype != np.dtype(kind):
        raise InputError(f'trees: "{name}" is missing or is not a list of {np.dtype(kind).name}')
    return made
