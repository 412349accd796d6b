# SPDX-License-Identifier: Apache-2.0
"""Whole-number weights: exact bounds, the reported cost, the smallest number of bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hitoku.inference.errors import ModelError
from hitoku.inference.network import Conv, Dense, Flatten, Network, Polynomial
from hitoku.inference.passes import compare, integers
from hitoku.inference.passes.integers import rounded


def network() -> Network:
    rng = np.random.default_rng(0)
    layers: tuple[Any, ...] = (
        Conv(rng.normal(size=(2, 1, 3, 3)) / 3, rng.normal(size=2), stride=(2, 2)),
        Polynomial(np.array([0.0, 0.0, 1.0])),
        Flatten(),
        Dense(rng.normal(size=(4, 18)) / 4, rng.normal(size=4)),
    )
    return Network("n", (1, 8, 8), layers)


def samples(count: int = 300) -> Any:
    return np.random.default_rng(3).uniform(-1, 1, (count, 1, 8, 8))


NUMBERS = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.float64, (3, 4), elements=NUMBERS),
    st.integers(2, 16),
)
def test_numbers_are_within_their_bits_and_near(weights: Any, bits: int) -> None:
    found = rounded(weights, bits)
    most = 2 ** (bits - 1) - 1
    assert np.abs(found.weights).max() <= most
    assert found.unit > 0
    plain = np.abs(weights).max() / most
    error = np.square(found.weights * found.unit - weights).sum()
    # Half a unit each, and units lie on a grid of eight an octave.
    assert error <= weights.size * (plain * 2 ** (1 / 8) / 2) ** 2 * (1 + 1e-9)
    step = 8 * np.log2(found.unit)
    assert error <= 1e-20 * np.square(weights).sum() or step == pytest.approx(np.round(step), abs=1e-9)


def test_the_network_computes_with_the_numbers() -> None:
    done = integers(network(), samples(), tolerance=0.05)
    for layer, numbers in zip(done.network.layers, done.weights, strict=True):
        if isinstance(layer, (Dense, Conv)):
            assert numbers is not None
            assert np.array_equal(layer.weights, numbers.weights * numbers.unit)
        else:
            assert numbers is None
    x = samples()
    assert compare(network().run(x), done.network.run(x)) == done.cost
    assert done.cost.error <= 0.05


def test_fewer_bits_would_miss_the_tolerance() -> None:
    done = integers(network(), samples(), tolerance=0.01)
    bits = next(numbers.bits for numbers in done.weights if numbers is not None)
    assert bits > 5
    with pytest.raises(ModelError) as error:
        integers(network(), samples(), tolerance=0.01, bits=[bits - 1])
    assert error.value.code == "TOLERANCE"


def test_more_bits_cost_less() -> None:
    errors = [
        integers(network(), samples(), tolerance=1.0, bits=[bits]).cost.error for bits in (4, 8, 12, 16)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-4
