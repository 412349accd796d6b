# SPDX-License-Identifier: Apache-2.0
"""Which keys a circuit needs: the steps of its rotations, and what it relinearises."""

from __future__ import annotations

from hitoku.inference.circuit.program import Program
from hitoku.inference.circuit.steps import split

__all__ = ["extra_parts", "find"]


def find(program: Program) -> tuple[int, ...]:
    """The steps of all rotations, rising, each in [1, slots): a rotation key is made for each."""
    steps: set[int] = set()
    for node in program.nodes:
        if node.op == "rotate":
            steps.add(node.settings["step"])
        elif node.op == "transform":
            for one in (one for target in node.settings["steps"] for one in target):
                babies, giants = split(one, node.settings["giant"])
                steps.update(babies, giants)
    return tuple(sorted(steps))


def extra_parts(program: Program) -> int:
    """How many parts beyond 2 relinearising takes away at most; 0: no relinearisation key is needed.

    1 where products are of two parts, more where products of products are relinearised at once.
    """
    return max(
        (
            program.nodes[node.args[0]].parts - 2
            for node in program.nodes
            if node.op in ("relinearise", "output")
        ),
        default=0,
    )
