"""The Rust kernels against the slow implementation, type by type."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import struct
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku import _core

KEY = b"k" * 32

ENCODINGS = [
    (pa.string(), "né", 1, "né".encode()),
    (pa.large_string(), "né", 1, "né".encode()),
    (pa.int64(), -2, 2, struct.pack(">q", -2)),
    (pa.bool_(), True, 3, b"\x01"),
    (pa.date32(), 20_000, 5, struct.pack(">i", 20_000)),
    (pa.decimal128(9, 2), Decimal("-0.05"), 6, struct.pack(">ii", 9, 2) + b"-0.05"),
    (pa.decimal256(50, 1), Decimal("12.5"), 6, struct.pack(">ii", 50, 1) + b"12.5"),
    (pa.float64(), 1.5, 7, struct.pack(">d", 1.5)),
    (pa.float32(), 1.5, 8, struct.pack(">f", 1.5)),
    (pa.int32(), 7, 9, struct.pack(">i", 7)),
    (pa.int16(), 7, 10, struct.pack(">h", 7)),
    (pa.timestamp("ms"), 5, 11, b"\x00" + struct.pack(">iq", 0, 5)),
    (pa.timestamp("us", tz="UTC"), 5, 11, b"\x01" + struct.pack(">iq", 1, 5)),
    (pa.timestamp("ns"), -5, 11, b"\x00" + struct.pack(">iq", 2, -5)),
]


@pytest.mark.parametrize(("kind", "value", "index", "encoded"), ENCODINGS, ids=str)
@pytest.mark.parametrize("pad_to", [None, 40])
def test_every_type_is_sealed_as_the_format_says(slow, kind, value, index, encoded, pad_to):
    array = pa.array([value, None], kind)
    sealed = _core.seal([array], ["h"], [pad_to], slow.root(), False)[0].to_pylist()
    assert slow.unseal(sealed[0])[:3] == (index, False, encoded)
    assert slow.unseal(sealed[1])[:3] == (index, True, b"")
    if pad_to:
        assert len(sealed[0]) == len(sealed[1]), "a padded NULL cannot be told by its length"
    kept = _core.seal([array], ["h"], [pad_to], slow.root(), True)[0]
    assert kept.null_count == 1


@pytest.mark.parametrize(("kind", "value", "index", "encoded"), ENCODINGS, ids=str)
def test_every_type_is_opened_as_what_it_was(slow, kind, value, index, encoded):
    nonce = b"n" * 32
    texts = [slow.seal(encoded, index, "h", nonce, 60), slow.seal(None, index, "h", nonce, 60)]
    sealed = pa.array([*texts, None])
    if index == 1:
        opened, fingerprints = _core.unseal_text(sealed, slow.root())
        assert (opened.to_pylist(), fingerprints) == (["né", None, None], 0)
        assert _core.unseal_type(sealed, slow.root()) == "string"
    else:
        opened = _core.unseal_typed(sealed, slow.root(), kind)
        assert opened.equals(pa.array([value, None, None], kind))
        with pytest.raises(_core.CellError, match="mixed-types"):
            _core.unseal_typed(sealed, slow.root(), pa.int64() if index != 2 else pa.int32())


@pytest.mark.parametrize(
    ("kind", "value", "index", "encoded"),
    [
        (pa.string(), "CIO", 1, b"CIO"),
        (pa.int64(), 5, 2, struct.pack(">q", 5)),
        (pa.int32(), 5, 2, struct.pack(">q", 5)),
        (pa.int16(), -5, 2, struct.pack(">q", -5)),
        (pa.bool_(), False, 3, b"\x00"),
        (pa.date32(), 9, 5, struct.pack(">i", 9)),
    ],
    ids=str,
)
def test_fingerprints_are_of_the_class_representative(slow, kind, value, index, encoded):
    made = _core.fingerprint(pa.array([value], kind), KEY, False).to_pylist()
    assert made == [slow.fingerprint(KEY, encoded, index)]


@pytest.mark.parametrize("kind", [pa.float64(), pa.decimal128(5, 1), pa.timestamp("us")], ids=str)
def test_types_without_a_class_have_no_fingerprint(kind):
    with pytest.raises(_core.CellError, match="no-equivalence-class"):
        _core.fingerprint(pa.nulls(1, kind), KEY, False)


@settings(deadline=None)
@given(st.lists(st.none() | st.text(), max_size=30), st.integers(0, 3))
def test_slices_and_nulls(values, start):
    array = pa.array(values, pa.string())[min(start, len(values)) :]
    kept = _core.fingerprint(array, KEY, True).to_pylist()
    assert [v is None for v in kept] == [v is None for v in array.to_pylist()]
    sealed = _core.seal([array], ["h"], [None], KEY, False)[0]
    assert _core.unseal_text(sealed, KEY)[0].to_pylist() == array.to_pylist()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_opening_hostile_text_is_an_error_or_passes_through(text):
    for prefix in ("", "02:enc:", "02:hmac:", "01:enc:", "02:enc:" + "A" * 100):
        array = pa.array([prefix + text])
        try:
            opened, _ = _core.unseal_text(array, KEY)
        except _core.CellError as error:
            row = error.args[1]
        else:
            row = 0
            assert opened.to_pylist() == array.to_pylist()
        assert row == 0


@settings(deadline=None)
@given(st.lists(st.integers(-(2**31), 2**31 - 1), unique=True), st.integers(1, 9))
def test_a_shuffle_loses_nothing(values, buckets):
    import tempfile
    from pathlib import Path

    schema = pa.schema([("a", pa.int32()), ("b", pa.string()), ("c", pa.bool_())])
    batch = pa.record_batch(
        [pa.array(values, pa.int32()), [str(v) for v in values], [v > 0 for v in values]],
        schema=schema,
    )
    shuffle = _core.Shuffle(schema, buckets, 0, Path(tempfile.gettempdir()))
    shuffle.push(batch)
    out = [row for k in range(buckets) for row in shuffle.take(k).slice(0, 1 << 20).to_pylist()]
    assert sorted(row["a"] for row in out) == sorted(values)
    assert all(row["b"] == str(row["a"]) and row["c"] == (row["a"] > 0) for row in out)


def test_order_is_uniform_over_small_permutations():
    # 4 rows, 24 orders, 12,000 draws: 500 each are expected; chi-square with 23 degrees of freedom
    # is above 95 once in 10^10 runs.
    from collections import Counter
    from pathlib import Path

    schema = pa.schema([("a", pa.int16())])
    batch = pa.record_batch([pa.array([0, 1, 2, 3], pa.int16())], schema=schema)
    seen: Counter[tuple[int, ...]] = Counter()
    for _ in range(12_000):
        shuffle = _core.Shuffle(schema, 3, 1 << 20, Path("/tmp"))
        shuffle.push(batch)
        order = [v for k in range(3) for v in shuffle.take(k).slice(0, 9).column(0).to_pylist()]
        seen[tuple(order)] += 1
    assert len(seen) == 24
    assert sum((count - 500) ** 2 / 500 for count in seen.values()) < 95
