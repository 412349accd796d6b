# SPDX-License-Identifier: Apache-2.0
"""Products that were never relinearised: up to 8 parts, brought back to 2 with the one key for s^2."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from hitoku.hazmat import ring
from hitoku.inference.circuit import Builder, CircuitError, Program, Release
from hitoku.inference.interpreters import noise, ranges
from hitoku.inference.interpreters.encrypted import Encrypted, make_keys

DEGREE = 4096
SLOTS = DEGREE // 2
SCALE = 2.0**9


@functools.cache
def world() -> tuple[ring.Parameters, ring.SecretKey]:
    *primes, special = ring.find_primes(DEGREE, [40, 38, 26])
    params = ring.Parameters(DEGREE, tuple(primes), special)
    return params, ring.SecretKey.generate(params)


def product(factors: int, *, relinearise: bool = True) -> Program:
    b = Builder(SLOTS)
    x = b.input("x", count=factors, scale=SCALE, level=2, bound=1.0)
    value = b.take(x, [0])
    for at in range(1, factors):
        value = b.multiply(b.take(x, [at]), value)
    assert value.parts == factors + 1
    b.output("y", b.relinearise(value) if relinearise else value, level=2, flood_bits=0)
    return b.build()


@pytest.mark.parametrize("relinearise", [True, False])
@pytest.mark.parametrize("factors", [2, 3, 4, 5, 7])
def test_many_parts_come_back_to_two(factors: int, relinearise: bool) -> None:
    params, secret = world()
    program = product(factors, relinearise=relinearise)
    x = np.random.default_rng(factors).choice([-1.0, 1.0], (factors, SLOTS))
    fresh = secret.encrypt(ring.encode(params, x, SCALE, 2)).expand()
    answer = Encrypted(program, params).run({"x": fresh}, make_keys(program, secret), 2)["y"]
    assert answer.parts == 2
    error = ring.decode(secret.decrypt(answer))[0] - x.prod(axis=0)
    found = noise.find(program, params, ranges.bounds(program))
    last = program.outputs["y"]
    assert np.abs(error).max() <= found.worst_error(last)
    # The model follows mean squares: it must neither be passed nor be far too careful.
    assert 0.3 < error.std() / found.typical_error(last) < 1.5


def test_switching_noise_of_high_parts_is_counted() -> None:
    """With a special prime far too narrow the switch's error is what is seen, times powers of the secret."""
    *primes, special = ring.find_primes(DEGREE, [40, 38, 20])
    params = ring.Parameters(DEGREE, tuple(primes), special)
    secret = ring.SecretKey.generate(params)
    b = Builder(SLOTS)
    x = b.input("x", count=4, scale=2.0, level=2, bound=0.0)
    pair = [b.take(x, [at]) for at in range(4)]
    value = functools.reduce(b.multiply, pair)
    b.output("y", b.relinearise(value), level=2, flood_bits=0)
    program = b.build()
    # Four times nothing: all that is left is noise.
    fresh = secret.encrypt(ring.encode(params, np.zeros((4, SLOTS)), 2.0, 2)).expand()
    answer = Encrypted(program, params).run({"x": fresh}, make_keys(program, secret), 2)["y"]
    error = ring.decode(secret.decrypt(answer))[0]
    found = noise.find(program, params, ranges.bounds(program))
    last = program.outputs["y"]
    assert np.abs(error).max() <= found.worst_error(last)
    assert 0.2 < error.std() / found.typical_error(last) < 2.0


def test_more_parts_than_the_kernel_takes_are_refused() -> None:
    b = Builder(SLOTS)
    x = b.input("x", count=1, scale=SCALE, level=2, bound=1.0)
    value = functools.reduce(b.multiply, [x] * 7)
    with pytest.raises(CircuitError, match="relinearise before"):
        b.multiply(value, x)
    with pytest.raises(CircuitError):
        b.square(b.square(b.square(x)))
    b.output("y", value, level=2, flood_bits=0)
    assert b.build().releases() == {"y": Release(2, 0)}
