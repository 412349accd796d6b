# SPDX-License-Identifier: Apache-2.0
"""Encrypted columns: ours against AWS's own client, kernels per core, memory, cores.

Parts for ``--only``: `peer` (same file, same machine, same run: hitoku in a fresh process, AWS's
C3R SDK in a fresh JVM), `kernels`, `memory`, `cores`. Three fingerprint, three sealed and three
cleartext columns, in CSV and Parquet. Files are generated under ``.bench/`` and removed.
"""

from __future__ import annotations

import base64
import json
import os
import runpy
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from _common import ROOT, Claim, Usage, bench_folder, report, run, say

ID: Final = "3f8a2c51-0b7e-4d69-9a41-c0ffee123456"
SECRET: Final = bytes(range(32))
BATCH: Final = 100_000
FORMATS: Final = ("csv", "parquet")
SETTINGS: Final = {
    "allowCleartext": True,
    "allowDuplicates": True,
    "allowJoinsOnColumnsWithDifferentNames": False,
    "preserveNulls": False,
}
SCHEMA: Final = {
    "headerRow": True,
    "columns": [
        {"sourceHeader": "customer_id", "type": "fingerprint", "targetHeader": "customer_id"},
        {"sourceHeader": "email", "type": "fingerprint", "targetHeader": "email"},
        {"sourceHeader": "phone", "type": "fingerprint", "targetHeader": "phone"},
        {"sourceHeader": "name", "type": "sealed", "pad": {"type": "max", "length": 0}},
        {"sourceHeader": "address", "type": "sealed", "pad": {"type": "fixed", "length": 64}},
        {"sourceHeader": "card", "type": "sealed", "pad": {"type": "none"}},
        {"sourceHeader": "city", "type": "cleartext"},
        {"sourceHeader": "segment", "type": "cleartext"},
        {"sourceHeader": "spend", "type": "cleartext"},
    ],
}
FIRST: Final = ("Ada", "Bjørn", "Chiara", "Daichi", "Eszter", "Fatima", "George", "Haruka", "Ivan", "Joana")
LAST: Final = (
    "Almeida",
    "Björklund",
    "Conti",
    "Dubois",
    "Egorov",
    "Fujita",
    "García",
    "Hayashi",
    "Ito",
    "Jones",
)
CITIES: Final = ("Berlin", "Kyoto", "Lagos", "Lima", "Madrid", "Nagoya", "Osaka", "Paris", "Quito", "Seoul")

# What the process started by `ours` does; it imports hitoku and nothing else.
PROGRAM: Final = f"""
import sys
from pathlib import Path
from hitoku import columns
from hitoku.room.settings import Settings
source, target, schema = map(Path, sys.argv[1:4])
settings = Settings(allow_cleartext=True, allow_duplicates=not sys.argv[4])
columns.encrypt(source, target, schema, settings, {ID!r}, {SECRET!r}, overwrite=True)
"""


# --- data ---


def batches(rows: int) -> Iterator[pa.RecordBatch]:
    """The table, `BATCH` rows at a time; the same every time."""
    for start in range(0, rows, BATCH):
        yield batch(start, min(BATCH, rows - start))


def batch(start: int, rows: int) -> pa.RecordBatch:
    """Rows `start` and on: ids of 14 characters, e-mails, names, addresses, numbers."""
    index = pa.array(range(start, start + rows), pa.int64())
    # A fixed mix of the row number stands for random numbers.
    mixed = pc.bit_wise_and(pc.multiply(index, pa.scalar(2_654_435_761, pa.int64())), pa.scalar(0xFFFFFFFF))

    def part(divisor: int, size: int) -> pa.Array:
        scaled = pc.divide(mixed, pa.scalar(divisor))
        return pc.subtract(scaled, pc.multiply(pc.divide(scaled, pa.scalar(size)), pa.scalar(size)))

    def pick(words: tuple[str, ...], divisor: int) -> pa.Array:
        return pc.take(pa.array(words), part(divisor, len(words)))

    def text(values: pa.Array) -> pa.Array:
        return pc.cast(values, pa.string())

    number = pc.utf8_lpad(text(index), 9, "0")
    first, last = pick(FIRST, 7), pick(LAST, 71)
    columns: dict[str, pa.Array] = {
        "customer_id": pc.binary_join_element_wise("C", text(part(3, 9)), number, text(part(11, 899)), "-"),
        "email": pc.binary_join_element_wise(first, ".", number, "@example.org", ""),
        "phone": pc.binary_join_element_wise("+81", pc.utf8_lpad(text(mixed), 10, "0"), ""),
        "name": pc.binary_join_element_wise(first, last, " "),
        "address": pc.binary_join_element_wise(
            text(part(5, 999)), " ", last, " Street, ", pick(CITIES, 13), ""
        ),
        "card": pc.binary_join_element_wise("4539", pc.utf8_lpad(text(mixed), 12, "0"), ""),
        "city": pick(CITIES, 13),
        "segment": pick(("new", "loyal", "lapsed"), 17),
        "spend": text(pc.divide(pc.cast(part(1, 1_000_000), pa.float64()), 100.0)),
    }
    return pa.RecordBatch.from_pydict(columns)


def generate(path: Path, rows: int) -> Path:
    """Writes the table by batches."""
    say(f"generating {rows:,} rows of {path.suffix[1:]}")
    schema = batch(0, 1).schema
    if path.suffix == ".csv":
        options = pa_csv.WriteOptions(quoting_style="needed")
        with pa_csv.CSVWriter(path, schema, write_options=options) as writer:
            for one in batches(rows):
                writer.write_batch(one)
    else:
        with pq.ParquetWriter(path, schema) as parquet:
            for one in batches(rows):
                parquet.write_batch(one)
    return path


# --- the clients ---


def ours(source: Path, target: Path, *, cores: list[int] | None = None, unique: bool = False) -> Usage:
    """Hitoku in a fresh process of its own, from the interpreter's start to its end.

    Args:
        source: the file to encrypt.
        target: the file to write.
        cores: which cores the process may use; all by default.
        unique: the room forbids duplicates, so that hitoku looks for them.
    """
    schema = source.parent / "schema.json"
    schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
    os.sync()  # what earlier runs left to write is not this one's to wait for
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        str(source),
        str(target),
        str(schema),
        "unique" if unique else "",
    ]
    return run(command, cores=cores)


def theirs(command: list[str], source: Path, target: Path) -> tuple[Usage, float]:
    """AWS's client through its SDK in a fresh JVM; also the seconds without the JVM's start."""
    job = {
        "name": source.name,
        "mode": "encrypt",
        "format": source.suffix[1:],
        "source": str(source),
        "target": str(target),
        "schema": json.dumps(SCHEMA),
        "id": ID,
        "settings": SETTINGS,
        "tempDir": str(source.parent),
    }
    jobs = source.parent / "jobs.json"
    jobs.write_text(json.dumps({"jobs": [job]}), encoding="utf-8")
    os.sync()
    secret = {"C3R_SHARED_SECRET": base64.b64encode(SECRET).decode()}
    usage = run([*command, str(jobs)], environment=secret)
    line = next(row for row in usage.output.splitlines() if row.startswith('{"name"'))
    outcome = json.loads(line)
    if not outcome["ok"]:
        raise SystemExit(f"AWS's client failed: {outcome['error']}")
    return usage, float(outcome["seconds"])


def harness() -> tuple[list[str] | None, str | None]:
    """The command that runs AWS's client, or why there is none."""
    module = runpy.run_path(str(ROOT / "tests" / "interop" / "harness.py"))
    try:
        return list(module["build_harness"]()), None
    except module["MissingError"] as problem:
        return None, f"not measured: {problem}"


# --- parts ---


def best(times: int, measure: Callable[[], Usage]) -> Usage:
    """The fastest of several runs."""
    return min((measure() for _ in range(times)), key=lambda usage: usage.wall)


def peer(quick: bool) -> list[Claim]:
    """Rows a second, ours and AWS's, of the same file in the same run."""
    rows = 50_000 if quick else 1_000_000
    command, missing = harness()
    if missing:
        say(missing)
    claims = []
    with bench_folder("peer") as folder:
        for kind in FORMATS:
            source = generate(folder / f"table.{kind}", rows)
            target = folder / f"out.{kind}"
            say(f"hitoku encrypts {kind}")
            mine = best(1 if quick else 3, lambda source=source, target=target: ours(source, target))  # type: ignore[misc]
            size, rate = target.stat().st_size, rows / mine.wall
            target.unlink()
            theirs_rate = inside = ratio = None
            if command is not None:
                say(f"AWS's client encrypts {kind}")
                used, seconds = theirs(command, source, target)
                theirs_rate, inside = rows / used.wall, rows / seconds
                ratio = rate / theirs_rate
                target.unlink()
            claims += [
                Claim(f"encrypt {rows:,} rows, {kind}, end to end", rate, "rows/s"),
                Claim(
                    f"hitoku's rows a second over AWS's client's, {kind}",
                    ratio,
                    "x",
                    ">= 10",
                    theirs_rate,
                    ratio,
                    None if ratio is None or quick else ratio >= 10,
                    missing or ("small run" if quick else None),
                ),
                Claim(
                    f"the same, without the JVM's start, {kind}",
                    None if inside is None else rate / inside,
                    "x",
                    None,
                    inside,
                ),
                Claim(f"CPU, {kind}", mine.cpu, "s"),
                Claim(f"peak memory, {kind}", mine.memory / 1e6, "MB"),
                Claim(f"encrypted file, {kind}", size / 1e6, "MB"),
            ]
    return claims


def kernels(quick: bool) -> list[Claim]:
    """Values a second on one core, and the share of a bare loop of the same calls that is."""
    say("building and running the bare loops")
    values = 300_000 if quick else 3_000_000
    build = ["cargo", "build", "--quiet", "--release", "--locked", "--example", "bare"]
    run(build, environment={"RUSTFLAGS": os.environ.get("RUSTFLAGS", "")})
    program = str(ROOT / "target" / "release" / "examples" / "bare")
    here = str(Path(__file__).resolve())
    rates: dict[str, list[tuple[float, float]]] = {"fingerprints": [], "sealed": []}
    for _ in range(3):
        # Turn by turn, so that a slow spell of the machine meets both.
        bare = json.loads(run([program, str(values)], cores=[0]).output)
        mine = json.loads(run([sys.executable, here, "kernels", str(values)], cores=[0]).output)
        for name, pairs in rates.items():
            pairs.append((mine[name], bare[name]))
    claims = []
    for name, least in (("fingerprints", 4e6), ("sealed", 1.2e6)):
        rate, bound = (median(pair[i] for pair in rates[name]) for i in (0, 1))
        claims.append(
            Claim(
                f"{name} on one core (peer: the bare loop)",
                rate,
                "values/s",
                f">= {least / 1e6:g}M",
                bound,
                rate / bound,
                None if quick else rate >= least,
                "small run" if quick else None,
            )
        )
    return claims


def core_rates(values: int) -> dict[str, float]:
    """What the process started by `kernels` measures: the kernels over Arrow arrays."""
    from hitoku import _core

    core: Any = _core
    rows = min(values, 8_192)  # what `encrypt` hands the kernels at a time
    table = batch(0, rows)
    keys = table["customer_id"]
    # 16 bytes and 32 bytes: what the bare loops hash and encrypt (one byte of type, two of padding).
    short = pc.utf8_slice_codeunits(pc.binary_join_element_wise(keys, keys, ""), 0, 16)
    wide = pc.utf8_slice_codeunits(pc.binary_join_element_wise(keys, keys, keys, ""), 0, 32)
    key = bytes(range(32))

    def rate(size: int, work: Callable[[], object]) -> float:
        work()
        rounds = max(1, values // size)
        start = time.perf_counter()
        for _ in range(rounds):
            work()
        return rounds * size / (time.perf_counter() - start)

    headers, pads = ["address", "city", "title"], [None] * 3
    return {
        "fingerprints": rate(rows, lambda: core.fingerprint(short, key, False)),
        "sealed": rate(3 * rows, lambda: core.seal([wide] * 3, headers, pads, key, False)),
    }


def memory(quick: bool) -> list[Claim]:
    """The largest resident size while a table far larger than it is encrypted."""
    rows = 200_000 if quick else 20_000_000
    claims = []
    for kind in FORMATS:
        with bench_folder("memory") as folder:
            source = generate(folder / f"table.{kind}", rows)
            for unique in (False, True):
                say(f"hitoku encrypts {rows:,} rows of {kind}{', duplicates forbidden' if unique else ''}")
                used = ours(source, folder / f"out.{kind}", unique=unique)
                what = f"{rows:,} rows, {kind}{', duplicates forbidden' if unique else ''}"
                claims += [
                    Claim(
                        f"peak memory, {what}",
                        used.memory / 1e6,
                        "MB",
                        "< 500 at 20M rows",
                        holds=None if quick else used.memory < 500e6,
                        note="small run" if quick else None,
                    ),
                    Claim(f"rows a second, {what}", rows / used.wall, "rows/s"),
                ]
    return claims


def cores(quick: bool) -> list[Claim]:
    """How much faster two cores are than one."""
    rows = 200_000 if quick else 4_000_000
    available = sorted(os.sched_getaffinity(0))[:2]
    if len(available) < 2:
        return [Claim("two cores over one", None, "x", ">= 1.8", note="this machine has one core")]
    claims = []
    with bench_folder("cores") as folder:
        for kind in FORMATS:
            source = generate(folder / f"table.{kind}", rows)
            target = folder / f"out.{kind}"
            say(f"hitoku encrypts {kind} on one core, then on two")
            pairs = [
                (ours(source, target, cores=available[:1]), ours(source, target))
                for _ in range(1 if quick else 3)
            ]
            # The best of each: whatever else the machine does only ever adds.
            one, two = (min(pair[i].wall for pair in pairs) for i in (0, 1))
            claims.append(
                Claim(
                    f"two cores over one, {rows:,} rows, {kind} (peer: one core)",
                    rows / two,
                    "rows/s",
                    ">= 1.8 x one core",
                    rows / one,
                    one / two,
                    None if quick else one / two >= 1.8,
                    "small run" if quick else None,
                )
            )
            spent = [min(pair[i].cpu for pair in pairs) for i in (0, 1)]
            claims.append(
                Claim(f"CPU with two cores, {kind} (peer: with one)", spent[1], "s", None, spent[0])
            )
    return claims


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["kernels", count]:
            print(json.dumps(core_rates(int(count))))
        case _:
            report("columns", {"peer": peer, "kernels": kernels, "memory": memory, "cores": cores})
