# SPDX-License-Identifier: Apache-2.0
"""The group's kernels: microseconds a record on one core and on two, and what 1M x 1M people would cost.

One core is CPU time of the process, two cores are wall time; of many rounds the best is taken, since
whatever else the machine does only ever adds. The load is told. Nothing is read or sent here:
`benchmarks/crosstab.py` times the whole protocol.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from _common import ROOT, Claim, report, run, say
from hitoku.hazmat import group

# What the projection is of: people on each side, how many of them on both, cells, largest value.
PEOPLE: Final = 1_000_000
SHARED: Final = 0.6
CELLS: Final = 100
LARGEST: Final = 1_000
# Dummies of a cell at epsilon 0.5 and delta 1e-9 a count: D = 2 m, m = 42.
DUMMIES: Final = 84
ROUNDS: Final = 8
# The library's own calls that a kernel cannot do without (`rust/examples/bare_group.rs`).
BARE: Final = {
    "mask": {"map": 1, "multiply": 1, "encode": 1},
    "raise to points": {"decode": 1, "multiply": 1, "encode": 1},
    "raise to tags": {"decode": 1, "multiply": 1, "encode": 1},
    "check of a point": {"decode": 1},
    "random point": {"map": 1, "encode": 1},
    "encrypt": {"base": 2, "encode": 2},
    "encrypt, seeded": {"base": 2, "encode": 2},
    "check and sum of a ciphertext": {"decode": 2},
}


def bare() -> Callable[[], dict[str, float]]:
    """Builds the loop of bare calls; what is returned runs it on one core: microseconds of each."""
    build = ["cargo", "build", "--quiet", "--release", "--locked", "--example", "bare_group"]
    run(build)
    program = str(ROOT / "target" / "release" / "examples" / "bare_group")
    return lambda: dict(json.loads(run([program, "32"]).output))


def ids(count: int) -> pa.Array:
    """Records of 32 random bytes."""
    return group.records(os.urandom(32 * count), 32)


def groups(count: int, of: int) -> pa.Array:
    """Random group numbers."""
    return pa.array(np.random.default_rng(1).integers(0, of, count).astype(np.uint16))


class Kernel:
    """Times one kernel over `rows` records."""

    def __init__(self, name: str, rows: int, work: Callable[[int], object]) -> None:
        self.name, self.rows, self.work = name, rows, work

    def measure(self, quick: bool) -> tuple[float, float | None]:
        """CPU microseconds a record with one thread, wall microseconds with two (None: one core only)."""
        rounds = 1 if quick else ROUNDS
        self.work(1)
        one = min(_cpu(lambda: self.work(1)) for _ in range(rounds)) / self.rows * 1e6
        if len(os.sched_getaffinity(0)) < 2:
            return one, None
        return one, min(_wall(lambda: self.work(2)) for _ in range(rounds)) / self.rows * 1e6


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _wall(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def external(column: pa.Array, width: int) -> Callable[[int], object]:
    """Sorting through a `Sorter` whose records all go to the file."""

    def work(threads: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            sorter = group.Sorter(width, [len(column)], memory=0, folder=Path(folder))
            for start in range(0, len(column), 50_000):
                sorter.push(column[start : start + 50_000])
            for _ in sorter.take(threads=threads):
                pass

    return work


def kernels(rows: int, many: int) -> list[Kernel]:
    """Every kernel with something to work on: `rows` points, `many` records to sort and join."""
    few = rows // 2
    names: dict[str, Any] = {"domain": b"hitoku benchmark", "run": b"run"}
    alpha, beta, key = group.new_key(), group.new_key(), group.new_elgamal_key()
    hashed = ids(rows)
    points = group.random_points(rows)
    values = pa.array(np.arange(rows) % LARGEST, pa.int64())
    ciphertexts = group.encrypt(values, key)
    plain, wide = ids(many), group.records(os.urandom(96 * many), 96)
    halves = group.records(os.urandom(64 * many), 64)
    # Random tags: 12 random bytes, the lowest bit of the first clear.
    raw = np.random.default_rng(2).integers(0, 256, (many, 12), np.uint8)
    raw[:, 0] &= 0xFE
    short = group.records(raw, 12)
    shared = int(SHARED * rows)
    right = pa.concat_arrays([short[:shared], short[rows : 2 * rows - shared]])
    matches = group.join((short[:rows], groups(rows, 10), 10), (right, groups(rows, 10), 10), threads=1)
    sides = [(short, groups(many, 10), 10), (short[: many // 2], groups(many // 2, 10), 10)]
    context = group.random_points(few)
    extra: dict[str, Any] = {"seed": bytes(32), "contexts": context}
    return [
        Kernel(
            "hash to point, encoded", few, lambda t: group.hash_to_group(hashed[:few], threads=t, **names)
        ),
        Kernel("mask", rows, lambda t: group.mask(hashed, alpha, threads=t, **names)),
        Kernel("raise to points", few, lambda t: group.raise_points(points[:few], beta, threads=t)),
        Kernel("raise to tags", rows, lambda t: group.tags(points, beta, threads=t)),
        Kernel("check of a point", few, lambda t: group.check_points(points[:few], threads=t)),
        Kernel("random point", few, lambda t: group.random_points(few, threads=t)),
        Kernel("encrypt", rows, lambda t: group.encrypt(values, key, threads=t)),
        Kernel("encrypt, seeded", few, lambda t: group.encrypt(values[:few], key, threads=t, **extra)),
        Kernel("join point and ciphertext", many, lambda _: group.interleave([plain, halves])),
        Kernel("sort of 32 bytes", many, lambda t: group.sort(plain, threads=t)),
        Kernel("sort of 96 bytes", many, lambda t: group.sort(wide, threads=t)),
        Kernel("sort of 12 bytes", many, lambda t: group.sort(short, threads=t)),
        Kernel("external sort of 96 bytes", many, external(wide, 96)),
        Kernel("search for repeated tags", many, lambda t: group.check_distinct(short, length=12, threads=t)),
        Kernel("join, a tag of either list", many + many // 2, lambda t: group.join(*sides, threads=t)),
        Kernel(
            "check and sum of a ciphertext",
            rows,
            lambda t: group.Sums(matches).add(ciphertexts, threads=t),
        ),
    ]


def logs(quick: bool) -> tuple[float, int]:
    """CPU microseconds a step of opening sums, and how many steps the projection's table takes."""
    high = PEOPLE * LARGEST
    key, cells = group.new_elgamal_key(), 10 if quick else CELLS
    sums = group.encrypt(pa.array(np.linspace(0, high, cells).astype(np.int64)), key)
    steps = group.DiscreteLog(0, high, CELLS, threads=1).steps

    def work() -> int:
        log = group.DiscreteLog(0, high, cells, threads=1)
        group.decrypt(sums, key, log, threads=1)
        return log.steps

    start = time.process_time()
    done = work()
    return (time.process_time() - start) / done * 1e6, steps


def main(quick: bool) -> list[Claim]:
    """All kernels, then the projection."""
    rows, many = (4_000, 40_000) if quick else (20_000, 1_000_000)
    before = os.getloadavg()[0]
    say(f"curve code: {group.backend()}; load {before:.1f}")
    say("building the bare loop")
    loop = bare()
    cost, claims = {}, []
    for kernel in kernels(rows, many):
        say(kernel.name)
        one, two = kernel.measure(quick)
        cost[kernel.name] = one
        peer = None
        if kernel.name in BARE:
            # Turn by turn, so that a slow spell of the machine meets both.
            calls = loop()
            peer = sum(calls[call] * times for call, times in BARE[kernel.name].items())
        ratio = None if peer is None else peer / one
        told = kernel.name + (", one core" if peer is None else ", one core (peer: bare calls)")
        claims.append(Claim(told, one, "us/record", None, peer, ratio))
        claims.append(Claim(f"{kernel.name}, two cores (peer: one)", two, "us/record", None, one))
    say("opening sums")
    step, steps = logs(quick)
    claims.append(Claim("opening sums, one core", step, "us/step"))
    people = PEOPLE + DUMMIES * CELLS
    of_a = {
        "mask": people,
        "sort of 32 bytes": people,
        "raise to tags": people,
        "join, a tag of either list": 2 * people,
        "check and sum of a ciphertext": people,
    }
    of_b = {
        "mask": people,
        "encrypt, seeded": people,
        "join point and ciphertext": people,
        "external sort of 96 bytes": people,
        "raise to tags": people,
        "search for repeated tags": people,
        "sort of 12 bytes": people,
    }
    seconds = [sum(cost[name] * count for name, count in part.items()) / 1e6 for part in (of_a, of_b)]
    seconds[1] += step * steps / 1e6
    bound = 130 if group.backend() == "avx512ifma" else 150
    total = sum(seconds)
    note = f"load {before:.1f} to {os.getloadavg()[0]:.1f}, {group.backend()}"
    return [
        *claims,
        Claim("projected for 1M x 1M, party A", seconds[0], "CPU-s"),
        Claim("projected for 1M x 1M, party B", seconds[1], "CPU-s"),
        Claim(
            "projected for 1M x 1M, 100 cells, counts and a sum, both (peer: prototype)",
            total,
            "CPU-s",
            f"<= {bound}",
            122,
            122 / total,
            None if quick else total <= bound,
            f"{note}, small run" if quick else note,
        ),
    ]


if __name__ == "__main__":
    report("group", main)
