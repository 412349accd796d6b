# SPDX-License-Identifier: Apache-2.0
"""Operators that are one function of every value: activations, and what stands for one (Clip, Max, Min)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from hitoku.inference.activations import Expression
from hitoku.inference.importing.calls import Call, operator
from hitoku.inference.importing.elementwise import number_of, with_expression
from hitoku.inference.importing.expressions import MOST_PARTS
from hitoku.inference.importing.values import Data, Step, Value

_SIMPLE: Final = {
    "Abs": "abs", "Atan": "atan", "Cos": "cos", "Erf": "erf", "Exp": "exp", "HardSwish": "hard_swish",
    "Mish": "mish", "Relu": "relu", "Sigmoid": "sigmoid", "Sin": "sin", "Softplus": "softplus",
    "Softsign": "softsign", "Tanh": "tanh",
}  # fmt: skip
_WITH_NUMBERS: Final = {
    "Celu": ("celu", (("alpha", 1.0),)),
    "Elu": ("elu", (("alpha", 1.0),)),
    "HardSigmoid": ("hard_sigmoid", (("alpha", 0.2), ("beta", 0.5))),
    "LeakyRelu": ("leaky_relu", (("alpha", 0.01),)),
    "Selu": ("selu", (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875))),
    "Swish": ("swish", (("alpha", 1.0),)),
    "ThresholdedRelu": ("thresholded_relu", (("alpha", 1.0),)),
}


def _call(call: Call, kind: str, parameters: tuple[float, ...] = ()) -> Data:
    return with_expression(call, call.data(), lambda inner: ("call", kind, parameters, inner))


@operator(*_SIMPLE)
def _simple(call: Call) -> Value:
    value = call.given(0)
    if isinstance(value, np.ndarray) and call.operator in ("Exp", "Abs"):
        with np.errstate(over="ignore"):  # a constant that is not finite is refused where it is used
            return np.asarray(np.exp(value) if call.operator == "Exp" else np.abs(value))
    return _call(call, _SIMPLE[call.operator])


@operator(*_WITH_NUMBERS)
def _withnumber_of(call: Call) -> Value:
    kind, defaults = _WITH_NUMBERS[call.operator]
    return _call(call, kind, tuple(call.number(name, value) for name, value in defaults))


@operator("Sqrt", "Reciprocal")
def _of_constants(call: Call) -> Value:
    """Known on constants only: BatchNormalization written out."""
    if isinstance(call.given(0), Data):
        call.refuse(
            "OPERATOR",
            "has no polynomial that is good near zero",
            "leave it out of the model or do it on the client",
        )
    with np.errstate(all="ignore"):
        value = call.constant(0).astype(np.float64)
        return np.asarray(np.sqrt(value) if call.operator == "Sqrt" else 1.0 / value)


@operator("Gelu")
def _gelu(call: Call) -> Value:
    return _call(call, "gelu_tanh" if call.text("approximate", "none") == "tanh" else "gelu")


@operator("PRelu")
def _prelu(call: Call) -> Value:
    slope = number_of(call, 1)
    if slope is None:
        call.refuse(
            "OPERATOR", "has a slope of its own for each channel", "train with one slope (LeakyReLU or ReLU)"
        )
    return _call(call, "leaky_relu", (slope,))


@operator("Clip")
def _clip(call: Call) -> Value:
    low, high = -math.inf, math.inf
    if call.version < 11:
        low, high = call.number("min", -3.4e38), call.number("max", 3.4e38)
    else:
        low = low if call.given(1) is None else call.scalar(1)
        high = high if call.given(2) is None else call.scalar(2)
    return _clipped(call, low, high, call.data())


def _expression(call: Call, index: int, step: Step) -> Expression:
    """An input as an expression over the step's values: the data itself, or one number."""
    value = call.given(index)
    if isinstance(value, Data):
        if value.step is not step or value.post:
            call.refuse("BRANCH", "joins two branches of the graph", "give the model one chain of layers")
        return value.expression
    number = number_of(call, index)
    if number is None:
        call.refuse("OPERATOR", "compares with several constants", "use an activation with one constant")
    return "constant", number


def _over(call: Call, count: int) -> tuple[Data, list[Expression]]:
    """The inputs as expressions of one step's values."""
    inputs = [call.given(index) for index in range(count)]
    first = next((value for value in inputs if isinstance(value, Data)), None)
    if first is None:
        call.refuse("OPERATOR", "has no input that depends on the model's input")
    size = 1 + sum(value.size for value in inputs if isinstance(value, Data))
    if size > MOST_PARTS:
        call.refuse("TOO_LARGE", "is part of a function with too many operators")
    return replace(first, size=size), [_expression(call, index, first.step) for index in range(count)]


@operator("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
def _comparison(call: Call) -> Value:
    """Only as a part of one value's function (``x if x > 0 else ...``): the fit makes a polynomial of it."""
    data, (left, right) = _over(call, 2)
    if call.operator in ("Less", "GreaterOrEqual"):
        left, right = right, left
    expression: Expression = ("greater", left, right)
    if call.operator.endswith("OrEqual"):
        expression = ("subtract", ("constant", 1.0), expression)
    return replace(data, expression=expression, size=data.size + 2)


@operator("Where")
def _choice(call: Call) -> Value:
    data, parts = _over(call, 3)
    return replace(data, expression=("choose", *parts))


@operator("Max", "Min")
def _extreme(call: Call) -> Value:
    if len(call.inputs) != 2:
        call.refuse(
            "OPERATOR", "compares encrypted values", "encrypted values cannot be compared; use an activation"
        )
    first = isinstance(call.given(0), Data)
    number = number_of(call, 1 if first else 0)
    if number is None:
        call.refuse("OPERATOR", "compares with several constants", "use an activation with one constant")
    low, high = (number, math.inf) if call.operator == "Max" else (-math.inf, number)
    return _clipped(call, low, high, call.data(0 if first else 1))


def _clipped(call: Call, low: float, high: float, data: Data) -> Data:
    low, high = (-math.inf if low < -1e30 else low), (math.inf if high > 1e30 else high)
    if low >= high:
        call.refuse("VALUE", "has a lower bound above its upper bound")
    if (low, high) == (-math.inf, math.inf):
        return data
    if (low, high) == (0.0, math.inf):
        return with_expression(call, data, lambda inner: ("call", "relu", (), inner))
    return with_expression(call, data, lambda inner: ("call", "clip", (low, high), inner))
