# SPDX-License-Identifier: Apache-2.0
"""One server, alone or with a receiver or an owner, against what owners upload and what is released."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shares.dealing import dealer
from tests.unit.protections.shares import sharing_world
from tests.unit.protections.shares.sharing_world import (
    SEEDS,
    expand,
    merge,
    opened,
    split,
    table_of,
    uploaded,
)

from hitoku.hazmat.shares import run_three
from hitoku.protections.shares.manifest import Manifest
from hitoku.protections.shares.sizes import rounded_bounds
from hitoku.protections.shares.wanted import WantedLeaf

TOTAL = 4_827


def guessed(manifest: Manifest, leaf: str, part: str, most: int) -> int | None:
    """What the first server, which has both seeds, finds by trying values against the hash of the share."""
    piece = next(p for p in manifest.pieces() if (p.leaf, p.part) == (leaf, part))
    streams = [expand(piece.kind, piece.count, seed, piece.label) for seed in SEEDS]
    for value in range(most):
        content = np.array([value], np.uint64).tobytes()
        for stream in streams:
            content = merge(piece.kind, content, stream, -1)
        if hashlib.sha256(content).hexdigest() == manifest.hashes[piece.label]:
            return value
    return None


def test_the_hash_of_a_share_does_not_tell_the_first_server_a_total() -> None:
    """The first server has both seeds, so a plain hash of the third share would let it try all totals."""
    leaf = WantedLeaf("trips.0", "COUNT(*)", "number", ring="r64", low=0, high=2**32 - 1, nullable=False)
    made = uploaded(table_of(leaf, group=(), rows=1), [pa.array([TOTAL])])
    assert guessed(made.manifest, "trips.0", "ring", TOTAL + 1) is None


def test_the_hash_of_a_share_is_another_one_each_time() -> None:
    """With the same seeds and rows: a server cannot make the hash from values it guesses."""
    leaf = WantedLeaf("trips.0", "COUNT(*)", "number", ring="r64", low=0, high=2**32 - 1, nullable=False)
    asked: Any = table_of(leaf, group=(), rows=1)
    first, other = (uploaded(asked, [pa.array([TOTAL])]).manifest.hashes for _ in range(2))
    assert not set(first) & set(other)


@pytest.mark.parametrize("high", [99, 2**60, 2**63, 2**64, 2**100])
def test_an_owner_s_values_do_not_reach_into_the_bits_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, high: int
) -> None:
    """Servers put narrow words beside each other: bits above a word would turn another owner's, such as
    whether its rows count."""

    def wide(kind: str, values: Any, *rest: Any) -> bytes:
        return split(kind, values | 0xFE if kind == "u8" else np.full_like(values, 2**64 - 1), *rest)

    monkeypatch.setattr(sharing_world, "split", wide)
    leaf = WantedLeaf("trips.0", "a", "number", word=True, low=0, high=high)
    made = uploaded(table_of(leaf, rows=8), [pa.array([1, None, 3], pa.int64())])
    three = made.loaded(tmp_path)
    assert max(opened([one.words["trips.0"] for one in three])) == 2 ** high.bit_length() - 1
    assert max(opened([one.rows["trips"] for one in three])) <= 1
    assert max(opened([one.valid["trips.0"] for one in three])) <= 1


@given(st.integers(-(2**40), 2**40))
def test_bounds_that_an_owner_finds_do_not_tell_a_value(value: int) -> None:
    """A column of one value, such as one row, or the same branch in all: servers learn it to a sixteenth."""
    told = rounded_bounds(value, value)
    assert {rounded_bounds(one, one) for one in range(value // 16 * 16, value // 16 * 16 + 16)} == {told}


def test_shares_of_a_result_tell_a_receiver_nothing_of_what_it_was_made_of() -> None:
    """A receiver gets all three shares: each of their bits must be independent of a secret that cancels."""
    rows = 6000
    secret = np.random.default_rng(1).integers(0, 2, rows).astype(np.uint8)

    def program(party: Any) -> list[bytes]:
        bit = dealer(party)("u8", secret)
        number = party.bit_to_ring(bit, "r64")
        rest = party.add_public(party.neg(number), 5)
        chosen = party.select(bit, party.public("u64", 9, rows), party.public("u64", 8, rows))
        made = [
            party.ring_to_words(party.add(number, rest), 64),
            party.ring_to_words(party.add(party.mul_public(number, 2), party.mul_public(rest, 2)), 1),
            party.and_(bit, party.xor_public(bit, 1)),
            party.less(bit, bit, 1),
            party.equal(bit, bit, 1),
            party.xor(chosen, party.cast(bit, "u64")),
            party.xor(party.ring_to_words(number, 8), bit),
        ]
        return [party.dump(one if one.kind == "u64" else party.cast(one, "u64"))[0] for one in made]

    three = run_three(program)
    centred = secret - secret.mean()
    for shares in zip(*three, strict=True):
        x, y, z = (np.frombuffer(share, np.uint64) for share in shares)
        assert len(set((x ^ y ^ z).tolist())) == 1
        for one in (x, y, z, x & y, y & z, z & x):
            bits = np.unpackbits(one.view(np.uint8)).reshape(rows, 64)
            # A sum of 6,000 with deviation 1/4 at most: beyond seven in one of 2,700 with probability 1e-8.
            assert np.abs(centred @ bits).max() < 7 / 4 * rows**0.5
