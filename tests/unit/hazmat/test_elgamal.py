"""ElGamal, small logarithms, joins and sums: what is opened is what was put in."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

from collections import Counter, defaultdict

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.errors import InputError, LimitError
from hitoku.hazmat import group

small = st.integers(-500, 500)
EMPTY = group.records(bytes(64), 64)


def numbers(values):
    return pa.array(values, pa.int64())


def opened(ciphertexts, key, low=-100_000, high=100_000):
    return group.decrypt(ciphertexts, key, group.DiscreteLog(low, high, len(ciphertexts))).to_pylist()


@settings(max_examples=30, deadline=None)
@given(pairs=st.lists(st.tuples(small, small, small), min_size=1, max_size=20), seeded=st.booleans())
def test_sums_of_ciphertexts_open_to_sums(pairs, seeded):
    key = group.new_elgamal_key()
    left, right, noise = (numbers(list(column)) for column in zip(*pairs, strict=True))
    extra = {"seed": bytes(range(32)), "contexts": group.random_points(len(pairs))} if seeded else {}
    made = group.encrypt(left, key, **extra)
    total = group.add(made, group.encrypt(right, key))
    sent = group.add_values(key.public, total, noise)
    assert opened(made, key) == left.to_pylist()
    assert opened(sent, key) == [sum(triple) for triple in pairs]
    assert not set(sent.to_pylist()) & set(total.to_pylist())


def test_equal_values_do_not_look_equal_and_a_seed_replays():
    key = group.new_elgamal_key()
    points = group.random_points(300)
    values = numbers([7] * 300)
    fresh = group.encrypt(values, key).to_pylist()
    halves = [half for one in fresh for half in (one[:32], one[32:])]
    assert len(set(halves)) == 600
    assert group.encrypt(values, key).to_pylist() != fresh
    seed = b"s" * 32
    seeded = group.encrypt(values, key, seed=seed, contexts=points, threads=2)
    assert seeded.equals(group.encrypt(values, key, seed=seed, contexts=points, threads=1))
    pieces = [
        group.encrypt(values[i : i + 70], key, seed=seed, contexts=points[i : i + 70])
        for i in range(0, 300, 70)
    ]
    assert pa.concat_arrays(pieces).equals(seeded)
    for other in (
        group.encrypt(numbers([8] * 300), key, seed=seed, contexts=points),
        group.encrypt(values, key, seed=seed, contexts=points, column=1),
        group.encrypt(values, key, seed=b"t" * 32, contexts=points),
        group.encrypt(values, key, seed=seed, contexts=group.random_points(300)),
    ):
        assert not {one[:32] for one in other.to_pylist()} & {one[:32] for one in seeded.to_pylist()}


def test_seeds_and_contexts_go_together():
    key, values, points = group.new_elgamal_key(), numbers([1, 2]), group.random_points(2)
    for extra in (
        {"seed": bytes(32)},
        {"contexts": points},
        {"seed": bytes(31), "contexts": points},
        {"seed": bytes(32), "contexts": points[:1]},
    ):
        with pytest.raises(group.RecordError):
            group.encrypt(values, key, **extra)


def test_extreme_values_survive_and_cancel():
    key = group.new_elgamal_key()
    most = 2**63 - 1
    made = group.encrypt(numbers([most, -most - 1]), key)
    back = group.add_values(key.public, made, numbers([-most, most]))
    assert opened(back, key) == [0, -1]


def test_nothing_summed_is_zero():
    key = group.new_elgamal_key()
    assert opened(EMPTY, key) == [0]
    assert opened(group.add_values(key.public, EMPTY, numbers([-3])), key) == [-3]


@settings(max_examples=40, deadline=None)
@given(
    low=st.integers(-(10**6), 10**6),
    size=st.integers(1, 5_000),
    memory=st.sampled_from([16, 1_024, 1 << 20]),
    data=st.data(),
)
def test_the_whole_range_is_found_ends_included_and_nothing_beyond(low, size, memory, data):
    key = group.new_elgamal_key()
    high = low + size - 1
    inside = [low, high, *data.draw(st.lists(st.integers(low, high), max_size=6))]
    log = group.DiscreteLog(low, high, len(inside), max_bytes=memory)
    made = group.encrypt(numbers([*inside, low - 1, high + 1]), key)
    assert group.decrypt(made[: len(inside)], key, log).to_pylist() == inside
    for row in (len(inside), len(inside) + 1):
        with pytest.raises(group.RecordError) as caught:
            group.decrypt(made[row : row + 1], key, log)
        assert (caught.value.code, caught.value.row) == ("out-of-range", 0)


def test_a_range_too_large_is_refused_with_the_number_before_any_work():
    with pytest.raises(LimitError) as caught:
        group.DiscreteLog(0, 10**17, 100, max_bytes=1 << 20, max_steps=10**6)
    message = str(caught.value)
    # A table of 2^16 points, and 10^17 / 2^16 steps for each of 100 cells.
    assert "100,000,000,000,000,001 values" in message
    assert f"{2**16 + 100 * -(-(10**17 + 1) // 2**16):,} steps" in message
    for low, high in ((1, 0), (-(2**63), 2**63 - 1)):
        with pytest.raises(InputError):
            group.DiscreteLog(low, high, 1)
    with pytest.raises(InputError):
        group.DiscreteLog(0, 2**63, 1)
    with pytest.raises(InputError):
        group.DiscreteLog(0, 1, 0)
    with pytest.raises(LimitError):
        group.DiscreteLog(0, 1, 1, max_bytes=8)
    log = group.DiscreteLog(0, 10, 1)
    key = group.new_elgamal_key()
    with pytest.raises(LimitError):
        group.decrypt(group.encrypt(numbers([1, 2]), key), key, log)


def test_another_key_does_not_open():
    key = group.new_elgamal_key()
    log = group.DiscreteLog(0, 1_000, 1)
    with pytest.raises(group.RecordError, match="range"):
        group.decrypt(group.encrypt(numbers([5]), group.new_elgamal_key()), key, log)


@settings(max_examples=100, deadline=None)
@given(junk=st.binary(min_size=64, max_size=64))
def test_no_bytes_make_the_decoders_panic(junk):
    key = group.new_elgamal_key()
    column = group.records(junk, 64)
    log = group.DiscreteLog(0, 3, 1)
    for work in (
        lambda: group.decrypt(column, key, log),
        lambda: group.add(column, EMPTY),
        lambda: group.add_values(key.public, column, numbers([1])),
        lambda: group.add_values(junk[:32], EMPTY, numbers([1])),
        lambda: group.check_points(column, at=32),
    ):
        try:
            work()
        except InputError as error:
            assert junk[:8].hex() not in str(error)  # noqa: PT017


# --- the whole join ---

person = st.tuples(st.integers(0, 60), st.integers(0, 2), st.integers(0, 1_000))
table = st.lists(person, unique_by=lambda row: row[0], max_size=40)


@settings(max_examples=40, deadline=None)
@given(a=table, b=table, parts=st.integers(1, 3), cut=st.integers(1, 40))
def test_the_protocol_without_noise_is_a_clear_cross_table(a, b, parts, cut):
    alpha, beta, key = group.new_key(), group.new_key(), group.new_elgamal_key()

    def masked(rows, mask):
        ids = group.records(b"".join(row[0].to_bytes(32, "big") for row in rows), 32)
        return group.mask(ids, mask, domain=b"d", run=b"r", threads=1)

    # Groups travel apart in the protocol; here each list is sorted whole and its groups follow.
    points = masked(a, alpha)
    left = group.tags(points, beta, threads=1)
    left_groups = pa.array([row[1] for row in a], pa.uint16())
    theirs = masked(b, beta)
    values = group.encrypt(numbers([row[2] for row in b]), key, threads=1)
    group_of = dict(zip(theirs.to_pylist(), (row[1] for row in b), strict=True))
    sent = group.sort(group.interleave([theirs, values]))
    right_groups = pa.array([group_of[one[:32]] for one in sent.to_pylist()], pa.uint16())
    right = group.tags(sent, alpha, threads=1)

    counts, total = [0] * 9, None
    for part in range(parts):
        matches = group.join((left, left_groups, 3), (right, right_groups, 3), part=(part, parts), threads=1)
        counts = [x + y for x, y in zip(counts, matches.counts().to_pylist(), strict=True)]
        sums = group.Sums(matches)
        for start in range(0, len(sent), cut):
            sums.add(sent[start : start + cut], at=32, start=start, threads=1)
        total = sums.result() if total is None else group.add(total, sums.result())
    expected_counts: Counter[int] = Counter()
    expected_sums: defaultdict[int, int] = defaultdict(int)
    ours = {row[0]: row[1] for row in a}
    for one, group_b, value in b:
        if one in ours:
            expected_counts[ours[one] * 3 + group_b] += 1
            expected_sums[ours[one] * 3 + group_b] += value
    assert counts == [expected_counts[cell] for cell in range(9)]
    assert opened(total, key) == [expected_sums[cell] for cell in range(9)]


def test_lists_that_cannot_be_joined_are_refused_with_side_and_row():
    points = group.random_points(30)
    tags = group.tags(points, group.new_key())
    groups = pa.array([0] * 30, pa.uint16())
    good = (tags, groups, 1)
    repeated = (pa.concat_arrays([tags[:29], tags[3:4]]), groups, 1)
    odd = (group.records(b"\x01" * 12 + tags[:29].buffers()[1][: 29 * 12].to_pybytes(), 12), groups, 1)
    for left, right, found in (
        (repeated, good, ("repeated", 29, 0)),
        (good, repeated, ("repeated", 29, 1)),
        (odd, good, ("not-a-tag", 0, 0)),
        (good, (tags, pa.array([0] * 29 + [1], pa.uint16()), 1), ("bad-group", 29, 1)),
        (good, (tags, groups[:29], 1), ("uneven-columns", None, 1)),
    ):
        with pytest.raises(group.RecordError) as caught:
            group.join(left, right)
        assert (caught.value.code, caught.value.row, caught.value.column) == found
    with pytest.raises(group.RecordError):
        group.join(good, (points, groups, 1))
    with pytest.raises(group.RecordError):
        group.join(good, good, part=(1, 1))
    with pytest.raises(LimitError):
        group.join((tags, groups, 65_536), (tags, groups, 65_536))
    assert group.join(good, good).counts().to_pylist() == [30]


def test_a_spoilt_ciphertext_is_named_whether_it_matched_or_not_and_adds_nothing():
    key = group.new_elgamal_key()
    tags = group.tags(group.random_points(20), group.new_key())
    groups = pa.array([0] * 20, pa.uint16())
    matches = group.join((tags[5:], groups[5:], 1), (tags, groups, 1))
    made = group.encrypt(numbers(list(range(20))), key).to_pylist()
    sums = group.Sums(matches)
    bad = list(made)
    bad[3] = bytes(64)  # of a record that did not match
    bad[11] = made[11][:32] + bytes(32)
    for row in (3, 11):
        for threads in (1, 2):
            with pytest.raises(group.RecordError) as caught:
                sums.add(group.records(b"".join(bad), 64), threads=threads)
            assert (caught.value.code, caught.value.row) == ("identity", row)
        assert sums.result().to_pylist() == [bytes(64)]
        bad[3] = made[3]
    sums.add(group.records(b"".join(made), 64))
    assert opened(sums.result(), key) == [sum(range(5, 20))]
