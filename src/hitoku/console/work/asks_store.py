# SPDX-License-Identifier: Apache-2.0
"""Questions that people asked in the console, as they stand in the member's database.

A row is written before a question runs and at each change of its phase, so that after a restart it is known
what was under way. The answer stands in it as it came, and goes to nobody but whom `work.asks` lets see it.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from hitoku.room.consoletables import asks as table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hitoku.room.store import Store

__all__ = ["ENDED", "Ask", "AsksStore", "Options", "Phase", "moment"]

QUEUED: Final = "queued"
RUNNING: Final = "running"
ENDED: Final = frozenset({"done", "refused", "failed", "cancelled", "interrupted"})
_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_TYPICAL: Final = 21
_SHOWN: Final = (
    "id", "user", "room", "sql", "options", "state", "phases", "refusal", "run", "created", "updated"
)  # fmt: skip


def moment(now: datetime) -> str:
    """A time as the table has it: UTC, sorts as text."""
    return now.strftime(_FORMAT)


@dataclass(frozen=True, slots=True)
class Options:
    """How a question is to be asked.

    Attributes:
        receivers: who receives the answer; this member where nobody is named, if it may.
        users_noise: how many units' contributions the noise hides; what the accounts say where None.
        epsilon: what the question may cost, a decimal number as text; not together with `users_noise`.
        question: the question's hash, by which a run that was cut off is found when it is asked again; None
            until it was checked.
        name: what the user who asked is called.
    """

    receivers: tuple[str, ...] = ()
    users_noise: int | None = None
    epsilon: str | None = None
    question: str | None = None
    name: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "receivers": list(self.receivers),
            "users_noise": self.users_noise,
            "epsilon": self.epsilon,
            "question": self.question,
            "name": self.name,
        }


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of a question on its way.

    Attributes:
        name: e.g. ``consent``; `hitoku.console.words.ask` has words for the known ones.
        total: how many steps it has; None where that is not known.
        done: how many of them are done.
        began: when, as text.
        ended: when; None while it goes on.
    """

    name: str
    total: int | None
    done: int
    began: str
    ended: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A question that somebody asked here.

    Attributes:
        id: 32 hexadecimal digits.
        user: the id of the user who asked.
        room: the room's id.
        sql: what was asked, as it was written.
        options: how.
        state: ``queued``, ``running``, ``done``, ``refused``, ``failed``, ``cancelled`` or ``interrupted``.
        phases: what happened so far.
        refusal: why there is no answer: `Refusal.to_dict`, or ``error``, ``code``, ``message``; and
            ``charge`` (`work.charging`) where it failed, was cancelled or cut off, or was refused once a run
            had been asked for. Of a ``done`` one, who received the answer where it is not this member:
            ``sent``.
        run: the run that made the answer, or was under way: written down before it is asked for, so that no
            other question's is taken for it.
        created: when it was asked.
        updated: when its state last changed.
        has_answer: whether its answer is here.
    """

    id: str
    user: str
    room: str
    sql: str
    options: Options
    state: str
    created: str
    updated: str
    phases: tuple[Phase, ...] = ()
    refusal: dict[str, Any] | None = None
    run: str | None = None
    has_answer: bool = False

    @property
    def ended(self) -> bool:
        """Whether it has come to an end."""
        return self.state in ENDED


class AsksStore:
    """Reads and writes the rows.

    Args:
        store: gives the member's database; called each time, since a node may open it anew.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store

    def add(self, ask: Ask) -> None:
        """Write a new one down, durably."""
        row = {
            "id": ask.id,
            "user": ask.user,
            "room": ask.room,
            "sql": ask.sql,
            "options": json.dumps(ask.options.to_dict()),
            "state": ask.state,
            "phases": "[]",
            "created": ask.created,
            "updated": ask.updated,
        }
        with self._store().transaction() as connection:
            connection.execute(sa.insert(table), row)

    def begin(self, ask: str, now: datetime) -> bool:
        """A queued one begins. False where it is not queued any more."""
        return self._move(ask, (QUEUED,), state=RUNNING, updated=moment(now))

    def phases(self, ask: str, phases: Iterable[Phase]) -> None:
        """What happened so far, while it runs."""
        self._move(ask, (RUNNING,), phases=_phases_text(phases))

    def noted(self, ask: str, *, options: Options | None = None, run: str | None = None) -> bool:
        """What became known of it while it runs: its question's hash, its run. False where it has ended."""
        values: dict[str, Any] = {} if options is None else {"options": json.dumps(options.to_dict())}
        values |= {} if run is None else {"run": run}
        return self._move(ask, (QUEUED, RUNNING), **values)

    def end(
        self,
        ask: str,
        state: str,
        now: datetime,
        *,
        phases: Iterable[Phase],
        answer: bytes | None = None,
        why: dict[str, Any] | None = None,
        run: str | None = None,
    ) -> bool:
        """It came to an end, which is final. False where it had ended before."""
        values: dict[str, Any] = {"state": state, "updated": moment(now), "phases": _phases_text(phases)}
        values |= {} if answer is None else {"answer": answer}
        values |= {} if why is None else {"refusal": json.dumps(why, ensure_ascii=True)}
        values |= {} if run is None else {"run": run}
        return self._move(ask, (QUEUED, RUNNING), **values)

    def find(self, ask: str) -> Ask | None:
        """One of them, without its answer; None where there is none."""
        with self._store().reading() as connection:
            row = connection.execute(_rows().where(table.c.id == ask)).first()
        return None if row is None else _ask(row)

    def answer(self, ask: str) -> bytes | None:
        """Its answer, as it was written."""
        with self._store().reading() as connection:
            value = connection.scalar(sa.select(table.c.answer).where(table.c.id == ask))
        return None if value is None else bytes(value)

    def some(
        self,
        *,
        user: str | None = None,
        rooms: Iterable[str] | None = None,
        words: str = "",
        states: Iterable[str] | None = None,
        since: str | None = None,
        limit: int,
        offset: int = 0,
    ) -> list[Ask]:
        """The newest ones that fit, without their answers.

        Args:
            user: only this user's.
            rooms: only of these rooms.
            words: only those whose SQL has this text in it, in any case.
            states: only in one of these states.
            since: only those created then or later.
            limit: so many at most.
            offset: so many newer ones are left out.
        """
        query = _rows().order_by(table.c.created.desc(), table.c.id)
        if user is not None:
            query = query.where(table.c.user == user)
        if rooms is not None:
            query = query.where(table.c.room.in_(list(rooms)))
        if words:
            query = query.where(sa.func.lower(table.c.sql).contains(words.lower(), autoescape=True))
        if states is not None:
            query = query.where(table.c.state.in_(list(states)))
        if since is not None:
            query = query.where(table.c.created >= since)
        with self._store().reading() as connection:
            return [_ask(row) for row in connection.execute(query.limit(limit).offset(offset))]

    def count(self, *, user: str | None = None, states: Iterable[str] = (), since: str = "") -> int:
        """How many there are of a user, in these states where some are named, since a time."""
        query = sa.select(sa.func.count()).select_from(table).where(table.c.created >= since)
        if user is not None:
            query = query.where(table.c.user == user)
        wanted = list(states)
        if wanted:
            query = query.where(table.c.state.in_(wanted))
        with self._store().reading() as connection:
            return int(connection.scalar(query) or 0)

    def typical(self, room: str) -> float | None:
        """The median of how many seconds the last answered questions of a room took; None where none was."""
        query = (
            sa.select(table.c.created, table.c.updated)
            .where(table.c.room == room, table.c.state == "done")
            .order_by(table.c.created.desc())
            .limit(_TYPICAL)
        )
        with self._store().reading() as connection:
            rows = connection.execute(query).all()
        took = [
            (
                datetime.strptime(row.updated, _FORMAT) - datetime.strptime(row.created, _FORMAT)
            ).total_seconds()
            for row in rows
        ]
        return statistics.median(took) if took else None

    def runs(self, room: str, states: Iterable[str] | None = None) -> set[str]:
        """The runs that belong to an ask of a room; where states are named, in one of them."""
        query = sa.select(table.c.run).where(table.c.room == room, table.c.run.is_not(None))
        if states is not None:
            query = query.where(table.c.state.in_(list(states)))
        with self._store().reading() as connection:
            return {str(run) for run in connection.scalars(query)}

    def forget(self, user: str, keep: int) -> int:
        """Delete a user's oldest ones beyond so many. Returns how many went."""
        ids = (
            sa.select(table.c.id)
            .where(table.c.user == user, table.c.state.in_(sorted(ENDED)))
            .order_by(table.c.created.desc(), table.c.id)
            .offset(keep)
            .limit(1_000)
        )
        with self._store().reading() as connection:
            old = list(connection.scalars(ids))
        if not old:
            return 0
        with self._store().transaction() as connection:
            return int(connection.execute(sa.delete(table).where(table.c.id.in_(old))).rowcount)

    def _move(self, ask: str, states: tuple[str, ...], **values: Any) -> bool:
        if not values:
            return False
        with self._store().transaction() as connection:
            done = connection.execute(
                sa.update(table).where(table.c.id == ask, table.c.state.in_(states)).values(**values)
            )
        return done.rowcount == 1


def _rows() -> sa.Select[Any]:
    columns = [table.c[name] for name in _SHOWN]
    return sa.select(*columns, table.c.answer.is_not(None).label("has_answer"))


def _ask(row: sa.Row[Any]) -> Ask:
    options = json.loads(row.options)
    return Ask(
        id=str(row.id),
        user=str(row.user),
        room=str(row.room),
        sql=str(row.sql),
        options=Options(**{**options, "receivers": tuple(options["receivers"])}),
        state=str(row.state),
        phases=tuple(Phase(**phase) for phase in json.loads(row.phases)),
        refusal=None if row.refusal is None else json.loads(row.refusal),
        run=None if row.run is None else str(row.run),
        created=str(row.created),
        updated=str(row.updated),
        has_answer=bool(row.has_answer),
    )


def _phases_text(phases: Iterable[Phase]) -> str:
    names = ("name", "total", "done", "began", "ended")
    return json.dumps([{name: getattr(phase, name) for name in names} for phase in phases])
