# SPDX-License-Identifier: Apache-2.0
"""Operators that end a classifier, and those of ONNX's set for classical models (``ai.onnx.ml``)."""

from __future__ import annotations

from typing import Final

import numpy as np

from hitoku.inference.importing.calls import Call, operator
from hitoku.inference.importing.values import Broken, Data, Value, append
from hitoku.inference.network import Dense, Scale

_ML: Final = "ai.onnx.ml"


def _whole_row(call: Call, data: Data, axis: int) -> None:
    """Refuse a last step that is not over all of a sample's scores."""
    rank = len(data.shape) + 1
    if sum(size > 1 for size in data.shape) > 1 or (
        axis < 1 or (data.shape and data.shape[axis - 1] == 1 and max(data.shape) > 1)
    ):
        call.refuse("OPERATOR", f"works along axis {axis} of {rank}", "let it be over all scores of a sample")


@operator("Softmax", "LogSoftmax")
def _softmax(call: Call) -> Value:
    data = call.data()
    axis = call.axis(call.integer("axis", 1 if call.version < 13 else -1), len(data.shape) + 1)
    _whole_row(call, data, axis)
    return data.with_post("softmax" if call.operator == "Softmax" else "log_softmax")


@operator("ArgMax")
def _argmax(call: Call) -> Value:
    data = call.data()
    columns = 2 if data.post and data.post[-1] == "complement" else None
    if columns is None:
        _whole_row(call, data, call.axis(call.integer("axis", 0), len(data.shape) + 1))
    elif call.axis(call.integer("axis", 0), 2) != 1:
        call.refuse("OPERATOR", "compares samples", "let it be over all scores of a sample")
    if call.integer("select_last_index", 0):
        call.refuse("OPERATOR", "takes the last of equal scores", "take the first")
    return data.with_post("argmax")


@operator("Scaler", domain=_ML)
def _scaler(call: Call) -> Value:
    step = call.settled()
    offset, scale = call.numbers("offset"), call.numbers("scale")
    if len(step.shape) != 1 or {offset.size, scale.size} - {1, step.shape[0]}:
        call.refuse("SHAPE", "has numbers that do not fit its input")
    count = max(offset.size, scale.size)
    offset, scale = np.broadcast_to(offset, count), np.broadcast_to(scale, count)
    return Data(append(step, Scale(scale, -offset * scale, call.name)))


@operator("Normalizer", domain=_ML)
def _normalizer(call: Call) -> Value:
    data = call.data()
    if call.text("norm", "MAX") == "L1" and data.post:
        # Behind a classifier its inputs are shares already: probabilities, never negative.
        sums_to_one = data.post[-1] in ("softmax", "complement", "share")
        return data if sums_to_one else data.with_post("share")
    return call.refuse(
        "OPERATOR", "divides by what depends on the sample", "normalise inputs before they are encrypted"
    )


@operator("LinearRegressor", domain=_ML)
def _linear_regressor(call: Call) -> Value:
    if call.text("post_transform", "NONE") != "NONE":
        call.refuse("OPERATOR", "has a post_transform", "export it without one; the client can do it")
    return Data(append(call.settled(), _rows(call, "coefficients", call.integer("targets", 1))))


def _rows(call: Call, name: str, count: int) -> Dense:
    weights, bias = call.numbers(name), call.numbers("intercepts")
    if count < 1 or not weights.size or weights.size % count or bias.size not in (0, count):
        call.refuse("SHAPE", "has coefficients and intercepts that do not fit")
    bias = bias if bias.size else np.zeros(count)
    return Dense(weights.reshape(count, -1), bias, call.name)


_TRANSFORMS: Final = {"NONE": None, "LOGISTIC": "sigmoid", "SOFTMAX": "softmax"}


@operator("LinearClassifier", domain=_ML)
def _linear_classifier(call: Call) -> tuple[Value, ...]:
    labels = call.attributes.get("classlabels_strings") or call.attributes.get("classlabels_ints") or ()
    names = tuple(map(str, labels)) if isinstance(labels, tuple) else ()
    transform = call.text("post_transform", "NONE")
    if transform not in _TRANSFORMS:
        call.refuse("OPERATOR", "has this post_transform", "export with NONE, LOGISTIC or SOFTMAX")
    weights, bias = call.numbers("coefficients"), call.numbers("intercepts")
    layer = _rows(call, "coefficients", max(1, bias.size) if bias.size else max(1, len(names)))
    if layer.weights.shape[0] == 1 and len(names) == 2:
        call.refuse(
            "OPERATOR", "has one row of coefficients for two classes", "export with one row for each class"
        )
    del weights
    step = _TRANSFORMS[transform]
    opposite = (
        step == "sigmoid"
        and layer.weights.shape[0] == 2
        and bool((layer.weights[0] == -layer.weights[1]).all())
        and bool((layer.bias[0] == -layer.bias[1]).all())
    )
    if opposite:
        # Two opposite rows: one score, and its probability's complement.
        layer = Dense(layer.weights[1:], layer.bias[1:], call.name)
    data = Data(append(call.settled(), layer), names=names)
    for one in () if step is None else (step, "complement") if opposite else (step,):
        data = data.with_post(one)
    return _label(call), data


def _label(call: Call) -> Broken:
    from hitoku.inference.errors import ModelError

    return Broken(
        ModelError(
            "OPERATOR",
            "gives labels, not scores",
            where=call.where,
            remedy="choose the output with scores or probabilities (output=...)",
        )
    )


@operator("ArrayFeatureExtractor", domain=_ML)
def _labels(call: Call) -> Value:
    return _label(call)


@operator("ZipMap", domain=_ML)
def _zip_map(call: Call) -> Value:
    data = call.data()
    labels = call.attributes.get("classlabels_strings") or call.attributes.get("classlabels_int64s") or ()
    names = tuple(map(str, labels)) if isinstance(labels, tuple) else ()
    return Data(data.step, data.expression, data.size, data.post, names or data.names)
