# SPDX-License-Identifier: Apache-2.0
"""A circuit as bytes: a magic, the header's length, a JSON header, then the arrays as they lie.

Reading replays every operation through `Builder`, so a stored circuit passes the same checks as a written
one and its levels, parts and counts are found again, never believed. Sizes are checked before memory is
taken, the length is exact, nothing is executed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from hitoku.inference.circuit import checks
from hitoku.inference.circuit.builder import Builder, Value
from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.circuit.node import Node, Values
from hitoku.inference.circuit.program import Program

__all__ = ["decode", "encode"]

_MAGIC: Final = b"hitoku-circuit-1"
_MAX_HEADER: Final = 1 << 26
_MALFORMED: Final = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError)
_TYPES: Final = {"i1": np.int8, "i2": np.int16, "i4": np.int32, "i8": np.int64, "f8": np.float64}


def encode(program: Program) -> bytes:
    """The circuit's bytes; the same circuit always gives the same ones."""
    nodes: list[dict[str, Any]] = []
    arrays: list[dict[str, Any]] = []
    bodies: list[bytes] = []
    for node in program.nodes:
        names = {}
        for name, values in sorted(node.constants.items()):
            names[name] = len(arrays)
            arrays.append({"type": values.dtype.str[1:], "shape": list(values.shape)})
            bodies.append(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
        nodes.append(
            {
                "op": node.op,
                "args": list(node.args),
                "label": node.label,
                "count": node.count,
                "level": node.level,
                "arrays": names,
                "settings": dict(node.settings),
            }
        )
    header = {"slots": program.slots, "nodes": nodes, "arrays": arrays}
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return b"".join([_MAGIC, len(text).to_bytes(8, "little"), text, *bodies])


def decode(data: bytes) -> Program:
    """The circuit of these bytes.

    Raises:
        CircuitError: they are not such a circuit (``FORMAT``), or it breaks what `Builder` asks.
    """
    try:
        header, at = _header(data)
        arrays = _arrays(data, at, header["arrays"])
        return _replay(header, arrays)
    except CircuitError:
        raise
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise CircuitError("FORMAT", "the bytes are not a circuit of this version") from error


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    at = len(_MAGIC)
    if data[:at] != _MAGIC:
        raise CircuitError("FORMAT", "the bytes are not a circuit of this version")
    size = int.from_bytes(data[at : at + 8], "little")
    if size > min(_MAX_HEADER, len(data) - at - 8):
        raise CircuitError("FORMAT", "the circuit's header is too long or cut off")
    return json.loads(data[at + 8 : at + 8 + size]), at + 8 + size


def _arrays(data: bytes, at: int, described: list[dict[str, Any]]) -> list[Values]:
    arrays = []
    for one in described:
        kind = np.dtype(_TYPES[one["type"]]).newbyteorder("<")
        shape = [checks.whole(n, "a size", 1, 1 << 31) for n in one["shape"]]
        if not 1 <= len(shape) <= 2:
            raise CircuitError("FORMAT", "an array has one or two dimensions")
        items = shape[0] * (shape[1] if len(shape) == 2 else 1)
        if items * kind.itemsize > len(data) - at:
            raise CircuitError("FORMAT", "the circuit is cut off")
        # The view is copied by the checks of the operation that takes it.
        arrays.append(np.frombuffer(data, kind, items, at).reshape(shape))
        at += items * kind.itemsize
    if at != len(data):
        raise CircuitError("FORMAT", "the circuit is longer than it says")
    return arrays


def _replay(header: dict[str, Any], arrays: list[Values]) -> Program:
    builder = Builder(header["slots"])
    values: list[Value | None] = []
    for index, raw in enumerate(header["nodes"]):
        found = [values[checks.whole(a, "an argument", 0, index - 1)] for a in raw["args"]]
        args = [value for value in found if value is not None]
        if len(args) != len(found):
            raise CircuitError("FORMAT", "an operation takes the value of an output")
        constants = {
            name: arrays[checks.whole(i, "an array", 0, 1 << 31)] for name, i in raw["arrays"].items()
        }
        if not isinstance(raw["label"], str) or len(raw["label"]) > 16 * checks.MAX_NAME_CHARS:
            raise CircuitError("FORMAT", "a label is too long")
        node = Node(raw["op"], (), raw["count"], raw["level"], 2, raw["label"], constants, raw["settings"])
        with builder.labelled(node.label):
            values.append(_operation(builder, node, args))
        if len(builder) != index + 1:
            raise CircuitError("FORMAT", "an operation that does nothing is stored")
    return builder.build()


def _number(value: Any) -> int:
    return checks.whole(value, "an array", 0, 1 << 31)


def _input(b: Builder, n: Node) -> Value:
    s, bound = n.settings, (n.constants["low"], n.constants["high"])
    return b.input(s["name"], count=n.count, scale=s["scale"], level=n.level, bound=bound)


def _transform(b: Builder, n: Node, x: Value) -> Value:
    rows = iter(n.constants["values"])
    s = n.settings
    maps = [[{step: next(rows) for step in steps} for steps in target] for target in s["steps"]]
    if s["each"] is not True:
        return b.transform(x, maps, s["scale"], to=s["to"], giant=s["giant"])
    [[one]] = maps
    return b.transform(x, one, s["scale"], to=s["to"], giant=s["giant"])


def _operation(b: Builder, n: Node, args: list[Value]) -> Value | None:
    match n.op, args:
        case "input", []:
            return _input(b, n)
        case "concatenate", _:
            return b.concatenate(args)
        case (("multiply" | "add" | "subtract"), [x, z]):
            two: Callable[[Value, Value], Value] = getattr(b, n.op)
            return two(x, z)
        case (("square" | "negate" | "total" | "relinearise" | "rescale"), [x]):
            one: Callable[[Value], Value] = getattr(b, n.op)
            return one(x)
        case "matrix", [x]:
            return b.matrix(x, n.constants["weights"], n.constants.get("bias"), n.settings["unit"])
        case "add_plain", [x]:
            return b.add_plain(x, n.constants["values"])
        case "multiply_plain", [x]:
            s = n.settings
            return b.multiply_plain(x, n.constants["values"], s["scale"], to=s["to"])
        case "take", [x]:
            return b.take(x, n.constants["indices"])
        case "drop", [x]:
            return b.drop(x, checks.level(n.level))
        case "rotate", [x]:
            return b.rotate(x, n.settings["step"])
        case "transform", [x]:
            return _transform(b, n, x)
        case "output", [x]:
            b.output(n.settings["name"], x, level=n.settings["level"], flood_bits=n.settings["flood_bits"])
            return None
    raise CircuitError("FORMAT", "an operation is unknown or takes another number of values")
