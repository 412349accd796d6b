# SPDX-License-Identifier: Apache-2.0
"""Spellings of one identifier: whole columns at once mean what each text means by itself."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.protections.crosstab.prepare.normalise import Steps
from hitoku.room.crosstab import Normalise

TEXTS = st.one_of(
    st.text(max_size=12),
    st.text("aAzZ09 -\t\x1f()+.", max_size=16),
    st.text("０９８１+()（）ー−- ①ßǅﬁ\u3000\u0660İ", max_size=16),
    st.text("0123456789+-() ", max_size=18),
    st.just("0" * 20),
)
STEPS = st.lists(st.sampled_from(list(Normalise)), max_size=4)
CODES = st.sampled_from(["81", "1", "7", "39", "36", "44"])


@settings(max_examples=400, deadline=None)
@given(
    texts=st.lists(st.none() | TEXTS, max_size=12),
    steps=STEPS,
    code=CODES,
    large=st.booleans(),
    cut=st.integers(0, 3),
)
def test_a_column_is_normalised_as_each_of_its_texts(texts, steps, code, large, cut):
    made = Steps(steps, code)
    column = pa.array(texts, pa.large_string() if large else pa.string())[cut:]
    expected = [made.text(text or "") for text in texts[cut:]]
    assert made.column(column).to_pylist() == expected


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=20))
def test_case_and_width_do_not_matter(text):
    steps = Steps((Normalise.NFKC, Normalise.CASEFOLD, Normalise.NFKC, Normalise.TRIM), None)
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
    for other in (wide, unicodedata.normalize("NFD", text), f"  {text}\t"):
        assert steps.text(other) == steps.text(text)
    ascii_ = "".join(c for c in text if c.isascii())
    assert steps.text(ascii_.upper()) == steps.text(ascii_.lower())


def test_the_steps_do_what_they_say():
    for steps, text, expected in (
        (("trim",), "\u3000 a b \x1c", "a b"),
        (("nfkc",), "ﬁ①Ａ", "fi1A"),
        (("casefold",), "Straße", "strasse"),
        (("digits",), "No. ٣-４x5", "345"),
        (("alnum",), "a-b_c 日本!9", "abc日本9"),
        ((), "As it is ", "As it is "),
        ((), "two\x1fparts", ""),
    ):
        assert Steps(tuple(map(Normalise, steps)), None).text(text) == expected


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("81", "090-1234-5678", "+819012345678"),
        ("81", "０９０ー１２３４−５６７８", "+819012345678"),
        ("81", "(090) 1234 5678 ", "+819012345678"),
        ("81", "+81 (0)90-1234-5678", "+819012345678"),
        ("81", "(+81) 90.1234.5678", "+819012345678"),
        ("81", "0081-90-1234-5678", "+819012345678"),
        ("81", "010-1-415-555-0100", "+14155550100"),
        ("81", "+1 415 555 0100", "+14155550100"),
        ("1", "(415) 555-0100", "+14155550100"),
        ("1", "1-415-555-0100", "+14155550100"),
        ("1", "011 81 90 1234 5678", "+819012345678"),
        ("7", "8 (912) 345-67-89", "+79123456789"),
        ("7", "800 123-45-67", "+78001234567"),
        ("39", "06 698 1234", "+39066981234"),
        ("36", "06 1 234 5678", "+3612345678"),
        ("44", "020 7946 0018", "+442079460018"),
        ("81", "", ""),
        ("81", "0", ""),
        ("81", "+0 123 456 7890", ""),
        ("81", "+81+9012345678", ""),
        ("81", "090-1234-5678 ext 3", ""),
        ("81", "+1234567890123456", ""),
        ("81", "+123456", ""),
    ],
)
def test_telephone_numbers(code, text, expected):
    steps = Steps((Normalise.E164,), code)
    assert steps.text(text) == expected
    assert steps.column(pa.array([text])).to_pylist() == [expected]


def test_e164_needs_a_code():
    with pytest.raises(ValueError, match="calling code"):
        Steps((Normalise.E164,), None)
