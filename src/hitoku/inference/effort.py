# SPDX-License-Identifier: Apache-2.0
"""Milliseconds of a circuit on a reference processor: what plans are compared by.

The same prediction as the report's (`interpreters.cost`), from committed figures instead of those measured on
the processor at hand: a plan must not depend on how busy a machine was, so that the same model compiles to
the same bundle everywhere. The figures are of one core of a server processor with AVX-512 IFMA; what
matters here is how they compare with each other.
"""

from __future__ import annotations

from typing import Final

from hitoku.inference.circuit import Program
from hitoku.inference.costs import Costs
from hitoku.inference.interpreters import cost
from hitoku.inference.interpreters.ring import RingShape

__all__ = ["Reference", "milliseconds"]

# Microseconds at degree 8192: a l + b l^2 with the level l, for a ciphertext of two parts.
_PRIMITIVES: Final[dict[str, tuple[float, float]]] = {
    "relinearise": (74.0, 38.0),
    "rotate": (90.0, 36.0),
    "map-source": (20.0, 0.0),
    "map-baby": (60.0, 30.0),
    "map-giant": (130.0, 45.0),
    "map-product": (8.0, 0.0),
    "map-target": (60.0, 0.0),
    "rescale": (40.0, 0.0),
    "drop": (6.0, 0.0),
    "release": (210.0, 0.0),
    "receive": (157.0, 0.0),
    "send": (46.0, 0.0),
    "client-encrypt": (180.0, 0.0),
    "client-decrypt": (220.0, 0.0),
}
# Nanoseconds a residue of the fused kernel.
_FUSED: Final = {
    "mac-1": 0.025,
    "mac-2": 0.072,
    "mac-3": 0.112,
    "product": 0.45,
    "sum": 0.4,
    "read": 0.7,
    "write": 1.5,
}


class Reference(Costs):
    """The committed figures, in the place of measured ones."""

    def __init__(self) -> None:
        """Nothing is read or measured."""

    def of(self, name: str, degree: int, level: int, parts: int = 2, *, few: bool = False) -> float:  # noqa: ARG002
        """Seconds of a primitive; degrees in proportion to N log N."""
        a, b = _PRIMITIVES.get(name, (0.0, 0.0))
        grown = degree * (degree.bit_length() - 1) / (8192 * 13)
        factor = parts - 2 if name == "relinearise" else parts / 2
        return 1e-6 * factor * grown * (a * level + b * level * level)

    def fused(self, name: str) -> float:
        """Seconds of the fused kernel for one residue."""
        return 1e-9 * _FUSED.get(name, 0.0)

    def inflation(self, threads: int) -> float:
        """Threads do not hinder one another."""
        return 1.0 + 0.0 * threads


_REFERENCE: Final = Reference()


def milliseconds(program: Program, shape: RingShape) -> float:
    """Of one run on one core of the reference processor, unpacking and packing included."""
    found = cost.find(program, shape, _REFERENCE)
    return found.cpu + found.receive + found.send
