# SPDX-License-Identifier: Apache-2.0
"""The noise of private cross statistics: what it is, what it costs each account, and its bands.

The mechanism. Two owners compute a table together, and each adds discrete Laplace noise of its own to every
figure before the other can see it (`hitoku.protections.crosstab`). Towards one owner only the other's draw
protects, so each draw alone has the full strength: ``eps = 7 / (5 users_noise)`` for a figure that one unit
changes by at most ``most``, the scale being ``most / eps``. Its standard deviation is a little more than
``users_noise`` units' largest contributions (``sqrt(2) > 7/5``), which is what an account asks for. Also the
sizes of the lists that are exchanged are noised so, for one unit changes one of them by one.

Draws are conditioned on a range that does not depend on the data, so each figure is (eps, delta0)-private
for one unit more or less (discrete Laplace: Ghosh, Roughgarden, Sundararajan 2012, arXiv 0811.2841; the
truncated one: `hitoku.protections.crosstab.noise`). An (eps, delta)-private mechanism is, but for an event of
probability delta, as private as one with delta = 0 (Kairouz, Oh, Viswanath 2015, arXiv 1311.0776, the
reduction behind theorem 3.1), and that is
``eps^2 / 2``-zCDP (Bun, Steinke 2016, arXiv 1605.02065, proposition 1.4). So a
question with S sums costs ``rho = (2 + S) eps^2 / 2`` and ``delta = (2 + S) delta0``: the counts, which are
always computed, the sizes, and the sums. A unit has one row, so it is in one cell of each.

A receiver's bands are for the sum of both draws: with scale b,
``P[|X| > t] = exp(-t/b) (1 + t / (2b))``; 1/20 beyond 4.1131 b, 1/40 beyond 4.9319 b (rounded up).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from hitoku.disclosure.noise import MAX_CHARGE, Noise, NoisedPart, share_of
from hitoku.room.accounting import DELTA_UNITS, RHO_UNITS, Charge

if TYPE_CHECKING:
    from hitoku.questions.privacy import Privacy

__all__ = ["EPSILON", "delta_of_a_figure", "dummies_of", "two_draws"]

EPSILON: Final = (7, 5)
"""A figure's epsilon is ``7 / (5 users_noise)``."""


def delta_of_a_figure(privacy: Privacy) -> str:
    """The delta of one figure as a plain decimal, e.g. ``1e-10``: the same share as a noisy threshold's."""
    exponent = len(str(DELTA_UNITS // share_of(privacy.delta))) - 1
    return f"1e-{exponent}"


def dummies_of(users_noise: int, delta0: str) -> int:
    """How many dummies hide one cell: ``2 m``, m being where the truncated noise of a count ends.

    ``m = ceil(ln(2 / (delta0 (1 + exp(-eps)))) / eps)``: beyond it the discrete Laplace law has at most
    delta0 on the side that a unit more or less could tell.
    """
    epsilon = EPSILON[0] / (EPSILON[1] * users_noise)
    return 2 * math.ceil(math.log(2 / (float(delta0) * (1 + math.exp(-epsilon)))) / epsilon)


def two_draws(privacy: Privacy, users_noise: int | None) -> tuple[Noise, tuple[Charge, ...]]:
    """How a question is noised by two owners, and what that costs each account.

    Args:
        privacy: its figures: the units, and sums.
        users_noise: at least so much; never less than the strictest account demands.
    """
    users = max(privacy.least_noise, users_noise or 0)
    part = privacy.parts[0]
    figures = 2 + sum(f.bounds is not None for f in part.figures)
    over, under = EPSILON
    rho = -(-figures * over * over * RHO_UNITS // (2 * under * under * users * users))
    delta = figures * share_of(privacy.delta)
    scales = tuple(f.most * under * users for f in part.figures)  # in units of 1/7: see `noise`
    charges = tuple(
        Charge(owner, privacy.unit, min(rho, MAX_CHARGE), min(delta, MAX_CHARGE))
        for owner in privacy.accounts
    )
    return Noise(privacy.unit, users, (NoisedPart(scales, None, 0, "two discrete Laplace"),)), charges
