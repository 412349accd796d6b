# SPDX-License-Identifier: Apache-2.0
"""SPDM measurements as bytes: what is read, and what is refused before anything is verified."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attestation_gpu import NONCE, OPAQUE, GpuWorld, blocks, fields

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.spdm import is_measured, parse

WORLD = GpuWorld()
GOOD = WORLD.content()
TWO = blocks({1: b"a" * 48, 2: b"b" * 48})


def code(content: bytes) -> Code:
    with pytest.raises(Refused) as refused:
        parse(content)
    return refused.value.code


def test_it_reads_what_was_written():
    read = parse(GOOD)
    assert is_measured(GOOD)
    assert read.nonce == NONCE
    assert read.blocks == {i: bytes([i]) * 48 for i in range(1, 65)}
    assert read.opaque == OPAQUE
    assert read.signed + read.r.to_bytes(48, "big") + read.s.to_bytes(48, "big") == GOOD


@pytest.mark.parametrize(
    "content", [b"", b"\x11\xe0", GOOD[:45], bytes(200), b"\x10" + GOOD[1:], GOOD[:37] + bytes(99)]
)
def test_what_is_none(content):
    assert not is_measured(content)
    assert code(content) is Code.MALFORMED


def test_every_byte_has_its_place():
    assert code(GOOD + b"\0") is Code.MALFORMED
    for size in range(46, len(GOOD), 91):
        assert code(GOOD[:size]) is Code.MALFORMED
    assert code(GOOD[:-1]) is Code.MALFORMED
    assert code(bytes(1) + GOOD) is Code.MALFORMED
    assert code(GOOD + bytes(1 << 16)) is Code.MALFORMED


@pytest.mark.parametrize("request_", [b"\x11\xe0\x00\xff", b"\x11\xe0\x01\x01", b"\x11\xe0\x02\xff"])
def test_all_measurements_must_be_asked_for_signed(request_):
    assert code(WORLD.content(request=request_)) is Code.UNSUPPORTED


@pytest.mark.parametrize(
    ("record", "count"),
    [
        (TWO, 1),
        (TWO, 3),
        (b"", 0),
        (TWO[:-1], 2),
        (TWO + b"\0", 2),
        (blocks({1: b"a" * 48}) * 2, 2),
        (b"\x01\x02" + TWO[2:], 2),
        (TWO[:5] + b"\x2f" + TWO[6:], 2),
        (b"\x01\x01\x02\x00\x01\x00" + TWO[55:], 2),
    ],
    ids=["more", "fewer", "none", "cut", "rest", "twice", "other form", "inner length", "too short"],
)
def test_measurements_that_are_not_in_their_form(record, count):
    assert code(WORLD.content(record=record, count=count)) is Code.MALFORMED
    assert parse(WORLD.content(record=TWO, count=2)).blocks == {1: b"a" * 48, 2: b"b" * 48}


@pytest.mark.parametrize("opaque", [b"\x01", b"\x01\x00\x05\x00abcd", fields({3: b"a"}) * 2])
def test_opaque_fields_that_are_not_in_their_form(opaque):
    assert code(WORLD.content(opaque=opaque)) is Code.MALFORMED


@settings(max_examples=200, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_whatever_comes_is_read_or_refused(edits):
    content = bytearray(GOOD)
    for at, value in edits:
        content[at] = value
    try:
        read = parse(bytes(content))
    except Refused as refused:
        found = refused.code
    else:
        assert bytes(content).startswith(read.signed)
        return
    assert found in {Code.MALFORMED, Code.UNSUPPORTED}
