# SPDX-License-Identifier: Apache-2.0
"""How outputs leave: how many primes they keep, how wide the flooding noise is, what that hides.

What the client decrypts is value + circuit noise, and the circuit's noise depends on the model. Noise
uniform in [-F, F) on every coefficient covers it, together with the noise of the fresh encryption of zero
(`rust/src/ring/release.rs` has the argument): if their sum has the coefficients e_j, the distributions with
and without it differ by at most the sum of |e_j| / (2 F). With a bound w of the circuit's error in every
slot, Parseval gives sum of e_j^2 <= w^2, so their magnitudes sum up to sqrt(N) w at most; those of the
encryption of zero to N b with a bound b of each. So

    statistical distance <= (sqrt(N) w + N b) / (2 F) = 2^-lambda.

That is a proof for lambda of 40 bits or more. Below that it is rounding: it takes bits of the score
away, and how many scores an attacker needs to average the noise out grows only with 4^(flood bits).

A result keeps as few primes as its range needs: whatever a client encrypts, one coefficient tells him at
most log2(modulus / (2 F)) + 1 bits, and values beyond the range wrap around. Of N coefficients, that is, in
each ciphertext of the answer; and under an honest public key alone (`rust/src/ring/release.rs`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.circuit.program import Program, Release
from hitoku.inference.interpreters import growth
from hitoku.inference.interpreters import noise as errors
from hitoku.inference.interpreters.noise import Noise
from hitoku.inference.interpreters.ranges import Ranges
from hitoku.inference.interpreters.ring import Ring, modulus_bits

__all__ = ["PROOF_BITS", "Hiding", "hiding", "hiding_bits", "settle"]

# Statistical distances of 2^-40 and less count as a proof; the usual choice of statistical security.
PROOF_BITS = 40.0


@dataclass(frozen=True, slots=True)
class Hiding:
    """What re-randomising and flooding do for one output.

    Attributes:
        level: how many primes it keeps.
        modulus_bits: the size of their product.
        flood_bits: log2 of the flooding noise's amplitude on a coefficient.
        lambda_bits: the statistical distance to a ciphertext without circuit noise is 2^-lambda_bits.
        score_bits: how many bits one coefficient carries at most.
        proof: whether lambda_bits is large enough to count as one.
    """

    level: int
    modulus_bits: float
    flood_bits: int
    lambda_bits: float
    score_bits: float
    proof: bool


def settle(
    program: Program, ring: Ring, ranges: Ranges, tolerance: float | Mapping[str, float], **noise: str
) -> Program:
    """The circuit with each output's primes and flooding settled, where they were not.

    Args:
        program: the circuit.
        ring: its ring.
        ranges: bounds, or observed ranges widened by a margin.
        tolerance: how far a score may be off, as a real number; one for all outputs or by name.
        noise: as `noise.find` takes it.

    Raises:
        CircuitError: an output's noise is beyond its tolerance before any flooding (``OUTPUT``), or its
            range does not fit its primes (``OVERFLOW``).
    """
    found = errors.find(program, ring, ranges, **noise)
    releases = {}
    for name, index in program.outputs.items():
        node, scale = program.nodes[index], found.scales[index]
        allowed = tolerance[name] if isinstance(tolerance, Mapping) else tolerance
        release = program.releases()[name]
        bits = release.flood_bits
        if bits is None:
            bits = _flood_bits(program, ring, found, index, allowed * scale)
        worst = found.before[index] + (growth.public_key(ring.degree) + growth.flood(ring.degree, bits)).worst
        need = 1.0 + math.log2(float(ranges.largest[index].max()) * scale + worst)
        have = program.nodes[node.args[0]].level
        level = next((k for k in range(1, have + 1) if modulus_bits(ring, k) >= need), None)
        if level is None or (release.level is not None and release.level < level):
            raise CircuitError(
                "OVERFLOW",
                f"the result needs {need:.1f} bits, the primes it keeps have "
                f"{modulus_bits(ring, release.level or have):.1f}",
                where=node.describe(index),
                remedy="keep more primes, or lower the scale",
            )
        releases[name] = Release(release.level or level, bits)
    return program.with_releases(releases)


def _flood_bits(program: Program, ring: Ring, found: Noise, index: int, allowed: float) -> int:
    # `found` has the fresh encryption of zero in it, but no flooding yet.
    room = (allowed / growth.TAIL) ** 2 - float(found.square[index].max())
    bits = math.floor(math.log2(room / growth.flood(ring.degree, 0.0).square) / 2) if room > 0 else -1
    if bits < 0:
        raise CircuitError(
            "OUTPUT",
            f"the error is typically {found.typical_error(index):.3g}, which leaves no room for flooding "
            f"within a tolerance of {allowed / found.scales[index]:.3g}",
            where=program.nodes[index].describe(index),
            remedy="larger scales and primes, or a larger tolerance",
        )
    return bits


def hiding(program: Program, ring: Ring, noise: Noise) -> dict[str, Hiding]:
    """What is known about each output whose flooding has been settled, by name.

    Args:
        program: the circuit, settled.
        ring: its ring.
        noise: its noise under `ranges.bounds`: what shall be hidden must be bounded for every input.
    """
    found = {}
    for name, release in program.releases().items():
        if release.flood_bits is None:
            continue
        level = program.nodes[program.outputs[name]].level
        bits = modulus_bits(ring, level)
        each = noise.before[program.outputs[name]] / math.sqrt(ring.degree)
        lam = hiding_bits(ring.degree, release.flood_bits, each)
        score = max(0.0, bits - release.flood_bits)
        found[name] = Hiding(level, bits, release.flood_bits, lam, score, lam >= PROOF_BITS)
    return found


def hiding_bits(degree: int, flood_bits: int, each: float) -> float:
    """Minus log2 of the statistical distance.

    Args:
        degree: N.
        flood_bits: log2 of the flooding noise's amplitude.
        each: the mean of the circuit's noise over coefficients, at most.
    """
    # A coefficient of u e + e1 s + e0 has the variance below; 8 deviations fail below 2^-49.
    zero = 8.0 * math.sqrt(growth.public_key(degree).square / degree)
    return flood_bits + 1 - math.log2(degree * (each + zero))
