# SPDX-License-Identifier: Apache-2.0
"""Two members' nodes as processes on this machine, each with a directory, a key and a port of its own."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hitoku.errors import PeerError
from hitoku.node.certificate import certificate_file
from hitoku.node.settings import NodeSettings
from hitoku.room.agreement import Agreement, Room
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import save_room
from hitoku.room.signing import sign

__all__ = ["SERVE", "Nodes", "make", "running"]

SERVE: Final = ("hitoku.cli.main", "node", "serve")
_START_SECONDS: Final = 180
_STOP_SECONDS: Final = 20
_PORTS: Final = (15_000, 32_000)
_RANDOM: Final = random.SystemRandom()


def make(
    place: Path,
    agreement: Callable[[dict[str, str]], dict[str, Any]],
    tables: Mapping[str, list[dict[str, Any]]],
    more: Mapping[str, Any] | None = None,
    *,
    each: Mapping[str, Mapping[str, Any]] | None = None,
    inside: bool = False,
) -> Room:
    """Members with keys, the room that they sign, and their nodes' settings.

    Args:
        place: the demo's directory; a member's directory is named by it, the room file is ``room.yaml``.
        agreement: the agreement as data, of the members' public keys.
        tables: by member: its tables, as node.toml names them.
        more: what else stands in every node.toml.
        each: what else stands in a member's own.
        inside: each node reads a copy of the room file in its member's own directory.
    """
    members = {name: MemberDirectory.create(place / name, name) for name in tables}
    keys = {name: member.keys({}).public_key() for name, member in members.items()}
    room = Room(agreement=Agreement.model_validate(agreement(keys)))
    for name, member in members.items():
        room = sign(room, name, member.keys({}))
        member.remember(room)
    save_room(room, place / "room.yaml")
    if inside:
        for member in members.values():
            save_room(room, member.path / "room.yaml")
    ports = dict(zip(members, _free(len(members)), strict=True))
    for name, member in members.items():
        peers = {n: f"https://127.0.0.1:{p}" for n, p in ports.items() if n != name}
        listen = f"127.0.0.1:{ports[name]}"
        settings = {
            "listen": listen,
            "url": f"https://{listen}",
            "rooms": [{"file": "room.yaml" if inside else "../room.yaml", "peers": peers}],
            "tables": tables[name],
            **(more or {}),
            **((each or {}).get(name, {})),
        }
        NodeSettings.made(settings, "node.toml").write(member.path)
        certificate_file(member)
    return room


class Nodes:
    """The processes."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def log(self, name: str) -> Path:
        """Where a node's log is."""
        return self._place / f"{name}.log"

    def start(self, name: str, program: Sequence[str] = SERVE) -> None:
        """Start a member's node and wait until it listens.

        Args:
            name: the member.
            program: the module that serves, and its first arguments; the member's directory is the last.

        Raises:
            PeerError: it does not.
        """
        self._spawn(name, program)
        self._wait(name)

    def start_all(self, names: Sequence[str], program: Sequence[str] = SERVE) -> None:
        """Start nodes at once; see `start`.

        Raises:
            PeerError: one does not listen.
        """
        for name in names:
            self._spawn(name, program)
        for name in names:
            self._wait(name)

    def _spawn(self, name: str, program: Sequence[str]) -> None:
        words = [sys.executable, "-m", *program, str(self._place / name)]
        with self.log(name).open("ab") as log:
            # A pipe that nothing is written to: it breaks when this process ends, however it does.
            process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=log, stderr=log)
        self.processes[name] = process

    def _wait(self, name: str) -> None:
        process = self.processes[name]
        host, port = NodeSettings.open(self._place / name).listen.rsplit(":", 1)
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            time.sleep(0.05)
        raise PeerError(f"the node of {name!r} does not start: see {self.log(name)}")

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        """End a member's node."""
        process = self.processes.pop(name)
        if process.poll() is None:
            os.kill(process.pid, number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            if process.stdin is not None:
                process.stdin.close()


@contextlib.contextmanager
def running(place: Path, names: Sequence[str], program: Sequence[str] = SERVE) -> Iterator[Nodes]:
    """The nodes of these members, until the block ends; see `Nodes.start`."""
    nodes = Nodes(place)
    try:
        nodes.start_all(names, program)
        yield nodes
    finally:
        for name in list(nodes.processes):
            nodes.stop(name)


def _free(count: int) -> list[int]:
    """Ports that nobody uses at this moment.

    Below those that systems give to outgoing connections: a node that is started again needs its port again,
    and meanwhile such a connection could have taken it.
    """
    found: list[int] = []
    while len(found) < count:
        port = _RANDOM.randrange(*_PORTS)
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            found += [port] * (port not in found)
    return found
