# SPDX-License-Identifier: Apache-2.0
"""How much one other member may ask of this node (`[quotas]` in node.toml).

A quota keeps one member from taking all of a node; what may be learned is decided by rules and budgets alone.
Counted are runs: by the member's key, since the same company may have other names in other rooms, and by the
run's id, so that an owner's consent to a run and the run itself, on the same node, are one. What a process
before this one began within the hour is counted too, from the member's records.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from hitoku import limits
from hitoku.errors import LimitError
from hitoku.node.settings import QuotaSettings
from hitoku.ports import Clock
from hitoku.transport.https import bounds

if TYPE_CHECKING:
    from hitoku.room.store import Store

__all__ = ["BEGINS", "Asked", "Quotas", "check_user"]

BEGINS: Final[frozenset[str | None]] = frozenset(
    {bounds.RUN, "hitoku/begin/1", "hitoku/predict/1", "hitoku/shares-begin/1"}
)
"""Messages that begin runs."""

_ASKS: Final[frozenset[str | None]] = BEGINS | {"hitoku/consent-request/1"}
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a message asks for.

    Attributes:
        run: the run's id, where it says one.
        protection: how the run is computed, where it says so.
        begins: whether the run begins with it.
    """

    run: str | None
    protection: str
    begins: bool

    @classmethod
    def of(cls, content: bytes) -> Asked | None:
        """What a message asks for; None where it is about no new run. It is not validated yet."""
        kind = bounds.kind_of(content)
        if kind not in _ASKS:
            return None
        try:
            data: Any = json.loads(content)
        except (ValueError, RecursionError):
            data = {}
        run, protection = data.get("run"), data.get("protection")
        if kind == "hitoku/predict/1":
            protection = "inference"
        return cls(
            run if isinstance(run, str) else None,
            protection if isinstance(protection, str) else "other",
            kind in BEGINS,
        )


class Quotas:
    """Counts what other members ask of this node. For many threads.

    Args:
        me: this member's name.
        settings: what node.toml says now.
        clock: the time.
        store: the member's database.
    """

    def __init__(
        self, me: str, settings: Callable[[], QuotaSettings], clock: Clock, store: Callable[[], Store]
    ) -> None:
        self._me, self._settings, self._clock, self._store = me, settings, clock, store
        self._asked: dict[str, dict[str, datetime]] = {}
        self._seen: set[tuple[str, str]] = set()
        self._going: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, room: str, sender: str, key: str, asked: Asked, jobs: int) -> Iterator[None]:
        """Let a message be answered, and count it while it is.

        Args:
            room: the room's id.
            sender: the member who sends, as the room names it.
            key: its key.
            asked: what it asks for.
            jobs: how many long runs of it are under way in this room.

        Raises:
            Refusal: ``QUOTA_RUNS``: the member has too much under way; ``QUOTA_HOUR``: it asked too much.
        """
        from hitoku.questions.refusals import refuse

        quota, now = self._settings(), self._clock.now()
        self._recall(room, sender, key, now)
        with self._lock:
            mine = self._asked.setdefault(key, {})
            for run in [run for run, time in mine.items() if time <= now - _HOUR]:
                del mine[run]
            if asked.run not in mine and len(mine) >= quota.asks_an_hour:
                first = min(mine.values())
                wait = max(1, round((first + _HOUR - now).total_seconds() / 60))
                raise refuse(
                    "QUOTA_HOUR", owner=self._me, asker=sender, count=str(len(mine)), minutes=str(wait)
                )
            if asked.begins and self._going[key] + jobs >= quota.runs:
                going = self._going[key] + jobs
                raise refuse("QUOTA_RUNS", owner=self._me, asker=sender, count=str(going))
            mine.setdefault(asked.run or f"{len(mine)} {now.timestamp()}", now)
            self._going[key] += asked.begins
        try:
            yield
        finally:
            with self._lock:
                self._going[key] -= asked.begins

    def _recall(self, room: str, sender: str, key: str, now: datetime) -> None:
        """Count what the records say that the member began within the hour, once in a process."""
        with self._lock:
            if (room, key) in self._seen:
                return
            self._seen.add((room, key))
        import sqlalchemy as sa

        from hitoku.room.store import runs

        since = (now - _HOUR).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # as records write times
        asked = sa.select(runs.c.run, runs.c.created).where(
            runs.c.room == room, runs.c.asker == sender, runs.c.created > since
        )
        with self._store().reading() as connection:
            rows = connection.execute(asked.limit(limits.MAX_QUOTA_ASKS)).all()
        with self._lock:
            mine = self._asked.setdefault(key, {})
            for run, created in rows:
                mine.setdefault(run, datetime.fromisoformat(created))


def check_user(quota: QuotaSettings, going: int, asked: int) -> None:
    """See to it that a user of the console may ask one more question.

    Args:
        quota: what node.toml says now.
        going: how many questions of the user are under way or wait.
        asked: how many the user asked within the hour.

    Raises:
        LimitError: no; says when, and what to do.
    """
    if going >= quota.user_runs:
        raise LimitError(
            f"{going} of your questions run or wait already, which is your quota: wait for one to end, or "
            "cancel one"
        )
    if asked >= quota.user_asks_an_hour:
        raise LimitError(
            f"you asked {asked} questions in the last hour, which is your quota: wait a while, or ask who "
            "runs this node for a larger one (`user_asks_an_hour` in node.toml)"
        )
