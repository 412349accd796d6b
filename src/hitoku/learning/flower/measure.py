# SPDX-License-Identifier: Apache-2.0
"""How long a round over Flower takes on this machine, and what it costs: for benchmarks.

Real processes: one server with its SuperLink, one per member that sends back what it is sent. No learning is
done; what is measured is the way there and back.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hitoku.errors import PeerError
from hitoku.learning.flower.fleet import FlowerFleet
from hitoku.learning.flower.member import serve_member
from hitoku.learning.flower.server import serve

__all__ = ["Rounds", "measure_rounds"]

_CONTEXT = b"hitoku/learning-measure"
_START_SECONDS = 120.0
_ROUND_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Rounds:
    """What `measure_rounds` found.

    Attributes:
        seconds: each round's, from the first request to the last reply.
        processes: how many there were, this one among them.
        memory: the sum of their resident memory after the last round, in bytes; 0 where /proc is missing.
        processor: the seconds of processor time of all of them per round; 0 where /proc is missing.
    """

    seconds: tuple[float, ...]
    processes: int
    memory: int
    processor: float

    @property
    def median(self) -> float:
        """Half of the rounds took at most so long."""
        return median(self.seconds)


def measure_rounds(members: int = 5, size: int = 800_000, rounds: int = 30) -> Rounds:
    """Send every member `size` random bytes and have them sent back, `rounds` times.

    Raises:
        InputError: Flower is missing.
        PeerError: a process did not start, or a reply was missing or wrong.
    """
    keys = {f"bank{number:02d}": Ed25519PrivateKey.generate() for number in range(members)}
    publics = {
        name: "ed25519:" + base64.b64encode(key.public_key().public_bytes_raw()).decode()
        for name, key in keys.items()
    }
    with (
        tempfile.TemporaryDirectory(prefix="hitoku-rounds-") as folder,
        serve(Path(folder) / "server", publics, _CONTEXT) as served,
        ExitStack() as banks,
    ):
        processes = [os.getpid(), served.process_id]
        for name, key in keys.items():
            settings = {
                "folder": str(Path(folder) / name),
                "address": served.address,
                "certificate": served.certificate.decode(),
                "member": name,
                "key": base64.b64encode(key.private_bytes_raw()).decode(),
            }
            processes.append(banks.enter_context(_bank(settings)))
        if len(served.fleet.wait(members, _START_SECONDS)) < members:
            raise PeerError("not all members' processes started")
        before = sum(map(_processor, processes))
        seconds = tuple(_round(served.fleet, list(keys), size) for _ in range(rounds))
        spent = (sum(map(_processor, processes)) - before) / rounds
        memory = sum(map(_memory, processes))
        served.fleet.end()
        return Rounds(seconds, len(processes), memory, spent)


def _round(fleet: FlowerFleet, names: list[str], size: int) -> float:
    requests = {name: os.urandom(size) for name in names}
    began = time.perf_counter()
    replies = fleet.ask(requests, _ROUND_SECONDS)
    took = time.perf_counter() - began
    if replies != requests:
        raise PeerError("a reply was missing or wrong")
    return took


@contextmanager
def _bank(settings: dict[str, str]) -> Iterator[int]:
    command = [sys.executable, "-m", "hitoku.learning.flower.measure"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            if process.stdin is not None:
                process.stdin.write(json.dumps(settings).encode() + b"\n")
                process.stdin.flush()
            yield process.pid
        finally:
            process.kill()


def _main() -> None:
    settings = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(settings["key"]))
    serve_member(
        lambda body: body,
        folder=Path(settings["folder"]),
        address=settings["address"],
        certificate=settings["certificate"].encode(),
        member=settings["member"],
        sign=key.sign,
        context=_CONTEXT,
    )


def _end_with_parent() -> None:
    while sys.stdin.readline():
        pass
    os._exit(0)


def _processor(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


if __name__ == "__main__":
    _main()
