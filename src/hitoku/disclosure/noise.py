# SPDX-License-Identifier: Apache-2.0
"""Noise: what it costs, how much of it, and where it comes from.

The mechanism. Every figure of a question (`hitoku.questions.privacy`) is a vector of whole numbers, one a
group; a unit changes at most ``L0 = max_groups`` of them, each by at most ``most``, so its L2 sensitivity is
``sqrt(L0) * most``. It gets discrete Gaussian noise (Canonne, Kamath, Steinke 2020, arXiv 2004.00010, section
2) with ``sigma = users_noise * most``, which is ``rho = L0 / (2 users_noise^2)``-zCDP (their Theorem 4; for
vectors Corollary 14). Figures add up, and so do branches (Bun, Steinke 2016, arXiv 1605.02065, Lemma 1.7).

Groups whose keys are not public are released only if their noisy number of units reaches a threshold T; those
of fewer than t units are left out before (`smallest_group`). For two data sets that
differ in one unit, at most L0 groups have other numbers. Where both are at least t the noise covers it, as
above. Where one is t and the other t - 1, the group is never released from the second, and from the first
with probability ``P[N >= T - t] <= Q((T - t - 1) / sigma)`` (the same paper, Proposition 25: the discrete
tail at m is at most the continuous one at m - 1). So this is delta-approximate zCDP with ``delta = L0 * Q((T
- t - 1) / users_noise)`` (Bun, Steinke, section 8), and T is chosen so that this is at most the question's
share.

Draws come from `opendp`: exact in integer arithmetic (no floating-point noise, Mironov 2012), from the
system's randomness. They can be drawn ahead, while the engine runs: how long a draw takes depends on its
value (Jin et al. 2021, arXiv 2112.05307), so it is better not to lie between cells and answer.
"""

from __future__ import annotations

import math
import threading
from array import array
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from hitoku.room.accounting import DELTA_UNITS, RHO_UNITS, Charge

if TYPE_CHECKING:
    from hitoku.questions.privacy import Privacy

__all__ = ["MAX_CHARGE", "Draws", "Noise", "NoisedPart", "noise_of", "share_of", "smallest_group"]

MAX_CHARGE: Final = 2**53 - 1
_SHARE: Final = 10_000
"""A branch with a noisy threshold takes this part of the account's delta."""
# Half-widths of a figure's 95 % band and of its 97.5 % band, and its standard deviation, in scales. A Laplace
# noise's scale is written in sevenths (`hitoku.disclosure.laplace.EPSILON`): it is a whole number then. The
# draws of three servers have 3/2 of the variance that is charged for (`hitoku.disclosure.three`).
_ROOT: Final = 1.224745
_WIDTHS: Final = {
    "discrete Gaussian": (1.959964, 2.241403),
    "two discrete Laplace": (4.1131 / 7, 4.9319 / 7),
    "three discrete Gaussian": (1.959964 * _ROOT, 2.241403 * _ROOT),
}
_DEVIATIONS: Final = {
    "discrete Gaussian": 1.0,
    "two discrete Laplace": 2 / 7,
    "three discrete Gaussian": _ROOT,
}
_CHUNK: Final = 512


@dataclass(frozen=True, slots=True)
class NoisedPart:
    """How one branch is noised.

    Attributes:
        scales: sigma of each figure, in the figure's units; of a Laplace noise seven times its scale; of
            three servers' noise the sigma that any two of them add.
        threshold: what a group's noisy number of units must reach; None where groups are public.
        least_units: groups of fewer units are left out before.
        law: how the noise of a figure is distributed; the Laplace one is in `hitoku.disclosure.laplace`, that
            of three servers in `hitoku.disclosure.three`.
    """

    scales: tuple[int, ...]
    threshold: int | None
    least_units: int
    law: Literal["discrete Gaussian", "two discrete Laplace", "three discrete Gaussian"] = "discrete Gaussian"

    def half_widths(self, pairs: bool = False) -> tuple[int, ...]:
        """Half-width of each figure's 95 % band; with `pairs`, of bands that hold for two at once."""
        wide = _WIDTHS[self.law][pairs]
        return tuple(math.ceil(scale * wide) for scale in self.scales)

    @property
    def sigmas(self) -> tuple[int, ...]:
        """Each figure's standard deviation; a little more, never less."""
        return tuple(math.ceil(scale * _DEVIATIONS[self.law]) for scale in self.scales)


@dataclass(frozen=True, slots=True)
class Noise:
    """How a question is noised.

    Attributes:
        unit: the unit of privacy.
        users_noise: each figure's noise has the standard deviation of so many units' largest contributions.
        parts: one for each branch.
    """

    unit: str
    users_noise: int
    parts: tuple[NoisedPart, ...]


def smallest_group(users_noise: int) -> int:
    """Groups of fewer units are left out before noise: there may be millions, and hardly one would pass."""
    return max(2, users_noise // 5)


def noise_of(privacy: Privacy, users_noise: int | None) -> tuple[Noise, tuple[Charge, ...]]:
    """How a question is noised, and what that costs each account.

    Args:
        privacy: its figures.
        users_noise: at least so much; never less than the strictest account demands.
    """
    users = max(privacy.least_noise, users_noise or 0)
    share = share_of(privacy.delta)
    least = smallest_group(users)
    parts: list[NoisedPart] = []
    rho = delta = 0
    for part in privacy.parts:
        threshold = None
        if part.thresholded:
            threshold = least + 1 + _quantile(users, share / DELTA_UNITS / part.max_groups)
            delta += share
        rho += -(-len(part.figures) * part.max_groups * RHO_UNITS // (2 * users * users))
        parts.append(NoisedPart(tuple(users * f.most for f in part.figures), threshold, least))
    charges = tuple(
        Charge(owner, privacy.unit, min(rho, MAX_CHARGE), min(delta, MAX_CHARGE))
        for owner in privacy.accounts
    )
    return Noise(privacy.unit, users, tuple(parts)), charges


def share_of(delta: str) -> int:
    """One noisy threshold's share of an account's delta: a 10^4th of it, in units of 10^-18."""
    return int(DELTA_UNITS // 10 ** int(delta.removeprefix("1e-")) // _SHARE)


def _quantile(sigma: int, tail: float) -> int:
    """The smallest whole number (a little more, never less) with ``Q(number / sigma) <= tail``."""
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if math.erfc(middle / math.sqrt(2)) / 2 <= tail else (middle, high)
    # Rounded up generously: the members' machines must come to one threshold.
    return math.ceil(sigma * math.ceil(high * 10_000 + 1) / 10_000)


class Draws:
    """Noise for one question, drawn ahead in the background; each draw is used once.

    Args:
        noise: the scales.
        ahead: how many draws of each figure to make before they are asked for.
    """

    def __init__(self, noise: Noise, ahead: int = 0) -> None:
        self._mechanisms: dict[int, Any] = {}
        self._made: dict[int, list[Future[list[int]]]] = {}
        self._left: dict[int, list[int]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="hitoku-noise")
        scales = [scale for part in noise.parts for scale in part.scales]
        for _ in range(0, ahead, _CHUNK):
            for scale in scales:
                self._made.setdefault(scale, []).append(self._pool.submit(self._draw, scale, _CHUNK))

    def take(self, scale: int, count: int) -> array[int]:
        """So many fresh draws of the discrete Gaussian of that scale."""
        taken: list[int] = self._left.pop(scale, [])
        made = self._made.get(scale, [])
        while len(taken) < count and made:
            taken += made.pop(0).result()
        lacking = count - len(taken)
        if lacking > 0:
            sizes = [_CHUNK] * (lacking // _CHUNK) + [lacking % _CHUNK]
            more = [self._pool.submit(self._draw, scale, size) for size in sizes if size]
            for future in more:
                taken += future.result()
        self._left[scale] = taken[count:]
        return array("q", taken[:count])

    def wait(self) -> None:
        """Wait until what was to be drawn ahead is there."""
        for made in self._made.values():
            for future in made:
                future.result()

    def close(self) -> None:
        """Stop drawing."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _draw(self, scale: int, count: int) -> list[int]:
        drawn: list[int] = self._mechanism(scale)([0] * count)
        return drawn

    def _mechanism(self, scale: int) -> Any:
        with self._lock:
            if scale not in self._mechanisms:
                import opendp.prelude as dp

                # Opens the mechanisms of opendp that nobody outside it has vetted yet; the Gaussian is one.
                dp.enable_features("contrib")
                space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)
                self._mechanisms[scale] = space >> dp.m.then_gaussian(scale=float(scale))
            return self._mechanisms[scale]
