# SPDX-License-Identifier: Apache-2.0
"""What is drawn has the distribution that the security argument names, in every key and ciphertext.

Errors are taken out of keys with the secret key, by the equations of `rust/src/ring/keys.rs`, and the
expanded halves by the second implementation in `ring_format`.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.hazmat import chance, ring_format

from hitoku import _core
from hitoku.hazmat import ring, ring_bgv, ring_noise
from hitoku.hazmat.ring import Parameters, SecretKey

DEGREE = 4096
FAR = chance.FAR


class World:
    def __init__(self, plain_modulus=None):
        *primes, special = ring.find_primes(DEGREE, [26, 27, 26, 30])
        scheme = "ckks" if plain_modulus is None else "bgv"
        self.params = Parameters(DEGREE, tuple(primes), special, scheme, plain_modulus)
        self.all_primes = (*primes, special)
        self.factor = plain_modulus or 1
        self.secret = SecretKey.generate(self.params)
        self.small = ring_format.small_secret(self.params, self.secret.to_bytes())
        self.lifted = ring_format.lifted(self.params, self.small, self.all_primes)

    def errors(self, words, primes):
        """What a polynomial [len(primes), N] in the transform's order is as small multiples of the factor.

        It must be the same small polynomial modulo every prime.
        """
        coefficients = ring_format.transform(self.params, words, primes, False)
        found = [ring_format.signed(x, q) for x, q in zip(coefficients, primes, strict=True)]
        for other in found[1:]:
            assert np.array_equal(other, found[0])
        assert not (found[0] % self.factor).any()
        return found[0] // self.factor

    def half(self, b, a, under, primes):
        """``b + a s``."""
        rows = zip(b, a, under, primes, strict=False)
        return np.array([(x + ring_format.times(y, s, q)) % np.uint64(q) for x, y, s, q in rows], np.uint64)


@pytest.fixture(scope="module", params=[None, 40_961])
def world(request):
    return World(request.param)


def zeroes(params, count, level):
    return ring.Plaintexts(params, np.zeros((count, level, DEGREE), np.uint64), 1.0)


def test_secrets_are_uniform_over_three_values(world):
    small = [
        ring_format.small_secret(world.params, SecretKey.generate(world.params).to_bytes()) for _ in range(8)
    ]
    assert abs(chance.fit(np.bincount(np.concatenate(small) + 1, minlength=3), [1 / 3] * 3)) < FAR
    # Neighbours, too: digits are taken from common words.
    pairs = np.concatenate([3 * (one[:-1] + 1) + one[1:] + 1 for one in small])
    assert abs(chance.fit(np.bincount(pairs, minlength=9), [1 / 9] * 9)) < FAR
    # The same four places of all keys: 32 draws alike in one of 1,024 rows happen once in 10^12 times.
    places = np.array(small).T.reshape(-1, 32)
    assert np.abs(places.sum(axis=1)).max() < 32
    assert len({one.tobytes() for one in small}) == 8


def test_errors_of_symmetric_encryption_are_binomial(world):
    plain = zeroes(world.params, 16, 2)
    made = world.secret.encrypt(plain).expand()
    found = ring_noise.coefficients(world.secret.decrypt(made)) / world.factor
    assert np.array_equal(found, np.round(found))
    assert chance.error_fit(found.astype(np.int64)) < FAR
    assert len({row.tobytes() for row in found}) == 16
    assert np.abs(np.corrcoef(found) - np.eye(16)).max() < FAR / DEGREE**0.5
    again = ring_noise.coefficients(world.secret.decrypt(world.secret.encrypt(plain).expand())) / world.factor
    assert abs(np.corrcoef(found.ravel(), again.ravel())[0, 1]) < FAR / found.size**0.5


def test_errors_of_the_public_key_are_binomial(world):
    params, primes = world.params, world.params.primes
    found = []
    for _ in range(4):
        (key,) = ring_format.keys(params, ring_format.PUBLIC, world.secret.public_key().to_bytes())
        a = [ring_format.expand(key.seed, b"public key", i, q, DEGREE) for i, q in enumerate(primes)]
        found.append(world.errors(world.half(key.b[0], a, world.lifted, primes), primes))
    assert chance.error_fit(found) < FAR
    assert np.abs(np.corrcoef(found) - np.eye(4)).max() < FAR / DEGREE**0.5


def switching_errors(world, key, target, under):
    """Errors of each digit of a switching key; what it holds beside them must be P times the target."""
    params, primes = world.params, world.all_primes
    out = []
    for digit in range(params.levels):
        numbers = [ring_format.stream_number(digit, i) for i in range(len(primes))]
        a = [
            ring_format.expand(key.seed, b"switching key", n, q, DEGREE)
            for n, q in zip(numbers, primes, strict=True)
        ]
        found = world.half(key.b[digit], a, under, primes)
        q = primes[digit]
        held = ring_format.times(target[digit], np.uint64(params.special % q), q)
        found[digit] = (found[digit] + np.uint64(q) - held) % np.uint64(q)
        out.append(world.errors(found, primes))
    return out


def test_errors_of_the_relinearisation_key_are_binomial(world):
    primes = world.all_primes
    rows = zip(world.lifted, primes, strict=True)
    squared = np.array([ring_format.times(s, s, q) for s, q in rows], np.uint64)
    found = []
    for _ in range(2):
        data = world.secret.relinearisation_key().to_bytes()
        (key,) = ring_format.keys(world.params, ring_format.RELINEARISATION, data)
        found += switching_errors(world, key, squared, world.lifted)
    assert chance.error_fit(found) < FAR
    assert np.abs(np.corrcoef(found) - np.eye(6)).max() < FAR / DEGREE**0.5


def turned(small, element):
    """The coefficients of s(X^element)."""
    powers = np.arange(DEGREE) * element % (2 * DEGREE)
    out = np.zeros(DEGREE, np.int64)
    out[powers % DEGREE] = np.where(powers < DEGREE, small, -small)
    return out


def test_errors_of_rotation_keys_are_binomial(world):
    steps = [1, 5, DEGREE // 2 - 1]
    data = world.secret.rotation_keys(steps).to_bytes()
    keys = ring_format.keys(world.params, ring_format.ROTATIONS, data)
    found = []
    for key in keys:
        back = pow(pow(3, key.step, 2 * DEGREE), -1, 2 * DEGREE)
        under = ring_format.lifted(world.params, turned(world.small, back), world.all_primes)
        found += switching_errors(world, key, world.lifted, under)
    assert [key.step for key in keys] == steps
    assert len({key.seed for key in keys}) == 3
    assert chance.error_fit(found) < FAR
    assert np.abs(np.corrcoef(found) - np.eye(9)).max() < FAR / DEGREE**0.5


def test_public_encryption_has_the_variance_of_its_three_draws(world):
    """``e u + e0 + e1 s``: exact variance, and no two ciphertexts share a draw."""
    public = world.secret.public_key()
    found = ring_noise.coefficients(world.secret.decrypt(public.encrypt(zeroes(world.params, 32, 2))))
    found /= world.factor
    stated = ring_noise.fresh(world.params, public=True).deviation / world.factor
    # The sums over u and s are those of these very polynomials: a few per cent.
    assert 0.93 < found.std() / stated < 1.07
    # u differs from row to row; e, s and so part of the noise is common only in distribution.
    assert np.abs(np.corrcoef(found) - np.eye(32)).max() < FAR / DEGREE**0.5
    assert abs(found.mean()) < FAR * stated / found.size**0.5 * 2


def test_expanded_halves_are_uniform(world):
    made = world.secret.encrypt(zeroes(world.params, 8, 3)).expand().residues
    for component, prime in enumerate(world.params.primes):
        assert chance.uniform(made[:, 1, component], prime) < FAR
    bgv = Parameters(DEGREE, world.params.primes, world.params.special, "bgv", 40_961)
    wide = Parameters(DEGREE, ring.find_primes(DEGREE, [50]), ring.find_primes(DEGREE, [49])[0])
    for params in (bgv, wide):
        seeds = [SecretKey.generate(params).encrypt(zeroes(params, 2, 1)).expand().residues for _ in range(2)]
        for one in seeds:
            assert chance.uniform(one[:, 1], params.primes[0]) < FAR
        assert not np.array_equal(seeds[0], seeds[1])


def test_the_statistics_see_what_they_should():
    """Narrower, wider, shifted and coarser errors, and residues with a gap, are all far off."""
    random = np.random.default_rng(23)

    def errors(pairs, count=200_000):
        return random.binomial(pairs, 0.5, count) - random.binomial(pairs, 0.5, count)

    assert chance.error_fit(errors(21)) < FAR
    for wrong in (
        errors(20),
        errors(22),
        errors(21) + 1,
        errors(5) * 2,
        np.zeros(9_000, int),
        errors(40) * 3,
    ):
        assert chance.error_fit(wrong) > FAR
    q = ring.find_primes(DEGREE, [30])[0]
    good = random.integers(0, q, 40_000, np.uint64)
    assert chance.uniform(good, q) < FAR
    for wrong in (
        good // 2,
        good | np.uint64(1),
        np.minimum(good, np.uint64(q - q // 50)),
        good % np.uint64(q // 2),
    ):
        assert chance.uniform(wrong, q) > FAR
    normal = random.normal(0, 1, 20_000)
    assert abs(chance.two_samples(normal, random.normal(0, 1, 20_000))) < FAR
    assert abs(chance.two_samples(normal, random.normal(0, 1.2, 20_000))) > FAR
    assert abs(chance.two_samples(normal, random.normal(0.2, 1, 20_000))) > FAR


def test_no_two_draws_are_equal(world):
    """Seeds of batches, of keys and of public keys: from the system, never twice."""
    params, key = world.params, world.secret
    plain = zeroes(params, 1, 1)
    batches = {key.encrypt(plain).seed for _ in range(50)}
    public = {
        ring_format.keys(params, ring_format.PUBLIC, key.public_key().to_bytes())[0].seed for _ in range(5)
    }
    data = [key.relinearisation_key().to_bytes() for _ in range(3)]
    relin = {ring_format.keys(params, ring_format.RELINEARISATION, one)[0].seed for one in data}
    assert len(batches | public | relin) == 58


def test_values_do_not_change_what_is_drawn(world):
    """The noise of a ciphertext has the same distribution whatever is encrypted."""
    params = world.params
    if params.scheme == "ckks":
        plain = ring.encode(params, np.full((8, params.slots), 123.0), 2.0**15)
    else:
        plain = ring_bgv.encode(params, np.full((8, DEGREE), 20_000))
    made = world.secret.encrypt(plain).expand()
    words = world.secret.decrypt(made).residues
    less = _core.ring_transform(params.kernel, np.ascontiguousarray(words), False, 1)
    message = _core.ring_transform(params.kernel, np.ascontiguousarray(plain.residues), False, 1)
    q = params.primes[0]
    errors = ring_format.signed((less[:, 0] + np.uint64(q) - message[:, 0]) % np.uint64(q), q)
    assert not (errors % world.factor).any()
    assert chance.error_fit(errors // world.factor) < FAR
