# SPDX-License-Identifier: Apache-2.0
"""Bytes of parameters, keys and ciphertexts from an enemy: only our own errors come out, and nothing large.

200,000 inputs, or HITOKU_FUZZ many. Half of them are the same in every run, and half follow a seed that is
printed with a failure; HITOKU_FUZZ_SEED takes it again. What is accepted must be written again as the same
bytes, and whatever its residues are, every operation on it ends.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import gc
import os
import random
import re
import resource
import secrets
import struct
from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.unit.hazmat import ring_format

from hitoku.errors import HitokuError
from hitoku.hazmat import ring, ring_bgv
from hitoku.hazmat.ring import (
    Ciphertexts,
    Parameters,
    Plaintexts,
    PublicKey,
    RelinearisationKey,
    RingError,
    RotationKeys,
    SecretKey,
    SeededCiphertexts,
)

INPUTS = int(os.environ.get("HITOKU_FUZZ", "200000"))
SEED = int(os.environ.get("HITOKU_FUZZ_SEED", secrets.randbits(32)))
MOST_MORE_MEMORY = 200 * 1024 * 1024
"""Bytes by which the process may grow; one input has some tens of kB."""
DEGREE = 2048


class World:
    """Honest things of the smallest parameters with key switching, and their messages."""

    def __init__(self, scheme: str) -> None:
        prime, special = ring.find_primes(DEGREE, [26, 27])
        self.params = Parameters(DEGREE, (prime,), special, scheme, 12_289 if scheme == "bgv" else None)
        self.secret = SecretKey.generate(self.params)
        self.public = self.secret.public_key()
        self.relin = self.secret.relinearisation_key()
        self.rotations = self.secret.rotation_keys([1, 5])
        if scheme == "ckks":
            self.plain = ring.encode(self.params, np.ones((2, self.params.slots)), 2.0**12)
        else:
            self.plain = ring_bgv.encode(self.params, np.ones((2, DEGREE), np.int64))
        self.sealed = self.public.encrypt(self.plain)
        self.things: dict[Any, list[Any]] = {
            Ciphertexts: [self.sealed, ring.square(self.sealed), self.sealed[:1]],
            SeededCiphertexts: [self.secret.encrypt(self.plain)],
            Plaintexts: [self.plain],
            SecretKey: [self.secret],
            PublicKey: [self.public],
            RelinearisationKey: [self.relin],
            RotationKeys: [self.rotations, self.secret.rotation_keys([])],
        }
        self.seeds = {
            kind: [
                one.to_bytes(threads=1) if kind not in (SecretKey, PublicKey) else one.to_bytes()
                for one in things
            ]
            for kind, things in self.things.items()
        }
        self.seeds[Parameters] = [self.params.to_bytes()]

    def decode(self, kind: Any, content: bytes) -> Any:
        if kind is Parameters:
            return Parameters.from_bytes(content)
        if kind in (SecretKey, PublicKey):
            return kind.from_bytes(self.params, content)
        if kind is SeededCiphertexts:
            return self.decode_seeded(content)
        return kind.from_bytes(self.params, content, threads=1)

    def decode_seeded(self, content: bytes) -> SeededCiphertexts:
        """Both ways in decide alike: with an array of first parts, and without."""
        part = memoryview(b"before" + content)[6:]
        try:
            whole = ring.expanded(self.params, part, threads=1)
        except RingError as refused:
            # The other way says the same, and is what is raised.
            with pytest.raises(RingError, match=re.escape(str(refused))):
                SeededCiphertexts.from_bytes(self.params, content, threads=1)
            raise
        made = SeededCiphertexts.from_bytes(self.params, content, threads=1)
        assert ring.seeded_shape(self.params, part) == (made.count, made.level)
        assert whole.scale == made.scale
        assert np.array_equal(whole.residues, made.expand(threads=1).residues)
        return made

    def use(self, thing: Any) -> None:
        """Every operation that takes such a thing; all of them must end."""
        if isinstance(thing, SecretKey):
            thing.decrypt(self.sealed, threads=1)
        elif isinstance(thing, PublicKey):
            ring.release(thing.encrypt(self.plain, threads=1), thing, 3, threads=1)
        elif isinstance(thing, RelinearisationKey):
            ring.relinearise(ring.square(self.sealed, threads=1), thing, threads=1)
        elif isinstance(thing, RotationKeys):
            ring.rotate_many(self.sealed, thing.steps, thing, threads=1)
        elif isinstance(thing, SeededCiphertexts):
            self.use(thing.expand(threads=1))
        elif isinstance(thing, Ciphertexts):
            opened = self.secret.decrypt(thing, threads=1)
            (ring.decode if self.params.scheme == "ckks" else ring_bgv.decode)(opened, threads=1)
            if thing.parts == 3:
                thing = ring.relinearise(thing, self.relin, threads=1)
            ring.rotate(ring.add(thing, thing, threads=1), 5, self.rotations, threads=1)
            ring.release(thing, self.public, 3, threads=1)
        elif isinstance(thing, Plaintexts) and thing.count in (1, 2):
            ring.multiply_plain(self.sealed, thing, threads=1)


@cache
def world(scheme: str) -> World:
    return World(scheme)


# --- mutations ---

NUMBERS = (0, 1, 2, 3, 4, 5, 7, 8, 11, 15, 16, 60, 61, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**24, 2**24 + 1,
           2**31, 2**32 - 1, 2**49, 2**50, 2**62, 2**63, 2**64 - 1)  # fmt: skip
SCALES = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0**1023, 2.0**-1074, float("inf"), float("nan"), 12_288.0, 12_289.0)


def mutated(chance: random.Random, place: World, kind: Any) -> bytes:
    """An input: an honest message with some changes, one built of random fields, or noise."""
    way = chance.random()
    if way < 0.02:
        return chance.randbytes(chance.randrange(200))
    if way < 0.15:
        return built(chance, place)
    content = bytearray(chance.choice(place.seeds[kind]))
    front = len(place.params.to_bytes())
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        change(chance, content, front, place)
    return bytes(content)


def change(chance: random.Random, content: bytearray, front: int, place: World) -> None:
    """One change, most often in the first hundred bytes, where fields are."""
    near = chance.random() < 0.7
    at = chance.randrange(min(len(content), front + 60) + 1 if near else len(content) + 1)
    way = chance.randrange(8)
    if way == 0 and at < len(content):
        content[at] ^= 1 << chance.randrange(8)
    elif way == 1:
        size = chance.choice((1, 2, 4, 8))
        content[at : at + size] = (chance.choice(NUMBERS) % (1 << 8 * size)).to_bytes(size, "little")
    elif way == 2:
        content[at : at + 8] = struct.pack("<d", chance.choice(SCALES))
    elif way == 3:
        del content[at : at + chance.choice((1, 4, 8, 32, 1 << 12))]
    elif way == 4:
        content[at:at] = chance.randbytes(chance.choice((1, 4, 8, 32, 1 << 12)))
    elif way == 5:
        other = chance.choice(chance.choice(list(place.seeds.values())))
        start = chance.randrange(len(other))
        size = chance.choice((4, 16, 64, len(other)))
        content[at : at + size] = other[start : start + size]
    elif way == 6:
        content[at : at + 400] = b"\xff" * len(content[at : at + 400])
    else:
        del content[at:]


def built(chance: random.Random, place: World) -> bytes:
    """A message with fields chosen freely and a body of random bits of the very size that they give.

    The prime is just below 2^26, so that about half of the polynomials are residues.
    """
    params = place.params
    kind = chance.randrange(1, 9)
    front: bytes = ring_format.header(params, kind)
    level = 1
    row = ring_format.size(params.primes[:level], DEGREE)
    if kind in (ring_format.CIPHERTEXTS, ring_format.SEEDED, ring_format.PLAINTEXTS):
        count, parts = chance.choice((0, 1, 1, 2, 3)), chance.choice((0, 1, 2, 2, 3, 8, 9))
        level = chance.choice((0, 1, 1, 1, 2))
        front += struct.pack("<IBBHd", count, parts, level, 0, chance.choice((1.0, 7.0, 2.0**40)))
        front += chance.randbytes(32) if kind == ring_format.SEEDED else b""
        size = count * parts * row
    elif kind == ring_format.ROTATIONS:
        steps = [chance.choice((0, 1, 2, 5, DEGREE // 2 - 1, DEGREE // 2, 2**32 - 1)) for _ in range(2)]
        key = ring_format.size((*params.primes, params.special), DEGREE)
        return (
            front
            + struct.pack("<I", 2)
            + b"".join(
                struct.pack("<I", step) + chance.randbytes(32) + chance.randbytes(key)
                for step in sorted(steps)
            )
        )
    else:
        size = DEGREE // 4 if kind == ring_format.SECRET else 32 + row
    return front + chance.randbytes(size)


# --- runs ---


def attack(scheme: str, count: int, seed: int) -> int:
    """Decode so many inputs; how many of them were accepted."""
    place, chance, accepted = world(scheme), random.Random(f"{scheme} {seed}"), 0
    kinds = list(place.seeds)
    for number in range(count):
        kind = chance.choice(kinds)
        content = mutated(chance, place, kind)
        if content[:4] == b"HTKR" and len(content) > 6 and chance.random() < 0.9:
            # A changed kind is read as what it says.
            kind = _KINDS.get(content[6], kind)
        try:
            thing = place.decode(kind, content)
            accepted += 1
            again = thing.to_bytes()
            if again != content:
                raise AssertionError("it was written again as something else")
            if chance.random() < 0.1:
                place.use(thing)
        except HitokuError:
            continue
        except Exception as error:
            shown = content if len(content) < 300 else content[:300] + b"..."
            raise AssertionError(
                f"{kind.__name__}: {type(error).__name__} ({error}) from input {number} of "
                f"HITOKU_FUZZ_SEED={seed}: {shown!r}"
            ) from error
    return accepted


_KINDS: dict[int, Any] = {
    ring_format.PARAMETERS: Parameters,
    ring_format.PUBLIC: PublicKey,
    ring_format.RELINEARISATION: RelinearisationKey,
    ring_format.ROTATIONS: RotationKeys,
    ring_format.CIPHERTEXTS: Ciphertexts,
    ring_format.SEEDED: SeededCiphertexts,
    ring_format.PLAINTEXTS: Plaintexts,
    ring_format.SECRET: SecretKey,
}


def most_memory() -> int:
    """The most that this process ever had, in bytes."""
    gc.collect()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("scheme", ["ckks", "bgv"])
def test_the_honest_inputs_are_taken(scheme):
    """Otherwise the changed ones would be refused too early to be of use."""
    place = world(scheme)
    for kind, seeds in place.seeds.items():
        for content in seeds:
            thing = place.decode(kind, content)
            assert thing.to_bytes() == content
            place.use(thing)


@pytest.mark.parametrize("scheme", ["ckks", "bgv"])
def test_only_our_own_errors_come_out_of_a_few(scheme):
    count = 3_000
    accepted = attack(scheme, count, 0)
    assert count / 50 < accepted < count / 2


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["ckks", "bgv"])
def test_only_our_own_errors_come_out(scheme):
    attack(scheme, max(1, INPUTS // 40), 0)  # so that what is imported late is there
    before = most_memory()
    attack(scheme, INPUTS // 4, 1)
    attack(scheme, INPUTS // 4, SEED)
    assert most_memory() - before < MOST_MORE_MEMORY


def test_an_error_of_another_kind_would_be_noticed(monkeypatch):
    def decode(place, kind, content):
        return content[10**9]

    monkeypatch.setattr(World, "decode", decode)
    with pytest.raises(AssertionError, match=r"IndexError.*HITOKU_FUZZ_SEED=7"):
        attack("ckks", 1_000, 7)
    monkeypatch.undo()

    class Careless(bytes):
        def to_bytes(self):
            return self[1:]

    monkeypatch.setattr(World, "decode", lambda place, kind, content: Careless(content))
    with pytest.raises(AssertionError, match="written again"):
        attack("ckks", 1_000, 7)


def test_a_large_claim_takes_no_memory():
    """Headers that announce up to petabytes, before a body of some kB."""
    place = world("ckks")
    params = place.params
    before = most_memory()
    body = bytes(10_000)
    for kind, fields in (
        (ring_format.CIPHERTEXTS, struct.pack("<IBBHd", 2**24, 3, 1, 0, 1.0)),
        (ring_format.CIPHERTEXTS, struct.pack("<IBBHd", 2**32 - 1, 255, 255, 0, 1.0)),
        (ring_format.PLAINTEXTS, struct.pack("<IBBHd", 2**24, 1, 1, 0, 1.0)),
        (ring_format.SEEDED, struct.pack("<IBBHd", 2**24, 1, 1, 0, 1.0) + bytes(32)),
        (ring_format.ROTATIONS, struct.pack("<I", 2**32 - 1)),
        (ring_format.ROTATIONS, struct.pack("<I", 2**31)),
    ):
        with pytest.raises(RingError):
            place.decode(_KINDS[kind], ring_format.header(params, kind) + fields + body)
    assert most_memory() - before < 20 * 1024 * 1024


def test_what_is_taken_is_in_proportion_to_what_was_sent():
    """Memory of a decoded message: words of 64 bits for residues of 26 bits, keys twice for both halves."""
    place = world("ckks")
    many = place.plain[[0] * 2_000]
    content = many.to_bytes()
    del many
    before = most_memory()
    thing = Plaintexts.from_bytes(place.params, content)
    grown = most_memory() - before
    assert thing.residues.nbytes < 3 * len(content)
    assert grown < 5 * len(content)


def test_a_hostile_server_only_gives_garbage():
    """Any residues decrypt to something: finite numbers, bounded by the modulus over the scale."""
    place = world("ckks")
    chance = np.random.default_rng(41)
    q = place.params.primes[0]
    for extreme in (0, q - 1, q // 2, None):
        words = np.full((2, 3, 1, DEGREE), extreme or 0, np.uint64)
        if extreme is None:
            words = chance.integers(0, q, words.shape, np.uint64)
        made = Ciphertexts.from_bytes(place.params, ring_format.ciphertexts(place.params, words, 2.0**12))
        opened = ring.decode(place.secret.decrypt(made))
        assert np.isfinite(opened).all()
        assert np.abs(opened).max() <= DEGREE * q / 2 / 2.0**12


def test_foreign_arrays_are_checked_before_they_are_used():
    place = world("ckks")
    params, good = place.params, place.sealed.residues
    wrong: dict[str, Any] = {
        "a list": good.tolist(),
        "signed": good.astype(np.int64),
        "reals": good.astype(np.float64),
        "big-endian": good.astype(">u8"),
        "not contiguous": good[:, :, :, ::-1],
        "transposed": np.swapaxes(good, 0, 1)[:, ::-1],
        "too few axes": good[0],
        "too many axes": good[None],
        "another degree": good[..., :-1].copy(),
        "one part": good[:, :1].copy(),
        "ten parts": np.concatenate([good] * 5, axis=1),
        "no part": good[:, :0].copy(),
        "no prime": good[:, :, :0].copy(),
        "more primes": np.concatenate([good, good], axis=2),
        "unreduced": np.where(good == good[0, 0, 0, 0], np.uint64(params.primes[0]), good),
        "objects": good.astype(object),
    }
    for name, words in wrong.items():
        with pytest.raises(RingError):
            assert Ciphertexts(params, words, 1.0) is None, name
    for scale in SCALES + (None, "x", 10**400):  # noqa: RUF005
        if isinstance(scale, float) and scale > 0 and np.isfinite(scale):
            continue
        with pytest.raises(RingError):
            Ciphertexts(params, good, scale)  # type: ignore[arg-type]
    for threads in (-1, 1 << 20, 1 << 70):
        with pytest.raises(HitokuError):
            Ciphertexts.from_bytes(params, place.sealed.to_bytes(), threads=threads)
