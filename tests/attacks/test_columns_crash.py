"""SIGKILL at any point, or a full disk: no plain bytes anywhere, no half output."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from hitoku.columns import encrypt
from hitoku.errors import InputError
from hitoku.room.settings import Settings

ROOM = "00000000-1111-2222-3333-444444444444"
SECRET = bytes(range(32))
PLANTED = "planted-value-"
SCHEMA = {
    "headerRow": True,
    "columns": [
        {"sourceHeader": "a", "type": "fingerprint"},
        {"sourceHeader": "b", "type": "sealed", "pad": {"type": "max", "length": 4}},
    ],
}

# Small limits make even this small table spill, split and write many times.
PROGRAM = f"""
import os, sys
from pathlib import Path
from hitoku import limits
limits.SHUFFLE_BUCKET_BYTES = 64 * 1024
limits.SHUFFLE_MEMORY_BYTES = 64 * 1024
limits.DISTINCT_MEMORY_BYTES = 8 * 1024
from hitoku.columns import decrypt, encrypt
from hitoku.room.settings import Settings
action, source, target, temp = sys.argv[1], *map(Path, sys.argv[2:])
print("ready", flush=True)
if action == "encrypt":
    encrypt(source, target, {SCHEMA!r}, Settings(), {ROOM!r}, bytes(range(32)), temp_dir=temp, overwrite=True)
else:
    decrypt(source, target, {ROOM!r}, bytes(range(32)), overwrite=True)
print("done", flush=True)
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crash")
    source = folder / "source.csv"
    with source.open("w") as file:
        file.write("a,b\n")
        file.writelines(f"key{i},{PLANTED}{i}\n" for i in range(60_000))
    encrypt(source, folder / "sealed.csv", SCHEMA, Settings(), ROOM, SECRET)
    return folder


def holds_plain(folder: Path) -> list[str]:
    return [
        str(path) for path in folder.rglob("*") if path.is_file() and PLANTED.encode() in path.read_bytes()
    ]


def run(action: str, table: Path, out: Path, temp: Path) -> subprocess.Popen[str]:
    name = "source.csv" if action == "encrypt" else "sealed.csv"
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, action, table / name, out / "out.csv", temp],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temp)},
    )


@pytest.mark.parametrize("action", ["encrypt", "decrypt"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_leaves_nothing(table, tmp_path, action, how):
    whole = None
    for attempt in range(8 if how == signal.SIGKILL else 2):
        out, temp = tmp_path / f"out{attempt}", tmp_path / f"temp{attempt}"
        out.mkdir()
        temp.mkdir()
        process = run(action, table, out, temp)
        assert process.stdout is not None
        with process:
            assert process.stdout.readline() == "ready\n"
            # Spread over the run; the first goes through to learn how long one takes.
            if attempt:
                assert whole is not None
                time.sleep(random.random() * whole)
                process.send_signal(how)
            began = time.monotonic()
            finished = process.stdout.read().endswith("done\n")
            process.wait()
        if not attempt:
            whole = time.monotonic() - began
            assert finished
        assert not list(temp.iterdir())
        if finished:
            lines = (out / "out.csv").read_bytes().count(b"\n")
            assert lines == 60_001
        else:
            # All or nothing: the name appears only after the last byte.
            left = list(out.iterdir())
            assert all(p.read_bytes().count(b"\n") == 60_001 for p in left)
        if action == "encrypt":
            assert not holds_plain(out)
            assert not holds_plain(temp)


@pytest.mark.parametrize("action", ["encrypt", "decrypt"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_full_disk_leaves_nothing(table, tmp_path, action, suffix):
    # A limit on file sizes is a full disk that needs no root: writing fails with EFBIG.
    program = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
from hitoku.errors import InputError
try:
    exec({PROGRAM!r})
except InputError as error:
    print("error:", error)
"""
    out, temp = tmp_path / "out", tmp_path / "temp"
    out.mkdir()
    temp.mkdir()
    name = "source.csv" if action == "encrypt" else "sealed.csv"
    found = subprocess.run(
        [sys.executable, "-c", program, action, table / name, out / f"out.{suffix}", temp],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "error: no space left" in found.stdout
    assert PLANTED not in found.stdout + found.stderr
    assert not list(out.iterdir())
    assert not list(temp.iterdir())


def opened() -> set[tuple[str, str]]:
    """The files that this process has open; its sockets and pipes may be other tests'."""
    found = set()
    for place in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the descriptor that this looks through
            found.add((place.name, str(place.readlink())))
    return {(number, name) for number, name in found if name[0] == "/" and not name.startswith("/proc/")}


def test_a_failing_run_leaves_no_files_open_or_named(table, tmp_path):
    before = opened()
    (tmp_path / "bad.csv").write_text("a,b\nx,1\nx,2\n")
    for _ in range(5):
        with pytest.raises(InputError):
            encrypt(tmp_path / "bad.csv", tmp_path / "o.csv", SCHEMA, Settings(), ROOM, SECRET)
    assert not opened() - before
    assert [p.name for p in tmp_path.iterdir()] == ["bad.csv"]


def test_where_files_cannot_be_nameless(table, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE")
    target = tmp_path / "out.csv"
    encrypt(table / "source.csv", target, SCHEMA, Settings(), ROOM, SECRET)
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    with pytest.raises(InputError):
        encrypt(table / "sealed.csv", target, SCHEMA, Settings(), ROOM, SECRET, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    encrypt(table / "source.csv", target, SCHEMA, Settings(), ROOM, SECRET, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_a_core_dump_limit_is_not_needed_for_temporary_files(table, tmp_path):
    # The spill file has no name at any time: nobody can open it while the program runs.
    process = run("encrypt", table, tmp_path, tmp_path)
    assert process.stdout is not None
    seen: set[str] = set()
    with process:
        while process.poll() is None:
            seen.update(p.name for p in tmp_path.iterdir())
    assert seen <= {"out.csv"} | {n for n in seen if n.startswith("out.csv.partial-")}
    assert resource.getrlimit(resource.RLIMIT_CORE)
