# SPDX-License-Identifier: Apache-2.0
"""Weights as whole numbers with one unit a layer.

A product of encrypted residues with a small whole number is one machine instruction and adds only the
number's bits to a value's scale; a product with a real constant needs a scale of its own and a modulus to
take it away again. Biases stay real: they are added at the scale that the layer's result has anyway.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.inference.arrays import Floats
from hitoku.inference.errors import ModelError
from hitoku.inference.network import Conv, Dense, Layer, Network
from hitoku.inference.passes.measure import Difference, calibration_of, compare

__all__ = ["BITS", "IntegerWeights", "Integers", "integers", "rounded"]

BITS: Final = (5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
_SHOWN: Final = 2048
_GRID: Final = 8
"""Units an octave."""
_EXACT: Final = 1e-20
"""Square of the relative error that float64's own rounding makes."""


@dataclass(frozen=True, eq=False)
class IntegerWeights:
    """A layer's weights: ``weights * unit`` is what the network computes with.

    Attributes:
        weights: int64, the shape of the layer's own, at most ``2**(bits - 1) - 1`` in size.
        unit: what 1 stands for.
        bits: of a weight, with its sign.
    """

    weights: NDArray[np.int64]
    unit: float
    bits: int


@dataclass(frozen=True, eq=False)
class Integers:
    """The network with rounded weights and what rounding costs on samples.

    Attributes:
        network: its `run` computes with the rounded weights: the reference for encrypted results.
        weights: for each layer its whole numbers; None for layers without weights.
        cost: against the network before.
    """

    network: Network
    weights: tuple[IntegerWeights | None, ...]
    cost: Difference

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data, without the weights."""
        return {"bits": [None if w is None else w.bits for w in self.weights], "cost": self.cost.to_dict()}


def rounded(weights: Floats, bits: int) -> IntegerWeights:
    """The nearest whole numbers of this many bits, with the unit that loses least.

    The greatest weight need not be the greatest whole number: a unit a little smaller or larger can fit the
    weights better (least squares decides between some). Units lie on a public grid, eight to an octave: they
    go into the scale of the scores, which every client reads, and must not tell the greatest weight exactly.
    But where all weights are whole multiples of one number (a network of +-1), nothing else is as exact.
    """
    most = 2 ** (bits - 1) - 1
    largest = float(np.abs(weights).max())
    if largest == 0:
        return IntegerWeights(np.zeros(weights.shape, np.int64), 1.0, bits)

    def error(unit: float) -> float:
        return float(np.square(np.clip(np.rint(weights / unit), -most, most) * unit - weights).sum())

    best = largest / most
    if error(best) > _EXACT * float(np.square(weights).sum()):
        shares = (1.0, 0.98, 0.95, 0.9, 0.85, 0.8)
        best = min((_on_grid(largest * share / most) for share in shares), key=error)
    numbers = np.clip(np.rint(weights / best), -most, most).astype(np.int64)
    return IntegerWeights(numbers, best, bits)


def _on_grid(unit: float) -> float:
    return float(2.0 ** (math.ceil(math.log2(unit) * _GRID) / _GRID))


def integers(
    network: Network, samples: object, *, tolerance: float = 0.01, bits: Sequence[int] = BITS
) -> Integers:
    """Round every dense and convolution layer's weights to whole numbers.

    All layers get the same number of bits, the smallest that keeps the tolerance.

    Args:
        network: normalised (`normalise`); a layer whose rows differ much in size needs more bits.
        samples: [count, *input_shape] in the unit of this network's input (`InputRange.apply`).
        tolerance: the relative error of the scores (`Difference.error`).
        bits: what may be chosen, rising; 2 to 24.

    Raises:
        ModelError: CALIBRATION, or TOLERANCE where the most bits do not keep it.
    """
    x = calibration_of(network, samples)[:_SHOWN]
    wanted = network.run(x)
    allowed = sorted({each for each in bits if 2 <= each <= 24})
    found = None
    for each in allowed:
        found = _with_bits(network, x, wanted, each)
        if found.cost.error <= tolerance:
            return found
    error = float("inf") if found is None else found.cost.error
    raise ModelError(
        "TOLERANCE",
        f"whole numbers of {allowed[-1] if allowed else 0} bits do not stand for its weights well enough: "
        f"relative error {error:.2%}, {tolerance:.2%} is allowed",
        where=f'model "{network.name}"',
        remedy="allow more, or train with weights of similar size (weight decay, normalised inputs)",
    )


def _with_bits(network: Network, x: Floats, wanted: Floats, bits: int) -> Integers:
    layers: list[Layer] = []
    weights: list[IntegerWeights | None] = []
    for layer in network.layers:
        if not isinstance(layer, (Dense, Conv)):
            layers.append(layer)
            weights.append(None)
            continue
        numbers = rounded(layer.weights, bits)
        weights.append(numbers)
        layers.append(replace(layer, weights=np.asarray(numbers.weights * numbers.unit, np.float64)))
    changed = network.with_layers(tuple(layers))
    return Integers(changed, tuple(weights), compare(wanted, changed.run(x)))
