# SPDX-License-Identifier: Apache-2.0
"""Who learns what, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hitoku.inference.circuit.program import Program
from hitoku.inference.interpreters import rotations
from hitoku.inference.interpreters.ring import Ring

__all__ = ["hiding", "learns"]


def learns(
    program: Program,
    ring: Ring,
    released: Mapping[str, Mapping[str, Any]],
    client: Sequence[str],
    server: Sequence[str],
) -> dict[str, list[str]]:
    """What client and server learn, by role."""
    steps = rotations.find(program)
    sizes = [
        f"{name}: {program.nodes[index].count} ciphertexts"
        for name, index in [*program.inputs.items(), *program.outputs.items()]
    ]
    of_client = [_SHAPES.format("; ".join(sizes)), _SCORES]
    if steps:
        of_client.append(_STEPS.format(len(steps)))
    of_client += [f"{name}: {hiding(one)}" for name, one in released.items()]
    return {
        "client": [*of_client, *client],
        "server": [_NOTHING.format(ring.degree), _TRAFFIC, *server],
    }


_SHAPES: Final = "The shapes ({}), how inputs are laid out and scaled, and the ring's parameters."
_SCORES: Final = (
    "The scores of what it encrypts, with the noise stated below. Many scores teach about a model whatever "
    "protects one of them: rates and rounding are the room's rule."
)
_STEPS: Final = (
    "The {} rotation steps that it makes keys for; they tell about the sizes of layers, not about weights."
)
_NOTHING: Final = (
    "No input, no intermediate value and no score: it has public keys and ciphertexts alone (decision RLWE "
    "with degree {}, 128 bits by the HomomorphicEncryption.org standard, and circular security of the keys)."
)
_TRAFFIC: Final = "Sizes, times, how often it is asked and by whom."


def hiding(one: Mapping[str, Any]) -> str:
    """What flooding one output does, in a sentence."""
    bits = f"a coefficient carries at most {one['score_bits']:.1f} bits, whatever was encrypted"
    noise = f"re-randomised and flooded with noise of 2^{one['flood_bits']}"
    if one["proof"]:
        return (
            f"{noise}; the circuit's own noise, which depends on the model, is hidden up to a statistical "
            f"distance of 2^-{one['lambda_bits']:.0f}; {bits}."
        )
    distance = "there is no useful bound of the statistical distance"
    if one["lambda_bits"] > 0:
        distance = f"the statistical distance is only bounded by 2^-{one['lambda_bits']:.1f}"
    return (
        f"{noise}; {distance}, less than the 40 bits that count as a proof: this rounds scores and proves "
        f"nothing about the model; {bits}."
    )
