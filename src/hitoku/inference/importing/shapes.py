# SPDX-License-Identifier: Apache-2.0
"""Operators that move or rename values.

Data keeps its batch as the first dimension, always. Renaming becomes a `Reshape`, moving a `Select`; the
passes take both away where the layer beside them can read its values in another order.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hitoku import limits
from hitoku.inference.arrays import Shape, text_of
from hitoku.inference.importing.calls import Call, operator
from hitoku.inference.importing.values import Data, Sizes, Step, Value, append
from hitoku.inference.network import Flatten, Reshape, Select


def _renamed(call: Call, step: Step, shape: Shape) -> Data:
    if step.shape == shape:
        return Data(step)
    return Data(append(step, Flatten(call.name) if len(shape) == 1 else Reshape(shape, call.name)))


def _chosen(call: Call, step: Step, indices: NDArray[np.int64], pads: tuple[int, ...] | None = None) -> Data:
    """The values of `step` at these places of its flat row, in the shape of `indices`."""
    if not indices.size:
        call.refuse("SHAPE", "leaves nothing of its input")
    if indices.size == math.prod(step.shape) and (indices.ravel() == np.arange(indices.size)).all():
        return _renamed(call, step, indices.shape)
    return Data(append(step, Select(indices.ravel(), indices.shape, call.name), pads))


def _places(step: Step) -> NDArray[np.int64]:
    return np.arange(math.prod(step.shape), dtype=np.int64).reshape(step.shape)


def _kept(call: Call, index: int = 0) -> Data | None:
    """Data that already is one of the client's last steps, whose columns renaming leaves as they are."""
    value = call.given(index)
    return value if isinstance(value, Data) and value.post else None


@operator("Flatten")
def _flatten(call: Call) -> Value:
    step = call.settled()
    axis = call.integer("axis", 1)
    if call.axis(axis, len(step.shape) + 1) != 1:
        call.refuse("OPERATOR", "mixes samples", "flatten from axis 1")
    return _renamed(call, step, (math.prod(step.shape),))


@operator("Reshape")
def _reshape(call: Call) -> Value:
    value = call.given(0)
    told = call.sizes(1).values
    if isinstance(value, np.ndarray):
        if value.ndim + len(told) > 2 * limits.MAX_MODEL_DIMENSIONS or None in told:
            call.refuse("SHAPE", "cannot give its constant this shape")
        shape = [value.shape[k] if size == 0 and k < value.ndim else size for k, size in enumerate(told)]
        try:
            return value.reshape([int(size or 0) for size in shape])
        except ValueError:
            call.refuse("SHAPE", "cannot give its constant this shape")
    if isinstance(value, Sizes):
        return Sizes(value.values, scalar=not told)
    kept = _kept(call)
    if kept is not None:
        return kept
    step = call.settled()
    return _renamed(call, step, _target(call, step, told))


def _target(call: Call, step: Step, told: tuple[int | None, ...]) -> Shape:
    """The shape behind the batch that a Reshape asks for."""
    have = math.prod(step.shape)
    if not told or len(told) > limits.MAX_MODEL_DIMENSIONS:
        call.refuse("SHAPE", "takes the batch away", "keep the samples as the first dimension")
    allow_zero = call.integer("allowzero", 0)
    shape: list[int | None] = []
    for place, size in enumerate(told[1:], start=1):
        copied = size == 0 and not allow_zero and place <= len(step.shape)
        shape.append(step.shape[place - 1] if copied else size)
    known = math.prod(size for size in shape if size is not None and size != -1)
    holes = [place for place, size in enumerate(shape) if size == -1]
    first = told[0]
    keeps = first is None or first in (-1, 0) or first == call.batch
    if not keeps or None in shape or len(holes) > 1 or known < 1 or have % known or (holes and first == -1):
        call.refuse("SHAPE", f"cannot make {text_of(step.shape)} into this shape and keep the samples apart")
    if holes:
        shape[holes[0]] = have // known
    elif known != have:
        call.refuse("SHAPE", f"cannot make {text_of(step.shape)} into this shape and keep the samples apart")
    return tuple(int(size or 0) for size in shape)


@operator("Transpose")
def _transpose(call: Call) -> Value:
    value = call.given(0)
    order = call.integers("perm")
    rank = value.ndim if isinstance(value, np.ndarray) else len(call.data().shape) + 1
    order = tuple(range(rank))[::-1] if order is None else order
    if sorted(order) != list(range(rank)):
        call.refuse("SHAPE", "has a perm that does not fit its input")
    if isinstance(value, np.ndarray):
        return value.transpose(order)
    step = call.settled()
    if order[0] != 0:
        call.refuse("OPERATOR", "moves the samples to another dimension", "keep them as the first one")
    return _chosen(call, step, _places(step).transpose([axis - 1 for axis in order[1:]]))


def _axes(call: Call) -> tuple[int, ...] | None:
    """The axes of Squeeze and Unsqueeze: an attribute up to operator set 12, an input after it."""
    if call.version < 13:
        return call.integers("axes")
    return None if call.given(1) is None else call.whole(1)


@operator("Squeeze", "Unsqueeze")
def _squeeze(call: Call) -> Value:
    value = call.given(0)
    grow = call.operator == "Unsqueeze"
    if isinstance(value, Sizes):
        return Sizes(value.values, scalar=not grow)
    kept = _kept(call)
    if kept is not None:
        return kept
    shape: Shape = value.shape if isinstance(value, np.ndarray) else (-1, *call.data().shape)
    told = _axes(call)
    if told is None and grow:
        call.refuse("FORMAT", "has no axes")
    rank = len(shape) + (len(told or ()) if grow else 0)
    if rank > limits.MAX_MODEL_DIMENSIONS:
        call.refuse("SHAPE", "has too many dimensions")
    axes = [k for k, size in enumerate(shape) if size == 1]
    if told is not None:
        axes = [call.axis(axis, rank) for axis in told]
    if len(set(axes)) != len(axes):
        call.refuse("SHAPE", "names an axis twice")
    sizes = iter(shape)
    if grow:
        new = tuple(1 if k in axes else next(sizes) for k in range(rank))
    else:
        if any(shape[k] != 1 for k in axes):
            call.refuse("SHAPE", "takes away a dimension that has more than one place")
        new = tuple(size for k, size in enumerate(shape) if k not in axes)
    if isinstance(value, np.ndarray):
        return value.reshape(new)
    if new[0] != -1:
        call.refuse(
            "OPERATOR", "puts a dimension before the samples", "keep the samples as the first dimension"
        )
    return _renamed(call, call.settled(), new[1:])


@operator("Pad")
def _pad(call: Call) -> Value:
    step = call.settled()
    if call.text("mode", "constant") != "constant":
        call.refuse("OPERATOR", "repeats the edge", "pad with zeros")
    pads = call.integers("pads") if call.version < 11 else call.whole(1)
    value = (
        call.number("value", 0.0) if call.version < 11 else (0.0 if call.given(2) is None else call.scalar(2))
    )
    rank = len(step.shape) + 1
    axes = list(range(rank)) if call.given(3) is None else [call.axis(k, rank) for k in call.whole(3)]
    if (
        pads is None
        or len(pads) != 2 * len(axes)
        or len(set(axes)) != len(axes)
        or max(map(abs, pads)) > 1 << 16
    ):
        call.refuse("SHAPE", "has pads that do not fit its input")
    before, after = [0] * rank, [0] * rank
    for place, axis in enumerate(axes):
        before[axis], after[axis] = pads[place], pads[place + len(axes)]
    if before[0] or after[0]:
        call.refuse("OPERATOR", "adds samples", "pad the values of a sample only")
    sizes = [size + b + a for size, b, a in zip(step.shape, before[1:], after[1:], strict=True)]
    if min(sizes) < 1 or math.prod(sizes) > limits.MAX_LAYER_VALUES:
        call.refuse("SHAPE", "has pads that do not fit its input")
    if value != 0 and (max(*before, *after) > 0):
        call.refuse("OPERATOR", "pads with another number than zero", "pad with zeros")
    places = _places(step)
    for axis, (b, a) in enumerate(zip(before[1:], after[1:], strict=True)):
        cut = [slice(None)] * places.ndim
        cut[axis] = slice(max(0, -b), places.shape[axis] - max(0, -a))
        places = places[tuple(cut)]
    edges = [(max(0, b), max(0, a)) for b, a in zip(before[1:], after[1:], strict=True)]
    places = np.pad(places, edges, constant_values=-1)
    only_grows = min(*before, *after) >= 0
    return _chosen(call, step, places, (*before[1:], *after[1:]) if only_grows else None)


@operator("Slice")
def _slice(call: Call) -> Value:
    value = call.given(0)
    if call.version < 10:
        starts, ends, axes, steps = (
            call.integers("starts"),
            call.integers("ends"),
            call.integers("axes"),
            None,
        )
    else:
        starts, ends = call.whole(1), call.whole(2)
        axes = None if call.given(3) is None else call.whole(3)
        steps = None if call.given(4) is None else call.whole(4)
    if starts is None or ends is None:
        call.refuse("FORMAT", "has no starts and ends")
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        call.refuse("SHAPE", "has starts, ends and steps that do not fit")

    def cut(rank: int) -> tuple[slice, ...]:
        found = [slice(None)] * rank
        for start, end, axis, pace in zip(starts, ends, axes, steps, strict=True):
            stop = None if pace < 0 and end <= -(1 << 30) else end
            found[call.axis(axis, rank)] = slice(start, stop, pace)
        return tuple(found)

    if isinstance(value, Sizes):
        return Sizes(value.values[cut(1)[0]])
    if isinstance(value, np.ndarray):
        return value[cut(value.ndim)]
    step = call.settled()
    chosen = cut(len(step.shape) + 1)
    if chosen[0] != slice(None) and (chosen[0].start, chosen[0].step) != (0, 1):
        call.refuse("OPERATOR", "drops samples", "slice the values of a sample only")
    return _chosen(call, step, _places(step)[chosen[1:]])


@operator("Gather")
def _gather(call: Call) -> Value:
    value = call.given(0)
    chosen = call.constant(1)
    if chosen.dtype.kind not in "iu":
        call.refuse("FORMAT", "has indices that are no whole numbers")
    rank = (
        1
        if isinstance(value, Sizes)
        else (value.ndim if isinstance(value, np.ndarray) else len(call.data().shape) + 1)
    )
    axis = call.axis(call.integer("axis", 0), rank)
    try:
        if isinstance(value, Sizes):
            picked = tuple(value.values[int(k)] for k in chosen.ravel())
            return Sizes(picked, scalar=chosen.ndim == 0)
        source = value if isinstance(value, np.ndarray) else _places(call.settled())
        size = math.prod(source.shape) // max(1, source.shape[axis - (source is not value)]) * chosen.size
        if size > limits.MAX_LAYER_VALUES:
            call.refuse("TOO_LARGE", "gives too many values")
        if isinstance(value, np.ndarray):
            return value.take(chosen, axis)
        if axis == 0:
            call.refuse("OPERATOR", "picks samples", "pick values of a sample only")
        return _chosen(call, call.settled(), source.take(chosen, axis - 1))
    except IndexError:
        call.refuse("SHAPE", "picks a place past the end")


@operator("Split")
def _split(call: Call) -> tuple[Value, ...]:
    step = call.settled()
    axis = call.axis(call.integer("axis", 0), len(step.shape) + 1)
    if axis == 0:
        call.refuse("OPERATOR", "splits the samples", "split the values of a sample only")
    size = step.shape[axis - 1]
    told = call.integers("split") if call.version < 13 else (None if call.given(1) is None else call.whole(1))
    if told is None:
        each = -(-size // call.outputs)
        told = tuple(min(each, size - each * k) for k in range(call.outputs))
    if sum(told) != size or len(told) != call.outputs or min(told) < 1:
        call.refuse("SHAPE", "has sizes that do not fit its input")
    parts = np.split(_places(step), np.cumsum(told)[:-1], axis - 1)
    return tuple(_chosen(call, step, part) for part in parts)
