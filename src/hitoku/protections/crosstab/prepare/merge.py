# SPDX-License-Identifier: Apache-2.0
"""Several rows of one person become one row, and rows come into the order of their ids. No loop over rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hitoku.protections.crosstab.prepare.numbers import MOST
from hitoku.room.crosstab import Merge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ids = NDArray[np.uint8]
    Places = NDArray[np.int64]

__all__ = ["by_id", "merged", "smallest"]


def by_id(ids: Ids) -> tuple[Places, Places]:
    """The rows in the order of their ids.

    Args:
        ids: ``(rows, 32)``.

    Returns:
        The numbers of the rows in order, and the places in it at which another person begins.
    """
    words = ids.view(">u8")
    first = words[:, 0].astype(np.uint64)
    order = np.argsort(first)
    first = first[order]
    tied = np.flatnonzero(first[1:] == first[:-1])
    unequal = _unequal(words, order, tied)
    if unequal.any():
        # Ids that are equal in their first 8 bytes and no further: sort the runs they are in by all bytes.
        inside = np.zeros(len(order), np.bool_)
        inside[tied] = inside[tied + 1] = True
        rows = order[inside]
        order[inside] = rows[np.lexsort([words[rows, place] for place in (3, 2, 1, 0)])]
        unequal = _unequal(words, order, tied)
    begins = np.ones(len(order), np.bool_)
    begins[tied[~unequal] + 1] = False
    return order, np.flatnonzero(begins)


def _unequal(words: NDArray[np.uint64], order: Places, tied: Places) -> NDArray[np.bool_]:
    """At which of the places two neighbours are different persons."""
    found: NDArray[np.bool_] = (words[order[tied], 1:] != words[order[tied + 1], 1:]).any(axis=1)
    return found


def smallest(digits: NDArray[np.uint16], order: Places, starts: Places) -> NDArray[np.uint16]:
    """Of a dimension: each person's smallest value."""
    if len(starts) == len(order):
        return digits[order]
    made: NDArray[np.uint16] = np.minimum.reduceat(digits[order], starts)
    return made


def merged(
    values: NDArray[np.int64],
    there: NDArray[np.bool_] | None,
    order: Places,
    starts: Places,
    merge: Merge,
    bounds: tuple[int, int],
) -> NDArray[np.int64]:
    """Of a measure: each person's value, within its bounds. No value at all counts as 0, then clamped.

    Args:
        values: at most 2^62 in size, and 0 where there is none.
        there: where there is one; None for everywhere.
        order: the rows in the order of their ids.
        starts: where in it a person begins.
        merge: how several values become one.
        bounds: the least and the greatest.
    """
    made = values[order]
    if len(starts) < len(order):
        if merge is Merge.SUM:
            made = _sums(made, starts)
        else:
            absent = -MOST - 1 if merge is Merge.MAX else MOST + 1
            if there is not None:
                made[~there[order]] = absent
            chosen = np.maximum if merge is Merge.MAX else np.minimum
            made = chosen.reduceat(made, starts)
            made[made == absent] = 0
    return np.clip(made, *bounds)


def _sums(values: NDArray[np.int64], starts: Sequence[int] | Places) -> NDArray[np.int64]:
    """Exact sums, held within 2^62: in two halves, neither of which can overflow."""
    high = np.add.reduceat(values >> 31, starts)
    low = np.add.reduceat(values & 0x7FFF_FFFF, starts)
    high += low >> 31
    limit = MOST >> 31
    near = np.clip(high, -limit, limit - 1)
    made: NDArray[np.int64] = (near << 31) + (low & 0x7FFF_FFFF)
    made[high >= limit] = MOST
    made[high < -limit] = -MOST
    return made
