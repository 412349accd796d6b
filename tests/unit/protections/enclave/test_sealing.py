# SPDX-License-Identifier: Apache-2.0
"""Sealed answers: padded, for one receiver, run and room."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hitoku import limits
from hitoku.errors import LimitError, PeerError
from hitoku.protections.enclave import sealing
from hitoku.protections.enclave.sealing import open_answer, padded_length, seal_answer
from hitoku.room import hpke

KEY = X25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
FACTS = {"room": "sha256:" + "1" * 64, "run": "ab" * 16, "receiver": "shop"}


@given(st.binary(max_size=20_000))
def test_it_opens_as_it_was_sealed(content: bytes) -> None:
    assert open_answer(seal_answer(content, PUBLIC, **FACTS), KEY, sender="cloud", **FACTS) == content


@given(st.integers(0, 2**40))
def test_padding_is_short_and_leaves_few_lengths(size: int) -> None:
    padded = padded_length(size)
    assert padded >= max(size, 4096)
    assert padded == 4096 or padded <= size * 1.12
    assert padded_length(padded) == padded
    assert padded_length(size + 1) >= padded


def test_lengths_up_to_a_megabyte_are_few() -> None:
    assert len({padded_length(size) for size in range(0, 1 << 20, 13)}) < 200


def test_small_answers_are_of_one_length() -> None:
    lengths = {len(seal_answer(b"x" * size, PUBLIC, **FACTS)) for size in (0, 1, 100, 4_000)}
    assert len(lengths) == 1


@pytest.mark.parametrize(
    "changes", [{"room": "sha256:" + "2" * 64}, {"run": "cd" * 16}, {"receiver": "telco"}]
)
def test_it_opens_for_its_receiver_and_run_only(changes: dict[str, str]) -> None:
    made = seal_answer(b"answer", PUBLIC, **FACTS)
    with pytest.raises(PeerError, match="does not open"):
        open_answer(made, KEY, sender="cloud", **(FACTS | changes))
    with pytest.raises(PeerError, match="does not open"):
        open_answer(made, X25519PrivateKey.generate(), sender="cloud", **FACTS)


@pytest.mark.parametrize("place", [0, 31, 32, 2_000, -17, -1])
def test_what_was_altered_does_not_open(place: int) -> None:
    made = bytearray(seal_answer(b"answer", PUBLIC, **FACTS))
    made[place] ^= 1
    with pytest.raises(PeerError):
        open_answer(bytes(made), KEY, sender="cloud", **FACTS)


@pytest.mark.parametrize("made", [b"", b"x", b"x" * 31, b"x" * 48])
def test_what_is_too_short_does_not_open(made: bytes) -> None:
    with pytest.raises(PeerError):
        open_answer(made, KEY, sender="cloud", **FACTS)


@pytest.mark.parametrize("plain", [b"\xff" * 4096, bytes(4096)[:-1] + b"\1", bytes(5_000), b""])
def test_padding_that_is_not_ours_is_refused(plain: bytes) -> None:
    info = sealing._info(**FACTS)
    made = hpke._suite().encrypt(plain, KEY.public_key(), info)
    with pytest.raises(PeerError):
        open_answer(made, KEY, sender="cloud", **FACTS)


def test_a_key_that_is_none_is_refused() -> None:
    with pytest.raises(PeerError, match="none"):
        seal_answer(b"answer", bytes(32), **FACTS)


def test_an_answer_that_is_too_large_is_refused(monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "MAX_SEALED_ANSWER_BYTES", 10_000)
    with pytest.raises(LimitError):
        seal_answer(b"x" * 10_000, PUBLIC, **FACTS)
