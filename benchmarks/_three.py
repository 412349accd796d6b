# SPDX-License-Identifier: Apache-2.0
"""Three servers as processes for one case: owners share, servers compute, a receiver adds up and compares."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from numpy.typing import NDArray

from _common import ROOT, bench_folder
from _shares import Case, Table, case
from hitoku.hazmat.shares import split
from hitoku.transport.https.certificate import make_certificate

__all__ = ["Run", "measured"]

_SERVER: Final = ROOT / "benchmarks" / "shares_server.py"


@dataclass(frozen=True)
class Run:
    """What one case took: the least of its rounds, since whatever else the machine does only ever adds.

    Attributes:
        rows: how large.
        wall: seconds, from when all shares are loaded until all three servers have result shares.
        cpu: CPU-seconds of the three servers meanwhile.
        bytes: sent by all three meanwhile, frames and all.
        rounds: the most of any server.
        memory: the peak resident size of each server, in bytes, from its start to its end.
        phases: seconds by phase, of the first server in the first round.
        upload_wall: seconds to share the tables, and for the servers to load them.
        upload_cpu: CPU-seconds of the owner and the three servers for that.
        upload_bytes: from owners to the second server, and from it to the third.
    """

    rows: int
    wall: float
    cpu: float
    bytes: int
    rounds: int
    memory: list[int]
    phases: dict[str, float] = field(compare=False)
    upload_wall: float
    upload_cpu: float
    upload_bytes: int


def measured(name: str, rows: int, rounds: int) -> Run:
    """One case, computed `rounds` times by three new processes, and compared with the clear answer.

    Raises:
        SystemExit: a server failed, or the result is not the clear answer.
    """
    job = case(name, rows)
    table, answer = job.make(np.random.default_rng(rows))
    with bench_folder("shares") as folder:
        start, cpu = time.perf_counter(), time.process_time()
        size = _shared(job, table, folder)
        upload = time.perf_counter() - start, time.process_time() - cpu
        del table
        told = _computed(name, rows, rounds, folder)
        found = _added(told, folder)
    _compare(name, found, answer)
    # One list for each round, of the three servers.
    runs = list(zip(*(one["runs"] for one in told), strict=True))
    return Run(
        rows=rows,
        wall=min(max(one["wall"] for one in run) for run in runs),
        cpu=min(sum(one["cpu"] for one in run) for run in runs),
        bytes=sum(one["bytes_sent"] for one in runs[0]),
        rounds=max(one["rounds"] for one in runs[0]),
        memory=[one["peak"] for one in told],
        phases=runs[0][0]["phases"],
        upload_wall=upload[0] + max(one["load"] for one in told),
        upload_cpu=upload[1] + sum(one["load_cpu"] for one in told),
        upload_bytes=size + sum(one["loaded"]["bytes_sent"] for one in told),
    )


def _shared(job: Case, table: Table, folder: Path) -> int:
    """The owners' part: seeds, and the explicit shares in a file; how many bytes."""
    a, b = secrets.token_bytes(32), secrets.token_bytes(32)
    for name, seed in (("a", a), ("b", b)):
        (folder / f"seed-{name}").write_bytes(seed)
    with (folder / "explicit").open("wb") as file:
        for label, piece in enumerate(job.pieces):
            file.write(split(piece.kind, table[piece.part, piece.name], a, b, label))
        return file.tell()


def _computed(name: str, rows: int, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Starts the servers, tells them of each other, and waits; what each of them measured."""
    keys = [_key(folder, index) for index in range(3)]
    with ExitStack() as stack:
        servers = [stack.enter_context(_started(folder, index)) for index in range(3)]
        try:
            peers = [(int(_line(server, folder)), key) for server, key in zip(servers, keys, strict=True)]
            asked = {
                "case": name,
                "rows": rows,
                "rounds": rounds,
                "peers": peers,
                "run": secrets.token_hex(16),
            }
            for server in servers:
                assert server.stdin is not None
                server.stdin.write(json.dumps(asked) + "\n")
                server.stdin.flush()
            told = [json.loads(_line(server, folder)) for server in servers]
        finally:
            for server in servers:
                if sys.exc_info()[0] is not None:
                    server.kill()
    return told


def _started(folder: Path, index: int) -> subprocess.Popen[str]:
    with (folder / f"{index}.err").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, str(_SERVER), str(folder), str(index)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env=dict(os.environ),
        )


def _line(server: subprocess.Popen[str], folder: Path) -> str:
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        said = "\n".join(
            path.read_text("utf-8", errors="replace")[-1_000:] for path in sorted(folder.glob("*.err"))
        )
        raise SystemExit(f"a server failed:\n{said}")
    return line


def _key(folder: Path, index: int) -> str:
    """A server's key and certificate; the public key as members know it."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{index}.key").write_bytes(private)
    (folder / f"{index}.crt").write_bytes(make_certificate(key))
    return f"ed25519:{base64.b64encode(key.public_key().public_bytes_raw()).decode()}"


# --- the receiver ---


def _added(told: Sequence[dict[str, Any]], folder: Path) -> list[NDArray[Any]]:
    """The result from three servers' shares, which must agree where two have the same."""
    layouts = [one["result"] for one in told]
    if layouts[0] != layouts[1] or layouts[1] != layouts[2]:
        raise SystemExit("the servers have results of different sizes")
    contents = [memoryview((folder / f"{index}.result").read_bytes()) for index in range(3)]
    found, at = [], 0
    for kind, rows in layouts[0]:
        size = rows * int(kind[1:]) // 8
        parts = [(one[at : at + size], one[at + size : at + 2 * size]) for one in contents]
        at += 2 * size
        for index in range(3):
            if parts[index][1] != parts[(index + 1) % 3][0]:
                raise SystemExit(f"servers {index} and {(index + 1) % 3} disagree on a share")
        shares = [np.frombuffer(first, f"<u{int(kind[1:]) // 8}") for first, _ in parts]
        found.append(shares[0] ^ shares[1] ^ shares[2])
    return found


def _compare(name: str, found: list[NDArray[Any]], answer: list[NDArray[Any]]) -> None:
    """Rows come in a random order, but for what was sorted."""
    if len(found) != len(answer):
        raise SystemExit(f"{name}: {len(found)} columns instead of {len(answer)}")
    order = np.argsort(found[0], kind="stable") if len(found) > 1 else slice(None)
    for column, expected in zip(found, answer, strict=True):
        if not np.array_equal(column[order].astype(np.uint64), expected):
            raise SystemExit(f"{name}: the result is not the clear answer")
