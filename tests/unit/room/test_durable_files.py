# SPDX-License-Identifier: Apache-2.0
"""What a file says is on disk with its name when writing it returns: a power cut takes neither."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from hitoku.errors import RoomError, SecretError
from hitoku.room.files import write_whole
from hitoku.room.private import write_private


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """What was synced, and for a folder which names were in it at that moment."""
    done: list[tuple[str, list[str]]] = []
    sync, here = os.fsync, threading.get_ident()

    def watched(handle: int) -> None:
        if threading.get_ident() != here:  # something that another test of this process has left
            pass
        elif stat.S_ISDIR(os.fstat(handle).st_mode):
            done.append(("folder", sorted(os.listdir(handle))))
        else:
            done.append(("file", []))
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    return done


def test_a_file_that_replaces_another_has_its_name_durably(
    tmp_path: Path, synced: list[tuple[str, list[str]]]
) -> None:
    write_whole(tmp_path / "bound.json", b"{}")
    assert synced == [("file", []), ("folder", ["bound.json"])]


def test_a_private_file_has_its_name_durably(tmp_path: Path, synced: list[tuple[str, list[str]]]) -> None:
    write_private(tmp_path / "member.key", b"key", "the member key")
    assert synced == [("file", []), ("folder", ["member.key"])]


def test_where_the_name_cannot_be_made_durable_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RoomError, match="cannot be written"):
        write_whole(tmp_path / "bound.json", b"{}")
    with pytest.raises(SecretError, match="cannot be written"):
        write_private(tmp_path / "member.key", b"key", "the member key")
    assert not (tmp_path / "member.key").exists()
