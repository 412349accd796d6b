# SPDX-License-Identifier: Apache-2.0
"""A member's node as a process: answers the other members' messages over HTTPS until it is stopped.

What is answered is `LocalNode.handle`, the same as in one process. Everything that matters is durable before
it is told to anybody (`hitoku.room.records`), so the process may end at any moment: when it starts again, and
every minute while it runs, runs whose end nobody told are charged.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TextIO

from hitoku.errors import InputError
from hitoku.node.certificate import certificate_file, check_key
from hitoku.node.health import start_health
from hitoku.node.member import LocalNode
from hitoku.node.settings import NodeSettings, RoomSettings, socket_of
from hitoku.ports import Clock, NoProgress, SystemClock
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room
from hitoku.transport.https import bounds
from hitoku.transport.https.app import Application, Log, Served
from hitoku.transport.https.client import HttpsNetwork
from hitoku.transport.https.listener import Listener, quiet
from hitoku.transport.https.tls import server_context

__all__ = ["NodeProcess", "json_log"]

_RECOVER_SECONDS: Final = 60


def json_log(stream: TextIO | None = None) -> Log:
    """A log of one JSON object a line. What it is given are names, kinds, codes, sizes and times, no data."""
    import structlog

    processors: list[Any] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(ensure_ascii=True),
    ]
    logger: Log = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr if stream is None else stream),
        processors=processors,
        wrapper_class=structlog.BoundLogger,
    )
    return logger


class _Room:
    """One room at this node."""

    def __init__(
        self, directory: MemberDirectory, path: Path, settings: RoomSettings, certificate: Path, clock: Clock
    ) -> None:
        shared = load_room(path)
        strangers = [name for name in settings.peers if shared.agreement.member(name) is None]
        if strangers:
            raise InputError(f"node.toml: {strangers[0]!r} is no member of room {shared.agreement.name!r}")
        self.network = HttpsNetwork(
            directory.name, shared.agreement, settings.peers, certificate, directory.key_file
        )
        # Verifies the room, so nothing is called or answered by an agreement that is not in force.
        self.node = LocalNode(directory, shared, self.network, clock, NoProgress())
        check_key(directory, self.node.room.agreement)
        self.node.records  # noqa: B018 (opened here, before threads could open it twice; recovers)
        self.served = Served(self.node.room.agreement, directory.name, self.answer)

    def answer(self, sender: str, content: bytes) -> bytes:
        """Answer a message; called by a thread of the message's lane."""
        try:
            return self.network.carry(sender, self.served.me, content)
        finally:
            if bounds.kind_of(content) == bounds.RUN:
                # One engine, one question: the next run gets a fresh one, over the tables as they are then.
                self.node.close()

    def close(self) -> None:
        """End what is open."""
        self.served.lanes.close()
        self.network.close()
        self.node.close()


class NodeProcess:
    """A member's node.

    Args:
        path: the member's directory, with its node.toml.
        log: hears of requests.
        ready: called when messages are taken.
        clock: the time.

    Raises:
        InputError: the settings cannot be used.
        RoomError: a room is not in force, was altered, or the member has no record of it.
        SecretError: the member's key cannot be used.
    """

    def __init__(
        self,
        path: Path,
        log: Log | None = None,
        ready: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        self.directory = MemberDirectory.open(path)
        self.settings = NodeSettings.open(path)
        self._log = log or json_log()
        certificate = certificate_file(self.directory)
        files = self.settings.room_files(path)
        self._rooms: dict[str, _Room] = {}
        for file, room in zip(files, self.settings.rooms, strict=True):
            made = _Room(self.directory, file, room, certificate, clock or SystemClock())
            if str(made.served.agreement.id) in self._rooms:
                raise InputError(f"node.toml: room {made.served.agreement.name!r} is there twice")
            self._rooms[str(made.served.agreement.id)] = made
        from hitoku._core import __version__

        self._application = Application(
            {identity: room.served for identity, room in self._rooms.items()}, __version__, self._log
        )
        keys = {member.key for room in self._rooms.values() for member in room.served.agreement.members}
        self._context = server_context(certificate, self.directory.key_file, keys)
        self._listener = Listener(
            self._application, self._context, _bound(self.settings.listen), self._stop_runs, ready
        )

    @property
    def rooms(self) -> tuple[str, ...]:
        """The names of the rooms that are served."""
        return tuple(room.served.agreement.name for room in self._rooms.values())

    def run(self) -> bool:
        """Serve until SIGTERM, SIGINT or `stop`. Returns whether all that ran has ended.

        Where not, the caller ends the process: no thread of Python can be ended, and nothing is lost, for a
        run that is cut off counts as released.
        """
        quiet(self._log)
        try:
            asyncio.run(self._serve())
        finally:
            for room in self._rooms.values():
                room.close()
        return all(room.served.lanes.idle for room in self._rooms.values())

    def stop(self) -> None:
        """Stop serving, from any thread."""
        self._listener.should_exit = True

    async def _serve(self) -> None:
        health = None
        if self.settings.health is not None:
            try:
                health = await start_health(*socket_of(self.settings.health))
            except OSError as error:
                raise InputError(f"cannot listen on {self.settings.health} ({error.strerror})") from None
        beside = [asyncio.create_task(self._recover()), asyncio.create_task(asyncio.to_thread(_warm))]
        try:
            await self._listener.serve()
        finally:
            for task in beside:
                task.cancel()
            if health is not None:
                health.close()

    async def _recover(self) -> None:
        """Charge the runs whose end was never told, while the node runs."""
        while True:
            await asyncio.sleep(_RECOVER_SECONDS)
            for room in self._rooms.values():
                with suppress(Exception):  # a database that is busy is asked again in a minute
                    found = await asyncio.to_thread(room.node.records.recover)
                    if found:
                        self._log.info("recovered", room=str(room.served.agreement.id), runs=found)

    def _stop_runs(self) -> None:
        """End what still runs: the host records it as failed and tells the owners."""
        for room in self._rooms.values():
            room.served.lanes.close()
            room.node.cancel()


def _warm() -> None:
    """Import what the first question would have to wait for."""
    for name in ("hitoku.questions", "hitoku.protections.registry", "hitoku.disclosure.answer"):
        importlib.import_module(name)


def _bound(listen: str) -> socket.socket:
    host, port = socket_of(listen)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server((host, port), family=found[0][0], backlog=256)
    except OSError as error:
        raise InputError(f"cannot listen on {listen} ({error.strerror})") from None
