# SPDX-License-Identifier: Apache-2.0
"""A receiver's one-time keys on disk."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from hitoku import limits
from hitoku.errors import Refusal, SecretError
from hitoku.node.onetime import OneTimeKeyFiles

RUN, OTHER = "ab" * 16, "cd" * 16


def test_a_run_has_one_key_until_it_is_forgotten(tmp_path: Path) -> None:
    keys = OneTimeKeyFiles(tmp_path / "keys")
    public = keys.make(RUN, "cloud")
    assert keys.make(RUN, "cloud") == public
    found = keys.find(RUN, "cloud")
    assert found is not None
    assert found.public_key().public_bytes_raw() == public
    assert keys.make(OTHER, "cloud") != public
    keys.forget(RUN)
    keys.forget(RUN)
    assert keys.find(RUN, "cloud") is None
    assert keys.make(RUN, "cloud") != public


def test_it_is_for_one_host(tmp_path: Path) -> None:
    keys = OneTimeKeyFiles(tmp_path)
    keys.make(RUN, "cloud")
    assert keys.find(RUN, "bank") is None
    with pytest.raises(Refusal):
        keys.make(RUN, "bank")


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    keys = OneTimeKeyFiles(tmp_path / "keys")
    keys.make(RUN, "cloud")
    (file,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    with pytest.raises(SecretError):
        keys.find(RUN, "cloud")


def test_a_damaged_file_is_said_so(tmp_path: Path) -> None:
    keys = OneTimeKeyFiles(tmp_path)
    keys.make(RUN, "cloud")
    (tmp_path / f"{RUN}.json").write_text("{}")
    with pytest.raises(SecretError):
        keys.find(RUN, "cloud")


def test_their_number_is_bounded_and_old_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SEALING_KEYS", 3)
    keys = OneTimeKeyFiles(tmp_path)
    runs = [f"{n:032x}" for n in range(4)]
    for run in runs[:3]:
        keys.make(run, "cloud")
    with pytest.raises(Refusal) as caught:
        keys.make(runs[3], "cloud")
    assert caught.value.code == "BUSY"
    old = time.time() - 3 * limits.RUN_SECONDS
    os.utime(tmp_path / f"{runs[0]}.json", (old, old))
    keys.make(runs[3], "cloud")
    assert keys.find(runs[0], "cloud") is None


@pytest.mark.parametrize("run", ["", "../../x", "AB" * 16, "ab" * 17])
def test_a_run_is_no_path(tmp_path: Path, run: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        OneTimeKeyFiles(tmp_path).make(run, "cloud")
