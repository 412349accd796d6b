"""The noise has exactly the law that is charged for, and its windows cost at most their share of delta."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import math
import sys
from collections import Counter
from decimal import Context, Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from tests.unit.protections.crosstab.world import parameters

from hitoku.errors import LimitError
from hitoku.protections.crosstab import draws as draws_module
from hitoku.protections.crosstab import noise
from hitoku.protections.crosstab.draws import Draws
from hitoku.protections.crosstab.noise import count_bound, draw, epsilon_of, sum_offset

DRAWS = 100_000
INPUT = "sha256:" + "0" * 64


def law(scale, bound):
    """Discrete Laplace conditioned on a window, in floating point: for statistics only."""
    weights = {z: math.exp(-abs(z) / float(scale)) for z in range(-bound, bound + 1)}
    total = math.fsum(weights.values())
    return {z: weight / total for z, weight in weights.items()}


def fits(drawn, expected):
    """Chi-square; fails by chance less than once in 10^8 times.

    Neighbouring outcomes are put together until 50 draws are expected of each class.
    """
    found, count = Counter(drawn), len(drawn)
    assert set(found) <= set(expected), "outside its window"
    classes, probability, seen = [], 0.0, 0
    for z in sorted(expected):
        probability, seen = probability + expected[z], seen + found[z]
        if probability * count >= 50:
            classes.append((probability, seen))
            probability, seen = 0.0, 0
    last, before = classes[-1]
    classes[-1] = (last + probability, before + seen)
    assert math.isclose(math.fsum(p for p, _ in classes), 1, rel_tol=1e-9)
    statistic = math.fsum((seen - p * count) ** 2 / (p * count) for p, seen in classes)
    freedom = len(classes) - 1
    # Wilson and Hilferty: the cube root is nearly normal.
    z = ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
    assert z < 5.7, "not the law"


@pytest.mark.parametrize(
    ("scale", "bound"),
    [
        (1 / epsilon_of(10), count_bound(epsilon_of(10), Fraction("1e-2"))),
        (1 / epsilon_of(10), count_bound(epsilon_of(10), Fraction("1e-10"))),
        (1 / epsilon_of(50), count_bound(epsilon_of(50), Fraction("1e-6"))),
        (3 / epsilon_of(10), sum_offset(epsilon_of(10), 3, 100, Fraction("1e-10"))),
        (100_000 / epsilon_of(20), sum_offset(epsilon_of(20), 100_000, 100, Fraction("1e-10"))),
    ],
)
def test_draws_follow_the_exact_conditioned_law(scale, bound):
    drawn = draw(scale, bound, DRAWS)
    assert len(drawn) == DRAWS
    if bound > 100_000:
        # Too many outcomes to count each: their ranks are uniform, by the law's own distribution function.
        uniform = dict.fromkeys(range(1000), 1 / 1000)
        fits([rank(z, scale, bound) for z in drawn], uniform)
    else:
        fits(drawn, law(scale, bound))


def rank(z, scale, bound):
    """Which thousandth of the law an outcome lies in."""
    tail = math.exp(-(bound + 1) / float(scale))
    half = (abs(z) + 0.5) / float(scale)
    upper = (1 - math.exp(-half)) / (1 - tail)
    share = 0.5 + math.copysign(upper, z) / 2 if z else 0.5
    return min(999, max(0, int(share * 1000)))


def kinds(given):
    """The laws of a side's draws, by what they are for."""
    m = given.m
    return {
        "eta": law(given.scale(), m),
        "tau": {m + z: p for z, p in law(given.scale(), m).items()},
        "padding": {m + z: p for z, p in law(given.scale(), m).items()},
        "zeta": law(given.scale(0), given.offsets[0]),
    }


def check_draws(times=10):
    """All that two sides draw in runs of many cells has its law; sabotage must fail here."""
    # Ten times it is 10^5 draws of each of the four.
    given = parameters(groups_a=5000, groups_b=2, sums=((-2, 1),))
    found: dict[str, list[int]] = {kind: [] for kind in kinds(given)}
    for _ in range(times):
        a, b = (Draws.draw(side, given, INPUT) for side in ("a", "b"))
        found["eta"] += a.counts
        found["tau"] += b.counts
        found["zeta"] += a.sums[0] + b.sums[0]
        found["padding"] += a.padding + b.padding
    for kind, expected in kinds(given).items():
        fits(found[kind], expected)


def test_what_the_two_sides_draw_has_the_law_of_its_use():
    check_draws()


def test_half_the_scale_would_be_noticed(monkeypatch):
    monkeypatch.setattr(draws_module, "draw", lambda scale, bound, count: draw(scale / 2, bound, count))
    with pytest.raises(AssertionError, match="not the law"):
        check_draws(2)


def test_noise_in_a_narrower_window_would_be_noticed(monkeypatch):
    monkeypatch.setattr(draws_module, "draw", lambda scale, bound, count: draw(scale, bound // 3, count))
    with pytest.raises(AssertionError, match="not the law"):
        check_draws(2)


def test_two_runs_have_nothing_in_common():
    given = parameters(groups_a=10, groups_b=10)
    one, two = (Draws.draw("b", given, INPUT) for _ in range(2))
    assert one.mask != two.mask
    assert one.seed != two.seed
    assert one.elgamal != two.elgamal
    assert one.counts != two.counts
    assert one.sums != two.sums


# --- epsilon and delta, by enumerating every outcome in fractions ---


def ratio(scale):
    """exp(-1 / scale) of the scale that is really drawn with, a float, to 128 bits."""
    context = Context(prec=60)
    exact = Fraction(noise._float(scale))
    q = context.exp(-context.divide(Decimal(exact.denominator), Decimal(exact.numerator)))
    return Fraction(round(Fraction(q) * 2**128), 2**128)


def privacy_loss(q, bound, shift):
    """Of a law conditioned on ``[-bound, bound]`` and the same one shifted: the largest ratio, and delta.

    The ratio is of outcomes that both have, as a power of 1/q; delta is the probability of the others.
    """
    weights = {z: abs(z) for z in range(-bound, bound + 1)}
    # Exact: probabilities have one denominator, so ratios are powers of q.
    largest = max(weights[z] - weights[z + shift] for z in range(-bound, bound + 1 - shift))
    smallest = min(weights[z] - weights[z + shift] for z in range(-bound, bound + 1 - shift))
    # q^k, all times the same whole number: sums of fractions would spend their time on common divisors.
    powers = [q.numerator**k * q.denominator ** (bound - k) for k in range(bound + 1)]
    total = 2 * sum(powers) - powers[0]
    uncovered = sum(powers[z] for z in range(bound + 1 - shift, bound + 1))
    return max(largest, -smallest), Fraction(uncovered, total)


def check_counts(users, delta0, bound):
    epsilon = epsilon_of(users)
    q = ratio(1 / epsilon)
    power, delta = privacy_loss(q, bound, 1)
    assert power == 1
    # One person more or less: the ratio is 1/q, and that is at most exp(epsilon).
    lowest = Context(prec=60).exp(-Context(prec=60).divide(Decimal(7), Decimal(5 * users)))
    assert q >= Fraction(lowest) * (1 - Fraction(1, 10**35))
    assert delta <= delta0


@pytest.mark.parametrize("users", [10, 13, 50])
@pytest.mark.parametrize("delta0", ["1e-2", "1e-6", "1e-10"])
def test_the_noise_of_counts_costs_what_is_charged(users, delta0):
    share = Fraction(delta0)
    check_counts(users, share, count_bound(epsilon_of(users), share))


def test_a_window_that_is_too_narrow_would_be_noticed():
    share = Fraction("1e-10")
    bound = count_bound(epsilon_of(10), share)
    with pytest.raises(AssertionError):
        check_counts(10, share, bound - 40)


@pytest.mark.parametrize("largest", [1, 3])
@pytest.mark.parametrize("cells", [1, 100])
def test_the_noise_of_sums_costs_what_is_charged(largest, cells):
    epsilon, share = epsilon_of(10), Fraction("1e-6")
    offset = sum_offset(epsilon, largest, cells, share)
    q = ratio(largest / epsilon)
    for shift in range(1, largest + 1):
        power, delta = privacy_loss(q, offset, shift)
        # Ratios of at most q^-largest, which is exp(epsilon).
        assert power == shift <= largest
        assert delta <= share / cells


def test_the_bound_is_the_least_that_the_formula_allows():
    """ceil(ln(2 / (delta0 (1 + q))) / epsilon); for 0.5 and 1e-9 the specification says 42."""
    assert count_bound(Fraction(1, 2), Fraction("1e-9")) == 42
    for users, delta0 in ((10, "1e-10"), (37, "1e-7")):
        epsilon = epsilon_of(users)
        rough = math.log(2 / (float(delta0) * (1 + math.exp(-float(epsilon))))) / float(epsilon)
        assert count_bound(epsilon, Fraction(delta0)) == math.ceil(rough)


def test_noise_has_the_standard_deviation_that_the_plan_names():
    for users in (10, 100, 1000):
        q = math.exp(-float(epsilon_of(users)))
        assert users <= math.sqrt(2 * q) / (1 - q) <= users * 1.011


def test_scales_are_never_rounded_down():
    asked = []
    for users in range(10, 200):
        scale = 1 / epsilon_of(users)
        asked.append((noise._float(scale), scale))
    assert all(Fraction(number) >= scale for number, scale in asked)
    assert any(Fraction(number) > scale for number, scale in asked)
    assert all(Fraction(number) <= scale * (1 + Fraction(1, 2**51)) for number, scale in asked)
    assert all(one < two for (one, _), (two, _) in pairwise(asked))


def test_windows_beyond_what_numbers_hold_are_refused():
    with pytest.raises(LimitError, match="lower the bounds"):
        sum_offset(epsilon_of(100_000), 2**53 - 1, 10_000, Fraction("1e-10"))
    with pytest.raises(LimitError):
        draw(Fraction(10), sys.maxsize, 1)
