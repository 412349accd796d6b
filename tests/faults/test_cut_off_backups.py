# SPDX-License-Identifier: Apache-2.0
"""Backup and restore are killed half way: what is there afterwards is whole, or is not there."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from tests.conftest import FakeClock, make_place
from tests.unit.room.test_budgets import agreement, cost, run

from hitoku.node import archive, backup, restore
from hitoku.room.directory import MemberDirectory
from hitoku.room.heads import member_signed

pytestmark = pytest.mark.slow

ROOM = "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e11"


def _killed(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _cut(member: str, folder: str, step: str) -> None:
    place = Path(folder)
    directory = MemberDirectory.open(Path(member))
    if step in {"files", "sign"}:
        if step == "files":
            backup._files = _killed  # type: ignore[assignment]
        else:
            archive.ArchiveWriter.sign = _killed  # type: ignore[method-assign]
        backup.backup(directory, place / "b.zip", FakeClock(), move=True)
    else:
        setattr(restore, {"rows": "_mark", "sync": "_sync"}[step], _killed)
        key = directory.keys().public_key()
        restore.restore(place / "b.zip", place / "again", FakeClock(), key=key)


def _run_cut(member: MemberDirectory, folder: Path, step: str) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_cut, args=(str(member.path), str(folder), step)
    )
    process.start()
    process.join(300)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("step", ["files", "sign"])
def test_a_move_that_is_killed_is_done_again_and_nothing_comes_between(tmp_path, step):
    """The node is closed before the archive is there: never the other way round."""
    place = make_place(tmp_path)
    room = agreement([{}])
    member = place.members["registry"]
    records = member.records(ROOM, FakeClock())
    records.reserve(run(1, cost(7)), room)
    size = records.ledger.size()
    _run_cut(member, tmp_path, step)
    assert not (tmp_path / "b.zip").exists()
    closed = records.ledger.restored()
    assert closed is not None
    assert closed.state == "moved"
    backup.backup(member, tmp_path / "b.zip", FakeClock(), move=True)
    for cut in ("rows", "sync"):
        _run_cut(member, tmp_path, cut)
        assert not (tmp_path / "again").exists()
    key = member.keys().public_key()
    restore.restore(tmp_path / "b.zip", tmp_path / "again", FakeClock(), key=key)
    (tmp_path / "again" / "member.key").write_bytes(member.key_file.read_bytes())
    (tmp_path / "again" / "member.key").chmod(0o600)
    again = MemberDirectory.open(tmp_path / "again").records(ROOM, FakeClock())
    assert again.ledger.size() == size
    closed = again.ledger.restored()
    assert closed is not None
    again.arrived(closed)
    again.reserve(run(2, cost(7)), room)
    assert again.accounts(room)[0].rho == 14
    assert again.ledger.verify(member_signed(place.agreement)) == size + 4
