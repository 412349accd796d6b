# SPDX-License-Identifier: Apache-2.0
"""Sums over slots that tell nothing else.

The mean of a CKKS plaintext's slots is its constant coefficient: the embeddings of X^k sum to zero for
0 < k < N (they are odd powers of a 2N-th root of unity), so the mean over all N embeddings of m(X) is m_0,
and real slots come in conjugate pairs (Cheon, Kim, Kim, Song, ePrint 2016/421, section 3.2). So instead of
log2(N/2) rotations a sum costs nothing: who decrypts reads one coefficient.

The other coefficients would tell the single samples' values. `masked` therefore adds a polynomial whose
constant coefficient is 0 and whose others are uniform modulo the ciphertext's modulus Q.

**Argument.** Let (c0, c1) be a ciphertext after `ring.release`: a fresh encryption of zero under the owner's
public key was added. To the owner, who knows the secret key s and every ciphertext that went in, c1 is then
pseudorandom (decision RLWE with the encryption's own ephemeral u, which only the trainer had), and c0 is
determined by c1 and the plaintext c0 + c1 s. After masking, all coefficients of that but the constant one are
uniform modulo Q and independent of everything, whatever they were: perfect hiding. Simulator: draw c1
uniform, draw a plaintext with the given constant coefficient and uniform others, set c0 to fit. What remains
is the constant coefficient: the sum, plus the circuit's noise there, which flooding covers as far as
`steps.hidden_bits` says, and which differential privacy's noise, where asked for, covers besides. The
owner's public key is taken as honestly made: the trainer's argument needs its second part to be uniform.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hitoku.hazmat import ring

__all__ = ["constant", "masked"]

Words = NDArray[np.uint64]


def masked(x: ring.Ciphertexts, added: Sequence[int] | None = None) -> ring.Ciphertexts:
    """The ciphertexts with nothing left in them but the constant coefficients.

    Args:
        x: [count] ciphertexts of 2 parts.
        added: [count] integers that are added to the constant coefficients; None: nothing.
    """
    residues = x.residues.copy()
    for place, prime in enumerate(x.params.primes[: x.level]):
        q = np.uint64(prime)
        mask = _uniform((x.count, x.params.degree), prime)
        # The mean of the values at the roots of X^N + 1 is the constant coefficient; it is taken out of each.
        mean = _constants(mask, prime)
        wanted = np.array([v % prime for v in added or [0] * x.count], np.uint64)
        shift = (wanted + q - mean) % q
        mask = (mask + shift[:, None]) % q
        residues[:, 0, place] = (residues[:, 0, place] + mask) % q
    return ring.Ciphertexts(x.params, residues, x.scale)


def constant(x: ring.Plaintexts) -> NDArray[np.float64]:
    """The constant coefficients [count] of plaintexts, divided by their scale."""
    primes = x.params.primes[: x.level]
    modulus = 1
    for prime in primes:
        modulus *= prime
    found = [0] * x.count
    for place, prime in enumerate(primes):
        rest = modulus // prime
        factor = rest * pow(rest, -1, prime)
        for row, value in enumerate(_constants(x.residues[:, place], prime)):
            found[row] += int(value) * factor
    signed = [v % modulus for v in found]
    return np.array([float(v - modulus if v > modulus // 2 else v) / x.scale for v in signed])


def _constants(values: Words, prime: int) -> Words:
    """The constant coefficients [count] of polynomials given by their values [count, N] at the roots."""
    degree = values.shape[1]
    # Below 2^50 each: 2^14 of them do not overflow.
    total = np.zeros(len(values), np.uint64)
    for start in range(0, degree, 1 << 14):
        total = (total + values[:, start : start + (1 << 14)].sum(axis=1, dtype=np.uint64) % prime) % prime
    inverse = pow(degree, -1, prime)
    return np.array([int(v) * inverse % prime for v in total], np.uint64)


def _uniform(shape: tuple[int, int], prime: int) -> Words:
    """Uniform residues, from the operating system's randomness, by rejection."""
    bits = prime.bit_length()
    count = shape[0] * shape[1]
    found = np.empty(0, np.uint64)
    while len(found) < count:
        drawn = np.frombuffer(os.urandom(8 * (count - len(found) + 64)), np.uint64) >> np.uint64(64 - bits)
        found = np.concatenate([found, drawn[drawn < prime]])
    return found[:count].reshape(shape)
