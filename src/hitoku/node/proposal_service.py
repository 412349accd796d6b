# SPDX-License-Identifier: Apache-2.0
"""The couriers of a node's rooms, while it serves; and the last step of joining, when all have signed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from hitoku.errors import HitokuError
from hitoku.node.courier import Courier
from hitoku.node.joined import Joiner
from hitoku.node.proposals import Proposals
from hitoku.node.view import NodeView, RoomEntry
from hitoku.ports import Clock, SystemClock
from hitoku.transport.https.app import Log

__all__ = ["ProposalService", "proposals_of", "step"]

_SECONDS: Final = 2


def proposals_of(view: NodeView, entry: RoomEntry, clock: Clock) -> Proposals:
    """The proposals of a room of this node."""
    return Proposals(view.directory, entry.file, entry.id, clock)


def step(view: NodeView, entry: RoomEntry, clock: Clock, *, eager: bool = False) -> bool:
    """Say once to the other members what is to be said; see `Courier.step`.

    Raises:
        HitokuError: the room's files cannot be used.
    """
    force = entry.in_force
    if force is None:
        return False
    courier = Courier(proposals_of(view, entry, clock), entry.settings.peers)
    changed = courier.step(force.agreement, eager=eager)
    if changed:
        view.look()
    return changed


class ProposalService:
    """Runs in a node's process, see `hitoku.node.services`.

    Args:
        view: the node.
        log: hears what failed.
        clock: the time.
    """

    def __init__(self, view: NodeView, log: Log, clock: Clock | None = None) -> None:
        self._view, self._log, self._clock = view, log, clock or SystemClock()
        self._joiner = Joiner(view, self._clock)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; what is being said to others is heard or not, and is said again."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS)
            await asyncio.to_thread(self._once)

    def _once(self) -> None:
        try:
            entries = self._view.rooms()
        except HitokuError:  # node.toml is being changed, or is said to be wrong by who serves rooms
            return
        for entry in entries:
            try:
                step(self._view, entry, self._clock)
            except Exception as error:  # the other rooms go on
                self._log.info("proposals_failed", room=entry.id, error=type(error).__name__)
        try:
            self._joiner.advance()
        except Exception as error:
            self._log.info("joining_failed", error=type(error).__name__)
