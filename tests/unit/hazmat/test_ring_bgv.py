# SPDX-License-Identifier: Apache-2.0
"""BGV: exact integers in slots, through every operation, against integers; noise budget and factors."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.hazmat import ring, ring_bgv
from hitoku.hazmat.ring import ParameterError, Parameters, RingError

T = 65_537
DEGREE = 4096
HALF = DEGREE // 2


def centred(values):
    """Modulo t, nearest to zero."""
    return (values + T // 2) % T - T // 2


def rotated(values, step):
    """Both rows turned left."""
    return np.roll(values.reshape(-1, 2, HALF), -step, axis=2).reshape(values.shape)


class World:
    """Keys of one small set of parameters."""

    def __init__(self):
        *primes, special = ring.find_primes(DEGREE, [27, 27, 27, 28])
        self.params = Parameters(DEGREE, tuple(primes), special, "bgv", T)
        self.secret = ring.SecretKey.generate(self.params)
        self.public = self.secret.public_key()
        self.relin = self.secret.relinearisation_key()
        self.rotations = self.secret.rotation_keys([1, -3, 1000])

    def encrypt(self, values, level=None, public=False):
        plain = ring_bgv.encode(self.params, values, level)
        return self.public.encrypt(plain) if public else self.secret.encrypt(plain).expand()

    def open(self, ciphertexts):
        assert (ring_bgv.noise_budget(self.secret, ciphertexts) > 0).all()
        return ring_bgv.decode(self.secret.decrypt(ciphertexts))


@pytest.fixture(scope="module")
def world():
    return World()


def some(seed, count=2):
    return np.random.default_rng(seed).integers(-(T // 2), T // 2, (count, DEGREE), endpoint=True)


def test_integers_come_back(world):
    values = some(1)
    values[0, :3] = [T // 2, -(T // 2), 0]
    for level in (1, 2, 3):
        plain = ring_bgv.encode(world.params, values, level)
        assert np.array_equal(ring_bgv.decode(plain), values)
        # One prime of 27 bits has no room for the noise of the public key times t.
        for public in (False, True) if level > 1 else (False,):
            assert np.array_equal(world.open(world.encrypt(values, level, public)), values)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_operation_is_that_of_integers_modulo_t(world, seed):
    a, b = some(seed), some(seed + 100)
    x, y = world.encrypt(a, public=True), world.encrypt(b)
    plain = ring_bgv.encode(world.params, b)
    one = ring_bgv.encode(world.params, b[:1])
    pairs = [
        (ring.add(x, y), a + b),
        (ring.subtract(x, y), a - b),
        (ring.negate(x), -a),
        (ring.add_plain(x, plain), a + b),
        (ring.subtract_plain(x, plain), a - b),
        (ring.multiply_plain(x, plain), a * b),
        (ring.multiply_plain(x, one), a * b[:1]),
        (ring.multiply(x, y), a * b),
        (ring.square(x), a * a),
        (ring.add(ring.multiply(x, y), y), a * b + b),
        (ring.relinearise(ring.multiply(x, y), world.relin), a * b),
        (ring_bgv.switch(x), a),
        (ring_bgv.switch(ring.square(y)), b * b),
        (ring.drop(x, 2), a),
        (ring.rotate(x, 1, world.rotations), rotated(a, 1)),
        (ring.rotate(x, -3, world.rotations), rotated(a, -3)),
        (ring.rotate(ring_bgv.switch(x), 1000, world.rotations), rotated(a, 1000)),
    ]
    for ciphertexts, expected in pairs:
        assert np.array_equal(world.open(ciphertexts), centred(expected))


def test_a_product_of_products_with_switching_between(world):
    a, b, c = some(5), some(6), some(7)
    product = ring.relinearise(ring.multiply(world.encrypt(a), world.encrypt(b)), world.relin)
    product = ring_bgv.switch(product)
    assert product.scale != 1
    third = ring_bgv.switch(world.encrypt(c))
    again = ring.relinearise(ring.multiply(product, third), world.relin)
    assert np.array_equal(world.open(again), centred(centred(a * b) * c))
    after = ring_bgv.switch(again)
    assert np.array_equal(world.open(after), centred(centred(a * b) * c))


def test_factors_are_made_equal(world):
    a, b = some(8), some(9)
    x, y = ring_bgv.switch(world.encrypt(a)), world.encrypt(b, level=2)
    assert x.scale != y.scale
    with pytest.raises(RingError, match="scales"):
        ring.add(x, y)
    assert np.array_equal(world.open(ring_bgv.add(x, y)), centred(a + b))
    assert np.array_equal(world.open(ring_bgv.subtract(x, y)), centred(a - b))
    like = ring_bgv.encode(world.params, b, 2, factor=x.scale)
    assert np.array_equal(ring_bgv.decode(like), b)
    assert np.array_equal(world.open(ring.add_plain(x, like)), centred(a + b))
    lost = ring_bgv.noise_budget(world.secret, y) - ring_bgv.noise_budget(world.secret, ring_bgv.add(x, y))
    assert (lost < 12).all()  # two multipliers near the root of t have 8 bits each; noise adds up below that


@given(st.integers(1, T - 1), st.integers(1, T - 1))
def test_the_multipliers_are_small_and_fit(left, right):
    a, b = ring_bgv.small_multipliers(left, right, T)
    assert a % T
    assert b % T
    assert (a * left - b * right) % T == 0
    assert abs(a) + abs(b) <= 2 * int(T**0.5) + 2


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["add", "times", "square", "switch", "rotate", "plain"]), max_size=6), st.data()
)
def test_random_circuits_are_exact_while_the_budget_lasts(world, steps, data):
    """Whatever is computed is exact where the budget says so, and the budget only says so where it is."""
    seed = data.draw(st.integers(0, 2**32 - 1))
    values = some(seed, 1)
    x = world.encrypt(values, public=True)
    expected = values
    for number, step in enumerate(steps):
        other = some(seed ^ (number + 1), 1)
        if step == "switch":
            if x.level > 1:
                x = ring_bgv.switch(x)
        elif step == "rotate":
            x, expected = ring.rotate(x, 1, world.rotations), rotated(expected, 1)
        elif step == "add":
            x = ring_bgv.add(x, world.encrypt(other, x.level))
            expected = centred(expected + other)
        elif step == "plain":
            x = ring.multiply_plain(x, ring_bgv.encode(world.params, other, x.level))
            expected = centred(expected * other)
        else:
            made = ring.square(x) if step == "square" else ring.multiply(x, world.encrypt(other, x.level))
            expected = centred(expected * (expected if step == "square" else other))
            x = ring.relinearise(made, world.relin)
        budget = ring_bgv.noise_budget(world.secret, x)
        if budget[0] < 2:  # so little may be what is left of a number that wrapped
            return
        assert np.array_equal(ring_bgv.decode(world.secret.decrypt(x)), expected)


def test_the_budget_falls_and_what_has_none_is_wrong(world):
    values = some(10, 1)
    x = world.encrypt(values)
    budgets = [ring_bgv.noise_budget(world.secret, x)[0]]
    for _ in range(3):
        x = ring.relinearise(ring.square(x), world.relin)
        budgets.append(ring_bgv.noise_budget(world.secret, x)[0])
    assert budgets[0] > budgets[1] + 10
    assert max(budgets[2:]) < 1
    assert not np.array_equal(ring_bgv.decode(world.secret.decrypt(x)), values)


def test_a_released_result_is_exact_under_its_flood(world):
    a, b = some(12), some(13)
    product = ring.relinearise(ring.multiply(world.encrypt(a), world.encrypt(b)), world.relin)
    before = ring_bgv.noise_budget(world.secret, product)
    released = ring.release(product, world.public, 55)
    assert np.array_equal(world.open(released), centred(a * b))
    # The flood, 2^55 times t, is all that is left to see, and it fits.
    assert (ring_bgv.noise_budget(world.secret, released) < before - 2).all()
    assert not np.array_equal(released.residues[:, 1], product.residues[:, 1])


def test_what_is_refused(world):
    params, good = world.params, some(1)
    for value in (T // 2 + 1, -(T // 2) - 1):
        wrong = good.copy()
        wrong[1, 7] = value
        with pytest.raises(RingError, match="would wrap") as caught:
            ring_bgv.encode(params, wrong)
        assert (caught.value.code, caught.value.row) == ("out-of-range", 1)
        assert str(value) not in str(caught.value)
    with pytest.raises(RingError, match="would wrap"):
        ring_bgv.encode(params, np.full((1, DEGREE), 2**64 - 1, np.uint64))
    with pytest.raises(RingError, match="must be integers"):
        ring_bgv.encode(params, good.astype(float))
    with pytest.raises(RingError, match="shape"):
        ring_bgv.encode(params, good[:, 1:])
    for factor in (0, T, 1.5, float("nan")):
        with pytest.raises(RingError, match="scale"):
            ring_bgv.encode(params, good, factor=factor)
    with pytest.raises(RingError, match="level"):
        ring_bgv.encode(params, good, 4)
    real = Parameters(DEGREE, params.primes, params.special)
    with pytest.raises(RingError, match="'bgv'"):
        ring_bgv.encode(real, good)
    with pytest.raises(RingError, match="'ckks'"):
        ring.encode(params, np.zeros((1, params.slots)), 1.0)
    with pytest.raises(RingError, match="one prime left"):
        ring_bgv.switch(ring.drop(world.encrypt(good), 1))
    with pytest.raises(RingError, match="decrypt"):
        ring_bgv.decode(world.encrypt(good))


def test_plain_moduli_are_found_or_refused():
    assert ring_bgv.find_plain_modulus(8192, 17) == 114_689
    with pytest.raises(ParameterError, match="no prime of 12 bits"):
        ring_bgv.find_plain_modulus(8192, 12)
    for degree, bits in ((1000, 20), (8192, 60), (8192, True), (8192, 0)):
        with pytest.raises(ParameterError):
            ring_bgv.find_plain_modulus(degree, bits)
