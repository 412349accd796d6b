# SPDX-License-Identifier: Apache-2.0
"""Threshold sums: exact at every length and bound, hidden by enough noise, and nothing else is opened."""

from __future__ import annotations

import copy
import pickle
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hitoku import _core
from hitoku.errors import InputError, PeerError, SecretError
from hitoku.hazmat import ring_threshold as ring
from hitoku.hazmat.ring_errors import RingError

COMMON = bytes(range(32))
CHECK = bytes(32)


@cache
def keys(members: int) -> tuple[list[ring.ThresholdKey], ring.JointKey]:
    secrets = [ring.ThresholdKey() for _ in range(members)]
    return secrets, ring.JointKey(COMMON, [secret.share(COMMON) for secret in secrets])


def opened(shape: ring.Layout, vectors: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The sum, by the whole way, with its hashes checked."""
    secrets, joint = keys(shape.members)
    given_ = [joint.encrypt(shape, vector.view(np.uint64), threads=1) for vector in vectors]
    hashes = [ring.linear_hash(shape, CHECK, *halves, threads=1) for halves in given_]
    first = ring.add(shape, [low for low, _ in given_], second=False, threads=1)
    second = ring.add(shape, [high for _, high in given_], second=True, threads=1)
    for half, made in enumerate(ring.linear_hash(shape, CHECK, first, second, threads=1)):
        assert np.array_equal(made, ring.add_hashes(shape, [pair[half] for pair in hashes]))
    parts = [secret.partial(shape, second, threads=1) for secret in secrets[1:]]
    first = ring.add(shape, [first, *parts], second=False, threads=1)
    return secrets[0].finish(shape, first, second, threads=1)


@settings(max_examples=12, deadline=None)
@given(
    members=st.integers(3, 8),
    length=st.one_of(st.integers(0, 40), st.integers(8_000, 40_000)),
    bits=st.integers(0, 62),
    ends=st.sampled_from(["low", "high", "mixed"]),
    seed=st.integers(0, 1 << 30),
)
@example(members=8, length=17, bits=62, ends="low", seed=1)
@example(members=8, length=17, bits=62, ends="high", seed=1)
@example(members=5, length=98_304 + 1, bits=50, ends="mixed", seed=1)
@example(members=3, length=0, bits=0, ends="mixed", seed=1)
def test_sums_equal_the_plain_ones_bit_for_bit(
    members: int, length: int, bits: int, ends: str, seed: int
) -> None:
    bound = min((1 << bits) - (bits > 0), ((1 << 63) - 1) // members)
    random = np.random.default_rng(seed)
    if ends == "mixed":
        vectors = [random.integers(-bound, bound, length, endpoint=True) for _ in range(members)]
    else:
        vectors = [np.full(length, -bound if ends == "low" else bound)] * members
    shape = ring.layout(members, bound, length)
    assert sum(part.count for part in shape.parts) == length
    assert np.array_equal(opened(shape, vectors), np.sum(vectors, axis=0, dtype=np.int64).reshape(length))


@pytest.mark.parametrize("members", [1, 3, 5, 10, 64, 1_024])
@pytest.mark.parametrize("bits", [0, 20, 50])
def test_layouts_leave_room_for_the_noise_at_its_worst_and_smudge(members: int, bits: int) -> None:
    for length in (0, 10, 10_000, 300_000):
        for part in ring.layout(members, (1 << bits) - 1, length).parts:
            per, width, stride, scale, smudging = part.packing
            error, degree = 21, 1 << part.log_n
            # n ciphertexts under a key of n ternary ones: e u and s e1 have N terms of n 21 each.
            noise = members * (2 * degree * members * error + error)
            assert smudging >= noise.bit_length() - 1 + 64
            assert noise + members * (1 << smudging) < 1 << (scale - 1)
            assert stride >= width + (members - 1).bit_length()
            assert 1 << width > 2 * members * ((1 << bits) - 1)
            assert (1 << (scale + stride * per)) < np.prod([int(p) for p in part.primes], dtype=object)
            assert part.coefficients * per >= part.count
            # Nothing above the standard's table of 128 bits.
            most = dict(_core.ring_security())[degree]
            assert np.prod([int(p) for p in part.primes], dtype=object).bit_length() <= most


def test_layouts_take_little_room() -> None:
    shape = ring.layout(5, (1 << 53) // 5, 100_000)
    # Twice a ciphertext and a half each way: what a member sends and hears of one sum.
    assert 2 * (shape.first_bytes + shape.second_bytes) < 5.2 * 8 * 100_000


@pytest.mark.parametrize(
    ("members", "bound", "length"),
    [(0, 1, 1), (1_025, 1, 1), (2, 1 << 62, 1), (3, -1, 1), (3, 1, -1), (3, 1, (1 << 26) + 1)],
)
def test_layouts_that_could_overflow_are_refused(members: int, bound: int, length: int) -> None:
    with pytest.raises(InputError):
        ring.layout(members, bound, length)


def test_narrow_smudging_and_tight_scales_are_refused() -> None:
    part = ring.layout(5, 1 << 50, 10).parts[0]
    per, width, stride, scale, smudging = part.packing
    _core.threshold_check(part.log_n, part.packing, 5)
    for wrong in [
        (per, width, stride, scale, smudging - 40),
        (per, width, stride, scale - 10, smudging),
        (per, width, stride - 1, scale, smudging),
        (per + 1, width, stride, scale, smudging),
        (0, width, stride, scale, smudging),
    ]:
        with pytest.raises(_core.RingFault):
            _core.threshold_check(part.log_n, wrong, 5)


def _integers(part: ring.Part, packed: NDArray[np.uint8]) -> list[int]:
    """Coefficients of a packed row, centred."""
    product = 1
    for prime in part.primes:
        product *= prime
    values = [0] * part.coefficients
    place = 0
    for prime in part.primes:
        width = (prime - 1).bit_length()
        size = part.coefficients * width // 8
        bits = np.unpackbits(packed[place : place + size], bitorder="little").reshape(-1, width)
        place += size
        residues = [
            int(x) for x in bits.astype(np.uint64) @ (np.uint64(1) << np.arange(width, dtype=np.uint64))
        ]
        others = product // prime
        unit = others * pow(others, -1, prime)
        values = [(value + residue * unit) % product for value, residue in zip(values, residues, strict=True)]
    return [value - product if value > product // 2 else value for value in values]


def test_parts_of_a_decryption_are_smudged_over_their_whole_range() -> None:
    secrets, _ = keys(3)
    shape = ring.layout(3, 1 << 40, 800)
    part = shape.parts[0]
    smudging = part.packing[4]
    # Of a second half of zeroes a part is the smudging alone.
    made = _integers(part, secrets[0].partial(shape, np.zeros(shape.second_bytes, np.uint8)))
    assert all(-(1 << smudging) <= x < 1 << smudging for x in made)
    # Uniform: about half of it in the outer half of the range, and half below zero (6.4 deviations).
    count = len(made)
    for found in (sum(abs(x) >> (smudging - 1) > 0 for x in made), sum(x < 0 for x in made)):
        assert abs(found - count / 2) < 3.2 * count**0.5


def test_ciphertexts_are_fresh_and_single_ones_do_not_open_without_all() -> None:
    secrets, joint = keys(3)
    shape = ring.layout(3, 100, 50)
    vector = np.arange(50, dtype=np.uint64)
    first, second = joint.encrypt(shape, vector)
    again = joint.encrypt(shape, vector)
    assert not np.array_equal(first, again[0])
    assert not np.array_equal(second, again[1])
    some = ring.add(shape, [first, secrets[1].partial(shape, second)], second=False)
    with pytest.raises(PeerError, match="do not belong to one sum"):
        secrets[0].finish(shape, some, second)
    everything = ring.add(shape, [some, secrets[2].partial(shape, second)], second=False)
    assert np.array_equal(secrets[0].finish(shape, everything, second), vector.view(np.int64))
    with pytest.raises(PeerError):
        secrets[0].finish(shape, everything, again[1])


def test_hashes_tell_any_other_array_and_depend_on_their_key() -> None:
    _, joint = keys(3)
    shape = ring.layout(3, 1 << 30, 100)
    first, second = joint.encrypt(shape, np.zeros(100, np.uint64))
    low, high = ring.linear_hash(shape, CHECK, first, second)
    for place in (0, 1_000, len(second) - 1):
        other = second.copy()
        other[place] ^= 1
        try:
            made = ring.linear_hash(shape, CHECK, None, other)[1]
        except RingError:
            continue
        assert not np.array_equal(made, high)
    other_key = ring.linear_hash(shape, bytes([1]) + bytes(31), first, second)
    assert not np.array_equal(other_key[0], low)
    assert not np.array_equal(other_key[1], high)
    assert len(low) == len(high) == shape.hash_length
    wrong: list[Any] = [low[1:], low.astype(np.int64), np.full_like(low, np.iinfo(np.uint64).max)]
    for each in wrong:
        with pytest.raises(PeerError):
            ring.add_hashes(shape, [low, each])


def test_bytes_of_another_size_or_value_are_refused() -> None:
    secrets, joint = keys(3)
    shape = ring.layout(3, 1 << 30, 100)
    first, second = joint.encrypt(shape, np.zeros(100, np.uint64))
    malformed: list[Any] = [
        second[:-1],
        np.append(second, np.uint8(0)),
        second.view(np.int8),
        second.reshape(2, -1),
    ]
    for wrong in malformed:
        with pytest.raises(RingError):
            secrets[0].partial(shape, wrong)
    full = np.full_like(second, 255)
    for call in (
        lambda: secrets[0].partial(shape, full),
        lambda: ring.add(shape, [second, full], second=True),
        lambda: ring.linear_hash(shape, CHECK, None, full),
    ):
        with pytest.raises(RingError, match="below its prime"):
            call()
    with pytest.raises(RingError) as caught:
        ring.add(shape, [first, first[1:]], second=False)
    assert caught.value.row == 1
    vectors: list[Any] = [np.zeros(99, np.uint64), np.zeros(100, np.int64)]
    for values in vectors:
        with pytest.raises(InputError):
            joint.encrypt(shape, values)
    with pytest.raises(RingError):
        ring.JointKey(COMMON, [secrets[0].share(COMMON)[1:]])
    with pytest.raises(RingError):
        ring.JointKey(COMMON, [])
    with pytest.raises(RingError):
        ring.ThresholdKey().share(b"short")


def test_keys_are_opaque_and_can_be_wiped() -> None:
    secret = ring.ThresholdKey()
    share = secret.share(COMMON)
    assert share.shape == (ring.SHARE_BYTES,)
    assert not np.array_equal(share, secret.share(COMMON))
    for call in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            call(secret)
    secret.erase()
    with pytest.raises(SecretError):
        secret.share(COMMON)
