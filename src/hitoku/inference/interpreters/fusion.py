# SPDX-License-Identifier: Apache-2.0
"""Which operations become one call of the fused kernel, and in which order all calls are made.

The fused kernel works on a block of residues at a time and keeps everything between its inputs and its
outputs in the processor's cache, so the longer a run of pointwise operations is, the less memory moves.
A node's phase counts how often the way to it changes between pointwise operations and others (or between
levels); connected pointwise nodes of one phase and one level are one run, and no run waits for itself.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from hitoku.inference.circuit.program import Program

__all__ = ["Step", "plan"]


@dataclass(frozen=True, slots=True)
class Step:
    """One call.

    Attributes:
        nodes: the operations it does, in order; one, unless it is a run of the fused kernel.
        inputs: the nodes outside whose values it takes.
        outputs: the nodes whose values are needed outside.
        fused: whether it is a run of the fused kernel.
    """

    nodes: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    fused: bool


def plan(program: Program, *, fuse: bool = True) -> tuple[Step, ...]:
    """All calls in an order in which each finds what it takes. Inputs are none.

    Args:
        program: the circuit.
        fuse: False: every operation is a call of its own, in the circuit's order.
    """
    nodes = program.nodes
    phase: list[int] = []
    leader = list(range(len(nodes)))

    def root(index: int) -> int:
        while leader[index] != index:
            leader[index] = leader[leader[index]]
            index = leader[index]
        return index

    for index, node in enumerate(nodes):
        joined = [
            fuse and node.pointwise and nodes[a].pointwise and nodes[a].level == node.level for a in node.args
        ]
        phase.append(max((phase[a] + (not j) for a, j in zip(node.args, joined, strict=True)), default=0))
        for arg, j in zip(node.args, joined, strict=True):
            if j and phase[arg] == phase[index]:
                leader[root(index)] = root(arg)

    runs: dict[int, list[int]] = defaultdict(list)
    for index, node in enumerate(nodes):
        if node.op != "input":
            runs[root(index) if node.pointwise else index].append(index)
    users: dict[int, list[int]] = defaultdict(list)
    for index, node in enumerate(nodes):
        for arg in node.args:
            users[arg].append(index)
    steps = []
    for members in runs.values():
        inside = set(members)
        inputs = dict.fromkeys(a for i in members for a in nodes[i].args if a not in inside)
        outputs = [i for i in members if any(u not in inside for u in users[i])]
        steps.append(Step(tuple(members), tuple(inputs), tuple(outputs), nodes[members[0]].pointwise))
    # Runs of a phase do not depend on each other; inside a phase the program's order is kept.
    steps.sort(key=lambda step: (phase[step.nodes[0]], step.nodes[0]))
    return tuple(steps)
