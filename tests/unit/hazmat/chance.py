# SPDX-License-Identifier: Apache-2.0
"""Statistics for tests of random polynomials, each as a nearly standard normal number.

One above `FAR` happens by chance less than once in 10^9 times.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import math

import numpy as np

FAR = 6.2


def normal(statistic: float, degrees: int) -> float:
    """A chi-square statistic as a standard normal number (Wilson and Hilferty)."""
    spread = 2 / (9 * degrees)
    return (math.cbrt(statistic / degrees) - (1 - spread)) / math.sqrt(spread)


def fit(counts, probabilities) -> float:
    """How far counts are from probabilities; cells that are expected less than 5 times are put together."""
    expected = np.asarray(probabilities, float) * np.sum(counts)
    counts = np.asarray(counts, float)
    small = expected < 5
    if small.any():
        counts = np.append(counts[~small], counts[small].sum())
        expected = np.append(expected[~small], expected[small].sum())
    # A last cell that is next to nothing goes to the largest, so that no quotient explodes for one count.
    if expected[-1] < 5:
        most = expected.argmax()
        counts[most] += counts[-1]
        expected[most] += expected[-1]
        counts, expected = counts[:-1], expected[:-1]
    return normal(float(((counts - expected) ** 2 / expected).sum()), len(counts) - 1)


def uniform(residues, q, bins=256) -> float:
    """How far residues modulo q are from uniform: by size, and by their low bits."""
    values = np.asarray(residues, np.uint64).ravel()
    # Through float64: 53 bits are enough for a bin's number, and edges matter to one in 2^40.
    by_size = np.bincount((values.astype(np.float64) * (bins / q)).astype(np.int64), minlength=bins)
    low = np.bincount((values % np.uint64(bins)).astype(np.int64), minlength=bins)
    even = np.full(bins, 1 / bins)
    return max(abs(fit(by_size[:bins], even)), abs(fit(low, even)))


def two_samples(left, right, bins=64) -> float:
    """How far two samples are from one distribution, by chi-square over common quantiles."""
    edges = np.quantile(np.concatenate([left, right]), np.linspace(0, 1, bins + 1)[1:-1])
    a = np.bincount(np.searchsorted(edges, left), minlength=bins).astype(float)
    b = np.bincount(np.searchsorted(edges, right), minlength=bins).astype(float)
    used = a + b > 0
    a, b = a[used], b[used]
    grow = math.sqrt(b.sum() / a.sum())
    return normal(float(((grow * a - b / grow) ** 2 / (a + b)).sum()), int(used.sum()) - 1)


def binomial(pairs=21):
    """Probabilities of -pairs ... pairs in the centred binomial."""
    return np.array([math.comb(2 * pairs, pairs + e) for e in range(-pairs, pairs + 1)]) / 4.0**pairs


def error_fit(errors) -> float:
    """How far whole numbers are from errors of 21 pairs of coins; infinite if one is beyond 21.

    The worst of the whole distribution, the mean and the variance, which sees a slightly wrong width best.
    """
    values = np.asarray(errors).ravel()
    if np.abs(values).max() > 21:
        return math.inf
    whole = fit(np.bincount((values + 21).astype(np.int64), minlength=43), binomial())
    sizes = np.arange(-21, 22)
    second, fourth = (float((binomial() * sizes**power).sum()) for power in (2, 4))
    mean = float(values.mean()) / math.sqrt(second / values.size)
    square = (float((values.astype(float) ** 2).mean()) - second) / math.sqrt(
        (fourth - second**2) / values.size
    )
    return max(abs(whole), abs(mean), abs(square))
