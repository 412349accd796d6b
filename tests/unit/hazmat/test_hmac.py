# SPDX-License-Identifier: Apache-2.0
"""HMAC-SHA256 of columns of texts, against Python's."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import hashlib
import hmac

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.hazmat import group

KEY = bytes(range(32))


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(st.text(max_size=150), max_size=20),
    prefix=st.binary(max_size=80),
    kind=st.sampled_from([pa.string(), pa.large_string(), pa.binary(), pa.large_binary()]),
    cut=st.integers(0, 3),
    threads=st.integers(1, 2),
)
def test_codes_are_pythons(texts, prefix, kind, cut, threads):
    column = pa.array([text.encode() for text in texts], pa.binary()).cast(kind)[cut:]
    made = group.hmac_records(column, KEY, prefix=prefix, threads=threads)
    assert made.type == pa.binary(32)
    expected = [hmac.new(KEY, prefix + text.encode(), hashlib.sha256).digest() for text in texts[cut:]]
    assert made.to_pylist() == expected


def test_many_rows_over_several_threads():
    texts = [str(n) for n in range(10_000)]
    made = group.hmac_records(pa.array(texts), KEY, prefix=b"k\0", threads=2).to_pylist()
    assert made == [hmac.new(KEY, b"k\0" + t.encode(), hashlib.sha256).digest() for t in texts]


@pytest.mark.parametrize(
    ("column", "key", "code", "row"),
    [
        (pa.array(["a", None]), KEY, "null", 1),
        (pa.array([1]), KEY, "unsupported-type", None),
        (pa.array(["a"]), KEY[:31], "bad-key", None),
        (pa.array(["a"]), KEY + b"x", "bad-key", None),
    ],
)
def test_what_is_not_as_described_is_refused(column, key, code, row):
    with pytest.raises(group.RecordError) as caught:
        group.hmac_records(column, key)
    assert (caught.value.code, caught.value.row) == (code, row)
