# SPDX-License-Identifier: Apache-2.0
"""Random small networks for property tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from hitoku.inference.errors import ModelError
from hitoku.inference.network import (
    Activation,
    AveragePool,
    Conv,
    Dense,
    Flatten,
    Layer,
    Network,
    Polynomial,
    Reshape,
    Scale,
    Select,
    Shape,
)


def _layer(draw: Any, shape: Shape, rng: np.random.Generator, activations: bool) -> Layer:
    size = int(np.prod(shape))
    kinds = ["dense", "scale", "flatten", "select", "square", "polynomial", "even"]
    kinds += ["conv", "conv", "pool", "reshape"] if len(shape) == 3 else []
    kinds += ["activation"] if activations else []
    match draw(st.sampled_from(kinds)):
        case "dense":
            out = draw(st.integers(1, 6))
            return Dense(rng.normal(size=(out, size)) / np.sqrt(size), rng.normal(size=out))
        case "scale":
            count = draw(st.sampled_from([1, shape[0]]))
            return Scale(rng.uniform(0.3, 2, count) * rng.choice([-1, 1], count), rng.normal(size=count))
        case "flatten":
            return Flatten()
        case "reshape":
            return Reshape((shape[0], shape[2], shape[1]))
        case "select":
            indices = rng.integers(-1, size, draw(st.integers(1, 12)))
            permuted = rng.permutation(size)
            return Select(permuted, shape) if draw(st.booleans()) else Select(indices, (len(indices),))
        case "square":
            return Polynomial(np.array([0.0, 0.0, 1.0]))
        case "polynomial":
            degree = draw(st.integers(1, 5))
            return Polynomial(rng.normal(size=degree + 1) / 4.0 ** np.arange(degree + 1))
        case "even":
            return Polynomial(np.array([rng.normal(), rng.normal(), rng.uniform(0.1, 1)]))
        case "activation":
            return Activation(draw(st.sampled_from(["relu", "tanh", "sigmoid", "silu"])))
        case "pool":
            padded = draw(st.booleans())
            edge = (1, 0, 0, 1) if padded else (0, 0, 0, 0)
            return AveragePool((2, 2), draw(st.sampled_from([(1, 1), (2, 1)])), edge, draw(st.booleans()))
    groups = shape[0] if draw(st.booleans()) else 1
    out = groups * draw(st.integers(1, 2))
    weights = rng.normal(size=(out, shape[0] // groups, *draw(st.sampled_from([(1, 2), (2, 2), (3, 1)])))) / 2
    padding = draw(st.sampled_from([(0, 0, 0, 0), (1, 0, 0, 1)]))
    steps = draw(st.sampled_from([(1, 1), (2, 1)])), draw(st.sampled_from([(1, 1), (1, 2)]))
    return Conv(weights, rng.normal(size=out), steps[0], padding, steps[1], groups)


@st.composite
def networks(draw: Any, activations: bool = True) -> Network:
    """Up to seven layers over an image or a row; layers that do not fit are left out."""
    shape: Shape = draw(st.sampled_from([(5,), (1, 4, 5), (2, 4, 4)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    network = Network("random", shape, ())
    for _ in range(draw(st.integers(0, 7))):
        layer = _layer(draw, network.shapes()[-1], rng, activations)
        try:
            network = network.with_layers((*network.layers, layer))
        except ModelError:
            continue  # the image has become smaller than the window
    return network


def inputs(network: Network, count: int = 24, seed: int = 0) -> Any:
    """Samples for a network."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, *network.input_shape))
