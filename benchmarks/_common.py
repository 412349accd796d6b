# SPDX-License-Identifier: Apache-2.0
"""What all benchmarks share: claims, the table for people, `--json`, and how a process is measured.

A benchmark gathers claims and calls `report`::

    def main(quick: bool) -> list[Claim]: ...

    if __name__ == "__main__":
        report("topic", main)

With ``--json`` it prints one object ``{"topic", "quick", "claims": [...], "machine": {...}}``; with
``--quick`` it runs small, under 60 seconds, and says of claims about the full size that they were
not measured. The exit code is 1 if a claim was measured and does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

__all__ = ["BENCH", "ROOT", "Claim", "Usage", "bench_folder", "machine", "report", "run", "say"]

ROOT: Final = Path(__file__).resolve().parents[1]
BENCH: Final = ROOT / ".bench"
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True)
class Claim:
    """One measured number and what was promised of it.

    Attributes:
        name: what was measured.
        value: our number; None if it was not measured.
        unit: its unit.
        target: the promise in words, e.g. ``>= 10 x peer``; None for a number that only informs.
        peer: the same number of whom we are compared with.
        ratio: how often ours is theirs, the way round that makes larger better.
        holds: whether the promise was kept; None if this run cannot tell.
        note: why it was not measured, or how.
    """

    name: str
    value: float | None
    unit: str
    target: str | None = None
    peer: float | None = None
    ratio: float | None = None
    holds: bool | None = None
    note: str | None = None


Measure = Callable[[bool], list[Claim]]


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = ""
    with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
        model = next((row.partition(":")[2].strip() for row in file if row.startswith("model name")), "")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": model or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def say(text: str) -> None:
    """Tells a person what is being done; never mixed with the results."""
    print(f"  {text}", file=sys.stderr, flush=True)


@contextmanager
def bench_folder(name: str) -> Iterator[Path]:
    """A folder for generated files under ``.bench/``, removed afterwards."""
    BENCH.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=BENCH))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Usage:
    """What a process used.

    Attributes:
        wall: seconds from start to end.
        cpu: CPU-seconds, user and system, of the process and the children it waited for.
        memory: the largest resident size of the whole process tree, in bytes.
        output: what it wrote to standard output.
    """

    wall: float
    cpu: float
    memory: int
    output: str


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    cores: Sequence[int] | None = None,
) -> Usage:
    """Runs a command to its end and measures it.

    Raises:
        SystemExit: the command failed; the end of its standard error is shown.
    """
    if cores is not None:
        command = ["taskset", "-c", ",".join(map(str, cores)), *command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=out, stderr=errors, env={**os.environ, **(environment or {})}, cwd=ROOT
        )
        watch = _Watch(process.pid)
        watch.start()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.stop()
        out.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            tail = errors.read()[-2_000:].decode(errors="replace")
            raise SystemExit(f"{command[0]} ended with {process.returncode}:\n{tail}")
        return Usage(wall, used.ru_utime + used.ru_stime, watch.peak, out.read().decode())


class _Watch(threading.Thread):
    """Samples the resident size of a process tree.

    `ru_maxrss` would not do: a started process inherits the high-water mark of the one it was
    started from.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._pid = pid
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(_POLL_SECONDS):
            sizes = [_resident(pid) for pid in _tree(self._pid)]
            self.peak = max(self.peak, sum(size for size, _ in sizes), *(mark for _, mark in sizes), 0)

    def stop(self) -> None:
        self._done.set()
        self.join()


def _tree(root: int) -> list[int]:
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text(encoding="ascii").split())
        except OSError:
            continue
    return found


def _resident(pid: int) -> tuple[int, int]:
    """Resident size now and its high-water mark, in bytes."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0, 0
    fields = dict(row.partition(":")[::2] for row in text.splitlines())
    now, mark = (int(fields.get(name, "0").split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, mark


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _show(topic: str, claims: Sequence[Claim]) -> None:
    table = Table(title=topic)
    for name in ("claim", "ours", "unit", "peer", "ratio", "target", "holds"):
        table.add_column(name, justify="right" if name in ("ours", "peer", "ratio") else "left")
    words = {True: "yes", False: "NO", None: "not measured"}
    for claim in claims:
        told = words[claim.holds] if claim.target else ""
        name = claim.name if claim.note is None else f"{claim.name}\n  ({claim.note})"
        table.add_row(
            name,
            _number(claim.value),
            claim.unit,
            _number(claim.peer),
            _number(claim.ratio),
            claim.target or "",
            told,
        )
    # A pipe has no width of its own: wide enough there that no cell is cut.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def report(topic: str, measure: Measure | Mapping[str, Measure], *, named: Collection[str] = ()) -> None:
    """Runs a benchmark's `main` or its named parts, prints the claims and ends the process.

    Args:
        topic: the title.
        measure: the one function that measures, or several by name for ``--only NAME``.
        named: those of them that run only if ``--only`` names them.
    """
    parts = {"all": measure} if callable(measure) else dict(measure)
    parser = argparse.ArgumentParser(description=f"Benchmark: {topic}.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="a small run, under 60 seconds")
    parser.add_argument("--only", action="append", choices=sorted(parts), help="run this part only")
    asked = parser.parse_args()
    claims = [
        claim
        for name, part in parts.items()
        if name in (asked.only or set(parts) - set(named))
        for claim in part(asked.quick)
    ]
    if asked.json:
        result = {
            "topic": topic,
            "quick": asked.quick,
            "claims": [asdict(claim) for claim in claims],
            "machine": machine(),
        }
        print(json.dumps(result, ensure_ascii=False))
    else:
        _show(topic, claims)
    sys.exit(1 if any(claim.holds is False for claim in claims) else 0)
