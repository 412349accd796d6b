# SPDX-License-Identifier: Apache-2.0
"""Operators that are linear in the data: products with constant matrices, convolutions, means, scalings."""

from __future__ import annotations

import math
from typing import NoReturn

import numpy as np

from hitoku.inference.importing.calls import Call, operator
from hitoku.inference.importing.values import Data, Step, Value, append
from hitoku.inference.network import AveragePool, Conv, Dense, Reshape, Scale, Shape


def _row(call: Call, step: Step, values: int) -> Step:
    """The step as one row of `values`."""
    if len(step.shape) != 1 or step.shape[0] != values:
        call.refuse(
            "SHAPE",
            f"multiplies the last of {len(step.shape)} dimensions {step.shape} by a matrix of {values} rows",
            "flatten the data before a dense layer",
        )
    return step


def _fits_memory(call: Call, *sizes: int) -> None:
    from hitoku import limits

    if math.prod(sizes) > limits.MAX_MODEL_VALUES:
        call.refuse("TOO_LARGE", "its weights are too large")


@operator("MatMul")
def _matmul(call: Call) -> Value:
    step = call.settled(0)
    weights = call.constant(1)
    if weights.ndim != 2:
        call.refuse("SHAPE", "multiplies by something that is no matrix")
    step = _row(call, step, weights.shape[0])
    return Data(append(step, Dense(weights.T, np.zeros(weights.shape[1]), call.name)))


@operator("Gemm")
def _gemm(call: Call) -> Value:
    if call.integer("transA", 0):
        call.refuse("OPERATOR", "transposes the samples", "export without transA")
    step = call.settled(0)
    weights = call.constant(1).astype(np.float64)
    if weights.ndim != 2:
        call.refuse("SHAPE", "multiplies by something that is no matrix")
    weights = (weights if call.integer("transB", 0) else weights.T) * call.number("alpha", 1.0)
    step = _row(call, step, weights.shape[1])
    given = call.maybe(2)
    bias = np.zeros(1) if given is None else given.astype(np.float64).ravel() * call.number("beta", 1.0)
    if bias.size not in (1, weights.shape[0]):
        call.refuse("SHAPE", "has a bias that does not fit its weights")
    return Data(append(step, Dense(weights, np.broadcast_to(bias, weights.shape[:1]), call.name)))


def _spatial(call: Call, step: Step) -> tuple[Step, bool]:
    """The step as channels x height x width; a line becomes an image of one row."""
    if len(step.shape) == 3:
        return step, False
    if len(step.shape) == 2:
        return append(step, Reshape((step.shape[0], 1, step.shape[1]), call.name)), True
    return call.refuse(
        "SHAPE", f"takes lines or images, gets {len(step.shape)} dimensions", "use 1D or 2D layers"
    )


def _pair(call: Call, name: str, line: bool, default: int = 1) -> tuple[int, int]:
    values = call.integers(name)
    if values is None:
        return default, default
    if len(values) != (1 if line else 2) or min(values) < 1 or max(values) > 1 << 16:
        call.refuse("SHAPE", f"attribute {name} does not fit its input")
    return (1, values[0]) if line else (values[0], values[1])


def _pads(
    call: Call,
    line: bool,
    shape: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[int, int, int, int]:
    """Top, left, bottom, right."""
    auto = call.text("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        totals = []
        for size, k, s, d in zip(shape[1:], kernel, stride, dilation, strict=True):
            totals.append(max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size))
        small = [total // 2 for total in totals]
        large = [total - half for total, half in zip(totals, small, strict=True)]
        first, last = (small, large) if auto == "SAME_UPPER" else (large, small)
        return first[0], first[1], last[0], last[1]
    if auto == "VALID":
        return 0, 0, 0, 0
    if auto != "NOTSET":
        call.refuse("FORMAT", "has an unknown auto_pad")
    pads = call.integers("pads")
    if pads is None:
        return 0, 0, 0, 0
    if len(pads) != (2 if line else 4) or min(pads) < 0 or max(pads) > 1 << 16:
        call.refuse("SHAPE", "attribute pads does not fit its input")
    return (0, pads[0], 0, pads[1]) if line else (pads[0], pads[1], pads[2], pads[3])


def _back(call: Call, step: Step, line: bool) -> Data:
    if not line:
        return Data(step)
    return Data(append(step, Reshape((step.shape[0], step.shape[2]), call.name)))


@operator("Conv")
def _conv(call: Call) -> Value:
    step, line = _spatial(call, call.settled(0))
    weights = call.constant(1).astype(np.float64)
    if weights.ndim != (3 if line else 4) or not weights.size:
        call.refuse("SHAPE", "has weights that do not fit its input")
    weights = weights[:, :, None, :] if line else weights
    kernel = weights.shape[2], weights.shape[3]
    told = call.integers("kernel_shape")
    if told is not None and told != kernel[1 if line else 0 :]:
        call.refuse("SHAPE", "has a kernel_shape that is not that of its weights")
    stride, dilation = _pair(call, "strides", line), _pair(call, "dilations", line)
    given = call.maybe(2)
    bias = np.zeros(weights.shape[0]) if given is None else given.astype(np.float64).ravel()
    padding = _pads(call, line, step.shape, kernel, stride, dilation)
    if (
        step.pads is not None
        and step.parent is not None
        and len(step.pads) == 6
        and not step.pads[0] + step.pads[3]
    ):
        # A Pad node of its own before it: the convolution pads by itself, and nothing is copied.
        top, left, bottom, right = padding
        before, after = step.pads[:3], step.pads[3:]
        padding = top + before[1], left + before[2], bottom + after[1], right + after[2]
        step = step.parent
    _fits_memory(call, step.shape[1] + padding[0] + padding[2], step.shape[2] + padding[1] + padding[3])
    layer = Conv(weights, bias, stride, padding, dilation, call.integer("group", 1), call.name)
    return _back(call, append(step, layer), line)


@operator("BatchNormalization", "BatchNormalizationInference")
def _batch_normalisation(call: Call) -> Value:
    if call.integer("training_mode", 0):
        call.refuse("OPERATOR", "is in training mode", "export the model in evaluation mode (model.eval())")
    step = call.settled(0)
    scale, shift, mean, variance = (call.constant(index).astype(np.float64).ravel() for index in range(1, 5))
    if len({values.size for values in (scale, shift, mean, variance)}) != 1:
        call.refuse("SHAPE", "its constants do not fit each other")
    spread = variance + call.number("epsilon", 1e-5)
    if not (spread > 0).all():
        call.refuse("VALUE", "has a variance that is not positive")
    factor = scale / np.sqrt(spread)
    return Data(append(step, Scale(factor, shift - mean * factor, call.name)))


@operator("AveragePool")
def _average_pool(call: Call) -> Value:
    step, line = _spatial(call, call.settled(0))
    if call.attributes.get("kernel_shape") is None:
        call.refuse("FORMAT", "has no kernel_shape")
    kernel, stride = _pair(call, "kernel_shape", line), _pair(call, "strides", line)
    if _pair(call, "dilations", line) != (1, 1):
        call.refuse("OPERATOR", "averages every other value", "use a pooling without dilation")
    if line:
        stride = 1, stride[1]
    pads = _pads(call, line, step.shape, kernel, stride, (1, 1))
    if call.integer("ceil_mode", 0):
        edges = (pads[0] + pads[2], pads[1] + pads[3])
        for size, edge, k, s in zip(step.shape[1:], edges, kernel, stride, strict=True):
            if (size + edge - k) % s:
                call.refuse("OPERATOR", "has windows that are cut off at the edge", "use ceil_mode=False")
    layer = AveragePool(kernel, stride, pads, bool(call.integer("count_include_pad", 0)), call.name)
    return _back(call, append(step, layer), line)


@operator("GlobalAveragePool")
def _global_average(call: Call) -> Value:
    step, line = _spatial(call, call.settled(0))
    size = step.shape[1], step.shape[2]
    return _back(call, append(step, AveragePool(size, size, name=call.name)), line)


@operator("ReduceMean", "ReduceSum")
def _reduce(call: Call) -> Value:
    """The mean or sum over all places of an image or line, or of a whole row."""
    step = call.settled(0)
    rank = len(step.shape) + 1
    told = call.integers("axes") if call.given(1) is None else call.whole(1)
    axes = sorted(call.axis(value, rank) for value in (told or range(rank)))
    keep = call.integer("keepdims", 1)
    if axes == list(range(2, rank)) and rank in (3, 4):
        image, _ = _spatial(call, step)
        size = image.shape[1], image.shape[2]
        found = append(image, AveragePool(size, size, name=call.name))
        shape: Shape = (step.shape[0], *((1,) * (rank - 2) if keep else ()))
        if call.operator == "ReduceSum":
            found = append(found, Scale(np.array([float(size[0] * size[1])]), np.zeros(1), call.name))
        return Data(append(found, Reshape(shape, call.name)))
    if axes == [1] and rank == 2 and keep:
        values = step.shape[0]
        row = np.full((1, values), 1.0 if call.operator == "ReduceSum" else 1.0 / values)
        return Data(append(step, Dense(row, np.zeros(1), call.name)))
    return call.refuse(
        "OPERATOR", "reduces these axes", "reduce the places of an image (global average pooling) or a row"
    )


_PER_SAMPLE = "it divides by what depends on the sample: use batch normalisation and train again"
_POOL = "encrypted values cannot be compared: use average pooling and train again"
_FLOAT = "give the float model: hitoku makes weights whole numbers itself"
_RECURRENT = "recurrent layers are too deep to compute encrypted: use dense or convolution layers"
_CONTROL = "export a model without control flow (torch.onnx.export traces it away)"
_TREES = "load the XGBoost, LightGBM or scikit-learn model itself"
_INSTEAD = {
    "MaxPool": _POOL,
    "GlobalMaxPool": _POOL,
    "LayerNormalization": _PER_SAMPLE,
    "InstanceNormalization": _PER_SAMPLE,
    "GroupNormalization": _PER_SAMPLE,
    "LRN": _PER_SAMPLE,
    "LpNormalization": "it divides by what depends on the sample: normalise inputs before they are encrypted",
    "LSTM": _RECURRENT,
    "GRU": _RECURRENT,
    "RNN": _RECURRENT,
    "ConvTranspose": "use convolutions that do not enlarge the image",
    "If": _CONTROL,
    "Loop": _CONTROL,
    "Scan": _CONTROL,
    "QuantizeLinear": _FLOAT,
    "DequantizeLinear": _FLOAT,
    "QLinearConv": _FLOAT,
    "QLinearMatMul": _FLOAT,
    "ConvInteger": _FLOAT,
    "MatMulInteger": _FLOAT,
    "Attention": "attention multiplies and compares encrypted values: use dense or convolution layers",
    "TopK": "encrypted values cannot be sorted: leave it to the client",
    "Log": "it has no polynomial that is good near zero: use another activation, or leave it to the client",
    "TreeEnsembleClassifier": _TREES,
    "TreeEnsembleRegressor": _TREES,
    "TreeEnsemble": _TREES,
    "SVMClassifier": "use a linear model (LinearSVC, LogisticRegression) or a neural network",
    "SVMRegressor": "use a linear model (Ridge, LinearSVR) or a neural network",
}


def unsupported(call: Call) -> NoReturn:
    """Raises ModelError for an operator that has no reader, with what to do instead."""
    general = (
        "leave it out, do it on the client before encryption or after decryption, or use layers that are read"
    )
    call.refuse("OPERATOR", "has no counterpart on encrypted values", _INSTEAD.get(call.operator, general))
