# SPDX-License-Identifier: Apache-2.0
"""Scalings go into the linear layer before or behind them, and past what they can pass on the way there."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hitoku.inference.arrays import Floats, Shape
from hitoku.inference.network import (
    AveragePool,
    Conv,
    Dense,
    Flatten,
    Layer,
    Polynomial,
    Reshape,
    Scale,
    Select,
)
from hitoku.inference.passes.linear import RENAMING

__all__ = ["scaled"]


def _behind_choice(scale: Scale, choice: Select, shape: Shape) -> list[Layer] | None:
    """The scaling after the choice, where one number a channel still says it."""
    used, places = choice.indices >= 0, np.maximum(choice.indices, 0)
    factor = np.where(used, _columns(shape, scale.factor)[places], 1.0).reshape(choice.shape[0], -1)
    offset = np.where(used, _columns(shape, scale.offset)[places], 0.0).reshape(choice.shape[0], -1)
    if scale.factor.size == 1 and not scale.offset.any():
        return [choice, scale]
    if (factor != factor[:, :1]).any() or (offset != offset[:, :1]).any():
        return None
    return [choice, Scale(factor[:, 0], offset[:, 0], scale.name)]


def _columns(shape: Shape, values: Floats) -> Floats:
    """One number a channel (or one for all) spread over the flattened values of the shape."""
    if values.size == 1:
        return np.full(math.prod(shape), values[0])
    return np.repeat(values, math.prod(shape) // shape[0])


def scaled(first: Layer, second: Layer, shape: Shape) -> list[Layer] | None:
    """A scaling is part of the linear layer before or behind it."""
    if isinstance(second, Scale):
        factor, offset = second.factor, second.offset
        if isinstance(first, Dense):
            return [
                replace(first, weights=first.weights * factor[:, None], bias=first.bias * factor + offset)
            ]
        if isinstance(first, Conv):
            weights = first.weights * factor[:, None, None, None]
            return [replace(first, weights=weights, bias=first.bias * factor + offset)]
        if isinstance(first, Scale):
            return [Scale(first.factor * factor, first.offset * factor + offset, first.name)]
        if isinstance(first, Polynomial) and factor.size == 1:
            coefficients = first.coefficients * factor[0]
            coefficients[0] += offset[0]
            return [replace(first, coefficients=coefficients)]
    if isinstance(first, Scale):
        if isinstance(second, Dense):
            factor = _columns(shape, first.factor)
            offset = _columns(shape, first.offset)
            return [
                replace(second, weights=second.weights * factor, bias=second.bias + second.weights @ offset)
            ]
        if isinstance(second, Conv):
            return _scaled_conv(first, second, shape)
        if isinstance(second, AveragePool) and not (
            second.count_padding and any(second.padding) and first.offset.any()
        ):
            return [second, first]
        if isinstance(second, RENAMING):
            return _behind(first, second, shape)
        if isinstance(second, Select):
            return _behind_choice(first, second, shape)
        if isinstance(second, Polynomial) and first.factor.size == 1:
            return [_inside(first, second)]
    return None


def _behind(scale: Scale, renaming: Flatten | Reshape, shape: Shape) -> list[Layer] | None:
    """The scaling after the renaming: nearer to the layer that takes it in."""
    target = renaming.output_shape(shape)
    if scale.factor.size == 1:
        return [renaming, scale]
    if len(target) != 1:
        return None
    factor, offset = _columns(shape, scale.factor), _columns(shape, scale.offset)
    return [renaming, Scale(factor, offset, scale.name)]


def _scaled_conv(scale: Scale, conv: Conv, shape: Shape) -> list[Layer] | None:
    if scale.offset.any() and any(conv.padding):
        # Padded zeros come after the offset: at the edges the sum would be another.
        if (scale.factor == 1).all() or (scale.factor == 0).any():
            return None
        offset = Scale(np.ones_like(scale.offset), scale.offset / scale.factor, scale.name)
        return [offset, replace(conv, weights=_channels(scale, conv, shape))]
    bias = conv.bias
    if scale.offset.any():
        offsets = np.broadcast_to(scale.offset, shape[:1]).reshape(conv.groups, -1)
        sums = conv.weights.sum(axis=(2, 3)).reshape(conv.groups, -1, conv.weights.shape[1])
        bias = bias + np.einsum("goi,gi->go", sums, offsets).ravel()
    return [replace(conv, weights=_channels(scale, conv, shape), bias=bias)]


def _channels(scale: Scale, conv: Conv, shape: Shape) -> Floats:
    """The kernel with every input channel's factor in it."""
    each = np.broadcast_to(scale.factor, shape[:1]).reshape(conv.groups, -1)
    per = conv.weights.shape[0] // conv.groups
    found: Floats = conv.weights * np.repeat(each, per, axis=0)[:, :, None, None]
    return found


def _inside(scale: Scale, polynomial: Polynomial) -> Polynomial:
    """``p(factor * x + offset)`` as a polynomial of x; the domain moves along."""
    from numpy.polynomial import Polynomial as Power

    factor, offset = float(scale.factor[0]), float(scale.offset[0])
    inner = Power(polynomial.coefficients)(Power([offset, factor])).coef
    coefficients = np.zeros(max(len(inner), 1))
    coefficients[: len(inner)] = inner
    if factor == 0:
        return replace(polynomial, coefficients=coefficients)
    low, high = sorted((edge - offset) / factor for edge in polynomial.domain)
    return replace(polynomial, coefficients=coefficients, domain=(low, high))
