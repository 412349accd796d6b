# SPDX-License-Identifier: Apache-2.0
"""Fused programs equal plain arithmetic in integers, keep scales, and refuse what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.hazmat import ring
from hitoku.hazmat.ring import Ciphertexts, Parameters, PointwiseProgram, RingError, SparseRows

N = 2048


def params_of(*bits: int) -> Parameters:
    *primes, special = ring.find_primes(N, bits)
    return Parameters(N, tuple(primes), special)


def _split(primes: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    return primes[:-1], primes[-1]


PARAMS = params_of(16, 19, 18)
WIDE = ring.Parameters(8192, *_split(ring.find_primes(8192, [40, 50, 30, 50])))


def random_batch(
    params: Parameters, seed: int, count: int, parts: int, scale: float = 2.0**10
) -> Ciphertexts:
    random = np.random.default_rng(seed)
    words = np.empty((count, parts, params.levels, params.degree), dtype=np.uint64)
    for level, prime in enumerate(params.primes):
        words[:, :, level] = random.integers(0, prime, (count, parts, params.degree), dtype=np.uint64)
        words[:, :, level, ::7] = prime - 1
    return Ciphertexts(params, words, scale)


PLACES = slice(None, None, 53)
"""Integers in Python are slow: so many of the residues are compared."""


def wide(batch: Ciphertexts) -> Any:
    """Residues as Python's integers, primes first, to be reduced later."""
    return np.moveaxis(batch.residues[..., PLACES].astype(object), 2, 0)


def same(params: Parameters, batch: Ciphertexts, expected: Any) -> None:
    for level, prime in enumerate(params.primes):
        assert (batch.residues[:, :, level, PLACES] == (expected[level] % prime).astype(np.uint64)).all()


@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(1, 9),
    count=st.integers(1, 30),
    bits=st.integers(1, 31),
    share=st.floats(0, 1),
)
@settings(max_examples=12, deadline=None)
def test_matrix_equals_integer_arithmetic(seed: int, rows: int, count: int, bits: int, share: float) -> None:
    random = np.random.default_rng(seed)
    most = 2**bits - 1
    weights = random.integers(-most, most, (rows, count), endpoint=True)
    weights[random.random((rows, count)) < share] = 0
    weights[0] = most
    bias = [int(x) << 60 for x in random.integers(-(2**40), 2**40, rows)]
    x = random_batch(WIDE, seed, count, 2)
    program = PointwiseProgram(WIDE)
    program.output(program.matrix(program.input(count), weights, bias, unit=0.25))
    (made,) = ring.pointwise(WIDE, program, [x])
    sums = np.stack([np.tensordot(weights.astype(object), part, 1) for part in wide(x)])
    sums[:, :, 0] += np.array(bias, dtype=object)[None, :, None]
    same(WIDE, made, sums)
    assert made.scale == x.scale * 4


def test_layers_equal_single_operations() -> None:
    x, z = random_batch(PARAMS, 1, 12, 2), random_batch(PARAMS, 2, 6, 2, 2.0**20)
    first = np.random.default_rng(3).integers(-127, 128, (6, 12))
    program = PointwiseProgram(PARAMS)
    a, b = program.input(12), program.input(6)
    y = program.matrix(a, first, [5] * 6)
    squares = program.square(y)
    sums = program.subtract(squares, b)
    program.output(program.total(sums))
    program.output(program.take(program.concatenate([squares, sums]), [7, 0]))
    made = program.run([x, z], threads=1)
    again = program.run([x, z], threads=2)
    assert all((one.residues == other.residues).all() for one, other in zip(made, again, strict=True))

    plain = PointwiseProgram(PARAMS)
    plain.output(plain.matrix(plain.input(12), first, [5] * 6))
    (whole,) = plain.run([x])
    expected = ring.subtract(ring.square(whole), z)
    total = expected.residues[..., PLACES].astype(object).sum(axis=0, keepdims=True)
    same(PARAMS, made[0], np.moveaxis(total, 2, 0))
    assert (made[1].residues[0] == expected.residues[1]).all()
    assert (made[1].residues[1] == ring.square(whole).residues[0]).all()
    assert made[0].scale == 2.0**20


def test_a_program_computes_on_encrypted_values() -> None:
    secret = ring.SecretKey.generate(WIDE)
    values = np.random.default_rng(4).uniform(-1, 1, (8, WIDE.slots))
    weights = np.array([[3, -2, 0, 1, 0, 0, 0, 5], [0, 0, -7, 0, 1, 1, 1, 1]])
    x = secret.encrypt(ring.encode(WIDE, values, 2.0**26)).expand()
    plain = ring.encode(WIDE, values[:2], 2.0**52 / 0.01)
    program = PointwiseProgram(WIDE)
    a, p = program.input(8), program.input(2, parts=1)
    y = program.add_scalar(program.matrix(a, SparseRows.of(weights), unit=0.1), round(0.5 * 2**26 / 0.1))
    program.output(program.add(program.square(y), p))
    (made,) = ring.pointwise(WIDE, program, [x, ring.Plaintexts(WIDE, plain.residues, 2.0**52 / 0.1**2)])
    got = ring.decode(secret.decrypt(made))
    expected = (0.1 * weights @ values + 0.5) ** 2 + values[:2]
    assert np.abs(got - expected).max() < 1e-4


def test_what_does_not_fit_is_refused() -> None:
    program = PointwiseProgram(PARAMS)
    x, y = program.input(3), program.input(2)
    other = PointwiseProgram(PARAMS).input(3)

    def refused(code: str, call: Any, *arguments: Any, **named: Any) -> None:
        with pytest.raises(RingError) as error:
            call(*arguments, **named)
        assert error.value.code == code

    refused("bad-register", program.square, other)
    refused("uneven-counts", program.add, x, y)
    refused("matrix-shape", program.matrix, x, np.ones((2, 2), dtype=int))
    refused("bad-array", program.matrix, x, np.ones((2, 3)))
    refused("matrix-weight", program.matrix, x, np.full((1, 3), 2**31))
    refused("scalar-shape", program.matrix, x, np.ones((2, 3), dtype=int), [1, 2, 3])
    refused("bad-array", program.matrix, x, np.ones((2, 3), dtype=int), [1.5, 2.5])
    refused("bad-scale", program.matrix, x, np.ones((2, 3), dtype=int), unit=0.0)
    refused("matrix-columns", program.matrix, x, SparseRows(np.array([0, 1]), np.array([3]), np.array([1])))
    refused("bad-index", program.take, x, [3])
    refused("bad-array", program.take, x, [-1])
    refused("bad-parts", program.output, program.input(1, parts=1))
    refused("bad-level", PointwiseProgram, PARAMS, 3)

    program = PointwiseProgram(PARAMS)
    program.output(program.add(program.input(3), program.input(3)))
    batch, rescaled = random_batch(PARAMS, 1, 3, 2), random_batch(PARAMS, 1, 3, 2, 2.0**11)
    refused("scale-mismatch", program.run, [batch, rescaled])
    refused("bad-inputs", program.run, [batch])
    refused("bad-shape", program.run, [batch, batch[:2]])
    refused("bad-shape", program.run, [batch, ring.drop(batch, 1)])
    refused("other-parameters", program.run, [batch, random_batch(params_of(17, 18, 19), 1, 3, 2)])
    refused("other-parameters", ring.pointwise, WIDE, program, [batch, batch])
