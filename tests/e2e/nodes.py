# SPDX-License-Identifier: Apache-2.0
"""Members' nodes as processes on this machine, each with its own directory and port."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.conftest import Place

from hitoku.cli import main as cli

SECONDS = 300
"""What takes as long as that hangs: a command of two seconds takes ten times that on a busy machine."""
_RANDOM = random.SystemRandom()
_GIVEN: set[int] = set()


def _own() -> range:
    """The ports of this test process: of those that run side by side each has a part to itself.

    Were they all to choose from the same ones, two would choose one in the seconds before it is listened on,
    or while a node that was killed starts again, in one run of the whole suite in ten or so.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    each = 17_000 // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return range(15_000 + number * each, 15_000 + (number + 1) * each)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses at this moment, and that nobody gets who does not ask for them by number.

    They lie below those that a system gives to outgoing connections: one of these could take a port between
    this moment and the start of who is to listen on it.
    """
    own = _own()
    if len(_GIVEN) + count > len(own) // 2:
        _GIVEN.clear()  # a suite later; what is still in use shows
    found: list[int] = []
    while len(found) < count:
        port = _RANDOM.choice(own)
        if port in _GIVEN:
            continue
        with suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            _GIVEN.add(port)
            found.append(port)
    return found


def hitoku(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "hitoku.cli.main", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip


class Nodes:
    """The nodes of a place's members."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.ports = dict(zip(place.members, free_ports(len(place.members)), strict=True))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.more: dict[str, str] = {}
        """What nodes that are started from now on have in their environment beside this process's."""
        for name, directory in place.members.items():
            others = [n for n in place.members if n != name]
            peers = [x for n in others for x in ("--peer", f"{n}=https://127.0.0.1:{self.ports[n]}")]
            listen = f"127.0.0.1:{self.ports[name]}"
            words = ["node", "init", directory.path, "--room", place.room_file, "--listen", listen, *peers]
            assert cli.run([str(word) for word in words]) == 0

    def log(self, name: str) -> Path:
        """Where a node's stderr goes."""
        return self.place.path / f"{name}.log"

    def temporary(self, name: str) -> Path:
        """Where a node puts temporary files."""
        return self.place.path / f"{name}.tmp"

    def lines(self, name: str) -> list[dict[str, object]]:
        """What a node logged."""
        text = self.log(name).read_text("utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def start(self, *names: str) -> None:
        """Start nodes and wait until they serve."""
        for name in names or tuple(self.place.members):
            self.temporary(name).mkdir(exist_ok=True)
            with self.log(name).open("ab") as log:
                words = ["node", "serve", str(self.place.members[name].path)]
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "hitoku.cli.main", *words],
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, **self.more, "TMPDIR": str(self.temporary(name))},
                )
        for name in names or tuple(self.place.members):
            self._wait(name)

    def _wait(self, name: str) -> None:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            assert self.processes[name].poll() is None, self.log(name).read_text("utf-8")
            try:
                socket.create_connection(("127.0.0.1", self.ports[name]), timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"{name} does not serve: {self.log(name).read_text('utf-8')}")

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        """Send a signal to a node and wait for its end. Returns its exit code."""
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(SECONDS)

    def end(self) -> None:
        """End all that still run."""
        for name in list(self.processes):
            self.stop(name, signal.SIGKILL)
