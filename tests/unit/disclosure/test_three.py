# SPDX-License-Identifier: Apache-2.0
"""The noise of three servers: its law, what two servers leave, costs, thresholds, bands; a planted fault."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from hitoku.disclosure import three
from hitoku.disclosure.noise import NoisedPart, noise_of
from hitoku.disclosure.three import distance_bits, own_scale, three_draws
from hitoku.errors import DisclosureError
from hitoku.protections.shares.operators import draws as drawing
from hitoku.protections.shares.operators.draws import OwnDraws
from hitoku.room.accounting import DELTA_UNITS

from .test_noise import far, part, privacy

DRAWS = 20_000
CHANCE_OF_A_BILLION = 6.0
"""Standard deviations: a right mechanism is beyond once in 10^9 runs."""


def law(sigma: int, servers: int) -> tuple[int, NDArray[np.float64]]:
    """The sum of so many servers' draws: probabilities on -reach..reach, by convolution."""
    reach = 14 * sigma
    places = np.arange(-reach, reach + 1)
    one = np.exp(-(places**2) / (2 * own_scale(sigma) ** 2))
    one /= one.sum()
    made = np.ones(1)
    for _ in range(servers):
        made = np.convolve(made, one)
    return reach * servers, made


def distance(values: Sequence[int], sigma: int, servers: int) -> float:
    """How far draws are from the law, in standard deviations (bins of 50 expected ones or more)."""
    reach, probabilities = law(sigma, servers)
    counts = Counter(values)
    bins: list[tuple[float, int]] = []
    expected, found = 0.0, 0
    for place, probability in enumerate(probabilities):
        expected += probability * len(values)
        found += counts[place - reach]
        if expected >= 50:
            bins.append((expected, found))
            expected, found = 0.0, 0
    last, seen = bins.pop()
    bins.append((last + expected, seen + found))
    return far(sum((f - e) ** 2 / e for e, f in bins), len(bins) - 1)


def summed(sigma: int, servers: int) -> list[int]:
    columns = [OwnDraws().take(sigma, DRAWS) for _ in range(servers)]
    return [sum(row) for row in zip(*columns, strict=True)]


@pytest.mark.parametrize(
    ("sigma", "servers"), [(10, 3), (10, 2), pytest.param(33, 3, marks=pytest.mark.slow)]
)
def test_the_sum_of_the_servers_draws_has_the_convolutions_law(sigma: int, servers: int) -> None:
    assert distance(summed(sigma, servers), sigma, servers) < CHANCE_OF_A_BILLION


@pytest.mark.parametrize("servers", [1, 2])
def test_a_missing_servers_draw_is_seen(servers: int) -> None:
    assert distance(summed(10, servers), 10, 3) > 20


def test_half_the_noise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "own_scale", lambda sigma: own_scale(sigma) / 2)
    assert distance(summed(10, 3), 10, 3) > 20


def test_servers_draws_are_not_related() -> None:
    one, two = (np.array(OwnDraws().take(50, DRAWS), float) for _ in range(2))
    assert abs(float(np.mean(one * two))) / 1250 < 6 / math.sqrt(DRAWS)
    assert abs(float(np.mean(one[1:] * one[:-1]))) / 1250 < 6 / math.sqrt(DRAWS)


@pytest.mark.parametrize("sigma", [6, 10, 30, 99_999, 2**53])
def test_any_two_servers_add_what_is_charged_for_and_hardly_more(sigma: int) -> None:
    square = Fraction(own_scale(sigma)) ** 2
    assert 2 * square >= sigma * sigma
    assert 2 * square < sigma * sigma * (1 + Fraction(1, 2**50))


@pytest.mark.parametrize(("sigma", "bits"), [(6, 240), (10, 690), (30, 6000)])
def test_the_sum_is_as_near_to_one_draw_as_the_bound_says(sigma: int, bits: int) -> None:
    assert distance_bits(sigma) >= bits
    exact = [2 * math.pi**2 * sigma * sigma / 2 * k / (k + 1) / math.log(2) for k in (1, 2)]
    assert distance_bits(sigma) <= min(exact) - math.log2(10)


def test_the_bound_holds_where_it_can_be_seen() -> None:
    """For a scale of 1/2 or so the sum of two draws is not one draw, and the bound says by how much."""
    for scale in (0.5, 0.6, 0.7):
        places = np.arange(-40, 41)
        one = np.exp(-(places**2) / (2 * scale**2))
        one /= one.sum()
        both = np.convolve(one, one)[30:-30]
        wide = np.arange(-50, 51)
        other = np.exp(-(wide**2) / (4 * scale**2))
        other /= other.sum()
        inner = slice(40, 61)
        apart = np.abs(np.log(both[inner] / other[inner])).max()
        assert 0 < apart <= 5 * math.exp(-(math.pi**2) * scale**2)


def test_too_little_noise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DisclosureError, match="too small"):
        three_draws(privacy(part(), least=4), None)
    monkeypatch.setattr(three, "_LEAST_BITS", 800)
    with pytest.raises(DisclosureError, match="too small"):
        three_draws(privacy(part(), least=10), None)


@pytest.mark.parametrize("users", [None, 77])
def test_the_cost_is_that_of_one_draw_and_a_unit_a_branch(users: int | None) -> None:
    asked = privacy(part(3, 4), part(2, 1, public=True))
    single, charges = noise_of(asked, users)
    noise, made = three_draws(asked, users)
    assert noise.users_noise == single.users_noise
    assert [c.rho for c in made] == [c.rho + 2 for c in charges]
    assert [replace(c, rho=0) for c in made] == [replace(c, rho=0) for c in charges]
    assert [p.scales for p in noise.parts] == [p.scales for p in single.parts]
    assert {p.law for p in noise.parts} == {"three discrete Gaussian"}
    assert [p.least_units for p in noise.parts] == [p.least_units for p in single.parts]


@pytest.mark.parametrize(("users", "groups"), [(10, 1), (30, 7), (100, 50)])
def test_a_group_of_too_few_passes_no_threshold(users: int, groups: int) -> None:
    noise, charges = three_draws(privacy(part(1, groups), least=10), users)
    how = noise.parts[0]
    assert how.threshold is not None
    reach, probabilities = law(users, 3)
    tail = float(probabilities[reach + how.threshold - how.least_units :].sum())
    allowed = charges[0].delta / DELTA_UNITS / groups
    assert tail <= allowed
    # And no higher than needed: five percent lower would be too low.
    lower = how.least_units + int((how.threshold - how.least_units) * 0.93) - 2
    assert float(probabilities[reach + lower - how.least_units :].sum()) > allowed


@pytest.mark.parametrize("sigma", [10, 30])
def test_bands_hold_what_they_say(sigma: int) -> None:
    reach, probabilities = law(sigma, 3)
    how = NoisedPart((sigma,), None, 0, "three discrete Gaussian")
    for pairs, most in ((False, 0.05), (True, 0.025)):
        (width,) = how.half_widths(pairs)
        inside = float(probabilities[reach - width : reach + width + 1].sum())
        assert 1 - most <= inside < 1 - most + 0.02
    deviation = math.sqrt(float((probabilities * np.arange(-reach, reach + 1) ** 2).sum()))
    assert deviation <= how.sigmas[0] < deviation + 1
