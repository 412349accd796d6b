# SPDX-License-Identifier: Apache-2.0
"""The mechanism: its law, its costs, its thresholds, its bands; and that a sabotaged one is seen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

import opendp.prelude as dp
import pytest

from hitoku.disclosure.noise import Draws, Noise, NoisedPart, noise_of, smallest_group
from hitoku.questions.form import Ref
from hitoku.questions.privacy import Figure, FigureKind, Part, Privacy
from hitoku.room.accounting import DELTA_UNITS, RHO_UNITS

DRAWS = 100_000
UNITS = Figure(FigureKind.UNITS, None, 1)


def part(figures: int = 1, max_groups: int = 1, public: bool = False) -> Part:
    more = tuple(Figure(FigureKind.VALUES, Ref("t", f"c{n}"), 2) for n in range(figures - 1))
    domain = (("x",),) if public else None
    return Part(Ref("t", "u"), 2, max_groups, (UNITS, *more), (), domain)


def privacy(*parts: Part, least: int = 30, delta: str = "1e-6") -> Privacy:
    return Privacy("person", ("a", "b"), least, delta, parts)


def law(sigma: int, reach: int) -> dict[int, float]:
    """The discrete Gaussian's probabilities on -reach..reach; the rest is below 1e-30."""
    weights = {n: math.exp(-n * n / (2 * sigma * sigma)) for n in range(-reach, reach + 1)}
    total = math.fsum(weights.values())
    return {n: weight / total for n, weight in weights.items()}


def chi_square(draws: Iterable[int], sigma: int) -> tuple[float, int]:
    """The statistic over bins of at least 50 expected draws, and its degrees of freedom."""
    counts = Counter(draws)
    number = sum(counts.values())
    probabilities = law(sigma, 14 * sigma)
    assert all(n in probabilities for n in counts)
    bins: list[tuple[float, int]] = []
    expected, found = 0.0, 0
    for n in sorted(probabilities):
        expected += probabilities[n] * number
        found += counts[n]
        if expected >= 50:
            bins.append((expected, found))
            expected, found = 0.0, 0
    last, seen = bins.pop()
    bins.append((last + expected, seen + found))
    return sum((f - e) ** 2 / e for e, f in bins), len(bins) - 1


def far(statistic: float, freedom: int) -> float:
    """The statistic in standard deviations (Wilson and Hilferty's cube root)."""
    root: float = (statistic / freedom) ** (1 / 3)
    return (root - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))


def drawn(sigma: int, count: int = DRAWS) -> list[int]:
    source = Draws(Noise("person", sigma, (NoisedPart((sigma,), None, 2),)))
    try:
        return list(source.take(sigma, count))
    finally:
        source.close()


@pytest.mark.parametrize("sigma", [10, 37])
def test_draws_follow_the_exact_law(sigma: int) -> None:
    # 5.2 standard deviations: a right mechanism fails once in ten million runs.
    assert far(*chi_square(drawn(sigma), sigma)) < 5.2


@pytest.mark.parametrize("wrong", [5, 9, 11])
def test_the_law_is_told_from_others(wrong: int) -> None:
    assert far(*chi_square(drawn(wrong), 10)) > 20


def test_a_shift_by_one_is_seen() -> None:
    assert far(*chi_square((n + 1 for n in drawn(10)), 10)) > 10


def test_neighbours_draws_are_not_related() -> None:
    values = drawn(50)
    products = math.fsum(a * b for a, b in pairwise(values)) / (len(values) - 1)
    assert abs(products) / 2500 < 6 / math.sqrt(len(values))


@pytest.mark.parametrize(("figures", "groups", "users"), [(1, 1, 30), (3, 4, 30), (7, 10, 77), (2, 1, 10)])
def test_the_cost_is_what_opendp_says(figures: int, groups: int, users: int) -> None:
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)
    noise, charges = noise_of(privacy(part(figures, groups), least=10), users)
    assert noise.users_noise == users
    one = part(figures, groups)
    rho = 0.0
    for figure, scale in zip(one.figures, noise.parts[0].scales, strict=True):
        mechanism = space >> dp.m.then_gaussian(scale=float(scale))
        rho += mechanism.map(math.sqrt(groups) * figure.most)
    for charge in charges:
        assert charge.rho == pytest.approx(rho * RHO_UNITS, rel=1e-9)
        # Rounded up: never below the exact cost.
        assert charge.rho >= Fraction(figures * groups * RHO_UNITS, 2 * users * users)
    assert [charge.owner for charge in charges] == ["a", "b"]


def test_branches_add_up() -> None:
    one, two = part(2, 3), part(1, 1, public=True)
    first = noise_of(privacy(one), None)[1][0]
    second = noise_of(privacy(two), None)[1][0]
    both = noise_of(privacy(one, two), None)[1][0]
    assert both.rho == first.rho + second.rho
    assert both.delta == first.delta + second.delta


def test_public_groups_cost_no_delta_and_have_no_threshold() -> None:
    noise, charges = noise_of(privacy(part(public=True)), None)
    assert noise.parts[0].threshold is None
    assert charges[0].delta == 0


def test_noise_is_never_less_than_the_strictest_account_demands() -> None:
    assert noise_of(privacy(part(), least=30), 10)[0].users_noise == 30
    assert noise_of(privacy(part(), least=30), 31)[0].users_noise == 31
    assert noise_of(privacy(part(), least=30), None)[0].users_noise == 30


@pytest.mark.parametrize("users", [10, 30, 100, 1000])
@pytest.mark.parametrize("groups", [1, 7, 500])
@pytest.mark.parametrize("delta", ["1e-5", "1e-6", "1e-12"])
def test_thresholds_keep_their_delta(users: int, groups: int, delta: str) -> None:
    """By the exact law: a group of the smallest kept number of units passes in all with at most the share."""
    noise, charges = noise_of(privacy(part(max_groups=groups), least=10, delta=delta), users)
    threshold, least = noise.parts[0].threshold, noise.parts[0].least_units
    assert threshold is not None
    assert least == smallest_group(users)
    weights = [math.exp(-n * n / (2 * users * users)) for n in range(15 * users)]
    total = 2 * math.fsum(weights) - 1
    tail = math.fsum(weights[threshold - least :]) / total
    assert groups * tail <= charges[0].delta / DELTA_UNITS
    assert charges[0].delta / DELTA_UNITS <= float(delta) / 10_000 * (1 + 1e-9)
    # And not far higher than it need be.
    assert threshold - least < 12 * users


def test_the_threshold_agrees_with_opendps() -> None:
    """opendp's own threshold mechanism gives no larger delta for what we charge."""
    dp.enable_features("contrib")
    noise, charges = noise_of(privacy(part(), least=10), 30)
    threshold = noise.parts[0].threshold
    assert threshold is not None
    space = (
        dp.map_domain(dp.atom_domain(T="String"), dp.atom_domain(T="i64")),
        dp.l02inf_distance(dp.absolute_distance(T=float)),
    )
    # opendp releases keys of one unit, where we begin at `least`.
    mechanism = space >> dp.m.then_gaussian_threshold(
        scale=30.0, threshold=threshold - noise.parts[0].least_units + 1
    )
    rho, delta = mechanism.map((1, 1.0, 1.0))
    assert rho == pytest.approx(charges[0].rho / RHO_UNITS)
    assert delta <= charges[0].delta / DELTA_UNITS


@pytest.mark.parametrize("sigma", [10, 30, 61, 1000])
def test_bands_hold_what_they_say(sigma: int) -> None:
    probabilities = law(sigma, 14 * sigma)
    for pairs, confidence in ((False, 0.95), (True, 0.975)):
        width = NoisedPart((sigma,), None, 2).half_widths(pairs)[0]
        inside = math.fsum(p for n, p in probabilities.items() if abs(n) <= width)
        assert confidence <= inside < confidence + 0.02


def test_each_draw_is_used_once() -> None:
    noise = Noise("person", 10, (NoisedPart((10**9,), None, 2),))
    source = Draws(noise, ahead=2_000)
    try:
        taken = [n for _ in range(50) for n in source.take(10**9, 100)]
    finally:
        source.close()
    # With sigma 10^9 equal draws are rare: a reused one would show as thousands.
    assert len(taken) == 5_000
    assert len(set(taken)) > 4_980


def test_draws_ahead_are_the_same_law() -> None:
    source = Draws(Noise("person", 10, (NoisedPart((10, 10), None, 2),)), ahead=DRAWS // 2)
    try:
        values = list(source.take(10, DRAWS))
    finally:
        source.close()
    assert len(values) == DRAWS
    assert far(*chi_square(values, 10)) < 5.2
