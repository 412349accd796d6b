# SPDX-License-Identifier: Apache-2.0
"""Operands, arrays and keys that do not fit are refused, in words that say what to do."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.hazmat.ckks_world import (
    DEGREE,
    PARAMS,
    PRIMES,
    SCALE,
    close,
    encrypted,
    new_keys,
    refuses,
    vectors,
)

from hitoku.hazmat import ring
from hitoku.hazmat.ring import RingError


@pytest.fixture(scope="module")
def keys():
    return new_keys()


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
    for step in (1.5, "1", True, None, 1 << 31, -(1 << 40)):
        refuses("bad-step", ring.rotate, cx, step, keys.rotations)
        refuses("bad-step", keys.secret.rotation_keys, [step])
    steep = ring.Ciphertexts(PARAMS, cx.residues, 1e200)
    refuses("bad-scale", ring.multiply, steep, steep)
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
        (np.ascontiguousarray(np.concatenate([words] * 5, 1)), "bad-parts"),
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
