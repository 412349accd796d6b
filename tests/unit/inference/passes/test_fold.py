# SPDX-License-Identifier: Apache-2.0
"""Folding changes layers, never the function."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.inference.passes.networks import inputs, networks

from hitoku.inference.network import (
    AveragePool,
    Conv,
    Dense,
    Flatten,
    Network,
    Polynomial,
    Reshape,
    Scale,
    Select,
)
from hitoku.inference.passes import as_dense, fold
from hitoku.inference.passes.fold import Merge
from hitoku.inference.passes.linear import LINEAR, products

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def near(found: object, wanted: object) -> None:
    a, b = np.asarray(found), np.asarray(wanted)
    assert a.shape == b.shape
    assert np.allclose(a, b, rtol=1e-8, atol=1e-8 * (1 + np.abs(b).max(initial=0)))


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(networks(), st.sampled_from(["cheaper", "always"]))
def test_the_function_stays(network: Network, merge: Merge) -> None:
    x = inputs(network)
    folded = fold(network, merge)
    near(folded.run(x), network.run(x))
    assert len(folded.layers) <= len(network.layers) + 1


@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(networks())
def test_folding_twice_is_folding_once(network: Network) -> None:
    once = fold(network)
    assert [type(layer) for layer in fold(once).layers] == [type(layer) for layer in once.layers]


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(networks(activations=False))
def test_always_leaves_one_linear_layer_between_activations(network: Network) -> None:
    kinds = [isinstance(layer, LINEAR) for layer in fold(network, "always").layers]
    runs = sum(1 for before, after in pairwise(kinds) if before and after)
    # Beside a matrix only a renaming (before a convolution, or at the end) can stay.
    renamings = sum(isinstance(layer, (Flatten, Reshape)) for layer in fold(network, "always").layers)
    assert runs <= renamings


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(networks(activations=False))
def test_a_linear_layer_is_its_matrix(network: Network) -> None:
    shape = network.input_shape
    for layer, after in zip(network.layers, network.shapes()[1:], strict=True):
        if isinstance(layer, LINEAR):
            x = np.random.default_rng(1).normal(size=(3, *shape))
            near(as_dense(layer, shape).run(x), layer.run(x).reshape(3, -1))
            assert products(layer, shape) >= 0
        shape = after


def test_batch_normalisation_goes_into_a_convolution() -> None:
    rng = np.random.default_rng(0)
    conv = Conv(rng.normal(size=(3, 1, 3, 3)), rng.normal(size=3), padding=(1, 1, 1, 1))
    network = Network("n", (1, 6, 6), (conv, Scale(rng.normal(size=3), rng.normal(size=3))))
    (layer,) = fold(network).layers
    assert isinstance(layer, Conv)
    near(fold(network).run(inputs(network)), network.run(inputs(network)))


def test_an_offset_before_a_padded_convolution_stays() -> None:
    conv = Conv(np.ones((1, 1, 3, 3)), np.zeros(1), padding=(1, 1, 1, 1))
    network = Network("n", (1, 4, 4), (Scale(np.array([2.0]), np.array([3.0])), conv))
    scale, folded = fold(network).layers
    assert isinstance(scale, Scale)
    assert isinstance(folded, Conv)
    assert scale.factor.tolist() == [1.0]
    near(fold(network).run(inputs(network)), network.run(inputs(network)))


def test_pooling_joins_a_convolution_only_where_that_is_cheaper() -> None:
    rng = np.random.default_rng(0)
    conv = Conv(rng.normal(size=(2, 1, 5, 5)), np.zeros(2))
    pool = AveragePool((2, 2), (2, 2))
    dense = Dense(rng.normal(size=(10, 72)), np.zeros(10))
    square = Polynomial(np.array([0.0, 0.0, 1.0]))
    joined = fold(Network("a", (1, 16, 16), (conv, pool, square, Flatten(), dense)))
    assert [type(layer) for layer in joined.layers] == [Conv, Polynomial, Dense]
    apart = Network("b", (1, 16, 16), (conv, square, pool, Flatten(), dense))
    assert [type(layer) for layer in fold(apart).layers] == [Conv, Polynomial, AveragePool, Dense]
    assert [type(layer) for layer in fold(apart, "always").layers] == [Conv, Polynomial, Dense]


def test_a_transpose_before_a_dense_layer_costs_nothing() -> None:
    rng = np.random.default_rng(0)
    order = np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0).ravel()
    dense = Dense(rng.normal(size=(3, 24)), np.zeros(3))
    network = Network(
        "n", (2, 3, 4), (Select(order, (3, 4, 2)), Polynomial(np.array([1.0, 0, 1])), Flatten(), dense)
    )
    assert [type(layer) for layer in fold(network).layers] == [Polynomial, Dense]
    near(fold(network).run(inputs(network)), network.run(inputs(network)))


@pytest.mark.parametrize("middle", [2, 40])
def test_two_dense_layers_join_where_that_is_cheaper(middle: int) -> None:
    rng = np.random.default_rng(0)
    layers = (
        Dense(rng.normal(size=(middle, 20)), rng.normal(size=middle)),
        Dense(rng.normal(size=(20, middle)), rng.normal(size=20)),
    )
    network = Network("n", (20,), layers)
    assert len(fold(network).layers) == (2 if middle == 2 else 1)
    assert len(fold(network, "always").layers) == 1
