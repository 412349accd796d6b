# SPDX-License-Identifier: Apache-2.0
"""Frames are exactly what they say, or refused."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hitoku.inference.errors import ModelError
from hitoku.inference.wire import Kind, pack, unpack

NAME = bytes(range(32))
ID = bytes(range(16))


def frame() -> bytes:
    return pack(Kind.KEYS, NAME, [b"abc", b"", b"de"], ID)


def test_round_trip() -> None:
    found = unpack(frame(), Kind.KEYS, 3, 1000, NAME)
    assert [bytes(s) for s in found.sections] == [b"abc", b"", b"de"]
    assert (found.id, found.circuit) == (ID, NAME)


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("TOO_LARGE", (Kind.KEYS, 3, len(frame()) - 1, NAME)),
        ("FILE", (Kind.REQUEST, 3, 1000, NAME)),
        ("FILE", (Kind.KEYS, 2, 1000, NAME)),
        ("CIRCUIT", (Kind.KEYS, 3, 1000, bytes(32))),
    ],
)
def test_refused(code: str, arguments: tuple[Kind, int, int, bytes]) -> None:
    with pytest.raises(ModelError) as caught:
        unpack(frame(), *arguments)
    assert caught.value.code == code


def test_another_version_says_what_to_do() -> None:
    data = bytearray(frame())
    data[4] = 9
    with pytest.raises(ModelError, match="use the same release of hitoku on both sides"):
        unpack(bytes(data), Kind.KEYS, 3, 1000)


@given(st.integers(0, 200), st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_cut_or_longer(cut: int, more: bytes) -> None:
    data = frame()[:cut] + more
    assume(len(data) != len(frame()))
    with pytest.raises(ModelError):
        unpack(data, Kind.KEYS, 3, 1000, NAME)
