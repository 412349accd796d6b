# SPDX-License-Identifier: Apache-2.0
"""The values that each operation may take, and whether they fit the modulus.

Two kinds. *Bounds* by interval arithmetic hold for every input inside its declared bound: a proof, often
a wide one, since intervals forget that values depend on each other. *Observed* ranges come from
calibration samples, widened by a margin; they hold for inputs like those.

A ciphertext decrypts rightly while every coefficient of its polynomial, noise included, is below half its
modulus. Coefficients are never larger than the largest slot (they are averages of slots times roots of
unity), so slots are compared with the modulus.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.circuit.node import Node
from hitoku.inference.circuit.program import Program
from hitoku.inference.interpreters import plain
from hitoku.inference.interpreters.ring import Ring, modulus_bits

__all__ = ["Ranges", "bounds", "check_inputs", "check_overflow", "needed_bits", "observed"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ranges:
    """What values the operations of a circuit take.

    Attributes:
        low: each node's smallest value.
        high: each node's largest value.
        largest: each node's largest magnitude, ciphertext by ciphertext.
        typical: each node's root mean square, ciphertext by ciphertext (`largest`, if only bounds are known).
        samples: how many calibration samples they come from; 0: they are bounds for every input.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    largest: tuple[Floats, ...]
    typical: tuple[Floats, ...]
    samples: int

    def widened(self, factor: float) -> Ranges:
        """The same with every value `factor` times as large; typical ones stay."""
        return Ranges(
            tuple(v * factor for v in self.low),
            tuple(v * factor for v in self.high),
            tuple(v * factor for v in self.largest),
            self.typical,
            self.samples,
        )


def bounds(program: Program) -> Ranges:
    """Ranges that hold for every input inside its declared bound."""
    intervals: dict[int, tuple[Floats, Floats]] = {}
    lows, highs, largest = [], [], []
    for index, node in enumerate(program.nodes):
        low, high = _interval(node, [intervals[a] for a in node.args])
        intervals[index] = low, high
        lows.append(float(low.min()))
        highs.append(float(high.max()))
        top = np.maximum(np.abs(low), np.abs(high)).max(axis=1)
        largest.append(np.broadcast_to(top, (node.count,)))
        for arg in {index, *node.args}:
            if program.last_use[arg] <= index:
                del intervals[arg]
    return Ranges(tuple(lows), tuple(highs), tuple(largest), tuple(largest), 0)


def observed(
    program: Program, inputs: Mapping[str, npt.ArrayLike], samples: int, used: int | None = None
) -> Ranges:
    """Ranges seen when the circuit runs on plain inputs.

    Args:
        program: the circuit.
        inputs: for each input float64[count, slots].
        samples: how many samples those inputs are; only told on.
        used: how many slots hold samples, where the rest is padding that must not count; None: all.
    """
    lows, highs, largest, typical = [], [], [], []

    def watch(_index: int, value: Floats) -> None:
        seen = value[:, :used]
        lows.append(float(seen.min()))
        highs.append(float(seen.max()))
        largest.append(np.abs(seen).max(axis=1))
        typical.append(np.sqrt(np.square(seen).mean(axis=1)))

    plain.run(program, inputs, watch)
    return Ranges(tuple(lows), tuple(highs), tuple(largest), tuple(typical), samples)


def check_inputs(program: Program, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Floats]:
    """The inputs, after each was found inside its declared bound.

    Raises:
        CircuitError: one is outside (``RANGE``), missing or of the wrong shape. Its values are not quoted.
    """
    found = plain.check_inputs(program, inputs)
    for name, index in program.inputs.items():
        node = program.nodes[index]
        # Bounds are decimal numbers as often as not: the last bit of a float must not decide.
        slack = 1e-9 * np.maximum(1.0, np.abs(node.constants["high"]))
        low, high = node.constants["low"] - slack, node.constants["high"] + slack
        outside = (found[name] < low) | (found[name] > high)
        if outside.any():
            rows = np.flatnonzero(outside.any(axis=1))
            raise CircuitError(
                "RANGE",
                f"{int(outside.sum())} values are outside the declared bounds, first in row {rows[0]}",
                where=f"input {name}",
                remedy="scale or clip the input, or declare wider bounds",
            )
    return found


def needed_bits(ranges: Ranges, index: int, scale: float, noise: float = 0.0) -> float:
    """How many bits the modulus must have for a node's value: two signs' worth of value and noise."""
    top = float(ranges.largest[index].max()) * scale + noise
    return 1.0 + math.log2(top) if top > 0.5 else 0.0


def check_overflow(
    program: Program,
    ring: Ring,
    scales: tuple[float, ...],
    ranges: Ranges,
    noise: tuple[float, ...] | None = None,
) -> float:
    """Room left at the tightest operation, in bits.

    Args:
        program: the circuit.
        ring: its ring.
        scales: each node's scale.
        ranges: bounds, or observed ranges widened by a margin.
        noise: each node's largest noise, in units of the integers; None: not counted.

    Raises:
        CircuitError: a value may be larger than half its modulus (``OVERFLOW``).
    """
    room = math.inf
    for index, node in enumerate(program.nodes):
        need = needed_bits(ranges, index, scales[index], noise[index] if noise else 0.0)
        have = modulus_bits(ring, node.level)
        room = min(room, have - need)
        if need > have:
            seen = f"seen in {ranges.samples} samples" if ranges.samples else "possible"
            raise CircuitError(
                "OVERFLOW",
                f"values up to {max(-ranges.low[index], ranges.high[index]):.4g} are {seen}, which takes "
                f"{need:.1f} bits at the scale 2^{math.log2(scales[index]):.1f}; the {node.level} primes "
                f"left have {have:.1f}",
                where=node.describe(index),
                remedy=f"{need - have:.1f} more bits: a smaller scale, larger primes, tighter input bounds",
            )
    return room


def _interval(node: Node, args: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    constants: Mapping[str, Any] = node.constants
    if node.op == "input":
        return constants["low"], constants["high"]
    low, high = args[0]
    match node.op:
        case "matrix":
            return _matrix(node, low, high)
        case "square":
            a, b = low * low, high * high
            return np.where((low <= 0.0) & (high >= 0.0), 0.0, np.minimum(a, b)), np.maximum(a, b)
        case "multiply":
            return _product(low, high, *args[1])
        case "add":
            return low + args[1][0], high + args[1][1]
        case "subtract":
            return low - args[1][1], high - args[1][0]
        case "negate":
            return -high, -low
        case "add_plain":
            return low + constants["values"], high + constants["values"]
        case "multiply_plain":
            return _product(low, high, constants["values"], constants["values"])
        case "rotate":
            return _rolled(low, node.settings["step"]), _rolled(high, node.settings["step"])
        case "transform":
            return _transform(node, low, high)
        case "take":
            return _taken(low, constants["indices"]), _taken(high, constants["indices"])
        case "concatenate":
            return _stacked([a for a, _ in args], node), _stacked([b for _, b in args], node)
        case "total":
            times = node.settings["of"] if low.shape[0] == 1 else 1
            return low.sum(axis=0, keepdims=True) * times, high.sum(axis=0, keepdims=True) * times
    return low, high


def _product(a: Floats, b: Floats, c: Floats, d: Floats) -> tuple[Floats, Floats]:
    corners = [a * c, a * d, b * c, b * d]
    return np.minimum.reduce(corners), np.maximum.reduce(corners)


def _matrix(node: Node, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    weights = node.constants["weights"].astype(np.float64) * node.settings["unit"]
    columns = weights.shape[1]
    low, high = (np.broadcast_to(v, (columns, v.shape[1])) for v in (low, high))
    middle, radius = (low + high) / 2, (high - low) / 2
    centre, reach = weights @ middle, np.abs(weights) @ radius
    if "bias" in node.constants:
        centre = centre + node.constants["bias"][:, None]
    return centre - reach, centre + reach


def _transform(node: Node, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    diagonals = iter(node.constants["values"])
    middle, radius = (low + high) / 2, (high - low) / 2
    each = node.settings["each"]
    centres, reaches = [], []
    for target in node.settings["steps"]:
        centre = reach = np.zeros((1, 1))
        for source, steps in enumerate(target):
            # Where all ciphertexts have the same bounds there is one row.
            row = (
                slice(None) if each else slice(min(source, len(middle) - 1), min(source, len(middle) - 1) + 1)
            )
            for step in steps:
                diagonal = next(diagonals)
                centre = centre + diagonal * _rolled(middle[row], step)
                reach = reach + np.abs(diagonal) * _rolled(radius[row], step)
        centres.append(centre)
        reaches.append(reach)
    whole, spread = np.concatenate(centres), np.concatenate(reaches)
    return whole - spread, whole + spread


def _rolled(values: Floats, step: int) -> Floats:
    rolled: Floats = np.roll(values, -step, axis=1)
    return rolled


def _taken(values: Floats, indices: npt.NDArray[np.int64]) -> Floats:
    return values if values.shape[0] == 1 else values[indices]


def _stacked(values: list[Floats], node: Node) -> Floats:
    width = max(v.shape[1] for v in values)
    counts = node.settings["counts"]
    return np.concatenate(
        [np.broadcast_to(v, (count, width)) for v, count in zip(values, counts, strict=True)]
    )
