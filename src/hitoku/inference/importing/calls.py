# SPDX-License-Identifier: Apache-2.0
"""One node of a graph as its reader sees it: typed inputs and attributes, and refusals that name the node."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hitoku.inference.errors import ModelError
from hitoku.inference.importing.values import Broken, Data, Sizes, Step, Value, settle

__all__ = ["HANDLERS", "Call", "Handler", "operator"]


@dataclass(frozen=True, eq=False)
class Call:
    """An operator with its inputs read. Getters raise ModelError where the model gives something else."""

    operator: str
    name: str
    version: int
    """Of the operator set the node is from."""
    inputs: tuple[Value, ...]
    attributes: dict[str, Any]
    outputs: int
    batch: int | None = None
    """How many samples the file is made for; None where it takes any number."""

    @property
    def where(self) -> str:
        """The operator and the node for messages."""
        return f'{self.operator} node "{self.name}"'

    def refuse(self, code: str, message: str, remedy: str | None = None) -> NoReturn:
        """Raises ModelError at this node."""
        raise ModelError(code, message, where=self.where, remedy=remedy)

    def given(self, index: int) -> Value:
        """An input, or None where it was left out."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(value, Broken):
            raise value.error
        return value

    def data(self, index: int = 0) -> Data:
        """An input that depends on the sample."""
        value = self.given(index)
        if not isinstance(value, Data):
            self.refuse("OPERATOR", f"input {index} must depend on the model's input, not be a constant")
        return value

    def settled(self, index: int = 0) -> Step:
        """An input that depends on the sample, as finished layers."""
        return settle(self.data(index), self.name)

    def constant(self, index: int) -> NDArray[Any]:
        """An input that is known when the model is read."""
        value = self.given(index)
        if not isinstance(value, np.ndarray):
            self.refuse(
                "OPERATOR",
                f"input {index} must be a constant of the model, here it is computed from the model's input",
            )
        return value

    def maybe(self, index: int) -> NDArray[Any] | None:
        """A constant input, or None where it was left out."""
        return None if self.given(index) is None else self.constant(index)

    def scalar(self, index: int) -> float:
        """A constant input that is one number."""
        value = self.constant(index)
        if value.size != 1:
            self.refuse("SHAPE", f"input {index} must be one number")
        return float(value.reshape(()))

    def whole(self, index: int) -> tuple[int, ...]:
        """A constant input of whole numbers."""
        value = self.constant(index)
        if value.dtype.kind not in "iu" or value.size > 4096:
            self.refuse("SHAPE", f"input {index} must be a short list of whole numbers")
        return tuple(int(number) for number in value.ravel())

    def integer(self, name: str, default: int) -> int:
        """An attribute that is a whole number."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            self.refuse("FORMAT", f"attribute {name} must be a whole number")
        return value

    def integers(self, name: str) -> tuple[int, ...] | None:
        """An attribute that is a list of whole numbers, or None."""
        value = self.attributes.get(name)
        if value is None:
            return None
        if not isinstance(value, tuple) or not all(isinstance(number, int) for number in value):
            self.refuse("FORMAT", f"attribute {name} must be a list of whole numbers")
        return value

    def number(self, name: str, default: float) -> float:
        """An attribute that is a number."""
        value = self.attributes.get(name, default)
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            self.refuse("FORMAT", f"attribute {name} must be a number")
        return float(value)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """An attribute that is a list of numbers; empty where it was left out."""
        value = self.attributes.get(name, ())
        if not isinstance(value, tuple) or not all(isinstance(number, (int, float)) for number in value):
            self.refuse("FORMAT", f"attribute {name} must be a list of numbers")
        return np.array(value, dtype=np.float64)

    def text(self, name: str, default: str) -> str:
        """An attribute that is a word."""
        value = self.attributes.get(name, default)
        if not isinstance(value, str):
            self.refuse("FORMAT", f"attribute {name} must be a word")
        return value

    def axis(self, value: int, rank: int) -> int:
        """An axis counted from the front; `rank` with the batch."""
        if not -rank <= value < rank:
            self.refuse("SHAPE", f"has no axis {value} in {rank} dimensions")
        return value % rank

    def sizes(self, index: int) -> Sizes:
        """A vector of whole numbers, with or without the batch among them."""
        value = self.given(index)
        if isinstance(value, Sizes):
            return value
        return Sizes(self.whole(index))


Result: TypeAlias = "Value | tuple[Value, ...]"
Handler: TypeAlias = Callable[[Call], Result]

HANDLERS: Final[dict[tuple[str, str], Handler]] = {}
"""By domain and operator."""


def operator(*names: str, domain: str = "") -> Callable[[Handler], Handler]:
    """Register the reader of these operators."""

    def keep(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[domain, name] = handler
        return handler

    return keep
