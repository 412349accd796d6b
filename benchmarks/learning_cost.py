# SPDX-License-Identifier: Apache-2.0
"""What protection costs: whole boostings, trees a second, sums by the count of members, Flower's rounds."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from _common import ROOT, Claim, run, say
from _learning import Kind, Traffic, over, plan_of
from hitoku.errors import PeerError
from hitoku.learning.base import Arrays, Instruction, Summer, Task
from hitoku.learning.plan import Aggregation, Boosting, Data, Feature

__all__ = ["flower", "members", "overhead", "speed"]

ROWS: Final = 118_000
FEATURES: Final = 100
TREES: Final = 40
"""Of each of five banks; 64 bins, depth 6."""
_PEER_TREES: Final = 4
_QUICK: Final = (8_000, 40, 4)
_ROUNDS: Final = 3
_KINDS: Final = ("plain", "masks", "he")
_TIMES: Final = {"masks": 1.1, "he": 3.0}
_BYTES: Final = {"masks": 1.05, "he": 8.0}


@cache
def _run(kind: str, rows: int, features: int, trees: int, turn: int) -> dict[str, Any]:
    """One run in a process of its own; `turn` tells repeated runs apart."""
    say(f"{kind}: 5 x {rows:,} rows, {features} features, {trees} trees, run {turn + 1}")
    script = str(ROOT / "benchmarks" / "learning_run.py")
    usage = run([sys.executable, script, kind, str(rows), str(features), str(trees)])
    found: dict[str, Any] = json.loads(usage.output.splitlines()[-1])
    return found


def _rounds(quick: bool) -> dict[str, list[dict[str, Any]]]:
    """The runs of each kind, taken in turns so that all of them meet the same machine."""
    rows, features, trees = _QUICK if quick else (ROWS, FEATURES, TREES)
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _KINDS}
    for turn in range(1 if quick else _ROUNDS):
        for kind in _KINDS:
            found[kind].append(_run(kind, rows, features, trees, turn))
    return found


def _best(runs: list[dict[str, Any]], what: str) -> float:
    return float(min(each[what] for each in runs))


def overhead(quick: bool) -> list[Claim]:
    """Whole boostings, bins and all trees, over the same messages with and without protection."""
    load = os.getloadavg()[0]
    runs = _rounds(quick)
    rows, features, trees = _QUICK if quick else (ROWS, FEATURES, TREES)
    ideal = _run("ideal", rows, features, trees, 0)
    pooled = _run("xgboost", rows, features, trees, 0)
    plain = runs["plain"]
    claims = [
        Claim(
            f"boosting, 5 banks x {rows:,} rows x {features} features, {trees} trees, clear sums: wall",
            _best(plain, "wall"),
            "s",
            note=f"load {load:.1f} before; best of {len(plain)}, in turns; signed messages, no protection",
        ),
        Claim("  CPU of all", _best(plain, "cpu"), "CPU-s"),
        Claim("  bytes of all messages", _best(plain, "bytes") / 1e6, "MB"),
        Claim("  without messages (sums in one place): wall", ideal["wall"], "s"),
        Claim("  without messages (sums in one place): CPU", ideal["cpu"], "CPU-s"),
    ]
    for kind in _KINDS[1:]:
        claims += _kind(kind, runs[kind], plain, quick)
    same = len({each["digest"] for kind in _KINDS for each in runs[kind]} | {ideal["digest"]}) == 1
    claims.append(
        Claim("models that differ from that of plain sums", float(not same), "", "0: bit for bit", holds=same)
    )
    auprc = runs["masks"][0]["auprc"]
    claims += [
        Claim("AUPRC, masks (peer: XGBoost, all rows in one place)", auprc, "", None, pooled["auprc"]),
        Claim(
            "wall, masks (peer: XGBoost, all rows in one place)",
            _best(runs["masks"], "wall"),
            "s",
            None,
            pooled["wall"],
            pooled["wall"] / _best(runs["masks"], "wall"),
            note="XGBoost's inputs are the numbers of 64 quantile bins; finding those is not in its time",
        ),
    ]
    return claims + _tenseal(runs["he"], rows, features, quick)


def _kind(kind: str, runs: list[dict[str, Any]], plain: list[dict[str, Any]], quick: bool) -> list[Claim]:
    claims = []
    for what, words, unit, scale, most in (
        ("wall", "wall", "s", 1.0, _TIMES),
        ("cpu", "CPU of all", "CPU-s", 1.0, {}),
        ("bytes", "bytes of all messages", "MB", 1e6, _BYTES),
        ("memory", "peak memory of the process", "MB", 1e6, {}),
    ):
        ours, base = _best(runs, what), _best(plain, what)
        target = most.get(kind)
        # Small sums do not fill a ciphertext, and small trees are mostly waiting: only the full size tells.
        told = target is not None and not (quick and (kind == "he" or what == "wall"))
        claims.append(
            Claim(
                f"  {kind}: {words} (peer: sums in the clear)",
                ours / scale,
                unit,
                None if target is None else f"<= {target:g} x peer",
                base / scale,
                base / ours,
                ours <= target * base if told and target is not None else None,
                f"{ours / base:.3f} x peer",
            )
        )
    return claims


def _tenseal(he: list[dict[str, Any]], rows: int, features: int, quick: bool) -> list[Claim]:
    trees = 1 if quick else _PEER_TREES
    peer = _run("tenseal", rows, features, trees, 0)
    tree, cpu = _best(he, "tree"), _best(he, "tree_cpu")
    sent = he[0]["tree_bytes"]
    note = f"{trees} trees; every bank holds its key; largest error {peer['error']:.1g} of the bound"
    return [
        Claim(
            "a tree, he (peer: CKKS by TenSEAL under one shared key): wall",
            tree,
            "s",
            None,
            peer["tree"],
            peer["tree"] / tree,
            note=note,
        ),
        Claim("  CPU", cpu, "CPU-s", None, peer["tree_cpu"], peer["tree_cpu"] / cpu),
        Claim("  bytes", sent / 1e6, "MB", None, peer["tree_bytes"] / 1e6, peer["tree_bytes"] / sent),
        Claim("  peak memory", _best(he, "memory") / 1e6, "MB", None, peer["memory"] / 1e6),
    ]


def speed(quick: bool) -> list[Claim]:
    """Trees a second, without the preparation of bins."""
    runs = _rounds(quick)
    rows, features, _ = _QUICK if quick else (ROWS, FEATURES, TREES)
    masks, plain, he = (1 / _best(runs[kind], "tree") for kind in ("masks", "plain", "he"))
    cpu, base = (_best(runs[kind], "tree_cpu") for kind in ("masks", "plain"))
    title = f"trees a second, 5 banks x {rows:,} rows x {features} features"
    return [
        Claim(
            f"{title}, masks (peer: sums in the clear)",
            masks,
            "/s",
            ">= 1.5",
            plain,
            masks / plain,
            None if quick else masks >= 1.5,
            f"CPU-s a tree: {cpu:.3g}, peer {base:.3g}",
        ),
        Claim("  he (peer: sums in the clear)", he, "/s", None, plain, he / plain),
    ]


class _Numbers:
    """A member that contributes numbers at once: nothing but the protocol is measured."""

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        del members
        return _numbers(instruction.length, instruction.bound)

    def told(self, body: Any, arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        del body, arrays
        return {}, {}


@cache
def _numbers(length: int, bound: int) -> NDArray[np.int64]:
    return np.random.default_rng(length).integers(-bound, bound, length, endpoint=True)


_LEVEL: Final = 4 * FEATURES * 65 * 2
"""The values of a level with four nodes."""
_WEIGHTS: Final = 21_000
_SIZES: Final[dict[Kind, tuple[int, ...]]] = {"masks": (3, 5, 10, 20, 50), "he": (3, 5, 10, 20)}
_QUICK_SIZES: Final[dict[Kind, tuple[int, ...]]] = {"masks": (3, 10), "he": (3,)}


def _costs(kind: Kind, count: int, repeats: int) -> dict[str, tuple[float, float, float]]:
    """Wall, CPU and bytes a member: a session's begin with its first level, a further level, one total."""
    data = Data(features=(Feature(name="x"),), label="y")
    names = [f"bank-{number:02d}" for number in range(count)]
    plan = plan_of(data, Boosting(), names, aggregation=Aggregation(kind=kind, seconds=600))
    tasks: dict[str, dict[str, Task]] = {name: {"numbers": _Numbers()} for name in names}
    found: dict[str, tuple[float, float, float]] = {}

    def driver(summer: Summer, traffic: Traffic) -> None:
        def measured(what: str, asked: Instruction, work: Callable[[Instruction], NDArray[np.int64]]) -> None:
            sent = traffic.bytes
            wall, cpu = time.perf_counter(), time.process_time()
            opened = work(asked)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if not np.array_equal(opened, count * _numbers(asked.length, asked.bound)):
                raise PeerError(f"{kind}, {count} members: a sum is wrong")
            told = (wall, cpu, (traffic.bytes - sent) / count)
            found[what] = min(found.get(what, told), told)

        def first(asked: Instruction) -> NDArray[np.int64]:
            with summer.fixed() as session:
                return session.sum(asked)

        def asked(what: str, step: int, length: int) -> Instruction:
            return Instruction("numbers", {"do": what, "step": step}, length, 1 << 40)

        measured("first", asked("level", 0, _LEVEL), first)
        with summer.fixed() as session:
            for step in range(1, repeats + 1):
                measured("level", asked("level", step, _LEVEL), session.sum)
        for step in range(repeats):
            measured("total", asked("weights", step, _WEIGHTS), lambda one: summer.total(one).values)

    with over(kind, plan, tasks) as run_driver:
        run_driver(driver)
    return found


def members(quick: bool) -> list[Claim]:
    """How the cost of a sum grows with the members."""
    claims = []
    for kind, sizes in (_QUICK_SIZES if quick else _SIZES).items():
        for count in sizes:
            say(f"{kind}, {count} members")
            found = _costs(kind, count, 2 if quick else 3)
            for what, words in (
                ("first", f"first sum of a set, keys and all: {_LEVEL:,} values"),
                ("level", f"one level of a tree: {_LEVEL:,} values"),
                ("total", f"one sum by itself: {_WEIGHTS:,} values"),
            ):
                wall, cpu, sent = found[what]
                note = f"{cpu / count * 1e3:.1f} CPU-ms and {sent / 1e6:.2f} MB a member, both ways"
                claims.append(Claim(f"{kind}, {count} members, {words}", wall, "s", note=note))
    return claims


def flower(quick: bool) -> list[Claim]:
    """A round with five banks as processes that stay, over TLS on loopback: 0.8 MB there and back."""
    from hitoku.learning.flower.measure import measure_rounds

    load = os.getloadavg()[0]
    say("Flower: five processes")
    found = measure_rounds(rounds=3 if quick else 30)
    seconds = found.seconds
    return [
        Claim(
            "a round over Flower, 5 banks, 0.8 MB each way: median",
            median(seconds),
            "s",
            "<= 1.5",
            holds=None if quick else median(seconds) <= 1.5,
            note=f"load {load:.1f} before; {len(seconds)} rounds",
        ),
        Claim("  least", min(seconds), "s"),
        Claim("  most", max(seconds), "s"),
        Claim("  CPU of all a round", found.processor, "CPU-s"),
        Claim("  processes", found.processes, ""),
        Claim("  their resident memory together", found.memory / 1e6, "MB"),
    ]
