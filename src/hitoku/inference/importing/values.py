# SPDX-License-Identifier: Apache-2.0
"""What flows through a graph while it is read: constants, sizes that know the batch, and data.

Data is where it came from (a `Step`, the last layer made so far) and an expression of one value over that
step's values: so ``x * sigmoid(x)``, a polynomial written out or GELU in six operators stay one function of
one layer's output, and become a layer only when an operator that is not elementwise asks (`settle`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from numpy.typing import NDArray

from hitoku import limits
from hitoku.inference.activations import Expression
from hitoku.inference.arrays import Shape, text_of
from hitoku.inference.errors import ModelError
from hitoku.inference.importing.expressions import X, layers_of
from hitoku.inference.network import Conv, Dense, Layer, Scale, Select

__all__ = ["Broken", "Data", "Sizes", "Step", "Value", "append", "settle"]


@dataclass(eq=False)
class Step:
    """One layer behind those before it; the first step has no layer. `shape` is without the batch."""

    parent: Step | None
    layer: Layer | None
    shape: Shape
    pads: tuple[int, ...] | None = None
    """Where the layer does nothing but add zeros: how many before and after each dimension."""
    settled: dict[Expression, Step] = field(default_factory=dict)
    spent: list[int] = field(default_factory=lambda: [0])
    """Constants that all steps of one model hold; shared by them."""

    def layers(self) -> list[Layer]:
        """All layers from the input to this one."""
        found: list[Layer] = []
        step: Step | None = self
        while step is not None:
            if step.layer is not None:
                found.append(step.layer)
            step = step.parent
        return found[::-1]


@dataclass(frozen=True, eq=False)
class Data:
    """A function of one value over the values of a step, and the client's last steps behind it."""

    step: Step
    expression: Expression = X
    size: int = 1
    """Parts of the expression."""
    post: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Of the columns, where a classifier names them."""

    @property
    def shape(self) -> Shape:
        """Without the batch."""
        return self.step.shape

    def with_post(self, step: str) -> Data:
        """The same, with one more of the client's last steps."""
        return replace(self, post=(*self.post, step))


@dataclass(frozen=True)
class Sizes:
    """A vector of whole numbers computed from shapes; None stands for the batch. Or one number."""

    values: tuple[int | None, ...]
    scalar: bool = False


@dataclass(frozen=True)
class Broken:
    """The result of an operator that cannot be read; the error is told only if something needs it."""

    error: ModelError


Value: TypeAlias = "Data | Sizes | Broken | NDArray[Any] | None"


def append(step: Step, layer: Layer, pads: tuple[int, ...] | None = None) -> Step:
    """The step behind `step`.

    Raises:
        ModelError: the layer does not take the step's shape, or gives more values than a sample may have.
    """
    shape = layer.output_shape(step.shape)
    if math.prod(shape) > limits.MAX_LAYER_VALUES:
        raise ModelError(
            "TOO_LARGE",
            f"gives {text_of(shape)} values a sample, more than {limits.MAX_LAYER_VALUES:,}",
            where=f'layer "{layer.name}"',
        )
    step.spent[0] += _held(layer)
    if step.spent[0] > 2 * limits.MAX_MODEL_VALUES:
        raise ModelError("TOO_LARGE", f"has more than {limits.MAX_MODEL_VALUES:,} constants", where="graph")
    return Step(step, layer, shape, pads, spent=step.spent)


def _held(layer: Layer) -> int:
    """How many numbers a layer holds."""
    match layer:
        case Dense() | Conv():
            return layer.weights.size
        case Scale():
            return 2 * layer.factor.size
        case Select():
            return layer.indices.size
    return 1


def settle(data: Data, name: str) -> Step:
    """The step whose values are the data's: its expression becomes layers, once.

    Raises:
        ModelError: the data is already one of the client's last steps.
    """
    if data.post:
        raise ModelError(
            "OPERATOR",
            f"{data.post[-1]} can stand only at the end of a model",
            where=f'node "{name}"',
            remedy="leave it out of the exported model; the client does it on decrypted scores",
        )
    known = data.step.settled.get(data.expression)
    if known is not None:
        return known
    step = data.step
    for layer in layers_of(data.expression, name):
        step = append(step, layer)
    data.step.settled[data.expression] = step
    return step
