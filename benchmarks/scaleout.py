# SPDX-License-Identifier: Apache-2.0
"""Masking on 1 and 2 workers of Spark, beside threads of one process; and a plan for 100M x 100M people.

A worker is a process of its own with one core (`local-cluster`), with all of Spark's encryption on, as on a
cluster. JVMs are started and workers warmed before the clock runs: each masks some batches first. One and two
workers take turns, so that a slow spell of the machine meets both, and of all turns the best counts. Results
are compared with those of this process. The load before and after is told: with other work on the machine's
cores, two workers cannot be twice as fast, and the ratio says nothing.

``plan`` needs no Spark: it multiplies the costs of the kernels measured here by the records of a run of
`docs/protections/crosstab.md`, and prints the formula.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from _common import BENCH, ROOT, Claim, bench_folder, report, run, say
from group import LARGEST, Kernel, kernels, logs
from hitoku import _core, limits
from hitoku.executors import Local
from hitoku.hazmat import group
from hitoku.ports import Executor
from hitoku.protections.crosstab.masking import Masking

# Batches as a run of crosstab makes them, as many for each of two workers.
BATCH: Final = limits.BATCH_ROWS
ROWS: Final = 64 * BATCH
QUICK_ROWS: Final = 40_000
QUICK_BATCH: Final = 5_000
TURNS: Final = 1
ROUNDS: Final = 2
# The JVMs only pass numbers of batches: with all compilers and collectors of a server at work, they take
# a tenth of the two cores from the kernels for the first minutes. `docs/spark.md` recommends the same.
JVM: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
TARGET: Final = 1.8

# The plan's run: people on each side, cores a side, cells.
PEOPLE: Final = 100_000_000
CORES: Final = 8
CELLS: Final = 100
# D = 2 m dummies a cell at epsilon 0.5 and delta 1e-9 a count.
DUMMIES: Final = 84
POINT: Final = 32
CIPHERTEXT: Final = 64
TAG: Final = 12
PARTS: Final = 16
"""Ranges of tags that are joined one after the other."""


def ids(rows: int, batch: int) -> list[pa.RecordBatch]:
    """Batches of ids in one group, the same every time."""
    starts = range(0, rows, batch)
    counts = [min(batch, rows - start) for start in starts]
    return [
        pa.RecordBatch.from_arrays(
            [
                group.records(hashlib.shake_256(b"%d" % start).digest(32 * count), 32),
                pa.array(np.zeros(count, np.uint16)),
            ],
            names=["id", "group"],
        )
        for start, count in zip(starts, counts, strict=True)
    ]


def function(number: int) -> Masking:
    """The mask of one round: a new one each, so that no result is there already. Not a secret."""
    key = hashlib.sha256(b"benchmark %d" % number).digest()[:31] + b"\0"
    return Masking(key, b"hitoku benchmark", b"run")


def timed(executor: Executor, mask: Masking, items: list[pa.RecordBatch]) -> tuple[float, str]:
    """Seconds to mask all batches, and the digest of what came out."""
    digest = hashlib.sha256()
    start = time.perf_counter()
    for batch in executor.map(mask, items):
        digest.update(batch.column(0).buffers()[1])
    return time.perf_counter() - start, digest.hexdigest()


def worker_process(master: str, rows: int, batch: int, rounds: int) -> None:
    """What the process of one turn does: prints seconds and digests as JSON."""
    from hitoku.executors.spark import Spark
    from hitoku.executors.spark_keys import KeyFile, make_key_file
    from hitoku.executors.spark_session import open_session

    with tempfile.TemporaryDirectory(dir=BENCH) as folder:
        here = Path(folder)
        keys = KeyFile(str(make_key_file(here / "spark.key")))
        session = open_session(
            master,
            {
                "spark.driver.host": "127.0.0.1",
                "spark.driver.bindAddress": "127.0.0.1",
                "spark.local.dir": str(here / "local"),
            },
        )
        spark = Spark(session, here / "job", keys)
        timed(spark, function(0), ids(8 * batch, batch))
        spark.clear()
        items, made = ids(rows, batch), []
        for number in range(1, rounds + 1):
            made.append(timed(spark, function(number), items))
            spark.clear()
        session.stop()
    sys.stdout.write(json.dumps(made))


def _turn(workers: int, rows: int, batch: int, rounds: int, configuration: Path) -> list[tuple[float, str]]:
    say(f"Spark, {workers} worker{'s' if workers > 1 else ''}")
    script = [sys.executable, str(ROOT / "benchmarks" / "scaleout.py"), "--worker"]
    arguments = [f"local-cluster[{workers},1,1024]", str(rows), str(batch), str(rounds)]
    settings = {"SPARK_CONF_DIR": str(configuration), "SPARK_LOCAL_IP": "127.0.0.1"}
    usage = run([*script, *arguments], environment=settings)
    return [(seconds, digest) for seconds, digest in json.loads(usage.output.splitlines()[-1])]


@contextmanager
def _cleaned() -> Iterator[None]:
    """Removes what Spark's worker processes leave in pyspark's own folder."""
    spec = importlib.util.find_spec("pyspark")
    work = Path(spec.origin).parent / "work" if spec is not None and spec.origin else None
    before = set() if work is None else set(work.glob("*"))
    yield
    if work is not None:
        for path in set(work.glob("*")) - before:
            shutil.rmtree(path, ignore_errors=True)
        if work.exists() and not any(work.iterdir()):
            work.rmdir()


def masking(quick: bool) -> list[Claim]:
    """The masking stage, Spark and threads."""
    rows, batch = (QUICK_ROWS, QUICK_BATCH) if quick else (ROWS, BATCH)
    turns, rounds = (1, 1) if quick else (TURNS, ROUNDS)
    items = ids(rows, batch)
    before = os.getloadavg()[0]
    best: dict[tuple[str, int], float] = {}

    def heard(who: str, workers: int, seconds: float) -> None:
        best[who, workers] = min(seconds, best.get((who, workers), math.inf))

    expected: dict[int, str] = {}
    for _ in range(turns):
        for number in range(1, rounds + 1):
            for threads in (1, 2):
                say(f"threads of this process: {threads}")
                seconds, digest = timed(Local(threads), function(number), items)
                heard("threads", threads, seconds)
                expected[number] = digest
    missing = _missing()
    if missing is None:
        with bench_folder("scaleout") as folder, _cleaned():
            settings = folder / "spark-defaults.conf"
            settings.touch(0o600)
            lines = [f"spark.authenticate.secret {secrets.token_hex(32)}"]
            lines += [f"spark.{role}.extraJavaOptions {JVM}" for role in ("driver", "executor")]
            settings.write_text("".join(f"{line}\n" for line in lines), "ascii")
            for _ in range(turns):
                for workers in (1, 2):
                    made = _turn(workers, rows, batch, rounds, folder)
                    for number, (seconds, digest) in enumerate(made, 1):
                        if digest != expected[number]:
                            raise SystemExit("Spark's points are not those of this process")
                        heard("spark", workers, seconds)
    load = f"load {before:.1f} to {os.getloadavg()[0]:.1f} (of this run too), {group.backend()}"
    enough = len(os.sched_getaffinity(0)) >= 2
    claims = []
    for who, name in (("threads", "threads of one process"), ("spark", "workers of Spark")):
        one, two = best.get((who, 1)), best.get((who, 2))
        note = missing if who == "spark" and missing else None
        claims.append(
            Claim(f"masking {rows:,} records, {name}: 2 (peer: 1)", two, "s", None, one, None, None, note)
        )
    ratios = [None if (who, 1) not in best else best[who, 1] / best[who, 2] for who in ("spark", "threads")]
    holds = None if quick or not enough or ratios[0] is None else ratios[0] >= TARGET
    note = load if enough else f"{load}; one core only"
    note += "; small run" if quick else ""
    claims.append(
        Claim(
            "how often as fast 2 workers of Spark are as 1 (peer: threads)",
            ratios[0],
            "times",
            f">= {TARGET}",
            ratios[1],
            None,
            holds,
            missing or f"JVMs and workers started and warmed before; best of {turns * rounds}; {note}",
        )
    )
    if ("spark", 1) in best:
        overhead = best["spark", 1] / best["threads", 1]
        claims.append(Claim("1 worker of Spark, times the seconds of 1 thread", overhead, "times"))
    return claims


def _missing() -> str | None:
    if importlib.util.find_spec("pyspark") is None:
        return 'needs Spark: make build EXTRAS="demo dev spark"'
    return None if shutil.which("java") else "needs Java 17"


def _cost(kernel: Kernel, rounds: int) -> float:
    """CPU seconds a record on one core."""
    kernel.work(1)
    best = math.inf
    for _ in range(rounds):
        start = time.process_time()
        kernel.work(1)
        best = min(best, time.process_time() - start)
    return best / kernel.rows


def plan(quick: bool) -> list[Claim]:
    """What a run of 100M x 100M takes on 8 cores a side, from the costs of the kernels here."""
    rounds = 1 if quick else 5
    made = kernels(4_000, 40_000) if quick else kernels(20_000, 1_000_000)
    cost = {}
    for kernel in made:
        say(kernel.name)
        cost[kernel.name] = _cost(kernel, rounds)
    step, _ = logs(quick)
    n = PEOPLE + DUMMIES * CELLS
    table, _, searches = _core.DiscreteLog.plan(0, PEOPLE * LARGEST, CELLS, limits.MAX_LOG_TABLE_BYTES)
    steps = table + CELLS * searches
    spread = {
        "A": n * (cost["mask"] + cost["raise to tags"] + cost["check and sum of a ciphertext"]),
        "B": (n * (cost["mask"] + cost["encrypt, seeded"] + cost["raise to tags"]) + step * steps / 1e6),
    }
    alone = {
        "A": n * cost["sort of 32 bytes"] + 2 * n * cost["join, a tag of either list"],
        "B": (
            n
            * (
                cost["join point and ciphertext"]
                + cost["external sort of 96 bytes"]
                + cost["search for repeated tags"]
                + cost["sort of 12 bytes"]
            )
        ),
    }
    efficiency = TARGET / 2
    claims = []
    seconds: dict[str, float] = {}
    for side in ("A", "B"):
        wide, narrow = spread[side], alone[side]
        seconds[side] = wide / (CORES * efficiency) + narrow
        words = (
            f"({wide / 3600:.2f} CPU-h over {CORES} cores at {efficiency:.0%}) + {narrow / 3600:.2f} h on one"
        )
        claims.append(
            Claim(f"party {side}, computing", seconds[side] / 3600, "h", None, None, None, None, words)
        )
    sent = {"A to B": (POINT * n), "B to A": (POINT + CIPHERTEXT + TAG) * n}
    traffic = sum(sent.values())
    words = f"{POINT} N from A; {POINT} N + {CIPHERTEXT} N + {TAG} N from B; N = {n:,}"
    claims.append(Claim("bytes between the two", traffic / 1e9, "GB", None, None, None, None, words))
    wire = traffic / (1e9 / 8) / 3600
    total = (seconds["A"] + seconds["B"]) / 3600 + wire
    words = "A + B + bytes at 1 Gbit/s, nothing overlapping: an upper bound"
    claims.append(Claim(f"{PEOPLE:,} x {PEOPLE:,}, whole run", total, "h", None, None, None, None, words))
    least = max(seconds.values()) / 3600 + wire
    words = "max(A, B) + bytes: both sides busy all the time"
    claims.append(Claim(f"{PEOPLE:,} x {PEOPLE:,}, at least", least, "h", None, None, None, None, words))
    memory = 2 * n * (TAG + 2 + 4) / PARTS
    words = f"2 N (tag {TAG} + group 2 + index 4 bytes) / {PARTS} ranges of tags, one after the other"
    claims.append(Claim("memory of the join at A", memory / 1e9, "GB", None, None, None, None, words))
    disk = {
        "A": (POINT + 2) * n + POINT * n + (POINT + CIPHERTEXT) * n + TAG * n,
        "B": (POINT + 2 + 8) * n + (POINT + CIPHERTEXT) * n + POINT * n + TAG * n,
    }
    for side, size in disk.items():
        words = "input, own list, the other's list, tags; twice while a list is sorted"
        claims.append(Claim(f"disk of {side}", size / 1e9, "GB", None, None, None, None, words))
    return claims


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        _, _, where, *numbers = sys.argv
        worker_process(where, *(int(number) for number in numbers))
    else:
        parts: dict[str, Any] = {"masking": masking, "plan": plan}
        report("scale-out", parts)
