# SPDX-License-Identifier: Apache-2.0
"""The ring against Microsoft SEAL: same degree, primes, secret key and ciphertexts, every operation.

Whatever is deterministic must give the same residues; key switching, whose keys are drawn, must decrypt to
the same values within the stated noise.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.hazmat.seal import Seal

from hitoku import _core
from hitoku.hazmat import ring, ring_bgv, ring_noise
from hitoku.hazmat.ring import Ciphertexts, Parameters, SecretKey

SCALE = 2.0**24
STEPS = (1, -1, 5)


def secret_bytes(params, coefficients):
    """The bytes of a secret key, written by hand: a header of kind 8 and two bits a coefficient."""
    front = bytearray(params.to_bytes())
    front[6] = 8
    bits = np.where(coefficients < 0, 2, coefficients).astype(np.uint8).reshape(-1, 4)
    return bytes(front) + (bits << np.array([0, 2, 4, 6], np.uint8)).sum(axis=1).astype(np.uint8).tobytes()


class Both:
    """The same parameters and secret key here and there."""

    def __init__(self, scheme, degree, bits, plain_modulus=None):
        *primes, special = ring.find_primes(degree, bits)
        self.params = Parameters(degree, tuple(primes), special, scheme, plain_modulus)
        self.seal = Seal(scheme, degree, primes, special, plain_modulus, steps=STEPS)
        coefficients = self.seal.secret_coefficients()
        self.key = SecretKey.from_bytes(self.params, secret_bytes(self.params, coefficients))
        self.relin = self.key.relinearisation_key()
        self.rotations = self.key.rotation_keys(STEPS)

    def here(self, theirs):
        """A ciphertext of SEAL."""
        words = _core.ring_transform(self.params.kernel, self.seal.coefficients(theirs), True, 1)
        ckks = self.params.scheme == "ckks"
        return Ciphertexts(self.params, words[None], theirs.scale if ckks else self.seal.correction(theirs))

    def there(self, ours):
        """Our only ciphertext, as SEAL's."""
        words = _core.ring_transform(self.params.kernel, ours.residues[0], False, 1)
        scaled = (ours.scale, 1) if self.params.scheme == "ckks" else (1.0, int(ours.scale))
        return self.seal.ciphertext(words, *scaled)

    def open(self, ours):
        decode = ring.decode if self.params.scheme == "ckks" else ring_bgv.decode
        return decode(self.key.decrypt(ours))[0]

    def plain(self, values, level=None, scale=SCALE):
        if self.params.scheme == "ckks":
            return ring.encode(self.params, values[None], scale, level)
        return ring_bgv.encode(self.params, values[None], level)

    def sealed_plain(self, values, level=None, scale=SCALE):
        return self.seal.encode(values, scale, level or self.params.levels)


@pytest.fixture(scope="module")
def ckks():
    return Both("ckks", 4096, [36, 36, 37])


@pytest.fixture(scope="module")
def bgv():
    return Both("bgv", 4096, [36, 36, 37], 65_537)


def reals(params, seed):
    return np.random.default_rng(seed).uniform(-8, 8, params.slots)


def integers(params, seed):
    half = params.plain_modulus // 2
    return np.random.default_rng(seed).integers(-half, half, params.slots, endpoint=True)


def modulo(params, values):
    half = params.plain_modulus // 2
    return (values + half) % params.plain_modulus - half


# --- encoding ---


def test_the_transform_has_seals_root_and_order(ckks):
    """Residues of an encoded vector, place by place, in the transform's form."""
    theirs = ckks.sealed_plain(reals(ckks.params, 1))
    words = np.array([theirs.data(i) for i in range(theirs.coeff_count())], np.uint64)
    words = words.reshape(-1, ckks.params.degree)
    back = _core.ring_transform(ckks.params.kernel, ckks.seal.plain_coefficients(theirs), True, 1)
    assert np.array_equal(words, back)


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("scale", [2.0**20, 1.7e9 / 3])
def test_reals_are_encoded_as_there(ckks, level, scale):
    values = reals(ckks.params, 2)
    ours = ckks.plain(values, level, scale)
    theirs = ckks.seal.plain_coefficients(ckks.sealed_plain(values, level, scale))
    here = _core.ring_transform(ckks.params.kernel, np.ascontiguousarray(ours.residues), False, 1)[0]
    # Both round after a transform in floating point: a few of 4,096 coefficients lie on an edge.
    q = ckks.params.primes[0]
    apart = (here[0].astype(np.int64) - theirs[0].astype(np.int64) + q // 2) % q - q // 2
    assert np.abs(apart).max() <= 1
    assert np.count_nonzero(apart) < 20
    assert here.shape == theirs.shape == (level, ckks.params.degree)


def test_what_seal_encodes_is_decoded_here_and_back(ckks, bgv):
    values = reals(ckks.params, 3)
    theirs = ckks.seal.plain_coefficients(ckks.sealed_plain(values))
    words = _core.ring_transform(ckks.params.kernel, theirs, True, 1)
    found = ring.decode(ring.Plaintexts(ckks.params, words[None], SCALE))[0]
    assert np.abs(found - values).max() < 1e-4
    numbers = integers(bgv.params, 3)
    theirs = bgv.seal.encode(numbers)
    coefficients = np.array([theirs.data(i) for i in range(theirs.coeff_count())], np.uint64)
    ours = _core.ring_transform(
        bgv.params.kernel, np.ascontiguousarray(bgv.plain(numbers).residues), False, 1
    )
    signed = ours[0, 0].astype(np.int64)
    signed = np.where(signed > bgv.params.primes[0] // 2, signed - bgv.params.primes[0], signed)
    assert np.array_equal(signed % bgv.params.plain_modulus, coefficients)


# --- both ways ---


@pytest.mark.parametrize("public", [False, True])
def test_ciphertexts_are_decrypted_by_the_other(ckks, bgv, public):
    for both, values in ((ckks, reals(ckks.params, 4)), (bgv, integers(bgv.params, 4))):
        close = 1e-2 if both is ckks else 0
        plain = both.plain(values)
        ours = both.key.public_key().encrypt(plain) if public else both.key.encrypt(plain).expand()
        assert np.abs(both.seal.decrypt(both.there(ours)) - values).max() <= close
        theirs = both.seal.encrypt(values, SCALE)
        assert np.abs(both.open(both.here(theirs)) - values).max() <= close
        carried = both.here(both.there(ours))
        assert np.array_equal(carried.residues, ours.residues)
        assert carried.scale == ours.scale


# --- operations ---


def same_residues(both, ours, theirs):
    carried = both.here(theirs)
    assert carried.residues.shape == ours.residues.shape
    assert np.array_equal(carried.residues, ours.residues)
    if both.params.scheme == "bgv":
        assert carried.scale == ours.scale
    else:
        assert carried.scale == pytest.approx(ours.scale, rel=1e-12)


@pytest.mark.parametrize("scheme", ["ckks", "bgv"])
def test_what_is_deterministic_gives_the_same_residues(request, scheme):
    both = request.getfixturevalue(scheme)
    draw = reals if scheme == "ckks" else integers
    a, b = draw(both.params, 5), draw(both.params, 6)
    x, y = both.seal.encrypt(a, SCALE), both.seal.encrypt(b, SCALE)
    here_x, here_y = both.here(x), both.here(y)
    do = both.seal.do
    same_residues(both, ring.add(here_x, here_y), do("add", x, y))
    same_residues(both, ring.subtract(here_x, here_y), do("sub", x, y))
    same_residues(both, ring.negate(here_x), do("negate", x))
    same_residues(both, ring.multiply(here_x, here_y), do("multiply", x, y))
    same_residues(both, ring.square(here_x), do("square", x))
    product = ring.multiply(here_x, here_y)
    same_residues(both, ring.add(product, product), do("add", do("multiply", x, y), do("multiply", x, y)))
    if scheme == "ckks":
        theirs = both.sealed_plain(b)
        words = _core.ring_transform(both.params.kernel, both.seal.plain_coefficients(theirs), True, 1)
        plain = ring.Plaintexts(both.params, words[None], SCALE)
        same_residues(both, ring.rescale(product), do("rescale_to_next", do("multiply", x, y)))
        same_residues(both, ring.rescale(here_x), do("rescale_to_next", x))
        same_residues(both, ring.drop(here_x, 1), do("mod_switch_to_next", x))
    else:
        theirs, plain = both.sealed_plain(b), both.plain(b)
    same_residues(both, ring.add_plain(here_x, plain), do("add_plain", x, theirs))
    same_residues(both, ring.subtract_plain(here_x, plain), do("sub_plain", x, theirs))
    same_residues(both, ring.multiply_plain(here_x, plain), do("multiply_plain", x, theirs))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_residues_at_their_edges_are_rounded_as_there(ckks, seed):
    """Coefficients of 0, 1, halves and the largest, in any mixture over the primes."""
    random, params = np.random.default_rng(seed), ckks.params
    edges = [np.array([0, 1, q // 2 - 1, q // 2, q // 2 + 1, q - 2, q - 1], np.uint64) for q in params.primes]
    words = np.stack([random.choice(edge, (2, params.degree)) for edge in edges], axis=1)
    theirs = ckks.seal.ciphertext(words, SCALE)
    ours = ckks.here(theirs)
    assert np.array_equal(_core.ring_transform(params.kernel, ours.residues[0], False, 1), words)
    same_residues(ckks, ring.rescale(ours), ckks.seal.do("rescale_to_next", theirs))
    same_residues(ckks, ring.negate(ours), ckks.seal.do("negate", theirs))
    same_residues(ckks, ring.add(ours, ours), ckks.seal.do("add", theirs, theirs))
    same_residues(ckks, ring.square(ours), ckks.seal.do("square", theirs))


def test_key_switching_agrees_within_its_noise(ckks):
    params, do = ckks.params, ckks.seal.do
    a, b = reals(params, 7), reals(params, 8)
    x, y = ckks.seal.encrypt(a, SCALE), ckks.seal.encrypt(b, SCALE)
    here_x, here_y = ckks.here(x), ckks.here(y)
    added = ring_noise.slot_error(params, ring_noise.switch_key(params, 2), 1.0).deviation

    def agree(before, ours, theirs, expected, scale):
        # What key switching adds to these very ciphertexts. In a slot digits times errors are sums of two
        # products of Gaussians, which is Laplace's law: 7 deviations are passed in one of 100,000 slots, and
        # 20 in one of 10^16. That all are as large as stated shows in their mean square.
        apart = np.abs(ours - before)
        assert apart.max() < 20 * added / scale + 1e-12
        assert 0.8 * added / scale < np.sqrt((apart**2).mean()) < 1.25 * added / scale + 1e-12
        # SEAL's digits are not centred: their mean, q/2, adds up in some slots, up to sqrt(12 N) / pi times.
        assert np.abs(theirs - before).max() < 20 * added / scale * (12 * params.degree) ** 0.5 / 3
        assert np.abs(ours - expected).max() < 1e-1

    product = ring.multiply(here_x, here_y)
    ours = ckks.open(ring.relinearise(product, ckks.relin))
    theirs = do("relinearize", do("multiply", x, y), ckks.seal.relin)
    agree(ckks.open(product), ours, ckks.seal.decrypt(theirs), a * b, product.scale)
    for step in STEPS:
        ours = ckks.open(ring.rotate(here_x, step, ckks.rotations))
        theirs = ckks.seal.decrypt(do("rotate_vector", x, step, ckks.seal.galois))
        agree(np.roll(ckks.open(here_x), -step), ours, theirs, np.roll(a, -step), SCALE)


def test_bgv_switches_keys_and_primes_as_seal(bgv):
    params, do = bgv.params, bgv.seal.do
    a, b = integers(params, 9), integers(params, 10)
    x, y = bgv.seal.encrypt(a), bgv.seal.encrypt(b)
    here_x, here_y = bgv.here(x), bgv.here(y)
    expected = modulo(params, a * b)
    ours = ring.relinearise(ring.multiply(here_x, here_y), bgv.relin)
    theirs = do("relinearize", do("multiply", x, y), bgv.seal.relin)
    assert np.array_equal(bgv.open(ours), expected)
    assert np.array_equal(bgv.seal.decrypt(theirs), expected)
    # The other library goes on with the result, and a switched one's factor is SEAL's.
    assert np.array_equal(bgv.open(bgv.here(theirs)), expected)
    assert np.array_equal(bgv.seal.decrypt(bgv.there(ours)), expected)
    switched, there = ring_bgv.switch(here_x), do("mod_switch_to_next", x)
    assert switched.scale == bgv.seal.correction(there) != 1
    assert np.array_equal(bgv.open(switched), a)
    assert np.array_equal(bgv.open(bgv.here(there)), a)
    assert np.array_equal(bgv.seal.decrypt(bgv.there(switched)), a)
    half = params.degree // 2
    for step in STEPS:
        turned = np.roll(a.reshape(2, half), -step, axis=1).ravel()
        assert np.array_equal(bgv.open(ring.rotate(here_x, step, bgv.rotations)), turned)
        assert np.array_equal(bgv.seal.decrypt(do("rotate_rows", x, step, bgv.seal.galois)), turned)


def test_bgvs_noise_budget_is_seals_within_a_bit(bgv):
    a = integers(bgv.params, 11)
    x = bgv.seal.encrypt(a)
    for theirs in (x, bgv.seal.do("square", x), bgv.seal.do("mod_switch_to_next", x)):
        ours = ring_bgv.noise_budget(bgv.key, bgv.here(theirs))[0]
        # SEAL leaves the message out and takes whole bits: t e against f m + t e.
        assert abs(ours - bgv.seal.decryptor.invariant_noise_budget(theirs)) <= 2


def test_bfv_of_seal_computes_the_same_integers(bgv):
    """The other exact scheme there: same integers, other arithmetic."""
    bfv = Seal("bfv", 4096, bgv.params.primes, bgv.params.special, bgv.params.plain_modulus, steps=STEPS)
    a, b = integers(bgv.params, 12), integers(bgv.params, 13)
    x, y = bfv.encrypt(a), bfv.encrypt(b)
    ours_x, ours_y = (bgv.key.encrypt(bgv.plain(v)).expand() for v in (a, b))
    for ours, theirs in (
        (ring.add(ours_x, ours_y), bfv.do("add", x, y)),
        (ring.multiply(ours_x, ours_y), bfv.do("multiply", x, y)),
        (ring.rotate(ours_x, 5, bgv.rotations), bfv.do("rotate_rows", x, 5, bfv.galois)),
    ):
        assert np.array_equal(bgv.open(ours), bfv.decrypt(theirs))


@pytest.mark.parametrize(
    ("degree", "bits"), [(8192, [40, 30, 30, 30, 41]), (8192, [49, 49, 50]), (16384, [49] * 7 + [50])]
)
def test_larger_rings_agree_in_every_deterministic_residue(degree, bits):
    both = Both("ckks", degree, bits)
    scale = 2.0 ** (bits[-2] - 4)
    a, b = reals(both.params, 14), reals(both.params, 15)
    x, y = both.seal.encrypt(a, scale), both.seal.encrypt(b, scale)
    product, theirs = ring.multiply(both.here(x), both.here(y)), both.seal.do("multiply", x, y)
    same_residues(both, product, theirs)
    while product.level > 1:
        product, theirs = ring.rescale(product), both.seal.do("rescale_to_next", theirs)
        same_residues(both, product, theirs)
    ours = ring.rescale(ring.relinearise(ring.multiply(both.here(x), both.here(y)), both.relin))
    assert np.abs(both.open(ours) - a * b).max() < 1e-2
    assert np.abs(both.seal.decrypt(both.there(ours)) - a * b).max() < 1e-2
