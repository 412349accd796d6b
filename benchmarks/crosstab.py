# SPDX-License-Identifier: Apache-2.0
"""Private cross statistics between two nodes on this machine: CPU time, wall time, bytes, memory.

Two companies' made-up tables of 100k, 1M and 10M people each, 60 % of them in common; 10 homes x 10 airports
= 100 cells, a count and a sum of each (the mean stay), noise of 10 people a figure. Both nodes are processes
with HTTPS between them, and share this machine's cores. Every answer is compared with the clear table.

CPU time is that of both nodes, user and system, all included: reading the table, de-identifying, the
protocol, TLS. Each run has the curve library's bare calls beside it, measured just before and after by one
process a core: what so many records cost in these calls alone, and how fast this machine is today beside the
one of the protocol's prototype. CPU-seconds of a shared virtual machine vary by a third from hour to hour.

What each part finds is kept under `.bench/crosstab/`; `--only saved` tells of all parts that were measured.
10M takes a quarter of an hour and some GB of disk: only with `--only 10m`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

import _nodes
import peers as others
from _common import BENCH, ROOT, Claim, bench_folder, machine, report, say
from group import bare
from hitoku.hazmat import group

RESULTS: Final = BENCH / "crosstab"
QUICK: Final = 2_000
SIZES: Final = {"100k": (100_000, 3), "1m": (1_000_000, 2), "10m": (10_000_000, 1)}
"""People on each side, and of how many runs the best is told."""
CALLS: Final = {"map": 2, "multiply": 4, "base": 2, "decode": 4, "encode": 6}
"""The curve library's calls for one person at a and one at b: hash and mask each, raise each, b's ciphertext,
and a's look at it."""
PROTOTYPE: Final = {"map": 7.7, "multiply": 16.0, "base": 8.5, "decode": 3.7, "encode": 0.4}
"""Microseconds of them on the machine of the protocol's prototype, and its CPU-seconds at 1M x 1M."""
PROTOTYPE_CPU: Final = 122
MOST_CPU: Final = 130 if group.backend() == "avx512ifma" else 150
MOST_MINUTES: Final = 13
MOST_MEMORY: Final = 3e9
SLACK: Final = 1.15
DELAY_MS: Final = 50
MBIT: Final = 100
MOST_ATTESTED: Final = 0.02
ROUNDS_ATTESTED: Final = 4
HANDSHAKES: Final = 20


def _calls() -> dict[str, float]:
    """Microseconds of the library's calls with every core at it: the mean over the cores."""
    cores = len(os.sched_getaffinity(0))
    loop = bare()
    with ThreadPoolExecutor(cores) as pool:
        found = list(pool.map(lambda _: loop(), range(cores)))
    return {name: sum(one[name] for one in found) / cores for name in CALLS}


def _in_calls(calls: dict[str, float]) -> float:
    """Microseconds in the library for a person at a and one at b."""
    return sum(calls[name] * times for name, times in CALLS.items())


def _mean(pair: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(one[name] for one in pair) / len(pair) for name in CALLS}


def _keep(name: str, found: dict[str, Any]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**found, "machine": machine()}, indent=1)
    RESULTS.joinpath(f"{name}.json").write_text(text + "\n", "utf-8")


def _kept(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def size(name: str) -> Callable[[bool], list[Claim]]:
    """The part of one number of people."""

    def part(quick: bool) -> list[Claim]:
        if quick and name != "100k":
            return []
        people, rounds = (QUICK, 1) if quick else SIZES[name]
        load, calls, runs = os.getloadavg()[0], [_calls()], []
        with bench_folder("crosstab") as place:
            town = _nodes.make(place, people)
            with _nodes.serving(town) as nodes:
                for number in range(rounds):
                    say(f"{people:,} x {people:,}, question {number + 1} of {rounds}")
                    runs.append(nodes.ask())
                    calls.append(_calls())
        found = {
            "backend": group.backend(),
            "calls": _mean(calls),
            "load": load,
            "runs": [run.dump() for run in runs],
        }
        if not quick:
            _keep(name, found)
        return _told(name, found, quick)

    return part


def _best(found: dict[str, Any]) -> _nodes.Run:
    return min((_nodes.Run.load(run) for run in found["runs"]), key=lambda run: run.cpu)


def _told(name: str, found: dict[str, Any], quick: bool = False) -> list[Claim]:
    """The claims of a size."""
    run, calls = _best(found), found["calls"]
    title = f"{run.people:,} x {run.people:,}"
    alone = _in_calls(calls) * run.records / 2 / 1e6
    slow = _in_calls(calls) / _in_calls(PROTOTYPE)
    note = (
        f"{found['backend']}, load {found['load']:.1f} before; its calls take {slow:.2f} x what they took "
        f"the prototype: {run.cpu / slow:.0f} CPU-s at that speed"
    )
    claims = [Claim(f"{title}: CPU of both nodes", run.cpu, "CPU-s", note=note)]
    if name == "1m" and not quick:
        claims[0] = dataclasses.replace(
            claims[0],
            name=f"{title}: CPU of both nodes (peer: prototype)",
            target=f"<= {MOST_CPU}",
            peer=PROTOTYPE_CPU,
            ratio=PROTOTYPE_CPU / run.cpu,
            holds=run.cpu <= MOST_CPU,
        )
    claims.append(
        Claim(
            f"{title}: the same (peer: the library's bare calls)",
            run.cpu,
            "CPU-s",
            None,
            alone,
            alone / run.cpu,
        )
    )
    whole = name == "10m" and not quick
    minutes = run.wall / 60
    claims.append(
        Claim(
            f"{title}: wall, from the question to the answer",
            minutes,
            "min",
            f"<= {MOST_MINUTES}" if whole else None,
            holds=minutes <= MOST_MINUTES if whole else None,
        )
    )
    claims.append(
        Claim(
            f"{title}: bytes of parcels", run.sent / 1e6, "MB", note=f"{run.sent / run.records:.0f} a record"
        )
    )
    for member in _nodes.MEMBERS:
        used = run.used[member]
        stages = ", ".join(f"{stage} {cpu:.1f} in {wall:.1f} s" for stage, (wall, cpu) in used.stages.items())
        side = _nodes.SIDES[member]
        claims.append(Claim(f"{title}: CPU of side {side}", used.cpu, "CPU-s", note=f"CPU-s: {stages}"))
        claims.append(
            Claim(
                f"{title}: peak memory of side {side}",
                used.memory / 1e6,
                "MB",
                "< 3,000" if whole else None,
                holds=used.memory < MOST_MEMORY if whole else None,
            )
        )
    claims.append(
        Claim(
            f"{title}: error of a count (peer: predicted)",
            run.error,
            "people",
            None,
            run.predicted,
            note="compared with the clear table",
        )
    )
    return claims


def peers(quick: bool) -> list[Claim]:
    """Plain intersection by others, at 1M."""
    if quick:
        return []
    found = []
    for name in others.PEERS:
        say(f"{name}: 1,000,000 x 1,000,000, the intersection in the clear")
        found.append(others.measure(name, 1_000_000))
    _keep("peers", {"peers": found})
    return _peers({"peers": found})


def _peers(found: dict[str, Any]) -> list[Claim]:
    ours = _kept("1m")
    run = None if ours is None else _best(ours)
    claims = []
    for one in found["peers"]:
        title = f"1M x 1M, ours beside {one['peer']}, which tells the ids in common"
        if "reason" in one:
            claims.append(Claim(title, None, "CPU-s", note=one["reason"]))
            continue
        for what, unit, value in (
            ("cpu", "CPU-s", None if run is None else run.cpu),
            ("wall", "s", None if run is None else run.wall),
        ):
            ratio = None if value is None else one[what] / value
            note = f"{one['what']}; {one['version']}" if what == "cpu" else None
            claims.append(Claim(f"{title}: {what}", value, unit, None, one[what], ratio, note=note))
        sent = None if one["bytes"] is None else one["bytes"] / 1e6
        memory = None if run is None else run.memory / 1e6
        claims += [
            Claim(f"{title}: bytes", None if run is None else run.sent / 1e6, "MB", None, sent),
            Claim(f"{title}: memory of a process", memory, "MB", None, max(one["memory"]) / 1e6),
        ]
    return claims


def proxy(quick: bool) -> list[Claim]:
    """100k through a network of 50 ms each way and 100 Mbit/s, by turns with none."""
    people, rounds = (QUICK, 1) if quick else (100_000, 3)
    near, far, carried = [], [], (0, 0)
    with bench_folder("crosstab") as place:
        town = _nodes.make(place, people)
        for number in range(rounds):
            if not quick:
                say(f"{people:,} x {people:,} on loopback, {number + 1} of {rounds}")
                with _nodes.serving(town) as nodes:
                    near.append(nodes.ask())
            say(f"{people:,} x {people:,} through the narrow network, {number + 1} of {rounds}")
            with (
                _nodes.shaped(town, delay_ms=DELAY_MS, mbit=MBIT) as network,
                _nodes.serving(town) as nodes,
            ):
                far.append(nodes.ask())
                carried = network.carried
    found = {
        "people": people,
        "near": [run.wall for run in near],
        "far": [run.wall for run in far],
        "parcels": far[-1].sent,
        "carried": carried,
    }
    if not quick:
        _keep("proxy", found)
    return _proxied(found, quick)


def _proxied(found: dict[str, Any], quick: bool = False) -> list[Claim]:
    near, far = min(found["near"], default=0.0), min(found["far"])
    wire = max(found["carried"]) * 8 / (MBIT * 1e6)
    least = max(near, wire)
    title = f"{found['people']:,} x {found['people']:,}"
    return [
        Claim(
            f"{title}, {DELAY_MS} ms each way and {MBIT} Mbit/s: wall (peer: loopback, or bytes / bandwidth)",
            far,
            "s",
            f"<= {SLACK} x peer",
            least,
            least / far,
            None if quick else far <= SLACK * least,
            f"best of {len(found['far'])} by turns; the fuller direction's bytes alone take {wire:.1f} s",
        ),
        Claim(
            f"{title}: bytes between the nodes, all of HTTPS (peer: of parcels)",
            sum(found["carried"]) / 1e6,
            "MB",
            None,
            found["parcels"] / 1e6,
        ),
    ]


def attested(quick: bool) -> list[Claim]:
    """What mutual attestation and seals cost: the same question with and without, by turns."""
    people, rounds = (QUICK, 1) if quick else (1_000_000, ROUNDS_ATTESTED)
    pairs = []
    with bench_folder("crosstab") as place:
        town = _nodes.make(place, people)
        with (
            _nodes.attesting(town) as other,
            _nodes.serving(town) as plain,
            _nodes.serving(other) as sealed,
        ):
            for number in range(rounds):
                say(f"{people:,} x {people:,} without and with attestation, {number + 1} of {rounds}")
                # Whoever comes second finds a warm machine: they change places.
                first, second = (plain, sealed) if number % 2 == 0 else (sealed, plain)
                ran = {first: first.ask(), second: second.ask()}
                pairs.append((ran[plain], ran[sealed]))
    found = {
        "people": people,
        "plain": [run.cpu for run, _ in pairs],
        "attested": [run.cpu for _, run in pairs],
        "wall": [(run.wall, other.wall) for run, other in pairs],
        "alone": _sealing_alone(pairs[0][1].sent) + _handshake_alone(),
    }
    if not quick:
        _keep("attested", found)
    return _attested(found, quick)


def _sealing_alone(sent: int) -> float:
    """CPU-seconds to seal and to open so many bytes."""
    from hitoku.attestation.envelope import Envelope

    piece, rounds = bytes(1 << 20), 64
    ends = [Envelope(bytes(32), "sha256:0", "0" * 32, "points-a", "0" * 96) for _ in range(2)]
    began = time.process_time()
    for number in range(rounds):
        ends[1].open(number, False, ends[0].seal(number, False, piece))
    return (time.process_time() - began) / rounds / len(piece) * sent


def _handshake_alone() -> float:
    """Seconds of one handshake, both sides, with evidence of a TPM in software and its verification."""
    from hitoku.attestation.attest.tpm import TpmAttester
    from hitoku.attestation.handshake import Initiator, Responder, Setting
    from hitoku.attestation.swtpm import SwTpm

    sys.path.append(str(ROOT))
    from tests.unit.attestation.handshakes import Key, shake, verifying

    keys = {name: Key() for name in ("a", "b")}
    with (
        SwTpm(certificate=False) as one,
        SwTpm(certificate=False) as two,
        one.connect() as first,
        two.connect() as second,
    ):
        attesters = {"a": TpmAttester(first), "b": TpmAttester(second)}
        began = time.perf_counter()
        for _ in range(HANDSHAKES):
            sides = [
                Setting(
                    room="sha256:0",
                    run="0" * 32,
                    me=me,
                    peer=peer,
                    peer_key=keys[peer].public,
                    keys=keys[me],
                    attester=attesters[me],
                    appraise=verifying,
                )
                for me, peer in (("a", "b"), ("b", "a"))
            ]
            shake(Initiator(sides[0]), Responder(sides[1]))
        return (time.perf_counter() - began) / HANDSHAKES


def _attested(found: dict[str, Any], quick: bool = False) -> list[Claim]:
    title = f"{found['people']:,} x {found['people']:,}, attested (peer: without)"
    plain, other = found["plain"], found["attested"]
    ratios = sorted(b / a for a, b in zip(plain, other, strict=True))
    middle = (ratios[(len(ratios) - 1) // 2] + ratios[len(ratios) // 2]) / 2 - 1
    told = ", ".join(f"{ratio - 1:+.1%}" for ratio in ratios)
    alone = found["alone"] / min(plain)
    return [
        Claim(f"{title}: CPU of both nodes", min(other), "CPU-s", None, min(plain), min(plain) / min(other)),
        Claim(
            f"{title}: more CPU",
            100 * middle,
            "%",
            f"< {100 * MOST_ATTESTED:g}",
            holds=None if quick else middle < MOST_ATTESTED,
            note=f"middle of {len(ratios)} pairs by turns ({told})",
        ),
        Claim(
            f"{title}: seals and one handshake, measured alone",
            100 * alone,
            "%",
            f"< {100 * MOST_ATTESTED:g}",
            holds=None if quick else alone < MOST_ATTESTED,
            note=f"{found['alone']:.3f} s",
        ),
        Claim(
            f"{title}: wall",
            min(wall for _, wall in found["wall"]),
            "s",
            None,
            min(wall for wall, _ in found["wall"]),
        ),
    ]


def growth(quick: bool) -> list[Claim]:
    """How time grows with records, from what was kept."""
    if quick:
        return []
    kept = {name: found for name in SIZES if (found := _kept(name)) is not None}
    if len(kept) < 2:
        return [
            Claim("exponent of CPU time", None, "", "0.95..1.05", note="two sizes must have been measured")
        ]
    runs = {name: _best(found) for name, found in kept.items()}
    first, last = next(iter(runs)), list(runs)[-1]
    records = math.log(runs[last].records / runs[first].records)

    def exponent(cost: Callable[[str], float]) -> float:
        return math.log(cost(last) / cost(first)) / records

    plain = exponent(lambda name: runs[name].cpu)
    level = exponent(lambda name: runs[name].cpu / _in_calls(kept[name]["calls"]))
    note = f"{first} to {last}; records with dummies, which are {_nodes.DUMMIES:,} a side at every size"
    full = (first, last) == ("100k", "10m")
    holds = 0.95 <= plain <= 1.05 if full else None
    claims = [
        Claim("exponent of CPU time in records", plain, "", "0.95..1.05", holds=holds, note=note),
        Claim("the same, in bare calls of the library measured beside each run", level, ""),
    ]
    # In relative terms: least squares alone would only look at the largest.
    cost = np.array([run.cpu for run in runs.values()])
    count = np.array([run.records for run in runs.values()], float)
    fit, *_ = np.linalg.lstsq(np.stack([1 / cost, count / cost], axis=1), np.ones(len(cost)), rcond=None)
    claims.append(Claim("CPU = c + k x records: c", float(fit[0]), "CPU-s", note=f"of {', '.join(runs)}"))
    claims.append(Claim("CPU = c + k x records: k", float(fit[1]) * 1e6, "us/record"))
    return claims


def saved(quick: bool) -> list[Claim]:
    """All that was kept by earlier calls."""
    if quick:
        return []
    claims = []
    for name in SIZES:
        if (found := _kept(name)) is not None:
            claims += _told(name, found)
    for name, told in (("peers", _peers), ("proxy", _proxied), ("attested", _attested)):
        if (found := _kept(name)) is not None:
            claims += told(found)
    return claims + growth(quick)


if __name__ == "__main__":
    report(
        "crosstab",
        {
            **{name: size(name) for name in SIZES},
            "peers": peers,
            "proxy": proxy,
            "attested": attested,
            "growth": growth,
            "saved": saved,
        },
        named=("10m", "saved"),
    )
