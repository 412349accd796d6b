# SPDX-License-Identifier: Apache-2.0
"""Computing on secret shares: three servers as processes of this machine, joined over TLS on loopback.

Each case is run by the operators that questions are answered with (`hitoku.protections.shares.operators`),
from a program as the planner makes it; sorting alone and the union of owners' tables call the kernel
(`hitoku.hazmat.shares`) beside them. The servers have keys and certificates of their own. Every result is
added up from the three servers' shares and compared with the clear answer, and has to be exactly that.

The clock runs from when all three servers have their shares until all three have shares of the result. What
comes before is told apart: owners splitting their columns, and servers expanding seeds and passing the
explicit shares on. Bytes are those of messages, without TLS's own. All three servers share this machine's
cores, so CPU-seconds say more than wall time where the machine is busy.

The peer is SPU, from PyPI, in an environment of its own: the same table, sorted and added up. It does less,
see `peers/spu_group.py`. ``--only peers-1m`` compares at a million rows and takes many minutes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any, Final

import numpy as np

from _common import Claim, bench_folder, report, say
from _shares import GROUPS, OWNERS, case
from _three import Run, measured
from hitoku.protections.shares.planning.predict import predict
from peers import run_apart

_QUICK: Final = 100_000
_MOST_MEMORY: Final = 2e9
SIZES: Final = {
    "group-100k": ("group", 100_000, 5, 0.3),
    "group-1m": ("group", 1_000_000, 3, 3),
    "group-10m": ("group", 10_000_000, 1, 50),
    "sort": ("sort", 1_000_000, 3, 8),
    "join": ("join", 1_000_000, 2, 30),
    "join-hash": ("join-hash", 1_000_000, 1, None),
    "ordered": ("ordered", 10_000_000, 2, 8),
    "union": ("union", GROUPS, 5, 1),
}
"""Of each part: the case, its rows, how many rounds (of which the least is told), and the most seconds."""
_GROWTH: Final = ("group-100k", "group-1m", "group-10m")
_SPU: Final = "spu==0.9.5"
_PEERS: Final = {"ABY3": "3 servers", "SEMI2K": "2 servers, the first of which deals (for tests only)"}
_FIELDS: Final = {"FM64": 2**64 - 1, "FM32": 2**10 - 1}
"""Rings of 64 and 32 bits, and the values' bits that are kept: sums of all rows must fit."""


@cache
def _run(part: str, quick: bool) -> Run:
    """A case at its size; measured once."""
    name, rows, rounds, _ = SIZES[part]
    if quick:
        rows, rounds = min(rows, _QUICK), 1
    job = case(name, rows)
    say(f"{job.title}: {rows:,} rows, {rounds} round{'s' * (rounds > 1)}")
    return measured(name, rows, rounds)


def size(part: str) -> Callable[[bool], list[Claim]]:
    """One part of `SIZES`."""

    def told(quick: bool) -> list[Claim]:
        if quick and part in ("group-1m", "group-10m"):
            return []
        load = os.getloadavg()[0]
        return _claims(part, _run(part, quick), load, quick)

    return told


def _claims(part: str, run: Run, load: float, quick: bool) -> list[Claim]:
    name, rows, _, most = SIZES[part]
    job = case(name, run.rows)
    sides = {"join": 2, "join-hash": 2, "union": OWNERS}.get(name, 1)
    title = f"{job.title}, {' + '.join([f'{run.rows:,}'] * sides)} rows"
    full = run.rows == rows and not quick
    cores = len(os.sched_getaffinity(0))
    note = f"load {load:.1f} before, {run.cpu / cores:.2g} s of CPU a core"
    claims = [
        Claim(
            f"{title}: wall",
            run.wall,
            "s",
            None if most is None else f"<= {most:g}",
            holds=run.wall <= most if full and most is not None else None,
            note=note if full or most is None else f"{note}; a small run",
        ),
        Claim("  CPU of the three servers", run.cpu, "CPU-s"),
        Claim("  sent by the three servers", run.bytes / 1e6, "MB"),
        Claim("  rounds", run.rounds, ""),
    ]
    memory = max(run.memory)
    holds = memory <= _MOST_MEMORY if full and rows >= 10_000_000 else None
    target = f"<= {_MOST_MEMORY / 1e6:,.0f}" if rows >= 10_000_000 else None
    claims.append(Claim("  peak memory of the largest server", memory / 1e6, "MB", target, holds=holds))
    claims.append(Claim("  before: upload, from clear columns to loaded shares", run.upload_wall, "s"))
    claims.append(Claim("  before: the same", run.upload_cpu, "CPU-s", note="owner and servers"))
    claims.append(Claim("  before: sent", run.upload_bytes / 1e6, "MB"))
    if job.program is not None and name != "union":
        claims += _predicted(job.program, run)
    return claims


def _predicted(program: Any, run: Run) -> list[Claim]:
    """What `hitoku explain` says of the same program, without the upload."""
    prediction = predict(program)
    steps = prediction.steps[1:]
    seconds, sent = (sum(getattr(step, what) for step in steps) for what in ("seconds", "bytes"))
    return [
        Claim("  wall (peer: as `explain` predicts)", run.wall, "s", None, seconds, seconds / run.wall),
        Claim(
            "  sent (peer: as `explain` predicts)",
            run.bytes / 1e6,
            "MB",
            None,
            sent / 1e6,
            sent / run.bytes,
        ),
    ]


def growth(quick: bool) -> list[Claim]:
    """How the group by grows with rows: the exponent of CPU time and bytes; what a byte and a round cost."""
    if quick:
        return []
    runs = [_run(part, quick) for part in _GROWTH]
    rows = np.log([run.rows for run in runs])
    exponents = {
        what: float(np.polyfit(rows, np.log([getattr(run, what) for run in runs]), 1)[0])
        for what in ("cpu", "wall", "bytes")
    }
    largest, union = runs[-1], _run("union", quick)
    steps = [b.cpu / a.cpu / (b.rows / a.rows) for a, b in pairwise(runs)]
    cpu = exponents["cpu"]
    note = "CPU a row against the size before: " + ", ".join(f"{step:.2f} x" for step in steps)
    return [
        Claim("group by sum: exponent of CPU time in rows", cpu, "", "<= 1.15", holds=cpu <= 1.15, note=note),
        Claim("  of wall time", exponents["wall"], ""),
        Claim("  of bytes", exponents["bytes"], ""),
        Claim("wall time of a byte, group by of 10M", largest.wall / largest.bytes * 1e9, "ns"),
        Claim("wall time of a round, where there are few rows", union.wall / union.rounds * 1e6, "us"),
    ]


def peers(part: str, timeout: float) -> Callable[[bool], list[Claim]]:
    """SPU beside one part of `SIZES`."""

    def told(quick: bool) -> list[Claim]:
        if quick:
            return []
        ours = _run(part, quick)
        claims = []
        with bench_folder("shares-peer") as folder:
            table, _ = case("group", ours.rows).make(np.random.default_rng(ours.rows))
            for protocol, what in _PEERS.items():
                for field, mask in _FIELDS.items():
                    key, value = table["words", "t.0"], table["ring", "t.1"] & np.uint64(mask)
                    np.savez(folder / "table.npz", key=key, value=value)
                    say(f"SPU, {protocol}, {field}: {ours.rows:,} rows")
                    # Of its ways to sort, the one that was quicker for it.
                    command = ["spu_group.py", str(folder / "table.npz"), protocol, field, "QUICK"]
                    found = run_apart(_SPU, command, timeout)
                    title = f"group by sum, {ours.rows:,} rows (peer: SPU {protocol} {field})"
                    claims += _against(title, what, ours, found, key, value)
        return claims

    return told


def _against(title: str, what: str, ours: Run, found: dict[str, Any], key: Any, value: Any) -> list[Claim]:
    if "reason" in found:
        note = f"nothing to compare with: {found['reason']}"
        return [Claim(f"{title}: wall", ours.wall, "s", "less than peer", note=note)]
    count = np.bincount(key)
    clear = [int(value[key == group].sum()) for group in np.flatnonzero(count)]
    exact = found["keys"] == np.flatnonzero(count).tolist() and found["sums"] == clear
    note = f"{what}; its result is {'exact' if exact else 'NOT the clear answer'}"
    pairs = [
        ("wall", "s", ours.wall, found["wall"]),
        ("CPU of all", "CPU-s", ours.cpu, found["cpu"]),
        ("sent (peer: all that went over loopback meanwhile)", "MB", ours.bytes / 1e6, found["bytes"] / 1e6),
        ("peak memory of the largest", "MB", max(ours.memory) / 1e6, max(found["memory"]) / 1e6),
    ]
    claims = [Claim(f"  {name}", mine, unit, None, peer, peer / mine) for name, unit, mine, peer in pairs]
    claims[0] = Claim(
        f"{title}: wall",
        ours.wall,
        "s",
        "less than peer",
        found["wall"],
        found["wall"] / ours.wall,
        ours.wall < found["wall"],
        note,
    )
    return claims


if __name__ == "__main__":
    report(
        "shares",
        {
            **{part: size(part) for part in SIZES},
            "growth": growth,
            "peers": peers("group-100k", 120),
            "peers-1m": peers("group-1m", 900),
        },
        named=("peers-1m",),
    )
