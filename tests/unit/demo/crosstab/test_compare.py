# SPDX-License-Identifier: Apache-2.0
"""The demo's check of errors: right noise passes, any other does not."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitoku.demo.crosstab.compare import Cell, Exact, Law, Noised, collapse, compare, noised

EPSILON = 0.14
MOST = 30
COUNTS, SUMS = Law(EPSILON), Law(EPSILON, MOST)
WIDTH = 30
EXACT: dict[Cell, Exact] = {
    (f"p{i}", f"a{j}"): Exact(10 * i * j, 37 * i * j) for i, j in itertools.product(range(30), range(40))
}


class Noise:
    """Discrete Laplace draws as differences of two geometric ones."""

    def __init__(self, seed: int, strength: float = 1, draws: int = 2) -> None:
        self._random = np.random.default_rng(seed)
        self._strength, self._draws = strength, draws

    def __call__(self, most: float = 1) -> int:
        q = math.exp(-EPSILON / most / self._strength)
        return sum(
            int(self._random.geometric(1 - q) - self._random.geometric(1 - q)) for _ in range(self._draws)
        )


def answered(noise: Noise, bias: float = 0, means: bool = False) -> dict[Cell, Noised]:
    made: dict[Cell, Noised] = {}
    for cell, real in EXACT.items():
        people = real.people + noise() + bias
        total = real.total + noise(MOST)
        mean = total / people if means and people > 0 else None
        made[cell] = Noised(people, people - WIDTH, people + WIDTH, mean)
    return made


class TestLaw:
    @given(st.floats(0.05, 2), st.integers(1, 5))
    def test_it_is_the_convolution_of_two_draws(self, epsilon, most):
        law, q = Law(epsilon, most), math.exp(-epsilon / most)
        reach = math.ceil(45 * most / epsilon)
        ks = np.arange(-reach, reach + 1)
        one = (1 - q) / (1 + q) * q ** np.abs(ks)
        two = np.convolve(one, one)[reach:-reach]
        mine = np.array([law.probability(int(k)) for k in ks])
        assert np.allclose(mine[reach - 20 : reach + 21], two[reach - 20 : reach + 21], rtol=1e-9)
        assert mine.sum() == pytest.approx(1)
        variance = (mine * ks**2).sum()
        assert law.deviation == pytest.approx(math.sqrt(variance), rel=1e-6)
        assert law.kurtosis == pytest.approx((mine * ks**4.0).sum() / variance**2, rel=1e-5)

    def test_within(self):
        assert COUNTS.within(-1) == 0
        assert COUNTS.within(0.5) == COUNTS.probability(0)
        assert COUNTS.within(2) == pytest.approx(sum(COUNTS.probability(k) for k in range(-2, 3)))
        assert COUNTS.within(10_000) == pytest.approx(1)
        # The continuous law has 1/20 beyond 4.1131 scales.
        assert COUNTS.within(math.ceil(4.1131 / EPSILON)) == pytest.approx(0.95, abs=0.01)


class TestCompare:
    @pytest.mark.parametrize("seed", range(5))
    def test_the_right_noise_is_right(self, seed):
        found = compare(answered(Noise(seed), means=True), EXACT, COUNTS, SUMS)
        assert found.right
        assert found.cells == 1200
        assert found.people == sum(e.people for e in EXACT.values())
        assert found.found == pytest.approx(found.predicted, rel=0.15)
        assert found.share == pytest.approx(found.expected / found.cells, abs=0.03)
        assert found.means == sum(e.people >= 25 * COUNTS.deviation for e in EXACT.values())
        assert found.mean_found == pytest.approx(found.mean_predicted, rel=0.15)

    @pytest.mark.parametrize(
        "noise", [Noise(1, 0.5), Noise(1, 2), Noise(1, draws=1), Noise(1, draws=3), Noise(1, draws=0)]
    )
    def test_other_noise_is_not(self, noise):
        assert not compare(answered(noise), EXACT, COUNTS).right

    def test_a_wrong_table_is_not(self):
        assert not compare(answered(Noise(1), bias=20), EXACT, COUNTS).right
        cells = answered(Noise(1))
        shifted = dict(zip(cells, [*list(cells.values())[1:], next(iter(cells.values()))], strict=True))
        assert not compare(shifted, EXACT, COUNTS).right

    def test_bands_of_the_wrong_width_are_not(self):
        cells = {c: Noised(f.people, f.people - 5, f.people + 30) for c, f in answered(Noise(1)).items()}
        assert not compare(cells, EXACT, COUNTS).right

    def test_wrong_means_are_not(self):
        cells = answered(Noise(1), means=True)
        off = {c: Noised(f.people, f.low, f.high, (f.mean or 0) + 5) for c, f in cells.items()}
        assert compare(off, EXACT, COUNTS).right
        assert not compare(off, EXACT, COUNTS, SUMS).right

    def test_every_cell_of_the_clear_table_must_be_there(self):
        cells = answered(Noise(1))
        del cells["p3", "a4"]
        with pytest.raises(ValueError, match="every cell"):
            compare(cells, EXACT, COUNTS)
        with pytest.raises(ValueError, match="every cell"):
            compare({}, {}, COUNTS)

    def test_a_cell_that_is_not_in_the_clear_table_has_nobody(self):
        cells = answered(Noise(1))
        some = {c: e for c, e in EXACT.items() if e.people}
        assert len(some) < len(EXACT)
        assert compare(cells, some, COUNTS) == compare(cells, EXACT, COUNTS)


def test_a_coarser_table_is_the_sum():
    summed, truth = collapse(answered(Noise(1)), EXACT, [1], COUNTS)
    assert summed.keys() == truth.keys() == {(f"a{j}",) for j in range(40)}
    assert truth[("a2",)] == Exact(sum(20 * i for i in range(30)), sum(74 * i for i in range(30)))
    cells = answered(Noise(1))
    assert summed[("a2",)].people == sum(cells[f"p{i}", "a2"].people for i in range(30))
    inside = sum(summed[c].low <= truth[c].people <= summed[c].high for c in summed)
    assert inside >= 33
    half = summed[("a2",)].high - summed[("a2",)].people
    assert half == pytest.approx(2 * COUNTS.deviation * math.sqrt(30))


def test_the_cells_of_an_answer():
    answer: Any = SimpleNamespace(
        table=pa.table({"x": ["a", "b"], "n": [5, -2], "m": [1.5, None]}),
        bands=pa.table({"n_low": [1, -6], "n_high": [9, 2], "m_low": [1.0, None], "m_high": [2.0, None]}),
    )
    assert noised(answer, ["x"], "n", "m") == {
        ("a",): Noised(5, 1, 9, 1.5, 1, 2),
        ("b",): Noised(-2, -6, 2, None, None, None),
    }
    assert noised(answer, ["x"], "n")[("a",)] == Noised(5, 1, 9)
    with pytest.raises(KeyError):
        noised(answer, ["x"], "other")
