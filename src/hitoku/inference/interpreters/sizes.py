# SPDX-License-Identifier: Apache-2.0
"""Exact sizes: what travels, what keys take, how much memory a run takes at most.

Bytes on the wire follow `rust/src/ring/codec.rs` to the byte (residues packed to their prime's width, one
half of keys and inputs as a seed); tests compare them with real messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hitoku.inference.circuit.program import Program
from hitoku.inference.interpreters import fusion, rotations
from hitoku.inference.interpreters.ring import Ring

__all__ = ["Sizes", "find"]

_WORD: Final = 8
_SEED: Final = 32
# Magic, version, kind; scheme, degree, number of primes, plaintext modulus.
_FRONT: Final = 8 + 12
# Count, parts, level, scale.
_BATCH: Final = 16
# Scratch memory of the fused kernel for each thread, and the processor's own tables.
_SCRATCH: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes.

    Attributes:
        up: all inputs, encrypted under the secret key with seeds, as they travel.
        down: all outputs as they travel.
        public_key: the public key as it travels.
        relinearisation_key: 0 where there is none.
        rotation_keys: all of them; 0 where there are none.
        keys_in_memory: all keys at the server.
        constants_in_memory: the circuit's constants at the server, encoded.
        values_in_memory: the most that ciphertexts take at one time, inputs included.
        memory: keys, constants and values together, with scratch memory.
    """

    up: int
    down: int
    public_key: int
    relinearisation_key: int
    rotation_keys: int
    keys_in_memory: int
    constants_in_memory: int
    values_in_memory: int
    memory: int

    @property
    def keys(self) -> int:
        """All keys as they travel; once for a client, not once for a prediction."""
        return self.public_key + self.relinearisation_key + self.rotation_keys


def find(program: Program, ring: Ring, *, threads: int = 1) -> Sizes:
    """All sizes of one run of a circuit.

    Args:
        program: the circuit, its outputs' levels settled.
        ring: its ring.
        threads: how many threads run it.
    """
    primes, degree, levels = ring.primes, ring.degree, len(ring.primes)
    header = _FRONT + _WORD * (levels + 1)
    switch = _SEED + levels * _rows((*primes, ring.special), degree)
    steps = len(rotations.find(program))
    relinearises = rotations.extra_parts(program) > 0
    up = down = 0
    for node in program.nodes:
        if node.op == "input":
            up += header + _BATCH + _SEED + node.count * _rows(primes[: node.level], degree)
        elif node.op == "output":
            down += header + _BATCH + 2 * node.count * _rows(primes[: node.level], degree)
    switch_words = 2 * levels * (levels + 1) * degree
    keys = _WORD * (2 * levels * degree + switch_words * (steps + relinearises))
    constants, values = _constants(program, ring), _values(program, ring)
    return Sizes(
        up=up,
        down=down,
        public_key=header + _SEED + _rows(primes, degree),
        relinearisation_key=(header + switch) * relinearises,
        rotation_keys=(header + 4 + steps * (4 + switch)) if steps else 0,
        keys_in_memory=keys,
        constants_in_memory=constants,
        values_in_memory=values,
        memory=keys + constants + values + _SCRATCH * threads,
    )


def _rows(primes: Sequence[int], degree: int) -> int:
    """Bytes of a polynomial's residues, each packed to its prime's width."""
    return sum(degree // 8 * (q - 1).bit_length() for q in primes)


def _constants(program: Program, ring: Ring) -> int:
    total = 0
    for node in program.nodes:
        polynomial = _WORD * ring.degree * node.level
        match node.op:
            case "transform":
                # Encoded modulo the special prime, too: products are formed before the division by it.
                total += len(node.constants["values"]) * (polynomial + _WORD * ring.degree)
            case "multiply_plain" | "add_plain":
                rows, width = node.constants["values"].shape
                total += rows * (polynomial if width > 1 else _WORD * node.level)
            case _:
                total += sum(v.nbytes for v in node.constants.values())
    return total


def _values(program: Program, ring: Ring) -> int:
    def size(index: int) -> int:
        node = program.nodes[index]
        return _WORD * ring.degree * node.count * node.parts * node.level

    steps = fusion.plan(program)
    last = {a: at for at, step in enumerate(steps) for a in (*step.inputs, *step.outputs)}
    alive = set(program.inputs.values())
    most = sum(map(size, alive))
    for at, step in enumerate(steps):
        alive.update(step.outputs or step.nodes)
        most = max(most, sum(map(size, alive)))
        alive -= {a for a in step.inputs if last[a] == at}
    return most
