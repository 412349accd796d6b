# SPDX-License-Identifier: Apache-2.0
"""What a ledger was told is there after a crash at any byte; what is damaged or another's is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hitoku.errors import InputError
from hitoku.learning.ledger import Ledger

PLAN = b"p" * 32


def made(folder: Path) -> Path:
    path = folder / "state" / "ledger.jsonl"
    book = Ledger(path, PLAN, "run", "aoi")
    for n in range(3):
        book.append({"n": n, "text": "名\n"})
    book.close()
    return path


def test_entries_come_back(tmp_path: Path) -> None:
    path = made(tmp_path)
    book = Ledger(path, PLAN, "run", "aoi")
    assert [entry["n"] for entry in book.entries] == [0, 1, 2]
    book.append({"n": 3})
    book.close()
    book = Ledger(path, PLAN, "run", "aoi")
    assert [entry["n"] for entry in book.entries] == [0, 1, 2, 3]
    book.close()
    assert path.stat().st_mode & 0o077 == 0


def test_a_crash_at_every_byte_loses_the_torn_line_only(tmp_path: Path) -> None:
    path = made(tmp_path)
    content = path.read_bytes()
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        book = Ledger(path, PLAN, "run", "aoi")
        whole = max(content[:cut].count(b"\n") - 1, 0)
        assert [entry["n"] for entry in book.entries] == list(range(whole))
        book.append({"n": whole})
        book.close()
        book = Ledger(path, PLAN, "run", "aoi")
        assert [entry["n"] for entry in book.entries] == list(range(whole + 1))
        book.close()


def test_damage_elsewhere_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path)
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    damaged = [
        b"".join([lines[0], lines[2], lines[1], lines[3]]),
        b"".join([lines[0], lines[2], lines[3]]),
        b"".join([*lines, lines[3]]),
        content.replace(b'"n":1', b'"n":7'),
    ]
    for each in damaged:
        path.write_bytes(each)
        with pytest.raises(InputError, match="damaged"):
            Ledger(path, PLAN, "run", "aoi")


@pytest.mark.parametrize(
    ("plan", "run", "party"),
    [(b"q" * 32, "run", "aoi"), (PLAN, "other", "aoi"), (PLAN, "run", "beni")],
    ids=["plan", "run", "party"],
)
def test_another_plan_run_or_party(tmp_path: Path, plan: bytes, run: str, party: str) -> None:
    path = made(tmp_path)
    with pytest.raises(InputError, match="one plan is run once"):
        Ledger(path, plan, run, party)
    Ledger(path, PLAN, "run", "aoi").close()  # not held after the refusal


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = made(tmp_path)
    book = Ledger(path, PLAN, "run", "aoi")
    with pytest.raises(InputError, match="another process"):
        Ledger(path, PLAN, "run", "aoi")
    book.close()


def test_a_line_is_on_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Ledger(tmp_path / "l", PLAN, "run", "aoi")
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda handle: synced.append(os.fstat(handle).st_size))
    book.append({"n": 0})
    assert synced == [(tmp_path / "l").stat().st_size]

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(InputError, match="cannot be written"):
        book.append({"n": 1})
    monkeypatch.undo()
    book.append({"n": 2})
    book.close()
    again = Ledger(tmp_path / "l", PLAN, "run", "aoi")
    assert [entry["n"] for entry in again.entries] == [0, 2]
    again.close()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be opened"):
        Ledger(tmp_path / "file" / "l", PLAN, "run", "aoi")
