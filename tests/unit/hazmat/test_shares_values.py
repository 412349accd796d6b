# SPDX-License-Identifier: Apache-2.0
"""What `hitoku.hazmat.shares` takes and refuses, an owner's split, and how three parties end together."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import hashlib
import threading
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shares.reference_base import KINDS, from_bytes, minus, to_bytes, width
from tests.shares.views import FAR, differ, even_permutations, spread

from hitoku.hazmat import shares
from hitoku.hazmat.shares import Party, SharesError, as_array, as_integers
from hitoku.protections.shares.engine import Engine

SEEDS = (hashlib.sha256(b"a").digest(), hashlib.sha256(b"b").digest())


def refused(code):
    return pytest.raises(SharesError, check=lambda error: error.code == code)


def test_a_party_is_an_engine():
    party: Party = Party.memory()[0]
    engine: Engine = party
    assert engine.index == 0


# --- values ---


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_whole_numbers_become_arrays_and_come_back(kind, data):
    top = 2 ** width(kind)
    least = -top // 2 if kind in shares.RINGS else 0
    values = data.draw(st.lists(st.integers(least, top - 1), max_size=6))
    array = as_array(kind, values)
    assert array.dtype == np.dtype(f"uint{min(width(kind), 64)}")
    assert array.shape == ((len(values), 2) if width(kind) == 128 else (len(values),))
    assert as_integers(kind, array) == [value % top for value in values]
    if all(value < top // 2 for value in values):
        assert as_integers(kind, array, signed=True) == values


def test_arrays_of_other_types_are_taken_where_every_value_fits():
    assert as_array("u8", np.array([1, 255], np.int64)).tolist() == [1, 255]
    assert as_array("u8", np.array([True, False])).tolist() == [1, 0]
    assert as_array("r64", np.array([-1], np.int32)).tolist() == [2**64 - 1]
    assert as_array("r128", np.array([-1], np.int64)).tolist() == [[2**64 - 1] * 2]
    assert as_array("u128", np.array([[5, 6]], np.uint64)).tolist() == [[5, 6]]
    for kind, values in [
        ("u8", np.array([256], np.int64)),
        ("u8", np.array([-1], np.int8)),
        ("u64", [2**64]),
        ("r32", [-(2**31) - 1]),
        ("r32", np.array([2**32], np.uint64)),
        ("u64", np.array([1.0])),
        ("u64", [1.5]),
        ("u64", ["1"]),
        ("u64", [None]),
        ("u64", np.zeros((2, 2), np.uint64)),
        ("u128", np.zeros((2, 3), np.uint64)),
        ("u64", 5),
    ]:
        with refused("value"):
            as_array(kind, values)
    unknown: list[Any] = ["u7", "r8", "", None, 64]
    for one in unknown:
        with refused("kind"):
            as_array(one, [1])


# --- an owner's split ---


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_split_column_is_what_three_servers_open(kind, data):
    values = data.draw(st.lists(st.integers(0, 2 ** width(kind) - 1), max_size=20))
    a, b = SEEDS
    explicit = shares.split(kind, values, a, b, 7)
    parts = [shares.expand(kind, len(values), seed, 7) for seed in (a, b)] + [explicit]
    assert {len(part) for part in parts} == {len(values) * width(kind) // 8}

    # The semantic, without the kernel's arithmetic.
    rest = minus(kind, from_bytes(kind, to_bytes(kind, _clear(kind, values))), from_bytes(kind, parts[0]))
    assert to_bytes(kind, minus(kind, rest, from_bytes(kind, parts[1]))) == explicit

    def server(party):
        i = party.index
        relayed = party.relay(explicit if i == 1 else None, len(explicit))
        assert relayed == (explicit if i == 2 else b"")
        vector = party.load(kind, parts[i], parts[(i + 1) % 3])
        return as_integers(kind, party.open(vector))

    assert shares.run_three(server) == [values] * 3


def _clear(kind, values):
    return from_bytes(kind, b"".join(value.to_bytes(width(kind) // 8, "little") for value in values))


def test_expansions_are_aes_in_counter_mode_under_a_key_of_the_label():
    seed, label = SEEDS[0], 2**40 + 3
    key = hashlib.sha256(b"hitoku/shares-upload/1" + seed + label.to_bytes(8, "little")).digest()[:16]
    blocks = b"".join((255 << 72 | block << 80).to_bytes(16, "little") for block in range(300))
    stream = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(blocks)
    for kind, rows in (("u8", 4800), ("r32", 1199), ("u64", 600), ("r128", 300)):
        assert shares.expand(kind, rows, seed, label) == stream[: rows * width(kind) // 8]


def test_expansions_differ_by_seed_and_label_and_are_even():
    a, b = SEEDS
    base = shares.expand("u64", 8000, a, 1)
    assert shares.expand("u64", 8000, a, 1) == base
    assert shares.expand("u64", 100, a, 1) == base[:800]
    assert spread(base) < FAR
    for other in (shares.expand("u64", 8000, b, 1), shares.expand("u64", 8000, a, 2)):
        assert differ(base, other) < FAR
    explicit = shares.split("u64", [0] * 8000, a, b, 1)
    assert spread(explicit) < FAR
    assert differ(explicit, base) < FAR


def test_splits_refuse_seeds_and_labels_that_cannot_be():
    a, b = SEEDS
    pairs: list[Any] = [(a, b[:31]), (b"", b), (a, a), (a, None), (bytearray(a), b)]
    for one, two in pairs:
        with refused("seed"):
            shares.split("u64", [1], one, two, 0)
    labels: list[Any] = [-1, 2**64, 1.0, None, True]
    for label in labels:
        with refused("label"):
            shares.split("u64", [1], a, b, label)
        with refused("label"):
            shares.expand("u64", 1, a, label)
    with refused("value"):
        shares.expand("u64", -1, a, 0)
    with refused("kind"):
        shares.expand("u63", 1, a, 0)


# --- an owner's order ---


@pytest.mark.parametrize("rows", [0, 1, 2, 5, 1000])
def test_an_order_that_an_owner_knows_is_applied_and_undone(rows):
    rng = np.random.default_rng(rows)
    places = rng.permutation(rows)
    a, b = SEEDS
    explicit = shares.split_permutation(places, a, b, 3)
    assert len(explicit) == 4 * rows

    def server(party):
        parts = [None if party.index == lacks else part for lacks, part in ((1, a), (2, b), (0, explicit))]
        order = party.owner_order(rows, parts, 3)
        assert len(order) == rows
        before = party.counters()
        there = party.apply(order, [party.public("r64", range(rows)), party.public("u8", [1] * rows)])
        back = party.unapply(order, there)
        assert rows == 0 or party.counters()["rounds"] > before["rounds"]
        return [party.open(vector).tolist() for vector in (there[0], *back)]

    for moved, number, ones in shares.run_three(server):
        assert moved == places.tolist()
        assert number == list(range(rows))
        assert ones == [1] * rows


def test_the_explicit_part_of_an_order_is_a_uniform_permutation():
    found = [
        np.frombuffer(shares.split_permutation([0, 1, 2, 3], *SEEDS, label), "<u4") for label in range(3000)
    ]
    assert even_permutations(found, 4) < FAR


def test_orders_that_cannot_be_are_refused():
    a, b = SEEDS
    for places in ([0, 0], [1, 2], [0, 2, 1, 4]):
        with refused("permutation"):
            shares.split_permutation(places, a, b, 0)
    with refused("seed"):
        shares.split_permutation([0], a, a, 0)
    explicit = shares.split_permutation([1, 0], a, b, 0)

    def program(e):
        parts = [None if e.index == lacks else part for lacks, part in ((1, a), (2, b), (0, explicit))]
        with refused("parts"):
            e.owner_order(2, [a, b, explicit], 0)
        with refused("parts"):
            e.owner_order(2, parts[:2], 0)
        if e.index:
            with refused("length"):
                e.owner_order(3, parts, 0)
        bad = [part and (bytes(8) if part is explicit else part) for part in parts]
        e.owner_order(2, bad, 0)

    with refused("disagree"):
        shares.run_three(program)


# --- refusals of calls: before anything is sent, so the party goes on ---


def test_what_does_not_fit_is_refused_and_the_party_goes_on():
    def program(e):
        ring, word, wide = e.public("r64", 5, 3), e.public("u64", 5, 3), e.public("u128", 5, 3)
        short, bit = e.public("r64", 5, 2), e.public("u8", 1, 3)
        order = e.order([(bit, 1)])
        calls: list[tuple[str, Any]] = [
            ("kind", lambda: e.mul(word, word)),
            ("kind", lambda: e.and_(ring, ring)),
            ("kind", lambda: e.xor(word, wide)),
            ("kind", lambda: e.add(ring, e.public("r32", 5, 3))),
            ("kind", lambda: e.equal(ring, ring, 4)),
            ("kind", lambda: e.cast(ring, "u64")),
            ("kind", lambda: e.cast(ring, "r128")),
            ("kind", lambda: e.concat([ring, word])),
            ("kind", lambda: e.bit_to_ring(word, "r64")),
            ("kind", lambda: e.bit_to_ring(bit, "u64")),
            ("kind", lambda: e.ring_to_words(word, 4)),
            ("kind", lambda: e.words_to_ring(ring, 4, "r64")),
            ("kind", lambda: e.order([(ring, 4)])),
            ("kind", lambda: e.select(word, ring, ring)),
            ("kind", lambda: e.shift_left(ring, 1)),
            ("length", lambda: e.mul(ring, short)),
            ("length", lambda: e.select(bit, short, short)),
            ("length", lambda: e.shuffle([ring, short])),
            ("length", lambda: e.apply(order, [short])),
            ("length", lambda: e.unapply(order, [short])),
            ("length", lambda: e.add_public(ring, [1, 2])),
            ("length", lambda: e.public("r64", 5)),
            ("length", lambda: e.public("r64", [5], 2)),
            ("bits", lambda: e.equal(word, word, 0)),
            ("bits", lambda: e.less(word, word, 65)),
            ("bits", lambda: e.ring_to_words(ring, 65)),
            ("bits", lambda: e.words_to_ring(word, 65, "r128")),
            ("bits", lambda: e.words_to_ring(word, 33, "r32")),
            ("bits", lambda: e.order([(bit, 9)])),
            ("bits", lambda: e.shift_left(word, 65)),
            ("bits", lambda: e.shift_right(word, -1)),
            ("empty", lambda: e.shuffle([])),
            ("empty", lambda: e.order([])),
            ("empty", lambda: e.concat([])),
            ("empty", lambda: e.apply(order, [])),
            ("order", lambda: e.apply(ring, [ring])),
            ("vector", lambda: e.open([1, 2])),
            ("vector", lambda: e.add(ring, np.zeros(3))),
            ("places", lambda: e.take(ring, np.array([3]))),
            ("places", lambda: e.take(ring, np.array([-1]))),
            ("places", lambda: e.take(ring, np.array([0.5]))),
            ("places", lambda: e.slice(ring, 2, 1)),
            ("places", lambda: e.slice(ring, 0, 4)),
            ("value", lambda: e.public("u8", 256, 1)),
            ("value", lambda: e.mul_public(ring, 2**64)),
            ("value", lambda: e.tile(ring, -1)),
            ("size", lambda: e.load("u32", bytes(4), bytes(8))),
            ("size", lambda: e.load("u32", bytes(5), bytes(5))),
            ("size", lambda: e.relay(bytes(3) if e.index == 1 else None, 4) if e.index == 1 else _size()),
            ("size", lambda: e.relay(None if e.index == 1 else bytes(4), 4)),
            ("record", e.received),
        ]
        before = e.counters()
        for code, call in calls:
            with refused(code):
                call()
        assert e.counters() == before
        return e.open(e.mul(ring, ring)).tolist()

    assert shares.run_three(program) == [[25] * 3] * 3


def _size():
    raise SharesError("size")


def test_errors_speak_in_sentences_and_name_the_server():
    for code in ("aborted", "closed", "disagree", "hello", "timeout", "kind", "vector"):
        assert "(" not in str(SharesError(code))
    assert str(SharesError("closed", peer=2)).endswith("(server 2)")
    assert SharesError("closed", peer=2).to_dict()["error"] == "SharesError"


# --- ends ---


def test_the_first_error_is_what_run_three_raises_and_nobody_waits():
    def program(party):
        vector = party.public("r64", 5, 3)
        if party.index == 1:
            raise ZeroDivisionError
        while True:
            party.mul(vector, vector)

    with pytest.raises(ZeroDivisionError):
        shares.run_three(program)


def test_a_party_that_failed_fails_ever_after():
    a, b, c = Party.memory()
    vector = a.public("r64", 1, 1)
    b.close()
    c.close()
    with refused("closed"):
        a.mul(vector, vector)
    with refused("aborted"):
        a.mul(vector, vector)
    with refused("aborted"):
        a.open(vector)


def test_an_abort_wakes_who_waits():
    parties = Party.memory()
    codes: list[str] = []

    def wait():
        vector = parties[0].public("r64", 1, 1)
        try:
            parties[0].mul(vector, vector)
        except SharesError as error:
            codes.append(error.code)

    thread = threading.Thread(target=wait)
    thread.start()
    parties[1].abort()
    thread.join(300)
    assert not thread.is_alive()
    assert codes
    assert codes[0] in ("closed", "aborted")


def test_parties_that_open_different_values_disagree():
    def program(party):
        # Party 2 holds another share 2 than party 1: what the three add up differs.
        mine = (5).to_bytes(8, "little")
        other = (6).to_bytes(8, "little")
        first = other if party.index == 2 else mine
        party.open(party.load("u64", first, mine))
        party.check()

    with refused("disagree"):
        shares.run_three(program)


def test_parties_that_lose_step_notice_it():
    def program(party):
        vector = party.public("r64", 5, 4 if party.index == 2 else 3)
        party.mul(vector, vector)

    with pytest.raises(SharesError) as caught:
        shares.run_three(program)
    assert caught.value.code == "size"
    assert caught.value.peer in (0, 1, 2)


def test_counters_count():
    def program(party):
        vector = party.public("r64", 5, 1000)
        before = party.counters()
        party.mul(vector, vector)
        return {name: count - before[name] for name, count in party.counters().items()}

    for counted in shares.run_three(program):
        assert counted == {"bytes_sent": 8000, "bytes_received": 8000, "messages_sent": 1, "rounds": 1}
