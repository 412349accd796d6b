# SPDX-License-Identifier: Apache-2.0
"""Bring values into [-1, 1] and polynomials into their cheapest form; the function stays the same.

Three changes of variables, each undone by the linear layer beside it:

- Inputs: the client sends ``(x - offset) / width`` for public ranges, so that features of different sizes
  share one scale. The ranges are those of the calibration samples, rounded outward to two digits; they are
  all that the client learns of them, and what it checks inputs against.
- Before a polynomial: its argument is moved to the middle of the domain and divided by its half width, so
  that coefficients of every degree have one size; its results are divided by the largest of them.
- A polynomial of degree 2, ``a t^2 + b t + c = a (t + b / 2a)^2 + (c - b^2 / 4a)``: the shift goes into the
  layer before, a and the rest into the layer behind, and what is left is a bare square: one product, no
  constants. Where the vertex lies far outside the domain the square would lose digits, and it stays as it is.

A constant behind a polynomial cannot move through a convolution that pads: its zeros are not moved. There a
`Scale` stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.polynomial import Polynomial as Power

from hitoku.inference.arrays import Floats
from hitoku.inference.network import AveragePool, Conv, Dense, Layer, Network, Polynomial, Scale
from hitoku.inference.passes.fold import fold
from hitoku.inference.passes.linear import RENAMING
from hitoku.inference.passes.measure import calibration_of

__all__ = ["InputRange", "Normalised", "normalise"]

MARGIN: Final = 0.1
"""How much wider than the calibration values a bare polynomial's domain is, on each side."""
FARTHEST_VERTEX: Final = 4.0
"""In half widths of the domain; farther away a square costs 2 log2 of it bits of precision."""


@dataclass(frozen=True, eq=False)
class InputRange:
    """What a client may send, and how it maps it to [-1, 1].

    Attributes:
        low, high: the least and greatest value of each feature, flat, [values].
        offset, width: the client encrypts ``(x - offset) / width``, [values].
    """

    low: Floats
    high: Floats
    offset: Floats
    width: Floats

    def apply(self, x: Floats) -> Floats:
        """[batch, ...] to [batch, values], in [-1, 1] for values within the range."""
        found: Floats = (x.reshape(len(x), -1) - self.offset) / self.width
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {name: getattr(self, name).tolist() for name in ("low", "high", "offset", "width")}


@dataclass(frozen=True, eq=False)
class Normalised:
    """The network over inputs that `inputs.apply` made, [batch, values] or the input's shape."""

    network: Network
    inputs: InputRange


def _outward(value: float, up: bool) -> float:
    """Two significant digits, away from the range's middle."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return float(f"{(math.ceil if up else math.floor)(round(value / unit, 6)) * unit:.12g}")


def _range(network: Network, x: Floats) -> InputRange:
    """One range for all pixels of an image, one a column for a table."""
    flat = x.reshape(len(x), -1)
    size = flat.shape[1]
    first = next((layer for layer in network.layers if not isinstance(layer, RENAMING)), None)
    table = len(network.input_shape) == 1 and not isinstance(first, (Conv, AveragePool))
    columns = flat if table else flat.reshape(-1, 1)
    low = np.array([_outward(value, up=False) for value in columns.min(axis=0).tolist()])
    high = np.array([_outward(value, up=True) for value in columns.max(axis=0).tolist()])
    if table and isinstance(first, (Dense, Scale)):
        offset, width = (low + high) / 2, (high - low) / 2
    else:
        # A convolution pads with zeros: zero must stay zero.
        offset, width = np.zeros_like(low), np.maximum(np.abs(low), np.abs(high))
    parts = (low, high, offset, np.where(width > 0, width, 1.0))
    return InputRange(*(np.array(np.broadcast_to(part, (size,)), dtype=np.float64) for part in parts))


def normalise(network: Network, samples: object, *, inputs: bool = True) -> Normalised:
    """The same function over inputs in [-1, 1], with polynomials over [-1, 1] or bare squares.

    Args:
        network: fitted (`fit`); folded or not, it is folded here.
        samples: [count, *input_shape], in the model's own unit.
        inputs: whether to scale inputs; else they stay as they are.

    Raises:
        ModelError: CALIBRATION.
    """
    x = calibration_of(network, samples)
    network = fold(network)
    told = _range(network, x)
    if inputs:
        network = fold(network.with_layers((*_undone(told, network), *network.layers)))
        x = told.apply(x).reshape(x.shape)
    else:
        told = replace(told, offset=np.zeros_like(told.low), width=np.ones_like(told.low))
    layers: list[Layer] = []
    values = x
    for layer in network.layers:
        layers += _normal(layer, values) if isinstance(layer, Polynomial) else [layer]
        values = layer.run(values)
    return Normalised(_folded(network.with_layers(tuple(layers))), told)


def _undone(told: InputRange, network: Network) -> list[Layer]:
    """The layers that give the model its own unit back."""
    from hitoku.inference.network import Reshape

    if (told.width == told.width[0]).all() and (told.offset == told.offset[0]).all():
        return [Scale(told.width[:1], told.offset[:1], "inputs")]
    flat: Layer = Scale(told.width, told.offset, "inputs")
    shape = network.input_shape
    return [flat] if len(shape) == 1 else [Reshape((told.width.size,)), flat, Reshape(shape)]


def _normal(layer: Polynomial, values: Floats) -> list[Layer]:
    """Scalings around a polynomial over [-1, 1], or around a bare square."""
    low, high = layer.domain
    if math.isinf(low) or math.isinf(high):
        least, most = float(values.min()), float(values.max())
        wider = MARGIN * (most - least) or 1.0
        low, high = least - wider, most + wider
    if layer.degree == 2:
        found = _square(layer, low, high)
        if found is not None:
            return found
    middle, half = (low + high) / 2, (high - low) / 2
    coefficients = np.asarray(Power(layer.coefficients)(Power([middle, half])).coef, dtype=np.float64)
    size = float(np.abs(Power(coefficients)(np.linspace(-1, 1, 1025))).max()) or 1.0
    inner = replace(layer, coefficients=coefficients / size, domain=(-1.0, 1.0))
    return [_one(1 / half, -middle / half, layer.name), inner, _one(size, 0.0, layer.name)]


def _square(layer: Polynomial, low: float, high: float) -> list[Layer] | None:
    c, b, a = layer.coefficients[:3].tolist()
    vertex = -b / (2 * a)
    if abs(vertex - (low + high) / 2) > FARTHEST_VERTEX * (high - low) / 2:
        return None
    reach = max(high - vertex, vertex - low)
    bare = replace(
        layer,
        coefficients=np.array([0.0, 0.0, 1.0]),
        domain=((low - vertex) / reach, (high - vertex) / reach),
    )
    before = _one(1 / reach, -vertex / reach, layer.name)
    return [before, bare, _one(a * reach**2, c - b * b / (4 * a), layer.name)]


def _one(factor: float, offset: float, name: str) -> Scale:
    return Scale(np.array([factor]), np.array([offset]), name)


def _folded(network: Network) -> Network:
    """Folded, but no scaling goes into a polynomial: it has its form now."""
    return fold(network, polynomials=False)
