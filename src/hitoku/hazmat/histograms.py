# SPDX-License-Identifier: Apache-2.0
"""Growing and applying decision trees: binning, histograms of gradients, splits of rows, scores.

A low-level door that `hitoku.learning.boosting` stands on. It protects nothing: a histogram of one member is
that member's data and goes out only inside a secure sum.

**Words.** Feature values are put in `bins` numbers: bin b of a feature with edges e_0 < e_1 < ... holds the
values v with e_{b-1} <= v < e_b; the last bin of all (`bins - 1`) holds missing values (NaN). A split
(feature, bin k, missing_left) sends a row left if its bin is at most k, which is `v < e_k`, the way XGBoost's
models read; a missing value goes left if `missing_left`. Gradients and hessians are whole numbers in fixed
point: sums of whole numbers are exact, so the order of the rows and of the threads changes nothing.

**Bounds.** `Grower.reset` refuses gradients of which (number of rows) x (greatest magnitude) is 2^63 or more:
then no histogram entry can leave int64, whatever the rows of a node are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku import _core
from hitoku.errors import InputError
from hitoku.executors.local import cores
from hitoku.hazmat.learning_faults import learning_kernel

__all__ = ["MAX_BINS", "MAX_NODES", "ROOT", "Forest", "Grower", "bin_features"]

MAX_BINS: Final = 256
"""Bins of a feature, the missing one included."""
MAX_NODES: Final = 1 << 20
"""Numbers of nodes are below this."""
ROOT: Final = 0
"""The node that all rows are in after `Grower.reset`."""


def _array(values: Any, kind: Any, dimensions: int = 1) -> NDArray[Any]:
    """The values as the kernel takes them: reals rounded, whole numbers as they are or refused."""
    try:
        given = np.asarray(values)
        array = np.ascontiguousarray(given, dtype=kind)
    except (OverflowError, TypeError, ValueError):
        raise InputError(f"this takes an array of {np.dtype(kind).name}") from None
    if array.ndim != dimensions:
        raise InputError(f"this takes an array of {dimensions} dimension(s)")
    if given.dtype != array.dtype and array.dtype.kind != "f" and not np.array_equal(array, given):
        raise InputError(f"a value does not fit {np.dtype(kind).name}")
    return array


def bin_features(
    features: NDArray[np.float32],
    edges: Sequence[NDArray[np.float32]],
    bins: int,
    *,
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """The bin of every value.

    Args:
        features: float32, shape (rows, features); NaN where a value is missing.
        edges: of each feature, strictly rising, without NaN; at most bins - 2.
        bins: how many bins a feature has, the last one (missing values) included; 2 to 256.
        threads: every core that the process may use by default.

    Returns:
        uint8, shape (rows, features): how many of the feature's edges are <= the value; NaN gives bins - 1.

    Raises:
        InputError: shapes do not fit, or edges do not rise.
    """
    lists = [_array(edge, np.float32) for edge in edges]
    starts = np.zeros(len(lists) + 1, dtype=np.int64)
    starts[1:] = np.cumsum([len(edge) for edge in lists])
    flat = np.concatenate(lists) if lists else np.empty(0, dtype=np.float32)
    with learning_kernel():
        return _core.learning_bin(_array(features, np.float32, 2), flat, starts, bins, threads or cores())


class Grower:
    """The rows of one member while trees grow on them: which node each row is in, and its gradients.

    All rows move with the splits; only those that `reset` samples are counted in histograms. Methods of one
    object are called one after another; different objects may work at the same time and share the cores.

    Args:
        bins: uint8, shape (rows, features), as `bin_features` makes it; copied.
        count: bins of a feature, the last one for missing values; 2 to 256.
        threads: for all methods; every core that the process may use by default.

    Raises:
        InputError: a bin is not below `count`, there is no feature, or there are 2^31 rows or more.
    """

    def __init__(self, bins: NDArray[np.uint8], count: int, *, threads: int | None = None) -> None:
        table = _array(bins, np.uint8, 2)
        with learning_kernel():
            self._core = _core.LearningGrower(table, count, threads or cores())
        self.rows, self.features, self.count = *table.shape, count

    def reset(
        self,
        gradients: NDArray[np.int64],
        hessians: NDArray[np.int64],
        sampled: NDArray[np.bool_] | None = None,
    ) -> None:
        """Begin a tree: all rows are in node 0 (`ROOT`).

        Args:
            gradients: int64, shape (rows,); copied.
            hessians: int64, shape (rows,); copied.
            sampled: bool, shape (rows,): the rows that histograms count; None: all.

        Raises:
            InputError: wrong lengths, or a sum of gradients could leave int64 (see the module's bounds).
        """
        mask = None if sampled is None else _array(sampled, np.bool_)
        with learning_kernel():
            self._core.reset(_array(gradients, np.int64), _array(hessians, np.int64), mask)

    def histograms(self, nodes: Sequence[int]) -> NDArray[np.int64]:
        """Sums of (gradient, hessian) over the sampled rows of the nodes asked for, and of no others.

        Args:
            nodes: numbers of nodes that exist; may be empty, may repeat.

        Returns:
            int64, shape (nodes, features, count, 2): [..., 0] gradients, [..., 1] hessians.

        Raises:
            InputError: there is no such node, or it was split.
        """
        with learning_kernel():
            return self._core.histograms(_array(nodes, np.int32))

    def split(
        self,
        nodes: Sequence[int] | NDArray[np.int32],
        features: Sequence[int] | NDArray[np.int32],
        bins: Sequence[int] | NDArray[np.uint8],
        missing_left: Sequence[bool] | NDArray[np.bool_],
        left: Sequence[int] | NDArray[np.int32],
        right: Sequence[int] | NDArray[np.int32],
    ) -> None:
        """Split nodes; rows keep their order within a node. All arguments have the same length.

        Args:
            nodes: which; each exists and is not split yet.
            features: the feature of each split.
            bins: rows whose bin is at most this go left (missing values excepted).
            missing_left: whether missing values go left.
            left: new numbers for the left children: below MAX_NODES, not in use.
            right: new numbers for the right children.

        Raises:
            InputError: an argument is not as described; then nothing was split.
        """
        with learning_kernel():
            self._core.split(
                _array(nodes, np.int32),
                _array(features, np.int32),
                _array(bins, np.uint8),
                _array(missing_left, np.bool_),
                _array(left, np.int32),
                _array(right, np.int32),
            )

    def counts(self, nodes: Sequence[int]) -> NDArray[np.int64]:
        """How many sampled rows each of the nodes has; int64, shape (nodes,).

        Raises:
            InputError: there is no such node, or it was split.
        """
        with learning_kernel():
            return self._core.counts(_array(nodes, np.int32))

    def nodes(self) -> NDArray[np.int32]:
        """The node that each row is in, sampled or not; int32, shape (rows,)."""
        with learning_kernel():
            return self._core.nodes()

    def add_leaves(self, margins: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Add to each row's margin the value of the node it is in, in place.

        Args:
            margins: float64, shape (rows,), C-contiguous and writable.
            values: float64; values[k] belongs to node k.

        Raises:
            InputError: wrong length, or a node has no value.
        """
        with learning_kernel():
            self._core.add_leaves(margins, _array(values, np.float64))


class Forest:
    """Trees to score rows with, on raw feature values.

    Trees lie one after another; children are numbered from their tree's first node, and a parent comes before
    its children.

    Args:
        starts: int64, shape (trees + 1,): where each tree's nodes begin; starts[-1] is the number of nodes.
        features: int32, shape (nodes,): what a node splits by.
        thresholds: float32, shape (nodes,): a value below goes left.
        missing_left: bool, shape (nodes,): where NaN goes.
        left: int32, shape (nodes,): the left child, or -1 at a leaf.
        right: int32, shape (nodes,): the right child, or -1 at a leaf.
        values: float64, shape (nodes,): what a leaf adds.

    Raises:
        InputError: the arrays do not describe trees.
    """

    def __init__(
        self,
        starts: NDArray[np.int64],
        features: NDArray[np.int32],
        thresholds: NDArray[np.float32],
        missing_left: NDArray[np.bool_],
        left: NDArray[np.int32],
        right: NDArray[np.int32],
        values: NDArray[np.float64],
    ) -> None:
        with learning_kernel():
            self._core = _core.LearningForest(
                _array(starts, np.int64),
                _array(features, np.int32),
                _array(thresholds, np.float32),
                _array(missing_left, np.bool_),
                _array(left, np.int32),
                _array(right, np.int32),
                _array(values, np.float64),
            )

    def predict(
        self, features: NDArray[np.float32], base: float = 0.0, *, threads: int | None = None
    ) -> NDArray[np.float64]:
        """The margin of every row: base, then the trees' leaf values added in their order.

        The result is bit for bit that of `Grower.add_leaves` tree by tree on margins that began as `base`, if
        the thresholds are edges of the bins.

        Args:
            features: float32, shape (rows, features), NaN where missing.
            base: where every sum begins.
            threads: every core that the process may use by default.

        Raises:
            InputError: a tree splits by a feature that is not there.
        """
        with learning_kernel():
            return self._core.predict(_array(features, np.float32, 2), float(base), threads or cores())
