# SPDX-License-Identifier: Apache-2.0
"""How deep a circuit is: products one after the other, and primes used up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hitoku.inference.circuit.program import Program

__all__ = ["Depth", "find"]

_PRODUCTS: Final = frozenset({"square", "multiply"})
_PLAIN: Final = frozenset({"multiply_plain", "transform"})


@dataclass(frozen=True, slots=True)
class Depth:
    """A circuit's depth.

    Attributes:
        products: the most products of ciphertexts on a way from an input to an output.
        all_products: the same with products by plain constants that have a scale of their own.
        levels: how many primes rescaling uses up on the way that uses most.
    """

    products: int
    all_products: int
    levels: int


def find(program: Program) -> Depth:
    """The circuit's depth."""
    ways: list[tuple[int, int, int]] = []
    for node in program.nodes:
        before = [max(column) for column in zip(*(ways[a] for a in node.args), strict=True)] or [0, 0, 0]
        product = node.op in _PRODUCTS
        ways.append(
            (
                before[0] + product,
                before[1] + (product or node.op in _PLAIN),
                before[2] + (node.op == "rescale"),
            )
        )
    ends = [ways[i] for i in program.outputs.values()]
    return Depth(*(max(column) for column in zip(*ends, strict=True)))
