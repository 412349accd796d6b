# SPDX-License-Identifier: Apache-2.0
"""A run as processes on this machine: a server and five banks, each with its own keys, rows and log."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from hitoku.demo.learn.serving import POISONED
from hitoku.demo.learn.world import BANKS, SERVER, TABLE, World
from hitoku.errors import PeerError
from hitoku.learning.folders import RunFolder
from hitoku.learning.transcript import read_transcript

__all__ = ["Processes", "opened", "running"]

_PROGRAM: Final = "hitoku.demo.learn.serving"
_INVITATION: Final = "server.json"
_SECONDS: Final = 600.0
"""After so long a run is given up."""
_STOP_SECONDS: Final = 15.0
_LOOK: Final = 0.05


class Processes:
    """The processes of one run.

    Args:
        world: the demo's place.
        plan: the signed plan's file.
        poisoned: the bank whose program is a changed one.
    """

    def __init__(self, world: World, plan: Path, poisoned: str | None = None) -> None:
        self._world, self._plan, self._poisoned = world, plan, poisoned
        self.name = plan.name.removesuffix(".plan.json")
        self.folder = world.place / "runs" / self.name
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._seen, self._sums = 0, 0
        self._absent: set[str] = set()

    def log(self, member: str) -> Path:
        """What a member's process wrote."""
        return self._world.place / "logs" / f"{self.name}-{member}.log"

    def own(self, bank: str) -> Path:
        """A bank's own folder of the run."""
        run = RunFolder.open(self.folder).run
        return self._world.place / bank / "learning" / run

    def server(self) -> None:
        """Start the server and wait until it can be joined.

        Raises:
            PeerError: it does not start.
        """
        place = self._world.place
        self.folder.parent.mkdir(exist_ok=True)
        self._spawn(
            SERVER,
            ["learn", "run", self._plan, "--member", place / SERVER, "--room", place, "--out", self.folder],
        )
        self._until(lambda: (self.folder / _INVITATION).is_file(), "the server")

    def bank(self, name: str) -> None:
        """Start a bank's process, or start it again."""
        place = self._world.place
        words = ["learn", "join", self._plan, "--member", place / name, "--room", place]
        words += ["--data", f"tables/{TABLE}", "--server", self.folder / _INVITATION, "--patience", 120]
        self._spawn(name, [POISONED, *words] if name == self._poisoned else words)

    def sum_asked(self, number: int) -> None:
        """Wait until the server has asked for the sums of so many levels of trees.

        Raises:
            PeerError: the run ends before.
        """
        self._until(lambda: self._asked() >= number, "the server")

    def noticed(self, name: str) -> None:
        """Wait until the server has noticed that a bank is gone.

        Raises:
            PeerError: the run ends before.
        """
        self._until(lambda: self._asked() >= 0 and name in self._absent, "the server")

    def kill(self, name: str) -> None:
        """End a bank's process at once, as a power cut would."""
        process = self._running.pop(name)
        process.kill()
        process.wait()
        _close(process)

    def end(self) -> dict[str, Any]:
        """Wait until all are done. Returns the server's report.

        Raises:
            PeerError: one of them failed.
        """
        until = time.monotonic() + _SECONDS
        for name in (SERVER, *BANKS):
            process = self._running.get(name)
            if process is None:
                continue
            try:
                code = process.wait(max(1.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise PeerError(f"{name} does not end: see {self.log(name)}") from None
            if code != 0:
                raise PeerError(f"{name} failed: see {self.log(name)}")
        report = RunFolder.open(self.folder).report
        if report is None:
            raise PeerError(f"the server wrote no report: see {self.log(SERVER)}")
        return report

    def stop(self) -> None:
        """End what still runs."""
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        for process in self._running.values():
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close(process)
        self._running.clear()

    def _asked(self) -> int:
        """How many levels' sums the server has asked for; reads what is new in its transcript."""
        path = self.folder / "transcript.jsonl"
        if path.is_file():
            with path.open("rb") as file:
                file.seek(self._seen)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._seen += len(line)
                    entry = json.loads(line)
                    if entry.get("direction") == "absent":
                        self._absent.add(entry["member"])
                    mine = entry.get("direction") == "sent" and entry.get("member") == BANKS[0]
                    self._sums += mine and entry.get("kind") == "masks.sum"
        return self._sums

    def _spawn(self, name: str, words: list[Any]) -> None:
        log = self.log(name)
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as out:
            # A pipe that nothing is written to: it breaks when this process ends, however it does.
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", _PROGRAM, *map(str, words)],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
            )

    def _until(self, there: Callable[[], bool], who: str) -> None:
        until = time.monotonic() + _SECONDS
        while not there():
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise PeerError(f"{name} ended too early: see {self.log(name)}")
            if time.monotonic() > until:
                raise PeerError(f"{who} is not there after {_SECONDS:.0f} s: see {self.log(SERVER)}")
            time.sleep(_LOOK)


@contextlib.contextmanager
def running(world: World, plan: Path, poisoned: str | None = None) -> Iterator[Processes]:
    """Server and banks of a plan, until the block ends."""
    processes = Processes(world, plan, poisoned)
    try:
        processes.server()
        for name in BANKS:
            processes.bank(name)
        yield processes
    finally:
        processes.stop()


def opened(folder: Path) -> list[dict[str, Any]]:
    """The sums that a server opened, in order, out of its transcript."""
    entries = read_transcript(folder / "transcript.jsonl")
    return [entry for entry in entries if entry.get("direction") == "opened"]


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
