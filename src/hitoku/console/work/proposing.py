# SPDX-License-Identifier: Apache-2.0
"""Putting a change of this member's own tables, rules and budgets to the room."""

from __future__ import annotations

from typing import Any

from hitoku.console.context import Context, RoomEntry
from hitoku.console.users import User

__all__ = ["put"]


def put(context: Context, user: User, room: RoomEntry, change: dict[str, Any], why: str) -> str:
    """Propose a change of the agreement. Returns what became of it: ``in_force``, ``open`` or ``draft``.

    A user who may not sign makes a draft for who may; the members sign it on the room's page.

    Args:
        context: the console's.
        user: who does it.
        room: the room.
        change: as `hitoku.console.work.drafts.propose` has it.
        why: what to tell the others about it.

    Raises:
        RoomError: the change does not fit the room, changes nothing, or another proposal is open.
    """
    from hitoku.console.work import drafts

    state = str(drafts.propose(context, user, room.id, change, why=why).state)
    context.node.look()
    return state
