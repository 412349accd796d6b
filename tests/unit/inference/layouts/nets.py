# SPDX-License-Identifier: Apache-2.0
"""Small random networks for tests of layouts and of compiling."""

from __future__ import annotations

from typing import Any

import numpy as np

from hitoku.inference.network import AveragePool, Conv, Dense, Flatten, Layer, Network, Polynomial

Floats = np.ndarray[Any, np.dtype[np.float64]]

SQUARE = np.array([0.0, 0.0, 1.0])


def normal(source: np.random.Generator, *shape: int) -> Floats:
    """Weights that keep values at their size."""
    return source.normal(0.0, 1.0 / np.sqrt(np.prod(shape[1:])), shape)


def table(seed: int, middle: Floats | None = None, features: int = 12) -> Network:
    """Two dense layers with a polynomial between."""
    source = np.random.default_rng(seed)
    layers: tuple[Layer, ...] = (
        Dense(normal(source, 9, features), source.normal(0, 0.3, 9), "first"),
        Polynomial(SQUARE if middle is None else middle, name="bend"),
        Dense(normal(source, 3, 9), source.normal(0, 0.3, 3), "last"),
    )
    return Network("table", (features,), layers)


def picture(seed: int, *, padding: int = 0, groups: int = 1) -> Network:
    """Convolution, square, pooling, convolution, polynomial, dense."""
    source = np.random.default_rng(seed)
    layers: tuple[Layer, ...] = (
        Conv(2 * normal(source, 4, 2, 3, 3), source.normal(0, 0.2, 4), (1, 1), (padding,) * 4, name="c1"),
        Polynomial(SQUARE, name="square"),
        AveragePool((2, 2), (2, 2), name="pool"),
        Conv(2 * normal(source, 6, 4 // groups, 2, 2), source.normal(0, 0.2, 6), groups=groups, name="c2"),
        Polynomial(np.array([0.1, 0.5, 0.3]), name="bend"),
        Flatten(),
    )
    size = int(np.prod(Network("x", (2, 10, 10), layers).shapes()[-1]))
    return Network("picture", (2, 10, 10), (*layers, Dense(normal(source, 5, size), np.ones(5), "last")))


def samples(network: Network, count: int, seed: int = 0) -> Floats:
    """Inputs between -1 and 1."""
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (count, *network.input_shape))
