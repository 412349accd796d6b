# SPDX-License-Identifier: Apache-2.0
"""The best split of every node, from summed histograms alone, as XGBoost's `hist` method finds it.

The gain of a split is G_L^2 / (H_L + l2) + G_R^2 / (H_R + l2) - G^2 / (H + l2) (Chen and Guestrin, KDD 2016,
equation 7, without the constants). With a bound on steps, each part is -(2 G w + (H + l2) w^2) at the bounded
weight w, which is the same where the bound is not reached (as XGBoost's max_delta_step). Both directions of
missing values are tried. Among equal gains the lower feature wins, then missing values to the right, then the
lower bin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.learning.plan import Boosting

__all__ = ["Splits", "best_splits", "leaf_values"]

_LEAST_GAIN: Final = 1e-6
"""As XGBoost's kRtEps: less is rounding."""
_CELLS: Final = 1 << 15
"""Looked at together; keeps temporary arrays in the cache."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The best split of each of n nodes; all arrays have shape (n,), `left` (n, 2).

    Attributes:
        split: whether it is worth it; the rest means nothing where it is not.
        feature: int32.
        bin: uint8; rows of this bin and those below go left.
        missing_left: whether missing values go left.
        left: int64, gradient and hessian that go left.
        gain: float64.
    """

    split: NDArray[np.bool_]
    feature: NDArray[np.int32]
    bin: NDArray[np.uint8]
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    gain: NDArray[np.float64]


def best_splits(
    histograms: NDArray[np.int64], totals: NDArray[np.int64], unit: float, settings: Boosting
) -> Splits:
    """The best split of each node.

    Args:
        histograms: shape (n, features, bins + 1, 2): gradients and hessians; the last bin is that of missing
            values.
        totals: shape (n, 2), the sums over each node.
        unit: what 1 stands for.
        settings: l2, gain, child_weight and step.
    """
    nodes, features, bins, _ = histograms.shape
    step = max(1, _CELLS // (features * bins))
    parts = [
        _search(histograms[at : at + step], totals[at : at + step], unit, settings)
        for at in range(0, nodes, step)
    ]
    return Splits(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def leaf_values(totals: NDArray[np.int64], unit: float, settings: Boosting) -> NDArray[np.float32]:
    """What a leaf adds to the margin of its rows: -rate G / (H + l2), bounded by `step`; totals: (n, 2)."""
    g, h = totals[:, 0] * unit, totals[:, 1] * unit
    weight = h + settings.l2
    sound = (h >= settings.child_weight) & (weight > 0)
    values = -settings.rate * g / np.where(sound, weight, 1.0)
    if settings.step:
        most = settings.rate * settings.step
        values = np.clip(values, -most, most)
    return np.where(sound, values, 0.0).astype(np.float32)


def _search(
    histograms: NDArray[np.int64], totals: NDArray[np.int64], unit: float, settings: Boosting
) -> tuple[NDArray[Any], ...]:
    nodes = np.arange(len(histograms))
    bins = histograms.shape[2] - 1
    # Whole numbers below 2^53: as float64 they are exact, and so are their sums. Units cancel at the end.
    g = np.cumsum(histograms[:, :, :bins, 0], axis=2, dtype=np.float64)
    h = np.cumsum(histograms[:, :, :bins, 1], axis=2, dtype=np.float64)
    whole = totals.astype(np.float64)
    l2, least = settings.l2 / unit, settings.child_weight / unit
    if l2 + least <= 0:
        least = 1.0
    best, top = _best(_gains(g, h, whole, l2, least, settings.step))
    to_left = np.zeros(len(nodes), np.bool_)
    missing = histograms[:, :, bins, :].astype(np.float64)
    some = np.flatnonzero(missing.any(axis=(0, 2)))
    if len(some):
        more = missing[:, some]
        left_g, left_h = g[:, some] + more[:, :, 0, None], h[:, some] + more[:, :, 1, None]
        place, other = _best(_gains(left_g, left_h, whole, l2, least, settings.step))
        at_feature = some[place // bins]
        # As if all features had been searched in order: right before left, then the lower number.
        to_left = other > top
        best = np.where(to_left, at_feature * bins + place % bins, best)
        top = np.where(to_left, other, top)
    feature, at = np.divmod(best, bins)
    left = np.stack([g[nodes, feature, at], h[nodes, feature, at]], axis=1)
    left += np.where(to_left[:, None], missing[nodes, feature], 0.0)
    weight = whole[:, 1] + l2
    before = np.where(weight > 0, _part(whole[:, 0], weight, settings.step), 0.0)
    won = (top - before) * unit
    worth = (won > _LEAST_GAIN) & (won >= settings.gain)
    return (
        worth,
        feature.astype(np.int32),
        at.astype(np.uint8),
        to_left,
        left.astype(np.int64),
        np.where(worth, won, 0.0),
    )


def _best(gains: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    flat = gains.reshape(len(gains), -1)
    place = flat.argmax(axis=1)
    return place, flat[np.arange(len(flat)), place]


def _gains(
    g: NDArray[np.float64],
    h: NDArray[np.float64],
    whole: NDArray[np.float64],
    l2: float,
    least: float,
    step: float,
) -> NDArray[np.float64]:
    """G_L^2 / (H_L + l2) + G_R^2 / (H_R + l2), or -inf where a child is too light."""
    light = (h < least) | (h > whole[:, 1, None, None] - least)
    right = whole[:, 0, None, None] - g
    if step:
        right = _part(right, (whole[:, 1, None, None] + l2) - h, step)
        right += _part(g, h + l2, step)
        right[light] = -np.inf
        return right
    right *= right
    weight = (whole[:, 1, None, None] + l2) - h
    with np.errstate(divide="ignore", invalid="ignore"):
        right /= weight
        np.add(h, l2, out=weight)
        left = np.multiply(g, g)
        left /= weight
        right += left
    right[light] = -np.inf
    return right


def _part(g: NDArray[np.float64], weight: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """A child's part of the gain, `weight` being H + l2; 0 where that is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if not step:
            return np.where(weight > 0, g * g / weight, 0.0)
        chosen = np.clip(-g / weight, -step, step)
        return np.where(weight > 0, -(2 * g + weight * chosen) * chosen, 0.0)
