# SPDX-License-Identifier: Apache-2.0
"""Counters apart from the database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from hitoku.attestation.epoch import FileCounter
from hitoku.errors import SecretError


def test_a_counter_only_grows_and_is_kept(tmp_path):
    path = tmp_path / "attestation" / "broker.epoch"
    counter = FileCounter(path)
    assert counter.read() == 0
    counter.advance(3)
    counter.advance(2)
    assert (counter.read(), FileCounter(path).read()) == (3, 3)


def test_what_is_no_counter_is_not_taken_for_zero(tmp_path):
    path = tmp_path / "broker.epoch"
    counter = FileCounter(path)
    for content in (b"", b"7", b"-1\n", b"x\n", b"1\n2\n", b"9" * 40 + b"\n", b"\xff\n", b" 1\n", b"1 \n"):
        path.write_bytes(content)
        with pytest.raises(SecretError):
            counter.read()
        with pytest.raises(SecretError):
            counter.advance(9)
    path.unlink()
    path.mkdir()
    with pytest.raises(SecretError):
        counter.read()


def test_a_counter_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "attestation").write_text("in its place")
    with pytest.raises(SecretError):
        FileCounter(tmp_path / "attestation" / "broker.epoch").advance(1)


def test_many_at_once_never_let_it_fall(tmp_path):
    path = tmp_path / "broker.epoch"
    seen: list[int] = []

    def one(number: int) -> None:
        counter = FileCounter(path)  # each its own, as processes have
        counter.advance(number)
        seen.append(counter.read() - number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(1, 41)))
    assert min(seen) >= 0
    assert FileCounter(path).read() == 40
