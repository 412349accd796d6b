# SPDX-License-Identifier: Apache-2.0
"""Spark as a cluster of processes, encrypted: workers and drivers are killed, and the result is right."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hitoku.executors.spark_keys import KEY_FILE, make_key_file
from hitoku.hazmat import group

pytestmark = [pytest.mark.spark, pytest.mark.slow]

DRIVER = Path(__file__).with_name("spark_driver.py")
BATCHES = 24
WAIT = 900.0


@pytest.fixture(autouse=True)
def _needed(spark_needed: None) -> None:
    pass


@pytest.fixture
def place(tmp_path: Path) -> Path:
    make_key_file(tmp_path / "spark.key")
    (tmp_path / "mask.key").write_text(group.new_key().to_bytes().hex(), "ascii")
    (tmp_path / "conf").mkdir(mode=0o700)
    settings = tmp_path / "conf" / "spark-defaults.conf"
    settings.touch(0o600)
    settings.write_text(f"spark.authenticate.secret {secrets.token_hex(32)}\n", "ascii")
    return tmp_path


@pytest.fixture
def start(place: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts drivers; whatever they started ends with the test."""
    started: list[subprocess.Popen[str]] = []
    spec = importlib.util.find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    work = Path(spec.origin).parent / "work"  # where Spark's own worker processes put their logs
    before = set(work.glob("*"))

    def made(master: str, rows: int) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            KEY_FILE: str(place / "spark.key"),
            "SPARK_CONF_DIR": str(place / "conf"),
            "SPARK_LOCAL_DIRS": str(place / "local"),
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        command = [sys.executable, str(DRIVER), master, str(place / "job"), str(place / "mask.key")]
        process = subprocess.Popen(
            [*command, str(BATCHES), str(rows)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield made
    for process in started:
        for pid in [*descendants(process.pid), process.pid]:
            end(pid)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    for path in set(work.glob("*")) - before:
        subprocess.run(["rm", "-rf", str(path)], check=True)
    if work.exists() and not any(work.iterdir()):
        work.rmdir()


def end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def descendants(root: int) -> list[int]:
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                children = [int(child) for child in task.read_text("ascii").split()]
            except OSError:
                continue
            waiting += children
            found += children
    return found


def commands(root: int, word: str) -> list[int]:
    """The descendants of a process with this word in their command lines."""
    found = []
    for pid in descendants(root):
        try:
            if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def done(place: Path) -> dict[str, int]:
    """The results so far, and which file each is."""
    return {path.name: path.stat().st_ino for path in (place / "job").rglob("*.result")}


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def right(place: Path, rows: int) -> bool:
    """Whether what came out is what one machine makes of the same batches, in their order."""
    spec = importlib.util.spec_from_file_location("spark_driver", DRIVER)
    assert spec is not None
    assert spec.loader is not None
    driver = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(driver)
    key = group.load_key(bytes.fromhex((place / "mask.key").read_text("ascii")))
    ids = pa.concat_arrays([driver.batch(n, rows).column(0) for n in range(BATCHES)])
    expected = group.mask(ids, key, domain=b"test", run=b"run")
    with pa.ipc.open_file(str(place / "out.arrow")) as reader:
        return bool(reader.read_all()["record"].combine_chunks().equals(expected))


def test_a_cluster_whose_workers_are_killed(place: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    rows = 4_000
    process = start("local-cluster[2,1,1024]", rows)
    wait_for(lambda: done(place) and len(commands(process.pid, "CoarseGrainedExecutorBackend")) == 2)
    first = done(place)
    executors = commands(process.pid, "CoarseGrainedExecutorBackend")
    end(executors[0])
    wait_for(lambda: len(done(place)) > len(first) + 2 or process.poll() is not None)
    # A Python process beneath the other one, too.
    python = [pid for pid in descendants(executors[1]) if pid in commands(executors[1], "pyspark.daemon")]
    if python:
        end(python[-1])
    assert process.wait(WAIT) == 0
    assert right(place, rows)
    after = done(place)
    assert len(after) == BATCHES
    assert first.items() <= after.items()  # what was there stayed: nothing was written twice


def test_a_driver_that_is_killed_goes_on(place: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    rows = 4_000
    process = start("local[2]", rows)
    wait_for(lambda: len(done(place)) >= 3)
    family = [*descendants(process.pid), process.pid]
    for pid in family:
        end(pid)
    process.wait()
    first = done(place)
    assert 3 <= len(first) < BATCHES
    again = start("local[2]", rows)
    assert again.wait(WAIT) == 0
    assert right(place, rows)
    after = done(place)
    assert len(after) == BATCHES
    assert first.items() <= after.items()


def test_a_cluster_without_encryption_is_refused(start: Callable[..., subprocess.Popen[str]]) -> None:
    script = (
        "import sys\n"
        "from pyspark.sql import SparkSession\n"
        "from hitoku.errors import InputError\n"
        "from hitoku.executors.spark_session import check_session, open_session\n"
        "session = SparkSession.builder.master('local-cluster[1,1,1024]').getOrCreate()\n"
        "try:\n"
        "    check_session(session)\n"
        "except InputError as error:\n"
        "    sys.stdout.write(str(error))\n"
        "session.stop()\n"
    )
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    told = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=WAIT
    )
    for name in ("spark.authenticate", "spark.network.crypto.enabled", "spark.io.encryption.enabled"):
        assert name in told.stdout
