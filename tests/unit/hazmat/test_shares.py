# SPDX-License-Identifier: Apache-2.0
"""Every primitive of `hitoku.hazmat.shares` by the kernel, by the slow reference, and in the clear."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shares.machines import Model, dealt, generator, kernel, values_of
from tests.shares.reference_base import RINGS, WORDS, Shares, array, width

from hitoku.hazmat import shares

MACHINES: list[Any] = [kernel, Model()]
EXAMPLES = settings(max_examples=8, deadline=None)
HARD = settings(max_examples=5, deadline=None)


def numbers(bits):
    """Values below 2 ** bits: extremes, few that repeat, any."""
    top = 2**bits - 1
    edges = sorted({0, 1, top, top - 1 if bits > 1 else 0, top // 2, top // 2 + 1, 2 ** (bits // 2)})
    few = st.sampled_from([value for value in edges if value <= top])
    return st.one_of(few, st.integers(0, top))


def columns(bits, count, most=12):
    """So many columns of equal length; none, one and more rows."""
    return st.integers(0, most).flatmap(
        lambda rows: st.tuples(*[st.lists(numbers(bits), min_size=rows, max_size=rows)] * count)
    )


def same(program, inputs, expected):
    """Runs it by the kernel and by the reference; both must give the expected values, in these kinds."""
    rng = generator("test_shares", len(inputs))
    vectors = [dealt(rng, kind, values) for kind, values in inputs]
    for machine in MACHINES:
        seen = machine(program, vectors)
        found = [[int(v) for v in values] for values in values_of(seen)]
        assert found == [[int(v) for v in values] for _, values in expected], machine
        assert [v.kind for v in seen.outputs[-1]] == [kind for kind, _ in expected]


# --- products and selections ---


@pytest.mark.parametrize("kind", RINGS)
@EXAMPLES
@given(data=st.data())
def test_products_and_linear_steps_in_rings(kind, data):
    bits = width(kind)
    a, b = data.draw(columns(bits, 2))
    c = data.draw(numbers(bits))

    def program(e, v):
        x, y = v
        return [
            e.mul(x, y),
            e.add(x, y),
            e.sub(x, y),
            e.neg(x),
            e.add_public(x, c),
            e.mul_public(x, c),
            e.sum(x),
            e.prefix_sum(x),
            e.diff(x),
            e.add_public(x, array(kind, b) if bits < 128 else b),
        ]

    def per_row(function):
        return kind, [function(x, y) % 2**bits for x, y in zip(a, b, strict=True)]

    expected = [
        per_row(lambda x, y: x * y),
        per_row(lambda x, y: x + y),
        per_row(lambda x, y: x - y),
        per_row(lambda x, y: -x),
        per_row(lambda x, y: x + c),
        per_row(lambda x, y: x * c),
        (kind, [sum(a) % 2**bits]),
        (kind, [sum(a[: i + 1]) % 2**bits for i in range(len(a))]),
        (kind, [(x - before) % 2**bits for x, before in zip(a, [0, *a], strict=False)]),
        per_row(lambda x, y: x + y),
    ]
    same(program, [(kind, a), (kind, b)], expected)


@pytest.mark.parametrize("kind", WORDS)
@EXAMPLES
@given(data=st.data())
def test_bitwise_steps_of_words(kind, data):
    bits = width(kind)
    a, b = data.draw(columns(bits, 2))
    c, shift = data.draw(numbers(bits)), data.draw(st.integers(0, bits))

    def program(e, v):
        x, y = v
        return [
            e.and_(x, y),
            e.or_(x, y),
            e.xor(x, y),
            e.xor_public(x, c),
            e.and_public(x, c),
            e.shift_left(x, shift),
            e.shift_right(x, shift),
            e.prefix_sum(x),
            e.diff(x),
            e.sum(x),
        ]

    running = [0]
    for x in a:
        running.append(running[-1] ^ x)
    expected = [
        (kind, [x & y for x, y in zip(a, b, strict=True)]),
        (kind, [x | y for x, y in zip(a, b, strict=True)]),
        (kind, [x ^ y for x, y in zip(a, b, strict=True)]),
        (kind, [x ^ c for x in a]),
        (kind, [x & c for x in a]),
        (kind, [(x << shift) % 2**bits for x in a]),
        (kind, [x >> shift for x in a]),
        (kind, running[1:]),
        (kind, [x ^ before for x, before in zip(a, [0, *a], strict=False)]),
        (kind, [running[-1]]),
    ]
    same(program, [(kind, a), (kind, b)], expected)


@pytest.mark.parametrize("kind", WORDS + RINGS)
@HARD
@given(data=st.data())
def test_selections_and_places(kind, data):
    a, b = data.draw(columns(width(kind), 2))
    rows = len(a)
    bit = data.draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows))
    places = data.draw(st.lists(st.integers(0, rows - 1), max_size=8)) if rows else []
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, rows)] * 2)))

    def program(e, v):
        condition, x, y = v
        return [
            e.select(condition, x, y),
            e.concat([x, y, x]),
            e.slice(x, start, stop),
            e.take(x, np.array(places, np.int64)),
            e.tile(x, 3),
            e.public(kind, a[0] if a else 0, 4),
            e.public(kind, array(kind, b) if width(kind) < 128 else b),
        ]

    expected = [
        (kind, [x if c else y for c, x, y in zip(bit, a, b, strict=True)]),
        (kind, a + b + a),
        (kind, a[start:stop]),
        (kind, [a[place] for place in places]),
        (kind, a * 3),
        (kind, [a[0] if a else 0] * 4),
        (kind, b),
    ]
    same(program, [("u8", bit), (kind, a), (kind, b)], expected)


@pytest.mark.parametrize("kind", WORDS)
@HARD
@given(data=st.data())
def test_words_are_widened_and_cut(kind, data):
    (a,) = data.draw(columns(width(kind), 1))
    expected = [(other, [x % 2 ** width(other) for x in a]) for other in WORDS]
    same(lambda e, v: [e.cast(v[0], other) for other in WORDS], [(kind, a)], expected)


@pytest.mark.parametrize("kind", RINGS)
@HARD
@given(data=st.data())
def test_rings_are_cut(kind, data):
    (a,) = data.draw(columns(width(kind), 1))
    narrower = [other for other in RINGS if width(other) <= width(kind)]
    expected = [(other, [x % 2 ** width(other) for x in a]) for other in narrower]
    same(lambda e, v: [e.cast(v[0], other) for other in narrower], [(kind, a)], expected)


# --- comparisons and conversions ---


@pytest.mark.parametrize("kind", WORDS)
@HARD
@given(data=st.data())
def test_comparisons_at_any_width(kind, data):
    bits = data.draw(st.one_of(st.just(width(kind)), st.integers(1, width(kind))))
    a, b = data.draw(columns(bits, 2))
    if data.draw(st.booleans()):
        b = [x ^ (1 << (i % bits)) if i % 2 else x for i, x in enumerate(a)]  # equal, or one bit apart
    pairs = list(zip(a, b, strict=True))
    expected = [("u8", [x == y for x, y in pairs]), ("u8", [x < y for x, y in pairs])]
    same(lambda e, v: [e.equal(*v, bits), e.less(*v, bits)], [(kind, a), (kind, b)], expected)


@pytest.mark.parametrize("kind", RINGS)
@HARD
@given(data=st.data())
def test_bits_and_words_to_rings(kind, data):
    word = data.draw(st.sampled_from(WORDS[:4]))
    bits = data.draw(st.integers(1, min(width(word), width(kind))))
    (a,) = data.draw(columns(bits, 1, 6))
    bit = [x & 1 for x in a]
    expected = [(kind, [x % 2 ** width(kind) for x in a]), (kind, bit)]
    same(
        lambda e, v: [e.words_to_ring(v[0], bits, kind), e.bit_to_ring(v[1], kind)],
        [(word, a), ("u8", bit)],
        expected,
    )


@pytest.mark.parametrize("kind", RINGS)
@HARD
@given(data=st.data())
def test_rings_to_words(kind, data):
    bits = data.draw(st.one_of(st.just(width(kind)), st.integers(1, width(kind))))
    (a,) = data.draw(columns(width(kind), 1, 6))
    least = next(word for word in WORDS if width(word) >= bits)
    same(lambda e, v: [e.ring_to_words(v[0], bits)], [(kind, a)], [(least, [x % 2**bits for x in a])])


def test_shares_of_bits_may_fill_their_byte():
    """The high bits of the shares of a bit cancel, but are there: no conversion may take them in."""
    bit = Shares("u8", [array("u8", [0xFE, 0xFF]), array("u8", [0xA5, 0x5A]), array("u8", [0x5B, 0xA4])])
    assert bit.value().tolist() == [0, 1]
    for machine in MACHINES:

        def program(e, v):
            number = e.public("r64", 7, 2)
            word = e.public("u64", 7, 2)
            return [
                e.bit_to_ring(v[0], "r64"),
                e.select(v[0], number, e.neg(number)),
                e.select(v[0], word, e.public("u64", 9, 2)),
                e.words_to_ring(v[0], 1, "r32"),
            ]

        found = [[int(v) for v in values] for values in values_of(machine(program, [bit]))]
        assert found == [[0, 1], [2**64 - 7, 7], [9, 7], [0, 1]]


# --- permutations ---


@HARD
@given(data=st.data())
def test_orders_are_stable_and_can_be_undone(data):
    rows = data.draw(st.integers(0, 10))
    keys, sorting = [], []
    for _ in range(data.draw(st.integers(1, 2))):
        kind = data.draw(st.sampled_from(("u8", "u16", "u64")))
        bits = data.draw(st.integers(1, min(width(kind), 9)))
        values = data.draw(st.lists(numbers(bits), min_size=rows, max_size=rows))
        keys.append((kind, values))
        sorting.append(bits)
    row = list(range(rows))

    def program(e, v):
        *words, number, wide = v
        order = e.order(list(zip(words, sorting, strict=True)))
        assert len(order) == rows
        there = e.apply(order, [number, wide, words[0]])
        again = e.apply(order, [number])
        return [*there, *again, *e.unapply(order, there[:2])]

    places = sorted(row, key=lambda i: tuple(values[i] for _, values in keys))
    wide = [2**127 + i for i in row]
    kind, first = keys[0]
    expected = [
        ("r32", places),
        ("u128", [wide[i] for i in places]),
        (kind, [first[i] for i in places]),
        ("r32", places),
        ("r32", row),
        ("u128", wide),
    ]
    same(program, [*keys, ("r32", row), ("u128", wide)], expected)


@HARD
@given(data=st.data())
def test_shuffles_keep_the_rows(data):
    (a,) = data.draw(columns(64, 1))

    def program(e, v):
        return e.shuffle([*v, v[0]])

    vectors = [dealt(generator("rows"), "u64", a)]
    for machine in MACHINES:
        x, y = values_of(machine(program, vectors))
        assert sorted(x.tolist()) == sorted(a)
        assert x.tolist() == y.tolist()


@pytest.mark.parametrize("rows", [255, 256, 65_535, 65_537])
def test_orders_of_many_rows(rows):
    rng = generator("many", rows)
    keys = rng.integers(0, 1000, rows)
    values = rng.integers(0, 2**63, rows)

    def program(e, v):
        return e.apply(e.order([(v[0], 10)]), v)

    vectors = [dealt(rng, "u16", keys), dealt(rng, "r64", values)]
    found, carried = values_of(kernel(program, vectors))
    places = np.argsort(keys, kind="stable")
    assert (found == keys[places]).all()
    assert (carried == values[places]).all()


def test_large_vectors_in_pieces():
    """More than a piece of a message (1 MiB) in every kind of message."""
    rng = generator("large")
    rows = 300_001
    a, b = (rng.integers(0, 2**64, rows, np.uint64) for _ in range(2))

    def program(e, v):
        x, y, z = v
        return [
            e.mul(x, y),
            e.less(z, e.public("u64", 2**63, rows), 64),
            e.ring_to_words(x, 64),
            *e.shuffle([x, z]),
        ]

    vectors = [dealt(rng, "r64", a), dealt(rng, "r64", b), dealt(rng, "u64", a)]
    product, below, words, x, z = values_of(kernel(program, vectors))
    assert (product == a * b).all()
    assert (below == (a < 2**63)).all()
    assert (words == a).all()
    assert (x == z).all()
    assert (np.sort(x) == np.sort(a)).all()


# --- out ---


@pytest.mark.parametrize("kind", WORDS + RINGS)
def test_open_gives_the_values_to_all(kind):
    values = [0, 1, 2 ** width(kind) - 1, 2 ** (width(kind) - 1)]

    def program(party):
        opened = party.open(party.public(kind, values))
        party.check()
        return shares.as_integers(kind, opened), opened.shape, opened.dtype

    for opened, shape, dtype in shares.run_three(program):
        assert opened == values
        assert shape == ((4, 2) if width(kind) == 128 else (4,))
        assert dtype == np.dtype(f"uint{min(width(kind), 64)}")


@pytest.mark.parametrize("kind", WORDS + RINGS)
def test_dump_and_load_are_inverse(kind):
    def program(party):
        vector = party.public(kind, [1, 2, 3])
        first, second = party.dump(vector)
        return shares.as_integers(kind, party.open(party.load(kind, first, second)))

    assert shares.run_three(program) == [[1, 2, 3]] * 3
