# SPDX-License-Identifier: Apache-2.0
"""Normalising changes the unit of values, never the function; what it says of ranges holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.inference.passes.networks import inputs, networks

from hitoku.inference.network import Conv, Dense, Flatten, Network, Polynomial, Scale
from hitoku.inference.passes import normalise

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=120, deadline=None, suppress_health_check=SLOW)
@given(networks(activations=False), st.booleans())
def test_the_function_stays(network: Network, scaled: bool) -> None:
    x = inputs(network) * 3 + 1
    wanted = network.run(x)
    done = normalise(network, x, inputs=scaled)
    found = done.network.run(done.inputs.apply(x))
    assert np.allclose(found, wanted, rtol=1e-6, atol=1e-6 * (1 + np.abs(wanted).max(initial=0)))


@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
@given(networks(activations=False))
def test_values_before_polynomials_are_within_one(network: Network) -> None:
    x = inputs(network)
    done = normalise(network, x)
    sent = done.inputs.apply(x)
    assert np.abs(sent).max() <= 1 + 1e-9
    values = done.network.trace(sent)
    for before, layer in zip(values, done.network.layers, strict=False):
        if isinstance(layer, Polynomial):
            low, high = layer.domain
            assert -1 - 1e-9 <= low < high <= 1 + 1e-9
            assert low - 1e-9 <= before.min() <= before.max() <= high + 1e-9


def test_a_quadratic_becomes_a_bare_square() -> None:
    rng = np.random.default_rng(0)
    first = Dense(rng.normal(size=(8, 5)), rng.normal(size=8))
    last = Dense(rng.normal(size=(3, 8)), rng.normal(size=3))
    network = Network("n", (5,), (first, Polynomial(np.array([0.3, 0.5, -0.25])), last))
    done = normalise(network, inputs(network, 200))
    a, square, b = done.network.layers
    assert isinstance(a, Dense)
    assert isinstance(square, Polynomial)
    assert square.is_square
    assert isinstance(b, Dense)


def test_a_nearly_straight_quadratic_stays_a_polynomial() -> None:
    rng = np.random.default_rng(0)
    first = Dense(rng.normal(size=(8, 5)), rng.normal(size=8))
    network = Network("n", (5,), (first, Polynomial(np.array([0.3, 0.5, 1e-4])), first_like(rng)))
    layer = normalise(network, inputs(network, 200)).network.layers[1]
    assert isinstance(layer, Polynomial)
    assert not layer.is_square
    assert np.abs(layer.run(np.linspace(-1, 1, 501))).max() == pytest.approx(1, abs=1e-4)


def first_like(rng: np.random.Generator) -> Dense:
    return Dense(rng.normal(size=(3, 8)), rng.normal(size=3))


def test_a_constant_stays_before_a_padded_convolution() -> None:
    rng = np.random.default_rng(0)
    first = Conv(rng.normal(size=(2, 1, 3, 3)), rng.normal(size=2))
    second = Conv(rng.normal(size=(1, 2, 3, 3)), rng.normal(size=1), padding=(1, 1, 1, 1))
    network = Network("n", (1, 6, 6), (first, Polynomial(np.array([0.3, 0.5, 0.25])), second, Flatten()))
    done = normalise(network, inputs(network, 200))
    assert [type(layer) for layer in done.network.layers[:4]] == [Conv, Polynomial, Scale, Conv]
    x = inputs(network, 10, seed=4)
    assert np.allclose(done.network.run(done.inputs.apply(x)), network.run(x))


def test_features_of_different_size_get_ranges_of_their_own() -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([1e-3, 1.0, 1234.5])
    network = Network("n", (3,), (Dense(rng.normal(size=(2, 3)) / sizes, rng.normal(size=2)),))
    x = rng.normal(size=(500, 3)) * sizes + sizes * 3
    done = normalise(network, x)
    assert (done.inputs.low <= x.min(axis=0)).all()
    assert (done.inputs.high >= x.max(axis=0)).all()
    (layer,) = done.network.layers
    assert isinstance(layer, Dense)
    ratios = np.abs(layer.weights).max(axis=0)
    assert ratios.max() / ratios.min() < 100
    for edge in (*done.inputs.low, *done.inputs.high):
        assert len(f"{abs(edge):.6e}".split("e")[0].replace(".", "").rstrip("0")) <= 2


def test_images_have_one_range_and_zero_stays_zero() -> None:
    conv = Conv(np.ones((1, 1, 3, 3)), np.zeros(1), padding=(1, 1, 1, 1))
    network = Network("n", (1, 4, 4), (conv, Flatten()))
    x = np.random.default_rng(0).uniform(0, 255, (50, 1, 4, 4))
    told = normalise(network, x).inputs
    assert set(told.offset) == {0.0}
    assert set(told.width) == {260.0}


def test_a_feature_that_never_changes() -> None:
    network = Network("n", (2,), (Dense(np.ones((1, 2)), np.zeros(1)),))
    x = np.column_stack([np.full(30, 7.0), np.arange(30.0)])
    done = normalise(network, x)
    assert np.allclose(done.network.run(done.inputs.apply(x)), network.run(x))
