# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on every value: with constants, and with the same value again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku import limits
from hitoku.inference.activations import Expression
from hitoku.inference.arrays import Floats, text_of
from hitoku.inference.importing.calls import Call, operator
from hitoku.inference.importing.expressions import MOST_PARTS, same_function
from hitoku.inference.importing.values import Data, Sizes, Step, Value, append, settle
from hitoku.inference.network import Reshape, Scale

__all__ = ["broadcast", "is_complement", "number_of", "with_expression"]

_CHAIN: Final = "give the model one chain of layers: no residual sums, attention or several inputs"


def _guarded(call: Call, *arrays: NDArray[Any]) -> None:
    try:
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        call.refuse("SHAPE", "its constants do not fit each other")
    if math.prod(shape) > limits.MAX_MODEL_VALUES:
        call.refuse("TOO_LARGE", "its constant result is too large")


def broadcast(call: Call, values: NDArray[Any], step: Step) -> Floats:
    """A constant spread over a sample's shape; refused where it would make the data larger."""
    rank = len(step.shape) + 1
    if values.ndim > rank or (values.ndim == rank and values.shape[0] != 1):
        call.refuse("SHAPE", f"its constant of {text_of(values.shape)} does not fit {text_of(step.shape)}")
    part = values.reshape(values.shape[1:]) if values.ndim == rank else values
    try:
        return np.broadcast_to(part.astype(np.float64), step.shape)
    except ValueError:
        call.refuse("SHAPE", f"its constant of {text_of(values.shape)} does not fit {text_of(step.shape)}")


def _affine(call: Call, data: Data, factor: NDArray[Any] | None, offset: NDArray[Any] | None) -> Data:
    """``factor * data + offset`` with constants of which at least one differs between values."""
    step = settle(data, call.name)
    shape = step.shape
    f = np.ones(shape) if factor is None else broadcast(call, factor, step)
    o = np.zeros(shape) if offset is None else broadcast(call, offset, step)
    rows_f, rows_o = f.reshape(shape[0], -1), o.reshape(shape[0], -1)
    if (rows_f == rows_f[:, :1]).all() and (rows_o == rows_o[:, :1]).all():
        return Data(append(step, Scale(rows_f[:, 0], rows_o[:, 0], call.name)))
    step = append(step, Reshape((f.size,), call.name))
    step = append(step, Scale(f.ravel(), o.ravel(), call.name))
    return Data(append(step, Reshape(shape, call.name)))


def _joined(call: Call, kind: str, left: Data, right: Data) -> Data:
    if left.post or right.post:
        settle(left, call.name)
        settle(right, call.name)
    if left.step is not right.step:
        call.refuse("BRANCH", "joins two branches of the graph", _CHAIN)
    if left.size + right.size + 1 > MOST_PARTS:
        if left.expression != right.expression:
            call.refuse("TOO_LARGE", "is part of a function with too many operators", _CHAIN)
        left = right = Data(settle(left, call.name))
    return Data(left.step, (kind, left.expression, right.expression), left.size + right.size + 1)


def with_expression(call: Call, data: Data, make: Callable[[Expression], Expression]) -> Data:
    """The data with a longer expression."""
    if data.post or data.size + 3 > MOST_PARTS:
        data = Data(settle(data, call.name))
    return Data(data.step, make(data.expression), data.size + 3)


def is_complement(left: Data, right: Data) -> bool:
    """Whether left is ``1 - right``: how exporters write the two columns of a binary classifier."""
    return left.step is right.step and same_function(
        ("add", left.expression, right.expression), ("constant", 1.0)
    )


_NUMPY: Final[dict[str, Callable[..., Any]]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": lambda a, b: (
        np.divide(a, b) if a.dtype.kind == "f" else np.trunc(np.divide(a, b)).astype(np.int64)
    ),
    "Pow": np.power,
}
_WORDS: Final = {"Add": "add", "Sub": "subtract", "Mul": "multiply"}


def number_of(call: Call, index: int) -> float | None:
    """The one number of a constant input; None where it holds several."""
    value = call.constant(index)
    numbers = value.astype(np.float64).ravel()
    if not numbers.size or not np.isfinite(numbers).all():
        call.refuse("VALUE", "its constant is not a finite number")
    return float(numbers[0]) if (numbers == numbers[0]).all() else None


def _sizes(call: Call) -> Value:
    """Arithmetic on shapes; the batch survives only where nothing is done to it."""
    left, right = call.sizes(0), call.sizes(1)
    if len(left.values) != len(right.values) and 1 not in (len(left.values), len(right.values)):
        call.refuse("SHAPE", "its sizes do not fit each other")
    count = max(len(left.values), len(right.values))
    pairs = zip(
        left.values * (count // len(left.values)), right.values * (count // len(right.values)), strict=True
    )
    neutral = 0 if call.operator in ("Add", "Sub") else 1
    found: list[int | None] = []
    for x, y in pairs:
        either_way = call.operator in ("Add", "Mul")
        if (x is None and y == neutral) or (y is None and x == neutral and either_way):
            found.append(None)
        elif x is None or y is None or (call.operator == "Div" and y == 0):
            call.refuse(
                "OPERATOR", "computes with the number of samples", "export with a plain Flatten or Reshape"
            )
        else:
            found.append(int(_NUMPY[call.operator](np.array(x), np.array(y))))
    return Sizes(tuple(found), left.scalar and right.scalar)


@operator("Add", "Sub", "Mul", "Div")
def _arithmetic(call: Call) -> Value:
    return _combined(call)


def _combined(call: Call) -> Value:
    a, b = call.given(0), call.given(1)
    if isinstance(a, Data) and isinstance(b, Data):
        if call.operator == "Div":
            call.refuse(
                "OPERATOR",
                "divides by a value that depends on the input",
                "encrypted values have no division",
            )
        return _joined(call, _WORDS[call.operator], a, b)
    if isinstance(a, Sizes) or isinstance(b, Sizes):
        return _sizes(call)
    if isinstance(a, Data):
        return _constant_right(call, a)
    if isinstance(b, Data):
        return _constant_left(call, b)
    left, right = call.constant(0), call.constant(1)
    _guarded(call, left, right)
    with np.errstate(all="ignore"):
        return np.asarray(_NUMPY[call.operator](left, right))


def _constant_right(call: Call, data: Data) -> Data:
    number = number_of(call, 1)
    values = call.constant(1).astype(np.float64)
    if call.operator == "Div":
        if not np.all(values):
            call.refuse("VALUE", "divides by zero")
        values, number = 1.0 / values, None if number is None else 1.0 / number
    if number is None:
        if call.operator in ("Mul", "Div"):
            return _affine(call, data, values, None)
        return _affine(call, data, None, values if call.operator == "Add" else -values)
    broadcast(call, values, data.step)
    kind = _WORDS.get(call.operator, "multiply")
    return with_expression(call, data, lambda inner: (kind, inner, ("constant", number)))


def _constant_left(call: Call, data: Data) -> Data:
    if call.operator == "Div":
        call.refuse(
            "OPERATOR", "divides by a value that depends on the input", "encrypted values have no division"
        )
    number = number_of(call, 0)
    values = call.constant(0).astype(np.float64)
    if number is None:
        if call.operator == "Mul":
            return _affine(call, data, values, None)
        return _affine(call, data, -np.ones(1) if call.operator == "Sub" else None, values)
    broadcast(call, values, data.step)
    kind = _WORDS[call.operator]
    return with_expression(call, data, lambda inner: (kind, ("constant", number), inner))


@operator("Sum")
def _sum(call: Call) -> Value:
    found = call.given(0)
    for index in range(1, len(call.inputs)):
        found = _combined(Call("Add", call.name, call.version, (found, call.given(index)), {}, 1))
    return found


@operator("Pow")
def _power(call: Call) -> Value:
    base = call.given(0)
    if not isinstance(base, Data):
        left, right = call.constant(0), call.constant(1)
        _guarded(call, left, right)
        with np.errstate(all="ignore"):
            return np.asarray(np.power(left.astype(np.float64), right))
    exponent = call.scalar(1)
    if exponent != int(exponent) or not 1 <= exponent <= 63:
        call.refuse(
            "OPERATOR",
            "needs a whole exponent from 1 to 63",
            "write the model with a polynomial or an activation",
        )
    return with_expression(call, base, lambda inner: ("power", inner, int(exponent)))


@operator("Neg")
def _negate(call: Call) -> Value:
    value = call.given(0)
    if isinstance(value, Data):
        return with_expression(call, value, lambda inner: ("multiply", ("constant", -1.0), inner))
    return -call.constant(0)


_FLOATS: Final = (1, 10, 11, 16)
"""FLOAT, FLOAT16, DOUBLE and BFLOAT16 of ONNX's types."""
_WHOLE: Final = 7
_TRUTH: Final = 9


def _kind(call: Call) -> int:
    """The type of the second input, as a number of ONNX."""
    like = call.given(1)
    if isinstance(like, np.ndarray):
        return {"f": 1, "b": _TRUTH}.get(like.dtype.kind, _WHOLE)
    return _WHOLE if isinstance(like, Sizes) else 1


@operator("Identity", "Cast", "CastLike", "Dropout")
def _same(call: Call) -> Value:
    """What changes nothing when a model predicts. A cast of data to whole numbers would."""
    value = call.given(0)
    if (
        call.operator == "Dropout"
        and len(call.inputs) > 2
        and call.given(2) is not None
        and call.scalar(2) != 0
    ):
        call.refuse(
            "OPERATOR", "drops values at random", "export the model in evaluation mode (model.eval())"
        )
    if call.operator not in ("Cast", "CastLike"):
        return value
    target = call.integer("to", 1) if call.operator == "Cast" else _kind(call)
    floats = target in _FLOATS
    if isinstance(value, Data):
        if not floats and not value.post:
            call.refuse(
                "OPERATOR", "rounds values that depend on the input", "leave the rounding to the client"
            )
        return value
    if isinstance(value, Sizes):
        return value
    found = call.constant(0)
    if floats:
        return found.astype(np.float64)
    if found.dtype.kind == "f" and not (np.isfinite(found).all() and (np.abs(found) < 2.0**62).all()):
        call.refuse("VALUE", "its constant is no whole number")
    return found.astype(np.bool_ if target == _TRUTH else np.int64)
