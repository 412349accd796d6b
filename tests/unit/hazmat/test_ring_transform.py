# SPDX-License-Identifier: Apache-2.0
"""Linear maps equal what single rotations and products make of the same diagonals; wrong ones are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.hazmat import ring
from hitoku.hazmat.ring import Parameters, RingError, Transform

*_PRIMES, _SPECIAL = ring.find_primes(8192, [40, 30, 30, 40])
PARAMS = Parameters(8192, tuple(_PRIMES), _SPECIAL)
SLOTS = PARAMS.slots
SECRET = ring.SecretKey.generate(PARAMS)
SCALE = 2.0**30
CLOSE = 1e-3
"""Rotations add 5e-6 each (standard deviation), with the tails of a product of two Gaussians: nine of them
pass 1e-4 in one of some 10^8 slots, and a test looks at up to 50,000. What is wrong is off by about 1."""


def encrypted(values: Any, level: int = 3) -> ring.Ciphertexts:
    return SECRET.encrypt(ring.encode(PARAMS, values, SCALE, level)).expand()


def expected(values: Any, diagonals: dict[int, Any]) -> Any:
    """``sum(diagonal * (values turned left))``, in clear."""
    return sum(diagonal * np.roll(values, -step, axis=-1) for step, diagonal in diagonals.items())


def decrypted(ciphertexts: ring.Ciphertexts) -> Any:
    return ring.decode(SECRET.decrypt(ciphertexts))


@given(
    seed=st.integers(0, 2**32),
    steps=st.sets(st.integers(-SLOTS, SLOTS), min_size=1, max_size=9),
    giant=st.sampled_from([None, 1, 3, 4, SLOTS]),
    level=st.integers(2, 3),
)
@settings(max_examples=6, deadline=None)
def test_a_map_is_its_diagonals(seed: int, steps: set[int], giant: int | None, level: int) -> None:
    random = np.random.default_rng(seed)
    kept = {step % SLOTS: step for step in steps}.values()
    diagonals = {step: random.uniform(-1, 1, SLOTS) for step in kept}
    values = random.uniform(-1, 1, (2, SLOTS))
    linear = Transform(PARAMS, diagonals, SCALE, level, giant=giant)
    made = ring.transform(encrypted(values, level), linear, SECRET.rotation_keys(linear.steps))
    assert (made.count, made.parts, made.level, made.scale) == (2, 2, level, SCALE * SCALE)
    assert np.abs(decrypted(made) - expected(values, diagonals)).max() < CLOSE


def test_a_map_equals_single_rotations() -> None:
    random = np.random.default_rng(1)
    diagonals = {step: random.uniform(-1, 1, SLOTS) for step in (0, 1, 5, 9)}
    values = random.uniform(-1, 1, (1, SLOTS))
    x, keys = encrypted(values), SECRET.rotation_keys([1, 4, 5, 8, 9])
    plain = {step: ring.encode(PARAMS, row[None], SCALE, 3) for step, row in diagonals.items()}
    total = ring.multiply_plain(x, plain[0])
    for step in (1, 5, 9):
        total = ring.add(total, ring.multiply_plain(ring.rotate(x, step, keys), plain[step]))
    for giant in (1, 4, SLOTS):
        linear = Transform(PARAMS, diagonals, SCALE, giant=giant)
        one, two = (ring.transform(x, linear, keys, threads) for threads in (1, 2))
        assert (one.residues == two.residues).all()
        assert np.abs(decrypted(one) - decrypted(total)).max() < CLOSE


def test_several_sources_and_targets() -> None:
    random = np.random.default_rng(2)
    values = random.uniform(-1, 1, (2, SLOTS))
    blocks = [
        [{step: random.uniform(-1, 1, SLOTS) for step in steps} for steps in of_target]
        for of_target in ([(0, 1, 7), (2,)], [(0,), ()], [(-1, 64), (65, 66)])
    ]
    linear = Transform(PARAMS, blocks, SCALE)
    keys = SECRET.rotation_keys(linear.steps)
    made = decrypted(ring.transform(encrypted(values), linear, keys))
    for row, block in zip(made, blocks, strict=True):
        clear = expected(values[0], block[0]) + expected(values[1], block[1])
        assert np.abs(row - clear).max() < CLOSE
    each = [block[0] for block in blocks]
    linear = Transform(PARAMS, each, SCALE)
    made = decrypted(ring.transform(encrypted(values), linear, SECRET.rotation_keys(linear.steps)))
    clear = [expected(row, diagonals) for row in values for diagonals in each]
    assert np.abs(made - np.array(clear)).max() < CLOSE


def test_a_fold_needs_no_scale() -> None:
    values = np.random.default_rng(3).uniform(-1, 1, (1, SLOTS))
    linear = Transform(PARAMS, {64 * step: 1.0 for step in range(8)}, 1.0)
    made = ring.transform(encrypted(values), linear, SECRET.rotation_keys(linear.steps))
    assert made.scale == SCALE
    assert np.abs(decrypted(made) - expected(values, {64 * step: 1.0 for step in range(8)})).max() < CLOSE


def test_what_does_not_fit_is_refused() -> None:
    x = encrypted(np.zeros((2, SLOTS)))
    good = {0: np.ones(SLOTS), 3: np.ones(SLOTS)}

    def refused(code: str, call: Any, *arguments: Any, **named: Any) -> None:
        with pytest.raises(RingError) as error:
            call(*arguments, **named)
        assert error.value.code == code

    refused("bad-transform", Transform, PARAMS, {}, SCALE)
    refused("bad-shape", Transform, PARAMS, {0: np.ones(SLOTS - 1)}, SCALE)
    refused("bad-array", Transform, PARAMS, {0: np.ones(SLOTS, dtype=complex)}, SCALE)
    refused("bad-step", Transform, PARAMS, {0.5: np.ones(SLOTS)}, SCALE)
    refused("repeated-diagonal", Transform, PARAMS, {1: 1.0, 1 - SLOTS: 1.0}, SCALE)
    refused("not-finite", Transform, PARAMS, {1: np.full(SLOTS, np.nan)}, SCALE)
    refused("too-large", Transform, PARAMS, good, 2.0**60, 1)
    refused("bad-scale", Transform, PARAMS, good, 0.0)
    refused("bad-transform", Transform, PARAMS, good, SCALE, giant=0)
    refused("bad-level", Transform, PARAMS, good, SCALE, 4)
    linear, keys = Transform(PARAMS, good, SCALE), SECRET.rotation_keys([3])
    refused("no-rotation-key", ring.transform, x, linear, SECRET.rotation_keys([2]))
    refused("level-mismatch", ring.transform, ring.drop(x, 2), linear, keys)
    refused("bad-parts", ring.transform, ring.square(x), linear, keys)
    refused("count-mismatch", ring.transform, x, Transform(PARAMS, [[good] * 3], SCALE), keys)
    *primes, special = ring.find_primes(8192, [41, 30, 30, 41])
    other = Parameters(8192, tuple(primes), special)
    refused("other-parameters", ring.transform, x, Transform(other, good, SCALE), keys)
