# SPDX-License-Identifier: Apache-2.0
"""Parameters of the ring: the standard's table is the limit, and what is no ring is refused in words."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import pickle

import numpy as np
import pytest
from tests.unit.hazmat.ckks_world import (
    DEGREE,
    PARAMS,
    PRIMES,
    vectors,
)

from hitoku.hazmat import ring
from hitoku.hazmat.ring import ParameterError, RingError


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
    plain = ring.encode(params, values, 2.0**20)
    for made in (secret.encrypt(plain).expand(), secret.public_key().encrypt(plain)):
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
    same = ring.Parameters(DEGREE, tuple(PRIMES[:2]), PRIMES[2])
    assert same == PARAMS
    assert hash(same) == hash(PARAMS)
    # Made one after the other: the tables of those that were made long ago are forgotten.
    assert same.kernel is ring.Parameters(DEGREE, tuple(PRIMES[:2]), PRIMES[2]).kernel
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
