# SPDX-License-Identifier: Apache-2.0
"""The linear layers of a network: dense, convolution, average pooling, scaling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hitoku.inference.arrays import Floats, Shape, floats, image_of, padded_size, size_of, text_of, windows
from hitoku.inference.errors import ModelError

__all__ = ["AveragePool", "Conv", "Dense", "Scale"]

CHUNK_VALUES = 1 << 24
"""How many values of a convolution's windows stand in memory at once (128 MiB)."""


@dataclass(frozen=True, eq=False)
class Dense:
    """``weights @ x + bias`` over the flattened input."""

    weights: Floats
    """[out, in]"""
    bias: Floats
    """[out]"""
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", floats(self.weights, 2, self.where))
        object.__setattr__(self, "bias", floats(self.bias, 1, self.where))
        if self.weights.shape[0] != self.bias.shape[0] or not self.weights.size:
            raise ModelError("SHAPE", "weights and bias do not fit", where=self.where)

    @property
    def where(self) -> str:
        """The layer's name for messages."""
        return f'Dense "{self.name}"'

    def output_shape(self, shape: Shape) -> Shape:
        """[out]. Raises ModelError where the input does not fit."""
        if size_of(shape) != self.weights.shape[1]:
            raise ModelError(
                "SHAPE", f"takes {self.weights.shape[1]} values, gets {text_of(shape)}", where=self.where
            )
        return (self.weights.shape[0],)

    def run(self, x: Floats) -> Floats:
        """[batch, ...] to [batch, out]."""
        found: Floats = x.reshape(len(x), -1) @ self.weights.T + self.bias
        return found


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution (cross-correlation, as ONNX and PyTorch have it) over channels x height x width."""

    weights: Floats
    """[out, in / groups, kernel height, kernel width]"""
    bias: Floats
    """[out]"""
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Zeros added at the top, left, bottom and right (ONNX's order)."""
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", floats(self.weights, 4, self.where))
        object.__setattr__(self, "bias", floats(self.bias, 1, self.where))
        out = self.weights.shape[0]
        steps = (*self.stride, *self.dilation, self.groups)
        if out != self.bias.shape[0] or not self.weights.size or min(steps) < 1 or out % self.groups:
            raise ModelError("SHAPE", "weights, bias, steps and groups do not fit", where=self.where)
        if (
            len(self.stride) != 2
            or len(self.dilation) != 2
            or len(self.padding) != 4
            or min(self.padding) < 0
        ):
            raise ModelError(
                "SHAPE", "needs two strides and four paddings that are not negative", where=self.where
            )

    @property
    def where(self) -> str:
        """The layer's name for messages."""
        return f'Conv "{self.name}"'

    @property
    def kernel(self) -> tuple[int, int]:
        """Kernel height and width."""
        return self.weights.shape[2], self.weights.shape[3]

    def output_shape(self, shape: Shape) -> Shape:
        """[out, height, width]. Raises ModelError where the input does not fit."""
        channels, height, width = image_of(shape, self.where)
        if channels != self.weights.shape[1] * self.groups:
            raise ModelError(
                "SHAPE",
                f"takes {self.weights.shape[1] * self.groups} channels, gets {channels}",
                where=self.where,
            )
        top, left, bottom, right = self.padding
        (kh, kw), (sh, sw), (dh, dw) = self.kernel, self.stride, self.dilation
        return (
            self.weights.shape[0],
            padded_size(height, top, bottom, kh, sh, dh, self.where),
            padded_size(width, left, right, kw, sw, dw, self.where),
        )

    def run(self, x: Floats) -> Floats:
        """[batch, in, height, width] to [batch, out, height, width]."""
        shape = self.output_shape(x.shape[1:])
        taps = self.weights.shape[1] * self.kernel[0] * self.kernel[1]
        each = max(1, CHUNK_VALUES // (shape[1] * shape[2] * taps * self.groups))
        result = np.empty((len(x), *shape))
        top, left, bottom, right = self.padding
        kernels = self.weights.reshape(self.groups, shape[0] // self.groups, taps)
        for start in range(0, len(x), each):
            part = np.pad(x[start : start + each], ((0, 0), (0, 0), (top, bottom), (left, right)))
            views = windows(part, self.kernel, self.stride, self.dilation)
            rows = views.reshape(len(part), self.groups, -1, *views.shape[2:])
            rows = rows.transpose(1, 0, 3, 4, 2, 5, 6).reshape(self.groups, -1, taps)
            sums = rows @ kernels.transpose(0, 2, 1)
            sums = sums.reshape(self.groups, len(part), shape[1], shape[2], -1).transpose(1, 0, 4, 2, 3)
            result[start : start + each] = sums.reshape(len(part), *shape)
        result += self.bias[:, None, None]
        return result


@dataclass(frozen=True, eq=False)
class AveragePool:
    """The mean of each window of each channel."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Top, left, bottom, right."""
    count_padding: bool = False
    """Whether padded zeros count in the mean (ONNX's count_include_pad)."""
    name: str = ""

    def __post_init__(self) -> None:
        if min(*self.kernel, *self.stride) < 1 or min(self.padding) < 0:
            raise ModelError("SHAPE", "kernel and stride must be positive", where=self.where)
        if max(self.padding[0], self.padding[2]) >= self.kernel[0] or (
            max(self.padding[1], self.padding[3]) >= self.kernel[1]
        ):
            raise ModelError("SHAPE", "padding must be smaller than the kernel", where=self.where)

    @property
    def where(self) -> str:
        """The layer's name for messages."""
        return f'AveragePool "{self.name}"'

    def output_shape(self, shape: Shape) -> Shape:
        """[channels, height, width]. Raises ModelError where the input does not fit."""
        channels, height, width = image_of(shape, self.where)
        top, left, bottom, right = self.padding
        return (
            channels,
            padded_size(height, top, bottom, self.kernel[0], self.stride[0], 1, self.where),
            padded_size(width, left, right, self.kernel[1], self.stride[1], 1, self.where),
        )

    def run(self, x: Floats) -> Floats:
        """[batch, channels, height, width] to the same with fewer rows and columns."""
        self.output_shape(x.shape[1:])
        top, left, bottom, right = self.padding
        edges = ((0, 0), (0, 0), (top, bottom), (left, right))
        sums = windows(np.pad(x, edges), self.kernel, self.stride, (1, 1)).sum(axis=(4, 5))
        if self.count_padding:
            return np.asarray(sums / (self.kernel[0] * self.kernel[1]))
        ones = np.pad(np.ones((1, 1, *x.shape[2:])), edges)
        return np.asarray(sums / windows(ones, self.kernel, self.stride, (1, 1)).sum(axis=(4, 5)))


@dataclass(frozen=True, eq=False)
class Scale:
    """``factor * x + offset``, with one factor and offset a channel (the first dimension), or one for all."""

    factor: Floats
    """[channels] or [1]"""
    offset: Floats
    """[channels] or [1]"""
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", floats(self.factor, 1, self.where))
        object.__setattr__(self, "offset", floats(self.offset, 1, self.where))
        if self.factor.shape != self.offset.shape or not self.factor.size:
            raise ModelError("SHAPE", "factor and offset do not fit", where=self.where)

    @property
    def where(self) -> str:
        """The layer's name for messages."""
        return f'Scale "{self.name}"'

    def output_shape(self, shape: Shape) -> Shape:
        """The input's shape. Raises ModelError where the channels do not fit."""
        if self.factor.size not in (1, shape[0] if shape else 1):
            raise ModelError(
                "SHAPE", f"has {self.factor.size} factors for {text_of(shape)}", where=self.where
            )
        return shape

    def run(self, x: Floats) -> Floats:
        """[batch, channels, ...] to the same shape."""
        self.output_shape(x.shape[1:])
        form = (-1, *(1 for _ in x.shape[2:]))
        found: Floats = x * self.factor.reshape(form) + self.offset.reshape(form)
        return found
