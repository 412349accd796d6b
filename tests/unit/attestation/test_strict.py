# SPDX-License-Identifier: Apache-2.0
"""The strict readers of CBOR and DER: what they take, what they refuse, and that others read the same."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.attestation_pki import tlv

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.strict import DEPTH, Element, Tagged, cbor, der, der_sequence, encode_cbor


def malformed(refused: Refused) -> None:
    """Nothing else is said of a form."""
    assert refused.code is Code.MALFORMED


# --- CBOR ---

KEYS = st.integers(-(2**63), 2**63) | st.text(max_size=5) | st.binary(max_size=5)
LEAVES = st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.text() | st.binary()
ITEMS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(ITEMS)
def test_it_reads_what_an_encoder_writes(item: Any) -> None:
    assert cbor(cbor2.dumps(item), most=1 << 20) == item


@given(st.binary(max_size=64))
def test_what_it_takes_cbor2_reads_alike_and_writes_back_as_it_was(content: bytes) -> None:
    try:
        item = cbor(content, most=64)
    except Refused as refused:
        malformed(refused)
        return
    assert cbor2.loads(content) == item
    assert cbor2.dumps(item) == content


@given(
    st.recursive(
        st.none() | st.binary() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=10,
    )
)
def test_it_writes_what_an_encoder_writes(item: Any) -> None:
    assert encode_cbor(item) == cbor2.dumps(item)


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 65535, 65536])
def test_it_writes_lengths_of_each_size(size: int) -> None:
    assert encode_cbor(bytes(size)) == cbor2.dumps(bytes(size))
    assert encode_cbor("a" * size) == cbor2.dumps("a" * size)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "ends too early"),
        ("0000", "behind"),
        ("1817", "shortest"),
        ("190017", "shortest"),
        ("1900ff", "shortest"),
        ("1a0000ffff", "shortest"),
        ("1b00000000ffffffff", "shortest"),
        ("18", "ends too early"),
        ("1b00000000", "ends too early"),
        ("41", "longer than"),
        ("5bffffffffffffffff", "longer than"),
        ("61ff", "UTF-8"),
        ("5f4100ff", "indefinite"),
        ("9fff", "indefinite"),
        ("bfff", "indefinite"),
        ("1c", "reserved"),
        ("9bffffffffffffffff", "longer than"),
        ("8200", "longer than"),
        ("bbffffffffffffffff", "longer than"),
        ("a10102" + "00", "behind"),
        ("a201020103", "twice"),
        ("a2616100616101", "twice"),
        ("a1f500", "neither"),
        ("a1f600", "neither"),
        ("a1820000", "neither"),
        ("a1810000", "neither"),
        ("f97e00", "float"),
        ("fa00000000", "float"),
        ("f7", "neither true"),
        ("e0", "neither true"),
        ("f820", "float"),
        ("d28400", "tag"),
        ("c240", "tag"),
        ("ff", "float"),
    ],
)
def test_it_refuses_other_spellings(content: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as caught:
        cbor(bytes.fromhex(content), most=1024)
    assert caught.value.code is Code.MALFORMED


def test_a_tag_comes_out_as_one_where_it_may_stand() -> None:
    assert cbor(b"\xd2\x01", most=2, tags={18}) == Tagged(18, 1)
    with pytest.raises(Refused, match="tag"):
        cbor(b"\xd3\x01", most=2, tags={18})


def test_nesting_is_bounded() -> None:
    assert cbor(b"\x81" * (DEPTH - 1) + b"\x00", most=1024)
    for opening in (b"\x81", b"\xa1\x00"):
        with pytest.raises(Refused, match="nested"):
            cbor(opening * DEPTH + b"\x00", most=1024)
    with pytest.raises(Refused, match="nested"):
        cbor(b"\xd2" * 1023 + b"\x00", most=1024, tags={18})


def test_length_is_bounded() -> None:
    assert cbor(b"\x40", most=1) == b""
    with pytest.raises(Refused, match="longer than 1 bytes"):
        cbor(b"\x41\x00", most=1)


def test_numbers_are_read_at_each_size() -> None:
    for value in (0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1):
        assert cbor(cbor2.dumps(value), most=16) == value
        assert cbor(cbor2.dumps(-1 - value), most=16) == -1 - value


# --- DER ---


@given(st.binary(max_size=64))
def test_der_elements_are_the_bytes_they_were_read_from(content: bytes) -> None:
    try:
        elements = der_sequence(content)
    except Refused as refused:
        malformed(refused)
        return
    assert b"".join(e.whole for e in elements) == content
    assert all(tlv(e.tag, e.content) == e.whole for e in elements)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "ends too early"),
        ("30", "ends too early"),
        ("3000" + "00", "behind"),
        ("3080" + "0000", "indefinite"),
        ("30810100", "shortest"),
        ("30817f" + "00" * 127, "shortest"),
        ("30820080" + "00" * 128, "shortest"),
        ("3085000000000100", "indefinite"),
        ("308401", "too long"),
        ("3001", "longer than"),
        ("30847fffffff", "longer than"),
        ("1f810000", "several bytes"),
    ],
)
def test_der_refuses_other_spellings(content: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as caught:
        der(bytes.fromhex(content), most=1024)
    assert caught.value.code is Code.MALFORMED


def test_der_is_bounded() -> None:
    with pytest.raises(Refused, match="longer than 4 bytes"):
        der(b"\x04\x03abc", most=4)
    with pytest.raises(Refused, match="more than 2"):
        der(tlv(0x30, b"\x05\x00" * 3), most=64).children(most=2)
    assert len(der(tlv(0x30, b"\x05\x00" * 2), most=64).children(most=2)) == 2


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("020100", 0),
        ("02017f", 127),
        ("02020080", 128),
        ("020180", -128),
        ("0202ff7f", -129),
        ("020300db00", 56064),
    ],
)
def test_integers(content: str, value: int) -> None:
    assert one(content).integer() == value


@pytest.mark.parametrize("content", ["0200", "02020001", "0202ff80", "0401" + "00", "0241" + "01" * 65])
def test_integers_in_another_form_are_refused(content: str) -> None:
    with pytest.raises(Refused):
        one(content).integer()


def test_truths() -> None:
    assert one("0101ff").boolean() is True
    assert one("010100").boolean() is False
    for content in ("010101", "0100", "0102ffff", "0201ff"):
        with pytest.raises(Refused):
            one(content).boolean()


def test_bit_strings() -> None:
    assert one("03020186").named_bits() == {0, 5, 6}
    assert one("0303070080").named_bits() == {8}
    assert one("030100").named_bits() == frozenset()
    assert one("030200ff").bits() == b"\xff"
    for content in ("0300", "03020187", "03020800", "030101", "030a00" + "01" * 9, "040100"):
        with pytest.raises(Refused):
            one(content).named_bits()
    for content in ("0300", "03020180", "040100"):
        with pytest.raises(Refused):
            one(content).bits()


def test_octet_strings() -> None:
    assert one("0402abcd").octets() == b"\xab\xcd"
    with pytest.raises(Refused):
        one("0302abcd").octets()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("0603551d13", "2.5.29.19"),
        ("06092b060104019c780102", "1.3.6.1.4.1.3704.1.2"),
        ("06022a03", "1.2.3"),
        ("060178", "2.40"),
    ],
)
def test_object_identifiers(content: str, name: str) -> None:
    assert one(content).oid() == name


@pytest.mark.parametrize(
    "content", ["0600", "060180", "06022a80", "06032a8001", "0641" + "01" * 65, "040155"]
)
def test_object_identifiers_in_another_form_are_refused(content: str) -> None:
    with pytest.raises(Refused):
        one(content).oid()


def test_times() -> None:
    assert Element(0x17, b"221013085759Z", b"").time() == datetime(2022, 10, 13, 8, 57, 59, tzinfo=UTC)
    assert Element(0x17, b"500101000000Z", b"").time().year == 1950
    assert Element(0x17, b"491231235959Z", b"").time().year == 2049
    assert Element(0x18, b"99991231235959Z", b"").time().year == 9999


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (0x17, b"2210130857Z"),
        (0x17, b"221013085759"),
        (0x17, b"221013085759+0000"),
        (0x17, b"221313085759Z"),
        (0x17, b"221013085760Z"),
        (0x18, b"20221013085759.5Z"),
        (0x18, b"221013085759Z"),
        (0x18, b"00000101000000Z"),
        (0x18, b"2022101308575 Z"),
        (0x18, "2022101308575²Z".encode()),
        (0x18, b"+0221013085759Z"),
        (0x04, b"221013085759Z"),
    ],
)
def test_times_in_another_form_are_refused(tag: int, text: bytes) -> None:
    with pytest.raises(Refused) as caught:
        Element(tag, text, b"").time()
    assert caught.value.code is Code.MALFORMED


def one(content: str) -> Element:
    """An element from hexadecimal."""
    return der(bytes.fromhex(content), most=256)


def test_cbor2_itself_would_take_what_is_refused() -> None:
    """Why this module is there."""
    assert cbor2.load(io.BytesIO(b"\x00\x00")) == 0
    assert cbor2.loads(bytes.fromhex("a201020103")) == {1: 3}
