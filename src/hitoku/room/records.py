# SPDX-License-Identifier: Apache-2.0
"""What a member remembers of one room: its ledger, its runs, the others' heads.

Every step of a run is one transaction that writes the run's state and its ledger entries together. A run is
*reserved* before any data is read, then *committed* (charged) or *aborted*. Whatever moment a process is
killed at, either both are there or neither; a run that is still reserved long after its consent ended is
charged by `recover`, because what the host read or released cannot be taken back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hitoku import limits
from hitoku.errors import Refusal
from hitoku.ports import Clock, KeyStore
from hitoku.room import store as tables
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import agreement_hash
from hitoku.room.ledger import EntryKind, Head, Ledger
from hitoku.room.store import Store

__all__ = ["Records", "Role", "Run", "RunState"]


class Role(StrEnum):
    """What a member is in a run."""

    ASKER = "asker"
    OWNER = "owner"
    HOST = "host"


class RunState(StrEnum):
    """Where a run stands."""

    RESERVED = "reserved"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Run:
    """What identifies a run: who asks what, under which plan.

    Attributes:
        id: 32 hexadecimal digits, made by the asker, used once.
        role: what this member is in it.
        asker: who asks.
        host: who runs it.
        question: hash of the question.
        sql: its normal form.
        plan: hash of the disclosure plan.
        protection: how it is computed.
        receivers: who receives the answer.
        tables: the tables of this member in it; empty for asker and host.
    """

    id: str
    role: Role
    asker: str
    host: str
    question: str
    sql: str
    plan: str
    protection: str
    receivers: tuple[str, ...]
    tables: tuple[str, ...] = ()


class Records:
    """A member's durable record of one room.

    Args:
        store: the member's database.
        room: the room's id.
        member: whose record this is.
        keys: signs the ledger's heads.
        clock: dates what is recorded.
    """

    def __init__(self, store: Store, room: str, member: str, keys: KeyStore, clock: Clock) -> None:
        self.room = room
        self.member = member
        self.store = store
        self.ledger = Ledger(store, room, member, keys, clock)
        self._clock = clock

    def accept(self, agreement: Agreement) -> None:
        """Record a version of the agreement that this member signed or took over; once each."""
        row = {"room": self.room, "version": agreement.version, "hash": agreement_hash(agreement)}
        known = tables.agreements.c
        with self.store.reading() as connection:
            if connection.scalar(_versions(known, row)) is not None:
                return
        with self.store.transaction() as connection:
            if connection.scalar(_versions(known, row)) is not None:
                return
            connection.execute(sa.insert(tables.agreements), row)
            self.ledger.append(
                connection, EntryKind.AGREEMENT, {"version": agreement.version, "agreement": row["hash"]}
            )

    def refused(self, asker: str, sql: str, refusal: Refusal) -> None:
        """Record that a question was refused; its text only as a hash, for it was never checked."""
        body = {
            "asker": asker,
            "sql": "sha256:" + hashlib.sha256(sql.encode("utf-8", "surrogatepass")).hexdigest(),
            "code": refusal.code,
            "rule": refusal.rule,
            "owner": refusal.owner,
        }
        with self.store.transaction() as connection:
            self.ledger.append(connection, EntryKind.REFUSAL, body)

    def deleted(self, table: str, reason: str) -> None:
        """Record that this member's copy of a table was deleted."""
        with self.store.transaction() as connection:
            self.ledger.append(connection, EntryKind.DELETION, {"table": table, "reason": reason})

    def reserve(self, run: Run) -> None:
        """Record question, verdict and reservation, before any data is read.

        Raises:
            Refusal: a run of this id was reserved before: consents are for one run.
        """
        now = _time(self._clock.now())
        row: dict[str, Any] = {
            "run": _key(run.id, run.role),
            "room": self.room,
            "role": str(run.role),
            "asker": run.asker,
            "host": run.host,
            "question": run.question,
            "plan": run.plan,
            "state": str(RunState.RESERVED),
            "created": now,
            "updated": now,
        }
        with self.store.transaction() as connection:
            if connection.scalar(sa.select(tables.runs.c.run).where(tables.runs.c.run == row["run"])):
                raise Refusal(
                    "CONSENT_REPLAYED",
                    "these consents were used before: nothing was run",
                    remedy="ask again; consents are for one run",
                )
            connection.execute(sa.insert(tables.runs), row)
            self._entries(
                connection,
                run.id,
                (
                    EntryKind.QUESTION,
                    {
                        "role": str(run.role),
                        "asker": run.asker,
                        "host": run.host,
                        "question": run.question,
                        "sql": run.sql,
                        "protection": run.protection,
                        "receivers": list(run.receivers),
                    },
                ),
                (EntryKind.VERDICT, {"question": run.question, "verdict": "accept"}),
                (EntryKind.RESERVATION, {"plan": run.plan, "tables": list(run.tables)}),
            )

    def commit(self, run: str, role: Role, facts: Mapping[str, Any]) -> int | None:
        """Record that a run was released, and charge it. Returns the release's ledger entry.

        Does nothing, and returns None, where the run is not reserved: it was settled before.
        """
        with self.store.transaction() as connection:
            if not self._settle(connection, run, role, RunState.COMMITTED):
                return None
            return self._entries(
                connection, run, (EntryKind.CHARGE, {"role": str(role)}), (EntryKind.RELEASE, dict(facts))
            )

    def abort(self, run: str, role: Role, reason: str) -> None:
        """Record that a run ended before any data was read, so that nothing is charged."""
        with self.store.transaction() as connection:
            if self._settle(connection, run, role, RunState.ABORTED):
                self._entries(connection, run, (EntryKind.ABORT, {"role": str(role), "reason": reason}))

    def fail(self, run: str, role: Role, reason: str) -> None:
        """Record that a run failed after data was read: nothing was released, and it is charged all the same.

        Whether a run fails can depend on the data, so a refund would tell something of it.
        """
        with self.store.transaction() as connection:
            if self._settle(connection, run, role, RunState.COMMITTED):
                self._entries(connection, run, (EntryKind.CHARGE, {"role": str(role), "reason": reason}))

    def bury(self, run: str, asker: str) -> bool:
        """As host: see to it that a run that was not begun never will be. Returns whether that is so."""
        now = _time(self._clock.now())
        row = {
            "run": _key(run, Role.HOST),
            "room": self.room,
            "role": str(Role.HOST),
            "asker": asker,
            "host": self.member,
            "question": "",
            "plan": "",
            "state": str(RunState.ABORTED),
            "created": now,
            "updated": now,
        }
        with self.store.transaction() as connection:
            if connection.scalar(sa.select(tables.runs.c.run).where(tables.runs.c.run == row["run"])):
                return False
            connection.execute(sa.insert(tables.runs), row)
            body = {"role": str(Role.HOST), "asker": asker, "reason": "cancelled before it began"}
            self._entries(connection, run, (EntryKind.ABORT, body))
        return True

    def host_of(self, run: str) -> str | None:
        """As owner: the host that a run was consented to; None if there was no such consent."""
        with self.store.reading() as connection:
            value = connection.scalar(
                sa.select(tables.runs.c.host).where(
                    tables.runs.c.run == _key(run, Role.OWNER), tables.runs.c.room == self.room
                )
            )
        return None if value is None else str(value)

    def recover(self) -> int:
        """Charge the runs whose end this member never heard of. Returns how many there were."""
        run = tables.runs.c
        oldest = _time(self._clock.now() - timedelta(seconds=limits.RUN_SECONDS))
        open_runs = sa.select(run.run).where(
            run.room == self.room, run.state == str(RunState.RESERVED), run.created < oldest
        )
        with self.store.reading() as connection:
            if connection.scalar(open_runs.limit(1)) is None:
                return 0
        with self.store.transaction() as connection:
            found = [str(key) for key in connection.scalars(open_runs)]
            for key in found:
                role, _, identity = key.partition(":")
                self._settle(connection, identity, Role(role), RunState.COMMITTED)
                body = {"role": role, "reason": "no word of its end: it counts as released"}
                self._entries(connection, identity, (EntryKind.CHARGE, body))
        return len(found)

    def state(self, run: str, role: Role) -> RunState | None:
        """Where a run stands; None if it is not known."""
        with self.store.reading() as connection:
            value = connection.scalar(
                sa.select(tables.runs.c.state).where(
                    tables.runs.c.run == _key(run, role), tables.runs.c.room == self.room
                )
            )
        return None if value is None else RunState(value)

    def peer_head(self, member: str) -> Head | None:
        """The newest head seen of another member's ledger."""
        head = tables.peer_heads.c
        with self.store.reading() as connection:
            raw = connection.scalar(sa.select(head.head).where(head.room == self.room, head.member == member))
        return None if raw is None else Head.from_bytes(raw)

    def keep_head(self, head: Head) -> None:
        """Keep a head that continues the one known; an older one changes nothing."""
        known = tables.peer_heads.c
        here = (known.room == self.room) & (known.member == head.member)
        row = {"size": head.size, "head": head.to_bytes()}
        with self.store.transaction() as connection:
            if connection.scalar(sa.select(known.size).where(here)) is None:
                place = {"room": self.room, "member": head.member}
                connection.execute(sa.insert(tables.peer_heads), place | row)
            else:
                connection.execute(
                    sa.update(tables.peer_heads).where(here, known.size < head.size).values(**row)
                )

    def _settle(self, connection: Connection, run: str, role: Role, state: RunState) -> bool:
        row = tables.runs.c
        done = connection.execute(
            sa.update(tables.runs)
            .where(
                row.run == _key(run, role),
                row.room == self.room,  # a member of another room may have learned the run's id
                row.state == str(RunState.RESERVED),
            )
            .values(state=str(state), updated=_time(self._clock.now()))
        )
        return done.rowcount == 1

    def _entries(self, connection: Connection, run: str, *entries: tuple[EntryKind, dict[str, Any]]) -> int:
        seq = 0
        for kind, body in entries:
            seq = self.ledger.append(connection, kind, {"run": run} | body)
        return seq


def _versions(known: Any, row: Mapping[str, Any]) -> Any:
    return sa.select(known.hash).where(known.room == row["room"], known.version == row["version"])


def _key(run: str, role: Role) -> str:
    # A member may be asker and owner of one run.
    return f"{role}:{run}"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
