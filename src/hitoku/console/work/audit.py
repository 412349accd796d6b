# SPDX-License-Identifier: Apache-2.0
"""What people of this member did in the console, for who may audit: events and the outcome of questions.

Of a question only who asked it, where, when and what came of it is shown, never its SQL or answer: those are
the asker's own to see. The ledger has what the agreement says must be recorded.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from hitoku import limits
from hitoku.console.context import Context
from hitoku.console.users import User
from hitoku.room import consoletables as tables

__all__ = ["Act", "Page", "Wanted", "acts", "csv_pieces", "kinds", "people"]

_FORMULA: Final = frozenset("=+-@\t\r\n＝＋－＠")
"""What a spreadsheet takes for the beginning of a formula; the wide forms, too."""

_READ_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; all of it must fit.

    Attributes:
        source: ``events`` (sign-ins, signatures, changes) or ``asks`` (questions).
        user: a user's name.
        what: an event's kind, or a question's state.
        room: a room's id.
        since: the first day or moment, ISO 8601.
        until: the last, inclusive.
    """

    source: Literal["events", "asks"] = "events"
    user: str = ""
    what: str = ""
    room: str = ""
    since: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """Something that somebody did.

    Attributes:
        place: what a next page goes on after.
        time: ISO 8601, UTC.
        user: a name; empty where nobody was signed in or the user is gone.
        what: an event's kind, or ``ask``.
        outcome: of a question its state, and of a refused one the code after it; else empty.
        room: a room's id, or empty.
        detail: names and values, sorted.
    """

    place: str
    time: str
    user: str
    what: str
    outcome: str
    room: str
    detail: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Acts, newest first, and where the next page goes on; None at the end."""

    acts: tuple[Act, ...]
    after: str | None


def acts(context: Context, user: User, wanted: Wanted, after: str = "") -> Page:
    """One page of what fits, newest first.

    Args:
        context: the console's.
        user: who looks: what happened in rooms that it may not see is left out.
        wanted: what is looked for.
        after: where the page before ended.
    """
    most = limits.MAX_CONSOLE_AUDIT_LINES
    found = _read(context, user, wanted, after, most + 1)
    return Page(tuple(found[:most]), found[most - 1].place if len(found) > most else None)


def csv_pieces(context: Context, user: User, wanted: Wanted) -> Iterator[str]:
    """All that fits as CSV, newest first, at most ``MAX_CONSOLE_AUDIT_EXPORT`` rows."""
    yield _csv(("time", "user", "what", "outcome", "room", "detail"))
    after, left = "", limits.MAX_CONSOLE_AUDIT_EXPORT
    while left > 0:
        found = _read(context, user, wanted, after, min(_READ_ROWS, left))
        lines = []
        for act in found:
            detail = json.dumps(dict(act.detail), ensure_ascii=False) if act.detail else ""
            lines.append(_csv((act.time, act.user, act.what, act.outcome, act.room, detail)))
        yield "".join(lines)
        if len(found) < _READ_ROWS:
            return
        after, left = found[-1].place, left - len(found)


def kinds(context: Context) -> tuple[str, ...]:
    """The kinds of events there are."""
    with context.node.store().reading() as connection:
        found = connection.scalars(sa.select(tables.events.c.what).distinct().limit(200))
        return tuple(sorted(str(one) for one in found))


def people(context: Context) -> tuple[str, ...]:
    """The names of all users."""
    with context.node.store().reading() as connection:
        return tuple(str(n) for n in connection.scalars(sa.select(tables.users.c.name).order_by("name")))


def _read(context: Context, user: User, wanted: Wanted, after: str, most: int) -> list[Act]:
    statement = _asks(wanted, after) if wanted.source == "asks" else _events(wanted, after)
    room = tables.asks.c.room if wanted.source == "asks" else tables.events.c.room
    if user.rooms is not None:
        allowed = room.in_(sorted(user.rooms))
        statement = statement.where(allowed if wanted.source == "asks" else (room.is_(None) | allowed))
    if wanted.room:
        statement = statement.where(room == wanted.room)
    made = _ask if wanted.source == "asks" else _event
    with context.node.store().reading() as connection:
        return [made(row) for row in connection.execute(statement.limit(most))]


def _events(wanted: Wanted, after: str) -> sa.Select[Any]:
    event = tables.events.c
    statement = sa.select(tables.events).order_by(event.seq.desc())
    if after.isdecimal() and len(after) < 19:
        statement = statement.where(event.seq < int(after))
    if wanted.user:
        statement = statement.where(event.user == wanted.user)
    if wanted.what:
        statement = statement.where(event.what == wanted.what)
    return _between(statement, event.time, wanted)


def _asks(wanted: Wanted, after: str) -> sa.Select[Any]:
    ask, who = tables.asks.c, tables.users.c
    # Neither the SQL nor the answer is read here.
    statement = (
        sa.select(ask.id, ask.created, ask.room, ask.state, ask.refusal, ask.run, who.name.label("name"))
        .select_from(tables.asks.outerjoin(tables.users, who.id == ask.user))
        .order_by(ask.created.desc(), ask.id.desc())
    )
    created, _, identity = after.partition("|")
    if identity:
        statement = statement.where(
            (ask.created < created) | ((ask.created == created) & (ask.id < identity))
        )
    if wanted.user:
        statement = statement.where(who.name == wanted.user)
    if wanted.what:
        statement = statement.where(ask.state == wanted.what)
    return _between(statement, ask.created, wanted)


def _between(statement: sa.Select[Any], time: Any, wanted: Wanted) -> sa.Select[Any]:
    if wanted.since:
        statement = statement.where(time >= wanted.since)
    if wanted.until:
        # A day or minute is a beginning of all moments in it.
        statement = statement.where(sa.func.substr(time, 1, len(wanted.until)) <= wanted.until)
    return statement


def _event(row: Any) -> Act:
    return Act(
        place=str(row.seq),
        time=str(row.time),
        user=row.user or "",
        what=str(row.what),
        outcome="",
        room=row.room or "",
        detail=_detail(row.detail),
    )


def _ask(row: Any) -> Act:
    outcome = str(row.state)
    if row.refusal:
        try:
            code = json.loads(row.refusal).get("code")
            outcome += f" ({code})" if isinstance(code, str) else ""
        except (ValueError, AttributeError, RecursionError):
            pass
    return Act(
        place=f"{row.created}|{row.id}",
        time=str(row.created),
        user=row.name or "",
        what="ask",
        outcome=outcome,
        room=str(row.room),
        detail=(("run", str(row.run)),) if row.run else (),
    )


def _detail(text: str) -> tuple[tuple[str, str], ...]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(data, dict):
        return ()
    return tuple(
        (str(name), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in sorted(data.items())
    )


def _csv(cells: tuple[str, ...]) -> str:
    # A spreadsheet takes what begins like a formula for one; names are anybody's.
    safe = [f"'{cell}" if cell[:1] in _FORMULA else cell for cell in cells]
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(safe)
    return out.getvalue()
