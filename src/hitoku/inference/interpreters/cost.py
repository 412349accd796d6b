# SPDX-License-Identifier: Apache-2.0
"""How long a circuit will take, call by call, from what primitives cost on this processor.

Calls of the fused kernel are predicted from their multiplications, products, sums and memory traffic, or,
for a finished circuit, from a run on one of their primes (`measuring.sampled`). The rest is the number of
ciphertexts times a primitive's measured time. Rows of a call are spread over threads; where there are fewer,
and in linear maps, threads share the work on one, which gains less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from hitoku.inference.circuit.node import Node
from hitoku.inference.circuit.program import Program
from hitoku.inference.circuit.steps import turns
from hitoku.inference.costs import Costs
from hitoku.inference.interpreters import fusion
from hitoku.inference.interpreters.fusion import Step
from hitoku.inference.interpreters.ring import Ring

__all__ = ["Cost", "StepCost", "find"]

# plan.rs: sums of a segment stay below 2^51; limbs of a residue, and the work of a multiplication by limbs.
_SEGMENT: Final = (1 << 51) - 1
# Allocators give memory of this size and more back to the system at once.
_LARGE: Final = 32 << 20
_FEW: Final = 4


@dataclass(frozen=True, slots=True)
class StepCost:
    """What one call takes: seconds of processor time, and on the clock."""

    step: Step
    name: str
    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run takes, in milliseconds.

    Attributes:
        steps: call by call.
        threads: how many threads.
        receive: unpacking and expanding the inputs, on the clock.
        send: packing the outputs, on the clock.
        encrypt: the client's encoding and encrypting, one thread.
        decrypt: the client's decrypting and decoding, one thread.
    """

    steps: tuple[StepCost, ...]
    threads: int
    receive: float
    send: float
    encrypt: float
    decrypt: float

    @property
    def cpu(self) -> float:
        """Processor time of all cores together, in milliseconds."""
        return 1e3 * sum(step.cpu for step in self.steps)

    @property
    def wall(self) -> float:
        """Time on the clock on an idle machine, in milliseconds."""
        return 1e3 * sum(step.wall for step in self.steps)


def find(
    program: Program,
    ring: Ring,
    costs: Costs,
    *,
    threads: int = 1,
    sampled: Mapping[Step, float] | None = None,
) -> Cost:
    """The predicted cost of one run.

    Args:
        program: the circuit.
        ring: its ring.
        costs: what primitives cost here.
        threads: how many threads.
        sampled: seconds of fused calls from `measuring.sampled`; None: from their operations.
    """
    steps = []
    for step in fusion.plan(program):
        node = program.nodes[step.nodes[0]]
        if step.fused:
            alone = sampled[step] if sampled is not None else _fused(program, ring, step, costs)
            rows = ring.degree // 256
        else:
            alone, rows = _one(program, step.nodes[0], ring, costs)
        alone += _new_memory(program, ring, step, costs)
        cpu, wall = (alone, alone) if threads == 1 else _spread(node, alone, rows, threads, costs)
        name = node.describe(step.nodes[0])
        if len(step.nodes) > 1:
            name += f" to {program.nodes[step.nodes[-1]].describe(step.nodes[-1])}"
        steps.append(StepCost(step, name, cpu, wall))
    inputs = [n for n in program.nodes if n.op == "input"]
    outputs = [n for n in program.nodes if n.op == "output"]

    def all_of(name: str, nodes: list[Node], spread: int) -> float:
        rows = [n.count / spread if n.count >= spread else 1.0 for n in nodes]
        each = [costs.of(name, ring.degree, n.level) for n in nodes]
        return 1e3 * sum(r * e for r, e in zip(rows, each, strict=True))

    return Cost(
        tuple(steps),
        threads,
        all_of("receive", inputs, threads),
        all_of("send", outputs, threads),
        all_of("client-encrypt", inputs, 1),
        all_of("client-decrypt", outputs, 1),
    )


def _spread(node: Node, alone: float, rows: int, threads: int, costs: Costs) -> tuple[float, float]:
    """Seconds of processor time and on the clock of what takes `alone` on one thread."""
    start = costs.parallel("start", threads)
    if node.op == "transform":
        gain, more = costs.parallel("maps", threads), costs.parallel("maps-cpu", threads)
        return alone * more, alone / gain
    if rows < threads:
        gain, more = costs.parallel("inside", threads), costs.parallel("inside-cpu", threads)
        return alone * more, alone / gain
    cpu = alone * costs.parallel("inflation", threads)
    # Threads take whole rows: 3 rows on 2 threads take as long as 4.
    return cpu + start, cpu / rows * math.ceil(rows / threads) + start


def _new_memory(program: Program, ring: Ring, step: Step, costs: Costs) -> float:
    """Seconds for memory that the system must hand out and clear: large results always take it anew."""
    outputs = [program.nodes[i] for i in step.outputs or step.nodes]
    words = [node.count * node.parts * node.level * ring.degree for node in outputs]
    return costs.fused("fresh") * sum(size for size in words if 8 * size > _LARGE)


def _one(program: Program, index: int, ring: Ring, costs: Costs) -> tuple[float, int]:
    """Seconds of one thread, and rows that are spread over threads."""
    node = program.nodes[index]
    value = program.nodes[node.args[0]]
    degree, few = ring.degree, node.count <= _FEW
    match node.op:
        case "relinearise":
            return node.count * costs.of("relinearise", degree, node.level, value.parts, few=few), node.count
        case "rescale":
            # Rows are polynomials here, not ciphertexts.
            rows = node.count * node.parts
            return node.count * costs.of("rescale", degree, node.level + 1, node.parts, few=few), rows
        case "drop":
            rows = node.count * node.parts
            return node.count * costs.of("drop", degree, node.level, node.parts, few=few), rows
        case "rotate":
            return node.count * costs.of("rotate", degree, node.level, few=few), node.count
        case "transform":
            return _transform(node, degree, costs)
        case "output":
            each = costs.of("release", degree, node.level, few=few)
            if value.parts > 2:
                each += costs.of("relinearise", degree, node.level, value.parts, few=few)
            if value.level > node.level:
                each += costs.of("drop", degree, node.level, value.parts, few=few)
            return node.count * each, node.count
    return 0.0, 1


def _transform(node: Node, degree: int, costs: Costs) -> tuple[float, int]:
    maps, giant = node.settings["steps"], node.settings["giant"]
    babies, giants = turns(maps, giant)
    # A source that is not turned need not be decomposed.
    turned = [any(step % giant for target in maps for step in target[s]) for s in range(len(maps[0]))]
    counted = {
        "map-source": sum(turned),
        "map-baby": babies,
        "map-giant": giants,
        "map-product": len(node.constants["values"]),
        "map-target": len(maps),
    }
    one = sum(times * costs.of(name, degree, node.level) for name, times in counted.items())
    return one * (node.count if node.settings["each"] else 1), 1


def _fused(program: Program, ring: Ring, step: Step, costs: Costs) -> float:
    nodes = program.nodes
    level = nodes[step.nodes[0]].level
    largest = max(ring.primes[:level])
    work = {
        "read": float(sum(nodes[i].count * nodes[i].parts for i in step.inputs)),
        "write": float(sum(nodes[i].count * nodes[i].parts for i in step.outputs)),
    }
    for index in step.nodes:
        for name, times in _work(program, nodes[index], largest).items():
            work[name] = work.get(name, 0.0) + times
    residues = ring.degree * level
    return residues * sum(times * costs.fused(name) for name, times in work.items())


def _work(program: Program, node: Node, largest: int) -> dict[str, float]:
    args = [program.nodes[a] for a in node.args]
    match node.op:
        case "matrix":
            weights = node.constants["weights"]
            entries = float(np.count_nonzero(weights) * node.parts)
            return {f"mac-{_limbs(weights, largest)}": entries}
        case "total":
            return {"mac-1": float(args[0].count * node.parts)}
        case "square":
            return {"product": node.count * args[0].parts * (args[0].parts + 1) / 2}
        case "multiply":
            return {"product": float(node.count * args[0].parts * args[1].parts)}
        case "multiply_plain":
            times = float(node.count * node.parts)
            vector = node.constants["values"].shape[1] > 1
            return (
                {"product": times, "read": float(len(node.constants["values"]))}
                if vector
                else {"product": times}
            )
        case "add_plain":
            return {"sum": float(node.count)}
    return {"sum": float(node.count * node.parts)}


def _limbs(weights: np.ndarray[tuple[int, ...], np.dtype[np.signedinteger]], largest: int) -> int:
    """How many limbs residues are cut into; `plan.rs` has the reasons."""
    magnitudes = np.abs(weights.astype(np.int64))
    best: tuple[float, int] = (math.inf, 3)
    for limbs in (1, 2, 3):
        factor = largest - 1 if limbs == 1 else (1 << -(-largest.bit_length() // limbs)) - 1
        limit = _SEGMENT // factor
        if int(magnitudes.max()) > limit:
            continue
        segments = int((magnitudes.sum(axis=1) // limit + 1).sum())
        entries = int(np.count_nonzero(magnitudes))
        best = min(best, (float(limbs * (entries + 6 * segments) * (7 + limbs)), limbs))
    return best[1]
