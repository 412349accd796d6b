# SPDX-License-Identifier: Apache-2.0
"""How wrong is it? A noised cross table beside the clear one, and the error found beside the error predicted.

Only a demonstration can do this: it has both companies' tables on one disk. The prediction is the law of the
noise and nothing measured: each count carries two independent draws of the discrete Laplace law, each with
``P[k] = (1 - q) / (1 + q) q^|k|``, ``q = exp(-epsilon)``. (Cutting each draw off where that costs a share of
delta changes no figure shown here.) It is computed here once more, apart from the code that is checked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer

__all__ = [
    "Cell",
    "Comparison",
    "Exact",
    "Law",
    "Noised",
    "collapse",
    "compare",
    "noised",
]

Cell = tuple[str, ...]
"""The values of the dimensions, in the order of the question."""

_SIGMAS: Final = 6
"""How far a figure may be from its prediction, in standard deviations: chance hardly ever exceeds it."""
_LARGE: Final = 25
"""Means are compared in cells of at least so many standard deviations of a count: the error of a quotient is
the first-order one there."""


@dataclass(frozen=True, slots=True)
class Noised:
    """One cell of the answer.

    Attributes:
        people: the count, with where the exact one lies with 95 % confidence.
        mean: the mean of the value, with the same; None where it was not asked for or has no value.
    """

    people: float
    low: float
    high: float
    mean: float | None = None
    mean_low: float | None = None
    mean_high: float | None = None


@dataclass(frozen=True, slots=True)
class Exact:
    """One cell of the clear table: people, and the sum of their values."""

    people: int
    total: int = 0

    @property
    def mean(self) -> float | None:
        """The mean value; None where there is nobody."""
        return self.total / self.people if self.people else None


@dataclass(frozen=True, slots=True)
class Law:
    """The sum of two independent draws of the discrete Laplace law of scale ``most / epsilon``.

    With ``q = exp(-epsilon / most)`` its convolution with itself is
    ``P[k] = ((1 - q) / (1 + q))^2 q^|k| (|k| + (1 + q^2) / (1 - q^2))``.

    Attributes:
        epsilon: of one draw.
        most: by how much one person changes the figure.
    """

    epsilon: float
    most: float = 1

    @property
    def _q(self) -> float:
        return math.exp(-self.epsilon / self.most)

    def probability(self, k: int) -> float:
        """Of the error `k`."""
        q = self._q
        weight = abs(k) + (1 + q * q) / (1 - q * q)
        return ((1 - q) / (1 + q)) ** 2 * math.exp(-abs(k) * self.epsilon / self.most) * weight

    @property
    def deviation(self) -> float:
        """The standard deviation: twice the variance ``2 q / (1 - q)^2`` of one draw."""
        q = self._q
        return 2 * math.sqrt(q) / (1 - q)

    @property
    def kurtosis(self) -> float:
        """The fourth moment in units of the squared variance; 4.5 for large scales, as of two Laplace draws.

        Of one draw the variance is ``2 q / (1 - q)^2`` and the fourth moment
        ``2 q (1 + 10 q + q^2) / (1 - q)^4``; excess halves when two are added.
        """
        q = self._q
        excess = (1 + 10 * q + q * q) / (2 * q) - 3
        return 3 + excess / 2

    def within(self, width: float) -> float:
        """The probability of an error of at most `width` either way."""
        if width < 0:
            return 0.0
        ends = range(1, math.floor(width) + 1)
        return self.probability(0) + 2 * math.fsum(self.probability(k) for k in ends)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found.

    Attributes:
        cells: compared.
        people: in all cells of the clear table together.
        found: root of the mean square error of the counts.
        predicted: the same by the law of the noise.
        inside: cells whose exact count is inside the 95 % band.
        expected: how many should be, by the law and the bands' widths.
        means: cells whose means were compared: the large ones.
        mean_found: root of the mean square error of those means.
        mean_predicted: the same by the law.
        right: whether the errors are as predicted, as far as chance lets one tell.
    """

    cells: int
    people: int
    found: float
    predicted: float
    inside: int
    expected: float
    means: int = 0
    mean_found: float | None = None
    mean_predicted: float | None = None
    right: bool = False

    @property
    def share(self) -> float:
        """The share of cells inside their bands."""
        return self.inside / self.cells


def noised(
    answer: Answer, dimensions: Sequence[str], people: str, mean: str | None = None
) -> dict[Cell, Noised]:
    """The cells of an answer.

    Args:
        answer: with bands.
        dimensions: its columns that say which cell it is.
        people: its column with the counts.
        mean: its column with the means.

    Raises:
        KeyError: it has no such column, or no bands for it.
    """
    keys = zip(*(answer.table.column(n).to_pylist() for n in dimensions), strict=True)
    names = [people, *([mean] if mean else [])]
    figures = []
    for name in names:
        figures += [answer.table.column(name), *(answer.bands.column(f"{name}_{e}") for e in ("low", "high"))]
    rows = zip(*(column.to_pylist() for column in figures), strict=True)
    return {
        tuple(map(str, key)): Noised(*(None if v is None else float(v) for v in row))  # type: ignore[arg-type]
        for key, row in zip(keys, rows, strict=True)
    }


def collapse(
    cells: Mapping[Cell, Noised], exact: Mapping[Cell, Exact], keep: Sequence[int], law: Law
) -> tuple[dict[Cell, Noised], dict[Cell, Exact]]:
    """A coarser table, added up from the cells: it costs nothing more, and its error is the sum's.

    Args:
        cells: of the answer.
        exact: of the clear table.
        keep: places of the dimensions that stay.
        law: of one count; a band here is two standard deviations of the sum, which is nearly normal.
    """
    counts: dict[Cell, list[float]] = {}
    for cell, figure in cells.items():
        counts.setdefault(tuple(cell[n] for n in keep), []).append(figure.people)
    truth: dict[Cell, Exact] = {}
    for cell, real in exact.items():
        coarse = tuple(cell[n] for n in keep)
        so_far = truth.get(coarse, Exact(0))
        truth[coarse] = Exact(so_far.people + real.people, so_far.total + real.total)
    summed = {}
    for coarse, figures in counts.items():
        total, width = math.fsum(figures), 2 * law.deviation * math.sqrt(len(figures))
        summed[coarse] = Noised(total, total - width, total + width)
    return summed, truth


def compare(
    cells: Mapping[Cell, Noised], exact: Mapping[Cell, Exact], counts: Law, sums: Law | None = None
) -> Comparison:
    """The errors of an answer's cells.

    Args:
        cells: of the answer; every one is compared.
        exact: of the clear table; a cell that is not in it has nobody.
        counts: the law of a count's noise.
        sums: the law of a sum's noise, where means were asked for.

    Raises:
        ValueError: there is no cell, or a cell of the clear table is not in the answer.
    """
    if not cells or not exact.keys() <= cells.keys():
        raise ValueError("the answer does not have every cell of the clear table")
    errors, inside, shares = [], 0, []
    for cell, figure in cells.items():
        real = exact.get(cell, Exact(0)).people
        errors.append(figure.people - real)
        inside += figure.low <= real <= figure.high
        shares.append((figure.high - figure.people, figure.people - figure.low))
    widths = {pair: counts.within(min(pair)) for pair in set(shares)}
    expected = math.fsum(widths[pair] for pair in shares)
    found, n = _root_mean_square(errors), len(errors)
    # The standard deviation of a mean of n squares, halved for the root.
    spread = math.sqrt((counts.kurtosis - 1) / (4 * n))
    doubt = math.sqrt(math.fsum(widths[pair] * (1 - widths[pair]) for pair in shares))
    right = abs(found / counts.deviation - 1) <= _SIGMAS * spread
    right = right and abs(inside - expected) <= _SIGMAS * max(doubt, 1)
    people = sum(real.people for real in exact.values())
    facts = (n, people, found, counts.deviation, inside, expected)
    if sums is None:
        return Comparison(*facts, right=right)
    off, deviations = _means(cells, exact, counts, sums)
    if not off:
        return Comparison(*facts, right=right)
    mean_found, mean_predicted = _root_mean_square(off), _root_mean_square(deviations)
    scaled = _root_mean_square([e / d for e, d in zip(off, deviations, strict=True)])
    spread = math.sqrt((max(counts.kurtosis, sums.kurtosis) - 1) / (4 * len(off)))
    right = right and abs(scaled - 1) <= _SIGMAS * spread + 0.05  # 0.05: beyond first order
    return Comparison(*facts, len(off), mean_found, mean_predicted, right)


def _means(
    cells: Mapping[Cell, Noised], exact: Mapping[Cell, Exact], counts: Law, sums: Law
) -> tuple[list[float], list[float]]:
    """Errors of the means of large cells, and their standard deviations by the law, to first order."""
    off, deviations = [], []
    for cell, real in exact.items():
        mean, told = real.mean, cells[cell].mean
        if mean is None or told is None or real.people < _LARGE * counts.deviation:
            continue
        off.append(told - mean)
        deviations.append(math.hypot(sums.deviation, mean * counts.deviation) / real.people)
    return off, deviations


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(math.fsum(v * v for v in values) / len(values))
