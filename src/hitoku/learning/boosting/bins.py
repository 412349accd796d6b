# SPDX-License-Identifier: Apache-2.0
"""Bins with the same edges at every bank, found from summed counts alone.

A value is read as a 32-bit whole number of the same order (`keys`). In the first sum every bank counts its
training rows in a grid of cells of equal width over a feature's keys; later sums divide the cells that hold
the wanted quantiles, and no others, until a cell has no more than a sixteenth of a bin's rows (`_LEAST` rows
are never divided), or is one single number. So an edge's rank differs from the wanted one by at most half of
that, 1/32 of a bin, unless many rows have one and the same value, which then has a bin of its own. After
`MOST_PASSES` sums (with privacy fewer, as the plan pays for) cells stay as they are. Edges stand in the
middle of the empty space between cells.

**Who learns what.** Whoever opens sums learns these counts over all members of a set: of the first grid, in
which a cell is an eighth of an octave wide (the values from 8 to 9, say), and finer only where a cell has
many rows and a wanted quantile. Then it is divided into so few parts that each has at least a quarter of the
rows above which cells are divided, were they even (with privacy into more). So an extreme value is known to
the width of the first grid, or of a part of a crowded cell, never exactly. What is divided is chosen by the
driver: one that breaks the rules reads more digits of the joint distribution (never whose they are), in at
most `MOST_PASSES` sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.learning.base import Arrays
from hitoku.learning.boosting.keys import LARGEST, keys_of, values_of
from hitoku.learning.plan import Feature

__all__ = ["MOST_PASSES", "EdgeSearch", "count_cells", "first_spans", "unpack_edges"]

MOST_PASSES: Final = 6
_FIRST_BITS: Final = 12
_SUM: Final = 1 << 20
"""About so many cells in one sum, over all features."""
_FINE: Final = 16
_LEAST: Final = 5
_KEYS: Final = 1 << 32


@dataclass(slots=True)
class _Column:
    """What is known of one feature: cells in order, from `start`, with counts."""

    start: NDArray[np.int64]
    """Shape (cells + 1,): the last is the end."""
    count: NDArray[np.int64]


def _limits(feature: Feature) -> tuple[int, int]:
    """The keys between which a feature's values are counted; values outside count as the nearest."""
    low = -LARGEST if feature.low is None else np.float32(feature.low)
    high = LARGEST if feature.high is None else np.float32(feature.high)
    keys = keys_of(np.clip(np.asarray([low, high], np.float32), -LARGEST, LARGEST))
    return int(keys.min()), int(keys.max())


def first_spans(given: Sequence[Feature]) -> dict[str, NDArray[Any]]:
    """The first sum's spans: for every feature the smallest block of keys, of 2^k, that its limits lie in."""
    start, shift, bits = [], [], []
    most = min(_FIRST_BITS, max(4, int(_SUM // len(given)).bit_length() - 1))
    for feature in given:
        low, high = _limits(feature)
        width = (low ^ high).bit_length()
        bits.append(min(most, width))
        start.append(low >> width << width)
        shift.append(width - bits[-1])
    return _spans(list(range(len(given))), start, shift, bits)


def _spans(
    feature: Sequence[int], start: Sequence[int], shift: Sequence[int], bits: Sequence[int]
) -> dict[str, NDArray[Any]]:
    return {
        "feature": np.asarray(feature, np.int32),
        "start": np.asarray(start, np.int64),
        "shift": np.asarray(shift, np.uint8),
        "bits": np.asarray(bits, np.uint8),
    }


def count_cells(
    features: NDArray[np.float32],
    rows: NDArray[np.bool_],
    arrays: Arrays,
    given: Sequence[Feature],
    length: int,
) -> NDArray[np.int64]:
    """One bank's counts of its rows in the cells of each span, one span after another.

    Args:
        features: cleaned, shape (rows, features), NaN where missing.
        rows: which rows count.
        arrays: the spans; checked.
        given: the plan's features.
        length: how many cells there are said to be.

    Raises:
        InputError: the spans are not in order, or are not as many cells.
    """
    feature, start, shift, bits = _checked(arrays, len(given), length)
    made = np.zeros(length, np.int64)
    at = 0
    for column in range(len(given)):
        mine = np.flatnonzero(feature == column)
        if not len(mine):
            continue
        values = features[rows, column]
        low, high = _limits(given[column])
        keys = np.sort(np.clip(keys_of(values[~np.isnan(values)]), low, high))
        for k in mine:
            cells = 1 << int(bits[k])
            bounds = int(start[k]) + (np.arange(cells + 1, dtype=np.int64) << int(shift[k]))
            # 2^32 is no uint32; no finite value has the key before it.
            places = np.searchsorted(keys, np.minimum(bounds, _KEYS - 1).astype(np.uint32))
            made[at : at + cells] = np.diff(places)
            at += cells
    return made


def _checked(
    arrays: Arrays, features: int, length: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    kinds = {"feature": np.int32, "start": np.int64, "shift": np.uint8, "bits": np.uint8}
    for name, kind in kinds.items():
        made = arrays.get(name)
        if made is None or made.ndim != 1 or made.dtype != np.dtype(kind):
            raise InputError(f'spans: "{name}" is missing or is not a list of {np.dtype(kind).name}')
    feature, start = arrays["feature"], arrays["start"]
    shift, bits = arrays["shift"].astype(np.int64), arrays["bits"].astype(np.int64)
    if len({len(feature), len(start), len(shift), len(bits)}) != 1 or not len(feature):
        raise InputError("spans: their lists have different lengths")
    if np.any(shift + bits > 32) or np.any(bits > 16) or int((1 << bits).sum()) != length:
        raise InputError("spans: another number of cells than the sum has")
    end = start + (1 << (shift + bits))
    if np.any(start < 0) or np.any(end > _KEYS) or np.any(feature < 0) or np.any(feature >= features):
        raise InputError("spans: outside the features or their keys")
    place, until = feature * np.int64(_KEYS) + start, feature * np.int64(_KEYS) + end
    if np.any(place[1:] < until[:-1]):
        raise InputError("spans: not in order, or one over another")
    return feature, start, shift, bits


def unpack_edges(flat: NDArray[np.float32], starts: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    """Each feature's edges, from one array and where each begins."""
    return [flat[a:b] for a, b in pairwise(starts)]


class EdgeSearch:
    """The driver's search for every feature's edges: ask `spans`, sum, `learn`, until there are no spans.

    Args:
        given: the features, with the limits that the plan gives them.
        bins: of values, at most.
        noisy: counts carry noise of about this standard deviation; cells are not divided below it.
    """

    def __init__(self, given: Sequence[Feature], bins: int, noisy: float = 0.0) -> None:
        self._given, self._bins, self._noise = tuple(given), bins, noisy
        self.passes = 0
        self.spans: dict[str, NDArray[Any]] | None = first_spans(given)
        """What is to be counted next; None at the end."""
        self._columns: list[_Column] = []

    @property
    def cells(self) -> int:
        """How many numbers the next sum has."""
        return 0 if self.spans is None else int((1 << self.spans["bits"].astype(np.int64)).sum())

    def learn(self, counts: NDArray[np.int64]) -> None:
        """Take in the sums of the present spans."""
        if self.spans is None:
            raise ValueError("the search is over")
        parts = np.split(counts, np.cumsum(1 << self.spans["bits"].astype(np.int64))[:-1])
        rows = zip(
            *(self.spans[name].tolist() for name in ("feature", "start", "shift", "bits")), strict=True
        )
        fresh: dict[int, list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]] = {}
        for (feature, start, shift, bits), part in zip(rows, parts, strict=True):
            starts = start + (np.arange((1 << bits) + 1, dtype=np.int64) << shift)
            fresh.setdefault(feature, []).append((start, starts, np.maximum(part, 0)))
        if not self._columns:
            self._columns = [_Column(fresh[f][0][1], fresh[f][0][2]) for f in range(len(self._given))]
        else:
            for feature, cells in fresh.items():
                _divide(self._columns[feature], cells)
        self.passes += 1
        self.spans = self._next() if self.passes < MOST_PASSES else None

    def edges(self) -> list[NDArray[np.float32]]:
        """Each feature's edges, rising, at most bins - 1."""
        return [_edges(column, *self._targets(column), self._bins) for column in self._columns]

    def _targets(self, column: _Column) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Wanted ranks, and cells of one number that are to have a bin of their own.

        A number with more rows than a bin takes its bin alone; the others share what is left (one bin of a
        number takes up to two edges).
        """
        heavy = np.zeros(len(column.count), np.bool_)
        single = np.diff(column.start) == 1
        left, bins = float(column.count.sum()), self._bins
        while bins > 1:
            found = single & ~heavy & (column.count > left / bins) & (column.count > 0)
            if not found.any():
                break
            heavy |= found
            left -= float(column.count[found].sum())
            bins -= int(found.sum())
        light = np.where(heavy, 0, column.count)
        share = light.sum() / max(bins, 1)
        # Ranks among the rows that are not heavy, brought back to ranks among all.
        wanted = share * np.arange(1, max(bins, 1))
        below = np.concatenate(([0], np.cumsum(light)))
        cell = np.clip(np.searchsorted(below, wanted, side="left") - 1, 0, len(light) - 1)
        heavy_before = np.cumsum(np.where(heavy, column.count, 0))[cell]
        return (wanted + heavy_before if light.any() else np.empty(0)), np.flatnonzero(heavy)

    def _next(self) -> dict[str, NDArray[Any]] | None:
        chosen: list[tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
        for number, column in enumerate(self._columns):
            wanted, _ = self._targets(column)
            total = int(column.count.sum())
            least = max(_LEAST, total / (self._bins * _FINE), 4 * self._noise)
            ends = np.cumsum(column.count)
            cell = np.unique(np.minimum(np.searchsorted(ends, wanted, side="left"), len(ends) - 1))
            size = np.diff(column.start)[cell]
            keep = (column.count[cell] > least) & (size > 1)
            cell = cell[keep]
            if len(cell):
                # At least a quarter of `least` rows in each part, were they even: finer cells would tell
                # single rows' values. Under noise every sum is dear, and cells are as fine as can be.
                parts = np.log2(np.maximum(column.count[cell] / least, 1.0)) + 1
                enough = np.full(len(cell), 32) if self._noise else np.ceil(parts)
                chosen.append((number, column.start[cell], size[keep], enough.astype(np.int64)))
        if not chosen:
            return None
        room = max(16, min(1 << 14, _SUM // len(chosen)))
        feature: list[int] = []
        start: list[int] = []
        shift: list[int] = []
        bits: list[int] = []
        for number, starts, sizes, enough in chosen:
            most = max(1, int(room // len(starts)).bit_length() - 1)
            for begin, size, wanted in zip(starts.tolist(), sizes.tolist(), enough.tolist(), strict=True):
                width = int(size).bit_length() - 1
                feature.append(number)
                start.append(begin)
                bits.append(min(most, width, wanted))
                shift.append(width - bits[-1])
        return _spans(feature, start, shift, bits)


def _divide(column: _Column, cells: list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]) -> None:
    """Put finer cells in the place of those that they divide."""
    starts, counts = [], []
    before = 0
    for begin, fine, count in cells:
        at = int(np.searchsorted(column.start, begin))
        starts += [column.start[before:at], fine[:-1]]
        counts += [column.count[before:at], count]
        before = at + 1
    column.start = np.concatenate([*starts, column.start[before:]])
    column.count = np.concatenate([*counts, column.count[before:]])


def _fewest(rank: NDArray[np.int64], total: int, bins: int) -> NDArray[np.int64]:
    """At most bins - 1 edges: while there are more, the one goes whose two bins have the fewest rows."""
    while len(rank) > bins - 1:
        around = np.concatenate(([0], rank, [total]))
        rank = np.delete(rank, int(np.argmin(around[2:] - around[:-2])))
    return rank


def _edges(
    column: _Column, wanted: NDArray[np.float64], heavy: NDArray[np.int64], bins: int
) -> NDArray[np.float32]:
    """The edges nearest to the wanted ranks, and around heavy numbers; none with no row on one side."""
    ends = np.cumsum(column.count)
    total = int(ends[-1])
    cell = np.minimum(np.searchsorted(ends, wanted, side="left"), len(ends) - 1)
    lower = wanted - (ends[cell] - column.count[cell]) < column.count[cell] / 2
    # Boundary b stands before cell b; ranks[b] rows are below it.
    ranks = np.concatenate(([0], ends))
    boundary = np.unique(np.concatenate((np.where(lower, cell, cell + 1), heavy, heavy + 1)))
    rank = np.unique(ranks[boundary])
    rank = _fewest(rank[(rank > 0) & (rank < total)], total, bins)
    # All boundaries of one rank are alike for the rows that are here: take the middle of the empty space.
    first = np.searchsorted(ranks, rank, side="left")
    last = np.searchsorted(ranks, rank, side="right") - 1
    low = values_of((column.start[first] - 1).astype(np.uint32)).astype(np.float64)
    high = values_of(column.start[last].astype(np.uint32)).astype(np.float64)
    middle = ((low + high) / 2).astype(np.float32)
    made = np.where((middle > low) & (middle <= high), middle, high.astype(np.float32)).astype(np.float32)
    return np.unique(made[np.abs(made) < LARGEST])
