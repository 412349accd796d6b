# SPDX-License-Identifier: Apache-2.0
"""All that runs or ran at this node: questions of its users, and its parts in runs of any member.

Of runs, everybody sees in the own rooms what part this node has, for whom, and how it stands; not what was
asked. Only the user who asked a question can cancel it: a run of another member is that member's to cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from hitoku import limits
from hitoku.console.context import Context
from hitoku.room import store as tables

if TYPE_CHECKING:
    from hitoku.console.users import User

__all__ = ["NodeJob", "node_jobs"]


@dataclass(frozen=True, slots=True)
class NodeJob:
    """This node's part in a run.

    Attributes:
        run: the run's id.
        room: the room's id.
        room_name: its name.
        part: ``lead``, ``partner`` or ``upload``.
        sender: who asked this node to.
        state: ``open``, ``released``, ``done``, ``failed`` or ``refused``.
        created: when it was taken on, as text.
    """

    run: str
    room: str
    room_name: str
    part: str
    sender: str
    state: str
    created: str


def node_jobs(context: Context, user: User) -> list[NodeJob]:
    """This node's parts in runs of the rooms that a user may see, the newest first."""
    names = {entry.id: entry.name for entry in context.rooms(user)}
    if not names:
        return []
    job = tables.jobs.c
    wanted = (
        sa.select(job.run, job.room, job.part, job.sender, job.state, job.created)
        .where(job.room.in_(list(names)))
        .order_by(job.created.desc())
        .limit(limits.MAX_CONSOLE_JOBS)
    )
    with context.node.store().reading() as connection:
        rows = connection.execute(wanted).all()
    made = [
        NodeJob(
            str(row.run),
            str(row.room),
            names[str(row.room)],
            str(row.part),
            str(row.sender),
            str(row.state),
            str(row.created),
        )
        for row in rows
    ]
    # What is under way stands first.
    return sorted(made, key=lambda one: one.state not in {"open", "released"})
