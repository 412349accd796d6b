# SPDX-License-Identifier: Apache-2.0
"""Fold what is linear into its neighbours: batch normalisation, scaling, renaming, pooling, layers in a row.

The function stays the same, up to the rounding of float64. Fewer linear layers mean fewer moduli: each costs
a scale, whatever its size. ``cheaper`` joins two layers only where that needs no more products than the two
did; ``always`` joins all that stand between two activations, for layouts in which a matrix costs the same
however it came about.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np

from hitoku import limits
from hitoku.inference.arrays import Shape
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
)
from hitoku.inference.passes.linear import (
    LINEAR,
    RENAMING,
    as_dense,
    combined_conv,
    pool_as_conv,
    products,
)
from hitoku.inference.passes.scaling import scaled

__all__ = ["Merge", "fold"]

Merge: TypeAlias = Literal["cheaper", "always"]

_Rule: TypeAlias = Callable[[Layer, Layer, Shape], "list[Layer] | None"]


def fold(network: Network, merge: Merge = "cheaper", *, polynomials: bool = True) -> Network:
    """The same function in fewer layers.

    Args:
        network: any network; activations stay what they are.
        merge: see the module.
        polynomials: whether a scaling may change a polynomial's coefficients; else linear layers take it.
    """
    if merge == "always":
        # First what costs nothing: a scaling between two layers belongs into one of them, not into a matrix.
        network = fold(network, polynomials=polynomials)
    layers = list(network.layers)
    place = 0
    while place < len(layers):
        shapes = network.with_layers(tuple(layers)).shapes()
        alone = _alone(layers[place], shapes[place])
        if alone is not None:
            layers[place : place + 1] = alone
            place = max(0, place - 1)
            continue
        pair = layers[place : place + 2]
        found = None
        if len(pair) == 2 and (polynomials or not _changes_polynomial(pair[0], pair[1])):
            found = _pair(pair[0], pair[1], shapes[place], merge)
        taken = 2
        if found is None and merge == "always":
            found, taken = _across(layers[place : place + 3], shapes[place : place + 4]), 3
        if found is None:
            place += 1
            continue
        layers[place : place + taken] = found
        place = max(0, place - 1)
    return network.with_layers(tuple(layers))


def _changes_polynomial(first: Layer, second: Layer) -> bool:
    kinds = {type(first), type(second)}
    return kinds == {Scale, Polynomial}


def _alone(layer: Layer, shape: Shape) -> list[Layer] | None:
    """A layer that does nothing goes; a choice that keeps the order is a renaming."""
    if isinstance(layer, Scale) and (layer.factor == 1).all() and (layer.offset == 0).all():
        return []
    if isinstance(layer, RENAMING) and layer.output_shape(shape) == shape:
        return []
    if isinstance(layer, Polynomial) and layer.degree == 1:
        low, high = layer.coefficients[:2].tolist()
        return [Scale(np.array([high]), np.array([low]), layer.name)]
    if isinstance(layer, Select) and np.array_equal(layer.indices, np.arange(math.prod(shape))):
        return [Reshape(layer.shape, layer.name)]
    return None


def _pair(first: Layer, second: Layer, shape: Shape, merge: Merge) -> list[Layer] | None:
    for rule in _RULES:
        found = rule(first, second, shape)
        if found is not None:
            return found
    return _merges(first, second, shape, merge)


def _renames(first: Layer, second: Layer, shape: Shape) -> list[Layer] | None:
    """Runs of renamings are one; a dense layer takes any shape; renaming moves behind activations."""
    if isinstance(first, RENAMING):
        if isinstance(second, RENAMING):
            return [second]
        if isinstance(second, (Dense, Select)):
            return [second]
    if isinstance(second, RENAMING) and isinstance(first, Select):
        return [replace(first, shape=second.output_shape(first.shape))]
    if isinstance(second, (Polynomial, Activation)):
        if isinstance(first, RENAMING):
            return [second, first]
        if (
            isinstance(first, Select)
            and (first.indices >= 0).all()
            and first.indices.size <= math.prod(shape)
        ):
            return [second, first]
    return None


def _choices(first: Layer, second: Layer, shape: Shape) -> list[Layer] | None:
    """A choice of values is a choice of a matrix's rows or columns."""
    if isinstance(first, Select) and isinstance(second, Select):
        picked = np.where(second.indices < 0, -1, first.indices[np.maximum(second.indices, 0)])
        return [Select(picked, second.shape, first.name)]
    if isinstance(first, Select) and isinstance(second, Dense):
        used = first.indices >= 0
        columns = np.zeros((second.weights.shape[0], math.prod(shape)))
        np.add.at(columns.T, first.indices[used], second.weights.T[used])
        return [replace(second, weights=columns)]
    if isinstance(first, Dense) and isinstance(second, Select):
        used = (second.indices >= 0)[:, None]
        rows = np.where(used, first.weights[np.maximum(second.indices, 0)], 0.0)
        bias = np.where(used[:, 0], first.bias[np.maximum(second.indices, 0)], 0.0)
        dense: list[Layer] = [Dense(rows, bias, first.name)]
        return dense if len(second.shape) == 1 else [*dense, Reshape(second.shape, second.name)]
    return None


def _merges(first: Layer, second: Layer, shape: Shape, merge: Merge) -> list[Layer] | None:
    """Two linear layers in a row are one; see the module for when."""
    if not isinstance(first, LINEAR) or not isinstance(second, LINEAR):
        return None
    middle = first.output_shape(shape)
    before = products(first, shape) + products(second, middle)
    joined = _joined(first, second, shape, middle)
    if joined is None or (merge == "cheaper" and products(joined, shape) > before):
        return None
    return _in_shape(joined, shape, second.output_shape(middle))


def _across(layers: list[Layer], shapes: list[Shape]) -> list[Layer] | None:
    """A linear layer, a renaming, a linear layer: the second as a matrix, which takes any shape."""
    if len(layers) < 3 or not isinstance(layers[1], RENAMING):
        return None
    ends = layers[0], layers[2]
    if not all(isinstance(layer, LINEAR) and not isinstance(layer, RENAMING) for layer in ends):
        return None
    if math.prod(shapes[2]) * math.prod(shapes[3]) > limits.MAX_MODEL_VALUES // 4:
        return None
    return [layers[0], *_in_shape(as_dense(layers[2], shapes[2]), shapes[1], shapes[3])]


def _in_shape(layer: Layer, shape: Shape, out: Shape) -> list[Layer]:
    if layer.output_shape(shape) == out:
        return [layer]
    return [layer, Flatten() if len(out) == 1 else Reshape(out)]


def _joined(first: Layer, second: Layer, shape: Shape, middle: Shape) -> Layer | None:
    a = pool_as_conv(first, shape[0]) if isinstance(first, AveragePool) else first
    b = pool_as_conv(second, middle[0]) if isinstance(second, AveragePool) else second
    if isinstance(a, Conv) and isinstance(b, Conv):
        found = combined_conv(a, b)
        if found is not None:
            return found
    if isinstance(first, RENAMING) or isinstance(second, RENAMING):
        return None
    size, out = math.prod(shape), math.prod(second.output_shape(middle))
    if max(size * out, size * math.prod(middle), math.prod(middle) * out) > limits.MAX_MODEL_VALUES // 4:
        return None
    left, right = as_dense(first, shape), as_dense(second, middle)
    name = first.name or second.name
    return Dense(right.weights @ left.weights, right.weights @ left.bias + right.bias, name)


_RULES: tuple[_Rule, ...] = (_renames, _choices, scaled)
