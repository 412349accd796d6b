"""Parameters, offers and terms: what both sides come to alike, and what is refused before a run."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import pickle
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.unit.protections.crosstab.world import inputs, keys, parameters

from hitoku.errors import LimitError
from hitoku.hazmat import group
from hitoku.protections.crosstab.link import Order, Spans, rebatched
from hitoku.protections.crosstab.masking import Masking, Raising, integers, secrets_of, sources
from hitoku.protections.crosstab.terms import Offer, Terms


def terms_of(given, sizes_a, sizes_b):
    public = group.new_elgamal_key().public if given.sums else None
    return Terms(
        given,
        Offer.make("a", given, sizes_a, bytes(32), None, keys("a")),
        Offer.make("b", given, sizes_b, bytes(32), public, keys("b")),
    )


def test_the_figures_of_a_plan():
    made = parameters(groups_a=3, groups_b=4, users_noise=10, delta0="1e-10", sums=((-5, 100), (0, 0)))
    assert made.cells == 12
    assert made.epsilon == Fraction(7, 50)
    assert made.m == 165
    assert made.dummies == 330
    assert made.least_size("a") == 4 * 330
    assert made.least_size("b") == 3 * 330
    assert made.largest == (100, 1)
    assert made.scale() == Fraction(50, 7)
    assert made.scale(0) == Fraction(5000, 7)
    assert made.offsets[0] == 18718
    assert made.log_range(0, 1000) == (-5000 - 18718, 100_000 + 18718)
    assert made.width == 32 + 2 * 64


@pytest.mark.parametrize(
    "change",
    [
        {"a": "telco"},
        {"sums": ((1, 0),)},
        {"delta0": "0.0"},
        {"delta0": "2"},
        {"delta0": "1e-0"},
        {"users_noise": 9},
        {"groups_a": 0},
        {"run": "abc"},
        {"room": "sha256:xyz"},
        {"sums": ((0, 1),) * 17},
        {"sums": ((0, 2**53),)},
        {"more": 1},
    ],
)
def test_parameters_that_make_no_run(change):
    with pytest.raises(ValidationError):
        parameters(**change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"groups_a": 101, "groups_b": 100},
            "10,100 cells, each with 68 dummy records a side; the limit is 10,000",
        ),
        ({"groups_a": 100, "groups_b": 100, "users_noise": 1000}, "dummy records each"),
        ({"users_noise": 100_000, "sums": ((0, 2**53 - 1),)}, "window"),
    ],
)
def test_runs_that_are_too_large_are_refused_with_the_numbers(change, words):
    with pytest.raises(LimitError, match=words):
        parameters(**change)


def test_sums_that_could_not_be_opened_are_refused_with_the_numbers():
    made = parameters(groups_a=100, groups_b=100, sums=((0, 10**9),))
    made.check_sums(10)
    with pytest.raises(LimitError, match="steps with a table"):
        made.check_sums(10**7)
    with pytest.raises(LimitError, match="lower the bounds"):
        parameters(sums=((0, 2**50),)).check_sums(10**7)
    sizes = [made.least_size("a") + 10**6] * 100
    with pytest.raises(LimitError):
        terms_of(made, sizes, sizes)


def test_terms_are_of_everything_that_was_agreed():
    made = parameters()
    sizes = [made.least_size("a") + 5] * 2
    seen = {terms_of(made, sizes, sizes).hash}
    seen.add(terms_of(made, [sizes[0] + 1, sizes[1]], sizes).hash)
    seen.add(terms_of(made, sizes, [sizes[0], sizes[1] + 1]).hash)
    # Another key.
    seen.add(terms_of(made, sizes, sizes).hash)
    nonce = Offer.make("a", made, sizes, b"\1" * 32, None, keys("a"))
    seen.add(Terms(made, nonce, terms_of(made, sizes, sizes).offer_b).hash)
    for change in ({"plan": "sha256:" + "8" * 64}, {"room": "sha256:" + "8" * 64}, {"users_noise": 11}):
        other = parameters(run=made.run, **change)
        more = [other.least_size("a") + 5] * 2
        seen.add(terms_of(other, more, more).hash)
    assert len(seen) == 8
    terms = terms_of(made, sizes, [sizes[0] + 9, sizes[1]])
    assert terms.matches == sizes[0]
    assert len(terms.run) == 32


# --- batches ---


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.lists(st.integers(1, 5), max_size=20))
def test_spans_know_the_group_of_every_row(sizes, steps):
    expected = [number for number, size in enumerate(sizes) for _ in range(size)]
    spans = Spans(tuple(sizes))
    found: list[int] = []
    for step in steps:
        rows = min(step, len(expected) - len(found))
        found += [number for number, count in spans.next(rows) for _ in range(count)]
    assert found == expected[: len(found)]


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_order_finds_the_first_record_that_is_not_above_the_one_before(data):
    sizes = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    rows = [
        bytes([byte, 9])
        for size in sizes
        for byte in data.draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    ]
    first, at = None, 0
    for size in sizes:
        for k in range(at + 1, at + size):
            if first is None and rows[k][0] <= rows[k - 1][0]:
                first = k
        at += size
    order, found, k = Order(tuple(sizes), 2, 1), None, 0
    while k < len(rows) and found is None:
        step = data.draw(st.integers(1, 4))
        try:
            order.check(group.records(b"".join(rows[k : k + step]), 2))
        except group.RecordError as error:
            found = error.row
        k += step
    assert found == first


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 9), max_size=9), st.integers(1, 5))
def test_batches_do_not_depend_on_how_they_were_computed(lengths, rows):
    count = sum(lengths)
    content = bytes(k % 256 for k in range(2 * count))
    arrays, at = [], 0
    for length in lengths:
        arrays.append(group.records(content, 2).slice(at, length) if count else group.records(b"", 2))
        at += length
    made = list(rebatched(arrays, rows))
    assert [len(array) for array in made] == [rows] * (count // rows) + [count % rows] * (count % rows > 0)
    assert b"".join(row.as_py() for array in made for row in array) == content


def test_functions_for_workers_are_plain_values():
    from hitoku.protections.crosstab.draws import Draws

    made = parameters()
    people = inputs(made, 5, 20, 5)
    draws = Draws.draw("b", made, people.of("b").digest)
    sizes = [made.least_size("b") + 40 + more for more in draws.padding]
    terms = terms_of(made, [made.least_size("a") + 40] * 2, sizes)
    for domain, batches in sources(terms, "b", people.of("b"), draws):
        for batch in batches:
            masking = Masking(secrets_of(draws), domain, terms.run)
            done = masking(batch)
            assert done.column(0).type.byte_width == 96
            assert done.column(1).equals(batch.column(1))
            again = pickle.loads(pickle.dumps(masking))
            assert again(batch.slice(0)).equals(done)
            # In pieces, as another executor cuts it.
            assert masking(batch.slice(3, 5)).equals(done.slice(3, 5))
            # With its secrets on another way.
            assert Masking(b"", domain, terms.run).apply(masking.secrets, batch).equals(done)
            raising = Raising(draws.mask)
            tags = pickle.loads(pickle.dumps(raising))(done.select([0]))
            assert tags.column(0).type.byte_width == 12
            assert masking.secrets.hex() not in repr(masking)
            assert str(masking.secrets) not in repr(masking)
    assert integers("q", [-1, 2]).to_pylist() == [-1, 2]
    assert integers("H", [65535]).to_pylist() == [65535]
