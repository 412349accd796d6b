# SPDX-License-Identifier: Apache-2.0
"""Messages come back as they were packed; everything else is refused, whatever its bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.learning.world import Keys

from hitoku import limits
from hitoku.errors import PeerError
from hitoku.learning.wire import (
    REPLY_DOMAIN,
    REQUEST_DOMAIN,
    open_signed,
    pack,
    protected_bytes,
    protection,
    seal,
    unpack,
)

KEYS = Keys()
DTYPES = ["<u1", "<i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f4", "<f8"]
json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
arrays = st.dictionaries(
    st.text(max_size=12),
    st.sampled_from(DTYPES).flatmap(
        lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0, max_side=5))
    ),
    max_size=4,
)


@given(header=st.dictionaries(st.text(), json_data, max_size=4), given_arrays=arrays)
def test_what_is_packed_comes_back(header: dict[str, Any], given_arrays: dict[str, Any]) -> None:
    content = pack(header, given_arrays)
    assert len(content) % 8 == 0
    back, values = unpack(content)
    assert back == header
    assert list(values) == list(given_arrays)
    for name, array in given_arrays.items():
        assert values[name].dtype == array.dtype
        assert values[name].shape == array.shape
        assert values[name].tobytes() == array.tobytes()
        assert not values[name].flags.writeable


def test_other_orders_and_bytes() -> None:
    grid = np.arange(12).reshape(3, 4)
    _, back = unpack(pack({}, {"f": np.asfortranarray(grid), "b": grid.astype(">i4"), "raw": b"abc"}))
    assert np.array_equal(back["f"], grid)
    assert np.array_equal(back["b"], grid)
    assert back["raw"].tobytes() == b"abc"


def test_values_are_not_copied() -> None:
    content = pack({}, {"a": np.arange(1000)})
    _, back = unpack(content)
    assert np.shares_memory(back["a"], np.frombuffer(content, np.uint8))


@pytest.mark.parametrize(
    "array",
    [np.array(["a"]), np.array([True]), np.array([1j]), np.array([None]), np.zeros((1,) * 9)],
    ids=["text", "truth", "complex", "object", "dimensions"],
)
def test_arrays_that_cannot_travel(array: Any) -> None:
    with pytest.raises(PeerError, match="no form"):
        pack({}, {"a": array})


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), b"x", {1, 2}], ids=["nan", "inf", "bytes", "set"]
)
def test_headers_that_cannot_travel(value: Any) -> None:
    with pytest.raises(PeerError, match="plain data"):
        pack({"x": value}, {})


def test_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pack({}, {"a": np.zeros(100)})
    with pytest.raises(PeerError):
        unpack(content, len(content) - 1)
    monkeypatch.setattr(limits, "MAX_LEARNING_ARRAYS", 2)
    with pytest.raises(PeerError, match="too many"):
        pack({}, {str(n): np.zeros(1) for n in range(3)})
    monkeypatch.setattr(limits, "MAX_LEARNING_HEADER_BYTES", 100)
    with pytest.raises(PeerError, match="too large"):
        pack({"x": "y" * 200}, {})


def raw(data: Any, blobs: bytes = b"") -> bytes:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    text += b" " * (-(8 + len(text)) % 8)
    return b"HLW1" + len(text).to_bytes(4, "little") + text + blobs


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"HLW1",
        raw({"header": {}, "arrays": []})[:-1],
        raw({"header": {}, "arrays": []}) + bytes(8),
        b"HLW2" + raw({"header": {}, "arrays": []})[4:],
        raw({"header": {}}),
        raw({"header": [], "arrays": []}),
        raw({"header": {}, "arrays": {}}),
        raw({"header": {}, "arrays": [], "more": 1}),
        raw(b"\xff\xff"),
        raw(b"[" * 100_000),
        raw(b'{"header":{"x":NaN},"arrays":[]}'),
        raw(b'{"header":{"x":1e999},"arrays":[]}'),
        raw({"header": {}, "arrays": [["a", "u8", [8]]]}),
        raw({"header": {}, "arrays": [["a", "u8", [8]]]}, bytes(16)),
        raw({"header": {}, "arrays": [["a", "u8", [3]]]}, bytes(7) + b"\x01"),
        raw({"header": {}, "arrays": [["a", "u8", [8]], ["a", "u8", [8]]]}, bytes(16)),
        raw({"header": {}, "arrays": [["a", "o8", [8]]]}, bytes(8)),
        raw({"header": {}, "arrays": [["a", ["u8"], [8]]]}, bytes(8)),
        raw({"header": {}, "arrays": [[1, "u8", [8]]]}, bytes(8)),
        raw({"header": {}, "arrays": [["a", "u8"]]}, bytes(8)),
        raw({"header": {}, "arrays": [["a", "u8", 8]]}, bytes(8)),
        raw({"header": {}, "arrays": [["a", "u8", [-8]]]}, bytes(8)),
        raw({"header": {}, "arrays": [["a", "u8", [True, 8]]]}, bytes(8)),
        raw({"header": {}, "arrays": [["a", "u8", [8.0]]]}, bytes(8)),
        raw({"header": {}, "arrays": [["a", "u8", [0, *[1 << 40] * 4]]]}),
        raw({"header": {}, "arrays": [["a", "u8", [1 << 62, 1 << 62]]]}),
        raw({"header": {}, "arrays": [["a", "u8", [1] * 9]]}, bytes(8)),
    ],
    ids=lambda _: "",
)
def test_malformed(content: bytes) -> None:
    with pytest.raises(PeerError, match="malformed"):
        unpack(content)


@settings(max_examples=300)
@given(data=st.data())
def test_damage_is_refused_or_changes_values_only(data: st.DataObject) -> None:
    content = bytearray(pack({"x": [1, "two"]}, {"masked/a": np.arange(3), "b": np.zeros(3, np.float32)}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    try:
        header, values = unpack(bytes(content))
    except PeerError:
        return
    assert isinstance(header, dict)
    assert sum(v.nbytes for v in values.values()) <= len(content)


@given(content=st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    for made in (content, b"HLW1" + content, b"HLS1\0\0\0\0" + content):
        with pytest.raises(PeerError):
            open_signed(REPLY_DOMAIN, KEYS.public, made)


def test_signed_messages() -> None:
    signed = seal(REQUEST_DOMAIN, KEYS, {"x": 1}, {"a": np.arange(4)})
    opened = open_signed(REQUEST_DOMAIN, KEYS.public, signed.content)
    assert opened.header == {"x": 1}
    assert opened.arrays["a"].tolist() == [0, 1, 2, 3]
    assert (opened.digest, opened.signature) == (signed.digest, signed.signature)
    assert opened.arrays["a"].flags.aligned


@pytest.mark.parametrize("place", [0, 4, 8, 71, 72, 80, -1])
def test_a_changed_byte_breaks_the_signature(place: int) -> None:
    content = bytearray(seal(REQUEST_DOMAIN, KEYS, {"x": 1}, {"a": np.arange(4)}).content)
    content[place] ^= 1
    with pytest.raises(PeerError):
        open_signed(REQUEST_DOMAIN, KEYS.public, bytes(content))


def test_a_signature_is_for_one_domain_and_key() -> None:
    content = seal(REQUEST_DOMAIN, KEYS, {}, {}).content
    for domain, public in (
        (REPLY_DOMAIN, KEYS.public),
        (REQUEST_DOMAIN, Keys().public),
        (REQUEST_DOMAIN, "no key"),
    ):
        with pytest.raises(PeerError, match="another signature"):
            open_signed(domain, public, content)


def test_protection_by_name() -> None:
    assert [protection(n) for n in ("masked/a", "encrypted/c", "sealed/s", "a", "other/a", "masked")] == [
        "masked",
        "encrypted",
        "sealed",
        "open",
        "open",
        "open",
    ]
    counted = protected_bytes({"masked/a": np.zeros(2), "masked/b": np.zeros(1), "c": np.zeros(1, np.uint8)})
    assert counted == {"masked": 24, "open": 1}
