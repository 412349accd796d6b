# SPDX-License-Identifier: Apache-2.0
"""Operations on CKKS ciphertexts: what goes in comes out."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.unit.hazmat.ckks_world import (
    PARAMS,
    PRIMES,
    SCALE,
    STEPS,
    close,
    encrypted,
    new_keys,
    opened,
    vectors,
)

from hitoku.hazmat import ring
from hitoku.hazmat.ring import RingError

DEEP_PRIMES = ring.find_primes(8192, [40, 40, 32, 32, 32, 42])
DEEP = ring.Parameters(8192, DEEP_PRIMES[:5], DEEP_PRIMES[5])


@pytest.fixture(scope="module")
def keys():
    return new_keys()


def test_sums(keys):
    x, y = vectors(seed=1), vectors(seed=2)
    cx, cy = encrypted(keys, x), encrypted(keys, y, public=True)
    close(keys, ring.add(cx, cy), x + y, 6e-3)
    close(keys, ring.subtract(cx, cy), x - y, 6e-3)
    close(keys, ring.negate(cx), -x, 5e-5)
    plain = ring.encode(PARAMS, y, SCALE)
    close(keys, ring.add_plain(cx, plain), x + y, 5e-5)
    close(keys, ring.subtract_plain(cx, plain), x - y, 5e-5)
    close(keys, ring.add_plain(cx, plain[:1]), x + y[:1], 5e-5)


def test_products(keys):
    x, y = vectors(seed=3), vectors(seed=4)
    cx, cy = encrypted(keys, x), encrypted(keys, y)
    product = ring.multiply(cx, cy)
    assert (product.parts, product.scale) == (3, SCALE * SCALE)
    close(keys, product, x * y, 1e-4)
    two = ring.relinearise(product, keys.relinearisation)
    assert two.parts == 2
    assert ring.relinearise(two, keys.relinearisation) is two
    close(keys, two, x * y, 1e-4)
    assert np.array_equal(ring.square(cx).residues, ring.multiply(cx, cx).residues)
    close(keys, ring.add(product, ring.square(cx)), x * y + x * x, 2e-4)
    # Two parts and three: what lacks counts as zero.
    close(keys, ring.subtract(two, ring.square(cx)), x * y - x * x, 2e-4)
    close(keys, ring.subtract(ring.square(cx), two), x * x - x * y, 2e-4)
    plain = ring.encode(PARAMS, y, 2.0**20)
    scaled = ring.multiply_plain(cx, plain)
    assert scaled.scale == SCALE * 2.0**20
    close(keys, scaled, x * y, 1e-3)
    lower = ring.rescale(two)
    assert (lower.level, lower.scale) == (1, SCALE * SCALE / PRIMES[1])
    # Rounding errors of the two parts, (1 + s) / 2 in all coefficients, at a scale of 2^22: 1.6e-4 in a slot
    # (standard deviation), with the tails of a product of two Gaussians. Rounding down would be 1e-2 off.
    close(keys, lower, x * y, 4e-3)
    close(keys, ring.drop(cx, 1), x, 5e-5)
    assert ring.drop(cx, 2) is cx


def test_products_of_products_wait_for_one_relinearisation(keys):
    x = vectors(seed=8)
    cx = encrypted(keys, x, scale=2.0**15)
    program = ring.PointwiseProgram(PARAMS)
    one = program.input(3)
    program.output(program.multiply(program.square(one), one))
    (cube,) = program.run([cx])
    assert (cube.parts, cube.scale) == (4, 2.0**45)
    close(keys, cube, x**3, 0.3)
    two = ring.relinearise(cube, keys.relinearisation)
    assert two.parts == 2
    close(keys, two, x**3, 0.3)
    close(keys, ring.subtract(cube, two), np.zeros_like(x), 2e-3)


def test_rotations_turn_left(keys):
    x = vectors()
    cx = encrypted(keys, x)
    assert keys.rotations.steps == tuple(sorted(step % PARAMS.slots for step in STEPS))
    for level in (2, 1):
        batch = ring.drop(cx, level)
        rotated = ring.rotate_many(batch, [0, *STEPS, 1 + PARAMS.slots], keys.rotations)
        for step, one in zip([0, *STEPS, 1], rotated, strict=True):
            close(keys, one, np.roll(x, -step, 1), 2e-3)
            assert np.array_equal(one.residues, ring.rotate(batch, step, keys.rotations).residues)
    assert rotated[0] is batch


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(keys, threads):
    for count in (1, 2, 5):
        cx = encrypted(keys, vectors(count))
        square = ring.square(cx, threads=threads)
        for made in (
            lambda threads, square=square: ring.relinearise(square, keys.relinearisation, threads=threads),
            lambda threads, cx=cx: ring.rotate(cx, 5, keys.rotations, threads=threads),
            lambda threads, cx=cx: ring.rescale(cx, threads=threads),
            lambda threads, cx=cx: ring.multiply(cx, cx, threads=threads),
        ):
            assert np.array_equal(made(threads).residues, made(1).residues)


def test_a_deep_circuit_keeps_its_precision():
    secret = ring.SecretKey.generate(DEEP)
    keys = SimpleNamespace(
        secret=secret, relinearisation=secret.relinearisation_key(), rotations=secret.rotation_keys([3])
    )
    x = vectors(2, slots=DEEP.slots)
    batch = encrypted(keys, x, scale=2.0**32, level=5)
    expected = x
    for _ in range(3):
        batch = ring.rescale(ring.relinearise(ring.square(batch), keys.relinearisation))
        batch = ring.rotate(batch, 3, keys.rotations)
        expected = np.roll(expected**2, -3, 1)
        plain = ring.encode(DEEP, np.full_like(x, 0.5), batch.scale, batch.level)
        batch, expected = ring.add_plain(batch, plain), expected + 0.5
    assert batch.level == 2
    close(keys, batch, expected, 2e-4)
    close(keys, ring.drop(batch, 1), expected, 2e-4)


def test_mixed_batches_are_put_together_and_taken_apart(keys):
    x, y = vectors(2, 5), vectors(3, 6)
    both = ring.concatenate([encrypted(keys, x), encrypted(keys, y)])
    close(keys, both, np.concatenate([x, y]), 5e-5)
    wrong: list[Any] = ["x", [[1]], [0.5], [5], [-6]]
    for rows in wrong:
        with pytest.raises(RingError) as refused:
            both[rows]
        assert refused.value.code == "bad-rows"
    with pytest.raises(RingError, match="nothing to concatenate"):
        ring.concatenate([])
    with pytest.raises(RingError, match="cannot be put together"):
        ring.concatenate([both, ring.drop(both, 1)])


def test_several_python_threads_share_keys(keys):
    def one(seed):
        x = vectors(3, seed)
        batch = ring.relinearise(ring.square(encrypted(keys, x)), keys.relinearisation)
        return np.abs(opened(keys, ring.rotate(batch, 5, keys.rotations)) - np.roll(x**2, -5, 1)).max()

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(one, range(12))) < 1e-4


def test_a_child_of_a_process_that_used_threads_can_use_them_too(keys):
    values = vectors(4)
    encrypted(keys, values)
    child = os.fork()
    if child == 0:
        try:
            good = np.abs(opened(keys, encrypted(keys, values)) - values).max() < 5e-5
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
