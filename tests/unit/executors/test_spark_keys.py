# SPDX-License-Identifier: Apache-2.0
"""Wrapping keys in files, and what a job's key seals. Spark is not needed."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitoku.errors import InputError, SecretError
from hitoku.executors.spark_keys import KEY_FILE, JobKey, KeyFile, KeyWrapper, make_key_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return make_key_file(tmp_path / "spark.key")


def test_a_key_comes_back_from_its_wrapping(file: Path) -> None:
    keys = KeyFile(str(file))
    assert isinstance(keys, KeyWrapper)
    wrapped = keys.wrap(b"k" * 32)
    assert b"k" * 8 not in wrapped
    assert keys.unwrap(wrapped) == b"k" * 32
    assert keys.wrap(b"k" * 32) != wrapped


def test_the_environment_names_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_FILE, str(file))
    assert KeyFile(str(file)).unwrap(KeyFile().wrap(b"x" * 32)) == b"x" * 32
    monkeypatch.delenv(KEY_FILE)
    with pytest.raises(SecretError, match=KEY_FILE):
        KeyFile().wrap(b"x" * 32)


def test_what_travels_has_no_key(file: Path) -> None:
    keys = KeyFile(str(file))
    keys.wrap(b"k" * 32)
    secret = file.read_text("ascii").strip()
    travels = pickle.dumps(keys)
    assert secret.encode() not in travels
    assert bytes.fromhex(secret) not in travels


def test_another_key_does_not_unwrap(file: Path, tmp_path: Path) -> None:
    other = KeyFile(str(make_key_file(tmp_path / "other.key")))
    with pytest.raises(SecretError, match="not the one"):
        other.unwrap(KeyFile(str(file)).wrap(b"k" * 32))
    with pytest.raises(SecretError, match="not the one"):
        other.unwrap(b"")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(SecretError, match="only its owner"):
        KeyFile(str(file)).wrap(b"k" * 32)


@pytest.mark.parametrize("content", ["", "00" * 31, "00" * 33, "zz" * 32, "é" * 32])
def test_a_malformed_key_is_refused_and_not_quoted(file: Path, content: str) -> None:
    file.write_text(content, "utf-8")
    with pytest.raises(SecretError, match="64 hexadecimal digits") as caught:
        KeyFile(str(file)).wrap(b"k" * 32)
    assert not content or content not in str(caught.value)


def test_a_missing_file_is_named_and_none_is_overwritten(file: Path, tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="cannot be read"):
        KeyFile(str(tmp_path / "none")).wrap(b"k" * 32)
    before = file.read_bytes()
    with pytest.raises(InputError, match="cannot be made"):
        make_key_file(file)
    assert file.read_bytes() == before
    assert file.stat().st_mode & 0o777 == 0o600


@given(st.binary(max_size=200), st.text("ab/", max_size=5), st.text("ab/", max_size=5))
def test_sealed_content_opens_at_its_place_only(content: bytes, place: str, other: str) -> None:
    key = JobKey.of(b"k" * 32)
    sealed = key.seal(content, place)
    assert key.open(sealed, place) == content
    if place != other:
        with pytest.raises(InputError, match="altered"):
            key.open(sealed, other)
    with pytest.raises(InputError, match="altered"):
        JobKey.of(b"l" * 32).open(sealed, place)


@given(st.binary(max_size=40), st.integers(0, 10_000))
def test_no_byte_of_a_sealed_piece_can_change(content: bytes, at: int) -> None:
    key = JobKey.of(b"k" * 32)
    sealed = bytearray(key.seal(content, "place"))
    sealed[at % len(sealed)] ^= 1
    with pytest.raises(InputError):
        key.open(bytes(sealed), "place")
    with pytest.raises(InputError):
        key.open(bytes(sealed)[: at % len(sealed)], "place")


def test_names_keep_parts_apart_and_need_the_key() -> None:
    key = JobKey.of(b"k" * 32)
    assert key.name(b"ab", b"c") == key.name(b"ab", b"c")
    assert key.name(b"ab", b"c") != key.name(b"a", b"bc")
    assert key.name(b"ab") != JobKey.of(b"l" * 32).name(b"ab")
    assert "k" not in repr(key).replace("JobKey", "")
