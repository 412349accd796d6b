# SPDX-License-Identifier: Apache-2.0
"""Intel quotes as bytes: what is read, and what is refused before anything is verified."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attestation_intel import IntelWorld, domain

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Kind
from hitoku.attestation.quote import is_quote, parse

WORLD = IntelWorld()
QUOTES = {
    (kind, version): WORLD.quote(kind, version)
    for kind, version in [(Kind.TDX, 4), (Kind.TDX, 5), (Kind.SGX, 3)]
}
STARTS = {(Kind.TDX, 4): 632, (Kind.TDX, 5): 54 + 648, (Kind.SGX, 3): 432}
"""Where the length of the signature data stands."""


def code(content: bytes) -> Code:
    with pytest.raises(Refused) as refused:
        parse(content)
    return refused.value.code


def patched(content: bytes, at: int, value: bytes) -> bytes:
    return content[:at] + value + content[at + len(value) :]


@pytest.mark.parametrize("form", QUOTES, ids=str)
def test_it_reads_what_was_written(form):
    quote = parse(QUOTES[form])
    assert (quote.kind, quote.version) == form
    assert is_quote(QUOTES[form])
    assert quote.content == QUOTES[form]
    assert quote.chain is not None
    assert quote.chain.startswith(b"-----BEGIN CERTIFICATE-----")
    assert quote.chain.count(b"BEGIN") == 3


PLACES = {
    "tee_tcb_svn": 48,
    "td_attributes": 168,
    "mrtd": 184,
    "rtmr0": 376,
    "rtmr3": 520,
    "report_data": 568,
}


@pytest.mark.parametrize(("field", "offset"), PLACES.items())
def test_fields_are_where_intel_puts_them(field, offset):
    size = len(parse(QUOTES[Kind.TDX, 4]).fields[field])
    marked = patched(QUOTES[Kind.TDX, 4], offset, b"\xaa" * size)
    assert parse(marked).fields[field] == b"\xaa" * size
    other = parse(QUOTES[Kind.TDX, 4]).fields
    assert {n: v for n, v in parse(marked).fields.items() if n != field} == {
        n: v for n, v in other.items() if n != field
    }


@pytest.mark.parametrize("form", QUOTES, ids=str)
def test_what_lies_behind_is_left_out(form):
    assert parse(QUOTES[form] + b"extra") == parse(QUOTES[form])


@pytest.mark.parametrize("form", QUOTES, ids=str)
def test_a_quote_that_ends_early_is_malformed(form):
    quote = QUOTES[form]
    for size in (0, 1, 47, 48, 53, 54, 100, STARTS[form], STARTS[form] + 3, STARTS[form] + 4, len(quote) - 1):
        assert code(quote[:size]) is Code.MALFORMED


@pytest.mark.parametrize("form", QUOTES, ids=str)
@pytest.mark.parametrize("size", [0, 1, 127, 128, 700, 0xFFFFFFFF])
def test_a_wrong_length_of_the_signature_data_is_malformed(form, size):
    assert code(patched(QUOTES[form], STARTS[form], struct.pack("<I", size))) is Code.MALFORMED


@pytest.mark.parametrize("form", QUOTES, ids=str)
@pytest.mark.parametrize("more", [1, -1])
def test_every_inner_length_must_fit_exactly(form, more):
    quote = QUOTES[form]
    start = STARTS[form] + 4 + 128
    places = [(start + 2, 4)] if form[0] is Kind.TDX else []
    inner = start + 6 if form[0] is Kind.TDX else start
    places += [(inner + 448, 2), (inner + 448 + 2 + 32 + 2, 4)]
    for at, size in places:
        value = int.from_bytes(quote[at : at + size], "little") + more
        assert code(patched(quote, at, value.to_bytes(size, "little"))) is Code.MALFORMED


def test_nothing_stands_behind_the_certification():
    for form, quote in QUOTES.items():
        start = STARTS[form]
        size = int.from_bytes(quote[start : start + 4], "little")
        assert code(patched(quote + b"x", start, struct.pack("<I", size + 1))) is Code.MALFORMED


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, b"\x02\x00"),
        (0, b"\x06\x00"),
        (0, b"\x03\x00"),
        (2, b"\x03\x00"),
        (4, b"\x01"),
        (4, b"\x00"),
        (12, b"x"),
    ],
    ids=["version 2", "version 6", "TDX 3", "key type", "TEE", "SGX 4", "vendor"],
)
def test_other_forms_are_not_supported(at, value):
    assert code(patched(QUOTES[Kind.TDX, 4], at, value)) is Code.UNSUPPORTED


def test_other_bodies_and_certifications_are_not_supported():
    quote = QUOTES[Kind.TDX, 5]
    for kind in (0, 1, 4, 5):
        assert code(patched(quote, 48, struct.pack("<H", kind))) is Code.UNSUPPORTED
    assert code(patched(quote, 50, struct.pack("<I", 647))) is Code.MALFORMED
    assert code(patched(quote, 48, struct.pack("<H", 2))) is Code.MALFORMED
    quote = QUOTES[Kind.TDX, 4]
    assert code(patched(quote, 636 + 128, struct.pack("<H", 5))) is Code.UNSUPPORTED


def test_version_5_with_a_domain_of_tdx_1_0():
    quote = parse(WORLD.quote(version=5, body=domain(4)))
    assert "mrservicetd" not in quote.fields
    assert quote.fields["mrtd"] == b"\x07" * 48


def test_a_quote_that_names_its_platform_otherwise_has_no_chain():
    assert parse(WORLD.quote(certification=3)).chain is None


@pytest.mark.parametrize("content", [b"", b"\x04\x00\x02\x00", bytes(100), b"\x04" * 100])
def test_what_is_no_quote(content):
    assert not is_quote(content)


@settings(max_examples=300, deadline=None)
@given(
    form=st.sampled_from(list(QUOTES)),
    edits=st.lists(
        st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=4)), min_size=1, max_size=5
    ),
)
def test_whatever_comes_is_read_or_refused(form, edits):
    content = QUOTES[form]
    for at, value in edits:
        content = patched(content, at % len(content), value)
    try:
        quote = parse(content)
    except Refused as refused:
        found = refused.code
    else:
        assert content.startswith(quote.content)
        return
    assert found in {Code.MALFORMED, Code.UNSUPPORTED}
