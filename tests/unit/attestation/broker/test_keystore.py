# SPDX-License-Identifier: Apache-2.0
"""The embedded key store: what is wrapped opens with the same key and context, and nowhere else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from hitoku.attestation.keystore import KEY_FILE, KeyWrap, LocalKeys
from hitoku.errors import SecretError

KEY = bytes(range(32))
CONTEXT = {"room": "r", "run": "1" * 32, "table": "t", "key": "2" * 32}


def test_wrapped_keys_open_again_also_after_a_restart(tmp_path):
    folder = tmp_path / "attestation"
    store = LocalKeys(folder)
    wrapped = store.wrap(bytearray(KEY), CONTEXT)
    assert KEY not in wrapped
    assert wrapped != store.wrap(KEY, CONTEXT)
    opened = LocalKeys(folder).unwrap(wrapped, dict(reversed(CONTEXT.items())))
    assert opened == KEY
    assert isinstance(opened, bytearray)
    wrap: KeyWrap = store
    assert wrap.unwrap_for(wrapped, CONTEXT, b"document") is None
    assert (folder / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_nothing_else_opens(tmp_path):
    store = LocalKeys(tmp_path / "a")
    wrapped = store.wrap(KEY, CONTEXT)
    for name in CONTEXT:
        with pytest.raises(SecretError, match="for another run or table"):
            store.unwrap(wrapped, {**CONTEXT, name: "x"})
    for broken in (b"", wrapped[:-1], wrapped[:20], bytes([wrapped[0] ^ 1]) + wrapped[1:]):
        with pytest.raises(SecretError):
            store.unwrap(broken, CONTEXT)
    other = LocalKeys(tmp_path / "b")
    other.wrap(KEY, CONTEXT)
    with pytest.raises(SecretError):
        other.unwrap(wrapped, CONTEXT)


def test_a_key_is_made_to_wrap_only_and_never_replaced(tmp_path):
    store = LocalKeys(tmp_path)
    with pytest.raises(SecretError, match="there is no broker's key"):
        store.unwrap(bytes(60), CONTEXT)
    wrapped = store.wrap(KEY, CONTEXT)
    before = (tmp_path / KEY_FILE).read_bytes()
    store.wrap(KEY, CONTEXT)
    assert (tmp_path / KEY_FILE).read_bytes() == before
    (tmp_path / KEY_FILE).write_bytes(before[:-1])
    with pytest.raises(SecretError, match="damaged"):
        store.unwrap(wrapped, CONTEXT)
    (tmp_path / KEY_FILE).write_bytes(before)
    (tmp_path / KEY_FILE).chmod(0o640)
    with pytest.raises(SecretError, match="chmod 600"):
        store.wrap(KEY, CONTEXT)


def test_of_several_that_make_it_at_once_one_does(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        wrapped = list(threads.map(lambda _: LocalKeys(tmp_path / "k").wrap(KEY, CONTEXT), range(16)))
    store = LocalKeys(tmp_path / "k")
    assert all(store.unwrap(one, CONTEXT) == KEY for one in wrapped)
    assert [p.name for p in (tmp_path / "k").iterdir()] == [KEY_FILE]


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    import os

    def no(*_: object) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(os, "link", no)
    with pytest.raises(SecretError, match="Permission denied"):
        LocalKeys(tmp_path).wrap(KEY, CONTEXT)
    assert list(tmp_path.iterdir()) == []
