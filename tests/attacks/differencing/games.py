# SPDX-License-Identifier: Apache-2.0
"""When runs of an attack contradict a promised bound, and how an attack that sees all noised figures decides.

An attack accepts ("the target is there") or rejects. With p the chance that it accepts where the target is
and q where it is not, every mechanism of rho-zCDP obeys, after any computation on its outputs,

- ``D_alpha(Bernoulli(p) || Bernoulli(q)) <= alpha rho`` for every alpha > 1, and with both rejected or
  changed round (Bun, Steinke 2016, arXiv 1605.02065, definition 1.1 and lemma 1.4: data processing), and
- ``p <= exp(epsilon) q + delta`` for every delta and its epsilon (`hitoku.room.accounting.epsilon_of`).

For delta-approximate zCDP the same with p less and q more by that delta. p and q are not known; what is known
at 99 % confidence is an interval for each (Clopper, Pearson 1934), the risk shared among all thresholds of an
attack. A mechanism that keeps its promise fails a test far more rarely than that: the Gaussian's chances lie
within the bound by many times what so many runs can err (of 21,000 simulated attacks on exact Gaussians, with
signals of half, one and two standard deviations, none was held against them), and one with half of its noise
fails nearly always.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hitoku.disclosure import noising
from hitoku.disclosure.noise import Draws
from hitoku.questions.noised import PART, key_name
from hitoku.room.accounting import DELTA_UNITS, RHO_UNITS, epsilon_of

from .world import Asked, Cell, Pair, bits, cells

CONFIDENCE = 0.99
ORDERS = (1.05, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0)
DELTAS = ("0.1", "0.01", "0.001", "0.000001")
RUNS = 2_000


@dataclass(frozen=True)
class Budget:
    """What all questions of an attack cost together."""

    rho: int
    delta: int

    @property
    def epsilon(self) -> Decimal:
        """At a delta of 10^-6."""
        return epsilon_of(self.rho, DELTA_UNITS // 10**6)


def interval(hits: int, runs: int, risk: float) -> tuple[float, float]:
    """Clopper and Pearson's bounds, each wrong with a chance of at most `risk`."""
    return _bound(hits, runs, risk), 1 - _bound(runs - hits, runs, risk)


@cache
def _bound(hits: int, runs: int, risk: float) -> float:
    """The largest chance with which so many hits or more are as rare as `risk`."""
    if not hits:
        return 0.0
    counts, weights = np.arange(hits, runs + 1), _choices(runs)[hits:]
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        logs = weights + counts * math.log(middle) + (runs - counts) * math.log1p(-middle)
        low, high = (middle, high) if np.exp(logs).sum() <= risk else (low, middle)
    return low


@lru_cache(maxsize=8)
def _choices(runs: int) -> Any:
    """Logarithms of the binomial coefficients of so many runs."""
    factorials = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, runs + 1)))))
    return factorials[-1] - factorials - factorials[::-1]


def contradiction(here: Any, gone: Any, budget: Budget, tests: int = 1) -> str | None:
    """What the accepted runs of both worlds prove against the promise; None where they prove nothing."""
    risk = (1 - CONFIDENCE) / (2 * tests)
    intervals = [interval(int(np.sum(side)), len(side), risk) for side in (here, gone)]
    (p_low, p_high), (q_low, q_high) = intervals
    delta = budget.delta / DELTA_UNITS
    for name, p, q in (
        ("accepts", p_low, q_high),
        ("accepts where it is not", q_low, p_high),
        ("rejects", 1 - p_high, 1 - q_low),
        ("rejects where it is not", 1 - q_high, 1 - p_low),
    ):
        found = _beyond(max(p - delta, 0.0), min(q + delta, 1.0), budget.rho)
        if found:
            return f"{name}: at least {p:.4f} against at most {q:.4f}: {found}"
    return None


def _beyond(p: float, q: float, rho: int) -> str | None:
    if p <= q:
        return None
    for order in ORDERS:
        powers = [
            (order * math.log(a) + (1 - order) * math.log(b)) for a, b in ((p, q), (1 - p, 1 - q)) if a > 0
        ]
        divergence = float(np.logaddexp.reduce(powers)) / (order - 1)
        if divergence > order * rho / RHO_UNITS:
            return f"divergence of order {order} is {divergence:.3f}"
    for delta in DELTAS:
        epsilon = float(epsilon_of(rho, int(Decimal(delta) * DELTA_UNITS)))
        if p > math.exp(min(epsilon, 700.0)) * q + float(delta):
            return f"epsilon is above {epsilon:.3f} at delta {delta}"
    return None


# --- runs ---

Released = dict[Cell, Any]
"""For each group an array of runs x figures; NaN in the runs that did not release it."""


@dataclass(frozen=True)
class Game:
    """An attack: all its questions, in both worlds."""

    asked: tuple[Asked, ...]
    exact: tuple[tuple[Any, ...], tuple[Any, ...]]

    @staticmethod
    def of(pair: Pair, asked: Sequence[Asked]) -> Game:
        """Ask everything once in each world; only the noise is new in each run."""
        here, gone = (tuple(a.figures(side) for a in asked) for side in pair.sides)
        return Game(tuple(asked), (here, gone))

    @property
    def budget(self) -> Budget:
        """The sum of all charges."""
        return Budget(sum(a.charge.rho for a in self.asked), sum(a.charge.delta for a in self.asked))

    def runs(self, world: int, number: int = RUNS) -> list[Released]:
        """What comes out of so many independent runs in one world, for each question."""
        return [_runs(a, table, number) for a, table in zip(self.asked, self.exact[world], strict=True)]

    def weights(self) -> list[dict[Cell, Any]]:
        """How strongly each noised figure speaks for the target: its change by the noise's variance."""
        made = []
        for a, here, gone in zip(self.asked, *self.exact, strict=True):
            ours, theirs = cells(here, a), cells(gone, a)
            scales = {cell: np.array(a.noise.parts[cell[0] - 1].scales, float) for cell in ours}
            both = [cell for cell in ours if cell in theirs]
            made.append(
                {
                    c: (np.array(ours[c], float) - theirs[c], np.array(theirs[c], float), scales[c])
                    for c in both
                }
            )
        return made

    def play(self, number: int = RUNS) -> Plays:
        """So many runs in each world."""
        return Plays(self, self.runs(0, number), self.runs(1, number), number)

    def contradicted(self, number: int = RUNS) -> str | None:
        """Whether the strongest attack breaks the promise in so many runs."""
        return self.play(number).contradicted()


@dataclass(frozen=True)
class Plays:
    """Runs of an attack in both worlds."""

    game: Game
    here: list[Released]
    gone: list[Released]
    number: int

    def each(self, score: Callable[[list[Released]], Any]) -> tuple[Any, Any]:
        """What the asker computes from the answers of each run, in both worlds."""
        return score(self.here), score(self.gone)

    def between(self) -> str | None:
        """Whether two figures of one answer tell more together: what one noise for both would leave exact."""
        here, gone = self.each(lambda answers: answers[0][1, ()][:, -1] - answers[0][1, ()][:, -2])
        return decided(here, gone, [-2, -1, 0, 0.5, 1, 2], self.game.budget)

    def alone(self, figure: int) -> str | None:
        """Whether one figure of each answer breaks the promise when all others are ignored.

        Together with well-noised ones a figure that lost its noise stands out less than by itself.
        """
        only = [
            {
                cell: tuple(a[..., figure : figure + 1] for a in triple)
                for cell, triple in weight.items()
                if triple[0].size > figure
            }
            for weight in self.game.weights()
        ]
        cut = [
            [{cell: values[:, figure : figure + 1] for cell, values in answer.items()} for answer in side]
            for side in (self.here, self.gone)
        ]
        return replace(self, here=cut[0], gone=cut[1])._decided(only)

    def contradicted(self) -> str | None:
        """The strongest attack there is on these figures: the likelihood ratio of all of them together.

        Whoever asks HAVING, windows, LIMIT or means of them computes from these, and can only know less.
        """
        return self._decided(self.game.weights())

    def _decided(self, weights: list[dict[Cell, Any]]) -> str | None:
        signal = math.sqrt(sum(float(((d / s) ** 2).sum()) for w in weights for d, _, s in w.values()))
        scores = self.each(lambda released: self._likelihood(released, weights))
        if signal == 0:
            return contradiction(scores[0] > 0, scores[1] > 0, self.game.budget)
        limits = [signal * signal / 2 + signal * by for by in (-2, -1, -0.5, 0, 0.5, 1, 2)]
        return decided(scores[0], scores[1], limits, self.game.budget)

    def _likelihood(self, released: list[Released], weights: list[dict[Cell, Any]]) -> Any:
        score = np.zeros(self.number)
        for found, weight in zip(released, weights, strict=True):
            for cell, values in found.items():
                if cell not in weight:  # cannot be there in both worlds: whoever sees it, knows
                    score += np.where(np.isnan(values).all(axis=1), 0.0, 1e9)
                    continue
                change, known, scale = weight[cell]
                score += np.nan_to_num((values - known) * change / scale**2).sum(axis=1)
        return score


def decided(here: Any, gone: Any, limits: Sequence[float], budget: Budget) -> str | None:
    """Whether accepting above any of these limits contradicts the promise."""
    for limit in limits:
        found = contradiction(here > limit, gone > limit, budget, len(limits))
        if found:
            return found
    return None


def _runs(asked: Asked, table: Any, number: int) -> Released:
    """The real mechanism on many copies of the figures at once; the run is one more key."""
    found: Released = {}
    draws = Draws(asked.noise)
    try:
        for n, (part, how) in enumerate(zip(asked.privacy.parts, asked.noise.parts, strict=True), 1):
            groups = len(asked.question.form.blocks[n - 1].groups)
            mine = table.filter(pc.equal(table.column(PART), n))
            copies = mine.take(pa.array(np.tile(np.arange(mine.num_rows), number)))
            key = key_name(n, groups + 1)
            copies = copies.append_column(key, pa.array(np.arange(copies.num_rows)))
            out = noising._noised_groups(copies, n, groups + 1, part, how, draws)
            run, row = np.divmod(out.column(key).to_numpy(), max(1, mine.num_rows))
            figures = [out.column(f"_hitoku_f{i}").to_numpy() for i in range(1, len(part.figures) + 1)]
            made = np.full((mine.num_rows, number, len(figures)), np.nan)
            made[row, run] = np.column_stack(figures)
            for place, keys in enumerate(mine.to_pylist()):
                name = tuple(bits(keys[key_name(n, i)]) for i in range(1, groups + 1))
                found[n, name] = made[place]
    finally:
        draws.close()
    return found
