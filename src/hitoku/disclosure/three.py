# SPDX-License-Identifier: Apache-2.0
"""The noise of three servers: what it is, what it costs each account, and the thresholds that go with it.

The mechanism. Three servers compute on shares and each adds discrete Gaussian noise of its own to every
figure, as an addend that no other learns (`hitoku.hazmat.shares.Party.addends`); sums are all that is ever
put together. Let sigma be what `hitoku.disclosure.noise` would add. Each draw has the variance parameter
``sigma^2 / 2`` or a little more (`own_scale`). So the draws of any two servers have sigma^2: towards a
receiver that works together with one server, which knows its own draw, the noise still is as large as the
account asks. Together they have ``3 sigma^2 / 2``; the part that only a coalition could do without is the
price, a band 22 % wider.

What is charged. The sum of two discrete Gaussians is not one, but nearly: for ``X, Y ~ N_Z(0, s^2)`` and ``W
~ N_Z(0, 2 s^2)`` the logarithms of the probabilities of X + Y and W differ by at most ``5 exp(-pi^2 s^2)``
anywhere, and for n draws by ``5 sum_{k=1}^{n-1} exp(-2 pi^2 s^2 k / (k + 1))`` (Kairouz, Liu, Steinke 2021,
arXiv 2102.06387, section 3 on sums of discrete Gaussians, for s >= 1/2). With ``tau`` twice that, the noise
is ``e^2 / 2``-zCDP with ``e = e_0 + tau sqrt(d)`` for figures of d groups, ``e_0^2 / 2`` being what one
discrete Gaussian of sigma costs (ibid., proposition 14 and theorem 1). Rules allow no sigma below 10, where
``tau < 2^-700``; `three_draws` refuses one where it is not below 2^-200. With ``e_0 < 2^20`` and ``d < 2^60``
the difference in rho is below 2^-140: one unit of 10^-12 more for each branch covers it.

Thresholds. Groups that are not public are released only if the noisy number of units reaches T. A group that
one unit brings from t - 1 to t units, t being the least, is released with probability ``P[N >= T - t]``, N
being the sum of all three draws; its tail is that of a discrete Gaussian of ``sqrt(3/2) sigma`` (Canonne,
Kamath, Steinke 2020, proposition 25) times ``exp(2^-200)``. That probability is the delta also towards a
server's coalition: the server's own draw is part of its view, but drawn independently of the data; let E be
that the draws at the place of that group would bring t units to T. Given not-E, both data sets give the same
there, and P[E] is the tail of the sum. For places to be the same for both data sets, groups are put in a
random order that no server knows before noise is added (`hitoku.protections.shares.operators.noising`):
else one group more would move all others by one place, and a server that knows its draws by place could tell.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from hitoku.disclosure import noise as one_draw
from hitoku.disclosure.noise import MAX_CHARGE, Noise, NoisedPart, noise_of, share_of
from hitoku.errors import DisclosureError
from hitoku.room.accounting import DELTA_UNITS, Charge

if TYPE_CHECKING:
    from hitoku.questions.privacy import Privacy

__all__ = ["distance_bits", "own_scale", "three_draws"]

_SERVERS: Final = 3
_LEAST_BITS: Final = 200
_ROOT: Final = Fraction(12_248, 10_000)
"""A little more than sqrt(3/2)."""


def own_scale(sigma: int) -> float:
    """The scale of one server's draws: the least double whose square is at least ``sigma^2 / 2``."""
    scale = sigma / math.sqrt(2)
    while 2 * Fraction(scale) ** 2 < sigma * sigma:
        scale = math.nextafter(scale, math.inf)
    return scale


def distance_bits(sigma: int) -> int:
    """How small tau is: it is below 2 to the minus so many bits, for sums of two draws and of three."""
    square = Fraction(own_scale(sigma)) ** 2
    # exp(-2 pi^2 s^2 k / (k + 1)) falls with k, so each of the terms is at most the first; pi^2 > 9.8.
    exponent = Fraction(98, 10) * square / Fraction(694, 1000)  # ln 2 < 0.694
    return max(0, math.floor(exponent) - math.ceil(math.log2(10 * (_SERVERS - 1))))


def three_draws(privacy: Privacy, users_noise: int | None) -> tuple[Noise, tuple[Charge, ...]]:
    """How a question is noised by three servers, and what that costs each account.

    Args:
        privacy: its figures.
        users_noise: at least so much; never less than the strictest account demands.

    Raises:
        DisclosureError: the noise would be so small that the sum of draws is not near enough to one draw.
    """
    single, charges = noise_of(privacy, users_noise)
    parts: list[NoisedPart] = []
    for part, how in zip(privacy.parts, single.parts, strict=True):
        if any(distance_bits(scale) < _LEAST_BITS for scale in how.scales):
            raise DisclosureError("three servers' noise would be too small: nothing is released")
        threshold = None
        if part.thresholded:
            tail = share_of(privacy.delta) / DELTA_UNITS / part.max_groups
            threshold = how.least_units + 1 + one_draw._quantile(math.ceil(single.users_noise * _ROOT), tail)
        parts.append(NoisedPart(how.scales, threshold, how.least_units, "three discrete Gaussian"))
    more = len(parts)
    made = tuple(replace(charge, rho=min(charge.rho + more, MAX_CHARGE)) for charge in charges)
    return Noise(single.unit, single.users_noise, tuple(parts)), made
