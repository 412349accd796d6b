# SPDX-License-Identifier: Apache-2.0
"""What a change costs, in numbers that hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hitoku.inference.network import Dense, Network
from hitoku.inference.passes.measure import Difference, compare, decides


def test_the_numbers_of_a_difference() -> None:
    before = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 2.0], [0.0, 5.0]])
    after = before + np.array([[0.0, 2.0], [0, 0], [0, 0], [0, 0]])
    found = compare(before, after)
    assert (found.decisions, found.worst, found.samples) == (0.25, 2.0, 4)
    spread = np.sqrt(np.mean((before - before.mean(axis=0)) ** 2))
    assert found.error == pytest.approx(math.sqrt(0.5) / spread)


def test_one_score_decides_by_its_sign() -> None:
    assert compare(np.array([[1.0], [-1.0]]), np.array([[0.5], [0.1]])).decisions == 0.5


def test_scores_that_never_change_have_no_spread() -> None:
    same = np.ones((3, 1))
    assert compare(same, same).error == 0
    assert compare(same, same + 1).error == math.inf


@pytest.mark.parametrize(("changed", "samples", "most"), [(0, 10, 0.278), (0, 250, 0.0151), (5, 500, 0.0231)])
def test_few_samples_say_little(changed: int, samples: int, most: float) -> None:
    found = Difference(changed / samples, 0.0, 0.0, samples)
    assert found.decisions_most == pytest.approx(most, abs=1e-3)
    assert found.to_dict()["decisions_most"] == found.decisions_most


def test_what_decides() -> None:
    one = Network("n", (2,), (Dense(np.ones((1, 2)), np.zeros(1)),))
    assert not decides(one)
    assert decides(Network("n", (2,), one.layers, post=("sigmoid",)))
    assert decides(Network("n", (2,), (Dense(np.ones((3, 2)), np.zeros(3)),)))
