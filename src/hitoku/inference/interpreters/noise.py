# SPDX-License-Identifier: Apache-2.0
"""The error of every value: typical and worst case, before the circuit runs.

`growth` has the measure and each primitive's own error. Here they go through the circuit:

- sums add errors; a matrix with weights w adds |w| times the worst ones, w^2 times the mean squares;
- a product (m1 + e1)(m2 + e2) has the error m1 e2 + m2 e1 + e1 e2, with m the integer, value times scale;
- a plain constant p, rounded to p + r, gives p e + m r + e r;
- rescaling divides the error by the prime and adds the division's rounding;
- relinearising and rotating add a key switch (one for each part beyond 2); a transform adds one for each
  rotation, and multiplies those of the baby steps (and the value's own error) by the diagonals;
- scales that differ in a sum give an error of that fraction of the value;
- what leaves carries a fresh encryption of zero and the flooding noise.

Worst cases depend on the magnitudes of the values: give `ranges.bounds` for every input, or observed
ranges for inputs like those. Typical errors take values' root mean squares where they are known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hitoku.inference.circuit.node import Node
from hitoku.inference.circuit.program import Program
from hitoku.inference.circuit.steps import split
from hitoku.inference.interpreters import growth
from hitoku.inference.interpreters import scales as scaling
from hitoku.inference.interpreters.ranges import Ranges
from hitoku.inference.interpreters.ring import Ring

__all__ = ["At", "Noise", "find", "own"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """The error of every node, ciphertext by ciphertext, in units of the integers.

    Attributes:
        worst: a bound of the error's magnitude in any slot.
        square: the mean square of its (complex) magnitude in a slot, twice that of its real part.
        scales: each node's scale.
        before: for each output's node the worst error before re-randomising and flooding.
    """

    worst: tuple[Floats, ...]
    square: tuple[Floats, ...]
    scales: tuple[float, ...]
    before: dict[int, float]

    def worst_error(self, index: int) -> float:
        """The largest error of a node's values, as a real number."""
        return float(self.worst[index].max()) / self.scales[index]

    def typical_error(self, index: int) -> float:
        """The root mean square error of a node's values (their real parts), as a real number."""
        return math.sqrt(float(self.square[index].mean()) / 2) / self.scales[index]


@dataclass(frozen=True, slots=True)
class At:
    """What the error of one node depends on besides its operation; magnitudes are those of integers.

    Attributes:
        ring: the ring.
        largest: of each value it takes, the largest magnitude, ciphertext by ciphertext.
        typical: the same, root mean square.
        own: its own value's largest magnitude.
        plain: the scale of its plain constants.
        drift: by how much the scales of what it adds differ.
    """

    ring: Ring
    largest: tuple[Floats, ...]
    typical: tuple[Floats, ...]
    own: Floats
    plain: float
    drift: float


def find(program: Program, ring: Ring, ranges: Ranges, *, encryption: str = "symmetric") -> Noise:
    """Every node's error.

    Args:
        program: the circuit.
        ring: its ring.
        ranges: the values' magnitudes, see the module.
        encryption: how the inputs were encrypted: ``symmetric`` or ``public-key``.

    Raises:
        CircuitError: the scales do not fit (`scales.find`).
    """
    scales = scaling.find(program, ring)
    worst: list[Floats] = []
    square: list[Floats] = []
    before: dict[int, float] = {}
    for index, node in enumerate(program.nodes):
        scale = scales.values[index]
        at = At(
            ring,
            tuple(ranges.largest[a] * scales.values[a] for a in node.args),
            tuple(ranges.typical[a] * scales.values[a] for a in node.args),
            ranges.largest[index] * scale,
            scales.plain[index],
            scales.drift[index],
        )
        if node.op == "input":
            w = v = np.zeros(node.count)
        else:
            w, v = _carry(node, [worst[a] for a in node.args], [square[a] for a in node.args], at)
        if node.op == "output":
            before[index] = float(w.max()) + _relinearised(program, index, ring).worst
        own_w, own_v = own(program, index, at, encryption)
        worst.append(w + own_w)
        square.append(v + own_v)
    return Noise(tuple(worst), tuple(square), scales.values, before)


def _carry(node: Node, w: list[Floats], v: list[Floats], at: At) -> tuple[Floats, Floats]:
    """What an operation makes of the errors of the values it takes."""
    match node.op:
        case "matrix":
            weights = np.abs(node.constants["weights"].astype(np.float64))
            return weights @ w[0], np.square(weights) @ v[0]
        case "square":
            m, typical = at.largest[0], at.typical[0]
            return 2 * m * w[0] + w[0] * w[0], 4 * typical**2 * v[0] + 2 * v[0] * v[0]
        case "multiply":
            worst = at.largest[0] * w[1] + at.largest[1] * w[0] + w[0] * w[1]
            return worst, at.typical[0] ** 2 * v[1] + at.typical[1] ** 2 * v[0] + v[0] * v[1]
        case "add" | "subtract":
            return w[0] + w[1], v[0] + v[1]
        case "multiply_plain":
            values = np.abs(node.constants["values"] * at.plain)
            rounded = values.max(axis=1) + _constant(node, at.ring.degree).worst
            return rounded * w[0], np.square(values).mean(axis=1) * v[0]
        case "rescale":
            prime = float(at.ring.primes[node.level])
            return w[0] / prime, v[0] / prime**2
        case "transform":
            reach, mean = _reach(node, at)
            return _applied(node, reach, w[0]), _applied(node, mean, v[0])
        case "take":
            return np.take(w[0], node.constants["indices"]), np.take(v[0], node.constants["indices"])
        case "concatenate":
            return np.concatenate(w), np.concatenate(v)
        case "total":
            return w[0].sum(keepdims=True), v[0].sum(keepdims=True)
    return w[0], v[0]


def own(program: Program, index: int, at: At, encryption: str = "symmetric") -> tuple[Floats, Floats]:
    """The error that an operation adds by itself: worst case and mean square, ciphertext by ciphertext."""
    node = program.nodes[index]
    degree = at.ring.degree
    none = np.zeros(node.count)
    float_error = growth.FLOAT_ERROR * at.own
    match node.op:
        case "input":
            fresh = growth.symmetric if encryption == "symmetric" else growth.public_key
            error = growth.encoding(degree) + fresh(degree)
            return error.worst + float_error, error.square + float_error**2
        case "matrix":
            error = growth.constant() if "bias" in node.constants else growth.Error(0.0, 0.0)
            return none + error.worst, none + error.square
        case "add" | "subtract":
            off = at.drift * at.largest[1]
            return none + off, none + off**2
        case "concatenate":
            off = at.drift * at.own
            return off, off**2
        case "add_plain":
            error = _constant(node, degree)
            return none + error.worst + float_error, none + error.square + float_error**2
        case "multiply_plain":
            error = _constant(node, degree)
            top = np.abs(node.constants["values"] * at.plain).max(axis=1)
            off = error.worst + growth.FLOAT_ERROR * top
            return none + at.largest[0] * off, none + at.typical[0] ** 2 * error.square
        case "relinearise":
            error = _switch(node, at.ring, program.nodes[node.args[0]].parts - 2)
            return none + error.worst, none + error.square
        case "rotate":
            error = _switch(node, at.ring)
            return none + error.worst, none + error.square
        case "rescale":
            error = growth.division(degree, node.parts)
            return none + error.worst, none + error.square
        case "transform":
            return _transform(node, at)
        case "output":
            error = _relinearised(program, index, at.ring) + growth.public_key(degree)
            if node.settings["flood_bits"] is not None:
                error += growth.flood(degree, node.settings["flood_bits"])
            return none + error.worst, none + error.square
    return none, none


def _constant(node: Node, degree: int) -> growth.Error:
    # One number for all slots is a constant polynomial, off by 1/2 at most; a vector's polynomial is
    # rounded coefficient by coefficient.
    same = node.constants["values"].shape[1] == 1
    return growth.constant() if same else growth.encoding(degree)


def _switch(node: Node, ring: Ring, extra: int = 1) -> growth.Error:
    primes = tuple(ring.primes[: node.level])
    return growth.relinearisation(ring.degree, primes, ring.special, extra)


def _relinearised(program: Program, index: int, ring: Ring) -> growth.Error:
    # An output drops primes first (that is exact), then relinearises.
    node = program.nodes[index]
    return _switch(node, ring, program.nodes[node.args[0]].parts - 2)


def _maps(node: Node, at: At) -> Iterator[tuple[int, int, tuple[int, ...], Floats]]:
    """Each map of a transform: target, source, steps, diagonals as integers."""
    diagonals = node.constants["values"] * at.plain
    start = 0
    for target, sources in enumerate(node.settings["steps"]):
        for source, steps in enumerate(sources):
            yield target, source, steps, diagonals[start : start + len(steps)]
            start += len(steps)


def _reach(node: Node, at: At) -> tuple[Floats, Floats]:
    """By target and source: the most that a map makes of an error in all slots, and the mean of squares."""
    shape = (len(node.settings["steps"]), len(node.settings["steps"][0]))
    rounding = growth.encoding(at.ring.degree).worst
    reach, mean = np.zeros(shape), np.zeros(shape)
    for target, source, steps, rows in _maps(node, at):
        if steps:
            reach[target, source] = np.abs(rows).sum(axis=0).max() + len(steps) * rounding
            mean[target, source] = np.square(rows).sum(axis=0).mean()
    return reach, mean


def _applied(node: Node, matrix: Floats, errors: Floats) -> Floats:
    """Errors through the maps: one map for every ciphertext, or maps by target and source."""
    return matrix[0, 0] * errors if node.settings["each"] else matrix @ errors


def _transform(node: Node, at: At) -> tuple[Floats, Floats]:
    degree, giant, maps = at.ring.degree, node.settings["giant"], node.settings["steps"]
    primes = tuple(at.ring.primes[: node.level])
    # Nothing is divided by P between the baby steps and their sums (`rust/src/ring/transform.rs`): their
    # rounding does not meet the diagonals. A sum is divided before its giant step, a result at the end.
    inner = growth.inner_product(degree, primes, at.ring.special)
    turn, last = inner + growth.division(degree), growth.division(degree)
    rounding = growth.encoding(degree)
    reach, mean = _reach(node, at)
    turned = np.array([[any(split(steps, giant)[0]) for steps in target] for target in maps])
    giants = np.array([len({g for s in target for g in split(s, giant)[1]}) for target in maps])
    # What encoding a diagonal is off by meets the value's integers.
    off, off_square = np.zeros_like(reach), np.zeros_like(reach)
    for target, source, steps, rows in _maps(node, at):
        if steps:
            float_error = growth.FLOAT_ERROR * float(np.abs(rows).max())
            off[target, source] = len(steps) * (rounding.worst + float_error)
            off_square[target, source] = len(steps) * rounding.square
    none = np.zeros(node.count)
    worst = (reach * turned).sum(axis=1) * inner.worst + giants * turn.worst + last.worst
    square = (mean * turned).sum(axis=1) * inner.square + giants * turn.square + last.square
    return (
        none + worst + _applied(node, off, at.largest[0]),
        none + square + _applied(node, off_square, at.typical[0] ** 2),
    )
