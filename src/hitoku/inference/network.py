# SPDX-License-Identifier: Apache-2.0
"""A neural network as a chain of typed layers over float64 arrays: what importers make and passes change.

Every layer is frozen, checks its own numbers when it is made, knows the shape it gives (`output_shape`,
without the batch) and computes it in the clear (`run`). `Network.run` is the reference that encrypted results
are compared with. The last steps that a client does on decrypted scores stand in `Network.post`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitoku.inference import activations, post
from hitoku.inference.arrays import Floats, Shape, floats, size_of, text_of
from hitoku.inference.errors import ModelError
from hitoku.inference.layers import AveragePool, Conv, Dense, Scale

__all__ = [
    "Activation",
    "AveragePool",
    "Conv",
    "Dense",
    "Flatten",
    "Floats",
    "Layer",
    "Network",
    "Polynomial",
    "Reshape",
    "Scale",
    "Select",
    "Shape",
]


@dataclass(frozen=True)
class Flatten:
    """Channels x height x width as one row, in C order. Costs nothing: it only renames."""

    name: str = ""

    def output_shape(self, shape: Shape) -> Shape:
        """One row: [product of the input's sizes]."""
        return (size_of(shape),)

    def run(self, x: Floats) -> Floats:
        """[batch, ...] to [batch, values]."""
        return x.reshape(len(x), -1)


@dataclass(frozen=True)
class Reshape:
    """The same values in C order under another shape. Costs nothing: it only renames."""

    shape: Shape
    name: str = ""

    def output_shape(self, shape: Shape) -> Shape:
        """The new shape. Raises ModelError where it holds another number of values."""
        if size_of(shape) != size_of(self.shape):
            raise ModelError(
                "SHAPE",
                f"{text_of(shape)} cannot become {text_of(self.shape)}",
                where=f'Reshape "{self.name}"',
            )
        return self.shape

    def run(self, x: Floats) -> Floats:
        """[batch, ...] to [batch, *shape]."""
        return x.reshape(len(x), *self.shape)


@dataclass(frozen=True, eq=False)
class Select:
    """Values of the flattened input picked by number, in a new shape; -1 stands for a zero.

    A transpose, a slice and a padding are such a choice. The passes fold it into the layer beside it.
    """

    indices: NDArray[np.int64]
    """[product of shape]"""
    shape: Shape
    name: str = ""

    def __post_init__(self) -> None:
        indices = np.ascontiguousarray(self.indices, dtype=np.int64)
        if indices.ndim != 1 or indices.size != size_of(self.shape) or not indices.size or indices.min() < -1:
            raise ModelError("SHAPE", "indices and shape do not fit", where=self.where)
        indices.setflags(write=False)
        object.__setattr__(self, "indices", indices)

    @property
    def where(self) -> str:
        """The layer's name for messages."""
        return f'Select "{self.name}"'

    def output_shape(self, shape: Shape) -> Shape:
        """The new shape. Raises ModelError where an index is past the input's end."""
        if int(self.indices.max()) >= size_of(shape):
            raise ModelError("SHAPE", f"picks a value past the end of {text_of(shape)}", where=self.where)
        return self.shape

    def run(self, x: Floats) -> Floats:
        """[batch, ...] to [batch, *shape]."""
        flat = x.reshape(len(x), -1)
        found = np.where(self.indices < 0, 0.0, flat[:, np.maximum(self.indices, 0)])
        return found.reshape(len(x), *self.shape)


@dataclass(frozen=True, eq=False)
class Polynomial:
    """A polynomial of every value, ``sum(c * x**k)``, good on `domain`."""

    coefficients: Floats
    """Low to high; at least one."""
    replaced: str = ""
    """What it stands for, e.g. ``relu``; empty where the model itself has this polynomial."""
    domain: tuple[float, float] = (-math.inf, math.inf)
    """The values for which it was fitted; infinite where it is exact."""
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", floats(self.coefficients, 1, self.where))
        if not self.coefficients.size or not self.domain[0] < self.domain[1]:
            raise ModelError("SHAPE", "needs a coefficient and a domain with low < high", where=self.where)

    @property
    def where(self) -> str:
        """The layer's name for messages."""
        return f'Polynomial "{self.name}"'

    @property
    def degree(self) -> int:
        """The highest power whose coefficient is not zero."""
        used = np.flatnonzero(self.coefficients)
        return int(used[-1]) if used.size else 0

    @property
    def is_square(self) -> bool:
        """Whether it is exactly x**2: one product and nothing else."""
        return self.degree == 2 and self.coefficients[:3].tolist() == [0.0, 0.0, 1.0]

    def chebyshev(self) -> Floats:
        """Coefficients over Chebyshev polynomials of `domain` mapped to [-1, 1], low to high.

        The form to evaluate at degrees above 4: its coefficients stay small, monomials' do not.
        """
        from numpy.polynomial import Polynomial as Power
        from numpy.polynomial import chebyshev

        low, high = self.domain
        if math.isinf(low) or math.isinf(high):
            raise ModelError("VALUE", "has no bounded domain", where=self.where)
        inner = Power(self.coefficients)(Power([(high + low) / 2, (high - low) / 2]))
        return np.asarray(chebyshev.poly2cheb(inner.coef), dtype=np.float64)

    def output_shape(self, shape: Shape) -> Shape:
        """The input's shape."""
        return shape

    def run(self, x: Floats) -> Floats:
        """The same shape. Values outside `domain` are computed too; `passes.fit` reports them."""
        result = np.full(x.shape, self.coefficients[-1])
        for coefficient in self.coefficients[-2::-1]:
            result = result * x + coefficient
        return result


@dataclass(frozen=True)
class Activation:
    """A function of every value that is no polynomial, e.g. relu; the pass `fit` replaces it by one."""

    kind: str
    """A name of `activations.KINDS`, or ``expression``."""
    parameters: tuple[float, ...] = ()
    """E.g. the slope of leaky_relu; see `activations.KINDS`."""
    expression: Any = None
    """With kind ``expression``: a tree for `activations.evaluate`."""
    name: str = ""

    def __post_init__(self) -> None:
        activations.check(self.kind, self.parameters, self.expression, self.where)

    @property
    def where(self) -> str:
        """The layer's name for messages."""
        return f'{self.kind} "{self.name}"'

    def output_shape(self, shape: Shape) -> Shape:
        """The input's shape."""
        return shape

    def run(self, x: Floats) -> Floats:
        """The same shape."""
        return activations.apply(self.kind, self.parameters, self.expression, x)


Layer: TypeAlias = Dense | Conv | AveragePool | Scale | Flatten | Reshape | Select | Polynomial | Activation


@dataclass(frozen=True, eq=False)
class Network:
    """A chain of layers from one input to one row of scores."""

    name: str
    input_shape: Shape
    """Without the batch, e.g. (1, 28, 28) or (30,)."""
    layers: tuple[Layer, ...]
    output_names: tuple[str, ...] = ()
    """Of the columns that `run` gives, e.g. class labels; empty where the model names none."""
    post: tuple[str, ...] = ()
    """What the client does with decrypted scores, in order: names of `hitoku.inference.post.STEPS`."""

    def __post_init__(self) -> None:
        if not self.input_shape or min(self.input_shape) < 1:
            raise ModelError("SHAPE", "the input has no values", where=f'model "{self.name}"')
        post.check(self.post)
        self.shapes()

    def shapes(self) -> list[Shape]:
        """The shape before the first layer and after every layer, without the batch."""
        shapes = [self.input_shape]
        for layer in self.layers:
            shapes.append(layer.output_shape(shapes[-1]))
        return shapes

    @property
    def outputs(self) -> int:
        """How many scores a sample gets."""
        return size_of(self.shapes()[-1])

    def trace(self, x: ArrayLike) -> list[Floats]:
        """The values before the first layer and after every layer, each [batch, *shape].

        Args:
            x: [batch, *input_shape], or [batch, values] of the same number.

        Raises:
            ModelError: another shape, or a value that is not a finite number.
        """
        values = np.asarray(x, dtype=np.float64)
        if values.ndim < 1 or size_of(values.shape[1:]) != size_of(self.input_shape) or values.ndim < 2:
            raise ModelError(
                "SHAPE",
                f"takes samples of {text_of(self.input_shape)}, got an array of {text_of(values.shape)}",
                where=f'model "{self.name}"',
            )
        if not np.isfinite(values).all():
            raise ModelError("VALUE", "an input is not a finite number", where=f'model "{self.name}"')
        found = [values.reshape(len(values), *self.input_shape)]
        for layer in self.layers:
            found.append(layer.run(found[-1]))
        return found

    def run(self, x: ArrayLike) -> Floats:
        """The scores in the clear, float64: [batch, *input_shape] to [batch, out]. Without `post`."""
        found = self.trace(x)[-1]
        return found.reshape(len(found), -1)

    def predict(self, x: ArrayLike) -> Floats:
        """`run`, then the client's last steps (`post`)."""
        return post.apply(self.post, self.run(x))

    def with_layers(self, layers: tuple[Layer, ...]) -> Network:
        """The same network with other layers."""
        return replace(self, layers=layers)
