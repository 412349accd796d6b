# SPDX-License-Identifier: Apache-2.0
"""Expressions of one value (see `activations`) as layers: polynomials, and known functions by name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial import polynomial as power

from hitoku.inference.activations import CHILDREN, KINDS, Expression, evaluate
from hitoku.inference.arrays import Floats
from hitoku.inference.errors import ModelError
from hitoku.inference.network import Activation, Layer, Polynomial, Scale

__all__ = ["MOST_PARTS", "X", "as_polynomial", "layers_of", "same_function"]

X: Expression = ("x",)
MOST_PARTS = 96
"""Of one expression; longer chains of elementwise operators become several layers."""
HIGHEST_DEGREE = 63
"""Of a polynomial that a model has itself; beyond it the product of noise is out of reach anyway."""

_TRIED = 16
"""Parts of one expression, the smallest first, around which a known function is looked for."""

_GRID = np.linspace(-8.0, 8.0, 321)


def as_polynomial(expression: Expression) -> list[float] | None:
    """Coefficients low to high, or None where a function that is no polynomial is in it."""
    match expression:
        case ("x",):
            return [0.0, 1.0]
        case ("constant", value):
            return [value]
        case ("add" | "subtract" | "multiply" as operator, left, right):
            a, b = as_polynomial(left), as_polynomial(right)
            if a is None or b is None:
                return None
            if operator == "multiply":
                return _bounded(power.polymul(a, b))
            return _bounded(power.polyadd(a, b) if operator == "add" else power.polysub(a, b))
        case ("power", base, exponent):
            inner = as_polynomial(base)
            if inner is None or (len(inner) - 1) * exponent > HIGHEST_DEGREE:
                return None
            return _bounded(power.polypow(inner, exponent))
    return None


def _bounded(coefficients: Any) -> list[float] | None:
    found = [float(value) for value in power.polytrim(coefficients)]
    if len(found) - 1 > HIGHEST_DEGREE or not all(map(math.isfinite, found)):
        return None
    return found


def _parts(expression: Expression) -> Iterator[Expression]:
    """Every part that has the value x in it, the largest first; nothing is told twice."""
    waiting, seen = [expression], set()
    while waiting:
        part = waiting.pop(0)
        if part in seen or part[0] == "constant":
            continue
        seen.add(part)
        yield part
        waiting += [part[place] for place in CHILDREN[part[0]]]


def _replaced(expression: Expression, part: Expression) -> Expression | None:
    """The expression over ``x = part``, or None where it needs the old x beside it."""
    if expression == part:
        return X
    if expression == X:
        return None
    found = list(expression)
    for place in CHILDREN[expression[0]]:
        child = _replaced(expression[place], part)
        if child is None:
            return None
        found[place] = child
    return tuple(found)


def same_function(left: Expression, right: Expression) -> bool:
    """Whether two expressions agree on [-8, 8], to the accuracy of constants in float32."""
    with np.errstate(all="ignore"):
        return _equal(evaluate(left, _GRID), evaluate(right, _GRID))


def _equal(left: Floats, right: Floats) -> bool:
    return bool(np.all(np.abs(left - right) <= 4e-6 * (1.0 + np.abs(right))))


@cache
def _known_values(kind: str) -> Floats | None:
    values = tuple(value for _, value in KINDS[kind].defaults)
    if not all(map(math.isfinite, values)):
        return None
    return evaluate(("call", kind, values, X), _GRID)


def _known(expression: Expression, name: str) -> Activation | None:
    """The function of a name that the expression is, if it is one."""
    if expression[0] == "call" and expression[3] == X:
        return Activation(expression[1], expression[2], name=name)
    with np.errstate(all="ignore"):
        values = evaluate(expression, _GRID)
    for kind, known in KINDS.items():
        wanted = _known_values(kind)
        if wanted is not None and _equal(values, wanted):
            return Activation(kind, tuple(value for _, value in known.defaults), name=name)
    return None


def _split(expression: Expression, name: str) -> tuple[Expression, list[Layer]] | None:
    """A part of the expression, and the layers of what stands around it as a function of that part alone."""
    around = [(part, _replaced(expression, part)) for part in list(_parts(expression))[1:] if part != X]
    ways = [(part, outer) for part, outer in around if outer is not None]
    for part, outer in ways[: -_TRIED - 1 : -1]:
        known = _known(outer, name)
        if known is not None:
            return part, [known]
    for part, outer in ways:
        return part, layers_of(outer, name)
    return None


def layers_of(expression: Expression, name: str) -> list[Layer]:
    """The layers, in order, that compute the expression: none for ``x`` itself.

    A polynomial of degree 1 is a `Scale`, of a higher degree a `Polynomial`, all else an `Activation` (of a
    known name where it is that function) behind what its argument needs.

    Raises:
        ModelError: a polynomial of a degree above `HIGHEST_DEGREE`, or a constant out of range.
    """
    if expression == X:
        return []
    coefficients = as_polynomial(expression)
    if coefficients is not None:
        if len(coefficients) <= 2:
            offset, factor = coefficients[0], coefficients[1] if len(coefficients) == 2 else 0.0
            return [Scale(np.array([factor]), np.array([offset]), name)]
        return [Polynomial(np.array(coefficients), name=name)]
    known = _known(expression, name)
    if known is not None:
        return [known]
    if expression[0] == "call":
        _, kind, parameters, argument = expression
        return [*layers_of(argument, name), Activation(kind, parameters, name=name)]
    found = _split(expression, name)
    if found is not None:
        part, layers = found
        return [*layers_of(part, name), *layers]
    if not any(part[0] in ("call", "choose", "greater") for part in _parts(expression)):
        raise ModelError(
            "TOO_LARGE", f"is a polynomial of a degree above {HIGHEST_DEGREE}", where=f'node "{name}"'
        )
    return [Activation("expression", (), expression, name)]
