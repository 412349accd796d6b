# SPDX-License-Identifier: Apache-2.0
"""What waits for a user, how the rooms stand, and whether the node is well: for the first page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from hitoku.console.context import Context, RoomEntry
from hitoku.console.users import May, User
from hitoku.console.work.budgets import standing
from hitoku.console.work.drafts import all_of
from hitoku.errors import HitokuError
from hitoku.room.consoletables import asks
from hitoku.room.store import SCHEMA_VERSION

__all__ = ["Health", "Line", "Waiting", "health", "rooms", "waiting"]

_RUNNING: Final = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Line:
    """A room: how it stands, and for whose signature it waits.

    Attributes:
        entry: the room.
        state: ``in_force``, ``waits`` (nothing is in force yet) or ``broken``.
        version: of what is in force, or of the draft.
        missing: who has still to sign the draft, where nothing is in force.
        tables: how many tables there are.
        members: how many members.
    """

    entry: RoomEntry
    state: str
    version: int
    missing: tuple[str, ...]
    tables: int
    members: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits for the user.

    Attributes:
        kind: ``sign``, ``proposal``, ``runs`` or ``budget``.
        href: where it is done.
        room: the room's name; None where it is of no one room.
        what: what the words are filled with.
    """

    kind: str
    href: str
    room: str | None
    what: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Health:
    """How the node is.

    Attributes:
        database: whether the database answers.
        unreadable: how many rooms of node.toml have a file that cannot be read.
        schema: of the database.
        backend: ``SQLite`` or ``PostgreSQL``.
    """

    database: bool
    unreadable: int
    schema: str
    backend: str


def rooms(context: Context, user: User) -> tuple[Line, ...]:
    """The rooms that a user may see, by name."""
    lines = []
    for entry in context.rooms(user):
        force, agreement = entry.in_force, entry.agreement
        lines.append(
            Line(
                entry,
                "in_force" if force is not None else "waits" if entry.missing else "broken",
                agreement.version,
                () if force is not None else entry.missing,
                len(agreement.tables),
                len(agreement.members),
            )
        )
    return tuple(sorted(lines, key=lambda line: (line.entry.name, line.entry.id)))


def waiting(context: Context, user: User) -> tuple[Waiting, ...]:
    """What waits for a user, of all rooms it may see."""
    found: list[Waiting] = []
    for entry in context.rooms(user):
        try:
            found += _signatures(context, user, entry)
            found += _budgets(context, user, entry)
        except HitokuError:
            continue  # the room's own page says what is wrong with it
    running = _running(context, user)
    if running:
        found.append(Waiting("runs", "/jobs", None, {"count": running}))
    return tuple(found)


def _signatures(context: Context, user: User, entry: RoomEntry) -> list[Waiting]:
    if not user.may(May.SIGN):
        return []
    page = f"/rooms/{entry.id}/draft"
    if entry.in_force is None:
        wanted = context.me in entry.missing
        return [Waiting("sign", page, entry.name, {"version": entry.agreement.version})] if wanted else []
    return [
        Waiting("proposal", page, entry.name, {"author": one.author, "version": one.version})
        for one in all_of(context, entry)
        if one.live and not one.mine and context.me in one.missing
    ]


def _budgets(context: Context, user: User, entry: RoomEntry) -> list[Waiting]:
    if entry.in_force is None or not (user.may(May.TABLES) or user.may(May.AUDIT)):
        return []
    stand, page = standing(context, entry), f"/rooms/{entry.id}/budgets"
    return [
        Waiting("budget", page, entry.name, {"unit": account.budget.unit})
        for account in stand.accounts
        if account.charges and account.left.rho * 5 <= account.left.caps.rho
    ]


def _running(context: Context, user: User) -> int:
    query = sa.select(sa.func.count()).select_from(asks)
    query = query.where(asks.c.user == user.id, asks.c.state.in_(_RUNNING))
    with context.node.store().reading() as connection:
        return int(connection.scalar(query) or 0)


def health(context: Context) -> Health:
    """How the node is."""
    try:
        store = context.node.store()
        with store.reading() as connection:
            connection.execute(sa.text("SELECT 1"))
        backend = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(store.engine.dialect.name, "?")
        good = True
    except (HitokuError, sa.exc.SQLAlchemyError):
        good, backend = False, "?"
    unreadable = len(context.node.settings().rooms) - len(context.node.rooms())
    return Health(good, max(0, unreadable), SCHEMA_VERSION, backend)
