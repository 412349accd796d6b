# SPDX-License-Identifier: Apache-2.0
"""Operators that compute shapes and constants while a graph is read, and the joining of such."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from hitoku import limits
from hitoku.inference.importing.calls import Call, operator
from hitoku.inference.importing.elementwise import is_complement
from hitoku.inference.importing.values import Data, Sizes, Value

MOST_SIZES: Final = 256


@operator("Shape")
def _shape(call: Call) -> Value:
    value = call.given(0)
    if isinstance(value, np.ndarray):
        found: tuple[int | None, ...] = value.shape
    elif isinstance(value, Sizes):
        found = () if value.scalar else (len(value.values),)
    else:
        found = (None, *call.data().shape)
    start, end = call.integer("start", 0), call.integer("end", len(found))
    return Sizes(found[start:end])


@operator("Concat")
def _concat(call: Call) -> Value:
    values = [call.given(index) for index in range(len(call.inputs))]
    if not values or any(value is None for value in values):
        call.refuse("FORMAT", "has no inputs")
    if any(isinstance(value, Sizes) for value in values):
        sizes = tuple(size for index in range(len(values)) for size in call.sizes(index).values)
        if len(sizes) > MOST_SIZES:
            call.refuse("TOO_LARGE", "makes a shape of too many dimensions")
        return Sizes(sizes)
    if len(values) == 1:
        return values[0]
    left, right = values[:2]
    if len(values) == 2 and isinstance(left, Data) and isinstance(right, Data):
        last = call.axis(call.integer("axis", 1), len(right.shape) + 1) == 1
        if last and right.shape == (1,) and not left.post and not right.post and is_complement(left, right):
            return right.with_post("complement")
    if any(isinstance(value, Data) for value in values):
        call.refuse(
            "BRANCH",
            "joins two branches of the graph",
            "give the model one chain of layers, and its inputs as one table",
        )
    arrays = [call.constant(index) for index in range(len(values))]
    if sum(array.size for array in arrays) > limits.MAX_MODEL_VALUES:
        call.refuse("TOO_LARGE", "its constant result is too large")
    try:
        return np.concatenate(arrays, call.integer("axis", 0))
    except ValueError:
        call.refuse("SHAPE", "its constants do not fit each other")


@operator("Constant")
def _constant(call: Call) -> Value:
    found = call.attributes.get("value")
    if found is None:
        found = call.attributes.get("value_float", call.attributes.get("value_int"))
    if found is None:
        found = call.attributes.get("value_floats", call.attributes.get("value_ints"))
    if found is None:
        call.refuse("FORMAT", "has a constant that is neither a number nor an array of numbers")
    return np.asarray(found, dtype=np.float64 if _is_float(found) else None)


def _is_float(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return bool(value.dtype.kind == "f")
    return isinstance(value, float) or (isinstance(value, tuple) and any(isinstance(v, float) for v in value))


@operator("ConstantOfShape", "Expand")
def _filled(call: Call) -> Value:
    value = np.zeros(1)
    shape = call.sizes(1 if call.operator == "Expand" else 0).values
    if call.operator == "Expand":
        given = call.given(0)
        if isinstance(given, Data):
            step = call.settled()
            if shape and (None, *step.shape) == (None, *shape[1:]):
                return Data(step)
            call.refuse("OPERATOR", "repeats values", "leave the expansion out of the model")
        value = call.constant(0)
    elif isinstance(call.attributes.get("value"), np.ndarray):
        value = call.attributes["value"]
    if None in shape:
        call.refuse("OPERATOR", "makes a constant for each sample", "leave it out of the exported model")
    known = [int(size or 0) for size in shape]
    if min(known, default=1) < 0 or math.prod(known) > limits.MAX_MODEL_VALUES:
        call.refuse("TOO_LARGE", "its constant result is too large")
    try:
        spread = np.broadcast_shapes(value.shape, tuple(known))
    except ValueError:
        call.refuse("SHAPE", "cannot give its constant this shape")
    if math.prod(spread) > limits.MAX_MODEL_VALUES:
        call.refuse("TOO_LARGE", "its constant result is too large")
    return np.broadcast_to(value, spread).copy()
