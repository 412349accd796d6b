# SPDX-License-Identifier: Apache-2.0
"""From a network's layers to `stages`: windows become blocks, polynomials get their cheapest form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from hitoku.inference.arrays import Floats, Shape, size_of
from hitoku.inference.errors import ModelError
from hitoku.inference.layouts.stages import Block, Ints, Linear, Poly, Stage
from hitoku.inference.network import (
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

__all__ = ["stages"]


def stages(network: Network, units: Sequence[float | None] = ()) -> tuple[Stage, ...]:
    """The network's stages: it starts and ends with a linear map.

    Args:
        network: folded and normalised (`hitoku.inference.passes`).
        units: for each layer what its weight 1 means, where weights were rounded to whole numbers.

    Raises:
        ModelError: an activation that was not fitted (``OPERATOR``).
    """
    found: list[Stage] = []
    picked: Ints | None = None
    shapes = network.shapes()
    for number, layer in enumerate(network.layers):
        shape, after = shapes[number], shapes[number + 1]
        if isinstance(layer, Flatten | Reshape):
            continue
        if isinstance(layer, Select):
            picked = (
                layer.indices
                if picked is None
                else np.where(layer.indices < 0, -1, picked[np.maximum(layer.indices, 0)])
            )
            continue
        if isinstance(layer, Polynomial):
            if picked is not None:
                found.append(_identity(layer.name + "/pick", shape, picked, found, network))
                picked = None
            elif not found:
                found.append(_identity(layer.name + "/input", shape, None, found, network))
            found += _polynomial(layer, shape)
            continue
        linear = replace(_linear(layer, shape, after), unit=units[number] if units else None)
        found.append(_picked(linear, picked, found, network))
        picked = None
    if picked is not None or not found or isinstance(found[-1], Poly):
        found.append(_identity("output", network.shapes()[-1], picked, found, network))
    return _tidy(found)


def _size_before(found: list[Stage], network: Network) -> int:
    if not found:
        return size_of(network.input_shape)
    last = found[-1]
    return last.size_out if isinstance(last, Linear) else last.size


def _identity(name: str, shape: Shape, picked: Ints | None, found: list[Stage], network: Network) -> Linear:
    size = size_of(shape)
    at = np.arange(size)[:, None]
    image = shape if len(shape) == 3 else ()
    one = Linear(name, size, size, (Block(at, at, np.ones((1, 1))),), np.zeros(size), image, image)
    return _picked(one, picked, found, network)


def _picked(linear: Linear, picked: Ints | None, found: list[Stage], network: Network) -> Linear:
    """The map of a choice of the values before it; a choice of -1 is a zero."""
    if picked is None:
        return linear
    blocks = []
    for block in linear.blocks:
        blocks += _without_zeros(picked[block.inputs], block.outputs, block.weights)
    return replace(linear, size_in=_size_before(found, network), blocks=tuple(blocks), shape_in=())


def _without_zeros(inputs: Ints, outputs: Ints, weights: Floats) -> list[Block]:
    """Blocks of the places that lack the same inputs (-1), without those."""
    there = inputs >= 0
    masks, which = np.unique(there, axis=0, return_inverse=True)
    blocks = []
    for number, mask in enumerate(masks):
        rows = which.ravel() == number
        if mask.any():
            blocks.append(Block(inputs[rows][:, mask], outputs[rows], weights[:, mask]))
    return blocks


def _linear(layer: Layer, shape: Shape, after: Shape) -> Linear:
    size, out = size_of(shape), size_of(after)
    images = (shape if len(shape) == 3 else (), after if len(after) == 3 else ())
    if isinstance(layer, Dense):
        block = Block(np.arange(size)[None, :], np.arange(out)[None, :], layer.weights)
        return Linear(layer.name or "dense", size, out, (block,), layer.bias, *images)
    if isinstance(layer, Conv):
        bias = np.repeat(layer.bias, after[1] * after[2])
        return Linear(layer.name or "conv", size, out, tuple(_conv(layer, shape, after)), bias, *images)
    if isinstance(layer, AveragePool):
        blocks = tuple(_pool(layer, shape, after))
        return Linear(layer.name or "pool", size, out, blocks, np.zeros(out), *images)
    if isinstance(layer, Scale):
        inner = size // (shape[0] if layer.factor.size > 1 else size)
        channels = np.arange(size).reshape(-1, inner)[:, :, None]
        factors = np.broadcast_to(layer.factor, (len(channels),))
        blocks = tuple(Block(c, c, np.array([[f]])) for c, f in zip(channels, factors, strict=True))
        bias = np.repeat(np.broadcast_to(layer.offset, (len(channels),)), inner)
        return Linear(layer.name or "scale", size, out, blocks, bias, *images)
    raise ModelError(
        "OPERATOR",
        "has no encrypted counterpart as it stands",
        where=getattr(layer, "where", type(layer).__name__),
        remedy="fit a polynomial to it first (hitoku.inference.passes)",
    )


def _window(shape: Shape, after: Shape, layer: Conv | AveragePool) -> Ints:
    """[height, width, kernel height, kernel width]: positions in one channel, -1 in the padding."""
    top, left, _, _ = layer.padding
    dilation = layer.dilation if isinstance(layer, Conv) else (1, 1)
    rows = np.arange(after[1])[:, None] * layer.stride[0] + np.arange(layer.kernel[0]) * dilation[0] - top
    columns = np.arange(after[2])[:, None] * layer.stride[1] + np.arange(layer.kernel[1]) * dilation[1] - left
    r, c = rows[:, None, :, None], columns[None, :, None, :]
    inside = (r >= 0) & (r < shape[1]) & (c >= 0) & (c < shape[2])
    return np.where(inside, r * shape[2] + c, -1)


def _conv(layer: Conv, shape: Shape, after: Shape) -> Iterator[Block]:
    window = _window(shape, after, layer).reshape(after[1] * after[2], -1)
    area, ins, outs = shape[1] * shape[2], layer.weights.shape[1], layer.weights.shape[0] // layer.groups
    for group in range(layer.groups):
        channels = (group * ins + np.arange(ins)) * area
        inputs = np.where(window[:, None, :] < 0, -1, window[:, None, :] + channels[None, :, None])
        maps = (group * outs + np.arange(outs)) * len(window)
        outputs = np.arange(len(window))[:, None] + maps[None, :]
        weights = layer.weights[group * outs : (group + 1) * outs].reshape(outs, -1)
        yield from _without_zeros(inputs.reshape(len(window), -1), outputs, weights)


def _pool(layer: AveragePool, shape: Shape, after: Shape) -> Iterator[Block]:
    window = _window(shape, after, layer).reshape(after[1] * after[2], -1)
    area, taps = shape[1] * shape[2], window.shape[1]
    for block in _without_zeros(window, np.arange(len(window))[:, None], np.ones((1, taps))):
        kept = block.inputs.shape[1]
        weights = np.full((1, kept), 1.0 / (taps if layer.count_padding else kept))
        channels = np.arange(shape[0])[:, None, None]
        yield Block(
            (block.inputs + channels * area).reshape(-1, kept),
            (block.outputs + channels * len(window)).reshape(-1, 1),
            weights,
        )


def _polynomial(layer: Polynomial, shape: Shape) -> list[Stage]:
    coefficients = layer.coefficients[: layer.degree + 1]
    size, image = size_of(shape), shape if len(shape) == 3 else ()
    name = layer.name or (layer.replaced or "polynomial")
    low, high = layer.domain
    if layer.degree <= 2 or not np.isfinite([low, high]).all():
        return [Poly(name, size, coefficients, False, image)]
    # Chebyshev polynomials stay in [-1, 1] on the domain; powers of a wide domain do not. `_tidy` pulls the
    # map of the domain to [-1, 1] into the linear layer before.
    at = np.arange(size)[:, None]
    half, middle = (high - low) / 2, (high + low) / 2
    to_unit = Linear(
        f"{name}/domain", size, size, (Block(at, at, np.full((1, 1), 1 / half)),),
        np.full(size, -middle / half), image, image,
    )  # fmt: skip
    return [to_unit, Poly(name, size, layer.chebyshev()[: layer.degree + 1], True, image)]


def _tidy(found: list[Stage]) -> tuple[Stage, ...]:
    """Polynomials made as cheap as they can be, what that costs is pulled into the linear maps beside them.

    Degree 1 disappears; degree 2 becomes a bare square; of others the constant and the largest coefficient
    go.
    """
    tidy: list[Stage] = []
    factor, constant = 1.0, 0.0
    for part in found:
        last = tidy[-1] if tidy else None
        if isinstance(part, Poly):
            if not isinstance(last, Linear):
                raise ModelError(
                    "OPERATOR", "follows another activation", where=part.name, remedy="merge the two"
                )
            before, now, factor, constant = _bare(part)
            moved = last.then(*before)
            tidy[-1] = moved
            if now is not None:
                tidy.append(now)
                continue
            tidy[-1] = moved.then(factor, constant)
        elif isinstance(last, Poly):
            tidy.append(part.with_constant(constant).scaled(factor))
        elif isinstance(last, Linear) and part.name.endswith("/domain"):
            tidy[-1] = last.then(float(part.blocks[0].weights[0, 0]), float(part.bias[0]))
            continue
        else:
            tidy.append(part)
        factor, constant = 1.0, 0.0
    return tuple(tidy)


def _bare(part: Poly) -> tuple[tuple[float, float], Poly | None, float, float]:
    """What to do to x before, the cheaper polynomial if one is left, and the factor and constant after it."""
    low = part.coefficients
    if part.degree <= 1:
        return (1.0, 0.0), None, float(low[1]) if part.degree else 0.0, float(low[0])
    if part.degree == 2 and not part.chebyshev:
        c0, c1, c2 = (float(c) for c in low)
        square = replace(part, coefficients=np.array([0.0, 0.0, 1.0]))
        return (1.0, c1 / (2 * c2)), square, c2, c0 - c1 * c1 / (4 * c2)
    top = float(np.abs(low[1:]).max())
    rest = np.concatenate([[0.0], low[1:] / top])
    return (1.0, 0.0), replace(part, coefficients=rest), top, float(low[0])
