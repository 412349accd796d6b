# SPDX-License-Identifier: Apache-2.0
"""What pages and API are given: the node they belong to, the console's own records, what runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hitoku.errors import RoomError
from hitoku.node.view import NodeView, RoomEntry
from hitoku.ports import Clock, SystemClock

if TYPE_CHECKING:
    from hitoku.console.users import User

__all__ = ["Context", "NodeView", "NotFound", "RoomEntry"]


class NotFound(RoomError):
    """There is no such thing for this user: it does not exist, or is not this user's to see.

    Both look alike, so that nobody can find out by asking what exists.
    """


@dataclass(slots=True)
class Context:
    """Everything pages need.

    Attributes:
        node: the node.
        clock: the time.
        log: of one JSON object a line; names, kinds, codes, sizes and times only, never SQL or values.
        parts: what areas of the console keep for the life of the process, by name (e.g. ``asks``).
    """

    node: NodeView
    clock: Clock = field(default_factory=SystemClock)
    log: Callable[..., Any] = lambda *_, **__: None
    parts: dict[str, Any] = field(default_factory=dict)

    @property
    def me(self) -> str:
        """This member's name."""
        return self.node.directory.name

    def rooms(self, user: User) -> tuple[RoomEntry, ...]:
        """The rooms that a user may see."""
        return tuple(entry for entry in self.node.rooms() if user.sees(entry.id))

    def room(self, user: User, room: str) -> RoomEntry:
        """One room, by its id.

        Raises:
            NotFound: there is none that this user may see.
        """
        for entry in self.rooms(user):
            if entry.id == room:
                return entry
        raise NotFound("there is no such room, or it is not yours to see")
