# SPDX-License-Identifier: Apache-2.0
"""Graphs put together at random: they compute what onnx's reference evaluator computes, or are refused."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import helper
from tests.unit.inference.importing.graphs import graph, reference

from hitoku.inference.errors import ModelError
from hitoku.inference.importing import onnx_file
from hitoku.inference.importing.calls import HANDLERS

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "ArgMax": ("axis", "keepdims"),
    "AveragePool": ("kernel_shape", "strides", "pads", "count_include_pad", "auto_pad"),
    "Celu": ("alpha",),
    "Clip": ("min", "max"),
    "Concat": ("axis",),
    "Conv": ("strides", "pads", "dilations", "group"),
    "Elu": ("alpha",),
    "Flatten": ("axis",),
    "Gather": ("axis",),
    "Gemm": ("alpha", "beta", "transA", "transB"),
    "HardSigmoid": ("alpha", "beta"),
    "LeakyRelu": ("alpha",),
    "Pad": ("pads", "mode", "value"),
    "ReduceMean": ("axes", "keepdims"),
    "ReduceSum": ("axes", "keepdims"),
    "Reshape": ("allowzero",),
    "Slice": ("starts", "ends", "axes"),
    "Split": ("axis",),
    "Squeeze": ("axes",),
    "Transpose": ("perm",),
    "Unsqueeze": ("axes",),
}
NUMBERS: list[Any] = [0, 1, 2, -1, 1.5, 1 << 40, "SAME_UPPER", "edge", [0.5, 1.0], [1 << 40, 1]]
LISTS: list[Any] = [
    [0],
    [1],
    [-1],
    [0, 1],
    [2, 2],
    [3, 3],
    [0, 0],
    [0, 2, 1],
    [1, 1, 1, 1],
    [0, 3, 1, 2],
    [0, 2, 3, 1],
]
TWO = ("Add", "Sub", "Mul", "Div", "MatMul", "Gather", "Reshape", "Max", "Pad", "Conv", "Pow", "PRelu")
INPUTS = {
    **dict.fromkeys(TWO, 2),
    **dict.fromkeys(("Where", "Gemm", "Clip", "Slice"), 3),
    "BatchNormalization": 5,
}
TRUTHS = {"Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
"""Give truth values, which only Where may take: other uses are against their types."""


def _float(numbers: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return numbers.normal(size=shape).astype(np.float32)


def constant(choose: random.Random) -> Any:
    numbers = np.random.default_rng(choose.randrange(1 << 30))
    whole = [-1, 0, 1, 2, 3, -2, 4, 6, 1 << 40]
    match choose.randrange(5):
        case 0:
            return np.float32(choose.choice([0, 1, -1, 2, 0.5, 3]))
        case 1:
            return np.array([choose.choice(whole) for _ in range(choose.randrange(5))], np.int64)
        case 2:
            return numbers.normal(size=choose.choice([(4, 4), (4, 3), (36, 2), (32, 3), (24, 24)])).astype(
                np.float32
            )
        case 3:
            return numbers.normal(size=choose.choice([(2, 1, 3, 3), (2, 2, 2, 2), (2, 3, 2)])).astype(
                np.float32
            )
    return numbers.normal(size=choose.choice([(1,), (3,), (4,), (0,), (2, 1, 1), (1, 1), (4, 4)])).astype(
        np.float32
    )


def made(seed: int) -> tuple[Any, tuple[int, ...]]:
    """A model that may make no sense, from x of this shape to y."""
    choose = random.Random(seed)
    shape = choose.choice([(4,), (1, 6, 6), (2, 4, 4), (3, 8), (2, 3, 4)])
    constants: dict[str, Any] = {}
    nodes, names = [], ["x"]
    for place in range(choose.randrange(1, 4)):
        domain, operator = choose.choice(
            sorted(key for key in HANDLERS if not key[0] and key[1] not in TRUTHS)
        )
        inputs = []
        for slot in range(INPUTS.get(operator, 1)):
            if choose.random() < (0.9 if slot == 0 else 0.2):
                inputs.append(choose.choice(names[-3:]))
            else:
                constants[f"c{len(constants)}"] = constant(choose)
                inputs.append(f"c{len(constants) - 1}")
        told = [name for name in ATTRIBUTES.get(operator, ()) if choose.random() < 0.7]
        attributes = {name: choose.choice(NUMBERS + 2 * LISTS) for name in told}
        names.append(f"v{place}")
        nodes.append(helper.make_node(operator, inputs, names[-1:], domain=domain, **attributes))
    opset = choose.choice([9, 11, 13, 17, 20])
    return graph(nodes, shape, constants, opset=opset, outputs=(names[-1],)), shape


@pytest.mark.parametrize("first", range(0, 1500, 250))
def test_what_is_read_computes_the_same(first: int) -> None:
    compared = 0
    for seed in range(first, first + 250):
        model, shape = made(seed)
        try:
            network = onnx_file.load(model.SerializeToString())
        except ModelError:
            continue
        x = np.random.default_rng(seed).normal(size=(2, *shape)).astype(np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the evaluator's own
            try:
                wanted = reference(model, x, model.graph.output[0].name).astype(np.float64)
            except Exception:
                continue  # not valid, or not known to the evaluator
        found = network.predict(x)
        assert np.allclose(found.ravel(), wanted.ravel(), rtol=1e-3, atol=1e-3, equal_nan=True), seed
        compared += 1
    assert compared > 10
