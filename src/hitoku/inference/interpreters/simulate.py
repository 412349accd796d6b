# SPDX-License-Identifier: Apache-2.0
"""Runs a circuit on plain numbers with random noise put in where the encrypted one would add it.

Every operation adds its own error (`noise.own`), drawn as a Gaussian of its mean square; how errors grow
from there on follows from the circuit's arithmetic itself, so a simulation also checks the prediction.
It needs no key and is as fast as a plain run. The noise is for trying out, not for hiding anything.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hitoku.inference.circuit.program import Program
from hitoku.inference.interpreters import noise, plain, scales
from hitoku.inference.interpreters.ring import Ring

__all__ = ["run"]

Floats = npt.NDArray[np.float64]


def run(
    program: Program,
    ring: Ring,
    inputs: Mapping[str, npt.ArrayLike],
    *,
    seed: int | None = None,
    encryption: str = "symmetric",
) -> dict[str, Floats]:
    """The outputs with noise, by name, each float64[count, slots].

    Args:
        program: the circuit.
        ring: its ring.
        inputs: for each input float64[count, slots].
        seed: the same seed draws the same noise; None: another each time.
        encryption: how the inputs would be encrypted: ``symmetric`` or ``public-key``.
    """
    generator = np.random.default_rng(seed)
    found = scales.find(program, ring)
    sizes: list[tuple[Floats, Floats]] = []

    def watch(index: int, value: Floats) -> Floats:
        node, scale = program.nodes[index], found.values[index]
        largest = np.abs(value).max(axis=1) * scale
        sizes.append((largest, np.sqrt(np.square(value).mean(axis=1)) * scale))
        args = [sizes[a] for a in node.args]
        at = noise.At(
            ring,
            tuple(top for top, _ in args),
            tuple(mean for _, mean in args),
            largest,
            found.plain[index],
            found.drift[index],
        )
        _, square = noise.own(program, index, at, encryption)
        # A slot's value is the real part of an error whose mean square is shared by both parts.
        deviation = np.sqrt(square / 2) / scale
        return value + generator.standard_normal(value.shape) * deviation[:, None]

    return plain.run(program, inputs, watch)
