# SPDX-License-Identifier: Apache-2.0
"""What else a node's process serves beside the other members, e.g. the console for its own people.

A service is handed to the process, which knows nothing of it but when it starts and stops; so the node
imports nothing that only some of its operators need.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hitoku.node.view import NodeView
from hitoku.transport.https.app import Log

__all__ = ["MakeService", "Service"]


class Service(Protocol):
    """Something that runs in the event loop of a node's process, beside its listener."""

    async def start(self) -> None:
        """Begin, after the rooms are loaded and before the other members are answered.

        Raises:
            HitokuError: it cannot; then the process does not serve at all.
        """
        ...

    async def stop(self) -> None:
        """Take nothing new, end what is under way in order, and release what is held; in bounded time.

        Called at the same moment as the listener stops to take messages. What must not be lost is durable
        already.
        """
        ...


MakeService = Callable[[NodeView, Log], Service]
"""Makes a service of the node that it belongs to and of where it logs.

Raises:
    HitokuError: the settings do not fit.
"""
