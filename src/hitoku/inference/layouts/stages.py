# SPDX-License-Identifier: Apache-2.0
"""A network as linear maps and polynomials only: what both layouts are written from.

A linear map keeps the structure that makes it cheap: a `Block` is one small matrix that stands at many
places, as a convolution's kernel does. Padded zeros are left out, so an edge of the image has blocks of its
own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku.inference.arrays import Floats, Shape
from hitoku.inference.errors import ModelError

__all__ = ["Block", "Ints", "Linear", "Poly", "Stage", "run"]

Ints = NDArray[np.int64]

_CHUNK_VALUES: Final = 1 << 24
_LARGEST_RATIO: Final = 255


@dataclass(frozen=True, eq=False)
class Block:
    """One matrix at `places` places: ``y[outputs[g]] = weights @ x[inputs[g]]`` for every place g."""

    inputs: Ints
    """[places, in]"""
    outputs: Ints
    """[places, out]; an output of a map belongs to one place of one block."""
    weights: Floats
    """[out, in]"""


@dataclass(frozen=True, eq=False)
class Linear:
    """``y = A x + bias``, A given by its blocks."""

    name: str
    size_in: int
    size_out: int
    blocks: tuple[Block, ...]
    bias: Floats
    """[size_out]"""
    shape_in: Shape = ()
    """The input's shape, where it is an image; empty otherwise."""
    shape_out: Shape = ()
    unit: float | None = None
    """What the weight 1 means, where the weights are whole numbers."""

    def run(self, x: Floats) -> Floats:
        """[batch, size_in] to [batch, size_out]."""
        result = np.empty((len(x), self.size_out))
        result[:] = self.bias
        for block in self.blocks:
            places, taps = block.inputs.shape
            each = max(1, _CHUNK_VALUES // (places * taps))
            for start in range(0, len(x), each):
                rows = x[start : start + each][:, block.inputs] @ block.weights.T
                result[start : start + each, block.outputs.ravel()] += rows.reshape(len(rows), -1)
        return result

    @property
    def largest(self) -> float:
        """The largest weight's size."""
        return max((float(np.abs(b.weights).max(initial=0.0)) for b in self.blocks), default=0.0)

    def products(self) -> int:
        """How many multiplications by a weight one sample needs."""
        return sum(b.inputs.shape[0] * b.weights.size for b in self.blocks)

    def entries(self) -> Iterator[tuple[Ints, Ints, Floats]]:
        """Row numbers, column numbers and weights that are not zero, block by block (flat arrays)."""
        for block in self.blocks:
            rows = np.broadcast_to(block.outputs[:, :, None], (*block.outputs.shape, block.inputs.shape[1]))
            columns = np.broadcast_to(block.inputs[:, None, :], rows.shape)
            weights = np.broadcast_to(block.weights, rows.shape)
            used = weights != 0
            yield rows[used], columns[used], weights[used]

    def matrix(self) -> Floats:
        """The whole matrix [size_out, size_in]."""
        found = np.zeros((self.size_out, self.size_in))
        for rows, columns, weights in self.entries():
            found[rows, columns] = weights
        return found

    def after_input(self, factor: Floats, offset: Floats) -> Linear:
        """The same map of x where it is given ``x'`` with ``x = factor * x' + offset``.

        Args:
            factor: [size_in]; equal for all inputs where a block stands at several places.
            offset: [size_in].
        """
        bias = self.run(offset[None, :])[0]
        blocks = []
        for block in self.blocks:
            rows = factor[block.inputs]
            if (rows != rows[0]).any():
                raise ValueError("factors differ between the places of a block")
            blocks.append(replace(block, weights=block.weights * rows[0]))
        return replace(self, blocks=tuple(blocks), bias=bias)

    def then(self, factor: float, offset: float = 0.0) -> Linear:
        """``factor * y + offset`` instead of y."""
        return replace(self.scaled(factor), bias=self.bias * factor + offset)

    def scaled(self, factor: float) -> Linear:
        """Weights times `factor`; the bias stays."""
        blocks = tuple(replace(b, weights=b.weights * factor) for b in self.blocks)
        unit = None if self.unit is None or factor == 0.0 else self.unit * abs(factor)
        return replace(self, blocks=blocks, unit=unit)

    def with_constant(self, constant: float) -> Linear:
        """The same map of ``x + constant`` for every input."""
        return replace(self, bias=self.run(np.full((1, self.size_in), constant))[0])

    def whole(self) -> Linear:
        """A map whose weights are few whole multiples of one number, as pooling's are, with that unit.

        Raises:
            ModelError: the weights were not rounded.
        """
        if self.unit is not None:
            return self
        sizes = np.unique(np.abs(np.concatenate([b.weights.ravel() for b in self.blocks])))
        sizes = sizes[sizes > 0.0]
        if not sizes.size:
            return replace(self, unit=1.0)
        ratios = sizes / sizes[0]
        if ratios[-1] > _LARGEST_RATIO or np.abs(ratios - np.rint(ratios)).max() > 1e-9:
            raise ModelError("VALUE", "has weights that are not whole multiples of a unit", where=self.name)
        return replace(self, unit=float(sizes[0]))


@dataclass(frozen=True, eq=False)
class Poly:
    """A polynomial of every value, over powers or over Chebyshev polynomials of [-1, 1]."""

    name: str
    size: int
    coefficients: Floats
    """Low to high; the highest is not zero."""
    chebyshev: bool = False
    shape: Shape = ()

    @property
    def degree(self) -> int:
        """The highest power."""
        return len(self.coefficients) - 1

    @property
    def is_square(self) -> bool:
        """Whether it is exactly x * x."""
        return not self.chebyshev and self.coefficients.tolist() == [0.0, 0.0, 1.0]

    def run(self, x: Floats) -> Floats:
        """The same shape."""
        if self.chebyshev:
            return np.asarray(np.polynomial.chebyshev.chebval(x, self.coefficients))
        return np.asarray(np.polynomial.polynomial.polyval(x, self.coefficients))


Stage = Linear | Poly


def run(parts: tuple[Stage, ...], x: Floats) -> list[Floats]:
    """The values before the first stage and after each, all [batch, values]."""
    found = [x.reshape(len(x), -1)]
    for part in parts:
        found.append(part.run(found[-1]))
    return found
