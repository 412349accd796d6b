# SPDX-License-Identifier: Apache-2.0
"""Keys of a small CKKS ring, and what tests do with them again and again."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hitoku.hazmat import ring
from hitoku.hazmat.ring import RingError

DEGREE, SCALE = 4096, 2.0**26
PRIMES = ring.find_primes(DEGREE, [36, 30, 42])
PARAMS = ring.Parameters(DEGREE, PRIMES[:2], PRIMES[2])
STEPS = (1, 2, 5, -1, 1000)


def new_keys():
    """The secret key and every public one."""
    secret = ring.SecretKey.generate(PARAMS)
    return SimpleNamespace(
        secret=secret,
        public=secret.public_key(),
        relinearisation=secret.relinearisation_key(),
        rotations=secret.rotation_keys(STEPS),
    )


def vectors(count=3, seed=0, slots=PARAMS.slots):
    return np.random.default_rng(seed).uniform(-1, 1, (count, slots))


def encrypted(keys, values, *, public=False, scale=SCALE, level=2):
    plain = ring.encode(keys.secret.params, values, scale, level)
    return keys.public.encrypt(plain) if public else keys.secret.encrypt(plain).expand()


def opened(keys, ciphertexts):
    return ring.decode(keys.secret.decrypt(ciphertexts))


def close(keys, ciphertexts, expected, error):
    """The values are there up to `error`, and not exactly: fresh noise was added."""
    worst = np.abs(opened(keys, ciphertexts) - expected).max()
    assert 0 < worst < error, worst


def refuses(code, function, *arguments):
    with pytest.raises(RingError) as refused:
        function(*arguments)
    assert refused.value.code == code
    assert len(str(refused.value)) > 15
