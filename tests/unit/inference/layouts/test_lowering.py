# SPDX-License-Identifier: Apache-2.0
"""Stages compute what the network computes, for every kind of layer."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.inference.layouts.nets import Floats, normal, picture, samples, table

from hitoku.inference.errors import ModelError
from hitoku.inference.layouts.lowering import stages
from hitoku.inference.layouts.stages import Linear, Poly, run
from hitoku.inference.network import (
    Activation,
    AveragePool,
    Conv,
    Dense,
    Flatten,
    Layer,
    Network,
    Polynomial,
    Scale,
    Select,
)

SOURCE = np.random.default_rng(11)
WINDOWS: list[Layer] = [
    Conv(normal(SOURCE, 3, 2, 3, 3), np.arange(3.0), (2, 2), (0, 0, 1, 1)),
    Conv(normal(SOURCE, 4, 2, 3, 2), np.ones(4), (1, 2), (1, 1, 1, 1), (2, 2)),
    Conv(normal(SOURCE, 4, 1, 2, 2), np.zeros(4), groups=2),
    AveragePool((2, 2), (2, 2)),
    AveragePool((3, 3), (2, 2), (1, 1, 1, 1)),
    AveragePool((3, 3), (2, 2), (1, 1, 1, 1), count_padding=True),
    Scale(np.array([2.0, -1.0]), np.array([0.5, 0.0])),
    Select(np.array([3, 0, -1, 5]), (4,)),
]


@pytest.mark.parametrize("layer", WINDOWS, ids=lambda layer: type(layer).__name__)
def test_linear_layers(layer: Layer) -> None:
    network = Network("one", (2, 7, 8), (layer,))
    x = samples(network, 5)
    assert np.allclose(run(stages(network), x)[-1], network.run(x), atol=1e-12)


@pytest.mark.parametrize(
    "coefficients",
    [[1.0, 2.0], [0.5, 0.0, 1.0], [0.1, 0.7, -0.4], [0.2, -0.3, 0.1, 0.6], [0.3, 0.1, 0.0, 0.2, -0.1, 0.05]],
)
@pytest.mark.parametrize("bounded", [True, False])
def test_polynomials_become_cheaper_and_stay_the_same(coefficients: list[float], bounded: bool) -> None:
    domain = (-4.0, 3.0) if bounded else (-np.inf, np.inf)
    network = table(5, np.array(coefficients))
    bend = Polynomial(np.array(coefficients), "relu", domain, "bend")
    network = network.with_layers((network.layers[0], bend, network.layers[2]))
    parts = stages(network)
    x = samples(network, 50)
    assert np.allclose(run(parts, x)[-1], network.run(x), atol=1e-9)
    inner = [p for p in parts if isinstance(p, Poly)]
    if len(coefficients) == 2:
        assert not inner
    elif len(coefficients) == 3:
        assert inner[0].is_square
    else:
        assert inner[0].chebyshev is bounded
        assert inner[0].coefficients[0] == 0.0
        assert np.abs(inner[0].coefficients).max() == pytest.approx(1.0)


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_whole_network(padding: int, groups: int) -> None:
    network = picture(3, padding=padding, groups=groups)
    x = samples(network, 4)
    parts = stages(network)
    assert np.allclose(run(parts, x)[-1], network.run(x), atol=1e-10)
    for part in parts:
        if isinstance(part, Linear):
            values = np.random.default_rng(1).normal(size=(2, part.size_in))
            assert np.allclose(part.run(values), values @ part.matrix().T + part.bias)


def test_a_network_that_ends_or_starts_with_an_activation_gets_linear_ends() -> None:
    bend: Floats = np.array([0.0, 0.0, 1.0])
    network = Network("ends", (3,), (Polynomial(bend), Dense(np.eye(3), np.zeros(3)), Polynomial(bend)))
    parts = stages(network)
    assert isinstance(parts[0], Linear)
    assert isinstance(parts[-1], Linear)
    x = samples(network, 3)
    assert np.allclose(run(parts, x)[-1], x**4)


def test_units_survive_scaling() -> None:
    weights = np.array([[2.0, -6.0], [4.0, 0.0]]) * 0.25
    layers = (Dense(weights, np.zeros(2)), Polynomial(np.array([1.0, 2.0, 3.0])), Dense(weights, np.ones(2)))
    parts = stages(Network("units", (2,), layers), (0.5, None, 0.5))
    for part in parts:
        if isinstance(part, Linear):
            assert part.unit is not None
            whole = part.blocks[0].weights / part.unit
            assert np.abs(whole - np.rint(whole)).max() < 1e-12


def test_weights_that_are_no_multiples_are_refused() -> None:
    part = stages(Network("plain", (2,), (Dense(np.array([[0.1, 0.317]]), np.zeros(1), "first"),)))[0]
    assert isinstance(part, Linear)
    with pytest.raises(ModelError, match="first: has weights that are not whole multiples"):
        part.whole()


def test_an_activation_is_named() -> None:
    network = Network("net", (2,), (Dense(np.eye(2), np.zeros(2)), Activation("relu", name="r"), Flatten()))
    with pytest.raises(ModelError, match='relu "r"') as caught:
        stages(network)
    assert caught.value.code == "OPERATOR"
