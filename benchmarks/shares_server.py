# SPDX-License-Identifier: Apache-2.0
"""One of the three servers of `shares.py`, a process of its own: loads its shares, computes, tells figures.

``shares_server.py FOLDER INDEX``. FOLDER has certificates and keys, the owners' seeds (the first server reads
both, the others one) and the explicit shares (the second server reads them). It prints its port and reads one
line of JSON: what to compute, and where the others are. Result shares go to a file; the last line it prints
is figures as JSON.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from _shares import Case, Piece, case
from hitoku._core import SharesListener
from hitoku.hazmat.shares import Party, Vector, expand
from hitoku.ports import NoProgress
from hitoku.protections.shares.naming import program_hash
from hitoku.protections.shares.operators.loaded import Loaded

_RELAY_BYTES: Final = 4 * 1024 * 1024
_SECONDS: Final = 300.0


class Phases(NoProgress):
    """When each phase began."""

    def __init__(self) -> None:
        self.began: list[tuple[str, float]] = []

    def phase(self, name: str, total: int | None = None) -> None:
        """Note the time."""
        del total
        self.began.append((name, time.perf_counter()))

    def seconds(self, end: float) -> dict[str, float]:
        """Of each phase."""
        ends = [*(start for _, start in self.began[1:]), end]
        return {name: until - start for (name, start), until in zip(self.began, ends, strict=True)}


def main(folder: Path, index: int) -> None:
    """Be the server."""
    pem = (folder / f"{index}.crt").read_bytes(), (folder / f"{index}.key").read_bytes()
    listener = SharesListener("127.0.0.1", 0, *pem)
    print(listener.port, flush=True)
    asked = json.loads(sys.stdin.readline())
    job = case(asked["case"], asked["rows"])
    peers = [("127.0.0.1", port, key) for port, key in asked["peers"]]
    party = Party(listener.connect(index, bytes.fromhex(asked["run"]), name_of(asked, job), peers, _SECONDS))
    with party:
        start, cpu = time.perf_counter(), time.process_time()
        loaded = load(job, party, folder)
        party.check()
        told: dict[str, Any] = {
            "load": time.perf_counter() - start,
            "load_cpu": time.process_time() - cpu,
            "loaded": party.counters(),
            "memory_loaded": peak("VmRSS"),
            "runs": [],
        }
        vectors: list[Vector] = []
        rounds = asked["rounds"]
        for number in range(rounds):
            last = number == rounds - 1
            given = loaded if last else copied(loaded)
            del vectors
            # All three begin together.
            party.check()
            vectors, run = timed(job, party, given)
            told["runs"].append(run)
        told["peak"] = peak("VmHWM")
        told["pid"] = os.getpid()
        told["result"] = [[vector.kind, len(vector)] for vector in vectors]
        with (folder / f"{index}.result").open("wb") as file:
            for vector in vectors:
                for share in party.dump(vector):
                    file.write(share)
        party.check()
    print(json.dumps(told), flush=True)


def timed(job: Case, party: Party, loaded: Loaded) -> tuple[list[Vector], dict[str, Any]]:
    """Run once: the result shares, and what it took."""
    phases = Phases()
    before, start, cpu = party.counters(), time.perf_counter(), time.process_time()
    vectors = job.run(party, loaded, phases)
    end = time.perf_counter()
    after = party.counters()
    used = {"wall": end - start, "cpu": time.process_time() - cpu, "phases": phases.seconds(end)}
    return vectors, {**used, **{name: after[name] - before[name] for name in after}}


def name_of(asked: Mapping[str, Any], job: Case) -> bytes:
    """The 32 bytes that servers compare before anything else."""
    if job.program is not None:
        return bytes.fromhex(program_hash(job.program).removeprefix("sha256:"))
    return hashlib.sha256(f"{asked['case']} {job.rows}".encode()).digest()


def load(job: Case, party: Party, folder: Path) -> Loaded:
    """This server's shares: from seeds, from the owner's file, from the second server."""
    seeds = {name: (folder / f"seed-{name}").read_bytes() for name in ("ab", "b", "a")[party.index]}
    loaded = Loaded({})
    with (folder / "explicit").open("rb") as file:
        for label, piece in enumerate(job.pieces):
            a, b = (
                expand(piece.kind, piece.rows, seeds[name], label) if name in seeds else b"" for name in "ab"
            )
            explicit = relayed(party, file, piece)
            first, second = ((a, b), (b, explicit), (explicit, a))[party.index]
            getattr(loaded, piece.part)[piece.name] = party.load(piece.kind, first, second)
    return loaded


def relayed(party: Party, file: BinaryIO, piece: Piece) -> bytes:
    """The explicit share: the second server reads it and passes it on to the third."""
    size, second = piece.rows * int(piece.kind[1:]) // 8, party.index == 1
    mine = file.read(size) if second else b""
    found = []
    for start in range(0, size, _RELAY_BYTES):
        length = min(_RELAY_BYTES, size - start)
        found.append(party.relay(mine[start : start + length] if second else None, length))
    return mine if second else b"".join(found)


def copied(loaded: Loaded) -> Loaded:
    """Another holder of the same vectors, for `execute` empties the one it is given."""
    return Loaded(**{field.name: dict(getattr(loaded, field.name)) for field in dataclasses.fields(loaded)})


def peak(name: str) -> int:
    """A size from /proc, in bytes."""
    rows = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith(f"{name}:"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
