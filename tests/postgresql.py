# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL server for tests, in a temporary folder, which can be stopped and started again."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.nodes import SECONDS, free_ports

from hitoku.room.store import Store

PASSWORD = "s3cret-w0rd"


def _programs() -> Path:
    found = shutil.which("initdb")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    folder = Path(found).resolve().parent if found else places[-1] if places else Path("/nowhere")
    if not (folder / "postgres").exists():
        if os.environ.get("HITOKU_REQUIRE_ALL") == "1":
            pytest.fail("PostgreSQL's server is missing (`make system-deps`)")
        pytest.skip("PostgreSQL's server is missing (`make system-deps`)")
    return folder


class Server:
    """A server on loopback that wants a password.

    Args:
        folder: where everything of it is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._programs, self._numbers = folder, _programs(), itertools.count()
        self._template = False
        self._more: dict[str, Any] = {
            "env": {"PATH": str(self._programs), "LC_ALL": "C", "HOME": str(folder)},
            "cwd": folder,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }
        if os.geteuid() == 0:  # the server does not run as root
            shutil.chown(folder, "postgres", "postgres")
            self._more |= {"user": "postgres", "group": "postgres", "extra_groups": []}
        (folder / "password").write_text(PASSWORD + "\n")
        (folder / "password").chmod(0o644)
        words = ["-D", f"{folder}/data", "-U", "owner", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"]
        words += [f"--pwfile={folder}/password", "--no-instructions"]
        subprocess.run([self._programs / "initdb", *words], check=True, **self._more)
        self.port: int = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        words = ["-D", f"{self._folder}/data", "-p", str(self.port), "-k", str(self._folder)]
        words += ["-h", "127.0.0.1", "-c", "fsync=off", "-c", "max_connections=60"]
        self._process = subprocess.Popen([self._programs / "postgres", *words], **self._more)
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                self.run("SELECT 1")
                return
            except Exception:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT ends all connections at once, SIGQUIT is like a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(SECONDS)
            self._process = None

    def run(self, sql: str, database: str = "postgres") -> list[Any]:
        """Run a statement as its owner."""
        import psycopg

        words = f"host=127.0.0.1 port={self.port} dbname={database} user=owner password={PASSWORD}"
        with psycopg.connect(words, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def database(self, *, empty: bool = True) -> str:
        """A new database. Returns its URL, without the password.

        Args:
            empty: without tables; else with those of the newest schema, which are made once and copied.
        """
        name = f"d{next(self._numbers)}"
        url = f"postgresql+psycopg://owner@127.0.0.1:{self.port}/"
        if empty:
            self.run(f"CREATE DATABASE {name}")
            return url + name
        if not self._template:
            self.run("CREATE DATABASE made")
            Store(url + "made", lambda: PASSWORD).close()
            self._template = True
        self.run(f"CREATE DATABASE {name} TEMPLATE made STRATEGY file_copy")
        return url + name


@contextmanager
def server() -> Iterator[Server]:
    """A server for a while."""
    _programs()
    pytest.importorskip("psycopg")
    # A path of a Unix socket has a hundred characters at most, so not in pytest's folder.
    with tempfile.TemporaryDirectory(prefix="hitoku-pg-") as name:
        made = Server(Path(name))
        try:
            yield made
        finally:
            made.stop(signal.SIGQUIT)  # nobody needs what a check-point would write now
