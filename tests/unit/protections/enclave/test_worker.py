# SPDX-License-Identifier: Apache-2.0
"""The worker as a program: what it gives up before it reads a byte, and how little it imports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hitoku.protections.enclave.frames import Channel, Kind
from hitoku.protections.enclave.worker.serve import _Paced

START = (
    "import sys\n"
    "from hitoku.protections.enclave.worker.main import confine\n"
    "confine()\n"
    "try:\n    exec(sys.argv[1])\n"
    "except PermissionError as error:\n    print('refused', error)\n"
    "except OSError as error:\n    print('refused', error)\n"
    "else:\n    print('done')\n"
)
FORBIDDEN = {
    "a shell": "import os; os.system('true')",
    "a process": "import subprocess; subprocess.run(['true'])",
    "fork": "import os; os.fork()",
    "exec": "import os; os.execv('/bin/true', ['true'])",
    "spawn": "import os; os.posix_spawn('/bin/true', ['true'], {})",
    "a connection": "import socket; socket.create_connection(('127.0.0.1', 9))",
    "a name": "import socket; socket.getaddrinfo('localhost', 80)",
    "a listener": "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0))",
    "a file": "open('{place}/out', 'w')",
    "a file by its number": "import os; os.open('{place}/out', os.O_CREAT | os.O_WRONLY)",
    "a file for both": "open('{place}/old', 'r+b')",
    "an append": "open('{place}/old', 'ab')",
}


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", START, code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_process_of_the_same_user_looks_into_a_worker() -> None:
    look = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    assert run(look).splitlines()[0] == "0"


@pytest.mark.parametrize(
    "what",
    [pytest.param(w, marks=[] if n < 3 else pytest.mark.slow) for n, w in enumerate(FORBIDDEN)],
)
def test_a_worker_has_no_way_out(tmp_path: Path, what: str) -> None:
    (tmp_path / "old").write_bytes(b"old")
    assert run(FORBIDDEN[what].replace("{place}", str(tmp_path))).startswith("refused")
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "old").read_bytes() == b"old"


def test_what_it_needs_it_may(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    read = f"assert open('{tmp_path}/old', 'rb').read() == b'old'"
    assert run(f"{read}; import threading, duckdb; duckdb.sql('SELECT 1')") == "done"


def test_a_worker_imports_little() -> None:
    code = (
        "import sys; import hitoku.protections.enclave.worker.main; "
        "bad = [m for m in sys.modules if m.split('.')[0] in "
        "{'sqlalchemy', 'httpx', 'uvicorn', 'rich', 'pandas', 'yaml', 'cyclopts', 'cbor2', 'asn1crypto'} or "
        "m.startswith(('hitoku.node', 'hitoku.ask', 'hitoku.cli', 'hitoku.sources', "
        "'hitoku.protections.tokens', 'hitoku.protections.crosstab', 'hitoku.attestation.broker'))]; "
        "print(bad)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_worker_ends_when_its_host_is_gone(tmp_path: Path) -> None:
    """As a process of its own, started by hand with its channel at descriptor 3 and a key at 5."""
    from hitoku.attestation.attest.dev import make_key_file

    make_key_file(tmp_path / "dev.key", "ab" * 48)
    ours, theirs = socket.socketpair()
    key = os.open(tmp_path / "dev.key", os.O_RDONLY)
    start = (
        f"import os; os.dup2({theirs.fileno()}, 3); os.dup2({key}, 5); "
        "import sys; sys.argv[:] = ['worker', 'dev']; "
        "from hitoku.protections.enclave.worker.main import main; main()"
    )
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-B", "-c", start], pass_fds=(theirs.fileno(), key), stderr=subprocess.PIPE
        )
    os.close(key)
    channel = Channel(ours)
    assert channel.receive({Kind.READY: 0}, 60)[0] is Kind.READY
    channel.close()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0
    assert said == b""


@pytest.mark.parametrize(
    ("interval", "passed", "leaves"),
    [(0, 7, 7), (10, 0, 10), (10, 7, 10), (10, 10, 10), (10, 10.5, 20), (60, 61, 120)],
)
def test_an_answer_is_dated_at_multiples_of_the_rooms_interval(
    interval: int, passed: float, leaves: float
) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)

    class At:
        def now(self) -> datetime:
            return began + timedelta(seconds=passed)

        def sleep(self, seconds: float) -> None:
            raise AssertionError(seconds)

    assert _Paced(At(), began, interval).now() == began + timedelta(seconds=leaves)
