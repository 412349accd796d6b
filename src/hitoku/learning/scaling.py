# SPDX-License-Identifier: Apache-2.0
"""Inputs of linear models and networks, brought to one scale by two secure sums.

The first sum counts, for each feature, values by sign and half octave (a factor of about 1.4), and missing
ones. From it follow bounds that leave about a 10^4th of the values outside on each side (widened to the edge
of a bucket, so no single extreme value shows), and whether a feature is so skewed that its logarithm is
better. The second sum adds the bounded values and their squares, from which mean and deviation follow. A
missing value becomes the mean; a feature of which more than a 1000th is missing gets a second column that
says so.

Every row adds whole numbers to both sums, so that with privacy one row's part is bounded exactly: in the
first sum one 1 a feature; in the second at most two values of `ONE` a feature and two more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.learning.plan import Feature

__all__ = ["BUCKETS", "MOST", "ONE", "Scaling", "bounded", "buckets", "finished", "moments", "scaling_of"]

ONE: Final = 1 << 20
"""1 in the sums of moments. With 2^28 rows and 2^7 members a sum stays below 2^55."""
_OCTAVES: Final = 40
_SIDE: Final = 4 * _OCTAVES
"""Half octaves of one sign: sizes from 2^-40 to 2^40, the outermost open."""
BUCKETS: Final = 2 * _SIDE + 2
"""Of one feature: negative ones, 0, positive ones, missing ones."""
_OUTSIDE: Final = 1e-4
_MISSING: Final = 1e-3
_SKEWED: Final = 10.0
_CHUNK: Final = 1 << 15
MOST: Final = 64.0
"""No input is further from its mean, in deviations: bounds of sums are proven with it."""
_HALF: Final = np.float32(0.70710677)


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """How features become inputs. Every array has shape (features,).

    Attributes:
        low: what is below becomes this.
        high: what is above becomes this.
        unit: of the logarithm ``sign(x) log(1 + |x| / unit)``; 0 where x itself is taken.
        mean: what is subtracted, and then
        deviation: what is divided by; 0 where the feature is constant, its input is 0.
        missing: the fraction that is missing where that gets an input of its own, else 0.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    unit: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    missing: NDArray[np.float64]

    @property
    def inputs(self) -> int:
        """How many inputs a row becomes."""
        return len(self.low) + int(np.count_nonzero(self.missing))

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The inputs of rows: shape (rows, inputs), 0 on average with deviation 1."""
        made = np.empty((len(features), self.inputs), np.float32)
        said = np.flatnonzero(self.missing)
        spread = np.sqrt(self.missing[said] * (1 - self.missing[said]))
        part = np.divide(1.0, self.deviation, out=np.zeros_like(self.deviation), where=self.deviation > 0)
        for k in range(0, len(features), _CHUNK):
            rows = features[k : k + _CHUNK]
            absent = np.isnan(rows)
            inputs = (bounded(rows, self.low, self.high, self.unit) - self.mean) * part
            inputs[absent] = 0.0
            np.clip(inputs, -MOST, MOST, out=inputs)
            made[k : k + _CHUNK, : len(self.low)] = inputs
            if len(said):
                told = (absent[:, said] - self.missing[said]) / spread
                made[k : k + _CHUNK, len(self.low) :] = np.clip(told, -MOST, MOST)
        return made

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """As arrays of an instruction: one, of shape (6, features)."""
        columns = (self.low, self.high, self.unit, self.mean, self.deviation, self.missing)
        return {"scaling": np.stack(columns)}

    @classmethod
    def of(cls, array: object, features: int) -> Scaling:
        """From such an array, checked.

        Raises:
            InputError: it is none.
        """
        if not isinstance(array, np.ndarray) or array.shape != (6, features) or array.dtype != np.float64:
            raise InputError("scaling: six numbers for each feature")
        low, high, unit, mean, deviation, missing = np.array(array)
        sound = np.isfinite(array).all() and (low <= high).all() and (unit >= 0).all()
        if not (sound and (deviation >= 0).all() and (missing >= 0).all() and (missing < 1).all()):
            raise InputError("scaling: numbers that are not finite or out of range")
        return cls(low, high, unit, mean, deviation, missing)

    def to_body(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {name: getattr(self, name).tolist() for name in self.__slots__}

    @classmethod
    def from_body(cls, body: object, features: int) -> Scaling:
        """From such data that nobody vouches for.

        Raises:
            InputError: it is none.
        """
        if not isinstance(body, Mapping) or set(body) != set(cls.__slots__):
            raise InputError("scaling: bounds, units, means, deviations and missing parts")
        try:
            rows = [np.asarray(body[name], np.float64) for name in cls.__slots__]
            return cls.of(np.stack(rows), features)
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError("scaling: six numbers for each feature") from error


def bounded(
    features: NDArray[np.float32],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    unit: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Values within the bounds, their logarithm where `unit` is not 0; NaN stays."""
    values = np.clip(features.astype(np.float64), low, high)
    bent = np.flatnonzero(unit)
    values[:, bent] = _bent(values[:, bent], unit[bent])
    return values


def _bent(values: NDArray[np.float64], unit: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.copysign(np.log1p(np.abs(values) / unit), values))


def buckets(features: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many values of each feature lie in each bucket: shape (features * BUCKETS,)."""
    width = features.shape[1]
    counts = np.zeros(width * BUCKETS, np.int64)
    offset = np.arange(width) * BUCKETS
    for k in range(0, len(features), _CHUNK):
        rows = features[k : k + _CHUNK]
        part, power = np.frexp(np.nan_to_num(rows, nan=0.0, posinf=3e38, neginf=-3e38))
        half = np.clip(2 * (power.astype(np.int64) + _OCTAVES) + (np.abs(part) >= _HALF), 0, _SIDE - 1)
        place = np.where(part < 0, _SIDE - 1 - half, np.where(part > 0, _SIDE + 1 + half, _SIDE))
        place = np.where(np.isnan(rows), BUCKETS - 1, place)
        counts += np.bincount((place + offset).ravel(), minlength=len(counts))
    return counts


def _edges() -> NDArray[np.float64]:
    """The lower edges of the buckets of numbers and, last, the upper edge of the last: shape (BUCKETS,)."""
    half = np.arange(_SIDE + 1)
    sizes = np.where(half % 2 == 0, 0.5, float(_HALF)) * 2.0 ** (half // 2 - _OCTAVES)
    sizes[0] = 0.0
    return np.concatenate([-sizes[::-1], sizes])


def scaling_of(counts: NDArray[np.int64], features: Sequence[Feature], spread: float) -> Scaling:
    """Bounds and units from the summed counts; means and deviations are not known yet.

    Args:
        counts: of all members, shape (features * BUCKETS,).
        features: the plan's inputs.
        spread: the deviation of the noise in a count; 0 without privacy.

    Returns:
        The scaling with mean 0 and deviation 0.
    """
    edges = _edges()
    # Without this a thousand empty buckets of noise would look like values.
    table = np.where(counts > 4 * spread, counts, 0).reshape(len(features), BUCKETS).astype(np.float64)
    low, high, unit = np.zeros(len(features)), np.zeros(len(features)), np.zeros(len(features))
    for k, feature in enumerate(features):
        seen = table[k, :-1]
        total = seen.sum()
        if total > 0:
            sums = np.cumsum(seen)
            first = int(np.searchsorted(sums, total * _OUTSIDE, side="right"))
            last = int(np.searchsorted(sums, total * (1 - _OUTSIDE), side="left"))
            low[k], high[k] = edges[first], edges[min(last, BUCKETS - 2) + 1]
            # The bucket of 0 lies between two edges that are 0.
            unit[k] = _unit(seen, edges, low[k], high[k])
        low[k] = low[k] if feature.low is None else max(low[k], feature.low)
        high[k] = high[k] if feature.high is None else min(high[k], feature.high)
        high[k] = max(low[k], high[k])
    missing = table[:, -1] / np.maximum(table.sum(1), 1)
    missing = np.where((missing > _MISSING) & (missing < 1), missing, 0.0)
    nothing = np.zeros(len(features))
    return Scaling(low, high, unit, nothing, nothing, missing)


def _unit(seen: NDArray[np.float64], edges: NDArray[np.float64], low: float, high: float) -> float:
    """The logarithm's unit for a skewed feature: the median size of what is not 0; else 0."""
    middle = np.clip((edges[:-1] + edges[1:]) / 2, low, high)
    mean = float(seen @ middle) / seen.sum()
    deviation = float(np.sqrt(seen @ (middle - mean) ** 2 / seen.sum()))
    if deviation == 0 or max(high - mean, mean - low) <= _SKEWED * deviation:
        return 0.0
    size = np.abs(middle)
    order = np.argsort(size, kind="stable")
    order = order[size[order] > 0]
    sums = np.cumsum(seen[order])
    return float(size[order[int(np.searchsorted(sums, sums[-1] / 2))]])


def _ends(scaling: Scaling) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least bounded value of each feature, and how far the largest is from it."""
    ends = np.stack([scaling.low, scaling.high])
    bent = np.flatnonzero(scaling.unit)
    ends[:, bent] = _bent(ends[:, bent], scaling.unit[bent])
    return ends[0], ends[1] - ends[0]


def moments(features: NDArray[np.float32], label: NDArray[np.uint8], scaling: Scaling) -> NDArray[np.int64]:
    """Sums for means and deviations, shape (2 * features + 2,): values, squares, rows, positive rows.

    Values are mapped to [0, 1] between the bounds; 1 counts as `ONE`. A missing value counts as none.
    """
    least, span = _ends(scaling)
    part = np.divide(1.0, span, out=np.zeros_like(span), where=span > 0)
    width = features.shape[1]
    total = np.zeros(2 * width + 2, np.int64)
    for k in range(0, len(features), _CHUNK):
        values = (bounded(features[k : k + _CHUNK], scaling.low, scaling.high, scaling.unit) - least) * part
        values = np.clip(np.nan_to_num(values, nan=0.0), 0.0, 1.0)
        total[:width] += np.rint(values * ONE).astype(np.int64).sum(0)
        total[width : 2 * width] += np.rint(values * values * ONE).astype(np.int64).sum(0)
    total[-2] = len(label) * ONE
    total[-1] = int(np.count_nonzero(label)) * ONE
    return total


def finished(
    scaling: Scaling, counts: NDArray[np.int64], sums: NDArray[np.int64]
) -> tuple[Scaling, float, float]:
    """The scaling with means and deviations, how many rows there are, and the fraction that is positive.

    Args:
        scaling: from `scaling_of`.
        counts: the first sum.
        sums: the second sum (`moments`).
    """
    width = len(scaling.low)
    least, span = _ends(scaling)
    rows = max(1.0, float(sums[-2]) / ONE)
    absent = np.clip(counts.reshape(width, BUCKETS)[:, -1], 0, rows - 1)
    there = rows - absent
    mean = np.clip(sums[:width] / ONE / there, 0, 1)
    square = np.clip(sums[width : 2 * width] / ONE / there, 0, 1)
    deviation = np.sqrt(np.clip(square - mean * mean, 0, None))
    # Less than the grid of the sums tells apart: as good as constant.
    deviation = np.where(deviation > 1e-4, deviation, 0.0) * span
    positive = float(np.clip(sums[-1] / ONE / rows, 1e-6, 1 - 1e-6))
    made = Scaling(scaling.low, scaling.high, scaling.unit, least + mean * span, deviation, scaling.missing)
    return made, rows, positive
