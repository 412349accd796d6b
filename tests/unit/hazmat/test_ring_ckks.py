# SPDX-License-Identifier: Apache-2.0
"""CKKS through `hitoku.hazmat.ring`: what is encoded and encrypted comes out, and keys keep to themselves."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.hazmat.ckks_world import (
    DEGREE,
    PARAMS,
    SCALE,
    close,
    encrypted,
    new_keys,
    opened,
    refuses,
    vectors,
)

from hitoku.errors import InputError, SecretError
from hitoku.hazmat import ring
from hitoku.hazmat.ring import RingError

DEEP_PRIMES = ring.find_primes(8192, [40, 40, 32, 32, 32, 42])
DEEP = ring.Parameters(8192, DEEP_PRIMES[:5], DEEP_PRIMES[5])


@pytest.fixture(scope="module")
def keys():
    return new_keys()


@settings(max_examples=20, deadline=None)
@given(bits=st.floats(12, 55), size=st.integers(-20, 3), level=st.integers(1, 2), seed=st.integers(0, 99))
def test_decoding_undoes_encoding(bits, size, level, seed):
    scale, most = 2.0**bits, 2.0**size
    values = vectors(2, seed) * most
    room = 2.0 ** (35 if level == 1 else 65)
    if most * scale * 4 >= room:
        return
    plain = ring.encode(PARAMS, values, scale, level)
    assert plain.level == level
    assert plain.count == len(plain) == 2
    assert plain.scale == scale
    # N roundings of at most 1/2, of random sign; and float64's own error.
    assert np.abs(ring.decode(plain) - values).max() < 6 * np.sqrt(DEGREE / 12) / scale + 1e-12 * most


def test_a_constant_is_one_coefficient_and_sums_are_exact():
    plain = ring.encode(PARAMS, np.full((1, PARAMS.slots), 3.0), 1024.0)
    # A constant polynomial is the same in every place of NTT form.
    assert np.all(plain.residues == 3 * 1024)
    assert np.all(ring.decode(plain) == 3.0)


def test_large_values_take_the_wide_way_and_stay_exact():
    values = np.full((1, DEEP.slots), -(2.0**70))
    decoded = ring.decode(ring.encode(DEEP, values, 2.0**30))
    assert np.all(decoded == values)


@pytest.mark.parametrize(
    ("values", "scale", "level", "code"),
    [
        (np.zeros((1, 5)), SCALE, 2, "bad-shape"),
        (np.zeros(PARAMS.slots), SCALE, 2, "bad-shape"),
        (np.zeros((1, PARAMS.slots), complex), SCALE, 2, "bad-array"),
        (np.full((1, PARAMS.slots), "x"), SCALE, 2, "bad-array"),
        (np.zeros((1, PARAMS.slots)), 0.0, 2, "bad-scale"),
        (np.zeros((1, PARAMS.slots)), -1.0, 2, "bad-scale"),
        (np.zeros((1, PARAMS.slots)), float("inf"), 2, "bad-scale"),
        (np.zeros((1, PARAMS.slots)), float("nan"), 2, "bad-scale"),
        (np.zeros((1, PARAMS.slots)), "large", 2, "bad-scale"),
        (np.zeros((1, PARAMS.slots)), SCALE, 0, "bad-level"),
        (np.zeros((1, PARAMS.slots)), SCALE, 3, "bad-level"),
        (np.zeros((1, PARAMS.slots)), SCALE, 1.5, "bad-level"),
        (np.full((1, PARAMS.slots), np.nan), SCALE, 2, "not-finite"),
        (np.full((1, PARAMS.slots), -np.inf), SCALE, 2, "not-finite"),
        (np.full((1, PARAMS.slots), 1e305), 1e10, 2, "not-finite"),
        (np.full((1, PARAMS.slots), 600.0), SCALE, 1, "too-large"),
    ],
)
def test_what_cannot_be_encoded_is_refused(values, scale, level, code):
    with pytest.raises(RingError) as refused:
        ring.encode(PARAMS, values, scale, level)
    assert refused.value.code == code
    assert isinstance(refused.value, InputError)


def test_the_row_that_cannot_be_encoded_is_named_without_its_value():
    values = vectors(5)
    values[3, 7] = np.nan
    with pytest.raises(RingError, match=r"\(row 3\)") as refused:
        ring.encode(PARAMS, values, SCALE, threads=2)
    assert refused.value.row == 3
    values = vectors(5)
    values[2] = 987654321.125
    with pytest.raises(RingError, match=r"\(row 2\)") as refused:
        ring.encode(PARAMS, values, SCALE, 1)
    assert "98765" not in str(refused.value)


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize("level", [1, 2])
def test_what_is_encrypted_is_decrypted(keys, public, level):
    values = vectors()
    ciphertexts = encrypted(keys, values, public=public, level=level)
    assert (ciphertexts.count, ciphertexts.parts, ciphertexts.level) == (3, 2, level)
    close(keys, ciphertexts, values, 5e-3 if public else 5e-5)
    other = SimpleNamespace(secret=ring.SecretKey.generate(PARAMS))
    assert np.abs(opened(other, ciphertexts) - values).max() > 1


def test_equal_plaintexts_do_not_look_equal(keys):
    plain = ring.encode(PARAMS, np.zeros((2, PARAMS.slots)), SCALE)
    made = [keys.secret.encrypt(plain).expand(), keys.secret.encrypt(plain).expand()]
    made += [keys.public.encrypt(plain), keys.public.encrypt(plain)]
    polynomials = {
        batch.residues[row, part].tobytes() for batch in made for row in range(2) for part in range(2)
    }
    assert len(polynomials) == 16


def test_seeded_ciphertexts_expand_to_the_same_and_threads_change_nothing(keys):
    values = vectors(4)
    seeded = keys.secret.encrypt(ring.encode(PARAMS, values, SCALE, threads=1), threads=2)
    assert (seeded.count, seeded.level, len(seeded), len(seeded.seed)) == (4, 2, 4, 32)
    assert np.array_equal(seeded.expand(threads=1).residues, seeded.expand(threads=2).residues)
    rebuilt = ring.SeededCiphertexts(PARAMS, seeded.first.copy(), seeded.seed, seeded.scale)
    close(keys, rebuilt.expand(), values, 5e-5)
    close(keys, seeded.expand()[1:3], values[1:3], 5e-5)
    close(keys, seeded.expand()[[3, 0]], values[[3, 0]], 5e-5)


@pytest.mark.parametrize("scale", [SCALE, 2.0**52])
def test_reals_are_encrypted_in_one_pass(keys, scale):
    values = vectors()
    seeded = keys.secret.encrypt_reals(values, scale, threads=2)
    assert (seeded.count, seeded.level, seeded.scale) == (3, 2, scale)
    close(keys, seeded.expand(), values, 5e-5 * SCALE / scale + 1e-13)
    assert seeded.seed != keys.secret.encrypt_reals(values, scale).seed
    assert keys.secret.encrypt_reals(np.zeros((2, PARAMS.slots), int), scale, 1).level == 1
    for code, wrong in (
        ("bad-shape", values[:, 1:]),
        ("bad-array", values + 1j),
        ("not-finite", values * np.inf),
    ):
        refuses(code, keys.secret.encrypt_reals, wrong, scale)
    refuses("too-large", keys.secret.encrypt_reals, values, 2.0**40, 1)
    refuses("bad-level", keys.secret.encrypt_reals, values, scale, 3)
    refuses("bad-scale", keys.secret.encrypt_reals, values, -1.0)
    values[1, 5] = np.inf
    with pytest.raises(RingError, match=r"\(row 1\)"):
        keys.secret.encrypt_reals(values, scale)


def test_an_empty_batch_is_a_batch(keys):
    none = encrypted(keys, np.zeros((0, PARAMS.slots)))
    assert none.count == 0
    assert opened(keys, none).shape == (0, PARAMS.slots)
    assert ring.rotate(ring.add(none, none), 1, keys.rotations).residues.shape == (0, 2, 2, DEGREE)
    assert ring.relinearise(ring.square(none), keys.relinearisation).parts == 2


def test_an_erased_key_does_nothing_more():
    secret = ring.SecretKey.generate(PARAMS)
    plain = ring.encode(PARAMS, vectors(1), SCALE)
    ciphertexts = secret.encrypt(plain).expand()
    secret.erase()
    for use in (
        lambda: secret.encrypt(plain),
        lambda: secret.decrypt(ciphertexts),
        secret.public_key,
        secret.relinearisation_key,
        lambda: secret.rotation_keys([1]),
        secret.to_bytes,
    ):
        with pytest.raises(SecretError, match="erased"):
            use()
    secret.erase()


def test_keys_and_batches_show_nothing_and_are_not_pickled(keys):
    ciphertexts = encrypted(keys, vectors(1))
    plain = keys.secret.decrypt(ciphertexts)
    for thing in (*vars(keys).values(), keys.secret.kernel, ciphertexts, plain):
        assert len(repr(thing)) < 100
        assert "array" not in repr(thing)
        for serialise in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                serialise(thing)
    assert repr(keys.secret) == "SecretKey(secret, degree=4096, levels=2)"
    assert not hasattr(keys.secret, "__dict__")


def test_residues_are_read_only(keys):
    ciphertexts = encrypted(keys, vectors(1))
    with pytest.raises(ValueError, match="read-only"):
        ciphertexts.residues[0, 0, 0, 0] = 0
