# SPDX-License-Identifier: Apache-2.0
"""Linear layers as matrices, what they cost, and two of them as one."""

from __future__ import annotations

import math

import numpy as np

from hitoku.inference.arrays import Floats, Shape
from hitoku.inference.network import (
    Activation,
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

__all__ = ["LINEAR", "RENAMING", "as_dense", "combined_conv", "pool_as_conv", "products"]

LINEAR = (Dense, Conv, AveragePool, Scale, Flatten, Reshape, Select)
RENAMING = (Flatten, Reshape)
_ROWS = 256
"""Unit vectors at once when a matrix is read off a layer."""


def as_dense(layer: Layer, shape: Shape) -> Dense:
    """Any linear layer as a matrix and bias over the flattened input of this shape.

    The matrix is read off the layer's own reference: column k is what it makes of the k-th unit vector.
    """
    if isinstance(layer, Dense):
        return layer
    if isinstance(layer, (Polynomial, Activation)):
        raise TypeError("no linear layer")
    size, out = math.prod(shape), math.prod(layer.output_shape(shape))
    bias = layer.run(np.zeros((1, *shape))).reshape(out)
    weights = np.empty((out, size))
    for start in range(0, size, _ROWS):
        count = min(_ROWS, size - start)
        units = np.zeros((count, size))
        units[np.arange(count), start + np.arange(count)] = 1.0
        weights[:, start : start + count] = (
            layer.run(units.reshape(count, *shape)).reshape(count, out) - bias
        ).T
    return Dense(weights, bias, layer.name)


def products(layer: Layer, shape: Shape) -> int:
    """How many products with constants the layer needs for one sample, about."""
    out = math.prod(layer.output_shape(shape))
    if isinstance(layer, Dense):
        return layer.weights.size
    if isinstance(layer, Conv):
        return out * math.prod(layer.weights.shape[1:])
    if isinstance(layer, AveragePool):
        return out * math.prod(layer.kernel)
    return out if isinstance(layer, Scale) else 0


def pool_as_conv(pool: AveragePool, channels: int) -> Conv | None:
    """A pooling as a convolution of each channel; None where edges are averaged over fewer values."""
    if any(pool.padding) and not pool.count_padding:
        return None
    weights = np.full((channels, 1, *pool.kernel), 1.0 / math.prod(pool.kernel))
    return Conv(weights, np.zeros(channels), pool.stride, pool.padding, groups=channels, name=pool.name)


def _full(conv: Conv) -> Floats:
    """The kernel with zeros between groups: [out, in, kh, kw]."""
    if conv.groups == 1:
        return conv.weights
    out, each = conv.weights.shape[:2]
    found = np.zeros((out, each * conv.groups, *conv.kernel))
    per = out // conv.groups
    for group in range(conv.groups):
        rows = slice(group * per, (group + 1) * per)
        found[rows, group * each : (group + 1) * each] = conv.weights[rows]
    return found


def _spread(kernel: Floats, dilation: tuple[int, int]) -> Floats:
    """A dilated kernel with its zeros written out."""
    if dilation == (1, 1):
        return kernel
    height, width = ((k - 1) * d + 1 for k, d in zip(kernel.shape[2:], dilation, strict=True))
    found = np.zeros((*kernel.shape[:2], height, width))
    found[:, :, :: dilation[0], :: dilation[1]] = kernel
    return found


def combined_conv(first: Conv, second: Conv) -> Conv | None:
    """One convolution that does both; None where the second pads: its zeros are not what the first gives."""
    if any(second.padding):
        return None
    a, b = _spread(_full(first), first.dilation), _spread(_full(second), second.dilation)
    sh, sw = first.stride
    height, width = a.shape[2] + (b.shape[2] - 1) * sh, a.shape[3] + (b.shape[3] - 1) * sw
    if b.shape[0] * a.shape[1] * height * width > 1 << 22:
        return None
    weights = np.zeros((b.shape[0], a.shape[1], height, width))
    for row in range(b.shape[2]):
        for column in range(b.shape[3]):
            part = np.einsum("om,mihw->oihw", b[:, :, row, column], a)
            top, left = row * sh, column * sw
            weights[:, :, top : top + a.shape[2], left : left + a.shape[3]] += part
    bias = second.bias + b.sum(axis=(2, 3)) @ first.bias
    stride = first.stride[0] * second.stride[0], first.stride[1] * second.stride[1]
    return Conv(weights, bias, stride, first.padding, name=first.name or second.name)
