# SPDX-License-Identifier: Apache-2.0
"""Small ONNX graphs for tests, and what onnx's own reference evaluator makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def graph(
    nodes: list[onnx.NodeProto],
    shape: tuple[int, ...],
    constants: dict[str, Any] | None = None,
    *,
    opset: int = 17,
    outputs: tuple[str, ...] = ("y",),
    batch: int | str = "batch",
    ml: int = 1,
) -> onnx.ModelProto:
    """A model of these nodes from ``x`` [batch, *shape] to the outputs."""
    initializers = [
        numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()
    ]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        initializers,
    )
    sets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml)]
    return helper.make_model(made, opset_imports=sets, ir_version=8)


def reference(model: onnx.ModelProto, x: Any, output: str = "y") -> Any:
    """What onnx's reference evaluator computes, in float32."""
    found: Any = ReferenceEvaluator(model).run([output], {"x": np.asarray(x, np.float32)})
    return np.asarray(found[0])


def node(operator: str, *inputs: str, to: str = "y", domain: str = "", **attributes: Any) -> onnx.NodeProto:
    """One node named after its operator."""
    return helper.make_node(
        operator, list(inputs), [to], name=f"{operator.lower()}_1", domain=domain, **attributes
    )
