# SPDX-License-Identifier: Apache-2.0
"""What noise by two owners costs, and its bands, against sums computed term by term."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest

from hitoku.disclosure.cells import Cells
from hitoku.disclosure.laplace import delta_of_a_figure, dummies_of, two_draws
from hitoku.disclosure.noise import noise_of
from hitoku.protections.crosstab.noise import count_bound, epsilon_of
from hitoku.questions.form import Ref
from hitoku.questions.privacy import Figure, FigureKind, Part, Privacy
from hitoku.room.accounting import DELTA_UNITS, RHO_UNITS
from hitoku.room.rules import ColumnBounds

BOUNDS = ColumnBounds(column_name="x", lower=0, upper=30)
UNITS = Figure(FigureKind.UNITS, None, 1)
SUM = Figure(FigureKind.SUM, Ref("t", "x"), 30, BOUNDS)


def privacy(*figures: Figure, least: int = 10) -> Privacy:
    part = Part(Ref("t", "id"), 1, 1, figures, (), (("a", "b"),))
    return Privacy("person", ("p", "q"), least, "1e-6", (part,))


def law(scale: float) -> tuple[float, list[float]]:
    """The sum of two discrete Laplace draws: the probability of 0, and of 1, 2, ... on one side."""
    q = math.exp(-1 / scale)
    norm = ((1 - q) / (1 + q)) ** 2
    constant = (1 + q * q) / (1 - q * q)
    return norm * constant, [norm * q**k * (k + constant) for k in range(1, int(60 * scale))]


@pytest.mark.parametrize("users", [10, 30, 100])
@pytest.mark.parametrize(("figure", "place"), [(UNITS, 0), (SUM, 1)])
def test_a_band_holds_95_percent_of_the_sum_of_two_draws(users: int, figure: Figure, place: int) -> None:
    noise, _ = two_draws(privacy(UNITS, SUM), users)
    scale = 5 * users * figure.most / 7
    zero, side = law(scale)
    assert zero + 2 * math.fsum(side) == pytest.approx(1, abs=1e-9)
    for pairs, promised in ((False, 0.95), (True, 0.975)):
        width = noise.parts[0].half_widths(pairs)[place]
        inside = zero + 2 * math.fsum(side[:width])
        assert promised <= inside <= promised + 0.02
    deviation = math.sqrt(2 * math.fsum(k * k * p for k, p in enumerate(side, 1)))
    assert deviation <= noise.parts[0].sigmas[place] <= math.ceil(deviation) + 1


@pytest.mark.parametrize("users", [10, 17, 30, 1000])
def test_one_owners_draw_is_as_large_as_the_account_asks(users: int) -> None:
    epsilon = 7 / (5 * users)
    q = math.exp(-epsilon)
    assert math.sqrt(2 * q) / (1 - q) >= users


@pytest.mark.parametrize(("figures", "count"), [((UNITS,), 2), ((UNITS, SUM), 3), ((SUM,), 3)])
def test_counts_and_sizes_are_paid_for_also_where_only_sums_are_asked(
    figures: tuple[Figure, ...], count: int
) -> None:
    noise, charges = two_draws(privacy(*figures), 20)
    assert [c.owner for c in charges] == ["p", "q"]
    exact = Fraction(count) * Fraction(7, 100) ** 2 / 2 * RHO_UNITS
    assert all(0 <= c.rho - exact < 1 for c in charges)
    assert all(c.delta == count * DELTA_UNITS // 10**10 for c in charges)
    assert noise.users_noise == 20


def test_less_noise_than_the_strictest_account_asks_is_never_taken() -> None:
    assert two_draws(privacy(UNITS, least=40), 20)[0].users_noise == 40
    assert two_draws(privacy(UNITS, least=40), None)[0].users_noise == 40


def test_laplace_costs_more_than_gaussian_noise_of_the_same_size() -> None:
    _, gaussian = noise_of(privacy(UNITS), 30)
    _, laplace = two_draws(privacy(UNITS), 30)
    assert gaussian[0].rho < laplace[0].rho


@pytest.mark.parametrize("users", [10, 30, 77, 500])
def test_the_protocol_counts_as_many_dummies_as_are_told(users: int) -> None:
    delta0 = delta_of_a_figure(privacy(UNITS))
    assert delta0 == "1e-10"
    assert dummies_of(users, delta0) == 2 * count_bound(epsilon_of(users), Fraction(delta0))


def test_cells_never_show_their_figures() -> None:
    assert "7" not in repr(replace(Cells("q", {"n": 7}), applied=frozenset({"noise"})))
