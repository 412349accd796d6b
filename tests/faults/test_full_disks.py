# SPDX-License-Identifier: Apache-2.0
"""The disk is full: a clear error, nothing half written, and nothing lost once there is room again."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.conftest import FakeClock, make_place
from tests.unit.room.test_budgets import agreement, cost, run

from hitoku.errors import HitokuError, LimitError, Refusal, RoomError
from hitoku.node.backup import backup
from hitoku.node.restore import restore
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room, save_room, write_whole
from hitoku.room.heads import member_signed
from hitoku.room.records import Role


@contextmanager
def _small(path: Path, size: str) -> Iterator[None]:
    """A disk of that size at a path; skipped where one may not be mounted."""
    path.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def _fill(filler: Path) -> None:
    with filler.open("ab", buffering=0) as f, suppress(OSError):
        while True:
            f.write(bytes(4096))


def _no_partial(folder: Path) -> bool:
    return not [path for path in folder.rglob(".*") if path.is_file() and not path.name.endswith(".lock")]


def test_state_on_a_full_disk_is_refused_and_goes_on_later(tmp_path, clock):
    with _small(tmp_path / "disk", "3m"):
        place = make_place(tmp_path / "disk")
        room = agreement([{}])
        member = place.members["registry"]
        records = member.records(str(place.agreement.id), clock)
        done: list[int] = []
        records.reserve(run(9999, cost(7)), room)
        filler = tmp_path / "disk" / "filler"

        def until_full() -> None:
            with filler.open("wb", buffering=0) as f:
                for number in range(1, 3000):
                    records.reserve(run(number, cost(7)), room)
                    done.append(number)
                    with suppress(OSError):
                        f.write(bytes(300_000))

        with pytest.raises(LimitError, match=r"no room left|cannot write to|cannot be opened"):
            until_full()
        number = len(done) + 1
        size = records.ledger.size()
        assert size == 3 * (len(done) + 1)
        assert records.accounts(room)[0].rho == 7 * (len(done) + 1)
        with pytest.raises(HitokuError):
            records.commit(run(9999).id, Role.OWNER, {"answer": "x" * 500_000})
        # The disk is full after any page of a transaction: all of it is there, or none of it.
        held = len(done) + 1
        ends = set()
        for left in range(1, 32):
            _fill(filler)
            os.truncate(filler, filler.stat().st_size - left * 4096)
            try:
                records.reserve(run(5000 + left, cost(7)), room)
                held += 1
                ends.add("done")
            except LimitError:
                ends.add("full")
            assert (records.ledger.size(), records.accounts(room)[0].rho) == (3 * held, 7 * held), left
        assert ends == {"done", "full"}
        filler.unlink()
        assert records.commit(run(9999).id, Role.OWNER, {"answer": "x"}) is not None
        records.reserve(run(number, cost(7)), room)
        assert records.ledger.verify(member_signed(place.agreement)) == records.ledger.size()
        records.store.close()


def test_files_on_a_full_disk_stay_as_they_were(tmp_path, clock):
    with _small(tmp_path / "disk", "3m"):
        place = make_place(tmp_path / "disk")
        member = place.members["registry"]
        member.records(str(place.agreement.id), clock).accept(place.agreement)
        before = place.room_file.read_bytes()
        filler = tmp_path / "disk" / "filler"
        _fill(filler)
        with pytest.raises(RoomError, match="cannot be written"):
            save_room(load_room(place.room_file), place.room_file)
        with pytest.raises(RoomError, match="cannot be written"):
            write_whole(member.path / "answer.json", bytes(100_000))
        with pytest.raises(LimitError, match=r"cannot be written|cannot write to its disk"):
            backup(member, tmp_path / "disk" / "b.zip", clock)
        assert place.room_file.read_bytes() == before
        assert not (tmp_path / "disk" / "b.zip").exists()
        assert not (member.path / "answer.json").exists()
        assert _no_partial(tmp_path / "disk")
        filler.unlink()
        backup(member, tmp_path / "b.zip", clock)
        _fill(filler)
        key = member.keys().public_key()
        with pytest.raises(HitokuError, match=r"nothing was restored|cannot be|no room"):
            restore(tmp_path / "b.zip", tmp_path / "disk" / "again", clock, key=key)
        assert not (tmp_path / "disk" / "again").exists()
        assert _no_partial(tmp_path / "disk")
        filler.unlink()
        member.store().close()


def _limited(path: str, room: str) -> None:
    """In a process whose files may not grow: another way to have no room."""
    from hitoku.room.agreement import Agreement

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    member = MemberDirectory.open(Path(path))
    records = member.records("0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e11", FakeClock())
    agreement_ = Agreement.model_validate_json(room)
    records.reserve(run(1, cost(7)), agreement_)
    largest = max(file.stat().st_size for file in member.path.iterdir() if file.is_file())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 20_000, resource.RLIM_INFINITY))
    try:
        for number in range(2, 500):
            records.reserve(run(number, cost(7)), agreement_)
    except LimitError as error:
        os._exit(0 if "no room left" in str(error) or "cannot write" in str(error) else 3)
    os._exit(4)


def test_a_process_whose_files_may_not_grow_is_told(tmp_path):
    place = make_place(tmp_path)
    room = agreement([{}])
    member = place.members["registry"]
    process = multiprocessing.get_context("spawn").Process(
        target=_limited, args=(str(member.path), room.model_dump_json())
    )
    process.start()
    process.join(300)
    assert process.exitcode == 0
    records = member.records(str(place.agreement.id), FakeClock())
    size = records.ledger.size()
    assert size % 3 == 0
    assert size > 0
    assert records.accounts(room)[0].rho == 7 * (size // 3)
    assert records.ledger.verify(member_signed(place.agreement)) == size
    with pytest.raises(Refusal):
        records.reserve(run(1, cost(7)), room)
    records.store.close()


@pytest.mark.slow
def test_a_server_on_a_full_disk_is_told_of_and_goes_on_later(tmp_path, request, clock):
    with tempfile.TemporaryDirectory(prefix="hitoku-ts-") as name:
        Path(name).chmod(0o755)
        disk = Path(name) / "disk"
        with _small(disk, "24m"):
            server = request.getfixturevalue("postgresql")
            (disk / "space").mkdir()
            shutil.chown(disk / "space", "postgres", "postgres")
            server.run(f"CREATE TABLESPACE small LOCATION '{disk / 'space'}'")
            url = server.database()
            server.run(f"ALTER DATABASE {url.rpartition('/')[2]} SET TABLESPACE small")
            place = make_place(tmp_path)
            room = agreement([{}])
            said = f'name = "registry"\n[database]\nurl = "{url}"\n'
            (tmp_path / "registry" / "member.toml").write_text(said)
            member = MemberDirectory.open(tmp_path / "registry")
            records = member.records(str(place.agreement.id), clock)
            records.reserve(run(1, cost(7)), room)
            _fill(disk / "filler")

            def until_full() -> None:
                for number in range(2, 3000):
                    records.reserve(run(number, cost(7)), room)

            with pytest.raises(LimitError, match="no room left"):
                until_full()
            size = records.ledger.size()
            assert size % 3 == 0
            assert records.accounts(room)[0].rho == 7 * (size // 3)
            (disk / "filler").unlink()
            records.reserve(run(4000, cost(7)), room)
            assert records.ledger.verify(member_signed(place.agreement)) == size + 3
            records.store.close()
            server.stop()
