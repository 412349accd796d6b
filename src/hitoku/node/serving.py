# SPDX-License-Identifier: Apache-2.0
"""A member's node as a process: answers the other members' messages over HTTPS until it is stopped.

What is answered is `LocalNode.handle`, the same as in one process. Everything that matters is durable before
it is told to anybody (`hitoku.room.records`), so the process may end at any moment: when it starts again, and
every minute while it runs, runs whose end nobody told are charged.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TextIO

from hitoku.errors import HitokuError, InputError
from hitoku.node.certificate import certificate_file
from hitoku.node.desk import InvitationDesk
from hitoku.node.health import start_health
from hitoku.node.served import ServedRoom
from hitoku.node.settings import NodeSettings, socket_of
from hitoku.node.warm import warm
from hitoku.ports import Clock, SystemClock
from hitoku.room.directory import MemberDirectory
from hitoku.transport.https.app import Application, Log, Served
from hitoku.transport.https.desk import Desk, desk_context
from hitoku.transport.https.listener import Listener, quiet
from hitoku.transport.https.tls import admit, server_context

__all__ = ["NodeProcess", "json_log"]

_RECOVER_SECONDS: Final = 60
_WATCH_SECONDS: Final = 2


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
        clock = clock or SystemClock()
        waits = self.settings.invitations is not None
        self._rooms: dict[str, ServedRoom] = {}
        for file, room in zip(files, self.settings.rooms, strict=True):
            made = ServedRoom(self.directory, file, room, certificate, clock, waits=waits)
            if made.identity in self._rooms:
                raise InputError(f"node.toml: {file} is there twice")
            self._rooms[made.identity] = made
        from hitoku._core import __version__

        self._application = Application(self._served(), __version__, self._log)
        self._context = server_context(certificate, self.directory.key_file, self._keys())
        self._desk = self._made_desk(certificate, clock)
        self._listener = Listener(
            self._application, self._context, _bound(self.settings.listen), self._stop_runs, ready
        )

    @property
    def rooms(self) -> tuple[str, ...]:
        """The names of the rooms that are served."""
        return tuple(served.agreement.name for served in self._served().values())

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
        return all(room.idle for room in self._rooms.values())

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
        if self._desk is not None:
            await self._desk.start()
        await asyncio.to_thread(self._warm)
        beside = [asyncio.create_task(self._recover()), asyncio.create_task(self._watch())]
        for room in self._rooms.values():
            self._resume(room)
        try:
            await self._listener.serve()
        finally:
            for task in beside:
                task.cancel()
            if self._desk is not None:
                self._desk.close()
            if health is not None:
                health.close()

    async def _recover(self) -> None:
        """Charge the runs whose end was never told, while the node runs."""
        while True:
            await asyncio.sleep(_RECOVER_SECONDS)
            for room in self._rooms.values():
                with suppress(Exception):  # a database that is busy is asked again in a minute
                    if room.node is not None:
                        await asyncio.to_thread(room.node.runs.look)
                    found = 0 if room.node is None else await asyncio.to_thread(room.node.records.recover)
                    if found:
                        self._log.info("recovered", room=room.identity, runs=found)

    def _stop_runs(self) -> None:
        """End what still runs: the host records it as failed and tells the owners."""
        for room in self._rooms.values():
            room.stop_runs()

    async def _watch(self) -> None:
        """Take up new versions of the rooms, and say what cannot be."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for room in self._rooms.values():
                try:
                    if not await asyncio.to_thread(room.take_up):
                        continue
                except HitokuError as error:
                    # Names and versions at most: an error of the tree quotes no value.
                    self._log.info("room_ignored", room=room.identity, why=str(error))
                    continue
                except Exception as error:  # whatever it is, what is served goes on
                    self._log.info("room_ignored", room=room.identity, error=type(error).__name__)
                    continue
                await asyncio.to_thread(self._warm)
                self._application.rooms = self._served()
                admit(self._context, self._keys())
                served = room.served
                if served is not None:
                    self._log.info("room_taken_up", room=room.identity, version=served.agreement.version)
                self._resume(room)

    def _warm(self) -> None:
        agreements = [served.agreement for served in self._served().values()]
        warm(runs=any(agreement.crosstab is not None for agreement in agreements))

    def _resume(self, room: ServedRoom) -> None:
        """Go on with the room's runs that a process before this one left."""
        found = 0 if room.node is None else room.node.runs.resume()
        if found:
            self._log.info("resumed", room=room.identity, runs=found)

    def _served(self) -> dict[str, Served]:
        return {name: room.served for name, room in self._rooms.items() if room.served is not None}

    def _keys(self) -> set[str]:
        """The keys of all members of all rooms that are served."""
        return {member.key for served in self._served().values() for member in served.agreement.members}

    def _made_desk(self, certificate: Path, clock: Clock) -> Desk | None:
        """Where who is invited comes to; None where node.toml says nowhere."""
        if self.settings.invitations is None:
            return None

        def heard(received: int, status: int, size: int) -> None:
            self._log.info("request", route="join", received=received, status=status, bytes=size)

        context = desk_context(certificate, self.directory.key_file)
        desk = InvitationDesk(self.directory, clock)
        return Desk(context, _bound(self.settings.invitations), desk.answer, heard)


def _bound(listen: str) -> socket.socket:
    host, port = socket_of(listen)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server((host, port), family=found[0][0], backlog=256)
    except OSError as error:
        raise InputError(f"cannot listen on {listen} ({error.strerror})") from None
