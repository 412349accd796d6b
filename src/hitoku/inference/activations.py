# SPDX-License-Identifier: Apache-2.0
"""Functions of one value that networks use between their linear layers, in float64 and in the clear.

Definitions are those of the ONNX operators of the same name (operator set 23). A function built of several
operators, e.g. ``x * sigmoid(x)`` written out, is an expression: a tree of tuples ::

    ("x",)  ("constant", c)  ("add" | "subtract" | "multiply", left, right)  ("power", base, whole exponent)
    ("call", kind, parameters, argument)  ("greater", left, right): 1 or 0  ("choose", condition, yes, no)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hitoku.inference.arrays import Floats
from hitoku.inference.errors import ModelError

__all__ = ["CHILDREN", "KINDS", "Expression", "Kind", "apply", "check", "evaluate"]

Expression = tuple[Any, ...]

CHILDREN: Final[dict[str, tuple[int, ...]]] = {
    "x": (), "constant": (), "power": (1,), "call": (3,), "choose": (1, 2, 3),
    **dict.fromkeys(("add", "subtract", "multiply", "greater"), (1, 2)),
}  # fmt: skip
"""Where the parts of an expression stand in its tuple."""

MOST_NODES: Final = 256
"""Of one expression; a file cannot make us recurse deeper."""


@dataclass(frozen=True)
class Kind:
    """One function: its parameters' names with ONNX's defaults, and how it is computed."""

    function: Callable[..., Floats]
    defaults: tuple[tuple[str, float], ...] = ()


def _sigmoid(x: Floats) -> Floats:
    # tanh does not overflow where exp does.
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _erf(x: Floats) -> Floats:
    return np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def _gelu(x: Floats) -> Floats:
    return np.asarray(0.5 * x * (1.0 + _erf(x / math.sqrt(2.0))))


def _gelu_tanh(x: Floats) -> Floats:
    return np.asarray(0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))))


def _softplus(x: Floats) -> Floats:
    return np.asarray(np.logaddexp(0.0, x))


def _elu(x: Floats, alpha: float) -> Floats:
    return np.asarray(np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0))))


def _celu(x: Floats, alpha: float) -> Floats:
    return np.asarray(np.maximum(x, 0.0) + alpha * np.expm1(np.minimum(x, 0.0) / alpha))


def _hard_sigmoid(x: Floats, alpha: float, beta: float) -> Floats:
    return np.asarray(np.clip(alpha * x + beta, 0.0, 1.0))


KINDS: Final[dict[str, Kind]] = {
    "abs": Kind(lambda x: np.abs(x)),
    "atan": Kind(lambda x: np.arctan(x)),
    "celu": Kind(_celu, (("alpha", 1.0),)),
    "clip": Kind(lambda x, low, high: np.clip(x, low, high), (("low", -math.inf), ("high", math.inf))),
    "cos": Kind(lambda x: np.cos(x)),
    "elu": Kind(_elu, (("alpha", 1.0),)),
    "erf": Kind(_erf),
    "exp": Kind(lambda x: np.exp(np.minimum(x, 700.0))),
    "gelu": Kind(_gelu),
    "gelu_tanh": Kind(_gelu_tanh),
    "hard_sigmoid": Kind(_hard_sigmoid, (("alpha", 0.2), ("beta", 0.5))),
    "hard_swish": Kind(lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5)),
    "leaky_relu": Kind(lambda x, alpha: np.where(x < 0, alpha * x, x), (("alpha", 0.01),)),
    "mish": Kind(lambda x: x * np.tanh(_softplus(x))),
    "relu": Kind(lambda x: np.maximum(x, 0.0)),
    "selu": Kind(
        lambda x, alpha, gamma: gamma * _elu(x, alpha),
        (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875)),
    ),
    "sigmoid": Kind(_sigmoid),
    "silu": Kind(lambda x: x * _sigmoid(x)),
    "sin": Kind(lambda x: np.sin(x)),
    "softplus": Kind(_softplus),
    "softsign": Kind(lambda x: x / (1.0 + np.abs(x))),
    "swish": Kind(lambda x, alpha: x * _sigmoid(alpha * x), (("alpha", 1.0),)),
    "tanh": Kind(lambda x: np.tanh(x)),
    "thresholded_relu": Kind(lambda x, alpha: np.where(x > alpha, x, 0.0), (("alpha", 1.0),)),
}


def apply(kind: str, parameters: tuple[float, ...], expression: Expression | None, x: Floats) -> Floats:
    """The function's values, of the shape of `x`. The arguments are those of a checked `Activation`."""
    if kind == "expression" and expression is not None:
        return evaluate(expression, x)
    return np.asarray(KINDS[kind].function(x, *parameters), dtype=np.float64)


def evaluate(expression: Expression, x: Floats) -> Floats:
    """The values of an expression, of the shape of `x`."""
    match expression:
        case ("x",):
            return x
        case ("constant", value):
            return np.full(x.shape, value)
        case ("add", left, right):
            return evaluate(left, x) + evaluate(right, x)
        case ("subtract", left, right):
            return evaluate(left, x) - evaluate(right, x)
        case ("multiply", left, right):
            return evaluate(left, x) * evaluate(right, x)
        case ("power", base, exponent):
            return np.asarray(evaluate(base, x) ** exponent)
        case ("greater", left, right):
            return (evaluate(left, x) > evaluate(right, x)).astype(np.float64)
        case ("choose", condition, yes, no):
            return np.where(evaluate(condition, x) != 0, evaluate(yes, x), evaluate(no, x))
        case ("call", kind, parameters, argument):
            return apply(kind, parameters, None, evaluate(argument, x))
    raise ModelError("FORMAT", "is no expression of known functions", where="expression")


def check(kind: str, parameters: tuple[float, ...], expression: Any, where: str) -> None:
    """Refuse what `apply` cannot compute.

    Raises:
        ModelError: an unknown kind, another number of parameters, one that is not a number, or an expression
            that is too large or no expression.
    """
    if kind == "expression":
        if parameters or not isinstance(expression, tuple):
            raise ModelError("FORMAT", "needs an expression and no parameters", where=where)
        _check_tree(expression, where)
        return
    known = KINDS.get(kind)
    if known is None:
        raise ModelError(
            "OPERATOR",
            "is not a known activation",
            where=where,
            remedy=f"known are {', '.join(sorted(KINDS))}",
        )
    if expression is not None or len(parameters) != len(known.defaults) or any(map(math.isnan, parameters)):
        names = ", ".join(name for name, _ in known.defaults) or "none"
        raise ModelError("VALUE", f"needs these parameters, as numbers: {names}", where=where)


def _check_tree(expression: Expression, where: str) -> None:
    waiting: list[Any] = [expression]
    seen = 0
    while waiting:
        seen += 1
        if seen > MOST_NODES:
            raise ModelError("TOO_LARGE", f"has more than {MOST_NODES} parts", where=where)
        match waiting.pop():
            case ("x",):
                pass
            case ("constant", float() as value) if math.isfinite(value):
                pass
            case ("add" | "subtract" | "multiply" | "greater", tuple() as left, tuple() as right):
                waiting += [left, right]
            case ("choose", tuple() as condition, tuple() as yes, tuple() as no):
                waiting += [condition, yes, no]
            case ("power", tuple() as base, int() as exponent) if 0 <= exponent <= 64:
                waiting.append(base)
            case ("call", str() as kind, tuple() as parameters, tuple() as argument):
                check(kind, parameters, None, where)
                waiting.append(argument)
            case _:
                raise ModelError("FORMAT", "is no expression of known functions", where=where)
