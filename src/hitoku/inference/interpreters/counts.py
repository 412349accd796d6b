# SPDX-License-Identifier: Apache-2.0
"""How many operations of each kind a circuit takes, counted in ciphertexts."""

from __future__ import annotations

from collections import Counter

import numpy as np

from hitoku.inference.circuit.program import Program
from hitoku.inference.circuit.steps import turns

__all__ = ["find"]


def find(program: Program) -> dict[str, int]:
    """Counts by name, without those that are zero.

    ``multiply_accumulate``: weights other than 0 of matrices, each a scalar times a ciphertext;
    ``rotation``: key switches of rotations and transforms; ``plain_product``: products by encoded
    constants; the rest carry their operation's name and count ciphertexts.
    """
    counts: Counter[str] = Counter()
    for node in program.nodes:
        match node.op:
            case "input" | "output":
                counts[node.op] += node.count
            case "matrix":
                counts["multiply_accumulate"] += int(np.count_nonzero(node.constants["weights"]))
            case "transform":
                times = node.count if node.settings["each"] else 1
                counts["rotation"] += times * sum(turns(node.settings["steps"], node.settings["giant"]))
                counts["plain_product"] += times * len(node.constants["values"])
            case "rotate":
                counts["rotation"] += node.count
            case "multiply_plain":
                counts["plain_product"] += node.count
            case "total":
                counts["add"] += node.settings["of"] - 1
            case "take" | "concatenate" | "drop":
                pass
            case _:
                counts[node.op] += node.count
    return dict(sorted(counts.items()))
