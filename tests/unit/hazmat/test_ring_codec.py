# SPDX-License-Identifier: Apache-2.0
"""Bytes of parameters, keys and ciphertexts: one form for one thing, the form that is written down."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import copy
import pickle
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.hazmat import ring_format

from hitoku.errors import SecretError
from hitoku.hazmat import ring, ring_bgv
from hitoku.hazmat.ring import (
    Ciphertexts,
    ParameterError,
    Parameters,
    Plaintexts,
    PublicKey,
    RelinearisationKey,
    RingError,
    RotationKeys,
    SecretKey,
    SeededCiphertexts,
)

DEGREE = 4096


class World:
    def __init__(self):
        *primes, special = ring.find_primes(DEGREE, [27, 25, 26, 30])
        self.params = Parameters(DEGREE, tuple(primes), special)
        self.secret = SecretKey.generate(self.params)
        self.public = self.secret.public_key()
        self.relin = self.secret.relinearisation_key()
        self.rotations = self.secret.rotation_keys([1, 7, -1])
        random = np.random.default_rng(3)
        self.plain = ring.encode(self.params, random.uniform(-1, 1, (3, self.params.slots)), 2.0**20, 2)
        self.seeded = self.secret.encrypt(self.plain)
        self.sealed = self.public.encrypt(self.plain)
        self.product = ring.square(self.sealed)


@pytest.fixture(scope="module")
def world():
    return World()


def random_residues(params, shape, seed=5):
    random = np.random.default_rng(seed)
    level = shape[-2]
    rows = [random.integers(0, q, (*shape[:-2], shape[-1]), np.uint64) for q in params.primes[:level]]
    return np.ascontiguousarray(np.stack(rows, axis=-2))


# --- parameters ---


@pytest.mark.parametrize("plain_modulus", [None, 40_961])
def test_parameters_are_written_as_described(world, plain_modulus):
    scheme = "ckks" if plain_modulus is None else "bgv"
    params = Parameters(DEGREE, world.params.primes, world.params.special, scheme, plain_modulus)
    data = params.to_bytes()
    assert data == ring_format.header(params, ring_format.PARAMETERS)
    assert Parameters.from_bytes(data) == params


def test_parameters_that_cannot_be_used_are_refused(world):
    data = world.params.to_bytes()
    wrong = {
        "cut": data[:-1],
        "longer": data + b"\0",
        "empty": b"",
        "a prime twice": data[:20] + data[20:28] * 2 + data[36:],
        "no prime": data[:20] + struct.pack("<Q", world.params.primes[0] + 2) + data[28:],
        "a smaller ring": data[:9] + b"\x0b" + data[10:],
        "a larger ring": data[:9] + b"\x11" + data[10:],
        "a plain modulus without bgv": data[:12] + struct.pack("<Q", 40_961) + data[20:],
        "bgv without one": data[:8] + b"\2" + data[9:],
        "other magic": b"HTKS" + data[4:],
        "other version": data[:4] + b"\2\0" + data[6:],
        "other kind": data[:6] + b"\5" + data[7:],
    }
    for name, content in wrong.items():
        with pytest.raises(ParameterError):
            assert Parameters.from_bytes(content) is None, name
    others: tuple[Any, ...] = (None, "HTKR", bytearray(data), 7)
    for other in others:
        with pytest.raises(ParameterError, match="bytes"):
            Parameters.from_bytes(other)


def test_parameters_below_128_bits_are_refused():
    """At every degree the table's bits are taken and one prime more is not."""
    assert ring.MAX_BITS == {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
    for degree, size in ((2048, 27), (4096, 36), (8192, 43), (16384, 48), (32768, 48)):
        most = ring.MAX_BITS[degree]
        count = most // size
        primes = ring.find_primes(degree, [size] * (count + 1))
        kept = Parameters(degree, primes[: count - 1], primes[count - 1])
        assert kept.bits <= most
        assert kept.security == 128
        with pytest.raises(ParameterError, match="128 bits of security"):
            Parameters(degree, primes[:count], primes[count])
        body = struct.pack("<BBBBQ", 1, degree.bit_length() - 1, count, 0, 0)
        insecure = kept.to_bytes()[:8] + body + struct.pack(f"<{count + 1}Q", *primes)
        with pytest.raises(ParameterError, match="128 bits of security"):
            Parameters.from_bytes(insecure)


# --- ciphertexts and plaintexts ---


@settings(max_examples=20, deadline=None)
@given(
    count=st.integers(1, 3),
    parts=st.integers(2, 8),
    level=st.integers(1, 3),
    scale=st.floats(1e-30, 1e30),
    threads=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_any_residues_come_back(world, count, parts, level, scale, threads, seed):
    params = world.params
    words = random_residues(params, (count, parts, level, DEGREE), seed)
    made = Ciphertexts(params, words, scale)
    data = made.to_bytes(threads=threads)
    assert data == ring_format.ciphertexts(params, words, scale)
    back = Ciphertexts.from_bytes(params, data, threads=threads)
    assert np.array_equal(back.residues, words)
    assert back.scale == scale
    assert back.to_bytes() == data
    plain = Plaintexts(params, np.ascontiguousarray(words[:, 0]), scale)
    assert np.array_equal(Plaintexts.from_bytes(params, plain.to_bytes()).residues, plain.residues)


def test_what_was_read_cannot_be_written_to(world):
    back = Ciphertexts.from_bytes(world.params, world.sealed.to_bytes())
    with pytest.raises(ValueError, match="read-only"):
        back.residues[0, 0, 0, 0] = 1


def test_everything_works_after_a_journey(world):
    params = world.params
    secret = SecretKey.from_bytes(params, world.secret.to_bytes())
    public = PublicKey.from_bytes(params, world.public.to_bytes())
    relin = RelinearisationKey.from_bytes(params, world.relin.to_bytes())
    rotations = RotationKeys.from_bytes(params, world.rotations.to_bytes(), threads=2)
    seeded = SeededCiphertexts.from_bytes(params, world.seeded.to_bytes())
    assert rotations.steps == world.rotations.steps == (1, 7, DEGREE // 2 - 1)
    assert np.array_equal(seeded.expand().residues, world.seeded.expand().residues)
    values = ring.decode(world.plain)
    for ciphertexts, expected in (
        (seeded.expand(), values),
        (public.encrypt(world.plain), values),
        (ring.relinearise(world.product, relin), values**2),
        (ring.rotate(seeded.expand(), 7, rotations), np.roll(values, -7, axis=1)),
        (ring.rotate(seeded.expand(), -1, rotations), np.roll(values, 1, axis=1)),
    ):
        for key in (secret, world.secret):
            # Of a square 0.02 (standard deviation), with the tails of a sum of products of two Gaussians: one
            # slot in 10^7 and more is beyond 0.15. Other keys give numbers in the thousands.
            assert np.abs(ring.decode(key.decrypt(ciphertexts)) - expected).max() < 0.5
    same = ring.relinearise(world.product, relin).residues
    assert np.array_equal(same, ring.relinearise(world.product, world.relin).residues)


def test_seeded_ones_are_expanded_from_their_bytes(world):
    data = world.seeded.to_bytes()
    wanted = world.seeded.expand()
    for view in (data, memoryview(b"a head" + data)[6:]):
        for threads in (1, 2):
            found = ring.expanded(world.params, view, threads=threads)
            assert (found.scale, found.parts) == (wanted.scale, 2)
            assert np.array_equal(found.residues, wanted.residues)
        assert ring.seeded_shape(world.params, view) == (3, 2)
    with pytest.raises(ValueError, match="read-only"):
        found.residues[0, 0, 0, 0] = 1
    for other in (world.sealed.to_bytes(), data[:-1], data + b"x", b""):
        for read in (ring.expanded, ring.seeded_shape):
            with pytest.raises(RingError):
                read(world.params, other)
    others: list[Any] = [bytearray(data), "text", None, memoryview(data)[::2], np.frombuffer(data, np.uint8)]
    for nothing in others:
        with pytest.raises(RingError, match="bytes"):
            ring.expanded(world.params, nothing)


def test_every_form_is_as_small_as_its_residues(world):
    params, bits = world.params, [(q - 1).bit_length() for q in (*world.params.primes, world.params.special)]
    front = len(params.to_bytes())
    poly = DEGREE // 8 * sum(bits[:2])
    assert len(world.sealed.to_bytes()) == front + 16 + 3 * 2 * poly
    assert len(world.seeded.to_bytes()) == front + 16 + 32 + 3 * poly
    assert len(world.plain.to_bytes()) == front + 16 + 3 * poly
    key = 3 * DEGREE // 8 * sum(bits)
    assert len(world.relin.to_bytes()) == front + 32 + key
    assert len(world.rotations.to_bytes()) == front + 4 + 3 * (4 + 32 + key)
    assert len(world.secret.to_bytes()) == front + DEGREE // 4


def test_bgvs_factors_travel(world):
    params = Parameters(DEGREE, world.params.primes, world.params.special, "bgv", 40_961)
    secret = SecretKey.generate(params)
    values = np.arange(DEGREE).reshape(1, -1) % 1000
    switched = ring_bgv.switch(secret.encrypt(ring_bgv.encode(params, values)).expand())
    back = Ciphertexts.from_bytes(params, switched.to_bytes())
    assert back.scale == switched.scale != 1
    assert np.array_equal(ring_bgv.decode(secret.decrypt(back)), values)
    data = switched.to_bytes()
    at = len(params.to_bytes()) + 8
    for factor in (0.0, 1.5, 40_961.0, -1.0):
        with pytest.raises(RingError, match="scale"):
            Ciphertexts.from_bytes(params, data[:at] + struct.pack("<d", factor) + data[at + 8 :])


# --- what is refused ---


def kinds(world):
    """Every message with what reads it."""
    return {
        "ciphertexts": (Ciphertexts, world.sealed),
        "products": (Ciphertexts, world.product),
        "seeded": (SeededCiphertexts, world.seeded),
        "plaintexts": (Plaintexts, world.plain),
        "secret": (SecretKey, world.secret),
        "public": (PublicKey, world.public),
        "relinearisation": (RelinearisationKey, world.relin),
        "rotations": (RotationKeys, world.rotations),
    }


def test_nothing_is_taken_for_another_thing(world):
    for name, (_, thing) in kinds(world).items():
        data = thing.to_bytes()
        for reader in {reader for reader, _ in kinds(world).values()} - {type(thing)}:
            with pytest.raises(RingError, match="another kind"):
                assert reader.from_bytes(world.params, data) is None, name
        with pytest.raises(ParameterError):
            Parameters.from_bytes(data)


def test_parameters_must_be_the_readers(world):
    first, second, third = world.params.primes
    others = [
        Parameters(DEGREE, (second, first, third), world.params.special),
        Parameters(DEGREE, (first, second), world.params.special),
        Parameters(DEGREE, (first, second, third), ring.find_primes(DEGREE, [24])[0]),
        Parameters(DEGREE, world.params.primes, world.params.special, "bgv", 40_961),
        Parameters(2 * DEGREE, ring.find_primes(2 * DEGREE, [30] * 3), ring.find_primes(2 * DEGREE, [31])[0]),
    ]
    for reader, thing in kinds(world).values():
        data = thing.to_bytes()
        for params in others:
            with pytest.raises(RingError, match="other parameters"):
                reader.from_bytes(params, data)
        for thing in (None, "x", world.params.kernel):
            with pytest.raises(RingError, match="params must be"):
                reader.from_bytes(thing, data)


def test_every_cut_and_addition_is_refused(world):
    for reader, thing in kinds(world).values():
        data = thing.to_bytes()
        front = len(world.params.to_bytes())
        for size in (*range(0, front + 60, 3), len(data) // 2, len(data) - 8, len(data) - 1):
            with pytest.raises(RingError):
                reader.from_bytes(world.params, data[:size])
        for more in (b"\0", data[-8:], data):
            with pytest.raises(RingError, match="size"):
                reader.from_bytes(world.params, data + more)
        for content in (None, "x", 5, bytearray(data), memoryview(data)):
            with pytest.raises(RingError, match="bytes"):
                reader.from_bytes(world.params, content)


def test_what_is_accepted_is_written_again_as_it_was(world):
    """Each bit counts: of every message with one bit changed, the bytes come back or it is refused."""
    random = np.random.default_rng(17)
    accepted = 0
    for reader, thing in kinds(world).values():
        data = thing.to_bytes()
        spots = [*range(80), *random.integers(80, len(data), 30)]
        for spot in spots:
            changed = bytearray(data)
            changed[spot] ^= 1 << int(random.integers(8))
            try:
                back = reader.from_bytes(world.params, bytes(changed))
            except (RingError, SecretError):
                continue
            accepted += 1
            assert back.to_bytes() == bytes(changed)
    assert accepted > 100


def test_residues_from_the_prime_up_are_refused(world):
    params = world.params
    front = len(params.to_bytes()) + 16
    data = world.sealed.to_bytes()
    first, second = params.primes[:2]
    row = ring_format.size(params.primes[:2], DEGREE)
    for start, prime in ((0, first), (ring_format.size((first,), DEGREE), second), (row, first)):
        for value, fits in ((prime - 1, True), (prime, False), ((1 << prime.bit_length()) - 1, False)):
            if (value == prime) and value >> prime.bit_length():
                continue
            piece = ring_format.pack([[[value] + [0] * (DEGREE - 1)]], [prime])
            changed = bytearray(data)
            changed[front + start : front + start + len(piece)] = piece
            if fits:
                Ciphertexts.from_bytes(params, bytes(changed))
                continue
            with pytest.raises(RingError, match="not below its prime"):
                Ciphertexts.from_bytes(params, bytes(changed))
            wrong = world.sealed.residues.copy()
            wrong[0, 0, 0, 0] = first
            with pytest.raises(RingError):
                Ciphertexts(params, wrong, 1.0)


def test_keys_are_not_pickled_copied_or_shown(world):
    for _, thing in kinds(world).values():
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="to_bytes"):
                way(thing)
    shown = repr(world.secret) + repr(world.secret.kernel) + str(vars(type(world.secret)))
    assert "secret" in shown
    erased = SecretKey.from_bytes(world.params, world.secret.to_bytes())
    erased.erase()
    for use in (erased.to_bytes, erased.public_key, lambda: erased.decrypt(world.sealed)):
        with pytest.raises(SecretError, match="erased"):
            use()


def test_a_damaged_secret_is_told_without_its_bits(world):
    data = bytearray(world.secret.to_bytes())
    data[-1] |= 0b11
    with pytest.raises(SecretError, match="secret key") as caught:
        SecretKey.from_bytes(world.params, bytes(data))
    assert str(data[-1]) not in str(caught.value)


# --- the formats, by a second program ---


def test_what_a_seed_stands_for_is_written_down(world):
    """XChaCha20's own test vector, then every residue that a seed expands to."""
    key = bytes(range(32))
    nonce = bytes.fromhex("000000090000004a0000000031415927")
    subkey = "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"
    assert ring_format.hchacha20(key, nonce).hex() == subkey
    params = world.params
    expanded = world.seeded.expand().residues
    for row in range(3):
        for component, prime in enumerate(params.primes[:2]):
            number = ring_format.stream_number(row, component)
            found = ring_format.expand(world.seeded.seed, b"ciphertext", number, prime, DEGREE)
            assert np.array_equal(found, expanded[row, 1, component])


def test_a_known_seed_expands_to_known_residues(world):
    """So that what was stored as a seed can be read by every later version."""
    params = Parameters(DEGREE, (1_073_692_673,), 536_813_569)
    zeroes = np.zeros((2, 1, DEGREE), np.uint64)
    made = SeededCiphertexts(params, zeroes, bytes(range(32)), 1.0).expand().residues
    assert made[0, 1, 0, :3].tolist() == KNOWN[0]
    assert made[1, 1, 0, -3:].tolist() == KNOWN[1]


KNOWN = ([722_254_812, 133_869_864, 476_207_027], [130_323_156, 578_713_312, 358_643_145])
