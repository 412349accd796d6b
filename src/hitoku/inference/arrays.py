# SPDX-License-Identifier: Apache-2.0
"""What the layers of a network share: checked constant arrays, shapes, and the windows of an image."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from hitoku.inference.errors import ModelError

__all__ = ["Floats", "Shape", "floats", "image_of", "padded_size", "size_of", "text_of", "windows"]

Floats: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = tuple[int, ...]


def floats(values: ArrayLike, dimensions: int, where: str) -> Floats:
    """A frozen float64 array of finite numbers. Raises ModelError otherwise."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.ndim != dimensions:
        raise ModelError("SHAPE", f"has {array.ndim} dimensions where {dimensions} are meant", where=where)
    if not np.isfinite(array).all():
        raise ModelError("VALUE", "holds a value that is not a finite number", where=where)
    array.setflags(write=False)
    return array


def size_of(shape: Shape) -> int:
    """How many values the shape holds."""
    return math.prod(shape)


def image_of(shape: Shape, where: str) -> tuple[int, int, int]:
    """Channels, height, width. Raises ModelError where the shape has not three dimensions."""
    if len(shape) != 3:
        raise ModelError("SHAPE", f"takes channels x height x width, gets {text_of(shape)}", where=where)
    return shape[0], shape[1], shape[2]


def text_of(shape: Shape) -> str:
    """The shape for a sentence."""
    return " x ".join(map(str, shape)) or "one number"


def windows(x: Floats, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> Floats:
    """Views [batch, channels, height, width, kh, kw] of a padded image."""
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    views = sliding_window_view(x, reach, axis=(2, 3))
    found: Floats = views[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return found


def padded_size(
    size: int, before: int, after: int, kernel: int, stride: int, dilation: int, where: str
) -> int:
    """How many windows fit a padded row. Raises ModelError where none does."""
    left = size + before + after - dilation * (kernel - 1) - 1
    if left < 0:
        raise ModelError("SHAPE", f"the window is wider than its input ({size})", where=where)
    return left // stride + 1
