# SPDX-License-Identifier: Apache-2.0
"""Runs a circuit on plain float64 numbers: what the encrypted one would give without any noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.circuit.node import Node
from hitoku.inference.circuit.program import Program

__all__ = ["check_inputs", "evaluate", "run"]

Floats = npt.NDArray[np.float64]


def run(
    program: Program,
    inputs: Mapping[str, npt.ArrayLike],
    watch: Callable[[int, Floats], Floats | None] | None = None,
) -> dict[str, Floats]:
    """The outputs by name, each float64[count, slots].

    Args:
        program: the circuit.
        inputs: for each input float64[count, slots]. Bounds are not checked here (`ranges.check`).
        watch: called with every node's index and value; what it returns, if not None, takes its place.

    Raises:
        CircuitError: an input is missing, unknown, of the wrong shape or not finite.
    """
    given = check_inputs(program, inputs)
    values: dict[int, Floats] = {}
    outputs: dict[str, Floats] = {}
    for index, node in enumerate(program.nodes):
        args = [values[a] for a in node.args]
        value = given[node.settings["name"]] if node.op == "input" else evaluate(node, args)
        if watch is not None:
            changed = watch(index, value)
            value = value if changed is None else changed
        if node.op == "output":
            outputs[node.settings["name"]] = value
        values[index] = value
        for arg in {index, *node.args}:
            if program.last_use[arg] <= index:
                del values[arg]
    return outputs


def check_inputs(program: Program, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Floats]:
    """The inputs as float64[count, slots], all there and of the right shape."""
    for name in inputs:
        if name not in program.inputs:
            raise CircuitError("INPUT", f"the circuit has no input named {name!r}")
    found: dict[str, Floats] = {}
    for name, index in program.inputs.items():
        if name not in inputs:
            raise CircuitError("INPUT", f"the input {name!r} is missing")
        array = np.asarray(inputs[name], dtype=np.float64)
        shape = (program.nodes[index].count, program.slots)
        if array.shape != shape:
            raise CircuitError(
                "SHAPE", f"the input {name!r} must have the shape {list(shape)}, not {list(array.shape)}"
            )
        if not np.isfinite(array).all():
            raise CircuitError("NUMBER", f"the input {name!r} holds a number that is not finite")
        found[name] = array
    return found


def evaluate(node: Node, args: list[Any]) -> Floats:
    """The value of one operation other than an input, from the values it takes."""
    first: Floats = args[0]
    constants = node.constants
    match node.op:
        case "matrix":
            out: Floats = (constants["weights"].astype(np.float64) @ first) * node.settings["unit"]
            return out + constants["bias"][:, None] if "bias" in constants else out
        case "square":
            return first * first
        case "multiply":
            product: Floats = first * args[1]
            return product
        case "add":
            added: Floats = first + args[1]
            return added
        case "subtract":
            difference: Floats = first - args[1]
            return difference
        case "negate":
            return -first
        case "add_plain":
            shifted: Floats = first + constants["values"]
            return shifted
        case "multiply_plain":
            scaled: Floats = first * constants["values"]
            return scaled
        case "relinearise" | "rescale" | "drop" | "output":
            return first
        case "rotate":
            return np.roll(first, -node.settings["step"], axis=1)
        case "transform":
            return _transform(node, first)
        case "take":
            taken: Floats = np.take(first, constants["indices"], axis=0)
            return taken
        case "concatenate":
            return np.concatenate(args)
        case "total":
            summed: Floats = np.sum(first, axis=0, keepdims=True)
            return summed
    raise CircuitError("FORMAT", f"the operation {node.op!r} is unknown")


def _transform(node: Node, x: Floats) -> Floats:
    rows = []
    diagonals = iter(node.constants["values"])
    for target in node.settings["steps"]:
        total = np.zeros_like(x if node.settings["each"] else x[:1])
        for source, steps in enumerate(target):
            # One map is applied to every ciphertext; of several, each has its own.
            of = x if node.settings["each"] else x[source : source + 1]
            for step in steps:
                total += next(diagonals) * np.roll(of, -step, axis=1)
        rows.append(total)
    return np.concatenate(rows)
