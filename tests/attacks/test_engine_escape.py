# SPDX-License-Identifier: Apache-2.0
"""Hostile SQL straight into the engine: it must not read, write, load, ask or remember anything else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hitoku.engine import Engine, EngineColumn, EngineTable, TableFile
from hitoku.errors import EngineError, HitokuError

PLANTED = "alice@planted.example"


@pytest.fixture
def table(tmp_path: Path) -> EngineTable:
    path = tmp_path / "people.csv"
    path.write_text(f"email\n{PLANTED}\n", "utf-8")
    return EngineTable("people", TableFile(path, "csv"), (EngineColumn("email", "VARCHAR", encrypted=False),))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT getenv('HOME')",
        "COPY people TO '/tmp/hitoku-stolen.csv'",
        "EXPORT DATABASE '/tmp/hitoku-stolen'",
        "ATTACH '/tmp/hitoku-stolen.db' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET allowed_paths = ['/etc/passwd']",
        "RESET lock_configuration",
        "PRAGMA enable_profiling",
        "CREATE SECRET s (TYPE s3)",
        "SELECT * FROM read_csv('https://example.org/x.csv')",
        "SELECT CAST(email AS INTEGER) FROM people",
        "SELECT error(email) FROM people",
        "SELECT 1 / CAST(email AS DATE) FROM people",
    ],
)
def test_nothing_else_is_reached_and_no_word_of_the_engine_crosses(table: EngineTable, sql: str) -> None:
    with Engine() as engine, pytest.raises(HitokuError) as caught:
        engine.run([table], sql)
    words = str(caught.value) + repr(caught.value.to_dict())
    assert PLANTED not in words
    assert "planted" not in words
    assert "passwd" not in words
    assert "Error:" not in words
    assert not list(Path("/tmp").glob("hitoku-stolen*"))


def test_the_process_inherits_no_secret(table: EngineTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HITOKU_SHARED_SECRET", "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA==")
    monkeypatch.setenv("LD_PRELOAD", "")
    with Engine() as engine:
        engine.start()
        process = engine._process
        assert process is not None
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert b"c2VjcmV0" not in environment + command
        assert b"HITOKU" not in environment
        result = engine.run([table], "SELECT COUNT(*) AS n FROM people").to_pylist()
    assert result == [{"n": 1}]


def test_a_broken_frame_ends_in_a_coded_error(table: EngineTable) -> None:
    with Engine() as engine:
        engine.start()
        process = engine._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.write(b"garbage that is no frame at all, longer than a header")
        process.stdin.flush()
        with pytest.raises(EngineError) as caught:
            engine.run([table], "SELECT 1")
    assert caught.value.code in {"INTERNAL", "CRASHED"}


@pytest.mark.parametrize("answered", [False, True])
def test_a_killed_parent_leaves_no_process_and_no_directory(tmp_path: Path, answered: bool) -> None:
    """Killed while its question runs, or when the answer is there and it has not read it."""
    endless = "SELECT SUM(a.range * b.range) FROM range(10000000) a, range(10000000) b"
    sql = "SELECT 1" if answered else endless
    program = f"""
import selectors
import sys
import time
from pathlib import Path
from hitoku.engine import Engine, EngineColumn, EngineTable, TableFile

class Waits(Engine):
    def _result(self, process, deadline, advance):
        if {answered}:
            with selectors.DefaultSelector() as waiting:
                waiting.register(process.stdout, selectors.EVENT_READ)
                waiting.select()
        print(process.pid, self._directory, flush=True)
        time.sleep(1_000)

path = Path({str(tmp_path)!r}) / "t.csv"
path.write_text("a\\n1\\n")
Waits().run([EngineTable("t", TableFile(path, "csv"), (EngineColumn("a", "VARCHAR", True),))], "{sql}")
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker, directory = parent.stdout.readline().split()
    time.sleep(1.5)
    assert Path(directory).exists()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (Path(f"/proc/{worker}").exists() or Path(directory).exists()):
        time.sleep(0.05)
    state = Path(f"/proc/{worker}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"
    assert not Path(directory).exists()
    assert os.getpid()


def test_a_process_that_never_gets_a_request_leaves_no_directory(tmp_path: Path) -> None:
    """Whoever started it was killed: nobody else would remove it."""
    from hitoku.engine import process

    directory = tmp_path / "hitoku-engine-abc"
    directory.mkdir()
    done = subprocess.run(
        [sys.executable, "-I", str(process._WORKER)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=directory, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0
    assert not directory.exists()
