# SPDX-License-Identifier: Apache-2.0
"""What an interpreter needs to know of a ring: its degree and its primes, no keys and no kernels.

`hitoku.hazmat.ring.Parameters` has these attributes; a search over parameters takes `RingShape`, which is
made without computing any table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.circuit.program import Program

__all__ = [
    "BINOMIAL_PAIRS",
    "ERROR_VARIANCE",
    "SECRET_VARIANCE",
    "Ring",
    "RingShape",
    "check",
    "modulus_bits",
]

# The errors' distribution: centred binomial of 21 pairs of coins; the secret's: uniform in {-1, 0, 1}.
BINOMIAL_PAIRS: Final = 21
ERROR_VARIANCE: Final = BINOMIAL_PAIRS / 2
SECRET_VARIANCE: Final = 2 / 3


class Ring(Protocol):
    """Degree and primes. Attributes are read only."""

    @property
    def degree(self) -> int:
        """N, a power of two; a ciphertext has N/2 slots."""
        ...

    @property
    def primes(self) -> Sequence[int]:
        """The data primes in order; rescaling drops the last."""
        ...

    @property
    def special(self) -> int:
        """The prime of the key-switching keys."""
        ...


@dataclass(frozen=True, slots=True)
class RingShape:
    """A ring by its numbers alone."""

    degree: int
    primes: tuple[int, ...]
    special: int


def check(program: Program, ring: Ring) -> None:
    """Raise CircuitError unless the circuit's slots and levels fit the ring."""
    if ring.degree != 2 * program.slots:
        message = f"a ring of degree {ring.degree} has {ring.degree // 2} slots, the circuit {program.slots}"
        raise CircuitError("SHAPE", message)
    if program.level > len(ring.primes):
        message = f"the circuit needs {program.level} primes, the ring has {len(ring.primes)}"
        raise CircuitError("LEVEL", message)


def modulus_bits(ring: Ring, level: int) -> float:
    """The size of the product of the first `level` primes, in bits."""
    return sum(math.log2(p) for p in ring.primes[:level])
