# SPDX-License-Identifier: Apache-2.0
"""Runs the two parties of a peer and measures both. Started inside the peer's environment: stdlib only.

``pair.py SCRIPT N`` writes two CSV files with the header ``id``, starts
``SCRIPT RANK PORT PORT INPUT OUTPUT`` for ranks 0 and 1 and prints one JSON object. A party prints one, too:
``protocol_wall``, ``protocol_cpu``, ``sent`` (bytes, or null) and, rank 0 only, ``found``.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def write(path: Path, start: int, n: int) -> None:
    """Telephone numbers start to start + n, in random order."""
    rows = [f"+8190{number * 7_919 % 100_000_000:08d}\n" for number in range(start, start + n)]
    random.Random(n).shuffle(rows)
    with path.open("w", encoding="ascii") as file:
        file.write("id\n")
        file.writelines(rows)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


def ended(process: subprocess.Popen[bytes]) -> tuple[float, int]:
    """Waits; CPU-seconds and peak resident bytes."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def main() -> int:
    """Run both, print what was measured."""
    script, n = sys.argv[1], int(sys.argv[2])
    both = n * 3 // 5
    with tempfile.TemporaryDirectory(prefix="peer-") as name:
        folder = Path(name)
        write(folder / "0.csv", 0, n)
        write(folder / "1.csv", n - both, n)
        ports = [str(free_port()), str(free_port())]
        start = time.perf_counter()
        parties = []
        for rank in (0, 1):
            command = [sys.executable, script, str(rank), *ports]
            command += [str(folder / f"{rank}.csv"), str(folder / f"{rank}.out")]
            with (folder / f"{rank}.json").open("wb") as out, (folder / f"{rank}.err").open("wb") as err:
                parties.append(subprocess.Popen(command, stdout=out, stderr=err, cwd=folder))
        used = [ended(party) for party in parties]
        wall = time.perf_counter() - start
        for rank, party in enumerate(parties):
            if party.returncode != 0:
                sys.stderr.write((folder / f"{rank}.err").read_text(errors="replace")[-2_000:])
                return 1
        told: list[dict[str, Any]] = [
            # A library may log to the same stream before and after.
            json.loads(next(row for row in (folder / f"{rank}.json").open() if row.startswith("{")))
            for rank in (0, 1)
        ]
    if told[0]["found"] != both:
        sys.stderr.write(f"found {told[0]['found']}, not {both}\n")
        return 1
    sent = [one["sent"] for one in told]
    result = {
        "n": n,
        "found": both,
        "wall": wall,
        "cpu": sum(cpu for cpu, _ in used),
        "protocol_wall": max(one["protocol_wall"] for one in told),
        "protocol_cpu": sum(one["protocol_cpu"] for one in told),
        "bytes": None if None in sent else sum(sent),
        "memory": [memory for _, memory in used],
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
