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
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TextIO

from hitoku.errors import InputError
from hitoku.node.certificate import certificate_file
from hitoku.node.desk import InvitationDesk
from hitoku.node.health import alive, metrics_answer, ready_answer, start_health
from hitoku.node.memory import few_arenas, give_back
from hitoku.node.metrics import Meter, Metrics, Observed, Standing
from hitoku.node.quotas import Quotas
from hitoku.node.readiness import Readiness
from hitoku.node.scratch import sweep
from hitoku.node.served import ServedRoom
from hitoku.node.served_rooms import ServedRooms
from hitoku.node.services import MakeService, Service
from hitoku.node.settings import NodeSettings, RoomSettings, socket_of
from hitoku.node.tracing import tracing
from hitoku.node.view import MemberView
from hitoku.node.warm import warm
from hitoku.ports import Clock, SystemClock
from hitoku.room.directory import MemberDirectory
from hitoku.transport.https.app import Application, Log
from hitoku.transport.https.desk import Desk, desk_context
from hitoku.transport.https.listener import Listener, quiet
from hitoku.transport.https.tls import admit, server_context

__all__ = ["NodeProcess", "json_log"]

_RECOVER_SECONDS: Final = 60
_WATCH_SECONDS: Final = 2
_LOOK_SECONDS: Final = 0.1
_STOP_SECONDS: Final = 15
"""How long a service may take to stop."""


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

    Rooms come and go while it serves, as node.toml says (`ServedRooms`).

    Args:
        path: the member's directory, with its node.toml.
        log: hears of requests.
        ready: called when messages are taken.
        clock: the time.
        services: what else is served, e.g. the console; a member with one, or one who takes who is invited,
            may have rooms that are not in force yet.

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
        services: Iterable[MakeService] = (),
    ) -> None:
        self.directory = MemberDirectory.open(path)
        self.settings = NodeSettings.open(path)
        from hitoku._core import __version__

        certificate = certificate_file(self.directory)
        clock = clock or SystemClock()
        made = tuple(services)
        waits = self.settings.invitations is not None or bool(made)
        self._tracing = tracing(__version__)
        self._metrics = _metrics(self._standing, __version__)
        self._log: Log = Observed(log or json_log(), self._metrics, self._tracing)
        meter = Meter(self._metrics, self._tracing)
        self.view = MemberView(self.directory, lambda: self._rooms.look())
        quotas = Quotas(
            self.directory.name, lambda: self._rooms.settings.quotas, clock, lambda: self.view.store()
        )

        def serve(file: Path, room: RoomSettings, may_wait: bool) -> ServedRoom:
            return ServedRoom(
                self.directory, file, room, certificate, clock, waits=may_wait, quotas=quotas, meter=meter
            )

        self._rooms = ServedRooms(path, self.settings, serve, self._log, self._changed, waits=waits)
        self._application = Application(self._rooms.served(), __version__, self._log, clock.now)
        self._context = server_context(certificate, self.directory.key_file, self._rooms.keys())
        self._ready = Readiness(path, self.view.store, lambda: self._rooms.problems, clock)
        self._services = tuple(make(self.view, self._log) for make in made)
        self._bound = _bound(self.settings.listen)
        try:
            self._desk = self._made_desk(certificate, clock)
        except BaseException:
            self._bound.close()
            raise
        self._listener = Listener(self._application, self._context, self._bound, self._rooms.stop_runs, ready)

    @property
    def rooms(self) -> tuple[str, ...]:
        """The names of the rooms that are served."""
        return tuple(served.agreement.name for served in self._rooms.served().values())

    def run(self) -> bool:
        """Serve until SIGTERM, SIGINT or `stop`. Returns whether all that ran has ended.

        Where not, the caller ends the process: no thread of Python can be ended, and nothing is lost, for a
        run that is cut off counts as released.
        """
        quiet(self._log)
        few_arenas()
        with suppress(OSError):  # what a check left is no reason not to serve
            sweep(self.directory.path)
        try:
            asyncio.run(self._serve())
        finally:
            self._bound.close()
            self._rooms.close()
            self.view.close()
            if self._tracing is not None:
                self._tracing.close()
        return self._rooms.idle

    def stop(self) -> None:
        """Stop serving, from any thread."""
        self._listener.should_exit = True

    async def _serve(self) -> None:
        health = await self._health()
        if self._desk is not None:
            await self._desk.start()
        await asyncio.to_thread(self._warm)
        started: list[Service] = []
        beside = [asyncio.create_task(self._recover()), asyncio.create_task(self._watch())]
        for room in self._rooms.all:
            self._rooms.resume(room)
        try:
            for service in self._services:
                await service.start()
                started.append(service)
            stopping = asyncio.create_task(self._stop_services(started))
            await self._listener.serve()
            self.stop()
            await stopping
        finally:
            for task in beside:
                task.cancel()
            for service in reversed(started):
                await self._stop(service)
            if self._desk is not None:
                self._desk.close()
            for server in health:
                server.close()

    async def _health(self) -> list[asyncio.Server]:
        """Listen for who supervises this machine, as node.toml says."""
        metrics = {} if self._metrics is None else {
            "/metrics": metrics_answer(self._metrics.text, self._metrics.content_type)
        }  # fmt: skip
        known = {"/health": alive, "/ready": ready_answer(self._ready.look), **metrics}
        more = self.settings.metrics
        if more is not None and not metrics:
            raise InputError(
                "node.toml has [metrics], and hitoku is installed without them: install "
                "`pip install 'hitoku[console]'`, or take [metrics] out of node.toml"
            )
        wanted = [(self.settings.health, known), (None if more is None else more.listen, metrics)]
        made: list[asyncio.Server] = []
        for listen, answers in wanted:
            if listen is not None:
                try:
                    made.append(await start_health(*socket_of(listen), answers))
                except OSError as error:
                    raise InputError(f"cannot listen on {listen} ({error.strerror})") from None
        return made

    async def _stop_services(self, started: list[Service]) -> None:
        """Stop the services at the moment when the listener is told to stop, and not only after it has."""
        while not self._listener.should_exit:
            await asyncio.sleep(_LOOK_SECONDS)
        while started:
            await self._stop(started.pop())

    async def _stop(self, service: Service) -> None:
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await service.stop()
        except Exception as error:  # the other services, and the listener, still stop in order
            self._log.info("service_stopped_hard", error=type(error).__name__)

    async def _recover(self) -> None:
        """While the node runs, charge the runs whose end was never told; give back memory that is free."""
        while True:
            await asyncio.sleep(_RECOVER_SECONDS)
            for room in self._rooms.all:
                with suppress(Exception):  # a database that is busy is asked again in a minute
                    if room.node is not None:
                        await asyncio.to_thread(room.node.runs.look)
                    found = 0 if room.node is None else await asyncio.to_thread(room.node.records.recover)
                    if found:
                        self._log.info("recovered", room=room.identity, runs=found)
            await asyncio.to_thread(give_back)

    async def _watch(self) -> None:
        """Take up what changed in node.toml and the room files, and say what cannot be."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            try:
                await asyncio.to_thread(self._rooms.look)
            except Exception as error:  # whatever it is, what is served goes on
                self._log.info("look_failed", error=type(error).__name__)

    def _changed(self) -> None:
        """Answer for other rooms, or other versions, than before; from any thread."""
        self._warm()
        admit(self._context, self._rooms.keys())
        self._application.rooms = self._rooms.served()

    def _warm(self) -> None:
        agreements = [served.agreement for served in self._rooms.served().values()]
        warm(runs=any(agreement.crosstab is not None for agreement in agreements))

    def _made_desk(self, certificate: Path, clock: Clock) -> Desk | None:
        """Where who is invited comes to; None where node.toml says nowhere."""
        if self.settings.invitations is None:
            return None

        def heard(received: int, status: int, size: int) -> None:
            self._log.info("request", route="join", received=received, status=status, bytes=size)

        context = desk_context(certificate, self.directory.key_file)
        desk = InvitationDesk(self.directory, clock)
        return Desk(context, _bound(self.settings.invitations), desk.answer, heard)

    def _standing(self) -> Standing:
        """How the node stands now, for the metrics."""
        rooms, queued = self._rooms.all, Counter({"run": 0, "calling": 0, "plain": 0})
        for room in rooms:
            for lane, count in room.queued.items():
                queued[lane] += count
        states = {
            "served": sum(room.served is not None for room in rooms),
            "waiting": sum(room.waiting for room in rooms),
            "unusable": self._rooms.problems,
        }
        return Standing(states, queued, sum(room.jobs for room in rooms))


def _metrics(standing: Callable[[], Standing], version: str) -> Metrics | None:
    """What counts; None where what it needs is not installed."""
    try:
        return Metrics(standing, version)
    except ModuleNotFoundError:
        return None


def _bound(listen: str) -> socket.socket:
    host, port = socket_of(listen)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server((host, port), family=found[0][0], backlog=256)
    except OSError as error:
        raise InputError(f"cannot listen on {listen} ({error.strerror})") from None
