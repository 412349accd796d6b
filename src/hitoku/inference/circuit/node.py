# SPDX-License-Identifier: Apache-2.0
"""One operation of a circuit, and the values that flow between operations.

A value is a tensor of ciphertexts: `count` of them, each with `slots` real numbers. How many primes are
left (`level`) and how many polynomials a ciphertext has (`parts`) follow from the operations alone, so
they stand in the node; scales depend on the primes and are found by `interpreters.scales`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["OPERATIONS", "POINTWISE", "Node", "Values"]

Values = npt.NDArray[Any]

OPERATIONS: Final = (
    "input",
    "matrix",
    "square",
    "multiply",
    "add",
    "subtract",
    "negate",
    "add_plain",
    "multiply_plain",
    "relinearise",
    "rescale",
    "drop",
    "rotate",
    "transform",
    "take",
    "concatenate",
    "total",
    "output",
)

# What acts on every residue by itself in transform form: a run of these is one call of the fused kernel.
POINTWISE: Final = frozenset(OPERATIONS) - {
    "input",
    "relinearise",
    "rescale",
    "drop",
    "rotate",
    "transform",
    "output",
}


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operation.

    Attributes:
        op: one of `OPERATIONS`.
        args: the nodes whose values it takes, by index; always smaller than its own.
        count: how many ciphertexts its value has.
        level: how many primes are left after it.
        parts: how many polynomials each ciphertext has: 2, or 3 after a product.
        label: the author's name for it, e.g. the layer's; may be empty.
        constants: arrays it needs, read-only (weights, diagonals, bounds).
        settings: numbers and names it needs.
    """

    op: str
    args: tuple[int, ...]
    count: int
    level: int
    parts: int
    label: str = ""
    constants: Mapping[str, Values] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pointwise(self) -> bool:
        """Whether the fused kernel can do it: the same arithmetic at every residue by itself."""
        return self.op in POINTWISE

    def describe(self, index: int) -> str:
        """How errors and reports name it: ``conv1/square (node 3)``."""
        return f"{self.label + '/' if self.label else ''}{self.op} (node {index})"


def frozen(values: Values) -> Values:
    """The array made read-only, contiguous and of its narrowest type, if it holds whole numbers."""
    if values.dtype.kind == "i":
        top = int(max(-int(values.min(initial=0)) - 1, int(values.max(initial=0)), 0))
        for kind in (np.int8, np.int16, np.int32):
            if top <= np.iinfo(kind).max:
                values = values.astype(kind)
                break
    # A copy, so that the author's later writes to his array cannot reach the circuit.
    values = np.array(values, order="C", copy=True)
    values.flags.writeable = False
    return values
