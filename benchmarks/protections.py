# SPDX-License-Identifier: Apache-2.0
"""One question on the same two tables under each protection: time, CPU, bytes, memory, and who learns what.

Each member is a process of its own on this machine; the asker is this process. The clock runs from the
question to the answer: consents, charges, launches, uploads, the protocol and the ledgers are in it. What is
done once before (encrypting the tables for `tokens`, measuring the program for `enclave`) is told apart.

Bytes are all that went over loopback meanwhile, TLS and TCP included. The script moves to a network of its
own (``unshare``), so that nobody else's bytes are in them; where it cannot, a note says so. CPU is that of
all members' processes and the asker's. Memory is the largest resident size of one member's processes
together.

Every answer is compared with plain DuckDB's: equal but for groups below the minimum, or, with noise, as far
off as the law of the noise says. The peer is DuckDB, in a process, on the clear tables in one place.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from _common import Claim, Usage, _resident, _tree, bench_folder, report, run, say
from _nodes import _cpu
from _worlds import CLEAR, MINIMUM, NOISE, QUESTION, WORLDS, Tables, World, write
from hitoku.demo.crosstab import compare, nodes

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer

SIZES: Final = {"small": 10_000, "medium": 100_000}
QUICK: Final = 2_000
ROUNDS: Final = 2
_ALONE: Final = "HITOKU_BENCH_OWN_NETWORK"
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Asked:
    """One answer, and what it took.

    Attributes:
        wall: seconds.
        cpu: CPU-seconds of all.
        sent: bytes over loopback.
        memory: of the largest member, in bytes.
        answer: compared already.
    """

    wall: float
    cpu: float
    sent: int
    memory: int
    answer: Answer


def carried() -> int:
    """Bytes that went over loopback since it came up."""
    rows = Path("/proc/self/net/dev").read_text("ascii").splitlines()
    return int(next(row for row in rows if row.strip().startswith("lo:")).partition(":")[2].split()[0])


class _Memory(threading.Thread):
    """The largest resident size of each process tree, sampled."""

    def __init__(self, roots: Mapping[str, int]) -> None:
        super().__init__(daemon=True)
        self.peaks = dict.fromkeys(roots, 0)
        self.cpu = 0.0
        self._roots, self._done = roots, threading.Event()

    def run(self) -> None:
        while not self._done.wait(_POLL_SECONDS):
            for name, root in self._roots.items():
                size = sum(_resident(pid)[0] for pid in _tree(root))
                self.peaks[name] = max(self.peaks[name], size)
            self.cpu = time.thread_time()

    def stop(self) -> None:
        self._done.set()
        self.join()


def ask(world: World, running: nodes.Nodes, tables: Tables, number: int) -> Asked:
    """One question, measured and compared.

    Raises:
        SystemExit: the answer is wrong.
    """
    from hitoku.node.remote import open_remote_room

    roots = {name: process.pid for name, process in running.processes.items()}
    memory = _Memory(roots)
    before, sent, own = {n: _cpu(p) for n, p in roots.items()}, carried(), time.process_time()
    memory.start()
    start = time.perf_counter()
    handle = open_remote_room(world.place / "airline")
    try:
        answer = handle.ask(QUESTION(number))
    finally:
        handle.close()
        wall = time.perf_counter() - start
        memory.stop()
    cpu = sum(_cpu(p) - before[n] for n, p in roots.items()) + time.process_time() - own - memory.cpu
    asked = Asked(wall, cpu, carried() - sent, max(memory.peaks.values()), answer)
    _right(world, answer, tables, number)
    return asked


def _right(world: World, answer: Answer, tables: Tables, number: int) -> None:
    names = ("home", "airport")
    if world.noised:
        cells = compare.noised(answer, names, f"people_{number}")
        law = compare.Law(7 / (5 * NOISE))
        found = compare.compare(cells, tables.exact, law)
        if not found.right:
            raise SystemExit(f"the answer's errors are not those of the noise: {found}")
        return
    expected = {cell: exact for cell, exact in tables.exact.items() if exact.people >= MINIMUM}
    rows = {(home, airport): (people, mean) for home, airport, people, mean in answer.fetchall()}
    same = rows.keys() <= expected.keys() and all(
        people == expected[cell].people and math.isclose(mean, expected[cell].mean or 0)
        for cell, (people, mean) in rows.items()
    )
    # Where one small group would follow from the others, one more is withheld: none is made up.
    if not same or not rows or len(rows) < len(expected) - 1:
        raise SystemExit(f"the answer is not plain DuckDB's: {len(rows)} rows, {len(expected)} expected")


def plain(tables: Tables) -> Usage:
    """Plain DuckDB on the clear tables, a process from start to end."""
    files = {name: str(tables.file(name)) for name in ("travellers", "subscribers")}
    program = "import duckdb, sys; duckdb.connect().execute(sys.argv[1]).fetchall()"
    return min(
        (run([sys.executable, "-c", program, CLEAR.format(**files)]) for _ in range(3)),
        key=lambda used: used.wall,
    )


def _learned(name: str, title: str, world: World, answer: Answer) -> list[Claim]:
    """One line a member: the leakage items that come with the answer."""
    claims = []
    for member in world.members:
        codes = [item.code for item in answer.leakage.of(member)]
        shown = ", ".join(dict.fromkeys(codes)) or "nothing"
        claims.append(Claim(f"{name}, {title}: {member} learns", len(codes), "items", note=shown))
    others = [item for item in answer.leakage.learned if item.member not in world.members]
    return claims + [Claim(f"{name}, {title}: {i.member} learns", 1, "items", note=i.code) for i in others]


def measured(name: str) -> Callable[[bool], list[Claim]]:
    """The part of one size: every protection."""

    def part(quick: bool) -> list[Claim]:
        if quick and name != "small":
            return []
        people, rounds = (QUICK, 1) if quick else (SIZES[name], ROUNDS)
        title, load = f"{people:,} x {people:,}", os.getloadavg()[0]
        noted = None if _ALONE in os.environ else "all of this machine's loopback"
        with bench_folder("protections") as folder:
            say(f"{title}: the tables, and plain DuckDB")
            tables = write(folder / "data", people)
            peer = plain(tables)
            claims = [
                Claim(f"plain DuckDB, {title}: wall", peer.wall, "s", note=f"load {load:.1f} before"),
                Claim(f"plain DuckDB, {title}: CPU", peer.cpu, "CPU-s"),
                Claim(f"plain DuckDB, {title}: memory", peer.memory / 1e6, "MB"),
            ]
            for protection, make in WORLDS.items():
                if protection == "enclave" and (why := _missing()) is not None:
                    claims.append(Claim(f"enclave, {title}: wall", None, "s", note=why))
                    continue
                say(f"{title}: {protection}")
                world = make(folder / protection, tables)
                with nodes.running(world.place, world.members) as running:
                    found = [ask(world, running, tables, number) for number in range(rounds)]
                best = min(found, key=lambda asked: asked.wall)
                say(f"{best.wall:.1f} s, {best.cpu:.1f} CPU-s, {best.sent / 1e6:.1f} MB")
                claims += _claims(protection, title, world, best, peer, noted)
        return claims

    return part


def _claims(
    protection: str, title: str, world: World, best: Asked, peer: Usage, noted: str | None
) -> list[Claim]:
    def against(what: str, mine: float, theirs: float, unit: str) -> Claim:
        return Claim(f"{protection}, {title}: {what}", mine, unit, None, theirs, theirs / mine)

    claims = [
        against("wall", best.wall, peer.wall, "s"),
        against("CPU", best.cpu, peer.cpu, "CPU-s"),
        Claim(f"{protection}, {title}: bytes over loopback", best.sent / 1e6, "MB", note=noted),
        Claim(f"{protection}, {title}: memory of the largest member", best.memory / 1e6, "MB"),
    ]
    if world.delivered:
        claims.append(Claim(f"{protection}, {title}: files delivered before", world.delivered / 1e6, "MB"))
    if world.before:
        claims.append(Claim(f"{protection}, {title}: once before", world.before, "s", note=world.note))
    return claims + _learned(protection, title, world, best.answer)


def _missing() -> str | None:
    from hitoku.attestation.swtpm import missing

    return missing()


def _own_network() -> None:
    """Begin anew in a network of one's own, where this machine lets one."""
    # Root stays root: a worker's own confinement would not start inside another user namespace.
    inside = [
        "unshare",
        "-n" if os.geteuid() == 0 else "-rn",
        "sh",
        "-c",
        'ip link set lo up && exec "$@"',
        "sh",
    ]
    if _ALONE in os.environ or not all(map(shutil.which, ("unshare", "ip"))):
        return
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode == 0:
        os.environ[_ALONE] = "1"
        os.execvp(inside[0], [*inside, sys.executable, *sys.argv])


if __name__ == "__main__":
    _own_network()
    report("protections", {name: measured(name) for name in SIZES})
