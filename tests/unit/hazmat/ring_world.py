# SPDX-License-Identifier: Apache-2.0
"""Keys of a small ring, and arithmetic on its residues in numpy, for the tests of views."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from hitoku import _core
from hitoku.hazmat import ring
from hitoku.hazmat.ring import Ciphertexts, Parameters, SecretKey

DEGREE = 4096
SCALE = 2.0**18


class World:
    def __init__(self):
        *primes, special = ring.find_primes(DEGREE, [26, 27, 27, 28])
        self.params = Parameters(DEGREE, tuple(primes), special)
        self.all_primes = (*primes, special)
        self.secret = SecretKey.generate(self.params)
        self.public = self.secret.public_key()
        self.random = np.random.default_rng(29)

    def encode(self, count, level=3):
        values = self.random.uniform(-4, 4, (count, self.params.slots))
        return ring.encode(self.params, values, SCALE, level)

    def uniform(self, shape, primes):
        """Residues [..., len(primes), N] of a simulator that knows nothing."""
        shape = (*shape[:-2], shape[-1])
        rows = [self.random.integers(0, q, shape, np.uint64) for q in primes]
        return np.ascontiguousarray(np.stack(rows, axis=-2))

    def masks(self, second):
        """``c1 s`` of second parts [count, level, N], by decrypting with a first part of zero."""
        words = np.zeros((second.shape[0], 2, *second.shape[1:]), np.uint64)
        words[:, 1] = second
        return self.secret.decrypt(Ciphertexts(self.params, words, 1.0)).residues

    def small(self, shape, most):
        """Residues of small random integers, in the transform's order."""
        primes = self.params.primes[: shape[-2]]
        drawn = self.random.integers(-most, most, (*shape[:-2], shape[-1]), endpoint=True)
        residues = np.stack([(drawn % q).astype(np.uint64) for q in primes], axis=-2)
        return _core.ring_transform(self.params.kernel, np.ascontiguousarray(residues), True, 1)


def moduli(primes):
    return np.array(primes, np.uint64)[:, None]


def plus(x, y, primes):
    return (x + y) % moduli(primes)


def minus(x, y, primes):
    return (x + moduli(primes) - y) % moduli(primes)
