# SPDX-License-Identifier: Apache-2.0
"""CKKS through `hitoku.hazmat.ring`: what goes in comes out, and what does not fit is refused."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import copy
import os
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.errors import InputError, SecretError
from hitoku.hazmat import ring
from hitoku.hazmat.ring import ParameterError, RingError

DEGREE, SCALE = 4096, 2.0**26
PRIMES = ring.find_primes(DEGREE, [36, 30, 42])
PARAMS = ring.Parameters(DEGREE, PRIMES[:2], PRIMES[2])
DEEP_PRIMES = ring.find_primes(8192, [40, 40, 32, 32, 32, 42])
DEEP = ring.Parameters(8192, DEEP_PRIMES[:5], DEEP_PRIMES[5])
STEPS = (1, 2, 5, -1, 1000)


@pytest.fixture(scope="module")
def keys():
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


# --- parameters ---


def test_the_table_of_the_standard_is_the_limit():
    assert ring.MAX_BITS == {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
    assert PARAMS.bits == (PRIMES[0] * PRIMES[1] * PRIMES[2]).bit_length() == 108
    assert (PARAMS.levels, PARAMS.slots, PARAMS.security) == (2, 2048, 128)


@pytest.mark.parametrize(
    ("degree", "sizes"),
    [
        (1024, [27]),
        (2048, [27, 27]),
        (4096, [36, 36, 37]),
        (8192, [44, 44, 44, 43, 43]),
        (16384, [49] * 8 + [46]),
        (32768, [49] * 17 + [48]),
    ],
)
def test_one_bit_above_the_table_is_refused(degree, sizes):
    primes = ring.find_primes(degree, sizes)
    special = primes[-1] if len(primes) > 1 else 0
    params = ring.Parameters(degree, primes[: len(primes) - bool(special)], special)
    assert params.bits == ring.MAX_BITS[degree]
    sizes[0] += 1
    primes = ring.find_primes(degree, sizes)
    with pytest.raises(ParameterError, match="keep 128 bits of security"):
        ring.Parameters(degree, primes[:-1] or primes, primes[-1] if len(primes) > 1 else 0)


def test_without_a_special_prime_there_is_no_key_switching():
    params = ring.Parameters(1024, ring.find_primes(1024, [27]), 0)
    assert ring.Parameters.from_bytes(params.to_bytes()) == params
    secret = ring.SecretKey.generate(params)
    values = vectors(2, slots=512)
    for key in (secret, secret.public_key()):
        made = key.encrypt(ring.encode(params, values, 2.0**20))
        made = made.expand() if key is secret else made
        assert np.abs(ring.decode(secret.decrypt(ring.add(made, made))) - 2 * values).max() < 2e-1
    for make in (secret.relinearisation_key, lambda: secret.rotation_keys([1])):
        with pytest.raises(RingError, match="no special prime"):
            make()
    for kind in (ring.RelinearisationKey, ring.RotationKeys):
        with pytest.raises(RingError, match="no special prime"):
            kind.from_bytes(params, bytes(100))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((512, PRIMES[:2], PRIMES[2]), "the degree must be one of 1024"),
        ((65536, PRIMES[:2], PRIMES[2]), "the degree must be one of 1024"),
        ((4095, PRIMES[:2], PRIMES[2]), "the degree must be one of 1024"),
        ((-4096, PRIMES[:2], PRIMES[2]), "positive"),
        ((4096.0, PRIMES[:2], PRIMES[2]), "whole numbers"),
        ((True, PRIMES[:2], PRIMES[2]), "whole numbers"),
        ((4096, (), PRIMES[2]), "1 to 60 primes"),
        ((4096, (PRIMES[0], 12345), PRIMES[2]), r"primes\[1\] is not a prime"),
        ((4096, (PRIMES[0], 65537 * 8192 + 1), PRIMES[2]), r"primes\[1\] is not a prime"),
        ((4096, PRIMES[:2], 1 << 70), "positive and below"),
        ((4096, PRIMES[:2], PRIMES[1]), "special repeats"),
        ((4096, (PRIMES[0], PRIMES[0]), PRIMES[2]), r"primes\[1\] repeats"),
        ((4096, PRIMES[:2], PRIMES[2], "bfv"), "'ckks' or 'bgv'"),
        ((4096, PRIMES[:2], PRIMES[2], "bgv"), "plain_modulus goes with"),
        ((4096, PRIMES[:2], PRIMES[2], "ckks", 65537), "plain_modulus goes with"),
        ((4096, PRIMES[:2], PRIMES[2], "bgv", 65539), "must be a prime that is 1 modulo 8192"),
    ],
)
def test_parameters_that_are_none_are_refused(arguments, words):
    with pytest.raises(ParameterError, match=words):
        ring.Parameters(*arguments)


def test_parameters_are_values():
    same = ring.Parameters(DEGREE, list(PRIMES[:2]), PRIMES[2])
    assert same == PARAMS
    assert hash(same) == hash(PARAMS)
    assert same.kernel is PARAMS.kernel
    assert pickle.loads(pickle.dumps(PARAMS)) == PARAMS
    assert ring.Parameters(DEGREE, PRIMES[:1], PRIMES[2]) != PARAMS


def test_primes_are_found_or_their_lack_is_told():
    found = ring.find_primes(8192, [40, 30, 40, 50])
    assert [prime.bit_length() for prime in found] == [40, 30, 40, 50]
    assert len(set(found)) == 4
    assert all(prime % 16384 == 1 for prime in found)
    assert not set(ring.find_primes(8192, [40, 40], avoid=found)) & set(found)
    near = ring.nearest_primes(8192, 2**30, 4)
    assert len(near) == 4
    assert all(abs(prime - 2**30) < 2**21 for prime in near)
    for bits in ([15, 15], [51], [0], [-3]):
        with pytest.raises(ParameterError, match="primes of"):
            ring.find_primes(8192, bits)
    with pytest.raises(ParameterError, match="degree"):
        ring.find_primes(1000, [30])
    with pytest.raises(ParameterError, match="degree"):
        ring.nearest_primes(1000, 2**30, 1)
    with pytest.raises(ParameterError, match="target"):
        ring.nearest_primes(8192, 2**51, 1)


# --- encoding ---


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


# --- keys, encryption, decryption ---


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


# --- operations ---


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
    # Rounding errors of the two parts, (1 + s) / 2 in all coefficients, at a scale of 2^22.
    close(keys, lower, x * y, 2e-3)
    close(keys, ring.drop(cx, 1), x, 5e-5)
    assert ring.drop(cx, 2) is cx


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
    for rows in ("x", [[1]], [0.5], [5], [-6]):
        with pytest.raises(RingError) as refused:
            both[rows]
        assert refused.value.code == "bad-rows"
    with pytest.raises(RingError, match="nothing to concatenate"):
        ring.concatenate([])
    with pytest.raises(RingError, match="cannot be put together"):
        ring.concatenate([both, ring.drop(both, 1)])


# --- operands that do not fit ---


def refuses(code, function, *arguments):
    with pytest.raises(RingError) as refused:
        function(*arguments)
    assert refused.value.code == code
    assert len(str(refused.value)) > 15


def test_operands_that_do_not_fit_are_refused(keys):
    cx = encrypted(keys, vectors())
    plain = ring.encode(PARAMS, vectors(), SCALE)
    other_params = ring.Parameters(DEGREE, PRIMES[:1], PRIMES[2])
    other = ring.SecretKey.generate(other_params)
    foreign = other.encrypt(ring.encode(other_params, vectors(), SCALE)).expand()
    three = ring.square(cx)
    refuses("other-parameters", ring.add, cx, foreign)
    refuses("other-parameters", ring.concatenate, [cx, foreign])
    refuses("other-parameters", ring.relinearise, three, other.relinearisation_key())
    refuses("other-parameters", ring.rotate, cx, 1, other.rotation_keys([1]))
    refuses("other-parameters", other.decrypt, cx)
    refuses("other-parameters", other.encrypt, plain)
    refuses("other-parameters", other.public_key().encrypt, plain)
    refuses("level-mismatch", ring.add, cx, ring.drop(cx, 1))
    refuses("level-mismatch", ring.multiply_plain, cx, ring.encode(PARAMS, vectors(), 2.0**20, 1))
    refuses("count-mismatch", ring.add, cx, cx[:2])
    refuses("count-mismatch", ring.add_plain, cx, plain[:2])
    refuses("scale-mismatch", ring.add, cx, encrypted(keys, vectors(), scale=SCALE * (1 + 1e-6)))
    refuses("scale-mismatch", ring.add_plain, cx, ring.encode(PARAMS, vectors(), SCALE / 2))
    refuses("bad-parts", ring.multiply, three, three)
    refuses("bad-parts", ring.square, three)
    refuses("bad-parts", ring.rotate, three, 1, keys.rotations)
    refuses("bad-operands", ring.add, cx, plain)
    refuses("bad-operands", ring.add_plain, cx, cx)
    refuses("bad-operands", ring.negate, plain)
    refuses("bad-operands", ring.rescale, keys.secret.encrypt(plain))
    refuses("bad-plaintexts", keys.secret.encrypt, cx)
    refuses("bad-ciphertexts", keys.secret.decrypt, plain)
    refuses("bad-scheme", ring.decode, cx)
    refuses("bad-level", ring.rescale, ring.drop(cx, 1))
    refuses("bad-level", ring.drop, ring.drop(cx, 1), 2)
    refuses("bad-level", ring.drop, cx, 0)
    refuses("bad-key", ring.relinearise, three, keys.rotations)
    refuses("bad-key", ring.rotate, cx, 1, keys.relinearisation)
    with pytest.raises(RingError, match=r"rotation_keys\(\[7\]\)"):
        ring.rotate(cx, 7, keys.rotations)
    for threads in (-1, 1025):
        with pytest.raises(RingError):
            ring.negate(cx, threads=threads)


def test_a_scale_that_differs_by_float_rounding_alone_is_the_same(keys):
    cx = encrypted(keys, vectors())
    nearly = ring.Ciphertexts(PARAMS, cx.residues, SCALE * (1 + 1e-14))
    close(keys, ring.add(cx, nearly), 2 * vectors(), 1e-4)


def test_foreign_arrays_are_checked(keys):
    cx = encrypted(keys, vectors())
    words = cx.residues
    made = ring.Ciphertexts(PARAMS, words.copy(), cx.scale)
    assert np.array_equal(made.residues, words)
    for broken, code in (
        (words.astype(np.int64), "bad-array"),
        (words.tolist(), "bad-array"),
        (words[:, :, :, ::2], "bad-array"),
        (np.asfortranarray(words), "bad-array"),
        (words[0], "bad-shape"),
        (np.ascontiguousarray(words[..., : DEGREE // 2]), "bad-shape"),
        (np.ascontiguousarray(words[:, :, :0]), "bad-shape"),
        (np.ascontiguousarray(np.concatenate([words, words], 2)), "bad-shape"),
        (np.ascontiguousarray(words[:, :1]), "bad-parts"),
        (np.ascontiguousarray(np.concatenate([words, words], 1)), "bad-parts"),
    ):
        refuses(code, ring.Ciphertexts, PARAMS, broken, cx.scale)
    for place, value in (((0, 0, 0, 0), PRIMES[0]), ((2, 1, 1, 4095), PRIMES[1]), ((1, 0, 1, 9), 2**64 - 1)):
        large = words.copy()
        large[place] = value
        refuses("not-reduced", ring.Ciphertexts, PARAMS, large, cx.scale)
        large[place] = PRIMES[place[2]] - 1
        ring.Ciphertexts(PARAMS, large, cx.scale)
    refuses("bad-scale", ring.Ciphertexts, PARAMS, words, float("nan"))
    refuses("bad-parameters", ring.Ciphertexts, "params", words, cx.scale)
    refuses("bad-parameters", ring.SecretKey.generate, "params")
    refuses("bad-seed", ring.SeededCiphertexts, PARAMS, words[:, 0].copy(), b"short", cx.scale)
    refuses("bad-shape", ring.Plaintexts, PARAMS, words, cx.scale)


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
