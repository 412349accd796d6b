# SPDX-License-Identifier: Apache-2.0
"""The scale of every value: the integer that stands for 1.0 in it.

Products multiply scales, `rescale` divides by the prime dropped, `matrix` divides by its unit. Sums take
the first value's scale; where the others' differ by up to 1 % (primes are not powers of two), the
difference is an error that `noise` counts, beyond that the circuit is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.circuit.node import Node
from hitoku.inference.circuit.program import Program
from hitoku.inference.interpreters.ring import Ring, check

__all__ = ["MAX_DRIFT", "Scales", "find"]

MAX_DRIFT: Final = 0.01
_SMALLEST: Final = 2.0


@dataclass(frozen=True, slots=True)
class Scales:
    """The scales of a circuit under given primes.

    Attributes:
        values: each node's scale.
        plain: the scale of each node's plain constants; 0 where it has none.
        drift: by how much the scales of what a node adds differ, relative to the first.
    """

    values: tuple[float, ...]
    plain: tuple[float, ...]
    drift: tuple[float, ...]


def find(program: Program, ring: Ring) -> Scales:
    """Every node's scale.

    Raises:
        CircuitError: scales of a sum differ by more than 1 % or become too small (``SCALE``), or the ring
            does not fit the circuit.
    """
    check(program, ring)
    values: list[float] = []
    plain = [0.0] * len(program.nodes)
    drift = [0.0] * len(program.nodes)
    for index, node in enumerate(program.nodes):
        args = [values[a] for a in node.args]
        if node.op in ("multiply_plain", "transform"):
            plain[index] = _plain_scale(node, args[0], ring)
        scale = _scale(node, args, plain[index], ring)
        if node.op in ("add", "subtract", "concatenate"):
            drift[index] = max(abs(s / args[0] - 1.0) for s in args)
        if drift[index] > MAX_DRIFT:
            raise CircuitError(
                "SCALE",
                "adds values of the scales " + ", ".join(f"2^{math.log2(s):.2f}" for s in args),
                where=node.describe(index),
                remedy="rescale or multiply by 1 with a fitting scale before",
            )
        if not math.isfinite(scale) or scale < _SMALLEST or 0.0 < plain[index] < _SMALLEST:
            raise CircuitError(
                "SCALE",
                "the scale leaves no room for a fraction",
                where=node.describe(index),
                remedy="rescale less often or start with a larger scale",
            )
        values.append(scale)
    return Scales(tuple(values), tuple(plain), tuple(drift))


def _plain_scale(node: Node, scale: float, ring: Ring) -> float:
    stated: float | None = node.settings["scale"]
    if stated is not None:
        return stated
    wanted: float = node.settings["to"]
    return wanted * ring.primes[node.level - 1] / scale


def _scale(node: Node, args: list[float], plain: float, ring: Ring) -> float:
    match node.op:
        case "input":
            return float(node.settings["scale"])
        case "matrix":
            return args[0] / float(node.settings["unit"])
        case "square":
            return args[0] * args[0]
        case "multiply":
            return args[0] * args[1]
        case "multiply_plain" | "transform":
            return args[0] * plain
        case "rescale":
            return args[0] / ring.primes[node.level]
    return args[0]
